package stripe

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"perennial/internal/money"
	"perennial/internal/payment"
)

// The examples of docs.stripe.com/currencies.
func TestAmounts(t *testing.T) {
	for _, c := range []struct {
		ours   money.Amount
		stripe int64
	}{
		{money.Of(1000, "USD"), 1000},
		{money.Of(500, "JPY"), 500},
		{money.Of(5, "ISK"), 500},
		{money.Of(5, "UGX"), 500},
		{money.Of(500, "MGA"), 5},
		{money.Of(5120, "KWD"), 5120},
		{money.Of(4500, "HUF"), 4500},
	} {
		if got, err := toStripe(c.ours); err != nil || got != c.stripe {
			t.Errorf("%s: got %d, %v; want %d", c.ours, got, err, c.stripe)
		}
		if got, err := fromStripe(c.stripe, c.ours.Currency); err != nil || got != c.ours {
			t.Errorf("%d %s: got %s, %v", c.stripe, c.ours.Currency, got, err)
		}
	}
}

// What Stripe can write comes back as it was, and nothing else is sent.
func TestAmountsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := money.Of(rapid.Int64Min(1).Draw(t, "minor"), rapid.SampledFrom([]string{"USD", "JPY", "ISK", "UGX", "MGA", "KWD", "IQD", "CLF", "XAF"}).Draw(t, "currency"))
		n, err := toStripe(a)
		if err != nil {
			if !errors.Is(err, payment.ErrInvalid) {
				t.Fatalf("%s: %v", a, err)
			}
			return
		}
		if got, err := fromStripe(n, a.Currency); err != nil || got != a {
			t.Fatalf("%s came back as %s, %v", a, got, err)
		}
	})
}
