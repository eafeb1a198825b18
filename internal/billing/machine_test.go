package billing_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// TestMachine runs random histories of orders, of people who change the subscription meanwhile, and of a gateway that
// answers late, twice or against itself. After each step: all states are sound, no cycle is billed twice, an order has
// what was paid for it, refunds are never more, stock is conserved, and replay equals state (shop.check).
func TestMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newShop(t, func(c *subscription.Create) {
			p := monthly
			p.MaxCycles = rapid.Ptr(rapid.IntRange(1, 4), true).Draw(t, "max cycles")
			c.BillingPolicy = &p
			if rapid.Bool().Draw(t, "free") {
				c.DeliveryPrice = new(usd(0))
				for i := range c.Items {
					c.Items[i].UnitPrice = new(usd(0))
				}
			}
		})
		s.set(&settings.Recovery{
			RetryDays: rapid.SampledFrom([][]int{{}, {2}, {1, 3, 5}}).Draw(t, "retry days"),
			EndAction: rapid.SampledFrom([]string{settings.EndSkip, settings.EndPause, settings.EndCancel, settings.EndKeep}).Draw(t, "end"),
		})
		if rapid.Bool().Draw(t, "a backup") {
			c := journal.Clone(s.States[journal.Ref{Kind: journal.Customer, ID: "cus_1"}].(*customer.Customer))
			c.BackupPaymentMethodID = "pm_2"
			s.set(c)
		}
		s.set(&settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1, OutOfStock: rapid.SampledFrom([]string{"", settings.StockSwap, settings.StockHold}).Draw(t, "out of stock"),
			SmallOrders: rapid.SampledFrom([]string{"", settings.SmallCarry}).Draw(t, "small orders")})
		s.must(journal.Bind(catalog.UpdateVariant{ID: "var_1", BackupVariantID: new(id.ID("var_2"))}))
		pieces := s.stock() // on the shelf and in orders that were not given up
		orders := 0
		run := func(c journal.Command) {
			if got := s.do(c); strings.HasPrefix(got, "broken") {
				t.Fatalf("%+v: %s", c, got)
			}
		}
		order := func() *billing.Order {
			if orders == 0 {
				t.Skip("no order yet")
			}
			o, ok := s.States[journal.Ref{Kind: journal.Order, ID: orderID(rapid.IntRange(1, orders).Draw(t, "order"))}].(*billing.Order)
			if !ok {
				t.Skip("it was refused")
			}
			return o
		}
		s.on(first)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				s.check()
				inOrders, carried := int64(0), int64(0)
				for _, st := range s.States {
					o, ok := st.(*billing.Order)
					if !ok {
						continue
					}
					for _, l := range o.Items {
						if l.FromStock && o.Status != billing.Failed && o.Status != billing.Cancelled {
							inOrders += int64(l.Quantity)
						}
					}
					s.explained(o)
					kept, least := billing.Refundable(o).Minor-billing.Owed(o).Minor, o.Due().Minor
					if o.Waived != nil {
						least -= o.Waived.Minor
					}
					if o.CarriedOver != nil {
						least, carried = 0, carried+o.CarriedOver.Minor
					}
					if o.Carried != nil && o.PlacedAt != nil {
						carried -= o.Carried.Minor
					}
					switch {
					case o.PlacedAt == nil && kept != 0:
						t.Errorf("%s is %s, and %d are kept for it", o.ID, o.Status, kept)
					case o.Status == billing.Placed && (kept < least || kept > o.Due().Minor):
						t.Errorf("%s is placed for %v, and %d are kept for it", o.ID, o.Due(), kept)
					}
				}
				if c := s.subscription().CarriedOver; c == nil && carried != 0 || c != nil && c.Minor != carried {
					t.Errorf("%v are carried over, the orders say %d", c, carried)
				}
				if got := s.stock() + inOrders; got != pieces {
					t.Errorf("there are %d pieces, want %d", got, pieces)
				}
			},
			"a day passes": func(t *rapid.T) {
				s.on(s.today().AddDays(rapid.SampledFrom([]int{1, 2, 5, 31}).Draw(t, "days")))
			},
			"create": func(*rapid.T) {
				orders++
				run(journal.Bind(billing.CreateOrder{SubscriptionID: sub, OrderID: orderID(orders), AttemptID: attemptID(orders), Due: s.today()}))
			},
			"order now": func(*rapid.T) {
				if orders < 12 {
					orders++
					run(journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: orderID(orders), AttemptID: attemptID(orders)}))
				}
			},
			"finish": func(t *rapid.T) {
				o := order()
				if len(o.Attempts) == 0 {
					t.Skip("it was free")
				}
				a := rapid.SampledFrom(o.Attempts).Draw(t, "attempt")
				if a.PaymentMethodID == "" {
					t.Skip("it was never charged")
				}
				run(journal.Bind(billing.FinishAttempt{
					OrderID: o.ID, AttemptID: a.ID, BackupAttemptID: attemptID(500 + len(s.Events)), Hard: rapid.IntRange(0, 3).Draw(t, "hard") == 0,
					Code:   rapid.SampledFrom([]string{"", "amount_too_small"}).Draw(t, "code"),
					Result: rapid.SampledFrom([]billing.Result{billing.Succeeded, billing.Declined, billing.Declined, billing.ActionRequired}).Draw(t, "result"),
				}))
			},
			"a month with an order": func(t *rapid.T) {
				if d := s.subscription().NextBillingDate; d != nil && d.After(s.today()) {
					s.on(*d)
				}
				orders++
				run(journal.Bind(billing.CreateOrder{SubscriptionID: sub, OrderID: orderID(orders), AttemptID: attemptID(orders), Due: s.today()}))
				result := billing.FinishAttempt{OrderID: orderID(orders), AttemptID: attemptID(orders), Result: billing.Succeeded}
				if rapid.Bool().Draw(t, "too small") {
					result.Result, result.Code = billing.Declined, "amount_too_small"
				}
				run(journal.Bind(result))
			},
			"another amount": func(t *rapid.T) {
				o := order()
				a, open := billing.OpenAttempt(o)
				if !open {
					t.Skip("nothing is open")
				}
				took := usd(rapid.Int64Range(1, 2*a.Amount.Minor).Draw(t, "took"))
				if rapid.IntRange(0, 3).Draw(t, "euros") == 0 {
					took.Currency = "EUR"
				}
				run(journal.Bind(billing.NoteOtherCharge{OrderID: o.ID, AttemptID: a.ID, GatewayID: "ch_odd_" + string(a.ID), Amount: took}))
			},
			"end another amount": func(t *rapid.T) {
				run(journal.Bind(billing.EndOtherCharge{OrderID: order().ID, Accept: rapid.Bool().Draw(t, "accept")}))
			},
			"retry": func(t *rapid.T) {
				run(journal.Bind(billing.RetryOrder{
					OrderID: order().ID, AttemptID: attemptID(500 + len(s.Events)), Today: s.today(), Asked: rapid.Bool().Draw(t, "asked"), NewCard: rapid.Bool().Draw(t, "new card"),
				}))
			},
			"cancel order": func(*rapid.T) { run(journal.Bind(billing.CancelOrder{OrderID: order().ID})) },
			"refund": func(t *rapid.T) {
				c := billing.Refund{OrderID: order().ID}
				if rapid.Bool().Draw(t, "a part") {
					c.Amount = new(usd(rapid.Int64Range(0, 3000).Draw(t, "amount")))
				}
				run(journal.Bind(c))
			},
			"fulfil":     func(*rapid.T) { run(journal.Bind(billing.Fulfil{OrderID: order().ID})) },
			"pause":      func(*rapid.T) { run(journal.Bind(subscription.Pause{ID: sub})) },
			"resume":     func(*rapid.T) { run(journal.Bind(subscription.Resume{ID: sub})) },
			"cancel":     func(*rapid.T) { run(journal.Bind(subscription.Cancel{ID: sub})) },
			"reactivate": func(*rapid.T) { run(journal.Bind(subscription.Reactivate{ID: sub})) },
			"skip":       func(*rapid.T) { run(journal.Bind(subscription.Skip{ID: sub})) },
			"move": func(t *rapid.T) {
				run(journal.Bind(subscription.Reschedule{
					ID: sub, Date: s.today().AddDays(rapid.IntRange(0, 20).Draw(t, "days")), NewRhythm: rapid.Bool().Draw(t, "new rhythm"),
				}))
			},
			"frequency": func(t *rapid.T) {
				run(journal.Bind(subscription.ChangeFrequency{ID: sub, Interval: "week", IntervalCount: rapid.IntRange(1, 6).Draw(t, "weeks")}))
			},
			"count stock": func(t *rapid.T) {
				n := rapid.Int64Range(0, 9).Draw(t, "pieces")
				pieces += n - s.stock()
				s.must(journal.Bind(catalog.UpdateVariant{ID: "var_1", Inventory: catalog.Set(n)}))
			},
			"card": func(t *rapid.T) {
				p := journal.Clone(s.States[journal.Ref{Kind: journal.PaymentMethod, ID: "pm_1"}].(*customer.PaymentMethod))
				p.Status = rapid.SampledFrom([]string{customer.StatusActive, customer.StatusRemoved, customer.StatusExpired}).Draw(t, "status")
				s.set(p)
			},
		})
	})
}
