package subscription

import (
	"cmp"
	"slices"
	"time"

	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// ChangeShippingAddress sends orders to another of the customer's addresses; unless cancelled or expired. With
// AllSubscriptions the customer's other open subscriptions follow, with an event on each.
type ChangeShippingAddress struct {
	ID               id.ID
	AddressID        id.ID
	AllSubscriptions bool
}

func (c ChangeShippingAddress) Load(r journal.Reader) (World, error) {
	w, err := load(r, c.ID)
	if err != nil {
		return w, err
	}
	if err := w.shipping(r); err != nil {
		return w, err
	}
	if w.Address, err = journal.Find[customer.Address](r, journal.Address, c.AddressID); err != nil {
		return w, err
	}
	if c.AllSubscriptions {
		err = w.others(r)
	}
	return w, err
}

func (c ChangeShippingAddress) Decide(w World, _ time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionShippingAddress); err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	w.address(&f, "/address_id", c.AddressID, s.CustomerID)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	d := journal.Decision{Result: s.Ref()}
	for _, each := range slices.Concat([]*Subscription{s}, w.Others) {
		if each.ShippingAddressID == c.AddressID {
			continue
		}
		next := journal.Clone(each)
		next.ShippingAddressID = c.AddressID
		d.Drafts = append(d.Drafts, change(journal.SubscriptionShippingAddressChanged, each, next, nil, w.Address.Ref()))
	}
	return d, nil
}

// ChangePaymentMethod charges orders to another of the customer's payment methods, or, with an empty id, to whichever is the customer's
// default; unless cancelled or expired. With AllSubscriptions the customer's other open subscriptions follow, with an event on each.
type ChangePaymentMethod struct {
	ID               id.ID
	PaymentMethodID  id.ID
	AllSubscriptions bool
}

func (c ChangePaymentMethod) Load(r journal.Reader) (World, error) {
	w, err := withMethod(r, c.ID, c.PaymentMethodID)
	if err != nil {
		return w, err
	}
	if c.PaymentMethodID == "" {
		if w.Customer, err = journal.Get[customer.Customer](r, journal.Customer, w.Subscription.CustomerID); err != nil {
			return w, err
		}
	}
	if c.AllSubscriptions {
		err = w.others(r)
	}
	return w, err
}

func (c ChangePaymentMethod) Decide(w World, _ time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionPaymentMethod); err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	switch {
	case c.PaymentMethodID != "":
		method(&f, "/payment_method_id", w.PaymentMethod, c.PaymentMethodID, s.CustomerID)
	case w.Customer.DefaultPaymentMethodID == "" && s.PaymentMethodID != "":
		f.Add("/payment_method_id", "no_payment_method", "The customer has no default payment method that could be charged. Set one first, or choose one here.")
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	d := journal.Decision{Result: s.Ref()}
	for _, each := range slices.Concat([]*Subscription{s}, w.Others) {
		if each.PaymentMethodID != c.PaymentMethodID {
			d.Drafts = append(d.Drafts, each.charged(c.PaymentMethodID))
		}
	}
	return d, nil
}

// charged gives the event of another payment method; with an empty id the customer's default is charged.
func (s *Subscription) charged(method id.ID) journal.Draft {
	next := journal.Clone(s)
	next.PaymentMethodID = method
	var mention []journal.Ref
	if method != "" {
		mention = append(mention, journal.Ref{Kind: journal.PaymentMethod, ID: method})
	}
	return change(journal.SubscriptionPaymentMethodChanged, s, next, nil, mention...)
}

// FollowDefault gives the event of a subscription whose own payment method was declined while the customer's default paid: from now on
// the default is charged. ok is false for one that follows it already, or has ended.
func FollowDefault(s *Subscription, o Order) (d journal.Draft, ok bool) {
	if s.PaymentMethodID == "" || !s.Open() {
		return journal.Draft{}, false
	}
	d = s.charged("")
	d.Mentions = append(d.Mentions, o.ref())
	return d, true
}

// ChangeBackupPaymentMethod says what is charged when the payment method fails; unless cancelled or expired. With an empty
// id that is the customer's backup.
type ChangeBackupPaymentMethod struct {
	ID              id.ID
	PaymentMethodID id.ID
}

func (c ChangeBackupPaymentMethod) Load(r journal.Reader) (World, error) {
	w, err := withMethod(r, c.ID, c.PaymentMethodID)
	if err == nil {
		w.Customer, err = journal.Get[customer.Customer](r, journal.Customer, w.Subscription.CustomerID)
	}
	return w, err
}

func (c ChangeBackupPaymentMethod) Decide(w World, _ time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionBackupPaymentMethod); err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	switch {
	case c.PaymentMethodID == "":
	case c.PaymentMethodID == cmp.Or(s.PaymentMethodID, w.Customer.DefaultPaymentMethodID):
		f.Add("/payment_method_id", "backup_itself", "This is the payment method itself. The backup is another one.")
	default:
		method(&f, "/payment_method_id", w.PaymentMethod, c.PaymentMethodID, s.CustomerID)
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(s)
	next.BackupPaymentMethodID = c.PaymentMethodID
	return decide(journal.SubscriptionBackupPaymentMethodChanged, s, next, nil, journal.Ref{Kind: journal.PaymentMethod, ID: c.PaymentMethodID})
}

// ChangeDeliveryPrice sets what the delivery of an order costs; from active and paused.
type ChangeDeliveryPrice struct {
	ID    id.ID
	Price money.Amount
}

func (c ChangeDeliveryPrice) Load(r journal.Reader) (World, error) { return load(r, c.ID) }

func (c ChangeDeliveryPrice) Decide(w World, _ time.Time) (journal.Decision, error) {
	s := w.Subscription
	if err := s.May(ActionDeliveryPrice); err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	price(&f, "/delivery_price", c.Price, s.Currency)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(s)
	next.DeliveryPrice = c.Price
	return decide(journal.SubscriptionDeliveryPriceChanged, s, next, nil)
}

func withMethod(r journal.Reader, key, method id.ID) (World, error) {
	w, err := load(r, key)
	if err != nil {
		return w, err
	}
	w.PaymentMethod, err = journal.Find[customer.PaymentMethod](r, journal.PaymentMethod, method)
	return w, err
}
