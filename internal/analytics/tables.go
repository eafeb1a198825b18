package analytics

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"perennial/internal/db"
)

// formatVersion counts changes of the tables and of the rules: figures of another version are counted anew.
const formatVersion = 2

// tables are where the sums are, in PostgreSQL by a migration, otherwise in a file of their own.
var tables = []string{"rollup", "rollup_entry", "rollup_state", "rollup_reason", "rollup_followed"}

// schema gives the statements that make the tables of a file.
func schema() []string {
	var out []string
	for _, t := range tables {
		out = append(out, `DROP TABLE IF EXISTS `+t)
	}
	return append(out,
		// What the facts of a day add up to. Of the figure due it is a day to come.
		`CREATE TABLE rollup (
			shop_id  TEXT NOT NULL,
			product  TEXT NOT NULL,
			figure   TEXT NOT NULL,
			day      TEXT NOT NULL,
			currency TEXT NOT NULL,
			count    INTEGER NOT NULL,
			amount   INTEGER NOT NULL,
			PRIMARY KEY (shop_id, product, figure, day, currency)
		) STRICT, WITHOUT ROWID`,
		// The facts themselves, for whoever asks what is behind a figure.
		`CREATE TABLE rollup_entry (
			shop_id         TEXT NOT NULL,
			product         TEXT NOT NULL,
			figure          TEXT NOT NULL,
			day             TEXT NOT NULL,
			seq             INTEGER NOT NULL,
			subscription_id TEXT NOT NULL,
			currency        TEXT NOT NULL,
			count           INTEGER NOT NULL,
			amount          INTEGER NOT NULL,
			PRIMARY KEY (shop_id, product, figure, day, seq, subscription_id)
		) STRICT, WITHOUT ROWID`,
		// What is known of a subscription (body, and due: its orders to come until covered) or of a plan (body).
		`CREATE TABLE rollup_state (
			shop_id TEXT NOT NULL,
			id      TEXT NOT NULL,
			plan_id TEXT NOT NULL,
			covered TEXT NOT NULL,
			body    TEXT NOT NULL,
			due     TEXT NOT NULL,
			PRIMARY KEY (shop_id, id)
		) STRICT`,
		`CREATE INDEX rollup_state_covered ON rollup_state (shop_id, covered, id)`,
		`CREATE INDEX rollup_state_plan ON rollup_state (shop_id, plan_id, id)`,
		`CREATE TABLE rollup_reason (
			shop_id         TEXT NOT NULL,
			seq             INTEGER NOT NULL,
			subscription_id TEXT NOT NULL,
			mac             BLOB NOT NULL,
			PRIMARY KEY (shop_id, seq)
		) STRICT`,
		`CREATE INDEX rollup_reason_subscription ON rollup_reason (shop_id, subscription_id)`,
		`CREATE TABLE rollup_followed (
			shop_id   TEXT NOT NULL,
			next      INTEGER NOT NULL,
			leaf_hash BLOB NOT NULL,
			version   INTEGER NOT NULL,
			day       TEXT NOT NULL,
			zone      TEXT NOT NULL,
			PRIMARY KEY (shop_id)
		) STRICT`,
		fmt.Sprintf(`PRAGMA user_version = %d`, formatVersion))
}

// insertRows inserts rows, some with one statement. tail is what follows the values.
func (a *Analytics) insertRows(ctx context.Context, tx *sql.Tx, into, tail string, rows [][]any) error {
	most := 16 // SQLite looks for each parameter among all of its statement
	if a.d.Load().Engine == db.Postgres {
		most = 200
	}
	for len(rows) > 0 {
		n := min(most, len(rows))
		stmt, err := tx.PrepareContext(ctx, insertText(into, tail, n, len(rows[0])))
		if err != nil {
			return err
		}
		for err == nil && len(rows) >= n {
			_, err = stmt.ExecContext(ctx, slices.Concat(rows[:n]...)...)
			if rows = rows[n:]; len(rows) == 0 {
				break
			}
		}
		if err = errors.Join(err, stmt.Close()); err != nil { //nolint:sqlclosecheck // in a loop
			return err
		}
	}
	return nil
}

// insertText is the statement for some rows of a width.
func insertText(into, tail string, rows, width int) string {
	var text strings.Builder
	text.WriteString(`INSERT INTO ` + into + ` VALUES `)
	for i := range rows {
		if i > 0 {
			text.WriteString(`, `)
		}
		text.WriteString(`(` + db.Placeholders(i*width+1, width) + `)`)
	}
	return text.String() + tail
}

// cell is the place of a sum.
type cell struct {
	product, figure, day, currency string
}

// sum is what is in a cell.
type sum struct{ count, amount int64 }

// addSums adds to the sums of days.
func (a *Analytics) addSums(ctx context.Context, tx *sql.Tx, sums map[cell]sum) error {
	rows := make([][]any, 0, len(sums))
	for c, s := range sums {
		if s != (sum{}) {
			rows = append(rows, []any{a.s.Shop, c.product, c.figure, c.day, c.currency, s.count, s.amount})
		}
	}
	return a.insertRows(ctx, tx, `rollup (shop_id, product, figure, day, currency, count, amount)`,
		` ON CONFLICT (shop_id, product, figure, day, currency) DO UPDATE SET count = rollup.count + excluded.count, amount = rollup.amount + excluded.amount`, rows)
}
