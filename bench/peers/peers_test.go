package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"perennial/internal/audit"
	"perennial/internal/test/pgtest"
)

// TestRun measures a little of everything: each peer answers what it says that it answers, and finds what it was given.
func TestRun(t *testing.T) {
	r, err := run(t.Context(), options{Sizes: []int64{4000, 6000}, Rounds: 2, Span: 20 * time.Millisecond, Say: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range contenders(nil) {
		for _, n := range loads {
			if x, ok := r.find(c.key, "write", 4000, n); !ok || x.Rate <= 0 || x.P50 <= 0 {
				t.Errorf("%s, %d callers: %+v", c.key, n, x)
			}
		}
		for _, q := range c.reads {
			for _, n := range []int64{4000, 6000} {
				if x, ok := r.find(c.key, string(q), n, 1); !ok || x.P50 <= 0 {
					t.Errorf("%s, %s at %d: %+v", c.key, q, n, x)
				}
			}
		}
	}
	if len(r.Goals) != 6 {
		t.Errorf("goals: %+v", r.Goals)
	}
	var out bytes.Buffer
	printTable(&out, r)
	for _, c := range contenders(nil) {
		if !strings.Contains(out.String(), "\n"+c.name+" ") {
			t.Errorf("the table has no row for %s:\n%s", c.name, &out)
		}
	}
}

// TestShop checks the whole journal after what is measured.
func TestShop(t *testing.T) {
	pg, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := pg.Stop(); err != nil {
			t.Error(err)
		}
	}()
	url, err := pg.Create("")
	if err != nil {
		t.Fatal(err)
	}
	for _, database := range []string{"", url} {
		p, err := openShop(t.Context(), t.TempDir(), database)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Fill(t.Context(), 3000); err != nil {
			t.Fatal(err)
		}
		x := result{Callers: 64}
		if err := (running{peer: p}).write(t.Context(), 100*time.Millisecond, &x); err != nil {
			t.Fatal(err)
		}
		r, err := audit.Verify(t.Context(), p.(*shop).store, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range r.Problems {
			t.Errorf("verify: %s", problem)
		}
		if r.Entries < 3001 {
			t.Errorf("%d entries", r.Entries)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestEntry(t *testing.T) {
	for n := range int64(3) {
		e := entry(n, 7)
		if len(e) != 350 {
			t.Errorf("entry %d has %d bytes: %s", n, len(e), e)
		}
		if got := (question{kind: ofRare}).matches(e); got != (n == 1) {
			t.Errorf("entry %d is rare: %v", n, got)
		}
		if !(question{kind: ofSubject, subject: 7}).matches(e) || (question{kind: ofSubject, subject: 8}).matches(e) {
			t.Errorf("entry %d is about %s", n, e)
		}
		if !(question{kind: ofActor, actor: int(n), before: at(n + 1)}).matches(e) || (question{kind: ofActor, actor: int(n), before: at(n)}).matches(e) {
			t.Errorf("entry %d is by %s", n, e)
		}
	}
}
