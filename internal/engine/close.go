package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"perennial/internal/billing"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
)

// closeFor is for how long a declined charge that could not be closed at the gateway is tried to be closed.
const closeFor = 7 * 24 * time.Hour

// unclosed is such a charge.
type unclosed struct {
	order, attempt id.ID
	charge         string
	since          time.Time
	wait           wait
}

// closeCharge cancels a charge that was declined, so that nobody pays it later at the gateway's own pages. What does not work is tried
// again; a restart forgets it, and then a late success is taken from its report, or found in the gateway's books.
func (e *Engine) closeCharge(ctx context.Context, o *billing.Order, a billing.Attempt, r payment.ChargeResult) payment.ChargeResult {
	now, err := e.cancelCharge(ctx, r.GatewayID)
	switch {
	case err != nil:
		e.log.Warn("a declined charge could not be closed at the gateway; it is tried again", "order", o.ID, "charge", r.GatewayID, "error", err)
		e.mu.Lock()
		e.unclosed = append(e.unclosed, unclosed{o.ID, a.ID, r.GatewayID, e.p.Now(), wait{}.longer(e.p.Now(), attemptWait)})
		e.mu.Unlock()
	case now.Status == payment.Succeeded:
		return now
	}
	return r
}

func (e *Engine) cancelCharge(ctx context.Context, charge string) (payment.ChargeResult, error) {
	limited, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	release := e.take()
	defer release()
	return e.g.Cancel(limited, charge)
}

// closeAgain closes declined charges that could not be closed, and records one that was paid in between.
func (e *Engine) closeAgain(ctx context.Context) error {
	e.mu.Lock()
	left := e.unclosed
	e.unclosed = nil
	e.mu.Unlock()
	var errs []error
	for i, u := range left {
		if ctx.Err() != nil || e.mayCharge() != nil {
			e.leave(left[i:]...)
			break
		}
		if !u.wait.over(e.p.Now()) {
			e.leave(u)
			continue
		}
		now, err := e.cancelCharge(ctx, u.charge)
		switch {
		case err != nil && e.p.Now().Sub(u.since) < closeFor:
			u.wait = u.wait.longer(e.p.Now(), attemptWait)
			e.leave(u)
		case err != nil:
			e.log.Error("a declined charge stays open at the gateway", "order", u.order, "charge", u.charge, "error", err)
		case now.Status == payment.Succeeded:
			paid := billing.FinishAttempt{OrderID: u.order, AttemptID: u.attempt, Result: billing.Succeeded, GatewayID: u.charge}
			if _, err := e.do(context.WithoutCancel(ctx), journal.Bind(paid)); err != nil {
				errs = append(errs, err)
				e.leave(u)
			}
		}
	}
	return errors.Join(errs...)
}

// leave keeps charges to be closed later.
func (e *Engine) leave(u ...unclosed) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unclosed = slices.Concat(e.unclosed, u)
}
