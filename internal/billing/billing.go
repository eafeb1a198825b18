// Package billing holds the rules of orders and of charging for them: an order is created before it is charged, and
// placed once it is paid.
//
// A charge is two commands with the gateway between them. The first (CreateOrder, OrderNow, RetryOrder) writes
// billing_attempt.started and nothing is charged before that entry is committed; the attempt has the gateway's idempotency
// key, which says what is paid (Attempt.Key), so that a restored database knows a charge again that it has lost. The second (FinishAttempt) writes what the gateway answered. After a crash between the two, OpenAttempt
// names the attempt to ask the gateway about, and FinishAttempt takes the answer as if nothing had happened. So these
// hold, whatever order results come in and however often (TestMachine):
//
//   - a position of the rhythm is billed once: a subscription has at most one order of its rhythm that waits for money
//     (ScopeOpenOrder), and a paid one uses its position up;
//   - an order has at most one open attempt, and a status changes only as transitions says;
//   - what an order was paid is the sum of its attempts that succeeded, refunds are never more, and money that came in for
//     an order that is not placed is Owed, in plain sight, until it is refunded.
//
// docs/billing-rules.md tells the same rules to the people of a store.
package billing

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/subscription"
)

// Status of an order.
type Status string

// The statuses.
const (
	Pending           Status = "pending" // created, not paid yet
	Placed            Status = "placed"  // paid
	Failed            Status = "failed"  // given up
	Cancelled         Status = "cancelled"
	Refunded          Status = "refunded"
	PartiallyRefunded Status = "partially_refunded"
)

// transitions is the table of an order's statuses: where each may lead. What is not here is final.
var transitions = map[Status][]Status{
	Pending:           {Placed, Failed, Cancelled},
	Placed:            {PartiallyRefunded, Refunded},
	PartiallyRefunded: {Refunded, Placed}, // back, when the gateway refuses a refund
	Refunded:          {PartiallyRefunded, Placed},
}

// Becomes says whether an order of this status may get the status to.
func (s Status) Becomes(to Status) bool { return slices.Contains(transitions[s], to) }

// The statuses of an attempt. Started and ActionRequired are open: the gateway may still take the money.
const (
	AttemptStarted        = "started"
	AttemptSucceeded      = "succeeded"
	AttemptFailed         = "failed"
	AttemptActionRequired = "action_required" // the customer has to confirm the payment
)

// ScopeOpenOrder is the scope of the reservation that a subscription holds while an order of its rhythm waits for
// money: the value is the subscription's id, the owner the order's.
const ScopeOpenOrder = subscription.ScopeOpenOrder

// Line is one line of an order: what the subscription's item was when the order was made.
type Line struct {
	ItemID    id.ID        `json:"item_id"`
	VariantID id.ID        `json:"variant_id"`
	ProductID id.ID        `json:"product_id"`
	Title     string       `json:"title"`
	Quantity  int          `json:"quantity"`
	UnitPrice money.Amount `json:"unit_price"` // after the plan's pricing
	Total     money.Amount `json:"total"`      // before discounts
	Discount  money.Amount `json:"discount"`   // its share of the order's discount
	OneTime   bool         `json:"one_time"`
	FromStock bool         `json:"from_stock"` // its pieces were taken from the variant's stock, and go back if the order is not paid
	InsteadOf id.ID        `json:"instead_of"` // the item's own variant, which was out of stock; empty: it is that one
}

// Attempt is one charge of an order.
type Attempt struct {
	ID              id.ID         `json:"id"`
	Key             string        `json:"key,omitzero"` // the gateway's idempotency key within the shop, see Order.key; empty: it is the id
	PaymentMethodID id.ID         `json:"payment_method_id"`
	Amount          money.Amount  `json:"amount"`
	Status          string        `json:"status"`  // started, succeeded, failed, action_required
	Code            string        `json:"code"`    // of the failure; of one that is started: why the gateway refused the shop (DelayAttempt)
	Message         string        `json:"message"` // of the gateway, at most 500 characters
	Hard            bool          `json:"hard"`    // the method will not work again: it is not tried again for this order
	GatewayID       string        `json:"gateway_id"`
	StartedAt       journal.Time  `json:"started_at"`
	FinishedAt      *journal.Time `json:"finished_at"`
	Other           *TakenCharge  `json:"other,omitzero"` // the gateway took another amount: see EndOtherCharge
}

// ShipTo is the copy of the address that the order goes to.
type ShipTo struct {
	FirstName  string `json:"first_name"`
	LastName   string `json:"last_name"`
	Company    string `json:"company"`
	Line1      string `json:"line1"`
	Line2      string `json:"line2"`
	City       string `json:"city"`
	Region     string `json:"region"`
	PostalCode string `json:"postal_code"`
	Country    string `json:"country"`
	Phone      string `json:"phone"`
}

// Order is one order of a subscription.
type Order struct {
	ID             id.ID                     `json:"id"`
	SubscriptionID id.ID                     `json:"subscription_id"`
	CustomerID     id.ID                     `json:"customer_id"`
	Number         string                    `json:"number"` // "K3M8QT-7", see Number
	Cycle          *int                      `json:"cycle"`  // which cycle of the subscription it bills; null for an extra order
	BillingDate    civil.Date                `json:"billing_date"`
	Status         Status                    `json:"status"`
	Items          []Line                    `json:"items"`
	Subtotal       money.Amount              `json:"subtotal"`
	Discount       money.Amount              `json:"discount"`
	Delivery       money.Amount              `json:"delivery"`
	Tax            money.Amount              `json:"tax"`
	Total          money.Amount              `json:"total"`
	Refunded       money.Amount              `json:"refunded"`
	Waived         *money.Amount             `json:"waived"`       // not charged: less than the gateway takes, or missing of a payment that was accepted; null: nothing was
	Carried        *money.Amount             `json:"carried"`      // of earlier orders that were too small to be charged; it is charged with this one, see Due
	CarriedOver    *money.Amount             `json:"carried_over"` // all of Due, which is charged with the next order, as it is too small; null: it is not
	Attempts       []Attempt                 `json:"attempts" journal:"key=id"`
	ShipTo         journal.Personal[*ShipTo] `json:"ship_to"`
	GiftMessage    journal.Personal[string]  `json:"gift_message"`
	TrackingURL    journal.Personal[string]  `json:"tracking_url"`
	PlacedAt       *journal.Time             `json:"placed_at"`
	FulfilledAt    *journal.Time             `json:"fulfilled_at"`
	CancelledAt    *journal.Time             `json:"cancelled_at"`
	CreatedAt      journal.Time              `json:"created_at"`
	Extra          int                       `json:"extra"`                           // which of the subscription's extra orders it is, from 1; 0: it is none
	Earlier        int                       `json:"earlier"`                         // attempts that older orders of the same billing date had
	Deliveries     []Delivery                `json:"deliveries" journal:"key=number"` // of a prepaid order; empty: it is delivered once
	Repayments     []Repayment               `json:"repayments" journal:"key=number"`
	Dispute        *Dispute                  `json:"dispute"`                      // the newest news; null: nobody contests the charge
	Disputes       []Dispute                 `json:"disputes" journal:"key=id"`    // all; one that the build before recorded may be in Dispute only
	Differences    []Difference              `json:"differences" journal:"key=id"` // from the gateway's books
}

// Repayment is one refund's way back to the card that was charged. A refund of more than one charge has one for each.
type Repayment struct {
	Number     string        `json:"number"` // "001", "002", …
	AttemptID  id.ID         `json:"attempt_id"`
	Amount     money.Amount  `json:"amount"`
	Status     string        `json:"status"` // started, succeeded, failed
	Code       string        `json:"code"`   // why the gateway refused
	GatewayID  string        `json:"gateway_id"`
	StartedAt  journal.Time  `json:"started_at"`
	FinishedAt *journal.Time `json:"finished_at"`
	Uncounted  bool          `json:"uncounted,omitzero"` // of money that the order never counted as paid; it may be in another currency
}

func (o *Order) repaymentNumber() string { return fmt.Sprintf("%03d", len(o.Repayments)+1) }

// Key is the gateway's idempotency key of a repayment of an order.
func (r Repayment) Key(order id.ID) string { return string(order) + "-refund-" + r.Number }

// Dispute is a charge that the cardholder contests at the bank.
type Dispute struct {
	ID        string       `json:"id"`                  // the gateway's
	AttemptID id.ID        `json:"attempt_id,omitzero"` // whose charge it is, where that is known
	Amount    money.Amount `json:"amount"`
	Reason    string       `json:"reason"`           // the gateway's code: "fraudulent", "product_not_received", …
	Status    string       `json:"status"`           // open, won, lost
	Inquiry   bool         `json:"inquiry,omitzero"` // the bank only asks yet: it took no money, and a refund ends it
}

// Delivery is one of several that a prepaid order pays for.
type Delivery struct {
	Number      string        `json:"number"` // "001", "002", …
	Date        civil.Date    `json:"date"`
	FulfilledAt *journal.Time `json:"fulfilled_at"`
}

// times is how often a line is delivered.
func (o *Order) times(l Line) int64 {
	if l.OneTime {
		return 1
	}
	return int64(max(1, len(o.Deliveries)))
}

// Due is what is charged for an order: its total, and what was carried over from earlier ones.
func (o *Order) Due() money.Amount {
	due := o.Total
	if o.Carried != nil {
		due.Minor += o.Carried.Minor
	}
	return due
}

func (o *Order) Ref() journal.Ref { return journal.Ref{Kind: journal.Order, ID: o.ID} }

// Person is the customer, whose key seals where the order goes.
func (o *Order) Person() id.ID { return o.CustomerID }

// numberTag is how many characters of a subscription's id stand in the numbers of its orders.
const numberTag = 6

// Number gives the number that people call an order by: the last six characters of its subscription's id, in upper
// case, and which of the subscription's orders it is, counted from 1 as they were made: "K3M8QT-7". Orders that failed or
// were cancelled keep theirs, so a number is never used twice in a subscription.
func Number(subscription id.ID, n int) string {
	tag := string(subscription)
	tag = tag[max(0, len(tag)-numberTag):]
	return strings.ToUpper(tag) + "-" + strconv.Itoa(n)
}

// OpenAttempt gives the attempt whose result is not known yet, if there is one: the one to ask the gateway about.
func OpenAttempt(o *Order) (Attempt, bool) {
	for _, a := range o.Attempts {
		if a.open() {
			return a, true
		}
	}
	return Attempt{}, false
}

// OpenRepayment gives the first repayment of an order whose outcome is not known, with the charge that it gives back, if there is one.
func OpenRepayment(o *Order) (Repayment, Attempt, bool) {
	for _, r := range o.Repayments {
		if r.Status == AttemptStarted {
			for _, a := range o.Attempts {
				if a.ID == r.AttemptID {
					return r, a, true
				}
			}
		}
	}
	return Repayment{}, Attempt{}, false
}

// key is the gateway's idempotency key of the order's next attempt, within the shop: the subscription, what of it is paid (a
// billing date, or which of its extra orders), and the ordinal of the attempt. It is the same in a database that was put back
// and makes the order again. An extra order of the build before has no ordinal, and its attempts go by their ids.
func (o *Order) key() string {
	n := strconv.Itoa(o.Earlier + len(o.Attempts) + 1)
	switch {
	case o.Cycle != nil:
		return string(o.SubscriptionID) + "_" + strings.ReplaceAll(o.BillingDate.String(), "-", "_") + "_" + n
	case o.Extra > 0:
		return string(o.SubscriptionID) + "_extra_" + strconv.Itoa(o.Extra) + "_" + n
	}
	return ""
}

// GatewayKey is the gateway's idempotency key of an attempt: what it was started with.
func (a Attempt) GatewayKey(shop id.ID) string {
	if a.Key == "" {
		return string(a.ID)
	}
	return string(shop) + "_" + a.Key
}

// Named gives the attempt that a gateway's idempotency key is of.
func Named(o *Order, shop id.ID, key string) (Attempt, bool) {
	i := slices.IndexFunc(o.Attempts, func(a Attempt) bool { return a.GatewayKey(shop) == key })
	if i < 0 {
		return Attempt{}, false
	}
	return o.Attempts[i], true
}

// KeySubscription is the subscription that a gateway's idempotency key is of; empty for any other key.
func KeySubscription(shop id.ID, key string) id.ID {
	rest, ok := strings.CutPrefix(key, string(shop)+"_")
	parts := strings.SplitN(rest, "_", 3)
	if !ok || len(parts) < 3 || parts[0] != "sub" {
		return ""
	}
	return id.ID(parts[0] + "_" + parts[1])
}

func (a Attempt) open() bool { return a.Status == AttemptStarted || a.Status == AttemptActionRequired }

// Paid gives what came in for an order: the sum of its attempts that succeeded, refunds not taken off.
func Paid(o *Order) money.Amount {
	sum := money.Zero(o.Total.Currency)
	for _, a := range o.Attempts {
		if a.Status == AttemptSucceeded {
			sum.Minor += a.Amount.Minor
		}
	}
	return sum
}

// Received gives what was paid without what was refunded. What a bank took back is in it.
func Received(o *Order) money.Amount {
	return money.Of(Paid(o).Minor-o.Refunded.Minor, o.Total.Currency)
}

// Refundable gives what can still be sent back: what was paid without what was refunded, what a bank gave back to the cardholder, and
// what it may give back yet. Money goes back once.
func Refundable(o *Order) money.Amount {
	left := Received(o)
	for _, d := range AllDisputes(o) {
		if d.holds() {
			left.Minor -= d.Amount.Minor
		}
	}
	left.Minor = max(0, left.Minor)
	return left
}

// holds says whether a bank took the money of a dispute, for now or for good.
func (d Dispute) holds() bool {
	return d.Status == DisputeLost || d.Status == DisputeOpen && !d.Inquiry
}

// AllDisputes gives the disputes of an order, in order of id.
func AllDisputes(o *Order) []Dispute {
	d := o.Dispute
	if d == nil || slices.ContainsFunc(o.Disputes, func(x Dispute) bool { return x.ID == d.ID }) {
		return o.Disputes
	}
	return withDispute(o.Disputes, *d)
}

// withDispute gives a list with a dispute in the place of the one of its id, or added.
func withDispute(all []Dispute, d Dispute) []Dispute {
	all = slices.Clone(all)
	i, found := slices.BinarySearchFunc(all, d.ID, func(x Dispute, key string) int { return cmp.Compare(x.ID, key) })
	if found {
		all[i] = d
		return all
	}
	return slices.Insert(all, i, d)
}

// Owed gives what has to be sent back because it was taken for nothing: a payment that came in for an order that had
// been given up, or twice. It is zero for nearly every order.
func Owed(o *Order) money.Amount {
	owed := Refundable(o)
	switch o.Status {
	case Placed, PartiallyRefunded, Refunded:
		owed.Minor = max(0, owed.Minor-o.Due().Minor)
	}
	return owed
}

// Chronological gives an order's attempts as they were started. The state keeps them in order of id.
func Chronological(o *Order) []Attempt {
	out := slices.Clone(o.Attempts)
	slices.SortStableFunc(out, func(a, b Attempt) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt.Time), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// withAttempt puts a new attempt into an order, in order of id.
func (o *Order) withAttempt(a Attempt) {
	i, _ := slices.BinarySearchFunc(o.Attempts, a.ID, func(x Attempt, key id.ID) int { return cmp.Compare(x.ID, key) })
	o.Attempts = slices.Insert(o.Attempts, i, a)
}

// become changes the status by the table; anything else is a mistake of the program.
func (o *Order) become(to Status) error {
	if !o.Status.Becomes(to) {
		return fault.New(fault.Conflict, "status_"+string(o.Status), "The order is %s, so it cannot become %s.", o.Status.Words(), to.Words())
	}
	o.Status = to
	return nil
}

// Words is the status as people write it: "partially refunded".
func (s Status) Words() string { return strings.ReplaceAll(string(s), "_", " ") }
