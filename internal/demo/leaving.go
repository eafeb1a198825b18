package demo

import (
	"perennial/internal/cancelflow"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
)

// asksWhy builds two cancel flows, one tried against the other.
func (l *life) asksWhy() error {
	by := l.dashboard(l.admin)
	filters := l.products[6].variants[0].id
	type reason struct {
		label  string
		ask    bool
		offers []cancelflow.Offer
		below  []string
	}
	pause := func(days int) cancelflow.Offer { return cancelflow.Offer{Kind: cancelflow.OfferPause, Days: days} }
	rarer := cancelflow.Offer{
		Kind:          cancelflow.OfferFrequency,
		Interval:      civil.Month,
		IntervalCount: 2,
		Text:          "Half as often, for half the price.",
	}
	for _, f := range []struct {
		name, intro string
		weight      int
		reasons     []reason
	}{
		{"Helpful", "We are sorry that you think of leaving. Perhaps we can help.", 2, []reason{
			{label: "I have too much coffee left", offers: []cancelflow.Offer{{Kind: cancelflow.OfferSkip}, pause(30), rarer}},
			{label: "Too expensive", offers: []cancelflow.Offer{{Kind: cancelflow.OfferDiscount, Code: "STAY15", Text: "For the next two orders."}, rarer}},
			{label: "I want to try something else", offers: []cancelflow.Offer{{Kind: cancelflow.OfferSwap, VariantID: l.products[3].variants[0].id, Text: "A different farm each month."}}},
			{label: "Something went wrong", ask: true, offers: []cancelflow.Offer{{Kind: cancelflow.OfferTalk}, {Kind: cancelflow.OfferGift, VariantID: filters}}, below: []string{"It came late", "It came damaged"}},
			{label: "Moving abroad"}, {label: "It was a gift"},
		}},
		{"Short", "", 1, []reason{
			{label: "Too much coffee", offers: []cancelflow.Offer{pause(60)}}, {label: "Too much money", offers: []cancelflow.Offer{{Kind: cancelflow.OfferDiscount, Code: "STAY15"}}}, {label: "Another reason", ask: true},
		}},
	} {
		flow := l.p.IDs.New(id.CancelFlow)
		if err := l.must(
			by,
			journal.Bind(cancelflow.CreateFlow{ID: flow, Fields: cancelflow.FlowFields{Name: &f.name, Intro: &f.intro, Weight: &f.weight}}),
		); err != nil {
			return err
		}
		add := func(parent id.ID, r reason) (id.ID, error) {
			key := l.p.IDs.New(id.CancelReason)
			err := l.must(
				by,
				journal.Bind(
					cancelflow.CreateReason{
						ID:       key,
						FlowID:   flow,
						ParentID: parent,
						Fields:   cancelflow.ReasonFields{Label: &r.label, AskWords: &r.ask, Offers: &r.offers},
					},
				),
			)
			return key, err
		}
		for _, r := range f.reasons {
			key, err := add("", r)
			if err != nil {
				return err
			}
			for _, label := range r.below {
				if _, err := add(key, reason{label: label, ask: true, offers: r.offers}); err != nil {
					return err
				}
			}
		}
		if err := l.must(by,
			journal.Bind(cancelflow.UpdateFlow{ID: flow, Fields: cancelflow.FlowFields{Status: new(cancelflow.Active)}})); err != nil {
			return err
		}
	}
	return nil
}

// leaves is what people do who want to cancel: most say why, some take an offer, a few stay as they are.
func (l *life) leaves(p *person) error {
	out, err := l.do(l.portal(p), journal.Bind(cancelflow.Start{ID: l.p.IDs.New(id.CancelSession), SubscriptionID: p.subscription}))
	if err != nil || out == nil || out.Decision.Result.ID == "" {
		return err
	}
	session := out.Decision.Result.ID
	if l.rarely(0.12) {
		return l.command(p, cancelflow.Complete{Session: session})
	}
	w, err := cancelflow.Conversation(program.NewReader(l.ctx, l.s, l.s.Read), session)
	if err != nil {
		return err
	}
	reason := pick(l, w.Reasons)
	by := l.portal(p)
	if reason.AskWords {
		by = l.explained(by,
			pick(l, []string{"The parcel was two weeks late.", "The bag was torn.", "I wrote twice and heard nothing.", "It tasted stale."}))
	}
	if _, err := l.do(by, journal.Bind(cancelflow.Choose{Session: session, ReasonID: reason.ID})); err != nil {
		return err
	}
	now := l.p.Now()
	if good := w.Good(reason, now); len(good) > 0 && l.rarely(0.35) {
		cmd := cancelflow.Accept{Session: session, Offer: pick(l, good), NewItemID: l.p.IDs.New(id.Item)}
		for _, it := range w.Subscription.Items {
			if !it.OneTime {
				cmd.ItemID = it.ID
			}
		}
		out, err := l.do(l.portal(p), cmd)
		if err != nil || out != nil {
			return err
		}
	}
	switch {
	case l.rarely(0.1):
		return l.command(p, journal.Bind(cancelflow.Keep{Session: session}))
	case l.rarely(0.05):
		return nil // they close the page
	}
	return l.command(p, cancelflow.Complete{Session: session})
}
