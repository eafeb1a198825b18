package stripe

import (
	"context"
	"iter"
	"time"

	sdk "github.com/stripe/stripe-go/v85"

	"perennial/internal/id"
	"perennial/internal/payment"
)

var _ payment.Lister = (*Gateway)(nil)

// Movements implements [payment.Lister]: a charge is a payment intent that succeeded. What others did with the same account
// has no order of ours.
func (g *Gateway) Movements(ctx context.Context, from, to time.Time) iter.Seq2[payment.Movement, error] {
	created := &sdk.RangeQueryParams{GreaterThanOrEqual: from.Unix(), LesserThan: to.Unix()}
	page := sdk.ListParams{Limit: sdk.Int64(100)}
	return func(yield func(payment.Movement, error) bool) {
		intents := &sdk.PaymentIntentListParams{CreatedRange: created, ListParams: page}
		for intent, err := range g.api.V1PaymentIntents.List(ctx, intents).All(ctx) {
			if err != nil {
				yield(payment.Movement{}, asked(err))
				return
			}
			if intent.Status != sdk.PaymentIntentStatusSucceeded {
				continue
			}
			m := payment.Movement{
				Kind:      payment.MovedCharge,
				GatewayID: intent.ID,
				Key:       intent.Metadata[metaKey],
				OrderID:   id.ID(intent.Metadata[metaOrder]),
				At:        time.Unix(intent.Created, 0).UTC(),
			}
			if m.Amount, err = fromStripe(intent.AmountReceived, string(intent.Currency)); m.OrderID == "" {
				err = nil // whatever it is, it is not ours
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
		p := &sdk.RefundListParams{CreatedRange: created, ListParams: page}
		p.AddExpand("data.payment_intent")
		for refund, err := range g.api.V1Refunds.List(ctx, p).All(ctx) {
			if err != nil {
				yield(payment.Movement{}, asked(err))
				return
			}
			if refund.Status == sdk.RefundStatusFailed || refund.Status == sdk.RefundStatusCanceled {
				continue
			}
			m := payment.Movement{Kind: payment.MovedRefund, GatewayID: refund.ID, At: time.Unix(refund.Created, 0).UTC()}
			if intent := refund.PaymentIntent; intent != nil {
				m.ChargeID, m.OrderID = intent.ID, id.ID(intent.Metadata[metaOrder])
			}
			if m.Amount, err = fromStripe(refund.Amount, string(refund.Currency)); m.OrderID == "" {
				err = nil
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}
