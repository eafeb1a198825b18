package program_test

import (
	"path/filepath"
	"strings"
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/team"
	"perennial/internal/test/pgtest"
	"perennial/internal/test/shop"
)

// What PostgreSQL refuses, the superuser as well as the server's role: by triggers, by primary keys and those to the journal, by grants.
func TestPostgresRefusesEveryWayRound(t *testing.T) {
	if shop.Engine() != db.Postgres {
		t.Skip("about PostgreSQL; program_test.go has SQLite's ways")
	}
	s := shop.Open(t)
	key, c := product(s, "Coffee")
	s.Do(c)
	other, c := product(s, "Tea")
	s.Do(c)
	title := "Espresso"
	s.Do(journal.Bind(catalog.UpdateProduct{ID: key, Title: &title}))
	k := s.IDs.New(id.APIKey)
	s.Do(journal.Bind(team.CreateKey{ID: k, Name: "Key", Permissions: []team.Permission{team.ProductsView}, Hash: make([]byte, 32), Actor: shop.System.Actor}))
	if _, err := s.Program.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := raw(t, s)
	ev := func(seq, kind, target, version, prev string) string {
		return `INSERT INTO event (shop_id, seq, recorded_at, type, target_kind, target_id, target_version, target_prev_seq, leaf_hash, body, boxes)
			SELECT shop_id, ` + seq + `, recorded_at, 'product.updated', ` + kind + `, ` + target + `, ` + version + `, ` + prev + `, leaf_hash, body, '' FROM event ORDER BY seq DESC LIMIT 1`
	}
	q := func(v id.ID) string { return "'" + string(v) + "'" }
	const next = "(SELECT max(seq) + 1 FROM event)"
	const columns = "shop_id, id, version, last_seq, schema_version, status, doc"
	last := "(SELECT last_seq FROM product WHERE id = " + q(key) + ")"
	good := ev(next, "'product'", q(key), "3", last)
	row := `UPDATE product SET version = 3, last_seq = (SELECT max(seq) FROM event) WHERE id = `
	head := `; UPDATE head SET seq = seq + 1`
	file := filepath.Join(pgtest.Process(t).Dir, "copied")
	for name, text := range map[string]string{
		"update a state":                 `UPDATE product SET status = 'archived' WHERE id = ` + q(key),
		"bulk update":                    `UPDATE product SET doc = replace(doc, 'Coffee', 'Cocoa')`,
		"update with a higher version":   `UPDATE product SET version = version + 1, last_seq = last_seq + 1 WHERE id = ` + q(key),
		"update that keeps last_seq":     `UPDATE product SET version = version + 1, doc = '{}' WHERE id = ` + q(key),
		"update with another's event":    `UPDATE product SET version = version + 1, last_seq = last_seq + 100 WHERE id = ` + q(key),
		"update of the key":              `UPDATE product SET id = 'prod_new' WHERE id = ` + q(key),
		"update of the shop":             `UPDATE product SET shop_id = 'shop_other'`,
		"update of the only view":        `UPDATE ONLY product SET status = 'archived'`,
		"merge":                          `MERGE INTO product p USING (SELECT 1) x ON p.id = ` + q(key) + ` WHEN MATCHED THEN UPDATE SET status = 'archived'`,
		"update in a common expression":  `WITH x AS (UPDATE product SET status = 'archived' RETURNING 1) SELECT * FROM x`,
		"delete a state":                 `DELETE FROM product WHERE id = ` + q(key),
		"truncate a state":               `TRUNCATE product`,
		"upsert a state":                 `INSERT INTO product (` + columns + `) SELECT ` + columns + ` FROM product WHERE id = ` + q(key) + ` ON CONFLICT (shop_id, id) DO UPDATE SET status = 'archived'`,
		"insert a state of an old event": `INSERT INTO product (` + columns + `) SELECT shop_id, 'prod_new', 1, last_seq, 1, 'active', '{}' FROM product LIMIT 1`,
		"states as a replica":            `SET session_replication_role = replica; UPDATE product SET status = 'archived'`,
		"update an event":                `UPDATE event SET body = replace(body, 'Coffee', 'Cocoa')`,
		"update an event as a replica":   `SET session_replication_role = replica; UPDATE event SET type = 'product.created' WHERE seq = 7`,
		"delete an event":                `DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)`,
		"truncate the journal":           `TRUNCATE event CASCADE`,
		"truncate everything":            `TRUNCATE event, tree_node, checkpoint, head CASCADE`,
		"upsert an event":                `INSERT INTO event SELECT * FROM event WHERE seq = 3 ON CONFLICT (shop_id, seq) DO UPDATE SET body = ''`,
		"a seq with a gap":               ev(next+" + 1", "'product'", q(key), "3", last),
		"a seq again":                    ev("3", "'product'", q(key), "3", last),
		"a version with a gap":           ev(next, "'product'", q(key), "4", last),
		"a version again":                ev(next, "'product'", q(key), "2", "(SELECT target_prev_seq FROM event WHERE seq = "+last+")"),
		"version 1 of what exists":       ev(next, "'product'", q(key), "1", "NULL"),
		"a chain to another target":      ev(next, "'product'", q(key), "3", "(SELECT last_seq FROM product WHERE id = "+q(other)+")"),
		"a chain to an older event":      ev(next, "'product'", q(key), "3", "(SELECT target_prev_seq FROM event WHERE seq = "+last+")"),
		"no chain":                       ev(next, "'product'", q(key), "3", "NULL"),
		"an earlier time":                strings.Replace(good, "recorded_at, 'product.updated'", "'2001-01-01T00:00:00.000000Z', 'product.updated'", 1),
		"an event, and no head":          good,
		"an event and its row, no head":  good + "; " + row + q(key),
		"an event, and no row":           good + head,
		"a forked chain":                 good + `; ` + good + `; UPDATE head SET seq = seq + 2`,
		"a fork, then the row":           good + `; ` + good + `; ` + row + q(key) + `; UPDATE head SET seq = seq + 2`,
		"the row of another event":       good + `; ` + row + q(other),
		"an older row after a new one":   good + `; ` + row + q(key) + `; UPDATE product SET version = 3, last_seq = last_seq WHERE id = ` + q(key),
		"swap a password hash":           `UPDATE secret SET value = ''`,
		"swap with a higher version":     `UPDATE secret SET value = '', version = version + 1, last_seq = last_seq + 1`,
		"delete a secret":                `DELETE FROM secret`,
		"truncate secrets":               `TRUNCATE secret`,
		"a secret of an old event":       `INSERT INTO secret SELECT shop_id, owner_kind, owner_id, 'other', version, last_seq, salt, value FROM secret`,
		"move the head back":             `UPDATE head SET seq = seq - 1`,
		"move the head on":               `UPDATE head SET seq = seq + 1`,
		"other keys for the head":        `UPDATE head SET fingerprint = 'x'`,
		"delete the head":                `DELETE FROM head`,
		"truncate the head":              `TRUNCATE head`,
		"update a checkpoint":            `UPDATE checkpoint SET note = ''`,
		"delete a checkpoint":            `DELETE FROM checkpoint`,
		"an event before the first":      ev("-1", "'product'", q(key), "3", last),
		"an event of a shop that is not": `INSERT INTO event SELECT 'shop_other', 0, recorded_at, type, target_kind, target_id, 1, NULL, leaf_hash, body, '' FROM event WHERE seq = 3`,
		"an event asked for at once":     `SET CONSTRAINTS ALL IMMEDIATE; ` + good,
		"an event asked for too early":   good + `; SET CONSTRAINTS ALL IMMEDIATE; ` + row + q(key) + head,
		"an event in a savepoint":        `SAVEPOINT a; ` + good + `; RELEASE a`,
		"an event after the head":        good + `; ` + row + q(key) + head + `; ` + ev(next, "'product'", q(key), "4", last),
		"an event of a replica":          `SET session_replication_role = replica; ` + good,
		"versions, and an older row":     good + `; ` + ev(next, "'product'", q(key), "4", "(SELECT max(seq) FROM event)") + `; UPDATE product SET version = 3, last_seq = (SELECT max(seq) - 1 FROM event) WHERE id = ` + q(key) + `; UPDATE head SET seq = seq + 2`,
		"a chain to a later event": `INSERT INTO event SELECT e.shop_id, e.seq + n, e.recorded_at, e.type, 'product', ` + q(key) + `, 5 - n, CASE n WHEN 1 THEN e.seq + 2 ELSE ` + last + ` END, e.leaf_hash, e.body, ''
			FROM (SELECT * FROM event ORDER BY seq DESC LIMIT 1) e, generate_series(1, 2) n; UPDATE product SET version = 4, last_seq = (SELECT max(seq) - 1 FROM event) WHERE id = ` + q(key) + `; UPDATE head SET seq = seq + 2`,
		"a replica's row of no event":   `SET session_replication_role = replica; UPDATE product SET version = version + 1, last_seq = last_seq + 1, status = 'archived' WHERE id = ` + q(key),
		"a replica's row of an old one": `SET session_replication_role = replica; UPDATE product SET version = version - 1, last_seq = last_seq - 1, status = 'archived' WHERE id = ` + q(key),
		"an observed row of a state":    `INSERT INTO target_head (shop_id, kind, id, version, last_seq) SELECT shop_id, 'product', id, version, last_seq FROM product WHERE id = ` + q(key),
		"an observed target's row":      `INSERT INTO target_head (shop_id, kind, id, version, last_seq) SELECT shop_id, 'log', 'activity', 1, 3 FROM head`,
		"copy an event again":           `COPY (SELECT * FROM event WHERE seq = 3) TO '` + file + `'; COPY event FROM '` + file + `'`,
		"copy a state again":            `COPY (SELECT ` + columns + ` FROM product WHERE id = ` + q(key) + `) TO '` + file + `'; COPY product (` + columns + `) FROM '` + file + `'`,
	} {
		for _, role := range []string{"", "perennial_app"} {
			t.Run(strings.TrimSpace(name+" "+role), func(t *testing.T) {
				conn, err := d.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				run := func(text string) error {
					_, err := conn.ExecContext(t.Context(), text)
					return err
				}
				if role != "" {
					if err := run("SET ROLE " + role); err != nil {
						t.Fatal(err)
					}
				}
				// Statements without arguments go together, as a shell sends them.
				err = run(`BEGIN; ` + text + `; COMMIT`)
				for _, text := range []string{`ROLLBACK`, `RESET ROLE`, `RESET session_replication_role`} {
					if rerr := run(text); rerr != nil {
						t.Fatal(rerr)
					}
				}
				if err == nil {
					t.Fatalf("the database let it happen: %s", text)
				}
				ours := strings.Contains(err.Error(), "perennial: ") || strings.Contains(err.Error(), "_entry") || strings.Contains(err.Error(), "_pkey") || role != "" && strings.Contains(err.Error(), "(SQLSTATE 42501)")
				if !ours {
					t.Errorf("refused, but not by us: %v", err)
				}
			})
		}
	}
}
