package billing

import (
	"slices"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// World is what the rules of orders may see. A command's Load fills in what its rule needs and leaves the rest nil.
type World struct {
	General      *settings.General
	Billing      *settings.Billing
	Recovery     *settings.Recovery
	Shipping     *settings.Shipping
	Order        *Order
	Subscription *subscription.Subscription
	Customer     *customer.Customer
	Address      *customer.Address
	Plan         *catalog.Plan
	Methods      []*customer.PaymentMethod  // that may be charged, the first choice first
	Backups      []*customer.PaymentMethod  // that may be charged once when those failed
	Charged      *customer.PaymentMethod    // by the attempt
	Stock        Stock                      // the variants of the subscription and of Order and Waiting
	Products     map[id.ID]*catalog.Product // of the backups among Stock, where the store sends those
	Waiting      *Order                     // the order of the rhythm that waits for money
	OrderCount   int                        // orders that the subscription has had so far
	Latest       *Order                     // of them, the newest of the rhythm
}

func loadOrder(r journal.Reader, key id.ID) (w World, err error) {
	w.Order, err = journal.Get[Order](r, journal.Order, key)
	return w, err
}

// loadCase loads an order with all that its payment can come to.
func loadCase(r journal.Reader, key id.ID) (w World, err error) {
	if w, err = loadOrder(r, key); err != nil {
		return w, err
	}
	if err := w.load(r, w.Order.SubscriptionID); err != nil {
		return w, err
	}
	w.Stock, err = LoadStock(r, w.Order)
	return w, err
}

// load loads the subscription, its customer, what may be charged, and the settings.
func (w *World) load(r journal.Reader, key id.ID) (err error) {
	if w.Subscription, err = journal.Get[subscription.Subscription](r, journal.Subscription, key); err != nil {
		return err
	}
	if w.Customer, err = journal.Get[customer.Customer](r, journal.Customer, w.Subscription.CustomerID); err != nil {
		return err
	}
	s, c := w.Subscription, w.Customer
	if w.Methods, err = w.chargeable(r, s.PaymentMethodID, c.DefaultPaymentMethodID); err != nil {
		return err
	}
	if w.Backups, err = w.chargeable(r, s.BackupPaymentMethodID, c.BackupPaymentMethodID); err != nil {
		return err
	}
	if w.General, err = journal.Get[settings.General](r, journal.Settings, settings.PageGeneral); err != nil {
		return err
	}
	if w.Billing, err = page[settings.Billing](r, settings.PageBilling, w.General); err != nil {
		return err
	}
	if w.Recovery, err = page[settings.Recovery](r, settings.PageRecovery, w.General); err != nil {
		return err
	}
	if w.Shipping, err = page[settings.Shipping](r, settings.PageShipping, w.General); err != nil {
		return err
	}
	address := s.ShippingAddressID
	if address == "" {
		address = c.DefaultAddressID
	}
	w.Address, err = journal.Find[customer.Address](r, journal.Address, address)
	return err
}

// loadNew loads, besides, what a new order is made of.
func (w *World) loadNew(r journal.Reader, key id.ID) (err error) {
	if err := w.load(r, key); err != nil {
		return err
	}
	s := w.Subscription
	if w.Plan, err = journal.Find[catalog.Plan](r, journal.SellingPlan, s.SellingPlanID); err != nil {
		return err
	}
	orders, err := r.Where(journal.Order, "subscription_id", string(s.ID))
	if err != nil {
		return err
	}
	w.OrderCount = len(orders)
	for _, key := range slices.Backward(orders) {
		o, err := journal.Get[Order](r, journal.Order, key)
		if err != nil {
			return err
		}
		if o.Cycle != nil {
			w.Latest = o
			break
		}
	}
	waiting, ok, err := r.Reserved(ScopeOpenOrder, string(s.ID))
	if err != nil {
		return err
	}
	var variants []id.ID
	if ok {
		if w.Waiting, err = journal.Get[Order](r, journal.Order, waiting); err != nil {
			return err
		}
		for _, l := range w.Waiting.Items {
			variants = append(variants, l.VariantID)
		}
	}
	for _, it := range s.Items {
		variants = append(variants, it.VariantID)
	}
	if w.Stock, err = loadStock(r, variants); err != nil || w.Billing.OutOfStock != settings.StockSwap {
		return err
	}
	return w.loadBackups(r)
}

// loadBackups loads what is sent when a variant is out of stock.
func (w *World) loadBackups(r journal.Reader) error {
	var backups []id.ID
	for _, v := range w.Stock {
		if v.BackupVariantID != "" {
			backups = append(backups, v.BackupVariantID)
		}
	}
	more, err := loadStock(r, backups)
	if err != nil {
		return err
	}
	w.Products = map[id.ID]*catalog.Product{}
	for key, v := range more {
		if v.Status == catalog.Archived && w.Stock[key] == nil {
			continue
		}
		w.Stock[key] = v
		if w.Products[v.ProductID], err = journal.Find[catalog.Product](r, journal.Product, v.ProductID); err != nil {
			return err
		}
	}
	return nil
}

// chargeable gives those of the customer's payment methods that can be tried, and are not among Methods. One past its month
// can: gateways renew cards by themselves.
func (w *World) chargeable(r journal.Reader, ids ...id.ID) (out []*customer.PaymentMethod, err error) {
	for _, m := range ids {
		p, err := journal.Find[customer.PaymentMethod](r, journal.PaymentMethod, m)
		if err != nil {
			return nil, err
		}
		if p != nil && p.CustomerID == w.Customer.ID && (p.Status == customer.StatusActive || p.Status == customer.StatusExpired) &&
			!slices.Contains(out, p) && !slices.Contains(w.Methods, p) {
			out = append(out, p)
		}
	}
	return out, nil
}

// page loads a page of the settings, or what it says until it is first saved.
func page[T any, P interface {
	*T
	journal.State
}](r journal.Reader, p id.ID, g *settings.General) (P, error) {
	s, err := journal.Find[T, P](r, journal.Settings, p)
	if err != nil || s != nil {
		return s, err
	}
	return settings.Default(p, g).(P), nil
}

// tax is the shop's rule: the one place that chooses it.
func (w World) tax() subscription.TaxRule { return subscription.FlatTax(w.Billing.TaxBasisPoints) }

func (w World) today(now time.Time) civil.Date { return settings.Today(w.General, now) }

// orderDraft is an event of an order. before is nil for a new one.
func orderDraft(typ journal.Name, before, after *Order, mentions ...journal.Ref) journal.Draft {
	d := journal.Draft{Type: typ, After: after}
	if before != nil {
		d.Before = before
	}
	d.Mentions = append([]journal.Ref{
		{Kind: journal.Customer, ID: after.CustomerID}, {Kind: journal.Subscription, ID: after.SubscriptionID},
	}, mentions...)
	return d
}

func methodRef(key id.ID) journal.Ref { return journal.Ref{Kind: journal.PaymentMethod, ID: key} }

// refused is the refusal of an action that the order's status does not allow; so ends its sentence.
func (o *Order) refused(so string) error {
	return fault.New(fault.Conflict, "status_"+string(o.Status), "The order is %s, so %s.", o.Status.Words(), so)
}

// view is the order as the subscription's rules know it.
func (o *Order) view() subscription.Order {
	v := subscription.Order{ID: o.ID, Number: o.Number, Cycle: o.Cycle, Date: o.BillingDate, Total: o.Total, Carried: o.Carried, MadeAt: &o.CreatedAt}
	for _, l := range o.Items {
		if l.OneTime {
			v.Once = append(v.Once, l.ItemID)
		}
	}
	return v
}

// released gives back the name that an order of the rhythm holds while it waits for money.
func released(o *Order) []journal.Reservation {
	if o.Cycle == nil {
		return nil
	}
	return []journal.Reservation{{Scope: ScopeOpenOrder, Value: string(o.SubscriptionID), Owner: o.ID, Release: true}}
}

// ended is the order given up: failed or cancelled.
func (o *Order) ended(to Status, now time.Time) (*Order, error) {
	next := journal.Clone(o)
	if err := next.become(to); err != nil {
		return nil, err
	}
	if to == Cancelled {
		next.CancelledAt = journal.AtPtr(now)
	}
	return next, nil
}

// DueOn gives the day on which billing has something to do for a subscription: to make its next order, or to try a
// failed payment again. ok is false when there is nothing.
func DueOn(s *subscription.Subscription) (day civil.Date, ok bool) {
	var d *civil.Date
	switch {
	case s.Status == subscription.Active:
		d = s.NextBillingDate
	case s.Status == subscription.Failed && s.Recovery != nil:
		d = s.Recovery.Due()
	}
	if d == nil {
		return civil.Date{}, false
	}
	return *d, true
}

// Awaited says whether a subscription still waits for an order: it is in recovery for it, or it is the very order that
// comes next. A pause, a cancellation or a new date end the waiting.
func Awaited(o *Order, s *subscription.Subscription) bool {
	return inRecovery(o, s) || o.Cycle != nil && s.Status == subscription.Active && s.NextBillingDate != nil && *s.NextBillingDate == o.BillingDate
}

// Stale says whether an order lies about that nobody waits for: it is pending, no charge is open, and the subscription
// went on without it. CancelOrder tidies it up, and so does the next CreateOrder.
func Stale(o *Order, s *subscription.Subscription) bool {
	_, open := OpenAttempt(o)
	return o.Status == Pending && !open && !inRecovery(o, s)
}

func inRecovery(o *Order, s *subscription.Subscription) bool {
	return s.Status == subscription.Failed && s.Recovery != nil && s.Recovery.OrderID == o.ID
}

// Reserves gives the names that an order holds: the place of its subscription's one open order of the rhythm, while it is pending.
func Reserves(o *Order) []journal.Reservation {
	if o.Status != Pending || o.Cycle == nil {
		return nil
	}
	return []journal.Reservation{{Scope: ScopeOpenOrder, Value: string(o.SubscriptionID), Owner: o.ID}}
}
