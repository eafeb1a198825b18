package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"perennial/internal/billing"
	"perennial/internal/gate"
	"perennial/internal/journal"
	"perennial/internal/payment"
)

// mayCharge says whether anything may be charged. That the gateway refuses the shop is the engine's own word: its pauses say when it may
// be tried again.
func (e *Engine) mayCharge() error { return e.Gate.Ask(gate.Charge, gate.GatewayFailing) }

// oursOf says whether the gateway refuses everything because of us: our key, the account.
func oursOf(err error) bool {
	o, ok := errors.AsType[*payment.Ours](err)
	return ok && slices.Contains([]string{payment.CodeKeyInvalid, payment.CodeAccountInvalid, payment.CodeAccountOther}, o.Code)
}

// refused records that the gateway refuses an attempt because of us, and stops asking it when it refuses several in a row.
func (e *Engine) refused(ctx context.Context, o *billing.Order, a billing.Attempt, ours *payment.Ours) error {
	e.Observer.attempt("refused")
	e.log.Error("the gateway refuses a charge because of us: nothing is held against the customer",
		"order", o.ID, "attempt", a.ID, "code", ours.Code, "error", ours)
	e.mu.Lock()
	e.attempts[a.ID] = e.attempts[a.ID].longer(e.p.Now(), attemptWait)
	e.mu.Unlock()
	delay := billing.DelayAttempt{OrderID: o.ID, AttemptID: a.ID, Code: ours.Code}
	if _, err := e.do(context.WithoutCancel(ctx), journal.Bind(delay)); err != nil {
		return err
	}
	return e.stopped(ours)
}

// whatToDo is what helps against a refusal, by its code.
var whatToDo = map[string]string{
	payment.CodeKeyInvalid:     "It does not take the secret key, or the key may not charge: give the right one, and start the server again.",
	payment.CodeAccountInvalid: "The account there is blocked, or not set up to charge: look at the gateway's own pages.",
	payment.CodeAccountOther: "The customers' cards are not of this account or mode: give the key of the account that has them, " +
		"and start the server again.",
}

// stopped counts what the gateway refuses because of us, and gives the error of one that is left alone from now on.
func (e *Engine) stopped(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.p.Now()
	if e.ours++; e.ours < oursCalls || !e.gateway.over(now) {
		return nil
	}
	e.silent, e.gateway = 0, e.gateway.longer(now, oursWait)
	code := payment.CodeRequestInvalid
	if o, ok := errors.AsType[*payment.Ours](err); ok {
		code = o.Code
	}
	sentence := fmt.Sprintf("Payments are delayed: the payment gateway refuses this shop (%s).", code)
	if more := whatToDo[code]; more != "" {
		sentence += " " + more
	}
	sentence += " It is tried again by itself, at least once an hour."
	e.Gate.Raise(gate.Reason{Code: gate.GatewayFailing, Sentence: sentence, Holds: gate.Charge, Warning: true})
	return fmt.Errorf("the payment gateway refuses this shop; nothing is charged, and it is asked again in %s: %w", e.gateway.pause, err)
}

// works says that the gateway charges and pays back for this shop, as far as is known.
func (e *Engine) works() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ours >= oursCalls {
		e.gateway = wait{}
	}
	e.ours = 0
	e.Gate.Clear(gate.GatewayFailing)
}
