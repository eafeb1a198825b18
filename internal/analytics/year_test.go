package analytics

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/db"
	"perennial/internal/demo"
	"perennial/internal/engine"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/test/shop"
)

var until = time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC)

// year is a shop with a year of history, and its figures.
type year struct {
	*shop.Shop
	*Analytics
	t testing.TB
}

func live(t testing.TB, subscriptions int) *year {
	t.Helper()
	clock := demo.NewClock(demo.Begin(until), time.Now)
	s := shop.OpenWith(t, t.TempDir(), clock.Now, demo.NewRandom(11), db.Options{Relaxed: true})
	e := engine.New(s.Program, s.Store, simulated.New(clock.Now, simulated.Options{}), slog.New(slog.DiscardHandler))
	_, err := demo.Make(t.Context(), s.Program, s.Store, e, clock, demo.Options{Subscriptions: subscriptions, Seed: 11, Until: until}, func(int, int64) {})
	must(t, err)
	y := &year{Shop: s, t: t}
	y.Analytics = open(t, s, "analytics.db")
	return y
}

// open opens the figures of a shop, a moment after the end of the year.
func open(t testing.TB, s *shop.Shop, name string) *Analytics {
	t.Helper()
	a, err := Open(t.Context(), s.Store, filepath.Join(s.Dir, name), func() time.Time { return until }, slog.New(slog.NewTextHandler(t.Output(), nil)))
	must(t, err)
	t.Cleanup(func() { must(t, a.Close()) })
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dump gives everything that is kept, in order.
func dump(t testing.TB, a *Analytics) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for table, columns := range map[string]string{
		"rollup":          "product, figure, day, currency, count, amount",
		"rollup_entry":    "product, figure, day, seq, subscription_id, currency, count, amount",
		"rollup_state":    "id, plan_id, covered, body, due",
		"rollup_reason":   "seq, subscription_id, mac",
		"rollup_followed": "next, leaf_hash, version, day, zone",
	} {
		where := ""
		if table == "rollup" {
			where = " AND (count <> 0 OR amount <> 0)"
		}
		must(t, db.Each(context.Background(), a.d.Load().Reader, func(r *sql.Rows) error {
			names, err := r.Columns()
			must(t, err)
			cells, at := make([]any, len(names)), make([]any, len(names))
			for i := range cells {
				at[i] = &cells[i]
			}
			must(t, r.Scan(at...))
			out[table] = append(out[table], fmt.Sprint(cells...))
			return nil
		}, "SELECT "+columns+" FROM "+table+" WHERE shop_id = $1"+where+" ORDER BY "+columns, a.s.Shop))
	}
	return out
}

func TestAYear(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	y := live(t, 60)
	ctx := t.Context()
	y.f.Batch = 37 // so that operations are cut in every way
	must(t, y.CatchUp(ctx))
	lived := dump(t, y.Analytics)

	t.Run("a rebuild gives the same", func(t *testing.T) {
		y.f.Batch = batchLength
		must(t, y.Rebuild(ctx, nil))
		if diff := cmp.Diff(lived, dump(t, y.Analytics)); diff != "" {
			t.Errorf("-lived +rebuilt:\n%s", diff)
		}
	})
	rows := func(kind journal.Kind) []store.Row {
		list, err := y.Store.List(ctx, y.Store.Read, kind, `id <> '' ORDER BY id`)
		must(t, err)
		return list
	}
	plans := map[id.ID]*catalog.Plan{}
	for _, row := range rows(journal.SellingPlan) {
		p := row.State.(*catalog.Plan)
		plans[p.ID] = p
	}
	zone, err := civil.Zone(demo.Zone)
	must(t, err)
	all := Query{From: civil.Date{Year: 2025, Month: 6, Day: 1}, To: civil.Date{Year: 2026, Month: 7, Day: 1}, By: Monthly}

	t.Run("what there is at the end", func(t *testing.T) {
		var worth, running, failed, paused, due, amount int64
		today := civil.Today(until, zone)
		for _, row := range rows(journal.Subscription) {
			s := row.State.(*subscription.Subscription)
			worth += exact(s, plans[s.SellingPlanID])
			running += one(s.Status == subscription.Active)
			failed += one(s.Status == subscription.Failed)
			paused += one(s.Status == subscription.Paused)
			list, err := subscription.Upcoming(s, plans[s.SellingPlanID], subscription.FlatTax(y.tax(t)), today, 200)
			must(t, err)
			for _, o := range list {
				if !o.Skipped && o.Date.Before(today.AddDays(Horizon)) {
					due++
					amount += o.Total.Minor
				}
			}
		}
		mrr, err := y.MRR(ctx, all)
		must(t, err)
		if mrr.Total.End.Minor != worth || worth == 0 {
			t.Errorf("MRR is %v, want %d", mrr.Total.End, worth)
		}
		subs, err := y.Subscriptions(ctx, all)
		must(t, err)
		if got := [3]int64{subs.Total.Active, subs.Total.InRecovery, subs.Total.OnHold}; got != [3]int64{running, failed, paused} {
			t.Errorf("active, in recovery, on hold: got %d, want %d", got, [3]int64{running, failed, paused})
		}
		forecast, err := y.Forecast(ctx, Query{})
		must(t, err)
		if forecast.Total.Orders != due || forecast.Total.Amount.Minor != amount || due == 0 {
			t.Errorf("forecast: got %+v, want %d orders of %d", forecast.Total, due, amount)
		}
	})
	t.Run("what there was on a day", func(t *testing.T) {
		for _, day := range []civil.Date{{Year: 2025, Month: 9, Day: 1}, {Year: 2026, Month: 1, Day: 15}, {Year: 2026, Month: 5, Day: 31}} {
			end := day.Start(zone)
			keep := func(e *journal.Event) bool { return e.RecordedAt.Before(end) }
			then := map[id.ID]*catalog.Plan{}
			for key := range plans {
				row, err := y.Store.StateAt(ctx, y.Store.Read, journal.Ref{Kind: journal.SellingPlan, ID: key}, keep)
				must(t, err)
				then[key], _ = row.State.(*catalog.Plan)
			}
			var worth, open int64
			for _, now := range rows(journal.Subscription) {
				row, err := y.Store.StateAt(ctx, y.Store.Read, now.State.Ref(), keep)
				must(t, err)
				if s, ok := row.State.(*subscription.Subscription); ok {
					worth += exact(s, then[s.SellingPlanID])
					open += one(s.Open())
				}
			}
			mrr, err := y.MRR(ctx, Query{From: day, To: day.AddDays(7)})
			must(t, err)
			churn, err := y.Churn(ctx, Query{From: day, To: day.AddDays(7)})
			must(t, err)
			if mrr.Total.Start.Minor != worth || churn.Total.Open != open || churn.Total.MRR.Minor != worth {
				t.Errorf("%s: got MRR %v, %d open, want %d and %d", day, mrr.Total.Start, churn.Total.Open, worth, open)
			}
		}
	})
	t.Run("sales", func(t *testing.T) {
		var want struct{ total, orders, back, first, extra, pieces int64 }
		by := map[id.ID]int64{}
		for _, row := range rows(journal.Order) {
			o := row.State.(*billing.Order)
			if o.PlacedAt == nil {
				continue
			}
			want.total += o.Total.Minor
			want.orders++
			want.back += o.Refunded.Minor
			switch {
			case o.Cycle == nil:
				want.extra += o.Total.Minor
			case *o.Cycle == 1:
				want.first += o.Total.Minor
			}
			for _, l := range o.Items {
				by[l.ProductID] += l.Total.Minor - l.Discount.Minor
				want.pieces += int64(l.Quantity)
			}
		}
		r, err := y.Revenue(ctx, all)
		must(t, err)
		if got := r.Total; got.Total.Minor != want.total || got.Orders != want.orders || got.Refunded.Minor != want.back || got.New.Minor != want.first || got.Extra.Minor != want.extra {
			t.Errorf("got %+v, want %+v", got, want)
		}
		p, err := y.Products(ctx, all)
		must(t, err)
		got := map[id.ID]int64{}
		for _, row := range p.Rows {
			got[row.ProductID] = row.Revenue.Minor
			q := all
			q.Product = row.ProductID
			one, err := y.Revenue(ctx, q)
			must(t, err)
			if one.Total.Total != row.Revenue || one.Total.Orders != row.Orders {
				t.Errorf("%s: filtered revenue %+v, of products %+v", row.Title, one.Total, row)
			}
		}
		if diff := cmp.Diff(by, got); diff != "" || p.Total.Pieces != want.pieces {
			t.Errorf("products (-want +got), %d pieces of %d:\n%s", p.Total.Pieces, want.pieces, diff)
		}
	})
	t.Run("behind every number are its entries", func(t *testing.T) {
		r, err := y.MRR(ctx, all)
		must(t, err)
		for _, f := range Movements {
			var amount int64
			after := ""
			for {
				list, err := y.Entries(ctx, f, all, after, 50)
				must(t, err)
				for _, e := range list {
					amount += e.Amount.Minor
					types, _ := f.Types()
					if !slices.Contains(types, e.Type) {
						t.Errorf("%s: behind it is %s", f, e.Type)
					}
				}
				if len(list) < 50 {
					break
				}
				after = list[len(list)-1].Position()
			}
			want := map[Figure]int64{MRRNew: r.Total.New.Minor, MRRReactivated: r.Total.Reactivated.Minor, MRRResumed: r.Total.Resumed.Minor, MRRUpgrade: r.Total.Upgrade.Minor,
				MRRDowngrade: r.Total.Downgrade.Minor, MRRPaused: r.Total.Paused.Minor, MRRChurned: r.Total.Churned.Minor, MRRTransferred: r.Total.Transferred.Minor}[f]
			if amount != want {
				t.Errorf("%s: entries add up to %d, the report says %d", f, amount, want)
			}
		}
	})
	t.Run("an exact link shows the same in the explorer", func(t *testing.T) {
		recovery, err := y.Recovery(ctx, all)
		must(t, err)
		mrr, err := y.MRR(ctx, all)
		must(t, err)
		exact := 0
		maps.Copy(mrr.Links, recovery.Links)
		in := Period{civil.Date{Year: 2025, Month: 12, Day: 1}, civil.Date{Year: 2026, Month: 4, Day: 1}}
		for field, l := range mrr.Links {
			filter, ok := l.Explorer(in, "")
			if !ok {
				continue
			}
			exact++
			from, _ := civil.Parse(filter.Get("from"))
			to, _ := civil.Parse(filter.Get("to"))
			var want, got []int64
			for st, err := range y.Store.Events(ctx, y.Store.Read, store.Closed, 0, 0) {
				must(t, err)
				if slices.Contains(filter["type"], string(st.Type)) && !st.RecordedAt.Before(from.Start(zone)) && st.RecordedAt.Before(to.Start(zone)) {
					want = append([]int64{st.Seq}, want...)
				}
			}
			list, err := y.Entries(ctx, l.Figure, Query{From: in.From, To: in.To}, "", 1000)
			must(t, err)
			for _, e := range list {
				got = append(got, e.Seq)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-explorer +entries):\n%s", field, diff)
			}
		}
		if exact < 6 {
			t.Errorf("only %d links are exact", exact)
		}
	})
	t.Run("why they left", func(t *testing.T) {
		open, err := y.Cancellations(ctx, all, store.Opened)
		must(t, err)
		closed, err := y.Cancellations(ctx, all, store.Closed)
		must(t, err)
		var sum int64
		told := 0
		for _, row := range open.Rows {
			sum += row.Ended
			told += int(one(row.Reason != ""))
		}
		for _, row := range closed.Rows {
			if row.Reason != "" {
				t.Errorf("a reason is shown: %+v", row)
			}
		}
		if sum != open.Total.Ended || sum != closed.Total.Ended || told < 2 {
			t.Errorf("%d of %d ended, %d reasons", sum, open.Total.Ended, told)
		}
	})
	t.Run("cohorts", func(t *testing.T) {
		r, err := y.Cohorts(ctx, all)
		must(t, err)
		var began, open int64
		for _, row := range r.Rows {
			began += row.Began
			if n := len(row.Months); n > 0 {
				open += row.Months[n-1].Open
			}
		}
		churn, err := y.Churn(ctx, Query{From: all.To, To: all.To.AddDays(1)})
		must(t, err)
		if began == 0 || began != r.Total.Began || open > churn.Total.Open {
			t.Errorf("%d began, %d are open of %d", began, open, churn.Total.Open)
		}
	})
	t.Run("recovery", func(t *testing.T) {
		r, err := y.Recovery(ctx, all)
		must(t, err)
		g := r.Total
		var by int64
		for _, n := range g.ByRetry {
			by += n
		}
		if g.Entered == 0 || g.Entered-g.Recovered-g.Exhausted-g.Abandoned != g.InRecovery || by != g.Recovered {
			t.Errorf("got %+v", g)
		}
		if g.EnteredAmount.Minor == 0 {
			t.Errorf("nothing was at risk: %+v", g)
		}
	})
	t.Run("the period before", func(t *testing.T) {
		q := Query{From: civil.Date{Year: 2026, Month: 4, Day: 1}, To: civil.Date{Year: 2026, Month: 6, Day: 1}, Compare: true}
		r, err := y.MRR(ctx, q)
		must(t, err)
		if got := r.Before.Period; got != (Period{civil.Date{Year: 2026, Month: 2, Day: 1}, q.From}) || r.Before.Total.End != r.Total.Start {
			t.Errorf("before: %+v, %v, then %v", got, r.Before.Total.End, r.Total.Start)
		}
	})
}

func (y *year) tax(t testing.TB) int {
	t.Helper()
	p, err := y.prices(t.Context())
	must(t, err)
	return p.tax
}
