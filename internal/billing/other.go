package billing

import (
	"slices"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/subscription"
)

// TakenCharge is what the gateway took for an attempt, in its name and not its amount.
type TakenCharge struct {
	GatewayID string       `json:"gateway_id"`
	Amount    money.Amount `json:"amount"` // it may be in another currency
}

// Differing gives the open attempt of an order for which the gateway took another amount, if there is one: a person has to say what becomes
// of it.
func Differing(o *Order) (Attempt, bool) {
	a, open := OpenAttempt(o)
	return a, open && a.Other != nil
}

// NoteOtherCharge says that the gateway took another amount for an open attempt than the attempt asked for: billing_attempt.amount_differs,
// once. The attempt stays open until EndOtherCharge.
type NoteOtherCharge struct {
	OrderID   id.ID
	AttemptID id.ID
	GatewayID string
	Amount    money.Amount
}

type otherDetails struct {
	Attempt   int          `json:"attempt"`
	Asked     money.Amount `json:"asked"`
	Amount    money.Amount `json:"amount"` // that was taken
	GatewayID string       `json:"gateway_id"`
}

func (c NoteOtherCharge) Load(r journal.Reader) (World, error) { return loadOrder(r, c.OrderID) }

func (c NoteOtherCharge) Decide(w World, _ time.Time) (journal.Decision, error) {
	d := journal.Decision{Result: w.Order.Ref()}
	is := TakenCharge{line(c.GatewayID, 200), c.Amount}
	i := slices.IndexFunc(w.Order.Attempts, func(a Attempt) bool { return a.ID == c.AttemptID && a.open() && a.Amount != c.Amount })
	if i < 0 || w.Order.Attempts[i].Other != nil && *w.Order.Attempts[i].Other == is {
		return d, nil
	}
	next := journal.Clone(w.Order)
	next.Attempts[i].Other = &is
	d.Drafts = []journal.Draft{w.Order.otherDraft(journal.BillingAttemptAmountDiffers, next, next.Attempts[i])}
	return d, nil
}

func (o *Order) otherDraft(typ journal.Name, next *Order, a Attempt) journal.Draft {
	d := orderDraft(typ, o, next, methodRef(a.PaymentMethodID))
	asked := a.Amount
	if a.Status == AttemptSucceeded {
		asked = o.Due()
	}
	d.Details = otherDetails{o.ordinal(a.ID), asked, a.Other.Amount, a.Other.GatewayID}
	return d
}

// EndOtherCharge ends an attempt for which the gateway took another amount. A person says how:
//
//   - with Accept the money is taken as the payment (billing_attempt.amount_accepted). A pending order is placed: what is missing is waived,
//     and what is too much is Owed. Money of another currency cannot be taken so (other_currency).
//   - without it all of the money goes back (billing_attempt.amount_refused, with a repayment), and a pending order is cancelled as CancelOrder
//     does.
//
// It refuses an order without such an attempt (no_other_charge).
type EndOtherCharge struct {
	OrderID id.ID
	Accept  bool
}

func (c EndOtherCharge) Load(r journal.Reader) (World, error) { return loadCase(r, c.OrderID) }

func (c EndOtherCharge) Decide(w World, now time.Time) (journal.Decision, error) {
	o := w.Order
	open, ok := Differing(o)
	switch {
	case !ok:
		return journal.Decision{}, fault.New(fault.Conflict, "no_other_charge",
			"The payment gateway took no other amount for order %s than it was asked for.", o.Number)
	case c.Accept && open.Other.Amount.Currency != o.Total.Currency:
		return journal.Decision{}, fault.New(fault.Conflict, "other_currency",
			"The order is in %s, and %s was taken. It can only go back.", o.Total.Currency, open.Other.Amount.Format())
	}
	next := journal.Clone(o)
	a := &next.Attempts[slices.IndexFunc(next.Attempts, func(a Attempt) bool { return a.ID == open.ID })]
	a.GatewayID, a.FinishedAt, a.Message = open.Other.GatewayID, journal.AtPtr(now), ""
	t := w.story(now)
	if c.Accept {
		a.Status, a.Code, a.Amount = AttemptSucceeded, "", open.Other.Amount
		at := t.tell(o.otherDraft(journal.BillingAttemptAmountAccepted, next, *a), 0)
		if o.Status != Pending {
			return t.decision(), nil
		}
		placed := journal.Clone(t.order)
		if missing := o.Due().Minor - a.Amount.Minor; missing > 0 {
			placed.Waived = new(money.Of(missing, o.Total.Currency))
		}
		err := t.place(placed, at)
		return t.decision(), err
	}
	a.Status, a.Code = AttemptFailed, codeOtherAmount
	next.Repayments = append(next.Repayments, Repayment{
		Number: next.repaymentNumber(), AttemptID: a.ID, Amount: open.Other.Amount, Status: AttemptStarted, StartedAt: journal.At(now), Uncounted: true,
	})
	t.tell(o.otherDraft(journal.BillingAttemptAmountRefused, next, *a), 0)
	if o.Status != Pending {
		return t.decision(), nil
	}
	if err := t.giveUp(Cancelled, 1); err != nil {
		return journal.Decision{}, err
	}
	switch {
	case inRecovery(o, w.Subscription):
		if err := t.abandon(); err != nil {
			return journal.Decision{}, err
		}
	case Awaited(o, w.Subscription):
		t.retell(subscription.Passed(t.sub, o.view()), 2)
	}
	return t.decision(), nil
}

// codeOtherAmount is the code of an attempt that ended because another amount was taken, and goes back.
const codeOtherAmount = "other_amount"
