package billing

import (
	"slices"
	"time"

	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// story is a decision while it is being told: the events so far, and the states after the last of them. Every step
// names the event that caused it, by its position counted from 1 (0: the command itself), so that "why was I charged?"
// can be walked back.
type story struct {
	drafts       []journal.Draft
	reservations []journal.Reservation
	order        *Order
	sub          *subscription.Subscription
	stock        Stock
	w            World // as it was before
	now          time.Time
}

func (w World) story(now time.Time) *story {
	return &story{order: w.Order, sub: w.Subscription, stock: w.Stock.clone(), w: w, now: now}
}

// because says which entry brought the whole decision about, where it is known.
func (t *story) because(cause id.ID) {
	if len(t.drafts) > 0 && t.drafts[0].CausedByDraft == 0 {
		t.drafts[0].CausedBy = cause
	}
}

func (t *story) decision() journal.Decision {
	return journal.Decision{Drafts: t.drafts, Reservations: t.reservations, Result: t.order.Ref()}
}

// tell adds an event and gives its position.
func (t *story) tell(d journal.Draft, cause int) int {
	d.CausedByDraft = cause
	t.drafts = append(t.drafts, d)
	t.moved(d.After)
	return len(t.drafts)
}

// retell adds events that another package put together; those without a cause of their own get this one.
func (t *story) retell(drafts []journal.Draft, cause int) {
	t.drafts = journal.AppendDrafts(t.drafts, cause, drafts...)
	for _, d := range drafts {
		t.moved(d.After)
	}
}

func (t *story) moved(s journal.State) {
	switch s := s.(type) {
	case *Order:
		t.order = s
	case *subscription.Subscription:
		t.sub = s
	}
}

type startedDetails struct {
	Attempt         int          `json:"attempt"` // which one of the order, from 1
	Amount          money.Amount `json:"amount"`
	PaymentMethodID id.ID        `json:"payment_method_id"`
}

type resultDetails struct {
	Attempt int          `json:"attempt"`
	Amount  money.Amount `json:"amount"`
	Code    string       `json:"code,omitzero"`
	Message string       `json:"message,omitzero"`
	Silent  bool         `json:"silent,omitzero"` // of a failure: the customer is not told
}

// start begins the charge of the order.
func (t *story) start(attempt id.ID, m *customer.PaymentMethod, cause int) {
	next := journal.Clone(t.order)
	next.withAttempt(Attempt{
		ID: attempt, Key: next.key(), PaymentMethodID: m.ID, Amount: next.Due(), Status: AttemptStarted, StartedAt: journal.At(t.now),
	})
	d := orderDraft(journal.BillingAttemptStarted, t.order, next, methodRef(m.ID))
	d.Details = startedDetails{len(next.Attempts), next.Due(), m.ID}
	t.tell(d, cause)
}

// codeNoMethod is the code of an attempt that failed because there was nothing to charge.
const codeNoMethod = "no_payment_method"

// codeGivenUp is the code of an attempt that was cancelled while it waited for the customer.
const codeGivenUp = "cancelled"

// charge begins the charge, or fails at once when there is nothing to charge.
func (t *story) charge(attempt id.ID, on civil.Date, cause int) error {
	if m := t.w.choose(t.order); m != nil {
		t.start(attempt, m, cause)
		return nil
	}
	next := journal.Clone(t.order)
	next.withAttempt(Attempt{
		ID: attempt, Amount: next.Due(), Status: AttemptFailed, Code: codeNoMethod, Message: "There is no payment method that can be charged.",
		StartedAt: journal.At(t.now), FinishedAt: journal.AtPtr(t.now),
	})
	d := orderDraft(journal.BillingAttemptFailed, t.order, next)
	d.Details = resultDetails{Attempt: len(next.Attempts), Amount: next.Due(), Code: codeNoMethod}
	return t.declined(codeNoMethod, on, t.tell(d, cause))
}

// choose gives the payment method to charge next: of those that did not fail for good with this order, the one that
// failed least often with it, and among equals the first choice. So a new card is tried before old ones. A backup gets its
// one turn before any of them is tried again, unless the last failure was none of the card's. What the gateway refused for good in
// another case comes after everything else.
func (w World) choose(o *Order) *customer.PaymentMethod {
	failed, hard := map[id.ID]int{}, map[id.ID]bool{}
	for _, a := range o.Attempts {
		if a.Status == AttemptFailed && !w.renewed(a) {
			failed[a.PaymentMethodID]++
			hard[a.PaymentMethodID] = hard[a.PaymentMethodID] || a.Hard
		}
	}
	var best *customer.PaymentMethod
	for _, m := range w.Methods {
		if hard[m.ID] {
			continue
		}
		if best == nil || dead(m) < dead(best) || dead(m) == dead(best) && failed[m.ID] < failed[best.ID] {
			best = m
		}
	}
	if best != nil && failed[best.ID] == 0 && dead(best) == 0 {
		return best
	}
	if b := w.backup(o); b != nil && (best == nil || dead(b) < dead(best) || dead(b) == dead(best) && otherCardHelps(o)) {
		return b
	}
	return best
}

// dead is 1 for a payment method that the gateway refused for good, and was not renewed since.
func dead(m *customer.PaymentMethod) int {
	if m.RefusedAt != nil {
		return 1
	}
	return 0
}

// backup gives the first backup that was not tried for the order, one that works if there is one.
func (w World) backup(o *Order) (first *customer.PaymentMethod) {
	for _, m := range w.Backups {
		if !o.tried(m) && (first == nil || dead(m) < dead(first)) {
			first = m
		}
	}
	return first
}

func (o *Order) tried(m *customer.PaymentMethod) bool {
	return slices.ContainsFunc(o.Attempts, func(a Attempt) bool { return a.PaymentMethodID == m.ID && !a.before(m) })
}

// before says whether an attempt was made with what a payment method was before it was renewed.
func (a Attempt) before(m *customer.PaymentMethod) bool {
	return m.RenewedAt != nil && a.StartedAt.Before(m.RenewedAt.Time)
}

// renewed says whether the payment method of an attempt was renewed since.
func (w World) renewed(a Attempt) bool {
	return slices.ContainsFunc(slices.Concat(w.Methods, w.Backups), func(m *customer.PaymentMethod) bool { return m.ID == a.PaymentMethodID && a.before(m) })
}

// passing are the codes of failures that have nothing to do with the card: the gateway or the bank could not work.
var passing = []string{"processing_error", "issuer_not_available", "try_again_later", "reenter_transaction"}

// otherCardHelps says whether the order's last failure is one that another card could cure.
func otherCardHelps(o *Order) bool {
	all := Chronological(o)
	n := len(all)
	return n > 0 && all[n-1].Status == AttemptFailed && (all[n-1].Hard || !slices.Contains(passing, all[n-1].Code))
}

// codeTooSmall is the gateway's code for an amount that it does not charge: see payment.CodeAmountTooSmall.
const codeTooSmall = "amount_too_small"

type placedDetails struct {
	Waived      *money.Amount `json:"waived,omitzero"`
	CarriedOver *money.Amount `json:"carried_over,omitzero"`
}

// waive places an order that is too small to be charged: it is free, or charged with the next one if the store wants that and one comes.
func (t *story) waive(cause int) error {
	next, due := journal.Clone(t.order), t.order.Due()
	if t.w.Billing.SmallOrders != settings.SmallCarry || !subscription.BillsAgain(t.sub, next.view()) {
		next.Waived = &due
		return t.place(next, cause)
	}
	next.CarriedOver = &due
	if err := t.place(next, cause); err != nil {
		return err
	}
	t.tell(subscription.CarryOver(t.sub, next.view(), due), cause)
	return nil
}

// placed is what comes of the money: the order is placed, and its subscription renewed.
func (t *story) placed(cause int) error { return t.place(journal.Clone(t.order), cause) }

func (t *story) place(next *Order, cause int) error {
	if err := next.become(Placed); err != nil {
		return err
	}
	next.PlacedAt = journal.AtPtr(t.now)
	t.readdress(next)
	t.reservations = append(t.reservations, released(t.order)...)
	d := orderDraft(journal.OrderPlaced, t.order, next)
	switch {
	case next.Waived != nil && *next.Waived == next.Due(): // else a part was paid
		d.Details = placedDetails{Waived: next.Waived}
	case next.CarriedOver != nil:
		d.Details = placedDetails{CarriedOver: next.CarriedOver}
	}
	at := t.tell(d, cause)
	t.retell(subscription.Renewed(t.sub, next.view()), at)
	if t.outlived(next) {
		if d, ok := subscription.FollowDefault(t.sub, next.view()); ok {
			t.tell(d, cause)
		}
	}
	return nil
}

// outlived says whether the subscription's own payment method failed with an order that the customer's default paid. A backup that paid says
// nothing: it is there for that. Nor does a failure that was none of the card's.
func (t *story) outlived(o *Order) bool {
	own, standard := t.sub.PaymentMethodID, t.w.Customer.DefaultPaymentMethodID
	failed, paid := false, false
	for _, a := range o.Attempts {
		switch {
		case a.Status == AttemptSucceeded:
			paid = a.PaymentMethodID == standard
		case a.Status == AttemptFailed && a.PaymentMethodID == own:
			failed = failed || a.Hard || a.Code != codeGivenUp && !slices.Contains(passing, a.Code)
		}
	}
	return own != "" && standard != "" && own != standard && failed && paid
}

// failure is a charge of the order that failed on a day.
func (w World) failure(o *Order, code string, on civil.Date) subscription.Failure {
	return subscription.Failure{Code: code, On: on, Attempts: len(o.Attempts), Spent: w.choose(o) == nil}
}

// declined is what comes of a charge that failed on a day. An order of the rhythm that is still waited for goes into
// recovery, or on to its next retry, or is given up after the last one. Any other order is given up at once: an extra
// order must not stop the rhythm, and one that the subscription went on without is not wanted any more.
func (t *story) declined(code string, on civil.Date, cause int) error {
	f := t.w.failure(t.order, code, on)
	switch {
	case inRecovery(t.order, t.sub):
	case Awaited(t.order, t.sub):
		d, err := subscription.EnterRecovery(t.sub, t.order.view(), f, t.w.Recovery)
		if err != nil {
			return err
		}
		cause = t.tell(d, cause)
	default:
		return t.giveUp(Failed, cause)
	}
	if d, ok := subscription.AfterFailure(t.sub, f); ok {
		t.tell(d, cause)
		return nil
	}
	return t.exhausted(cause)
}

// exhausted ends the recovery of an order that stays unpaid.
func (t *story) exhausted(cause int) error {
	drafts, err := subscription.Exhausted(t.sub, t.order.view(), t.now)
	if err != nil {
		return err
	}
	at := len(t.drafts) + 1
	t.retell(drafts, cause)
	return t.giveUp(Failed, at)
}

// abandon ends the recovery of an order that a person cancelled, as the end action "skip" does after the last retry.
func (t *story) abandon() error {
	skipping := journal.Clone(t.sub)
	skipping.Recovery.EndAction = settings.EndSkip
	drafts, err := subscription.Exhausted(skipping, t.order.view(), t.now)
	if err != nil {
		return err
	}
	drafts[0].Type, drafts[0].Before = journal.RecoveryAbandoned, t.sub
	t.retell(drafts, 1)
	return nil
}

// giveUp ends the order unpaid, and its pieces go back into stock.
func (t *story) giveUp(to Status, cause int) error {
	next, err := t.order.ended(to, t.now)
	if err != nil {
		return err
	}
	t.reservations = append(t.reservations, released(t.order)...)
	at := t.tell(orderDraft(journal.Name("order."+string(to)), t.order, next), cause)
	drafts, err := t.stock.giveBack(next, at)
	t.drafts = append(t.drafts, drafts...)
	return err
}
