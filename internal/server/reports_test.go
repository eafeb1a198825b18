package server

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85/webhook"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/payment/stripe"
	"perennial/internal/program"
	"perennial/internal/subscription"
)

const reportSecret = "whsec_test"

// TestReportsOfStripe sends reports as Stripe does: signed, twice, late, forged and broken.
func TestReportsOfStripe(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	who, product, variant, card, sub, order, attempt := i.IDs.New(id.Customer), i.IDs.New(id.Product), i.IDs.New(id.Variant), i.IDs.New(id.PaymentMethod), i.IDs.New(id.Subscription), i.IDs.New(id.Order), i.IDs.New(id.BillingAttempt)
	for _, cmd := range []journal.Command{
		journal.Bind(catalog.CreateProduct{ID: product, Title: "Tea"}),
		journal.Bind(catalog.CreateVariant{ID: variant, ProductID: product, Title: "100 g", Price: money.Of(1000, "USD")}),
		journal.Bind(customer.Create{ID: who, Email: "ada@example.com"}),
		journal.Bind(customer.AddPaymentMethod{ID: card, CustomerID: who, Gateway: "stripe", Fields: customer.PaymentMethodFields{GatewayReference: new("cus_1/pm_1")}}),
		journal.Bind(subscription.Create{ID: sub, CustomerID: who, Items: []subscription.NewItem{{ID: i.IDs.New(id.Item), VariantID: variant, Quantity: 1}}, BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1}}),
		journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: order, AttemptID: attempt}),
		journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.Succeeded, GatewayID: "pi_1"}),
	} {
		do(t, i, cmd)
	}
	intents := map[string]string{}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/payment_methods/pm_1"):
			fmt.Fprint(w, `{"id":"pm_1","object":"payment_method","type":"card","customer":"cus_1","card":{"brand":"visa","last4":"4242","exp_month":4,"exp_year":2095}}`)
			return
		case strings.HasSuffix(r.URL.Path, "/customers/cus_1"):
			fmt.Fprintf(w, `{"id":"cus_1","object":"customer","metadata":{"perennial_customer":%q}}`, who)
			return
		case strings.HasSuffix(r.URL.Path, "/payment_intents"), strings.HasSuffix(r.URL.Path, "/refunds"): // what moved since the last entry
			fmt.Fprint(w, `{"object":"list","data":[],"has_more":false}`)
			return
		case strings.HasSuffix(r.URL.Path, "/account"):
			fmt.Fprint(w, `{"id":"acct_1","object":"account"}`)
			return
		case intents[path.Base(r.URL.Path)] != "":
			fmt.Fprint(w, intents[path.Base(r.URL.Path)])
			return
		case !strings.HasSuffix(r.URL.Path, "/payment_intents/pi_1"):
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"type":"invalid_request_error","code":"resource_missing","message":"no"}}`)
			return
		}
		fmt.Fprintf(w, `{"id":"pi_1","object":"payment_intent","metadata":{"perennial_order":%q}}`, order)
	}))
	t.Cleanup(api.Close)
	gateway, err := stripe.New(stripe.Config{SecretKey: "sk_test_1", WebhookSecret: reportSecret, BaseURL: api.URL})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), i, gateway, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	send := func(body, secret string, at time.Time) int {
		t.Helper()
		p := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(body), Secret: secret, Timestamp: at})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr+"/webhooks/stripe", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Stripe-Signature", p.Header)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	dispute := func(typ, status string) string {
		return fmt.Sprintf(`{"id":"evt_1","object":"event","created":%d,"type":%q,"data":{"object":{"object":"dispute","id":"dp_1","amount":1000,"currency":"usd","payment_intent":"pi_1","reason":"fraudulent","status":%q}}}`, time.Now().Unix(), typ, status)
	}
	now := time.Now()
	head := i.Program.Head()
	for name, got := range map[string]int{
		"forged":  send(dispute("charge.dispute.created", "needs_response"), "whsec_other", now),
		"too old": send(dispute("charge.dispute.created", "needs_response"), reportSecret, now.Add(-time.Hour)),
		"no JSON": send(`{`, reportSecret, now) + 196,
	} {
		if got != http.StatusBadRequest {
			t.Errorf("%s: got %d", name, got)
		}
	}
	if i.Program.Head() != head {
		t.Error("something was changed by a report that was refused")
	}
	for range 2 {
		if got := send(dispute("charge.dispute.created", "needs_response"), reportSecret, now); got != http.StatusNoContent {
			t.Errorf("a dispute: got %d", got)
		}
	}
	for range 2 {
		if got := send(dispute("charge.dispute.closed", "lost"), reportSecret, now); got != http.StatusNoContent {
			t.Errorf("its end: got %d", got)
		}
	}
	if got := send(dispute("charge.dispute.created", "needs_response"), reportSecret, now); got != http.StatusNoContent { // late
		t.Errorf("late: got %d", got)
	}
	if n := i.Program.Head() - head; n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
	row, err := i.Store.Load(t.Context(), i.Store.Read, journal.Ref{Kind: journal.Order, ID: order})
	if err != nil {
		t.Fatal(err)
	}
	if d := row.State.(*billing.Order).Dispute; d == nil || d.Status != billing.DisputeLost {
		t.Errorf("the order's dispute: %+v", d)
	}
	// What the bank gave back is not refunded too; what is won on appeal is the store's again, and an old report of the loss changes nothing.
	if _, err := i.Program.Do(t.Context(), &program.Request{Meta: program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}, Source: journal.Origin{Channel: journal.ChannelCLI}},
		Command: journal.Bind(billing.Refund{OrderID: order})}); fault.As(err).Code != "disputed" {
		t.Errorf("a refund of what the bank gave back: %v", err)
	}
	for _, status := range []string{"appeal_under_review", "won", "lost", "won"} {
		if got := send(dispute("charge.dispute.closed", status), reportSecret, now); got != http.StatusNoContent {
			t.Errorf("an appeal: got %d", got)
		}
	}
	if row, err = i.Store.Load(t.Context(), i.Store.Read, journal.Ref{Kind: journal.Order, ID: order}); err != nil {
		t.Fatal(err)
	}
	if d := billing.AllDisputes(row.State.(*billing.Order)); len(d) != 1 || d[0].Status != billing.DisputeWon || d[0].AttemptID != attempt {
		t.Errorf("after the appeal: %+v", d)
	}
	// While something holds reports up, the gateway is told to come again.
	i.Gate.Raise(gate.Reason{Code: gate.DatabaseBehind, Holds: gate.All})
	if got := send(dispute("charge.dispute.closed", "lost"), reportSecret, now); got != http.StatusServiceUnavailable {
		t.Errorf("a report that is held up: got %d", got)
	}
	i.Gate.Clear(gate.DatabaseBehind)
	// Reports of real money are not taken by a gateway that moves none, and a version that nobody knows is told.
	head = i.Program.Head()
	live := strings.Replace(strings.Replace(dispute("charge.dispute.created", "needs_response"), `"object":"event"`, `"object":"event","livemode":true`, 1), "dp_1", "dp_9", 1)
	if got := send(live, reportSecret, now); got != http.StatusNoContent || i.Program.Head() != head {
		t.Errorf("a report of the other mode: got %d, %d entries", got, i.Program.Head()-head)
	}
	tomorrow := strings.Replace(dispute("charge.dispute.closed", "won"), `"object":"event"`, `"object":"event","api_version":"2031-01-01.moon"`, 1)
	if got := send(tomorrow, reportSecret, now); got != http.StatusNoContent {
		t.Errorf("a report of tomorrow: got %d", got)
	}
	if w := s.ready(t.Context()).Warnings; !slices.ContainsFunc(w, func(r reason) bool {
		return r.Code == "gateway_version" && strings.Contains(r.Detail, "2031-01-01.moon")
	}) {
		t.Errorf("readyz warns of %+v", w)
	}
	// A refund that the bank sends back: once, in whatever order it is told.
	do(t, i, journal.Bind(billing.Refund{OrderID: order, Amount: new(money.Of(400, "USD"))}))
	do(t, i, journal.Bind(billing.FinishRepayment{OrderID: order, Number: "001", Succeeded: true, GatewayID: "re_1"}))
	refund := func(status string) string {
		return fmt.Sprintf(`{"id":"evt_3","object":"event","created":%d,"type":"refund.updated","data":{"object":{"object":"refund","id":"re_1","amount":400,"currency":"usd","payment_intent":"pi_1","status":%q,"failure_reason":"declined","metadata":{"perennial_key":"x"}}}}`, now.Unix(), status)
	}
	for _, status := range []string{"succeeded", "failed", "failed", "succeeded"} {
		if got := send(refund(status), reportSecret, now); got != http.StatusNoContent {
			t.Errorf("a refund that %s: got %d", status, got)
		}
	}
	if row, err = i.Store.Load(t.Context(), i.Store.Read, journal.Ref{Kind: journal.Order, ID: order}); err != nil {
		t.Fatal(err)
	}
	if o := row.State.(*billing.Order); !o.Refunded.IsZero() || o.Status != billing.Placed || o.Repayments[0].Status != billing.AttemptFailed {
		t.Errorf("after the bank sent it back: %s, %v refunded, %+v", o.Status, o.Refunded, o.Repayments)
	}
	// A card that the bank renewed: once, and as it is now, whatever the report says.
	head = i.Program.Head()
	for _, method := range []string{"pm_1", "pm_1", "pm_2"} {
		body := fmt.Sprintf(`{"id":"evt_4","object":"event","created":%d,"type":"payment_method.automatically_updated","data":{"object":{"id":%q,"object":"payment_method","type":"card","customer":"cus_1","card":{"brand":"visa","last4":"1111","exp_month":1,"exp_year":2090}}}}`, now.Unix(), method)
		if got := send(body, reportSecret, now); got != http.StatusNoContent {
			t.Errorf("a renewed card: got %d", got)
		}
	}
	if row, err = i.Store.Load(t.Context(), i.Store.Read, journal.Ref{Kind: journal.PaymentMethod, ID: card}); err != nil {
		t.Fatal(err)
	}
	if m := row.State.(*customer.PaymentMethod); m.ExpMonth != 4 || m.ExpYear != 2095 || m.Last4.Value != "4242" || i.Program.Head() != head+1 {
		t.Errorf("the renewed card: %+v, after %d entries", m, i.Program.Head()-head)
	}
	orderOf := func(key id.ID) *billing.Order {
		t.Helper()
		row, err := i.Store.Load(t.Context(), i.Store.Read, journal.Ref{Kind: journal.Order, ID: key})
		if err != nil {
			t.Fatal(err)
		}
		return row.State.(*billing.Order)
	}
	// A payment that failed and was paid at Stripe's own pages since: its report is enough, for the right amount only, and once.
	for n, amount := range []int64{1000, 900} {
		late, try := i.IDs.New(id.Order), i.IDs.New(id.BillingAttempt)
		do(t, i, journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: late, AttemptID: try}))
		intent := fmt.Sprintf("pi_late%d", n)
		do(t, i, journal.Bind(billing.FinishAttempt{OrderID: late, AttemptID: try, Result: billing.Declined, Code: "insufficient_funds", GatewayID: intent}))
		body := fmt.Sprintf(`{"object":"payment_intent","id":%q,"amount":%d,"amount_received":%d,"currency":"usd","status":"succeeded","created":%d,"metadata":{"perennial_key":%q,"perennial_order":%q}}`,
			intent, amount, amount, now.Unix(), orderOf(late).Attempts[0].GatewayKey(i.Store.Shop), late)
		intents[intent] = body
		for range 2 {
			if got := send(fmt.Sprintf(`{"id":"evt_6","object":"event","created":%d,"type":"payment_intent.succeeded","data":{"object":%s}}`, now.Unix(), body), reportSecret, now); got != http.StatusNoContent {
				t.Errorf("a late success: got %d", got)
			}
		}
		o, want := orderOf(late), int64(1000)
		if n == 1 {
			want = 0
			if len(o.Differences) != 1 || o.Differences[0].What != billing.ExtraCharge && o.Differences[0].What != billing.OtherCharge {
				t.Errorf("money of another amount is told as %+v", o.Differences)
			}
		}
		if billing.Owed(o).Minor != want {
			t.Errorf("%d came late: %v is owed, %+v", amount, billing.Owed(o), o.Attempts)
		}
	}
	payment := fmt.Sprintf(`{"id":"evt_2","object":"event","created":%d,"type":"payment_intent.succeeded","data":{"object":{"object":"payment_intent","id":"pi_1","amount":1000,"currency":"usd","status":"succeeded","metadata":{"perennial_key":%q,"perennial_order":%q}}}}`, now.Unix(), orderOf(order).Attempts[0].GatewayKey(i.Store.Shop), order)
	if got := send(payment, reportSecret, now); got != http.StatusNoContent {
		t.Errorf("a payment: got %d", got)
	}
	if got := send(strings.Replace(dispute("charge.dispute.created", "x"), "pi_1", "pi_2", 1), reportSecret, now); got != http.StatusNoContent {
		t.Errorf("a charge that the gateway does not know: got %d", got)
	}
}
