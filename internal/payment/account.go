package payment

import (
	"context"
	"time"
)

// Identified is a gateway that can say whose account it charges for.
type Identified interface {
	// Account asks the gateway.
	Account(ctx context.Context) (Account, error)
}

// The modes of an account.
const (
	LiveMode = "live"
	TestMode = "test" // no money moves
)

// Account is an account of a gateway.
type Account struct {
	Gateway string    // "stripe", "simulated"
	ID      string    // as the gateway calls it; empty: the key may charge and may not ask
	Mode    string    // LiveMode, TestMode
	Date    time.Time // what the gateway's clock said when it answered; zero: it has none of its own
}
