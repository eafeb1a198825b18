package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"perennial/internal/billing"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/payment/stripe"
	"perennial/internal/program"
	"perennial/internal/store"
)

// reporter is a gateway that sends reports.
type reporter interface {
	Parse(body []byte, header string, now time.Time) (stripe.Event, error)
	OrderOf(ctx context.Context, chargeID string) (string, error)
	CustomerOf(ctx context.Context, reference string) (id.ID, error)
	PaymentMethodOf(ctx context.Context, reference string) (stripe.Method, error)
}

// maxReport is the longest report that is read, in bytes.
const maxReport = 512 << 10

// report takes a report of the gateway. It comes more than once and in no order, so nothing is believed but what changes nothing twice:
// of a payment the engine asks the gateway itself, and a dispute ends once.
func (s *Server) report(g reporter) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReport))
		if err != nil {
			http.Error(w, "The report could not be read, or is too long.", http.StatusRequestEntityTooLarge)
			return
		}
		e, err := g.Parse(body, r.Header.Get("Stripe-Signature"), s.Program.Now())
		switch {
		case errors.Is(err, stripe.ErrReport): // signed, and not of a form that we know: it would come again and again
			s.Config.Log.Error("a report of the gateway cannot be read", "error", err)
			w.WriteHeader(http.StatusNoContent)
			return
		case err != nil:
			http.Error(w, "The report is not signed as it has to be.", http.StatusBadRequest)
			return
		}
		if err := s.take(r.Context(), g, e); err != nil {
			s.Config.Log.Error("a report of the gateway", "report", e.ID, "error", err)
			http.Error(w, "Not now.", http.StatusServiceUnavailable) // it comes again
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// take does what a report asks for.
func (s *Server) take(ctx context.Context, g reporter, e stripe.Event) error {
	switch r := e.Report.(type) {
	case stripe.PaymentReport:
		s.engine.AskAgain(id.ID(r.Key)) // at its next look, in some seconds
	case stripe.RefundReport:
		switch {
		case r.Result.Status == payment.Declined && !r.Pending:
			return s.returned(ctx, g, r)
		case r.Key == "":
			s.Config.Log.Warn("money was given back on the gateway's own pages: refund the order here too, by the same amount", "charge", r.ChargeID, "refund", r.RefundID, "amount", r.Amount.String())
		}
	case stripe.DisputeReport:
		order, err := g.OrderOf(ctx, r.ChargeID)
		if errors.Is(err, stripe.ErrNotFound) || err == nil && order == "" {
			return nil // not a charge of ours
		}
		if err != nil {
			return err
		}
		c := billing.RecordDispute{OrderID: id.ID(order), DisputeID: r.DisputeID, Amount: r.Amount, Reason: r.Reason, Status: billing.DisputeOpen}
		if r.Closed {
			c.Status = billing.DisputeLost
			if r.Won {
				c.Status = billing.DisputeWon
			}
		}
		if _, err := s.Program.Do(ctx, &program.Request{Meta: fromStripe(), Command: journal.Bind(c)}); err != nil && fault.As(err).Kind != fault.NotFound {
			return err
		}
	case stripe.MethodReport:
		if r.Change == stripe.MethodUpdated {
			return s.renewed(ctx, g, r.Method.Reference)
		}
		s.Config.Log.Info("a card changed at the gateway", "change", r.Change, "exp_month", r.Method.ExpMonth, "exp_year", r.Method.ExpYear)
	}
	return nil
}

// renewed records a card as the gateway has it now: the bank sent a new one, or somebody changed it there.
func (s *Server) renewed(ctx context.Context, g reporter, reference string) error {
	now, err := g.PaymentMethodOf(ctx, reference)
	if errors.Is(err, stripe.ErrNotFound) {
		return nil // it was taken off the customer since
	}
	if err != nil {
		return err
	}
	owner, err := g.CustomerOf(ctx, reference)
	if err != nil || owner == "" {
		return err
	}
	methods, err := s.Store.List(ctx, s.Store.Read, journal.PaymentMethod, `customer_id = $2 AND status <> 'removed' ORDER BY id`, string(owner))
	if err != nil {
		return store.Fault(err)
	}
	for _, row := range methods {
		m := row.State.(*customer.PaymentMethod)
		if m.GatewayReference.Erased || m.GatewayReference.Value != reference {
			continue
		}
		update := customer.UpdatePaymentMethod{ID: m.ID, CustomerID: owner, Fields: customer.PaymentMethodFields{Brand: &now.Brand, Last4: &now.Last4, ExpMonth: &now.ExpMonth, ExpYear: &now.ExpYear}}
		if _, err := s.Program.Do(ctx, &program.Request{Meta: fromStripe(), Command: journal.Bind(update)}); err != nil {
			if f := fault.As(err); f.Kind != fault.Refused && f.Kind != fault.Conflict {
				return err
			}
			s.Config.Log.Warn("a card that changed at the gateway cannot be recorded", "payment_method", m.ID, "error", err)
		}
	}
	return nil
}

// returned takes back a refund that did not come through in the end.
func (s *Server) returned(ctx context.Context, g reporter, r stripe.RefundReport) error {
	order, err := g.OrderOf(ctx, r.ChargeID)
	if errors.Is(err, stripe.ErrNotFound) || err == nil && order == "" {
		return nil // not a charge of ours
	}
	if err != nil {
		return err
	}
	row, err := s.Store.Load(ctx, s.Store.Read, journal.Ref{Kind: journal.Order, ID: id.ID(order)})
	if err != nil {
		return store.Fault(err)
	}
	o, ok := row.State.(*billing.Order)
	if !ok {
		return nil
	}
	for _, repayment := range o.Repayments {
		if repayment.GatewayID == r.RefundID && r.RefundID != "" {
			_, err := s.Program.Do(ctx, &program.Request{Meta: fromStripe(), Command: journal.Bind(billing.FinishRepayment{OrderID: o.ID, Number: repayment.Number, Code: r.Result.Code, GatewayID: r.RefundID})})
			return err
		}
	}
	return nil
}

func fromStripe() program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorIntegration, ID: "stripe"}, Source: journal.Origin{Channel: journal.ChannelWebhook}}
}
