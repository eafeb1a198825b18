package simulated

import (
	"context"
	"fmt"

	"perennial/internal/money"
	"perennial/internal/payment"
)

// Pay is somebody who pays a declined charge after all, on the gateway's own pages. A charge that was closed by [Gateway.Cancel] is an
// error, and so is one that took money.
func (g *Gateway) Pay(ctx context.Context, chargeID string) error {
	_, err := call(ctx, g, func() (struct{}, error) {
		a := g.ledger.accounts[chargeID]
		if a == nil || a.closed || a.now().Status == payment.Succeeded {
			return struct{}{}, fmt.Errorf("simulated: %q: %w", chargeID, payment.ErrNotWaiting)
		}
		return struct{}{}, g.append(Entry{Kind: Confirmation, ChargeID: chargeID, Amount: a.charge.Amount, Status: payment.Succeeded})
	})
	return err
}

// Contest is a cardholder who contests a part of a charge, or all of it. Dispute is the gateway's id; each has its own.
func (g *Gateway) Contest(ctx context.Context, chargeID, dispute string, amount money.Amount) error {
	_, err := call(ctx, g, func() (struct{}, error) {
		e := Entry{Kind: Contestation, ChargeID: chargeID, GatewayID: dispute, Amount: amount, Status: payment.ActionRequired}
		if err := g.ledger.check(e); err != nil {
			return struct{}{}, fmt.Errorf("simulated: %w", err)
		}
		return struct{}{}, g.append(e)
	})
	return err
}

// Decide is the bank that decides a dispute, or decides it again on appeal.
func (g *Gateway) Decide(ctx context.Context, dispute string, won bool) error {
	_, err := call(ctx, g, func() (struct{}, error) {
		d := g.ledger.disputes[dispute]
		if d == nil {
			return struct{}{}, fmt.Errorf("simulated: the dispute %q: %w", dispute, payment.ErrNotFound)
		}
		e := Entry{Kind: Decision, ChargeID: d.ChargeID, GatewayID: dispute, Amount: d.Amount, Status: payment.Declined}
		if won {
			e.Status = payment.Succeeded
		}
		return struct{}{}, g.append(e)
	})
	return err
}

// SendBack is a bank that sends the money of a refund back: the refund failed after all.
func (g *Gateway) SendBack(ctx context.Context, refundID string) error {
	_, err := call(ctx, g, func() (struct{}, error) {
		e := Entry{Kind: Return, GatewayID: refundID, Status: payment.Declined, Code: "declined"}
		if r := g.ledger.refunds[refundID]; r != nil {
			e.ChargeID, e.Amount = r.ChargeID, r.Amount
		}
		if err := g.ledger.check(e); err != nil {
			return struct{}{}, fmt.Errorf("simulated: %w", err)
		}
		return struct{}{}, g.append(e)
	})
	return err
}

// Refuse makes the gateway refuse each charge and refund because of us, with a code, as it does to an account that is blocked. An empty
// code ends that.
func (g *Gateway) Refuse(code string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse = code
}

// DisputeOf gives a dispute as it is now.
func (g *Gateway) DisputeOf(ctx context.Context, dispute string) (payment.DisputeReport, error) {
	return call(ctx, g, func() (payment.DisputeReport, error) {
		if d := g.ledger.disputes[dispute]; d != nil {
			return *d, nil
		}
		for _, a := range g.ledger.accounts { // those that a card brings
			if d, ok := contestedBy(*a.charge, g.now()); ok && d.DisputeID == dispute {
				return d, nil
			}
		}
		return payment.DisputeReport{}, payment.ErrNotFound
	})
}

// EraseCustomer implements [payment.Eraser]. The ledger has no names and cards of customers, so it only notes that one was erased.
func (g *Gateway) EraseCustomer(ctx context.Context, e payment.Erasure) (int, error) {
	return call(ctx, g, func() (int, error) {
		switch {
		case g.refuse != "":
			return 0, refusal(g.refuse)
		case g.ledger.erased[e.CustomerID]:
			return 0, nil
		}
		return 1, g.append(Entry{Kind: Erasure, Customer: e.CustomerID, Status: payment.Succeeded})
	})
}

// Keeper implements [payment.Eraser]: the references are everybody's.
func (g *Gateway) Keeper(string) string { return "" }
