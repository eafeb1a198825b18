package find_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/civil"
	"perennial/internal/db"
	"perennial/internal/demo"
	"perennial/internal/engine"
	"perennial/internal/find"
	"perennial/internal/find/findtest"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/test/shop"
)

// house is a shop that was lived in, with its index.
type house struct {
	*shop.Shop
	*find.Finder
	t      testing.TB
	path   string
	events []store.Stored
}

func openHouse(t testing.TB, subscriptions int) *house {
	t.Helper()
	until := time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC)
	clock := demo.NewClock(demo.Begin(until), time.Now)
	h := &house{Shop: shop.OpenWith(t, t.TempDir(), clock.Now, demo.NewRandom(7), db.Options{Relaxed: true}), t: t}
	h.path = filepath.Join(h.Dir, "find.db")
	e := engine.New(h.Program, h.Store, simulated.New(clock.Now, simulated.Options{}), slog.New(slog.DiscardHandler))
	_, err := demo.Make(t.Context(), h.Program, h.Store, e, clock, demo.Options{Subscriptions: subscriptions, Seed: 7, Until: until}, func(int, int64) {})
	h.must(err)
	h.open()
	t.Cleanup(h.close)
	h.must(h.CatchUp(t.Context()))
	for st, err := range h.Store.Events(t.Context(), h.Store.Read, store.Closed, 0, 0) {
		h.must(err)
		h.events = append(h.events, st)
	}
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) open() {
	h.t.Helper()
	f, err := find.Open(h.t.Context(), h.Store, h.path, nil)
	h.must(err)
	h.Finder = f
}

func (h *house) close() {
	if err := h.Finder.Close(h.t.Context()); err != nil && h.t.Context().Err() == nil {
		h.t.Error(err)
	}
}

// hide leaves entries out of the index.
func (h *house) hide(seqs ...int64) {
	h.t.Helper()
	h.must(h.Finder.Close(h.t.Context()))
	findtest.Hide(h.t, h.Store, h.path, seqs...)
	h.open()
}

// all pages through a log.
func (h *house) all(flt find.Filter, size int) (seqs []int64, hidden, unreadable []int64, covers map[find.Coverage]int) {
	h.t.Helper()
	covers = map[find.Coverage]int{}
	for after := int64(-1); ; {
		p, err := h.Finder.Page(h.t.Context(), store.Closed, flt, after, size)
		h.must(err)
		if len(p.Entries) > size {
			h.t.Fatalf("a page of %d has %d entries", size, len(p.Entries))
		}
		for _, st := range p.Entries {
			seqs = append(seqs, st.Seq)
		}
		hidden, unreadable = append(hidden, p.Check.Hidden...), append(unreadable, p.Check.Unreadable...)
		covers[p.Check.Covers]++
		if !p.More {
			return seqs, hidden, unreadable, covers
		}
		after = seqs[len(seqs)-1]
	}
}

// searched is what the index alone gives.
func (h *house) searched(flt find.Filter) (seqs []int64) {
	h.t.Helper()
	for seq, err := range h.Finder.Search(h.t.Context(), flt, -1) {
		h.must(err)
		seqs = append(seqs, seq)
	}
	return seqs
}

// filters draws filters of logs: of one thing, of the team, of everything, with more conditions now and then.
func (h *house) filters() *rapid.Generator[find.Filter] {
	return rapid.Custom(func(t *rapid.T) find.Filter {
		e := rapid.SampledFrom(h.events).Draw(t, "entry")
		flt := find.Filter{Oldest: rapid.Bool().Draw(t, "oldest"), Hidden: rapid.IntRange(0, 3).Draw(t, "hidden") == 0}
		switch rapid.IntRange(0, 5).Draw(t, "log") {
		case 0:
			flt.Log = journal.ActivityLog
		case 1:
			flt.Targets = []id.ID{e.Target().ID}
		case 2:
		default:
			for _, ref := range e.Targets {
				if ref.Kind == journal.Customer || ref.Kind == journal.Subscription && rapid.Bool().Draw(t, "subscription") {
					flt.Scope = ref.ID
				}
			}
		}
		switch rapid.IntRange(0, 6).Draw(t, "condition") {
		case 0:
			typ, _ := journal.Lookup(e.Type)
			flt.Types = []journal.Name{journal.Name(typ.Family() + ".*")}
		case 1:
			flt.ActorKinds = []string{string(e.Actor.Kind)}
		case 2:
			flt.Channels = []string{string(e.Source.Channel)}
		case 3:
			flt.Words = find.Words(journal.Summary(e.Event))[0]
		case 4:
			flt.From = e.RecordedAt
		}
		return flt
	})
}

func TestAPageSaysNothingWhereNothingIsHidden(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	h := openHouse(t, 40)
	filters := h.filters()
	rapid.Check(t, func(rt *rapid.T) {
		flt := filters.Draw(rt, "filter")
		got, hidden, unreadable, _ := h.all(flt, rapid.IntRange(3, 60).Draw(rt, "size"))
		if len(hidden)+len(unreadable) > 0 {
			rt.Fatalf("%+v: hidden %v, unreadable %v", flt, hidden, unreadable)
		}
		if diff := cmp.Diff(h.searched(flt), got); diff != "" {
			rt.Fatalf("%+v (-want +got):\n%s", flt, diff)
		}
	})
}

// What the index hides is on the page of whoever looks, where a chain leads to it.
func TestAPageShowsWhatIsHidden(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	h := openHouse(t, 40)
	filters := h.filters()
	type question struct {
		flt  find.Filter
		want []int64
	}
	var asked []question
	for n := range 150 {
		flt := filters.Example(n)
		asked = append(asked, question{flt, h.searched(flt)})
	}
	gone := map[int64]bool{}
	for _, e := range h.events[:len(h.events)-1] { // the last one tells that the file is of this journal
		if e.Seq%5 == 2 {
			gone[e.Seq] = true
		}
	}
	h.hide(slices.Sorted(maps.Keys(gone))...)
	shown, seen, unseen := 0, 0, 0
	for i, q := range asked {
		if t.Failed() {
			break
		}
		got, hidden, _, covers := h.all(q.flt, 3+i%50)
		given := h.searched(q.flt)         // a filter that wants everything asks no list
		led := func(e store.Stored) bool { // by a chain
			switch t := e.Target(); {
			case q.flt.Scope != "":
				return slices.Contains([]journal.Kind{journal.Customer, journal.Subscription, journal.Order, journal.Address, journal.PaymentMethod, journal.CancelSession}, t.Kind)
			case len(q.flt.Targets) == 1:
				return t.ID == q.flt.Targets[0]
			default:
				return q.flt.Log != "" && store.HasState(t.Kind)
			}
		}
		missed := 0
		for _, seq := range q.want {
			e := h.events[seq]
			left := !slices.Contains(given, seq)
			switch has := slices.Contains(got, seq); {
			case has && left != slices.Contains(hidden, seq):
				t.Errorf("%+v: entry %d is shown, left out by the index: %v, called hidden: %v", q.flt, seq, left, !left)
			case has:
				if shown++; left {
					seen++
				}
			case !left:
				t.Errorf("%+v: %d is in the index and not shown", q.flt, seq)
			case covers[find.CoversNamed]+covers[find.CoversChains] == 0, led(e):
				t.Errorf("%+v: entry %d (%s of %s) is hidden, and nobody sees it (%v)", q.flt, seq, e.Type, e.Target().ID, covers)
			default:
				missed++
			}
		}
		if unseen += missed; len(got)+missed != len(q.want) {
			t.Errorf("%+v: %d entries and %d that nobody saw, want %d", q.flt, len(got), missed, len(q.want))
		}
	}
	t.Logf("%d entries shown, %d of them hidden from the index; %d hidden that no chain covers", shown, seen, unseen)
	if seen < 300 {
		t.Errorf("only %d hidden entries came up", seen)
	}
	h.must(h.Finder.Rebuild(t.Context(), nil))
	for _, q := range asked[:50] {
		if got, hidden, _, _ := h.all(q.flt, 50); len(hidden) > 0 || !slices.Equal(got, q.want) {
			t.Errorf("%+v: a rebuilt index hides %v", q.flt, hidden)
		}
	}
}

// paused gives a subscription that was paused and resumed, each indexed by itself, with the seqs of the two entries.
func (h *house) paused() (key, customer id.ID, pause, resume int64) {
	h.t.Helper()
	rows, err := h.Store.List(h.t.Context(), h.Store.Read, journal.Subscription, `status = 'active' ORDER BY id LIMIT 1`)
	h.must(err)
	s := rows[0].State.(*subscription.Subscription)
	until := civil.Of(h.Program.Now().AddDate(0, 0, 20), time.UTC)
	pause = h.Do(journal.Bind(subscription.Pause{ID: s.ID, Until: &until})).Events[0].Seq
	h.must(h.CatchUp(h.t.Context()))
	resume = h.Do(journal.Bind(subscription.Resume{ID: s.ID})).Events[0].Seq
	h.must(h.CatchUp(h.t.Context()))
	h.Do(journal.Bind(subscription.ChangeNote{ID: s.ID, Note: "after it"}))
	h.must(h.CatchUp(h.t.Context()))
	return s.ID, s.CustomerID, pause, resume
}

// One statement of the server's own role takes an entry out of every log; the pages show it, and say so once.
func TestDeletedPostingsHideNothing(t *testing.T) {
	h := openHouse(t, 20)
	key, customer, pause, resume := h.paused()
	if h.DB.Engine == db.Postgres {
		_, err := h.DB.Writer.ExecContext(t.Context(), `DELETE FROM posting WHERE seq = $1`, pause)
		h.must(err)
	} else {
		h.hide(pause)
	}
	if slices.Contains(h.searched(find.Filter{Scope: key}), pause) {
		t.Fatal("the sabotage did nothing")
	}
	var told []string
	h.Noted = func(hidden, unreadable []int64) { told = append(told, fmt.Sprint(hidden, unreadable)) }
	for name, flt := range map[string]find.Filter{
		"the subscription's log": {Scope: key}, "the customer's": {Scope: customer}, "everything": {}, "oldest first": {Scope: customer, Oldest: true},
		"by type": {Scope: key, Types: []journal.Name{"subscription.paused"}}, "by words": {Scope: key, Words: "paused"}, "by family": {Scope: customer, Types: []journal.Name{"subscription.*"}},
		"by target": {Targets: []id.ID{key}}, "by who": {Scope: key, ActorKinds: []string{"system"}}, "by time": {Scope: key, From: h.Program.Now().Add(-time.Hour)},
	} {
		found := false
		for after, more := int64(-1), true; more; {
			p, err := h.Finder.Page(t.Context(), store.Opened, flt, after, 50)
			h.must(err)
			if more = p.More; more {
				after = p.Entries[len(p.Entries)-1].Seq
			}
			if i := slices.IndexFunc(p.Entries, func(st store.Stored) bool { return st.Seq == pause }); i >= 0 {
				found = true
				if !slices.Equal(p.Check.Hidden, []int64{pause}) || !strings.Contains(p.Check.Words(), fmt.Sprintf("#%d", pause)) {
					t.Errorf("%s: it shows the entry and says %q", name, p.Check.Words())
				}
			}
		}
		if !found {
			t.Errorf("%s: the entry is hidden", name)
		}
	}
	if p, err := h.Finder.Page(t.Context(), store.Closed, find.Filter{Scope: key, Types: []journal.Name{"subscription.resumed"}}, -1, 50); err != nil || p.Check.Found() ||
		!slices.ContainsFunc(p.Entries, func(st store.Stored) bool { return st.Seq == resume }) {
		t.Errorf("a filter that does not want the entry: %+v, %v", p.Check, err)
	}
	if want := []string{fmt.Sprintf("[%d] []", pause)}; !slices.Equal(told, want) || h.Missed() != 1 {
		t.Errorf("told %q, want %q; missed %d", told, want, h.Missed())
	}
	h.must(h.Finder.Rebuild(t.Context(), nil))
	if _, hidden, _, _ := h.all(find.Filter{Scope: key}, 50); len(hidden) > 0 {
		t.Errorf("a rebuilt index hides %v", hidden)
	}
}

// A row policy hides an entry itself from the server's role. What it said is gone for the page, that it was there is not.
func TestAnEntryThatCannotBeRead(t *testing.T) {
	h := openHouse(t, 20)
	key, customer, pause, _ := h.paused()
	h.Broken()
	if h.DB.Engine == db.Postgres {
		for _, text := range []string{`ALTER TABLE event ENABLE ROW LEVEL SECURITY`, `CREATE POLICY writes ON event FOR INSERT TO perennial_app WITH CHECK (true)`,
			fmt.Sprintf(`CREATE POLICY hides ON event FOR SELECT TO perennial_app USING (seq <> %d)`, pause)} {
			_, err := h.DB.Owner.ExecContext(t.Context(), text)
			h.must(err)
		}
	} else {
		d, err := sql.Open("sqlite", filepath.Join(h.Dir, "perennial.db"))
		h.must(err)
		defer d.Close()
		for _, text := range []string{`DROP TRIGGER event_before_delete`, fmt.Sprintf(`DELETE FROM event WHERE seq = %d`, pause)} {
			_, err = d.ExecContext(t.Context(), text)
			h.must(err)
		}
	}
	for _, flt := range []find.Filter{{Scope: key}, {Scope: customer}, {}, {Scope: key, Types: []journal.Name{"subscription.*"}}} {
		for name, page := range map[string]func() (find.Page, error){
			"index": func() (find.Page, error) { return h.Finder.Page(t.Context(), store.Opened, flt, -1, 50) },
			"scan":  func() (find.Page, error) { return find.ScanPage(t.Context(), h.Store, store.Opened, flt, -1, 50) },
		} {
			p, err := page()
			if err != nil {
				t.Errorf("%s %+v: %v", name, flt, err)
				continue
			}
			if !slices.Equal(p.Check.Unreadable, []int64{pause}) || !strings.Contains(p.Check.Words(), "cannot be shown") {
				t.Errorf("%s %+v: %+v, %q", name, flt, p.Check, p.Check.Words())
			}
		}
	}
}

// BenchmarkPage asks for pages of 50 with and without holding them against chains, in turns. "held" is what that costs more, of what
// the search alone costs, in CPU time of the process.
func BenchmarkPage(b *testing.B) {
	h := openHouse(b, 200)
	things := func(kind journal.Kind) (out []id.ID) {
		rows, err := h.Store.List(b.Context(), h.Store.Read, kind, `id <> '' ORDER BY id`)
		h.must(err)
		for _, r := range rows {
			out = append(out, r.State.Ref().ID)
		}
		return out
	}
	subscriptions, customers := things(journal.Subscription), things(journal.Customer)
	mid := h.events[len(h.events)/2].Seq
	for _, q := range []struct {
		name   string
		filter func(n int) find.Filter
		after  int64
	}{
		{"subscription", func(n int) find.Filter { return find.Filter{Scope: subscriptions[n%len(subscriptions)]} }, -1},
		{"customer", func(n int) find.Filter { return find.Filter{Scope: customers[n%len(customers)]} }, -1},
		{"customer-older", func(n int) find.Filter { return find.Filter{Scope: customers[n%len(customers)]} }, mid},
		{"customer-type", func(n int) find.Filter {
			return find.Filter{Scope: customers[n%len(customers)], Types: []journal.Name{"order.placed"}}
		}, -1},
		{"customer-channel", func(n int) find.Filter {
			return find.Filter{Scope: customers[n%len(customers)], Channels: []string{"portal"}}
		}, -1},
		{"activity", func(int) find.Filter { return find.Filter{Log: journal.ActivityLog} }, -1},
		{"explorer", func(int) find.Filter { return find.Filter{} }, -1},
		{"explorer-type", func(int) find.Filter { return find.Filter{Types: []journal.Name{"subscription.paused"}} }, -1},
	} {
		b.Run(q.name, func(b *testing.B) {
			var bare, held time.Duration
			n, found := 0, 0
			for b.Loop() {
				flt := q.filter(n)
				n++
				at := cpu()
				took := 0
				for _, err := range h.Finder.Events(b.Context(), store.Opened, flt, q.after) {
					h.must(err)
					if took++; took > 50 {
						break
					}
				}
				bare, at = bare+cpu()-at, cpu()
				p, err := h.Finder.Page(b.Context(), store.Opened, flt, q.after, 50)
				h.must(err)
				held += cpu() - at
				found += len(p.Entries)
			}
			b.ReportMetric(float64(bare.Microseconds())/float64(n), "bare-µs")
			b.ReportMetric(float64(held.Microseconds())/float64(n), "held-µs")
			b.ReportMetric(float64(found)/float64(n), "entries")
		})
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
