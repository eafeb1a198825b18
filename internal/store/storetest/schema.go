package storetest

import (
	"database/sql"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"perennial/internal/db"
	"perennial/internal/store"
)

// bare opens an empty database.
func bare(t *testing.T, e Engine) (d *db.DB, address string) {
	t.Helper()
	address = e.New(t)
	d, err := e.Open(t.Context(), address, db.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d, address
}

func column(t *testing.T, q db.Querier, query string) (out []string) {
	t.Helper()
	must(t, db.Each(t.Context(), q, func(r *sql.Rows) error {
		var s string
		err := r.Scan(&s)
		out = append(out, s)
		return err
	}, query))
	return out
}

func classes(t *testing.T, e Engine) {
	d, _ := bare(t, e)
	_, err := store.Migrate(t.Context(), d, false)
	must(t, err)
	has, triggers := column(t, d.Owner, e.Tables), column(t, d.Owner, e.Triggers)
	for _, table := range store.Tables(d.Engine) {
		i := slices.Index(has, table.Name)
		if i < 0 {
			t.Errorf("the list has a table %s, the database has not", table.Name)
			continue
		}
		has = slices.Delete(has, i, i+1)
		if table.Class == store.ClassMachinery && table.Holds == "" {
			t.Errorf("%s says not what it may hold", table.Name)
		}
		want := map[store.Class][]string{
			store.ClassJournal: {"before_update", "before_delete"}, // a second one of the same key may be refused by the key
			store.ClassState:   {"before_insert", "before_update", "before_delete"},
			store.ClassSecret:  {"before_insert", "before_update", "before_delete"},
		}[table.Class]
		if len(want) > 0 {
			want = append(want, e.Besides...)
		}
		if table.Name == "event" {
			want = append(want, "before_insert")
		}
		for _, w := range want {
			if !slices.Contains(triggers, table.Name+" "+table.Name+"_"+w) {
				t.Errorf("%s (%s) has no trigger %s", table.Name, table.Class, w)
			}
		}
	}
	if len(has) > 0 {
		t.Errorf("no class: %s", strings.Join(has, ", "))
	}
}

// migrations begins at each version that a build ever made, and lets this one bring it up to date.
func migrations(t *testing.T, e Engine) {
	d, _ := bare(t, e)
	files, err := store.Migrations(d.Engine)
	must(t, err)
	names, err := fs.Glob(files, "*.sql")
	must(t, err)
	dialect := map[db.Engine]goose.Dialect{db.SQLite: goose.DialectSQLite3, db.Postgres: goose.DialectPostgres}[d.Engine]
	for n := range len(names) + 1 {
		d, _ := bare(t, e)
		if n > 0 {
			old, err := goose.NewProvider(dialect, d.Owner, files)
			must(t, err)
			version, err := goose.NumericComponent(names[n-1])
			must(t, err)
			_, err = old.UpTo(t.Context(), version)
			must(t, err)
		}
		plan, err := store.Migrate(t.Context(), d, false)
		if err != nil || !slices.Equal(plan.Files, names[n:]) {
			t.Errorf("after %v: applied %v, %v", names[:n], plan.Files, err)
			continue
		}
		if again, err := store.Migrate(t.Context(), d, true); err != nil || !again.Empty() {
			t.Errorf("after %v: %+v is left to do, %v", names[:n], again, err)
		}
		lapses, whole, err := (&store.Store{DB: d}).Lapses(t.Context(), d.Owner)
		if err != nil || len(lapses) > 0 || !whole {
			t.Errorf("after %v: got %v, %v, %v, want none of the whole schema", names[:n], lapses, whole, err)
		}
	}
}

func mended(t *testing.T, e Engine) {
	d, address := bare(t, e)
	_, err := store.Migrate(t.Context(), d, false)
	must(t, err)
	owner, err := e.Owner(address)
	must(t, err)
	defer owner.Close()
	for _, damage := range e.Damage {
		if _, err := owner.ExecContext(t.Context(), damage.Statement); err != nil {
			t.Fatalf("%s: %v", damage.Statement, err)
		}
		lapses, _, err := (&store.Store{DB: d}).Lapses(t.Context(), d.Owner)
		if err != nil || len(lapses) == 0 {
			t.Errorf("after %s: verify says %v, %v", damage.Statement, lapses, err)
		}
		for _, dry := range []bool{true, false} {
			plan, err := store.Migrate(t.Context(), d, dry)
			if err != nil || !damage.Found(plan) {
				t.Errorf("after %s: got %+v, %v", damage.Statement, plan, err)
			}
		}
		if plan, err := store.Migrate(t.Context(), d, true); err != nil || !plan.Empty() {
			t.Errorf("mended after %s: still %+v, %v", damage.Statement, plan, err)
		}
	}
}
