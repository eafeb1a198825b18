package analytics

import (
	"fmt"
	"maps"
	"slices"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/subscription"
)

// member is what the reports have to know of a subscription between two of its events: some fields of its state, under the same
// names, so that journal.Apply brings them about, and what follows from earlier events.
type member struct {
	ID            id.ID                          `json:"id"`
	Status        subscription.Status            `json:"status"`
	Currency      string                         `json:"currency"`
	Items         []subscription.Item            `json:"items" journal:"key=id"`
	SellingPlanID id.ID                          `json:"selling_plan_id"`
	BillingPolicy catalog.Policy                 `json:"billing_policy"`
	Cycle         int                            `json:"cycle"`
	Discounts     []subscription.AppliedDiscount `json:"discounts" journal:"key=code"`
	Recovery      *subscription.Recovery         `json:"recovery"`
}

func (m *member) Ref() journal.Ref { return journal.Ref{Kind: journal.Subscription, ID: m.ID} }

// Person is nobody: nothing personal is kept.
func (m *member) Person() id.ID { return "" }

var memberFields, _ = journal.Fields(new(member))

// after gives the member after an event of its subscription.
func (m *member) after(e *journal.Event) (*member, error) {
	var before journal.State
	if m != nil {
		before = m
	}
	var known []journal.Change
	for _, c := range e.Changes {
		if slices.Contains(memberFields, c.Root()) {
			known = append(known, c)
		}
	}
	next, err := journal.Apply(before, func() journal.State { return new(member) }, known)
	if err != nil {
		return nil, err
	}
	out := next.(*member)
	out.ID = e.Target().ID
	return out, nil
}

// running says that orders come, or that one is being recovered.
func (m *member) running() bool {
	return m != nil && (m.Status == subscription.Active || m.Status == subscription.Failed)
}

// open says that it has not ended.
func (m *member) open() bool {
	return m.running() || m.paused()
}

func (m *member) paused() bool { return m != nil && m.Status == subscription.Paused }

func (m *member) failed() bool { return m != nil && m.Status == subscription.Failed }

// has says whether a product comes with every order; every subscription has the product "".
func (m *member) has(product id.ID) bool {
	if m == nil {
		return false
	}
	return product == "" || slices.ContainsFunc(m.Items, func(it subscription.Item) bool { return it.ProductID == product && !it.OneTime })
}

// products gives what comes with every order, sorted, after "" for all together.
func (m *member) products() []id.ID {
	out := []id.ID{""}
	if m != nil {
		for _, it := range m.Items {
			if !it.OneTime {
				out = append(out, it.ProductID)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// worth is the monthly recurring revenue of one subscription in minor units: under "" the whole, and each product's part of it. The
// parts add up to the whole.
type worth map[id.ID]int64

// worth prices what comes with every order, at the step of the plan that holds now: without one-time items, delivery, tax, and
// discounts that end after some orders.
func (m *member) worth(plan []catalog.Pricing) (worth, error) {
	if !m.running() {
		return nil, nil
	}
	s := &subscription.Subscription{Currency: m.Currency, Items: m.Items, Discounts: m.Discounts, Cycle: m.Cycle, DeliveryPrice: money.Zero(m.Currency)}
	p, err := subscription.PriceOrder(s.ExtraOrder(&catalog.Plan{Pricing: plan}, nil))
	if err != nil {
		return nil, err
	}
	whole, err := PerMonth(p.Total, m.BillingPolicy.Every())
	if err != nil {
		return nil, err
	}
	nets := map[id.ID]int64{}
	for _, l := range p.Lines {
		nets[l.ProductID] += l.Total.Minor - l.Discount.Minor
	}
	products := slices.Sorted(maps.Keys(nets))
	weights := make([]int64, len(products))
	for i, key := range products {
		weights[i] = nets[key]
	}
	out := worth{"": whole.Minor}
	if len(products) == 0 || whole.IsZero() {
		return out, nil
	}
	parts, err := money.Allocate(whole, weights)
	if err != nil {
		return nil, err
	}
	for i, key := range products {
		out[key] = parts[i].Minor
	}
	return out, nil
}

// PerMonth gives what an amount for each interval comes to in a month, rounded once, half up. A year has 12 months, 52 weeks or 365
// days.
func PerMonth(a money.Amount, every civil.Interval) (money.Amount, error) {
	num, den := int64(1), int64(every.Count)
	switch every.Unit {
	case civil.Day:
		num, den = 365, 12*den
	case civil.Week:
		num, den = 52, 12*den
	case civil.Year:
		den *= 12
	}
	out, err := a.MulRatio(num, den, money.HalfUp)
	if err != nil {
		return out, fmt.Errorf("analytics: a month of %s for every %d %ss: %w", a, every.Count, every.Unit, err)
	}
	return out, nil
}

// known is a member with what follows from its earlier events.
type known struct {
	Member   *member `json:"member"`
	Worth    worth   `json:"worth,omitzero"`
	Cohort   string  `json:"cohort,omitzero"`   // the month in which it began; empty when it came of a split
	Began    []id.ID `json:"began,omitzero"`    // the products with which it began
	Declined int64   `json:"declined,omitzero"` // what was last not paid, in minor units
	AtRisk   int64   `json:"at_risk,omitzero"`  // the order in recovery, in minor units
}

// Fact is what one event adds to one figure.
type Fact struct {
	Figure       Figure
	Product      id.ID // empty: all products together
	Currency     string
	Subscription id.ID
	Count        int64
	Amount       int64 // minor units
}

// movement says how the revenue of a subscription, as far as a product goes, moved from before to after.
func movement(e *journal.Event, before, after *member, product id.ID, change int64) (Figure, bool) {
	was, is := before.has(product), after.has(product)
	if e.Target().Kind != journal.Subscription { // the plan has other prices
		was, is, before = true, true, after
	}
	transfer := transferred(e)
	switch {
	case !was && !is:
		return "", false
	case transfer && (change != 0 || before.open() != after.open()):
		return MRRTransferred, true
	case transfer:
		return "", false
	case before == nil:
		return MRRNew, is
	case before.open() && !after.open():
		return MRRChurned, was
	case !before.open() && after.open():
		return MRRReactivated, is
	case before.running() && after.paused():
		return MRRPaused, was
	case before.paused() && after.running():
		return MRRResumed, is
	case change > 0:
		return MRRUpgrade, true
	case change < 0:
		return MRRDowngrade, true
	}
	return "", false
}

// transferred says that an event moves items between two subscriptions of one person: nothing is won or lost.
func transferred(e *journal.Event) bool {
	switch e.Type {
	case journal.SubscriptionMerged, journal.SubscriptionSplit:
		return true
	case journal.SubscriptionCreated: // by a split: it mentions the one that it came from
		return slices.ContainsFunc(e.Targets[1:], func(r journal.Ref) bool { return r.Kind == journal.Subscription })
	}
	return false
}

// follow gives a subscription after one of its events, and the facts of that. day is when the event was recorded, plan the prices of
// the plan that it has afterwards. k may be nil.
func (k *known) follow(e *journal.Event, day civil.Date, plan []catalog.Pricing) (*known, []Fact, error) {
	next := &known{}
	var before *member
	if k != nil {
		*next, before = *k, k.Member
	}
	var err error
	if next.Member, err = before.after(e); err != nil {
		return nil, nil, err
	}
	if next.Worth, err = next.Member.worth(plan); err != nil {
		return nil, nil, err
	}
	if before == nil && !transferred(e) {
		next.Cohort, next.Began = month(day), next.Member.products()
	}
	facts := next.moved(k, e)
	return next, append(facts, next.recovery(before, e)...), nil
}

// repriced gives a subscription whose plan has other prices, and the facts of that.
func (k *known) repriced(e *journal.Event, plan []catalog.Pricing) (*known, []Fact, error) {
	next := *k
	var err error
	if next.Worth, err = k.Member.worth(plan); err != nil {
		return nil, nil, err
	}
	return &next, next.moved(k, e), nil
}

// moved gives the facts of a subscription's getting from one standing to another.
func (k *known) moved(was *known, e *journal.Event) (facts []Fact) {
	var before *member
	var worthBefore worth
	if was != nil {
		before, worthBefore = was.Member, was.Worth
	}
	after := k.Member
	add := func(f Figure, product id.ID, count, amount int64) {
		facts = append(facts, Fact{Figure: f, Product: product, Currency: after.Currency, Subscription: after.ID, Count: count, Amount: amount})
	}
	views := append(before.products(), after.products()...)
	slices.Sort(views)
	for _, product := range slices.Compact(views) {
		change := k.Worth[product] - worthBefore[product]
		if f, ok := movement(e, before, after, product, change); ok {
			add(f, product, 1, change)
		}
		gauge := func(f Figure, is func(*member) bool) {
			if d := one(after.has(product) && is(after)) - one(before.has(product) && is(before)); d != 0 {
				add(f, product, d, 0)
			}
		}
		gauge(GaugeRunning, (*member).running)
		gauge(GaugePaused, (*member).paused)
		gauge(GaugeRecovery, (*member).failed)
		if before.open() && !after.open() && e.Type != journal.SubscriptionMerged && before.has(product) {
			add(ended(e), product, 1, worthBefore[product])
		}
	}
	if d := one(after.open()) - one(before.open()); d != 0 && k.Cohort != "" {
		for _, product := range k.Began {
			add(cohort(k.Cohort), product, d, 0)
		}
	}
	return facts
}

// ended says who or what ended a subscription.
func ended(e *journal.Event) Figure {
	byOrder := slices.ContainsFunc(e.Targets, func(r journal.Ref) bool { return r.Kind == journal.Order })
	switch {
	case e.Type == journal.SubscriptionExpired:
		return EndedExpired
	case e.Actor.Kind == journal.ActorSystem && byOrder:
		return EndedPayment
	case e.Actor.Kind == journal.ActorCustomer:
		return EndedCustomer
	case e.Actor.Kind == journal.ActorTeamMember:
		return EndedTeam
	case e.Actor.Kind == journal.ActorAPIKey, e.Actor.Kind == journal.ActorIntegration, e.Actor.Kind == journal.ActorImport:
		return EndedProgram
	}
	return EndedSystem
}

// recovery gives the facts of a case of recovery: by what the states say, so that none begins or ends unseen.
func (k *known) recovery(before *member, e *journal.Event) (facts []Fact) {
	var was *subscription.Recovery
	if before != nil {
		was = before.Recovery
	}
	is := k.Member.Recovery
	var steps []Figure
	switch {
	case was == nil && is != nil:
		steps, k.AtRisk = []Figure{RecoveryEntered}, k.Declined
	case was != nil && is != nil && is.Attempts > was.Attempts:
		steps = []Figure{RecoveryRetried}
	case was != nil && is == nil && e.Type == journal.RecoveryRecovered:
		steps = []Figure{RecoveryRecovered, recovered(was.Attempts)}
	case was != nil && is == nil && e.Type == journal.RecoveryExhausted:
		steps = []Figure{RecoveryExhausted}
	case was != nil && is == nil:
		steps = []Figure{RecoveryAbandoned}
	}
	for _, f := range steps {
		for _, product := range k.Member.products() {
			facts = append(facts, Fact{Figure: f, Product: product, Currency: k.Member.Currency, Subscription: k.Member.ID, Count: 1, Amount: k.AtRisk})
		}
	}
	return facts
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func month(d civil.Date) string { return d.String()[:len("2006-01")] }
