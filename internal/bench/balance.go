package bench

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/engine"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/subscription"
)

// subscriptionOf is whose order a charge paid, by the gateway's idempotency key: the shop, the subscription, what was paid.
func subscriptionOf(i *server.Instance, key string) id.ID {
	rest := strings.TrimPrefix(key, string(i.Store.Shop)+"_")
	parts := strings.SplitN(rest, "_", 3)
	return id.ID(strings.Join(parts[:min(2, len(parts))], "_"))
}

// books are the gateway's ledger and the shop's orders, side by side.
type books struct {
	b     *billingRun
	i     *server.Instance
	today civil.Date
	taken map[string]int64 // by charges that took money, in minor units; at the end those that no order knows
	sum   int64

	orders map[id.ID]int                          // by subscription
	items  map[id.ID]bool                         // that were paid
	last   map[id.ID]*billing.Order               // by subscription: what was paid
	gone   map[id.ID][]*subscription.Subscription // by the one that they were merged into
	going  []*subscription.Subscription           // with a good card
	all    int                                    // subscriptions

	twice, missed, other, early int
}

// balance holds the gateway's ledger against the orders, to the cent.
func (b *billingRun) balance() error {
	b.Say("holding the gateway's ledger against the orders")
	k := &books{b: b, today: civil.Of(onTheDay(), time.UTC), taken: map[string]int64{}, orders: map[id.ID]int{}, items: map[id.ID]bool{},
		last: map[id.ID]*billing.Order{}, gone: map[id.ID][]*subscription.Subscription{}}
	err := b.work.open(b.ctx, func(i *server.Instance, g *simulated.Gateway, _ *engine.Engine) error {
		k.i = i
		if err := k.charges(g); err != nil {
			return err
		}
		if err := k.each(journal.Order, func(s journal.State) error { k.order(s.(*billing.Order)); return nil }); err != nil {
			return err
		}
		k.other += len(k.taken)
		head, err := i.Store.ReadHead(b.ctx, i.Store.Read)
		if err != nil {
			return err
		}
		if head.RecordedAt.After(onTheDay()) {
			k.early++
		}
		return k.each(journal.Subscription, func(s journal.State) error { return k.subscription(s.(*subscription.Subscription)) })
	})
	if err != nil {
		return err
	}
	k.merges()
	none := func(key, name string, n int) {
		b.add(Figure{Key: key, Name: name, Events: int64(b.o.Subscriptions), Value: float64(n), Unit: "orders", Goal: "none", Met: new(n == 0)})
	}
	if b.o.Crashes > 0 {
		gone := 0
		for _, list := range k.gone {
			gone += len(list)
		}
		b.add(Figure{Key: "billing.splits", Name: "subscriptions that were split off meanwhile", Value: float64(k.all - b.o.Subscriptions - len(b.people)), Unit: "splits"})
		b.add(Figure{Key: "billing.merges", Name: "subscriptions that were merged away meanwhile", Value: float64(gone), Unit: "merges"})
	}
	none("billing.twice", "billed or charged twice", k.twice)
	none("billing.missed", "not billed", k.missed)
	none("billing.early", "billed for another day, or dated by a clock that is wrong", k.early)
	none("billing.unbalanced", "orders that are not what the gateway took", k.other)
	b.add(Figure{Key: "billing.taken", Name: "taken by the gateway's own ledger", Value: float64(k.sum) / 100, Unit: currency})
	return nil
}

// charges reads the ledger, and what the gateway was made to forget: a charge that is in both was taken twice.
func (k *books) charges(g *simulated.Gateway) error {
	entries := g.Ledger()
	if lost := filepath.Join(k.b.work.Data, lostLedger); exists(lost) {
		old, err := simulated.Open(lost, onTheDay, simulated.Options{})
		if err != nil {
			return err
		}
		entries = append(entries, old.Ledger()...)
		if err := old.Close(); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if e.Kind == simulated.Charge && e.Status == payment.Succeeded {
			if _, again := k.taken[e.GatewayID]; again {
				k.twice++
			}
			k.taken[e.GatewayID] = e.Amount.Minor
			k.sum += e.Amount.Minor
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// each gives every thing of a kind, in order of its id.
func (k *books) each(kind journal.Kind, do func(journal.State) error) error {
	const page = 5000
	for last := ""; ; {
		rows, err := k.i.Store.List(k.b.ctx, k.i.Store.Read, kind, fmt.Sprintf(`id > $2 ORDER BY id LIMIT %d`, page), last)
		if err != nil {
			return err
		}
		for _, row := range rows {
			last = string(row.State.Ref().ID)
			if err := do(row.State); err != nil {
				return err
			}
		}
		if len(rows) < page {
			return nil
		}
	}
}

func (k *books) order(o *billing.Order) {
	if k.orders[o.SubscriptionID]++; k.orders[o.SubscriptionID] > 1 {
		k.twice++
	}
	if o.BillingDate != k.today {
		k.early++
	}
	var took int64
	for _, a := range o.Attempts {
		if a.Status == billing.AttemptSucceeded {
			took += k.taken[a.GatewayID]
			delete(k.taken, a.GatewayID)
		}
	}
	if took != billing.Paid(o).Minor {
		k.other++
	}
	if o.Status != billing.Placed {
		return
	}
	k.last[o.SubscriptionID] = o
	again := false
	for _, l := range o.Items {
		again = again || k.items[l.ItemID]
		k.items[l.ItemID] = true
	}
	if again {
		k.twice++
	}
}

// subscription looks whether a subscription that can be paid was billed, with all that it has.
func (k *books) subscription(s *subscription.Subscription) error {
	if k.all++; s.MergedInto != "" {
		k.gone[s.MergedInto] = append(k.gone[s.MergedInto], s)
		return nil
	}
	if slices.Contains(k.b.people, s.ID) {
		k.missed += k.orders[s.ID] // which would be one too many
		return nil
	}
	rd := program.NewReader(k.b.ctx, k.i.Store, k.i.Store.Read)
	c, err := journal.Get[customer.Customer](rd, journal.Customer, s.CustomerID)
	if err != nil {
		return err
	}
	m, err := journal.Get[customer.PaymentMethod](rd, journal.PaymentMethod, cmp.Or(s.PaymentMethodID, c.DefaultPaymentMethodID))
	if err == nil && m.GatewayReference.Value == simulated.OK {
		k.going = append(k.going, s)
	}
	return err
}

// merges looks at what can only be seen when all is known: that what was merged away was billed before or after it, not both, and that all
// that is left was billed.
func (k *books) merges() {
	for into, gone := range k.gone {
		for _, s := range gone {
			before, after := k.last[s.ID], k.last[into]
			if before != nil && (before.PlacedAt.After(s.CancelledAt.Time) || after != nil && after.PlacedAt.After(s.CancelledAt.Time)) {
				k.twice++
			}
		}
	}
	for _, s := range k.going {
		// An item that came by a merge has a new id, and was paid under its old one perhaps. Ids go up with the time.
		unpaid := func(it subscription.Item) bool { return it.ID <= k.b.lastItem && !k.items[it.ID] }
		if s.Status != subscription.Active || s.NextBillingDate == nil || !s.NextBillingDate.After(k.today) || slices.ContainsFunc(s.Items, unpaid) {
			k.missed++
		}
	}
}
