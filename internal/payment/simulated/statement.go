package simulated

import (
	"context"
	"iter"
	"time"

	"perennial/internal/payment"
)

var _ payment.Lister = (*Gateway)(nil)

// Movements implements [payment.Lister].
func (g *Gateway) Movements(ctx context.Context, from, to time.Time) iter.Seq2[payment.Movement, error] {
	return func(yield func(payment.Movement, error) bool) {
		all, err := call(ctx, g, func() ([]payment.Movement, error) { return g.ledger.movements(from, to), nil })
		if err != nil {
			yield(payment.Movement{}, err)
			return
		}
		for _, m := range all {
			if !yield(m, nil) {
				return
			}
		}
	}
}

func (l *ledger) movements(from, to time.Time) (out []payment.Movement) {
	for _, e := range l.entries {
		if e.At.Before(from) || !e.At.Before(to) {
			continue
		}
		switch {
		case e.Kind == Charge && l.accounts[e.GatewayID].now().Status == payment.Succeeded:
			out = append(out,
				payment.Movement{Kind: payment.MovedCharge, GatewayID: e.GatewayID, Key: e.Key, OrderID: e.OrderID, Amount: e.Amount, At: e.At})
		case e.Kind == Refund && e.Status == payment.Succeeded && l.refunds[e.GatewayID] != nil:
			out = append(
				out,
				payment.Movement{
					Kind:      payment.MovedRefund,
					GatewayID: e.GatewayID,
					ChargeID:  e.ChargeID,
					OrderID:   l.accounts[e.ChargeID].charge.OrderID,
					Amount:    e.Amount,
					At:        e.At,
				},
			)
		}
	}
	return out
}
