package scenario

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"perennial/internal/access"
	"perennial/internal/api"
	"perennial/internal/backup"
	"perennial/internal/engine"
	"perennial/internal/id"
	"perennial/internal/observe"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/server"
	"perennial/internal/test/pgtest"
	"perennial/internal/test/shop"
)

// clock is the server's clock. It may jump away from the right time, which the machine's steady clock and the gateway go by.
type clock struct {
	began, right time.Time
	off          time.Duration
}

func newClock(at time.Time) *clock { return &clock{began: at, right: at} }

func (c *clock) Now() time.Time        { return c.right.Add(c.off) }
func (c *clock) Right() time.Time      { return c.right }
func (c *clock) Steady() time.Duration { return c.right.Sub(c.began) }

func (c *clock) set(at time.Time) { c.right = at }

func (c *clock) jump(t *testing.T, how string) {
	t.Helper()
	c.off = 0
	if how == "right" {
		return
	}
	var n int
	var unit string
	if _, err := fmt.Sscanf(how, "%d%s", &n, &unit); err != nil || unit != "d" && unit != "h" {
		t.Fatalf("clock %q: %v", how, err)
	}
	c.off = time.Duration(n) * time.Hour
	if unit == "d" {
		c.off *= 24
	}
}

// gateway is the simulated one, which may be unable to close charges.
type gateway struct {
	*simulated.Gateway
	leavesOpen bool
}

func (g *gateway) Cancel(ctx context.Context, charge string) (payment.ChargeResult, error) {
	if g.leavesOpen {
		return payment.ChargeResult{}, simulated.ErrTimeout
	}
	return g.Gateway.Cancel(ctx, charge)
}

// start opens the shop, as a server does.
func (s *story) start() {
	i, err := server.Open(s.t.Context(), s.config)
	must(s.t, err)
	mux := access.NewMux("")
	s.i, s.handler = i, mux
	s.api = api.New(api.Config{Program: i.Program, Store: i.Store, Finder: i.Finder, Log: s.config.Log, Version: "test", BaseURL: "http://shop.example"}, mux)
	s.engine = engine.New(i.Program, i.Store, s.gateway, s.config.Log)
	s.engine.Gate = i.Gate
	s.reports = server.NewReports(i.Program, i.Store, s.engine, s.gateway, s.config.Log)
	s.seen = i.Program.Head()
	if s.seen >= 0 {
		_, _ = i.Sign(s.t.Context()) // the gate has what is wrong
	}
}

func (s *story) stop() {
	s.api.Drain()
	must(s.t, s.i.Close(context.WithoutCancel(s.t.Context())))
}

// backup copies the database. What is in it was signed, so the keys folder is as new as the copy.
func (s *story) backup() {
	_, err := s.i.Sign(s.t.Context())
	must(s.t, err)
	if shop.URL(s.t, s.config.Data) == "" {
		s.copy = filepath.Join(s.t.TempDir(), "backup.db")
		b, err := server.Backup(s.t.Context(), s.config, s.copy, nil, server.Steps{})
		if must(s.t, err); !b.Report.Holds() {
			s.t.Fatalf("the backup: %v", b.Report.Problems)
		}
		return
	}
	s.stop()
	s.copy, err = pgtest.Process(s.t).Create(pgtest.Name(s.config.Database))
	must(s.t, err)
	s.start()
}

// restore puts the copy in the place of the database, beside the keys folder and the gateway as they are by now.
func (s *story) restore() {
	_, err := s.i.Sign(s.t.Context())
	must(s.t, err)
	s.stop()
	if shop.URL(s.t, s.config.Data) == "" {
		for _, end := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(filepath.Join(s.config.Data, "perennial.db"+end)); err != nil && !os.IsNotExist(err) {
				s.t.Fatal(err)
			}
		}
		_, err := server.Restore(s.t.Context(), s.config, s.copy, "", backup.Unlock{}, server.Steps{})
		must(s.t, err) // the report says that entries are missing
	} else {
		s.config.Database = s.copy
		shop.Adopt(s.config.Data, s.copy)
	}
	s.start()
}

func (s *story) acceptRestore(why string) []string {
	_, err := s.i.AcceptRestore(s.t.Context(), observe.Operator{By: "mara", Because: why})
	must(s.t, err)
	_, err = s.i.Sign(s.t.Context())
	must(s.t, err)
	return append(s.news(false), s.held()...)
}

// held tells what holds something up.
func (s *story) held() (out []string) {
	for _, r := range s.i.Gate.Reasons() {
		out = append(out, "  "+r.Code+": "+r.Sentence)
	}
	return out
}

// atGateway does what happens at the gateway and at the bank.
func (s *story) atGateway(words []string) (out []string) {
	ctx, g := s.t.Context(), s.gateway
	word := func(n int) string {
		if n >= len(words) {
			return ""
		}
		return words[n]
	}
	switch word(0) {
	case "leaves":
		g.leavesOpen = true
	case "pays":
		must(s.t, g.Pay(ctx, s.entry(word(1), simulated.Charge).GatewayID))
	case "contests":
		e := s.entry(word(1), simulated.Charge)
		s.names[word(3)] = "dp_" + word(3)
		must(s.t, g.Contest(ctx, e.GatewayID, s.names[word(3)], e.Amount))
	case "decides":
		must(s.t, g.Decide(ctx, s.names[word(1)], word(2) == "won"))
	case "returns":
		must(s.t, g.SendBack(ctx, s.entry(word(1), simulated.Refund).GatewayID))
	case "refuses":
		g.Refuse(word(1))
	case "works":
		g.Refuse("")
		g.leavesOpen = false
	case "books":
		return s.books()
	default:
		s.t.Fatalf("the gateway does no such thing: %q", words)
	}
	return nil
}

// entry is the gateway's last one of a kind about an order.
func (s *story) entry(name string, kind simulated.EntryKind) (last simulated.Entry) {
	charges := map[string]id.ID{}
	for _, e := range s.gateway.Ledger() {
		if e.Kind == simulated.Charge {
			charges[e.GatewayID] = e.OrderID
		}
		if e.Kind == kind && (e.OrderID == id.ID(s.names[name]) || charges[e.ChargeID] == id.ID(s.names[name])) {
			last = e
		}
	}
	if last.GatewayID == "" {
		s.t.Fatalf("the gateway has no %s of %s", kind, name)
	}
	return last
}

// books sums up what the gateway moved.
func (s *story) books() []string {
	sums, counts := map[string]int64{}, map[string]int{}
	currency := ""
	for m, err := range s.gateway.Movements(s.t.Context(), time.Time{}, s.clock.Right().Add(time.Hour)) {
		must(s.t, err)
		sums[m.Kind] += m.Amount.Minor
		counts[m.Kind]++
		currency = m.Amount.Currency
	}
	if counts[payment.MovedCharge] == 0 {
		return []string{"  nothing"}
	}
	out := []string{fmt.Sprintf("  charges: %d, %s", counts[payment.MovedCharge], amount(sums[payment.MovedCharge], currency))}
	if n := counts[payment.MovedRefund]; n > 0 {
		out = append(out, fmt.Sprintf("  refunds: %d, %s", n, amount(sums[payment.MovedRefund], currency)))
	}
	return out
}
