package portal

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"perennial/internal/billing"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/payment/stripe"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

const cards = "/portal/payment-methods"

func (w *world) methodsOf(who id.ID) (out []*customer.PaymentMethod) {
	w.t.Helper()
	rows, err := w.Store.List(w.t.Context(), w.Store.Read, journal.PaymentMethod, "customer_id = $2 ORDER BY id", string(who))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range rows {
		out = append(out, r.State.(*customer.PaymentMethod))
	}
	return out
}

func TestATestCard(t *testing.T) {
	w := newWorld(t)
	second := w.another(w.subscription(w.hers).NextBillingDate.AddDays(3), "")
	v := w.visitor() // by the link of a mail: the page comes after signing in
	w.want(v.get(cards+"/new"), 200, "/portal/signin")
	w.want(v.post("/portal/signin", "email", "ada@example.com"), 200, "/portal/code")
	w.want(v.post("/portal/code", "code", w.code()), 200, cards+"/new", "Card number")
	w.want(v.get("/portal/account"), 200, "/portal/account", cards+"/new")
	w.want(v.get(cards+"/new"), 200, cards+"/new", "4242 4242 4242 4242", "No real card is charged here")
	for _, wrong := range [][3]string{{"4000 0000 0000 0002", "04/31", "The bank declined this card"}, {"4111 1111 1111 1111", "04/31", "not one of the numbers"}, {"4242 4242 4242 4242", "13/31", "month and a year"},
		{"4242 4242 4242 4242", "soon", "month and a year"}, {"4242 4242 4242 4242", "02/27", "has expired"}} {
		w.want(v.post(cards+"/new", "number", wrong[0], "expiry", wrong[1]), 422, cards+"/new", wrong[2])
	}
	if n := len(w.methodsOf(w.ada)); n != 1 {
		t.Fatalf("%d payment methods after refusals", n)
	}
	w.want(v.post(cards+"/new", "number", "5555 5555 5555 4444", "expiry", "4/2031", "use", "none"), 200, "/portal/account", "Mastercard", "4444")
	if got := w.charged(w.hers); got != w.methodsOf(w.ada)[0].ID {
		t.Error("a card that is only kept is charged")
	}
	w.Do(journal.Bind(subscription.ChangePaymentMethod{ID: second, PaymentMethodID: w.methodsOf(w.ada)[0].ID}))
	w.want(v.post(cards+"/new", "number", "4242 4242 4242 4242", "expiry", "04/31", "use", "all"), 200, "/portal/account")
	added := w.methodsOf(w.ada)[2]
	if w.charged(w.hers) != added.ID || w.charged(second) != added.ID {
		t.Error("not every subscription is charged to the new card")
	}
	for _, typ := range []string{"payment_method.added", "payment_method.default_changed", "subscription.payment_method_changed"} {
		if e := w.last(journal.Name(typ)); e.Actor != (journal.Actor{Kind: journal.ActorCustomer, ID: string(w.ada)}) || e.Source.Channel != journal.ChannelPortal || e.CorrelationID != w.last("payment_method.added").CorrelationID {
			t.Errorf("%s: %+v", typ, e)
		}
	}
	if n := len(w.methodsOf(w.ben)); n != 1 {
		t.Errorf("somebody else has %d payment methods", n)
	}
	portal := *settings.Default(settings.PagePortal, &settings.General{}).(*settings.Portal)
	portal.Actions = []string{string(subscription.ActionSkip)}
	w.Do(journal.Bind(settings.Update{Document: &portal}))
	w.want(v.get(cards+"/new"), 409, cards+"/new", "does not offer this")
	w.want(v.post(cards+"/new", "number", "4242 4242 4242 4242", "expiry", "04/31"), 409, cards+"/new")
	if n := len(w.methodsOf(w.ada)); n != 3 {
		t.Errorf("%d payment methods", n)
	}
}

// TestACardAtStripe walks the way of a card beside Stripe's script, which asks for the number.
func TestACardAtStripe(t *testing.T) {
	w := newWorld(t)
	made, intents := 0, 0
	method := "pm_9"
	setup := func(id, customer, status string) string {
		return fmt.Sprintf(`{"id":%q,"object":"setup_intent","client_secret":"seti_1_secret_x","customer":%q,"status":%q,"payment_method":{"id":%q,"object":"payment_method","type":"card","customer":%q,"card":{"brand":"visa","last4":"1881","exp_month":4,"exp_year":2031}}}`, id, customer, status, method, customer)
	}
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/customers"):
			made++
			fmt.Fprint(rw, `{"id":"cus_ada","object":"customer"}`)
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/setup_intents"):
			intents++
			fmt.Fprint(rw, setup("seti_1", "cus_ada", "requires_payment_method"))
		case strings.HasSuffix(r.URL.Path, "/seti_1"):
			fmt.Fprint(rw, setup("seti_1", "cus_ada", "succeeded"))
		case strings.HasSuffix(r.URL.Path, "/seti_2"), strings.HasSuffix(r.URL.Path, "/seti_3"):
			method = "pm_1" + map[bool]string{true: "0", false: "1"}[strings.HasSuffix(r.URL.Path, "/seti_2")]
			fmt.Fprint(rw, setup("seti_2", "cus_ada", "succeeded"))
		case strings.HasSuffix(r.URL.Path, "/seti_open"):
			fmt.Fprint(rw, setup("seti_open", "cus_ada", "requires_action"))
		case strings.HasSuffix(r.URL.Path, "/seti_ben"):
			fmt.Fprint(rw, setup("seti_ben", "cus_ben", "succeeded"))
		default:
			rw.WriteHeader(http.StatusNotFound)
			fmt.Fprint(rw, `{"error":{"type":"invalid_request_error","code":"resource_missing","message":"no"}}`)
		}
	}))
	t.Cleanup(api.Close)
	at := func(key string) {
		t.Helper()
		g, err := stripe.New(stripe.Config{SecretKey: "sk_test", Publishable: key, BaseURL: api.URL})
		if err != nil {
			t.Fatal(err)
		}
		w.p.Gateway = g
	}
	v := w.signIn("ada@example.com")
	at("")
	w.want(v.get(cards+"/new"), 200, cards+"/new", "Cards cannot be added here")
	w.want(v.post(cards+"/new", "setup_intent", "seti_1"), 422, cards+"/new", "Cards cannot be added here")
	at("pk_test_1")
	for path, want := range map[string]bool{cards + "/new": true, "/portal/account": false, "/portal": false} {
		if got := strings.Contains(v.get(path).policy, "stripe.com"); got != want {
			t.Errorf("%s may load from Stripe: %v", path, got)
		}
	}
	w.want(v.get(cards+"/new"), 200, cards+"/new", `data-stripe="pk_test_1"`, `data-secret="seti_1_secret_x"`, "https://js.stripe.com/v3/", "It never comes to us")
	for _, wrong := range []string{"seti_open", "seti_ben", "seti_none", "../seti_1", ""} {
		w.want(v.post(cards+"/new", "setup_intent", wrong), 422, cards+"/new", "The card was not confirmed")
	}
	w.want(v.get(cards+"/new?setup_intent=seti_1&redirect_status=succeeded"), 200, cards+"/new", "Your card is confirmed")
	for range 2 {
		w.want(v.post(cards+"/new", "setup_intent", "seti_1", "use", "all"), 200, "/portal/account")
	}
	m := w.methodsOf(w.ada)
	if len(m) != 2 || m[1].Gateway != "stripe" || m[1].GatewayReference.Value != "cus_ada/pm_9" || m[1].Last4.Value != "1881" || w.charged(w.hers) != m[1].ID {
		t.Errorf("%d payment methods, the last %+v", len(m), m[len(m)-1])
	}
	before := made
	w.want(v.get(cards+"/new"), 200, cards+"/new") // now Stripe knows her
	if made != before {
		t.Error("a second customer was made at Stripe")
	}
	w.want(v.post(cards+"/new", "number", "4242424242424242", "expiry", "04/31"), 422, cards+"/new")

	w.pass(2 * time.Hour) // no more than ten are begun at once

	// By the link of a mail: Stripe hears of it when somebody pressed a button, and the page of a bank leads back to the link.
	mailed, v := w.link("card", ""), w.visitor()
	if first := v.get(mailed); strings.Contains(first.body, "data-secret") || strings.Contains(first.policy, "stripe.com") {
		t.Error("a link that is only opened asks Stripe")
	}
	before = intents
	w.want(v.post(mailed+"/preview", "begin", "1"), 200, mailed+"/preview", `action="`+mailed+`"`)
	if intents != before {
		t.Error("a preview asks Stripe")
	}
	begun := v.post(mailed, "begin", "1")
	w.want(begun, 200, mailed, `data-secret="seti_1_secret_x"`, `action="`+mailed+`"`)
	if !strings.Contains(begun.policy, "stripe.com") {
		t.Error("the page cannot load from Stripe")
	}
	w.want(v.post(mailed, "setup_intent", "seti_open"), 422, mailed, "The card was not confirmed")
	w.want(v.get(mailed+"?setup_intent=seti_2&redirect_status=succeeded"), 200, mailed, "Your card is confirmed")
	w.want(v.post(mailed, "setup_intent", "seti_2", "use", "none"), 200, mailed, "Done")
	if m := w.methodsOf(w.ada); len(m) != 3 || m[2].GatewayReference.Value != "cus_ada/pm_10" {
		t.Errorf("%d payment methods, the last %+v", len(m), m[len(m)-1])
	}
	w.want(v.post(mailed, "setup_intent", "seti_2", "use", "none"), 200, mailed, "Done") // sent twice: it is there already
	w.want(v.post(mailed, "setup_intent", "seti_3", "use", "none"), 410, mailed, "used already")

	// Nobody is asked for a card that is not kept in the end.
	before = intents
	w.want(v.get(mailed), 410, mailed, "used already")
	w.want(v.get(mailed+"?setup_intent=seti_3&redirect_status=succeeded"), 410, mailed, "used already")
	w.want(v.post(mailed, "begin", "1"), 410, mailed, "used already")
	w.want(v.post(mailed, "setup_intent", "seti_open"), 410, mailed, "used already")
	if intents != before {
		t.Error("a link that was used asks Stripe")
	}
}

// waits makes an order whose payment waits for the customer.
func (w *world) waits(sub id.ID, charge string) (order, attempt id.ID) {
	w.t.Helper()
	order, attempt = w.IDs.New(id.Order), w.IDs.New(id.BillingAttempt)
	w.Do(journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: order, AttemptID: attempt}))
	w.Do(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.ActionRequired, GatewayID: charge}))
	return order, attempt
}

func TestConfirmingAPayment(t *testing.T) {
	w := newWorld(t)
	g := w.p.Gateway
	made, err := g.Charge(t.Context(), payment.ChargeRequest{IdempotencyKey: "key", Amount: money.Of(1000, "EUR"), Reference: simulated.ActionRequired, OrderID: "ord_1"})
	if err != nil {
		t.Fatal(err)
	}
	order, attempt := w.waits(w.hers, made.GatewayID)
	other, _ := w.waits(w.his, "pi_2")
	var asked []id.ID
	w.p.AskAgain = func(a id.ID) { asked = append(asked, a) }
	at := func(order id.ID) string { return "/portal/orders/" + string(order) + "/confirm" }
	v := w.signIn("ada@example.com")
	w.want(v.get("/portal/orders"), 200, "/portal/orders", "Waits for you", at(order))
	w.want(v.get(at(order)), 200, at(order), "Your bank wants you to confirm the payment of €", "demo bank")
	w.want(v.get(at(other)), 404, at(other))
	w.want(v.post(at(other)), 404, at(other))
	for range 2 { // the second finds that it does not wait any more at the gateway
		w.want(v.post(at(order)), 200, "/portal/orders", "The order goes on as soon as the bank has told us")
	}
	if got, found, err := g.Lookup(t.Context(), payment.Query{Key: "key"}); err != nil || !found || got.Status != payment.Succeeded {
		t.Errorf("the gateway says %+v, %v, %v", got, found, err)
	}
	if !slices.Equal(asked, []id.ID{attempt, attempt}) {
		t.Errorf("asked again about %v", asked)
	}
	w.Do(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.Succeeded, GatewayID: made.GatewayID}))
	w.want(v.get(at(order)), 409, at(order), "does not wait for you any more")
	// With Stripe its script asks the bank.
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprint(rw, `{"id":"pi_3","object":"payment_intent","client_secret":"pi_3_secret_x","status":"requires_action","payment_method":"pm_9"}`)
	}))
	t.Cleanup(api.Close)
	if w.p.Gateway, err = stripe.New(stripe.Config{SecretKey: "sk_test", Publishable: "pk_test_1", BaseURL: api.URL}); err != nil {
		t.Fatal(err)
	}
	order, _ = w.waits(w.hers, "pi_3")
	s := v.get(at(order))
	w.want(s, 200, at(order), `data-secret="pi_3_secret_x"`, `data-method="pm_9"`)
	if !strings.Contains(s.policy, "https://js.stripe.com") {
		t.Errorf("the page may not load Stripe's script: %s", s.policy)
	}
	w.want(v.post(at(order)), 200, "/portal/orders", "Waits for you")
}
