package subscription

import (
	"fmt"

	"perennial/internal/catalog"
	"perennial/internal/id"
	"perennial/internal/money"
)

// Line is one line of an order.
type Line struct {
	ItemID    id.ID        `json:"item_id"`
	VariantID id.ID        `json:"variant_id"`
	ProductID id.ID        `json:"product_id"`
	Title     string       `json:"title"`
	Quantity  int          `json:"quantity"`
	UnitPrice money.Amount `json:"unit_price"` // after the plan's pricing
	Total     money.Amount `json:"total"`      // before discounts
	Discount  money.Amount `json:"discount"`   // this line's share of the order's discount
	OneTime   bool         `json:"one_time"`
}

// Price is what an order comes to: Total = Subtotal - Discount + Delivery + Tax.
type Price struct {
	Lines    []Line
	Subtotal money.Amount
	Discount money.Amount // never more than Subtotal
	Delivery money.Amount
	Tax      money.Amount
	Total    money.Amount
}

// Basis is everything that the price of an order depends on.
type Basis struct {
	Currency     string
	Items        []Item
	Pricing      []catalog.Pricing // the plan's, by rising AfterCycle; nil without a plan
	OrdersBefore int               // the cycle before this order
	Discounts    []AppliedDiscount
	Delivery     money.Amount // of one delivery
	Deliveries   int          // that the order pays for; 0 is 1
	Tax          TaxRule      // nil: none
}

// TaxRule says what tax is on an order. It is pure: the same order always has the same tax.
type TaxRule interface {
	Tax(t Taxed) (money.Amount, error)
}

// Taxed is what a tax is computed from.
type Taxed struct {
	Lines    []Line       // with their shares of the discount
	Delivery money.Amount // of all deliveries
	Net      money.Amount // the discounted subtotal and the delivery
}

// FlatTax is one rate for everything, in basis points, 0 to 10,000: the rule that shops begin with.
type FlatTax int

// Tax is that share of the net amount, rounded half up.
func (f FlatTax) Tax(t Taxed) (money.Amount, error) { return t.Net.Percent(int64(f), money.HalfUp) }

// NextOrder is the basis of the next order of the rhythm. plan is the selling plan, nil if there is none.
func (s *Subscription) NextOrder(plan *catalog.Plan, tax TaxRule) Basis {
	b := Basis{
		Currency: s.Currency, Items: s.Items, OrdersBefore: s.Cycle, Discounts: s.Discounts, Delivery: s.DeliveryPrice,
		Deliveries: catalog.DeliveriesPerOrder(s.BillingPolicy, s.DeliveryPolicy), Tax: tax,
	}
	if plan != nil {
		b.Pricing = plan.Pricing
	}
	return b
}

// ExtraOrder is the basis of an order outside the rhythm: one delivery, without the one-time items, which wait for the next order, and
// without the discounts that are counted in orders, because no extra order is counted.
func (s *Subscription) ExtraOrder(plan *catalog.Plan, tax TaxRule) Basis {
	b := s.NextOrder(plan, tax)
	b.Items, b.Discounts, b.Deliveries = nil, nil, 1
	for _, it := range s.Items {
		if !it.OneTime {
			b.Items = append(b.Items, it)
		}
	}
	for _, a := range s.Discounts {
		if a.CyclesLeft == nil {
			b.Discounts = append(b.Discounts, a)
		}
	}
	return b
}

// PriceOrder prices an order. Fractions of a minor unit are rounded half up, once for each unit price, each discount and
// the tax; a line's share of the discount is by largest remainder, so that the shares add up. The errors are those of
// arithmetic: for a state that Check accepts there are none.
//
//   - A unit price is the item's, after the step of the plan that holds after OrdersBefore orders. One-time items are
//     not part of the plan.
//   - A percentage is taken off the whole subtotal, whatever else is taken off; together discounts take off at most the
//     subtotal. Their order means nothing.
//   - Of a prepaid order every delivery brings the items, but the one-time ones, and costs the delivery price.
//   - Delivery is not discounted. The tax is what the rule says.
func PriceOrder(b Basis) (Price, error) {
	p, err := b.price()
	if err != nil {
		return Price{}, fmt.Errorf("subscription: price of an order: %w", err)
	}
	return p, nil
}

func (b Basis) price() (p Price, err error) {
	zero := money.Zero(b.Currency)
	deliveries := int64(max(1, b.Deliveries))
	p = Price{Subtotal: zero, Discount: zero, Tax: zero}
	if p.Delivery, err = b.Delivery.Mul(deliveries); err != nil {
		return p, err
	}
	weights := make([]int64, len(b.Items))
	for i, it := range b.Items {
		l := Line{ItemID: it.ID, VariantID: it.VariantID, ProductID: it.ProductID, Title: it.Title, Quantity: it.Quantity, Discount: zero, OneTime: it.OneTime}
		if l.UnitPrice, err = b.unitPrice(it); err != nil {
			return p, err
		}
		times := deliveries
		if it.OneTime {
			times = 1
		}
		if l.Total, err = l.UnitPrice.Mul(int64(it.Quantity) * times); err != nil {
			return p, err
		}
		if p.Subtotal, err = p.Subtotal.Add(l.Total); err != nil {
			return p, err
		}
		weights[i] = l.Total.Minor
		p.Lines = append(p.Lines, l)
	}
	for _, a := range b.Discounts {
		off := money.Of(a.Value, b.Currency)
		if a.Kind == catalog.KindPercentage {
			if off, err = p.Subtotal.MulRatio(a.Value, 100, money.HalfUp); err != nil {
				return p, err
			}
		}
		if p.Discount, err = p.Discount.Add(off); err != nil {
			return p, err
		}
		p.Discount.Minor = min(p.Discount.Minor, p.Subtotal.Minor)
	}
	if !p.Discount.IsZero() {
		shares, err := money.Allocate(p.Discount, weights)
		if err != nil {
			return p, err
		}
		for i, share := range shares {
			p.Lines[i].Discount = share
		}
	}
	if p.Total, err = p.Subtotal.Sub(p.Discount); err != nil {
		return p, err
	}
	if p.Total, err = p.Total.Add(p.Delivery); err != nil {
		return p, err
	}
	if b.Tax != nil {
		if p.Tax, err = b.Tax.Tax(Taxed{p.Lines, p.Delivery, p.Total}); err != nil {
			return p, err
		}
	}
	p.Total, err = p.Total.Add(p.Tax)
	return p, err
}

// unitPrice applies the last step of the plan that has begun. Steps do not add up.
func (b Basis) unitPrice(it Item) (money.Amount, error) {
	if it.OneTime {
		return it.UnitPrice, nil
	}
	price := it.UnitPrice
	for _, step := range b.Pricing {
		if step.AfterCycle > b.OrdersBefore {
			break
		}
		switch step.Kind {
		case catalog.KindPercentage:
			off, err := it.UnitPrice.PercentOff(step.Value)
			if err != nil {
				return price, err
			}
			price = off
		case catalog.KindAmount:
			price = money.Of(max(0, it.UnitPrice.Minor-step.Value), it.UnitPrice.Currency)
		case catalog.KindPrice:
			price = money.Of(step.Value, it.UnitPrice.Currency)
		}
	}
	return price, nil
}
