package audit_test

import (
	"fmt"
	"testing"

	"perennial/internal/audit"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/program"
	"perennial/internal/test/shop"
)

// However many checks that came to no end lie between, the newest checks and the gaps since are known; and what was remembered comes to the same as
// what is read anew.
func TestTheLastChecksAreFoundBehindManyEntries(t *testing.T) {
	s := shop.Open(t)
	checks := &audit.Checks{Store: s.Store}
	record := func(actor journal.Actor, c journal.Command) {
		t.Helper()
		meta := shop.System
		meta.Actor = actor
		_, err := s.Program.Do(t.Context(), &program.Request{Meta: meta, Command: c})
		check(t, err)
	}
	somebody := journal.Actor{Kind: journal.ActorAPIKey, ID: string(s.IDs.New(id.APIKey))}
	gap := func(seqs ...int64) {
		record(shop.System.Actor, journal.Bind(observe.FindGap{By: observe.ByReading, Hidden: seqs}))
	}
	checked := func(by journal.Actor, v observe.Verification) { record(by, journal.Bind(v)) }
	want := func(when, last, nightly, doubt, gaps string) {
		t.Helper()
		result := func(p *audit.Past) string {
			if p == nil {
				return "none"
			}
			return string(p.Result)
		}
		anew, err := audit.LastChecks(t.Context(), s.Store)
		check(t, err)
		known, err := checks.Last(t.Context())
		check(t, err)
		for name, p := range map[string]audit.PastChecks{"anew": anew, "remembered": known} {
			got := []string{result(p.Last), result(p.Nightly), result(p.Doubt), fmt.Sprint(p.Gaps.Hidden)}
			if w := []string{last, nightly, doubt, gaps}; fmt.Sprint(got) != fmt.Sprint(w) {
				t.Errorf("%s, %s: got %v, want %v", when, name, got, w)
			}
		}
	}
	want("before any", "none", "none", "none", "[]")
	gap(1)
	checked(audit.Nightly, observe.Verification{Result: observe.Holds, Derived: true})
	want("after a night", "holds", "holds", "none", "[]")
	gap(2)
	checked(somebody, observe.Verification{Result: observe.Differs, Differences: 1})
	for n := range 250 {
		checked(somebody, observe.Verification{Result: observe.Unfinished})
		if n == 100 {
			want("in the middle", "unfinished", "holds", "differs", "[2]")
		}
	}
	want("behind many", "unfinished", "holds", "differs", "[2]")
	gap(3, 4)
	checked(somebody, observe.Verification{Result: observe.Holds}) // it did not look at what is derived
	checked(audit.Nightly, observe.Verification{Result: observe.Unfinished})
	want("after half a check", "unfinished", "holds", "differs", "[3 4 2]")
	checked(audit.Nightly, observe.Verification{Result: observe.Holds, Derived: true})
	want("after the next night", "holds", "holds", "none", "[]")
	gap(5)
	want("a gap later", "holds", "holds", "none", "[5]")
}
