package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"perennial/internal/db"
	"perennial/internal/journal"
)

// Walk says which events to read straight from the journal, and in which order.
type Walk struct {
	From, To int64 // from <= seq < to
	Newest   bool  // newest first
	// Containing leaves out events whose stored bytes do not hold, for each group, one of its texts.
	Containing [][]string
	// Types leaves out events of all others: names, or families such as "order.*". nil leaves out none.
	Types []string
}

// walkPage is how many events are read at a time, so that a slow consumer holds no snapshot open.
const walkPage = 200

// Walk reads events without any index: the cost is that of every event in the range up to where the consumer stops, though
// those left out by Containing are not decoded.
func (s *Store) Walk(ctx context.Context, q db.Querier, p Privacy, w Walk) iter.Seq2[Stored, error] {
	order := "ASC"
	if w.Newest {
		order = "DESC"
	}
	where, args := s.containing(w.Containing, []any{s.Shop, w.From, w.To})
	if len(w.Types) > 0 {
		var types string
		types, args = ofTypes(w.Types, args)
		where += types
	}
	query := fmt.Sprintf(`SELECT `+eventColumns+` FROM event WHERE shop_id = $1 AND seq >= $2 AND seq < $3%s ORDER BY seq %s LIMIT %d`,
		where, order, walkPage)
	return func(yield func(Stored, error) bool) {
		for {
			page, err := packedRows(ctx, q, query, args...)
			if err != nil {
				yield(Stored{}, db.Fault(err))
				return
			}
			for _, e := range page {
				st, err := s.unpack(ctx, q, p, e)
				if !yield(st, db.Fault(err)) || err != nil {
					return
				}
			}
			if len(page) < walkPage {
				return
			}
			if last := page[walkPage-1].seq; w.Newest {
				args[2] = last
			} else {
				args[1] = last + 1
			}
		}
	}
}

// ofTypes is the condition that an event is of one of some types or families.
func ofTypes(types []string, args []any) (string, []any) {
	var or []string
	for _, t := range types {
		family, whole := strings.CutSuffix(t, "*")
		if !whole {
			args = append(args, t)
			or = append(or, fmt.Sprintf("type = $%d", len(args)))
			continue
		}
		next := strings.TrimSuffix(family, ".") + "/" // what follows a dot
		args = append(args, family, next)
		or = append(or, fmt.Sprintf("type >= $%d AND type < $%d", len(args)-1, len(args)))
	}
	return " AND (" + strings.Join(or, " OR ") + ")", args
}

// containing is the condition that the stored bytes hold, for each group, one of its texts.
func (s *Store) containing(groups [][]string, args []any) (string, []any) {
	var where strings.Builder
	for _, group := range groups {
		for i, text := range group {
			args = append(args, text)
			where.WriteString([]string{" AND (", " OR "}[min(i, 1)])
			where.WriteString(s.DB.Contains("body", fmt.Sprintf("$%d", len(args))))
		}
		where.WriteString(")")
	}
	return where.String(), args
}

// Holding gives those of some events whose stored bytes hold, for each group, one of its texts.
func (s *Store) Holding(ctx context.Context, q db.Querier, seqs []int64, groups [][]string) (out []int64, err error) {
	if len(groups) == 0 {
		return seqs, nil
	}
	const most = 200 // in one statement
	for part := range slices.Chunk(seqs, most) {
		args := []any{s.Shop}
		for _, n := range part {
			args = append(args, n)
		}
		where, args := s.containing(groups, args)
		err := db.Each(ctx, q, func(r *sql.Rows) error {
			var seq int64
			err := r.Scan(&seq)
			out = append(out, seq)
			return err
		}, `SELECT seq FROM event WHERE shop_id = $1 AND seq IN (`+db.Placeholders(2, len(part))+`)`+where, args...)
		if err != nil {
			return nil, db.Fault(err)
		}
	}
	return out, nil
}

// renameSteps is how far a history is walked back for the names of a thing.
const renameSteps = 5000

// Renames gives, newest first, the events of the given types in the histories that end with the events at heads, back to the seq after.
// It walks along target_prev_seq, so it costs a look by key for each event of those histories since, and needs no index; of a history of
// more than renameSteps events it sees the last ones.
func (s *Store) Renames(
	ctx context.Context,
	q db.Querier,
	p Privacy,
	heads []int64,
	after int64,
	types []journal.Name,
) (out []Stored, err error) {
	const most = 200 // in one statement
	for part := range slices.Chunk(heads, most) {
		args := []any{s.Shop, after}
		for _, n := range part {
			args = append(args, n)
		}
		for _, t := range types {
			args = append(args, t)
		}
		rows, err := packedRows(ctx, q, `WITH RECURSIVE chain (at, step) AS (
			SELECT seq, 0 FROM event WHERE shop_id = $1 AND seq > $2 AND seq IN (`+db.Placeholders(3, len(part))+`)
			UNION ALL
			SELECT e.target_prev_seq, c.step + 1 FROM chain c JOIN event e ON e.shop_id = $1 AND e.seq = c.at WHERE e.target_prev_seq > $2 AND c.step < `+strconv.Itoa(renameSteps)+`
		) SELECT `+eventColumns+` FROM event WHERE shop_id = $1 AND seq IN (SELECT at FROM chain) AND type IN (`+db.Placeholders(3+len(part), len(types))+`) ORDER BY seq DESC`, args...)
		if err != nil {
			return nil, db.Fault(err)
		}
		for _, e := range rows {
			st, err := s.unpack(ctx, q, p, e)
			if err != nil {
				return nil, db.Fault(err)
			}
			out = append(out, st)
		}
	}
	return out, nil
}
