package payment

import (
	"errors"
	"time"

	"perennial/internal/id"
	"perennial/internal/money"
)

// The errors of reports, and of looking up what they are about.
var (
	ErrReport   = errors.New("payment: the report cannot be read")
	ErrNotFound = errors.New("payment: the gateway has no such object")
)

// Event is one report of a gateway's. It may come more than once, late, and in no certain order: whoever takes it changes nothing
// twice, and asks Lookup rather than believing in the order.
type Event struct {
	ID     string
	At     time.Time
	Live   bool   // about real money
	Odd    string // why it may be misread: the version of the gateway's API that it is written in; empty: it is known
	Report Report // nil: nothing that we take note of
}

// Report is what an event says: a PaymentReport, RefundReport, DisputeReport or MethodReport.
type Report interface{ report() }

// PaymentReport is what became of one of our charges.
type PaymentReport struct {
	Key     string // its idempotency key: the attempt's id
	OrderID string
	Amount  money.Amount
	Result  ChargeResult
}

// RefundReport is what became of a refund, ours or one that somebody made on the gateway's pages.
type RefundReport struct {
	Key      string // empty for one that is not ours
	ChargeID string
	Amount   money.Amount
	RefundID string
	Result   RefundResult
	Pending  bool // still on its way
}

// DisputeReport is a charge that the cardholder contests at the bank.
type DisputeReport struct {
	DisputeID string
	ChargeID  string
	Amount    money.Amount
	Reason    string
	Inquiry   bool // the bank only asks: no money is taken, and giving it back ends it
	Closed    bool
	Won       bool // closed, and the money stays
}

// MethodChange says what happened to a card.
type MethodChange string

// The changes of a card.
const (
	MethodUpdated  MethodChange = "updated"  // by somebody, or by the bank, which sent a new card
	MethodExpiring MethodChange = "expiring" // at the end of this month
	MethodDetached MethodChange = "detached" // the customer does not have it any more
)

// MethodReport is a change of a card that a customer has, or had.
type MethodReport struct {
	Change  MethodChange
	Method  Card
	OrderID id.ID // one that was charged with it, from a gateway that does not know whose card it is
}

func (PaymentReport) report() {}
func (RefundReport) report()  {}
func (DisputeReport) report() {}
func (MethodReport) report()  {}
