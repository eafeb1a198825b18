// Package payment is the port to what takes money from a card: the gateway. The program decides and records an attempt
// first, calls the gateway second, and records the answer third, so the port has what is needed to do each charge once:
//
//   - every call that moves money has an idempotency key; the same key and request give the first answer again and
//     move nothing, and the same key with another request is refused with ErrKeyReused;
//   - an error from a call that moves money means that its outcome is unknown, never that it was declined. The caller
//     asks Lookup, or makes the same call with the same key again, and never makes it with a new key;
//   - an [*Ours] error says that this request moved nothing, and that nobody but us is to blame: the request, our key, the
//     account. ErrKeyReused says the same of this request, and that another one with its key may have moved money.
//
// A decline is an answer, not an error: the customer's card or bank said no. Card numbers never pass through here: a payment method
// is the reference under which the gateway keeps it.
package payment

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"perennial/internal/id"
	"perennial/internal/money"
)

// Gateway takes and gives back money. Its methods are safe for concurrent use and end when their context does.
type Gateway interface {
	// Charge takes an amount from a payment method.
	Charge(ctx context.Context, r ChargeRequest) (ChargeResult, error)
	// Lookup gives the charge that was made with an idempotency key, as it is now. Without one, found is false: no money
	// moved under this key so far, though a call that is still on its way may yet move it. ErrUndecided is an answer too.
	Lookup(ctx context.Context, q Query) (c Charge, found bool, err error)
	// Refund gives back a part or all of what a charge took.
	Refund(ctx context.Context, r RefundRequest) (RefundResult, error)
	// Cancel ends a charge that waits for its customer, and gives what it is then: Declined with CodeCancelled, and it can
	// never be confirmed any more, or what it had come to before. It may be called again. Of a charge that the gateway does
	// not have it says the same: Declined.
	Cancel(ctx context.Context, chargeID string) (ChargeResult, error)
}

// Errors of calls.
var (
	ErrInvalid   = errors.New("payment: the request is invalid")                               // not carried out; see [*Ours]
	ErrKeyReused = errors.New("payment: the idempotency key was used for another request")     // this one was not carried out
	ErrUndecided = errors.New("payment: the gateway has the charge, and no outcome of it yet") // ask again later
)

// Ours is the error of a request that was not carried out because of us: nothing of it may be held against the customer. It is
// [ErrInvalid] too.
type Ours struct {
	Code string // one of the Code… below, or the gateway's own
	Err  error
}

func (e *Ours) Error() string {
	return fmt.Sprintf("payment: refused because of us (%s): %v", e.Code, e.Err)
}

// Unwrap makes it ErrInvalid and its cause.
func (e *Ours) Unwrap() []error { return []error{ErrInvalid, e.Err} }

// Codes of an Ours error, besides CodeAmountTooLarge.
const (
	CodeRequestInvalid = "request_invalid" // what is asked for is written wrong
	CodeKeyInvalid     = "key_invalid"     // the gateway does not take our key, or the key may not do this
	CodeAccountInvalid = "account_invalid" // the account is blocked, or not set up to charge
	CodeAccountOther   = "account_other"   // the customer is not of this account, or not of this mode
)

// Query says which charge is looked for.
type Query struct {
	Key string // the idempotency key
	// What helps to find it, where it is known.
	ChargeID  string    // the gateway's id of the charge
	Reference string    // of a payment method of the same customer
	Since     time.Time // when it was asked for at the earliest
}

// Charge is a charge as the gateway has it.
type Charge struct {
	ChargeResult
	Key     string // the idempotency key that it was asked for with
	OrderID id.ID
	Amount  money.Amount
	At      time.Time // as [Movement] has it
}

// GivenUp is the result of the charge of this id that was cancelled while it waited for its customer.
func GivenUp(chargeID string) ChargeResult {
	return ChargeResult{
		GatewayID: chargeID,
		Status:    Declined,
		Code:      CodeCancelled,
		Message:   "The payment was given up before it was confirmed.",
	}
}

// MaxKey is the longest idempotency key, in bytes. Every gateway that we know takes this much.
const MaxKey = 255

// Status is the outcome of a charge or a refund.
type Status string

// The statuses. A refund never needs an action.
const (
	Succeeded      Status = "succeeded"
	Declined       Status = "declined"
	ActionRequired Status = "action_required" // nothing was taken; the customer has to confirm the payment first
)

// The codes that the program knows by name. A gateway may give others.
const (
	CodeInsufficientFunds      = "insufficient_funds"
	CodeCardDeclined           = "card_declined"
	CodeProcessingError        = "processing_error"
	CodeAuthenticationRequired = "authentication_required"
	CodeExpiredCard            = "expired_card"
	CodeLostCard               = "lost_card"
	CodeStolenCard             = "stolen_card"
	CodeCancelled              = "cancelled"              // the charge was given up before the customer had confirmed it
	CodeMethodUnknown          = "payment_method_unknown" // the gateway has no such payment method (any more)
	CodeChargeUnknown          = "charge_unknown"         // a refund of a charge that the gateway does not have
	CodeChargeNotSucceeded     = "charge_not_succeeded"   // a refund of a charge that took nothing
	CodeCurrencyMismatch       = "currency_mismatch"      // a refund in another currency than the charge's
	CodeAmountTooLarge         = "amount_too_large"       // more than the gateway takes, or a refund of more than is left
	CodeAmountTooSmall         = "amount_too_small"       // less than the gateway takes
)

// ChargeRequest asks for money.
type ChargeRequest struct {
	IdempotencyKey string       // 1 to MaxKey bytes of UTF-8; it says what is paid
	Amount         money.Amount // above zero
	Reference      string       // under which the gateway keeps the payment method
	OrderID        id.ID        // what is paid
	Description    string       // for the gateway's own pages and the card statement; not part of what the key is bound to
}

// Check gives an [*Ours], with what is wrong, for a request that no gateway can carry out.
func (r ChargeRequest) Check() error {
	switch {
	case !named(r.Reference):
		return invalid("its payment method is %q", r.Reference)
	case !named(string(r.OrderID)):
		return invalid("its order is %q", r.OrderID)
	}
	return check(r.IdempotencyKey, r.Amount)
}

// ChargeResult is what became of a charge.
type ChargeResult struct {
	GatewayID string `json:"gateway_id"` // the gateway's id of the charge
	Status    Status `json:"status"`
	Code      string `json:"code,omitzero"`    // why it did not succeed
	Message   string `json:"message,omitzero"` // the same as a sentence
	Hard      bool   `json:"hard,omitzero"`    // this payment method will not work again: do not try it again for the order
}

// RefundRequest asks to give money back.
type RefundRequest struct {
	IdempotencyKey string // 1 to MaxKey bytes of UTF-8; keys of charges and refunds are one set
	ChargeID       string // the GatewayID of the charge
	Amount         money.Amount
	Reason         string // for the gateway's own pages; not part of what the key is bound to
}

// Check gives an [*Ours], with what is wrong, for a request that no gateway can carry out.
func (r RefundRequest) Check() error {
	if !named(r.ChargeID) {
		return invalid("its charge is %q", r.ChargeID)
	}
	return check(r.IdempotencyKey, r.Amount)
}

// RefundResult is what became of a refund.
type RefundResult struct {
	GatewayID string `json:"gateway_id"` // the gateway's id of the refund; empty when it was declined
	Status    Status `json:"status"`     // succeeded or declined
	Code      string `json:"code,omitzero"`
	Message   string `json:"message,omitzero"`
}

// named says whether a text can name something at a gateway: bytes that are not UTF-8 would come back as others.
func named(s string) bool { return s != "" && utf8.ValidString(s) }

func invalid(format string, args ...any) error {
	return &Ours{Code: CodeRequestInvalid, Err: fmt.Errorf(format, args...)}
}

func check(key string, amount money.Amount) error {
	switch {
	case !named(key) || len(key) > MaxKey:
		return invalid("the idempotency key is %.300q", key)
	case amount.Minor <= 0:
		return invalid("the amount is %s", amount)
	case !money.ValidCurrency(amount.Currency):
		return invalid("%q is not a currency", amount.Currency)
	}
	return nil
}
