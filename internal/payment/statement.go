package payment

import (
	"context"
	"iter"
	"time"

	"perennial/internal/id"
	"perennial/internal/money"
)

// Lister is a gateway that can say what money it moved, so that its books can be held against the orders.
type Lister interface {
	// Movements gives each charge that took money and each refund that gave some back, made at from or later and before to,
	// in no order. It reads page after page while it is asked for more, and ends with the first error.
	Movements(ctx context.Context, from, to time.Time) iter.Seq2[Movement, error]
}

// The kinds of movements.
const (
	MovedCharge = "charge"
	MovedRefund = "refund"
)

// Movement is money that a gateway moved.
type Movement struct {
	Kind      string // MovedCharge or MovedRefund
	GatewayID string // of the charge or the refund
	ChargeID  string // of a refund: the charge's GatewayID
	Key       string // of a charge: the idempotency key that it was asked for with
	OrderID   id.ID  // what was paid; empty: it was not asked for by this program
	Amount    money.Amount
	At        time.Time
}
