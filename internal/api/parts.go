package api

import (
	"context"

	"perennial/internal/cancelflow"
	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/store"
)

// What things with a path of their own, and those below another thing's path, have in common.

// partInput is the path of a thing that belongs to another.
type partInput struct {
	ID   string `path:"id"`
	Part string `path:"part"`
}

// readThing registers the reading of one thing of a kind.
func readThing[V any](a *API, r route, kind journal.Kind, show viewOf[V]) {
	read(a, r, func(ctx context.Context, in *byID) (V, error) {
		ref, row, err := a.get(ctx, kind, in.ID)
		if err != nil {
			var none V
			return none, err
		}
		return show(a.query(ctx), ref, row)
	})
}

// readPart registers the reading of one thing that belongs to another.
func readPart[V any](a *API, r route, kind journal.Kind, show viewOf[V]) {
	read(a, r, func(ctx context.Context, in *partInput) (V, error) {
		ref, row, err := a.part(ctx, kind, in.ID, in.Part)
		if err != nil {
			var none V
			return none, err
		}
		return show(a.query(ctx), ref, row)
	})
}

// part reads one row that must be there and belong to owner. Another's is as unknown as one that does not exist. Who
// something belongs to never changes, so what was asked before a command holds under the head too.
func (a *API) part(ctx context.Context, kind journal.Kind, owner, key string) (journal.Ref, store.Row, error) {
	ref, row, err := a.get(ctx, kind, key)
	if err == nil && ownerOf(row.State) != id.ID(owner) {
		err = fault.New(fault.NotFound, "unknown_"+string(kind), "There is no %s %s here.", kind.Words(), printable(key))
	}
	return ref, row, err
}

func ownerOf(s journal.State) id.ID {
	switch s := s.(type) {
	case *customer.Address:
		return s.CustomerID
	case *customer.PaymentMethod:
		return s.CustomerID
	case *catalog.Variant:
		return s.ProductID
	case *catalog.Plan:
		return s.GroupID
	case *cancelflow.Reason:
		return s.FlowID
	}
	return ""
}

// partsOf reads a page of the things of a kind that belong to another, which must be there.
func partsOf[V any](ctx context.Context, a *API, owner journal.Ref, kind journal.Kind, where []query.Filter, limit int, after string, show viewOf[V]) ([]V, error) {
	if _, _, err := a.get(ctx, owner.Kind, string(owner.ID)); err != nil {
		return nil, err
	}
	return rowsOf(ctx, a, kind, append(where, query.Is(query.Owner(kind), owner.ID)), limit, after, show)
}

// nested gives the things of a kind that belong to another and were not archived, oldest first.
func nested[V any](q program.Query, owner id.ID, kind journal.Kind, show viewOf[V]) ([]V, error) {
	rows, err := query.On(q.Ctx, q.S, q.Q, query.List{Kind: kind, Where: []query.Filter{query.Is(query.Owner(kind), owner), query.Not(query.Status, catalog.Archived)}})
	if err != nil {
		return nil, err
	}
	return shown(q, rows, show)
}

// shown renders rows.
func shown[V any](q program.Query, rows []store.Row, show viewOf[V]) ([]V, error) {
	out := make([]V, len(rows))
	for i, row := range rows {
		var err error
		if out[i], err = show(q, row.State.Ref(), row); err != nil {
			return nil, err
		}
	}
	return out, nil
}
