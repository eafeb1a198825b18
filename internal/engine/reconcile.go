package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/store"
)

// The days whose books are compared: each on comparedDays days, so that late results are there, and again while a difference is open. Of
// what is further back than comparedBack days the gateway is not asked any more.
const (
	comparedDays = 3
	comparedBack = 60
)

// walkedAtOnce is over how many entries one reading goes. Few of them are about money: a reading that looked for a page full of
// those would hold its snapshot for as long as it takes.
const walkedAtOnce = 20_000

// reconcileLease is for how long one process has the comparison to itself.
const reconcileLease = time.Hour

// Reconcile holds the orders against what the gateway says that it moved, once a day. A charge of ours that has no result here gets
// it; what else differs becomes an entry of the order. It may be called as often as one likes.
func (e *Engine) Reconcile(ctx context.Context) (err error) {
	books, ok := e.g.(payment.Lister)
	if !ok {
		return nil
	}
	if err := e.Gate.Ask(gate.Compare); err != nil {
		return err
	}
	general, err := journal.Find[settings.General](program.NewReader(ctx, e.s, e.s.Read), journal.Settings, settings.PageGeneral)
	if err != nil || general == nil {
		return err
	}
	today, zone := settings.Today(general, e.p.Now()), settings.Zone(general)
	if e.compared == today {
		return nil
	}
	if ours, err := e.s.Lease(ctx, store.Reconciliation, e.holder, reconcileLease); err != nil || !ours {
		return err
	}
	defer func() { // it ends now
		_, lost := e.s.Lease(context.WithoutCancel(ctx), store.Reconciliation, e.holder, 0)
		err = errors.Join(err, lost)
	}()
	last, err := e.lastReconciled(ctx)
	if err != nil {
		return err
	}
	if last.To != today.AddDays(-1) {
		if err := e.compare(ctx, books, today, zone, last); err != nil {
			return err
		}
	}
	e.compared = today
	return nil
}

// lastReconciled reads the last comparison; zero if there was none.
func (e *Engine) lastReconciled(ctx context.Context) (d billing.ReconciledDetails, err error) {
	row, err := e.s.Load(ctx, e.s.Read, journal.Ref{Kind: journal.Shop, ID: e.s.Shop})
	if err != nil || row.Version == 0 {
		return d, db.Fault(err)
	}
	for st, err := range e.s.Chain(ctx, e.s.Read, store.Closed, row.LastSeq) {
		if err != nil {
			return d, db.Fault(err)
		}
		if st.Type == journal.BillingReconciled {
			return billing.ReadReconciled(st.Event)
		}
	}
	return d, nil
}

func (e *Engine) compare(ctx context.Context, gateway payment.Lister, today civil.Date, zone *time.Location, last billing.ReconciledDetails) error {
	first, err := e.begins(ctx, today, zone, last)
	if err != nil {
		return err
	}
	reach := func(at journal.Time) {
		if day := civil.Of(at.Time, zone); day.Before(first) && !day.Before(today.AddDays(-comparedBack)) {
			first = day
		}
	}
	for _, s := range last.Strays {
		reach(s.At)
	}
	if err := e.differing(ctx, today.AddDays(-comparedBack-1).At(0, 0, zone), reach); err != nil {
		return err
	}
	from, to := first.At(0, 0, zone), today.At(0, 0, zone)
	done := billing.Reconciled{Shop: e.s.Shop, From: first, To: today.AddDays(-1)}
	orders, err := e.booked(ctx, gateway, from, to, &done)
	if err != nil {
		return err
	}
	if len(orders) == 0 && done.Foreign == 0 && last.Open == 0 {
		return nil // no money moved, here or there: there is nothing to tell
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(orders)) {
		if err := e.Gate.Ask(gate.Compare); err != nil {
			return err
		}
		open, err := e.reconcile(ctx, key, orders[key])
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && fault.As(err).Kind == fault.NotFound:
			strays := billing.Strays(key, orders[key])
			done.Strays = append(done.Strays, strays...)
			done.Open += len(strays)
		case err != nil:
			errs = append(errs, err)
		case open > 0:
			done.Open += open
			done.Orders = append(done.Orders, key)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...) // it is done again
	}
	if err := e.Gate.Ask(gate.Compare); err != nil {
		return err
	}
	// An entry names those that reach furthest back.
	slices.SortStableFunc(done.Strays, func(x, y billing.Stray) int { return x.At.Compare(y.At.Time) })
	_, err = e.do(ctx, journal.Bind(done))
	return err
}

// begins gives the first day to compare: no day since the last comparison is left out, and the days of it that late results may have
// changed come again.
func (e *Engine) begins(ctx context.Context, today civil.Date, zone *time.Location, last billing.ReconciledDetails) (civil.Date, error) {
	since := last.To.AddDays(2 - comparedDays)
	if last.To.IsZero() { // the shop's first comparison begins with the shop
		for st, err := range e.s.Walk(ctx, e.s.Read, store.Closed, store.Walk{To: 1}) {
			if err != nil {
				return since, db.Fault(err)
			}
			since = civil.Of(st.RecordedAt, zone)
		}
	}
	first := today.AddDays(-comparedDays)
	if since.Before(first) {
		first = since
	}
	if back := today.AddDays(-comparedBack); first.Before(back) {
		first = back
	}
	return first, nil
}

// differing says when the money moved in each difference that is still open, of those that were found since a time.
func (e *Engine) differing(ctx context.Context, since time.Time, reach func(journal.Time)) error {
	seen := map[id.ID]bool{}
	return e.walk(ctx, since, e.p.Now().Add(time.Hour), []string{`"billing.difference_found"`}, func(ref journal.Ref) error {
		if ref.Kind != journal.Order || seen[ref.ID] {
			return nil
		}
		seen[ref.ID] = true
		o, err := journal.Find[billing.Order](program.NewReader(ctx, e.s, e.s.Read), journal.Order, ref.ID)
		if err != nil || o == nil {
			return err
		}
		for _, d := range o.Differences {
			reach(d.At)
		}
		return nil
	})
}

// walk gives what the entries of some time are about that hold one of some texts, in readings that end soon.
func (e *Engine) walk(ctx context.Context, from, to time.Time, holding []string, do func(journal.Ref) error) error {
	begin, err := e.s.SeqAt(ctx, e.s.Read, from)
	if err != nil {
		return db.Fault(err)
	}
	end, err := e.s.SeqAt(ctx, e.s.Read, to)
	if err != nil {
		return db.Fault(err)
	}
	for ; begin < end; begin += walkedAtOnce {
		if err := e.Gate.Ask(gate.Compare); err != nil {
			return err
		}
		part := store.Walk{From: begin, To: min(begin+walkedAtOnce, end), Containing: [][]string{holding}}
		for st, err := range e.s.Walk(ctx, e.s.Read, store.Closed, part) {
			if err != nil {
				return db.Fault(err)
			}
			if err := do(st.Target()); err != nil {
				return err
			}
		}
	}
	return nil
}

// booked gives the books of each order that either side says money moved for.
func (e *Engine) booked(ctx context.Context, gateway payment.Lister, from, to time.Time, done *billing.Reconciled) (map[id.ID]billing.Books, error) {
	orders := map[id.ID]billing.Books{}
	for m, err := range gateway.Movements(ctx, from.Add(-time.Hour), to.Add(time.Hour)) { // our clock and theirs may differ
		if err != nil {
			return nil, err
		}
		if m.OrderID == "" {
			done.Foreign++
			continue
		}
		b := orders[m.OrderID]
		moved := billing.Moved{ID: m.GatewayID, Key: m.Key, ChargeID: m.ChargeID, Amount: m.Amount, At: m.At}
		count := 0
		if !m.At.Before(from) && m.At.Before(to) {
			count = 1
		}
		if m.Kind == payment.MovedCharge {
			b.Charges = append(b.Charges, moved)
			done.Charges += count
		} else {
			b.Refunds = append(b.Refunds, moved)
			done.Refunds += count
		}
		orders[m.OrderID] = b
	}
	booked := []string{`"billing_attempt.succeeded"`, `"order.refund_completed"`, `"billing.difference_found"`}
	err := e.walk(ctx, from, to, booked, func(ref journal.Ref) error {
		if _, known := orders[ref.ID]; !known && ref.Kind == journal.Order {
			orders[ref.ID] = billing.Books{} // the gateway knows nothing
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for key, b := range orders {
		b.From, b.To = from, to
		orders[key] = b
	}
	return orders, e.adopt(ctx, orders)
}

// adopt finds the orders that were paid by charges for orders which a database that was put back does not have: the key of such a
// charge says what it paid.
func (e *Engine) adopt(ctx context.Context, orders map[id.ID]billing.Books) error {
	for _, lost := range slices.Sorted(maps.Keys(orders)) {
		b := orders[lost]
		row, err := e.s.Load(ctx, e.s.Read, journal.Ref{Kind: journal.Order, ID: lost})
		if err != nil {
			return db.Fault(err)
		}
		if row.State != nil {
			continue
		}
		for _, m := range b.Charges {
			o, err := e.orderOf(ctx, m.Key)
			if err != nil {
				return err
			}
			if o == nil {
				continue
			}
			mine := orders[o.ID]
			mine.From, mine.To = b.From, b.To
			mine.Charges, mine.Refunds = append(mine.Charges, b.Charges...), append(mine.Refunds, b.Refunds...)
			orders[o.ID] = mine
			delete(orders, lost)
			break
		}
	}
	return nil
}

// orderOf gives the order that has an attempt with a gateway's idempotency key; nil where there is none.
func (e *Engine) orderOf(ctx context.Context, key string) (*billing.Order, error) {
	sub := billing.KeySubscription(e.s.Shop, key)
	if sub == "" {
		return nil, nil
	}
	rows, err := query.Rows(ctx, e.s, query.List{Kind: journal.Order, Steady: true, Where: []query.Filter{query.Is(query.Subscription, sub)}})
	if err != nil {
		return nil, db.Fault(err)
	}
	for _, r := range rows {
		if o := r.State.(*billing.Order); o != nil {
			if _, ok := billing.Named(o, e.s.Shop, key); ok {
				return o, nil
			}
		}
	}
	return nil, nil
}

// reconcile holds one order against its books, and says how many differences it has.
func (e *Engine) reconcile(ctx context.Context, key id.ID, b billing.Books) (int, error) {
	o, err := journal.Get[billing.Order](program.NewReader(ctx, e.s, e.s.Read), journal.Order, key)
	if err != nil {
		return 0, err
	}
	for i, m := range b.Charges {
		a, _ := billing.Named(o, e.s.Shop, m.Key)
		b.Charges[i].Attempt = a.ID
	}
	unsettled := billing.Unsettled(o, b)
	for _, m := range unsettled {
		_, err := e.do(ctx, journal.Bind(billing.FinishAttempt{OrderID: key, AttemptID: m.Attempt, Result: billing.Succeeded, GatewayID: m.ID, BackupAttemptID: e.p.IDs.New(id.BillingAttempt)}))
		if err != nil {
			return 0, err
		}
	}
	for _, a := range billing.Unconfirmed(o, b) {
		result, found, err := e.lookUp(ctx, o, a, "")
		if err != nil && !errors.Is(err, errOpen) {
			return 0, err
		}
		if found && result.Status == payment.Succeeded {
			b.Confirmed = append(b.Confirmed, a.ID)
		}
	}
	if len(unsettled) == 0 && len(o.Differences) == 0 && len(billing.Differ(o, b)) == 0 {
		return 0, nil
	}
	out, err := e.do(ctx, journal.Bind(billing.Reconcile{OrderID: key, Books: b}))
	if err != nil {
		return 0, err
	}
	if row, ok := out.Row(o.Ref()); ok {
		o = row.State.(*billing.Order)
	}
	open := 0
	for _, d := range o.Differences {
		if !d.At.Before(b.From) {
			open++
		}
	}
	return open, nil
}
