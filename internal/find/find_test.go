package find

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"perennial/internal/auth"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/demo"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/find/postings"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/payment/simulated"
	"perennial/internal/privacy"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/test/shop"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"),
		goleak.IgnoreAnyFunction("perennial/internal/test/pgtest.Start.func1")) // it reads what the server of the process says, to the end
}

func open(t testing.TB, s *store.Store, path string) *Finder {
	t.Helper()
	f, err := Open(t.Context(), s, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return f
}

// crash leaves the file as a process does that dies.
func crash(t *testing.T, f *Finder) {
	t.Helper()
	f.closed = true
	if err := f.file.Load().index.Close(); err != nil {
		t.Fatal(err)
	}
}

func search(t testing.TB, f *Finder, flt Filter, after int64, limit int) []int64 {
	t.Helper()
	out := []int64{}
	for seq, err := range f.Search(t.Context(), flt, after) {
		if err != nil {
			t.Fatalf("%+v after %d: %v", flt, after, err)
		}
		if out = append(out, seq); len(out) == limit {
			break
		}
	}
	return out
}

// year is a shop that was lived in for a year, with everything that the naive filter needs.
type year struct {
	*shop.Shop
	events []store.Stored
	people map[id.ID][]string // the words and the e-mail address of each person
}

func lived(t *testing.T, subscriptions int) *year {
	t.Helper()
	until := time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC)
	clock := demo.NewClock(demo.Begin(until), time.Now)
	y := &year{Shop: shop.OpenWith(t, t.TempDir(), clock.Now, demo.NewRandom(5), db.Options{Relaxed: true}), people: map[id.ID][]string{}}
	e := engine.New(y.Program, y.Store, simulated.New(clock.Now, simulated.Options{}), slog.New(slog.DiscardHandler))
	if _, err := demo.Make(t.Context(), y.Program, y.Store, e, clock, demo.Options{Subscriptions: subscriptions, Seed: 5, Until: until}, func(int, int64) {}); err != nil {
		t.Fatal(err)
	}
	// Looking at a log is the one thing that the demo's people do not do.
	y.Do(journal.Bind(observe.ViewLog{Log: observe.Log{Name: "explorer"}}))
	y.Do(journal.Bind(observe.ViewLog{Log: observe.Log{Name: "customer", Customer: y.customers(t)[0].ID}}))
	for st, err := range y.Store.Events(t.Context(), y.Store.Read, store.Closed, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		y.events = append(y.events, st)
	}
	for _, c := range y.customers(t) {
		y.people[c.ID] = append(Words(c.FirstName.Value+" "+c.LastName.Value), strings.ToLower(c.Email.Value))
	}
	rows, err := y.Store.List(t.Context(), y.Store.Read, journal.TeamMember, `id <> ''`)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		m := r.State.(*team.TeamMember)
		y.people[m.ID] = append(Words(m.Name.Value), strings.ToLower(m.Email.Value))
	}
	return y
}

func (y *year) customers(t testing.TB) []*customer.Customer {
	t.Helper()
	rows, err := y.Store.List(t.Context(), y.Store.Read, journal.Customer, `id <> '' ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]*customer.Customer, len(rows))
	for i, r := range rows {
		out[i] = r.State.(*customer.Customer)
	}
	return out
}

// naive is what a filter means, by looking at every entry.
func (y *year) naive(flt Filter) []int64 {
	oneOf := func(list []string, values ...string) bool {
		return len(list) == 0 || slices.ContainsFunc(values, func(v string) bool { return slices.Contains(list, v) })
	}
	var typed [][]string // of each, one id
	var alone id.ID      // the entry that was typed
	taken := take(flt.Words)
	want := wanted{always: taken.quoted, either: taken.loose}
	for _, key := range taken.ids {
		if strings.HasPrefix(key, "evt_") {
			alone = id.ID(key)
		} else {
			typed = append(typed, []string{key})
		}
	}
	for key, has := range y.people {
		wanted := Words(taken.rest)
		if strings.Contains(taken.rest, "@") {
			wanted = []string{strings.ToLower(taken.rest)}
		}
		if len(wanted) > 0 && !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(has, w) }) {
			want.people = append(want.people, facet(byTarget, string(key)), facet(byActor, string(key)))
		}
	}
	if strings.TrimSpace(flt.Words) != "" && !want.words() && taken.ids == nil {
		return []int64{}
	}
	out := []int64{}
	for _, e := range y.events {
		typ, _ := journal.Lookup(e.Type)
		family, _, _ := strings.Cut(string(e.Type), ".")
		var targets []string
		for _, r := range e.Targets {
			targets = append(targets, string(r.ID))
		}
		actors := []string{e.Actor.ID}
		if e.OnBehalfOf != nil {
			actors = append(actors, e.OnBehalfOf.ID)
		}
		var wanted []string
		for _, k := range flt.Targets {
			wanted = append(wanted, string(k))
		}
		switch {
		case !oneOf(journal.Texts(flt.Types), string(e.Type), family+".*"), !oneOf(flt.Categories, typ.Category), !oneOf(flt.ActorKinds, string(e.Actor.Kind)), !oneOf(flt.ActorIDs, actors...),
			!oneOf(flt.Channels, string(e.Source.Channel)), !oneOf(wanted, targets...),
			flt.Scope != "" && (!slices.Contains(targets, string(flt.Scope)) || family == "log"),
			flt.CorrelationID != "" && string(e.CorrelationID) != flt.CorrelationID,
			flt.Log != "" && typ.Log != flt.Log,
			!flt.Hidden && typ.Hidden,
			!flt.From.IsZero() && e.RecordedAt.Before(flt.From), !flt.To.IsZero() && !e.RecordedAt.Before(flt.To),
			alone != "" && e.ID != alone,
			slices.ContainsFunc(typed, func(key []string) bool {
				return !oneOf(key, slices.Concat(targets, actors, []string{string(e.CorrelationID)})...)
			}),
			!want.fits(e.Event, facets(e.Event, true)):
		default:
			out = append(out, e.Seq)
		}
	}
	if !flt.Oldest {
		slices.Reverse(out)
	}
	return out
}

// filters draws filters that are likely to mean something: most conditions are taken from one entry.
func (y *year) filters() *rapid.Generator[Filter] {
	var phrases []string
	for _, key := range slices.Sorted(maps.Keys(y.people)) {
		has := y.people[key]
		phrases = append(phrases, has[0], strings.ToUpper(has[0]), strings.Join(has[:len(has)-1], " "), has[len(has)-1], strings.ToUpper(has[len(has)-1]))
	}
	phrases = append(phrases, "nobody@nowhere.example", "  ", "- ?", "not a word of it", "evt_"+strings.Repeat("0", 21), "cus_"+strings.Repeat("0", 26), "subscription", "Skipped the ORDER",
		`"next order on"`, `"the order" skipped`, "subscription.renewed", "10%", "USD", "€ 12.50")
	return rapid.Custom(func(t *rapid.T) Filter {
		draw := func(name string) store.Stored { return rapid.SampledFrom(y.events).Draw(t, name) }
		chance := func(name string) bool { return rapid.IntRange(0, 4).Draw(t, name) == 0 }
		e := draw("entry")
		flt := Filter{Oldest: rapid.Bool().Draw(t, "oldest"), Hidden: rapid.Bool().Draw(t, "hidden")}
		several := func(name string, of func(store.Stored) string) (out []string) {
			if !chance(name) {
				return nil
			}
			out = []string{of(e)}
			for range rapid.IntRange(0, 2).Draw(t, name+" more") {
				out = append(out, of(draw(name)))
			}
			return out
		}
		family := func(s store.Stored) string { f, _, _ := strings.Cut(string(s.Type), "."); return f + ".*" }
		category := func(s store.Stored) string { typ, _ := journal.Lookup(s.Type); return typ.Category }
		for _, t := range append(several("types", func(s store.Stored) string { return string(s.Type) }), several("families", family)...) {
			flt.Types = append(flt.Types, journal.Name(t))
		}
		flt.Categories = several("categories", category)
		flt.ActorKinds = several("kinds", func(s store.Stored) string { return string(s.Actor.Kind) })
		flt.ActorIDs = several("actors", func(s store.Stored) string { return s.Actor.ID })
		flt.Channels = several("channels", func(s store.Stored) string { return string(s.Source.Channel) })
		for _, k := range several("targets", func(s store.Stored) string { return string(s.Targets[len(s.Targets)-1].ID) }) {
			flt.Targets = append(flt.Targets, id.ID(k))
		}
		if chance("scope") {
			flt.Scope = rapid.SampledFrom(e.Targets).Draw(t, "scope of").ID
		}
		if chance("correlation") {
			flt.CorrelationID = string(e.CorrelationID)
		}
		if chance("log") {
			flt.Log = rapid.SampledFrom([]journal.LogName{journal.ActivityLog, journal.CustomerLog, journal.SubscriptionLog}).Draw(t, "log is")
		}
		if chance("from") {
			flt.From = draw("from").RecordedAt.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "off")) * time.Microsecond)
		}
		if chance("to") {
			flt.To = draw("to").RecordedAt.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "off")) * time.Microsecond)
		}
		switch rapid.IntRange(0, 8).Draw(t, "words") {
		case 0:
			flt.Words = rapid.SampledFrom(phrases).Draw(t, "phrase")
		case 1:
			words := strings.Fields(journal.Summary(e.Event))
			flt.Words = strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 3).Draw(t, "of the summary"), " ")
			if rapid.Bool().Draw(t, "quoted") {
				from := rapid.IntRange(0, len(words)-1).Draw(t, "phrase from")
				flt.Words = `"` + strings.Join(words[from:min(len(words), from+3)], " ") + `"`
			}
		case 2:
			flt.Words = rapid.SampledFrom([]string{string(e.ID), string(e.CorrelationID), string(e.Targets[0].ID), e.Actor.ID, string(e.CommandID)}).Draw(t, "id")
		}
		return flt
	})
}

// pages is how many pages of a search are looked at, at most.
const pages = 10

// agrees compares a filter with the naive one, whole and by pages.
func (y *year) agrees(t testing.TB, f *Finder, flt Filter, size int) (found int, diff string) {
	want := y.naive(flt)
	if diff := cmp.Diff(want, search(t, f, flt, -1, 0)); diff != "" {
		return len(want), diff
	}
	got := []int64{}
	for after := int64(-1); len(got) < pages*size; {
		page := search(t, f, flt, after, size)
		if got = append(got, page...); len(page) < size {
			break
		}
		after = page[len(page)-1]
	}
	return len(want), cmp.Diff(want[:min(len(want), pages*size)], got)
}

// some compares a few filters.
func (y *year) some(t *testing.T, f *Finder) {
	t.Helper()
	filters := y.filters()
	for n := range 20 {
		flt := filters.Example(n)
		if _, diff := y.agrees(t, f, flt, 20); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", flt, diff)
		}
	}
}

func TestFinderAgreesWithANaiveFilter(t *testing.T) {
	y := lived(t, 60)
	path := filepath.Join(y.Dir, "find.db")
	f := open(t, y.Store, path)
	t.Run("fed", func(t *testing.T) {
		all, something := 0, 0
		filters := y.filters()
		rapid.Check(t, func(rt *rapid.T) {
			flt := filters.Draw(rt, "filter")
			size := rapid.IntRange(1, 40).Draw(rt, "page")
			found, diff := y.agrees(t, f, flt, size)
			if diff != "" {
				rt.Fatalf("%+v by pages of %d (-want +got):\n%s", flt, size, diff)
			}
			all++
			if found > 0 {
				something++
			}
		})
		if something*5 < all {
			t.Errorf("only %d of %d filters found anything", something, all)
		}
	})

	t.Run("rebuilt", func(t *testing.T) {
		var told []int64
		if err := f.Rebuild(t.Context(), func(done int64) { told = append(told, done) }); err != nil {
			t.Fatal(err)
		}
		if !slices.IsSorted(told) || len(told) == 0 || told[len(told)-1] != int64(len(y.events)) {
			t.Errorf("progress: %v", told)
		}
		y.some(t, f)
	})

	t.Run("after a crash", func(t *testing.T) {
		shop.OnlySQLite(t)
		crash(t, f) // what was in memory is lost, and the people are ahead of the index
		again := open(t, y.Store, path)
		if x := again.file.Load(); x.index.Next(string(y.Store.Shop)) >= x.names.next {
			t.Errorf("the index begins at %d, the names at %d", x.index.Next(string(y.Store.Shop)), x.names.next)
		}
		y.some(t, again)
		if err := again.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("reopened", func(t *testing.T) {
		shop.OnlySQLite(t)
		again := open(t, y.Store, path)
		if x := again.file.Load(); x.index.Next(string(y.Store.Shop)) != int64(len(y.events)) || x.names.next != int64(len(y.events)) {
			t.Errorf("the index begins at %d, the names at %d, of %d", x.index.Next(string(y.Store.Shop)), x.names.next, len(y.events))
		}
		y.some(t, again)
	})

	t.Run("scanned", func(t *testing.T) {
		filters := y.filters()
		for n := range 25 {
			flt := filters.Example(n)
			got := []int64{}
			for st, err := range Scan(t.Context(), y.Store, store.Closed, flt, -1) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, st.Seq)
			}
			if diff := cmp.Diff(y.naive(flt), got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", flt, diff)
			}
		}
	})

	t.Run("opened entries have the same facets", func(t *testing.T) {
		for st, err := range y.Store.Events(t.Context(), y.Store.Read, store.Opened, 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(facets(y.events[st.Seq].Event, true), facets(st.Event, true)); diff != "" {
				t.Fatalf("%s (-closed +opened):\n%s", st.Type, diff)
			}
		}
	})
}

// made makes a customer.
func made(t testing.TB, s *shop.Shop, name string) id.ID {
	t.Helper()
	key := s.IDs.New(id.Customer)
	s.Do(journal.Bind(customer.Create{ID: key, Email: strings.ToLower(name) + "@mail.example", FirstName: name, LastName: "Testperson"}))
	return key
}

func TestAChangeIsFoundAtOnce(t *testing.T) {
	s := shop.Open(t)
	f := open(t, s.Store, filepath.Join(s.Dir, "find.db"))
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for i := range 20 {
				name := fmt.Sprintf("Person%dx%d", n, i)
				key := s.IDs.New(id.Customer)
				out, err := s.Try(journal.Bind(customer.Create{ID: key, Email: name + "@mail.example", FirstName: name}))
				if err != nil {
					t.Error(err)
					return
				}
				for _, flt := range []Filter{{}, {Words: name}, {Scope: key}, {CorrelationID: string(out.Events[0].CorrelationID)}, {Types: []journal.Name{"customer.created"}}} {
					if got := search(t, f, flt, -1, 0); !slices.Contains(got, out.Events[0].Seq) {
						t.Errorf("%+v: %d is not among %v", flt, out.Events[0].Seq, got)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestASearchThatHasNothingNewWaitsForNobody(t *testing.T) {
	shop.OnlySQLite(t)
	s := shop.Open(t)
	f := open(t, s.Store, filepath.Join(s.Dir, "find.db"))
	key := made(t, s, "Ada")
	want := search(t, f, Filter{Scope: key}, -1, 0)
	f.mu.Lock() // as whoever catches up, or writes people, does
	defer f.mu.Unlock()
	if got := search(t, f, Filter{Words: "ada"}, -1, 0); !slices.Equal(got, want) || len(got) == 0 {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestARestoredJournal(t *testing.T) {
	shop.OnlySQLite(t)
	for _, c := range []struct {
		name        string
		before      int // entries that both journals have, beside the settings
		lost, grown int // what the index knows and the restored journal has not, and the other way round
		unclean     bool
	}{
		{name: "shorter", before: 3, lost: 3},
		{name: "longer", before: 3, lost: 3, grown: 9},
		{name: "as long", before: 3, lost: 3, grown: 3},
		{name: "longer, after a crash", before: 3, lost: 3, grown: 9, unclean: true},
		{name: "the same, longer", before: 3, grown: 3},
		{name: "the same", before: 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := shop.OpenAt(t, dir)
			s.Found()
			for i := range c.before {
				made(t, s, fmt.Sprintf("Both%d", i))
			}
			backup := filepath.Join(t.TempDir(), "backup.db")
			err := s.Program.Exclusive(t.Context(), func(w *store.Writer) error {
				if err := w.Flush(t.Context()); err != nil {
					return err
				}
				file, err := os.ReadFile(s.DB.Path)
				if err != nil {
					return err
				}
				return os.WriteFile(backup, file, 0o600)
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.lost {
				made(t, s, fmt.Sprintf("Lost%d", i))
			}
			path := filepath.Join(dir, "find.db")
			f := open(t, s.Store, path)
			if got := search(t, f, Filter{Words: "testperson"}, -1, 0); len(got) != c.before+c.lost {
				t.Fatalf("before: %v", got)
			}
			if c.unclean {
				crash(t, f)
			} else if err := f.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			other := t.TempDir()
			keys := filepath.Join(other, "keys")
			if err := os.CopyFS(keys, os.DirFS(filepath.Join(dir, "keys"))); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(keys, "root.key"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(backup, filepath.Join(other, "perennial.db")); err != nil {
				t.Fatal(err)
			}
			restored := shop.OpenAt(t, other)
			for i := range c.grown {
				made(t, restored, fmt.Sprintf("Grown%d", i))
			}
			again := open(t, restored.Store, path)
			if got := search(t, again, Filter{Words: "testperson"}, -1, 0); len(got) != c.before+c.grown {
				t.Errorf("after: %d of %d entries: %v", len(got), c.before+c.grown, got)
			}
			if got := search(t, again, Filter{Types: []journal.Name{"customer.*"}}, -1, 0); len(got) != c.before+c.grown {
				t.Errorf("after: %d of %d entries: %v", len(got), c.before+c.grown, got)
			}
			if got, err := again.People(t.Context(), "lost0", 10); err != nil || len(got) != 0 {
				t.Errorf("somebody of the other journal is still known: %v, %v", got, err)
			}
		})
	}
}

// TestAheadOfTheJournal is an index that gets ahead while it is open: nothing that we do makes it so, but the check is what
// keeps a defect from hiding entries for ever.
func TestAheadOfTheJournal(t *testing.T) {
	shop.OnlySQLite(t)
	s := shop.Open(t)
	f := open(t, s.Store, filepath.Join(s.Dir, "find.db"))
	made(t, s, "Ada")
	want := search(t, f, Filter{}, -1, 0)
	x := f.file.Load().index
	if err := x.Append(string(s.Store.Shop), []postings.Entry{{Seq: x.Next(string(s.Store.Shop)), Facets: []string{"s:yes"}}}); err != nil {
		t.Fatal(err)
	}
	f.done.Store(0)
	if diff := cmp.Diff(want, search(t, f, Filter{}, -1, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDamageIsMended(t *testing.T) {
	shop.OnlySQLite(t)
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, f *Finder)
	}{
		{"a block", func(t *testing.T, f *Finder) { execute(t, f, `UPDATE run_block SET body = zeroblob(length(body))`) }},
		{"a missing block", func(t *testing.T, f *Finder) { execute(t, f, `DELETE FROM run_block`) }},
		{"no table of blocks", func(t *testing.T, f *Finder) { execute(t, f, `DROP TABLE run_block`) }},
		{"closed behind our back", func(t *testing.T, f *Finder) { f.file.Load().index.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := shop.Open(t)
			for i := range 30 {
				made(t, s, fmt.Sprintf("Person%d", i))
			}
			f := open(t, s.Store, filepath.Join(s.Dir, "find.db"))
			var log bytes.Buffer
			f.log = slog.New(slog.NewTextHandler(&log, nil))
			want := search(t, f, Filter{}, -1, 0)
			if err := f.file.Load().index.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.damage(t, f)
			for _, flt := range []Filter{{}, {Words: "testperson"}, {Words: "person7"}} {
				if got := search(t, f, flt, -1, 0); flt.Words == "" && !slices.Equal(got, want) || len(got) == 0 {
					t.Errorf("%+v: got %v, want %v", flt, got, want)
				}
			}
			if !strings.Contains(log.String(), "made anew") {
				t.Errorf("nobody was told: %s", log.String())
			}
		})
	}
}

func execute(t *testing.T, f *Finder, text string) {
	t.Helper()
	w, _ := f.file.Load().index.DB()
	if _, err := w.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// A search that is going on when the file is made anew goes on in the new one, where it was.
func TestMendedWhileSearching(t *testing.T) {
	shop.OnlySQLite(t)
	s := shop.Open(t)
	for i := range 40 {
		made(t, s, fmt.Sprintf("Person%d", i))
	}
	f := open(t, s.Store, filepath.Join(s.Dir, "find.db"))
	for _, oldest := range []bool{false, true} {
		flt := Filter{Types: []journal.Name{"customer.created"}, Oldest: oldest}
		want := search(t, f, flt, -1, 0)
		if err := f.file.Load().index.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []int64
		for seq, err := range f.Search(t.Context(), flt, -1) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, seq); len(got) == 10 {
				if err := f.Rebuild(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("oldest first %t (-want +got):\n%s", oldest, diff)
		}
	}
}

// An index that takes one facet for another, as somebody can make it, shows nobody what is not theirs.
func TestCollisionsAreSeen(t *testing.T) {
	shop.OnlySQLite(t)
	s := shop.Open(t)
	ada, bob := made(t, s, "Ada"), made(t, s, "Bob")
	f := open(t, s.Store, filepath.Join(s.Dir, "find.db"))
	x := f.file.Load().index
	for st, err := range s.Store.Events(t.Context(), s.Store.Read, store.Closed, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		has := append(facets(st.Event, true), facet(byTarget, string(ada)), facet(byWord, "stolen"), facet(byType, "subscription.paused"))
		if err := x.Append(string(s.Store.Shop), []postings.Entry{{Seq: st.Seq, Facets: has}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := search(t, f, Filter{Scope: ada}, -1, 0); len(got) != 1 {
		t.Errorf("the log of Ada: %v", got)
	}
	if got := search(t, f, Filter{Targets: []id.ID{ada, bob}}, -1, 0); len(got) != 2 {
		t.Errorf("of both: %v", got)
	}
	for _, flt := range []Filter{{Words: "stolen"}, {Types: []journal.Name{"subscription.paused"}}} {
		if got := search(t, f, flt, -1, 0); len(got) != 0 {
			t.Errorf("%+v: %v", flt, got)
		}
	}
}

func TestANameOfTooMany(t *testing.T) {
	shop.OnlySQLite(t)
	s := shop.Open(t)
	f := open(t, s.Store, filepath.Join(s.Dir, "find.db"))
	if err := f.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	w, _ := f.file.Load().index.DB()
	for i := range maxNamed + 1 {
		if _, err := w.ExecContext(t.Context(), `INSERT INTO name_word (shop_id, word, id) VALUES ($1, 'smith', $2)`, s.Store.Shop, fmt.Sprintf("cus_%026d", i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range f.Search(t.Context(), Filter{Words: "Smith"}, -1) {
		if fault.As(err).Code != "too_many_people" {
			t.Errorf("got %v", err)
		}
	}
	if got, err := f.People(t.Context(), "Smith", 200); err != nil || len(got) != 200 {
		t.Errorf("People: %d, %v", len(got), err)
	}
}

func TestPeople(t *testing.T) {
	s := shop.Open(t)
	f := open(t, s.Store, filepath.Join(s.Dir, "find.db"))
	ada := made(t, s, "Ada")
	member := s.IDs.New(id.TeamMember)
	s.Do(journal.Bind(team.FoundTeam{ID: member, Email: "owner@shop.example", Name: "Ada Owner", PasswordHash: auth.HashPassword("x")}))
	check := func(text string, want ...id.ID) {
		t.Helper()
		got, err := f.People(t.Context(), text, 10)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	check("ada", ada) // and not the member
	check(" TESTPERSON ada ", ada)
	check("ADA@mail.example", ada)
	check("owner@shop.example")
	check("ada owner")
	check(string(ada), ada)
	check("")
	check("' OR 1=1 --")
	if got := search(t, f, Filter{Words: "ada owner"}, -1, 0); len(got) != 1 {
		t.Errorf("entries about the owner: %v", got)
	}
	s.Do(journal.Bind(customer.UpdateProfile{ID: ada, FirstName: new("Grace")}))
	check("ada")
	check("grace", ada)
}

func TestErasure(t *testing.T) {
	shop.OnlySQLite(t)
	s := shop.Open(t)
	path := filepath.Join(s.Dir, "find.db")
	f := open(t, s.Store, path)
	var people []id.ID
	// So many that pages split and are filled again.
	for i := range 150 {
		people = append(people, made(t, s, fmt.Sprintf("Xq%03dvanishing", i)))
		if i%10 == 0 {
			if err := f.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, err := f.People(t.Context(), "testperson", 1000); err != nil || len(got) != len(people) {
		t.Fatalf("%d people, %v", len(got), err)
	}
	holds := func(word string) (files []string) {
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(bytes.ToLower(b), []byte(word)) {
				files = append(files, "find.db"+suffix)
			}
		}
		return files
	}
	if len(holds("xq042vanishing")) == 0 {
		t.Fatal("the file does not hold the words that are looked for")
	}
	for i, key := range people {
		if i%3 == 0 {
			continue
		}
		if _, err := s.Program.Do(t.Context(), &program.Request{Meta: shop.System, Command: journal.Bind(privacy.Redact{CustomerID: key, ConfirmEmail: fmt.Sprintf("xq%03dvanishing@mail.example", i)})}); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			search(t, f, Filter{}, -1, 1) // any search follows the erasure
			if word := fmt.Sprintf("xq%03dvanishing", i); holds(word) != nil {
				t.Fatalf("%q is still in %v", word, holds(word))
			}
		}
	}
	if err := f.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range people {
		word := fmt.Sprintf("xq%03dvanishing", i)
		got, err := f.People(t.Context(), word, 10)
		if err != nil || (len(got) == 1) != (i%3 == 0) {
			t.Errorf("%s: %v, %v", word, got, err)
		}
		if in := holds(word); (i%3 != 0) && in != nil {
			t.Errorf("%q is still in %v", word, in)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	shop.OnlySQLite(t)
	s := shop.Open(t)
	path := filepath.Join(s.Dir, "find.db")
	open(t, s.Store, path)
	if _, err := Open(t.Context(), s.Store, path, nil); fault.As(err).Code != "index_in_use" {
		t.Errorf("a second time: %v", err)
	}
	if _, err := Open(t.Context(), s.Store, filepath.Join(s.Dir, "no", "folder", "find.db"), nil); err == nil {
		t.Error("a folder that does not exist was taken")
	}
}

func TestAfterClose(t *testing.T) {
	shop.OnlySQLite(t)
	s := shop.Open(t)
	f := open(t, s.Store, filepath.Join(s.Dir, "find.db"))
	for range 2 {
		if err := f.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range f.Search(t.Context(), Filter{}, -1) {
		if err == nil {
			t.Error("a closed finder found something")
		}
	}
	if _, err := f.People(t.Context(), "ada", 1); err == nil {
		t.Error("a closed finder found somebody")
	}
}

// The facets of an entry are a format: see facetsVersion.
func TestFacets(t *testing.T) {
	body, err := os.ReadFile("../journal/testdata/golden/v1-full.json")
	if err != nil {
		t.Fatal(err)
	}
	e, err := journal.Decode(bytes.TrimSpace(body), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"t:prod_1", "t:cus_x", "y:product.updated", "y:product.*", "c:products", "l:activity", "s:yes", "r:no", "k:api_key", "a:key_1", "h:api", "o:op_1", "a:cus_x",
		"w:undid", "w:the", "w:change", "w:of", "w:status", "w:count", "w:note", "w:and", "w:parts", "w:product"}
	if diff := cmp.Diff(want, facets(e, true)); diff != "" {
		t.Errorf("count facetsVersion up (-want +got):\n%s", diff)
	}
}

func BenchmarkNothingNew(b *testing.B) {
	s := shop.Open(b)
	f := open(b, s.Store, filepath.Join(s.Dir, "find.db"))
	for i := range 200 {
		made(b, s, fmt.Sprintf("Person%d", i))
	}
	for b.Loop() {
		if got := search(b, f, Filter{}, -1, 50); len(got) != 50 {
			b.Fatal(len(got))
		}
	}
}

func BenchmarkCatchUp(b *testing.B) {
	s := shop.Open(b)
	f := open(b, s.Store, filepath.Join(s.Dir, "find.db"))
	for i := range 500 {
		made(b, s, fmt.Sprintf("Person%d", i))
	}
	for b.Loop() {
		if err := f.Rebuild(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(f.Indexed()), "µs/entry")
}
