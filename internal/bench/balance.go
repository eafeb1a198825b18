package bench

import (
	"fmt"
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

	twice, missed, other int
}

// balance holds the gateway's ledger against the orders, to the cent.
func (b *billingRun) balance() error {
	b.Say("holding the gateway's ledger against the orders")
	k := &books{b: b, today: civil.Of(onTheDay(), time.UTC), taken: map[string]int64{}, orders: map[id.ID]int{}, items: map[id.ID]bool{},
		last: map[id.ID]*billing.Order{}, gone: map[id.ID][]*subscription.Subscription{}}
	err := b.work.open(b.ctx, func(i *server.Instance, g *simulated.Gateway, _ *engine.Engine) error {
		k.i = i
		k.charges(g)
		if err := k.each(journal.Order, func(s journal.State) error { k.order(s.(*billing.Order)); return nil }); err != nil {
			return err
		}
		k.other += len(k.taken)
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
	none("billing.unbalanced", "orders that are not what the gateway took", k.other)
	b.add(Figure{Key: "billing.taken", Name: "taken by the gateway's own ledger", Value: float64(k.sum) / 100, Unit: currency})
	return nil
}

// charges reads the ledger. What was taken twice for one thing is one too many, whatever the orders say.
func (k *books) charges(g *simulated.Gateway) {
	for _, e := range g.Ledger() {
		if e.Kind == simulated.Charge && e.Status == payment.Succeeded {
			k.taken[e.GatewayID] = e.Amount.Minor
			k.sum += e.Amount.Minor
		}
	}
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
	row, err := k.i.Store.Load(k.b.ctx, k.i.Store.Read, journal.Ref{Kind: journal.PaymentMethod, ID: s.PaymentMethodID})
	if err != nil {
		return err
	}
	if m, ok := row.State.(*customer.PaymentMethod); !ok || m.GatewayReference.Value != simulated.OK {
		return nil
	}
	k.going = append(k.going, s)
	return nil
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
		unpaid := func(it subscription.Item) bool { return !it.OneTime && !k.items[it.ID] }
		if s.Status != subscription.Active || s.NextBillingDate == nil || !s.NextBillingDate.After(k.today) ||
			len(k.gone[s.ID]) == 0 && slices.ContainsFunc(s.Items, unpaid) {
			k.missed++
		}
	}
}
