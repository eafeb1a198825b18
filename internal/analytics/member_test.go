package analytics

import (
	"fmt"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/subscription"
)

func TestPerMonth(t *testing.T) {
	for _, c := range []struct {
		minor int64
		every civil.Interval
		want  int64
	}{
		{1200, civil.Interval{Unit: civil.Month, Count: 1}, 1200},
		{1200, civil.Interval{Unit: civil.Month, Count: 3}, 400},
		{1000, civil.Interval{Unit: civil.Month, Count: 3}, 333},
		{2000, civil.Interval{Unit: civil.Month, Count: 3}, 667},
		{12000, civil.Interval{Unit: civil.Year, Count: 1}, 1000},
		{1001, civil.Interval{Unit: civil.Year, Count: 2}, 42}, // 41.708…
		{1000, civil.Interval{Unit: civil.Week, Count: 1}, 4333},
		{1000, civil.Interval{Unit: civil.Week, Count: 2}, 2167}, // 2166.66…
		{100, civil.Interval{Unit: civil.Day, Count: 1}, 3042},   // 3041.66…
		{100, civil.Interval{Unit: civil.Day, Count: 30}, 101},   // 101.38…
		{0, civil.Interval{Unit: civil.Day, Count: 1}, 0},
	} {
		got, err := PerMonth(money.Of(c.minor, "USD"), c.every)
		if err != nil || got != money.Of(c.want, "USD") {
			t.Errorf("%d every %v: got %v, %v, want %d", c.minor, c.every, got, err, c.want)
		}
	}
}

// exact gives the recurring revenue of a subscription with fractions, and rounds it once.
func exact(s *subscription.Subscription, plan *catalog.Plan) int64 {
	if s.Status != subscription.Active && s.Status != subscription.Failed {
		return 0
	}
	b := s.ExtraOrder(plan, nil)
	b.Delivery = money.Zero(s.Currency)
	p, err := subscription.PriceOrder(b)
	if err != nil {
		panic(err)
	}
	per := map[civil.Unit]*big.Rat{civil.Day: big.NewRat(365, 12), civil.Week: big.NewRat(52, 12), civil.Month: big.NewRat(1, 1), civil.Year: big.NewRat(1, 12)}[s.BillingPolicy.Interval]
	r := new(big.Rat).Mul(big.NewRat(p.Total.Minor, int64(s.BillingPolicy.IntervalCount)), per)
	r.Add(r, big.NewRat(1, 2))
	return new(big.Int).Quo(r.Num(), r.Denom()).Int64()
}

// Whatever happens to subscriptions, the facts add up to what there is: after every event, for each product and for all together.
func TestMovementsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const subs = 3
		products := []id.ID{"prod_a", "prod_b", "prod_c"}
		plan := &catalog.Plan{ID: "plan_1", Pricing: []catalog.Pricing{{Kind: "percentage", Value: 10}}}
		states := make([]*subscription.Subscription, subs)
		all := make([]*known, subs)
		sums := map[cell]sum{}
		day := civil.Date{Year: 2027, Month: 1, Day: 1}
		add := func(facts []Fact) {
			for _, f := range facts {
				c := cell{product: string(f.Product), figure: string(f.Figure)}
				sums[c] = sum{sums[c].count + f.Count, sums[c].amount + f.Amount}
			}
		}
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			day = day.AddDays(rapid.IntRange(0, 40).Draw(t, "days"))
			if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
				plan.Pricing = []catalog.Pricing{{Kind: "percentage", Value: rapid.Int64Range(0, 100).Draw(t, "off")}, {Kind: "amount", Value: 50, AfterCycle: 2}}
				e := &journal.Event{Type: "selling_plan.updated", Targets: []journal.Ref{plan.Ref()}}
				for i, k := range all {
					if k == nil || k.Member.SellingPlanID == "" {
						continue
					}
					next, facts, err := k.repriced(e, plan.Pricing)
					if err != nil {
						t.Fatal(err)
					}
					all[i] = next
					add(facts)
				}
			} else {
				i := rapid.IntRange(0, subs-1).Draw(t, "subscription")
				next := &subscription.Subscription{ID: id.ID(fmt.Sprint("sub_", i)), Currency: "USD", AnchorDate: day, DeliveryPrice: money.Of(500, "USD")}
				next.Status = rapid.SampledFrom([]subscription.Status{subscription.Active, subscription.Paused, subscription.Failed, subscription.Cancelled, subscription.Expired}).Draw(t, "status")
				next.BillingPolicy = catalog.Policy{Interval: rapid.SampledFrom([]civil.Unit{civil.Day, civil.Week, civil.Month, civil.Year}).Draw(t, "unit"), IntervalCount: rapid.IntRange(1, 6).Draw(t, "count")}
				next.Cycle = rapid.IntRange(0, 4).Draw(t, "cycle")
				if rapid.Bool().Draw(t, "planned") {
					next.SellingPlanID = plan.ID
				}
				for n := range rapid.IntRange(1, 4).Draw(t, "items") {
					next.Items = append(next.Items, subscription.Item{ID: id.ID(fmt.Sprint("item_", n)), ProductID: rapid.SampledFrom(products).Draw(t, "product"),
						Quantity: rapid.IntRange(1, 3).Draw(t, "quantity"), UnitPrice: money.Of(rapid.Int64Range(0, 5000).Draw(t, "price"), "USD"), OneTime: n > 0 && rapid.Bool().Draw(t, "once")})
				}
				if rapid.Bool().Draw(t, "discount") {
					next.Discounts = []subscription.AppliedDiscount{{Code: "TEN", Kind: "percentage", Value: 10}}
				}
				typ := rapid.SampledFrom([]string{"subscription.cancelled", "subscription.merged", "subscription.split", "subscription.item_swapped"}).Draw(t, "type")
				if states[i] == nil {
					typ, next.Status = "subscription.created", subscription.Active
				}
				var before journal.State
				if states[i] != nil {
					before = states[i]
				}
				changes, err := journal.Diff(before, next)
				if err != nil {
					t.Fatal(err)
				}
				var pricing []catalog.Pricing
				if next.SellingPlanID != "" {
					pricing = plan.Pricing
				}
				k, facts, err := all[i].follow(&journal.Event{Type: journal.Name(typ), Targets: []journal.Ref{next.Ref()}, Changes: changes}, day, pricing)
				if err != nil {
					t.Fatal(err)
				}
				states[i], all[i] = next, k
				add(facts)
			}
			var worth, running, paused, failed, parts int64
			open := map[string]int64{}
			for i, s := range states {
				if s == nil {
					continue
				}
				var p *catalog.Plan
				if s.SellingPlanID != "" {
					p = plan
				}
				worth += exact(s, p)
				running += one(s.Status == subscription.Active || s.Status == subscription.Failed)
				paused += one(s.Status == subscription.Paused)
				failed += one(s.Status == subscription.Failed)
				if all[i].Cohort != "" && s.Open() {
					open[all[i].Cohort]++
				}
			}
			moved := func(product id.ID) (n int64) {
				for _, f := range Movements {
					n += sums[cell{product: string(product), figure: string(f)}].amount
				}
				return n
			}
			if got := moved(""); got != worth {
				t.Fatalf("movements add up to %d, want %d", got, worth)
			}
			for _, p := range products {
				parts += moved(p)
				want := int64(0)
				for _, s := range states {
					if s != nil && (s.Status == subscription.Active || s.Status == subscription.Failed) &&
						slices.ContainsFunc(s.Items, func(it subscription.Item) bool { return it.ProductID == p && !it.OneTime }) {
						want++
					}
				}
				if got := sums[cell{product: string(p), figure: string(GaugeRunning)}].count; got != want {
					t.Fatalf("%d subscriptions with %s run, want %d", got, p, want)
				}
			}
			if parts != worth {
				t.Fatalf("the products' movements add up to %d, want %d", parts, worth)
			}
			for f, want := range map[Figure]int64{GaugeRunning: running, GaugePaused: paused, GaugeRecovery: failed} {
				if got := sums[cell{figure: string(f)}].count; got != want {
					t.Fatalf("%s is %d, want %d", f, got, want)
				}
			}
			for c, s := range sums {
				if m, ok := cutCohort(c); ok && s.count != open[m] {
					t.Fatalf("of cohort %s %d are open, want %d", m, s.count, open[m])
				}
			}
		}
	})
}

func cutCohort(c cell) (string, bool) {
	if c.product != "" || len(c.figure) != len(cohortFamily)+len("2006-01") {
		return "", false
	}
	return c.figure[len(cohortFamily):], c.figure[:len(cohortFamily)] == cohortFamily
}
