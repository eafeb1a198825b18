package stripe_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"perennial/internal/payment"
	"perennial/internal/payment/stripe"
)

func TestAccount(t *testing.T) {
	at := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		key, body string
		status    int
		want      payment.Account
		fails     bool
	}{
		"live":       {"sk_live_1", `{"id": "acct_1Q", "object": "account"}`, 200, payment.Account{Gateway: "stripe", ID: "acct_1Q", Mode: "live", Date: at.Add(time.Second / 2)}, false},
		"test":       {"rk_test_1", `{"id": "acct_1Q", "object": "account"}`, 200, payment.Account{Gateway: "stripe", ID: "acct_1Q", Mode: "test", Date: at.Add(time.Second / 2)}, false},
		"restricted": {"rk_live_1", `{"error": {"type": "invalid_request_error", "message": "The provided key 'rk_live_1' does not have the required permissions for this endpoint on account 'acct_1Q'."}}`, 403, payment.Account{Gateway: "stripe", ID: "acct_1Q", Mode: "live"}, false},
		"no name":    {"rk_live_1", `{"error": {"type": "invalid_request_error", "message": "No."}}`, 403, payment.Account{Gateway: "stripe", Mode: "live"}, false},
		"wrong key":  {"sk_live_1", `{"error": {"type": "invalid_request_error", "message": "Invalid API Key provided."}}`, 401, payment.Account{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/v1/account" {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				w.Header().Set("Date", at.Format(http.TimeFormat))
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			}))
			defer s.Close()
			g, err := stripe.New(stripe.Config{SecretKey: tt.key, BaseURL: s.URL})
			if err != nil {
				t.Fatal(err)
			}
			got, err := g.Account(t.Context())
			if tt.fails && err == nil || !tt.fails && (err != nil || got != tt.want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// Stripe's own document has the call.
func TestAccountAtStripeMock(t *testing.T) {
	g, err := stripe.New(stripe.Config{SecretKey: "sk_test_1", BaseURL: mock})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := g.Account(t.Context()); err != nil || a.ID == "" || a.Mode != payment.TestMode || a.Date.IsZero() {
		t.Errorf("got %+v, %v", a, err)
	}
}
