package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/demo"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/privacy"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/test/shop"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"),
		goleak.IgnoreAnyFunction("perennial/internal/test/pgtest.Start.func1")) // it reads what the server of the process says, to the end
}

// clock is set by hand, forwards and only by tests.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// world is a shop with a product, a gateway whose ledger is in a file, and an engine.
type world struct {
	*shop.Shop
	t       *testing.T
	clock   *clock
	zone    *time.Location
	ledger  *simulated.Gateway
	gateway payment.Gateway // what the engine calls: the ledger, or something in front of it
	engine  *engine.Engine
	random  *demo.Random
	variant id.ID
}

var start = civil.Date{Year: 2027, Month: 1, Day: 15}

const zone = "America/New_York"

// begin opens a shop at noon of the day start.
func begin(t *testing.T, pages ...settings.Document) *world {
	t.Helper()
	loc, err := civil.Zone(zone)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: &clock{now: start.At(12, 0, loc)}, zone: loc, random: demo.NewRandom(1)}
	w.openAt(t.TempDir())
	for _, d := range append(settings.Defaults("Shop", zone, "USD"), pages...) {
		w.Do(journal.Bind(settings.Update{Document: d}))
	}
	product := w.IDs.New(id.Product)
	w.variant = w.IDs.New(id.Variant)
	w.Do(journal.Bind(catalog.CreateProduct{ID: product, Title: "Tea"}))
	w.Do(journal.Bind(catalog.CreateVariant{ID: w.variant, ProductID: product, Title: "100 g", Price: money.Of(1250, "USD")}))
	return w
}

func (w *world) openAt(dir string) {
	w.t.Helper()
	w.Shop = shop.OpenWith(w.t, dir, w.clock.Now, w.random, db.Options{Relaxed: true})
	var err error
	if w.ledger, err = simulated.Open(filepath.Join(dir, "gateway.jsonl"), w.clock.Now, simulated.Options{}); err != nil {
		w.t.Fatal(err)
	}
	ledger, opened := w.ledger, w.Shop
	w.t.Cleanup(func() {
		if w.Shop == opened { // and not restarted since
			w.balanced()
		}
		ledger.Close()
	})
	w.use(w.ledger)
}

// use gives the engine a gateway.
func (w *world) use(g payment.Gateway) {
	w.gateway = g
	w.engine = engine.New(w.Program, w.Store, g, slog.New(slog.DiscardHandler))
}

// restart is a new process: everything that was only in memory is gone.
func (w *world) restart() {
	w.t.Helper()
	w.Broken() // of the closed one; the opened one is checked
	w.Close()
	if err := w.ledger.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.openAt(w.Dir)
}

// at sets the clock to an hour of a day.
func (w *world) at(day civil.Date, hour, minute int) { w.clock.set(day.At(hour, minute, w.zone)) }

func (w *world) run() {
	w.t.Helper()
	if err := w.engine.Run(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// runOn runs at noon of a day.
func (w *world) runOn(day civil.Date) {
	w.t.Helper()
	w.at(day, 12, 0)
	w.run()
}

// method adds a payment method.
func (w *world) method(customerID id.ID, reference string) id.ID {
	w.t.Helper()
	key := w.IDs.New(id.PaymentMethod)
	w.Do(journal.Bind(customer.AddPaymentMethod{ID: key, CustomerID: customerID, Gateway: "simulated",
		Fields: customer.PaymentMethodFields{GatewayReference: &reference, Brand: new("visa"), Last4: new("4242"), ExpMonth: new(12), ExpYear: new(2030)}}))
	return key
}

// subscribe makes a customer with a card and a subscription whose first order is on a day.
func (w *world) subscribe(reference string, unit civil.Unit, first civil.Date) *subscription.Subscription {
	w.t.Helper()
	c := w.IDs.New(id.Customer)
	w.Do(journal.Bind(customer.Create{ID: c, Email: string(c) + "@mail.example", FirstName: "Ada"}))
	key := w.IDs.New(id.Subscription)
	w.Do(journal.Bind(subscription.Create{ID: key, CustomerID: c, PaymentMethodID: w.method(c, reference), BillingPolicy: &catalog.Policy{Interval: unit, IntervalCount: 1},
		NextBillingDate: &first, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: w.variant, Quantity: 1}}}))
	return w.subscription(key)
}

func (w *world) subscription(key id.ID) *subscription.Subscription {
	w.t.Helper()
	row, err := w.Store.Load(w.t.Context(), w.Store.Read, journal.Ref{Kind: journal.Subscription, ID: key})
	if err != nil {
		w.t.Fatal(err)
	}
	return row.State.(*subscription.Subscription)
}

// orders gives a subscription's orders, or all of them, as they were made.
func (w *world) orders(key id.ID) []*billing.Order {
	w.t.Helper()
	rows, err := w.Store.List(context.Background(), w.Store.Read, journal.Order, `(subscription_id = $2 OR $2 = '') ORDER BY id`, key)
	if err != nil {
		w.t.Fatal(err)
	}
	out := make([]*billing.Order, len(rows))
	for i, r := range rows {
		out[i] = r.State.(*billing.Order)
	}
	return out
}

// story is a subscription's orders in words: date and status.
func (w *world) story(key id.ID) []string {
	w.t.Helper()
	out := []string{}
	for _, o := range w.orders(key) {
		out = append(out, fmt.Sprintf("%s %s", o.BillingDate, o.Status))
	}
	return out
}

func (w *world) want(key id.ID, want ...string) {
	if want == nil {
		want = []string{}
	}
	w.t.Helper()
	if diff := cmp.Diff(want, w.story(key)); diff != "" {
		w.t.Errorf("the orders (-want +got):\n%s", diff)
	}
}

// charges gives the entries of the ledger about an order.
func (w *world) charges(order id.ID) (n int) {
	for _, e := range w.ledger.Ledger() {
		if e.Kind == simulated.Charge && e.OrderID == order {
			n++
		}
	}
	return n
}

// balanced holds the gateway's ledger against the orders: what was taken for an order is what the order says was paid,
// and a placed order was paid once.
func (w *world) balanced() {
	w.t.Helper()
	taken, returned, orderOf := map[id.ID]int64{}, map[id.ID]int64{}, map[string]id.ID{}
	for _, e := range w.ledger.Ledger() {
		orderOf[e.GatewayID] = e.OrderID
		switch {
		case e.Kind == simulated.Charge && e.Status == payment.Succeeded:
			taken[e.OrderID] += e.Amount.Minor
		case e.Kind == simulated.Confirmation:
			taken[orderOf[e.ChargeID]] += e.Amount.Minor
		case e.Kind == simulated.Refund && e.Status == payment.Succeeded:
			returned[orderOf[e.ChargeID]] += e.Amount.Minor
		}
	}
	for _, o := range w.orders("") {
		paid := billing.Paid(o)
		if _, open := billing.OpenAttempt(o); open {
			continue // the answer may be on its way
		}
		if _, _, open := billing.OpenRepayment(o); !open && returned[o.ID] != o.Refunded.Minor {
			w.t.Errorf("order %s: %d were given back, %d are known to be refunded", o.Number, returned[o.ID], o.Refunded.Minor)
		}
		if taken[o.ID] != paid.Minor {
			w.t.Errorf("order %s: %d were taken, %d are known to be paid", o.Number, taken[o.ID], paid.Minor)
		}
		if o.Status == billing.Placed && paid != o.Total {
			w.t.Errorf("order %s of %v: %v were paid", o.Number, o.Total, paid)
		}
		delete(taken, o.ID)
	}
	for key, n := range taken {
		if n != 0 && !slices.ContainsFunc(w.orders(""), func(o *billing.Order) bool { return o.ID == key }) {
			w.t.Errorf("%d were taken for %s, which is no order", n, key)
		}
	}
}

func TestOrdersComeWithTheRhythm(t *testing.T) {
	w := begin(t)
	monthly := w.subscribe(simulated.OK, civil.Month, civil.Date{Year: 2027, Month: 1, Day: 31})
	weekly := w.subscribe(simulated.OK, civil.Week, start)
	for day := range 60 {
		w.runOn(start.AddDays(day))
		w.run() // a second time the same day: nothing
	}
	w.want(monthly.ID, "2027-01-31 placed", "2027-02-28 placed")
	w.want(weekly.ID, "2027-01-15 placed", "2027-01-22 placed", "2027-01-29 placed", "2027-02-05 placed", "2027-02-12 placed", "2027-02-19 placed", "2027-02-26 placed", "2027-03-05 placed", "2027-03-12 placed")
	if s := w.subscription(weekly.ID); s.Cycle != 9 || *s.NextBillingDate != (civil.Date{Year: 2027, Month: 3, Day: 19}) {
		t.Errorf("cycle %d, next order %s", s.Cycle, s.NextBillingDate)
	}
}

func TestTheBillingHour(t *testing.T) {
	w := begin(t, &settings.Billing{BillingHour: 3, MaxCatchUpOrders: 1})
	day := civil.Date{Year: 2027, Month: 3, Day: 14} // on which 2:00 is 3:00 in New York
	s := w.subscribe(simulated.OK, civil.Day, day)
	for _, c := range []struct {
		day          civil.Date
		hour, minute int
		want         int
	}{
		{day, 0, 0, 0}, {day, 1, 59, 0}, {day, 3, 0, 1}, {day, 23, 59, 1}, {day.AddDays(1), 2, 59, 1}, {day.AddDays(1), 3, 0, 2},
	} {
		w.at(c.day, c.hour, c.minute)
		w.run()
		if got := len(w.orders(s.ID)); got != c.want {
			t.Errorf("%s %d:%02d: %d orders, want %d", c.day, c.hour, c.minute, got, c.want)
		}
	}
}

// tapped is a gateway that something happens to.
type tapped struct {
	payment.Gateway
	lookup func() error // before a look-up
	before func() error // before a charge reaches the gateway
	after  func() error // after it did, before the answer comes back
	calls  int
}

func (g *tapped) Lookup(ctx context.Context, key string) (payment.ChargeResult, bool, error) {
	g.calls++
	if g.lookup != nil {
		if err := g.lookup(); err != nil {
			return payment.ChargeResult{}, false, err
		}
	}
	return g.Gateway.Lookup(ctx, key)
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

// TestCardsThatExpire tells of each expiry once.
func TestCardsThatExpire(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start)
	w.Do(journal.Bind(customer.UpdatePaymentMethod{ID: s.PaymentMethodID, CustomerID: s.CustomerID, Fields: customer.PaymentMethodFields{ExpMonth: new(3), ExpYear: new(2027)}}))
	for _, day := range []civil.Date{{Year: 2027, Month: 1, Day: 20}, {Year: 2027, Month: 2, Day: 1}, {Year: 2027, Month: 2, Day: 2}, {Year: 2027, Month: 3, Day: 1}} {
		w.at(day, 9, 0)
		for range 2 {
			if err := w.engine.NoteExpiries(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	e := w.entries(s.PaymentMethodID, "payment_method.expiring")
	if len(e) != 1 || civil.Of(e[0].RecordedAt, w.zone) != (civil.Date{Year: 2027, Month: 2, Day: 1}) {
		t.Errorf("%d entries: %+v", len(e), e)
	}
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
	s := w.subscribe(simulated.ActionRequired, civil.Week, start)
	for day := range 20 { // the next two orders' days come and go
		for hour := 8; hour < 20; hour++ {
			w.at(start.AddDays(day), hour, 0)
			w.run()
		}
	}
	w.want(s.ID, "2027-01-15 pending")
	o := w.orders(s.ID)[0]
	if a, ok := billing.OpenAttempt(o); !ok || a.Status != billing.AttemptActionRequired || len(o.Attempts) != 1 || w.charges(o.ID) != 1 {
		t.Fatalf("%+v, %d charges", o.Attempts, w.charges(o.ID))
	}
	if err := w.ledger.Confirm(t.Context(), o.Attempts[0].GatewayID); err != nil {
		t.Fatal(err)
	}
	w.at(start.AddDays(20), 21, 0)
	w.run()
	if got := w.story(s.ID); got[0] != "2027-01-15 placed" {
		t.Errorf("after the confirmation: %v", got)
	}
	if n := w.charges(o.ID); n != 1 {
		t.Errorf("%d charges", n)
	}
	// The first order is paid; of the two that could not be made meanwhile, one is.
	if got := w.story(s.ID); len(got) != 2 || got[1] != "2027-01-29 pending" {
		t.Errorf("after the confirmation: %v", got)
	}
}

// forgetful is a gateway that knows nothing of a charge any more.
type forgetful struct{ payment.Gateway }

func (forgetful) Lookup(context.Context, string) (payment.ChargeResult, bool, error) {
	return payment.ChargeResult{}, false, nil
}

func TestAConfirmationIsNotBegunAgain(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.ActionRequired, civil.Month, start)
	w.run()
	w.use(&tapped{Gateway: forgetful{w.ledger}, before: func() error { t.Error("it was charged again"); return nil }})
	w.runOn(start.AddDays(2))
	w.want(s.ID, "2027-01-15 pending")
}

func TestRecovery(t *testing.T) {
	for _, c := range []struct {
		reference, end string
		status         subscription.Status
		orders         []string
		attempts       int
		next           *civil.Date
	}{
		{"sim_fail_first_1", settings.EndPause, subscription.Active, []string{"2027-01-15 placed"}, 2, &civil.Date{Year: 2027, Month: 2, Day: 15}},
		{"sim_fail_first_2", settings.EndPause, subscription.Active, []string{"2027-01-15 placed"}, 3, &civil.Date{Year: 2027, Month: 2, Day: 15}},
		{"sim_decline_insufficient_funds", settings.EndPause, subscription.Paused, []string{"2027-01-15 failed"}, 3, nil},
		{"sim_decline_insufficient_funds", settings.EndCancel, subscription.Cancelled, []string{"2027-01-15 failed"}, 3, nil},
		{"sim_decline_insufficient_funds", settings.EndSkip, subscription.Active, []string{"2027-01-15 failed"}, 3, &civil.Date{Year: 2027, Month: 2, Day: 15}},
		{"sim_fail_first_5", settings.EndKeep, subscription.Active, []string{"2027-01-15 placed"}, 6, &civil.Date{Year: 2027, Month: 2, Day: 15}},
		{simulated.DeclineHard, settings.EndCancel, subscription.Cancelled, []string{"2027-01-15 failed"}, 1, nil},
		{"what is this", settings.EndSkip, subscription.Active, []string{"2027-01-15 failed"}, 1, &civil.Date{Year: 2027, Month: 2, Day: 15}},
	} {
		t.Run(c.reference+" "+c.end, func(t *testing.T) {
			w := begin(t, &settings.Recovery{RetryDays: []int{2, 5}, EndAction: c.end})
			s := w.subscribe(c.reference, civil.Month, start)
			for day := range 20 {
				w.runOn(start.AddDays(day))
			}
			w.want(s.ID, c.orders...)
			o, after := w.orders(s.ID)[0], w.subscription(s.ID)
			if len(o.Attempts) != c.attempts {
				t.Errorf("%d attempts, want %d", len(o.Attempts), c.attempts)
			}
			if after.Status != c.status || after.Recovery != nil {
				t.Errorf("the subscription is %s, in recovery %v; want %s", after.Status, after.Recovery, c.status)
			}
			if diff := cmp.Diff(c.next, after.NextBillingDate); diff != "" {
				t.Errorf("the next order (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheBackupIsTried(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.DeclineHard, civil.Month, start)
	w.Do(journal.Bind(subscription.ChangeBackupPaymentMethod{ID: s.ID, PaymentMethodID: w.method(s.CustomerID, simulated.OK)}))
	w.run()
	w.want(s.ID, "2027-01-15 placed")
	if o := w.orders(s.ID)[0]; len(o.Attempts) != 2 {
		t.Errorf("%d attempts, want 2", len(o.Attempts))
	}
}

// A new card is charged at the next look, and nothing else is tried before its day. The retry says which entry it comes of.
func TestANewCardIsTriedAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		old    string
		put    func(w *world, s *subscription.Subscription, card id.ID)
		before func(w *world)
		cause  string
	}{
		{"changed, after a hard decline", simulated.DeclineHard, change, nil, "subscription.payment_method_changed"},
		{"changed, after another decline", "sim_decline_insufficient_funds", change, nil, "subscription.payment_method_changed"},
		{"a new default", simulated.DeclineHard, makeDefault, nil, "payment_method.default_changed"},
		{"while nobody looked", simulated.DeclineHard, change, func(w *world) { w.restart() }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := begin(t)
			s := w.subscribe(tt.old, civil.Month, start)
			w.run()
			w.at(start, 13, 0)
			card := w.method(s.CustomerID, simulated.OK)
			w.run() // a card that nobody chose
			w.want(s.ID, "2027-01-15 pending")
			tt.put(w, s, card)
			if tt.before != nil {
				tt.before(w)
			}
			w.run()
			w.want(s.ID, "2027-01-15 placed")
			started := w.entries(w.orders(s.ID)[0].ID, "billing_attempt.started")
			got := ""
			if cause := started[1].CausationID; cause != "" {
				got = w.entry(cause).Type
			}
			if got != tt.cause {
				t.Errorf("the retry comes of %q, want %q", got, tt.cause)
			}
		})
	}
}

func change(w *world, s *subscription.Subscription, card id.ID) {
	w.Do(journal.Bind(subscription.ChangePaymentMethod{ID: s.ID, PaymentMethodID: card}))
}

func makeDefault(w *world, s *subscription.Subscription, card id.ID) {
	w.Do(journal.Bind(customer.SetDefaultPaymentMethod{CustomerID: s.CustomerID, PaymentMethodID: card}))
}

func (w *world) entry(key id.ID) *journal.Event {
	w.t.Helper()
	st, err := w.Store.EventByID(w.t.Context(), w.Store.Read, store.Closed, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return st.Event
}

// entries gives the entries of a type about a thing.
func (w *world) entries(about id.ID, typ string) (out []*journal.Event) {
	w.t.Helper()
	for st, err := range w.Store.Events(w.t.Context(), w.Store.Read, store.Closed, 0, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if st.Type == typ && st.Target().ID == about {
			out = append(out, st.Event)
		}
	}
	return out
}

// From the end of a subscription the causes lead back to the order whose first payment failed.
func TestTheEndLeadsBackToTheFirstFailure(t *testing.T) {
	w := begin(t, &settings.Recovery{RetryDays: []int{2, 5}, EndAction: settings.EndCancel})
	s := w.subscribe("sim_decline_insufficient_funds", civil.Month, start)
	for day := range 20 {
		w.runOn(start.AddDays(day))
	}
	var got []string
	for e := w.entries(s.ID, "subscription.cancelled")[0]; ; e = w.entry(e.CausationID) {
		got = append(got, e.Type)
		if e.CausationID == "" {
			break
		}
	}
	retry := []string{"billing_attempt.failed", "billing_attempt.started", "recovery.retry_scheduled"}
	want := slices.Concat([]string{"subscription.cancelled", "recovery.exhausted"}, retry, retry, []string{"recovery.entered", "billing_attempt.failed", "billing_attempt.started", "order.created"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("from the end to the beginning (-want +got):\n%s", diff)
	}
}

func TestTheHourOfRetries(t *testing.T) {
	w := begin(t, &settings.Recovery{RetryDays: []int{1, 2}, EndAction: settings.EndPause, RetryHour: new(3)}, &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1})
	early := w.subscribe("sim_fail_first_1", civil.Month, start)
	w.run()
	w.Do(journal.Bind(settings.Update{Document: &settings.Recovery{RetryDays: []int{1}, EndAction: settings.EndPause, RetryHour: new(18)}}))
	late := w.subscribe("sim_fail_first_1", civil.Month, start)
	w.run()
	for _, tt := range []struct {
		hour        int
		early, late string
	}{{2, "pending", "pending"}, {3, "placed", "pending"}, {17, "placed", "pending"}, {18, "placed", "placed"}} {
		w.at(start.AddDays(1), tt.hour, 0)
		w.run()
		w.want(early.ID, "2027-01-15 "+tt.early)
		w.want(late.ID, "2027-01-15 "+tt.late)
	}
}

func TestAPauseEnds(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start.AddDays(5))
	until := start.AddDays(10)
	w.Do(journal.Bind(subscription.Pause{ID: s.ID, Until: &until}))
	for day := range 10 {
		w.runOn(start.AddDays(day))
	}
	if got := w.subscription(s.ID).Status; got != subscription.Paused {
		t.Fatalf("before the day it is %s", got)
	}
	w.runOn(until)
	if got := w.subscription(s.ID); got.Status != subscription.Active || *got.NextBillingDate != (civil.Date{Year: 2027, Month: 2, Day: 20}) {
		t.Errorf("on the day it is %s, next order %s", got.Status, got.NextBillingDate)
	}
	if got := w.story(s.ID); len(got) != 0 {
		t.Errorf("on the day there are orders: %v", got)
	}
	w.runOn(civil.Date{Year: 2027, Month: 2, Day: 20})
	w.want(s.ID, "2027-02-20 placed")
}

func TestADowntime(t *testing.T) {
	weekly := []string{"2027-01-15", "2027-01-22", "2027-01-29", "2027-02-05", "2027-02-12", "2027-02-19", "2027-02-26", "2027-03-05", "2027-03-12", "2027-03-19", "2027-03-26"}
	monthly := []string{"2027-01-15", "2027-02-15", "2027-03-15"}
	for _, c := range []struct {
		most int
		unit civil.Unit
		due  []string
	}{
		{12, civil.Week, weekly}, {3, civil.Week, weekly}, {1, civil.Week, weekly}, {12, civil.Month, monthly}, {2, civil.Month, monthly}, {1, civil.Month, monthly},
	} {
		t.Run(fmt.Sprintf("%s, at most %d", c.unit, c.most), func(t *testing.T) {
			w := begin(t, &settings.Billing{BillingHour: 6, MaxCatchUpOrders: c.most})
			s := w.subscribe(simulated.OK, c.unit, start)
			w.runOn(start.AddDays(70))
			w.run()
			skipped := max(0, len(c.due)-c.most)
			var want []string
			for _, day := range c.due[skipped:] {
				want = append(want, day+" placed")
			}
			w.want(s.ID, want...)
			if diff := cmp.Diff(c.due[:skipped], w.missed(s.ID)); diff != "" {
				t.Errorf("skipped as missed (-want +got):\n%s", diff)
			}
			if got := w.subscription(s.ID); !got.NextBillingDate.After(start.AddDays(70)) || got.Cycle != len(want) {
				t.Errorf("cycle %d, next order %s", got.Cycle, got.NextBillingDate)
			}
		})
	}
}

func TestADowntimeByTheStoresPolicy(t *testing.T) {
	today := start.AddDays(70)
	for _, tt := range []struct {
		policy string
		status subscription.Status
		orders []string
		next   *civil.Date
	}{
		{settings.MissedSkip, subscription.Active, []string{"2027-03-15 placed"}, &civil.Date{Year: 2027, Month: 4, Day: 15}},
		{settings.MissedRestart, subscription.Active, []string{today.String() + " placed"}, &civil.Date{Year: 2027, Month: 4, Day: 26}},
		{settings.MissedPause, subscription.Paused, []string{}, nil},
	} {
		t.Run(tt.policy, func(t *testing.T) {
			w := begin(t, &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1, MissedOrders: tt.policy})
			s := w.subscribe(simulated.OK, civil.Month, start)
			w.runOn(today)
			w.run()
			w.want(s.ID, tt.orders...)
			got := w.subscription(s.ID)
			if diff := cmp.Diff(tt.next, got.NextBillingDate); diff != "" || got.Status != tt.status {
				t.Errorf("it is %s, next order (-want +got):\n%s", got.Status, diff)
			}
			told := w.entries(w.Store.Shop, "billing.caught_up")
			if len(told) != 1 || string(told[0].Detail("since")) != `"2027-01-15"` || string(told[0].Detail("subscriptions")) != "1" {
				t.Errorf("the downtime was told as %v", told)
			}
		})
	}
	w := begin(t)
	w.subscribe(simulated.OK, civil.Week, start)
	for day := range 30 {
		w.runOn(start.AddDays(day))
	}
	if told := w.entries(w.Store.Shop, "billing.caught_up"); len(told) != 0 {
		t.Errorf("ordinary days were told as %d downtimes", len(told))
	}
}

func TestAHeldOrderIsLookedAtAgain(t *testing.T) {
	w := begin(t, &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1, OutOfStock: settings.StockHold})
	w.Do(journal.Bind(catalog.UpdateVariant{ID: w.variant, Inventory: catalog.Set(int64(0))}))
	s := w.subscribe(simulated.OK, civil.Month, start)
	for minute := range 30 {
		w.at(start, 12, minute)
		w.run()
	}
	w.want(s.ID)
	if n := len(w.entries(s.ID, "subscription.order_held")); n != 1 {
		t.Errorf("it was told %d times, want once", n)
	}
	w.Do(journal.Bind(catalog.UpdateVariant{ID: w.variant, Inventory: catalog.Set(int64(1))}))
	w.at(start, 12, 45)
	w.run()
	w.want(s.ID, "2027-01-15 placed")
}

// Ten years of a subscription on the 31st, in zones whose days are odd: where the clocks change at midnight, by half an
// hour, or by quarters of an hour off. Every order comes in the first minute of its day, and none in the last before it.
func TestTenYearsOnThe31st(t *testing.T) {
	for _, name := range []string{"America/Havana", "Asia/Beirut", "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Chatham", "America/Asuncion"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, &settings.General{Name: "Shop", TimeZone: name, Currency: "USD", Locale: "en"}, &settings.Billing{MaxCatchUpOrders: 1})
			loc, err := civil.Zone(name)
			if err != nil {
				t.Fatal(err)
			}
			w.zone = loc
			s := w.subscribe(simulated.OK, civil.Month, civil.Date{Year: 2027, Month: 1, Day: 31})
			var want []string
			for n := range 120 {
				// The last day of a month, by another way than the program's.
				last := time.Date(2027, time.Month(n+2), 0, 0, 0, 0, 0, time.UTC)
				day := civil.Of(last, time.UTC)
				w.clock.set(day.At(0, 0, loc).Add(-time.Minute))
				w.run()
				if got := len(w.orders(s.ID)); got != n {
					t.Fatalf("before %s there are %d orders, want %d", day, got, n)
				}
				w.clock.set(day.At(0, 0, loc))
				w.run()
				want = append(want, day.String()+" placed")
			}
			w.want(s.ID, want...)
		})
	}
}

// Many at once come to the same as one after the other: nobody is missed, and nothing is charged twice.
func TestManyAtOnce(t *testing.T) {
	w := begin(t, &settings.Recovery{RetryDays: []int{1, 2}, EndAction: settings.EndSkip})
	w.engine.InFlight = 16
	cards := []string{simulated.OK, simulated.OK, "sim_fail_first_1", "sim_flaky_300_x", simulated.TimeoutAfterCharge, simulated.TimeoutBeforeCharge, simulated.DeclineHard}
	var subs []*subscription.Subscription
	for n := range 70 {
		s := w.subscribe(cards[n%len(cards)], civil.Week, start)
		if n%3 == 0 {
			w.Do(journal.Bind(subscription.ChangeBackupPaymentMethod{ID: s.ID, PaymentMethodID: w.method(s.CustomerID, simulated.OK)}))
		}
		subs = append(subs, s)
	}
	for day := range 15 {
		for hour := 6; hour < 20; hour += 4 {
			w.at(start.AddDays(day), hour, 0)
			if err := w.engine.Run(t.Context()); err != nil && !errors.Is(err, simulated.ErrTimeout) {
				t.Fatal(err)
			}
		}
	}
	for i, s := range subs {
		placed := 0
		for _, o := range w.orders(s.ID) {
			if n := w.charges(o.ID); n != len(o.Attempts) {
				t.Errorf("order %s: %d attempts, %d charges", o.Number, len(o.Attempts), n)
			}
			if o.Status == billing.Placed {
				placed++
			}
		}
		if card := cards[i%len(cards)]; (card == simulated.OK || i%3 == 0 && card == simulated.DeclineHard) && placed != 3 {
			t.Errorf("%s (%s) has %d paid orders, want 3: %v", s.ID, card, placed, w.story(s.ID))
		}
	}
}

// missed gives the dates that were skipped because they were missed.
func (w *world) missed(key id.ID) []string {
	w.t.Helper()
	out := []string{}
	for st, err := range w.Store.Events(w.t.Context(), w.Store.Read, store.Closed, 0, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if st.Type != "subscription.order_skipped" || st.Target().ID != key {
			continue
		}
		if got := string(st.Detail("reason")); got != `"missed"` {
			w.t.Errorf("the reason of a skip is %s", got)
		}
		date := string(st.Detail("date"))
		out = append(out, date[1:len(date)-1])
	}
	return out
}

// What waits for its money is not skipped, however long the engine was away.
func TestADowntimeWhileAnOrderWaits(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.TimeoutBeforeCharge, civil.Week, start)
	w.run()
	w.want(s.ID, "2027-01-15 pending")
	g := &tapped{Gateway: w.ledger, lookup: func() error { return errLost }}
	w.use(g)
	w.at(start.AddDays(30), 12, 0)
	if err := w.engine.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.want(s.ID, "2027-01-15 pending")
	if got := w.missed(s.ID); len(got) != 0 {
		t.Errorf("skipped: %v", got)
	}
	w.use(w.ledger)
	w.runOn(start.AddDays(31))
	if got := w.story(s.ID); got[0] != "2027-01-15 placed" || len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

// So long that not all missed orders can be skipped at once: still few orders, and the rhythm goes on.
func TestAYearAwayFromADailyRhythm(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Day, start)
	w.runOn(start.AddDays(365))
	if got := w.story(s.ID); len(got) > 4 || got[len(got)-1] != start.AddDays(365).String()+" placed" {
		t.Errorf("got %v", got)
	}
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

func TestNothingToDo(t *testing.T) {
	s := shop.OpenAt(t, t.TempDir()) // without settings
	e := engine.New(s.Program, s.Store, simulated.New(time.Now, simulated.Options{}), slog.New(slog.DiscardHandler))
	if err := e.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if s.Program.Head() != -1 {
		t.Error("an entry was made for nothing")
	}
}

// A program that cannot take any more ends the run, and does not fail every subscription.
func TestAStoppedProgramEndsTheRun(t *testing.T) {
	w := begin(t)
	for range 20 {
		w.subscribe(simulated.OK, civil.Month, start)
	}
	if err := w.Program.Stop(); err != nil {
		t.Fatal(err)
	}
	err := w.engine.Run(t.Context())
	if f := fault.As(err); f == nil || f.Kind != fault.Unavailable {
		t.Errorf("got %v", err)
	}
	if j, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok && len(j.Unwrap()) > 1 {
		t.Errorf("%d failures", len(j.Unwrap()))
	}
}

// TestALifeWithCrashes lives four months with every kind of card, with a process that dies at any time; after each day the
// ledger is held against the orders.
func TestALifeWithCrashes(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := mathrand.New(mathrand.NewPCG(seed, 7))
			w := begin(t, &settings.Recovery{RetryDays: []int{1, 3}, EndAction: []string{settings.EndSkip, settings.EndPause, settings.EndCancel}[seed]},
				&settings.Billing{BillingHour: 6, MaxCatchUpOrders: 2})
			var subs []*subscription.Subscription
			cards := []string{simulated.OK, "sim_flaky_300_x", "sim_fail_first_1", "sim_fail_first_2", simulated.TimeoutAfterCharge, simulated.TimeoutBeforeCharge,
				simulated.DeclineHard, "sim_decline_insufficient_funds", simulated.ActionRequired}
			for _, card := range cards {
				subs = append(subs, w.subscribe(card, []civil.Unit{civil.Day, civil.Week, civil.Month}[rnd.IntN(3)], start.AddDays(rnd.IntN(7))))
			}
			day := start
			for range 40 {
				day = day.AddDays(1 + rnd.IntN(4))
				w.at(day, 12, 0)
				ctx, cancel := context.WithCancel(t.Context())
				steps := rnd.IntN(30)
				die := func() error {
					if steps--; steps < 0 {
						cancel()
						return errLost
					}
					return nil
				}
				w.use(&tapped{Gateway: w.ledger, lookup: die, before: die, after: die})
				_ = w.engine.Run(ctx) // it may have been stopped: what it did is looked at
				cancel()
				w.balanced()
				switch rnd.IntN(8) {
				case 0:
					w.restart()
				case 1: // somebody resumes, orders, or confirms
					s := subs[rnd.IntN(len(subs))]
					_, _ = w.Try(journal.Bind(subscription.Resume{ID: s.ID})) // may be refused
					_, _ = w.Try(journal.Bind(billing.OrderNow{SubscriptionID: s.ID, OrderID: w.IDs.New(id.Order), AttemptID: w.IDs.New(id.BillingAttempt)}))
				case 2:
					for _, o := range w.orders("") {
						if a, ok := billing.OpenAttempt(o); ok && a.Status == billing.AttemptActionRequired {
							if err := w.ledger.Confirm(t.Context(), a.GatewayID); err != nil {
								_ = err // confirmed before, and not asked about since
							}
						}
					}
				}
			}
			w.restart()
			for hour := range 10 {
				w.at(day.AddDays(1), 12+hour, 0)
				w.run()
			}
			placed := 0
			for _, s := range subs {
				dates := map[civil.Date]int{}
				for _, o := range w.orders(s.ID) {
					if o.Status == billing.Placed {
						placed++
						if o.Cycle != nil {
							dates[o.BillingDate]++
						}
					}
					if a, open := billing.OpenAttempt(o); open && a.Status == billing.AttemptStarted {
						t.Errorf("order %s still has no answer", o.Number)
					}
				}
				for date, n := range dates {
					if n > 1 {
						t.Errorf("%s was billed %d times for %s", s.ID, n, date)
					}
				}
			}
			if placed < 30 {
				t.Errorf("only %d orders were placed", placed)
			}
		})
	}
}

var _ program.Clock = (*clock)(nil).Now
