package bench_test

import (
	"context"
	"testing"

	"perennial/internal/bench"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/test/shop"
)

// Every page that is measured is there; how long it takes says nothing on a machine that others use.
func TestPages(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	shop.OnlySQLite(t)
	r, err := bench.Pages(t.Context(), bench.Options{Dir: t.TempDir(), Events: bench.MinEvents, Found: func(ctx context.Context, p *program.Program, _ *id.Maker) (string, error) {
		for _, d := range settings.Defaults("Bench", "UTC", "USD") {
			if _, err := p.Do(ctx, &program.Request{Meta: shop.System, Command: journal.Bind(settings.Update{Document: d})}); err != nil {
				return "", err
			}
		}
		return "", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"page.subscriptions", "page.next", "page.explorer", "page.rare", "page.words", "page.log", "page.customer"} {
		if f, ok := r.Figure(key); !ok || f.P50 <= 0 || f.P99 < f.P50 {
			t.Errorf("%s: %+v", key, f)
		}
	}
}
