package billing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// ReasonKind says what a line of an explanation is about.
type ReasonKind string

// The kinds, in the order in which they come. The amounts of the first seven add up to what is charged.
const (
	ReasonPlan     ReasonKind = "plan"     // the rhythm, and what it comes from
	ReasonItem     ReasonKind = "item"     // what was ordered, at the price of the item
	ReasonPricing  ReasonKind = "pricing"  // what the plan makes of that price
	ReasonDiscount ReasonKind = "discount" // a code
	ReasonDelivery ReasonKind = "delivery"
	ReasonTax      ReasonKind = "tax"
	ReasonCarried  ReasonKind = "carried" // from earlier orders that were too small to be charged
	ReasonChange   ReasonKind = "change"  // what was changed since the order before
	ReasonStory    ReasonKind = "story"   // the order's own entries, payments among them, and what the subscription's came to
)

// Reason is one line of an explanation: a sentence, and the entry that it rests on.
type Reason struct {
	Kind   ReasonKind
	Text   string // plain, without personal values
	Event  *journal.Event
	About  journal.Ref   // the variant, discount, plan or payment method that it is about; empty for none
	Code   string        // of the discount, as it was then
	Amount *money.Amount // its part of the total; nil when it has none
}

// History is what an explanation is made from: an order, and entries by their primary target, each list whole and oldest
// first.
type History struct {
	Order        *Order
	Of           []*journal.Event // of the order
	Subscription []*journal.Event // of its subscription
	Plan         []*journal.Event // of the subscription's selling plan; none without one
	Billing      []*journal.Event // of the settings page "billing"
	Zone         *time.Location   // the shop's
}

// Explain answers "why was I charged?" from entries alone: what the order is for and since when, who changed what before it,
// and what became of it. It is an error when the entries are not those of the order.
func Explain(h History) ([]Reason, error) {
	if len(h.Of) == 0 || h.Of[0].Type != journal.OrderCreated {
		return nil, fmt.Errorf("billing: the entries of %s do not begin with its creation", h.Order.ID)
	}
	x := explanation{History: h, created: h.Of[0]}
	for i, e := range h.Subscription {
		if e.Seq > x.created.Seq {
			x.before, x.after = h.Subscription[:i], h.Subscription[i:]
			break
		}
		x.before = h.Subscription[:i+1]
	}
	state, err := journal.Fold(func() journal.State { return new(subscription.Subscription) }, x.before)
	if err != nil {
		return nil, fmt.Errorf("billing: explain %s: %w", h.Order.ID, err)
	}
	sub, ok := state.(*subscription.Subscription)
	if !ok {
		return nil, fmt.Errorf("billing: the subscription of %s has no entries before it", h.Order.ID)
	}
	x.sub = sub
	x.plan()
	if err := x.items(); err != nil {
		return nil, err
	}
	if err := x.discounts(); err != nil {
		return nil, err
	}
	x.delivery()
	x.tax()
	x.carried()
	x.changes()
	x.story()
	return x.out, nil
}

// explanation is an explanation while it is being put together.
type explanation struct {
	History
	created       *journal.Event
	before, after []*journal.Event // of the subscription
	sub           *subscription.Subscription
	out           []Reason
}

// last gives the last of some entries, before the order, that a change touches; the order's own creation when there is none.
func (x *explanation) last(events []*journal.Event, touches func(journal.Change) bool) *journal.Event {
	for _, e := range slices.Backward(events) {
		if e.Seq < x.created.Seq && slices.ContainsFunc(e.Changes, touches) {
			return e
		}
	}
	return x.created
}

func field(names ...string) func(journal.Change) bool {
	return func(c journal.Change) bool { return slices.Contains(names, c.Root()) }
}

// element is a change of one element of a list: all of it, or of one of its fields.
func element(list, key string) func(journal.Change) bool {
	at := list + "." + key
	return func(c journal.Change) bool { return c.Field == at || strings.HasPrefix(c.Field, at+".") }
}

func (x *explanation) say(k ReasonKind, e *journal.Event, about journal.Ref, amount *money.Amount, form string, args ...any) {
	x.out = append(x.out, Reason{Kind: k, Text: fmt.Sprintf(form, args...), Event: e, About: about, Amount: amount})
}

func (x *explanation) plan() {
	at := x.last(x.before, field("billing_policy", "selling_plan_id"))
	plan := journal.Ref{}
	if x.sub.SellingPlanID != "" {
		plan = journal.Ref{Kind: journal.SellingPlan, ID: x.sub.SellingPlanID}
	}
	if x.Order.Cycle == nil {
		asked := x.last(x.before, field("extra_orders"))
		x.say(ReasonPlan, asked, plan, nil, "An extra order, asked for on %s, beside those that come %s", x.when(asked), every(x.sub.BillingPolicy))
		return
	}
	x.say(ReasonPlan, at, plan, nil, "Order %d of a subscription that comes %s since %s, due on %s", *x.Order.Cycle, every(x.sub.BillingPolicy), x.when(at), x.Order.BillingDate.Long())
}

func (x *explanation) items() error {
	for _, l := range x.Order.Items {
		about := journal.Ref{Kind: journal.Variant, ID: l.VariantID}
		i := slices.IndexFunc(x.sub.Items, func(it subscription.Item) bool { return it.ID == l.ItemID })
		if i < 0 {
			return fmt.Errorf("billing: the subscription of %s did not have the item %s", x.Order.ID, l.ItemID)
		}
		listed := x.sub.Items[i].UnitPrice
		whole, err := listed.Mul(int64(l.Quantity) * x.Order.times(l))
		if err != nil {
			return err
		}
		at := x.last(x.before, element("items", string(l.ItemID)))
		kind := "since " + x.when(at)
		if l.OneTime {
			kind = "once, added on " + x.when(at)
		}
		if n := x.Order.times(l); n > 1 {
			kind += fmt.Sprintf(", for %d deliveries", n)
		}
		if l.InsteadOf != "" {
			kind += ", in place of " + x.sub.Items[i].Title + ", which was out of stock"
		}
		x.say(ReasonItem, at, about, &whole, "%d × %s at %s, %s", l.Quantity, l.Title, listed.Format(), kind)
		if l.UnitPrice != listed {
			at := x.last(x.Plan, field("pricing"))
			x.say(ReasonPricing, at, about, new(money.Of(l.Total.Minor-whole.Minor, l.Total.Currency)), "The plan's price of %s is %s%s", l.Title, l.UnitPrice.Format(), after(x.sub.Cycle))
		}
	}
	return nil
}

// discounts goes as the price does: together they take off at most the subtotal.
func (x *explanation) discounts() error {
	left := x.Order.Subtotal.Minor
	for _, a := range x.sub.Discounts {
		if x.Order.Cycle == nil && a.CyclesLeft != nil {
			continue
		}
		off := money.Of(a.Value, x.sub.Currency)
		what := off.Format()
		if a.Kind == catalog.KindPercentage {
			var err error
			if off, err = x.Order.Subtotal.MulRatio(a.Value, 100, money.HalfUp); err != nil {
				return err
			}
			what = fmt.Sprintf("%d %%", a.Value)
		}
		off.Minor = min(off.Minor, left)
		left -= off.Minor
		at := x.last(x.before, func(c journal.Change) bool { return c.Field == "discounts."+a.Code })
		x.say(ReasonDiscount, at, journal.Ref{Kind: journal.Discount, ID: a.DiscountID}, new(money.Of(-off.Minor, off.Currency)), "The code %s takes %s off, since %s", a.Code, what, x.when(at))
		x.out[len(x.out)-1].Code = a.Code
	}
	return nil
}

func (x *explanation) delivery() {
	if o := x.Order; !o.Delivery.IsZero() {
		at := x.last(x.before, field("delivery_price"))
		x.say(ReasonDelivery, at, journal.Ref{}, &o.Delivery, "Delivery, at this price since %s", x.when(at))
	}
}

func (x *explanation) tax() {
	if o := x.Order; !o.Tax.IsZero() {
		at := x.last(x.Billing, field("tax_basis_points"))
		x.say(ReasonTax, at, journal.Ref{Kind: journal.Settings, ID: settings.PageBilling}, &o.Tax, "Tax, at the rate since %s", x.when(at))
	}
}

func (x *explanation) carried() {
	if c := x.Order.Carried; c != nil {
		at := x.last(x.before, field("carried_over"))
		x.say(ReasonCarried, at, journal.Ref{}, c, "Carried over from earlier orders, which were too small to be charged, on %s", x.when(at))
	}
}

// changes are what people, and whoever else, changed since the last renewal or the beginning.
func (x *explanation) changes() {
	from := 1 // the creation is told above
	for i, e := range x.before {
		if e.Type == journal.SubscriptionRenewed {
			from = i + 1
		}
	}
	for _, e := range x.before[min(from, len(x.before)):] {
		if !strings.HasPrefix(string(e.Type), "recovery.") && e.Type != journal.SubscriptionOrderRequestedNow {
			x.say(ReasonChange, e, journal.Ref{}, nil, "%s", journal.Summary(e))
		}
	}
}

// story is what happened to the order, and to its subscription because of it, in order.
func (x *explanation) story() {
	told := slices.Clone(x.Of)
	for _, e := range x.after {
		if slices.Contains(e.Targets, x.Order.Ref()) {
			told = append(told, e)
		}
	}
	slices.SortFunc(told, func(a, b *journal.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	card := journal.Ref{}
	for _, e := range told {
		about := journal.Ref{}
		switch {
		case strings.HasPrefix(string(e.Type), "billing_attempt."):
			card = journal.Ref{}
			if i := slices.IndexFunc(e.Targets, func(r journal.Ref) bool { return r.Kind == journal.PaymentMethod }); i >= 0 {
				card = e.Targets[i]
			}
			about = card
		case e.Type == journal.OrderPlaced:
			about = card
		}
		x.say(ReasonStory, e, about, nil, "%s", journal.Summary(e))
	}
}

// when is the shop's day of an entry.
func (x *explanation) when(e *journal.Event) string { return civil.Of(e.RecordedAt, x.Zone).Long() }

func every(p catalog.Policy) string {
	if p.IntervalCount == 1 {
		return "every " + string(p.Interval)
	}
	return fmt.Sprintf("every %d %ss", p.IntervalCount, p.Interval)
}

// after says how many orders there were before, if any.
func after(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return " after 1 order"
	}
	return fmt.Sprintf(" after %d orders", n)
}
