package server

import (
	"slices"
	"strings"
	"testing"

	"perennial/internal/audit"
	"perennial/internal/find"
	"perennial/internal/find/findtest"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/payment/simulated"
	"perennial/internal/store"
)

// What a log was without is one entry for each gap, whoever meets it and however often, over restarts; a warning says so until a check
// finds everything in its place.
func TestAGapIsOneEntry(t *testing.T) {
	c, _ := config(t.TempDir())
	c.Listen = "127.0.0.1:0"
	i := open(t, c)
	found(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	run := func(do func(i *Instance) *Instance, then func(s *Server)) {
		t.Helper()
		i := open(t, c)
		if do != nil {
			i = do(i)
		}
		s, err := Start(t.Context(), i, simulated.New(c.Clock, simulated.Options{}), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		then(s)
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	hide := func(seqs ...int64) func(i *Instance) *Instance {
		return func(i *Instance) *Instance {
			i.Finder = findtest.HideFrom(t, i.Finder, i.Store, c.Data, seqs...)
			return i
		}
	}
	read := func(s *Server) {
		t.Helper()
		for range 2 {
			if _, err := s.Finder.Page(t.Context(), store.Opened, find.Filter{}, -1, 100); err != nil {
				t.Fatal(err)
			}
		}
	}
	warned := func(s *Server) bool {
		return slices.ContainsFunc(s.ready(t.Context()).Warnings, func(r reason) bool { return r.Code == "log_gaps" })
	}
	var told []observe.FindGap
	entries := func(s *Server) {
		t.Helper()
		told = nil
		for st, err := range s.Store.Events(t.Context(), s.Store.Read, store.Closed, 0, s.Program.Head()+1) {
			if err != nil {
				t.Fatal(err)
			}
			if g, ok := observe.ReadGap(st.Event); ok {
				told = append(told, g)
			}
		}
	}

	run(hide(1, 2), read)
	run(nil, func(s *Server) {
		entries(s)
		if len(told) != 1 || told[0].By != observe.ByReading || !slices.Equal(told[0].Hidden, []int64{1, 2}) {
			t.Errorf("got the entries %+v, want one of 1 and 2", told)
		}
		if !warned(s) {
			t.Error("/readyz says nothing")
		}
		read(s)
		if err := s.recordGap(t.Context(), observe.FindGap{By: observe.ByCheck, Hidden: []int64{2, 1}}); err != nil { // as another process would
			t.Error(err)
		}
	})
	run(nil, func(s *Server) {
		if entries(s); len(told) != 1 {
			t.Errorf("read again after a restart: got the entries %+v, want the one", told)
		}
		if err := s.ProveOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !warned(s) {
			t.Error("a check that still finds the gap takes the warning back")
		}
		if err := s.Finder.Rebuild(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := s.ProveOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if warned(s) {
			t.Error("a check that holds leaves the warning")
		}
	})
	run(hide(3), func(s *Server) {
		if err := s.ProveOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	run(nil, func(s *Server) {
		entries(s)
		if len(told) != 2 || told[1].By != observe.ByCheck || !slices.Equal(told[1].Hidden, []int64{3}) {
			t.Errorf("got the entries %+v, want one more of 3, by the check", told)
		}
		past, err := audit.LastChecks(t.Context(), s.Store)
		if err != nil || past.Doubt == nil || past.Gaps.Count() != 1 {
			t.Errorf("got %+v, %v", past, err)
		}
	})
}

// A check that did not look at what the server looks at each night takes back nothing that it could not see.
func TestACheckOfLessTakesNothingBack(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	member := journal.Actor{Kind: journal.ActorTeamMember, ID: "mem_x"}
	for n, step := range []struct {
		actor journal.Actor
		v     observe.Verification
		doubt bool
	}{
		{audit.Nightly, observe.Verification{Result: observe.Differs, Differences: 1, Problem: observe.Problem{Seq: 3, ID: "evt_x", Field: "index of the logs"}}, true},
		{member, observe.Verification{Result: observe.Holds}, true},
		{member, observe.Verification{Result: observe.Unfinished, Derived: true}, true},
		{member, observe.Verification{Result: observe.Holds, Derived: true}, false},
		{member, observe.Verification{Result: observe.Differs, Differences: 2}, true},
		{audit.Nightly, observe.Verification{Result: observe.Holds}, false}, // by the build before, which did not say what it looked at
	} {
		checked(t, i, step.actor, step.v)
		past, err := audit.LastChecks(t.Context(), i.Store)
		if err != nil {
			t.Fatal(err)
		}
		if got := past.Doubt != nil; got != step.doubt {
			t.Errorf("step %d: in doubt: %v, want %v", n, got, step.doubt)
		}
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// However often a log is read, each entry that it is without waits once, and no more wait than fit.
func TestGapsWaitOnce(t *testing.T) {
	g := &gaps{wake: make(chan struct{}, 1)}
	for range 1000 {
		g.add(observe.ByReading, []int64{7, 9}, []int64{8})
	}
	if got, _ := g.take(); len(got.Hidden) != 2 || len(got.Unreadable) != 1 {
		t.Errorf("got %+v", got)
	}
	if _, some := g.take(); some {
		t.Error("something waits still")
	}
	g.add(observe.ByReading, []int64{7}, nil) // met again after it was taken
	if got, _ := g.take(); len(got.Hidden) != 1 {
		t.Errorf("got %+v", got)
	}
	many := make([]int64, 3*gapsWait)
	for i := range many {
		many[i] = int64(i)
	}
	g.add(observe.ByReading, many, many)
	if n := len(g.waiting); n != gapsWait {
		t.Errorf("%d wait", n)
	}
}

// Rows that somebody wrote beside the program are told by /readyz and counted in the metrics, by table.
func TestForgedRowsAreTold(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	s := serve(t, i, nil)
	forged := func() bool {
		return slices.ContainsFunc(s.ready(t.Context()).Warnings, func(r reason) bool {
			return r.Code == "forged_rows" && strings.Contains(r.Detail, "rows of outbox, session that")
		})
	}
	counted := func(want ...string) {
		t.Helper()
		_, text, _ := get(t, "http://"+s.Addr+"/metrics")
		for _, w := range want {
			if !strings.Contains(text, "perennial_forged_rows_total"+w) {
				t.Errorf("the metrics are without %s", w)
			}
		}
	}
	if forged() {
		t.Error("nobody forged anything")
	}
	counted(`{table="session"} 0`, `{table="link"} 0`, `{table="idempotency"} 0`, `{table="outbox_followed"} 0`)
	for range 2 {
		i.Store.NoteForged("session", "one")
		i.Store.NoteForged("outbox", "one")
		i.Store.NoteForged("outbox", "two")
	}
	if !forged() {
		t.Errorf("/readyz does not tell of forged rows: %+v", s.ready(t.Context()).Warnings)
	}
	counted(`{table="session"} 1`, `{table="outbox"} 2`, `{table="link"} 0`)
}
