package payment

import (
	"context"

	"perennial/internal/id"
)

// Eraser is a gateway that can delete what it keeps of a customer: name, e-mail address and cards. What it knows of charges stays: money
// can still be given back.
type Eraser interface {
	// EraseCustomer deletes a customer, and says how many it had under that name. One that is gone already is a success.
	EraseCustomer(ctx context.Context, e Erasure) (customers int, err error)
	// Keeper tells apart whose cards references are: the same for cards of the same customer at the gateway; empty where it cannot be told.
	Keeper(reference string) string
}

// Erasure names a customer at a gateway.
type Erasure struct {
	CustomerID id.ID    // ours
	References []string // of the customer's cards
	Shared     []string // of cards that are kept together with another customer's: only these cards go
}
