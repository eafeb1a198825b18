package cancelflow_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/cancelflow"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
	"perennial/internal/kinds"
	"perennial/internal/money"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

var noon = time.Date(2027, 2, 1, 12, 0, 0, 0, time.UTC)

// world is a shop with one customer, one subscription, and one flow that is on.
type world struct {
	*journaltest.World
	t   fatal
	now time.Time
	n   int
}

type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

const (
	sub    id.ID = "sub_1"
	flow   id.ID = "flow_1"
	dear   id.ID = "rsn_dear"
	much   id.ID = "rsn_much"
	beans  id.ID = "var_beans"
	decaf  id.ID = "var_decaf"
	person id.ID = "cus_1"
)

func newWorld(t fatal) *world {
	w := &world{World: journaltest.NewWorld("shop_k3m8z2qa"), t: t, now: noon}
	for _, m := range kinds.Mappings() {
		w.Fresh[m.Kind] = func(key id.ID) func() journal.State { return func() journal.State { return m.Fresh(key) } }
		w.Columns[m.Kind] = map[string]journaltest.Column{}
		for i, c := range m.Columns {
			w.Columns[m.Kind][c] = func(st journal.State) string { return fmt.Sprint(m.Values(st)[i]) }
		}
	}
	for _, d := range settings.Defaults("Harbor Coffee", "UTC", "USD") {
		w.do(journal.Bind(settings.Update{Document: d}))
	}
	w.do(journal.Bind(catalog.CreateProduct{ID: "prod_1", Title: "Coffee"}))
	for _, v := range []id.ID{beans, decaf} {
		w.do(journal.Bind(catalog.CreateVariant{ID: v, ProductID: "prod_1", Title: string(v), Price: money.Of(2000, "USD")}))
	}
	w.do(journal.Bind(catalog.CreateDiscount{ID: "disc_1", Code: "STAY", Kind: catalog.KindPercentage, Value: 20}))
	w.do(journal.Bind(customer.Create{ID: person, Email: "ada@example.com"}))
	w.do(journal.Bind(subscription.Create{ID: sub, CustomerID: person, BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1}, NextBillingDate: new(civil.Date{Year: 2027, Month: 3, Day: 3}),
		Items: []subscription.NewItem{{ID: "item_1", VariantID: beans, Quantity: 2}}}))
	w.do(journal.Bind(cancelflow.CreateFlow{ID: flow, Fields: cancelflow.FlowFields{Name: new("All"), Status: new(cancelflow.Active)}}))
	w.reason(dear, "Too expensive", cancelflow.Offer{Kind: cancelflow.OfferDiscount, Code: "stay"}, cancelflow.Offer{Kind: cancelflow.OfferFrequency, Interval: civil.Month, IntervalCount: 2},
		cancelflow.Offer{Kind: cancelflow.OfferGift, VariantID: decaf})
	w.reason(much, "Too much", cancelflow.Offer{Kind: cancelflow.OfferSkip}, cancelflow.Offer{Kind: cancelflow.OfferPause, Days: 30}, cancelflow.Offer{Kind: cancelflow.OfferSwap, VariantID: decaf})
	return w
}

func (w *world) reason(key id.ID, label string, offers ...cancelflow.Offer) {
	w.t.Helper()
	w.do(journal.Bind(cancelflow.CreateReason{ID: key, FlowID: flow, Fields: cancelflow.ReasonFields{Label: &label, Offers: &offers}}))
}

func (w *world) do(c journal.Command) []string {
	w.t.Helper()
	types, err := w.try(c)
	if err != nil {
		w.t.Fatalf("%T: %v", c, err)
	}
	return types
}

func (w *world) try(c journal.Command) (types []string, err error) {
	_, events, err := w.Run(c, w.now)
	for _, e := range events {
		types = append(types, string(e.Type))
	}
	return types, err
}

func (w *world) start() id.ID {
	w.t.Helper()
	w.n++
	d, _, err := w.Run(journal.Bind(cancelflow.Start{ID: id.ID(fmt.Sprintf("cxs_%d", w.n)), SubscriptionID: sub}), w.now)
	if err != nil {
		w.t.Fatalf("start: %v", err)
	}
	return d.Result.ID
}

func (w *world) chose(reason id.ID) id.ID {
	w.t.Helper()
	s := w.start()
	w.do(journal.Bind(cancelflow.Choose{Session: s, ReasonID: reason}))
	return s
}

func (w *world) subscription() *subscription.Subscription {
	return w.States[journal.Ref{Kind: journal.Subscription, ID: sub}].(*subscription.Subscription)
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.As(err).Code
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestAcceptedOffers(t *testing.T) {
	for _, c := range []struct {
		name   string
		reason id.ID
		offer  int
		events []string
		holds  func(s *subscription.Subscription) bool
	}{
		{"a discount", dear, 0, []string{"cancel_session.offer_accepted", "subscription.discount_applied", "discount.redeemed"}, func(s *subscription.Subscription) bool { return len(s.Discounts) == 1 }},
		{"another frequency", dear, 1, []string{"cancel_session.offer_accepted", "subscription.frequency_changed"}, func(s *subscription.Subscription) bool { return s.BillingPolicy.IntervalCount == 2 }},
		{"a gift", dear, 2, []string{"cancel_session.offer_accepted", "subscription.one_time_item_added"}, func(s *subscription.Subscription) bool { return s.Items[1].UnitPrice.Minor == 0 && s.Items[1].OneTime }},
		{"a skipped order", much, 0, []string{"cancel_session.offer_accepted", "subscription.order_skipped"}, func(s *subscription.Subscription) bool { return len(s.SkippedDates) == 1 }},
		{"a pause", much, 1, []string{"cancel_session.offer_accepted", "subscription.paused"}, func(s *subscription.Subscription) bool { return s.PausedUntil.String() == "2027-03-03" }},
		{"another product", much, 2, []string{"cancel_session.offer_accepted", "subscription.item_swapped"}, func(s *subscription.Subscription) bool { return s.Items[0].VariantID == decaf }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			s := w.chose(c.reason)
			d, _, err := w.Run(cancelflow.Accept{Session: s, Offer: c.offer, NewItemID: "item_gift"}, w.now)
			if err != nil {
				t.Fatal(err)
			}
			var events []string
			for i, draft := range d.Drafts {
				events = append(events, string(draft.Type))
				if i > 0 && draft.CausedByDraft == 0 {
					t.Errorf("%s has no cause, want the acceptance", draft.Type)
				}
			}
			want(t, "events", events, c.events)
			if !c.holds(w.subscription()) {
				t.Errorf("the subscription: got %+v", w.subscription())
			}
			if _, err := w.try(cancelflow.Complete{Session: s}); code(err) != "session_over" {
				t.Errorf("cancelling after an offer: got %v, want session_over", err)
			}
		})
	}
}

// The way out is there from every point of a session.
func TestCancelAnyway(t *testing.T) {
	w := newWorld(t)
	want(t, "at once", w.do(cancelflow.Complete{Session: w.start()}), []string{"cancel_session.completed", "subscription.cancelled"})
	want(t, "why", w.subscription().CancelReason.Value, "")
	w.do(journal.Bind(subscription.Reactivate{ID: sub}))
	want(t, "after the offers", w.do(cancelflow.Complete{Session: w.chose(dear)}), []string{"cancel_session.completed", "subscription.cancelled"})
	want(t, "why", w.subscription().CancelReason.Value, "Too expensive")
	if _, err := w.try(journal.Bind(cancelflow.Start{ID: "cxs_x", SubscriptionID: sub})); code(err) != "status_cancelled" {
		t.Errorf("a session for what is cancelled: got %v", err)
	}
}

func TestSessions(t *testing.T) {
	w := newWorld(t)
	first := w.start()
	w.now = w.now.Add(23 * time.Hour)
	if again := w.start(); again != first {
		t.Errorf("a session of an hour ago: got %s, want %s gone on with", again, first)
	}
	w.now = w.now.Add(2 * time.Hour)
	if again := w.start(); again == first {
		t.Error("a session of yesterday was gone on with")
	}
	want(t, "the old one", w.States[journal.Ref{Kind: journal.CancelSession, ID: first}].(*cancelflow.Session).Status, cancelflow.Abandoned)

	w.do(journal.Bind(settings.Update{Document: &settings.CancelFlow{Enabled: false, DiscountCooldownDays: 180}}))
	w.do(journal.Bind(cancelflow.Keep{Session: w.start()}))
	if s := w.start(); s != "" {
		t.Errorf("flows are off: got session %s, want none", s)
	}
}

func TestDiscountCooldown(t *testing.T) {
	w := newWorld(t)
	w.do(cancelflow.Accept{Session: w.chose(dear), Offer: 0})
	w.do(journal.Bind(subscription.RemoveDiscount{ID: sub, Code: "STAY"}))
	shown := func() []string {
		key := w.chose(dear)
		defer func() { w.do(journal.Bind(cancelflow.Keep{Session: key})) }()
		return w.States[journal.Ref{Kind: journal.CancelSession, ID: key}].(*cancelflow.Session).Shown
	}
	w.now = w.now.Add(179 * 24 * time.Hour)
	want(t, "within the cooldown", shown(), []string{"frequency", "gift"})
	key := w.chose(dear)
	if _, err := w.try(cancelflow.Accept{Session: key, Offer: 0}); code(err) != "not_shown" {
		t.Errorf("the discount again: got %v, want not_shown", err)
	}
	w.do(journal.Bind(cancelflow.Keep{Session: key}))
	w.now = w.now.Add(2 * 24 * time.Hour)
	want(t, "after it", shown(), []string{"discount", "frequency", "gift"})
}

func TestAudience(t *testing.T) {
	s := newWorld(t).subscription()
	for _, c := range []struct {
		name string
		a    cancelflow.Audience
		days int
		fits bool
	}{
		{"anybody", cancelflow.Audience{}, 0, true},
		{"too young", cancelflow.Audience{MinDays: 30}, 29, false},
		{"old enough", cancelflow.Audience{MinDays: 30}, 30, true},
		{"too old", cancelflow.Audience{MaxDays: 30}, 31, false},
		{"the product", cancelflow.Audience{ProductIDs: []id.ID{"prod_1"}}, 0, true},
		{"another product", cancelflow.Audience{ProductIDs: []id.ID{"prod_2"}}, 0, false},
		{"worth enough", cancelflow.Audience{MinValue: 4000}, 0, true},
		{"worth too little", cancelflow.Audience{MinValue: 4001}, 0, false},
		{"worth too much", cancelflow.Audience{MaxValue: 3999}, 0, false},
	} {
		if got := c.a.Fits(s, noon.Add(time.Duration(c.days)*24*time.Hour)); got != c.fits {
			t.Errorf("%s: got %v, want %v", c.name, got, c.fits)
		}
	}
}

// Flows share subscriptions by weight, and the same subscription draws the same flow again.
func TestDraw(t *testing.T) {
	now := journal.At(noon)
	flows := []*cancelflow.Flow{{ID: "flow_b", Status: cancelflow.Active, Weight: 3}, {ID: "flow_a", Status: cancelflow.Active, Weight: 1}, {ID: "flow_c", Status: cancelflow.Off, Weight: 100}}
	count := map[id.ID]int{}
	for i := range 4000 {
		s := &subscription.Subscription{ID: id.ID(fmt.Sprintf("sub_%d", i)), CreatedAt: now}
		f := cancelflow.Draw(flows, s, noon)
		count[f.ID]++
		slices.Reverse(flows)
		if again := cancelflow.Draw(flows, s, noon); again != f {
			t.Fatalf("%s: got %s, then %s", s.ID, f.ID, again.ID)
		}
	}
	if n := count["flow_b"]; n < 2850 || n > 3150 || count["flow_c"] > 0 {
		t.Errorf("weights 3 and 1: got %v of 4,000", count)
	}
	if f := cancelflow.Draw(nil, &subscription.Subscription{CreatedAt: now}, noon); f != nil {
		t.Errorf("no flow: got %v", f)
	}
}

func TestWrongFields(t *testing.T) {
	w := newWorld(t)
	reason := func(f cancelflow.ReasonFields) journal.Command {
		if f.Label == nil {
			f.Label = new("Reason")
		}
		return journal.Bind(cancelflow.CreateReason{ID: "rsn_x", FlowID: flow, Fields: f})
	}
	offer := func(o cancelflow.Offer) journal.Command {
		return reason(cancelflow.ReasonFields{Offers: &[]cancelflow.Offer{o}})
	}
	for at, c := range map[string]journal.Command{
		"/name":                    journal.Bind(cancelflow.CreateFlow{ID: "flow_x"}),
		"/status":                  journal.Bind(cancelflow.CreateFlow{ID: "flow_x", Fields: cancelflow.FlowFields{Name: new("X"), Status: new(cancelflow.Deleted)}}),
		"/weight":                  journal.Bind(cancelflow.UpdateFlow{ID: flow, Fields: cancelflow.FlowFields{Weight: new(0)}}),
		"/intro":                   journal.Bind(cancelflow.UpdateFlow{ID: flow, Fields: cancelflow.FlowFields{Intro: new("a\x00b")}}),
		"/audience/max_days":       journal.Bind(cancelflow.UpdateFlow{ID: flow, Fields: cancelflow.FlowFields{Audience: &cancelflow.Audience{MinDays: 10, MaxDays: 5}}}),
		"/audience/product_ids":    journal.Bind(cancelflow.UpdateFlow{ID: flow, Fields: cancelflow.FlowFields{Audience: &cancelflow.Audience{ProductIDs: []id.ID{"prod_none"}}}}),
		"/label":                   reason(cancelflow.ReasonFields{Label: new(" ")}),
		"/parent_id":               journal.Bind(cancelflow.CreateReason{ID: "rsn_x", FlowID: flow, ParentID: "rsn_none", Fields: cancelflow.ReasonFields{Label: new("R")}}),
		"/offers":                  reason(cancelflow.ReasonFields{Offers: new(make([]cancelflow.Offer, 4))}),
		"/offers/0/kind":           offer(cancelflow.Offer{Kind: "bribe"}),
		"/offers/0/days":           offer(cancelflow.Offer{Kind: cancelflow.OfferPause, Days: 3}),
		"/offers/0/interval":       offer(cancelflow.Offer{Kind: cancelflow.OfferFrequency, Interval: "fortnight", IntervalCount: 1}),
		"/offers/0/interval_count": offer(cancelflow.Offer{Kind: cancelflow.OfferFrequency, Interval: civil.Month}),
		"/offers/0/code":           offer(cancelflow.Offer{Kind: cancelflow.OfferDiscount, Code: "NONE"}),
		"/offers/0/variant_id":     offer(cancelflow.Offer{Kind: cancelflow.OfferSwap, VariantID: "var_none"}),
		"/offers/0/text":           offer(cancelflow.Offer{Kind: cancelflow.OfferSkip, Text: "\u202e"}),
	} {
		_, err := w.try(c)
		var fields []string
		for _, f := range fault.As(err).Fields {
			fields = append(fields, f.Pointer)
		}
		if err == nil || !slices.Contains(fields, at) {
			t.Errorf("%s: got %v for %v", at, err, fields)
		}
	}
	for code1, c := range map[string]journal.Command{
		"unknown_cancel_flow":    journal.Bind(cancelflow.UpdateFlow{ID: "flow_none"}),
		"unknown_cancel_reason":  journal.Bind(cancelflow.DeleteReason{ID: "rsn_none"}),
		"unknown_cancel_session": cancelflow.Complete{Session: "cxs_none"},
	} {
		if _, err := w.try(c); code(err) != code1 {
			t.Errorf("got %v, want %s", err, code1)
		}
	}
	w.do(journal.Bind(cancelflow.DeleteFlow{ID: flow}))
	if _, err := w.try(journal.Bind(cancelflow.UpdateFlow{ID: flow, Fields: cancelflow.FlowFields{Weight: new(2)}})); code(err) != "status_archived" {
		t.Errorf("a deleted flow: got %v", err)
	}
}

// Whatever subscribers and the team do in whatever order, every state keeps its rules, folding the events gives the same states, and the
// figures add up.
func TestAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		var sessions []id.ID
		any := func() id.ID { return rapid.SampledFrom(sessions).Draw(t, "session") }
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "hours")) * time.Hour)
			var c journal.Command
			switch n := rapid.IntRange(0, 9).Draw(t, "what"); {
			case n <= 2 || len(sessions) == 0:
				w.n++
				key := id.ID(fmt.Sprintf("cxs_%d", w.n))
				if _, err := w.try(journal.Bind(cancelflow.Start{ID: key, SubscriptionID: sub})); err == nil && w.States[journal.Ref{Kind: journal.CancelSession, ID: key}] != nil {
					sessions = append(sessions, key)
				}
				continue
			case n <= 4:
				c = journal.Bind(cancelflow.Choose{Session: any(), ReasonID: rapid.SampledFrom([]id.ID{dear, much, "rsn_none"}).Draw(t, "reason")})
			case n <= 6:
				w.n++
				c = cancelflow.Accept{Session: any(), Offer: rapid.IntRange(-1, 3).Draw(t, "offer"), NewItemID: id.ID(fmt.Sprintf("item_%d", w.n))}
			case n == 7:
				c = cancelflow.Complete{Session: any()}
			case n == 8:
				c = journal.Bind(cancelflow.Keep{Session: any()})
			default:
				c = journal.Bind(subscription.Reactivate{ID: sub})
			}
			if _, err := w.try(c); err != nil && fault.As(err).Kind == fault.Internal {
				t.Fatalf("%T: %v", c, err)
			}
		}
		results := cancelflow.NewResults()
		for _, s := range w.States {
			switch s := s.(type) {
			case *cancelflow.Session:
				results.Add(s, w.now)
			case *cancelflow.Flow, *cancelflow.Reason:
			default:
				continue
			}
			if err := cancelflow.Check(s); err != nil {
				t.Fatalf("%s: %v", s.Ref().ID, err)
			}
		}
		all := results.All
		if all.Sessions != all.Accepted+all.Kept+all.Cancelled || all.Sessions+results.Running != len(sessions) || all.SaveRate() > 10_000 {
			t.Fatalf("%d sessions: got %+v", len(sessions), results)
		}
		again, err := w.Rebuild()
		if err != nil || !cmp.Equal(again, w.States) {
			t.Fatalf("folding the events: %v %s", err, cmp.Diff(w.States, again))
		}
	})
}

// The products of an audience are a set: one that comes twice is there once, and another order changes nothing.
func TestTheAudienceIsASet(t *testing.T) {
	w := newWorld(t)
	w.do(journal.Bind(catalog.CreateProduct{ID: "prod_2", Title: "Tea"}))
	aim := func(products ...id.ID) []string {
		t.Helper()
		return w.do(journal.Bind(cancelflow.UpdateFlow{ID: flow, Fields: cancelflow.FlowFields{Audience: &cancelflow.Audience{ProductIDs: products}}}))
	}
	if types := aim("prod_2", "prod_1", "prod_2"); len(types) != 1 {
		t.Errorf("got %v, want one entry", types)
	}
	if types := aim("prod_1", "prod_2"); len(types) != 0 {
		t.Errorf("the same products make %v", types)
	}
}
