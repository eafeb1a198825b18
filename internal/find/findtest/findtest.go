// Package findtest hides entries from an index, as somebody would who may write to the database or the index file and not to
// the journal.
package findtest

import (
	"database/sql"
	"encoding/binary"
	"path/filepath"
	"slices"
	"testing"

	"perennial/internal/db"
	"perennial/internal/find"
	"perennial/internal/find/postings"
	"perennial/internal/store"
)

// Hide leaves entries out of the index of a shop. In PostgreSQL it takes them out of the rows of their postings, as the server's
// role. Embedded, it writes the runs of the index file anew without them; the file must not be open.
func Hide(t testing.TB, s *store.Store, path string, seqs ...int64) {
	t.Helper()
	ctx := t.Context()
	if s.DB.Engine == db.Postgres {
		for _, seq := range seqs {
			hidePosting(t, s, seq)
		}
		return
	}
	x, err := postings.Open(ctx, path, postings.Options{Logf: t.Logf})
	must(t, err)
	next := x.Next(string(s.Shop))
	must(t, x.Drop(ctx, string(s.Shop)))
	for st, err := range s.Events(ctx, s.Read, store.Closed, 0, next) {
		must(t, err)
		e := postings.Entry{Seq: st.Seq}
		if !slices.Contains(seqs, st.Seq) {
			e.Facets = find.Facets(st.Event)
		}
		must(t, x.Append(string(s.Shop), []postings.Entry{e}))
	}
	must(t, x.Flush(ctx))
	must(t, x.Close())
}

// HideFrom hides entries from an open index and gives it opened anew, from the file find.db in a folder when it is one.
func HideFrom(t testing.TB, f *find.Finder, s *store.Store, dir string, seqs ...int64) *find.Finder {
	t.Helper()
	must(t, f.CatchUp(t.Context()))
	if s.DB.Engine == db.Postgres {
		Hide(t, s, "", seqs...)
		return f
	}
	path := filepath.Join(dir, "find.db")
	must(t, f.Close(t.Context()))
	Hide(t, s, path, seqs...)
	f, err := find.Open(t.Context(), s, path, nil)
	must(t, err)
	return f
}

func hidePosting(t testing.TB, s *store.Store, hidden int64) {
	ctx := t.Context()
	st, err := s.Event(ctx, s.Read, store.Closed, hidden)
	must(t, err)
	var facets []int64
	for _, f := range find.Facets(st.Event) {
		facets = append(facets, int64(postings.Hash(f)))
	}
	type row struct {
		facet, seq int64
		others     []byte
	}
	var rows []row
	must(t, db.Each(ctx, s.DB.Writer, func(r *sql.Rows) error {
		var x row
		err := r.Scan(&x.facet, &x.seq, &x.others)
		rows = append(rows, x)
		return err
	}, `SELECT facet, seq, others FROM posting WHERE shop_id = $1 AND facet = ANY($2) AND seq <= $3 AND seq > $3 - 4096`, s.Shop, facets, hidden))
	for _, x := range rows {
		list := []int64{x.seq}
		for rest := x.others; len(rest) > 0; {
			d, n := binary.Uvarint(rest)
			list, rest = append(list, list[len(list)-1]+int64(d)), rest[n:]
		}
		i := slices.Index(list, hidden)
		if i < 0 {
			continue
		}
		list = slices.Delete(list, i, i+1)
		_, err := s.DB.Writer.ExecContext(ctx, `DELETE FROM posting WHERE shop_id = $1 AND facet = $2 AND seq = $3`, s.Shop, x.facet, x.seq)
		must(t, err)
		if len(list) == 0 {
			continue
		}
		others := []byte{}
		for i := 1; i < len(list); i++ {
			others = binary.AppendUvarint(others, uint64(list[i]-list[i-1]))
		}
		_, err = s.DB.Writer.ExecContext(ctx, `INSERT INTO posting (shop_id, facet, seq, others) VALUES ($1, $2, $3, $4)`, s.Shop, x.facet, list[0], others)
		must(t, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
