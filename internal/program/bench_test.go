package program_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/test/shop"
)

func BenchmarkDo64(b *testing.B) {
	s := shop.Open(b)
	const things = 64
	ids := make([]id.ID, things)
	for i := range ids {
		var c journal.Command
		ids[i], c = product(s, "Coffee")
		s.Do(c)
	}
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for c := range 64 {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				title := "Espresso"
				if n%2 == 0 {
					title = "Coffee"
				}
				desc := string(s.IDs.New(id.Request))
				if _, err := s.Try(journal.Bind(catalog.UpdateProduct{ID: ids[c], Title: &title, Description: &desc})); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
}
