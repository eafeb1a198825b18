package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"perennial/internal/billing"
	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

// cardTypes are the entries after which a failed payment may work: another payment method may be charged from now on.
var cardTypes = []journal.Name{journal.PaymentMethodAdded, journal.PaymentMethodUpdated, journal.PaymentMethodDefaultChanged, journal.PaymentMethodBackupSet, journal.SubscriptionPaymentMethodChanged,
	journal.SubscriptionBackupPaymentMethodChanged}

// newCards tries failed payments again at once when their customer has a new payment method since the last look. The first
// look is at everybody who is waited for; after that it is at the entries that came since. all is false when it has to be done again.
func (e *Engine) newCards(ctx context.Context, p *policy, cause map[id.ID]id.ID) (all bool, err error) {
	var found []store.Row
	if e.looked < 0 {
		found, err = query.Rows(ctx, e.s, query.List{Kind: journal.Subscription, Steady: true, Where: []query.Filter{query.Is(query.Status, subscription.Failed)}})
		found = slices.DeleteFunc(found, func(r store.Row) bool { return !r.State.(*subscription.Subscription).Recovery.NeedsCard })
	} else {
		found, err = e.concerned(ctx, cause)
	}
	if err != nil {
		return false, db.Fault(err)
	}
	confirming, err := e.confirming(ctx, cause)
	if err != nil {
		return false, db.Fault(err)
	}
	w := e.begin(ctx)
	for _, row := range confirming {
		if !w.do(func(ctx context.Context) error { return e.replace(ctx, row, p, cause) }, "order", row.State.(*billing.Order).ID) {
			break
		}
	}
	for _, row := range found {
		s := row.State.(*subscription.Subscription)
		retry := billing.RetryOrder{OrderID: s.Recovery.OrderID, AttemptID: e.p.IDs.New(id.BillingAttempt), Today: p.day, NewCard: true, Cause: cause[s.CustomerID]}
		if !w.do(func(ctx context.Context) error {
			if err := e.mayCharge(); err != nil {
				return err
			}
			out, err := e.do(ctx, journal.Bind(retry))
			if err != nil {
				return conflict(err)
			}
			return e.charge(ctx, out)
		}, "subscription", s.ID) {
			break
		}
	}
	errs, lost := w.wait()
	return !lost, errors.Join(errs...)
}

// concerned gives the failed subscriptions of the customers whose payment methods changed since the last look.
func (e *Engine) concerned(ctx context.Context, cause map[id.ID]id.ID) (rows []store.Row, err error) {
	for _, customer := range slices.Sorted(maps.Keys(cause)) {
		some, err := query.Rows(ctx, e.s, query.List{Kind: journal.Subscription, Steady: true, Where: []query.Filter{query.Is(query.Customer, customer), query.Is(query.Status, subscription.Failed)}})
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

// confirming gives the orders whose payment waits for the customer to confirm it: at the first look all, after that those of the
// customers.
func (e *Engine) confirming(ctx context.Context, customers map[id.ID]id.ID) (rows []store.Row, err error) {
	if e.looked < 0 {
		rows, err = query.Rows(ctx, e.s, query.List{Kind: journal.Order, Steady: true, Where: []query.Filter{query.Set(query.OpenAttempt)}})
	}
	for _, customer := range slices.Sorted(maps.Keys(customers)) {
		some, err := query.Rows(ctx, e.s, query.List{Kind: journal.Order, Steady: true, Where: []query.Filter{query.Is(query.Customer, customer), query.Set(query.OpenAttempt)}})
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return slices.DeleteFunc(rows, func(r store.Row) bool {
		a, open := billing.OpenAttempt(r.State.(*billing.Order))
		return !open || a.Status != billing.AttemptActionRequired
	}), err
}

// replace gives up a payment that waits for the customer to confirm it, and tries the customer's new payment method at once, if
// there is one. If it ends in between, the new one is tried at the next retry.
func (e *Engine) replace(ctx context.Context, row store.Row, p *policy, cause map[id.ID]id.ID) error {
	o := row.State.(*billing.Order)
	a, _ := billing.OpenAttempt(o)
	if fresh, err := billing.NewMethod(program.NewReader(ctx, e.s, e.s.Read), o); err != nil || !fresh {
		return err
	}
	if err := e.settle(ctx, o, a, row.LastSeq, replace); err != nil {
		return err
	}
	if err := e.mayCharge(); err != nil { // something may have come meanwhile
		return err
	}
	out, err := e.do(ctx, journal.Bind(billing.RetryOrder{OrderID: o.ID, AttemptID: e.p.IDs.New(id.BillingAttempt), Today: p.day, NewCard: true, Cause: cause[o.CustomerID]}))
	if err != nil {
		return conflict(err)
	}
	return e.charge(ctx, out)
}

// lastRecovery gives the last entry of a subscription's recovery, at or before a seq of its history: what a retry comes of.
func (e *Engine) lastRecovery(ctx context.Context, seq int64) (id.ID, error) {
	for st, err := range e.s.Chain(ctx, e.s.Read, store.Closed, seq) {
		if err != nil {
			return "", db.Fault(err)
		}
		if strings.HasPrefix(string(st.Type), "recovery.") {
			return st.ID, nil
		}
	}
	return "", nil
}
