package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
)

// table is a table of subscriptions in PostgreSQL and nothing of ours: each change is one UPDATE, committed by itself. With
// audit, the customary trigger keeps the row before and after.
type table struct {
	pool  *pgxpool.Pool
	audit bool
	made  atomic.Int64
}

// connections are shared by the callers, as behind a pooler. More make it slower on a machine of a few cores.
const connections = 64

// wide is what a subscription has beside the columns that are changed here: with it a row has about the bytes that Perennial's
// has.
const wide = `{"items": [{"id": "item_01k6eh3600fb6bc0zaj7jrx7ej", "product_id": "prod_01k6eh3600fb6bc0z6jbdhjf6n", "variant_id": "var_01k6eh3600fb6bc0z6je8ecz3e", "title": "Roast", "quantity": 1,
	"unit_price": {"amount": 1450, "currency": "USD"}, "one_time": false}], "billing_policy": {"interval": "month", "interval_count": 1, "anchor_day": null, "max_cycles": null}, "delivery_policy": null,
	"anchor_date": "2028-09-15", "position": 0, "cycle": 0, "next_billing_date": "2028-09-15", "moved_from": null, "moved_to": null, "last_billing_date": null, "paused_until": null, "skipped_dates": [],
	"shipping_address_id": "addr_01k6eh3600fb6bc0z6jkpwg5h3", "payment_method_id": "pm_01k6eh3600fb6bc0z6jpy1xvfv", "backup_payment_method_id": "", "discounts": [], "recovery": null, "extra_orders": 0,
	"cancelled_at": null, "merged_into": "", "created_at": "2025-10-01T00:00:00.000000Z"}`

const tableText = `
	CREATE TABLE subscription (
		id bigint PRIMARY KEY, name text NOT NULL, status text NOT NULL, delivery_price bigint NOT NULL, currency text NOT NULL,
		version bigint NOT NULL, updated_by text NOT NULL, document jsonb, updated_at timestamptz NOT NULL DEFAULT now());
	CREATE TABLE product (id bigint PRIMARY KEY, description text NOT NULL, updated_by text NOT NULL);
	INSERT INTO product VALUES (1, '', '');`

// The trigger and its table are what people write by hand or take from a recipe. The indexes are what the three questions and
// a look at a day need.
const auditText = `
	CREATE TABLE audit (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, table_name text NOT NULL, row_id text NOT NULL, action text NOT NULL,
		actor text NOT NULL, changed_at timestamptz NOT NULL DEFAULT now(), old_row jsonb, new_row jsonb);
	CREATE INDEX audit_row ON audit (table_name, row_id, id);
	CREATE INDEX audit_actor ON audit (actor, id);
	CREATE INDEX audit_changed ON audit (changed_at);
	CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO audit (table_name, row_id, action, actor, old_row, new_row)
		VALUES (TG_TABLE_NAME, NEW.id::text, TG_OP, NEW.updated_by, to_jsonb(OLD), to_jsonb(NEW));
		RETURN NULL;
	END $$;
	CREATE TRIGGER subscription_keep AFTER UPDATE ON subscription FOR EACH ROW EXECUTE FUNCTION keep();
	CREATE TRIGGER product_keep AFTER UPDATE ON product FOR EACH ROW EXECUTE FUNCTION keep();`

// openTable makes the tables. document is what a row has beside its few columns; nil: nothing.
func openTable(ctx context.Context, url string, audit bool, document *string) (_ peer, err error) { //nolint:revive // two peers, one difference
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = connections
	t := &table{audit: audit}
	if t.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, err
	}
	text := tableText
	if audit {
		text += auditText
	}
	if _, err = t.pool.Exec(ctx, text); err == nil {
		_, err = t.pool.Exec(ctx, `INSERT INTO subscription SELECT n, 'sub_' || lpad(n::text, 24, '0'), 'active', 0, 'USD', 1, '', $2 FROM generate_series(0, $1 - 1) n`, subjects, document)
	}
	return t, err
}

// Fill implements peer. The rows of the audit table are made at once, as the trigger would have made them.
func (t *table) Fill(ctx context.Context, entries int64) error {
	if t.audit {
		if _, err := t.pool.Exec(ctx, `
			INSERT INTO audit (table_name, row_id, action, actor, changed_at, old_row, new_row)
			SELECT CASE WHEN n % $2 = 1 THEN 'product' ELSE 'subscription' END, CASE WHEN n % $2 = 1 THEN '1' ELSE (n % $3)::text END, 'UPDATE', 'upkeep-' || lpad((random() * $4)::int::text, 2, '0'),
				$5::timestamptz + n * $6 * interval '1 second',
				jsonb_set(to_jsonb(s), '{delivery_price}', to_jsonb(n % 100000)), jsonb_set(to_jsonb(s), '{delivery_price}', to_jsonb((n + 1) % 100000))
			FROM generate_series((SELECT count(*) FROM audit) + 1, $1) n JOIN subscription s ON s.id = n % $3 ORDER BY n`,
			entries, rarely, subjects, actors-1, began, pause.Seconds()); err != nil {
			return err
		}
	}
	for _, text := range []string{`VACUUM ANALYZE`, `CHECKPOINT`} {
		if _, err := t.pool.Exec(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// Writer implements peer.
func (t *table) Writer(_ context.Context, callers int) (func(context.Context, int, int) error, func() error, error) {
	return func(ctx context.Context, caller, n int) error {
		tag, err := t.pool.Exec(ctx, `UPDATE subscription SET delivery_price = $2, version = version + 1, updated_by = $3, updated_at = now() WHERE id = $1`,
			subject(callers, caller, n), t.made.Add(1)%100_000, actorName(n))
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("%d rows were updated", tag.RowsAffected())
		}
		return err
	}, func() error { return nil }, nil
}

// Read implements peer.
func (t *table) Read(ctx context.Context, q question) (found int, err error) {
	where, args := "table_name = 'subscription' AND row_id = $1", []any{fmt.Sprint(q.subject)}
	switch q.kind {
	case ofRare:
		where, args = "table_name = 'product'", nil
	case ofActor:
		where, args = "actor = $1 AND changed_at < $2", []any{actorName(q.actor), q.before}
	}
	rows, err := t.pool.Query(ctx, fmt.Sprintf(`SELECT id, table_name, row_id, action, actor, changed_at, old_row::text, new_row::text FROM audit WHERE %s ORDER BY id DESC LIMIT %d`, where, q.limit()), args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		found++
		if _, err := rows.Values(); err != nil {
			return found, err
		}
	}
	return found, rows.Err()
}

// Close implements peer.
func (t *table) Close() error {
	t.pool.Close()
	return nil
}
