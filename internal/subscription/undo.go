package subscription

import (
	"slices"
	"time"

	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
)

// undoing names, for each type that can be undone, the action that undoing it amounts to: what is not allowed as an
// action is not allowed as an undo.
var undoing = map[journal.Name]Action{
	journal.SubscriptionPaused:                     ActionResume,
	journal.SubscriptionResumed:                    ActionPause,
	journal.SubscriptionCancelled:                  ActionReactivate,
	journal.SubscriptionReactivated:                ActionCancel,
	journal.SubscriptionOrderSkipped:               ActionUnskip,
	journal.SubscriptionOrderUnskipped:             ActionSkip,
	journal.SubscriptionNextBillingDateChanged:     ActionReschedule,
	journal.SubscriptionFrequencyChanged:           ActionFrequency,
	journal.SubscriptionOrderGifted:                ActionGift,
	journal.SubscriptionItemAdded:                  ActionRemoveItem,
	journal.SubscriptionItemRemoved:                ActionAddItem,
	journal.SubscriptionItemQuantityChanged:        ActionChangeQuantity,
	journal.SubscriptionItemSwapped:                ActionSwapItem,
	journal.SubscriptionItemPriceOverridden:        ActionChangePrice,
	journal.SubscriptionOneTimeItemAdded:           ActionRemoveItem,
	journal.SubscriptionOneTimeItemRemoved:         ActionAddItem,
	journal.SubscriptionShippingAddressChanged:     ActionShippingAddress,
	journal.SubscriptionPaymentMethodChanged:       ActionPaymentMethod,
	journal.SubscriptionBackupPaymentMethodChanged: ActionBackupPaymentMethod,
	journal.SubscriptionDeliveryPriceChanged:       ActionDeliveryPrice,
	journal.SubscriptionDiscountApplied:            ActionDiscount,
	journal.SubscriptionDiscountRemoved:            ActionDiscount,
	journal.SubscriptionNoteChanged:                ActionNote,
	journal.SubscriptionAttributesChanged:          ActionAttributes,
}

// Undo says whether an entry of a subscription may be undone, where restored is what the subscription would be then.
// It refuses what would be refused as an action now, and dates that have passed: erased, merged_away, status_<status>,
// undo_payment_failed, undo_date_passed, undo_last_item, undo_not_allowed. Restore adds undo_billed.
func Undo(e *journal.Event, now time.Time, current, restored journal.State, general *settings.General) error {
	s, back := current.(*Subscription), restored.(*Subscription)
	no := func(code, sentence string) *fault.Error { return fault.New(fault.Conflict, code, "%s", sentence) }
	action, ok := undoing[e.Type]
	switch {
	case !ok:
		return no("not_undoable", "This entry of a subscription cannot be undone.")
	case s.Note.Erased || s.Gifts.Erased || s.Attributes.Erased || s.CancelReason.Erased:
		return no("erased", "The customer's personal data was erased.")
	case s.MergedInto != "" && e.Type == journal.SubscriptionCancelled:
		return no("merged_away", "The subscription was merged into {into}, which has its items now.").With("into", s.MergedInto)
	case back.Status == Failed && s.Status != Failed:
		return no("undo_payment_failed", "Before this a payment had failed, and that order is over. "+again[s.Status]+" the subscription instead.")
	case back.recurring() == 0:
		return no("undo_last_item", "Nothing would be left in the subscription. Add another item first, or cancel it.")
	}
	if err := s.May(action); err != nil {
		return err
	}
	if d, passed := passedDate(e, s, back, settings.Today(general, now)); passed {
		return no("undo_date_passed", "This cannot be put back any more: {date} has passed.").With("date", d)
	}
	if err := Check(back); err != nil {
		return fault.Wrap(err, fault.Conflict, "undo_not_allowed", "What this entry changed does not fit with what came after it.")
	}
	return nil
}

// Restore says, for an undo, what Undo cannot see. An item that comes once is for one order: it is not put back when an order was billed
// since (undo_billed), which may have had it. An address or a payment method that comes back is asked what the action asks: that it was
// not removed since (undo_removed), and that the shop sends there (undo_not_allowed).
func Restore(r journal.Reader, later []*journal.Event, current, restored *Subscription) error {
	billed := slices.ContainsFunc(later, func(e *journal.Event) bool { return e.Type == journal.SubscriptionRenewed })
	for _, it := range restored.Items {
		was := slices.ContainsFunc(current.Items, func(x Item) bool { return x.ID == it.ID && x.OneTime })
		if billed && it.OneTime && !was {
			return fault.New(fault.Conflict, "undo_billed",
				"{title} was for one order, and an order was billed since. Add it again if it is to come with the next one.").With("title", it.Title)
		}
	}
	if key := restored.ShippingAddressID; key != "" && key != current.ShippingAddressID {
		if err := shipsAgain(r, key); err != nil {
			return err
		}
	}
	if key := restored.PaymentMethodID; key != current.PaymentMethodID {
		if key == "" {
			owner, err := journal.Find[customer.Customer](r, journal.Customer, restored.CustomerID)
			if err != nil {
				return err
			}
			if owner == nil || owner.DefaultPaymentMethodID == "" {
				return fault.New(fault.Conflict, "undo_removed", "The customer has no default payment method any more, which was charged then.")
			}
		} else if err := chargesAgain(r, key); err != nil {
			return err
		}
	}
	if key := restored.BackupPaymentMethodID; key != "" && key != current.BackupPaymentMethodID {
		return chargesAgain(r, key)
	}
	return nil
}

func shipsAgain(r journal.Reader, address id.ID) error {
	a, err := journal.Find[customer.Address](r, journal.Address, address)
	if err != nil {
		return err
	}
	if a == nil || a.Status != customer.StatusActive {
		return fault.New(fault.Conflict, "undo_removed", "The address that orders went to then was removed since.")
	}
	w := World{}
	if err := w.shipping(r); err != nil {
		return err
	}
	if !w.Shipping.Ships(a.Country) {
		return fault.New(fault.Conflict, "undo_country", "The shop does not send to {country}.").With("country", a.Country)
	}
	return nil
}

func chargesAgain(r journal.Reader, method id.ID) error {
	p, err := journal.Find[customer.PaymentMethod](r, journal.PaymentMethod, method)
	if err == nil && (p == nil || p.Status != customer.StatusActive) {
		err = fault.New(fault.Conflict, "undo_removed", "The payment method of then cannot be charged any more.")
	}
	return err
}

var again = map[Status]string{Paused: "Resume", Cancelled: "Reactivate"}

// passedDate finds a date that the undo would bring back and that is over: a next order before today, a pause until
// today or earlier, or a skip of an order that the next order has gone past.
func passedDate(e *journal.Event, s, back *Subscription, today civil.Date) (civil.Date, bool) {
	if d := back.NextBillingDate; d != nil && d.Before(today) && (s.NextBillingDate == nil || *d != *s.NextBillingDate) {
		return *d, true
	}
	if d := back.PausedUntil; d != nil && !d.After(today) && back.Status == Paused {
		return *d, true
	}
	skip := e.Type == journal.SubscriptionOrderSkipped || e.Type == journal.SubscriptionOrderUnskipped
	if _, moved := e.Change("next_billing_date"); !skip || moved || s.NextBillingDate == nil {
		return civil.Date{}, false
	}
	// Only a later date than the next one was touched then. Both lists are sorted; they differ in that date.
	for _, d := range slices.Concat(s.SkippedDates, back.SkippedDates) {
		if slices.Contains(s.SkippedDates, d) != slices.Contains(back.SkippedDates, d) && !d.After(*s.NextBillingDate) {
			return d, true
		}
	}
	return civil.Date{}, false
}
