package journeys_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"perennial/internal/audit"
	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/demo"
	"perennial/internal/engine"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/settings"
	"perennial/internal/subscription"
	"perennial/internal/test/browser"
)

// TestTheGatewaysBooks has a charge that only the gateway knows of, one that it lost, and one for an order that is not there. Home says
// so, its link leads to what they are, and they are gone from both when the two sides agree. The clock is set, so this shop is one of its own.
func TestTheGatewaysBooks(t *testing.T) {
	ctx := t.Context()
	clock := demo.NewClock(time.Date(2027, 3, 3, 11, 0, 0, 0, time.UTC), time.Now)
	i, err := server.Open(ctx, server.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Clock: clock.Now, Log: slog.New(slog.DiscardHandler), Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	do := func(c journal.Command) {
		t.Helper()
		if _, err := i.Program.Do(ctx, &program.Request{Meta: program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "setup"}, Source: journal.Origin{Channel: journal.ChannelCLI}}, Command: c}); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range settings.Defaults("Harbor Roast", "Europe/Berlin", "EUR") {
		do(journal.Bind(settings.Update{Document: d}))
	}
	gateway := simulated.New(clock.Now, simulated.Options{})
	s, err := server.Start(ctx, i, gateway, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r, err := audit.Verify(context.Background(), i.Store, nil)
		if err != nil || len(r.Problems) > 0 {
			t.Errorf("verify: %v %v", err, r.Problems)
		}
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})

	product, variant, ada, card, sub := i.IDs.New(id.Product), i.IDs.New(id.Variant), i.IDs.New(id.Customer), i.IDs.New(id.PaymentMethod), i.IDs.New(id.Subscription)
	do(journal.Bind(catalog.CreateProduct{ID: product, Title: "Harbour Blend"}))
	do(journal.Bind(catalog.CreateVariant{ID: variant, ProductID: product, Title: "500 g", Price: money.Of(1250, "EUR")}))
	do(journal.Bind(customer.Create{ID: ada, Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace"}))
	do(journal.Bind(customer.AddPaymentMethod{ID: card, CustomerID: ada, Gateway: "simulated", Fields: customer.PaymentMethodFields{
		GatewayReference: new(simulated.OK), Brand: new("visa"), Last4: new("4242"), ExpMonth: new(1), ExpYear: new(2031)}}))
	do(journal.Bind(subscription.Create{ID: sub, CustomerID: ada, Items: []subscription.NewItem{{ID: i.IDs.New(id.Item), VariantID: variant, Quantity: 1}}, BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1}}))
	order, attempt := i.IDs.New(id.Order), i.IDs.New(id.BillingAttempt)
	do(journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: order, AttemptID: attempt}))
	// The engine of the server charges it; it is done when the order is placed.
	placed := func() *billing.Order {
		o, err := journal.Get[billing.Order](program.NewReader(ctx, i.Store, i.Store.Read), journal.Order, order)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	for wait := time.NewTicker(20 * time.Millisecond); placed().Status != billing.Placed; {
		select {
		case <-ctx.Done():
			t.Fatal("the order is not charged")
		case <-wait.C:
		}
	}
	charge := func(key string, order id.ID, minor int64) string {
		t.Helper()
		r, err := gateway.Charge(ctx, payment.ChargeRequest{IdempotencyKey: key, Amount: money.Of(minor, "EUR"), Reference: simulated.OK, OrderID: order})
		if err != nil || r.Status != payment.Succeeded {
			t.Fatalf("got %+v, %v", r, err)
		}
		return r.GatewayID
	}
	nobody := i.IDs.New(id.Order)
	twice, stray := charge("by_hand", order, 1250), charge("by_mistake", nobody, 700)

	// The morning after: the books of that day.
	compare := func(g payment.Gateway) {
		t.Helper()
		clock.Set(clock.Now().AddDate(0, 0, 1))
		if err := engine.New(i.Program, i.Store, g, slog.New(slog.DiscardHandler)).Reconcile(ctx); err != nil {
			t.Fatal(err)
		}
	}
	link, err := s.Dashboard.SetupLink(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := browser.Open(t, browser.Options{})
	p.Go(link)
	p.Fill("#email", "olga@example.com")
	p.Fill("#name", "Olga")
	p.Fill("#password", "four words in a row")
	p.Click("main form button")
	p.Wait(".shell")
	base := link[:len("http://")+len(s.Addr)]
	p.Go(base + "/")
	p.Lacks("the payment gateway's books")

	compare(gateway)
	p.Go(base + "/")
	p.Holds("2 differences between the orders and the payment gateway's books")
	p.Accessible()
	p.Picture("home-differences")
	p.Click("a[href='/orders/differences']")
	p.Holds("The gateway took money that the order does not know of", "€12.50", twice, "The gateway took money for an order that this store does not have", "€7.00", stray, string(nobody))
	p.Accessible()
	p.Picture("differences")
	p.Width(375)
	p.Fits()
	p.Accessible()
	p.Picture("differences-phone")
	p.Width(1280)
	p.Click("main table a[href='/orders/" + string(order) + "']")
	p.Holds("The gateway's books differ from this order.", twice)
	p.Accessible()
	p.Picture("order-differs")

	// Both are given back at the gateway; then its books are lost, and with them the charge of the order.
	for _, c := range []string{twice, stray} {
		if r, err := gateway.Refund(ctx, payment.RefundRequest{IdempotencyKey: "back " + c, ChargeID: c, Amount: map[string]money.Amount{twice: money.Of(1250, "EUR"), stray: money.Of(700, "EUR")}[c]}); err != nil || r.Status != payment.Succeeded {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
	compare(simulated.New(clock.Now, simulated.Options{}))
	p.Go(base + "/")
	p.Holds("1 difference between the orders and the payment gateway's books")
	p.Click("a[href='/orders/differences']")
	p.Holds("The order counts as paid, and the gateway has no such charge", placed().Attempts[0].GatewayID)
	p.Picture("differences-lost")

	compare(gateway)
	p.Go(base + "/")
	p.Lacks("the payment gateway's books")
	p.Go(base + "/orders/differences")
	p.Holds("The orders and the gateway agree", "The gateway's books differ no more")
	p.Picture("differences-gone")
	p.Go(base + "/orders/" + string(order))
	p.Lacks("The gateway's books differ from this order.")
}
