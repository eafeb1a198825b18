package billing_test

import (
	"testing"

	"perennial/internal/billing"
	"perennial/internal/customer"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// An order that waits for its money goes where its subscription goes when it is paid: nothing was sent before. What it costs stays what it was
// when it was made.
func TestAnOrderThatWaitsFollowsItsAddress(t *testing.T) {
	gift := journal.Bind(subscription.GiftOrder{ID: sub, Date: first, Address: subscription.GiftAddress{LastName: "Lovelace", Line1: "2 Side St", City: "Paris", Country: "FR"}, Message: "For you"})
	for name, tt := range map[string]struct {
		meanwhile func(s *shop)
		city      string
	}{
		"another line":               {func(s *shop) { s.moveTo("Nice") }, "Nice"},
		"a gift":                     {func(s *shop) { s.must(gift) }, "Paris"},
		"a higher price of delivery": {func(s *shop) { s.must(journal.Bind(subscription.ChangeDeliveryPrice{ID: sub, Price: usd(900)})) }, "Lyon"},
		"a country that is not sent to": {func(s *shop) {
			s.set(&settings.Shipping{DefaultDeliveryPrice: usd(490), Countries: []string{"DE"}})
			s.moveTo("Nice")
		}, "Lyon"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.on(first)
			s.must(journal.Bind(billing.CreateOrder{SubscriptionID: sub, OrderID: "ord_1", AttemptID: "att_1", Due: first}))
			s.must(journal.Bind(billing.FinishAttempt{OrderID: "ord_1", AttemptID: "att_1", Result: billing.ActionRequired}))
			order := func() *billing.Order {
				return s.States[journal.Ref{Kind: journal.Order, ID: "ord_1"}].(*billing.Order)
			}
			total := order().Total
			tt.meanwhile(s)
			if got := order().ShipTo.Value.City; got != "Lyon" {
				t.Errorf("while it waits it goes to %s", got)
			}
			s.must(journal.Bind(billing.FinishAttempt{OrderID: "ord_1", AttemptID: "att_1", Result: billing.Succeeded}))
			o := order()
			if o.Status != billing.Placed || o.ShipTo.Value.City != tt.city || o.Total != total || (o.GiftMessage.Value != "") != (tt.city == "Paris") {
				t.Errorf("it is %s, goes to %s, and costs %s", o.Status, o.ShipTo.Value.City, o.Total)
			}
			s.moveTo("Lille")
			if got := order().ShipTo.Value.City; got != tt.city {
				t.Errorf("after it was paid it goes to %s", got)
			}
		})
	}
}

// moveTo changes the customer's address.
func (s *shop) moveTo(city string) {
	a := *s.States[journal.Ref{Kind: journal.Address, ID: "addr_1"}].(*customer.Address)
	a.City = journal.Secluded(city)
	s.set(&a)
}
