package subscription

import (
	"cmp"
	"fmt"
	"slices"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/money"
)

// Check names the first invariant of a subscription that is broken: what no sequence of commands may bring about, and
// what verify looks for in every row.
func Check(s *Subscription) error {
	for _, check := range []func() error{s.checkStatus, s.checkPolicies, s.checkDates, s.checkSkipped, s.checkItems, s.checkDiscounts, s.checkGifts} {
		if err := check(); err != nil {
			return fmt.Errorf("subscription %s: %w", s.ID, err)
		}
	}
	return nil
}

func (s *Subscription) checkStatus() error {
	bills := s.Status == Active || s.Status == Failed
	switch {
	case s.ID == "" || s.CustomerID == "":
		return fmt.Errorf("no id, or no customer")
	case !slices.Contains(always, s.Status):
		return fmt.Errorf("status %q", s.Status)
	case !money.ValidCurrency(s.Currency):
		return fmt.Errorf("currency %q", s.Currency)
	case bills != (s.NextBillingDate != nil):
		return fmt.Errorf("next_billing_date %v while %s", day(s.NextBillingDate), s.Status)
	case s.PausedUntil != nil && s.Status != Paused:
		return fmt.Errorf("paused_until while %s", s.Status)
	case (s.Recovery != nil) != (s.Status == Failed):
		return fmt.Errorf("recovery %v while %s", s.Recovery != nil, s.Status)
	case (s.CancelledAt != nil) != (s.Status == Cancelled):
		return fmt.Errorf("cancelled_at %v while %s", s.CancelledAt != nil, s.Status)
	case s.MergedInto != "" && s.Status != Cancelled:
		return fmt.Errorf("merged_into while %s", s.Status)
	case s.Cycle < 0 || s.ExtraOrders < 0:
		return fmt.Errorf("%d orders, %d extra ones", s.Cycle, s.ExtraOrders)
	case s.Open() && s.allBilled(), s.Status == Expired && !s.allBilled():
		return fmt.Errorf("%s after %d orders", s.Status, s.Cycle)
	case s.CarriedOver != nil && (s.CarriedOver.Minor < 1 || s.CarriedOver.Currency != s.Currency):
		return fmt.Errorf("carried_over %s", s.CarriedOver)
	case s.DeliveryPrice.Currency != s.Currency || s.DeliveryPrice.Minor < 0 || s.DeliveryPrice.Minor > catalog.MaxPrice:
		return fmt.Errorf("delivery_price %s", s.DeliveryPrice)
	}
	return nil
}

func (s *Subscription) checkPolicies() error {
	var f fault.Fields
	s.BillingPolicy.Check(&f, "/billing_policy")
	if s.DeliveryPolicy != nil {
		s.DeliveryPolicy.Check(&f, "/delivery_policy")
	}
	if catalog.DeliveriesPerOrder(s.BillingPolicy, s.DeliveryPolicy) == 0 {
		f.Add("/delivery_policy", "policies_do_not_fit", "does not fit the billing policy")
	}
	return f.Err()
}

func (s *Subscription) checkDates() error {
	dates := s.schedule()
	switch {
	case !s.AnchorDate.Valid():
		return fmt.Errorf("anchor_date %v", s.AnchorDate)
	case s.Position < civil.Unanchored || s.Position == civil.Unanchored && s.NextBillingDate != nil:
		return fmt.Errorf("position %d", s.Position)
	case s.NextBillingDate == nil && s.MovedFrom != nil, s.MovedTo != nil && (s.NextBillingDate != nil || s.Status == Expired):
		return fmt.Errorf("moved_from %v, moved_to %v while %s", day(s.MovedFrom), day(s.MovedTo), s.Status)
	case s.HeldOn != nil && (s.NextBillingDate == nil || *s.HeldOn != *s.NextBillingDate):
		return fmt.Errorf("the order of %v is held, the next is on %v", *s.HeldOn, day(s.NextBillingDate))
	case s.NextBillingDate == nil:
		return nil
	}
	next, place := *s.NextBillingDate, dates.Rhythm.At(s.Position)
	switch {
	case s.MovedFrom == nil && next != place:
		return fmt.Errorf("next_billing_date %v is not rhythm date %d, %v", next, s.Position, place)
	case s.MovedFrom != nil && (next == place || *s.MovedFrom != place):
		return fmt.Errorf("moved from %v to %v, but rhythm date %d is %v", *s.MovedFrom, next, s.Position, place)
	case !next.Before(dates.Rhythm.At(s.Position + 1)):
		return fmt.Errorf("next_billing_date %v is not before the date after it", next)
	case !next.After(day(s.LastBillingDate)):
		return fmt.Errorf("next_billing_date %v is not after the last, %v", next, *s.LastBillingDate)
	}
	return nil
}

func (s *Subscription) checkSkipped() error {
	if len(s.SkippedDates) > civil.MaxSkipped {
		return fmt.Errorf("%d skipped dates", len(s.SkippedDates))
	}
	for i, d := range s.SkippedDates {
		switch {
		case i > 0 && !d.After(s.SkippedDates[i-1]):
			return fmt.Errorf("skipped_dates are not in order at %v", d)
		case s.NextBillingDate == nil || d.Before(*s.NextBillingDate):
		case !d.After(*s.NextBillingDate):
			return fmt.Errorf("the next order, %v, is skipped", d)
		default:
			if _, ok := s.schedule().Rhythm.Position(d); !ok {
				return fmt.Errorf("skipped date %v is not of the rhythm", d)
			}
		}
	}
	return nil
}

func (s *Subscription) checkItems() error {
	switch {
	case len(s.Items) > MaxItems:
		return fmt.Errorf("%d items", len(s.Items))
	case s.recurring() == 0:
		return fmt.Errorf("no item that comes with every order")
	case !s.affordable():
		return fmt.Errorf("the items come to more than %d", MaxOrder)
	}
	for i, it := range s.Items {
		switch {
		case i > 0 && it.ID <= s.Items[i-1].ID:
			return fmt.Errorf("items are not in order at %s", it.ID)
		case it.ID == "" || it.VariantID == "" || it.ProductID == "":
			return fmt.Errorf("item %q without an id, a variant or a product", it.ID)
		case it.Quantity < 1 || it.Quantity > MaxQuantity:
			return fmt.Errorf("quantity %d of %s", it.Quantity, it.ID)
		case it.UnitPrice.Currency != s.Currency || it.UnitPrice.Minor < 0 || it.UnitPrice.Minor > catalog.MaxPrice:
			return fmt.Errorf("unit_price %s of %s", it.UnitPrice, it.ID)
		}
	}
	return nil
}

func (s *Subscription) checkDiscounts() error {
	if len(s.Discounts) > MaxDiscounts {
		return fmt.Errorf("%d discounts", len(s.Discounts))
	}
	for i, a := range s.Discounts {
		switch {
		case i > 0 && cmp.Compare(a.Code, s.Discounts[i-1].Code) <= 0:
			return fmt.Errorf("discounts are not in order at %s", a.Code)
		case a.CyclesLeft != nil && *a.CyclesLeft < 1:
			return fmt.Errorf("discount %s has %d orders left", a.Code, *a.CyclesLeft)
		case a.Value < 0 || a.Kind != catalog.KindPercentage && a.Kind != catalog.KindAmount:
			return fmt.Errorf("discount %s of %d %s", a.Code, a.Value, a.Kind)
		}
	}
	return nil
}

func (s *Subscription) checkGifts() error {
	gifts := s.Gifts.Value
	if len(gifts) > MaxGifts {
		return fmt.Errorf("%d gifts", len(gifts))
	}
	for i, g := range gifts {
		if !g.Date.Valid() || i > 0 && !g.Date.After(gifts[i-1].Date) {
			return fmt.Errorf("gifts are not in order at %v", g.Date)
		}
	}
	return nil
}
