package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/engine"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/test/shop"
)

// hand is a clock that is set.
type hand struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (h *hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// hasty is a gateway that reports a charge before it answers the call.
type hasty struct {
	*simulated.Gateway
	report func() error
}

func (g hasty) Charge(ctx context.Context, r payment.ChargeRequest) (payment.ChargeResult, error) {
	result, err := g.Gateway.Charge(ctx, r)
	if g.report != nil {
		if err := g.report(); err != nil {
			return result, err
		}
	}
	return result, err
}

// counter is a shop that charges at a simulated gateway and takes its reports.
type counter struct {
	*shop.Shop
	clock   *hand
	gateway *hasty
	engine  *engine.Engine
	reports *Reports
	variant id.ID
}

// tryingOut opens a shop; the check of its whole journal ends the test.
func tryingOut(t *testing.T) *counter {
	t.Helper()
	c := &counter{clock: &hand{now: time.Date(2027, 2, 4, 12, 0, 0, 0, time.UTC)}}
	c.Shop = shop.OpenWith(t, t.TempDir(), c.clock.Now, rand.Reader, db.Options{Relaxed: true})
	c.Found()
	c.gateway = &hasty{Gateway: simulated.New(c.clock.Now, simulated.Options{})}
	c.engine = engine.New(c.Program, c.Store, c.gateway, slog.New(slog.DiscardHandler))
	c.restart()
	product := c.IDs.New(id.Product)
	c.variant = c.IDs.New(id.Variant)
	c.does(t, journal.Bind(catalog.CreateProduct{ID: product, Title: "Tea"}))
	c.does(t, journal.Bind(catalog.CreateVariant{ID: c.variant, ProductID: product, Title: "100 g", Price: money.Of(1000, "EUR")}))
	return c
}

// restart forgets what was told, as a new process does.
func (c *counter) restart() {
	c.reports = NewReports(c.Program, c.Store, c.engine, c.gateway, slog.New(slog.DiscardHandler))
}

type failer interface {
	Helper()
	Fatal(...any)
}

func (c *counter) does(t failer, cmd journal.Command) {
	t.Helper()
	if _, err := c.Program.Do(context.Background(), &program.Request{Meta: setup, Command: cmd}); err != nil {
		t.Fatal(err)
	}
}

// month is the month after this one, in which cards expire.
func (c *counter) month() time.Time {
	now := c.clock.Now()
	return time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
}

// order charges an order to a new customer's card.
func (c *counter) order(t failer, reference string) (order, card, sub id.ID) {
	t.Helper()
	who := c.IDs.New(id.Customer)
	card, sub, order = c.IDs.New(id.PaymentMethod), c.IDs.New(id.Subscription), c.IDs.New(id.Order)
	c.does(t, journal.Bind(customer.Create{ID: who, Email: string(who) + "@example.com"}))
	c.does(t, journal.Bind(customer.AddPaymentMethod{ID: card, CustomerID: who, Gateway: "simulated", Fields: customer.PaymentMethodFields{GatewayReference: &reference, ExpMonth: new(int(c.month().Month())), ExpYear: new(c.month().Year())}}))
	c.does(t, journal.Bind(subscription.Create{ID: sub, CustomerID: who, Items: []subscription.NewItem{{ID: c.IDs.New(id.Item), VariantID: c.variant, Quantity: 1}}, BillingPolicy: &catalog.Policy{Interval: civil.Year, IntervalCount: 1}}))
	c.orderNow(t, sub, order)
	return order, card, sub
}

func (c *counter) orderNow(t failer, sub, order id.ID) {
	t.Helper()
	c.does(t, journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: order, AttemptID: c.IDs.New(id.BillingAttempt)}))
	if err := c.engine.Settle(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func (c *counter) pump(t failer) {
	t.Helper()
	if err := c.reports.Pump(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// state reads an order, or a card.
func state[T any](t failer, c *counter, kind journal.Kind, key id.ID) T {
	t.Helper()
	row, err := c.Store.Load(context.Background(), c.Store.Read, journal.Ref{Kind: kind, ID: key})
	if err != nil {
		t.Fatal(err)
	}
	return row.State.(T)
}

// reported are the entries that reports made since a seq, with what they are about.
func (c *counter) reported(t failer, since int64) (out []string) {
	t.Helper()
	for st, err := range c.Store.Events(context.Background(), c.Store.Read, store.Closed, since+1, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if st.Actor == (journal.Actor{Kind: journal.ActorIntegration, ID: "simulated"}) {
			out = append(out, string(st.Type))
		}
	}
	return out
}

// TestReportsOfTheSimulatedGateway lives some months with a card of each kind, starts again, and hears everything twice.
func TestReportsOfTheSimulatedGateway(t *testing.T) {
	for reference, want := range map[string]struct {
		entries []string
		dispute string
		expires int
	}{
		simulated.OK:               {nil, "", 2027},
		simulated.ReportsTwice:     {nil, "", 2027},
		simulated.ReportsLate:      {nil, "", 2027},
		simulated.DisputeWon:       {[]string{"order.disputed", "order.dispute_won"}, billing.DisputeWon, 2027},
		simulated.DisputeLost:      {[]string{"order.disputed", "order.dispute_lost"}, billing.DisputeLost, 2027},
		simulated.DisputeBackwards: {[]string{"order.dispute_lost"}, billing.DisputeLost, 2027},
		"sim_expires_2027-03":      {nil, "", 2027},
		"sim_renews_2027-03":       {[]string{"payment_method.updated"}, "", 2030},
	} {
		t.Run(reference, func(t *testing.T) {
			c := tryingOut(t)
			early := 0
			c.gateway.report = func() error { // the success is told before the call has its answer
				early++
				c.clock.pass(time.Second)
				return c.reports.Pump(t.Context())
			}
			order, card, sub := c.order(t, reference)
			if early != 1 {
				t.Fatalf("charged %d times", early)
			}
			for range 90 {
				c.clock.pass(24 * time.Hour)
				c.pump(t)
				c.pump(t)
			}
			c.restart()
			c.pump(t)
			if diff := cmp.Diff(want.entries, c.reported(t, -1)); diff != "" {
				t.Error(diff)
			}
			o := state[*billing.Order](t, c, journal.Order, order)
			got := ""
			if o.Dispute != nil {
				got = o.Dispute.Status
			}
			if o.Status != billing.Placed || got != want.dispute {
				t.Errorf("the order is %s, its dispute %q", o.Status, got)
			}
			if m := state[*customer.PaymentMethod](t, c, journal.PaymentMethod, card); m.ExpYear != want.expires {
				t.Errorf("the card expires in %d", m.ExpYear)
			}
			// The month of the card is over by now.
			second := c.IDs.New(id.Order)
			c.orderNow(t, sub, second)
			a := state[*billing.Order](t, c, journal.Order, second).Attempts[0]
			if expired := reference == "sim_expires_2027-03"; expired != (a.Code == payment.CodeExpiredCard) || expired != (a.Status == billing.AttemptFailed) {
				t.Errorf("the second charge is %s, %q", a.Status, a.Code)
			}
		})
	}
}

// TestReportsInAnyOrder tells each report of a time at least once, in any order: the shop ends in the same state, and hearing all of
// them again changes nothing.
func TestReportsInAnyOrder(t *testing.T) {
	c := tryingOut(t)
	rapid.Check(t, func(rt *rapid.T) {
		c.gateway.Gateway = simulated.New(c.clock.Now, simulated.Options{}) // without the cards of the rounds before
		since, from, year := c.Program.Head(), c.clock.Now(), c.month().Year()
		type end struct {
			Dispute, Refunded string
			Expires           int
		}
		var want, got []end
		var orders, cards []id.ID
		for _, w := range []struct {
			reference string
			end       end
		}{
			{simulated.OK, end{"", "4.00 EUR", year}},
			{simulated.DeclineHard, end{"", "0.00 EUR", year}},
			{simulated.DisputeWon, end{billing.DisputeWon, "0.00 EUR", year}},
			{simulated.DisputeLost, end{billing.DisputeLost, "0.00 EUR", year}},
			{simulated.DisputeBackwards, end{billing.DisputeLost, "0.00 EUR", year}},
			{"sim_renews_" + c.month().Format("2006-01"), end{"", "0.00 EUR", year + 3}},
		} {
			order, card, _ := c.order(rt, w.reference)
			orders, cards, want = append(orders, order), append(cards, card), append(want, w.end)
		}
		c.does(rt, journal.Bind(billing.Refund{OrderID: orders[0], Amount: new(money.Of(400, "EUR"))}))
		if err := c.engine.Settle(context.Background()); err != nil {
			rt.Fatal(err)
		}
		c.clock.pass(46 * 24 * time.Hour)
		all, err := c.gateway.Reports(context.Background(), from, c.clock.Now())
		if err != nil {
			rt.Fatal(err)
		}
		told := rapid.Permutation(slices.Concat(all, rapid.SliceOfN(rapid.SampledFrom(all), 0, 20).Draw(rt, "again"))).Draw(rt, "told")
		hear := func() {
			for _, e := range told {
				if err := c.reports.take(context.Background(), e); err != nil {
					rt.Fatal(err)
				}
			}
		}
		hear()
		for i := range orders {
			o, m := state[*billing.Order](rt, c, journal.Order, orders[i]), state[*customer.PaymentMethod](rt, c, journal.PaymentMethod, cards[i])
			e := end{"", o.Refunded.String(), m.ExpYear}
			if o.Dispute != nil {
				e.Dispute = o.Dispute.Status
			}
			got = append(got, e)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatal(diff)
		}
		made := map[string]int{}
		for _, typ := range c.reported(rt, since) {
			made[typ]++
		}
		if opened := made["order.disputed"]; opened > 3 || made["order.dispute_won"] != 1 || made["order.dispute_lost"] != 2 || made["payment_method.updated"] != 1 {
			rt.Fatal("entries:", made)
		}
		head := c.Program.Head()
		if hear(); c.Program.Head() != head {
			rt.Fatal("hearing all of it again changed something:", c.reported(rt, head))
		}
	})
}
