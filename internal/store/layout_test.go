package store_test

import (
	"flag"
	"os"
	"testing"

	"perennial/internal/db"
	"perennial/internal/store"
)

var update = flag.Bool("update", false, "record the layout of PostgreSQL anew")

const layoutFile = "migrations/postgres.layout"

// What verify compares a PostgreSQL with is what the migrations make. `go test ./internal/store -run Recorded -update` records it.
func TestThePostgresLayoutIsRecorded(t *testing.T) {
	d, _ := migrated(t)
	got, err := store.RecordLayout(t.Context(), d.Owner)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(layoutFile, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(layoutFile)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the migrations make another layout than the recorded one: run this test with -update and look at the difference")
	}
}

// A database that only the migrations made has no lapse, on both engines.
func TestAMigratedDatabaseHasNoLapse(t *testing.T) {
	pg, _ := migrated(t)
	lite, err := db.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lite.Close() })
	if _, err := store.Migrate(t.Context(), lite, false); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*db.DB{lite, pg} {
		lapses, whole, err := (&store.Store{DB: d}).Lapses(t.Context(), d.Owner)
		if err != nil || len(lapses) > 0 || !whole {
			t.Errorf("%s: got %v, %v, %v, want none of the whole schema", d.Engine, lapses, whole, err)
		}
	}
}
