package settings

import (
	"time"

	"perennial/internal/fault"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// Update saves a page: the whole document, as a PUT of the page brings it. The first save makes the page's row. Wrong
// fields are refused together. The currency is refused once the shop has had a subscription (Conflict, currency_in_use):
// the amounts of subscriptions, orders and refunds are in it.
//
// With the currency goes the default delivery price, which has no meaning in another currency: where there was one it
// becomes 0 in the new currency, with an event of the page "shipping" in the same command.
type Update struct{ Document Document }

// World is what the rules of the settings may see.
type World struct {
	General    *General
	Current    journal.State // the page as it is; nil when it was never saved
	Shipping   *Shipping     // only when the currency changes
	Subscribed bool          // the shop has, or had, a subscription; only asked when the currency changes
}

// subscriptionStatuses are the values of the column "status" of subscriptions. Package subscription, which owns them,
// imports this one.
var subscriptionStatuses = [...]string{"active", "paused", "failed", "cancelled", "expired"}

// Load needs the page and the page "general", without which no other page can be saved; when the currency changes,
// also the page "shipping" and whether there is any subscription.
func (c Update) Load(r journal.Reader) (w World, err error) {
	current, ok, err := r.State(c.Document.Ref())
	if err != nil {
		return w, err
	}
	if ok {
		w.Current = current
	}
	next, general := c.Document.(*General)
	if !general {
		w.General, err = journal.Get[General](r, journal.Settings, PageGeneral)
		return w, err
	}
	if w.General, err = journal.Find[General](r, journal.Settings, PageGeneral); err != nil {
		return w, err
	}
	if w.General == nil || w.General.Currency == next.Currency {
		return w, nil
	}
	if w.Shipping, err = journal.Find[Shipping](r, journal.Settings, PageShipping); err != nil {
		return w, err
	}
	for _, status := range subscriptionStatuses {
		ids, err := r.Where(journal.Subscription, "status", status)
		if err != nil {
			return w, err
		}
		if len(ids) > 0 {
			w.Subscribed = true
			break
		}
	}
	return w, nil
}

// Decide refuses wrong fields and a currency that cannot change.
func (c Update) Decide(w World, _ time.Time) (journal.Decision, error) {
	next := c.Document.tidied()
	var f fault.Fields
	next.check(&f)
	if s, ok := next.(*Shipping); ok && money.ValidCurrency(s.DefaultDeliveryPrice.Currency) &&
		s.DefaultDeliveryPrice.Currency != w.General.Currency {
		f.Add("/default_delivery_price/currency", "wrong_currency", "The shop sells in {currency}.", "currency", w.General.Currency)
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	d := journal.Decision{Result: next.Ref()}
	changes, err := journal.Diff(w.Current, next)
	if err != nil || len(changes) == 0 {
		return d, err
	}
	d.Drafts = append(d.Drafts, journal.Draft{Type: EventType(next.Ref().ID), Before: w.Current, After: next})
	g, ok := next.(*General)
	if !ok || w.General == nil || w.General.Currency == g.Currency {
		return d, nil
	}
	if w.Subscribed {
		return journal.Decision{}, fault.New(fault.Conflict, "currency_in_use",
			"The shop has subscriptions in %s, so its currency cannot change any more.", w.General.Currency)
	}
	if w.Shipping != nil && w.Shipping.DefaultDeliveryPrice.Currency != g.Currency {
		shipping := journal.Clone(w.Shipping)
		shipping.DefaultDeliveryPrice = money.Amount{Currency: g.Currency}
		d.Drafts = append(d.Drafts, journal.Draft{Type: EventType(PageShipping), Before: w.Shipping, After: shipping})
	}
	return d, nil
}

// Undo says whether a save may be undone, where restored is what the page would say then. The first save cannot
// (undo_first), a change of the currency neither (undo_currency): whether a subscription exists by now is asked when
// the page is saved. A page that would not be accepted today is refused with undo_not_allowed.
func Undo(e *journal.Event, _ time.Time, _, restored journal.State, general *General) error {
	if e.TargetVersion == 1 {
		return fault.New(fault.Conflict, "undo_first", "This was the first save of the page, so there is nothing before it to put back.")
	}
	if _, ok := e.Change("currency"); ok {
		return fault.New(fault.Conflict, "undo_currency", "A change of the currency is not undone. Change it again on the settings page.")
	}
	doc, ok := restored.(Document)
	if !ok {
		return fault.New(fault.Conflict, "undo_not_allowed", "This entry is not about a settings page.")
	}
	if err := Check(doc); err != nil {
		return fault.Wrap(err, fault.Conflict, "undo_not_allowed", "What the page said before would not be accepted today.")
	}
	if s, ok := doc.(*Shipping); ok && s.DefaultDeliveryPrice.Currency != general.Currency {
		return fault.New(fault.Conflict, "undo_currency", "The delivery price was in %s. The shop sells in %s now.",
			s.DefaultDeliveryPrice.Currency, general.Currency)
	}
	return nil
}
