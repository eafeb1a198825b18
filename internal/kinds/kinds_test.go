package kinds_test

import (
	"slices"
	"testing"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/store"
	"perennial/internal/team"
)

// Each row says of its kind what the catalogue of types promises.
func TestTheTableIsWhole(t *testing.T) {
	rows := map[journal.Kind]bool{}
	for _, k := range kinds.All {
		if rows[k.Kind] {
			t.Errorf("%s has two rows", k.Kind)
		}
		rows[k.Kind] = true
		if fresh := k.Fresh("x"); fresh == nil {
			t.Errorf("%s: nothing fresh", k.Kind)
		}
		if len(k.Columns) != len(k.Values(k.Fresh("x"))) {
			t.Errorf("%s: %d columns, %d values", k.Kind, len(k.Columns), len(k.Values(k.Fresh("x"))))
		}
		for _, p := range []func(id.ID) team.Permission{k.Look, k.Edit} {
			if p != nil && !team.Known(p("x")) {
				t.Errorf("%s: unknown permission %s", k.Kind, p("x"))
			}
		}
		if k.Page != "" && k.Look == nil {
			t.Errorf("%s has a page that nobody is asked a permission for", k.Kind)
		}
		names, _ := journal.Fields(k.Fresh("x"))
		for _, f := range k.Naming {
			if !slices.Contains(names, f) {
				t.Errorf("%s is named by %s, which it has not", k.Kind, f)
			}
		}
		for _, n := range k.Renames {
			if typ, ok := journal.Lookup(n); !ok || typ.Target != k.Kind || len(k.Naming) == 0 || k.Called == nil {
				t.Errorf("%s is renamed by %s", k.Kind, n)
			}
		}
	}
	for _, typ := range journal.Types() {
		switch k := kinds.Of(typ.Target); {
		case store.HasState(typ.Target) && !rows[typ.Target]:
			t.Errorf("%s has states and no row", typ.Target)
		case typ.Undoable() && k.Edit == nil:
			t.Errorf("%s can be undone, and nobody is asked for a permission", typ.Name)
		case typ.Undoable() && k.Undo == nil && typ.Target != journal.Order:
			t.Errorf("%s can be undone, and no rule is asked", typ.Name)
		}
	}
}
