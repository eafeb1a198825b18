package store_test

import (
	"flag"
	"os"
	"testing"

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
