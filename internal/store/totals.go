package store

import (
	"context"

	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Totals is what a customer's rows come to.
type Totals struct {
	Subscriptions int64 // in any status
	Orders        int64 // in any status
	Paid          int64 // minor units of the shop's currency, refunds taken off
}

// Totals adds up a customer's subscriptions and orders.
func (s *Store) Totals(ctx context.Context, q db.Querier, customer id.ID) (t Totals, err error) {
	err = q.QueryRowContext(ctx,
		`SELECT (SELECT count(*) FROM subscription WHERE shop_id = $1 AND customer_id = $2), count(*), CAST(coalesce(sum(paid), 0) AS BIGINT)
		FROM "order" WHERE shop_id = $1 AND customer_id = $2`, s.Shop, customer).Scan(
		&t.Subscriptions,
		&t.Orders,
		&t.Paid,
	)
	return t, db.Fault(err)
}

// Count counts the rows of a kind. where is SQL as for List, without an order.
func (s *Store) Count(ctx context.Context, q db.Querier, kind journal.Kind, where string, args ...any) (n int64, err error) {
	err = q.QueryRowContext(
		ctx,
		`SELECT count(*) FROM `+quoted(kind)+` WHERE shop_id = $1 AND `+where,
		append([]any{s.Shop}, args...)...).Scan(
		&n,
	)
	return n, db.Fault(err)
}
