package engine_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/privacy"
	"perennial/internal/subscription"
)

// add puts one more item into a subscription.
func (w *world) add(s *subscription.Subscription, oneTime bool) id.ID {
	w.t.Helper()
	item := w.IDs.New(id.Item)
	w.Do(journal.Bind(subscription.AddItem{ID: s.ID, Item: subscription.NewItem{ID: item, VariantID: w.variant, Quantity: 2, OneTime: oneTime}}))
	return item
}

// sibling makes another subscription of the same customer.
func (w *world) sibling(s *subscription.Subscription, first civil.Date) id.ID {
	w.t.Helper()
	key := w.IDs.New(id.Subscription)
	w.Do(journal.Bind(subscription.Create{ID: key, CustomerID: s.CustomerID, PaymentMethodID: s.PaymentMethodID, BillingPolicy: &s.BillingPolicy, NextBillingDate: &first,
		Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: w.variant, Quantity: 1}}}))
	return key
}

func (w *world) split(s *subscription.Subscription, items ...id.ID) journal.Command {
	return journal.Bind(subscription.Split{ID: s.ID, NewID: w.IDs.New(id.Subscription), ItemIDs: items})
}

func (w *world) merge(from, into id.ID) journal.Command {
	c := subscription.Merge{ID: from, Into: into}
	for range subscription.MaxItems {
		c.ItemIDs = append(c.ItemIDs, w.IDs.New(id.Item))
	}
	return journal.Bind(c)
}

// code is the code of a command's refusal, empty when it was accepted.
func (w *world) code(c journal.Command) string {
	w.t.Helper()
	_, err := w.Try(c)
	if err == nil {
		return ""
	}
	return fault.As(err).Code
}

// taken is what the gateway took in all.
func (w *world) taken() (sum int64) {
	for _, o := range w.orders("") {
		sum += billing.Paid(o).Minor
	}
	return sum
}

// The items of an order that can still be paid are not moved: they would be billed once with it, and once where they went.
func TestItemsOfAnUnpaidOrderStay(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.ActionRequired, civil.Month, start)
	item := w.add(s, false)
	other := w.sibling(s, start.AddDays(9))
	w.run()
	w.want(s.ID, "2027-01-15 pending")
	for name, c := range map[string]journal.Command{"split": w.split(s, item), "merge away": w.merge(s.ID, other), "merge here": w.merge(other, s.ID)} {
		if got := w.code(c); got != "charge_open" {
			t.Errorf("%s while the payment waits for the customer: %q", name, got)
		}
	}
	if err := w.ledger.Confirm(t.Context(), w.orders(s.ID)[0].Attempts[0].GatewayID); err != nil {
		t.Fatal(err)
	}
	w.at(start, 14, 0)
	w.run()
	w.want(s.ID, "2027-01-15 placed")
	if got := w.taken(); got != 3*1250 {
		t.Errorf("%d were taken for goods of %d", got, 3*1250)
	}
	for _, c := range []journal.Command{w.split(s, item), w.merge(s.ID, other)} {
		if got := w.code(c); got != "" {
			t.Errorf("after the payment: %q", got)
		}
	}
}

// The same while the gateway is only slow: somebody splits or merges inside the call.
func TestItemsStayWhileTheGatewayIsAsked(t *testing.T) {
	for _, what := range []string{"split", "merge"} {
		t.Run(what, func(t *testing.T) {
			w := begin(t)
			s := w.subscribe(simulated.OK, civil.Month, start)
			item := w.add(s, false)
			other := w.sibling(s, start.AddDays(1))
			got := ""
			w.use(&tapped{Gateway: w.ledger, before: func() error {
				w.clock.set(w.clock.Now().Add(time.Hour))
				if got == "" {
					got = w.code(map[string]journal.Command{"split": w.split(s, item), "merge": w.merge(s.ID, other)}[what])
				}
				return nil
			}})
			w.run()
			w.runOn(start.AddDays(1))
			if got != "charge_open" {
				t.Errorf("a %s within the charge: %q", what, got)
			}
			if got := w.taken(); got != 4*1250 {
				t.Errorf("%d were taken for goods of %d", got, 4*1250)
			}
		})
	}
}

// An order that nobody charges any more can be paid all the same, by a success that comes late: its items stay until it is given up.
func TestItemsOfAStaleOrderStay(t *testing.T) {
	w := begin(t)
	s := w.subscribe("sim_decline_insufficient_funds", civil.Month, start)
	item := w.add(s, false)
	w.run()
	w.Do(journal.Bind(subscription.Pause{ID: s.ID}))
	w.Do(journal.Bind(subscription.Resume{ID: s.ID}))
	if got := w.code(w.split(s, item)); got != "order_open" {
		t.Errorf("beside an order that is not paid: %q", got)
	}
	w.Do(journal.Bind(billing.CancelOrder{OrderID: w.orders(s.ID)[0].ID}))
	if got := w.code(w.split(s, item)); got != "" {
		t.Errorf("after it was cancelled: %q", got)
	}
}

// What was billed for a day is not billed for it again in another subscription.
func TestBilledItemsDoNotGoIntoAnOrderOfTheSameDay(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start)
	w.run()
	other := w.sibling(s, start)
	if got := w.code(w.merge(s.ID, other)); got != "billed_already" {
		t.Errorf("into an order of the same day: %q", got)
	}
	w.run()
	if got := w.code(w.merge(s.ID, other)); got != "" {
		t.Errorf("after that order: %q", got)
	}
}

// An item that comes once is in one order, whatever is taken out and put back meanwhile; one that is added while the order is being paid
// waits for the next.
func TestOnceIsOnce(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.ActionRequired, civil.Month, start)
	once := w.add(s, true)
	w.run()
	removed := w.Do(journal.Bind(subscription.RemoveItem{ID: s.ID, ItemID: once})).Events[0].ID
	undo := kinds.Undo{Event: removed, Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}}
	late := w.add(s, true)
	if err := w.ledger.Confirm(t.Context(), w.orders(s.ID)[0].Attempts[0].GatewayID); err != nil {
		t.Fatal(err)
	}
	w.at(start, 14, 0)
	w.run()
	w.want(s.ID, "2027-01-15 placed")
	if got := w.code(journal.Bind(undo)); got != "undo_billed" {
		t.Errorf("put back after its order was paid: %q", got)
	}
	if items := w.subscription(s.ID).Items; !slices.ContainsFunc(items, func(it subscription.Item) bool { return it.ID == late }) {
		t.Errorf("what was added while the order was being paid is gone: %+v", items)
	}
}

// A payment that waits for its customer is given up at the next look after the entry that makes it unwanted, not when its turn comes
// again, which can be an hour later.
func TestAnUnwantedPaymentIsGivenUpAtOnce(t *testing.T) {
	for name, do := range map[string]func(w *world, s *subscription.Subscription){
		"the order is cancelled": func(w *world, s *subscription.Subscription) {
			w.Do(journal.Bind(billing.CancelOrder{OrderID: w.orders(s.ID)[0].ID}))
		},
		"the subscription is cancelled": func(w *world, s *subscription.Subscription) { w.Do(journal.Bind(subscription.Cancel{ID: s.ID})) },
		"it is paused":                  func(w *world, s *subscription.Subscription) { w.Do(journal.Bind(subscription.Pause{ID: s.ID})) },
		"the order is skipped":          func(w *world, s *subscription.Subscription) { w.Do(journal.Bind(subscription.Skip{ID: s.ID})) },
		"the order is moved": func(w *world, s *subscription.Subscription) {
			w.Do(journal.Bind(subscription.Reschedule{ID: s.ID, Date: start.AddDays(3)}))
		},
		"the customer is erased": func(w *world, s *subscription.Subscription) {
			w.Do(journal.Bind(privacy.Redact{CustomerID: s.CustomerID, ConfirmEmail: string(s.CustomerID) + "@mail.example"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			s := w.subscribe(simulated.ActionRequired, civil.Month, start)
			for minute := range 180 { // the wait between two looks is an hour by now
				w.at(start, 12, minute)
				w.run()
			}
			waiting := w.orders(s.ID)[0].Attempts[0].GatewayID
			do(w, s)
			w.clock.set(w.clock.Now().Add(15 * time.Second))
			w.run()
			if a, open := billing.OpenAttempt(w.orders(s.ID)[0]); open {
				t.Errorf("it is still open: %+v", a)
			}
			if err := w.ledger.Confirm(t.Context(), waiting); !errors.Is(err, payment.ErrNotWaiting) {
				t.Errorf("it can still be confirmed: %v", err)
			}
		})
	}
}
