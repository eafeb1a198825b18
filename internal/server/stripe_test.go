package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"perennial/internal/payment/stripe"
)

// stripeAccount answers as Stripe does to a key that may do some things.
type stripeAccount struct {
	mu     sync.Mutex
	lists  bool     // guarded by mu; the key may read payment intents and refunds
	intent string   // guarded by mu; what the account charged
	asked  []string // guarded by mu; calls
}

func (a *stripeAccount) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r.Method+" "+r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	list := func(items string) {
		fmt.Fprintf(w, `{"object":"list","url":%q,"has_more":false,"data":[%s]}`, r.URL.Path, items)
	}
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/v1/account":
		fmt.Fprint(w, `{"id":"acct_1","object":"account"}`)
	case r.Method == http.MethodGet && !a.lists:
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":{"type":"invalid_request_error","message":"The provided key 'rk_test_1' does not have the required permissions for this endpoint on account 'acct_1'. Having the 'rak_payment_intent_read' permission would allow this request to continue."}}`)
	case r.Method == http.MethodGet && r.URL.Path == "/v1/payment_intents":
		list(a.intent)
	case r.Method == http.MethodGet && r.URL.Path == "/v1/refunds":
		list("")
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":{"type":"invalid_request_error","code":"resource_missing","message":"no"}}`)
	}
}

func (a *stripeAccount) posted() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, call := range a.asked {
		if strings.HasPrefix(call, "POST") {
			n++
		}
	}
	return n
}

// The question about charges at the start, asked with Stripe's own client: a restricted key that may not list them holds charges up and
// says which permission it lacks; a charge that the database knows nothing of says that it is an old copy.
func TestChargesSinceAreAskedOfStripe(t *testing.T) {
	c, _ := onEngine(t)
	i := open(t, c)
	found(t, i)
	dueToday(t, i)
	shopID := i.Store.Shop
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	unknown := fmt.Sprintf(`{"id":"pi_1","object":"payment_intent","status":"succeeded","amount_received":1200,"currency":"usd","created":%d,
		"metadata":{"perennial_key":"%s_sub_01_2026_12_01_1","perennial_order":"ord_1"}}`, time.Now().Unix(), shopID)
	for _, tt := range []struct {
		name   string
		lists  bool
		intent string
		want   string
	}{
		{"without the permission", false, "", "gateway_unknown: The payment gateway does not say what it charged since the last entry, so nothing is charged: "},
		{"an unknown charge", true, unknown, "gateway_ahead: The payment gateway charged for this shop after the last entry"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			account := &stripeAccount{lists: tt.lists, intent: tt.intent}
			api := httptest.NewServer(account)
			defer api.Close()
			g, err := stripe.New(stripe.Config{SecretKey: "rk_test_1", BaseURL: api.URL})
			if err != nil {
				t.Fatal(err)
			}
			s, err := Start(t.Context(), open(t, c), g, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			billed(t, s)
			code, body, _ := get(t, "http://"+s.Addr+"/readyz")
			if code != 503 || !strings.Contains(body, tt.want) {
				t.Errorf("readyz: %d %s", code, body)
			}
			if !tt.lists && (!strings.Contains(body, "rak_payment_intent_read") || !strings.Contains(body, "has to be allowed to read payment intents and refunds")) {
				t.Errorf("it does not say what the key lacks: %s", body)
			}
			if n := account.posted(); n != 0 {
				t.Errorf("it charged: %q", account.asked)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
