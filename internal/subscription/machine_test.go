package subscription

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
)

// machine does anything to one customer's subscriptions, as people, time and billing do, in any order. The shop itself
// checks every state after every command (Check, and that the events come to what Decide said). What else must
// hold: dates of orders strictly increase; a position is billed at most once; folding all events gives the live
// state; coming orders are in order, priced, and end with the cycles; what May allows is not refused for the
// status.
type machine struct {
	*shop
	made    int
	billed  map[id.ID][]civil.Date
	charged map[id.ID]Order // orders whose payment has not come through yet
}

func (m *machine) next(prefix string) id.ID {
	m.made++
	return id.ID(fmt.Sprintf("%s_%06d", prefix, m.made))
}

func (m *machine) subs() (out []*Subscription) {
	ids, err := m.Where(journal.Subscription, "customer_id", "cus_1")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, key := range ids {
		out = append(out, m.sub(key))
	}
	return out
}

func (m *machine) item(t *rapid.T, s *Subscription) Item {
	return rapid.SampledFrom(s.Items).Draw(t, "item")
}

func (m *machine) anyDate(t *rapid.T, s *Subscription) civil.Date {
	near := []civil.Date{m.day, m.day.AddDays(rapid.IntRange(-3, 90).Draw(t, "days"))}
	if list, err := Upcoming(s, nil, nil, m.day, 6); err == nil {
		for _, o := range list {
			near = append(near, o.Date, o.Date.AddDays(-1))
		}
	}
	return rapid.SampledFrom(append(near, s.SkippedDates...)).Draw(t, "date")
}

// command draws a command on a subscription.
func (m *machine) command(t *rapid.T, s *Subscription) (Action, journal.Command) {
	maybeDate := func() *civil.Date {
		if rapid.Bool().Draw(t, "no date") {
			return nil
		}
		return new(m.anyDate(t, s))
	}
	variant := rapid.SampledFrom([]id.ID{"var_1", "var_2", "var_3", "var_old"}).Draw(t, "variant")
	action := rapid.SampledFrom(slices.Sorted(maps.Keys(rules))).Draw(t, "action")
	switch action {
	case ActionPause:
		return action, journal.Bind(Pause{ID: s.ID, Until: maybeDate()})
	case ActionResume:
		return action, journal.Bind(Resume{ID: s.ID, NextBillingDate: maybeDate()})
	case ActionSkip:
		return action, journal.Bind(Skip{ID: s.ID, Date: maybeDate()})
	case ActionUnskip:
		return action, journal.Bind(Unskip{ID: s.ID, Date: m.anyDate(t, s)})
	case ActionReschedule:
		return action, journal.Bind(Reschedule{ID: s.ID, Date: m.anyDate(t, s), NewRhythm: rapid.Bool().Draw(t, "new rhythm")})
	case ActionFrequency:
		unit := rapid.SampledFrom([]civil.Unit{civil.Day, civil.Week, civil.Month, civil.Year}).Draw(t, "unit")
		return action, journal.Bind(ChangeFrequency{ID: s.ID, Interval: unit, IntervalCount: rapid.IntRange(1, 3).Draw(t, "count")})
	case ActionOrderNow:
		return action, drafts(func() ([]journal.Draft, error) {
			d, err := OrderedNow(s, m.next("ord"))
			return []journal.Draft{d}, err
		})
	case ActionCancel:
		return action, journal.Bind(Cancel{ID: s.ID, Reason: "because"})
	case ActionReactivate:
		return action, journal.Bind(Reactivate{ID: s.ID, NextBillingDate: maybeDate()})
	case ActionAddItem:
		return action, journal.Bind(AddItem{ID: s.ID, Item: NewItem{ID: m.next("item"), VariantID: variant, Quantity: rapid.IntRange(0, 5).Draw(t, "quantity"), OneTime: rapid.Bool().Draw(t, "one-time")}})
	case ActionChangeQuantity:
		return action, journal.Bind(ChangeItem{ID: s.ID, ItemID: m.item(t, s).ID, Quantity: new(rapid.IntRange(0, 5).Draw(t, "quantity"))})
	case ActionChangePrice:
		return action, journal.Bind(ChangeItem{ID: s.ID, ItemID: m.item(t, s).ID, UnitPrice: new(usd(rapid.Int64Range(-1, 5000).Draw(t, "price")))})
	case ActionSwapItem:
		return action, journal.Bind(SwapItem{ID: s.ID, ItemID: m.item(t, s).ID, VariantID: variant})
	case ActionRemoveItem:
		return action, journal.Bind(RemoveItem{ID: s.ID, ItemID: m.item(t, s).ID})
	case ActionShippingAddress:
		address := rapid.SampledFrom([]id.ID{"addr_1", "addr_2", "addr_old"}).Draw(t, "address")
		return action, journal.Bind(ChangeShippingAddress{ID: s.ID, AddressID: address, AllSubscriptions: rapid.Bool().Draw(t, "all")})
	case ActionPaymentMethod:
		return action, journal.Bind(ChangePaymentMethod{ID: s.ID, PaymentMethodID: rapid.SampledFrom([]id.ID{"pm_1", "pm_3", "pm_old"}).Draw(t, "method"), AllSubscriptions: rapid.Bool().Draw(t, "all")})
	case ActionBackupPaymentMethod:
		return action, journal.Bind(ChangeBackupPaymentMethod{ID: s.ID, PaymentMethodID: rapid.SampledFrom([]id.ID{"", "pm_2", "pm_3"}).Draw(t, "method")})
	case ActionDeliveryPrice:
		return action, journal.Bind(ChangeDeliveryPrice{ID: s.ID, Price: usd(rapid.Int64Range(0, 1000).Draw(t, "price"))})
	case ActionDiscount:
		code := rapid.SampledFrom([]string{"TEN", "FIVER", "ONCE", "OVER", "NONE"}).Draw(t, "code")
		if len(s.Discounts) > 0 && rapid.Bool().Draw(t, "remove") {
			return action, journal.Bind(RemoveDiscount{ID: s.ID, Code: s.Discounts[0].Code})
		}
		return action, journal.Bind(ApplyDiscount{ID: s.ID, Code: code})
	case ActionGift:
		return action, journal.Bind(GiftOrder{ID: s.ID, Date: m.anyDate(t, s), Address: recipient})
	case ActionNote:
		return action, journal.Bind(ChangeNote{ID: s.ID, Note: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "note")})
	case ActionAttributes:
		return action, journal.Bind(ChangeAttributes{ID: s.ID, Attributes: map[string]string{"a": rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")}})
	case ActionMerge:
		ids := make([]id.ID, MaxItems)
		for i := range ids {
			ids[i] = m.next("item")
		}
		return action, journal.Bind(Merge{ID: s.ID, Into: rapid.SampledFrom(m.subs()).Draw(t, "into").ID, ItemIDs: ids})
	case ActionSplit:
		return action, journal.Bind(Split{ID: s.ID, NewID: m.next("sub"), ItemIDs: []id.ID{m.item(t, s).ID}})
	}
	t.Fatalf("no command for %s", action)
	return "", nil
}

// act tries a command. A refusal must be one that people get, and not for the status where May allowed it.
func (m *machine) act(t *rapid.T) {
	s := rapid.SampledFrom(m.subs()).Draw(t, "subscription")
	action, c := m.command(t, s)
	may := s.May(action)
	_, _, err := m.try(c)
	f := fault.As(err)
	switch {
	case err == nil && may != nil && action != ActionNote && action != ActionAttributes:
		t.Fatalf("%s from %s was allowed", action, s.Status)
	case err != nil && f.Kind == fault.Internal:
		t.Fatalf("%s: %v", action, err)
	case err != nil && may == nil && action != ActionMerge && f.Code == "status_"+string(s.Status):
		t.Fatalf("%s from %s was refused: %v", action, s.Status, err)
	}
}

// pass lets days go by, and billing do its work: pauses that are over, orders that are due, retries.
func (m *machine) pass(t *rapid.T) {
	m.day = m.day.AddDays(rapid.IntRange(1, 40).Draw(t, "days"))
	for _, s := range m.subs() {
		if _, _, err := m.try(journal.Bind(ResumeDue{ID: s.ID})); err != nil {
			t.Fatal(err)
		}
		s = m.sub(s.ID)
		if _, waits := m.charged[s.ID]; waits || s.NextBillingDate == nil || s.NextBillingDate.After(m.day) {
			continue
		}
		o := Order{ID: "ord_" + s.ID, Cycle: new(s.Cycle + 1), Date: *s.NextBillingDate, Total: usd(100), Once: s.once()}
		if rapid.IntRange(0, 3).Draw(t, "slow") == 0 {
			m.charged[s.ID] = o
			continue
		}
		paid := rapid.Bool().Draw(t, "paid")
		m.bring(t, func() ([]journal.Draft, error) {
			switch {
			case paid:
				m.placed(t, s, o)
				return Renewed(s, o), nil
			case s.Status == Failed && s.Recovery.OrderID == o.ID:
				if d, ok := AfterFailure(s, Failure{Code: "declined", On: m.day, Attempts: s.Recovery.Attempts + 1, Spent: rapid.Bool().Draw(t, "spent")}); ok {
					return []journal.Draft{d}, nil
				}
				return Exhausted(s, o, m.now())
			case s.Status == Failed:
				return nil, nil
			}
			policy := &settings.Recovery{RetryDays: []int{1, 3}, EndAction: rapid.SampledFrom([]string{"cancel", "pause", "skip", "keep"}).Draw(t, "end")}
			return entering(s, o, policy, m.day)
		})
	}
}

// arrive lets a payment come through, whatever has happened to its subscription since.
func (m *machine) arrive(t *rapid.T) {
	for _, key := range slices.Sorted(maps.Keys(m.charged)) {
		o, s := m.charged[key], m.sub(key)
		delete(m.charged, key)
		m.bring(t, func() ([]journal.Draft, error) {
			m.placed(t, s, o)
			return Renewed(s, o), nil
		})
	}
}

func (m *machine) bring(t *rapid.T, f drafts) {
	if _, _, err := m.try(f); err != nil {
		t.Fatal(err)
	}
}

// placed sees to it that the dates of orders strictly increase.
func (m *machine) placed(t *rapid.T, s *Subscription, o Order) {
	if last := m.billed[s.ID]; len(last) > 0 && !o.Date.After(last[len(last)-1]) {
		t.Fatalf("%s: order of %v after that of %v", s.ID, o.Date, last[len(last)-1])
	}
	m.billed[s.ID] = append(m.billed[s.ID], o.Date)
}

// takeBack undoes any event that can be undone; whether it may is for the rules to say.
func (m *machine) takeBack(t *rapid.T) {
	e := rapid.SampledFrom(m.Events).Draw(t, "event")
	typ, _ := journal.Lookup(e.Type)
	if e.Target().Kind != journal.Subscription || !typ.Undoable() {
		return
	}
	if _, _, err := m.try(undo{e.ID}); err != nil && fault.As(err).Kind == fault.Internal {
		t.Fatalf("undo of %s: %v", e.Type, err)
	}
}

func (m *machine) check(t *rapid.T) {
	replayed, err := m.Rebuild()
	if err != nil {
		t.Fatal(err)
	}
	for ref, live := range m.States {
		if changes, err := journal.Diff(live, replayed[ref]); err != nil || len(changes) > 0 {
			t.Fatalf("%s: replay differs: %v %v", ref.ID, changes, err)
		}
	}
	plan := m.States[journal.Ref{Kind: journal.SellingPlan, ID: "plan_1"}].(*catalog.Plan)
	for _, s := range m.subs() {
		list, err := Upcoming(s, plan, FlatTax(1900), m.day, 5)
		if err != nil {
			t.Fatal(err)
		}
		cycle, last := s.Cycle, civil.Date{}
		for _, o := range list {
			if !o.Date.After(last) {
				t.Fatalf("%s: %v comes after %v", s.ID, o.Date, last)
			}
			last = o.Date
			if o.Skipped {
				continue
			}
			cycle++
			if *o.Cycle != cycle || o.Total.Minor != o.Subtotal.Minor-o.Discount.Minor+o.Delivery.Minor+o.Tax.Minor {
				t.Fatalf("%s: order %d of %v: %+v", s.ID, cycle, o.Date, o)
			}
		}
		if m := s.BillingPolicy.MaxCycles; m != nil && cycle > *m {
			t.Fatalf("%s: order %d of %d is to come", s.ID, cycle, *m)
		}
		if open := s.Status == Active || s.Status == Failed; open != (len(list) > 0) && s.PausedUntil == nil {
			t.Fatalf("%s: %d orders to come while %s", s.ID, len(list), s.Status)
		}
	}
}

func TestMachine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{shop: newShop(rt), billed: map[id.ID][]civil.Date{}, charged: map[id.ID]Order{}}
		for _, c := range []Create{
			{BillingPolicy: &monthly, NextBillingDate: dateP("2027-01-31")},
			{BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1, AnchorDay: new(30), MaxCycles: new(3)}},
			{SellingPlanID: "plan_1"},
		} {
			c.ID, c.CustomerID = m.next("sub"), "cus_1"
			c.Items = []NewItem{{ID: m.next("item"), VariantID: "var_1", Quantity: 1}, {ID: m.next("item"), VariantID: "var_2", Quantity: 2}}
			m.do(journal.Bind(c))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"":         m.check,
			"act":      m.act,
			"act more": m.act,
			"pass":     m.pass,
			"arrive":   m.arrive,
			"undo":     m.takeBack,
		})
	})
}
