package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/privacy"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// tapped is a gateway that something happens to.
type tapped struct {
	payment.Gateway
	lookup    func() error // before a look-up
	before    func() error // before a charge reaches the gateway
	after     func() error // after it did, before the answer comes back
	cancelled func() error // after a charge was cancelled
	calls     int
}

func (g *tapped) Lookup(ctx context.Context, q payment.Query) (payment.Charge, bool, error) {
	g.calls++
	if g.lookup != nil {
		if err := g.lookup(); err != nil {
			return payment.Charge{}, false, err
		}
	}
	return g.Gateway.Lookup(ctx, q)
}

func (g *tapped) Charge(ctx context.Context, r payment.ChargeRequest) (payment.ChargeResult, error) {
	g.calls++
	if g.before != nil {
		if err := g.before(); err != nil {
			return payment.ChargeResult{}, err
		}
	}
	result, err := g.Gateway.Charge(context.WithoutCancel(ctx), r)
	if err == nil && g.after != nil {
		err = g.after()
	}
	return result, err
}

func (g *tapped) Cancel(ctx context.Context, chargeID string) (payment.ChargeResult, error) {
	result, err := g.Gateway.Cancel(context.WithoutCancel(ctx), chargeID)
	if err == nil && g.cancelled != nil {
		err = g.cancelled()
	}
	return result, err
}

func (g *tapped) Refund(ctx context.Context, r payment.RefundRequest) (payment.RefundResult, error) {
	if g.before != nil {
		if err := g.before(); err != nil {
			return payment.RefundResult{}, err
		}
	}
	result, err := g.Gateway.Refund(context.WithoutCancel(ctx), r)
	if err == nil && g.after != nil {
		err = g.after()
	}
	return result, err
}

// TestRefunds gives money back: in parts, across a crash, and not when the gateway refuses.
func TestRefunds(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start)
	w.run()
	o := w.orders(s.ID)[0]
	order := func() *billing.Order { return w.orders(s.ID)[0] }
	w.Do(journal.Bind(billing.Refund{OrderID: o.ID, Amount: new(money.Of(100, o.Total.Currency))}))
	if r := order().Repayments; len(r) != 1 || r[0].Status != billing.AttemptStarted {
		t.Fatalf("before the gateway was called: %+v", r)
	}
	if err := w.engine.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := order(); got.Repayments[0].Status != billing.AttemptSucceeded || got.Repayments[0].GatewayID == "" || got.Status != billing.PartiallyRefunded {
		t.Errorf("after it: %s, %+v", got.Status, got.Repayments)
	}
	for _, tap := range []func(g *tapped, die func() error){func(g *tapped, die func() error) { g.before = die }, func(g *tapped, die func() error) { g.after = die }} {
		w.Do(journal.Bind(billing.Refund{OrderID: o.ID, Amount: new(money.Of(50, o.Total.Currency))}))
		ctx, cancel := context.WithCancel(t.Context())
		g := &tapped{Gateway: w.ledger}
		tap(g, func() error { cancel(); return errLost })
		w.use(g)
		if err := w.engine.Settle(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
		w.restart()
		w.use(w.ledger)
		if err := w.engine.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := order().Repayments; r[len(r)-1].Status != billing.AttemptSucceeded {
			t.Errorf("after a crash: %+v", r)
		}
	}
	w.use(refuses{w.ledger})
	w.Do(journal.Bind(billing.Refund{OrderID: o.ID}))
	if got := order(); got.Status != billing.Refunded {
		t.Errorf("all of it: %s", got.Status)
	}
	if err := w.engine.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := order(); got.Status != billing.PartiallyRefunded || got.Refunded.Minor != 200 {
		t.Errorf("the gateway refused: %s, %v refunded", got.Status, got.Refunded)
	}
	if e := w.entries(o.ID, "order.refund_failed"); len(e) != 1 {
		t.Errorf("%d entries of refused refunds", len(e))
	}
	w.use(w.ledger)
	w.Do(journal.Bind(billing.Refund{OrderID: o.ID}))
	w.run()
	if got := order(); got.Status != billing.Refunded {
		t.Errorf("again: %s", got.Status)
	}
	w.balanced()
}

// refuses gives nothing back.
type refuses struct{ payment.Gateway }

func (refuses) Refund(context.Context, payment.RefundRequest) (payment.RefundResult, error) {
	return payment.RefundResult{Status: payment.Declined, Code: payment.CodeChargeUnknown, Message: "There is no such charge."}, nil
}

var errLost = errors.New("the connection is gone")

func TestACrashBetweenTheSteps(t *testing.T) {
	for _, c := range []struct {
		name    string
		tap     func(g *tapped, die func() error)
		charges int // that had reached the gateway
	}{
		{"before the charge", func(g *tapped, die func() error) { g.before = die }, 0},
		{"after the charge", func(g *tapped, die func() error) { g.after = die }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := begin(t)
			ok, declined := w.subscribe(simulated.OK, civil.Month, start), w.subscribe("sim_decline_insufficient_funds", civil.Month, start)
			for _, s := range []*subscription.Subscription{ok, declined} {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				g := &tapped{Gateway: w.ledger}
				c.tap(g, func() error { cancel(); return errLost })
				w.use(g)
				if err := w.engine.Run(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("a stopped run: %v", err)
				}
				w.restart()
				if s == ok {
					o := w.orders(ok.ID)
					if len(o) != 1 || o[0].Status != billing.Pending || w.charges(o[0].ID) != c.charges {
						t.Fatalf("after the crash: %v, %d charges", w.story(ok.ID), w.charges(o[0].ID))
					}
				}
			}
			w.run()
			w.run()
			w.want(ok.ID, "2027-01-15 placed")
			w.want(declined.ID, "2027-01-15 pending")
			for _, s := range []*subscription.Subscription{ok, declined} {
				for _, o := range w.orders(s.ID) {
					if n := w.charges(o.ID); n != 1 || len(o.Attempts) != 1 {
						t.Errorf("order %s: %d attempts, %d charges", o.Number, len(o.Attempts), n)
					}
				}
			}
			if s := w.subscription(declined.ID); s.Status != subscription.Failed || s.Recovery.Attempts != 1 {
				t.Errorf("the declined one is %s: %+v", s.Status, s.Recovery)
			}
		})
	}
}

// An answer that came is recorded, also when the run was stopped in the meantime.
func TestAStoppedRunRecordsWhatItKnows(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.use(&tapped{Gateway: w.ledger, after: func() error { cancel(); return nil }})
	if err := w.engine.Run(ctx); err != nil {
		t.Errorf("a stopped run: %v", err)
	}
	w.want(s.ID, "2027-01-15 placed")
}

func TestTimeouts(t *testing.T) {
	w := begin(t)
	after, before := w.subscribe(simulated.TimeoutAfterCharge, civil.Month, start), w.subscribe(simulated.TimeoutBeforeCharge, civil.Month, start)
	w.run()
	w.want(after.ID, "2027-01-15 placed") // it was asked about at once
	w.want(before.ID, "2027-01-15 pending")
	w.run() // too early to ask again
	w.want(before.ID, "2027-01-15 pending")
	w.at(start, 12, 1)
	w.run()
	w.want(before.ID, "2027-01-15 placed")
	for _, s := range []*subscription.Subscription{after, before} {
		if o := w.orders(s.ID)[0]; w.charges(o.ID) != 1 || len(o.Attempts) != 1 {
			t.Errorf("order %s: %d attempts, %d charges", o.Number, len(o.Attempts), w.charges(o.ID))
		}
	}
}

func TestASilentGatewayIsLeftAlone(t *testing.T) {
	w := begin(t)
	const n = 120 // more than a chunk
	for range n {
		w.subscribe(simulated.OK, civil.Month, start)
	}
	down := true
	silent := func() error {
		if down {
			return errLost
		}
		return nil
	}
	g := &tapped{Gateway: w.ledger, lookup: silent, before: silent}
	w.use(g)
	if err := w.engine.Run(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("nobody was told: %v", err)
	}
	if got := len(w.orders("")); got != n {
		t.Errorf("%d orders were made while the gateway was away, want %d", got, n)
	}
	if g.calls > 10 {
		t.Errorf("the gateway was called %d times", g.calls)
	}
	calls := g.calls
	for range 50 {
		if err := w.engine.Settle(t.Context()); err != nil {
			t.Error(err)
		}
		w.run()
	}
	if g.calls != calls {
		t.Errorf("the gateway was called %d times more at the same time", g.calls-calls)
	}
	// Two hours of silence, looked at every 15 seconds.
	const hours = 2
	for i := range hours * 60 * 4 {
		w.clock.set(start.At(12, 0, w.zone).Add(time.Duration(i) * 15 * time.Second))
		_ = w.engine.Settle(t.Context()) // that it does not answer was looked at above
	}
	if per := g.calls / hours; per > 200 {
		t.Errorf("the gateway was called %d times an hour", per)
	}
	down = false
	for i := range 60 {
		w.at(start.AddDays(1), 12, i)
		w.run()
	}
	for _, o := range w.orders("") {
		if o.Status != billing.Placed || w.charges(o.ID) != 1 || len(o.Attempts) != 1 {
			t.Fatalf("order %s is %s, with %d attempts and %d charges", o.Number, o.Status, len(o.Attempts), w.charges(o.ID))
		}
	}
}

func TestAConfirmationIsWaitedFor(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.ActionRequired, civil.Day, start)
	for hour := 12; hour < 24*3; hour++ { // the next two orders' days come
		w.at(start.AddDays(hour/24), hour%24, 0)
		w.run()
	}
	w.want(s.ID, "2027-01-15 pending")
	o := w.orders(s.ID)[0]
	if a, ok := billing.OpenAttempt(o); !ok || a.Status != billing.AttemptActionRequired || len(o.Attempts) != 1 || w.charges(o.ID) != 1 {
		t.Fatalf("%+v, %d charges", o.Attempts, w.charges(o.ID))
	}
	if err := w.ledger.Confirm(t.Context(), o.Attempts[0].GatewayID); err != nil {
		t.Fatal(err)
	}
	w.at(start.AddDays(3), 0, 30)
	w.run()
	if n := w.charges(o.ID); n != 1 {
		t.Errorf("%d charges", n)
	}
	// The first order is paid; of the two that could not be made meanwhile, one is.
	w.want(s.ID, "2027-01-15 placed", "2027-01-17 pending")
}

// A payment that nobody confirms in time is given up and tried again. The gateway hears of it first, so that nothing of it can be
// paid beside the next attempt.
func TestAConfirmationThatDoesNotCome(t *testing.T) {
	w := begin(t, &settings.Recovery{RetryDays: []int{1}, EndAction: settings.EndPause})
	s := w.subscribe(simulated.ActionRequired, civil.Month, start)
	w.run()
	first := w.orders(s.ID)[0].Attempts[0].GatewayID
	silent := &tapped{Gateway: w.ledger, cancelled: func() error { return errLost }}
	w.use(silent)
	w.runOn(start.AddDays(3)) // it is cancelled, and the answer is lost
	if a, open := billing.OpenAttempt(w.orders(s.ID)[0]); !open || a.Status != billing.AttemptActionRequired {
		t.Fatalf("recorded before the gateway said so: %+v", w.orders(s.ID)[0].Attempts)
	}
	w.restart()
	w.runOn(start.AddDays(4))
	if err := w.ledger.Confirm(t.Context(), first); !errors.Is(err, payment.ErrNotWaiting) {
		t.Errorf("it can still be confirmed: %v", err)
	}
	w.runOn(start.AddDays(5)) // the retry
	o := w.orders(s.ID)[0]
	if n := len(o.Attempts); n != 2 || o.Attempts[0].Code != payment.CodeCancelled || o.Attempts[1].Status != billing.AttemptActionRequired {
		t.Fatalf("%+v", o.Attempts)
	}
	if err := w.ledger.Confirm(t.Context(), o.Attempts[1].GatewayID); err != nil {
		t.Fatal(err)
	}
	w.runOn(start.AddDays(6))
	w.want(s.ID, "2027-01-15 placed")
}

// While a payment waits for its customer, an order that is not wanted any more and a new card end the waiting; the money that was
// taken in that moment counts.
func TestAConfirmationThatIsNotNeeded(t *testing.T) {
	cancel := func(w *world, s *subscription.Subscription) {
		w.Do(journal.Bind(billing.CancelOrder{OrderID: w.orders(s.ID)[0].ID}))
	}
	confirm := func(w *world, s *subscription.Subscription) {
		if err := w.ledger.Confirm(w.t.Context(), w.orders(s.ID)[0].Attempts[0].GatewayID); err != nil {
			w.t.Fatal(err)
		}
	}
	card := func(w *world, s *subscription.Subscription) { change(w, s, w.method(s.CustomerID, simulated.OK)) }
	for _, tt := range []struct {
		name string
		do   []func(w *world, s *subscription.Subscription)
		want string
		paid int64
	}{
		{"the order is cancelled", []func(*world, *subscription.Subscription){cancel}, "2027-01-15 cancelled", 0},
		{"the subscription is cancelled", []func(*world, *subscription.Subscription){func(w *world, s *subscription.Subscription) { w.Do(journal.Bind(subscription.Cancel{ID: s.ID})) }}, "2027-01-15 failed", 0},
		{"cancelled, then confirmed", []func(*world, *subscription.Subscription){cancel, confirm}, "2027-01-15 cancelled", 1250},
		{"a new card", []func(*world, *subscription.Subscription){card}, "2027-01-15 placed", 1250},
		{"a new card, while nobody looked", []func(*world, *subscription.Subscription){card, func(w *world, _ *subscription.Subscription) { w.restart() }}, "2027-01-15 placed", 1250},
		{"confirmed, then a new card", []func(*world, *subscription.Subscription){confirm, card}, "2027-01-15 placed", 1250},
		{"a card that nobody chose", []func(*world, *subscription.Subscription){func(w *world, s *subscription.Subscription) { w.method(s.CustomerID, simulated.OK) }}, "2027-01-15 pending", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := begin(t)
			s := w.subscribe(simulated.ActionRequired, civil.Month, start)
			w.run()
			waiting := w.orders(s.ID)[0].Attempts[0].GatewayID
			w.at(start, 13, 0)
			for _, do := range tt.do {
				do(w, s)
			}
			w.run()
			w.want(s.ID, tt.want)
			o := w.orders(s.ID)[0]
			if got := billing.Paid(o).Minor; got != tt.paid {
				t.Errorf("%d came in, want %d", got, tt.paid)
			}
			a, open := billing.OpenAttempt(o)
			if err := w.ledger.Confirm(t.Context(), waiting); (err == nil) != open {
				t.Errorf("open: %v (%+v); confirmed: %v", open, a, err)
			}
		})
	}
}

// forgetful is a gateway that knows nothing of a charge any more.
type forgetful struct{ payment.Gateway }

func (forgetful) Lookup(context.Context, payment.Query) (payment.Charge, bool, error) {
	return payment.Charge{}, false, nil
}

func TestAConfirmationIsNotBegunAgain(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.ActionRequired, civil.Month, start)
	w.run()
	w.use(&tapped{Gateway: forgetful{w.ledger}, before: func() error { t.Error("it was charged again"); return nil }})
	w.runOn(start.AddDays(2))
	w.want(s.ID, "2027-01-15 pending")
}

func TestErasedWhileTheChargeIsOpen(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.TimeoutBeforeCharge, civil.Month, start)
	w.run()
	w.Do(journal.Bind(privacy.Redact{CustomerID: s.CustomerID, ConfirmEmail: string(s.CustomerID) + "@mail.example"}))
	w.runOn(start.AddDays(1))
	w.want(s.ID, "2027-01-15 cancelled")
	o := w.orders(s.ID)[0]
	if _, open := billing.OpenAttempt(o); open || w.charges(o.ID) != 0 {
		t.Errorf("%+v, %d charges", o.Attempts, w.charges(o.ID))
	}
}
