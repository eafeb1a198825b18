package store_test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"perennial/internal/db"
	"perennial/internal/store"
)

// The tables without entries in docs/architecture.md are those of store.Tables: go test ./internal/store -run Documented -update.
func TestTheTablesAreDocumented(t *testing.T) {
	on := map[string][]db.Engine{}
	tables := map[string]store.Table{}
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		for _, table := range store.Tables(e) {
			if table.Class == store.ClassMachinery || table.Class == store.ClassDerived {
				on[table.Name] = append(on[table.Name], e)
				tables[table.Name] = table
			}
		}
	}
	var want strings.Builder
	want.WriteString("| table | class | engines | guard | what it holds | what a row is worth to who can write it |\n|---|---|---|---|---|---|\n")
	rows := make([]store.Table, 0, len(tables))
	for _, table := range tables {
		rows = append(rows, table)
	}
	slices.SortFunc(rows, func(a, b store.Table) int { return cmp.Or(-cmp.Compare(a.Class, b.Class), cmp.Compare(a.Name, b.Name)) })
	for _, table := range rows {
		engines := "both"
		if len(on[table.Name]) == 1 {
			engines = map[db.Engine]string{db.SQLite: "SQLite", db.Postgres: "PostgreSQL"}[on[table.Name][0]]
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s | %s | %s |\n", table.Name, table.Class, engines, table.Guard, table.Holds, table.Worth)
	}
	const file, begin, end = "../../docs/architecture.md", "<!-- tables -->\n", "<!-- end of tables -->"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), begin)
	was, after, closed := strings.Cut(rest, end)
	switch {
	case !ok || !closed:
		t.Fatalf("%s has no place for the tables", file)
	case was == want.String():
	case *update:
		if err := os.WriteFile(file, []byte(before+begin+want.String()+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s names other tables: run with -update", file)
	}
}
