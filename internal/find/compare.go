package find

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"perennial/internal/db"
	"perennial/internal/find/postings"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// sampled is how many entries, and how many people, Compare looks for unless it looks for all.
const sampled = 100

// Compared says what a comparison covered.
type Compared struct {
	Entries, People int   // that were looked for
	Indexed         int64 // entries below this are in what was looked into
	Of              int64 // entries that the journal has
	// Foreign: the index belongs to another journal or version, and is made anew by the next start. Nothing was compared.
	Foreign bool
}

// Compare looks in the index for entries by all that they can be found by, and for people by their words: for some of them, or with
// all for every one, and at any rate for those of also. It tells of what the index lacks. What it has too much does no harm, as whatever is
// found is read again.
func (f *Finder) Compare(ctx context.Context, all bool, also []int64, wrong func(seq int64, key id.ID, lacks string)) (c Compared, err error) {
	entries, people := f.done.Load(), f.done.Load()
	switch {
	case f.tables != nil:
		err := f.s.Read.QueryRowContext(ctx, `SELECT next FROM followed WHERE shop_id = $1`, f.s.Shop).Scan(&entries)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return c, db.Fault(err)
		}
		if err != nil {
			entries = 0
		}
		people = entries
	case f.readOnly:
		x := f.file.Load()
		entries, people = x.index.Next(string(f.s.Shop)), x.names.next
	}
	head, err := f.s.ReadHead(ctx, f.s.Read)
	if err != nil {
		return c, db.Fault(err)
	}
	c.Indexed, c.Of = entries, max(entries, head.Seq+1)
	if f.readOnly && f.tables == nil {
		ours, err := f.follows(ctx, f.file.Load(), head.Seq)
		if err != nil || !ours {
			c.Foreign = err == nil
			return c, db.Fault(err)
		}
	}
	wanted := make(map[int64]bool, len(also))
	for _, seq := range also {
		wanted[seq] = true
	}
	for seq := range entries {
		if !all && entries > sampled && !wanted[seq] && rand.Int64N(entries) >= sampled { //nolint:gosec // any sample will do
			continue
		}
		st, err := f.s.Event(ctx, f.s.Read, store.Closed, seq)
		if err != nil {
			return c, db.Fault(err)
		}
		lacks, err := f.lacks(ctx, st.Event)
		if err != nil {
			return c, db.Fault(err)
		}
		if lacks != "" {
			wrong(seq, st.ID, lacks)
		}
		c.Entries++
	}
	c.People, err = f.comparePeople(ctx, all, people, wrong)
	return c, db.Fault(err)
}

// lacks names the first thing by which an entry should be found, and is not.
func (f *Finder) lacks(ctx context.Context, e *journal.Event) (string, error) {
	for _, has := range facets(e, true) {
		found, ok := int64(-1), false
		if f.tables != nil {
			l := &list{x: f.tables, facet: int64(postings.Hash(has))}
			var err error
			if found, ok, err = l.seek(ctx, e.Seq); err != nil {
				return "", err
			}
		} else {
			for seq, err := range f.file.Load().index.Search(ctx, string(f.s.Shop), postings.Query{From: e.Seq, To: e.Seq + 1, All: [][]string{{has}}}) {
				if err != nil {
					return "", err
				}
				found, ok = seq, true
				break
			}
		}
		if !ok || found != e.Seq {
			return has, nil
		}
	}
	return "", nil
}

// comparePeople compares the words of people with their rows, unless an entry that is not followed yet may have changed them.
func (f *Finder) comparePeople(ctx context.Context, all bool, next int64, wrong func(seq int64, key id.ID, lacks string)) (people int, err error) {
	reader := f.s.DB.Reader
	if f.tables == nil {
		reader = f.file.Load().names.r
	}
	for _, kind := range []journal.Kind{journal.Customer, journal.TeamMember} {
		limit := fmt.Sprintf("last_seq < %d ORDER BY id", next)
		if !all {
			limit += fmt.Sprintf(" LIMIT %d", sampled)
		}
		rows, err := f.s.List(ctx, f.s.Read, kind, limit)
		if err != nil {
			return people, err
		}
		for _, row := range rows {
			key := row.State.Ref().ID
			var has []string
			err := db.Each(ctx, reader, func(r *sql.Rows) error {
				var word string
				err := r.Scan(&word)
				has = append(has, word)
				return err
			}, `SELECT word FROM name_word WHERE shop_id = $1 AND id = $2`, f.s.Shop, key)
			if err != nil {
				return people, err
			}
			for _, word := range nameWords(row.State) {
				if !slices.Contains(has, word) {
					wrong(row.LastSeq, key, "name")
					break
				}
			}
			people++
		}
	}
	return people, nil
}
