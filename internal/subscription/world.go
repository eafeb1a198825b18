package subscription

import (
	"fmt"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/settings"
)

// Limits of a subscription.
const (
	MaxItems     = 100
	MaxQuantity  = 999
	MaxDiscounts = 10
	MaxGifts     = 12
	// MaxOrder is the most that the items of one order may be worth, in minor units. With delivery and tax it stays
	// below 2^53, the largest integer that canonical JSON holds.
	MaxOrder int64 = 1_000_000_000_000_000
	// MaxMonthsAhead is how far ahead of today a date may be: ten years.
	MaxMonthsAhead = 120
)

// World is what the rules of a subscription may see. A command's Load fills in what its rule needs and leaves the
// rest nil.
type World struct {
	General       *settings.General
	Shipping      *settings.Shipping
	Subscription  *Subscription
	Others        []*Subscription // the customer's other open subscriptions, in order of id
	Into          *Subscription   // of a merge
	Unpaid        Unpaid          // the subscription's order of the rhythm that waits for its money; nil: there is none
	IntoUnpaid    Unpaid          // that of Into
	Customer      *customer.Customer
	Address       *customer.Address
	PaymentMethod *customer.PaymentMethod
	Plan          *catalog.Plan
	Group         *catalog.Group
	Discount      *catalog.Discount
	Variants      map[id.ID]*catalog.Variant // those that exist, with their products
	Products      map[id.ID]*catalog.Product
}

// ScopeOpenOrder is the scope of the reservation that a subscription holds while an order of its rhythm waits for
// money: the value is the subscription's id, the owner the order's.
const ScopeOpenOrder = "open_order"

// Unpaid is an order of the rhythm that waits for its money. It is package billing's.
type Unpaid interface {
	journal.State
	// KeepsItems refuses to move the order's items elsewhere (Conflict, charge_open or order_open): they would be billed with it, and
	// once more where they went.
	KeepsItems() error
}

// unpaid finds a subscription's order of the rhythm that waits for its money.
func unpaid(r journal.Reader, key id.ID) (Unpaid, error) {
	order, ok, err := r.Reserved(ScopeOpenOrder, string(key))
	if err != nil || !ok {
		return nil, err
	}
	s, ok, err := r.State(journal.Ref{Kind: journal.Order, ID: order})
	if err != nil {
		return nil, err
	}
	u, is := s.(Unpaid)
	if !ok || !is {
		return nil, fmt.Errorf("subscription: %s waits for the order %s, which is %T", key, order, s)
	}
	return u, nil
}

// load needs the subscription, which must be there, and the shop's zone and currency.
func load(r journal.Reader, key id.ID) (w World, err error) {
	if w.Subscription, err = journal.Get[Subscription](r, journal.Subscription, key); err != nil {
		return w, err
	}
	w.General, err = journal.Get[settings.General](r, journal.Settings, settings.PageGeneral)
	return w, err
}

// shipping loads the page "shipping", or what it says until it is first saved.
func (w *World) shipping(r journal.Reader) (err error) {
	if w.Shipping, err = journal.Find[settings.Shipping](r, journal.Settings, settings.PageShipping); err == nil && w.Shipping == nil {
		w.Shipping = settings.Default(settings.PageShipping, w.General).(*settings.Shipping)
	}
	return err
}

// variants loads the variants that exist, and their products.
func (w *World) variants(r journal.Reader, ids ...id.ID) error {
	w.Variants, w.Products = map[id.ID]*catalog.Variant{}, map[id.ID]*catalog.Product{}
	for _, key := range ids {
		v, err := journal.Find[catalog.Variant](r, journal.Variant, key)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		p, err := journal.Find[catalog.Product](r, journal.Product, v.ProductID)
		if err != nil {
			return err
		}
		w.Variants[key], w.Products[v.ProductID] = v, p
	}
	return nil
}

// others loads the customer's other open subscriptions.
func (w *World) others(r journal.Reader) error {
	all, err := journal.Where[Subscription](r, journal.Subscription, "customer_id", string(w.Subscription.CustomerID))
	for _, o := range all {
		if o.ID != w.Subscription.ID && o.Open() {
			w.Others = append(w.Others, o)
		}
	}
	return err
}

func (w World) today(now time.Time) civil.Date { return settings.Today(w.General, now) }

// change makes the event of a changed clone, mentioning the customer first.
func change(typ journal.Name, before, next *Subscription, details any, mentions ...journal.Ref) journal.Draft {
	return journal.Draft{Type: typ, Before: before, After: next, Details: details, Mentions: next.mentions(mentions...)}
}

// decide is the decision to make one change, or none if the clone is the same as before.
func decide(typ journal.Name, before, next *Subscription, details any, mentions ...journal.Ref) (journal.Decision, error) {
	changes, err := journal.Diff(before, next)
	if err != nil {
		return journal.Decision{}, err
	}
	d := journal.Decision{Result: next.Ref()}
	if len(changes) > 0 {
		d.Drafts = []journal.Draft{change(typ, before, next, details, mentions...)}
	}
	return d, nil
}

func (s *Subscription) mentions(refs ...journal.Ref) []journal.Ref {
	return append([]journal.Ref{{Kind: journal.Customer, ID: s.CustomerID}}, refs...)
}

// erased refuses what would write about a person whose key was destroyed (Conflict, erased).
func erased(c *customer.Customer) error {
	if c != nil && c.Status == customer.Redacted {
		return fault.New(fault.Conflict, "erased", "The customer's personal data was erased, so nothing new can be kept about them.")
	}
	return nil
}

// price adds what is wrong with a price of a request.
func price(f *fault.Fields, at string, a money.Amount, currency string) {
	if a.Currency != currency {
		f.Add(at+"/currency", "wrong_currency", "The price must be in {currency}.", "currency", currency)
	}
	if a.Minor < 0 || a.Minor > catalog.MaxPrice {
		f.Add(at+"/amount", "out_of_range", "A price is 0 to {most} minor units.", "least", 0, "most", catalog.MaxPrice)
	}
}

// ahead adds what is wrong with a date of a request that must be so many days after today, or later.
func ahead(f *fault.Fields, at string, d, today civil.Date, least int) {
	first := today.AddDays(least)
	switch {
	case !d.Valid():
		f.Add(at, "date_invalid", "Give a date in the form 2006-01-02.")
	case d.Before(first):
		f.Add(at, "date_too_early", "The date must be {first} or later.", "first", first)
	case d.After(today.AddMonths(MaxMonthsAhead)):
		f.Add(at, "date_too_late", "The date must not be more than ten years ahead.")
	}
}

// address adds what is wrong with a customer's address that parcels are to go to.
func (w World) address(f *fault.Fields, at string, key, owner id.ID) {
	switch a := w.Address; {
	case a == nil || a.CustomerID != owner:
		f.Add(at, "unknown_address", "The customer has no address {id}.", "id", key)
	case a.Status != customer.StatusActive:
		f.Add(at, "address_removed", "This address was removed.")
	default:
		w.country(f, at, a.Country)
	}
}

func (w World) country(f *fault.Fields, at, code string) {
	if !w.Shipping.Ships(code) {
		f.Add(at, "country_not_served", "The shop does not send to {country}.", "country", code)
	}
}

// method adds what is wrong with a payment method that orders are to be charged to.
func method(f *fault.Fields, at string, p *customer.PaymentMethod, key, owner id.ID) {
	switch {
	case p == nil || p.CustomerID != owner:
		f.Add(at, "unknown_payment_method", "The customer has no payment method {id}.", "id", key)
	case p.Status != customer.StatusActive:
		f.Add(at, "payment_method_unusable", "This payment method cannot be used any more.")
	}
}
