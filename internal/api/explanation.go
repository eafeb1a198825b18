package api

import (
	"context"
	"slices"

	"perennial/internal/billing"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

type (
	explanationView struct {
		OrderID id.ID        `json:"order_id"`
		Number  string       `json:"number"`
		Total   money.Amount `json:"total"`
		Lines   []reasonView `json:"lines" nullable:"false"`
	}
	// reasonView is one line of an explanation.
	reasonView struct {
		Kind    billing.ReasonKind `json:"kind" enum:"plan,item,pricing,discount,delivery,tax,change,story"`
		Text    string             `json:"text" doc:"One plain sentence without personal values."`
		Amount  *money.Amount      `json:"amount" doc:"Its part of the total; those of an order add up to it."`
		About   maybeParty         `json:"about" doc:"The variant, discount, plan or payment method that it is about."`
		Actor   partyView          `json:"actor" doc:"Who brought it about."`
		At      journal.Time       `json:"at"`
		EventID id.ID              `json:"event_id" doc:"The entry that it rests on."`
	}
)

// explainOrder reads the histories of an order and of what it came of, and explains the order from them.
func (a *API) explainOrder(ctx context.Context, in *byID) (explanationView, error) {
	_, row, err := a.get(ctx, journal.Order, in.ID)
	if err != nil {
		return explanationView{}, err
	}
	o := row.State.(*billing.Order)
	reasons, err := Explain(ctx, a.Store, o)
	if err != nil {
		return explanationView{}, err
	}
	r := a.renderer(ctx)
	var events []store.Stored
	var about []journal.Ref
	for _, line := range reasons {
		events, about = append(events, store.Stored{Event: line.Event}), append(about, line.About)
	}
	if err := r.lookUp(events, about...); err != nil {
		return explanationView{}, err
	}
	if err := r.lookBack(events); err != nil {
		return explanationView{}, err
	}
	v := explanationView{OrderID: o.ID, Number: o.Number, Total: o.Total}
	for _, line := range reasons {
		l := reasonView{Kind: line.Kind, Text: line.Text, Amount: line.Amount, Actor: r.actor(line.Event.Actor, line.Event.Seq), At: journal.At(line.Event.RecordedAt), EventID: line.Event.ID}
		if line.About.ID != "" {
			l.About.party = new(r.party(party{string(line.About.Kind), string(line.About.ID)}, line.Event.Seq))
		}
		v.Lines = append(v.Lines, l)
	}
	return v, nil
}

// Explain says from the entries alone why an order costs what it costs, and what became of it.
func Explain(ctx context.Context, s *store.Store, o *billing.Order) ([]billing.Reason, error) {
	h := billing.History{Order: o}
	general, err := journal.Find[settings.General](program.NewReader(ctx, s, s.Read), journal.Settings, settings.PageGeneral)
	if err != nil {
		return nil, err
	}
	h.Zone = settings.Zone(general)
	if _, h.Of, err = history(ctx, s, o.Ref()); err != nil {
		return nil, err
	}
	sub, all, err := history(ctx, s, journal.Ref{Kind: journal.Subscription, ID: o.SubscriptionID})
	if err != nil {
		return nil, err
	}
	h.Subscription = all
	if _, h.Plan, err = history(ctx, s, journal.Ref{Kind: journal.SellingPlan, ID: sub.(*subscription.Subscription).SellingPlanID}); err != nil {
		return nil, err
	}
	if _, h.Billing, err = history(ctx, s, journal.Ref{Kind: journal.Settings, ID: settings.PageBilling}); err != nil {
		return nil, err
	}
	return billing.Explain(h)
}

// history gives a thing as it is and all entries about it as their primary target, oldest first; nothing for one that does
// not exist.
func history(ctx context.Context, s *store.Store, ref journal.Ref) (journal.State, []*journal.Event, error) {
	row, err := s.Load(ctx, s.Read, ref)
	if err != nil || row.State == nil {
		return nil, nil, err
	}
	var out []*journal.Event
	for st, err := range s.Chain(ctx, s.Read, store.Closed, row.LastSeq) {
		if err != nil {
			return nil, nil, err
		}
		out = append(out, st.Event)
	}
	slices.Reverse(out)
	return row.State, out, nil
}

// mostCauses is how far back a chain is followed. Those of the program itself are a few dozen at most.
const mostCauses = 200

// causes gives an entry, the one that caused it, the one that caused that, and so on back to the first.
func (a *API) causes(ctx context.Context, in *byID) ([]EventView, error) {
	chain, err := Causes(ctx, a.Store, id.ID(in.ID))
	if err != nil {
		return nil, err
	}
	return a.renderer(ctx).render(chain)
}

// Causes gives an entry and what led to it, the newest first.
func Causes(ctx context.Context, s *store.Store, key id.ID) (chain []store.Stored, err error) {
	for key != "" && len(chain) < mostCauses {
		st, err := s.EventByID(ctx, s.Read, store.Opened, key)
		if err != nil {
			return nil, store.Fault(err)
		}
		chain = append(chain, st)
		key = st.CausationID
		if shop, _, err := id.ParseEvent(string(key)); err != nil || shop != s.Shop {
			key = "" // what came from outside can name a cause that is no entry here
		}
	}
	return chain, nil
}
