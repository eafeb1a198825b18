package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"perennial/internal/billing"
	"perennial/internal/customer"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/store"
)

// reporter is a gateway that sends reports.
type reporter interface {
	Name() string // the actor of what a report changes
	OrderOf(ctx context.Context, chargeID string) (string, error)
	PaymentMethodOf(ctx context.Context, reference string) (payment.Card, error)
}

// sender is a reporter whose reports come by themselves, signed, over HTTP.
type sender interface {
	reporter
	Parse(body []byte, header string, now time.Time) (payment.Event, error)
}

// teller is a reporter in the same process, which is asked for what it has to report from one time on and before another.
type teller interface {
	reporter
	Reports(ctx context.Context, from, to time.Time) ([]payment.Event, error)
}

// moded is a reporter that moves real money, or does not.
type moded interface{ Live() bool }

// retriever is a reporter that says what a charge is now, and judge one that says what a dispute is.
type (
	retriever interface {
		Retrieve(ctx context.Context, chargeID string) (payment.Charge, error)
	}
	judge interface {
		DisputeOf(ctx context.Context, dispute string) (payment.DisputeReport, error)
	}
)

// owners is a reporter that knows whose a card is.
type owners interface {
	CustomerOf(ctx context.Context, reference string) (id.ID, error)
}

// Reports takes what a gateway reports. A report comes more than once and in no order, so nothing is believed but what changes nothing
// twice: of a payment the engine asks the gateway itself, and a dispute ends once.
type Reports struct {
	p *program.Program
	s *store.Store
	e *engine.Engine
	g reporter // nil: the gateway reports nothing

	gate *gate.Gate // nil: reports are always taken

	log *slog.Logger

	told time.Time // before which a teller was heard; zero at first, so after a restart all comes again
}

// NewReports takes the reports of the gateway for an engine that charges with it.
func NewReports(p *program.Program, s *store.Store, e *engine.Engine, g payment.Gateway, log *slog.Logger) *Reports {
	r := &Reports{p: p, s: s, e: e, gate: e.Gate, log: log}
	r.g, _ = g.(reporter)
	return r
}

// Pump asks a gateway in the same process for its reports since the last time. It is for one goroutine at a time. Reports that could
// not be taken come again.
func (r *Reports) Pump(ctx context.Context) error {
	g, ok := r.g.(teller)
	if !ok {
		return nil
	}
	if err := r.gate.Ask(gate.Report); err != nil {
		return err
	}
	now := r.p.Now()
	all, err := g.Reports(ctx, r.told, now)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.take(ctx, e); err != nil {
			errs = append(errs, fmt.Errorf("report %s: %w", e.ID, err))
		}
	}
	if len(errs) == 0 {
		r.told = now
	}
	return errors.Join(errs...)
}

// maxReport is the longest report that is read, in bytes.
const maxReport = 512 << 10

// receive answers the requests with a gateway's reports.
func (r *Reports) receive(g sender) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxReport))
		if err != nil {
			http.Error(w, "The report could not be read, or is too long.", http.StatusRequestEntityTooLarge)
			return
		}
		e, err := g.Parse(body, req.Header.Get("Stripe-Signature"), r.p.Now())
		switch {
		case errors.Is(err, payment.ErrReport): // signed, and not of a form that we know: it would come again and again
			r.log.Error("a report of the gateway cannot be read", "error", err)
			w.WriteHeader(http.StatusNoContent)
			return
		case err != nil:
			http.Error(w, "The report is not signed as it has to be.", http.StatusBadRequest)
			return
		}
		if err := r.take(req.Context(), e); err != nil {
			if !gate.Held(err) {
				r.log.Error("a report of the gateway", "report", e.ID, "error", err)
			}
			http.Error(w, "Not now.", http.StatusServiceUnavailable) // it comes again
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// take does what a report asks for.
func (r *Reports) take(ctx context.Context, e payment.Event) error {
	if err := r.gate.Ask(gate.Report); err != nil {
		return err
	}
	if g, ok := r.g.(moded); ok && g.Live() != e.Live {
		r.log.Warn("a report of the gateway's other mode is left out: the endpoint there sends to the wrong address", "report", e.ID, "live", e.Live)
		return nil
	}
	if e.Odd == "" {
		r.gate.Clear(gate.GatewayVersion)
	} else {
		r.gate.Raise(gate.Reason{Code: gate.GatewayVersion, Warning: true, Sentence: "The payment gateway sends reports in a version of its API that this program does not know: " + e.Odd +
			". Give the endpoint there the version that docs/operations.md names."})
		r.log.Error("a report is written in a version of the gateway's API that nobody has looked at", "report", e.ID, "version", e.Odd)
	}
	switch told := e.Report.(type) {
	case payment.PaymentReport:
		return r.paid(ctx, told)
	case payment.RefundReport:
		switch {
		case told.Result.Status == payment.Declined && !told.Pending:
			return r.returned(ctx, told)
		case told.Key == "":
			r.log.Warn("money was given back on the gateway's own pages: refund the order here too, by the same amount", "charge", told.ChargeID, "refund", told.RefundID, "amount", told.Amount.String())
		}
	case payment.DisputeReport:
		return r.contested(ctx, told)
	case payment.MethodReport:
		if told.Change == payment.MethodUpdated {
			return r.renewed(ctx, told)
		}
		r.log.Debug("a card changed at the gateway", "change", told.Change, "exp_month", told.Method.ExpMonth, "exp_year", told.Method.ExpYear)
	}
	return nil
}

// paid takes the report of a charge. An open attempt is asked about at the engine's next look; money that came for one that has ended
// is taken here, after the gateway was asked for the charge.
func (r *Reports) paid(ctx context.Context, told payment.PaymentReport) error {
	o, err := r.order(ctx, id.ID(told.OrderID))
	if err != nil {
		return err
	}
	a, ok := billing.Attempt{}, false
	if o != nil {
		a, ok = billing.Named(o, r.s.Shop, told.Key)
	}
	switch open, _ := billing.OpenAttempt(nonNil(o)); {
	case ok && open.ID == a.ID:
		r.e.Reported(a.ID, told.Result.GatewayID) // at its next look, in some seconds
		return nil
	case o == nil, told.Result.Status != payment.Succeeded, ok && a.Status == billing.AttemptSucceeded && a.GatewayID == told.Result.GatewayID:
		return nil // the nightly comparison tells of money for an order that is not there
	}
	g, asks := r.g.(retriever)
	if !asks {
		return nil
	}
	c, err := g.Retrieve(ctx, told.Result.GatewayID)
	switch {
	case errors.Is(err, payment.ErrNotFound), errors.Is(err, payment.ErrUndecided):
		return nil
	case err != nil:
		return err
	case c.Status != payment.Succeeded || c.Key != told.Key || c.OrderID != o.ID:
		return nil
	case ok && a.Status == billing.AttemptFailed && c.Amount == a.Amount:
		_, err := r.p.Do(ctx, &program.Request{Meta: r.meta(), Command: journal.Bind(billing.FinishAttempt{OrderID: o.ID, AttemptID: a.ID, Result: billing.Succeeded, GatewayID: c.GatewayID})})
		return err
	}
	// Another amount, a second charge, or of an attempt that is not there: it is told as what it is, as the nightly comparison would.
	at := c.At
	books := billing.Books{From: at, To: at.Add(time.Nanosecond), Charges: []billing.Moved{{ID: c.GatewayID, Key: c.Key, Attempt: a.ID, Amount: c.Amount, At: at}}}
	_, err = r.p.Do(ctx, &program.Request{Meta: r.meta(), Command: journal.Bind(billing.Reconcile{OrderID: o.ID, Books: books})})
	return err
}

func nonNil(o *billing.Order) *billing.Order {
	if o == nil {
		return &billing.Order{}
	}
	return o
}

// contested records a dispute as the gateway has it now: its reports come in no order.
func (r *Reports) contested(ctx context.Context, told payment.DisputeReport) error {
	order, err := r.g.OrderOf(ctx, told.ChargeID)
	if errors.Is(err, payment.ErrNotFound) || err == nil && order == "" {
		return nil // not a charge of ours
	}
	if err != nil {
		return err
	}
	now, asked := told, false
	if g, ok := r.g.(judge); ok {
		d, err := g.DisputeOf(ctx, told.DisputeID)
		if err != nil && !errors.Is(err, payment.ErrNotFound) {
			return err
		}
		if asked = err == nil && d.ChargeID == told.ChargeID; asked {
			now = d
		}
	}
	c := billing.RecordDispute{OrderID: id.ID(order), DisputeID: now.DisputeID, ChargeID: now.ChargeID, Amount: now.Amount, Reason: now.Reason, Status: billing.DisputeOpen,
		Inquiry: now.Inquiry, Asked: asked}
	if now.Closed {
		c.Status = billing.DisputeLost
		if now.Won {
			c.Status = billing.DisputeWon
		}
	}
	_, err = r.p.Do(ctx, &program.Request{Meta: r.meta(), Command: journal.Bind(c)})
	if err != nil && fault.As(err).Kind == fault.NotFound {
		return nil
	}
	return err
}

// renewed records a card as the gateway has it now: the bank sent a new one, or somebody changed it there.
func (r *Reports) renewed(ctx context.Context, told payment.MethodReport) error {
	reference := told.Method.Reference
	now, err := r.g.PaymentMethodOf(ctx, reference)
	if errors.Is(err, payment.ErrNotFound) {
		return nil // it was taken off the customer since
	}
	if err != nil {
		return err
	}
	owner, err := r.owner(ctx, told)
	if err != nil || owner == "" {
		return err
	}
	methods, err := query.Rows(ctx, r.s, query.List{Kind: journal.PaymentMethod, Where: []query.Filter{query.Is(query.Customer, owner), query.Not(query.Status, customer.StatusRemoved)}, Steady: true})
	if err != nil {
		return store.Fault(err)
	}
	for _, row := range methods {
		m := row.State.(*customer.PaymentMethod)
		if m.GatewayReference.Erased || m.GatewayReference.Value != reference {
			continue
		}
		update := customer.UpdatePaymentMethod{ID: m.ID, CustomerID: owner, Fields: customer.PaymentMethodFields{Brand: &now.Brand, Last4: &now.Last4, ExpMonth: &now.ExpMonth, ExpYear: &now.ExpYear}}
		if _, err := r.p.Do(ctx, &program.Request{Meta: r.meta(), Command: journal.Bind(update)}); err != nil {
			if f := fault.As(err); f.Kind != fault.Refused && f.Kind != fault.Conflict {
				return err
			}
			r.log.Warn("a card that changed at the gateway cannot be recorded", "payment_method", m.ID, "error", err)
		}
	}
	return nil
}

// returned takes back a refund that did not come through in the end.
func (r *Reports) returned(ctx context.Context, told payment.RefundReport) error {
	order, err := r.g.OrderOf(ctx, told.ChargeID)
	if errors.Is(err, payment.ErrNotFound) || err == nil && order == "" {
		return nil // not a charge of ours
	}
	if err != nil {
		return err
	}
	o, err := r.order(ctx, id.ID(order))
	if err != nil || o == nil {
		return err
	}
	for _, repayment := range o.Repayments {
		if repayment.GatewayID == told.RefundID && told.RefundID != "" {
			_, err := r.p.Do(ctx, &program.Request{Meta: r.meta(), Command: journal.Bind(billing.FinishRepayment{OrderID: o.ID, Number: repayment.Number, Code: told.Result.Code, GatewayID: told.RefundID})})
			return err
		}
	}
	return nil
}

// owner is the customer who has a card.
func (r *Reports) owner(ctx context.Context, told payment.MethodReport) (id.ID, error) {
	if g, ok := r.g.(owners); ok {
		return g.CustomerOf(ctx, told.Method.Reference)
	}
	o, err := r.order(ctx, told.OrderID)
	if err != nil || o == nil {
		return "", err
	}
	return o.CustomerID, nil
}

// order reads an order; nil for one that is not there.
func (r *Reports) order(ctx context.Context, key id.ID) (*billing.Order, error) {
	row, err := r.s.Load(ctx, r.s.Read, journal.Ref{Kind: journal.Order, ID: key})
	if err != nil {
		return nil, store.Fault(err)
	}
	o, _ := row.State.(*billing.Order)
	return o, nil
}

func (r *Reports) meta() program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorIntegration, ID: r.g.Name()}, Source: journal.Origin{Channel: journal.ChannelWebhook}}
}
