package server

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perennial/internal/find"
	"perennial/internal/payment/simulated"
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
		for st, err := range i.Finder.Events(t.Context(), store.Opened, find.Filter{Types: []string{"log.verified"}}, -1) {
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
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
