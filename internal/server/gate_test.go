package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"perennial/internal/gate"
	"perennial/internal/mail"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
)

// closer is a gateway at whose first question about a dispute the gate closes. It also counts how often it is asked for reports.
type closer struct {
	*hasty
	gate   *gate.Gate
	asked  int
	judged []string
}

func (c *closer) Reports(ctx context.Context, from, to time.Time) ([]payment.Event, error) {
	c.asked++
	return c.Gateway.Reports(ctx, from, to)
}

func (c *closer) OrderOf(ctx context.Context, charge string) (string, error) {
	c.judged = append(c.judged, charge)
	c.gate.Raise(gate.Reason{Code: gate.DatabaseBehind, Sentence: "An old copy.", Holds: gate.Report})
	return c.Gateway.OrderOf(ctx, charge)
}

// Parse takes any body for the report of a dispute.
func (c *closer) Parse([]byte, string, time.Time) (payment.Event, error) {
	return payment.Event{ID: "evt_1", Report: payment.DisputeReport{DisputeID: "dp_1", ChargeID: "ch_1"}}, nil
}

// While the gate is closed no report is taken, also when it closes between two reports. They are taken later.
func TestNoReportIsTakenWhileTheGateIsClosed(t *testing.T) {
	c := tryingOut(t)
	g := &closer{hasty: c.gateway, gate: gate.New(slog.New(slog.DiscardHandler), c.clock.Now)}
	c.reports = NewReports(c.Program, c.Store, c.engine, g, slog.New(slog.DiscardHandler))
	c.reports.gate = g.gate
	for range 2 {
		c.order(t, simulated.DisputeLost)
	}
	c.clock.pass(90 * 24 * time.Hour)
	g.gate.Raise(gate.Reason{Code: gate.DatabaseForked, Sentence: "Another history.", Holds: gate.Report})
	head := c.Program.Head()
	if err := c.reports.Pump(t.Context()); !gate.Held(err) || g.asked != 0 || c.Program.Head() != head {
		t.Errorf("with a closed gate: %v, asked %d times, %d entries", err, g.asked, c.Program.Head()-head)
	}
	told := httptest.NewRecorder()
	c.reports.receive(g)(told, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/stripe", strings.NewReader("{}")))
	if told.Code != http.StatusServiceUnavailable || len(g.judged) != 0 {
		t.Errorf("a report that comes: %d, looked into %v", told.Code, g.judged)
	}
	g.gate.Clear(gate.DatabaseForked)
	if err := c.reports.Pump(t.Context()); !gate.Held(err) || len(g.judged) != 1 {
		t.Errorf("it closes at the first report: %v, looked into %v", err, g.judged)
	}
	for range 10 {
		g.gate.Clear(gate.DatabaseBehind)
		if err := c.reports.Pump(t.Context()); err != nil && !gate.Held(err) {
			t.Fatal(err)
		}
	}
	if got := c.reported(t, head); len(got) == 0 {
		t.Error("nothing was taken in the end")
	}
}

// sent counts messages.
type sent struct {
	mail.Sender
	n int
}

func (s *sent) Send(context.Context, mail.Message) error { s.n++; return nil }

// What people send from the Dashboard waits too.
func TestNoMailIsSentWhileTheGateIsClosed(t *testing.T) {
	g := gate.New(slog.New(slog.DiscardHandler), time.Now)
	post := &sent{}
	m := heldMail{post, g}
	g.Raise(gate.Reason{Code: gate.DatabaseBehind, Sentence: "An old copy.", Holds: gate.Send})
	if err := m.Send(t.Context(), mail.Message{}); !gate.Held(err) || post.n != 0 {
		t.Errorf("with a closed gate: %v, %d sent", err, post.n)
	}
	g.Clear(gate.DatabaseBehind)
	if err := m.Send(t.Context(), mail.Message{}); err != nil || post.n != 1 {
		t.Errorf("open again: %v, %d sent", err, post.n)
	}
}
