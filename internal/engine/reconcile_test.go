package engine_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
)

func (w *world) reconcileOn(day civil.Date) billing.ReconciledDetails {
	w.t.Helper()
	w.at(day, 5, 0)
	for range 2 { // the second time on a day does nothing
		if err := w.engine.Reconcile(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
	told := w.entries(w.Store.Shop, "billing.reconciled")
	if len(told) == 0 {
		w.t.Fatal("there is no entry of a comparison")
	}
	d, err := billing.ReadReconciled(told[len(told)-1])
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// Whatever the two sides disagree about becomes one entry, and another one when it is gone.
func TestReconcile(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start)
	w.run()
	o := w.orders(s.ID)[0]
	agree := w.reconcileOn(start.AddDays(1))
	if want := (billing.ReconciledDetails{From: start.AddDays(-2), To: start, Charges: 1}); !cmp.Equal(agree, want) {
		t.Errorf("books that agree (-got +want):\n%s", cmp.Diff(agree, want))
	}

	// The gateway has a charge more of the order, one of an order that is not there and one of others; and it lost the order's own.
	extra := payment.Movement{Kind: payment.MovedCharge, GatewayID: "ch_extra", Key: "by_hand", OrderID: o.ID, Amount: money.Of(100, "USD"), At: w.clock.Now()}
	stray, foreign := extra, extra
	stray.GatewayID, stray.OrderID, foreign.GatewayID, foreign.OrderID = "ch_stray", w.IDs.New(id.Order), "ch_foreign", ""
	strays := []billing.Stray{{OrderID: stray.OrderID, What: billing.ExtraCharge, GatewayID: stray.GatewayID, Amount: stray.Amount, At: journal.At(stray.At)}}
	b := &books{Gateway: w.ledger, more: []payment.Movement{extra, stray, foreign}, lost: o.Attempts[0], shop: w.Store.Shop}
	w.use(b)
	for n := 2; n < 9; n++ { // also after the days that are always compared
		d := w.reconcileOn(start.AddDays(n))
		if !cmp.Equal(d.Orders, []id.ID{o.ID}) || d.Open != 3 || d.Foreign != 1 || !cmp.Equal(d.Strays, strays) {
			t.Errorf("day %d: got %+v", n, d)
		}
		w.restart()
		b.Gateway = w.ledger
		w.use(b)
	}
	if found := w.entries(o.ID, "billing.difference_found"); len(found) != 2 {
		t.Errorf("got %d entries of two differences", len(found))
	}
	back := payment.Movement{Kind: payment.MovedRefund, GatewayID: "re_extra", ChargeID: extra.GatewayID, OrderID: o.ID, Amount: extra.Amount, At: w.clock.Now()}
	b.more, b.lost = []payment.Movement{extra, back}, billing.Attempt{}
	if d := w.reconcileOn(start.AddDays(9)); d.Open != 0 || len(d.Orders) != 0 {
		t.Errorf("after it was given back: got %+v", d)
	}
	if gone := w.entries(o.ID, "billing.difference_settled"); len(gone) != 2 {
		t.Errorf("got %d entries of two differences that are gone", len(gone))
	}
}

// A charge for an order that the shop does not have is told day after day, until it went back in full.
func TestReconcileStray(t *testing.T) {
	w := begin(t)
	stray := payment.Movement{Kind: payment.MovedCharge, GatewayID: "ch_stray", Key: "by_hand", OrderID: w.IDs.New(id.Order), Amount: money.Of(700, "USD"), At: w.clock.Now()}
	b := &books{Gateway: w.ledger, more: []payment.Movement{stray}}
	w.use(b)
	want := []billing.Stray{{OrderID: stray.OrderID, What: billing.ExtraCharge, GatewayID: stray.GatewayID, Amount: stray.Amount, At: journal.At(stray.At)}}
	for n := 1; n < 7; n++ {
		if d := w.reconcileOn(start.AddDays(n)); d.Open != 1 || len(d.Orders) != 0 || !cmp.Equal(d.Strays, want) {
			t.Errorf("day %d: got %+v", n, d)
		}
	}
	b.more = append(b.more, payment.Movement{Kind: payment.MovedRefund, GatewayID: "re_stray", ChargeID: stray.GatewayID, OrderID: stray.OrderID, Amount: stray.Amount, At: w.clock.Now()})
	if d := w.reconcileOn(start.AddDays(7)); d.Open != 0 || len(d.Strays) != 0 {
		t.Errorf("after it went back: got %+v", d)
	}
}

// extra is a charge at the gateway that an order does not know of.
func extra(o id.ID, at time.Time) payment.Movement {
	return payment.Movement{Kind: payment.MovedCharge, GatewayID: "ch_extra_" + string(o), Key: "by_hand", OrderID: o, Amount: money.Of(100, "USD"), At: at}
}

// After a downtime every day since the last comparison is compared, and the days of it that late results still change.
func TestReconcileAfterDowntime(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start)
	w.run()
	o := w.orders(s.ID)[0]
	w.reconcileOn(start.AddDays(1))
	w.use(&books{Gateway: w.ledger, more: []payment.Movement{extra(o.ID, start.AddDays(3).At(12, 0, w.zone))}})
	d := w.reconcileOn(start.AddDays(8))
	if want := start.AddDays(-1); d.From != want || d.To != start.AddDays(7) || d.Open != 1 || !cmp.Equal(d.Orders, []id.ID{o.ID}) {
		t.Errorf("after a week: got %+v, want it from %s", d, want)
	}
	for _, n := range []int{9, 50} { // as long as the difference is within reach
		if d := w.reconcileOn(start.AddDays(n)); d.Open != 1 || start.AddDays(3).Before(d.From) {
			t.Errorf("day %d: got %+v", n, d)
		}
	}
	if d := w.reconcileOn(start.AddDays(300)); d.From != start.AddDays(240) {
		t.Errorf("after a very long one: got %+v", d)
	}
}

// The first comparison begins with the shop, not three days ago.
func TestReconcileFirst(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start)
	w.run()
	if d := w.reconcileOn(start.AddDays(10)); d.From != start || d.Charges != 1 {
		t.Errorf("got %+v", d)
	}
	w.want(s.ID, start.String()+" placed")
}

// However many orders differ, each is looked at again, and so is each stray.
func TestReconcileMany(t *testing.T) {
	w := begin(t)
	for range billing.MaxDiffering + 1 {
		w.subscribe(simulated.OK, civil.Month, start)
	}
	w.run()
	b := &books{Gateway: w.ledger}
	orders := w.orders("")
	slices.SortFunc(orders, func(x, y *billing.Order) int { return cmpText(x.ID, y.ID) })
	strays := make([]id.ID, len(orders))
	for i := range strays {
		strays[i] = w.IDs.New(id.Order)
	}
	slices.SortFunc(strays, cmpText)
	for i, o := range orders { // those that an entry has no room for are the oldest
		day := start.AddDays(2)
		if i == billing.MaxDiffering {
			day = start
		}
		b.more = append(b.more, extra(o.ID, day.At(13, 0, w.zone)), extra(strays[i], day.At(13, 0, w.zone)))
	}
	w.use(b)
	for n := 3; n < 7; n++ {
		if d := w.reconcileOn(start.AddDays(n)); d.Open != 2*len(orders) || len(d.Orders) != billing.MaxDiffering || len(d.Strays) != billing.MaxDiffering {
			t.Errorf("day %d: got %d open from %s, want %d", n, d.Open, d.From, 2*len(orders))
		}
	}
}

func cmpText(x, y id.ID) int { return strings.Compare(string(x), string(y)) }

// books are those of a gateway that has more and less in them than the program asked for.
type books struct {
	*simulated.Gateway
	more []payment.Movement
	lost billing.Attempt
	shop id.ID
}

func (b *books) Lookup(ctx context.Context, q payment.Query) (payment.Charge, bool, error) {
	if b.lost.ID != "" && q.Key == b.lost.GatewayKey(b.shop) {
		return payment.Charge{}, false, nil
	}
	return b.Gateway.Lookup(ctx, q)
}

func (b *books) Movements(ctx context.Context, from, to time.Time) iter.Seq2[payment.Movement, error] {
	return func(yield func(payment.Movement, error) bool) {
		for m, err := range b.Gateway.Movements(ctx, from, to) {
			if (err != nil || m.GatewayID != b.lost.GatewayID) && !yield(m, err) {
				return
			}
		}
		for _, m := range b.more {
			if !m.At.Before(from) && m.At.Before(to) && !yield(m, nil) {
				return
			}
		}
	}
}

// A charge whose result was never recorded gets it.
func TestReconcileSettles(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.OK, civil.Month, start)
	w.Do(journal.Bind(billing.CreateOrder{SubscriptionID: s.ID, OrderID: w.IDs.New(id.Order), AttemptID: w.IDs.New(id.BillingAttempt), Due: start}))
	o := w.orders(s.ID)[0]
	if _, err := w.ledger.Charge(t.Context(), payment.ChargeRequest{IdempotencyKey: o.Attempts[0].GatewayKey(w.Store.Shop), Amount: o.Total, Reference: simulated.OK, OrderID: o.ID}); err != nil {
		t.Fatal(err)
	}
	if d := w.reconcileOn(start.AddDays(1)); d.Open != 0 || d.Charges != 1 {
		t.Errorf("got %+v", d)
	}
	if o := w.orders(s.ID)[0]; o.Status != billing.Placed {
		t.Errorf("the order is %s", o.Status)
	}
}

// A gateway that charges and then answers with an error is asked what became of it, and does not charge again.
func TestErrorAfterCharge(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.ErrorAfterCharge, civil.Month, start)
	w.run()
	if o := w.orders(s.ID)[0]; o.Status != billing.Placed || len(o.Attempts) != 1 || len(w.ledger.Ledger()) != 1 {
		t.Errorf("the order is %s after %d attempts and %d charges", o.Status, len(o.Attempts), len(w.ledger.Ledger()))
	}
	if got := len(w.entries(w.orders(s.ID)[0].ID, "billing_attempt.succeeded")); got != 1 {
		t.Errorf("got %d entries of one success", got)
	}
}
