package cancelflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/settings"
)

// Limits.
const (
	MaxOffers   = 3
	MaxReasons  = 30 // of a flow
	MaxFlows    = 50
	maxWeight   = 100
	maxDays     = 3650
	maxPause    = 365
	maxProducts = 200
	maxValue    = 1_000_000_000_000 // minor units
)

// Check says which invariant of a state of this package is broken, if any.
func Check(s journal.State) error {
	c, ok := s.(interface{ check(f *fault.Fields) })
	if !ok {
		return fmt.Errorf("cancelflow: no state of a cancel flow: %T", s)
	}
	var f fault.Fields
	c.check(&f)
	return f.Err()
}

// Undo says whether an entry may be undone, where restored is what the thing would be then.
func Undo(_ *journal.Event, _ time.Time, _, restored journal.State, _ *settings.General) error {
	if err := Check(restored); err != nil {
		return fault.Wrap(err, fault.Conflict, "undo_not_allowed", "What this entry changed cannot be put back: it would not be allowed today.")
	}
	return nil
}

func name(f *fault.Fields, at, s string, most int) {
	if strings.TrimSpace(s) == "" {
		f.Add(at, "required", "This is needed.")
	} else if why := plain.Text(s, most); why != nil {
		f.Refuse(at, why)
	}
}

func within[N int | int64](f *fault.Fields, at string, n, low, high N) {
	if n < low || n > high {
		f.Add(at, "out_of_range", "Give a whole number from {least} to {most}.", "least", low, "most", high)
	}
}

func (d *Flow) check(f *fault.Fields) {
	name(f, "/name", d.Name, 100)
	if !slices.Contains([]Status{Active, Off, Deleted}, d.Status) {
		f.Add("/status", "status_unknown", "A flow is active or off.")
	}
	within(f, "/weight", d.Weight, 1, maxWeight)
	if why := plain.MultiLine(d.Intro, 500); why != nil {
		f.Refuse("/intro", why)
	}
	a := d.Audience
	within(f, "/audience/min_days", a.MinDays, 0, maxDays)
	within(f, "/audience/max_days", a.MaxDays, 0, maxDays)
	within(f, "/audience/min_value", a.MinValue, 0, maxValue)
	within(f, "/audience/max_value", a.MaxValue, 0, maxValue)
	if a.MaxDays > 0 && a.MaxDays < a.MinDays {
		f.Add("/audience/max_days", "most_below_least", "The most days are fewer than the least.")
	}
	if a.MaxValue > 0 && a.MaxValue < a.MinValue {
		f.Add("/audience/max_value", "most_below_least", "The greatest value is less than the least.")
	}
	if len(a.ProductIDs) > maxProducts {
		f.Add("/audience/product_ids", "too_many", "A condition has at most {most} products.", "most", maxProducts)
	}
	if !slices.IsSorted(a.ProductIDs) || len(slices.Compact(slices.Clone(a.ProductIDs))) != len(a.ProductIDs) {
		f.Add("/audience/product_ids", "not_sorted", "The products are not in order, or one is there twice.")
	}
}

func (d *Reason) check(f *fault.Fields) {
	name(f, "/label", d.Label, 100)
	within(f, "/position", d.Position, 0, 999)
	if len(d.Offers) > MaxOffers {
		f.Add("/offers", "too_many", "A reason has at most {most} offers.", "most", MaxOffers)
	}
	for i, o := range d.Offers {
		o.check(f, "/offers/"+strconv.Itoa(i))
	}
	if d.Status != Active && d.Status != Deleted {
		f.Add("/status", "status_unknown", "A reason is active or deleted.")
	}
}

// offers are the kinds, with the members that each has beside its text.
var offers = []struct {
	kind                              string
	days, interval, code, variantUsed bool
}{
	{kind: OfferSkip},
	{kind: OfferPause, days: true},
	{kind: OfferSwap, variantUsed: true},
	{kind: OfferFrequency, interval: true},
	{kind: OfferDiscount, code: true},
	{kind: OfferGift, variantUsed: true},
	{kind: OfferTalk},
}

// OfferKinds gives the kinds of offer, in the order in which they are shown to the team.
func OfferKinds() []string {
	out := make([]string, len(offers))
	for i, o := range offers {
		out[i] = o.kind
	}
	return out
}

func (o Offer) check(f *fault.Fields, at string) {
	i := slices.Index(OfferKinds(), o.Kind)
	if i < 0 {
		f.Add(at+"/kind", "not_one_of", "An offer is one of {values}.", "values", OfferKinds())
		return
	}
	has := offers[i]
	if why := plain.Text(o.Text, 200); why != nil {
		f.Refuse(at+"/text", why)
	}
	if has.days {
		within(f, at+"/days", o.Days, 7, maxPause)
	} else if o.Days != 0 {
		f.Add(at+"/days", "not_for_this_kind", "Only a pause has days.")
	}
	switch most := o.Interval.MaxCount(); {
	case !has.interval && (o.Interval != "" || o.IntervalCount != 0):
		f.Add(at+"/interval", "not_for_this_kind", "Only a frequency has an interval.")
	case has.interval && most == 0:
		f.Add(at+"/interval", "interval_unknown", "An interval is day, week, month or year.")
	case has.interval && (o.IntervalCount < 1 || o.IntervalCount > most):
		f.Add(at+"/interval_count", "interval_out_of_range", "An interval is 1 to {most} {interval}s.", "most", most, "interval", o.Interval)
	}
	if code, ok := catalog.NormalizeCode(o.Code); has.code && (!ok || code != o.Code) {
		f.Add(at+"/code", "discount_code_invalid", "Give the code of a discount, in capitals.")
	} else if !has.code && o.Code != "" {
		f.Add(at+"/code", "not_for_this_kind", "Only a discount has a code.")
	}
	if has.variantUsed != (o.VariantID != "") {
		f.Add(at+"/variant_id", "not_for_this_kind", "A swap and a gift, and nothing else, name a variant.")
	}
}

func (d *Session) check(f *fault.Fields) {
	if d.SubscriptionID == "" || d.CustomerID == "" || d.FlowID == "" {
		f.Add("", "session_incomplete", "A session names its subscription, its customer and its flow.")
	}
	if (d.Status == Open) != (d.EndedAt == nil) {
		f.Add("/ended_at", "session_incomplete", "A session has an end when it is over, and only then.")
	}
	if (d.Status == Saved) != (d.Accepted != "") {
		f.Add("/accepted", "session_incomplete", "A session is saved by the offer that was accepted.")
	}
	if d.Accepted != "" && !slices.Contains(d.Shown, d.Accepted) {
		f.Add("/accepted", "session_incomplete", "Only an offer that was shown can be accepted.")
	}
	if len(d.Shown) > 0 && d.ReasonID == "" {
		f.Add("/reason_id", "session_incomplete", "Offers are those of a reason.")
	}
}
