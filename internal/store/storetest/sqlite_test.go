package storetest_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"

	"perennial/internal/db"
	"perennial/internal/store"
	"perennial/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	open := func(path string) (*sql.DB, error) {
		return sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	}
	storetest.Exercise(t, storetest.Engine{
		New:       func(t testing.TB) string { return filepath.Join(t.TempDir(), "perennial.db") },
		Open:      db.Open,
		Shell:     open,
		Owner:     open,
		Roles:     []string{""},
		Flushes:   map[string]string{`PRAGMA synchronous`: "2", `PRAGMA journal_mode`: "wal", `PRAGMA secure_delete`: "1"},
		Bytes:     func(digits string) string { return `x'` + digits + `'` },
		Tables:    `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`,
		Triggers:  `SELECT tbl_name || ' ' || name FROM sqlite_master WHERE type = 'trigger'`,
		Besides:   []string{"before_insert"},
		Refuses:   []string{"perennial: "},
		WaysRound: roundSQLite,
		Damage: []storetest.Damage{
			{Statement: `DROP TRIGGER event_before_update`, Found: mended("event_before_update")},
			{Statement: `DROP TRIGGER product_before_update`, Found: mended("product_before_update")},
			{Statement: `CREATE TRIGGER sneaky AFTER UPDATE ON head BEGIN SELECT 1; END`, Found: extra("sneaky")},
		},
	})
}

func mended(trigger string) func(*store.Plan) bool {
	return func(p *store.Plan) bool { return slices.Contains(p.Mended, trigger) }
}

func granted(table string) func(*store.Plan) bool {
	return func(p *store.Plan) bool { return slices.Contains(p.Grants, table) }
}

func extra(trigger string) func(*store.Plan) bool {
	return func(p *store.Plan) bool { return len(p.Extra) == 1 && p.Extra[0].Name == trigger }
}

// roundSQLite are the ways round the journal that only SQLite has words for.
func roundSQLite(x *storetest.Target) map[string]string {
	product, other := storetest.Quoted(x.Product), storetest.Quoted(x.Other)
	const columns = `shop_id, id, version, last_seq, schema_version, status, doc`
	const event = `shop_id, seq, recorded_at, type, target_kind, target_id, target_version, target_prev_seq, leaf_hash, body, boxes`
	return map[string]string{
		"replace a state": `REPLACE INTO product SELECT * FROM product WHERE id = ` + product,
		"replace by rowid": `INSERT OR REPLACE INTO product (rowid, ` + columns + `)
			SELECT rowid, shop_id, 'prod_new', version, last_seq, 1, status, doc FROM product WHERE id = ` + product,
		"upsert a state": `INSERT INTO product SELECT * FROM product WHERE id = ` + product + `
			ON CONFLICT (shop_id, id) DO UPDATE SET status = 'archived'`,
		"insert or ignore a state": `INSERT OR IGNORE INTO product (` + columns + `)
			SELECT shop_id, 'prod_new', 1, last_seq, 1, 'active', '{}' FROM product`,
		"update or replace a key":   `UPDATE OR REPLACE product SET id = ` + other + ` WHERE id = ` + product,
		"update or replace a rowid": `UPDATE OR REPLACE product SET rowid = (SELECT rowid FROM product WHERE id = ` + other + `) WHERE id = ` + product,
		"replace an event":          `REPLACE INTO event SELECT * FROM event WHERE seq = 3`,
		"replace an event by rowid": `INSERT OR REPLACE INTO event (rowid, ` + event + `)
			SELECT 3, shop_id, ` + storetest.Next + `, recorded_at, type, 'log', 'x', 1, NULL, leaf_hash, body, boxes FROM event WHERE seq = 3`,
		"replace a secret":    `REPLACE INTO secret SELECT * FROM secret`,
		"replace the head":    `REPLACE INTO head SELECT * FROM head`,
		"replace a tree node": `REPLACE INTO tree_node SELECT * FROM tree_node`,
	}
}
