package storetest_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"perennial/internal/db"
	"perennial/internal/store/storetest"
	"perennial/internal/test/pgtest"
)

func TestPostgres(t *testing.T) {
	storetest.Exercise(t, storetest.Engine{
		New:       pgtest.URL,
		Open:      db.OpenPostgres,
		Shell:     func(address string) (*sql.DB, error) { return sql.Open("pgx", address) },
		Owner:     func(address string) (*sql.DB, error) { return sql.Open("pgx", address) },
		Roles:     []string{"", "SET ROLE " + db.Role},
		Reset:     `RESET ROLE; RESET session_replication_role`,
		Flushes:   map[string]string{`SHOW synchronous_commit`: "on"},
		Bytes:     func(digits string) string { return `'\x` + digits + `'` },
		Tables:    `SELECT relname FROM pg_class c WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND NOT relispartition`,
		Triggers:  `SELECT c.relname || ' ' || t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal`,
		Besides:   []string{"before_truncate"},
		Refuses:   []string{"perennial: ", "_entry", "_pkey", "(SQLSTATE 42501)"}, // keys to the journal, primary keys, grants
		WaysRound: func(x *storetest.Target) map[string]string { return roundPostgres(t, x) },
		Damage: []storetest.Damage{
			{Statement: `DROP TRIGGER event_before_update ON event`, Found: mended("event_before_update")},
			{Statement: `ALTER TABLE product DISABLE TRIGGER product_before_update`, Found: mended("product_before_update")},
			{Statement: `ALTER TABLE product DROP CONSTRAINT product_entry`, Found: mended("product_entry")},
			{Statement: `CREATE OR REPLACE FUNCTION event_before_delete() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'`,
				Found: mended("event_before_delete")},
			{Statement: `GRANT UPDATE ON event TO perennial_app`, Found: granted("event")},
			{Statement: `GRANT SELECT ON event TO PUBLIC`, Found: granted("event")},
			{Statement: `CREATE TRIGGER sneaky BEFORE UPDATE ON head FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
				Found: extra("sneaky")},
		},
	})
}

// roundPostgres are the ways round the journal that only PostgreSQL has words for, and those that it refuses at the commit.
func roundPostgres(t *testing.T, x *storetest.Target) map[string]string {
	product, good, row := storetest.Quoted(x.Product), x.Good(), x.Row(x.Product)
	const (
		next    = storetest.Next
		replica = `SET session_replication_role = replica; `
		columns = "shop_id, id, version, last_seq, schema_version, status, doc"
		head    = `; UPDATE head SET seq = seq + 1`
		heads   = `; UPDATE head SET seq = seq + 2`
	)
	file := filepath.Join(pgtest.Process(t).Dir, "copied")
	return map[string]string{
		"update of the only view":       `UPDATE ONLY product SET status = 'archived'`,
		"merge":                         `MERGE INTO product p USING (SELECT 1) x ON p.id = ` + product + ` WHEN MATCHED THEN UPDATE SET status = 'archived'`,
		"update in a common expression": `WITH x AS (UPDATE product SET status = 'archived' RETURNING 1) SELECT * FROM x`,
		"truncate a state":              `TRUNCATE product`,
		"upsert a state": `INSERT INTO product (` + columns + `) SELECT ` + columns + ` FROM product WHERE id = ` + product + `
			ON CONFLICT (shop_id, id) DO UPDATE SET status = 'archived'`,
		"states as a replica":            replica + `UPDATE product SET status = 'archived'`,
		"update an event as a replica":   replica + `UPDATE event SET type = 'product.created' WHERE seq = 7`,
		"truncate the journal":           `TRUNCATE event CASCADE`,
		"truncate everything":            `TRUNCATE event, tree_node, checkpoint, head CASCADE`,
		"upsert an event":                `INSERT INTO event SELECT * FROM event WHERE seq = 3 ON CONFLICT (shop_id, seq) DO UPDATE SET body = ''`,
		"an event, and no head":          good,
		"an event and its row, no head":  good + "; " + row,
		"an older row after a new one":   good + `; ` + row + `; UPDATE product SET version = 3, last_seq = last_seq WHERE id = ` + product,
		"truncate secrets":               `TRUNCATE secret`,
		"other keys for the head":        `UPDATE head SET fingerprint = 'x'`,
		"truncate the head":              `TRUNCATE head`,
		"an event of a shop that is not": `INSERT INTO event SELECT 'shop_other', 0, recorded_at, type, target_kind, target_id, 1, NULL, leaf_hash, body, '' FROM event WHERE seq = 3`,
		"an event asked for at once":     `SET CONSTRAINTS ALL IMMEDIATE; ` + good,
		"an event asked for too early":   good + `; SET CONSTRAINTS ALL IMMEDIATE; ` + row + head,
		"an event in a savepoint":        `SAVEPOINT a; ` + good + `; RELEASE a`,
		"an event after the head":        good + `; ` + row + head + `; ` + x.Event(next, x.Product, "4", x.LastSeq()),
		"an event of a replica":          replica + good,
		"versions, and an older row": good + `; ` + x.Event(next, x.Product, "4", "(SELECT max(seq) FROM event)") + `;
			UPDATE product SET version = 3, last_seq = (SELECT max(seq) - 1 FROM event) WHERE id = ` + product + heads,
		"a chain to a later event": `INSERT INTO event
			SELECT e.shop_id, e.seq + n, e.recorded_at, e.type, 'product', ` + product + `, 5 - n, CASE n WHEN 1 THEN e.seq + 2 ELSE ` + x.LastSeq() + ` END,
				e.leaf_hash, e.body, ''
			FROM (SELECT * FROM event ORDER BY seq DESC LIMIT 1) e, generate_series(1, 2) n;
			UPDATE product SET version = 4, last_seq = (SELECT max(seq) - 1 FROM event) WHERE id = ` + product + heads,
		"a replica's row of no event": replica + `UPDATE product SET version = version + 1, last_seq = last_seq + 1, status = 'archived'
			WHERE id = ` + product,
		"a replica's row of an old one": replica + `UPDATE product SET version = version - 1, last_seq = last_seq - 1, status = 'archived'
			WHERE id = ` + product,
		"an observed row of a state": `INSERT INTO target_head (shop_id, kind, id, version, last_seq)
			SELECT shop_id, 'product', id, version, last_seq FROM product WHERE id = ` + product,
		"copy an event again": `COPY (SELECT * FROM event WHERE seq = 3) TO '` + file + `'; COPY event FROM '` + file + `'`,
		"copy a state again": `COPY (SELECT ` + columns + ` FROM product WHERE id = ` + product + `) TO '` + file + `';
			COPY product (` + columns + `) FROM '` + file + `'`,
	}
}
