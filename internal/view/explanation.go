package view

import (
	"context"
	"slices"

	"perennial/internal/billing"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

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
