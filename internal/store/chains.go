package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"perennial/internal/db"
	"perennial/internal/journal"
)

// Step is an event as a chain names it: the head of its target does, or the target's event after it.
type Step struct {
	Seq  int64
	Prev int64 // the event before it, journal.NoPrev for the first
	Type journal.Name
	Lost bool // something names it, and nobody can read it
}

// Chains walks the chains of things backwards by primary key, all events from seq lo on, in one statement. The things are a
// target itself and the rows that name it in a column, with those of the same customer where that is what it names. more says
// that it stopped at most events. Nothing here was asked of an index of postings.
func (s *Store) Chains(ctx context.Context, q db.Querier, of journal.Ref, lo int64, most int) (steps []Step, more bool, err error) {
	heads := s.headsOf(of.Kind)
	return s.walkChains(ctx, q, strings.Join(heads, " UNION ALL "), lo, most, string(of.ID))
}

// ChainsOfKinds walks the chains of all rows of some kinds, as Chains does.
func (s *Store) ChainsOfKinds(
	ctx context.Context,
	q db.Querier,
	kinds []journal.Kind,
	lo int64,
	most int,
) (steps []Step, more bool, err error) {
	heads := make([]string, len(kinds))
	for i, k := range kinds {
		heads[i] = fmt.Sprintf(`SELECT last_seq FROM %s WHERE shop_id = $1 AND last_seq >= $2`, quoted(k))
	}
	return s.walkChains(ctx, q, strings.Join(heads, " UNION ALL "), lo, most)
}

// walkChains walks from the heads that a query gives; its arguments are from $4 on.
func (s *Store) walkChains(
	ctx context.Context,
	q db.Querier,
	heads string,
	lo int64,
	most int,
	args ...any,
) (steps []Step, more bool, err error) {
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		l := Step{Prev: journal.NoPrev}
		var there, prev sql.NullInt64
		var typ sql.NullString
		if err := r.Scan(&l.Seq, &there, &prev, &typ); err != nil {
			return err
		}
		l.Type, l.Lost = journal.Name(typ.String), !there.Valid
		if prev.Valid {
			l.Prev = prev.Int64
		}
		steps = append(steps, l)
		return nil
	}, `WITH RECURSIVE heads (seq) AS (`+heads+`), chain (seq, there, prev, type) AS (
		SELECT heads.seq, e.seq, e.target_prev_seq, e.type FROM heads LEFT JOIN event e ON e.shop_id = $1 AND e.seq = heads.seq
		UNION ALL
		SELECT chain.prev, e.seq, e.target_prev_seq, e.type FROM chain LEFT JOIN event e ON e.shop_id = $1 AND e.seq = chain.prev WHERE chain.prev >= $2)
		SELECT seq, there, prev, type FROM chain LIMIT $3`, append([]any{s.Shop, lo, most + 1}, args...)...)
	if more = len(steps) > most; more {
		steps = steps[:most]
	}
	return steps, more, db.Fault(err)
}

// headsOf gives the queries for the last events of the rows that a thing's log is made of, its id being $4.
func (s *Store) headsOf(kind journal.Kind) (heads []string) {
	add := func(table, where string) {
		heads = append(heads, fmt.Sprintf(`SELECT last_seq FROM %s WHERE shop_id = $1 AND last_seq >= $2 AND %s`, table, where))
	}
	if !HasState(kind) {
		// The kind of such an id is not in the id, but no two things have one id.
		for _, k := range StateKinds {
			if journal.PrefixOf(k) == "" {
				add(quoted(k), `id = $4`)
			}
		}
		kinds := make([]string, len(journal.Observed))
		for i, k := range journal.Observed {
			kinds[i] = "'" + string(k) + "'"
		}
		add("target_head", `kind IN (`+strings.Join(kinds, ", ")+`) AND id = $4`)
		return heads
	}
	add(quoted(kind), `id = $4`)
	naming := func(column string) (found []journal.Kind) {
		for _, k := range StateKinds {
			if m, ok := s.mappings[k]; ok && slices.Contains(m.Columns, column) {
				found = append(found, k)
			}
		}
		return found
	}
	named := naming(columnFor(kind))
	for _, k := range named {
		add(quoted(k), columnFor(kind)+` = $4`)
	}
	ofCustomer := naming("customer_id")
	if !slices.Contains(ofCustomer, kind) {
		return heads
	}
	// What else belongs to the same customer may mention it: the address that it goes to, the subscription that it was merged into.
	// Orders mention one subscription, and those that do are among the named.
	customer := fmt.Sprintf(`(SELECT customer_id FROM %s WHERE shop_id = $1 AND id = $4)`, quoted(kind))
	add("customer", `id = `+customer)
	for _, k := range ofCustomer {
		switch {
		case slices.Contains(named, k), k == journal.Order:
		case k == kind:
			add(quoted(k), `id <> $4 AND customer_id = `+customer)
		default:
			add(quoted(k), `customer_id = `+customer)
		}
	}
	return heads
}

// columnFor is how rows name a thing of a kind, if they do so in a column.
func columnFor(kind journal.Kind) string {
	switch kind {
	case journal.SellingPlanGroup:
		return "group_id"
	case journal.CancelFlow:
		return "flow_id"
	}
	return string(kind) + "_id"
}

// Steps reads events as chains name them, in order of seq. Those that cannot be read are Lost.
func (s *Store) Steps(ctx context.Context, q db.Querier, seqs []int64) ([]Step, error) {
	const most = 200 // in one statement
	var out []Step
	for part := range slices.Chunk(seqs, most) {
		args := []any{s.Shop}
		for _, n := range part {
			args = append(args, n)
		}
		found, err := s.steps(ctx, q, `seq IN (`+db.Placeholders(2, len(part))+`)`, args...)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return missing(out, slices.Values(seqs)), nil
}

// StepsBetween reads all events with from <= seq <= to. Those that are not there are Lost: a journal has no gaps.
func (s *Store) StepsBetween(ctx context.Context, q db.Querier, from, to int64) ([]Step, error) {
	found, err := s.steps(ctx, q, `seq >= $2 AND seq <= $3`, s.Shop, from, to)
	if err != nil {
		return nil, err
	}
	return missing(found, func(yield func(int64) bool) {
		for n := from; n <= to && yield(n); n++ {
		}
	}), nil
}

func (s *Store) steps(ctx context.Context, q db.Querier, where string, args ...any) (out []Step, err error) {
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		l := Step{Prev: journal.NoPrev}
		var prev sql.NullInt64
		err := r.Scan(&l.Seq, &prev, &l.Type)
		if prev.Valid {
			l.Prev = prev.Int64
		}
		out = append(out, l)
		return err
	}, `SELECT seq, target_prev_seq, type FROM event WHERE shop_id = $1 AND `+where, args...)
	return out, db.Fault(err)
}

// missing adds what was asked for and not found, and sorts.
func missing(found []Step, asked func(func(int64) bool)) []Step {
	has := make(map[int64]bool, len(found))
	for _, l := range found {
		has[l.Seq] = true
	}
	for n := range asked {
		if !has[n] {
			found = append(found, Step{Seq: n, Prev: journal.NoPrev, Lost: true})
		}
	}
	slices.SortFunc(found, func(a, b Step) int { return int(a.Seq - b.Seq) })
	return found
}

// MoreRowsThan gives those of some kinds that have more rows than n.
func (s *Store) MoreRowsThan(ctx context.Context, q db.Querier, kinds []journal.Kind, n int) (out []journal.Kind, err error) {
	parts := make([]string, len(kinds))
	for i, k := range kinds {
		parts[i] = fmt.Sprintf(`SELECT '%s' WHERE EXISTS (SELECT 1 FROM %s WHERE shop_id = $1 LIMIT 1 OFFSET $2)`, k, quoted(k))
	}
	err = db.Each(ctx, q, func(r *sql.Rows) error {
		var k journal.Kind
		err := r.Scan(&k)
		out = append(out, k)
		return err
	}, strings.Join(parts, " UNION ALL "), s.Shop, n)
	return out, db.Fault(err)
}
