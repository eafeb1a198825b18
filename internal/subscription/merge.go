package subscription

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

type merged struct {
	From id.ID `json:"from"`
	Into id.ID `json:"into"`
}

// Merge gives this subscription's items to another one of the same customer and currency; both are active. The items
// come under new ids, at their prices, in the other's rhythm; discounts, gifts and the note do not come. This one is
// cancelled and keeps its items as the record of what it was. It cannot be reactivated. Refusals: other_customer,
// other_currency, too_many_items, order_too_large, status_<status> of either, charge_open and order_open while an order of
// either can still be paid, and billed_already when the items were billed for the day of the other's next order.
type Merge struct {
	ID      id.ID
	Into    id.ID
	ItemIDs []id.ID // new ids, at least one for each item; MaxItems are always enough
}

func (c Merge) Load(r journal.Reader) (World, error) {
	w, err := load(r, c.ID)
	if err != nil {
		return w, err
	}
	if w.Into, err = journal.Find[Subscription](r, journal.Subscription, c.Into); err != nil {
		return w, err
	}
	if w.Unpaid, err = unpaid(r, c.ID); err != nil {
		return w, err
	}
	w.IntoUnpaid, err = unpaid(r, c.Into)
	return w, err
}

func (c Merge) Decide(w World, now time.Time) (journal.Decision, error) {
	from, into := w.Subscription, w.Into
	if err := from.May(ActionMerge); err != nil {
		return journal.Decision{}, err
	}
	if err := c.target(from, into); err != nil {
		return journal.Decision{}, err
	}
	for _, u := range []Unpaid{w.Unpaid, w.IntoUnpaid} {
		if u != nil {
			return journal.Decision{}, u.KeepsItems()
		}
	}
	if last, next := from.LastBillingDate, into.NextBillingDate; last != nil && !next.After(*last) {
		return journal.Decision{}, fault.New(fault.Conflict, "billed_already",
			"These items were billed on {billed} already, and the other subscription's next order is of {next}. Merge them after that order.").
			With("billed", last, "next", next)
	}
	if len(c.ItemIDs) < len(from.Items) {
		return journal.Decision{}, fmt.Errorf("subscription: %d ids for the %d items of %s", len(c.ItemIDs), len(from.Items), from.ID)
	}
	moved := slices.Clone(from.Items)
	var variants []journal.Ref
	for i := range moved {
		moved[i].ID = c.ItemIDs[i]
		variants = append(variants, variantRef(moved[i]))
	}
	ended := from.cancelled("", now)
	ended.MergedInto = into.ID
	next := journal.Clone(into)
	if err := next.take(moved...); err != nil {
		return journal.Decision{}, err
	}
	if from.CarriedOver != nil {
		next.carry(from.CarriedOver.Minor)
		ended.CarriedOver = nil
	}
	details := merged{From: from.ID, Into: into.ID}
	return journal.Decision{Drafts: []journal.Draft{
		change(journal.SubscriptionMerged, from, ended, details, into.Ref()),
		change(journal.SubscriptionMerged, into, next, details, append([]journal.Ref{from.Ref()}, variants...)...),
	}, Result: from.Ref()}, nil
}

func (c Merge) target(from, into *Subscription) error {
	var f fault.Fields
	switch {
	case c.Into == c.ID || c.Into == "":
		f.Add("/into", "other_subscription_needed", "Choose another subscription than this one.")
	case into == nil:
		f.Add("/into", "unknown_subscription", "There is no subscription {id} in this shop.", "id", c.Into)
	case into.CustomerID != from.CustomerID:
		return fault.New(fault.Conflict, "other_customer", "The other subscription belongs to another customer.")
	case into.Currency != from.Currency:
		return fault.New(fault.Conflict, "other_currency", "The other subscription is in {other}, this one in {currency}.").With("other", into.Currency, "currency", from.Currency)
	case into.Status != Active:
		return fault.New(fault.Conflict, "status_"+string(into.Status), "The other subscription %s, so nothing can be merged into it.", is[into.Status])
	}
	return f.Err()
}

type splitInto struct {
	NewSubscriptionID id.ID `json:"new_subscription_id"`
}

// Split makes a new subscription of some items; from active. The new one goes on like this one: the same rhythm, next
// order, count of orders, plan, address and payment methods, and the discounts in percent; amounts off, gifts, note and
// attributes stay here. Both keep an item that is not a one-time one (split_leaves_nothing, split_takes_nothing). It is refused while an
// order of the rhythm can still be paid (charge_open, order_open).
type Split struct {
	ID      id.ID
	NewID   id.ID
	ItemIDs []id.ID // items of this subscription
}

func (c Split) Load(r journal.Reader) (World, error) {
	w, err := load(r, c.ID)
	if err != nil {
		return w, err
	}
	w.Unpaid, err = unpaid(r, c.ID)
	return w, err
}

func (c Split) Decide(w World, now time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionSplit); err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	if len(c.ItemIDs) == 0 {
		f.Add("/item_ids", "split_items_needed", "Choose the items of the new subscription.")
	}
	for i, item := range c.ItemIDs {
		at := "/item_ids/" + strconv.Itoa(i)
		if !slices.ContainsFunc(s.Items, func(it Item) bool { return it.ID == item }) {
			f.Add(at, "unknown_item", "There is no item {id} in this subscription.", "id", item)
		} else if slices.Contains(c.ItemIDs[:i], item) {
			f.Add(at, "listed_twice", "This item is in the list twice.", "value", item)
		}
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	if w.Unpaid != nil {
		return journal.Decision{}, w.Unpaid.KeepsItems()
	}
	rest, made := journal.Clone(s), journal.Clone(s)
	goes := func(it Item) bool { return slices.Contains(c.ItemIDs, it.ID) }
	rest.Items = slices.DeleteFunc(rest.Items, goes)
	made.Items = slices.DeleteFunc(made.Items, func(it Item) bool { return !goes(it) })
	switch {
	case rest.recurring() == 0:
		return journal.Decision{}, fault.New(fault.Conflict, "split_leaves_nothing", "Nothing would stay in this subscription. Leave at least one item that comes with every order.")
	case made.recurring() == 0:
		return journal.Decision{}, fault.New(fault.Conflict, "split_takes_nothing", "The new subscription needs at least one item that comes with every order.")
	}
	made.ID, made.CreatedAt, made.ExtraOrders = c.NewID, journal.At(now), 0
	made.Discounts = slices.DeleteFunc(made.Discounts, func(a AppliedDiscount) bool { return a.Kind != catalog.KindPercentage })
	made.Gifts, made.Note, made.Attributes = journal.Secluded[[]Gift](nil), journal.Secluded(""), journal.Secluded[map[string]string](nil)
	return journal.Decision{Drafts: []journal.Draft{
		change(journal.SubscriptionSplit, s, rest, splitInto{c.NewID}, made.Ref()),
		{Type: journal.SubscriptionCreated, After: made, Mentions: made.mentions(append([]journal.Ref{s.Ref()}, made.parts()...)...), CausedByDraft: 1},
	}, Created: []id.ID{c.NewID}, Result: s.Ref()}, nil
}
