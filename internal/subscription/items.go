package subscription

import (
	"cmp"
	"slices"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// NewItem is a line to be.
type NewItem struct {
	ID        id.ID
	VariantID id.ID
	Quantity  int           // 1 to MaxQuantity
	UnitPrice *money.Amount // nil: the variant's price, of a one-time item with the discount of the upsell
	OneTime   bool
}

type titled struct {
	Title string `json:"title"`
}

// AddItem puts a variant into the subscription, at the variant's price; from active and paused. A one-time item comes
// with the next order only. Refusals: too_many_items, order_too_large.
type AddItem struct {
	ID   id.ID
	Item NewItem
}

func (c AddItem) Load(r journal.Reader) (World, error) {
	return withVariant(r, c.ID, c.Item.VariantID)
}

func (c AddItem) Decide(w World, _ time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionAddItem); err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	it := w.item(&f, "", c.Item, s.Currency)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(s)
	if err := next.take(it); err != nil {
		return journal.Decision{}, err
	}
	typ := journal.SubscriptionItemAdded
	if it.OneTime {
		typ = journal.SubscriptionOneTimeItemAdded
	}
	return decide(typ, s, next, nil, variantRef(it))
}

// ChangeItem sets a quantity, a unit price, or both, with an event for each; from active and paused. The unit price is
// the one before the plan's pricing. Refusals: unknown_item (NotFound), order_too_large.
type ChangeItem struct {
	ID        id.ID
	ItemID    id.ID
	Quantity  *int
	UnitPrice *money.Amount
}

func (c ChangeItem) Load(r journal.Reader) (World, error) { return load(r, c.ID) }

func (c ChangeItem) Decide(w World, _ time.Time) (journal.Decision, error) {
	s := w.Subscription
	action := ActionChangeQuantity
	if c.Quantity == nil {
		action = ActionChangePrice
	}
	i, err := s.find(c.ItemID, action)
	if err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	if c.Quantity != nil {
		quantity(&f, "", *c.Quantity)
	}
	if c.UnitPrice != nil {
		price(&f, "/unit_price", *c.UnitPrice, s.Currency)
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	d := journal.Decision{Result: s.Ref()}
	last := s
	if c.Quantity != nil && *c.Quantity != s.Items[i].Quantity {
		next := journal.Clone(last)
		next.Items[i].Quantity = *c.Quantity
		d.Drafts = append(d.Drafts, change(journal.SubscriptionItemQuantityChanged, last, next, titled{s.Items[i].Title}, variantRef(s.Items[i])))
		last = next
	}
	if c.UnitPrice != nil && *c.UnitPrice != s.Items[i].UnitPrice {
		next := journal.Clone(last)
		next.Items[i].UnitPrice = *c.UnitPrice
		d.Drafts = append(d.Drafts, change(journal.SubscriptionItemPriceOverridden, last, next, titled{s.Items[i].Title}, variantRef(s.Items[i])))
		last = next
	}
	if err := last.fits(); err != nil {
		return journal.Decision{}, err
	}
	return d, nil
}

// SwapItem puts another variant in an item's place, at that variant's price; from active and paused. The item keeps its
// id. The same variant only changes the quantity, and keeps its price. Refusals: unknown_item (NotFound),
// order_too_large.
type SwapItem struct {
	ID        id.ID
	ItemID    id.ID
	VariantID id.ID
	Quantity  *int // nil: as before
}

func (c SwapItem) Load(r journal.Reader) (World, error) { return withVariant(r, c.ID, c.VariantID) }

func (c SwapItem) Decide(w World, now time.Time) (journal.Decision, error) {
	s := w.Subscription
	i, err := s.find(c.ItemID, ActionSwapItem)
	if err != nil {
		return journal.Decision{}, err
	}
	was := s.Items[i]
	if c.VariantID == was.VariantID {
		return ChangeItem{ID: c.ID, ItemID: c.ItemID, Quantity: c.Quantity}.Decide(w, now)
	}
	wanted := NewItem{ID: was.ID, VariantID: c.VariantID, Quantity: was.Quantity, OneTime: was.OneTime}
	if c.Quantity != nil {
		wanted.Quantity = *c.Quantity
	}
	var f fault.Fields
	it := w.item(&f, "", wanted, s.Currency)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(s)
	next.Items[i] = it
	if err := next.fits(); err != nil {
		return journal.Decision{}, err
	}
	return decide(journal.SubscriptionItemSwapped, s, next, titled{was.Title}, variantRef(it), variantRef(was))
}

// RemoveItem takes an item out; from active and paused. The last item that is not a one-time one stays: a subscription
// without items is cancelled instead (last_item). Refusals: unknown_item (NotFound), last_item.
type RemoveItem struct {
	ID     id.ID
	ItemID id.ID
}

func (c RemoveItem) Load(r journal.Reader) (World, error) { return load(r, c.ID) }

func (c RemoveItem) Decide(w World, _ time.Time) (journal.Decision, error) {
	s := w.Subscription
	i, err := s.find(c.ItemID, ActionRemoveItem)
	if err != nil {
		return journal.Decision{}, err
	}
	it := s.Items[i]
	if !it.OneTime && s.recurring() == 1 {
		return journal.Decision{}, fault.New(fault.Conflict, "last_item", "{title} is the last item of the subscription. Swap it for another, or cancel the subscription.").
			With("title", it.Title)
	}
	next := journal.Clone(s)
	next.Items = slices.Delete(next.Items, i, i+1)
	typ := journal.SubscriptionItemRemoved
	if it.OneTime {
		typ = journal.SubscriptionOneTimeItemRemoved
	}
	return decide(typ, s, next, nil, variantRef(it))
}

// find gives the place of an item, once the action is allowed.
func (s *Subscription) find(item id.ID, a Action) (int, error) {
	i := slices.IndexFunc(s.Items, func(it Item) bool { return it.ID == item })
	if i < 0 {
		return 0, fault.New(fault.NotFound, "unknown_item", "There is no item {id} in this subscription.").With("id", item)
	}
	return i, s.May(a)
}

// take puts items in, in their order.
func (s *Subscription) take(items ...Item) error {
	if len(s.Items)+len(items) > MaxItems {
		return fault.New(fault.Conflict, "too_many_items", "A subscription has at most {count} items.").With("count", MaxItems)
	}
	s.Items = append(s.Items, items...)
	slices.SortFunc(s.Items, byID)
	return s.fits()
}

// recurring counts the items that come with every order.
func (s *Subscription) recurring() (n int) {
	for _, it := range s.Items {
		if !it.OneTime {
			n++
		}
	}
	return n
}

// affordable says whether one order of all items stays within MaxOrder. A price is at most 10^12 and a quantity 999,
// so that no product or sum here can overflow.
func (s *Subscription) affordable() bool {
	var sum int64
	for _, it := range s.Items {
		sum += it.UnitPrice.Minor * int64(it.Quantity)
	}
	return sum <= MaxOrder/int64(max(1, catalog.DeliveriesPerOrder(s.BillingPolicy, s.DeliveryPolicy)))
}

func (s *Subscription) fits() error {
	if !s.affordable() {
		return fault.New(fault.Conflict, "order_too_large", "The items of an order come to at most {most}.").With("most", money.Of(MaxOrder, s.Currency).Format())
	}
	return nil
}

// item makes a line of a variant that is sold. What is wrong with it is added to f, under the pointer at.
func (w World) item(f *fault.Fields, at string, n NewItem, currency string) Item {
	it := Item{ID: n.ID, VariantID: n.VariantID, Quantity: n.Quantity, OneTime: n.OneTime, UnitPrice: money.Zero(currency)}
	quantity(f, at, n.Quantity)
	if n.UnitPrice != nil {
		price(f, at+"/unit_price", *n.UnitPrice, currency)
	}
	v := w.Variants[n.VariantID]
	if v == nil {
		f.Add(at+"/variant_id", "unknown_variant", "There is no variant {id} in this shop.", "id", n.VariantID)
		return it
	}
	p := w.Products[v.ProductID]
	switch {
	case p == nil || !catalog.Sellable(p, v):
		f.Add(at+"/variant_id", "not_sold", "{title} is not sold at the moment.", "title", title(p, v))
	case n.UnitPrice != nil:
		it.UnitPrice = *n.UnitPrice
	case v.Price.Currency != currency:
		f.Add(at+"/variant_id", "wrong_currency", "The variant has no price in {currency}, the subscription's currency.", "currency", currency)
	case n.OneTime:
		it.UnitPrice = catalog.OncePrice(p, v)
	default:
		it.UnitPrice = v.Price
	}
	it.ProductID, it.Title = v.ProductID, title(p, v)
	return it
}

func quantity(f *fault.Fields, at string, n int) {
	if n < 1 || n > MaxQuantity {
		f.Add(at+"/quantity", "out_of_range", "A quantity is 1 to {most}.", "least", 1, "most", MaxQuantity)
	}
}

// title names a line: product and variant, or one of them where both have the same name.
func title(p *catalog.Product, v *catalog.Variant) string {
	if p == nil || p.Title == v.Title {
		return v.Title
	}
	return p.Title + ", " + v.Title
}

func variantRef(it Item) journal.Ref { return journal.Ref{Kind: journal.Variant, ID: it.VariantID} }

func byID(a, b Item) int { return cmp.Compare(a.ID, b.ID) }

func withVariant(r journal.Reader, key, variant id.ID) (World, error) {
	w, err := load(r, key)
	if err != nil {
		return w, err
	}
	return w, w.variants(r, variant)
}
