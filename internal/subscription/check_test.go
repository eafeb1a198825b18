package subscription

import (
	"fmt"
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// TestCheck breaks every invariant of a good state once.
func TestCheck(t *testing.T) {
	s := started(t, "2027-01-31")
	s.do(journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_2", VariantID: "var_2", Quantity: 1}}))
	s.do(apply("TEN"))
	s.do(apply("FIVER"))
	s.do(skip(dateP("2027-02-28")))
	s.do(skip(dateP("2027-04-30")))
	s.do(gift("2027-01-31"))
	good := s.sub("sub_1")
	for i, damage := range []func(*Subscription){
		func(s *Subscription) { s.ID = "" },
		func(s *Subscription) { s.CustomerID = "" },
		func(s *Subscription) { s.Status = "asleep" },
		func(s *Subscription) { s.Currency = "XXX" },
		func(s *Subscription) { s.NextBillingDate = nil },
		func(s *Subscription) { s.Status = Paused },
		func(s *Subscription) { s.PausedUntil = dateP("2027-01-31") },
		func(s *Subscription) { s.Recovery = &Recovery{} },
		func(s *Subscription) { s.Status = Failed },
		func(s *Subscription) { s.CancelledAt = &s.CreatedAt },
		func(s *Subscription) { s.MergedInto = "sub_2" },
		func(s *Subscription) { s.Cycle = -1 },
		func(s *Subscription) { s.ExtraOrders = -1 },
		func(s *Subscription) { s.BillingPolicy.MaxCycles, s.Cycle = new(3), 3 },
		func(s *Subscription) { s.Status, s.NextBillingDate = Expired, nil },
		func(s *Subscription) { s.DeliveryPrice = money.Of(1, "EUR") },
		func(s *Subscription) { s.DeliveryPrice.Minor = -1 },
		func(s *Subscription) { s.BillingPolicy.IntervalCount = 0 },
		func(s *Subscription) { s.DeliveryPolicy = &catalog.Policy{Interval: civil.Week, IntervalCount: 1} },
		func(s *Subscription) { s.AnchorDate = civil.Date{} },
		func(s *Subscription) { s.AnchorDate = date("2027-01-30") },
		func(s *Subscription) { s.Position = 1 },
		func(s *Subscription) { s.Position = civil.Unanchored },
		func(s *Subscription) { s.Position = -2 },
		func(s *Subscription) { s.NextBillingDate = dateP("2027-02-01") },
		func(s *Subscription) { s.NextBillingDate, s.MovedFrom = dateP("2027-02-01"), dateP("2027-01-30") },
		func(s *Subscription) { s.NextBillingDate, s.MovedFrom = dateP("2027-03-01"), dateP("2027-01-31") },
		func(s *Subscription) { s.MovedFrom = dateP("2027-01-31") },
		func(s *Subscription) { s.MovedTo = dateP("2027-01-31") },
		func(s *Subscription) { s.Status, s.NextBillingDate, s.MovedFrom = Paused, nil, dateP("2027-01-31") },
		func(s *Subscription) { s.LastBillingDate = dateP("2027-01-31") },
		func(s *Subscription) { s.SkippedDates = make([]civil.Date, civil.MaxSkipped+1) },
		func(s *Subscription) { s.SkippedDates[1] = s.SkippedDates[0] },
		func(s *Subscription) { s.SkippedDates[0] = date("2027-01-31") },
		func(s *Subscription) { s.SkippedDates[0] = date("2027-02-27") },
		func(s *Subscription) { s.Items = nil },
		func(s *Subscription) { s.Items = make([]Item, MaxItems+1) },
		func(s *Subscription) { s.Items[0].OneTime, s.Items[1].OneTime = true, true },
		func(s *Subscription) { s.Items[1].ID = s.Items[0].ID },
		func(s *Subscription) { s.Items[0].VariantID = "" },
		func(s *Subscription) { s.Items[0].Quantity = MaxQuantity + 1 },
		func(s *Subscription) { s.Items[0].UnitPrice.Currency = "EUR" },
		func(s *Subscription) { s.Items[0].UnitPrice.Minor = -1 },
		func(s *Subscription) {
			s.Items[0].UnitPrice.Minor, s.Items[0].Quantity = catalog.MaxPrice, MaxQuantity
			s.Items[1] = s.Items[0]
		},
		func(s *Subscription) { s.Discounts = make([]AppliedDiscount, MaxDiscounts+1) },
		func(s *Subscription) { s.Discounts[1].Code = s.Discounts[0].Code },
		func(s *Subscription) { s.Discounts[0].CyclesLeft = new(0) },
		func(s *Subscription) { s.Discounts[0].Kind = "price" },
		func(s *Subscription) { s.Gifts.Value = make([]Gift, MaxGifts+1) },
		func(s *Subscription) { s.Gifts.Value[0].Date = civil.Date{} },
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			bad := journal.Clone(good)
			damage(bad)
			if err := Check(bad); err == nil {
				t.Errorf("nothing found in %+v", bad)
			}
		})
	}
	if err := Check(good); err != nil {
		t.Errorf("the good one: %v", err)
	}
}
