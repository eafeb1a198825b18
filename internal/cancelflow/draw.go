package cancelflow

import (
	"cmp"
	"hash/fnv"
	"slices"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/subscription"
)

// Fits says whether a subscription is one of an audience.
func (a Audience) Fits(s *subscription.Subscription, now time.Time) bool {
	days := int(now.Sub(s.CreatedAt.Time) / (24 * time.Hour))
	if days < a.MinDays || a.MaxDays > 0 && days > a.MaxDays {
		return false
	}
	var value int64
	has := len(a.ProductIDs) == 0
	for _, it := range s.Items {
		if !it.OneTime {
			value += int64(it.Quantity) * it.UnitPrice.Minor // at most subscription.MaxOrder together
		}
		has = has || slices.Contains(a.ProductIDs, it.ProductID)
	}
	return has && value >= a.MinValue && (a.MaxValue == 0 || value <= a.MaxValue)
}

// Draw gives the flow that a subscription gets, nil when none fits. Flows that fit share subscriptions by weight; the same
// subscription gets the same one as long as these stay.
func Draw(flows []*Flow, s *subscription.Subscription, now time.Time) *Flow {
	var fit []*Flow
	total := 0
	for _, f := range flows {
		if f.Status == Active && f.Audience.Fits(s, now) {
			fit = append(fit, f)
			total += f.Weight
		}
	}
	if total == 0 {
		return nil
	}
	slices.SortFunc(fit, func(a, b *Flow) int { return cmp.Compare(a.ID, b.ID) })
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.ID)) // never fails
	n := int(h.Sum64() % uint64(total))
	for _, f := range fit {
		if n -= f.Weight; n < 0 {
			return f
		}
	}
	return nil // not reached: the weights are the total
}

// Good gives the offers of a reason that can be made now, with their positions: what the subscription's status allows, and no
// discount for a customer who took one within the cooldown.
func Good(
	r *Reason,
	s *subscription.Subscription,
	discounts map[string]*catalog.Discount,
	variants map[id.ID]*catalog.Variant,
	cooling bool,
	now time.Time,
) []int {
	var out []int
	for i, o := range r.Offers {
		a, ok := actions[o.Kind]
		if ok && s.May(a) != nil {
			continue
		}
		switch o.Kind {
		case OfferDiscount:
			d := discounts[o.Code]
			if cooling || d == nil || subscription.Redeemable(s, d, now) != nil {
				continue
			}
		case OfferSwap, OfferGift:
			v := variants[o.VariantID]
			if v == nil || v.Status != catalog.Active || v.Inventory != nil && *v.Inventory < 1 ||
				o.Kind == OfferSwap && len(swappable(s, o.VariantID)) == 0 {
				continue
			}
		case OfferFrequency:
			if s.BillingPolicy.Interval == o.Interval && s.BillingPolicy.IntervalCount == o.IntervalCount {
				continue
			}
		}
		out = append(out, i)
	}
	return out
}

// actions are what the offers do to the subscription.
var actions = map[string]subscription.Action{
	OfferSkip:      subscription.ActionSkip,
	OfferPause:     subscription.ActionPause,
	OfferSwap:      subscription.ActionSwapItem,
	OfferFrequency: subscription.ActionFrequency,
	OfferDiscount:  subscription.ActionDiscount,
	OfferGift:      subscription.ActionAddItem,
}

// swappable are the recurring items that are not the variant already.
func swappable(s *subscription.Subscription, variant id.ID) []id.ID {
	var out []id.ID
	for _, it := range s.Items {
		if !it.OneTime && it.VariantID != variant {
			out = append(out, it.ID)
		}
	}
	return out
}

// Cooling says whether a customer accepted a discount less than some days ago.
func Cooling(sessions []*Session, days int, now time.Time) bool {
	since := now.Add(-time.Duration(days) * 24 * time.Hour)
	for _, s := range sessions {
		if s.Accepted == OfferDiscount && s.EndedAt.After(since) {
			return true
		}
	}
	return false
}

// reasonsOf are the reasons of a flow in order, deleted ones left out.
func reasonsOf(r journal.Reader, flow id.ID) ([]*Reason, error) {
	out, err := journal.Where[Reason](r, journal.CancelReason, "flow_id", string(flow))
	if err != nil {
		return nil, err
	}
	out = slices.DeleteFunc(out, func(reason *Reason) bool { return reason.Status == Deleted })
	slices.SortFunc(out, func(a, b *Reason) int { return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// command is what accepting an offer does to the subscription, nil for what does nothing.
func (o Offer) command(s *subscription.Subscription, in Accept, today civil.Date) journal.Command {
	switch o.Kind {
	case OfferSkip:
		return journal.Bind(subscription.Skip{ID: s.ID})
	case OfferPause:
		until := today.AddDays(o.Days)
		return journal.Bind(subscription.Pause{ID: s.ID, Until: &until})
	case OfferSwap:
		item := in.ItemID
		if list := swappable(s, o.VariantID); item == "" && len(list) == 1 {
			item = list[0]
		}
		return journal.Bind(subscription.SwapItem{ID: s.ID, ItemID: item, VariantID: o.VariantID})
	case OfferFrequency:
		return journal.Bind(subscription.ChangeFrequency{ID: s.ID, Interval: o.Interval, IntervalCount: o.IntervalCount})
	case OfferDiscount:
		return journal.Bind(subscription.ApplyDiscount{ID: s.ID, Code: o.Code})
	case OfferGift:
		free := s.DeliveryPrice
		free.Minor = 0
		return journal.Bind(
			subscription.AddItem{
				ID:   s.ID,
				Item: subscription.NewItem{ID: in.NewItemID, VariantID: o.VariantID, Quantity: 1, UnitPrice: &free, OneTime: true},
			},
		)
	}
	return nil
}
