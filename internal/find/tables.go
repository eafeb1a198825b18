package find

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/find/postings"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// tables is the index in PostgreSQL, which all processes share: a row of the table posting is a part of one facet's list, at most
// one for each facet of a batch that was indexed together. So a search reads a range of a btree for each facet, and what
// many entries have in common costs few rows.
//
// It follows the journal from the position in the table followed, whose row is the lock of whoever indexes: each search first
// catches up with the committed head, or waits for the process that is doing so. Rows, names and position change in one transaction.
type tables struct {
	s     *store.Store
	names *names
}

const (
	// span is how many seqs one row may reach over.
	span = 4096
	// partition is how many seqs a partition of the table has, as the migration says.
	partition = 4_194_304
	// common is the share of entries from which on a facet is not looked for in its list but in the entries themselves.
	common = 0.3
)

func newTables(s *store.Store) *tables {
	return &tables{s: s, names: &names{s: s, w: s.DB.Writer, r: s.DB.Reader, changed: map[journal.Ref]bool{}}}
}

// catchUp indexes up to head, and tells how far the index is after each batch.
func (x *tables) catchUp(ctx context.Context, head int64, told func(next int64)) error {
	for {
		next, err := x.batch(ctx, head)
		if err != nil {
			return db.Fault(err)
		}
		told(next)
		if next > head {
			return nil
		}
	}
}

// batch indexes at most batchLength entries in a transaction of its own. It gives the first seq that is not indexed.
func (x *tables) batch(ctx context.Context, head int64) (next int64, err error) {
	tx, err := x.s.DB.Writer.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `INSERT INTO followed (shop_id, next, leaf_hash, facets) VALUES ($1, 0, '', $2) ON CONFLICT DO NOTHING`, x.s.Shop, facetsVersion); err != nil {
		return 0, err
	}
	var version int
	if err := tx.QueryRowContext(ctx, `SELECT next, facets FROM followed WHERE shop_id = $1 FOR UPDATE`, x.s.Shop).Scan(&next, &version); err != nil {
		return 0, err
	}
	switch {
	case version > facetsVersion: // dropping it here and there in turns would leave nobody an index
		return 0, fault.New(fault.Unavailable, "index_newer", "A newer version of the program keeps the index of the logs. Upgrade this process too, or stop the newer one and run perennial reindex.")
	case version < facetsVersion:
		if err := x.drop(ctx, tx); err != nil {
			return 0, err
		}
		next = 0
	}
	if next > head {
		return next, tx.Commit()
	}
	// A row stays within its partition, and within its span.
	end := min(head+1, next+batchLength, (next/partition+1)*partition)
	lists := map[uint64][]int64{}
	changed := map[journal.Ref]bool{}
	var leaf []byte
	for st, err := range x.s.Events(ctx, x.s.Read, store.Closed, next, end) {
		if err != nil {
			return 0, err
		}
		for _, f := range facets(st.Event, true) {
			h := postings.Hash(f)
			if l := lists[h]; len(l) == 0 || l[len(l)-1] != st.Seq {
				lists[h] = append(l, st.Seq)
			}
		}
		if t := st.Target(); t.Kind == journal.Customer || t.Kind == journal.TeamMember {
			changed[t] = true
		}
		leaf = st.Leaf[:]
	}
	if err := x.write(ctx, tx, lists); err != nil {
		return 0, err
	}
	if err := x.call(ctx, tx, changed); err != nil {
		return 0, err
	}
	if end%partition > partition/2 || next == 0 {
		if _, err := tx.ExecContext(ctx, `SELECT perennial_posting_partition($1)`, end/partition+1); err != nil {
			return 0, err
		}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE followed SET next = $2, leaf_hash = $3, facets = $4 WHERE shop_id = $1`, x.s.Shop, end, leaf, facetsVersion); err != nil {
		return 0, err
	}
	return end, tx.Commit()
}

func (x *tables) write(ctx context.Context, tx *sql.Tx, lists map[uint64][]int64) error {
	hashes := slices.Collect(maps.Keys(lists))
	slices.SortFunc(hashes, func(a, b uint64) int { return cmp.Compare(int64(a), int64(b)) })
	facets, seqs, others := make([]int64, len(hashes)), make([]int64, len(hashes)), make([][]byte, len(hashes))
	for i, h := range hashes {
		l := lists[h]
		rest := []byte{}
		for j := 1; j < len(l); j++ {
			rest = binary.AppendUvarint(rest, uint64(l[j]-l[j-1]))
		}
		facets[i], seqs[i], others[i] = int64(h), l[0], rest
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO posting (shop_id, facet, seq, others) SELECT followed.shop_id, e.facet, e.seq, e.others
		FROM followed, unnest($2::bigint[], $3::bigint[], $4::bytea[]) WITH ORDINALITY AS e(facet, seq, others, n) WHERE followed.shop_id = $1 ORDER BY e.n`,
		x.s.Shop, facets, seqs, others)
	return err
}

// call gives the people who changed the words of their rows.
func (x *tables) call(ctx context.Context, tx *sql.Tx, changed map[journal.Ref]bool) error {
	if len(changed) == 0 {
		return nil
	}
	remove, err := tx.PrepareContext(ctx, `DELETE FROM name_word WHERE shop_id = $1 AND id = $2`)
	if err != nil {
		return err
	}
	defer remove.Close()
	insert, err := tx.PrepareContext(ctx, `INSERT INTO name_word (shop_id, word, id) VALUES ($1, $2, $3)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for ref := range changed {
		if _, err := x.names.rewrite(ctx, remove, insert, ref); err != nil {
			return fmt.Errorf("find: names of %s: %w", ref.ID, err)
		}
	}
	return nil
}

func (x *tables) drop(ctx context.Context, tx *sql.Tx) error {
	for _, text := range []string{`DELETE FROM posting WHERE shop_id = $1`, `DELETE FROM name_word WHERE shop_id = $1`, `UPDATE followed SET next = 0, facets = 0 WHERE shop_id = $1`} {
		if _, err := tx.ExecContext(ctx, text, x.s.Shop); err != nil {
			return err
		}
	}
	return nil
}

// forget drops the whole index.
func (x *tables) forget(ctx context.Context) error {
	tx, err := x.s.DB.Writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := x.drop(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// search gives the seqs that may be what a question wants, in order: all that are, and some that are not.
func (x *tables) search(ctx context.Context, q postings.Query, head int64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		if q.To == 0 || q.To > head+1 {
			q.To = head + 1
		}
		var groups []*union
		lists := map[string]*list{} // several groups may have one: all go in the same direction
		for _, or := range q.All {
			g := &union{}
			for _, f := range or {
				if lists[f] == nil {
					lists[f] = &list{x: x, facet: int64(postings.Hash(f)), desc: q.Desc}
				}
				g.lists = append(g.lists, lists[f])
			}
			groups = append(groups, g)
		}
		at, dir := q.From, int64(1)
		if q.Desc {
			at, dir = q.To-1, -1
		}
		// Each is asked once, which also shows how often its facets come. The rarest leads; the common ones are not asked again.
		for _, g := range groups {
			if _, ok, err := g.seek(ctx, at); err != nil || !ok {
				if err != nil {
					yield(0, err)
				}
				return
			}
		}
		slices.SortStableFunc(groups, func(a, b *union) int { return cmp.Compare(a.share(), b.share()) })
		for len(groups) > 1 && groups[len(groups)-1].share() > common {
			groups = groups[:len(groups)-1]
		}
		for at >= q.From && at < q.To {
			for i := 0; i < len(groups); i++ {
				found, ok, err := groups[i].seek(ctx, at)
				if err != nil {
					yield(0, err)
					return
				}
				if !ok {
					return
				}
				if found != at {
					at = found
					if i > 0 {
						i = -1
					}
				}
			}
			if at < q.From || at >= q.To || !yield(at, nil) {
				return
			}
			at += dir
		}
	}
}

// union is some lists of which one has to have a seq.
type union struct{ lists []*list }

func (g *union) seek(ctx context.Context, at int64) (best int64, ok bool, err error) {
	for _, l := range g.lists {
		found, has, err := l.seek(ctx, at)
		if err != nil {
			return 0, false, err
		}
		if has && (!ok || (found < best) != l.desc) {
			best, ok = found, true
		}
	}
	return best, ok, nil
}

func (g *union) share() (sum float64) {
	for _, l := range g.lists {
		sum += l.share
	}
	return sum
}

// list walks one facet's list in one direction.
type list struct {
	x     *tables
	facet int64
	desc  bool

	seqs  []int64 // of the rows that were read last, in the list's direction
	ended bool    // there are no more after them
	limit int     // rows to read the next time
	share float64 // of the entries that the first rows reach over
}

// seek gives the nearest seq from at on. Successive calls go in the list's direction.
func (l *list) seek(ctx context.Context, at int64) (int64, bool, error) {
	for {
		i, _ := slices.BinarySearchFunc(l.seqs, at, func(s, at int64) int {
			if l.desc {
				s, at = at, s
			}
			return int(s - at)
		})
		if i < len(l.seqs) {
			l.seqs = l.seqs[i:]
			return l.seqs[0], true, nil
		}
		if l.ended {
			return 0, false, nil
		}
		if err := l.read(ctx, at); err != nil {
			return 0, false, err
		}
	}
}

// read reads the rows from at on.
func (l *list) read(ctx context.Context, at int64) error {
	query, from := `SELECT seq, others FROM posting WHERE shop_id = $1 AND facet = $2 AND seq > $3 ORDER BY seq LIMIT $4`, at-span
	if l.desc {
		query, from = `SELECT seq, others FROM posting WHERE shop_id = $1 AND facet = $2 AND seq <= $3 ORDER BY seq DESC LIMIT $4`, at
	}
	if len(l.seqs) > 0 && !l.desc {
		from = max(from, l.seqs[len(l.seqs)-1])
	}
	l.limit = min(max(16, 4*l.limit), 1024)
	l.seqs = nil
	rows := 0
	var first, last int64
	err := db.Each(ctx, l.x.s.Read, func(r *sql.Rows) error {
		var seq int64
		var others []byte
		if err := r.Scan(&seq, &others); err != nil {
			return err
		}
		part := []int64{seq}
		for len(others) > 0 {
			d, n := binary.Uvarint(others)
			if n <= 0 {
				return errors.New("find: a row of posting is cut short")
			}
			seq += int64(d)
			part, others = append(part, seq), others[n:]
		}
		if rows == 0 {
			first = part[0]
		}
		last = part[len(part)-1]
		if l.desc {
			slices.Reverse(part)
		}
		l.seqs = append(l.seqs, part...)
		rows++
		return nil
	}, query, l.x.s.Shop, l.facet, from, l.limit)
	if err != nil {
		return db.Fault(err)
	}
	l.ended = rows < l.limit
	if l.share == 0 && len(l.seqs) > 0 {
		reach := max(last-first, first-last, int64(len(l.seqs)), 1)
		if l.ended {
			reach = max(reach, at+1) // what few rows hold is rare, wherever it is
		}
		l.share = float64(len(l.seqs)) / float64(reach)
	}
	return nil
}

// searchTables gives what the shared index finds after a seq. The entries are read some at a time.
func (f *Finder) searchTables(ctx context.Context, p store.Privacy, flt Filter, after int64, a *asked, yield func(store.Stored, error) bool) error {
	q, want, none, err := ask(ctx, f.s, f.tables.names.find, flt, after, a)
	if err != nil || none {
		return err
	}
	take := 8
	var seqs []int64
	more := true
	flush := func() error {
		found, lost, err := f.s.PickSome(ctx, f.s.DB.Reader, p, seqs)
		if err == nil && len(lost) > 0 && a == nil {
			_, err = f.s.Event(ctx, f.s.DB.Reader, p, lost[0]) // says what is the matter
		}
		if err != nil {
			return db.Fault(err)
		}
		if a != nil {
			a.lost = append(a.lost, lost...)
		}
		for _, st := range found {
			if matches(st.Event, q, want) && !yield(st, nil) {
				more = false
				return nil
			}
		}
		seqs, take = seqs[:0], min(4*take, 256)
		return nil
	}
	for seq, err := range f.tables.search(ctx, q, f.done.Load()-1) {
		if err != nil {
			return err
		}
		if seqs = append(seqs, seq); len(seqs) < take {
			continue
		}
		if err := flush(); err != nil || !more {
			return err
		}
	}
	return flush()
}
