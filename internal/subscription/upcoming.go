package subscription

import (
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// UpcomingOrder is an order to come, as the API shows it. A skipped one has no lines and costs nothing.
type UpcomingOrder struct {
	Cycle    *int         `json:"cycle"` // from 1; null when skipped
	Date     civil.Date   `json:"date"`
	Skipped  bool         `json:"skipped"`
	Items    []Line       `json:"items"`
	Subtotal money.Amount `json:"subtotal"`
	Discount money.Amount `json:"discount"`
	Delivery money.Amount `json:"delivery"`
	Tax      money.Amount `json:"tax"`
	Total    money.Amount `json:"total"`

	Carried *money.Amount `json:"carried"` // of earlier orders that were too small to be charged: it is charged besides; null: nothing
}

// Due is what will be charged for the order.
func (o UpcomingOrder) Due() money.Amount {
	due := o.Total
	if o.Carried != nil {
		due.Minor += o.Carried.Minor
	}
	return due
}

// Upcoming gives the next count orders of the rhythm, skipped ones included, as they would be if nothing changed any
// more: one-time items in the first, counted discounts and the plan's steps as they run, the end after max_cycles. plan
// is the selling plan, nil if there is none. A subscription that is paused until a day shows what comes after it; one
// that is paused without an end, cancelled or expired has nothing to come.
func Upcoming(s *Subscription, plan *catalog.Plan, tax TaxRule, today civil.Date, count int) ([]UpcomingOrder, error) {
	dates := s.schedule()
	switch {
	case s.PausedUntil != nil:
		dates = dates.ResumeFrom(*s.PausedUntil)
	case s.NextBillingDate == nil:
		return nil, nil
	}
	var out []UpcomingOrder
	after := journal.Clone(s)
	for slot := range dates.Upcoming(today, count) {
		if after.allBilled() {
			break
		}
		zero := money.Zero(s.Currency)
		if slot.Skipped {
			out = append(out, UpcomingOrder{Date: slot.Date, Skipped: true, Items: []Line{}, Subtotal: zero, Discount: zero, Delivery: zero, Tax: zero, Total: zero})
			continue
		}
		p, err := PriceOrder(after.NextOrder(plan, tax))
		if err != nil {
			return nil, err
		}
		carried := after.CarriedOver
		after.consume(Order{Once: after.once(), Carried: carried})
		out = append(out, UpcomingOrder{
			Cycle: new(after.Cycle), Date: slot.Date, Items: p.Lines,
			Subtotal: p.Subtotal, Discount: p.Discount, Delivery: p.Delivery, Tax: p.Tax, Total: p.Total, Carried: carried,
		})
	}
	return out, nil
}
