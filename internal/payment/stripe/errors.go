package stripe

import (
	"errors"
	"fmt"
	"net/http"

	sdk "github.com/stripe/stripe-go/v85"

	"perennial/internal/payment"
)

// errUndecided says that Stripe has a payment whose outcome is not known yet.
var errUndecided = errors.New("stripe: the payment has no outcome yet")

// plain is an error of Stripe without what the library's own text of it has: the whole payment intent and its secret. It is
// [payment.ErrNotFound] where Stripe says so.
func plain(err error) error {
	e, ok := errors.AsType[*sdk.Error](err)
	switch {
	case err == nil:
		return nil
	case !ok:
		return fmt.Errorf("stripe: %w", err)
	case e.Code == sdk.ErrorCodeResourceMissing:
		return fmt.Errorf("%w: %s (%s)", payment.ErrNotFound, e.Msg, e.RequestID)
	}
	return fmt.Errorf("stripe: %d %s %s: %s (%s)", e.HTTPStatusCode, e.Type, e.Code, e.Msg, e.RequestID)
}

// refused gives the error of a request that Stripe refused as it stands, before it did anything. Anything else leaves it open
// what happened: no connection, a rate limit, a key that is being used by another call, a fault at Stripe, our secret key.
func refused(err error) (e *sdk.Error, certain bool) {
	e, ok := errors.AsType[*sdk.Error](err)
	if !ok || e.HTTPStatusCode != http.StatusBadRequest && e.HTTPStatusCode != http.StatusNotFound && e.HTTPStatusCode != http.StatusPaymentRequired {
		return nil, false
	}
	return e, e.Type == sdk.ErrorTypeInvalidRequest || e.Type == sdk.ErrorTypeCard
}

// keyReused says whether Stripe refused a request because its key was used with another one.
func keyReused(err error) bool {
	e, ok := errors.AsType[*sdk.Error](err)
	return ok && e.Type == sdk.ErrorTypeIdempotency && e.HTTPStatusCode == http.StatusBadRequest
}

// wantsCustomer says whether the bank asks for the customer, who was not there.
func wantsCustomer(e *sdk.Error) bool {
	return e.DeclineCode == payment.CodeAuthenticationRequired || e.Code == payment.CodeAuthenticationRequired || e.Code == sdk.ErrorCodePaymentIntentActionRequired
}

// declined is the answer for a card that was not charged.
func declined(gatewayID string, e *sdk.Error) payment.ChargeResult {
	code := string(e.DeclineCode)
	if code == "" || e.Code == sdk.ErrorCodeExpiredCard { // which comes with a decline code that says less
		code = string(e.Code)
	}
	switch code {
	case "", "generic_decline":
		code = payment.CodeCardDeclined
	case string(sdk.ErrorCodeResourceMissing):
		code = payment.CodeMethodUnknown
	}
	return payment.ChargeResult{GatewayID: gatewayID, Status: payment.Declined, Code: code, Message: e.Msg, Hard: hard[code]}
}

// hard are the codes after which the same card will not work again, or must not be tried: the bank says so, or the card was stolen. The
// others pass: no money, a limit, a bank that cannot be reached, and the many for which a bank gives no reason.
var hard = map[string]bool{
	payment.CodeExpiredCard:             true,
	payment.CodeLostCard:                true,
	payment.CodeStolenCard:              true,
	payment.CodeMethodUnknown:           true,
	"card_not_supported":                true,
	"currency_not_supported":            true,
	"do_not_try_again":                  true,
	"fraudulent":                        true,
	"incorrect_number":                  true,
	"invalid_account":                   true,
	"invalid_expiry_month":              true,
	"invalid_expiry_year":               true,
	"invalid_number":                    true,
	"merchant_blacklist":                true,
	"new_account_information_available": true,
	"not_permitted":                     true,
	"pickup_card":                       true,
	"restricted_card":                   true,
	"revocation_of_all_authorizations":  true,
	"revocation_of_authorization":       true,
	"security_violation":                true,
	"service_not_allowed":               true,
	"stop_payment_order":                true,
	"testmode_decline":                  true,
	"transaction_not_allowed":           true,
}
