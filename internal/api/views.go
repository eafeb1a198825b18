package api

import (
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/store"
)

// viewer renders a row of any kind.
type viewer func(q program.Query, ref journal.Ref, row store.Row) (any, error)

// anyView makes a viewer of a kind's own view.
func anyView[V any](show func(program.Query, journal.Ref, store.Row) (V, error)) viewer {
	return func(q program.Query, ref journal.Ref, row store.Row) (any, error) { return show(q, ref, row) }
}
