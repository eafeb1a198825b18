package subscription

import (
	"cmp"
	"slices"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// ApplyDiscount puts a discount on the subscription as it is now: a later change of the discount changes nothing here.
// From active and paused. The redemption is counted on the discount, with an event there. An unknown code is a wrong
// field. Refusals: already_applied, too_many_discounts, discount_inactive, discount_ended, discount_used_up.
type ApplyDiscount struct {
	ID   id.ID
	Code string // in any case
}

func (c ApplyDiscount) Load(r journal.Reader) (World, error) {
	w, err := load(r, c.ID)
	if err != nil {
		return w, err
	}
	code, ok := catalog.NormalizeCode(c.Code)
	if !ok {
		return w, nil
	}
	owner, held, err := r.Reserved(catalog.ScopeDiscountCode, code)
	if err != nil || !held {
		return w, err
	}
	w.Discount, err = journal.Find[catalog.Discount](r, journal.Discount, owner)
	return w, err
}

func (c ApplyDiscount) Decide(w World, now time.Time) (journal.Decision, error) {
	s, dis := w.Subscription, w.Discount
	if err := s.May(ActionDiscount); err != nil {
		return journal.Decision{}, err
	}
	if dis == nil {
		var f fault.Fields
		f.Add("/code", "discount_code_unknown", "There is no discount with this code.")
		return journal.Decision{}, f.Err()
	}
	if err := s.redeemable(dis, now); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(s)
	next.Discounts = append(next.Discounts, AppliedDiscount{
		Code: dis.Code, DiscountID: dis.ID, Kind: dis.Kind, Value: dis.Value, CyclesLeft: copied(dis.MaxCycles), AppliedAt: journal.AtPtr(now),
	})
	slices.SortFunc(next.Discounts, func(a, b AppliedDiscount) int { return cmp.Compare(a.Code, b.Code) })
	redeemed := journal.Clone(dis)
	redeemed.Redemptions++
	return journal.Decision{Drafts: []journal.Draft{
		change(journal.SubscriptionDiscountApplied, s, next, nil, dis.Ref()),
		{Type: journal.DiscountRedeemed, Before: dis, After: redeemed, Mentions: s.mentions(s.Ref()), CausedByDraft: 1},
	}, Result: s.Ref()}, nil
}

// Redeemable says why a discount cannot be put on a subscription now, or nil.
func Redeemable(s *Subscription, d *catalog.Discount, now time.Time) error {
	return s.redeemable(d, now)
}

func (s *Subscription) redeemable(d *catalog.Discount, now time.Time) error {
	refused := func(code, sentence string) *fault.Error { return fault.New(fault.Conflict, code, "%s", sentence) }
	switch {
	case s.discount(d.Code) >= 0:
		return refused("already_applied", "The discount {code} is on this subscription already.").With("code", d.Code)
	case len(s.Discounts) >= MaxDiscounts:
		return refused("too_many_discounts", "A subscription has at most {count} discounts.").With("count", MaxDiscounts)
	case d.Status != catalog.Active:
		return refused("discount_inactive", "The discount {code} was deactivated.").With("code", d.Code)
	case d.EndsAt != nil && !now.Before(d.EndsAt.Time):
		return refused("discount_ended", "The discount {code} has ended.").With("code", d.Code)
	case d.MaxRedemptions != nil && d.Redemptions >= *d.MaxRedemptions:
		return refused("discount_used_up", "The discount {code} was redeemed {count} times, which is as often as it can be.").
			With("code", d.Code, "count", d.Redemptions)
	}
	return nil
}

// RemoveDiscount takes a discount off; from active and paused. The redemption stays counted: a code with a limit
// cannot be passed on from one subscription to the next. Refusal: unknown_discount (NotFound).
type RemoveDiscount struct {
	ID   id.ID
	Code string // in any case
}

func (c RemoveDiscount) Load(r journal.Reader) (World, error) { return load(r, c.ID) }

func (c RemoveDiscount) Decide(w World, _ time.Time) (journal.Decision, error) {
	s := w.Subscription
	code, _ := catalog.NormalizeCode(c.Code)
	i := s.discount(code)
	if i < 0 {
		return journal.Decision{}, fault.New(fault.NotFound, "unknown_discount", "This discount is not on the subscription.")
	}
	if err := s.May(ActionDiscount); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(s)
	next.Discounts = slices.Delete(next.Discounts, i, i+1)
	return decide(journal.SubscriptionDiscountRemoved, s, next, nil, journal.Ref{Kind: journal.Discount, ID: s.Discounts[i].DiscountID})
}

// discount gives the place of a discount, -1 if it is not on the subscription.
func (s *Subscription) discount(code string) int {
	return slices.IndexFunc(s.Discounts, func(a AppliedDiscount) bool { return a.Code == code })
}

func copied(n *int) *int {
	if n == nil {
		return nil
	}
	return new(*n)
}
