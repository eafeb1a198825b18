package server

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perennial/internal/audit"
	"perennial/internal/find"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/store"
)

func TestNightDue(t *testing.T) {
	at := func(day, hour, minute int) time.Time { return time.Date(2027, 3, day, hour, minute, 0, 0, time.UTC) }
	for _, c := range []struct {
		last, now time.Time
		want      bool
	}{
		{at(1, 12, 0), at(1, 23, 0), false},
		{at(1, 12, 0), at(2, 2, 59), false},
		{at(1, 12, 0), at(2, 3, 0), true},
		{at(2, 3, 0), at(2, 12, 0), false},
		{at(2, 2, 59), at(2, 3, 1), true},
		{at(1, 3, 10), at(9, 1, 0), true}, // it was not there for a week
	} {
		if got := nightDue(c.last, c.now); got != c.want {
			t.Errorf("from %s to %s: got %v, want %v", c.last, c.now, got, c.want)
		}
	}
}

// The check at night makes an entry; what is wrong is a warning of /readyz until a check holds again.
func TestTheCheckAtNight(t *testing.T) {
	c, _ := config(t.TempDir())
	c.Listen = "127.0.0.1:0"
	i := open(t, c)
	found(t, i)
	s, err := Start(t.Context(), i, simulated.New(time.Now, simulated.Options{}), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	results := func() (out []string) {
		for st, err := range i.Finder.Events(t.Context(), store.Opened, find.Filter{Types: []journal.Name{"log.verified"}}, -1) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(st.Detail("result")))
		}
		return out
	}
	if err := s.ProveOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := results(); len(got) != 1 || got[0] != `"holds"` {
		t.Errorf("got %v, want one check that holds", got)
	}
	if r := s.ready(t.Context()); len(r.Warnings) > 0 {
		t.Errorf("got the warnings %v, want none", r.Warnings)
	}
	if i.DB.Engine == "sqlite" {
		d, err := sql.Open("sqlite", filepath.Join(c.Data, "perennial.db"))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{`DROP INDEX order_open`} {
			if _, err := d.Exec(text); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.ProveOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := results(); len(got) != 2 || got[0] != `"differs"` {
			t.Errorf("got %v, want a check that differs", got)
		}
		r := s.ready(t.Context())
		if len(r.Warnings) != 1 || r.Warnings[0].Code != "verify_differs" || !strings.Contains(r.Warnings[0].Detail, "index order_open, field schema") || !r.Ready {
			t.Errorf("got %v, want the warning verify_differs with the index, and ready", r)
		}
	}
	if due, err := s.proofDue(t.Context()); due || err != nil {
		t.Errorf("after a check another is due: %v, %v", due, err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// When the last check was and what it came to is in its entry: a server that starts anew knows both.
func TestTheCheckAtNightOverARestart(t *testing.T) {
	c, _ := config(t.TempDir())
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	c.Clock = func() time.Time { return now }
	due := func(want bool, codes ...string) {
		t.Helper()
		i := open(t, c)
		s, err := Start(t.Context(), i, simulated.New(c.Clock, simulated.Options{}), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.proofDue(t.Context()); got != want || err != nil {
			t.Errorf("at %s: due is %v, want %v; %v", now, got, want, err)
		}
		var got []string
		for _, w := range s.ready(t.Context()).Warnings {
			if strings.HasPrefix(w.Code, "verify_") {
				got = append(got, w.Code)
			}
		}
		if !slices.Equal(got, codes) {
			t.Errorf("at %s: got the warnings %v, want %v", now, got, codes)
		}
		if _, n := s.metricsOfChecks(); (n > 0) != slices.Contains(codes, "verify_differs") {
			t.Errorf("at %s: the metric says %d differences", now, n)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	i := open(t, c)
	found(t, i)
	again := func(actor journal.Actor, v observe.Verification) {
		i := open(t, c)
		checked(t, i, actor, v)
		if err := i.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	due(false) // the shop is of today
	now = now.Add(24 * time.Hour)
	due(true) // and was off at night
	again(audit.Nightly, observe.Verification{Result: observe.Differs, Differences: 2, Problem: observe.Problem{Seq: -1, ID: "x", Field: "schema"}})
	due(false, "verify_differs")
	now = now.Add(18 * time.Hour)
	due(true, "verify_differs")
	again(audit.Nightly, observe.Verification{Result: observe.Unfinished})
	due(false, "verify_differs", "verify_unfinished")
	now = now.Add(2 * time.Hour)
	due(true, "verify_differs", "verify_unfinished")
	again(setup.Actor, observe.Verification{Result: observe.Holds, Derived: true}) // by somebody else: what was wrong is not any more, and the night's is due
	due(true)
	again(audit.Nightly, observe.Verification{Result: observe.Holds})
	due(false)
}

// checked makes the entry of a check.
func checked(t *testing.T, i *Instance, actor journal.Actor, v observe.Verification) {
	t.Helper()
	if _, err := i.Program.Do(t.Context(), &program.Request{Meta: program.Meta{Actor: actor, Source: journal.Origin{Channel: journal.ChannelCLI}}, Command: journal.Bind(v)}); err != nil {
		t.Fatal(err)
	}
}
