package simulated_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/id"
	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func clock() time.Time { return noon }

func request(key, reference string) payment.ChargeRequest {
	return payment.ChargeRequest{IdempotencyKey: key, Amount: money.Of(2450, "USD"), Reference: reference, OrderID: "ord_1"}
}

func charge(t testing.TB, g *simulated.Gateway, r payment.ChargeRequest) payment.ChargeResult {
	t.Helper()
	got, err := g.Charge(t.Context(), r)
	if err != nil {
		t.Fatalf("Charge(%s, %s): %v", r.IdempotencyKey, r.Reference, err)
	}
	return got
}

func TestChargeOutcomes(t *testing.T) {
	for _, tt := range []struct {
		reference string
		status    payment.Status
		code      string
		hard      bool
	}{
		{simulated.OK, payment.Succeeded, "", false},
		{simulated.ActionRequired, payment.ActionRequired, "authentication_required", false},
		{simulated.DeclineHard, payment.Declined, "lost_card", true},
		{"sim_decline_insufficient_funds", payment.Declined, "insufficient_funds", false},
		{"sim_decline_card_declined", payment.Declined, "card_declined", false},
		{"sim_decline_processing_error", payment.Declined, "processing_error", false},
		{"sim_decline_expired_card", payment.Declined, "expired_card", true},
		{"sim_decline_stolen_card", payment.Declined, "stolen_card", true},
		{"sim_decline_nothing_we_know", payment.Declined, "payment_method_unknown", true},
		{"sim_fail_first_0", payment.Succeeded, "", false},
		{"sim_fail_first_1", payment.Declined, "insufficient_funds", false},
		{"sim_fail_first_", payment.Declined, "payment_method_unknown", true},
		{"sim_fail_first_-1", payment.Declined, "payment_method_unknown", true},
		{"sim_flaky_0_x", payment.Succeeded, "", false},
		{"sim_flaky_1001_x", payment.Declined, "payment_method_unknown", true},
		{"sim_flaky_500", payment.Declined, "payment_method_unknown", true},
		{"pm_of_another_gateway", payment.Declined, "payment_method_unknown", true},
	} {
		t.Run(tt.reference, func(t *testing.T) {
			got := charge(t, simulated.New(clock, simulated.Options{}), request("att_1", tt.reference))
			if got.Status != tt.status || got.Code != tt.code || got.Hard != tt.hard {
				t.Errorf("got %+v, want %s %q, hard %v", got, tt.status, tt.code, tt.hard)
			}
			if got.GatewayID == "" || (got.Message == "") != (got.Code == "") {
				t.Errorf("got id %q, message %q", got.GatewayID, got.Message)
			}
		})
	}
}

func TestSameKeySameAnswer(t *testing.T) {
	for _, reference := range []string{simulated.OK, simulated.DeclineHard, "sim_fail_first_1", "sim_flaky_500_seed"} {
		g := simulated.New(clock, simulated.Options{})
		first := charge(t, g, request("att_1", reference))
		r := request("att_1", reference)
		r.Description = "a description decides nothing"
		if diff := cmp.Diff(first, charge(t, g, r)); diff != "" {
			t.Errorf("%s: the second answer differs (-first +second):\n%s", reference, diff)
		}
		if got := len(g.Ledger()); got != 1 {
			t.Errorf("%s: the ledger has %d entries, want 1", reference, got)
		}
	}
}

func TestKeyIsBoundToItsRequest(t *testing.T) {
	g := simulated.New(clock, simulated.Options{})
	first := charge(t, g, request("att_1", simulated.OK))
	for name, spoil := range map[string]func(*payment.ChargeRequest){
		"amount":   func(r *payment.ChargeRequest) { r.Amount.Minor++ },
		"currency": func(r *payment.ChargeRequest) { r.Amount.Currency = "EUR" },
		"method":   func(r *payment.ChargeRequest) { r.Reference = simulated.DeclineHard },
		"order":    func(r *payment.ChargeRequest) { r.OrderID = "ord_2" },
	} {
		r := request("att_1", simulated.OK)
		spoil(&r)
		if _, err := g.Charge(t.Context(), r); !errors.Is(err, payment.ErrKeyReused) {
			t.Errorf("another %s: got %v, want ErrKeyReused", name, err)
		}
	}
	_, err := g.Refund(t.Context(), payment.RefundRequest{IdempotencyKey: "att_1", ChargeID: first.GatewayID, Amount: money.Of(2450, "USD")})
	if !errors.Is(err, payment.ErrKeyReused) {
		t.Errorf("a refund under the charge's key: got %v, want ErrKeyReused", err)
	}
	if got := len(g.Ledger()); got != 1 {
		t.Errorf("the ledger has %d entries, want 1", got)
	}
}

func TestFailFirstCountsPerOrder(t *testing.T) {
	g := simulated.New(clock, simulated.Options{})
	for _, order := range []id.ID{"ord_1", "ord_2"} {
		for i, want := range []payment.Status{payment.Declined, payment.Declined, payment.Succeeded, payment.Succeeded} {
			r := request(fmt.Sprintf("att_%s_%d", order, i), "sim_fail_first_2")
			r.OrderID = order
			charge(t, g, request("att_else", simulated.OK)) // what happens elsewhere does not count
			if got := charge(t, g, r).Status; got != want {
				t.Errorf("%s, attempt %d: got %s, want %s", order, i+1, got, want)
			}
		}
	}
}

func TestTimeoutAfterCharge(t *testing.T) {
	g := simulated.New(clock, simulated.Options{})
	r := request("att_1", simulated.TimeoutAfterCharge)
	if _, err := g.Charge(t.Context(), r); !errors.Is(err, simulated.ErrTimeout) {
		t.Fatalf("got %v, want ErrTimeout", err)
	}
	looked, found, err := g.Lookup(t.Context(), payment.Query{Key: "att_1"})
	if err != nil || !found || looked.Status != payment.Succeeded {
		t.Fatalf("Lookup gives %+v, %v, %v; want the charge", looked, found, err)
	}
	if diff := cmp.Diff(looked.ChargeResult, charge(t, g, r)); diff != "" {
		t.Errorf("the call made again differs from Lookup:\n%s", diff)
	}
	if got := len(g.Ledger()); got != 1 {
		t.Errorf("charged %d times", got)
	}
}

func TestTimeoutBeforeCharge(t *testing.T) {
	g := simulated.New(clock, simulated.Options{})
	r := request("att_1", simulated.TimeoutBeforeCharge)
	if _, err := g.Charge(t.Context(), r); !errors.Is(err, simulated.ErrTimeout) {
		t.Fatalf("got %v, want ErrTimeout", err)
	}
	if got, found, err := g.Lookup(t.Context(), payment.Query{Key: "att_1"}); found || err != nil {
		t.Fatalf("Lookup gives %+v, %v, %v; want nothing", got, found, err)
	}
	if got := charge(t, g, r).Status; got != payment.Succeeded {
		t.Errorf("the call made again: %s", got)
	}
}

func TestFlaky(t *testing.T) {
	const n = 4000
	count := func(seed string) (declined int, which string) {
		g := simulated.New(clock, simulated.Options{})
		var b strings.Builder
		for i := range n {
			r := charge(t, g, request(fmt.Sprintf("att_%d", i), "sim_flaky_100_"+seed))
			if r.Hard {
				t.Fatalf("a flaky method was declined hard: %+v", r)
			}
			if r.Status == payment.Declined {
				declined++
				fmt.Fprint(&b, i, r.Code, ",")
			}
		}
		return declined, b.String()
	}
	declined, first := count("a")
	if declined < n*80/1000 || declined > n*120/1000 {
		t.Errorf("%d of %d were declined, want about a tenth", declined, n)
	}
	if _, second := count("a"); second != first {
		t.Error("the same seed and keys gave other outcomes")
	}
	if _, other := count("b"); other == first {
		t.Error("another seed gave the same outcomes")
	}
}

func TestConfirm(t *testing.T) {
	g := simulated.New(clock, simulated.Options{})
	r := request("att_1", simulated.ActionRequired)
	waiting := charge(t, g, r)
	if err := g.Confirm(t.Context(), waiting.GatewayID); err != nil {
		t.Fatal(err)
	}
	want := payment.ChargeResult{GatewayID: waiting.GatewayID, Status: payment.Succeeded}
	if got, found, err := g.Lookup(t.Context(), payment.Query{Key: "att_1"}); err != nil || !found || got.ChargeResult != want {
		t.Errorf("Lookup gives %+v, %v, %v; want %+v", got, found, err, want)
	}
	if got := charge(t, g, r); got != waiting {
		t.Errorf("the same key gives %+v, want the first answer %+v", got, waiting)
	}
	if err := g.Confirm(t.Context(), waiting.GatewayID); err == nil {
		t.Error("confirmed twice")
	}
	if err := g.Confirm(t.Context(), "ch_unknown"); err == nil {
		t.Error("confirmed an unknown charge")
	}
}

// What was given up cannot be confirmed, and what was taken is not given up; a file says the same.
func TestCancel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	g, err := simulated.Open(path, clock, simulated.Options{})
	if err != nil {
		t.Fatal(err)
	}
	waiting, paid := charge(t, g, request("att_1", simulated.ActionRequired)), charge(t, g, request("att_2", simulated.OK))
	for _, tt := range []struct {
		id   string
		want payment.ChargeResult
	}{{waiting.GatewayID, payment.GivenUp(waiting.GatewayID)}, {waiting.GatewayID, payment.GivenUp(waiting.GatewayID)}, {paid.GatewayID, paid}, {"ch_unknown", payment.GivenUp("ch_unknown")}} {
		if got, err := g.Cancel(t.Context(), tt.id); err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v; want %+v", tt.id, got, err, tt.want)
		}
	}
	if err := g.Confirm(t.Context(), waiting.GatewayID); !errors.Is(err, payment.ErrNotWaiting) {
		t.Errorf("confirmed: %v", err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if g, err = simulated.Open(path, clock, simulated.Options{}); err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if got, found, err := g.Lookup(t.Context(), payment.Query{Key: "att_1"}); err != nil || !found || got.ChargeResult != payment.GivenUp(waiting.GatewayID) {
		t.Errorf("Lookup gives %+v, %v, %v", got, found, err)
	}
}

func TestRefund(t *testing.T) {
	g := simulated.New(clock, simulated.Options{})
	paid := charge(t, g, request("att_1", simulated.OK)).GatewayID
	declined := charge(t, g, request("att_2", simulated.DeclineHard)).GatewayID
	for i, tt := range []struct {
		charge string
		amount money.Amount
		status payment.Status
		code   string
	}{
		{paid, money.Of(2451, "USD"), payment.Declined, "amount_too_large"},
		{paid, money.Of(2000, "USD"), payment.Succeeded, ""},
		{paid, money.Of(451, "USD"), payment.Declined, "amount_too_large"},
		{paid, money.Of(450, "EUR"), payment.Declined, "currency_mismatch"},
		{paid, money.Of(450, "USD"), payment.Succeeded, ""},
		{paid, money.Of(1, "USD"), payment.Declined, "amount_too_large"},
		{declined, money.Of(1, "USD"), payment.Declined, "charge_not_succeeded"},
		{"ch_unknown", money.Of(1, "USD"), payment.Declined, "charge_unknown"},
	} {
		r := payment.RefundRequest{IdempotencyKey: fmt.Sprint("ref_", i), ChargeID: tt.charge, Amount: tt.amount, Reason: "damaged"}
		got, err := g.Refund(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != tt.status || got.Code != tt.code || (got.GatewayID == "") != (tt.status == payment.Declined) {
			t.Errorf("refund %d of %s: got %+v, want %s %q", i, tt.amount, got, tt.status, tt.code)
		}
		again, err := g.Refund(t.Context(), r)
		if err != nil || again != got {
			t.Errorf("refund %d made again: got %+v, %v; want %+v", i, again, err, got)
		}
	}
	if _, found, err := g.Lookup(t.Context(), payment.Query{Key: "ref_1"}); found || err != nil {
		t.Errorf("Lookup takes a refund for a charge: %v, %v", found, err)
	}
}

func TestInvalidRequestsChangeNothing(t *testing.T) {
	g := simulated.New(clock, simulated.Options{})
	if _, err := g.Charge(t.Context(), payment.ChargeRequest{}); !errors.Is(err, payment.ErrInvalid) {
		t.Errorf("Charge: got %v, want ErrInvalid", err)
	}
	if _, err := g.Refund(t.Context(), payment.RefundRequest{}); !errors.Is(err, payment.ErrInvalid) {
		t.Errorf("Refund: got %v, want ErrInvalid", err)
	}
	if got := g.Ledger(); len(got) != 0 {
		t.Errorf("the ledger has %+v", got)
	}
}

// A context that ends while the request is on its way leaves no charge; one that ends while the answer is on its way
// leaves one. The caller gets the same error for both.
func TestLatency(t *testing.T) {
	for _, tt := range []struct {
		patience time.Duration
		err      error
		charged  bool
	}{
		{300 * time.Millisecond, context.DeadlineExceeded, false},
		{700 * time.Millisecond, context.DeadlineExceeded, true},
		{2 * time.Second, nil, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := simulated.New(time.Now, simulated.Options{Latency: time.Second})
			ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
			defer cancel()
			began := time.Now()
			_, err := g.Charge(ctx, request("att_1", simulated.OK))
			if !errors.Is(err, tt.err) || (err != nil) != errors.Is(err, simulated.ErrTimeout) {
				t.Errorf("after %v: got %v, want %v", tt.patience, err, tt.err)
			}
			if got, want := time.Since(began), min(tt.patience, time.Second); got != want {
				t.Errorf("took %v, want %v", got, want)
			}
			if got := len(g.Ledger()) == 1; got != tt.charged {
				t.Errorf("after %v: charged %v, want %v", tt.patience, got, tt.charged)
			}
		})
	}
}

func TestConcurrentDuplicates(t *testing.T) {
	g := simulated.New(clock, simulated.Options{})
	const keys, callers = 20, 8
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for _, k := range rand.Perm(keys) {
				if _, err := g.Charge(t.Context(), request(fmt.Sprint("att_", k), "sim_flaky_500_x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(g.Ledger()); got != keys {
		t.Errorf("the ledger has %d entries, want %d", got, keys)
	}
}

func open(t testing.TB, path string) *simulated.Gateway {
	t.Helper()
	g, err := simulated.Open(path, clock, simulated.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.jsonl")
	g := open(t, path)
	first := charge(t, g, request("att_1", "sim_fail_first_1"))
	waiting := charge(t, g, request("att_2", simulated.ActionRequired))
	if err := g.Confirm(t.Context(), waiting.GatewayID); err != nil {
		t.Fatal(err)
	}
	want := g.Ledger()
	if err := errors.Join(g.Close(), g.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Charge(t.Context(), request("att_3", simulated.OK)); err == nil {
		t.Error("a closed gateway charged")
	}

	g = open(t, path)
	if diff := cmp.Diff(want, g.Ledger()); diff != "" {
		t.Errorf("the ledger after the restart (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(first, charge(t, g, request("att_1", "sim_fail_first_1"))); diff != "" {
		t.Errorf("a key from before the restart:\n%s", diff)
	}
	if got := charge(t, g, request("att_4", "sim_fail_first_1")).Status; got != payment.Succeeded {
		t.Errorf("the second attempt, after the restart: %s", got)
	}
	if got, _, _ := g.Lookup(t.Context(), payment.Query{Key: "att_2"}); got.Status != payment.Succeeded {
		t.Errorf("the confirmed charge is %s after the restart", got.Status)
	}
}

func TestTornLastLineIsLeftOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.jsonl")
	g := open(t, path)
	charge(t, g, request("att_1", simulated.OK))
	charge(t, g, request("att_2", simulated.OK))
	g.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)-7], 0o600); err != nil {
		t.Fatal(err)
	}
	g = open(t, path)
	if got := len(g.Ledger()); got != 1 {
		t.Fatalf("the ledger has %d entries, want 1", got)
	}
	charge(t, g, request("att_2", simulated.OK))
	g.Close()
	if again, err := os.ReadFile(path); err != nil || string(again) != string(whole) {
		t.Errorf("after the charge was made again the file is\n%s\nwant\n%s", again, whole)
	}
}

func TestOpenRefusesAForeignFile(t *testing.T) {
	const line = `{"kind":"charge","at":"2026-03-01T12:00:00Z","key":"k","amount":{"amount":5,"currency":"USD"},"gateway_id":"ch","status":"succeeded"}` + "\n"
	if got := len(open(t, write(t, line)).Ledger()); got != 1 {
		t.Fatalf("a good line gives %d entries", got)
	}
	for name, text := range map[string]string{
		"not JSON":             "hello\n",
		"an empty line":        line + "\n",
		"a key twice":          line + line,
		"no key":               strings.Replace(line, `"k"`, `""`, 1),
		"no amount":            strings.Replace(line, `5`, `0`, 1),
		"unknown kind":         strings.Replace(line, `"charge"`, `"gift"`, 1),
		"unknown status":       strings.Replace(line, `"succeeded"`, `"perhaps"`, 1),
		"refund of nothing":    strings.Replace(line, `"charge"`, `"refund"`, 1),
		"confirmation of none": strings.NewReplacer(`"charge"`, `"confirmation"`, `"key":"k",`, ``).Replace(line),
	} {
		if g, err := simulated.Open(write(t, text), clock, simulated.Options{}); err == nil {
			g.Close()
			t.Errorf("%s was accepted", name)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Whatever is done to a gateway, and however often it is restarted: a key is answered once, and no charge gives back
// more than it took.
func TestLedgerHolds(t *testing.T) {
	references := []string{simulated.OK, simulated.DeclineHard, "sim_fail_first_1", simulated.TimeoutAfterCharge, simulated.TimeoutBeforeCharge,
		simulated.ActionRequired, "sim_flaky_500_x", "unknown"}
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		path := filepath.Join(dir, fmt.Sprint(runs))
		g := open(t, path)
		defer func() { g.Close() }()
		key := rapid.StringMatching(`k[0-9]`)
		gatewayID := func() string {
			ids := []string{"ch_unknown"}
			for _, e := range g.Ledger() {
				if e.Kind == simulated.Charge {
					ids = append(ids, e.GatewayID)
				}
			}
			return rapid.SampledFrom(ids).Draw(rt, "charge")
		}
		known := func(err error) {
			if err != nil && !errors.Is(err, simulated.ErrTimeout) && !errors.Is(err, payment.ErrKeyReused) {
				rt.Fatal(err)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"charge": func(rt *rapid.T) {
				r := request(key.Draw(rt, "key"), rapid.SampledFrom(references).Draw(rt, "reference"))
				r.OrderID = id.ID(rapid.StringMatching(`ord_[12]`).Draw(rt, "order"))
				_, err := g.Charge(t.Context(), r)
				known(err)
			},
			"refund": func(rt *rapid.T) {
				amount := money.Of(rapid.Int64Range(1, 3000).Draw(rt, "amount"), "USD")
				_, err := g.Refund(t.Context(), payment.RefundRequest{IdempotencyKey: key.Draw(rt, "key"), ChargeID: gatewayID(), Amount: amount})
				known(err)
			},
			"confirm": func(*rapid.T) { _ = g.Confirm(t.Context(), gatewayID()) }, // most charges wait for nothing
			"restart": func(rt *rapid.T) {
				before := g.Ledger()
				g.Close()
				g = open(t, path)
				if diff := cmp.Diff(before, g.Ledger()); diff != "" {
					rt.Fatalf("the ledger after a restart (-before +after):\n%s", diff)
				}
			},
			"": func(rt *rapid.T) {
				keys, taken, given := map[string]bool{}, map[string]int64{}, map[string]int64{}
				for _, e := range g.Ledger() {
					if keys[e.Key] && e.Kind != simulated.Confirmation {
						rt.Fatalf("key %s is in the ledger twice", e.Key)
					}
					keys[e.Key] = true
					if e.Status != payment.Succeeded {
						continue
					}
					switch e.Kind {
					case simulated.Charge:
						taken[e.GatewayID] = e.Amount.Minor
					case simulated.Confirmation:
						taken[e.ChargeID] = e.Amount.Minor
					case simulated.Refund:
						given[e.ChargeID] += e.Amount.Minor
					}
				}
				for charge, amount := range given {
					if amount > taken[charge] {
						rt.Fatalf("charge %s took %d and gave back %d", charge, taken[charge], amount)
					}
				}
			},
		})
	})
}

// What happens later at the gateway, and at the bank, is in the ledger, in its file, and is reported.
func TestLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	g, err := simulated.Open(path, clock, simulated.Options{})
	if err != nil {
		t.Fatal(err)
	}
	declined, closed := charge(t, g, request("att_1", "sim_decline_insufficient_funds")), charge(t, g, request("att_2", "sim_decline_insufficient_funds"))
	paid := charge(t, g, request("att_3", simulated.OK))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(g.Pay(t.Context(), declined.GatewayID))
	_, err = g.Cancel(t.Context(), closed.GatewayID)
	must(err)
	if err := g.Pay(t.Context(), closed.GatewayID); !errors.Is(err, payment.ErrNotWaiting) {
		t.Errorf("a closed charge was paid: %v", err)
	}
	amount := request("", "").Amount
	must(g.Contest(t.Context(), paid.GatewayID, "dp_1", money.Of(100, amount.Currency)))
	must(g.Contest(t.Context(), paid.GatewayID, "dp_2", money.Of(200, amount.Currency)))
	if g.Contest(t.Context(), paid.GatewayID, "dp_2", amount) == nil || g.Contest(t.Context(), closed.GatewayID, "dp_3", amount) == nil {
		t.Error("contested twice, or what was never taken")
	}
	must(g.Decide(t.Context(), "dp_1", false))
	must(g.Decide(t.Context(), "dp_1", true))
	back, err := g.Refund(t.Context(), payment.RefundRequest{IdempotencyKey: "ref_1", ChargeID: paid.GatewayID, Amount: money.Of(50, amount.Currency)})
	must(err)
	must(g.SendBack(t.Context(), back.GatewayID))
	if g.SendBack(t.Context(), back.GatewayID) == nil {
		t.Error("sent back twice")
	}
	must(g.Close())
	if g, err = simulated.Open(path, clock, simulated.Options{}); err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if c, err := g.Retrieve(t.Context(), declined.GatewayID); err != nil || c.Status != payment.Succeeded || c.Key != "att_1" || c.Amount != amount {
		t.Errorf("the charge that was paid later: %+v, %v", c, err)
	}
	if d, err := g.DisputeOf(t.Context(), "dp_1"); err != nil || !d.Closed || !d.Won || d.Amount.Minor != 100 {
		t.Errorf("the dispute: %+v, %v", d, err)
	}
	kinds := map[string]int{}
	all, err := g.Reports(t.Context(), time.Time{}, clock().Add(time.Hour))
	must(err)
	for _, e := range all {
		switch r := e.Report.(type) {
		case payment.DisputeReport:
			kinds[fmt.Sprintf("%s %v %v", r.DisputeID, r.Closed, r.Won)]++
		case payment.RefundReport:
			kinds[fmt.Sprintf("%s %s", r.Key, r.Result.Status)]++
		}
	}
	want := map[string]int{"dp_1 false false": 1, "dp_1 true false": 1, "dp_1 true true": 1, "dp_2 false false": 1, "ref_1 succeeded": 1, "ref_1 declined": 1}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
	for m, err := range g.Movements(t.Context(), time.Time{}, clock().Add(time.Hour)) {
		if err != nil || m.Kind == payment.MovedRefund {
			t.Errorf("the books have %+v, %v", m, err)
		}
	}
}

// What is refused because of us charges nothing, and the same request goes through when that is over.
func TestRefusedBecauseOfUs(t *testing.T) {
	g := simulated.New(clock, simulated.Options{})
	g.Refuse(payment.CodeAccountInvalid)
	_, err := g.Charge(t.Context(), request("att_1", simulated.OK))
	if o, ok := errors.AsType[*payment.Ours](err); !ok || o.Code != payment.CodeAccountInvalid || !errors.Is(err, payment.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if len(g.Ledger()) != 0 {
		t.Error("something was charged")
	}
	g.Refuse("")
	if r := charge(t, g, request("att_1", simulated.OK)); r.Status != payment.Succeeded {
		t.Errorf("got %+v", r)
	}
	if _, err := g.Charge(t.Context(), request("att_2", "sim_ours_key_invalid")); !errors.Is(err, payment.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if r := charge(t, g, request("att_3", "sim_least_999999")); r.Status != payment.Declined || r.Code != payment.CodeAmountTooSmall || r.Hard {
		t.Errorf("got %+v", r)
	}
	if _, _, err := g.Lookup(t.Context(), payment.Query{Key: "att_1"}); err != nil {
		t.Error(err)
	}
	if _, err := g.Charge(t.Context(), request("att_4", simulated.Processing)); !errors.Is(err, payment.ErrUndecided) {
		t.Errorf("got %v", err)
	}
	if _, _, err := g.Lookup(t.Context(), payment.Query{Key: "att_4"}); !errors.Is(err, payment.ErrUndecided) {
		t.Errorf("got %v", err)
	}
}
