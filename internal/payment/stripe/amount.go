package stripe

import (
	"fmt"
	"math"
	"strings"

	"perennial/internal/money"
	"perennial/internal/payment"
)

// digits is how many digits of an amount Stripe takes for minor units, where it is not 2. It counts other currencies than ISO
// 4217 does: ISK and UGX have none and are written with two, MGA has two and is written with none.
// (docs.stripe.com/currencies, "Zero-decimal currencies", "Three-decimal currencies", "Special cases")
func digits(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "JOD", "KWD", "OMR", "TND":
		return 3
	}
	return 2
}

// toStripe gives an amount as Stripe counts it. One that Stripe cannot write is ErrInvalid: it is never rounded.
func toStripe(a money.Amount) (int64, error) {
	n, ok := shift(a.Minor, digits(a.Currency)-money.Digits(a.Currency))
	if !ok || digits(a.Currency) == 3 && n%10 != 0 {
		return 0, &payment.Ours{Code: payment.CodeRequestInvalid, Err: fmt.Errorf("the amount %s cannot be written for Stripe", a)}
	}
	return n, nil
}

// fromStripe reads an amount as Stripe counts it.
func fromStripe(n int64, currency string) (money.Amount, error) {
	currency = strings.ToUpper(currency)
	if !money.ValidCurrency(currency) {
		return money.Amount{}, fmt.Errorf("stripe: %.20q is not a currency", currency)
	}
	minor, ok := shift(n, money.Digits(currency)-digits(currency))
	if !ok {
		return money.Amount{}, fmt.Errorf("stripe: %d %s is no amount of this currency", n, currency)
	}
	return money.Of(minor, currency), nil
}

// shift moves the decimal point to the right by some digits, or to the left, if nothing gets lost.
func shift(n int64, by int) (int64, bool) {
	for ; by > 0; by-- {
		if n > math.MaxInt64/10 || n < math.MinInt64/10 {
			return 0, false
		}
		n *= 10
	}
	for ; by < 0; by++ {
		if n%10 != 0 {
			return 0, false
		}
		n /= 10
	}
	return n, true
}

// Least is the least amount of a currency that Stripe charges, in minor units; 0 where Stripe names none. What counts for Stripe
// is the currency that the account settles in, after conversion, so it may refuse more than this: its answer is believed.
// (docs.stripe.com/currencies, "Minimum and maximum charge amounts", held against two stored copies of the page on 1 December 2026)
func Least(currency string) int64 {
	switch currency {
	case "AUD", "BRL", "CAD", "CHF", "EUR", "INR", "NZD", "SGD", "USD":
		return 50
	case "GBP":
		return 30
	case "BGN":
		return 100
	case "AED", "MYR", "PLN", "RON":
		return 200
	case "DKK":
		return 250
	case "NOK", "SEK":
		return 300
	case "HKD":
		return 400
	case "MXN", "THB":
		return 1000
	case "CZK":
		return 1500
	case "HUF":
		return 17500
	case "JPY":
		return 50
	}
	return 0
}
