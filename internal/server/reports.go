package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"perennial/internal/billing"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/stripe"
	"perennial/internal/program"
)

// reporter is a gateway that sends reports.
type reporter interface {
	Parse(body []byte, header string, now time.Time) (stripe.Event, error)
	OrderOf(ctx context.Context, chargeID string) (string, error)
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
		if r.Key == "" {
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
		meta := program.Meta{Actor: journal.Actor{Kind: journal.ActorIntegration, ID: "stripe"}, Source: journal.Origin{Channel: journal.ChannelWebhook}}
		if _, err := s.Program.Do(ctx, &program.Request{Meta: meta, Command: journal.Bind(c)}); err != nil && fault.As(err).Kind != fault.NotFound {
			return err
		}
	case stripe.MethodReport:
		s.Config.Log.Info("a card changed at the gateway", "change", r.Change, "exp_month", r.Method.ExpMonth, "exp_year", r.Method.ExpYear)
	}
	return nil
}
