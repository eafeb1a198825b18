package billing

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// What an order and the gateway's books can disagree about.
const (
	ExtraCharge   = "extra_charge"   // the gateway took money that the order does not know of
	MissingCharge = "missing_charge" // the order was paid by a charge that the gateway does not have
	OtherCharge   = "other_charge"   // both have it, with another amount
	ExtraRefund   = "extra_refund"
	MissingRefund = "missing_refund"
	OtherRefund   = "other_refund"
)

// Difference is one of them.
type Difference struct {
	ID        string        `json:"id"` // what and gateway_id: the same difference has the same one every day
	What      string        `json:"what"`
	GatewayID string        `json:"gateway_id"`
	Ours      *money.Amount `json:"ours"`   // null: the order does not have it
	Theirs    *money.Amount `json:"theirs"` // null: the gateway does not have it
	At        journal.Time  `json:"at"`     // when the money moved
}

// Moved is a charge that took money, or a refund, as the gateway's books have it.
type Moved struct {
	ID       string
	Key      string // of a charge: the idempotency key that it was asked for with
	Attempt  id.ID  // of a charge: the attempt of that key, where there is one
	ChargeID string // of a refund
	Amount   money.Amount
	At       time.Time
}

// Books is what a gateway knows of one order. They are complete from From to To; what is in them beside that only
// explains what the order has.
type Books struct {
	From, To         time.Time
	Charges, Refunds []Moved
	Confirmed        []id.ID // attempts that are not in Charges, and that the gateway says succeeded when asked
}

func (b Books) covers(t time.Time) bool { return !t.Before(b.From) && t.Before(b.To) }

// attempt gives the attempt that a charge of the gateway is.
func (o *Order) attempt(m Moved) (Attempt, bool) {
	i := slices.IndexFunc(o.Attempts, func(a Attempt) bool {
		return a.ID == m.Attempt && (a.GatewayID == m.ID || a.GatewayID == "")
	})
	if i < 0 {
		return Attempt{}, false
	}
	return o.Attempts[i], true
}

// Unsettled gives the attempts of an order that took money by the gateway's books and have not succeeded here: FinishAttempt is due.
func Unsettled(o *Order, b Books) (out []Moved) {
	for _, m := range b.Charges {
		if a, ok := o.attempt(m); ok && a.Status != AttemptSucceeded && a.Amount == m.Amount {
			out = append(out, m)
		}
	}
	return out
}

// Unconfirmed gives the attempts that succeeded here while the books are complete, and are not in them. A payment that the customer
// confirmed days later is in the books of an earlier day, so the gateway is asked about each.
func Unconfirmed(o *Order, b Books) (out []Attempt) {
	for _, a := range o.Attempts {
		if a.Status == AttemptSucceeded && a.GatewayID != "" && b.covers(a.FinishedAt.Time) && !slices.Contains(b.Confirmed, a.ID) &&
			!slices.ContainsFunc(b.Charges, func(m Moved) bool { return m.ID == a.GatewayID }) {
			out = append(out, a)
		}
	}
	return out
}

// Differ compares an order with the gateway's books. What has no result yet is no difference: it comes to one by itself.
func Differ(o *Order, b Books) (out []Difference) {
	add := func(what, key string, ours, theirs *money.Amount, at time.Time) {
		if b.covers(at) {
			out = append(out, Difference{ID: what + ":" + key, What: what, GatewayID: key, Ours: ours, Theirs: theirs, At: journal.At(at)})
		}
	}
	returned := map[string]int64{} // by charge
	for _, r := range b.Refunds {
		returned[r.ChargeID] += r.Amount.Minor
	}
	gone := map[string]bool{} // extra charges that went back in full
	for _, m := range b.Charges {
		a, ok := o.attempt(m)
		ok = ok && (a.Status == AttemptSucceeded || a.Amount == m.Amount) // another amount is not what the attempt asked for
		switch {
		case !ok && returned[m.ID] == m.Amount.Minor:
			gone[m.ID] = true
		case !ok:
			add(ExtraCharge, m.ID, nil, &m.Amount, m.At)
		case a.Status == AttemptSucceeded && a.Amount != m.Amount:
			add(OtherCharge, m.ID, &a.Amount, &m.Amount, m.At)
		}
	}
	for _, a := range Unconfirmed(o, b) {
		add(MissingCharge, a.GatewayID, &a.Amount, nil, a.FinishedAt.Time)
	}
	_, _, open := OpenRepayment(o)
	for _, m := range b.Refunds {
		i := slices.IndexFunc(o.Repayments, func(r Repayment) bool { return r.GatewayID == m.ID && r.Status != AttemptFailed })
		switch {
		case gone[m.ChargeID] || i < 0 && open:
		case i < 0:
			add(ExtraRefund, m.ID, nil, &m.Amount, m.At)
		case o.Repayments[i].Amount != m.Amount:
			add(OtherRefund, m.ID, &o.Repayments[i].Amount, &m.Amount, m.At)
		}
	}
	for _, r := range o.Repayments {
		// The money moved between its start and its end.
		if r.Status == AttemptSucceeded && r.GatewayID != "" && b.covers(r.StartedAt.Time) && !slices.ContainsFunc(b.Refunds, func(m Moved) bool { return m.ID == r.GatewayID }) {
			add(MissingRefund, r.GatewayID, &r.Amount, nil, r.FinishedAt.Time)
		}
	}
	slices.SortFunc(out, func(x, y Difference) int { return cmp.Compare(x.ID, y.ID) })
	return slices.CompactFunc(out, func(x, y Difference) bool { return x.ID == y.ID })
}

// Reconcile holds an order against the gateway's books. A difference that was not known is a billing.difference_found, one that is
// gone a billing.difference_settled. What was seen beside the days of the books stays.
type Reconcile struct {
	OrderID id.ID
	Books   Books
}

type differenceDetails struct {
	What      string        `json:"what"`
	GatewayID string        `json:"gateway_id"`
	Ours      *money.Amount `json:"ours,omitzero"`
	Theirs    *money.Amount `json:"theirs,omitzero"`
}

func (c Reconcile) Load(r journal.Reader) (World, error) { return loadOrder(r, c.OrderID) }

func (c Reconcile) Decide(w World, _ time.Time) (journal.Decision, error) {
	o, found := w.Order, Differ(w.Order, c.Books)
	d := journal.Decision{Result: o.Ref()}
	has := func(list []Difference, key string) bool {
		return slices.ContainsFunc(list, func(x Difference) bool { return x.ID == key })
	}
	tell := func(typ journal.Name, x Difference, change func(*Order)) {
		next := journal.Clone(o)
		change(next)
		draft := orderDraft(typ, o, next)
		draft.Details = differenceDetails{x.What, x.GatewayID, x.Ours, x.Theirs}
		d.Drafts = append(d.Drafts, draft)
		o = next
	}
	for _, x := range w.Order.Differences {
		if c.Books.covers(x.At.Time) && !has(found, x.ID) {
			tell(journal.BillingDifferenceSettled, x, func(next *Order) {
				next.Differences = slices.DeleteFunc(next.Differences, func(y Difference) bool { return y.ID == x.ID })
			})
		}
	}
	for _, x := range found {
		if !has(o.Differences, x.ID) {
			tell(journal.BillingDifferenceFound, x, func(next *Order) {
				i, _ := slices.BinarySearchFunc(next.Differences, x.ID, func(y Difference, key string) int { return cmp.Compare(y.ID, key) })
				next.Differences = slices.Insert(next.Differences, i, x)
			})
		}
	}
	return d, nil
}

// Stray is a charge that took money, or a refund, in this program's name and for an order that the shop does not have. There is no row
// to keep it in: each comparison says which there are.
type Stray struct {
	OrderID   id.ID        `json:"order_id"`
	What      string       `json:"what"` // ExtraCharge or ExtraRefund
	GatewayID string       `json:"gateway_id"`
	Amount    money.Amount `json:"amount"`
	At        journal.Time `json:"at"`
}

// Strays gives those in the books of an order that the shop does not have. A charge that went back in full is none.
func Strays(order id.ID, b Books) (out []Stray) {
	for _, d := range Differ(&Order{ID: order}, b) {
		out = append(out, Stray{order, d.What, d.GatewayID, *d.Theirs, d.At})
	}
	return out
}

// Reconciled says that the orders were held against the gateway's books: once a day.
type Reconciled struct {
	Shop             id.ID
	From, To         civil.Date // the first and the last day, in the shop's zone
	Charges, Refunds int        // of this shop, that the gateway moved on these days
	Foreign          int        // movements that others made with the same account at the gateway
	Open             int        // differences, those without an order included
	Orders           []id.ID    // that have them, at most MaxDiffering
	Strays           []Stray    // at most MaxDiffering
}

// MaxDiffering is how many orders with differences, and how many strays, an entry names.
const MaxDiffering = 50

// ReconciledDetails are the details of a billing.reconciled.
type ReconciledDetails struct {
	From    civil.Date `json:"from"`
	To      civil.Date `json:"to"`
	Charges int        `json:"charges"`
	Refunds int        `json:"refunds"`
	Foreign int        `json:"foreign"`
	Open    int        `json:"open"`
	Orders  []id.ID    `json:"orders,omitzero"`
	Strays  []Stray    `json:"strays,omitzero"`
}

func (Reconciled) Load(journal.Reader) (World, error) { return World{}, nil }

// Decide refuses nothing: it tells what was seen.
func (c Reconciled) Decide(World, time.Time) (journal.Decision, error) {
	ref := journal.Ref{Kind: journal.Shop, ID: c.Shop}
	return journal.Decision{Result: ref, Drafts: []journal.Draft{{Type: journal.BillingReconciled, Target: ref, Details: ReconciledDetails{c.From, c.To, c.Charges, c.Refunds,
		c.Foreign, c.Open, c.Orders[:min(len(c.Orders), MaxDiffering)], c.Strays[:min(len(c.Strays), MaxDiffering)]}}}}, nil
}

// ReadReconciled reads the details of a billing.reconciled. Of a stray, old ones say only what the gateway calls it.
func ReadReconciled(e *journal.Event) (d ReconciledDetails, err error) {
	var unknown []string
	for _, x := range e.Details {
		if into := map[string]any{"from": &d.From, "to": &d.To, "charges": &d.Charges, "refunds": &d.Refunds, "foreign": &d.Foreign, "open": &d.Open, "orders": &d.Orders, "strays": &d.Strays, "unknown": &unknown}[x.Name]; into != nil {
			if err := json.Unmarshal(x.Value, into); err != nil {
				return d, err
			}
		}
	}
	for _, key := range unknown {
		d.Strays = append(d.Strays, Stray{GatewayID: key})
	}
	return d, nil
}
