package store_test

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
	"testing"

	"perennial/internal/db"
	"perennial/internal/store"
	"perennial/internal/test/pgtest"
)

// A migrated PostgreSQL, by the address of its owner.
func migrated(t *testing.T) (*db.DB, string) {
	t.Helper()
	u := pgtest.URL(t)
	d, err := db.OpenPostgres(t.Context(), u, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if _, err := store.Migrate(t.Context(), d, false); err != nil {
		t.Fatal(err)
	}
	return d, u
}

func column(t *testing.T, d *sql.DB, query string, args ...any) (out []string) {
	t.Helper()
	err := db.Each(t.Context(), d, func(r *sql.Rows) error {
		var s string
		err := r.Scan(&s)
		out = append(out, s)
		return err
	}, query, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The rules that keep the schema distributable by shop (docs/scaling.md), read from the database's own catalog.
func TestTheSchemaIsDistributableByShop(t *testing.T) {
	d, _ := migrated(t)
	for _, c := range []struct{ rule, query string }{
		{"every table has a column shop_id that is never NULL", `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> 'goose_db_version'
			AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'shop_id' AND a.attnotnull)`},
		{"every table has a primary key", `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')`},
		{"every primary key, unique constraint and foreign key contains shop_id", `SELECT k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = k.connamespace
			WHERE n.nspname = 'public' AND k.contype IN ('p', 'u', 'f') AND c.relname <> 'goose_db_version'
			AND NOT (SELECT attnum FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'shop_id') = ANY (k.conkey)`},
		{"every index begins with shop_id", `SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = 'public' AND c.relname <> 'goose_db_version' AND i.indkey[0] <> (SELECT attnum FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'shop_id')`},
		{"no foreign key is deferrable", `SELECT conname FROM pg_constraint WHERE contype = 'f' AND condeferrable`},
		{"every state row and secret has its key to the journal", `SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND relkind = 'r'
			AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'last_seq')
			AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid = 'event'::regclass)`},
		{"trigger functions are volatile", `SELECT p.proname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal AND p.provolatile <> 'v'`},
		{"triggers hold for replicas too", `SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'A'`},
		{"names are short enough for a shard's suffix", `SELECT conname FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE n.nspname = 'public' AND length(conname) > 54`},
		{"no index is a GIN", `SELECT c.relname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'gin' AND c.relkind = 'i' AND c.relnamespace = 'public'::regnamespace`},
		{"no sequence numbers rows", `SELECT relname FROM pg_class c WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace AND relname NOT LIKE 'goose%'`},
		{"postings are partitioned", `SELECT 'posting' WHERE (SELECT relkind FROM pg_class WHERE relname = 'posting') <> 'p'`},
	} {
		if wrong := column(t, d.Owner, c.query); len(wrong) > 0 {
			t.Errorf("%s; not so: %s", c.rule, strings.Join(wrong, ", "))
		}
	}
}

// Somebody with the server's role alone can serve a database that is up to date, and no other.
func TestTheServersRoleAlone(t *testing.T) {
	d, u := migrated(t)
	if _, err := d.Owner.ExecContext(t.Context(), `DO $$ BEGIN CREATE ROLE only_app LOGIN IN ROLE perennial_app; EXCEPTION WHEN duplicate_object THEN NULL; END $$`); err != nil {
		t.Fatal(err)
	}
	app := strings.Replace(u, "postgres@", "only_app@", 1)
	a, err := db.OpenPostgres(t.Context(), app, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if p, err := store.Migrate(context.Background(), a, false); err != nil || !p.Empty() {
		t.Errorf("an up to date schema: %+v, %v", p, err)
	}
	if _, err := d.Owner.ExecContext(t.Context(), `DROP TRIGGER event_before_update ON event`); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Migrate(context.Background(), a, false); err == nil || !regexp.MustCompile("owner's address").MatchString(err.Error()) {
		t.Errorf("without the right to mend: %v", err)
	}
}
