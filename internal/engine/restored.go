package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"perennial/internal/billing"
	"perennial/internal/db"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/payment"
	"perennial/internal/program"
	"perennial/internal/store"
)

// restoredFor is for how long after a shop went on from a restored database each new charge is asked about first.
const restoredFor = 60 * 24 * time.Hour

// may says whether anything may be charged. Before the first charge after something held charges up, and after a start, it asks the
// gateway for what it moved since the copy was made that the shop went on from.
func (e *Engine) may(ctx context.Context) error {
	if err := e.mayCharge(); err != nil {
		e.asked = false
		return err
	}
	if e.asked {
		return nil
	}
	last, err := e.lastRestore(ctx)
	if err != nil {
		return err
	}
	if last != nil {
		if err := e.recall(ctx, last); err != nil {
			return err
		}
	}
	e.asked = true
	return nil
}

// lastRestore gives the newest word that the shop goes on from a restored database, nil when there is none or it is long ago.
func (e *Engine) lastRestore(ctx context.Context) (*journal.Event, error) {
	row, err := e.s.Load(ctx, e.s.Read, journal.Ref{Kind: journal.Shop, ID: e.s.Shop})
	if err != nil || row.Version == 0 {
		return nil, db.Fault(err)
	}
	for st, err := range e.s.Chain(ctx, e.s.Read, store.Closed, row.LastSeq) {
		switch {
		case err != nil:
			return nil, db.Fault(err)
		case st.RecordedAt.Before(e.p.Now().Add(-restoredFor)):
			return nil, nil
		case st.Type == observe.RestoreAccepted:
			return st.Event, nil
		}
	}
	return nil, nil
}

// recall notes the charges that the gateway made since the copy, by what they paid: the database has lost them.
func (e *Engine) recall(ctx context.Context, restore *journal.Event) error {
	said, err := observe.ReadRestore(restore)
	if err != nil {
		return err
	}
	lost := map[string][]payment.Movement{}
	if books, ok := e.g.(payment.Lister); ok {
		for m, err := range books.Movements(ctx, said.Since.Add(-time.Hour), e.p.Now().Add(time.Hour)) { // our clock and theirs may differ
			if err != nil {
				return err
			}
			if paid := e.paidBy(m.Key); m.Kind == payment.MovedCharge && paid != "" {
				lost[paid] = append(lost[paid], m)
			}
		}
	}
	e.lost, e.restored = lost, true
	e.log.Warn("the shop went on from a restored database: the gateway was asked for what it charged since", "since", said.Since, "charged", len(lost),
		"paid", slices.Sorted(maps.Keys(lost)))
	return nil
}

// Unknown counts the charges that the gateway made for this shop since a time and that the database knows nothing of, and gives the
// first. An attempt is in the database before the gateway hears of it, so there is none unless the database is an older copy.
func (e *Engine) Unknown(ctx context.Context, since time.Time) (n int64, first payment.Movement, err error) {
	books, ok := e.g.(payment.Lister)
	if !ok {
		return 0, first, nil
	}
	for m, err := range books.Movements(ctx, since, e.p.Now().Add(time.Hour)) {
		if err != nil {
			return n, first, err
		}
		if m.Kind != payment.MovedCharge || e.paidBy(m.Key) == "" {
			continue
		}
		o, err := journal.Find[billing.Order](program.NewReader(ctx, e.s, e.s.Read), journal.Order, m.OrderID)
		if err != nil {
			return n, first, err
		}
		if o != nil {
			if _, known := billing.Named(o, e.s.Shop, m.Key); known {
				continue
			}
		}
		if n++; n == 1 || m.At.Before(first.At) {
			first = m
		}
	}
	return n, first, nil
}

// paidBy is what a charge was for, of its idempotency key: all but the ordinal of the attempt. Empty: the key does not say it.
func (e *Engine) paidBy(key string) string {
	rest, ok := strings.CutPrefix(key, string(e.s.Shop)+"_")
	n := strings.LastIndexByte(rest, '_')
	if !ok || n < 0 {
		return ""
	}
	return rest[:n]
}

// recalled gives the result of an attempt to charge what the gateway has charged already, before the database was restored. It is an
// error where that was another amount: somebody has to look at it.
func (e *Engine) recalled(a billing.Attempt) (result payment.ChargeResult, charged bool, err error) {
	paid := e.lost[e.paidBy(a.GatewayKey(e.s.Shop))]
	for _, m := range paid {
		if m.Amount == a.Amount {
			return payment.ChargeResult{GatewayID: m.GatewayID, Status: payment.Succeeded}, true, nil
		}
	}
	if len(paid) > 0 {
		err = fmt.Errorf("%w: before the database was restored, %s was taken for it (%s)", errOpen, paid[0].Amount, paid[0].GatewayID)
	}
	return payment.ChargeResult{}, false, err
}
