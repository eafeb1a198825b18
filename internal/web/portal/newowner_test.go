package portal

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"perennial/internal/customer"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/stripe"
)

// account is Stripe, with the customers that it has.
type account struct {
	has     []string
	keys    map[string]string // what each idempotency key asked for
	made    map[string]string // and the customer that it made
	asked   []string          // the customers for whom a card was begun
	created int
}

func (a *account) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	fail := func(status int, kind, code string) {
		rw.WriteHeader(status)
		fmt.Fprintf(rw, `{"error":{"type":%q,"code":%q,"message":"no"}}`, kind, code)
	}
	_ = r.ParseForm() // the form is empty then
	switch {
	case strings.HasSuffix(r.URL.Path, "/customers"):
		key, said := r.Header.Get("Idempotency-Key"), r.PostForm.Encode()
		switch was, used := a.keys[key]; {
		case used && was != said:
			fail(400, "idempotency_error", "")
			return
		case !used:
			a.created++
			a.keys[key], a.made[key] = said, fmt.Sprintf("cus_new%d", a.created)
			a.has = append(a.has, a.made[key])
		}
		fmt.Fprintf(rw, `{"id":%q,"object":"customer"}`, a.made[key])
	case strings.HasSuffix(r.URL.Path, "/setup_intents"):
		who := r.PostForm.Get("customer")
		a.asked = append(a.asked, who)
		if !slices.Contains(a.has, who) {
			fail(400, "invalid_request_error", "resource_missing")
			return
		}
		fmt.Fprintf(rw, `{"id":"seti_1","object":"setup_intent","client_secret":"seti_1_secret","customer":%q,"status":"requires_payment_method"}`, who)
	default:
		fail(404, "invalid_request_error", "resource_missing")
	}
}

func (w *world) atStripe() *account {
	w.t.Helper()
	a := &account{keys: map[string]string{}, made: map[string]string{}}
	api := httptest.NewServer(a)
	w.t.Cleanup(api.Close)
	g, err := stripe.New(stripe.Config{SecretKey: "sk_test_1", Publishable: "pk_test_1", BaseURL: api.URL})
	if err != nil {
		w.t.Fatal(err)
	}
	w.p.Gateway = g
	return a
}

// A customer at Stripe that was deleted there, or is another account's, does not keep anybody from adding a card.
func TestACardForACustomerThatStripeDoesNotHave(t *testing.T) {
	w := newWorld(t)
	a := w.atStripe()
	for _, reference := range []string{"cus_gone/pm_1", "cus_other/pm_2"} {
		w.Do(journal.Bind(customer.AddPaymentMethod{ID: w.IDs.New(id.PaymentMethod), CustomerID: w.ada, Gateway: "stripe", Fields: customer.PaymentMethodFields{GatewayReference: &reference}}))
	}
	v := w.signIn("ada@example.com")
	w.want(v.get(cards+"/new"), 200, cards+"/new", `data-secret="seti_1_secret"`)
	if want := []string{"cus_other", "cus_gone", "cus_new1"}; !slices.Equal(a.asked, want) {
		t.Errorf("asked for %v, want %v", a.asked, want)
	}

	// It is deleted on the same day: its key would give it again.
	a.has, a.asked = nil, nil
	w.want(v.get(cards+"/new"), 200, cards+"/new", `data-secret="seti_1_secret"`)
	if want := []string{"cus_other", "cus_gone", "cus_new1", "cus_new2"}; !slices.Equal(a.asked, want) {
		t.Errorf("asked for %v, want %v", a.asked, want)
	}

	// Another name within a day is another request, which the same key would refuse.
	w.Do(journal.Bind(customer.UpdateProfile{ID: w.ada, LastName: new("Byron")}))
	w.want(v.get(cards+"/new"), 200, cards+"/new", `data-secret="seti_1_secret"`)
}

// Cards are begun at Stripe a few times and no more, for one customer and from one network; waiting helps.
func TestCardsAreNotTriedOutHere(t *testing.T) {
	w := newWorld(t)
	a := w.atStripe()
	v := w.signIn("ada@example.com")
	begun := func(v *visitor) bool {
		t.Helper()
		before := len(a.asked)
		got := v.get(cards + "/new")
		if got.status == http.StatusTooManyRequests && strings.Contains(got.body, "Too many cards were begun") && len(a.asked) == before {
			return false
		}
		w.want(got, 200, cards+"/new", "data-secret")
		return true
	}
	n := 0
	for begun(v) {
		if n++; n > 30 {
			t.Fatal("there is no end to it")
		}
	}
	if n != 10 {
		t.Errorf("%d cards of one customer", n)
	}
	w.pass(11 * time.Minute)
	if !begun(v) || begun(v) {
		t.Error("waiting gives one more")
	}
	for _, who := range []string{"ben@example.com"} { // from the same network
		v := w.signIn(who)
		for begun(v) {
			n++
		}
	}
	if n != 20 {
		t.Errorf("%d cards of two customers", n)
	}
}

// What holds charges up holds new cards up: the reference would be another account's.
func TestNoCardIsAddedWhileChargesAreHeld(t *testing.T) {
	w := newWorld(t)
	a := w.atStripe()
	v := w.signIn("ada@example.com")
	w.p.Gate = gate.New(slog.New(slog.DiscardHandler), w.Program.Now)
	w.p.Gate.Raise(gate.Reason{Code: gate.GatewayChanged, Sentence: "Another account.", Holds: gate.Charge})
	w.want(v.get(cards+"/new"), 503, cards+"/new", "cannot be reached at the moment")
	w.want(v.post(cards+"/new", "setup_intent", "seti_1"), 503, cards+"/new", "cannot be reached at the moment")
	if len(a.asked) != 0 || a.created != 0 {
		t.Error("Stripe was asked")
	}
	w.p.Gate.Clear(gate.GatewayChanged)
	w.want(v.get(cards+"/new"), 200, cards+"/new", "data-secret")
}
