package stripe

import (
	"context"
	"fmt"
	"strings"

	sdk "github.com/stripe/stripe-go/v85"

	"perennial/internal/payment"
)

// Refund implements [payment.Gateway]. It looks at the refunds that the charge has already, where its key would stand, so a
// second call gives back nothing however long after the first it is.
func (g *Gateway) Refund(ctx context.Context, r payment.RefundRequest) (payment.RefundResult, error) {
	if err := r.Check(); err != nil {
		return payment.RefundResult{}, err
	}
	amount, err := toStripe(r.Amount)
	if err != nil {
		return payment.RefundResult{}, err
	}
	if !objectID(r.ChargeID) {
		return noRefund(payment.CodeChargeUnknown, "Stripe does not have this charge."), nil
	}
	intent, err := g.api.V1PaymentIntents.Retrieve(ctx, r.ChargeID, nil)
	if err != nil {
		if e, certain := refused(err); certain && e.Code == sdk.ErrorCodeResourceMissing {
			return noRefund(payment.CodeChargeUnknown, e.Msg), nil
		}
		return payment.RefundResult{}, asked(err)
	}
	of := &sdk.RefundListParams{PaymentIntent: &intent.ID, ListParams: sdk.ListParams{Limit: sdk.Int64(100)}}
	for refund, err := range g.api.V1Refunds.List(ctx, of).All(ctx) {
		if err != nil {
			return payment.RefundResult{}, asked(err)
		}
		if refund.Metadata[metaKey] != token(r.IdempotencyKey) {
			continue
		}
		if refund.Amount != amount || !strings.EqualFold(string(refund.Currency), r.Amount.Currency) {
			return payment.RefundResult{}, payment.ErrKeyReused
		}
		return refunded(refund)
	}
	switch {
	case !strings.EqualFold(string(intent.Currency), r.Amount.Currency): // Stripe would take the number for the charge's currency
		return noRefund(payment.CodeCurrencyMismatch, "The charge was made in "+strings.ToUpper(string(intent.Currency))+"."), nil
	case intent.Status != sdk.PaymentIntentStatusSucceeded:
		return noRefund(payment.CodeChargeNotSucceeded, "The charge took no money."), nil
	}
	p := &sdk.RefundCreateParams{PaymentIntent: &intent.ID, Amount: &amount}
	p.AddMetadata(metaKey, token(r.IdempotencyKey))
	p.SetIdempotencyKey(token(r.IdempotencyKey))
	if r.Reason != "" {
		p.AddMetadata("reason", cut(r.Reason, 500))
	}
	refund, err := g.api.V1Refunds.Create(ctx, p)
	if err == nil {
		return refunded(refund)
	}
	if keyReused(err) {
		return payment.RefundResult{}, payment.ErrKeyReused
	}
	e, certain := refused(err)
	switch {
	case !certain:
		return payment.RefundResult{}, asked(err)
	case e.Code == sdk.ErrorCodeChargeAlreadyRefunded || e.Param == "amount":
		return noRefund(payment.CodeAmountTooLarge, e.Msg), nil
	case e.Code != "":
		return noRefund(string(e.Code), e.Msg), nil
	}
	return payment.RefundResult{}, &payment.Ours{Code: payment.CodeRequestInvalid, Err: plain(err)}
}

func noRefund(code, message string) payment.RefundResult {
	return payment.RefundResult{Status: payment.Declined, Code: code, Message: message}
}

// refunded reads a refund. One that is pending is on its way: a report tells if it fails after all.
func refunded(refund *sdk.Refund) (payment.RefundResult, error) {
	switch refund.Status {
	case sdk.RefundStatusSucceeded, sdk.RefundStatusPending, sdk.RefundStatusRequiresAction:
		return payment.RefundResult{GatewayID: refund.ID, Status: payment.Succeeded}, nil
	case sdk.RefundStatusFailed, sdk.RefundStatusCanceled:
		code := string(refund.FailureReason)
		if code == "" {
			code = string(refund.Status)
		}
		return noRefund(code, "Stripe could not give the money back."), nil
	}
	return payment.RefundResult{}, fmt.Errorf("%w: %s is %q", payment.ErrUndecided, refund.ID, refund.Status)
}

// cut gives at most n characters of a text.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}
