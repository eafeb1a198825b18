package billing

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/subscription"
)

// Result is what the gateway said about a charge.
type Result string

// The results.
const (
	Succeeded      Result = "succeeded"
	Declined       Result = "declined"
	ActionRequired Result = "action_required" // the customer has to confirm the payment; the charge stays open
)

// FinishAttempt takes the gateway's answer about an attempt, as often and as late as it comes: an answer that says
// nothing new changes nothing. A success always counts, because money was taken: after a failure too, and for an order
// that was given up, which then is Owed. Nothing else changes an attempt that has ended.
//
//   - Succeeded: billing_attempt.succeeded, order.placed, and what subscription.Renewed tells of the subscription.
//   - Declined: billing_attempt.failed. For the order that the subscription waits for: recovery.entered and
//     recovery.retry_scheduled, or the next recovery.retry_scheduled, or after the last one recovery.exhausted, the
//     action that ends the case, and order.failed; recovery.card_requested when nothing is left to charge. An order that
//     is not waited for fails at once. Before all that a backup gets its turn: billing_attempt.started. An order that is
//     too small to be charged is placed, and free.
//   - ActionRequired: billing_attempt.action_required. The order waits; ask the gateway again later.
//
// What is learned about a payment method stays: payment_method.refused when the gateway refuses it for good, payment_method.accepted when it
// works after that; and a subscription whose own method failed while the customer's default paid follows the default from then on.
type FinishAttempt struct {
	OrderID   id.ID
	AttemptID id.ID
	Result    Result
	Code      string // of the failure: a code of the gateway
	Message   string // of the failure: a sentence of the gateway
	GatewayID string // what the gateway calls the charge
	Hard      bool   // the gateway says that the method will not work again

	// BackupAttemptID is the attempt with which a backup is charged at once, where another card could cure the failure; empty:
	// it gets its turn at the first retry.
	BackupAttemptID id.ID
	Cause           id.ID // the entry that the answer is to, where it is known
}

func (c FinishAttempt) Load(r journal.Reader) (World, error) {
	w, err := loadCase(r, c.OrderID)
	if err != nil {
		return w, err
	}
	if i := slices.IndexFunc(w.Order.Attempts, func(a Attempt) bool { return a.ID == c.AttemptID }); i >= 0 {
		w.Charged, err = journal.Find[customer.PaymentMethod](r, journal.PaymentMethod, w.Order.Attempts[i].PaymentMethodID)
	}
	return w, err
}

// Decide is the rule. It refuses an attempt that the order does not have (unknown_attempt).
func (c FinishAttempt) Decide(w World, now time.Time) (journal.Decision, error) {
	o := w.Order
	i := slices.IndexFunc(o.Attempts, func(a Attempt) bool { return a.ID == c.AttemptID })
	if i < 0 {
		return journal.Decision{}, fault.New(fault.NotFound, "unknown_attempt", "Order %s has no payment attempt %s.", o.Number, c.AttemptID)
	}
	next := journal.Clone(o)
	a := &next.Attempts[i]
	var typ journal.Name
	switch {
	case a.Status == AttemptSucceeded:
	case c.Result == Succeeded:
		typ, a.Status, a.Code, a.Message = journal.BillingAttemptSucceeded, AttemptSucceeded, "", ""
		a.FinishedAt = journal.AtPtr(now)
	case a.Status == AttemptFailed:
	case c.Result == Declined:
		typ, a.Status, a.Code, a.Message, a.Hard = journal.BillingAttemptFailed, AttemptFailed, code(c.Code), message(c.Message), c.Hard
		a.FinishedAt = journal.AtPtr(now)
	case c.Result == ActionRequired && a.Status == AttemptStarted:
		typ, a.Status, a.Code, a.Message = journal.BillingAttemptActionRequired, AttemptActionRequired, code(c.Code), message(c.Message)
	}
	if typ == "" {
		return journal.Decision{Result: o.Ref()}, nil
	}
	a.GatewayID = cmp.Or(line(c.GatewayID, 200), a.GatewayID)
	d := orderDraft(typ, o, next, methodRef(a.PaymentMethodID))
	told := resultDetails{Attempt: o.ordinal(a.ID), Amount: a.Amount, Code: a.Code, Message: a.Message}
	tooSmall := a.Status == AttemptFailed && a.Code == codeTooSmall
	if a.Status == AttemptFailed && !tooSmall && o.Status == Pending && Awaited(o, w.Subscription) {
		told.Silent = subscription.Silent(w.Subscription, w.failure(next, a.Code, w.today(now)), w.Recovery)
	}
	d.Details = told

	t := w.story(now)
	at := t.tell(d, 0)
	if refused := a.Status == AttemptFailed && a.Hard; refused || a.Status == AttemptSucceeded {
		if d, ok := customer.Charged(w.Charged, refused, now, next.Ref()); ok {
			t.tell(d, at)
		}
	}
	var err error
	switch {
	case o.Status != Pending:
	case a.Status == AttemptSucceeded:
		err = t.placed(at)
	case tooSmall && wanted(o, w.Subscription):
		err = t.waive(at)
	case a.Status == AttemptFailed:
		if b := w.backup(next); b != nil && c.BackupAttemptID != "" && otherCardHelps(next) && wanted(o, w.Subscription) {
			t.start(c.BackupAttemptID, b, at)
			break
		}
		err = t.declined(a.Code, w.today(now), at)
	}
	t.because(c.Cause)
	return t.decision(), err
}

// DelayAttempt says that the gateway refused to try a payment because of the shop: the request, the key, the account. Nothing was
// taken and nothing is held against the customer: the attempt stays open, and is tried again. It is told once for each code
// (billing_attempt.delayed).
type DelayAttempt struct {
	OrderID   id.ID
	AttemptID id.ID
	Code      string
}

func (c DelayAttempt) Load(r journal.Reader) (World, error) { return loadOrder(r, c.OrderID) }

func (c DelayAttempt) Decide(w World, _ time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Order)
	d := journal.Decision{Result: next.Ref()}
	for i := range next.Attempts {
		a := &next.Attempts[i]
		if a.ID != c.AttemptID || a.Status != AttemptStarted || a.Code == code(c.Code) {
			continue
		}
		a.Code = code(c.Code)
		draft := orderDraft(journal.BillingAttemptDelayed, w.Order, next, methodRef(a.PaymentMethodID))
		draft.Details = resultDetails{Attempt: w.Order.ordinal(a.ID), Amount: a.Amount, Code: a.Code}
		d.Drafts = append(d.Drafts, draft)
	}
	return d, nil
}

// Delayed says whether the gateway refused an attempt because of the shop, and it waits to be tried again.
func (a Attempt) Delayed() bool { return a.Status == AttemptStarted && a.Code != "" }

// RetryOrder charges an order in recovery once more, on the day that was set for it, or at any time when a person asks.
// It refuses a day that has not come (not_due), an order that its subscription is not in recovery for (not_in_recovery,
// or the order's status), and a second charge beside an open one (charge_open). When nothing is left to charge, a person
// is refused (no_payment_method), the scheduled attempt fails at once, and a case that waited for a new payment method
// ends. With NewCard it is tried at any time, but only with a payment method that is new to the order (not_due).
type RetryOrder struct {
	OrderID   id.ID
	AttemptID id.ID
	Today     civil.Date // in the shop's zone
	Asked     bool       // a person asks
	NewCard   bool       // the customer may have a new payment method
	Cause     id.ID      // the entry that brings it about, where it is known
}

func (c RetryOrder) Load(r journal.Reader) (World, error) { return loadCase(r, c.OrderID) }

func (c RetryOrder) Decide(w World, now time.Time) (journal.Decision, error) {
	o, s := w.Order, w.Subscription
	if o.Status != Pending {
		return journal.Decision{}, o.refused("it cannot be charged")
	}
	if err := o.chargeOpen(); err != nil {
		return journal.Decision{}, err
	}
	if !inRecovery(o, s) {
		return journal.Decision{}, fault.New(fault.Conflict, "not_in_recovery", "The subscription does not wait for order %s any more.", o.Number)
	}
	method, at := w.choose(o), s.Recovery.Due()
	fresh := c.NewCard && w.fresh(method)
	if !c.Asked && !fresh && (c.NewCard || at == nil || at.After(c.Today)) {
		return journal.Decision{}, fault.New(fault.Conflict, "not_due", "The payment of order %s is not due to be tried again today.", o.Number)
	}
	if c.Asked && method == nil {
		return journal.Decision{}, fault.New(fault.Conflict, codeNoMethod, "There is no payment method left that can be charged. Add one first.")
	}
	t := w.story(now)
	var err error
	if method == nil && s.Recovery.NeedsCard {
		err = t.exhausted(0)
	} else {
		err = t.charge(c.AttemptID, c.Today, 0)
	}
	t.because(c.Cause)
	return t.decision(), err
}

// NewMethod says whether the customer has a payment method that an order was not tried with, and that comes before the others.
func NewMethod(r journal.Reader, o *Order) (bool, error) {
	w, err := loadCase(r, o.ID)
	return err == nil && w.fresh(w.choose(w.Order)), err
}

func (w World) fresh(m *customer.PaymentMethod) bool {
	waits := w.Subscription.Recovery != nil && w.Subscription.Recovery.NeedsCard // for whatever can be charged, a backup too
	return m != nil && !w.Order.tried(m) && (waits || slices.Contains(w.Methods, m))
}

// CancelOrder gives up an order that is not paid: order.cancelled, and its pieces go back into stock. When the
// subscription waits for it, its date is skipped, and a recovery ends (recovery.abandoned). It refuses
// an order that is not pending (status_<status>) and one whose charge is on its way (charge_open): its result comes first. A
// charge that waits for the customer is given up with it, see Unwanted, and so is one that the gateway refuses because of the shop.
type CancelOrder struct{ OrderID id.ID }

func (c CancelOrder) Load(r journal.Reader) (World, error) { return loadCase(r, c.OrderID) }

func (c CancelOrder) Decide(w World, now time.Time) (journal.Decision, error) {
	o := w.Order
	if o.Status != Pending {
		return journal.Decision{}, o.refused("it cannot be cancelled")
	}
	if a, open := OpenAttempt(o); open && a.Status == AttemptStarted && !a.Delayed() {
		return journal.Decision{}, o.chargeOpen()
	}
	t := w.story(now)
	if err := t.giveUp(Cancelled, 0); err != nil {
		return journal.Decision{}, err
	}
	switch {
	case inRecovery(o, w.Subscription):
		if err := t.abandon(); err != nil {
			return journal.Decision{}, err
		}
	case Awaited(o, w.Subscription): // it waits for the customer
		t.retell(subscription.Passed(t.sub, o.view()), 1)
	}
	return t.decision(), nil
}

// CloseStale cancels an order that nobody waits for any more (Stale): order.cancelled, and its pieces go back into stock. Any other
// order stays as it is, so it can be run any number of times.
type CloseStale struct {
	OrderID id.ID
	Cause   id.ID // the entry that ended the waiting, where it is known
}

func (c CloseStale) Load(r journal.Reader) (World, error) { return loadCase(r, c.OrderID) }

func (c CloseStale) Decide(w World, now time.Time) (journal.Decision, error) {
	if !Stale(w.Order, w.Subscription) {
		return journal.Decision{Result: w.Order.Ref()}, nil
	}
	t := w.story(now)
	err := t.giveUp(Cancelled, 0)
	t.because(c.Cause)
	return t.decision(), err
}

// ConfirmWithin is how long a payment waits for its customer to confirm it.
const ConfirmWithin = 72 * time.Hour

// Unwanted says whether an attempt that waits for the customer is to be cancelled at the gateway: the customer took longer than
// ConfirmWithin, or the order is not wanted any more. What the gateway says to it is its result.
func (a Attempt) Unwanted(o *Order, s *subscription.Subscription, now time.Time) bool {
	return a.Status == AttemptActionRequired && (o.Status != Pending || !wanted(o, s) || now.Sub(a.StartedAt.Time) >= ConfirmWithin)
}

// wanted says whether the subscription would still take an order that is not paid.
func wanted(o *Order, s *subscription.Subscription) bool {
	return Awaited(o, s) || o.Cycle == nil && s.Open()
}

// chargeOpen refuses to touch an order whose charge may still succeed.
func (o *Order) chargeOpen() error {
	a, ok := OpenAttempt(o)
	switch {
	case !ok:
		return nil
	case a.Other != nil:
		return fault.New(fault.Conflict, "charge_open", "The gateway took another amount for order %s. Say first what becomes of it.", o.Number)
	case a.Status == AttemptActionRequired:
		return fault.New(fault.Conflict, "charge_open", "The payment of order %s waits for the customer to confirm it.", o.Number)
	}
	return fault.New(fault.Conflict, "charge_open", "The payment of order %s is on its way. Wait for its result.", o.Number)
}

// KeepsItems implements subscription.Unpaid.
func (o *Order) KeepsItems() error {
	code, why, until := "order_open", "Order %s of the subscription is not paid yet.", "it is paid or cancelled"
	if a, open := OpenAttempt(o); open {
		code, why, until = "charge_open", "The payment of order %s is on its way.", "its result is known"
		if a.Status == AttemptActionRequired {
			why, until = "The payment of order %s waits for the customer to confirm it.", "it is paid or cancelled"
		}
	}
	return fault.New(fault.Conflict, code, why+" Its items stay where they are until %s.", o.Number, until)
}

// ordinal gives which attempt of the order this is, from 1, as they were started.
func (o *Order) ordinal(attempt id.ID) int {
	return 1 + slices.IndexFunc(Chronological(o), func(a Attempt) bool { return a.ID == attempt })
}

// What the gateway says comes from outside: it is cut and made safe to show, never refused, because the charge
// happened whatever its words.

func code(s string) string { return cmp.Or(line(s, 100), "declined") }

func message(s string) string { return line(s, 500) }

func line(s string, runes int) string {
	s = plain.Escape(strings.Join(strings.Fields(s), " "))
	if r := []rune(s); len(r) > runes {
		s = string(r[:runes])
	}
	return s
}
