package billing

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/plain"
)

// Refund sends money of an order back: Amount, or all that is left when it is nil. It is never more than what was paid
// without what was refunded before and what the bank gave back, or holds (Conflict, refund_too_large). Nothing goes back into stock.
type Refund struct {
	OrderID id.ID
	Amount  *money.Amount
	Reason  string // at most 500 characters; none when the customer was erased
}

type refundDetails struct {
	Amount money.Amount             `json:"amount"`
	Reason journal.Personal[string] `json:"reason,omitzero"`
}

func (c Refund) Load(r journal.Reader) (World, error) { return loadOrder(r, c.OrderID) }

// Decide refuses wrong fields, an order that nothing was paid for (nothing_paid, or its status), and too much.
func (c Refund) Decide(w World, now time.Time) (journal.Decision, error) {
	left := Refundable(w.Order)
	amount := left
	var f fault.Fields
	if c.Amount != nil {
		amount = *c.Amount
		if amount.Currency != left.Currency {
			f.Add("/amount/currency", "wrong_currency", "The order was paid in {currency}.", "currency", left.Currency)
		}
		if amount.Minor < 1 {
			f.Add("/amount/amount", "refund_too_small", "A refund is at least 1 minor unit.")
		}
	}
	if why := plain.MultiLine(c.Reason, 500); why != nil {
		f.Refuse("/reason", why)
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	switch {
	case Paid(w.Order).IsZero() && w.Order.Status != Placed:
		return journal.Decision{}, w.Order.refused("nothing was paid for it")
	case Paid(w.Order).IsZero():
		return journal.Decision{}, fault.New(fault.Conflict, "nothing_paid", "The order was free, so there is nothing to refund.")
	case left.IsZero() && Received(w.Order).IsZero():
		return journal.Decision{}, fault.New(fault.Conflict, "already_refunded", "All that was paid for the order was refunded.")
	case left.IsZero():
		return journal.Decision{}, fault.New(fault.Conflict, "disputed", "The cardholder contests the payment, or got it back from the bank: a refund would send it back twice.")
	case amount.Minor > left.Minor:
		return journal.Decision{}, fault.New(fault.Conflict, "refund_too_large", "At most %s of the order can be refunded.", left.Format())
	}
	next := journal.Clone(w.Order)
	next.Refunded.Minor += amount.Minor
	next.repay(amount, now)
	if err := next.settleStatus(); err != nil {
		return journal.Decision{}, err
	}
	d := orderDraft(journal.OrderRefunded, w.Order, next)
	d.Details = refundDetails{Amount: amount, Reason: journal.Secluded(c.Reason)}
	return journal.Decision{Drafts: []journal.Draft{d}, Result: next.Ref()}, nil
}

// settleStatus gives a paid order the status that its refunds come to. What was taken for nothing goes back without a change.
func (o *Order) settleStatus() error {
	net := Received(o)
	to := Placed
	switch {
	case net.IsZero():
		to = Refunded
	case net.Minor < o.Due().Minor:
		to = PartiallyRefunded
	}
	if o.Status == to || o.Status != Placed && o.Status != PartiallyRefunded && o.Status != Refunded {
		return nil
	}
	return o.become(to)
}

// disputed gives what banks took back of each charge, or hold. Of a dispute whose charge is not known it is the first that is large enough.
func disputed(o *Order) map[id.ID]int64 {
	gone := map[id.ID]int64{}
	for _, d := range AllDisputes(o) {
		if !d.holds() {
			continue
		}
		i := slices.IndexFunc(o.Attempts, func(a Attempt) bool {
			return a.ID == d.AttemptID || d.AttemptID == "" && a.Status == AttemptSucceeded && a.Amount.Minor-gone[a.ID] >= d.Amount.Minor
		})
		if i >= 0 {
			gone[o.Attempts[i].ID] += d.Amount.Minor
		}
	}
	return gone
}

// repay spreads an amount over the charges that took money, the latest first. A charge that no gateway made needs no call.
func (o *Order) repay(amount money.Amount, now time.Time) {
	left, gone := amount.Minor, disputed(o)
	for i := len(o.Attempts) - 1; i >= 0 && left > 0; i-- {
		a := o.Attempts[i]
		if a.Status != AttemptSucceeded {
			continue
		}
		there := a.Amount.Minor
		for _, r := range o.Repayments {
			if r.AttemptID == a.ID && r.Status != AttemptFailed {
				there -= r.Amount.Minor
			}
		}
		part := min(there-min(there, gone[a.ID]), left)
		if part <= 0 {
			continue
		}
		left -= part
		r := Repayment{Number: o.repaymentNumber(), AttemptID: a.ID, Amount: money.Of(part, amount.Currency), Status: AttemptStarted, StartedAt: journal.At(now)}
		if a.GatewayID == "" {
			r.Status, r.FinishedAt = AttemptSucceeded, journal.AtPtr(now)
		}
		o.Repayments = append(o.Repayments, r)
	}
}

// FinishRepayment records what the gateway says of a refund. One that it refuses takes the refund back, also when it had said that it
// succeeded: a bank can send money back. Any other second answer changes nothing.
type FinishRepayment struct {
	OrderID   id.ID
	Number    string
	Succeeded bool
	Code      string
	GatewayID string
}

type repaymentDetails struct {
	Repayment string       `json:"repayment"`
	Amount    money.Amount `json:"amount"`
	Code      string       `json:"code,omitzero"`
}

func (c FinishRepayment) Load(r journal.Reader) (World, error) { return loadOrder(r, c.OrderID) }

func (c FinishRepayment) Decide(w World, now time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Order)
	for i := range next.Repayments {
		r := &next.Repayments[i]
		late := !c.Succeeded && r.Status == AttemptSucceeded
		if r.Number != c.Number || r.Status != AttemptStarted && !late {
			continue
		}
		r.FinishedAt, r.GatewayID = journal.AtPtr(now), cmp.Or(line(c.GatewayID, 200), r.GatewayID)
		typ := journal.OrderRefundCompleted
		r.Status = AttemptSucceeded
		if !c.Succeeded {
			typ, r.Status, r.Code = journal.OrderRefundFailed, AttemptFailed, code(c.Code)
			if !r.Uncounted {
				next.Refunded.Minor -= r.Amount.Minor
			}
		}
		details := repaymentDetails{r.Number, r.Amount, r.Code}
		if err := next.settleStatus(); err != nil {
			return journal.Decision{}, err
		}
		d := orderDraft(typ, w.Order, next)
		d.Details = details
		return journal.Decision{Drafts: []journal.Draft{d}, Result: next.Ref()}, nil
	}
	return journal.Decision{Result: w.Order.Ref()}, nil
}

// Fulfil says that a paid order is on its way, or the next delivery of a prepaid one (order.delivery_fulfilled, and
// order.fulfilled with the last). It is done once: the same tracking address again changes nothing, another one is refused
// (already_fulfilled).
type Fulfil struct {
	OrderID     id.ID
	TrackingURL string // may be empty
}

func (c Fulfil) Load(r journal.Reader) (World, error) { return loadOrder(r, c.OrderID) }

// Decide refuses a wrong address, and an order that is not paid or was refunded in full (status_<status>).
func (c Fulfil) Decide(w World, now time.Time) (journal.Decision, error) {
	if c.TrackingURL != "" {
		if why := plain.URL(c.TrackingURL); why != nil {
			var f fault.Fields
			f.Refuse("/tracking_url", why)
			return journal.Decision{}, f.Err()
		}
	}
	o := w.Order
	switch {
	case o.FulfilledAt != nil && (o.TrackingURL.Value == c.TrackingURL || c.TrackingURL == ""):
		return journal.Decision{Result: o.Ref()}, nil
	case o.FulfilledAt != nil:
		return journal.Decision{}, fault.New(fault.Conflict, "already_fulfilled", "The order was fulfilled on %s.", o.FulfilledAt.Format(time.DateOnly))
	case o.Status != Placed && o.Status != PartiallyRefunded:
		return journal.Decision{}, o.refused("it cannot be sent")
	}
	next := journal.Clone(o)
	typ, details := journal.OrderFulfilled, any(nil)
	if i := slices.IndexFunc(o.Deliveries, func(d Delivery) bool { return d.FulfilledAt == nil }); i >= 0 {
		if i > 0 && c.TrackingURL != "" && o.TrackingURL.Value == c.TrackingURL {
			return journal.Decision{Result: o.Ref()}, nil
		}
		next.Deliveries[i].FulfilledAt = journal.AtPtr(now)
		details = deliveryDetails{i + 1, len(o.Deliveries)}
		if i < len(o.Deliveries)-1 {
			typ = journal.OrderDeliveryFulfilled
		}
	}
	if typ == journal.OrderFulfilled {
		next.FulfilledAt = journal.AtPtr(now)
	}
	if !next.TrackingURL.Erased {
		next.TrackingURL = journal.Secluded(c.TrackingURL)
	}
	d := orderDraft(typ, o, next)
	d.Details = details
	return journal.Decision{Drafts: []journal.Draft{d}, Result: next.Ref()}, nil
}

type deliveryDetails struct {
	Delivery int `json:"delivery"` // from 1
	Of       int `json:"of"`
}

// Redact gives the events that erase what a customer's orders know of them, with stock as it is before: pending orders are cancelled
// first and their pieces go back. The payment of a charge that is on its way still comes to its order, as Owed. What is
// left is one decision's part: program puts it beside the customer's own events.
func Redact(orders []*Order, stock Stock, now time.Time) (drafts []journal.Draft, release []journal.Reservation, err error) {
	stock = stock.clone()
	for _, o := range orders {
		if o.Status == Pending {
			next, err := o.ended(Cancelled, now)
			if err != nil {
				return nil, nil, err
			}
			drafts = append(drafts, orderDraft(journal.OrderCancelled, o, next))
			cause := len(drafts)
			back, err := stock.giveBack(o, cause)
			if err != nil {
				return nil, nil, err
			}
			drafts = append(drafts, back...)
			release = append(release, released(o)...)
			o = next
		}
		next := journal.Clone(o)
		journal.Erase(next)
		changes, err := journal.Diff(o, next)
		if err != nil {
			return nil, nil, err
		}
		if len(changes) > 0 {
			drafts = append(drafts, orderDraft(journal.OrderRedacted, o, next))
		}
	}
	return drafts, release, nil
}

// Check says which invariant of an order is broken, if any.
func Check(o *Order) error {
	broken := func(format string, args ...any) error {
		return fmt.Errorf("order %s: %s", o.ID, fmt.Sprintf(format, args...))
	}
	for name, a := range map[string]money.Amount{
		"subtotal": o.Subtotal, "discount": o.Discount, "delivery": o.Delivery, "tax": o.Tax, "total": o.Total, "refunded": o.Refunded,
	} {
		if a.Minor < 0 || a.Currency != o.Total.Currency {
			return broken("its %s is %v, its total %v", name, a, o.Total)
		}
	}
	if o.Total.Minor != o.Subtotal.Minor-o.Discount.Minor+o.Delivery.Minor+o.Tax.Minor {
		return broken("the total is not the sum of its parts")
	}
	var lines, off int64
	for _, l := range o.Items {
		if l.InsteadOf != "" && l.InsteadOf == l.VariantID {
			return broken("the line of %s is in the place of itself", l.VariantID)
		}
		if l.Quantity < 1 || l.Total.Minor != l.UnitPrice.Minor*int64(l.Quantity)*o.times(l) {
			return broken("the line of %s does not add up", l.VariantID)
		}
		lines += l.Total.Minor
		off += l.Discount.Minor
	}
	if lines != o.Subtotal.Minor || off != o.Discount.Minor {
		return broken("the lines come to %d and %d off, not to the subtotal and its discount", lines, off)
	}
	open := 0
	for i, a := range o.Attempts {
		if i > 0 && o.Attempts[i-1].ID >= a.ID {
			return broken("its attempts are not in order")
		}
		if a.Amount != o.Due() && (a.Other == nil || a.Amount != a.Other.Amount || a.Status != AttemptSucceeded) {
			return broken("attempt %s is for %v", a.ID, a.Amount)
		}
		if a.open() {
			open++
		}
		if (a.FinishedAt == nil) != a.open() {
			return broken("attempt %s is %s, and finished %v", a.ID, a.Status, a.FinishedAt)
		}
	}
	paid := Paid(o)
	placed := false
	switch o.Status {
	case Placed, PartiallyRefunded, Refunded:
		placed = true
	case Pending, Failed, Cancelled:
	default:
		return broken("it has the status %q", o.Status)
	}
	switch {
	case open > 1:
		return broken("%d charges are open", open)
	case placed != (o.PlacedAt != nil):
		return broken("it is %s, and placed at %v", o.Status, o.PlacedAt)
	case o.Waived != nil && (o.Waived.Minor < 1 || o.Waived.Minor > o.Due().Minor || !placed):
		return broken("%v of %v are waived, and it is %s", o.Waived, o.Total, o.Status)
	case o.CarriedOver != nil && (*o.CarriedOver != o.Due() || o.Waived != nil || !placed):
		return broken("%v of %v are carried over, and it is %s", o.CarriedOver, o.Due(), o.Status)
	case o.Carried != nil && (o.Carried.Minor < 1 || o.Carried.Currency != o.Total.Currency):
		return broken("%v were carried to it", o.Carried)
	case o.Waived != nil && paid.Minor < o.Due().Minor-o.Waived.Minor:
		return broken("%v of %v are waived, and %v are paid", o.Waived, o.Total, paid)
	case placed && o.Waived == nil && o.CarriedOver == nil && paid.Minor < o.Due().Minor:
		return broken("it is placed, and %v of %v are paid", paid, o.Due())
	case o.Status == Pending && !paid.IsZero():
		return broken("it is paid, and not placed")
	case o.Refunded.Minor > paid.Minor:
		return broken("%v of %v were refunded", o.Refunded, paid)
	case o.Status == Refunded && o.Refunded.Minor < paid.Minor:
		return broken("it is refunded, and %v of %v were sent back", o.Refunded, paid)
	case (o.Status == Cancelled) != (o.CancelledAt != nil):
		return broken("it is %s, and cancelled at %v", o.Status, o.CancelledAt)
	case len(o.Deliveries) == 1, len(o.Deliveries) > 1 && (o.FulfilledAt != nil) != (o.Deliveries[len(o.Deliveries)-1].FulfilledAt != nil):
		return broken("it has %d deliveries, and is fulfilled at %v", len(o.Deliveries), o.FulfilledAt)
	case o.FulfilledAt != nil && !placed:
		return broken("it is sent, and %s", o.Status)
	}
	return nil
}
