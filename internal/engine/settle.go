package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"perennial/internal/billing"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/subscription"
)

// How long the gateway may take for an answer.
const (
	lookupTimeout = 15 * time.Second
	chargeTimeout = 30 * time.Second
)

// silentCalls is after how many attempts in a row without an answer the gateway is left alone, oursCalls after how many that it
// refuses because of us.
const (
	silentCalls = 5
	oursCalls   = 3
)

// forgotten is after how long a charge that the gateway does not know of was never made: a call that was on its way has arrived, and
// is found.
const forgotten = 24 * time.Hour

// Settle charges every attempt that was begun and has no result, and records what the gateway says. An attempt that had
// no answer is asked about again after a while that doubles, to an hour; a gateway that had none for several attempts in
// a row is left alone for a while, to five minutes. It may be called as often as one likes.
func (e *Engine) Settle(ctx context.Context) error {
	if err := e.may(ctx); err != nil {
		return err
	}
	if e.leftAlone() {
		return nil
	}
	var errs []error
	open := map[id.ID]bool{}
	for last, more := id.ID(""), true; more && ctx.Err() == nil && !e.leftAlone(); {
		rows, err := query.Claim(ctx, e.s, e.holder, inHand, query.List{Kind: journal.Order, Limit: chunk, Where: []query.Filter{
			query.Set(query.OpenAttempt), query.After(query.ID, last),
			query.Free(journal.Subscription, query.Subscription, e.holder), // another process that works on the subscription charges it itself
		}})
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		more = len(rows) == chunk
		w := e.begin(ctx)
		for _, r := range rows {
			o := r.State.(*billing.Order)
			last = o.ID
			a, ok := billing.OpenAttempt(o)
			if !ok {
				if r, a, ok := billing.OpenRepayment(o); ok && !e.waits(id.ID(r.Key(o.ID))) {
					open[id.ID(r.Key(o.ID))] = true
					if !w.do(func(ctx context.Context) error { return e.repay(ctx, o, r, a) }, "order", o.ID) {
						break
					}
				}
				continue
			}
			open[a.ID] = true
			if e.waits(a.ID) {
				continue
			}
			if !w.do(func(ctx context.Context) error { return e.settle(ctx, o, a, r.LastSeq, askFirst) }, "order", o.ID) {
				break
			}
		}
		failed, ended := w.wait()
		errs = append(errs, failed...)
		if ended {
			break
		}
	}
	if ctx.Err() == nil && !e.leftAlone() {
		e.forget(open)
		errs = append(errs, e.closeAgain(ctx))
		if len(open) == 0 {
			e.works() // nothing waits for it
		}
	}
	if err := e.s.Unclaim(context.WithoutCancel(ctx), journal.Order, e.holder); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// charge charges the attempts that a command of this engine began.
func (e *Engine) charge(ctx context.Context, out *program.Outcome) error {
	for _, done := range out.Events {
		if done.Type != journal.BillingAttemptStarted {
			continue
		}
		row, _ := out.Row(done.Target())
		o := row.State.(*billing.Order)
		if a, ok := billing.OpenAttempt(o); ok {
			return e.settle(ctx, o, a, done.Seq, chargeAtOnce)
		}
	}
	return nil
}

// start says whether the gateway may know of an attempt already.
type start int

const (
	askFirst     start = iota // a call may have been lost
	chargeAtOnce              // this engine began it just now, and nobody called
	replace                   // another payment method is there: it need not wait for its customer
)

// settle brings an open attempt to its result and records it, and goes on to a backup's attempt that comes of it. An
// attempt without an answer stays open, and so does one while the gateway is left alone.
func (e *Engine) settle(ctx context.Context, o *billing.Order, a billing.Attempt, seq int64, from start) error {
	if e.leftAlone() {
		return nil
	}
	if err := e.mayCharge(); err != nil {
		return err
	}
	result, err := e.ask(ctx, o, a, from)
	if err == nil {
		result, err = e.giveUp(ctx, o, a, result, from)
	}
	var ours *payment.Ours
	var other *otherCharge
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &ours):
		return e.refused(ctx, o, a, ours)
	case errors.As(err, &other):
		e.log.Error("the gateway took another amount for a charge: the order waits for a person", "order", o.ID, "attempt", a.ID, "charge", other.GatewayID, "amount", other.Amount.String())
		e.answered(a, payment.ChargeResult{})
		_, err := e.do(context.WithoutCancel(ctx), journal.Bind(billing.NoteOtherCharge{OrderID: o.ID, AttemptID: a.ID, GatewayID: other.GatewayID, Amount: other.Amount}))
		return err
	case errors.Is(err, payment.ErrUndecided), errors.Is(err, errOpen):
		e.log.Warn("a charge has no result yet", "order", o.ID, "attempt", a.ID, "error", err)
		e.answered(a, payment.ChargeResult{})
		return nil
	case errors.Is(err, errSilent):
		return e.noAnswer(o, a, err)
	case err != nil:
		return err
	}
	e.answered(a, result)
	if result.Status == payment.ActionRequired && a.Status == billing.AttemptActionRequired {
		return nil // nothing new
	}
	e.Observer.attempt(string(result.Status))
	finish := billing.FinishAttempt{OrderID: o.ID, AttemptID: a.ID, Result: billing.Result(result.Status), Code: result.Code, Message: result.Message, GatewayID: result.GatewayID, Hard: result.Hard, Cause: id.Event(e.s.Shop, seq)}
	if from != replace {
		finish.BackupAttemptID = e.p.IDs.New(id.BillingAttempt)
	}
	out, err := e.do(context.WithoutCancel(ctx), journal.Bind(finish))
	if err != nil || ctx.Err() != nil {
		return err
	}
	return e.charge(ctx, out)
}

// errSilent says that the gateway gave no answer: what became of the attempt is not known. errOpen says that it gave one, and that the
// attempt has to stay open.
var (
	errSilent = errors.New("no answer from the gateway")
	errOpen   = errors.New("the gateway's answer does not end the attempt")
)

// otherCharge says that the gateway took another amount in an attempt's name.
type otherCharge struct{ payment.Charge }

func (o *otherCharge) Error() string {
	return "the charge " + o.GatewayID + " took " + o.Amount.String()
}

// ask gives what became of an open attempt. One that may have reached the gateway already is asked about first.
func (e *Engine) ask(ctx context.Context, o *billing.Order, a billing.Attempt, from start) (payment.ChargeResult, error) {
	reference, err := e.reference(ctx, a, from)
	if err != nil {
		return payment.ChargeResult{}, err
	}
	if from != chargeAtOnce || e.restored || e.chargedBefore(o) {
		result, found, err := e.lookUp(ctx, o, a, reference)
		if err != nil || found {
			return result, err
		}
		if result, charged, err := e.recalled(a); charged || err != nil {
			return result, err
		}
		if a.Status == billing.AttemptActionRequired {
			// It waited for the customer, and is not begun again.
			e.log.Warn("the gateway does not know a charge any more that it waited to have confirmed", "order", o.ID, "attempt", a.ID)
			return payment.ChargeResult{Status: payment.ActionRequired}, nil
		}
	}
	if o.Status != billing.Pending || reference == "" {
		return e.unwanted(a, reference, from)
	}
	result, err := e.place(ctx, o, a, reference)
	if ours, ok := errors.AsType[*payment.Ours](err); ok && ours.Code == payment.CodeAccountOther {
		// The customer of the reference is not the account's, so no call with it can have charged. It may have been corrected since.
		if now, rerr := e.reference(ctx, a, chargeAtOnce); rerr == nil && now != "" && now != reference {
			return e.place(ctx, o, a, now)
		}
	}
	return result, err
}

// unwanted is the result of an attempt that is not to be charged any more, and that the gateway does not know of: a call may be on its
// way while it is young, unless the gateway refused it.
func (e *Engine) unwanted(a billing.Attempt, reference string, from start) (payment.ChargeResult, error) {
	switch {
	case from != chargeAtOnce && !a.Delayed() && e.p.Now().Sub(a.StartedAt.Time) < forgotten:
		return payment.ChargeResult{}, fmt.Errorf("%w: it is not to be charged any more, and may have been", errOpen)
	case reference == "":
		return payment.ChargeResult{Status: payment.Declined, Code: payment.CodeMethodUnknown, Message: "The payment method is gone.", Hard: true}, nil
	}
	return payment.ChargeResult{Status: payment.Declined, Code: payment.CodeCancelled, Message: "The order was given up before it was charged."}, nil
}

// place makes the charge of an attempt.
func (e *Engine) place(ctx context.Context, o *billing.Order, a billing.Attempt, reference string) (payment.ChargeResult, error) {
	limited, cancel := context.WithTimeout(ctx, chargeTimeout)
	defer cancel()
	release := e.take()
	if err := e.mayCharge(); err != nil { // something may have come while it waited
		release()
		return payment.ChargeResult{}, err
	}
	result, err := e.g.Charge(limited, payment.ChargeRequest{IdempotencyKey: a.GatewayKey(e.s.Shop), Amount: a.Amount, Reference: reference, OrderID: o.ID, Description: "Order " + o.Number})
	release()
	switch {
	case err == nil:
		e.works()
		return result, nil
	case errors.Is(err, payment.ErrInvalid), errors.Is(err, payment.ErrUndecided):
		return payment.ChargeResult{}, err
	case ctx.Err() != nil:
		return payment.ChargeResult{}, ctx.Err()
	}
	// Whether money moved is unknown: ask at once, and if that says nothing either, another time. A key that was used is the key of
	// another call, of this program or of one that was lost with a database.
	result, found, lerr := e.lookUp(ctx, o, a, reference)
	switch {
	case lerr != nil || found:
		return result, lerr
	case errors.Is(err, payment.ErrKeyReused):
		return result, fmt.Errorf("%w: %w", errOpen, err)
	}
	return result, fmt.Errorf("%w: %w", errSilent, err)
}

// reference gives the reference under which the gateway keeps an attempt's payment method, as it was when the attempt was started: a
// call with it may be on its way. It is empty when the method is gone or erased. With chargeAtOnce it is the one of now.
func (e *Engine) reference(ctx context.Context, a billing.Attempt, from start) (string, error) {
	ref := journal.Ref{Kind: journal.PaymentMethod, ID: a.PaymentMethodID}
	row, err := e.s.Load(ctx, e.s.Read, ref)
	if err != nil {
		return "", db.Fault(err)
	}
	m, ok := row.State.(*customer.PaymentMethod)
	if !ok || m.GatewayReference.Erased {
		return "", nil
	}
	if from == chargeAtOnce {
		return m.GatewayReference.Value, nil
	}
	if row, err = e.s.StateAt(ctx, e.s.Read, ref, func(ev *journal.Event) bool { return !ev.RecordedAt.After(a.StartedAt.Time) }); err != nil {
		return "", db.Fault(err)
	}
	if then, ok := row.State.(*customer.PaymentMethod); ok && !then.GatewayReference.Erased {
		m = then
	}
	return m.GatewayReference.Value, nil
}

// chargedBefore says whether the gateway may have charged for what an attempt that was just begun is to pay: a database that was put back
// makes again what it has lost. Within a day the gateway knows the idempotency key; later, and for an extra order, which has no day of
// its own, it is asked.
func (e *Engine) chargedBefore(o *billing.Order) bool {
	zone := e.zone.Load()
	return o.Cycle == nil || zone == nil || !e.p.Now().Before(o.BillingDate.At(0, 0, zone).Add(remembered))
}

// remembered is for how long a gateway knows an idempotency key again; Stripe says a day.
const remembered = 23 * time.Hour

// giveUp cancels a charge at the gateway that waits for the customer when it is not to wait any more, and one that the customer
// could not confirm: the bank's page may still be open, and the order may be charged again before it is closed. It gives what the
// charge is then.
func (e *Engine) giveUp(ctx context.Context, o *billing.Order, a billing.Attempt, r payment.ChargeResult, from start) (payment.ChargeResult, error) {
	if r.Status == payment.Declined && r.Code != payment.CodeCancelled && r.GatewayID != "" && a.Status != billing.AttemptActionRequired {
		return e.closeCharge(ctx, o, a, r), nil
	}
	if a.Status != billing.AttemptActionRequired || r.Status == payment.Succeeded || r.Code == payment.CodeCancelled {
		return r, nil
	}
	if r.Status == payment.ActionRequired && from != replace {
		row, err := e.s.Load(ctx, e.s.Read, journal.Ref{Kind: journal.Subscription, ID: o.SubscriptionID})
		if err != nil {
			return r, db.Fault(err)
		}
		if s, ok := row.State.(*subscription.Subscription); !ok || !a.Unwanted(o, s, e.p.Now()) {
			return r, nil
		}
	}
	limited, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	release := e.take()
	now, err := e.g.Cancel(limited, a.GatewayID)
	release()
	switch {
	case errors.Is(err, payment.ErrInvalid):
		return r, err
	case err != nil:
		return r, fmt.Errorf("%w: %w", errSilent, err)
	case r.Status == payment.Declined && now.Status == payment.Declined:
		return r, nil // it says more
	}
	return now, nil
}

// lookUp asks the gateway for an attempt's charge, and holds what it gives against the attempt.
func (e *Engine) lookUp(ctx context.Context, o *billing.Order, a billing.Attempt, reference string) (payment.ChargeResult, bool, error) {
	limited, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	q := payment.Query{Key: a.GatewayKey(e.s.Shop), ChargeID: e.charged(a), Reference: reference, Since: a.StartedAt.Time}
	if a.Key != "" { // it may have been charged before this attempt was started
		q.Since = o.BillingDate.At(0, 0, time.UTC).AddDate(0, 0, -2)
		if o.Cycle == nil {
			q.Since = q.Since.AddDate(0, -1, 0)
		}
	}
	release := e.take()
	c, found, err := e.g.Lookup(limited, q)
	release()
	switch {
	case errors.Is(err, payment.ErrUndecided), errors.Is(err, payment.ErrInvalid):
		return payment.ChargeResult{}, false, err
	case err != nil:
		return payment.ChargeResult{}, false, fmt.Errorf("%w: %w", errSilent, err)
	case !found || c.Status != payment.Succeeded:
		return c.ChargeResult, found, nil
	}
	if c.Amount != a.Amount && (c.OrderID == o.ID || c.OrderID == "") {
		return payment.ChargeResult{}, false, &otherCharge{c}
	}
	ok, err := e.pays(ctx, o, a, c)
	if err == nil && !ok {
		err = fmt.Errorf("%w: the charge %s of its key took %s for %s", errOpen, c.GatewayID, c.Amount, c.OrderID)
	}
	if err != nil {
		return payment.ChargeResult{}, false, err
	}
	return c.ChargeResult, true, nil
}

// pays says whether a charge that took money is an attempt's: of its key and amount, and for its order, or for one that this database
// does not have (any more).
func (e *Engine) pays(ctx context.Context, o *billing.Order, a billing.Attempt, c payment.Charge) (bool, error) {
	if c.Amount != a.Amount || c.OrderID == o.ID {
		return c.Amount == a.Amount, nil
	}
	row, err := e.s.Load(ctx, e.s.Read, journal.Ref{Kind: journal.Order, ID: c.OrderID})
	return row.State == nil, db.Fault(err)
}

// repay gives back what a refund says. The same key asks the gateway again, and moves the money once.
func (e *Engine) repay(ctx context.Context, o *billing.Order, r billing.Repayment, a billing.Attempt) error {
	limited, cancel := context.WithTimeout(ctx, chargeTimeout)
	defer cancel()
	release := e.take()
	if err := e.mayCharge(); err != nil {
		release()
		return err
	}
	result, err := e.g.Refund(limited, payment.RefundRequest{IdempotencyKey: r.Key(o.ID), ChargeID: a.GatewayID, Amount: r.Amount, Reason: "Order " + o.Number})
	release()
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case oursOf(err):
		return e.stopped(err)
	case errors.Is(err, payment.ErrInvalid), errors.Is(err, payment.ErrKeyReused):
		e.log.Error("the gateway refuses a refund as it is asked for", "order", o.ID, "refund", r.Number, "error", err)
		result = payment.RefundResult{Status: payment.Declined, Code: payment.CodeProcessingError}
	case err != nil:
		return e.noAnswer(o, billing.Attempt{ID: id.ID(r.Key(o.ID))}, fmt.Errorf("%w: %w", errSilent, err))
	}
	if err == nil {
		e.works()
	}
	e.answered(billing.Attempt{ID: id.ID(r.Key(o.ID))}, payment.ChargeResult{Status: result.Status})
	_, err = e.do(context.WithoutCancel(ctx), journal.Bind(billing.FinishRepayment{OrderID: o.ID, Number: r.Number, Succeeded: result.Status == payment.Succeeded, Code: result.Code, GatewayID: result.GatewayID}))
	return err
}

// Reported says that the gateway reports a charge of an open attempt: it is asked about at the next look, by the charge's id.
func (e *Engine) Reported(attempt id.ID, chargeID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.attempts, attempt)
	if e.reports == nil {
		e.reports = map[id.ID]string{}
	}
	e.reports[attempt] = chargeID
}

// charged is the gateway's id of an attempt's charge, as far as it is known.
func (e *Engine) charged(a billing.Attempt) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return cmp.Or(a.GatewayID, e.reports[a.ID])
}

// AskAgain says that there may be news of an attempt: it is asked about at the next look, however long ago that was to be. It may be
// called at any time.
func (e *Engine) AskAgain(attempt id.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.attempts, attempt)
}

// leftAlone says whether it is too early to call the gateway again.
func (e *Engine) leftAlone() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.gateway.over(e.p.Now())
}

// waits says whether it is too early to ask about an attempt again.
func (e *Engine) waits(attempt id.ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	w, ok := e.attempts[attempt]
	return ok && !w.over(e.p.Now())
}

// noAnswer remembers when to ask again, and gives the error of a gateway that is left alone from now on.
func (e *Engine) noAnswer(o *billing.Order, a billing.Attempt, err error) error {
	e.Observer.attempt("silent")
	e.log.Warn("a charge has no answer yet", "order", o.ID, "attempt", a.ID, "error", err)
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.p.Now()
	e.attempts[a.ID] = e.attempts[a.ID].longer(now, attemptWait)
	if e.silent++; e.silent < silentCalls || !e.gateway.over(now) {
		return nil
	}
	e.silent, e.gateway = 0, e.gateway.longer(now, gatewayWait)
	return fmt.Errorf("the payment gateway does not answer; it is asked again in %s: %w", e.gateway.pause, err)
}

// answered remembers when to ask again about a charge that the customer has to confirm.
func (e *Engine) answered(a billing.Attempt, r payment.ChargeResult) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.silent = 0
	if e.ours < oursCalls { // else it answers, and charges nothing
		e.gateway = wait{}
	}
	if r.Status != payment.Succeeded && r.Status != payment.Declined {
		e.attempts[a.ID] = e.attempts[a.ID].longer(e.p.Now(), attemptWait)
	}
}

// forget drops what ended elsewhere.
func (e *Engine) forget(open map[id.ID]bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key := range e.attempts {
		if !open[key] {
			delete(e.attempts, key)
		}
	}
	for key := range e.reports {
		if !open[key] {
			delete(e.reports, key)
		}
	}
}

// take waits until the gateway may be called once more; the function that it gives ends the call.
func (e *Engine) take() (release func()) {
	e.mu.Lock()
	if e.calls == nil {
		e.calls = make(chan struct{}, e.InFlight)
	}
	calls := e.calls
	e.mu.Unlock()
	calls <- struct{}{}
	return func() { <-calls }
}
