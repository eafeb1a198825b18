package find

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/catalog"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/find/postings"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
	"perennial/internal/test/shop"
)

// What is whole is looked for as a whole: a number, a sum, a date, an id among words, and what is in quotes.
func TestWhatIsWholeIsFoundAsAWhole(t *testing.T) {
	s := shop.Open(t)
	f := open(t, s.Store, filepath.Join(s.Dir, "find.db"))
	titles := map[int64]string{}
	ids := map[string]id.ID{}
	for _, title := range []string{"sum of $28.28", "sum of €28.28", "sum of $37.38 on 28 February 2027", "day of 26 November 2026", "days of 26 October 2026 and 3 November 2026", "price of all"} {
		key := s.IDs.New(id.Product)
		out := s.Do(journal.Bind(catalog.CreateProduct{ID: key, Title: title}))
		titles[out.Events[0].Seq], ids[title] = title, key
	}
	person := made(t, s, "Price")
	for _, seq := range search(t, f, Filter{Scope: person}, -1, 0) {
		titles[seq] = "about the person"
	}
	for _, c := range []struct {
		typed string
		want  []string
	}{
		{"28.28", []string{"sum of €28.28", "sum of $28.28"}},
		{"$28.28", []string{"sum of $28.28"}},
		{"28,28 €", []string{"sum of €28.28"}},
		{"EUR 28.28", []string{"sum of €28.28"}},
		{"28", []string{"sum of $37.38 on 28 February 2027"}},
		{"26 November 2026", []string{"day of 26 November 2026"}},
		{"2026-11-26", []string{"day of 26 November 2026"}},
		{"2026-10-26", []string{"days of 26 October 2026 and 3 November 2026"}},
		{`"day of"`, []string{"day of 26 November 2026"}},
		{`product "sum of" 28 february`, []string{"sum of $37.38 on 28 February 2027"}},
		{`sum ` + string(ids["sum of $28.28"]), []string{"sum of $28.28"}},
		{string(ids["sum of $28.28"]) + " day", nil},
		{"price", []string{"about the person", "price of all"}},
		{`"price"`, []string{"price of all"}},
		{"price testperson", []string{"about the person"}},
		{" Price@mail.example ", []string{"about the person"}},
		{`testperson "price of"`, nil},
		{"product.created 28.28", []string{"sum of €28.28", "sum of $28.28"}},
	} {
		named := func(seqs []int64) (out []string) {
			for _, seq := range seqs {
				out = append(out, titles[seq])
			}
			return out
		}
		flt := Filter{Words: c.typed}
		if diff := cmp.Diff(c.want, named(search(t, f, flt, -1, 0))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.typed, diff)
		}
		var scanned, paged []int64
		for st, err := range Scan(t.Context(), s.Store, store.Closed, flt, -1) {
			if err != nil {
				t.Fatal(err)
			}
			scanned = append(scanned, st.Seq)
		}
		if diff := cmp.Diff(c.want, named(scanned)); diff != "" {
			t.Errorf("%q, scanned (-want +got):\n%s", c.typed, diff)
		}
		p, err := f.Page(t.Context(), store.Closed, flt, -1, 50)
		if err != nil {
			t.Fatal(fault.As(err))
		}
		for _, st := range p.Entries {
			paged = append(paged, st.Seq)
		}
		if diff := cmp.Diff(c.want, named(paged)); diff != "" || p.Check.Found() {
			t.Errorf("%q, a page, %+v (-want +got):\n%s", c.typed, p.Check, diff)
		}
	}
}

// An index of the build before knows entries by other words, and is made anew.
func TestAnIndexOfTheBuildBeforeIsMadeAnew(t *testing.T) {
	s := shop.Open(t)
	path := filepath.Join(s.Dir, "find.db")
	f := open(t, s.Store, path)
	out := s.Do(journal.Bind(catalog.CreateProduct{ID: s.IDs.New(id.Product), Title: "sum of $28.28"}))
	last := s.Do(journal.Bind(catalog.CreateProduct{ID: s.IDs.New(id.Product), Title: "whole"})).Events[0].Seq
	if err := f.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := s.Store.DB.Writer
	run := func(text string, args ...any) {
		t.Helper()
		if _, err := w.ExecContext(t.Context(), text, args...); err != nil {
			t.Fatal(err)
		}
	}
	if s.Store.DB.Engine == db.Postgres {
		run(`DELETE FROM posting WHERE facet = $1`, int64(postings.Hash(facet(byWord, "28.28"))))
		run(`UPDATE followed SET facets = 1`)
	} else {
		x := f.file.Load().index
		if err := x.Drop(t.Context(), string(s.Store.Shop)); err != nil {
			t.Fatal(err)
		}
		for st, err := range s.Store.Events(t.Context(), s.Store.Read, store.Closed, 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Append(string(s.Store.Shop), []postings.Entry{{Seq: st.Seq, Facets: facets(st.Event, st.Seq == last)}}); err != nil {
				t.Fatal(err)
			}
		}
		w, _ = x.DB()
		if err := f.file.Load().names.write(t.Context()); err != nil {
			t.Fatal(err)
		}
		run(`UPDATE followed SET facets = 1`)
		if err := f.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, s.Store, path)
	if got := search(t, again, Filter{Words: "28.28"}, -1, 0); len(got) != 1 || got[0] != out.Events[0].Seq {
		t.Errorf("found %v", got)
	}
}

// Processes of two versions on one PostgreSQL do not drop each other's index in turns: the older one leaves it alone, and says why it finds nothing.
func TestAnIndexOfANewerBuildIsLeftAlone(t *testing.T) {
	s := shop.Open(t)
	if s.Store.DB.Engine != db.Postgres {
		t.Skip("no other process opens the file")
	}
	f := open(t, s.Store, "")
	s.Do(journal.Bind(catalog.CreateProduct{ID: s.IDs.New(id.Product), Title: "Tea"}))
	if got := search(t, f, Filter{Words: "tea"}, -1, 0); len(got) != 1 {
		t.Fatalf("found %v", got)
	}
	rows := func() (n int) {
		t.Helper()
		if err := s.Store.DB.Reader.QueryRowContext(t.Context(), `SELECT count(*) FROM posting`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if _, err := s.Store.DB.Writer.ExecContext(t.Context(), `UPDATE followed SET facets = $1`, facetsVersion+1); err != nil {
		t.Fatal(err)
	}
	before := rows()
	s.Do(journal.Bind(catalog.CreateProduct{ID: s.IDs.New(id.Product), Title: "Milk"}))
	err := f.CatchUp(t.Context())
	if f := fault.As(err); err == nil || f.Code != "index_newer" || f.Kind != fault.Unavailable {
		t.Errorf("got %v, want index_newer", err)
	}
	if after := rows(); after != before {
		t.Errorf("the newer index had %d rows, and has %d", before, after)
	}
	if err := f.Rebuild(t.Context(), nil); err != nil { // whoever goes back to the older version
		t.Fatal(err)
	}
	if got := search(t, f, Filter{Words: "milk"}, -1, 0); len(got) != 1 {
		t.Errorf("found %v after a rebuild", got)
	}
}
