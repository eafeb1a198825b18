// Package engine makes renewals happen: it finds what is due, runs the rules of package billing through program, and
// calls the payment gateway between them, outside any transaction.
//
// A charge happens once. The attempt is an entry before the gateway is called, its id is the gateway's idempotency key,
// and an attempt without a result (a crash, a time-out) is resolved by asking the gateway, never by charging under
// another key. So Run may be stopped anywhere and begun again.
package engine

import (
	"context"
	"errors"
	"fmt"
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

// Engine runs billing for one shop. Its methods are for one goroutine at a time.
type Engine struct {
	p   *program.Program
	s   *store.Store
	g   payment.Gateway
	log *slog.Logger
}

// New makes an engine.
func New(p *program.Program, s *store.Store, g payment.Gateway, log *slog.Logger) *Engine {
	return &Engine{p: p, s: s, g: g, log: log}
}

// The engine acts as the system, by the name of its job.
func meta() program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "billing"}, Source: journal.Origin{Channel: journal.ChannelBilling}}
}

// Run does everything that is due now: attempts without a result, pauses that end, renewals, retries. It goes on with
// the others when one subscription fails, and returns those failures together.
func (e *Engine) Run(ctx context.Context) error {
	var errs []error
	if err := e.Settle(ctx); err != nil {
		errs = append(errs, err)
	}
	today, err := e.today(ctx)
	if err != nil || today == nil {
		return errors.Join(append(errs, err)...)
	}
	// Everybody is begun once for each time that something was due: what did not move is not tried again in this run.
	begun := map[id.ID]int64{}
	for ctx.Err() == nil {
		due, err := e.due(ctx, *today, begun)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if len(due) == 0 {
			break
		}
		for _, row := range due {
			s := row.State.(*subscription.Subscription)
			begun[s.ID] = row.LastSeq
			if err := e.begin(ctx, s, *today); err != nil && fault.As(err).Kind != fault.Conflict {
				errs = append(errs, fmt.Errorf("subscription %s: %w", s.ID, err))
			}
		}
		if err := e.Settle(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// today is the last day whose billing hour has come, nil for a shop without settings.
func (e *Engine) today(ctx context.Context) (*civil.Date, error) {
	rd := program.NewReader(ctx, e.s, e.s.Read)
	g, err := journal.Find[settings.General](rd, journal.Settings, settings.PageGeneral)
	if err != nil || g == nil {
		return nil, err
	}
	hour := 0
	b, err := journal.Find[settings.Billing](rd, journal.Settings, settings.PageBilling)
	if err != nil {
		return nil, err
	}
	if b != nil {
		hour = b.BillingHour
	}
	zone := settings.Zone(g)
	now := e.p.Now()
	day := civil.Today(now, zone)
	if now.Before(day.At(hour, 0, zone)) {
		day = day.AddDays(-1)
	}
	return &day, nil
}

// due gives the next chunk of subscriptions for which something is due, in order of day and id, without those that were
// begun at the very state that they still have.
func (e *Engine) due(ctx context.Context, today civil.Date, begun map[id.ID]int64) ([]store.Row, error) {
	var out []store.Row
	day, last := "", id.ID("")
	for {
		rows, err := e.s.List(ctx, e.s.Read, journal.Subscription,
			`due_date <= $2 AND (due_date, id) > ($3, $4) ORDER BY due_date, id LIMIT $5`, today.String(), day, last, chunk)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			s := r.State.(*subscription.Subscription)
			if at, ok := begun[s.ID]; !ok || at != r.LastSeq {
				out = append(out, r)
			}
			day, last = program.DueDate(s).String(), s.ID
		}
		if len(out) > 0 || len(rows) < chunk {
			return out, nil
		}
	}
}

// begin does the first step for a subscription: resume it, make its order, or try its failed payment again.
func (e *Engine) begin(ctx context.Context, s *subscription.Subscription, today civil.Date) error {
	switch s.Status {
	case subscription.Paused:
		return e.do(ctx, journal.Bind(subscription.ResumeDue{ID: s.ID}))
	case subscription.Active:
		return e.do(ctx, journal.Bind(billing.CreateOrder{SubscriptionID: s.ID, OrderID: e.p.IDs.New(id.Order), AttemptID: e.p.IDs.New(id.BillingAttempt), Due: today}))
	case subscription.Failed:
		return e.do(ctx, journal.Bind(billing.RetryOrder{OrderID: s.Recovery.OrderID, AttemptID: e.p.IDs.New(id.BillingAttempt), Today: today}))
	}
	return nil
}

func (e *Engine) do(ctx context.Context, c journal.Command) error {
	_, err := e.p.Do(ctx, &program.Request{Meta: meta(), Command: c})
	return err
}

// Settle charges every attempt that was begun and has no result, and records what the gateway says.
func (e *Engine) Settle(ctx context.Context) error {
	var errs []error
	last := id.ID("")
	for ctx.Err() == nil {
		rows, err := e.s.List(ctx, e.s.Read, journal.Order, `open_attempt IS NOT NULL AND id > $2 ORDER BY id LIMIT $3`, last, chunk)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, r := range rows {
			o := r.State.(*billing.Order)
			if err := e.settle(ctx, o); err != nil {
				errs = append(errs, fmt.Errorf("order %s: %w", o.ID, err))
			}
			last = o.ID
		}
		if len(rows) < chunk {
			break
		}
	}
	return errors.Join(errs...)
}

// settle resolves an order's open attempt. One that may have reached the gateway already is asked about first; an
// answer that stays away leaves the attempt open for the next run.
func (e *Engine) settle(ctx context.Context, o *billing.Order) error {
	a, ok := billing.OpenAttempt(o)
	if !ok {
		return nil
	}
	result, found, err := e.g.Lookup(ctx, string(a.ID))
	if err != nil {
		return fmt.Errorf("ask the gateway about attempt %s: %w", a.ID, err)
	}
	if !found {
		row, err := e.s.Load(ctx, e.s.Read, journal.Ref{Kind: journal.PaymentMethod, ID: a.PaymentMethodID})
		if err != nil {
			return db.Fault(err)
		}
		m, ok := row.State.(*customer.PaymentMethod)
		if !ok || m.GatewayReference.Erased || m.GatewayReference.Value == "" {
			result = payment.ChargeResult{Status: payment.Declined, Code: payment.CodeMethodUnknown, Message: "The payment method is gone.", Hard: true}
		} else {
			ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			result, err = e.g.Charge(ctx, payment.ChargeRequest{IdempotencyKey: string(a.ID), Amount: a.Amount, Reference: m.GatewayReference.Value, OrderID: o.ID, Description: "Order " + o.Number})
			if errors.Is(err, payment.ErrInvalid) || errors.Is(err, payment.ErrKeyReused) {
				result, err = payment.ChargeResult{Status: payment.Declined, Code: payment.CodeProcessingError, Message: "The gateway cannot carry out this charge.", Hard: true}, nil
			}
			if err != nil {
				// Whether money moved is unknown: ask at once, and if that says nothing either, in the next run.
				if result, found, err = e.g.Lookup(ctx, string(a.ID)); err != nil || !found {
					e.log.Warn("a charge has no answer yet", "order", o.ID, "attempt", a.ID)
					return nil
				}
			}
		}
	}
	if result.Status == payment.ActionRequired && a.Status == billing.AttemptActionRequired {
		return nil
	}
	return e.do(ctx, journal.Bind(billing.FinishAttempt{OrderID: o.ID, AttemptID: a.ID, Result: billing.Result(result.Status), Code: result.Code,
		Message: result.Message, GatewayID: result.GatewayID, Hard: result.Hard}))
}
