package follow_test

import (
	"context"
	"fmt"
	"os"

	"perennial/internal/follow"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/test/shop"
)

// counts counts entries by type: all that a new follower needs in a file of its own.
type counts map[journal.Name]int

func (c counts) follower(s *store.Store) *follow.Follower {
	return &follow.Follower{Name: "counts", Store: s, Take: func(_ context.Context, r *follow.Run) error {
		for _, e := range r.Events {
			c[e.Type]++
		}
		return nil
	}}
}

// A follower that counts entries by type. With it in the list of server.go, it lives with the server, and has its lag and its errors on
// /readyz and among the metrics.
func Example() {
	dir, err := os.MkdirTemp("", "perennial")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx := context.Background()
	i, err := server.Open(ctx, server.Config{Data: dir})
	if err != nil {
		panic(err)
	}
	defer i.Close(ctx)
	counted := counts{}
	f := counted.follower(i.Store)
	for _, d := range settings.Defaults("Harbor Coffee", "Europe/Berlin", "EUR") {
		if _, err := i.Program.Do(ctx, &program.Request{Meta: shop.System, Command: journal.Bind(settings.Update{Document: d})}); err != nil {
			panic(err)
		}
	}
	if err := f.CatchUp(ctx, nil); err != nil {
		panic(err)
	}
	fmt.Println(counted[journal.BillingSettingsUpdated], "of", f.Next())
	// Output: 1 of 6
}
