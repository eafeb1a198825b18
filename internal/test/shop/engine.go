package shop

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"perennial/internal/db"
	"perennial/internal/store"
	"perennial/internal/test/pgtest"
)

// Engine is the engine that the tests of this process run on: PERENNIAL_TEST_ENGINE, SQLite when it is not set. `make test` runs
// them on both.
func Engine() db.Engine {
	if e := db.Engine(os.Getenv("PERENNIAL_TEST_ENGINE")); e == db.Postgres {
		return e
	}
	return db.SQLite
}

// OnlySQLite leaves out a test that is about the file.
func OnlySQLite(t testing.TB) {
	t.Helper()
	if Engine() != db.SQLite {
		t.Skip("about the embedded database's file")
	}
}

var (
	mu        sync.Mutex
	databases = map[string]string{} // guarded by mu; by the folder of the shop
	template  string                // guarded by mu; the database with the schema and no shop
)

// URL gives the address of the database that belongs to a folder, empty for the file in it. The first time it is a new one with the
// schema in it.
func URL(t testing.TB, dir string) string {
	t.Helper()
	if Engine() != db.Postgres {
		return ""
	}
	mu.Lock()
	defer mu.Unlock()
	if u, ok := databases[dir]; ok {
		return u
	}
	if template == "" { // a copy is made sooner than a schema
		u := pgtest.URL(t)
		d, err := db.OpenPostgres(context.Background(), u, db.Options{})
		must(t, err)
		_, err = store.Migrate(context.Background(), d, false)
		must(t, err)
		must(t, d.Close())
		template = pgtest.Name(u)
	}
	u, err := pgtest.Process(t).Create(template)
	must(t, err)
	databases[dir] = u
	return u
}

func openDB(ctx context.Context, t testing.TB, dir string, opt db.Options) (*db.DB, error) {
	t.Helper()
	if u := URL(t, dir); u != "" {
		return db.OpenPostgres(ctx, u, opt)
	}
	return db.Open(ctx, filepath.Join(dir, "perennial.db"), opt)
}

// Adopt says which database belongs to a folder whose shop was made elsewhere.
func Adopt(dir, url string) {
	mu.Lock()
	defer mu.Unlock()
	databases[dir] = url
}
