package billing_test

import (
	"slices"
	"testing"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// An order that is less than the gateway charges is free, or charged with the next one: then nothing is lost and nothing is counted twice,
// however often it is carried, and whatever becomes of the order that it is charged with.
func TestSmallOrdersAreCarriedOver(t *testing.T) {
	s := newShop(t, func(c *subscription.Create) {
		c.Items, c.DeliveryPrice = []subscription.NewItem{{ID: "item_2", VariantID: "var_2", Quantity: 1}}, new(usd(0))
	})
	s.set(&settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1, SmallOrders: settings.SmallCarry})
	day := first
	order := func(key id.ID) *billing.Order {
		o := s.States[journal.Ref{Kind: journal.Order, ID: key}].(*billing.Order)
		if err := billing.Check(o); err != nil {
			t.Error(err)
		}
		return o
	}
	next := func(key, attempt id.ID) *billing.Order {
		t.Helper()
		s.on(day)
		s.must(journal.Bind(billing.CreateOrder{SubscriptionID: sub, OrderID: key, AttemptID: attempt, Due: day}))
		day = day.AddMonths(1)
		return order(key)
	}
	finish := func(key, attempt id.ID, r billing.Result, code string) *billing.Order {
		t.Helper()
		s.must(journal.Bind(billing.FinishAttempt{OrderID: key, AttemptID: attempt, Result: r, Code: code}))
		return order(key)
	}
	carried := func(want int64) {
		t.Helper()
		got := int64(0)
		if c := s.subscription().CarriedOver; c != nil {
			got = c.Minor
		}
		if got != want {
			t.Errorf("%d are carried over, want %d", got, want)
		}
		if err := subscription.Check(s.subscription()); err != nil {
			t.Error(err)
		}
		up, err := subscription.Upcoming(s.subscription(), nil, nil, s.today(), 4)
		if err != nil {
			t.Fatal(err)
		}
		up = slices.DeleteFunc(up, func(o subscription.UpcomingOrder) bool { return o.Skipped })
		if ahead := up[0].Carried; (ahead == nil) != (want == 0) || ahead != nil && ahead.Minor != want || up[1].Carried != nil {
			t.Errorf("the next orders say %v and %v", ahead, up[1].Carried)
		}
	}
	next("ord_1", "att_1")
	o := finish("ord_1", "att_1", billing.Declined, "amount_too_small")
	if o.Status != billing.Placed || o.CarriedOver == nil || *o.CarriedOver != usd(300) || o.Waived != nil || !billing.Owed(o).IsZero() {
		t.Errorf("the first order: %s, %v, %v", o.Status, o.CarriedOver, o.Waived)
	}
	carried(300)
	if o = next("ord_2", "att_2"); o.Total != usd(300) || o.Due() != usd(600) || o.Attempts[0].Amount != usd(600) {
		t.Errorf("the second order: %s, due %s, asked %s", o.Total, o.Due(), o.Attempts[0].Amount)
	}
	carried(300) // while it is being paid
	finish("ord_2", "att_2", billing.Declined, "amount_too_small")
	carried(600)
	if o = next("ord_3", "att_3"); o.Due() != usd(900) {
		t.Errorf("the third order is due %s", o.Due())
	}
	s.must(journal.Bind(billing.FinishAttempt{OrderID: "ord_3", AttemptID: "att_3", Result: billing.ActionRequired}))
	s.must(journal.Bind(billing.CancelOrder{OrderID: "ord_3"})) // nothing of it was charged
	s.must(journal.Bind(billing.FinishAttempt{OrderID: "ord_3", AttemptID: "att_3", Result: billing.Declined, Code: "cancelled"}))
	carried(600)
	day = *s.subscription().NextBillingDate
	next("ord_4", "att_4")
	o = finish("ord_4", "att_4", billing.Succeeded, "")
	if o.Status != billing.Placed || billing.Paid(o) != usd(900) || !billing.Owed(o).IsZero() {
		t.Errorf("the fourth order: %s, paid %s, owed %s", o.Status, billing.Paid(o), billing.Owed(o))
	}
	carried(0)
	s.must(journal.Bind(billing.Refund{OrderID: "ord_4"}))
	if o = order("ord_4"); o.Status != billing.Refunded || o.Refunded != usd(900) {
		t.Errorf("refunded: %s, %s", o.Status, o.Refunded)
	}
}

// The last order has none after it, so it is free; and a store that did not ask for it carries nothing.
func TestSmallOrdersThatAreFree(t *testing.T) {
	once := catalog.Policy{Interval: civil.Month, IntervalCount: 1, MaxCycles: new(1)}
	for name, tt := range map[string]struct {
		policy *catalog.Policy
		rule   string
	}{"the last one": {&once, settings.SmallCarry}, "by default": {&monthly, ""}, "as chosen": {&monthly, settings.SmallFree}} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t, func(c *subscription.Create) { c.BillingPolicy = tt.policy })
			s.set(&settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1, SmallOrders: tt.rule})
			s.on(first)
			s.must(journal.Bind(billing.CreateOrder{SubscriptionID: sub, OrderID: "ord_1", AttemptID: "att_1", Due: first}))
			s.must(journal.Bind(billing.FinishAttempt{OrderID: "ord_1", AttemptID: "att_1", Result: billing.Declined, Code: "amount_too_small"}))
			o := s.States[journal.Ref{Kind: journal.Order, ID: "ord_1"}].(*billing.Order)
			if o.Waived == nil || *o.Waived != o.Total || o.CarriedOver != nil || s.subscription().CarriedOver != nil {
				t.Errorf("%v waived, %v carried over", o.Waived, o.CarriedOver)
			}
		})
	}
}
