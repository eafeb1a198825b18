package billing_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

const (
	createdAndCharged = "order.created variant.inventory_changed billing_attempt.started"
	paidAndRenewed    = "billing_attempt.succeeded order.placed subscription.renewed"
	enteredRecovery   = "billing_attempt.failed recovery.entered recovery.retry_scheduled"
	gaveUp            = "billing_attempt.failed recovery.exhausted subscription.order_skipped order.failed variant.inventory_changed"
)

func TestRenewal(t *testing.T) {
	s := newShop(t)
	s.set(&settings.Billing{BillingHour: 6, TaxBasisPoints: 1000, MaxCatchUpOrders: 1})
	s.on(first.AddDays(-1))
	check(t, "the day before", s.create(1), "refused not_due")
	s.on(first)
	check(t, "create", s.create(1), createdAndCharged)
	check(t, "again", s.create(2), "refused order_open")

	o := s.order(1)
	if o.Number != "K3M8QT-1" || *o.Cycle != 1 || o.BillingDate != first || o.Status != billing.Pending {
		t.Errorf("order: got %s, cycle %d, %s, %s", o.Number, *o.Cycle, o.BillingDate, o.Status)
	}
	// 2 x 10.00 + 3.00 + 4.90 delivery, and 10 % of it.
	if want := usd(3069); o.Total != want {
		t.Errorf("total: got %v, want %v", o.Total, want)
	}
	if o.ShipTo.Value == nil || o.ShipTo.Value.City != "Lyon" {
		t.Errorf("it goes to %v, want the address of the subscription", o.ShipTo.Value)
	}
	if got := s.stock(); got != 8 {
		t.Errorf("stock: got %d, want 8", got)
	}
	if a, ok := billing.OpenAttempt(o); !ok || a.ID != attemptID(1) || a.PaymentMethodID != "pm_1" || a.Amount != o.Total {
		t.Errorf("open attempt: got %+v, %v", a, ok)
	}

	check(t, "paid", s.finish(1, 1, billing.Succeeded), paidAndRenewed)
	check(t, "paid again", s.finish(1, 1, billing.Succeeded), "")
	check(t, "declined late", s.finish(1, 1, billing.Declined), "")
	check(t, "same day again", s.create(2), "refused not_due")
	if got, _ := billing.DueOn(s.subscription()); got != date(2027, 4, 10) {
		t.Errorf("next order: got %s, want 2027-04-10", got)
	}
	if got := billing.Paid(s.order(1)); got != o.Total {
		t.Errorf("paid: got %v, want %v", got, o.Total)
	}
	s.on(date(2027, 4, 10))
	check(t, "second order", s.create(2), createdAndCharged)
	if got := s.order(2).Number; got != "K3M8QT-2" {
		t.Errorf("number: got %s, want K3M8QT-2", got)
	}
	s.check()
}

// TestCauses walks back from the charge and from the renewal, inside their decisions.
func TestCauses(t *testing.T) {
	s := newShop(t)
	s.on(first)
	causes := func(c journal.Command) string {
		t.Helper()
		d, _, err := s.Run(c, s.now)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		for _, dr := range d.Drafts {
			out.WriteString(string(dr.Type))
			if dr.CausedByDraft > 0 {
				out.WriteString(" < " + string(d.Drafts[dr.CausedByDraft-1].Type))
			}
			out.WriteString("\n")
		}
		return out.String()
	}
	check(t, "create", causes(journal.Bind(billing.CreateOrder{SubscriptionID: sub, OrderID: orderID(1), AttemptID: attemptID(1), Due: first})),
		`order.created
variant.inventory_changed < order.created
billing_attempt.started < order.created
`)
	check(t, "declined", causes(journal.Bind(billing.FinishAttempt{OrderID: orderID(1), AttemptID: attemptID(1), Result: billing.Declined})),
		`billing_attempt.failed
recovery.entered < billing_attempt.failed
recovery.retry_scheduled < recovery.entered
`)
	s.on(first.AddDays(3))
	s.retry(1, 2)
	check(t, "given up", causes(journal.Bind(billing.FinishAttempt{OrderID: orderID(1), AttemptID: attemptID(2), Result: billing.Declined})),
		`billing_attempt.failed
recovery.exhausted < billing_attempt.failed
subscription.order_skipped < recovery.exhausted
order.failed < recovery.exhausted
variant.inventory_changed < order.failed
`)
	check(t, "order now", causes(journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: orderID(2), AttemptID: attemptID(3)})),
		`subscription.order_requested_now
order.created < subscription.order_requested_now
variant.inventory_changed < order.created
billing_attempt.started < order.created
`)
	want := []journal.Ref{{Kind: journal.Order, ID: orderID(2)}, {Kind: journal.Customer, ID: "cus_1"}, {Kind: journal.Subscription, ID: sub}, {Kind: journal.PaymentMethod, ID: "pm_1"}}
	if diff := cmp.Diff(want, s.Events[len(s.Events)-1].Targets); diff != "" {
		t.Errorf("targets of a charge (-want +got):\n%s", diff)
	}
	s.check()
}

func TestRecovery(t *testing.T) {
	s := newShop(t)
	s.on(first)
	s.create(1)
	check(t, "declined", s.finish(1, 1, billing.Declined), enteredRecovery)
	if got := s.subscription().Status; got != subscription.Failed {
		t.Errorf("status: got %s, want failed", got)
	}
	if got, _ := billing.DueOn(s.subscription()); got != first.AddDays(1) {
		t.Errorf("retry: got %s, want %s", got, first.AddDays(1))
	}
	check(t, "declined again", s.finish(1, 1, billing.Declined), "")
	check(t, "too early", s.retry(1, 2), "refused not_due")
	check(t, "a new order meanwhile", s.create(2), "refused status_failed")
	s.on(first.AddDays(1))
	check(t, "retry", s.retry(1, 2), "billing_attempt.started")
	check(t, "retry beside it", s.retry(1, 3), "refused charge_open")
	check(t, "the customer has to act", s.finish(1, 2, billing.ActionRequired), "billing_attempt.action_required")
	check(t, "said twice", s.finish(1, 2, billing.ActionRequired), "")
	check(t, "retry while open", s.retry(1, 3), "refused charge_open")
	check(t, "declined", s.finish(1, 2, billing.Declined), "billing_attempt.failed recovery.retry_scheduled")
	s.on(first.AddDays(3))
	check(t, "last retry", s.retry(1, 3), "billing_attempt.started")
	check(t, "paid", s.finish(1, 3, billing.Succeeded), "billing_attempt.succeeded order.placed recovery.recovered subscription.renewed")
	if n := s.subscription(); n.Status != subscription.Active || *n.NextBillingDate != date(2027, 4, 10) || n.Cycle != 1 {
		t.Errorf("subscription: got %s, next %v, cycle %d", n.Status, n.NextBillingDate, n.Cycle)
	}
	var numbers []int
	for _, e := range s.Events {
		if e.Type == "billing_attempt.started" {
			numbers = append(numbers, int(e.Detail("attempt")[0]-'0'))
		}
	}
	if diff := cmp.Diff([]int{1, 2, 3}, numbers); diff != "" {
		t.Errorf("numbers of the attempts (-want +got):\n%s", diff)
	}
	s.check()
}

func TestEndOfRecovery(t *testing.T) {
	tests := []struct {
		action string
		want   string
		status subscription.Status
		next   *civil.Date
	}{
		{settings.EndSkip, gaveUp, subscription.Active, new(date(2027, 4, 10))},
		{settings.EndPause, "billing_attempt.failed recovery.exhausted subscription.paused order.failed variant.inventory_changed", subscription.Paused, nil},
		{settings.EndCancel, "billing_attempt.failed recovery.exhausted subscription.cancelled order.failed variant.inventory_changed", subscription.Cancelled, nil},
	}
	for _, tt := range tests {
		t.Run(tt.action, func(t *testing.T) {
			s := newShop(t)
			s.set(&settings.Recovery{RetryDays: []int{2}, EndAction: tt.action})
			s.on(first)
			s.create(1)
			check(t, "declined", s.finish(1, 1, billing.Declined), enteredRecovery)
			s.on(first.AddDays(2))
			s.retry(1, 2)
			check(t, "last one declined", s.finish(1, 2, billing.Declined), tt.want)
			n := s.subscription()
			if diff := cmp.Diff(tt.next, n.NextBillingDate); diff != "" || n.Status != tt.status || n.Cycle != 0 {
				t.Errorf("subscription: got %s, next %v, cycle %d", n.Status, n.NextBillingDate, n.Cycle)
			}
			if got := s.order(1).Status; got != billing.Failed {
				t.Errorf("order: got %s, want failed", got)
			}
			if got := s.stock(); got != 10 {
				t.Errorf("stock: got %d, want 10", got)
			}
			check(t, "retry", s.retry(1, 3), "refused status_failed")
			check(t, "the money comes after all", s.finish(1, 2, billing.Succeeded), "billing_attempt.succeeded")
			if got := billing.Owed(s.order(1)); got != s.order(1).Total {
				t.Errorf("owed: got %v, want %v", got, s.order(1).Total)
			}
			check(t, "refund", s.do(journal.Bind(billing.Refund{OrderID: orderID(1)})), "order.refunded")
			if got := billing.Owed(s.order(1)); !got.IsZero() || s.order(1).Status != billing.Failed {
				t.Errorf("after the refund: owed %v, %s; want nothing, failed", got, s.order(1).Status)
			}
			s.check()
		})
	}
	t.Run("no retries", func(t *testing.T) {
		s := newShop(t)
		s.set(&settings.Recovery{RetryDays: []int{}, EndAction: settings.EndSkip})
		s.on(first)
		s.create(1)
		check(t, "declined", s.finish(1, 1, billing.Declined),
			"billing_attempt.failed recovery.entered recovery.exhausted subscription.order_skipped order.failed variant.inventory_changed")
		s.check()
	})
}

// The entry of a failure says whether the customer is told: nobody has to guess it later from the settings.
func TestSilentFailure(t *testing.T) {
	silent := func(s *shop) string {
		t.Helper()
		for _, e := range slices.Backward(s.Events) {
			if e.Type == "billing_attempt.failed" {
				return string(e.Detail("silent"))
			}
		}
		t.Fatal("there is no failure")
		return ""
	}
	s := newShop(t)
	s.set(&settings.Recovery{Phases: []settings.RecoveryPhase{{Attempts: 1, IntervalDays: 1, Silent: true}, {Attempts: 1, IntervalDays: 2}}, EndAction: settings.EndSkip})
	s.on(first)
	s.extra(9)
	s.finish(9, 9, billing.Declined)
	check(t, "an extra order, which is no case", silent(s), "")
	s.create(1)
	s.finish(1, 1, billing.Declined)
	check(t, "the first failure", silent(s), "true")
	s.set(&settings.Recovery{EndAction: settings.EndCancel})
	s.on(first.AddDays(1))
	s.retry(1, 2)
	s.finish(1, 2, billing.Declined)
	check(t, "the silent phase", silent(s), "true")
	s.on(first.AddDays(3))
	s.retry(1, 3)
	check(t, "the last one", s.finish(1, 3, billing.Declined), gaveUp)
	check(t, "the other phase", silent(s), "")
	s.check()
}

func TestMethods(t *testing.T) {
	card := func(s *shop, order, attempt int) id.ID {
		for _, a := range s.order(order).Attempts {
			if a.ID == attemptID(attempt) {
				return a.PaymentMethodID
			}
		}
		return ""
	}
	t.Run("the backup at the first retry", func(t *testing.T) {
		s := newShop(t)
		c := journal.Clone(s.States[journal.Ref{Kind: journal.Customer, ID: "cus_1"}].(*customer.Customer))
		c.BackupPaymentMethodID = "pm_2"
		s.set(c)
		s.on(first)
		s.create(1)
		s.finish(1, 1, billing.Declined)
		s.on(first.AddDays(1))
		s.retry(1, 2)
		s.finish(1, 2, billing.Declined)
		s.on(first.AddDays(3))
		s.retry(1, 3)
		got := []id.ID{card(s, 1, 1), card(s, 1, 2), card(s, 1, 3)}
		if diff := cmp.Diff([]id.ID{"pm_1", "pm_2", "pm_1"}, got); diff != "" {
			t.Errorf("charged (-want +got):\n%s", diff)
		}
	})
	t.Run("not again after a hard decline", func(t *testing.T) {
		s := newShop(t)
		s.on(first)
		s.create(1)
		s.do(journal.Bind(billing.FinishAttempt{OrderID: orderID(1), AttemptID: attemptID(1), Result: billing.Declined, Code: "stolen_card", Hard: true}))
		s.on(first.AddDays(1))
		asked := billing.RetryOrder{OrderID: orderID(1), AttemptID: attemptID(2), Today: s.today(), Asked: true}
		check(t, "a person asks", s.do(journal.Bind(asked)), "refused no_payment_method")
		check(t, "the schedule", s.retry(1, 2), "refused not_due")
		fresh := billing.RetryOrder{OrderID: orderID(1), AttemptID: attemptID(2), Today: s.today(), NewCard: true}
		check(t, "no new card", s.do(journal.Bind(fresh)), "refused not_due")
		c := journal.Clone(s.States[journal.Ref{Kind: journal.Customer, ID: "cus_1"}].(*customer.Customer))
		c.DefaultPaymentMethodID = "pm_2"
		s.set(c)
		fresh.AttemptID = attemptID(3)
		check(t, "with a new card", s.do(journal.Bind(fresh)), "billing_attempt.started")
		if got := card(s, 1, 3); got != "pm_2" {
			t.Errorf("charged %s, want pm_2", got)
		}
		check(t, "paid", s.finish(1, 3, billing.Succeeded), "billing_attempt.succeeded order.placed recovery.recovered subscription.renewed")
		s.check()
	})
	t.Run("no new card comes", func(t *testing.T) {
		s := newShop(t)
		s.on(first)
		s.create(1)
		lost := billing.FinishAttempt{OrderID: orderID(1), AttemptID: attemptID(1), Result: billing.Declined, Code: "lost_card", Hard: true}
		check(t, "declined", s.do(journal.Bind(lost)), "billing_attempt.failed payment_method.refused recovery.entered recovery.card_requested")
		s.on(first.AddDays(2))
		check(t, "before the end", s.retry(1, 2), "refused not_due")
		s.on(first.AddDays(3))
		check(t, "the end", s.retry(1, 2), "recovery.exhausted subscription.order_skipped order.failed variant.inventory_changed")
		s.check()
	})
	t.Run("the backup at once", func(t *testing.T) {
		for _, tt := range []struct {
			code string
			hard bool
			want string
		}{
			{"insufficient_funds", false, "billing_attempt.failed billing_attempt.started"},
			{"lost_card", true, "billing_attempt.failed payment_method.refused billing_attempt.started"},
			{"processing_error", false, enteredRecovery},
		} {
			s := newShop(t)
			c := journal.Clone(s.States[journal.Ref{Kind: journal.Customer, ID: "cus_1"}].(*customer.Customer))
			c.BackupPaymentMethodID = "pm_2"
			s.set(c)
			s.on(first)
			s.create(1)
			decline := billing.FinishAttempt{OrderID: orderID(1), AttemptID: attemptID(1), BackupAttemptID: attemptID(2), Result: billing.Declined, Code: tt.code, Hard: tt.hard}
			check(t, tt.code, s.do(journal.Bind(decline)), tt.want)
			if tt.want == enteredRecovery {
				continue
			}
			if got := card(s, 1, 2); got != "pm_2" {
				t.Errorf("charged %s, want pm_2", got)
			}
			decline.AttemptID, decline.BackupAttemptID, decline.Hard = attemptID(2), attemptID(3), false
			after := "recovery.retry_scheduled"
			if tt.hard {
				after = "recovery.card_requested" // the backup had its turn
			}
			check(t, "the backup too", s.do(journal.Bind(decline)), "billing_attempt.failed recovery.entered "+after)
			if got := s.subscription().Recovery.Attempts; got != 2 {
				t.Errorf("%d attempts, want 2", got)
			}
			s.check()
		}
	})
	t.Run("none", func(t *testing.T) {
		s := newShop(t)
		p := journal.Clone(s.States[journal.Ref{Kind: journal.PaymentMethod, ID: "pm_1"}].(*customer.PaymentMethod))
		p.Status = customer.StatusRemoved
		s.set(p)
		s.on(first)
		check(t, "order now", s.extra(1), "refused no_payment_method")
		check(t, "create", s.create(1), "order.created variant.inventory_changed billing_attempt.failed recovery.entered recovery.card_requested")
		if a := s.order(1).Attempts[0]; a.Code != "no_payment_method" || a.PaymentMethodID != "" {
			t.Errorf("attempt: got %+v", a)
		}
		s.check()
	})
}

func TestStock(t *testing.T) {
	s := newShop(t)
	s.must(journal.Bind(catalog.UpdateVariant{ID: "var_1", Inventory: catalog.Set(int64(1))}))
	s.on(first)
	check(t, "order now", s.extra(1), "refused out_of_stock")
	check(t, "due", s.create(1), "subscription.order_skipped")
	if e := s.Events[len(s.Events)-1]; string(e.Detail("reason")) != `"out_of_stock"` || string(e.Detail("date")) != `"2027-03-10"` {
		t.Errorf("details: got %v", e.Details)
	}
	if n := s.subscription(); *n.NextBillingDate != date(2027, 4, 10) || n.Cycle != 0 {
		t.Errorf("subscription: next %v, cycle %d", n.NextBillingDate, n.Cycle)
	}
	s.must(journal.Bind(catalog.UpdateVariant{ID: "var_1", Inventory: catalog.Null[int64]()}))
	s.on(date(2027, 4, 10))
	check(t, "not counted", s.create(2), "order.created billing_attempt.started")
	s.must(journal.Bind(catalog.UpdateVariant{ID: "var_1", Inventory: catalog.Set(int64(5))}))
	s.finish(2, 2, billing.Declined)
	check(t, "nothing to give back", s.do(journal.Bind(billing.CancelOrder{OrderID: orderID(2)})), "order.cancelled recovery.abandoned subscription.order_skipped")
	if got := s.stock(); got != 5 {
		t.Errorf("stock: got %d, want 5", got)
	}
	s.check()
}

func TestPrepaid(t *testing.T) {
	s := newShop(t)
	n := journal.Clone(s.subscription())
	n.BillingPolicy.IntervalCount, n.DeliveryPolicy = 2, &monthly
	s.set(n)
	s.on(first)
	s.create(1)
	o := s.order(1)
	var dates []civil.Date
	for _, d := range o.Deliveries {
		dates = append(dates, d.Date)
	}
	if diff := cmp.Diff([]civil.Date{first, date(2027, 4, 10)}, dates); diff != "" || o.Subtotal != usd(2*2300) || o.Delivery != usd(2*490) || s.stock() != 6 {
		t.Errorf("%v for %v and %v, %d left (-want +got):\n%s", dates, o.Subtotal, o.Delivery, s.stock(), diff)
	}
	s.finish(1, 1, billing.Succeeded)
	send := func(url string) string {
		return s.do(journal.Bind(billing.Fulfil{OrderID: orderID(1), TrackingURL: url}))
	}
	check(t, "the first", send("https://example.com/1"), "order.delivery_fulfilled")
	check(t, "the first, said twice", send("https://example.com/1"), "")
	if s.order(1).FulfilledAt != nil {
		t.Error("it is fulfilled with the first delivery")
	}
	check(t, "the second", send("https://example.com/2"), "order.fulfilled")
	check(t, "a third", send("https://example.com/3"), "refused already_fulfilled")
	if err := billing.Check(s.order(1)); err != nil {
		t.Error(err)
	}
}

func TestOutOfStock(t *testing.T) {
	begin := func(t *testing.T, policy string) *shop {
		s := newShop(t)
		s.set(&settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1, OutOfStock: policy})
		s.must(journal.Bind(catalog.CreateVariant{ID: "var_3", ProductID: "prod_1", Title: "500 g", Price: usd(1900), Inventory: new(int64(3))}))
		s.must(journal.Bind(catalog.UpdateVariant{ID: "var_1", Inventory: catalog.Set(int64(1)), BackupVariantID: new(id.ID("var_3"))}))
		s.on(first)
		return s
	}
	t.Run("swap", func(t *testing.T) {
		s := begin(t, settings.StockSwap)
		check(t, "due", s.create(1), createdAndCharged)
		l := s.order(1).Items[0]
		if l.VariantID != "var_3" || l.InsteadOf != "var_1" || l.Title != "Coffee, 500 g" || l.UnitPrice != usd(1000) {
			t.Errorf("the line is %+v", l)
		}
		v := s.States[journal.Ref{Kind: journal.Variant, ID: "var_3"}].(*catalog.Variant)
		if *v.Inventory != 1 || s.stock() != 1 {
			t.Errorf("%d of the backup are left and %d of the other, want 1 and 1", *v.Inventory, s.stock())
		}
		s.finish(1, 1, billing.Succeeded)
		if it := s.subscription().Items[0]; it.VariantID != "var_1" {
			t.Errorf("the subscription has %s now", it.VariantID)
		}
		s.on(date(2027, 4, 10))
		check(t, "neither has enough", s.create(2), "subscription.order_skipped")
		s.explained(s.order(1))
		s.check()
	})
	t.Run("hold", func(t *testing.T) {
		s := begin(t, settings.StockHold)
		check(t, "due", s.create(1), "subscription.order_held")
		if n := s.subscription(); n.HeldOn == nil || *n.HeldOn != first || *n.NextBillingDate != first {
			t.Errorf("held %v, next %v", n.HeldOn, n.NextBillingDate)
		}
		s.on(first.AddDays(3))
		check(t, "still none", s.create(2), "refused out_of_stock")
		s.check()
		s.must(journal.Bind(catalog.UpdateVariant{ID: "var_1", Inventory: catalog.Set(int64(5))}))
		check(t, "there are some again", s.create(3), createdAndCharged)
		check(t, "paid", s.finish(3, 3, billing.Succeeded), paidAndRenewed)
		if n := s.subscription(); n.HeldOn != nil || *n.NextBillingDate != date(2027, 4, 10) {
			t.Errorf("held %v, next %v", n.HeldOn, n.NextBillingDate)
		}
		s.check()
	})
}

func TestFreeOrder(t *testing.T) {
	s := newShop(t, func(c *subscription.Create) {
		c.DeliveryPrice = new(usd(0))
		c.Items = []subscription.NewItem{{ID: "item_1", VariantID: "var_1", Quantity: 1, UnitPrice: new(usd(0))}}
	})
	s.on(first)
	check(t, "due", s.create(1), "order.created variant.inventory_changed order.placed subscription.renewed")
	check(t, "order now", s.extra(2), "subscription.order_requested_now order.created variant.inventory_changed order.placed")
	check(t, "refund", s.do(journal.Bind(billing.Refund{OrderID: orderID(1)})), "refused nothing_paid")
	s.check()
}

func TestLastCycle(t *testing.T) {
	s := newShop(t, func(c *subscription.Create) {
		p := monthly
		p.MaxCycles = new(1)
		c.BillingPolicy = &p
	})
	s.on(first)
	s.create(1)
	check(t, "paid", s.finish(1, 1, billing.Succeeded), paidAndRenewed+" subscription.expired")
	s.on(date(2027, 4, 10))
	check(t, "no more", s.create(2), "refused status_expired")
	s.check()
}

func TestOrderNow(t *testing.T) {
	s := newShop(t)
	check(t, "order now", s.extra(1), "subscription.order_requested_now "+createdAndCharged)
	check(t, "one more", s.extra(2), "subscription.order_requested_now "+createdAndCharged)
	check(t, "paid", s.finish(1, 1, billing.Succeeded), "billing_attempt.succeeded order.placed")
	check(t, "declined", s.finish(2, 2, billing.Declined), "billing_attempt.failed order.failed variant.inventory_changed")
	n := s.subscription()
	if n.Status != subscription.Active || n.Cycle != 0 || n.ExtraOrders != 2 || *n.NextBillingDate != first {
		t.Errorf("subscription: got %s, cycle %d, %d extra orders, next %v", n.Status, n.Cycle, n.ExtraOrders, n.NextBillingDate)
	}
	s.on(first)
	s.create(3)
	if o := s.order(3); o.Number != "K3M8QT-3" || *o.Cycle != 1 {
		t.Errorf("the first of the rhythm: got %s, cycle %d; want K3M8QT-3, cycle 1", o.Number, *o.Cycle)
	}
	s.check()
}

// TestMeanwhile is about what people do while a charge is on its way.
func TestMeanwhile(t *testing.T) {
	pause := journal.Bind(subscription.Pause{ID: sub})
	cancel := journal.Bind(subscription.Cancel{ID: sub})
	move := journal.Bind(subscription.Reschedule{ID: sub, Date: date(2027, 3, 20)})
	skip := journal.Bind(subscription.Skip{ID: sub})
	tests := []struct {
		name    string
		command journal.Command
		result  billing.Result
		want    string
		next    *civil.Date
	}{
		{"paused, paid", pause, billing.Succeeded, paidAndRenewed, nil},
		{"paused, declined", pause, billing.Declined, "billing_attempt.failed order.failed variant.inventory_changed", nil},
		{"cancelled, paid", cancel, billing.Succeeded, paidAndRenewed, nil},
		{"cancelled, declined", cancel, billing.Declined, "billing_attempt.failed order.failed variant.inventory_changed", nil},
		{"moved, paid", move, billing.Succeeded, paidAndRenewed, new(date(2027, 4, 10))},
		{"moved, declined", move, billing.Declined, "billing_attempt.failed order.failed variant.inventory_changed", new(date(2027, 3, 20))},
		{"skipped, paid", skip, billing.Succeeded, paidAndRenewed, new(date(2027, 4, 10))},
		{"skipped, declined", skip, billing.Declined, "billing_attempt.failed order.failed variant.inventory_changed", new(date(2027, 4, 10))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newShop(t)
			s.on(first)
			s.create(1)
			s.must(tt.command)
			check(t, "result", s.finish(1, 1, tt.result), tt.want)
			if diff := cmp.Diff(tt.next, s.subscription().NextBillingDate); diff != "" {
				t.Errorf("next order (-want +got):\n%s", diff)
			}
			s.check()
		})
	}
}

// TestStale is about an order in recovery that its subscription went on without.
func TestStale(t *testing.T) {
	s := newShop(t)
	s.on(first)
	s.create(1)
	s.finish(1, 1, billing.Declined)
	if billing.Stale(s.order(1), s.subscription()) {
		t.Error("an order in recovery is stale")
	}
	s.must(journal.Bind(subscription.Pause{ID: sub}))
	if !billing.Stale(s.order(1), s.subscription()) {
		t.Error("the order of a paused subscription is not stale")
	}
	s.on(first.AddDays(1))
	check(t, "retry", s.retry(1, 2), "refused not_in_recovery")
	s.must(journal.Bind(subscription.Resume{ID: sub}))
	s.on(date(2027, 4, 10))
	check(t, "next order", s.create(2), "order.cancelled variant.inventory_changed "+createdAndCharged)
	if s.order(1).Status != billing.Cancelled || s.stock() != 8 {
		t.Errorf("order 1 is %s, stock %d; want cancelled, 8", s.order(1).Status, s.stock())
	}
	s.check()
}

func TestCancelOrder(t *testing.T) {
	s := newShop(t)
	s.on(first)
	s.create(1)
	cancel := journal.Bind(billing.CancelOrder{OrderID: orderID(1)})
	check(t, "while the charge is open", s.do(cancel), "refused charge_open")
	s.finish(1, 1, billing.Declined)
	check(t, "in recovery", s.do(cancel), "order.cancelled variant.inventory_changed recovery.abandoned subscription.order_skipped")
	if n := s.subscription(); n.Status != subscription.Active || *n.NextBillingDate != date(2027, 4, 10) {
		t.Errorf("subscription: got %s, next %v", n.Status, n.NextBillingDate)
	}
	check(t, "again", s.do(cancel), "refused status_cancelled")
	s.on(date(2027, 4, 10))
	s.create(2)
	s.finish(2, 2, billing.ActionRequired)
	check(t, "while it waits for the customer", s.do(journal.Bind(billing.CancelOrder{OrderID: orderID(2)})), "order.cancelled variant.inventory_changed subscription.order_skipped")
	if n := s.subscription(); n.Status != subscription.Active || *n.NextBillingDate != date(2027, 5, 10) {
		t.Errorf("subscription: got %s, next %v", n.Status, n.NextBillingDate)
	}
	if a, _ := billing.OpenAttempt(s.order(2)); !a.Unwanted(s.order(2), s.subscription(), s.now) {
		t.Error("its payment goes on waiting for the customer")
	}
	check(t, "the payment is cancelled at the gateway", s.finish(2, 2, billing.Declined), "billing_attempt.failed")
	check(t, "unknown order", s.do(journal.Bind(billing.CancelOrder{OrderID: "ord_9"})), "refused unknown_order")
	check(t, "unknown attempt", s.finish(1, 9, billing.Succeeded), "refused unknown_attempt")
	s.check()
}

func TestAnUnwantedPayment(t *testing.T) {
	for name, tt := range map[string]struct {
		do    func(s *shop)
		later time.Duration
		want  bool
	}{
		"at once":          {nil, 0, false},
		"on the last day":  {nil, billing.ConfirmWithin - time.Second, false},
		"too late":         {nil, billing.ConfirmWithin, true},
		"paused":           {func(s *shop) { s.do(journal.Bind(subscription.Pause{ID: sub})) }, 0, true},
		"cancelled":        {func(s *shop) { s.do(journal.Bind(subscription.Cancel{ID: sub})) }, 0, true},
		"skipped":          {func(s *shop) { s.do(journal.Bind(subscription.Skip{ID: sub})) }, 0, true},
		"confirmed before": {func(s *shop) { s.finish(1, 1, billing.Succeeded) }, billing.ConfirmWithin, false},
		"failed before":    {func(s *shop) { s.finish(1, 1, billing.Declined) }, billing.ConfirmWithin, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.on(first)
			s.create(1)
			s.finish(1, 1, billing.ActionRequired)
			if tt.do != nil {
				tt.do(s)
			}
			o := s.order(1)
			if got := o.Attempts[0].Unwanted(o, s.subscription(), s.now.Add(tt.later)); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestRefundAndFulfil(t *testing.T) {
	s := newShop(t)
	s.on(first)
	s.create(1) // 27.90
	refund := func(a *money.Amount) string {
		return s.do(journal.Bind(billing.Refund{OrderID: orderID(1), Amount: a, Reason: "Broken bag"}))
	}
	fulfil := func(url string) string {
		return s.do(journal.Bind(billing.Fulfil{OrderID: orderID(1), TrackingURL: url}))
	}
	check(t, "refund before it is paid", refund(nil), "refused status_pending")
	check(t, "send before it is paid", fulfil(""), "refused status_pending")
	s.finish(1, 1, billing.Succeeded)
	check(t, "wrong address", fulfil("javascript:alert(1)"), "refused fields_refused /tracking_url")
	check(t, "send", fulfil("https://example.com/1"), "order.fulfilled")
	check(t, "send again", fulfil("https://example.com/1"), "")
	check(t, "send elsewhere", fulfil("https://example.com/2"), "refused already_fulfilled")
	check(t, "nothing", refund(new(usd(0))), "refused fields_refused /amount/amount")
	check(t, "another currency", refund(new(money.Of(1, "EUR"))), "refused fields_refused /amount/currency")
	check(t, "too much", refund(new(usd(2791))), "refused refund_too_large")
	check(t, "a part", refund(new(usd(790))), "order.refunded")
	check(t, "too much of the rest", refund(new(usd(2001))), "refused refund_too_large")
	if got := s.order(1).Status; got != billing.PartiallyRefunded {
		t.Errorf("status: got %s, want partially_refunded", got)
	}
	check(t, "the rest", refund(nil), "order.refunded")
	if o := s.order(1); o.Status != billing.Refunded || o.Refunded != usd(2790) {
		t.Errorf("order: got %s, refunded %v", o.Status, o.Refunded)
	}
	check(t, "more", refund(nil), "refused already_refunded")
	s.check()
}

// TestLateSuccess is about an attempt that had failed and took the money after all, beside one that succeeded.
func TestLateSuccess(t *testing.T) {
	s := newShop(t)
	s.on(first)
	s.create(1)
	s.finish(1, 1, billing.Declined)
	s.on(first.AddDays(1))
	s.retry(1, 2)
	check(t, "the first one after all", s.finish(1, 1, billing.Succeeded), "billing_attempt.succeeded order.placed recovery.recovered subscription.renewed")
	check(t, "and the second", s.finish(1, 2, billing.Succeeded), "billing_attempt.succeeded")
	o := s.order(1)
	if got := billing.Owed(o); got != o.Total {
		t.Errorf("owed: got %v, want %v", got, o.Total)
	}
	check(t, "what is owed", s.do(journal.Bind(billing.Refund{OrderID: orderID(1), Amount: new(billing.Owed(o))})), "order.refunded")
	if o := s.order(1); o.Status != billing.Placed || !billing.Owed(o).IsZero() {
		t.Errorf("after the refund: %s, owed %v; want placed, nothing", o.Status, billing.Owed(o))
	}
	s.check()
}

func TestGift(t *testing.T) {
	s := newShop(t)
	s.must(journal.Bind(subscription.GiftOrder{ID: sub, Date: first, Message: "Enjoy", Address: subscription.GiftAddress{
		LastName: "Ito", Line1: "2 High St", City: "Leeds", Country: "GB"}}))
	s.extra(1)
	s.on(first)
	s.create(2)
	if got := s.order(1).ShipTo.Value.City; got != "Lyon" {
		t.Errorf("the extra order goes to %s, want Lyon", got)
	}
	if o := s.order(2); o.ShipTo.Value.City != "Leeds" || o.GiftMessage.Value != "Enjoy" {
		t.Errorf("the gift goes to %s with %q, want Leeds with Enjoy", o.ShipTo.Value.City, o.GiftMessage.Value)
	}
	s.check()
}

// redact is the orders' part of an erasure, as program puts it together.
type redact struct{ orders []id.ID }

func (c redact) Load(r journal.Reader) (w redactWorld, err error) {
	for _, key := range c.orders {
		o, err := journal.Get[billing.Order](r, journal.Order, key)
		if err != nil {
			return w, err
		}
		w.orders = append(w.orders, o)
	}
	w.stock, err = billing.LoadStock(r, w.orders...)
	return w, err
}

func (redact) Decide(w redactWorld, now time.Time) (d journal.Decision, err error) {
	d.Drafts, d.Reservations, err = billing.Redact(w.orders, w.stock, now)
	return d, err
}

type redactWorld struct {
	orders []*billing.Order
	stock  billing.Stock
}

func TestRedact(t *testing.T) {
	s := newShop(t)
	s.extra(1)
	s.on(first)
	s.create(2)
	c := journal.Bind(redact{[]id.ID{orderID(1), orderID(2)}})
	check(t, "redact", s.do(c), "order.cancelled variant.inventory_changed order.redacted order.cancelled variant.inventory_changed order.redacted")
	check(t, "again", s.do(c), "")
	if o := s.order(2); !o.ShipTo.Erased || o.Status != billing.Cancelled || s.stock() != 10 {
		t.Errorf("order: erased %v, %s; stock %d", o.ShipTo.Erased, o.Status, s.stock())
	}
	check(t, "the charge comes through", s.finish(2, 2, billing.Succeeded), "billing_attempt.succeeded")
	if got := billing.Owed(s.order(2)); got != s.order(2).Total {
		t.Errorf("owed: got %v, want %v", got, s.order(2).Total)
	}
	s.check()
}

func TestGatewayWords(t *testing.T) {
	s := newShop(t)
	s.on(first)
	s.create(1)
	s.do(journal.Bind(billing.FinishAttempt{OrderID: orderID(1), AttemptID: attemptID(1), Result: billing.Declined, Message: "a\x00b\n\u202ec"}))
	a := s.order(1).Attempts[0]
	if want := `a\u{0}b \u{202e}c`; a.Message != want || a.Code != "declined" {
		t.Errorf("got code %q and message %q, want declined and %q", a.Code, a.Message, want)
	}
	s.check()
	s = newShop(t)
	s.on(first)
	s.create(1)
	s.do(journal.Bind(billing.FinishAttempt{OrderID: orderID(1), AttemptID: attemptID(1), Result: billing.Succeeded, GatewayID: "pi_2"}))
	s.do(journal.Bind(billing.Refund{OrderID: orderID(1)}))
	s.do(journal.Bind(billing.FinishRepayment{OrderID: orderID(1), Number: "001", Code: "no\x00\n" + strings.Repeat("x", 200), GatewayID: "re\u202e"}))
	if r := s.order(1).Repayments[0]; r.Code != `no\u{0} `+strings.Repeat("x", 100-len(`no\u{0} `)) || r.GatewayID != `re\u{202e}` {
		t.Errorf("a refund's code %q and id %q", r.Code, r.GatewayID)
	}
	s.check()
}

func TestBecomes(t *testing.T) {
	all := []billing.Status{billing.Pending, billing.Placed, billing.Failed, billing.Cancelled, billing.Refunded, billing.PartiallyRefunded}
	var got []string
	for _, from := range all {
		for _, to := range all {
			if from.Becomes(to) {
				got = append(got, string(from+" "+to))
			}
		}
	}
	want := []string{"pending placed", "pending failed", "pending cancelled", "placed refunded", "placed partially_refunded", "refunded placed", "refunded partially_refunded", "partially_refunded placed", "partially_refunded refunded"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCheck breaks a sound order in every way that Check knows.
func TestCheck(t *testing.T) {
	s := newShop(t)
	s.on(first)
	s.create(1)
	s.finish(1, 1, billing.Declined)
	s.on(first.AddDays(1))
	s.retry(1, 2)
	s.finish(1, 2, billing.Succeeded)
	if err := billing.Check(s.order(1)); err != nil {
		t.Fatalf("a sound order: %v", err)
	}
	open := func(a *billing.Attempt) { a.Status, a.FinishedAt = billing.AttemptStarted, nil }
	for name, breaks := range map[string]func(*billing.Order){
		"another currency":      func(o *billing.Order) { o.Tax.Currency = "EUR" },
		"negative":              func(o *billing.Order) { o.Discount.Minor, o.Total.Minor = -1, o.Total.Minor+1 },
		"wrong total":           func(o *billing.Order) { o.Total.Minor++ },
		"wrong line":            func(o *billing.Order) { o.Items[0].Quantity++ },
		"wrong subtotal":        func(o *billing.Order) { o.Subtotal.Minor--; o.Delivery.Minor++ },
		"attempts out of order": func(o *billing.Order) { o.Attempts[0], o.Attempts[1] = o.Attempts[1], o.Attempts[0] },
		"wrong amount":          func(o *billing.Order) { o.Attempts[1].Amount.Minor-- },
		"finished and open":     func(o *billing.Order) { o.Attempts[1].FinishedAt = nil },
		"two open":              func(o *billing.Order) { open(&o.Attempts[0]); open(&o.Attempts[1]) },
		"no status":             func(o *billing.Order) { o.Status = "lost" },
		"placed without a time": func(o *billing.Order) { o.PlacedAt = nil },
		"placed unpaid":         func(o *billing.Order) { o.Attempts[1].Status = billing.AttemptFailed },
		"paid and pending":      func(o *billing.Order) { o.Status, o.PlacedAt = billing.Pending, nil },
		"too much refunded":     func(o *billing.Order) { o.Refunded.Minor = o.Total.Minor + 1 },
		"refunded for nothing":  func(o *billing.Order) { o.Status = billing.Refunded },
		"cancelled too":         func(o *billing.Order) { o.CancelledAt = o.PlacedAt },
		"sent unpaid": func(o *billing.Order) {
			o.Status, o.PlacedAt, o.FulfilledAt = billing.Failed, nil, o.PlacedAt
		},
	} {
		o := journal.Clone(s.order(1))
		breaks(o)
		if billing.Check(o) == nil {
			t.Errorf("%s: Check sees nothing wrong", name)
		}
	}
}
