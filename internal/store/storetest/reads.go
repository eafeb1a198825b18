package storetest

import (
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// seqs collects the seqs of events.
func seqs(t *testing.T, events iter.Seq2[store.Stored, error]) (out []int64) {
	t.Helper()
	for e, err := range events {
		must(t, err)
		out = append(out, e.Seq)
	}
	return out
}

func walks(t *testing.T, e Engine) {
	p := open(t, e)
	ctx, q := t.Context(), p.Read
	// Entry 0 makes a product; each of the others in turn renames it or makes another. There are more than any page has.
	tea, draft := p.product("Tea 0")
	drafts := []journal.Draft{draft}
	history := []int64{0}
	const entries = 1100
	for n := 1; n < entries; n++ {
		if n%2 == 0 {
			tea, draft = retitled(tea, fmt.Sprintf("Tea %d", n))
			history = append(history, int64(n))
		} else {
			_, draft = p.product(fmt.Sprintf("Coffee %d", n))
		}
		drafts = append(drafts, draft)
	}
	first := p.record(drafts[:600]...)
	second := p.record(drafts[600:]...)

	want := make([]int64, entries)
	for i := range want {
		want[i] = int64(i)
	}
	same := func(what string, want, got []int64) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	same("all", want, seqs(t, p.Events(ctx, q, store.Opened, 0, 0)))
	same("a range", want[3:1050], seqs(t, p.Events(ctx, q, store.Opened, 3, 1050)))
	same("a walk", want[3:1050], seqs(t, p.Walk(ctx, q, store.Opened, store.Walk{From: 3, To: 1050})))
	back := slices.Clone(want[3:1050])
	slices.Reverse(back)
	same("a walk back", back, seqs(t, p.Walk(ctx, q, store.Opened, store.Walk{From: 3, To: 1050, Newest: true})))
	same("a walk to what holds a text", []int64{7, 70}, seqs(t, p.Walk(ctx, q, store.Opened,
		store.Walk{To: entries, Containing: [][]string{{`"Coffee 7"`, `"Tea 70"`}, {"product"}}, Newest: false}))[:2])
	chain := slices.Clone(history)
	slices.Reverse(chain)
	same("a chain", chain, seqs(t, p.Chain(ctx, q, store.Closed, history[len(history)-1])))
	steps, more, err := p.Chains(ctx, q, tea.Ref(), 0, 5000)
	must(t, err)
	if len(steps) != len(history) || more {
		t.Errorf("the chain of the product has %d steps, %v: want %d", len(steps), more, len(history))
	}
	if steps, more, err = p.Chains(ctx, q, tea.Ref(), 0, 5); err != nil || len(steps) != 5 || !more {
		t.Errorf("the chain, cut off: %d, %v, %v", len(steps), more, err)
	}
	holding, err := p.Holding(ctx, q, want, [][]string{{`"Coffee 7"`, `"Tea 70"`}})
	must(t, err)
	if !slices.Contains(holding, 7) || !slices.Contains(holding, 70) || slices.Contains(holding, 9) {
		t.Errorf("what holds a text: %v", holding)
	}

	picked, err := p.Pick(ctx, q, store.Opened, []int64{900, 3, 500})
	must(t, err)
	if len(picked) != 3 || picked[0].Seq != 900 || picked[1].Seq != 3 {
		t.Errorf("picked %v", picked)
	}
	if _, err := p.Pick(ctx, q, store.Opened, []int64{1, entries}); fault.As(err).Kind != fault.NotFound {
		t.Errorf("an entry that is not there: %v", err)
	}
	if got, err := p.EventByID(ctx, q, store.Opened, id.Event(p.Shop, 5)); err != nil || got.Seq != 5 {
		t.Errorf("by its id: %v, %v", got.Event, err)
	}
	if got, err := p.First(ctx, q, tea.Ref()); err != nil || got.Seq != 0 {
		t.Errorf("the first of the product: %v, %v", got, err)
	}
	end := second[0].RecordedAt.Add(time.Hour)
	for at, want := range map[time.Time]int64{first[0].RecordedAt: 0, second[0].RecordedAt: 600, end: entries} {
		if got, err := p.SeqAt(ctx, q, at); err != nil || got != want {
			t.Errorf("at %v: %d, %v, want %d", at, got, err, want)
		}
	}
	changed, err := p.Changed(ctx, q, entries-3)
	must(t, err)
	if len(changed) != 2 || !slices.Contains(changed, tea.Ref()) {
		t.Errorf("changed by the last two: %v", changed)
	}
	between, err := p.StepsBetween(ctx, q, entries-2, entries+1)
	must(t, err)
	if len(between) != 4 || between[1].Lost || !between[2].Lost || !between[3].Lost {
		t.Errorf("steps past the end: %+v", between)
	}
}

func snapshots(t *testing.T, e Engine) {
	p := open(t, e)
	tea, draft := p.product("Tea")
	p.record(draft)
	begin := func() *sql.Conn {
		q, err := p.db.Reader.Conn(t.Context())
		must(t, err)
		_, err = q.ExecContext(t.Context(), p.db.BeginSnapshot())
		must(t, err)
		return q
	}
	end := func(q *sql.Conn) {
		_, err := q.ExecContext(t.Context(), `ROLLBACK`)
		must(t, err)
		must(t, q.Close())
	}
	look := func(q db.Querier) int {
		events := seqs(t, p.Events(t.Context(), q, store.Closed, 0, 0))
		row, err := p.Load(t.Context(), q, tea.Ref())
		must(t, err)
		head, err := p.ReadHead(t.Context(), q)
		must(t, err)
		if n := len(events); head.Seq != int64(n-1) || row.Version != int64(n) {
			t.Errorf("of one snapshot: %d entries, a head at %d, a row at version %d", n, head.Seq, row.Version)
		}
		return len(events)
	}
	early := begin()
	if n := look(early); n != 1 {
		t.Errorf("a snapshot has %d entries, want 1", n)
	}
	_, next := retitled(tea, "Earl Grey")
	p.record(next) // a writer does not wait for a reader
	if n := look(early); n != 1 {
		t.Errorf("a snapshot went on to %d entries", n)
	}
	end(early)
	later := begin()
	if n := look(later); n != 2 {
		t.Errorf("a later snapshot has %d entries, want 2", n)
	}
	end(later)
}
