// Package engine makes renewals happen: it finds what is due, runs the rules of package billing through program, and
// calls the payment gateway between them, outside any transaction.
//
//   - A charge happens once. The attempt is an entry before the gateway is called, its id is the gateway's idempotency
//     key, and an attempt without a result (a crash, a time-out) is resolved by asking the gateway, never by charging
//     under another key. So Run may be stopped anywhere and begun again.
//   - Every order of the rhythm is made once, in order of date, also after a downtime; but a downtime makes no more than
//     the billing settings allow, and the others are skipped.
//   - A gateway that does not answer is asked less and less often, and holds up nothing but its own charges.
//
// engine_test.go stops it between any two steps, and holds the gateway's ledger against the orders after each test.
package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

// chunk is how many subscriptions are worked on before the next ones are looked for, so that a person's command never
// waits behind a long run.
const chunk = 100

// inHand is after how long others take over what a process had in hand.
const inHand = 2 * time.Minute

// How long the gateway may take for an answer.
const (
	lookupTimeout = 15 * time.Second
	chargeTimeout = 30 * time.Second
)

// silentCalls is after how many attempts in a row without an answer the gateway is left alone.
const silentCalls = 5

// Engine runs billing for one shop. Its methods are for one goroutine at a time.
type Engine struct {
	p   *program.Program
	s   *store.Store
	g   payment.Gateway
	log *slog.Logger

	holder string // of what is in hand, among the processes that share a shop

	// Observer is told how it goes. It is set before the first call.
	Observer Observer

	// What had no answer. It is only about when to ask again, so a restart may forget it.
	attempts map[id.ID]wait
	gateway  wait
}

// Observer is told how many subscriptions were found due, and of each answer of the gateway: its status, or "silent". Both may
// be nil.
type Observer struct {
	Due     func(n int)
	Attempt func(outcome string)
}

func (o Observer) due(n int) {
	if o.Due != nil {
		o.Due(n)
	}
}

func (o Observer) attempt(outcome string) {
	if o.Attempt != nil {
		o.Attempt(outcome)
	}
}

// New makes an engine.
func New(p *program.Program, s *store.Store, g payment.Gateway, log *slog.Logger) *Engine {
	return &Engine{p: p, s: s, g: g, log: log, holder: string(p.IDs.New(id.Command)), attempts: map[id.ID]wait{}}
}

// The engine acts as the system, by the name of its job.
func meta() program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "billing"}, Source: journal.Origin{Channel: journal.ChannelBilling}}
}

// Run does everything that is due now: attempts without a result, pauses that end, renewals, retries. It goes on with
// the others when one subscription fails, and returns those failures together; it ends when nothing can be changed at
// all (an Unavailable fault), and when its context does.
func (e *Engine) Run(ctx context.Context) error {
	var errs []error
	if err := e.Settle(ctx); err != nil {
		errs = append(errs, err)
	}
	p, err := e.policy(ctx)
	if err != nil || p == nil {
		return errors.Join(append(errs, err)...)
	}
	// Somebody is begun once for each state: what did not move is not tried again in this run.
	begun := map[id.ID]int64{}
	for moved := true; moved && ctx.Err() == nil; {
		moved = false
		for rows, err := range e.due(ctx, p.today) {
			if err != nil {
				return errors.Join(append(errs, err)...)
			}
			some := false
			for _, row := range rows {
				s := row.State.(*subscription.Subscription)
				if at, ok := begun[s.ID]; ok && at == row.LastSeq {
					continue
				}
				begun[s.ID], some, moved = row.LastSeq, true, true
				e.Observer.due(1)
				err := e.begin(ctx, s, p)
				if f := fault.As(err); err != nil && f.Kind != fault.Conflict {
					errs = append(errs, fmt.Errorf("subscription %s: %w", s.ID, err))
					if f.Kind == fault.Unavailable || ctx.Err() != nil {
						return errors.Join(errs...)
					}
				}
			}
			if some {
				if err := e.Settle(ctx); err != nil {
					errs = append(errs, err)
				}
			}
			if err := e.s.Unclaim(context.WithoutCancel(ctx), journal.Subscription, e.holder); err != nil {
				return errors.Join(append(errs, err)...)
			}
		}
	}
	return errors.Join(errs...)
}

// Alive tells the other processes of a shop that this one lives, until the context ends: see store.Alive.
func (e *Engine) Alive(ctx context.Context) error { return e.s.Alive(ctx, e.holder) }

// policy is what a run goes by.
type policy struct {
	today  civil.Date // the last day whose billing hour has come
	missed int        // how many missed orders of a subscription are made
}

// policy reads the settings; nil for a shop without any.
func (e *Engine) policy(ctx context.Context) (*policy, error) {
	rd := program.NewReader(ctx, e.s, e.s.Read)
	g, err := journal.Find[settings.General](rd, journal.Settings, settings.PageGeneral)
	if err != nil || g == nil {
		return nil, err
	}
	b, err := journal.Find[settings.Billing](rd, journal.Settings, settings.PageBilling)
	if err != nil {
		return nil, err
	}
	if b == nil {
		b = settings.Default(settings.PageBilling, g).(*settings.Billing)
	}
	zone := settings.Zone(g)
	now := e.p.Now()
	p := &policy{today: civil.Today(now, zone), missed: b.MaxCatchUpOrders}
	if now.Before(p.today.At(b.BillingHour, 0, zone)) {
		p.today = p.today.AddDays(-1)
	}
	return p, nil
}

// due gives the subscriptions for which something is due, in order of day and id, a chunk at a time. One that moves on
// while they are read, and is due again, comes again at its new place.
func (e *Engine) due(ctx context.Context, today civil.Date) iter.Seq2[[]store.Row, error] {
	return func(yield func([]store.Row, error) bool) {
		day, last := "", id.ID("")
		for ctx.Err() == nil {
			rows, err := e.s.Claim(ctx, journal.Subscription, e.holder, inHand, `due_date <= $2 AND (due_date, id) > ($3, $4)`, `due_date, id`, chunk,
				today.String(), day, string(last))
			if len(rows) > 0 {
				s := rows[len(rows)-1].State.(*subscription.Subscription)
				day, last = program.DueDate(s).String(), s.ID
			}
			if !yield(rows, err) || err != nil || len(rows) < chunk {
				return
			}
		}
	}
}

// begin does the first step for a subscription: resume it, make its order, or try its failed payment again.
func (e *Engine) begin(ctx context.Context, s *subscription.Subscription, p *policy) error {
	switch s.Status {
	case subscription.Paused:
		return e.do(ctx, journal.Bind(subscription.ResumeDue{ID: s.ID}))
	case subscription.Active:
		if s.NextBillingDate.Before(p.today) { // then others may be due too
			if err := e.do(ctx, journal.Bind(skipMissed{ID: s.ID, Due: p.today, Keep: p.missed})); err != nil {
				return err
			}
		}
		return e.do(ctx, journal.Bind(billing.CreateOrder{SubscriptionID: s.ID, OrderID: e.p.IDs.New(id.Order), AttemptID: e.p.IDs.New(id.BillingAttempt), Due: p.today}))
	case subscription.Failed:
		return e.do(ctx, journal.Bind(billing.RetryOrder{OrderID: s.Recovery.OrderID, AttemptID: e.p.IDs.New(id.BillingAttempt), Today: p.today}))
	case subscription.Cancelled, subscription.Expired: // never due
	}
	return nil
}

func (e *Engine) do(ctx context.Context, c journal.Command) error {
	_, err := e.p.Do(ctx, &program.Request{Meta: meta(), Command: c})
	return err
}

// Settle charges every attempt that was begun and has no result, and records what the gateway says. An attempt that had
// no answer is asked about again after a while that doubles, to an hour; a gateway that had none for several attempts in
// a row is left alone for a while, to five minutes. It may be called as often as one likes.
func (e *Engine) Settle(ctx context.Context) error {
	if !e.gateway.over(e.p.Now()) {
		return nil
	}
	var errs []error
	open := map[id.ID]wait{} // what is waited for, without what ended elsewhere
	silent := 0
	for last, more := id.ID(""), true; more && ctx.Err() == nil; {
		rows, err := e.s.Claim(ctx, journal.Order, e.holder, inHand, `open_attempt IS NOT NULL AND id > $2`, `id`, chunk, string(last))
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		more = len(rows) == chunk
		for _, r := range rows {
			o := r.State.(*billing.Order)
			last = o.ID
			a, ok := billing.OpenAttempt(o)
			if !ok {
				continue
			}
			if w, ok := e.attempts[a.ID]; ok && !w.over(e.p.Now()) {
				open[a.ID] = w
				continue
			}
			result, err := e.ask(ctx, o, a)
			switch {
			case err != nil && ctx.Err() != nil:
				return errors.Join(append(errs, ctx.Err())...)
			case errors.Is(err, errSilent):
				e.attempts[a.ID] = e.attempts[a.ID].longer(e.p.Now(), attemptWait)
				e.Observer.attempt("silent")
				e.log.Warn("a charge has no answer yet", "order", o.ID, "attempt", a.ID, "error", err)
				if silent++; silent == silentCalls {
					e.gateway = e.gateway.longer(e.p.Now(), gatewayWait)
					return errors.Join(append(errs, fmt.Errorf("the payment gateway does not answer; it is asked again in %s: %w", e.gateway.pause, err))...)
				}
				open[a.ID] = e.attempts[a.ID]
				continue
			case err != nil:
				errs = append(errs, fmt.Errorf("order %s: %w", o.ID, err))
				continue
			}
			silent, e.gateway = 0, wait{}
			if result.Status != payment.Succeeded && result.Status != payment.Declined {
				e.attempts[a.ID] = e.attempts[a.ID].longer(e.p.Now(), attemptWait)
				open[a.ID] = e.attempts[a.ID]
			}
			if err := e.finish(ctx, o, a, result); err != nil {
				errs = append(errs, fmt.Errorf("order %s: %w", o.ID, err))
			}
		}
	}
	if ctx.Err() == nil {
		e.attempts = open
	}
	if err := e.s.Unclaim(context.WithoutCancel(ctx), journal.Order, e.holder); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// errSilent says that the gateway gave no answer: what became of the attempt is not known.
var errSilent = errors.New("no answer from the gateway")

// ask gives what became of an open attempt. One that may have reached the gateway already is asked about first.
func (e *Engine) ask(ctx context.Context, o *billing.Order, a billing.Attempt) (payment.ChargeResult, error) {
	result, found, err := e.lookUp(ctx, a)
	if err != nil || found {
		return result, err
	}
	if a.Status == billing.AttemptActionRequired {
		// It waited for the customer, and is not begun again.
		e.log.Warn("the gateway does not know a charge any more that it waited to have confirmed", "order", o.ID, "attempt", a.ID)
		return payment.ChargeResult{Status: payment.ActionRequired}, nil
	}
	row, err := e.s.Load(ctx, e.s.Read, journal.Ref{Kind: journal.PaymentMethod, ID: a.PaymentMethodID})
	if err != nil {
		return payment.ChargeResult{}, db.Fault(err)
	}
	m, ok := row.State.(*customer.PaymentMethod)
	if !ok || m.GatewayReference.Erased || m.GatewayReference.Value == "" {
		return payment.ChargeResult{Status: payment.Declined, Code: payment.CodeMethodUnknown, Message: "The payment method is gone.", Hard: true}, nil
	}
	limited, cancel := context.WithTimeout(ctx, chargeTimeout)
	defer cancel()
	result, err = e.g.Charge(limited, payment.ChargeRequest{IdempotencyKey: string(a.ID), Amount: a.Amount, Reference: m.GatewayReference.Value, OrderID: o.ID, Description: "Order " + o.Number})
	switch {
	case err == nil:
		return result, nil
	case errors.Is(err, payment.ErrInvalid), errors.Is(err, payment.ErrKeyReused):
		return payment.ChargeResult{Status: payment.Declined, Code: payment.CodeProcessingError, Message: "The gateway cannot carry out this charge.", Hard: true}, nil
	case ctx.Err() != nil:
		return payment.ChargeResult{}, ctx.Err()
	}
	// Whether money moved is unknown: ask at once, and if that says nothing either, another time.
	charge := err
	if result, found, err = e.lookUp(ctx, a); err == nil && !found {
		err = fmt.Errorf("%w: %w", errSilent, charge)
	}
	return result, err
}

func (e *Engine) lookUp(ctx context.Context, a billing.Attempt) (payment.ChargeResult, bool, error) {
	limited, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	result, found, err := e.g.Lookup(limited, string(a.ID))
	if err != nil {
		err = fmt.Errorf("%w: %w", errSilent, err)
	}
	return result, found, err
}

// finish records what the gateway said, also when the run is being stopped.
func (e *Engine) finish(ctx context.Context, o *billing.Order, a billing.Attempt, r payment.ChargeResult) error {
	if r.Status == payment.ActionRequired && a.Status == billing.AttemptActionRequired {
		return nil // nothing new
	}
	e.Observer.attempt(string(r.Status))
	return e.do(context.WithoutCancel(ctx), journal.Bind(billing.FinishAttempt{OrderID: o.ID, AttemptID: a.ID, Result: billing.Result(r.Status), Code: r.Code,
		Message: r.Message, GatewayID: r.GatewayID, Hard: r.Hard}))
}
