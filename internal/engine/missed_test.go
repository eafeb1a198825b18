package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

func TestAPauseEnds(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start.AddDays(5))
	until := start.AddDays(10)
	w.Do(journal.Bind(subscription.Pause{ID: s.ID, Until: &until}))
	for day := range 10 {
		w.runOn(start.AddDays(day))
	}
	if got := w.subscription(s.ID).Status; got != subscription.Paused {
		t.Fatalf("before the day it is %s", got)
	}
	w.runOn(until)
	if got := w.subscription(s.ID); got.Status != subscription.Active || *got.NextBillingDate != (civil.Date{Year: 2027, Month: 2, Day: 20}) {
		t.Errorf("on the day it is %s, next order %s", got.Status, got.NextBillingDate)
	}
	if got := w.story(s.ID); len(got) != 0 {
		t.Errorf("on the day there are orders: %v", got)
	}
	w.runOn(civil.Date{Year: 2027, Month: 2, Day: 20})
	w.want(s.ID, "2027-02-20 placed")
}

func TestADowntime(t *testing.T) {
	weekly := []string{"2027-01-15", "2027-01-22", "2027-01-29", "2027-02-05", "2027-02-12", "2027-02-19", "2027-02-26", "2027-03-05", "2027-03-12", "2027-03-19", "2027-03-26"}
	monthly := []string{"2027-01-15", "2027-02-15", "2027-03-15"}
	for _, c := range []struct {
		most int
		unit civil.Unit
		due  []string
	}{
		{12, civil.Week, weekly}, {3, civil.Week, weekly}, {1, civil.Week, weekly}, {12, civil.Month, monthly}, {2, civil.Month, monthly}, {1, civil.Month, monthly},
	} {
		t.Run(fmt.Sprintf("%s, at most %d", c.unit, c.most), func(t *testing.T) {
			w := begin(t, &settings.Billing{BillingHour: 6, MaxCatchUpOrders: c.most})
			s := w.subscribe(simulated.OK, c.unit, start)
			w.runOn(start.AddDays(70))
			w.run()
			skipped := max(0, len(c.due)-c.most)
			var want []string
			for _, day := range c.due[skipped:] {
				want = append(want, day+" placed")
			}
			w.want(s.ID, want...)
			if diff := cmp.Diff(c.due[:skipped], w.missed(s.ID)); diff != "" {
				t.Errorf("skipped as missed (-want +got):\n%s", diff)
			}
			if got := w.subscription(s.ID); !got.NextBillingDate.After(start.AddDays(70)) || got.Cycle != len(want) {
				t.Errorf("cycle %d, next order %s", got.Cycle, got.NextBillingDate)
			}
		})
	}
}

func TestADowntimeByTheStoresPolicy(t *testing.T) {
	today := start.AddDays(70)
	for _, tt := range []struct {
		policy string
		status subscription.Status
		orders []string
		next   *civil.Date
	}{
		{settings.MissedSkip, subscription.Active, []string{"2027-03-15 placed"}, &civil.Date{Year: 2027, Month: 4, Day: 15}},
		{settings.MissedRestart, subscription.Active, []string{today.String() + " placed"}, &civil.Date{Year: 2027, Month: 4, Day: 26}},
		{settings.MissedPause, subscription.Paused, []string{}, nil},
	} {
		t.Run(tt.policy, func(t *testing.T) {
			w := begin(t, &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1, MissedOrders: tt.policy})
			s := w.subscribe(simulated.OK, civil.Month, start)
			w.runOn(today)
			w.run()
			w.want(s.ID, tt.orders...)
			got := w.subscription(s.ID)
			if diff := cmp.Diff(tt.next, got.NextBillingDate); diff != "" || got.Status != tt.status {
				t.Errorf("it is %s, next order (-want +got):\n%s", got.Status, diff)
			}
			told := w.entries(w.Store.Shop, "billing.caught_up")
			if len(told) != 1 || string(told[0].Detail("since")) != `"2027-01-15"` || string(told[0].Detail("subscriptions")) != "1" {
				t.Errorf("the downtime was told as %v", told)
			}
		})
	}
	w := begin(t)
	w.subscribe(simulated.OK, civil.Week, start)
	for day := range 30 {
		w.runOn(start.AddDays(day))
	}
	if told := w.entries(w.Store.Shop, "billing.caught_up"); len(told) != 0 {
		t.Errorf("ordinary days were told as %d downtimes", len(told))
	}
}

func TestAHeldOrderIsLookedAtAgain(t *testing.T) {
	w := begin(t, &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1, OutOfStock: settings.StockHold})
	w.Do(journal.Bind(catalog.UpdateVariant{ID: w.variant, Inventory: catalog.Set(int64(0))}))
	s := w.subscribe(simulated.OK, civil.Month, start)
	for minute := range 30 {
		w.at(start, 12, minute)
		w.run()
	}
	w.want(s.ID)
	if n := len(w.entries(s.ID, "subscription.order_held")); n != 1 {
		t.Errorf("it was told %d times, want once", n)
	}
	w.Do(journal.Bind(catalog.UpdateVariant{ID: w.variant, Inventory: catalog.Set(int64(1))}))
	w.at(start, 12, 45)
	w.run()
	w.want(s.ID, "2027-01-15 placed")
}

// Ten years of a subscription on the 31st, in zones whose days are odd: where the clocks change at midnight, by half an
// hour, or by quarters of an hour off. Every order comes in the first minute of its day, and none in the last before it.
func TestTenYearsOnThe31st(t *testing.T) {
	for _, name := range []string{"America/Havana", "Asia/Beirut", "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Chatham", "America/Asuncion"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, &settings.General{Name: "Shop", TimeZone: name, Currency: "USD", Locale: "en"}, &settings.Billing{MaxCatchUpOrders: 1})
			loc, err := civil.Zone(name)
			if err != nil {
				t.Fatal(err)
			}
			w.zone = loc
			s := w.subscribe(simulated.OK, civil.Month, civil.Date{Year: 2027, Month: 1, Day: 31})
			var want []string
			for n := range 120 {
				// The last day of a month, by another way than the program's.
				last := time.Date(2027, time.Month(n+2), 0, 0, 0, 0, 0, time.UTC)
				day := civil.Of(last, time.UTC)
				w.clock.set(day.At(0, 0, loc).Add(-time.Minute))
				w.run()
				if got := len(w.orders(s.ID)); got != n {
					t.Fatalf("before %s there are %d orders, want %d", day, got, n)
				}
				w.clock.set(day.At(0, 0, loc))
				w.run()
				want = append(want, day.String()+" placed")
			}
			w.want(s.ID, want...)
		})
	}
}

// missed gives the dates that were skipped because they were missed.
func (w *world) missed(key id.ID) []string {
	w.t.Helper()
	out := []string{}
	for st, err := range w.Store.Events(w.t.Context(), w.Store.Read, store.Closed, 0, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if st.Type != "subscription.order_skipped" || st.Target().ID != key {
			continue
		}
		if got := string(st.Detail("reason")); got != `"missed"` {
			w.t.Errorf("the reason of a skip is %s", got)
		}
		date := string(st.Detail("date"))
		out = append(out, date[1:len(date)-1])
	}
	return out
}

// What waits for its money is not skipped, however long the engine was away.
func TestADowntimeWhileAnOrderWaits(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.TimeoutBeforeCharge, civil.Week, start)
	w.run()
	w.want(s.ID, "2027-01-15 pending")
	g := &tapped{Gateway: w.ledger, lookup: func() error { return errLost }}
	w.use(g)
	w.at(start.AddDays(30), 12, 0)
	if err := w.engine.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.want(s.ID, "2027-01-15 pending")
	if got := w.missed(s.ID); len(got) != 0 {
		t.Errorf("skipped: %v", got)
	}
	w.use(w.ledger)
	w.runOn(start.AddDays(31))
	if got := w.story(s.ID); got[0] != "2027-01-15 placed" || len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

// So long that not all missed orders can be skipped at once: still few orders, and the rhythm goes on.
func TestAYearAwayFromADailyRhythm(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Day, start)
	w.runOn(start.AddDays(365))
	if got := w.story(s.ID); len(got) > 4 || got[len(got)-1] != start.AddDays(365).String()+" placed" {
		t.Errorf("got %v", got)
	}
}

// Orders that came due while a payment was tried again are nobody's downtime: they pause and restart nothing, and are not told as caught up.
func TestARecoveryIsNoDowntime(t *testing.T) {
	for _, policy := range []string{settings.MissedSkip, settings.MissedRestart, settings.MissedPause} {
		t.Run(policy, func(t *testing.T) {
			w := begin(t, &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1, MissedOrders: policy}, &settings.Recovery{RetryDays: []int{10, 23}, EndAction: settings.EndCancel})
			s := w.subscribe("sim_decline_insufficient_funds", civil.Week, start)
			for day := range 20 {
				w.runOn(start.AddDays(day))
			}
			w.Do(journal.Bind(subscription.ChangePaymentMethod{ID: s.ID, PaymentMethodID: w.method(s.CustomerID, simulated.OK)}))
			for day := 20; day < 25; day++ {
				w.runOn(start.AddDays(day))
			}
			if got := w.subscription(s.ID); got.Status != subscription.Active || *got.NextBillingDate != start.AddDays(28) {
				t.Errorf("it is %s, next on %s", got.Status, got.NextBillingDate)
			}
			var reasons []string
			for _, st := range w.entries(s.ID, "subscription.order_skipped") {
				reasons = append(reasons, string(st.Detail("reason")))
			}
			if diff := cmp.Diff([]string{`"recovery"`}, reasons); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
			if told := w.entries(w.Store.Shop, "billing.caught_up"); len(told) != 0 {
				t.Errorf("%d entries of a downtime", len(told))
			}
		})
	}
}
