package server

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/test/shop"
)

var spring = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// codeOf is the code of a refusal, empty for none.
func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.As(err).Code
}

// latest is the time of the last entry.
func latest(t testing.TB, i *Instance) time.Time {
	t.Helper()
	head, err := i.Store.ReadHead(t.Context(), i.Store.Read)
	if err != nil {
		t.Fatal(err)
	}
	return head.RecordedAt
}

// tries makes a product, and gives the refusal.
func tries(t testing.TB, i *Instance) error {
	t.Helper()
	_, err := i.Program.Do(t.Context(), &program.Request{Meta: setup, Command: journal.Bind(catalog.CreateProduct{ID: i.IDs.New(id.Product), Title: "Tea"})})
	return err
}

// A clock that jumps 400 days ahead for a moment charges nothing and dates no entry.
func TestAClockThatJumpsAheadChargesNothing(t *testing.T) {
	c, log := onEngine(t)
	clock := &hand{now: spring}
	var steady atomic.Int64 // does not jump
	c.Clock = clock.Now
	c.Steady = func() time.Duration { return time.Duration(steady.Load()) }
	i := open(t, c)
	defer i.Close(t.Context())
	found(t, i)
	dueToday(t, i)
	gateway := simulated.New(clock.Now, simulated.Options{})
	e := newEngine(i, gateway)
	if err := e.Run(t.Context()); err != nil || charges(gateway) != 1 {
		t.Fatalf("%d charges, %v", charges(gateway), err)
	}
	clock.pass(400 * 24 * time.Hour)
	if err := e.Run(t.Context()); codeOf(err) != "clock_ahead" {
		t.Errorf("a run: %v", err)
	}
	if err := tries(t, i); codeOf(err) != "clock_ahead" || fault.As(err).Kind != fault.Unavailable {
		t.Errorf("a change: %v", err)
	}
	if err := i.Program.Upkeep(t.Context(), func(*store.Batch) error { return nil }); codeOf(err) != "clock_ahead" {
		t.Errorf("upkeep: %v", err)
	}
	if _, err := i.Program.Checkpoint(t.Context()); codeOf(err) != "clock_ahead" {
		t.Errorf("a checkpoint: %v", err)
	}
	clock.pass(-400*24*time.Hour + time.Minute)
	if err := e.Run(t.Context()); err != nil {
		t.Errorf("a run beside the right clock: %v", err)
	}
	if err := tries(t, i); err != nil {
		t.Errorf("a change beside the right clock: %v", err)
	}
	if n, at := charges(gateway), latest(t, i); n != 1 || at.After(spring.Add(time.Hour)) {
		t.Errorf("%d charges, the last entry is of %s\n%s", n, at, log)
	}
}

// At the start a long gap after the last entry is accepted only when somebody vouches for the clock, or by the word of whoever runs the server.
func TestALongGapAtTheStart(t *testing.T) {
	shop.OnlySQLite(t) // a PostgreSQL is asked
	c, _ := config(t.TempDir())
	clock := &hand{now: spring}
	c.Clock, c.MaxGap = clock.Now, maxGap
	i := open(t, c)
	found(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock.pass(365 * 24 * time.Hour)
	i = open(t, c)
	s := serve(t, i, nil)
	code, body, _ := get(t, "http://"+s.Addr+"/readyz")
	if code != 503 || !strings.Contains(body, "clock_ahead: The clock of this server says 29 February 2028, 12:00 (UTC), 365 days after the last entry, and there is nobody to ask.") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if err := tries(t, i); codeOf(err) != "clock_ahead" {
		t.Errorf("a change: %v", err)
	}
	if at := latest(t, i); at.After(spring.Add(time.Hour)) {
		t.Errorf("an entry of %s", at)
	}
	if got := metric(t, s, `perennial_held{reason="clock_ahead"}`); got != "1" {
		t.Errorf("perennial_held: %s", got)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	c.Accept = Accept{Clock: true, Operator: observe.Operator{By: "mara", Because: "nobody was here for a year"}}
	i = open(t, c)
	s = serve(t, i, nil)
	if code, body, _ := get(t, "http://"+s.Addr+"/readyz"); code != 200 {
		t.Errorf("readyz: %d %s", code, body)
	}
	if err := tries(t, i); err != nil {
		t.Errorf("a change: %v", err)
	}
	accepted := 0
	for st, err := range i.Store.Events(t.Context(), i.Store.Read, store.Closed, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if st.Type == observe.ClockAccepted && observe.Because(st.Event) == "nobody was here for a year" {
			accepted++
		}
	}
	if accepted != 1 {
		t.Errorf("%d entries say so", accepted)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The flag that was left behind accepts nothing more.
	clock.pass(365 * 24 * time.Hour)
	i = open(t, c)
	if _, err := Start(t.Context(), i, simulated.New(clock.Now, simulated.Options{}), nil, nil); codeOf(err) != "said_before" {
		t.Errorf("a flag that was left behind: %v", err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Error(err)
	}
	holds(t, c)
}

// Of several processes on one PostgreSQL one has a clock that is a year ahead: it writes nothing, and the others go on.
func TestOneOfSeveralClocksIsWrong(t *testing.T) {
	right, url := share(t, 1)
	c, _ := config(t.TempDir())
	c.Database, c.Keys = url, right[0].Config.Keys
	c.RealClock(365 * 24 * time.Hour)
	wrong := open(t, c)
	defer wrong.Close(t.Context())
	gateway := simulated.New(c.Clock, simulated.Options{})
	if err := newEngine(wrong, gateway).Run(t.Context()); codeOf(err) != "clock_ahead" {
		t.Errorf("a run: %v", err)
	}
	if err := tries(t, wrong); codeOf(err) != "clock_ahead" || !strings.Contains(fault.As(err).Public, "the database says") {
		t.Errorf("a change: %v", err)
	}
	if err := tries(t, right[0]); err != nil {
		t.Errorf("the others: %v", err)
	}
	if at := latest(t, right[0]); at.After(time.Now().Add(time.Hour)) {
		t.Errorf("an entry of %s", at)
	}
}
