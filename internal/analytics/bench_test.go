package analytics

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"perennial/internal/civil"
	"perennial/internal/store"
)

// BenchmarkReports measures every report over a year of the demo with PERENNIAL_BENCH_SUBSCRIPTIONS subscriptions: 1,000 are
// 47,000 entries, 21,500 a million.
func BenchmarkReports(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("PERENNIAL_BENCH_SUBSCRIPTIONS"))
	if err != nil {
		n = 100
	}
	y := live(b, n)
	ctx := b.Context()
	began := time.Now()
	must(b, y.CatchUp(ctx))
	b.Logf("%d entries, counted in %s", y.Counted(), time.Since(began).Round(time.Millisecond))
	year := Query{From: civil.Date{Year: 2025, Month: 7, Day: 1}, To: civil.Date{Year: 2026, Month: 7, Day: 1}, By: Daily, Compare: true}
	products, err := y.Products(ctx, year)
	must(b, err)
	one := year
	one.Product = products.Rows[0].ProductID
	for _, r := range []struct {
		name string
		run  func(ctx context.Context, q Query) error
	}{
		{"subscriptions", func(ctx context.Context, q Query) error { _, err := y.Subscriptions(ctx, q); return err }},
		{"mrr", func(ctx context.Context, q Query) error { _, err := y.MRR(ctx, q); return err }},
		{"churn", func(ctx context.Context, q Query) error { _, err := y.Churn(ctx, q); return err }},
		{"revenue", func(ctx context.Context, q Query) error { _, err := y.Revenue(ctx, q); return err }},
		{"cohorts", func(ctx context.Context, q Query) error { _, err := y.Cohorts(ctx, q); return err }},
		{"cancellations", func(ctx context.Context, q Query) error { _, err := y.Cancellations(ctx, q, store.Opened); return err }},
		{"recovery", func(ctx context.Context, q Query) error { _, err := y.Recovery(ctx, q); return err }},
		{"products", func(ctx context.Context, q Query) error { _, err := y.Products(ctx, q); return err }},
		{"forecast", func(ctx context.Context, q Query) error { _, err := y.Forecast(ctx, q); return err }},
		{"entries", func(ctx context.Context, q Query) error {
			q.By = Monthly
			_, err := y.Entries(ctx, "mrr", q, "", 50)
			return err
		}},
		{"entries long ago", func(ctx context.Context, q Query) error {
			_, err := y.Entries(ctx, "sales", Query{From: year.From, To: year.From.AddDays(62), Product: q.Product}, "", 50)
			return err
		}},
	} {
		for name, q := range map[string]Query{"all": year, "one product": one} {
			b.Run(r.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					must(b, r.run(ctx, q))
				}
			})
		}
	}
	b.Run("rebuild", func(b *testing.B) {
		for b.Loop() {
			must(b, y.Rebuild(ctx, nil))
		}
		b.ReportMetric(float64(y.Counted())*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
}
