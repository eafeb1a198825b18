package store_test

import (
	"context"
	"database/sql"
	"regexp"
	"slices"
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

// Every table has a class, and every state table its triggers, on both engines.
func TestEveryTableHasAClass(t *testing.T) {
	lite, err := db.Open(t.Context(), t.TempDir()+"/perennial.db", db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer lite.Close()
	if _, err := store.Migrate(t.Context(), lite, false); err != nil {
		t.Fatal(err)
	}
	pg, _ := migrated(t)
	for _, c := range []struct {
		d        *db.DB
		tables   string
		triggers string
	}{
		{lite, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`, `SELECT tbl_name || ' ' || name FROM sqlite_master WHERE type = 'trigger'`},
		{pg, `SELECT relname FROM pg_class c WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND NOT relispartition`,
			`SELECT c.relname || ' ' || t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal`},
	} {
		has := column(t, c.d.Owner, c.tables)
		triggers := column(t, c.d.Owner, c.triggers)
		for _, table := range store.Tables(c.d.Engine) {
			i := slices.Index(has, table.Name)
			if i < 0 {
				t.Errorf("%s: the list has a table %s, the database has not", c.d.Engine, table.Name)
				continue
			}
			has = slices.Delete(has, i, i+1)
			if table.Class == store.ClassMachinery && table.Holds == "" {
				t.Errorf("%s says not what it may hold", table.Name)
			}
			want := map[store.Class][]string{
				store.ClassJournal: {"before_insert", "before_update", "before_delete"},
				store.ClassState:   {"before_insert", "before_update", "before_delete"},
				store.ClassSecret:  {"before_insert", "before_update", "before_delete"},
			}[table.Class]
			if c.d.Engine == db.Postgres && want != nil {
				want = append(want, "before_truncate")
				if table.Class == store.ClassJournal && table.Name != "event" {
					want = want[1:] // a second one of the same key is refused by the key
				}
			}
			for _, w := range want {
				if !slices.Contains(triggers, table.Name+" "+table.Name+"_"+w) {
					t.Errorf("%s: %s (%s) has no trigger %s", c.d.Engine, table.Name, table.Class, w)
				}
			}
		}
		if len(has) > 0 {
			t.Errorf("%s: no class: %s", c.d.Engine, strings.Join(has, ", "))
		}
	}
}

// What somebody took away is made again, and said.
func TestMigrateMends(t *testing.T) {
	d, u := migrated(t)
	super, err := sql.Open("pgx", u)
	if err != nil {
		t.Fatal(err)
	}
	defer super.Close()
	for text, want := range map[string]func(*store.Plan) bool{
		`DROP TRIGGER event_before_update ON event`:                                                                      func(p *store.Plan) bool { return slices.Contains(p.Mended, "event_before_update") },
		`ALTER TABLE product DISABLE TRIGGER product_before_update`:                                                      func(p *store.Plan) bool { return slices.Contains(p.Mended, "product_before_update") },
		`ALTER TABLE product DROP CONSTRAINT product_entry`:                                                              func(p *store.Plan) bool { return slices.Contains(p.Mended, "product_entry") },
		`CREATE OR REPLACE FUNCTION event_before_delete() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'`:   func(p *store.Plan) bool { return slices.Contains(p.Mended, "event_before_delete") },
		`GRANT UPDATE ON event TO perennial_app`:                                                                         func(p *store.Plan) bool { return slices.Contains(p.Grants, "event") },
		`GRANT SELECT ON event TO PUBLIC`:                                                                                func(p *store.Plan) bool { return slices.Contains(p.Grants, "event") },
		`CREATE TRIGGER sneaky BEFORE UPDATE ON head FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`: func(p *store.Plan) bool { return len(p.Extra) == 1 && p.Extra[0].Name == "sneaky" },
	} {
		if _, err := super.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, dry := range []bool{true, false} {
			p, err := store.Migrate(t.Context(), d, dry)
			if err != nil || !want(p) {
				t.Errorf("after %s: got %+v, %v", text, p, err)
			}
		}
		if p, err := store.Migrate(t.Context(), d, true); err != nil || !p.Empty() {
			t.Errorf("mended after %s: still %+v, %v", text, p, err)
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
