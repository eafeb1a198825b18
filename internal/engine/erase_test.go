package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"perennial/internal/billing"
	"perennial/internal/customer"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/privacy"
	"perennial/internal/store"

	"log/slog"
)

// keeper is a gateway that keeps customers: the references of its cards are "name/card".
type keeper struct {
	payment.Gateway
	asked []payment.Erasure
	fail  error
}

func (k *keeper) Name() string { return "simulated" }

func (k *keeper) Keeper(reference string) string {
	name, _, ok := strings.Cut(reference, "/")
	if !ok {
		return ""
	}
	return name
}

func (k *keeper) EraseCustomer(_ context.Context, e payment.Erasure) (int, error) {
	k.asked = append(k.asked, e)
	if k.fail != nil {
		return 0, k.fail
	}
	return 1, nil
}

func (w *world) erase(who id.ID) {
	w.t.Helper()
	w.Do(journal.Bind(privacy.Redact{CustomerID: who, ConfirmEmail: string(who) + "@mail.example"}))
}

func (w *world) eraseAtGateway() {
	w.t.Helper()
	if err := w.engine.EraseAtGateway(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) gatewayData(who id.ID) string {
	w.t.Helper()
	row, err := w.Store.Load(w.t.Context(), w.Store.Read, journal.Ref{Kind: journal.Customer, ID: who})
	if err != nil {
		w.t.Fatal(err)
	}
	return row.State.(*customer.Customer).GatewayData
}

func (w *world) types(who id.ID) (out []string) {
	w.t.Helper()
	for st, err := range w.Store.Walk(w.t.Context(), w.Store.Read, store.Closed, store.Walk{From: 0, To: w.Program.Head() + 1}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if st.Target().ID == who {
			out = append(out, string(st.Type))
		}
	}
	return out
}

// An erased customer is deleted at the gateway, after a restart too, once; nobody else is.
func TestAnErasedCustomerIsDeletedAtTheGateway(t *testing.T) {
	w := begin(t)
	s, other := w.subscribe("sim_ok", "month", start.AddDays(60)), w.subscribe("sim_ok", "month", start.AddDays(60))
	w.eraseAtGateway()
	w.erase(s.CustomerID)
	if got := w.gatewayData(s.CustomerID); got != customer.GatewayDataDue {
		t.Errorf("it is %q", got)
	}
	w.restart()
	for range 2 {
		w.eraseAtGateway()
	}
	if n := len(w.ledger.Ledger()); n != 1 || w.ledger.Ledger()[0].Kind != simulated.Erasure || w.ledger.Ledger()[0].Customer != s.CustomerID {
		t.Errorf("the ledger: %+v", w.ledger.Ledger())
	}
	if got := w.types(s.CustomerID); got[len(got)-1] != "customer.gateway_erased" || w.gatewayData(s.CustomerID) != customer.GatewayDataErased {
		t.Errorf("%v", got)
	}
	if got := w.gatewayData(other.CustomerID); got != "" {
		t.Errorf("the other customer is %q", got)
	}
	secret, err := w.Store.Secret(t.Context(), w.Store.Read, journal.Ref{Kind: journal.Customer, ID: s.CustomerID}, customer.SecretGatewayReferences)
	if err != nil || string(secret) != "\x00" {
		t.Errorf("the references are kept: %q %v", secret, err)
	}
}

// While money of the customer may still move, the gateway keeps what is needed to ask about it.
func TestACustomerIsDeletedAtTheGatewayWhenNothingIsOpen(t *testing.T) {
	w := begin(t)
	s := w.subscribe("sim_timeout_after_charge", "month", start)
	k := &keeper{Gateway: silent{w.ledger}}
	w.use(k)
	w.run() // the answer is lost, and so is what the gateway says to the question
	w.erase(s.CustomerID)
	still := func(why string) {
		t.Helper()
		w.eraseAtGateway()
		if len(k.asked) != 0 {
			t.Fatalf("%s, and the customer was deleted", why)
		}
	}
	still("a charge has no answer")
	k.Gateway = w.ledger
	w.clock.set(w.clock.Now().Add(2 * time.Hour))
	w.run()
	o := w.orders(s.ID)[0]
	if billing.Paid(o).IsZero() {
		t.Fatalf("the charge was not found after the erasure: %+v", o.Attempts)
	}
	still("a charge is of today")
	w.clock.set(w.clock.Now().Add(25 * time.Hour))
	w.Do(journal.Bind(billing.RecordDispute{OrderID: o.ID, DisputeID: "dp_1", Amount: money.Of(100, "USD"), Status: billing.DisputeOpen}))
	still("a dispute is open")
	w.Do(journal.Bind(billing.RecordDispute{OrderID: o.ID, DisputeID: "dp_1", Amount: money.Of(100, "USD"), Status: billing.DisputeWon}))
	w.Do(journal.Bind(billing.Refund{OrderID: o.ID}))
	still("a refund is open")
	w.run()
	still("a refund is of today")
	w.clock.set(w.clock.Now().Add(25 * time.Hour))
	w.eraseAtGateway()
	if len(k.asked) != 1 || !slices.Equal(k.asked[0].References, []string{"sim_timeout_after_charge"}) {
		t.Errorf("asked %+v", k.asked)
	}
}

// silent charges, and answers nothing.
type silent struct{ payment.Gateway }

func (s silent) Lookup(context.Context, payment.Query) (payment.Charge, bool, error) {
	return payment.Charge{}, false, simulated.ErrTimeout
}

// A gateway that keeps failing is told once, and asked less and less often; when it works again the customer is deleted.
func TestAGatewayThatDoesNotDelete(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		tries int
		code  string
	}{
		"no answer": {errors.New("no route to host"), 3, "no_answer"},
		"our key":   {&payment.Ours{Code: payment.CodeKeyInvalid, Err: errors.New("no permission")}, 1, payment.CodeKeyInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			s := w.subscribe("sim_ok", "month", start.AddDays(60))
			w.erase(s.CustomerID)
			k := &keeper{Gateway: w.ledger, fail: tt.err}
			w.use(k)
			for n := 1; n <= 12; n++ {
				w.eraseAtGateway()
				told := slices.Index(w.types(s.CustomerID), "customer.gateway_erasure_failed") >= 0
				if told != (len(k.asked) >= tt.tries) {
					t.Fatalf("after %d tries it is told: %v", len(k.asked), told)
				}
				w.clock.set(w.clock.Now().Add(time.Minute))
			}
			if n := len(k.asked); n < 3 || n > 7 {
				t.Errorf("it was asked %d times in 12 minutes", n)
			}
			if got := w.gatewayData(s.CustomerID); got != customer.GatewayDataFailing {
				t.Errorf("it is %q", got)
			}
			k.fail = nil
			w.clock.set(w.clock.Now().Add(25 * time.Hour))
			w.eraseAtGateway()
			if got := w.types(s.CustomerID); !slices.Equal(got[len(got)-2:], []string{"customer.gateway_erasure_failed", "customer.gateway_erased"}) {
				t.Errorf("%v", got)
			}
		})
	}
}

// What is kept together with somebody else's cards, or at another gateway, stays.
func TestErasureAtTheGatewayTouchesNobodyElse(t *testing.T) {
	w := begin(t)
	k := &keeper{Gateway: w.ledger}
	w.use(k)
	s, other := w.subscribe("family/card1", "month", start.AddDays(60)), w.subscribe("family/card2", "month", start.AddDays(60))
	w.method(s.CustomerID, "alone/card3")
	w.Do(journal.Bind(customer.AddPaymentMethod{ID: w.IDs.New(id.PaymentMethod), CustomerID: s.CustomerID, Gateway: "elsewhere", Fields: customer.PaymentMethodFields{GatewayReference: new("x/y")}}))
	w.erase(s.CustomerID)
	w.eraseAtGateway()
	want := payment.Erasure{CustomerID: s.CustomerID, References: []string{"alone/card3"}, Shared: []string{"family/card1"}}
	if len(k.asked) != 1 || !slices.Equal(k.asked[0].References, want.References) || !slices.Equal(k.asked[0].Shared, want.Shared) {
		t.Errorf("asked %+v, want %+v", k.asked, want)
	}
	w.erase(other.CustomerID) // nobody else is left
	w.eraseAtGateway()
	if len(k.asked) != 2 || !slices.Equal(k.asked[1].References, []string{"family/card2"}) {
		t.Errorf("asked %+v", k.asked)
	}
}

// What holds charges or destruction up holds this up.
func TestErasureAtTheGatewayIsHeld(t *testing.T) {
	w := begin(t)
	s := w.subscribe("sim_ok", "month", start.AddDays(60))
	w.erase(s.CustomerID)
	w.engine.Gate = gate.New(slog.New(slog.DiscardHandler), w.clock.Now)
	for _, r := range []gate.Reason{{Code: gate.DatabaseBehind, Holds: gate.All}, {Code: gate.GatewayChanged, Holds: gate.Charge}} {
		w.engine.Gate.Raise(r)
		if err := w.engine.EraseAtGateway(t.Context()); !gate.Held(err) {
			t.Errorf("%s: %v", r.Code, err)
		}
		w.engine.Gate.Clear(r.Code)
	}
	if len(w.ledger.Ledger()) != 0 {
		t.Error("the gateway was asked")
	}
	w.eraseAtGateway()
	if len(w.ledger.Ledger()) != 1 {
		t.Error("it does not go on")
	}
}
