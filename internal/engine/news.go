package engine

import (
	"context"
	"errors"
	"maps"
	"slices"

	"perennial/internal/billing"
	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

// endTypes are the entries after which a subscription may not wait any more for an order of its own that is not paid.
var endTypes = []journal.Name{
	journal.SubscriptionPaused, journal.SubscriptionCancelled, journal.SubscriptionExpired, journal.SubscriptionMerged, journal.SubscriptionRedacted,
	journal.SubscriptionOrderSkipped, journal.SubscriptionNextBillingDateChanged, journal.SubscriptionFrequencyChanged,
}

// news are the entries since the last look that lead to something.
type news struct {
	cards     map[id.ID]id.ID // by customer: the last of cardTypes
	ended     map[id.ID]id.ID // by subscription: the last of endTypes
	cancelled []id.ID         // orders: a payment that waits for the customer may still be open
}

const orderCancelled = journal.OrderCancelled

// read reads the entries up to head that came since the last look; none at the first, which looks at the states instead.
func (e *Engine) read(ctx context.Context, head int64) (news, error) {
	n := news{cards: map[id.ID]id.ID{}, ended: map[id.ID]id.ID{}}
	if e.looked < 0 {
		return n, nil
	}
	var texts []string
	for _, t := range slices.Concat(cardTypes, endTypes, []journal.Name{orderCancelled}) {
		texts = append(texts, `"type":"`+string(t)+`"`)
	}
	for st, err := range e.s.Walk(ctx, e.s.Read, store.Closed, store.Walk{From: e.looked + 1, To: head + 1, Containing: [][]string{texts}}) {
		if err != nil {
			return n, db.Fault(err)
		}
		switch i := slices.IndexFunc(st.Targets, func(r journal.Ref) bool { return r.Kind == journal.Customer }); {
		case st.Type == orderCancelled:
			n.cancelled = append(n.cancelled, st.Target().ID)
		case slices.Contains(endTypes, st.Type):
			n.ended[st.Target().ID] = st.ID
		case i >= 0 && slices.Contains(cardTypes, st.Type):
			n.cards[st.Targets[i].ID] = st.ID
		}
	}
	return n, nil
}

// closeStale closes the orders that nobody waits for any more: at the first look all, after that those of the subscriptions that
// entries since then may have ended. Nothing else does, and while such an order is pending it holds its pieces of the stock and asks for
// its money. A charge that waits for the customer is to be given up at once then, and so is that of an order that was cancelled. all is
// false when it has to be done again.
func (e *Engine) closeStale(ctx context.Context, news news) (all bool, err error) {
	ended := news.ended
	var rows []store.Row
	if e.looked < 0 {
		rows, err = query.Rows(ctx, e.s, query.List{Kind: journal.Order, Steady: true, Where: []query.Filter{query.Is(query.Status, billing.Pending)}})
	}
	for _, s := range slices.Sorted(maps.Keys(ended)) {
		some, lerr := query.Rows(ctx, e.s, query.List{Kind: journal.Order, Steady: true, Where: []query.Filter{query.Is(query.Subscription, s), query.Is(query.Status, billing.Pending)}})
		rows, err = append(rows, some...), errors.Join(err, lerr)
	}
	for _, o := range news.cancelled {
		row, lerr := e.s.Load(ctx, e.s.Read, journal.Ref{Kind: journal.Order, ID: o})
		if err = errors.Join(err, lerr); lerr == nil {
			rows = append(rows, row)
		}
	}
	if err != nil {
		return false, db.Fault(err)
	}
	w := e.begin(ctx)
	for _, row := range rows {
		o := row.State.(*billing.Order)
		if !w.do(func(ctx context.Context) error { return e.closeOne(ctx, o, ended[o.SubscriptionID]) }, "order", o.ID) {
			break
		}
	}
	errs, lost := w.wait()
	return !lost, errors.Join(errs...)
}

func (e *Engine) closeOne(ctx context.Context, o *billing.Order, cause id.ID) error {
	a, open := billing.OpenAttempt(o)
	if !open && o.Status != billing.Pending {
		return nil
	}
	row, err := e.s.Load(ctx, e.s.Read, journal.Ref{Kind: journal.Subscription, ID: o.SubscriptionID})
	if err != nil {
		return db.Fault(err)
	}
	s, ok := row.State.(*subscription.Subscription)
	if !ok {
		return nil
	}
	if open && a.Unwanted(o, s, e.p.Now()) {
		e.AskAgain(a.ID)
	}
	if !billing.Stale(o, s) {
		return nil
	}
	_, err = e.do(ctx, journal.Bind(billing.CloseStale{OrderID: o.ID, Cause: cause}))
	return conflict(err)
}
