package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"perennial/internal/find"
	"perennial/internal/journal"
	"perennial/internal/server"
	"perennial/internal/store"
)

const (
	pageLength = 50   // entries that a search is asked for
	searches   = 1000 // that each kind is measured with
)

// reads measures what people ask for, in the process: the search and the opened entries that it finds. The times are held
// against those at so many entries before, if there were any.
func (r *run) reads(s *shop) error {
	return r.open(s, false, func(i *server.Instance) error {
		entries := i.Program.Head() + 1
		before := s.searched
		s.searched = entries
		r.Say(fmt.Sprintf("searches in %d entries", entries))
		key, _, _ := cutKey(s.key)
		anybody := func() *person { return s.people[rand.IntN(len(s.people))] }
		for _, q := range []struct {
			key, name string
			filter    func() find.Filter
		}{
			{"subscription", "newest 50 of a subscription", func() find.Filter { return find.Filter{Scope: anybody().subscription} }},
			{"customer", "newest 50 of a customer", func() find.Filter { return find.Filter{Scope: anybody().customer} }},
			{"rare", "newest 50 of a rare type", func() find.Filter { return find.Filter{Types: []journal.Name{journal.ProductUpdated}} }},
			{"actor", "an actor in a date range", func() find.Filter {
				from := s.began.Add(time.Duration(rand.Int64N(int64(s.clock.Now().Sub(s.began)))))
				return find.Filter{ActorIDs: []string{key}, From: from, To: from.AddDate(0, 0, 10)}
			}},
			{"words", "a search for three words", func() find.Filter {
				return find.Filter{Words: fmt.Sprintf("quantity %s %d", s.titles[rand.IntN(len(s.titles))], 1+rand.IntN(4))}
			}},
		} {
			took := make([]time.Duration, searches)
			found := 0
			for n := range took {
				flt := q.filter()
				began := time.Now()
				got := 0
				for _, err := range i.Finder.Events(r.ctx, store.Opened, flt, -1) {
					if err != nil {
						return err
					}
					if got++; got == pageLength {
						break
					}
				}
				took[n] = time.Since(began)
				found += got
			}
			if found == 0 {
				return fmt.Errorf("bench: %s: nothing was found", q.name)
			}
			f := Figure{Key: fmt.Sprintf("search.%s.at.%d", q.key, entries), Name: q.name, Events: entries, Beside: refRead, Goal: "p99 < 5 ms"}
			f.P50, f.P99 = percentiles(took)
			f.Met = new(f.P99 < 5*time.Millisecond)
			if was, ok := r.out.Figure(fmt.Sprintf("search.%s.at.%d", q.key, before)); ok {
				times := float64(f.P99) / float64(was.P99)
				f.Goal, f.Met = fmt.Sprintf("p99 ≤ 1.5 times that before: %.2f", times), new(times <= 1.5)
			}
			r.add(f)
		}
		return nil
	})
}

// verify measures the whole check.
func (r *run) verify(s *shop) error {
	r.Say("verify")
	return r.profiled("verify", func() error {
		began := time.Now()
		report, err := server.Verify(r.ctx, server.Config{Data: s.data}, nil)
		if err != nil {
			return err
		}
		if !report.Holds() {
			return fmt.Errorf("bench: the journal does not hold: %v", report.Problems)
		}
		r.add(atLeast(Figure{Key: "verify", Name: "verify", Events: report.Entries, Rate: float64(report.Entries) / time.Since(began).Seconds(), Beside: refScan}, 80_000, 200_000))
		return nil
	})
}
