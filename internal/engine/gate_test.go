package engine_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

// begins are the entries with which the engine begins something; all others say how something ended.
var begins = []journal.Name{"order.created", "billing_attempt.started", "payment_method.expiring", "network_data.expired", "billing.reconciled", "billing.difference_found",
	"subscription.resumed", "subscription.order_skipped"}

// shutter is a gate that something raises while the engine works: at the next call of the gateway or the next command. It notes what
// begins afterwards.
type shutter struct {
	*simulated.Gateway
	w    *world
	gate *gate.Gate

	mu       sync.Mutex
	on       bool   // guarded by mu; a job is under way
	left     int    // guarded by mu; how many things do not close the gate
	at       string // guarded by mu; what closed it; empty: it is open
	boundary int64  // guarded by mu; the last entry of what was under way then
	after    []string
	kinds    map[string]bool // guarded by mu; of what closed it
}

func closes(w *world, more []payment.Movement) *shutter {
	c := &shutter{Gateway: w.ledger, w: w, gate: gate.New(slog.New(slog.DiscardHandler), w.clock.Now), kinds: map[string]bool{}}
	w.use(&closable{c, books{Gateway: w.ledger, more: more}})
	w.engine.Gate = c.gate
	w.Program.Observe(func() func(program.Batch) {
		closed := c.hit("a command")
		return func(program.Batch) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if closed {
				c.boundary = w.Program.Head()
			}
		}
	})
	return c
}

// hit notes that something begins, and says whether it closed the gate.
func (c *shutter) hit(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.at != "" && what != "a command":
		c.after = append(c.after, what)
	case c.at == "" && c.on && c.left > 0:
		c.left--
	case c.at == "" && c.on:
		c.at, c.boundary = what, c.w.Program.Head()
		c.kinds[what] = true
		c.gate.Raise(gate.Reason{Code: gate.DatabaseBehind, Sentence: "An old copy.", Holds: gate.All})
		return true
	}
	return false
}

// closable is a gateway at whose calls the gate closes.
type closable struct {
	c *shutter
	books
}

func (g *closable) Charge(ctx context.Context, r payment.ChargeRequest) (payment.ChargeResult, error) {
	g.c.hit("a charge")
	return g.Gateway.Charge(ctx, r)
}

func (g *closable) Refund(ctx context.Context, r payment.RefundRequest) (payment.RefundResult, error) {
	g.c.hit("a refund")
	return g.Gateway.Refund(ctx, r)
}

func (g *closable) Lookup(ctx context.Context, q payment.Query) (payment.Charge, bool, error) {
	g.c.hit("a look-up")
	return g.books.Lookup(ctx, q)
}

func (g *closable) Movements(ctx context.Context, from, to time.Time) iter.Seq2[payment.Movement, error] {
	g.c.hit("a comparison")
	return g.books.Movements(ctx, from, to)
}

// once does a job with a gate that closes at a thing that the job does, after some others, and says whether it came to that.
func (c *shutter) once(job func(context.Context) error, others int) (closed bool) {
	c.w.t.Helper()
	c.mu.Lock()
	c.on, c.after, c.left = true, nil, others
	c.mu.Unlock()
	err := job(c.w.t.Context())
	c.mu.Lock()
	c.on = false
	c.mu.Unlock()
	c.w.Do(journal.Bind(customer.Create{ID: c.w.IDs.New(id.Customer), Email: fmt.Sprintf("after%d@mail.example", c.w.Program.Head())})) // the writer has told of all before it
	c.mu.Lock()
	at, after, boundary := c.at, c.after, c.boundary
	c.at = ""
	c.mu.Unlock()
	c.gate.Clear(gate.DatabaseBehind)
	if err != nil && !gate.Held(err) {
		c.w.t.Fatal(err)
	}
	if at == "" {
		return false
	}
	for _, what := range after {
		c.w.t.Errorf("%s closed the gate, and then %s began", at, what)
	}
	for st, err := range c.w.Store.Events(c.w.t.Context(), c.w.Store.Read, store.Closed, boundary+1, 0) {
		if err != nil {
			c.w.t.Fatal(err)
		}
		if slices.Contains(begins, st.Type) {
			c.w.t.Errorf("%s closed the gate, and then %s began", at, st.Type)
		}
	}
	return true
}

// Whatever closes the gate while the engine works, and whenever: what is under way ends, and nothing else begins. A busy day with
// two of each thing is done one step at a time, and each step closes the gate.
func TestNothingBeginsWhileTheGateIsClosed(t *testing.T) {
	w := begin(t)
	from := journal.Origin{Channel: journal.ChannelAPI, IP: journal.Secluded("203.0.113.7"), UserAgent: journal.Secluded("curl/8")}
	seen := func(months int) { // network data of this month
		t.Helper()
		if _, err := w.Program.Do(t.Context(), &program.Request{Meta: program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}, Source: from},
			Command: journal.Bind(settings.Update{Document: &settings.Log{NetworkRetentionMonths: months}})}); err != nil {
			t.Fatal(err)
		}
	}
	seen(2)
	w.at(start.AddDays(31), 9, 0)
	seen(1)
	two := func(reference string, first civil.Date) (out []*subscription.Subscription) {
		for range 2 {
			out = append(out, w.subscribe(reference, civil.Month, first))
		}
		return out
	}
	today := start.AddDays(90)
	paid, declined, waiting, lost := two(simulated.OK, today), two("sim_decline_insufficient_funds", today), two(simulated.ActionRequired, today), two(simulated.TimeoutBeforeCharge, today)
	retried := two("sim_fail_first_1", today)
	w.at(today, 12, 0)
	w.run()
	day := w.subscription(retried[0].ID).Recovery.NextRetry
	w.at(*day, 11, 0)
	c := closes(w, []payment.Movement{extra(w.orders(paid[0].ID)[0].ID, day.AddDays(-1).At(12, 0, w.zone)), extra(w.orders(paid[1].ID)[0].ID, day.AddDays(-1).At(12, 0, w.zone))})
	if err := w.engine.Wake(t.Context()); err != nil { // the first look is at what is there, the next ones at what is new
		t.Fatal(err)
	}
	for _, s := range paid {
		w.Do(journal.Bind(billing.Refund{OrderID: w.orders(s.ID)[0].ID}))
	}
	for _, s := range slices.Concat(declined, waiting) {
		change(w, s, w.method(s.CustomerID, simulated.OK))
	}
	for _, s := range two(simulated.OK, *day) {
		w.Do(journal.Bind(customer.UpdatePaymentMethod{ID: s.PaymentMethodID, CustomerID: s.CustomerID, Fields: customer.PaymentMethodFields{ExpMonth: new(int(day.Month)), ExpYear: new(day.Year)}}))
	}
	w.at(*day, 12, 0)
	for _, job := range []struct {
		what string
		do   func(context.Context) error
	}{{"comparison", w.engine.Reconcile}, {"network data", w.engine.Retain}, {"cards that expire", w.engine.NoteExpiries}, {"settling", w.engine.Settle},
		{"waking", w.engine.Wake}, {"billing", w.engine.Run}} {
		held := func(when string) {
			t.Helper()
			c.gate.Raise(gate.Reason{Code: gate.DatabaseForked, Sentence: "Another history.", Holds: gate.All})
			head := w.Program.Head()
			if err := job.do(t.Context()); !gate.Held(err) || w.Program.Head() != head {
				t.Errorf("%s with a closed gate, %s: %v, %d entries", job.what, when, err, w.Program.Head()-head)
			}
			c.gate.Clear(gate.DatabaseForked)
		}
		held("before")
		steps := 0
		for others := 0; ; {
			head := w.Program.Head()
			if !c.once(job.do, others) {
				break
			}
			if others++; w.Program.Head() > head+1 { // something came of it, beside the entry of once
				others = 0
			}
			if steps++; steps > 200 {
				t.Fatalf("%s has no end", job.what)
			}
		}
		held("with nothing to do")
		if steps == 0 {
			t.Errorf("%s did nothing", job.what)
		}
	}
	for _, what := range []string{"a command", "a charge", "a refund", "a look-up", "a comparison"} {
		if !c.kinds[what] {
			t.Errorf("%s never closed the gate", what)
		}
	}
	w.runOn(day.AddDays(7)) // a payment that was given up for a new card has to wait for the next retry when the gate closed in between
	for _, s := range slices.Concat(declined, waiting, lost, retried) {
		if o := w.orders(s.ID)[0]; billing.Paid(o) != o.Total {
			t.Errorf("in the end order %s is %s, %d attempts", o.Number, o.Status, len(o.Attempts))
		}
	}
}
