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
	if why := plain.MultiLine(p.Description, 5000); why != "" {
		f.Add("/description", "%s", why)
	}
	if p.ImageURL != "" {
		if why := plain.URL(p.ImageURL); why != "" {
			f.Add("/image_url", "%s", why)
		}
	}
	if p.Status != Active && p.Status != Draft && p.Status != Archived {
		f.Add("/status", "A product is active, draft or archived.")
	}
	if p.UpsellDiscount < 0 || p.UpsellDiscount > 100 {
		f.Add("/upsell_discount", "A discount is 0 to 100 percent.")
	}
	if p.UpsellLimit < 0 || p.UpsellLimit > maxUpsell {
		f.Add("/upsell_limit", "A limit is 0, which is none, to %d.", maxUpsell)
	}
}

func (v *Variant) check(f *fault.Fields) {
	name(f, "/title", v.Title)
	if why := plain.Text(v.SKU, 100); why != "" {
		f.Add("/sku", "%s", why)
	}
	price(f, "/price", v.Price)
	if v.WeightGrams < 0 || v.WeightGrams > maxWeightGrams {
		f.Add("/weight_grams", "A weight is 0 to %d grams.", maxWeightGrams)
	}
	if v.Inventory != nil && (*v.Inventory < 0 || *v.Inventory > MaxInventory) {
		f.Add("/inventory", "A stock is 0 to %d pieces, or null when it is not counted.", MaxInventory)
	}
	if v.Status != Active && v.Status != Archived {
		f.Add("/status", "A variant is active or archived.")
	}
}

func (g *Group) check(f *fault.Fields) {
	name(f, "/name", g.Name)
	if len(g.ProductIDs) > maxGroupProducts {
		f.Add("/product_ids", "A group has at most %d products.", maxGroupProducts)
	}
	if !slices.IsSorted(g.ProductIDs) || len(slices.Compact(slices.Clone(g.ProductIDs))) != len(g.ProductIDs) {
		f.Add("/product_ids", "The products are not in order, or one is there twice.")
	}
	if g.Status != Active && g.Status != Archived {
		f.Add("/status", "A group is active or archived.")
	}
}

func (p *Plan) check(f *fault.Fields) {
	name(f, "/name", p.Name)
	p.BillingPolicy.Check(f, "/billing_policy")
	if p.DeliveryPolicy != nil {
		p.DeliveryPolicy.Check(f, "/delivery_policy")
		if DeliveriesPerOrder(p.BillingPolicy, p.DeliveryPolicy) == 0 {
			f.Add("/delivery_policy", "The billing interval is not a whole number of delivery intervals.")
		}
	}
	if len(p.Pricing) > maxPricingSteps {
		f.Add("/pricing", "A plan has at most %d steps of price.", maxPricingSteps)
	}
	for i, s := range p.Pricing {
		at := "/pricing/" + strconv.Itoa(i)
		moneyOff(f, at, s.Kind, s.Value, 0, KindPercentage, KindAmount, KindPrice)
		switch {
		case s.AfterCycle < 0 || s.AfterCycle > MaxCycles:
			f.Add(at+"/after_cycle", "A step begins after 0 to %d orders.", MaxCycles)
		case i > 0 && s.AfterCycle <= p.Pricing[i-1].AfterCycle:
			f.Add(at+"/after_cycle", "A step begins after more orders than the one before it.")
		}
	}
	cycles(f, "/min_cycles", p.MinCycles)
	cycles(f, "/max_cycles", p.MaxCycles)
	if p.MinCycles != nil && p.MaxCycles != nil && *p.MinCycles > *p.MaxCycles {
		f.Add("/max_cycles", "The most orders are fewer than the least.")
	}
	if m := p.BillingPolicy.MaxCycles; m != nil {
		if p.MaxCycles != nil && *m != *p.MaxCycles {
			f.Add("/billing_policy/max_cycles", "The billing policy and the plan end after different numbers of orders.")
		}
		if p.MinCycles != nil && *p.MinCycles > *m {
			f.Add("/min_cycles", "The least orders are more than the billing policy has.")
		}
	}
	if p.Status != Active && p.Status != Archived {
		f.Add("/status", "A plan is active or archived.")
	}
}

// Check adds what is wrong with a policy, whose JSON pointer is at: a subscription's own policies obey the same rules
// as a plan's.
func (p Policy) Check(f *fault.Fields, at string) {
	most := p.Interval.MaxCount()
	switch {
	case most == 0:
		f.Add(at+"/interval", "An interval is day, week, month or year.")
	case p.IntervalCount < 1 || p.IntervalCount > most:
		f.Add(at+"/interval_count", "An interval is 1 to %d %ss.", most, p.Interval)
	}
	if p.AnchorDay != nil {
		switch {
		case most > 0 && p.Interval != civil.Month && p.Interval != civil.Year:
			f.Add(at+"/anchor_day", "Only an interval of months or years has an anchor day.")
		case *p.AnchorDay < 1 || *p.AnchorDay > 31:
			f.Add(at+"/anchor_day", "An anchor day is 1 to 31; shorter months use their last day.")
		}
	}
	cycles(f, at+"/max_cycles", p.MaxCycles)
}

func (d *Discount) check(f *fault.Fields) {
	if code, ok := NormalizeCode(d.Code); !ok || code != d.Code {
		f.Add("/code", "A code has 3 to 40 letters A-Z, digits, - or _.")
	}
	moneyOff(f, "", d.Kind, d.Value, 1, KindPercentage, KindAmount)
	cycles(f, "/max_cycles", d.MaxCycles)
	if d.MaxRedemptions != nil && (*d.MaxRedemptions < 1 || *d.MaxRedemptions > MaxRedemptions) {
		f.Add("/max_redemptions", "The limit is 1 to %d subscriptions, or null.", MaxRedemptions)
	}
	if d.Redemptions < 0 {
		f.Add("/redemptions", "A discount was redeemed a negative number of times.")
	}
	if d.Status != Active && d.Status != Inactive {
		f.Add("/status", "A discount is active or inactive.")
	}
}

func moneyOff(f *fault.Fields, at, kind string, value, least int64, kinds ...string) {
	if !slices.Contains(kinds, kind) {
		f.Add(at+"/kind", "The kind is one of %q.", kinds)
		return
	}
	switch most := MaxPrice; {
	case kind == KindPercentage && (value < least || value > MaxPercent):
		f.Add(at+"/value", "A percentage is a whole number from %d to %d.", least, MaxPercent)
	case kind != KindPercentage && (value < least || value > most):
		f.Add(at+"/value", "An amount is %d to %d minor units.", least, most)
	}
}

func name(f *fault.Fields, at, s string) {
	if strings.TrimSpace(s) == "" {
		f.Add(at, "This must not be empty.")
	} else if why := plain.Text(s, 200); why != "" {
		f.Add(at, "%s", why)
	}
}

func price(f *fault.Fields, at string, a money.Amount) {
	if a.Currency == "" {
		f.Add(at+"/currency", "A price has a currency.")
	}
	if a.Minor < 0 || a.Minor > MaxPrice {
		f.Add(at+"/amount", "A price is 0 to %d minor units.", MaxPrice)
	}
}

func cycles(f *fault.Fields, at string, n *int) {
	if n != nil && (*n < 1 || *n > MaxCycles) {
		f.Add(at, "A number of orders is 1 to %d, or null.", MaxCycles)
	}
}
