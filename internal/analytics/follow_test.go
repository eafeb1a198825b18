package analytics

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/settings"
	"perennial/internal/subscription"
	"perennial/internal/test/shop"
)

// small is a shop with one product, whose time a test sets.
type small struct {
	*shop.Shop
	now     *time.Time
	variant id.ID
	ada     id.ID
}

func openSmall(t testing.TB) small {
	t.Helper()
	now := time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)
	s := small{now: &now}
	s.Shop = shop.OpenWith(t, t.TempDir(), func() time.Time { return now }, rand.Reader, db.Options{})
	s.Found()
	s.ada, s.variant = s.IDs.New(id.Customer), s.IDs.New(id.Variant)
	product := s.IDs.New(id.Product)
	s.Do(journal.Bind(customer.Create{ID: s.ada, Email: "ada@example.com"}))
	s.Do(journal.Bind(catalog.CreateProduct{ID: product, Title: "Coffee"}))
	s.Do(journal.Bind(catalog.CreateVariant{ID: s.variant, ProductID: product, Title: "1 kg", Price: money.Of(1200, "EUR")}))
	return s
}

func (s small) subscribe() id.ID {
	key := s.IDs.New(id.Subscription)
	s.Do(journal.Bind(subscription.Create{ID: key, CustomerID: s.ada, BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1},
		Items: []subscription.NewItem{{ID: s.IDs.New(id.Item), VariantID: s.variant, Quantity: 1}}}))
	return key
}

func (s small) figures(t testing.TB) *Analytics {
	t.Helper()
	a, err := Open(t.Context(), s.Store, filepath.Join(s.Dir, "analytics.db"), func() time.Time { return *s.now }, nil)
	must(t, err)
	return a
}

// A day is the shop's of then. A shop that moves to the other side of the date line has no day twice and none before the last.
func TestDaysNeverGoBack(t *testing.T) {
	s := openSmall(t)
	a := s.figures(t)
	zone := func(name string) {
		s.Do(journal.Bind(settings.Update{Document: &settings.General{Name: "Test shop", TimeZone: name, Currency: "EUR", Locale: "en"}}))
	}
	began := func() (days []string) {
		for _, e := range mustEntries(t, a, MRRNew) {
			days = append([]string{e.Day}, days...)
		}
		return days
	}
	s.subscribe() // 1 March in Berlin
	zone("Pacific/Kiritimati")
	*s.now = s.now.Add(5 * time.Hour) // 14:00 in UTC is 04:00 of the day after there
	s.subscribe()
	before := began()
	zone("Pacific/Honolulu") // where it is still 1 March
	s.subscribe()
	*s.now = s.now.Add(48 * time.Hour)
	s.subscribe()
	want := []string{"2027-03-01", "2027-03-02", "2027-03-02", "2027-03-03"}
	if diff := cmp.Diff(want[:2], before); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(want, began()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	must(t, a.Close())
}

func mustEntries(t testing.TB, a *Analytics, f Figure) []Entry {
	t.Helper()
	list, err := a.Entries(t.Context(), f, Query{From: civil.Date{Year: 2027, Month: 1, Day: 1}, To: civil.Date{Year: 2028, Month: 1, Day: 1}}, "", 100)
	must(t, err)
	return list
}

// What was counted of another journal, as after a backup was restored, is counted anew; so is a file that cannot be read.
func TestForeignAndDamagedFigures(t *testing.T) {
	s := openSmall(t)
	s.subscribe()
	a := s.figures(t)
	must(t, a.CatchUp(t.Context()))
	want := dump(t, a)
	other := make([]byte, 32)
	_, err := a.d.Load().Writer.ExecContext(t.Context(), `UPDATE rollup_followed SET leaf_hash = $2 WHERE shop_id = $1`, s.Store.Shop, other)
	must(t, err)
	must(t, a.Close())
	again := func(what string) {
		t.Helper()
		a := s.figures(t)
		if a.Counted() != 0 {
			t.Errorf("%s: %d entries are taken as counted", what, a.Counted())
		}
		must(t, a.CatchUp(t.Context()))
		if diff := cmp.Diff(want, dump(t, a)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", what, diff)
		}
		must(t, a.Close())
	}
	again("another journal")
	a = s.figures(t)
	_, err = a.d.Load().Writer.ExecContext(t.Context(), `UPDATE rollup_followed SET next = next + 1000 WHERE shop_id = $1`, s.Store.Shop)
	must(t, err)
	must(t, a.Close())
	again("a longer journal")
	// Also by a build that kept no fingerprint of the zone's rules.
	for _, rules := range []string{"Europe/Berlin 00000000", "Europe/Berlin"} {
		a = s.figures(t)
		_, err = a.d.Load().Writer.ExecContext(t.Context(), `UPDATE rollup_followed SET zone = $2 WHERE shop_id = $1`, s.Store.Shop, rules)
		must(t, err)
		must(t, a.Close())
		again("other rules of the zone: " + rules)
	}
	if shop.Engine() == db.SQLite {
		path := filepath.Join(s.Dir, "analytics.db")
		must(t, os.WriteFile(path, bytes.Repeat([]byte("nothing "), 1024), 0o600))
		again("no database")
		whole, err := os.ReadFile(path)
		must(t, err)
		for i := 8192; i < len(whole); i++ { // the schema is in the first page
			whole[i] = 0xa5
		}
		must(t, os.WriteFile(path, whole, 0o600))
		again("damaged pages")

		// Damage that shows only when something is counted.
		a := s.figures(t)
		var page int64
		must(t, a.d.Load().Reader.QueryRowContext(t.Context(), `SELECT rootpage FROM sqlite_master WHERE name = 'rollup'`).Scan(&page))
		must(t, a.Close())
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, 8192), (page-1)*8192)
		must(t, err)
		must(t, f.Close())
		s.subscribe()
		a = s.figures(t)
		if a.Counted() == 0 {
			t.Error("the damage shows at once: this test shows nothing")
		}
		if _, err := a.MRR(t.Context(), Query{}); fault.As(err).Code != "figures_damaged" {
			t.Errorf("a report from a damaged file: %v", err)
		}
		if got := len(mustEntries(t, a, MRRNew)); got != 2 {
			t.Errorf("%d entries after the file was mended, want 2", got)
		}
		must(t, a.Close())
	}
}

// Several that count at once, in one process or in several, count every entry once.
func TestCountingTogether(t *testing.T) {
	s := openSmall(t)
	a := s.figures(t)
	defer func() { must(t, a.Close()) }()
	counters := []*Analytics{a, a, a}
	if shop.Engine() == db.Postgres {
		counters[1] = s.figures(t)
		counters[2] = s.figures(t)
	}
	for _, c := range counters {
		c.f.Batch = 3
	}
	const subs = 40
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for _, c := range counters {
		work.Go(func() {
			for ctx.Err() == nil {
				if err := c.CatchUp(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range subs {
		s.Do(journal.Bind(subscription.Pause{ID: s.subscribe()}))
	}
	stop()
	work.Wait()
	r, err := a.Subscriptions(t.Context(), Query{})
	must(t, err)
	for r.Counted <= s.Program.Head() {
		must(t, a.CatchUp(t.Context()))
		r, err = a.Subscriptions(t.Context(), Query{})
		must(t, err)
	}
	if got := r.Total; got.New != subs || got.Paused != subs || got.OnHold != subs || got.Active != 0 {
		t.Errorf("got %+v", got)
	}
}
