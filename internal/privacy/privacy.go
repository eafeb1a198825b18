// Package privacy erases a customer. One command touches every row that holds a copy of the person's data and makes an
// event for each, all or nothing: what is open is cancelled, then the personal fields of subscriptions, orders,
// addresses, payment methods and the customer become Erased. Nothing else of these rows changes, so sums and histories
// stay what they were.
//
// The command is half of an erasure. Whoever runs it destroys the customer's key in the same transaction, which takes
// the values out of the journal itself; the events here make replay come to the same states as that does.
//
// privacy_test.go proves that no row of the customer holds a personal value afterwards, and that the rows of other
// customers are as they were.
package privacy

import (
	"time"

	"perennial/internal/billing"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/subscription"
)

// Redact erases a customer for ever, once (Conflict, status_redacted). Open subscriptions and pending orders are
// cancelled first. A charge that is on its way is not called back: its outcome still comes to the cancelled order, whose
// money is refunded from there.
type Redact struct {
	CustomerID   id.ID
	ConfirmEmail string // the customer's e-mail address, whatever the case of its letters: nobody erases the wrong person by a slip
}

// World is every row that knows the customer.
type World struct {
	Customer       *customer.Customer
	Addresses      []*customer.Address
	PaymentMethods []*customer.PaymentMethod
	Subscriptions  []*subscription.Subscription
	Orders         []*billing.Order
	Stock          billing.Stock // of the orders that are cancelled
}

func (c Redact) Load(r journal.Reader) (w World, err error) {
	if w.Customer, err = journal.Get[customer.Customer](r, journal.Customer, c.CustomerID); err != nil {
		return w, err
	}
	if w.Addresses, err = journal.Where[customer.Address](r, journal.Address, "customer_id", string(c.CustomerID)); err != nil {
		return w, err
	}
	if w.PaymentMethods, err = journal.Where[customer.PaymentMethod](r, journal.PaymentMethod, "customer_id",
		string(c.CustomerID)); err != nil {
		return w, err
	}
	if w.Subscriptions, err = journal.Where[subscription.Subscription](r, journal.Subscription, "customer_id",
		string(c.CustomerID)); err != nil {
		return w, err
	}
	if w.Orders, err = journal.Where[billing.Order](r, journal.Order, "customer_id", string(c.CustomerID)); err != nil {
		return w, err
	}
	var pending []*billing.Order
	for _, o := range w.Orders {
		if o.Status == billing.Pending {
			pending = append(pending, o)
		}
	}
	w.Stock, err = billing.LoadStock(r, pending...)
	return w, err
}

// Decide refuses a second erasure, and an e-mail address that is not the customer's (a wrong field, 422).
func (c Redact) Decide(w World, now time.Time) (journal.Decision, error) {
	if w.Customer.Status == customer.Redacted {
		return journal.Decision{}, fault.New(fault.Conflict, "status_redacted", "This customer's personal data was erased already.")
	}
	// In a database that was restored from before an erasure the values are gone already, with the key that could seal anything: the
	// erasure is finished then, and there is no address left to confirm.
	restored := w.Customer.Email.Erased
	if !restored && plain.EmailKey(c.ConfirmEmail) != plain.EmailKey(w.Customer.Email.Value) {
		var f fault.Fields
		f.Add("/confirm_email", "email_differs", "This is not the customer's e-mail address.")
		return journal.Decision{}, f.Err()
	}
	d := journal.Decision{Result: w.Customer.Ref()}
	ended := make([]*subscription.Subscription, len(w.Subscriptions))
	for i, s := range w.Subscriptions {
		ended[i] = s
		if !s.Open() {
			continue
		}
		cancel, err := subscription.Cancel{ID: s.ID}.Decide(subscription.World{Subscription: s}, now)
		if err != nil {
			return journal.Decision{}, err
		}
		for _, draft := range cancel.Drafts {
			ended[i] = draft.After.(*subscription.Subscription)
		}
		d.Drafts = journal.AppendDrafts(d.Drafts, 0, cancel.Drafts...)
	}
	orders, released, err := billing.Redact(w.Orders, w.Stock, now)
	if err != nil {
		return journal.Decision{}, err
	}
	d.Drafts = journal.AppendDrafts(d.Drafts, 0, orders...)
	for _, s := range ended {
		next := journal.Clone(s)
		journal.Erase(next)
		d.Drafts = append(d.Drafts,
			journal.Draft{Type: journal.SubscriptionRedacted, Before: s, After: next, Mentions: []journal.Ref{w.Customer.Ref()}})
	}
	own, names := customer.RedactOwn(w.Customer, w.Addresses, w.PaymentMethods)
	d.Drafts = journal.AppendDrafts(d.Drafts, 0, own...)
	d.Reservations = append(released, names...)
	for i := range d.Drafts {
		d.Drafts[i].KeyGone = restored
	}
	return d, nil
}
