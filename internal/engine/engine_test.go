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
	"perennial/internal/program"
	"perennial/internal/settings"
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
		for _, r := range o.Repayments {
			if r.Uncounted && r.Status == billing.AttemptSucceeded {
				taken[o.ID] -= r.Amount.Minor
				returned[o.ID] -= r.Amount.Minor
			}
		}
		if _, _, open := billing.OpenRepayment(o); !open && returned[o.ID] != o.Refunded.Minor {
			w.t.Errorf("order %s: %d were given back, %d are known to be refunded", o.Number, returned[o.ID], o.Refunded.Minor)
		}
		if taken[o.ID] != paid.Minor {
			w.t.Errorf("order %s: %d were taken, %d are known to be paid", o.Number, taken[o.ID], paid.Minor)
		}
		if o.Status == billing.Placed && o.Waived == nil && o.CarriedOver == nil && paid != o.Due() {
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
				w.use(&tapped{Gateway: w.ledger, lookup: die, before: die, after: die, cancelled: die})
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
