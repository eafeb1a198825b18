package engine_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

// TestCardsThatExpire tells of each expiry once.
func TestCardsThatExpire(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start)
	w.Do(journal.Bind(customer.UpdatePaymentMethod{ID: s.PaymentMethodID, CustomerID: s.CustomerID, Fields: customer.PaymentMethodFields{ExpMonth: new(3), ExpYear: new(2027)}}))
	for _, day := range []civil.Date{{Year: 2027, Month: 1, Day: 20}, {Year: 2027, Month: 2, Day: 1}, {Year: 2027, Month: 2, Day: 2}, {Year: 2027, Month: 3, Day: 1}} {
		w.at(day, 9, 0)
		for range 2 {
			if err := w.engine.NoteExpiries(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	e := w.entries(s.PaymentMethodID, "payment_method.expiring")
	if len(e) != 1 || civil.Of(e[0].RecordedAt, w.zone) != (civil.Date{Year: 2027, Month: 2, Day: 1}) {
		t.Errorf("%d entries: %+v", len(e), e)
	}
}

func TestRecovery(t *testing.T) {
	for _, c := range []struct {
		reference, end string
		status         subscription.Status
		orders         []string
		attempts       int
		next           *civil.Date
	}{
		{"sim_fail_first_1", settings.EndPause, subscription.Active, []string{"2027-01-15 placed"}, 2, &civil.Date{Year: 2027, Month: 2, Day: 15}},
		{"sim_fail_first_2", settings.EndPause, subscription.Active, []string{"2027-01-15 placed"}, 3, &civil.Date{Year: 2027, Month: 2, Day: 15}},
		{"sim_decline_insufficient_funds", settings.EndPause, subscription.Paused, []string{"2027-01-15 failed"}, 3, nil},
		{"sim_decline_insufficient_funds", settings.EndCancel, subscription.Cancelled, []string{"2027-01-15 failed"}, 3, nil},
		{"sim_decline_insufficient_funds", settings.EndSkip, subscription.Active, []string{"2027-01-15 failed"}, 3, &civil.Date{Year: 2027, Month: 2, Day: 15}},
		{"sim_fail_first_5", settings.EndKeep, subscription.Active, []string{"2027-01-15 placed"}, 6, &civil.Date{Year: 2027, Month: 2, Day: 15}},
		{simulated.DeclineHard, settings.EndCancel, subscription.Cancelled, []string{"2027-01-15 failed"}, 1, nil},
		{"what is this", settings.EndSkip, subscription.Active, []string{"2027-01-15 failed"}, 1, &civil.Date{Year: 2027, Month: 2, Day: 15}},
	} {
		t.Run(c.reference+" "+c.end, func(t *testing.T) {
			w := begin(t, &settings.Recovery{RetryDays: []int{2, 5}, EndAction: c.end})
			s := w.subscribe(c.reference, civil.Month, start)
			for day := range 20 {
				w.runOn(start.AddDays(day))
			}
			w.want(s.ID, c.orders...)
			o, after := w.orders(s.ID)[0], w.subscription(s.ID)
			if len(o.Attempts) != c.attempts {
				t.Errorf("%d attempts, want %d", len(o.Attempts), c.attempts)
			}
			if after.Status != c.status || after.Recovery != nil {
				t.Errorf("the subscription is %s, in recovery %v; want %s", after.Status, after.Recovery, c.status)
			}
			if diff := cmp.Diff(c.next, after.NextBillingDate); diff != "" {
				t.Errorf("the next order (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheBackupIsTried(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.DeclineHard, civil.Month, start)
	w.Do(journal.Bind(subscription.ChangeBackupPaymentMethod{ID: s.ID, PaymentMethodID: w.method(s.CustomerID, simulated.OK)}))
	w.run()
	w.want(s.ID, "2027-01-15 placed")
	if o := w.orders(s.ID)[0]; len(o.Attempts) != 2 {
		t.Errorf("%d attempts, want 2", len(o.Attempts))
	}
}

// A new card is charged at the next look, and nothing else is tried before its day. The retry says which entry it comes of.
func TestANewCardIsTriedAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		old    string
		put    func(w *world, s *subscription.Subscription, card id.ID)
		before func(w *world)
		cause  string
	}{
		{"changed, after a hard decline", simulated.DeclineHard, change, nil, "subscription.payment_method_changed"},
		{"changed, after another decline", "sim_decline_insufficient_funds", change, nil, "subscription.payment_method_changed"},
		{"a new default", simulated.DeclineHard, makeDefault, nil, "payment_method.default_changed"},
		{"while nobody looked", simulated.DeclineHard, change, func(w *world) { w.restart() }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := begin(t)
			s := w.subscribe(tt.old, civil.Month, start)
			w.run()
			w.at(start, 13, 0)
			card := w.method(s.CustomerID, simulated.OK)
			w.run() // a card that nobody chose
			w.want(s.ID, "2027-01-15 pending")
			tt.put(w, s, card)
			if tt.before != nil {
				tt.before(w)
			}
			w.run()
			w.want(s.ID, "2027-01-15 placed")
			started := w.entries(w.orders(s.ID)[0].ID, "billing_attempt.started")
			got := ""
			if cause := started[1].CausationID; cause != "" {
				got = string(w.entry(cause).Type)
			}
			if got != tt.cause {
				t.Errorf("the retry comes of %q, want %q", got, tt.cause)
			}
		})
	}
}

func change(w *world, s *subscription.Subscription, card id.ID) {
	w.Do(journal.Bind(subscription.ChangePaymentMethod{ID: s.ID, PaymentMethodID: card}))
}

func makeDefault(w *world, s *subscription.Subscription, card id.ID) {
	w.Do(journal.Bind(customer.SetDefaultPaymentMethod{CustomerID: s.CustomerID, PaymentMethodID: card}))
}

func (w *world) entry(key id.ID) *journal.Event {
	w.t.Helper()
	st, err := w.Store.EventByID(w.t.Context(), w.Store.Read, store.Closed, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return st.Event
}

// entries gives the entries of a type about a thing.
func (w *world) entries(about id.ID, typ journal.Name) (out []*journal.Event) {
	w.t.Helper()
	for st, err := range w.Store.Events(w.t.Context(), w.Store.Read, store.Closed, 0, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if st.Type == typ && st.Target().ID == about {
			out = append(out, st.Event)
		}
	}
	return out
}

// From the end of a subscription the causes lead back to the order whose first payment failed.
func TestTheEndLeadsBackToTheFirstFailure(t *testing.T) {
	w := begin(t, &settings.Recovery{RetryDays: []int{2, 5}, EndAction: settings.EndCancel})
	s := w.subscribe("sim_decline_insufficient_funds", civil.Month, start)
	for day := range 20 {
		w.runOn(start.AddDays(day))
	}
	var got []string
	for e := w.entries(s.ID, "subscription.cancelled")[0]; ; e = w.entry(e.CausationID) {
		got = append(got, string(e.Type))
		if e.CausationID == "" {
			break
		}
	}
	retry := []string{"billing_attempt.failed", "billing_attempt.started", "recovery.retry_scheduled"}
	want := slices.Concat([]string{"subscription.cancelled", "recovery.exhausted"}, retry, retry, []string{"recovery.entered", "billing_attempt.failed", "billing_attempt.started", "order.created"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("from the end to the beginning (-want +got):\n%s", diff)
	}
}

func TestTheHourOfRetries(t *testing.T) {
	w := begin(t, &settings.Recovery{RetryDays: []int{1, 2}, EndAction: settings.EndPause, RetryHour: new(3)}, &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1})
	early := w.subscribe("sim_fail_first_1", civil.Month, start)
	w.run()
	w.Do(journal.Bind(settings.Update{Document: &settings.Recovery{RetryDays: []int{1}, EndAction: settings.EndPause, RetryHour: new(18)}}))
	late := w.subscribe("sim_fail_first_1", civil.Month, start)
	w.run()
	for _, tt := range []struct {
		hour        int
		early, late string
	}{{2, "pending", "pending"}, {3, "placed", "pending"}, {17, "placed", "pending"}, {18, "placed", "placed"}} {
		w.at(start.AddDays(1), tt.hour, 0)
		w.run()
		w.want(early.ID, "2027-01-15 "+tt.early)
		w.want(late.ID, "2027-01-15 "+tt.late)
	}
}
