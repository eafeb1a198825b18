package portal

import (
	"strings"
	"testing"

	"perennial/internal/cancelflow"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/subscription"
)

// flow makes a flow for everybody, with two reasons.
func (w *world) flow() (dear, much id.ID) {
	w.t.Helper()
	flow := w.IDs.New(id.CancelFlow)
	dear, much = w.IDs.New(id.CancelReason), w.IDs.New(id.CancelReason)
	w.Do(journal.Bind(cancelflow.CreateFlow{ID: flow, Fields: cancelflow.FlowFields{Name: new("Everybody"), Status: new(cancelflow.Active), Intro: new("Sorry to see you go.")}}))
	w.Do(journal.Bind(cancelflow.CreateReason{ID: dear, FlowID: flow, Fields: cancelflow.ReasonFields{Label: new("Too <expensive>"), AskWords: new(true), Offers: &[]cancelflow.Offer{{Kind: cancelflow.OfferSwap, VariantID: w.variant}, {Kind: cancelflow.OfferTalk}}}}))
	w.Do(journal.Bind(cancelflow.CreateReason{ID: much, FlowID: flow, Fields: cancelflow.ReasonFields{Label: new("Too much"), Offers: &[]cancelflow.Offer{{Kind: cancelflow.OfferPause, Days: 30, Text: "Drink it first."}, {Kind: cancelflow.OfferSkip}}}}))
	return dear, much
}

func TestCancelling(t *testing.T) {
	w := newWorld(t)
	dear, much := w.flow()
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)

	// Out in two clicks: the page, and its button.
	w.want(v.get(at+"/cancel"), 200, at+"/cancel", "Sorry to see you go.", "Too &lt;expensive&gt;", "Cancel anyway", "Keep my subscription")
	w.want(v.post(at+"/cancel"), 200, at)
	w.last("cancel_session.completed")
	if e := w.last("subscription.cancelled"); e.Actor.ID != string(w.ada) || e.CausationID == "" {
		t.Errorf("the entry: %+v", e)
	}
	w.want(v.get(at+"/cancel"), 200, at+"/cancel", "cancelled")
	w.want(v.post(at+"/reactivate"), 200, at)

	// No answer, an answer, an offer.
	v.get(at + "/cancel")
	w.want(v.post(at+"/cancel/answer"), 422, at+"/cancel/answer", "Choose an answer")
	w.want(v.get(at+"/cancel/offers"), 200, at+"/cancel")
	w.want(v.post(at+"/cancel/answer", "reason_id", string(much)), 200, at+"/cancel/offers", "Pause until 2 April 2027", "Drink it first.", "Skip the next order", "Cancel anyway")
	w.want(v.post(at+"/cancel/accept", "offer", "7"), 409, at+"/cancel/accept", "cannot")
	w.want(v.post(at+"/cancel/accept", "offer", "0"), 200, at, "Paused the subscription until 2 April 2027", "/portal/undo/")
	if e := w.last("cancel_session.offer_accepted"); e.Source.Channel != journal.ChannelPortal {
		t.Errorf("the entry: %+v", e)
	}
	w.want(v.get("/portal/history"), 200, "/portal/history", "Took an offer in place of cancelling", "Paused the subscription until 2 April 2027")
	w.want(v.post(at+"/resume"), 200, at)

	// A refused offer: what was written goes along, and the reason is the store's own words.
	v.get(at + "/cancel")
	w.want(v.post(at+"/cancel/answer", "reason_id", string(dear), "comment", "It doubled"), 200, at+"/cancel/offers", "Talk to us", `value="It doubled"`)
	w.want(v.post(at+"/cancel", "comment", "It doubled"), 200, at)
	if e := w.last("subscription.cancelled"); e.Comment.Value != "It doubled" {
		t.Errorf("the comment: got %q", e.Comment.Value)
	}
	w.want(v.post(at+"/reactivate"), 200, at)

	// Kept, and talked about.
	v.get(at + "/cancel")
	w.want(v.post(at+"/cancel/keep"), 200, at, "goes on as it was")
	w.last("cancel_session.abandoned")
	v.get(at + "/cancel")
	v.post(at+"/cancel/answer", "reason_id", string(dear))
	w.want(v.post(at+"/cancel/accept", "offer", "1"), 200, at, "goes on as it was")

	// Nobody answers for somebody else.
	theirs := "/portal/subscriptions/" + string(w.his)
	for _, path := range []string{"/cancel", "/cancel/answer", "/cancel/accept", "/cancel/keep"} {
		if s := v.post(theirs+path, "reason_id", string(much), "offer", "0"); s.status != 404 || strings.Contains(s.body, "Too much") {
			t.Errorf("%s of somebody else: got %d", path, s.status)
		}
	}
}

// TestCancellingTooEarly: a plan's least number of orders holds a subscriber, and not the team.
func TestCancellingTooEarly(t *testing.T) {
	w := newWorld(t)
	w.flow()
	product, variant := w.IDs.New(id.Product), w.IDs.New(id.Variant)
	w.Do(journal.Bind(catalog.CreateProduct{ID: product, Title: "Tea"}))
	w.Do(journal.Bind(catalog.CreateVariant{ID: variant, ProductID: product, Title: "100 g", Price: money.Of(1000, "EUR")}))
	group, plan, sub := w.IDs.New(id.SellingPlanGroup), w.IDs.New(id.SellingPlan), w.IDs.New(id.Subscription)
	policy := catalog.Policy{Interval: civil.Month, IntervalCount: 1}
	w.Do(journal.Bind(catalog.CreateGroup{ID: group, Name: "Year", ProductIDs: []id.ID{product}}))
	w.Do(journal.Bind(catalog.CreatePlan{ID: plan, GroupID: group, Name: "Monthly", BillingPolicy: policy, MinCycles: new(2)}))
	w.Do(journal.Bind(subscription.Create{ID: sub, CustomerID: w.ada, SellingPlanID: plan, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: variant, Quantity: 1}}}))
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(sub)
	const why = "minimum number of orders"
	w.want(v.get(at+"/cancel"), 409, at+"/cancel", why)
	w.want(v.post(at+"/cancel"), 422, at+"/cancel", why)
	w.Do(journal.Bind(subscription.Cancel{ID: sub}))
	w.want(v.get(at+"/cancel"), 200, at+"/cancel", "cancelled")
}
