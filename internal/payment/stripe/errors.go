package stripe

import (
	"errors"
	"fmt"
	"net/http"

	sdk "github.com/stripe/stripe-go/v85"

	"perennial/internal/payment"
)

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

// ours gives the error of a request that Stripe did not carry out because of our key or our account. (docs.stripe.com/api/errors,
// docs.stripe.com/error-codes)
func ours(err error) (o *payment.Ours, ok bool) {
	e, ok := errors.AsType[*sdk.Error](err)
	if !ok {
		return nil, false
	}
	because := func(code string) (*payment.Ours, bool) { return &payment.Ours{Code: code, Err: plain(err)}, true }
	switch {
	case e.HTTPStatusCode == http.StatusUnauthorized, e.Code == sdk.ErrorCodeAPIKeyExpired, e.Code == sdk.ErrorCodePlatformAPIKeyExpired,
		e.Code == sdk.ErrorCodeSecretKeyRequired:
		return because(payment.CodeKeyInvalid)
	case e.Code == sdk.ErrorCodeTestmodeChargesOnly, e.Code == sdk.ErrorCodeLivemodeMismatch:
		return because(payment.CodeAccountOther)
	case e.Code == sdk.ErrorCodeAccountInvalid, e.Code == sdk.ErrorCodeAccountClosed, e.Code == sdk.ErrorCodeAccountCountryInvalidAddress:
		return because(payment.CodeAccountInvalid)
	case e.HTTPStatusCode == http.StatusForbidden: // the key may not do this, or the account may not
		return because(payment.CodeKeyInvalid)
	}
	return nil, false
}

// asked is the error of a call that moves no money: [*payment.Ours] where our key or account is why.
func asked(err error) error {
	if o, ok := ours(err); ok {
		return o
	}
	return plain(err)
}

// refused gives the error of a request that Stripe refused as it stands, before it did anything. Anything else leaves it open
// what happened: no connection, a rate limit, a key that is being used by another call, a fault at Stripe.
func refused(err error) (e *sdk.Error, certain bool) {
	e, ok := errors.AsType[*sdk.Error](err)
	if !ok ||
		e.HTTPStatusCode != http.StatusBadRequest && e.HTTPStatusCode != http.StatusNotFound && e.HTTPStatusCode != http.StatusPaymentRequired {
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
	return e.DeclineCode == payment.CodeAuthenticationRequired || e.Code == payment.CodeAuthenticationRequired ||
		e.Code == sdk.ErrorCodePaymentIntentActionRequired
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
