package engine_test

import (
	"context"
	"testing"
	"time"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/subscription"
)

// mistaken is a gateway that takes another amount than it is asked for, once, and whose answer is lost.
type mistaken struct {
	payment.Gateway
	amount money.Amount
	done   bool
}

func (m *mistaken) Charge(ctx context.Context, r payment.ChargeRequest) (payment.ChargeResult, error) {
	if m.done {
		return m.Gateway.Charge(ctx, r)
	}
	m.done = true
	r.Amount = m.amount
	if _, err := m.Gateway.Charge(ctx, r); err != nil {
		return payment.ChargeResult{}, err
	}
	return payment.ChargeResult{}, simulated.ErrTimeout
}

// When the gateway took another amount, the order waits for a person, who says what becomes of it: it is the payment, or it goes back. Either
// way the subscription goes on.
func TestAnotherAmount(t *testing.T) {
	for name, tt := range map[string]struct {
		took   money.Amount
		accept bool
		status billing.Status
		waived int64
	}{
		"less, accepted":      {money.Of(1000, "USD"), true, billing.Placed, 250},
		"less, sent back":     {money.Of(1000, "USD"), false, billing.Cancelled, 0},
		"more, sent back":     {money.Of(2000, "USD"), false, billing.Cancelled, 0},
		"another currency":    {money.Of(1250, "EUR"), false, billing.Cancelled, 0},
		"euros for a payment": {money.Of(1250, "EUR"), true, billing.Cancelled, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			s := w.subscribe(simulated.OK, civil.Month, start)
			w.use(&mistaken{Gateway: w.ledger, amount: tt.took})
			w.run()
			for range 3 {
				w.clock.set(w.clock.Now().Add(3 * time.Hour))
				w.run()
			}
			o := w.orders(s.ID)[0]
			a, differs := billing.Differing(o)
			if !differs || a.Other.Amount != tt.took || len(w.entries(o.ID, "billing_attempt.amount_differs")) != 1 {
				t.Fatalf("the order is %s, its attempts %+v", o.Status, o.Attempts)
			}
			if _, err := w.Try(journal.Bind(billing.CancelOrder{OrderID: o.ID})); err == nil {
				t.Error("it is cancelled while the money is with the gateway")
			}
			end := billing.EndOtherCharge{OrderID: o.ID, Accept: tt.accept}
			if tt.accept && tt.took.Currency != "USD" {
				if _, err := w.Try(journal.Bind(end)); err == nil {
					t.Error("euros pay for dollars")
				}
				end.Accept = false
			}
			w.Do(journal.Bind(end))
			if _, err := w.Try(journal.Bind(end)); err == nil {
				t.Error("it is ended twice")
			}
			w.run()
			o = w.orders(s.ID)[0]
			waived := int64(0)
			if o.Waived != nil {
				waived = o.Waived.Minor
			}
			if o.Status != tt.status || waived != tt.waived {
				t.Errorf("the order is %s, and %d are waived", o.Status, waived)
			}
			returned := int64(0)
			for _, e := range w.ledger.Ledger() {
				if e.Kind == simulated.Refund && e.Status == payment.Succeeded && e.Amount.Currency == tt.took.Currency {
					returned += e.Amount.Minor
				}
			}
			if want := tt.took.Minor; tt.status == billing.Cancelled && returned != want || tt.status == billing.Placed && returned != 0 {
				t.Errorf("%d went back", returned)
			}
			if err := billing.Check(o); err != nil {
				t.Error(err)
			}
			w.runOn(start.AddMonths(1))
			if got := w.orders(s.ID); len(got) != 2 || got[1].Status != billing.Placed || w.subscription(s.ID).Status != subscription.Active {
				t.Errorf("the subscription does not go on: %v", w.story(s.ID))
			}
			w.at(start.AddMonths(1).AddDays(1), 12, 0)
			if err := w.engine.Reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
			if o := w.orders(s.ID)[0]; len(o.Differences) != 0 {
				t.Errorf("the books differ: %+v", o.Differences)
			}
		})
	}
}
