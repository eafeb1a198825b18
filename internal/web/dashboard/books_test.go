package dashboard

import (
	"strings"
	"testing"
	"time"

	"perennial/internal/auth"
	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/team"
)

// The page says of each difference what it is, of which order, when, how much, and what the gateway calls it. The journey of the
// same name walks there from Home.
func TestTheGatewaysBooks(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	w.want(owner.get(booksPath), 200, booksPath, "Nothing was compared yet")
	now := w.clock()
	day := civil.Of(now, time.UTC)
	reconcile := func(books billing.Books, told billing.Reconciled) {
		t.Helper()
		books.From, books.To = now.Add(-time.Hour), now.Add(time.Hour)
		w.Do(journal.Bind(billing.Reconcile{OrderID: f.order, Books: books}))
		told.Shop, told.From, told.To = w.Store.Shop, day.AddDays(-2), day
		w.Do(journal.Bind(told))
	}
	const home = "differences between the orders and the payment gateway's books"
	stray := billing.Stray{OrderID: w.IDs.New(id.Order), What: billing.ExtraCharge, GatewayID: "ch_stray", Amount: money.Of(1234, "EUR"), At: journal.At(now)}
	back := stray
	back.What, back.GatewayID, back.Amount = billing.ExtraRefund, "re_stray", money.Of(34, "EUR")
	reconcile(billing.Books{Charges: []billing.Moved{{ID: "ch_extra", Key: "by_hand", Amount: money.Of(500, "EUR"), At: now}}, Refunds: []billing.Moved{{ID: "re_extra", ChargeID: "ch_other", Amount: money.Of(77, "EUR"), At: now}}},
		billing.Reconciled{Open: 7, Orders: []id.ID{f.order}, Strays: []billing.Stray{stray, back, {GatewayID: "ch_old"}}})
	w.want(owner.get("/"), 200, "/", "7 "+strings.ReplaceAll(home, "'", "&#39;"))
	s := owner.get(booksPath)
	for _, words := range []string{"order does not know of", "€5.00", "ch_extra", "gave money back that the order does not know of", "€0.77", "re_extra", "took money for an order that this store does not have", "€12.34", "ch_stray", string(stray.OrderID),
		"gave money back for an order that this store does not have", "€0.34", "re_stray", "ch_old", "2 more differences are in the entries below", "3 March 2027, 13:00"} {
		if !strings.Contains(s.body, words) {
			t.Errorf("the page lacks %q", words)
		}
	}
	w.want(owner.get("/orders/"+string(f.order)), 200, "/orders/"+string(f.order), "books differ from this order.")

	reconcile(billing.Books{}, billing.Reconciled{})
	w.want(owner.get(booksPath), 200, booksPath, "The orders and the gateway agree")
	if strings.Contains(owner.get("/").body, "payment gateway&#39;s books") {
		t.Error("Home still says that there are differences")
	}
	if strings.Contains(owner.get("/orders/"+string(f.order)).body, "books differ from this order.") {
		t.Error("the order still says that there are differences")
	}
	// Who sees orders and no entries sees the differences, without the entries.
	ben := w.hire(owner, "ben@example.com", "192.0.2.3", "role", "member", "permission", string(team.SubscriptionsView))
	if s := w.want(ben.get(booksPath), 200, booksPath, "The orders and the gateway agree"); strings.Contains(s.body, "What was found") {
		t.Error("entries are shown to somebody who may not see them")
	}
}

// A contested payment is on Home until the bank has decided, and on its order for ever.
func TestAContestedPayment(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	at := "/orders/" + string(f.order)
	report := func(status string) {
		t.Helper()
		w.Do(journal.Bind(billing.RecordDispute{OrderID: f.order, DisputeID: "dp_1", Amount: money.Of(1250, "EUR"), Reason: "product_not_received", Status: status}))
	}
	const home = "the cardholder contests €12.50 at the bank"
	for _, tt := range []struct {
		status, order string
		onHome        bool
	}{{"", "", false}, {billing.DisputeOpen, "The cardholder contests €12.50 at the bank.", true}, {billing.DisputeLost, "do not refund it too", false}} {
		if tt.status != "" {
			report(tt.status)
		}
		if got := strings.Contains(owner.get("/").body, home); got != tt.onHome {
			t.Errorf("%q: on Home: %v", tt.status, got)
		}
		page := owner.get(at)
		w.want(page, 200, at, tt.order)
		if tt.status != "" {
			w.want(page, 200, at, "Reason: product not received. Dispute dp_1 at the gateway.")
		}
	}
}
