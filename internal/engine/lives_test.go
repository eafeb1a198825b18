package engine_test

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/test/shop"
)

// life is a shop in which people split, merge, move, take back and create subscriptions at any time, also while the gateway is being asked.
type life struct {
	*world
	rnd  *mathrand.Rand
	was  map[id.ID]id.ID // items that came with a merge: which they were before
	done map[string]int  // commands that were accepted
	made []id.ID         // their entries
}

func (l *life) pick(all []store.Row, ok func(*subscription.Subscription) bool) *subscription.Subscription {
	var fit []*subscription.Subscription
	for _, r := range all {
		if s := r.State.(*subscription.Subscription); ok(s) {
			fit = append(fit, s)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[l.rnd.IntN(len(fit))]
}

// live does something that a person may do. Whether it is accepted is for the rules to say; that it fails in no other way is looked at.
func (l *life) live() {
	l.t.Helper()
	rows, err := l.Store.List(context.Background(), l.Store.Read, journal.Subscription, `1 = 1 ORDER BY id`)
	if err != nil {
		l.t.Fatal(err)
	}
	open := func(s *subscription.Subscription) bool { return s.Open() }
	s := l.pick(rows, open)
	if l.rnd.IntN(4) == 0 || s == nil {
		s = l.pick(rows, func(s *subscription.Subscription) bool { return s.Status != subscription.Expired })
	}
	day := civil.Today(l.clock.Now(), l.zone).AddDays(l.rnd.IntN(6))
	item := s.Items[l.rnd.IntN(len(s.Items))].ID
	try := func(name string, c journal.Command) *program.Outcome {
		out, err := l.Try(c)
		if err == nil {
			l.done[name]++
			for _, e := range out.Events {
				l.made = append(l.made, e.ID)
			}
			return out
		}
		if f := fault.As(err); f.Kind == fault.Internal {
			l.t.Errorf("%s of %s: %v", name, s.ID, err)
		}
		return nil
	}
	switch l.rnd.IntN(12) {
	case 0, 1:
		try("split", l.split(s, item))
	case 2, 3:
		into := l.pick(rows, func(o *subscription.Subscription) bool {
			return o.CustomerID == s.CustomerID && o.ID != s.ID && o.Status == subscription.Active
		})
		if into == nil {
			return
		}
		c := subscription.Merge{ID: s.ID, Into: into.ID}
		for range s.Items {
			c.ItemIDs = append(c.ItemIDs, l.IDs.New(id.Item))
		}
		if try("merge", journal.Bind(c)) != nil {
			for i, it := range s.Items {
				l.was[c.ItemIDs[i]] = it.ID
			}
		}
	case 4, 5: // anything that was done is taken back
		if n := len(l.made); n > 0 {
			e := l.made[n-1-l.rnd.IntN(min(n, 6))]
			try("undo", journal.Bind(kinds.Undo{Event: e, Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}}))
		}
	case 6:
		try("move", journal.Bind(subscription.Reschedule{ID: s.ID, Date: day, NewRhythm: l.rnd.IntN(2) == 0}))
	case 7:
		if try("skip", journal.Bind(subscription.Skip{ID: s.ID})) == nil {
			try("resume", journal.Bind(subscription.Resume{ID: s.ID}))
			try("reactivate", journal.Bind(subscription.Reactivate{ID: s.ID}))
		}
	case 8:
		add := subscription.NewItem{ID: l.IDs.New(id.Item), VariantID: l.variant, Quantity: 1, OneTime: l.rnd.IntN(2) == 0}
		try("add", journal.Bind(subscription.AddItem{ID: s.ID, Item: add}))
	case 9:
		try("remove", journal.Bind(subscription.RemoveItem{ID: s.ID, ItemID: item}))
	case 10: // as an import would: with the rhythm and the next order of one that there is
		next := day
		if s.NextBillingDate != nil {
			next = *s.NextBillingDate
		}
		if len(rows) < 40 {
			try("create", journal.Bind(subscription.Create{ID: l.IDs.New(id.Subscription), CustomerID: s.CustomerID, PaymentMethodID: s.PaymentMethodID,
				BillingPolicy: &catalog.Policy{Interval: s.BillingPolicy.Interval, IntervalCount: s.BillingPolicy.IntervalCount}, NextBillingDate: &next,
				Items: []subscription.NewItem{{ID: l.IDs.New(id.Item), VariantID: l.variant, Quantity: 1}, {ID: l.IDs.New(id.Item), VariantID: l.variant, Quantity: 2}}}))
		}
	case 11:
		if l.rnd.IntN(2) == 0 {
			try("pause", journal.Bind(subscription.Pause{ID: s.ID}))
		} else {
			try("frequency", journal.Bind(subscription.ChangeFrequency{ID: s.ID, Interval: civil.Day, IntervalCount: 1 + l.rnd.IntN(5)}))
		}
	}
}

// billedOnce holds that an item is in at most one paid order for a position of the rhythm: a day is billed once for it, in whichever
// subscription it is; what comes once came once; a position is billed once; and a subscription that gave its items away is not paid for.
func (l *life) billedOnce() {
	l.t.Helper()
	type key struct {
		what id.ID
		of   string
	}
	billed := map[key]string{}
	for _, o := range l.orders("") {
		if o.Cycle == nil || o.PlacedAt == nil {
			continue
		}
		keys := []key{{o.SubscriptionID, fmt.Sprint("order ", *o.Cycle)}}
		for _, line := range o.Items {
			keys = append(keys, key{line.ItemID, o.BillingDate.String()})
			if line.OneTime {
				first := line.ItemID
				for l.was[first] != "" {
					first = l.was[first]
				}
				keys = append(keys, key{first, "once"})
			}
		}
		for _, k := range keys {
			if before := billed[k]; before != "" {
				l.t.Errorf("%s (%s) is in the paid orders %s and %s", k.what, k.of, before, o.Number)
			}
			billed[k] = o.Number
		}
		if s := l.subscription(o.SubscriptionID); s.MergedInto != "" && o.PlacedAt.After(s.CancelledAt.Time) {
			l.t.Errorf("order %s was paid after its items went to %s", o.Number, s.MergedInto)
		}
	}
}

// TestALifeWithMoves lives months in which people do whatever they may, at any time, with a gateway that answers after an hour, loses
// answers, and has customers confirm; and with a process that dies.
func TestALifeWithMoves(t *testing.T) {
	lives := uint64(4)
	if shop.Engine() == db.Postgres { // where it takes ten times as long
		lives = 2
	}
	for seed := range lives {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := mathrand.New(mathrand.NewPCG(seed, 11))
			w := begin(t, &settings.Recovery{RetryDays: []int{1, 3}, EndAction: []string{settings.EndSkip, settings.EndPause, settings.EndCancel, settings.EndKeep}[seed]},
				&settings.Billing{BillingHour: 6, MaxCatchUpOrders: 2})
			l := &life{world: w, rnd: rnd, was: map[id.ID]id.ID{}, done: map[string]int{}}
			for _, card := range []string{simulated.OK, simulated.OK, "sim_fail_first_1", simulated.TimeoutAfterCharge, simulated.ActionRequired} {
				s := w.subscribe(card, []civil.Unit{civil.Day, civil.Week}[rnd.IntN(2)], start.AddDays(rnd.IntN(3)))
				w.add(s, false)
				w.sibling(s, start.AddDays(rnd.IntN(3)))
			}
			day := start
			for range 30 {
				day = day.AddDays(1 + rnd.IntN(2))
				w.at(day, 7, 0)
				for range rnd.IntN(4) {
					l.live()
				}
				ctx, cancel := context.WithCancel(t.Context())
				steps := 5 + rnd.IntN(40)
				meanwhile := func() error {
					if steps--; steps < 0 {
						cancel()
						return errLost
					}
					if rnd.IntN(4) == 0 { // the gateway takes an hour, and people go on
						w.clock.set(w.clock.Now().Add(time.Hour))
						l.live()
					}
					return nil
				}
				w.use(&tapped{Gateway: w.ledger, lookup: meanwhile, before: meanwhile, after: meanwhile, cancelled: meanwhile})
				_ = w.engine.Run(ctx) // it may have been stopped: what it did is looked at
				cancel()
				if rnd.IntN(6) == 0 {
					w.restart()
				}
				for _, o := range w.orders("") {
					if a, ok := billing.OpenAttempt(o); ok && a.Status == billing.AttemptActionRequired && rnd.IntN(3) == 0 {
						l.live()                                       // between the bank's page and its confirmation
						_ = w.ledger.Confirm(t.Context(), a.GatewayID) // it may be given up by now
					}
				}
				w.balanced()
				l.billedOnce()
			}
			w.restart()
			for hour := range 10 {
				w.at(day.AddDays(2), 12+hour, 0)
				w.run()
			}
			w.balanced()
			l.billedOnce()
			for _, name := range []string{"split", "merge", "undo", "move", "skip", "add", "remove", "create"} {
				if l.done[name] == 0 {
					t.Errorf("nobody ever did: %s (%v)", name, l.done)
				}
			}
			placed := slices.DeleteFunc(w.orders(""), func(o *billing.Order) bool { return o.PlacedAt == nil })
			if len(placed) < 30 {
				t.Errorf("only %d orders were placed", len(placed))
			}
			t.Log(len(placed), "paid orders;", l.done)
		})
	}
}
