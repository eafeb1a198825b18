package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/plain"
	"perennial/internal/settings"
)

// The kinds of money off.
const (
	KindPercentage = "percentage" // whole percent
	KindAmount     = "amount"     // minor units off
	KindPrice      = "price"      // minor units: the price itself; only for a plan's pricing
)

// Limits of the catalogue.
const (
	MaxPrice         int64 = 1_000_000_000_000 // minor units
	MaxPercent       int64 = 100
	MaxCycles              = 1_000
	MaxRedemptions         = 1_000_000_000
	maxWeightGrams         = 1_000_000
	maxUpsell              = 999
	maxGroupProducts       = 200
	maxPricingSteps        = 20
)

// Check says which invariant of a state of this package is broken, if any.
func Check(s journal.State) error {
	c, ok := s.(interface{ check(*fault.Fields) })
	if !ok {
		return fmt.Errorf("catalog: no state of the catalogue: %T", s)
	}
	if s.Ref().ID == "" {
		return fmt.Errorf("catalog: a %s without an id", s.Ref().Kind)
	}
	var f fault.Fields
	c.check(&f)
	return f.Err()
}

// Undo says whether an entry of the catalogue may be undone, where restored is what the thing would be then. Things
// of the catalogue refuse only what they would refuse of a person: a price in a currency that the shop no longer sells in.
func Undo(e *journal.Event, _ time.Time, _, restored journal.State, g *settings.General) error {
	if err := Check(restored); err != nil {
		return fault.Wrap(err, fault.Conflict, "undo_not_allowed", "What this entry changed cannot be put back: it would not be allowed today.")
	}
	if v, ok := restored.(*Variant); ok && v.Price.Currency != g.Currency {
		return fault.New(fault.Conflict, "undo_not_allowed", "The price was in %s; the shop sells in %s now.", v.Price.Currency, g.Currency)
	}
	return nil
}

func (p *Product) check(f *fault.Fields) {
	name(f, "/title", p.Title)
	if why := plain.MultiLine(p.Description, 5000); why != nil {
		f.Refuse("/description", why)
	}
	if p.ImageURL != "" {
		if why := plain.URL(p.ImageURL); why != nil {
			f.Refuse("/image_url", why)
		}
	}
	if p.Status != Active && p.Status != Draft && p.Status != Archived {
		f.Add("/status", "status_unknown", "A product is active, draft or archived.")
	}
	if p.UpsellDiscount < 0 || p.UpsellDiscount > 100 {
		f.Add("/upsell_discount", "out_of_range", "A discount is 0 to 100 percent.", "least", 0, "most", 100)
	}
	if p.UpsellLimit < 0 || p.UpsellLimit > maxUpsell {
		f.Add("/upsell_limit", "out_of_range", "A limit is 0, which is none, to {most}.", "least", 0, "most", maxUpsell)
	}
}

func (v *Variant) check(f *fault.Fields) {
	name(f, "/title", v.Title)
	if why := plain.Text(v.SKU, 100); why != nil {
		f.Refuse("/sku", why)
	}
	price(f, "/price", v.Price)
	if v.WeightGrams < 0 || v.WeightGrams > maxWeightGrams {
		f.Add("/weight_grams", "out_of_range", "A weight is 0 to {most} grams.", "least", 0, "most", maxWeightGrams)
	}
	if v.Inventory != nil && (*v.Inventory < 0 || *v.Inventory > MaxInventory) {
		f.Add("/inventory", "out_of_range", "A stock is 0 to {most} pieces, or null when it is not counted.", "least", 0, "most", MaxInventory)
	}
	if v.Status != Active && v.Status != Archived {
		f.Add("/status", "status_unknown", "A variant is active or archived.")
	}
}

func (g *Group) check(f *fault.Fields) {
	name(f, "/name", g.Name)
	if len(g.ProductIDs) > maxGroupProducts {
		f.Add("/product_ids", "too_many", "A group has at most {most} products.", "most", maxGroupProducts)
	}
	if !slices.IsSorted(g.ProductIDs) || len(slices.Compact(slices.Clone(g.ProductIDs))) != len(g.ProductIDs) {
		f.Add("/product_ids", "not_sorted", "The products are not in order, or one is there twice.")
	}
	if g.Status != Active && g.Status != Archived {
		f.Add("/status", "status_unknown", "A group is active or archived.")
	}
}

func (p *Plan) check(f *fault.Fields) {
	name(f, "/name", p.Name)
	p.BillingPolicy.Check(f, "/billing_policy")
	if p.DeliveryPolicy != nil {
		p.DeliveryPolicy.Check(f, "/delivery_policy")
		if DeliveriesPerOrder(p.BillingPolicy, p.DeliveryPolicy) == 0 {
			f.Add("/delivery_policy", "policies_do_not_fit", "The billing interval is not a whole number of delivery intervals.")
		}
	}
	if len(p.Pricing) > maxPricingSteps {
		f.Add("/pricing", "too_many", "A plan has at most {most} steps of price.", "most", maxPricingSteps)
	}
	for i, s := range p.Pricing {
		at := "/pricing/" + strconv.Itoa(i)
		moneyOff(f, at, s.Kind, s.Value, 0, KindPercentage, KindAmount, KindPrice)
		switch {
		case s.AfterCycle < 0 || s.AfterCycle > MaxCycles:
			f.Add(at+"/after_cycle", "out_of_range", "A step begins after 0 to {most} orders.", "least", 0, "most", MaxCycles)
		case i > 0 && s.AfterCycle <= p.Pricing[i-1].AfterCycle:
			f.Add(at+"/after_cycle", "steps_not_rising", "A step begins after more orders than the one before it.")
		}
	}
	cycles(f, "/min_cycles", p.MinCycles)
	cycles(f, "/max_cycles", p.MaxCycles)
	if p.MinCycles != nil && p.MaxCycles != nil && *p.MinCycles > *p.MaxCycles {
		f.Add("/max_cycles", "most_below_least", "The most orders are fewer than the least.")
	}
	if m := p.BillingPolicy.MaxCycles; m != nil {
		if p.MaxCycles != nil && *m != *p.MaxCycles {
			f.Add("/billing_policy/max_cycles", "ends_differ", "The billing policy and the plan end after different numbers of orders.")
		}
		if p.MinCycles != nil && *p.MinCycles > *m {
			f.Add("/min_cycles", "most_below_least", "The least orders are more than the billing policy has.")
		}
	}
	if p.Status != Active && p.Status != Archived {
		f.Add("/status", "status_unknown", "A plan is active or archived.")
	}
}

// Check adds what is wrong with a policy, whose JSON pointer is at: a subscription's own policies obey the same rules
// as a plan's.
func (p Policy) Check(f *fault.Fields, at string) {
	most := p.Interval.MaxCount()
	switch {
	case most == 0:
		f.Add(at+"/interval", "interval_unknown", "An interval is day, week, month or year.")
	case p.IntervalCount < 1 || p.IntervalCount > most:
		f.Add(at+"/interval_count", "interval_out_of_range", "An interval is 1 to {most} {interval}s.", "most", most, "interval", p.Interval)
	}
	if p.AnchorDay != nil {
		switch {
		case most > 0 && p.Interval != civil.Month && p.Interval != civil.Year:
			f.Add(at+"/anchor_day", "anchor_day_without_months", "Only an interval of months or years has an anchor day.")
		case *p.AnchorDay < 1 || *p.AnchorDay > 31:
			f.Add(at+"/anchor_day", "out_of_range", "An anchor day is 1 to 31; shorter months use their last day.", "least", 1, "most", 31)
		}
	}
	cycles(f, at+"/max_cycles", p.MaxCycles)
}

func (d *Discount) check(f *fault.Fields) {
	if code, ok := NormalizeCode(d.Code); !ok || code != d.Code {
		f.Add("/code", "discount_code_invalid", "A code has 3 to 40 letters A-Z, digits, - or _.")
	}
	moneyOff(f, "", d.Kind, d.Value, 1, KindPercentage, KindAmount)
	cycles(f, "/max_cycles", d.MaxCycles)
	if d.MaxRedemptions != nil && (*d.MaxRedemptions < 1 || *d.MaxRedemptions > MaxRedemptions) {
		f.Add("/max_redemptions", "out_of_range", "The limit is 1 to {most} subscriptions, or null.", "least", 1, "most", MaxRedemptions)
	}
	if d.Redemptions < 0 {
		f.Add("/redemptions", "negative", "A discount was redeemed a negative number of times.")
	}
	if d.Status != Active && d.Status != Inactive {
		f.Add("/status", "status_unknown", "A discount is active or inactive.")
	}
}

func moneyOff(f *fault.Fields, at, kind string, value, least int64, kinds ...string) {
	if !slices.Contains(kinds, kind) {
		f.Add(at+"/kind", "not_one_of", "The kind is one of {values}.", "values", kinds)
		return
	}
	switch most := MaxPrice; {
	case kind == KindPercentage && (value < least || value > MaxPercent):
		f.Add(at+"/value", "out_of_range", "A percentage is a whole number from {least} to {most}.", "least", least, "most", MaxPercent)
	case kind != KindPercentage && (value < least || value > most):
		f.Add(at+"/value", "out_of_range", "An amount is {least} to {most} minor units.", "least", least, "most", most)
	}
}

func name(f *fault.Fields, at, s string) {
	if strings.TrimSpace(s) == "" {
		f.Add(at, "required", "This must not be empty.")
	} else if why := plain.Text(s, 200); why != nil {
		f.Refuse(at, why)
	}
}

func price(f *fault.Fields, at string, a money.Amount) {
	if a.Currency == "" {
		f.Add(at+"/currency", "required", "A price has a currency.")
	}
	if a.Minor < 0 || a.Minor > MaxPrice {
		f.Add(at+"/amount", "out_of_range", "A price is 0 to {most} minor units.", "least", 0, "most", MaxPrice)
	}
}

func cycles(f *fault.Fields, at string, n *int) {
	if n != nil && (*n < 1 || *n > MaxCycles) {
		f.Add(at, "out_of_range", "A number of orders is 1 to {most}, or null.", "least", 1, "most", MaxCycles)
	}
}
