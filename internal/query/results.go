package query

import (
	"context"
	"time"

	"perennial/internal/cancelflow"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// CancelResults counts the sessions that began from a day to another, both in the shop's zone.
func CancelResults(ctx context.Context, s *store.Store, from, to, now time.Time) (*cancelflow.Results, error) {
	out := cancelflow.NewResults()
	within := List{Kind: journal.CancelSession, Where: []Filter{Before(ID, id.First(id.CancelSession, to))}, Steady: true}
	for rows, err := range Pages(ctx, s, within, id.First(id.CancelSession, from)) {
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			out.Add(row.State.(*cancelflow.Session), now)
		}
	}
	return out, nil
}
