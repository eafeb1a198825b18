package simulated

import (
	"fmt"
	"strings"

	"perennial/internal/payment"
)

// TestCard is a number that a subscriber can type in where no real card is charged, and what becomes of it.
type TestCard struct {
	Number    string
	Brand     string
	Reference string // empty: the bank declines it when it is added; one that ends in _ goes on with the card's month
}

// TestCards are all that there are. The numbers are the ones that Stripe documents for tests, and, from 4000 0000 0000 7015 on, some
// of our own for what Stripe has no number for.
var TestCards = []TestCard{
	{"4242424242424242", "visa", OK},
	{"5555555555554444", "mastercard", OK},
	{"378282246310005", "amex", OK},
	{"4000000000000341", "visa", declinePrefix + payment.CodeCardDeclined},
	{"4000000000009995", "visa", declinePrefix + payment.CodeInsufficientFunds},
	{"4000000000009987", "visa", declinePrefix + payment.CodeLostCard},
	{"4000000000000119", "visa", declinePrefix + payment.CodeProcessingError},
	{"4000002760003184", "visa", ActionRequired},
	{"4000000000000259", "visa", DisputeLost},
	{"4000000000002685", "visa", DisputeWon},
	{"4000000000000069", "visa", expiresPrefix},
	{"4000000000000002", "visa", ""},
	{"4000000000007015", "visa", ReportsTwice},
	{"4000000000007023", "visa", ReportsLate},
	{"4000000000007031", "visa", DisputeBackwards},
	{"4000000000007049", "visa", renewsPrefix},
}

// Card gives the card of a test number, with spaces or without: [payment.ErrNoCard] for any other, [payment.ErrCardDeclined] for the
// one that is declined when it is added.
func (g *Gateway) Card(number string, month, year int) (payment.Card, error) {
	number = strings.NewReplacer(" ", "", "-", "").Replace(number)
	for _, c := range TestCards {
		switch {
		case c.Number != number:
		case c.Reference == "":
			return payment.Card{}, payment.ErrCardDeclined
		default:
			reference := c.Reference
			if strings.HasSuffix(reference, "_") {
				reference += fmt.Sprintf("%04d-%02d", year, month)
			}
			return payment.Card{Reference: reference, Brand: c.Brand, Last4: number[len(number)-4:], ExpMonth: month, ExpYear: year}, nil
		}
	}
	return payment.Card{}, payment.ErrNoCard
}
