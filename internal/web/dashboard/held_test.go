package dashboard

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"perennial/internal/auth"
	"perennial/internal/billing"
	"perennial/internal/find/findtest"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/observe"
	"perennial/internal/payment"
	"perennial/internal/subscription"
	"perennial/internal/team"
	"perennial/internal/test/shop"
)

// Every page with a log shows what the index hides, marks it, and says so above it; a rebuilt index heals that.
func TestAHiddenEntryIsOnEveryPage(t *testing.T) {
	w, owner, olga := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	sub := w.IDs.New(id.Subscription)
	w.Do(journal.Bind(subscription.Create{ID: sub, CustomerID: f.ada, SellingPlanID: f.plan, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: f.variant, Quantity: 1}}}))
	pause := w.Do(journal.Bind(subscription.Pause{ID: sub})).Events[0]
	w.Do(journal.Bind(subscription.ChangeNote{ID: sub, Note: "Called."}))
	role := w.Do(journal.Bind(team.ChangeProfile{ID: olga, Name: new("Renamed"), Actor: shop.System.Actor})).Events[0]
	w.Do(journal.Bind(subscription.ChangeNote{ID: sub, Note: "Called again."}))
	pages := map[string]string{
		"/subscriptions/" + string(sub) + "/log": string(pause.ID), "/customers/" + string(f.ada) + "/log": string(pause.ID), "/events": string(pause.ID),
		"/events?type=subscription.paused": string(pause.ID), "/subscriptions/" + string(sub): string(pause.ID), "/customers/" + string(f.ada): string(pause.ID),
		"/activity": string(role.ID), "/events?target=" + string(olga): string(role.ID),
	}
	look := func(hidden bool) {
		t.Helper()
		for path, entry := range pages {
			s := owner.get(path)
			if s.status != 200 || !strings.Contains(s.body, "/events/"+entry) {
				t.Errorf("%s: %d, and not the entry", path, s.status)
			}
			if marked := strings.Contains(s.body, "not in the index"); marked != hidden {
				t.Errorf("%s: marked: %v, want %v", path, marked, hidden)
			}
			if said := strings.Contains(s.body, "perennial reindex"); said != hidden {
				t.Errorf("%s: said: %v, want %v", path, said, hidden)
			}
			if log := strings.HasSuffix(path, "/log") || strings.HasPrefix(path, "/events"); log && !hidden && !strings.Contains(s.body, "nothing is missing") {
				t.Errorf("%s does not say what it was held against", path)
			}
		}
	}
	look(false)
	w.d.Finder = findtest.HideFrom(t, w.d.Finder, w.Store, w.Dir, pause.Seq, role.Seq)
	look(true)
	if s := owner.get("/"); strings.Contains(s.body, "Logs were without entries") {
		t.Error("Home warns of what the journal does not tell")
	}
	w.Do(journal.Bind(observe.FindGap{By: observe.ByReading, Hidden: []int64{pause.Seq, role.Seq}})) // by whichever process it was
	if s := owner.get("/"); !strings.Contains(s.body, "Logs were without entries") || !strings.Contains(s.body, "kept 2 entries") {
		t.Error("Home does not say that logs were without entries")
	}
	for _, format := range []string{"csv", "ndjson"} {
		if s := owner.get("/customers/" + string(f.ada) + "/log?format=" + format); !strings.Contains(s.body, fmt.Sprint(pause.Seq)) || !strings.Contains(s.body, "found_by_chain") {
			t.Errorf("%s: the file does not hold the entry, or does not mark it", format)
		}
	}
	next, closed := owner.live(fmt.Sprintf("/events/live?target=%s&after=%d", sub, pause.Seq-1))
	if got := next(); !strings.Contains(got, "/events/"+string(pause.ID)) {
		t.Errorf("the stream leaves the hidden entry out: got %s", got)
	}
	if err := closed(); err != nil {
		t.Error(err)
	}
	if err := w.d.Finder.Rebuild(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	look(false)
	w.Do(journal.Bind(observe.Verification{Result: observe.Holds}))
	if s := owner.get("/"); !strings.Contains(s.body, "Logs were without entries") {
		t.Error("a check that looked at no index takes the warning back")
	}
	w.Do(journal.Bind(observe.Verification{Result: observe.Holds, Derived: true}))
	if s := owner.get("/"); strings.Contains(s.body, "Logs were without entries") {
		t.Error("Home warns when a check found everything in its place")
	}
}

// Home says what delays payments, and what the gateway reports that nobody knows.
func TestHomeSaysThatPaymentsAreDelayed(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	w.d.Gate = gate.New(slog.New(slog.DiscardHandler), w.Program.Now)
	if s := owner.get("/"); strings.Contains(s.body, "delayed") {
		t.Error("nothing is delayed")
	}
	sub, order, attempt := w.IDs.New(id.Subscription), w.IDs.New(id.Order), w.IDs.New(id.BillingAttempt)
	w.Do(journal.Bind(subscription.Create{ID: sub, CustomerID: f.ada, SellingPlanID: f.plan, PaymentMethodID: f.card, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: f.variant, Quantity: 1}}}))
	w.Do(journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: order, AttemptID: attempt}))
	w.Do(journal.Bind(billing.DelayAttempt{OrderID: order, AttemptID: attempt, Code: payment.CodeAccountInvalid}))
	for _, words := range []string{"1 payment is delayed because of the shop", "account invalid", "/orders/" + string(order)} {
		w.want(owner.get("/"), 200, "/", words)
	}
	w.d.Gate.Raise(gate.Reason{Code: gate.GatewayFailing, Sentence: "Payments are delayed: key.", Holds: gate.Charge, Warning: true})
	w.d.Gate.Raise(gate.Reason{Code: gate.GatewayVersion, Sentence: "A version of tomorrow.", Warning: true})
	for _, words := range []string{"Payments are delayed", gate.GatewayFailing, "A version of tomorrow.", "may not be understood"} {
		w.want(owner.get("/"), 200, "/", words)
	}
}

// An order for which the gateway took another amount is on Home, and is ended from its page.
func TestAPaymentOfAnotherAmountIsEnded(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	sub, order, attempt := w.IDs.New(id.Subscription), w.IDs.New(id.Order), w.IDs.New(id.BillingAttempt)
	w.Do(journal.Bind(subscription.Create{ID: sub, CustomerID: f.ada, SellingPlanID: f.plan, PaymentMethodID: f.card, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: f.variant, Quantity: 1}}}))
	w.Do(journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: order, AttemptID: attempt}))
	at := "/orders/" + string(order)
	if s := owner.get(at); strings.Contains(s.body, "End the payment") {
		t.Error("a payment under way can be ended")
	}
	w.want(owner.get(at+"/other-charge"), 409, at+"/other-charge", "took no other amount")
	w.Do(journal.Bind(billing.NoteOtherCharge{OrderID: order, AttemptID: attempt, GatewayID: "pi_odd", Amount: money.Of(99, "EUR")}))
	w.want(owner.get("/"), 200, "/", "Say what becomes of it")
	w.want(owner.get(at), 200, at, "The gateway took")
	for _, words := range []string{"Send €0.99 back, and cancel the order", "Take €0.99 as the payment"} {
		w.want(owner.get(at+"/other-charge"), 200, at+"/other-charge", words)
	}
	w.want(owner.post(at+"/other-charge", "as", "payment"), 200, at, "Took €0.99 as the payment")
}

// Home says that somebody writes to the database beside the program, once a row was met that it did not write so.
func TestForgedRowsAreOnHome(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	const words = "Somebody writes to the database beside the program"
	if s := owner.get("/"); strings.Contains(s.body, words) {
		t.Error("Home warns of nothing")
	}
	if _, err := w.Shell(`INSERT INTO link (shop_id, id, mac, opens, purpose, owner_kind, owner_id, basis, expires_at)
		SELECT shop_id, 'lnk_x', $1, $1, 'invitation', 'team_member', 'mem_x', '', '2099-01-01T00:00:00.000000Z' FROM head`, []byte("mac")); err != nil {
		t.Fatal(err)
	}
	if _, there, err := w.Store.Link(t.Context(), w.Store.Read, "lnk_x", "secret"); err != nil || there {
		t.Fatalf("a link that somebody made: %v, %v", there, err)
	}
	w.want(owner.get("/"), 200, "/", words)
	w.want(owner.get("/"), 200, "/", "rows of link")
}
