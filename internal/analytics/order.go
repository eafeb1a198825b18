package analytics

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"perennial/internal/billing"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// sale is what the reports have to know of an order: what its first event says, which never changes, and what was paid.
type sale struct {
	Subscription id.ID
	Cycle        *int
	Lines        []billing.Line
	Delivery     money.Amount
	Tax          money.Amount
	Total        money.Amount

	placed   bool
	paid     int64
	refunded int64
}

// saleOf makes a sale of an order's events, oldest first.
func saleOf(history []*journal.Event) (*sale, error) {
	s := &sale{}
	for _, e := range history {
		if err := s.take(e); err != nil {
			return nil, fmt.Errorf("analytics: event %d: %w", e.Seq, err)
		}
	}
	return s, nil
}

func (s *sale) take(e *journal.Event) error {
	switch e.Type {
	case journal.OrderCreated:
		for field, to := range map[string]any{"subscription_id": &s.Subscription, "cycle": &s.Cycle, "items": &s.Lines, "delivery": &s.Delivery, "tax": &s.Tax, "total": &s.Total} {
			if c, ok := e.Change(field); ok {
				if err := json.Unmarshal(c.After, to); err != nil {
					return fmt.Errorf("%s: %w", field, err)
				}
			}
		}
	case journal.OrderPlaced:
		s.placed = true
	case journal.BillingAttemptSucceeded, journal.BillingAttemptAmountAccepted, journal.OrderRefunded:
		a, err := amountOf(e)
		if err != nil {
			return err
		}
		if e.Type == journal.OrderRefunded {
			s.refunded += a
		} else {
			s.paid += a
		}
	}
	return nil
}

// amountOf gives the detail "amount" of an event, in minor units.
func amountOf(e *journal.Event) (int64, error) {
	var a money.Amount
	if err := json.Unmarshal(e.Detail("amount"), &a); err != nil {
		return 0, fmt.Errorf("amount: %w", err)
	}
	return a.Minor, nil
}

// kept is what the shop has of the order's total: money that was taken twice, or for an order that was given up, is not revenue.
func (s *sale) kept() int64 {
	if !s.placed {
		return 0
	}
	return min(s.paid-s.refunded, s.Total.Minor)
}

// nets gives what each product's lines come to after discounts, and how many pieces they are.
func (s *sale) nets() (minor, pieces map[id.ID]int64) {
	minor, pieces = map[id.ID]int64{}, map[id.ID]int64{}
	for _, l := range s.Lines {
		minor[l.ProductID] += l.Total.Minor - l.Discount.Minor
		pieces[l.ProductID] += int64(l.Quantity)
	}
	return minor, pieces
}

// placedFacts gives what a paid order adds.
func (s *sale) placedFacts() (facts []Fact) {
	add := func(f Figure, product id.ID, count, amount int64) {
		facts = append(facts, Fact{Figure: f, Product: product, Currency: s.Total.Currency, Subscription: s.Subscription, Count: count, Amount: amount})
	}
	f := SalesRecurring
	switch {
	case s.Cycle == nil:
		f = SalesExtra
	case *s.Cycle == 1:
		f = SalesNew
	}
	add(f, "", 1, s.Total.Minor)
	add(SalesTax, "", 0, s.Tax.Minor)
	add(SalesDelivery, "", 0, s.Delivery.Minor)
	minor, pieces := s.nets()
	for product := range minor {
		add(f, product, 1, minor[product])
		add(productSales(product), "", 1, minor[product])
		add(productUnits(product), "", pieces[product], 0)
	}
	return facts
}

// refundFacts gives what a refund takes off: before is the order without it. A product's part is as large as its part of the total.
func (s *sale) refundFacts(before *sale) (facts []Fact, err error) {
	back := before.kept() - s.kept()
	if back <= 0 {
		return nil, nil
	}
	add := func(product id.ID, amount int64) {
		facts = append(facts, Fact{Figure: SalesRefunded, Product: product, Currency: s.Total.Currency, Subscription: s.Subscription, Count: 1, Amount: amount})
	}
	add("", back)
	minor, _ := s.nets()
	for product, net := range minor {
		part, err := money.Of(back, s.Total.Currency).MulRatio(net, s.Total.Minor, money.HalfUp)
		if err != nil {
			return nil, fmt.Errorf("analytics: a product's part of a refund: %w", err)
		}
		add(product, part.Minor)
	}
	return facts, nil
}
