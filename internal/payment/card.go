package payment

import "errors"

// Card is a payment method as a gateway shows it. Its number is known to nobody but the gateway.
type Card struct {
	Reference         string // for [ChargeRequest]
	Brand             string
	Last4             string
	ExpMonth, ExpYear int
}

// The errors of a card that is being added, and of a payment that is being confirmed.
var (
	ErrNoCard       = errors.New("payment: this is not the number of a card")
	ErrCardDeclined = errors.New("payment: the bank declined the card")
	ErrNotWaiting   = errors.New("payment: the charge does not wait for a confirmation")
)
