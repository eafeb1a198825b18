package stripe

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"time"

	sdk "github.com/stripe/stripe-go/v85"

	"perennial/internal/payment"
)

// modes are the modes of secret and restricted keys, by what is in them: sk_live_…, rk_test_….
var modes = regexp.MustCompile(`^[a-z]+_(live|test)_`)

// accountName is how Stripe names an account, also in the message of a key that may not ask about it.
var accountName = regexp.MustCompile(`\bacct_[A-Za-z0-9]+\b`)

// Account implements [payment.Identified]. A restricted key that may not read the account is told so with the account's name; where it
// is not, the account has no name here, and only its mode tells it from others.
func (g *Gateway) Account(ctx context.Context) (payment.Account, error) {
	a := payment.Account{Gateway: g.Name(), Mode: payment.LiveMode}
	if m := modes.FindStringSubmatch(g.key); m != nil && m[1] == payment.TestMode {
		a.Mode = payment.TestMode
	}
	account, err := g.api.V1Accounts.Retrieve(ctx, nil)
	if e, ok := errors.AsType[*sdk.Error](err); ok && e.HTTPStatusCode == http.StatusForbidden {
		a.ID = accountName.FindString(e.Msg)
		return a, nil
	}
	if err != nil {
		return a, plain(err)
	}
	a.ID = account.ID
	if account.LastResponse != nil {
		if at, err := http.ParseTime(account.LastResponse.Header.Get("Date")); err == nil {
			a.Date = at.Add(time.Second / 2) // it has no fractions
		}
	}
	return a, nil
}
