package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/demo"
	"perennial/internal/engine"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/privacy"
	"perennial/internal/settings"
	"perennial/internal/subscription"
	"perennial/internal/test/pgtest"
	"perennial/internal/test/shop"
	"perennial/internal/test/upgrade"
)

// What the gateway refuses because of us is held against nobody: no recovery, no mail, no end of a subscription, however long it
// lasts; and what was due is charged once when it is over.
func TestOurFault(t *testing.T) {
	for _, code := range []string{payment.CodeAccountInvalid, payment.CodeKeyInvalid, payment.CodeAccountOther, payment.CodeAmountTooLarge} {
		t.Run(code, func(t *testing.T) {
			w := begin(t, &settings.Recovery{RetryDays: []int{1, 2}, EndAction: settings.EndCancel})
			var subs []*subscription.Subscription
			for range 8 {
				subs = append(subs, w.subscribe(simulated.OK, civil.Month, start))
			}
			w.ledger.Refuse(code)
			g := &tapped{Gateway: w.ledger}
			w.use(g)
			if err := w.engine.Run(t.Context()); !errors.Is(err, payment.ErrInvalid) {
				t.Errorf("nobody was told: %v", err)
			}
			if g.calls > 6 {
				t.Errorf("the gateway was called %d times while it refuses the shop", g.calls)
			}
			for day := range 20 {
				w.at(start.AddDays(day), 18, 0)
				_ = w.engine.Run(t.Context()) // that it refuses was looked at above
			}
			delayed := 0
			for _, s := range subs {
				o := w.orders(s.ID)[0]
				if w.subscription(s.ID).Status != subscription.Active || o.Status != billing.Pending || len(o.Attempts) != 1 {
					t.Errorf("the subscription is %s, its order %s with %d attempts", w.subscription(s.ID).Status, o.Status, len(o.Attempts))
				}
				if n := len(w.entries(o.ID, "billing_attempt.delayed")); n > 1 {
					t.Errorf("%d entries of one delay", n)
				} else {
					delayed += n
				}
			}
			if delayed < 3 {
				t.Errorf("%d payments are said to be delayed", delayed)
			}
			// A delayed order can be given up by a person, and is not charged then.
			given := w.orders(subs[0].ID)[0]
			w.Do(journal.Bind(billing.CancelOrder{OrderID: given.ID}))
			w.ledger.Refuse("")
			for hour := range 8 {
				w.at(start.AddDays(20), 12+hour, 0)
				if err := w.engine.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for i, s := range subs {
				o := w.orders(s.ID)[0]
				if i == 0 {
					if _, open := billing.OpenAttempt(o); open || o.Status != billing.Cancelled || w.charges(o.ID) != 0 {
						t.Errorf("the order that was given up: %s, %+v, %d charges", o.Status, o.Attempts, w.charges(o.ID))
					}
				} else if o.Status != billing.Placed || w.charges(o.ID) != 1 || o.Attempts[0].Code != "" {
					t.Errorf("when it is over: %s, %d charges, %+v", o.Status, w.charges(o.ID), o.Attempts)
				}
			}
		})
	}
}

// One attempt that the gateway has, and knows no outcome of, holds up nobody else's charge.
func TestUndecidedChargesHoldUpNobody(t *testing.T) {
	w := begin(t)
	var stuck []*subscription.Subscription
	for range 6 {
		stuck = append(stuck, w.subscribe(simulated.Processing, civil.Month, start))
	}
	w.run()
	w.at(start, 13, 0)
	w.run()
	s := w.subscribe(simulated.OK, civil.Month, start)
	w.at(start, 14, 0)
	w.run()
	w.want(s.ID, "2027-01-15 placed")
	w.want(stuck[0].ID, "2027-01-15 pending")
}

// Less than the gateway charges is free, and no failure of the customer's.
func TestTooSmallToCharge(t *testing.T) {
	w := begin(t, &settings.Recovery{RetryDays: []int{1}, EndAction: settings.EndCancel})
	s := w.subscribe("sim_least_5000", civil.Month, start)
	w.run()
	w.want(s.ID, "2027-01-15 placed")
	o := w.orders(s.ID)[0]
	if got := w.subscription(s.ID); got.Status != subscription.Active || got.Cycle != 1 {
		t.Errorf("the subscription is %s in cycle %d", got.Status, got.Cycle)
	}
	if o.Waived == nil || *o.Waived != o.Total || !billing.Paid(o).IsZero() || !billing.Owed(o).IsZero() {
		t.Errorf("waived %v of %v, paid %v, owed %v", o.Waived, o.Total, billing.Paid(o), billing.Owed(o))
	}
	placed := w.entries(o.ID, "order.placed")
	if len(placed) != 1 || !strings.Contains(journal.Summary(placed[0]), "free") {
		t.Errorf("the entry says %q", journal.Summary(placed[0]))
	}
	if _, err := w.Try(journal.Bind(billing.Refund{OrderID: o.ID})); err == nil {
		t.Error("what was free was refunded")
	}
}

// A lost answer, a card that was corrected meanwhile, and a search that is late: the attempt goes with the reference that it was started
// with, and is never taken for declined because of its key.
func TestAReferenceThatChanges(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start)
	lost := true
	silent := func() error {
		if lost {
			return errLost
		}
		return nil
	}
	w.use(&tapped{Gateway: w.ledger, after: silent, lookup: silent})
	w.run()
	method := w.orders(s.ID)[0].Attempts[0].PaymentMethodID
	w.at(start, 12, 30)
	w.Do(journal.Bind(customer.UpdatePaymentMethod{ID: method, CustomerID: s.CustomerID, Fields: customer.PaymentMethodFields{GatewayReference: new(simulated.ReportsTwice)}}))
	w.use(&tapped{Gateway: forgetful{w.ledger}}) // the search does not know of it yet
	w.at(start, 13, 0)
	w.run()
	w.use(w.ledger)
	w.at(start, 15, 0)
	w.run()
	w.want(s.ID, "2027-01-15 placed")
	if o := w.orders(s.ID)[0]; w.charges(o.ID) != 1 || len(o.Attempts) != 1 || billing.Paid(o) != o.Total {
		t.Errorf("%d charges, %+v", w.charges(o.ID), o.Attempts)
	}
}

// A key that another call used says nothing of the money: the attempt stays open until the gateway says what became of it.
func TestAKeyThatWasUsed(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start)
	w.Do(journal.Bind(billing.CreateOrder{SubscriptionID: s.ID, OrderID: w.IDs.New(id.Order), AttemptID: w.IDs.New(id.BillingAttempt), Due: start}))
	o := w.orders(s.ID)[0]
	first := payment.ChargeRequest{IdempotencyKey: o.Attempts[0].GatewayKey(w.Store.Shop), Amount: o.Total, Reference: simulated.ReportsLate, OrderID: o.ID}
	if _, err := w.ledger.Charge(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	w.use(forgetful{w.ledger})
	for hour := 12; hour < 20; hour++ {
		w.at(start, hour, 0)
		w.run()
	}
	if a, open := billing.OpenAttempt(w.orders(s.ID)[0]); !open {
		t.Fatalf("it was ended without an answer: %+v", a)
	}
	w.use(w.ledger)
	w.at(start, 22, 0)
	w.run()
	w.want(s.ID, "2027-01-15 placed")
}

// An erasure while an answer is lost: the money that was taken is asked for, until the gateway has said for a day that there is none.
func TestErasedWhileAnAnswerIsLost(t *testing.T) {
	for _, charged := range []bool{true, false} {
		w := begin(t)
		s := w.subscribe(simulated.OK, civil.Month, start)
		g := &tapped{Gateway: forgetful{w.ledger}}
		if g.before = func() error { return errLost }; charged {
			g.before, g.after = nil, g.before
		}
		w.use(g)
		w.run()
		w.Do(journal.Bind(privacy.Redact{CustomerID: s.CustomerID, ConfirmEmail: string(s.CustomerID) + "@mail.example"}))
		w.at(start, 13, 0)
		w.run()
		if _, open := billing.OpenAttempt(w.orders(s.ID)[0]); !open {
			t.Fatal("the attempt was ended while nobody knew what became of it")
		}
		w.use(w.ledger)
		w.runOn(start.AddDays(1))
		o := w.orders(s.ID)[0]
		want := int64(0)
		if charged {
			want = o.Total.Minor
		}
		if _, open := billing.OpenAttempt(o); open || o.Status != billing.Cancelled || billing.Owed(o).Minor != want {
			t.Errorf("charged %v: the order is %s, %v owed, %+v", charged, o.Status, billing.Owed(o), o.Attempts)
		}
		if charged {
			w.Do(journal.Bind(billing.Refund{OrderID: o.ID}))
			w.run()
		}
	}
}

// A database that was put back makes its orders again and charges nobody again: the keys say what is paid. The same day the gateway
// knows them; later it is asked.
func TestARestoreChargesNobodyAgain(t *testing.T) {
	for _, days := range []int{0, 4, 40} {
		w := begin(t)
		var subs []*subscription.Subscription
		for _, card := range []string{simulated.OK, "sim_fail_first_1", simulated.TimeoutAfterCharge} {
			subs = append(subs, w.subscribe(card, civil.Month, start.AddDays(1)))
		}
		dir := t.TempDir()
		copyShop(t, w, dir)
		for day := range days + 2 {
			w.at(start.AddDays(day), 12, 0)
			w.run()
		}
		w.Do(journal.Bind(billing.OrderNow{SubscriptionID: subs[0].ID, OrderID: w.IDs.New(id.Order), AttemptID: w.IDs.New(id.BillingAttempt)}))
		w.run()
		taken := sum(w.ledger)
		// The copy, later, beside the gateway as it is.
		w.at(start.AddDays(days+1), 13, 0)
		back := shop.OpenWith(t, dir, w.clock.Now, demo.NewRandom(2), db.Options{Relaxed: true})
		e := engine.New(back.Program, back.Store, w.ledger, slog.New(slog.DiscardHandler))
		for hour := range 3 {
			w.at(start.AddDays(days+1), 14+hour, 0)
			if err := e.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := back.Try(journal.Bind(billing.OrderNow{SubscriptionID: subs[0].ID, OrderID: back.IDs.New(id.Order), AttemptID: back.IDs.New(id.BillingAttempt)})); err != nil {
			t.Fatal(err)
		}
		if err := e.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := sum(w.ledger); got != taken {
			t.Errorf("%d days later: %d were taken, %d after the restore", days, taken, got)
		}
		placed := 0
		rows, err := back.Store.List(t.Context(), back.Store.Read, journal.Order, `status = 'placed' ORDER BY id`)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if o := r.State.(*billing.Order); billing.Paid(o) == o.Total {
				placed++
			}
		}
		if placed < 3 {
			t.Errorf("%d days later: %d orders are paid", days, placed)
		}
		// The books know these charges, by their keys, and nothing is astray.
		w.at(start.AddDays(days+2), 13, 0)
		if err := e.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if d := r.State.(*billing.Order).Differences; len(d) > 0 {
				t.Errorf("the books differ: %+v", d)
			}
		}
		w.Shop.Broken() // it is the shop that was lost; what the copy holds is checked
		w.Shop = nil
	}
}

// copyShop copies a shop into a folder, as a backup does.
func copyShop(t *testing.T, w *world, dir string) {
	t.Helper()
	if u := shop.URL(t, w.Dir); u != "" { // PostgreSQL copies a database that nobody uses
		w.Broken()
		w.Close()
		if err := w.ledger.Close(); err != nil {
			t.Fatal(err)
		}
		copied, err := pgtest.Process(t).Create(pgtest.Name(u))
		if err != nil {
			t.Fatal(err)
		}
		shop.Adopt(dir, copied)
		w.openAt(w.Dir)
	} else if err := w.DB.Backup(t.Context(), filepath.Join(dir, "perennial.db"), nil); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "keys")
	if err := os.CopyFS(keys, os.DirFS(filepath.Join(w.Dir, "keys"))); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Chmod(filepath.Join(keys, f.Name()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func sum(g *simulated.Gateway) (n int64) {
	for _, e := range g.Ledger() {
		if e.Kind == simulated.Charge && e.Status == payment.Succeeded {
			n += e.Amount.Minor
		}
	}
	return n
}

// The attempts that were open when the build before stopped keep the keys that they were started with: each is charged once.
func TestUpgradeWithOpenAttempts(t *testing.T) {
	old := upgrade.Open(t)
	c := &clock{now: old.Now.Add(time.Minute)}
	s := shop.OpenWith(t, old.Dir, c.Now, demo.NewRandom(2), db.Options{Relaxed: true})
	ledger, err := simulated.Open(filepath.Join(old.Dir, "gateway.jsonl"), c.Now, simulated.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	before := map[string]int{}
	for _, e := range ledger.Ledger() {
		before[e.Key]++
	}
	w := &world{t: t, Shop: s, clock: c, ledger: ledger}
	open := map[id.ID]string{}
	for _, o := range w.orders("") {
		if a, ok := billing.OpenAttempt(o); ok {
			if a.Key != "" || a.GatewayKey(s.Store.Shop) != string(a.ID) {
				t.Errorf("the attempt %s has the key %q", a.ID, a.GatewayKey(s.Store.Shop))
			}
			open[a.ID] = string(a.ID)
		}
	}
	if len(open) != 4 {
		t.Fatalf("%d attempts are open", len(open))
	}
	e := engine.New(s.Program, s.Store, ledger, slog.New(slog.DiscardHandler))
	for hour := range 5 {
		c.set(old.Now.Add(time.Duration(hour) * time.Hour))
		if err := e.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"confirmed", "charged", "unheard", "paid"} {
		for _, o := range w.orders(old.ID(t, name)) {
			if o.Status != billing.Placed && o.Status != billing.PartiallyRefunded || len(o.Attempts) != 1 || w.charges(o.ID) != 1 {
				t.Errorf("%s: the order is %s, %d attempts, %d charges", name, o.Status, len(o.Attempts), w.charges(o.ID))
			}
		}
	}
	if o := w.orders(old.ID(t, "waiting"))[0]; o.Status != billing.Pending || w.charges(o.ID) != 1 {
		t.Errorf("the one that waits: %s, %d charges", o.Status, w.charges(o.ID))
	}
	for _, entry := range ledger.Ledger()[len(before):] {
		if entry.Kind == simulated.Charge && open[id.ID(entry.Key)] == "" && !strings.HasPrefix(entry.Key, string(s.Store.Shop)+"_sub_") {
			t.Errorf("charged with the key %q", entry.Key)
		}
	}
	// The next payment of a failed order goes by what is paid.
	o := w.orders(old.ID(t, "failed"))[0]
	s.Do(journal.Bind(billing.RetryOrder{OrderID: o.ID, AttemptID: s.IDs.New(id.BillingAttempt), Asked: true, Today: o.BillingDate}))
	o = w.orders(old.ID(t, "failed"))[0]
	if a, _ := billing.OpenAttempt(o); a.Key != string(o.SubscriptionID)+"_2027_03_01_2" {
		t.Errorf("the next attempt has the key %q", a.Key)
	}
}

// Each payment has a key of its own that says what is paid, whatever happens to the order of a date.
func TestKeysSayWhatIsPaid(t *testing.T) {
	w := begin(t, &settings.Recovery{RetryDays: []int{1}, EndAction: settings.EndSkip})
	s := w.subscribe("sim_decline_insufficient_funds", civil.Month, start.AddDays(1))
	for range 2 {
		w.Do(journal.Bind(billing.OrderNow{SubscriptionID: s.ID, OrderID: w.IDs.New(id.Order), AttemptID: w.IDs.New(id.BillingAttempt)}))
		w.run()
	}
	w.runOn(start.AddDays(1))
	w.Do(journal.Bind(subscription.Pause{ID: s.ID}))
	w.run()
	w.Do(journal.Bind(subscription.Resume{ID: s.ID}))
	w.run()
	w.runOn(start.AddDays(2))
	var got []string
	for _, o := range w.orders(s.ID) {
		for _, a := range billing.Chronological(o) {
			got = append(got, strings.TrimPrefix(a.Key, string(s.ID)+"_"))
			if a.GatewayKey(w.Store.Shop) != string(w.Store.Shop)+"_"+a.Key || billing.KeySubscription(w.Store.Shop, a.GatewayKey(w.Store.Shop)) != s.ID {
				t.Errorf("the gateway's key is %q", a.GatewayKey(w.Store.Shop))
			}
		}
	}
	if want := "extra_1_1 extra_2_1 2027_01_16_1 2027_01_16_2 2027_01_16_3"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// While the gateway refuses the shop, one reason says so and what to do; the engine tries again all the same, and the reason goes with the
// first payment that the gateway takes.
func TestTheGateSaysThatTheGatewayRefusesTheShop(t *testing.T) {
	w := begin(t)
	for range 4 {
		w.subscribe(simulated.OK, civil.Month, start)
	}
	w.ledger.Refuse(payment.CodeKeyInvalid)
	w.engine.Gate = gate.New(slog.New(slog.DiscardHandler), w.clock.Now)
	_ = w.engine.Run(t.Context()) // that it refuses is looked at below
	r := w.engine.Gate.Reasons()
	if len(r) != 1 || r[0].Code != gate.GatewayFailing || !r[0].Warning || r[0].Holds != gate.Charge || !strings.Contains(r[0].Sentence, "secret key") || !strings.Contains(r[0].Sentence, "key_invalid") {
		t.Fatalf("the reasons: %+v", r)
	}
	if !gate.Held(w.engine.Gate.Ask(gate.Charge)) {
		t.Error("it holds nothing up")
	}
	w.at(start, 18, 0)
	_ = w.engine.Run(t.Context()) // the same
	if len(w.engine.Gate.Reasons()) != 1 {
		t.Error("the reason went while the gateway refuses")
	}
	w.ledger.Refuse("")
	w.at(start.AddDays(1), 12, 0)
	w.run()
	if r := w.engine.Gate.Reasons(); len(r) != 0 {
		t.Errorf("it works again: %+v", r)
	}
	for _, o := range w.orders("") {
		if o.Status != billing.Placed || w.charges(o.ID) != 1 {
			t.Errorf("the order is %s, charged %d times", o.Status, w.charges(o.ID))
		}
	}

	// When what waited is cancelled, nothing is left to try it with.
	for range 3 {
		w.subscribe(simulated.OK, civil.Month, start.AddDays(2))
	}
	w.ledger.Refuse(payment.CodeKeyInvalid)
	w.at(start.AddDays(2), 12, 0)
	_ = w.engine.Run(t.Context()) // the same
	if len(w.engine.Gate.Reasons()) != 1 {
		t.Error("no reason the second time")
	}
	for _, o := range w.orders("") {
		if o.Status == billing.Pending {
			w.Do(journal.Bind(billing.CancelOrder{OrderID: o.ID}))
		}
	}
	w.at(start.AddDays(3), 12, 0)
	w.run()
	w.run()
	if r := w.engine.Gate.Reasons(); len(r) != 0 {
		t.Errorf("nothing waits for it: %+v", r)
	}
}

// A declined charge that could not be closed is closed later, and one that was paid in between is recorded.
func TestADeclinedChargeIsClosedLater(t *testing.T) {
	for _, paid := range []bool{false, true} {
		w := begin(t)
		s := w.subscribe("sim_decline_insufficient_funds", civil.Month, start)
		c := &closing{Gateway: w.ledger, down: true}
		w.use(c)
		w.run()
		o := w.orders(s.ID)[0]
		if c.calls != 1 || o.Attempts[0].Status != billing.AttemptFailed {
			t.Fatalf("it was asked %d times, the attempt is %s", c.calls, o.Attempts[0].Status)
		}
		if paid {
			if err := w.ledger.Pay(t.Context(), o.Attempts[0].GatewayID); err != nil {
				t.Fatal(err)
			}
		}
		w.run()
		if c.calls != 1 {
			t.Error("it was asked again at once")
		}
		c.down = false
		w.clock.set(w.clock.Now().Add(time.Minute))
		w.run()
		w.run()
		if c.calls != 2 {
			t.Errorf("it was asked %d times in all", c.calls)
		}
		if o = w.orders(s.ID)[0]; (billing.Paid(o) == o.Total) != paid {
			t.Errorf("paid %v: %v of %v", paid, billing.Paid(o), o.Total)
		}
	}
}

// closing does not close while it is down.
type closing struct {
	payment.Gateway
	down  bool
	calls int
}

func (c *closing) Cancel(ctx context.Context, charge string) (payment.ChargeResult, error) {
	if c.calls++; c.down {
		return payment.ChargeResult{}, simulated.ErrTimeout
	}
	return c.Gateway.Cancel(ctx, charge)
}

// What is too small to be charged is charged with the next order, where the store wants that: the ledger has all of it, once.
func TestSmallOrdersAreChargedTogether(t *testing.T) {
	w := begin(t, &settings.Billing{BillingHour: 6, MaxCatchUpOrders: 1, SmallOrders: settings.SmallCarry})
	s := w.subscribe("sim_least_2000", civil.Month, start)
	for n := range 4 {
		w.runOn(start.AddMonths(n))
	}
	w.want(s.ID, "2027-01-15 placed", "2027-02-15 placed", "2027-03-15 placed", "2027-04-15 placed")
	var taken []int64
	for _, e := range w.ledger.Ledger() {
		if e.Status == payment.Succeeded {
			taken = append(taken, e.Amount.Minor)
		}
	}
	if len(taken) != 2 || taken[0] != 2500 || taken[1] != 2500 || w.subscription(s.ID).CarriedOver != nil {
		t.Errorf("taken: %v, carried over %v", taken, w.subscription(s.ID).CarriedOver)
	}
}
