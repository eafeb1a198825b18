package query

import (
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// Basis is what the price of an order depends on beside its subscription.
type Basis struct {
	Plan *catalog.Plan
	Tax  subscription.TaxRule
}

// BasisOf reads it for a subscription.
func BasisOf(r journal.Reader, s *subscription.Subscription) (b Basis, err error) {
	if b.Plan, err = journal.Find[catalog.Plan](r, journal.SellingPlan, s.SellingPlanID); err != nil {
		return b, err
	}
	b.Tax, err = Tax(r)
	return b, err
}

// Tax reads the rule by which orders are taxed.
func Tax(r journal.Reader) (subscription.TaxRule, error) {
	bill, err := journal.Find[settings.Billing](r, journal.Settings, settings.PageBilling)
	if err != nil || bill == nil {
		return subscription.FlatTax(0), err
	}
	return subscription.FlatTax(bill.TaxBasisPoints), nil
}

// Upcoming gives the next orders of a subscription, count at most, with what each will cost as things are today.
func Upcoming(r journal.Reader, s *subscription.Subscription, today civil.Date, count int) ([]subscription.UpcomingOrder, error) {
	b, err := BasisOf(r, s)
	if err != nil {
		return nil, err
	}
	return subscription.Upcoming(s, b.Plan, b.Tax, today, count)
}
