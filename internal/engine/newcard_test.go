package engine_test

import (
	"testing"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// However another card comes, a failed payment that waits for one is tried with it at once.
func TestHoweverACardComes(t *testing.T) {
	ok := simulated.OK
	for name, come := range map[string]func(w *world, s *subscription.Subscription, spare id.ID){
		"it is added, and is the default": func(w *world, s *subscription.Subscription, _ id.ID) {
			w.Do(journal.Bind(customer.SetDefaultPaymentMethod{CustomerID: s.CustomerID, PaymentMethodID: w.method(s.CustomerID, ok)}))
		},
		"another one is the default": func(w *world, s *subscription.Subscription, spare id.ID) {
			w.Do(journal.Bind(customer.SetDefaultPaymentMethod{CustomerID: s.CustomerID, PaymentMethodID: spare}))
		},
		"another one is the subscription's": func(w *world, s *subscription.Subscription, spare id.ID) {
			w.Do(journal.Bind(subscription.ChangePaymentMethod{ID: s.ID, PaymentMethodID: spare}))
		},
		"another one is the backup": func(w *world, s *subscription.Subscription, spare id.ID) {
			w.Do(journal.Bind(customer.SetBackupPaymentMethod{CustomerID: s.CustomerID, PaymentMethodID: spare}))
		},
		"another one is the subscription's backup": func(w *world, s *subscription.Subscription, spare id.ID) {
			w.Do(journal.Bind(subscription.ChangeBackupPaymentMethod{ID: s.ID, PaymentMethodID: spare}))
		},
		"the bank renews it": func(w *world, s *subscription.Subscription, _ id.ID) {
			w.Do(journal.Bind(customer.UpdatePaymentMethod{ID: s.PaymentMethodID, CustomerID: s.CustomerID, Fields: customer.PaymentMethodFields{GatewayReference: &ok, ExpYear: new(2033)}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, &settings.Recovery{RetryDays: []int{3, 10}, EndAction: settings.EndCancel})
			s := w.subscribe(simulated.DeclineHard, civil.Month, start)
			spare := w.method(s.CustomerID, ok)
			w.run()
			if got := w.subscription(s.ID); got.Recovery == nil || !got.Recovery.NeedsCard {
				t.Fatalf("it is %s: %+v", got.Status, got.Recovery)
			}
			w.at(start, 15, 0)
			come(w, s, spare)
			if err := w.engine.Wake(t.Context()); err != nil {
				t.Fatal(err)
			}
			if o := w.orders(s.ID)[0]; o.Status != billing.Placed || w.subscription(s.ID).Status != subscription.Active {
				t.Errorf("the order is %s, the subscription %s", o.Status, w.subscription(s.ID).Status)
			}
		})
	}
}
