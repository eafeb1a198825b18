package analytics

import (
	"context"
	"database/sql"
	"net/url"
	"time"

	"perennial/internal/civil"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/settings"
	"perennial/internal/store"
)

// Report is what a query comes to: a row for each period or thing, and what they are together.
type Report[R any] struct {
	Query
	Currency string
	Counted  int64 // entries of the journal that are in it: all below this seq
	Part[R]
	Before *Part[R]        // the same of the period before, when it was asked for
	Links  map[string]Link // which entries are behind a field of the rows, by its JSON name
}

// Part is the rows of one range.
type Part[R any] struct {
	Period
	Rows  []R
	Total R
}

// Link says how to find the entries behind a number.
type Link struct {
	Figure Figure // for Entries, with the row's days
	// Types are the types of the events. Exact says that every event of these types in those days is meant, when no product is chosen.
	Types []journal.Name
	Exact bool
}

// Explorer gives the filter of the explorer that shows the entries behind a number of some days; false when no filter says it, and
// Entries has to be asked. After a change of the shop's zone its old days are other ones than the filter's.
func (l Link) Explorer(in Period, product id.ID) (url.Values, bool) {
	if !l.Exact || product != "" {
		return nil, false
	}
	return url.Values{"type": journal.Texts(l.Types), "from": {in.From.String()}, "to": {in.To.String()}}, true
}

func links(of map[string]Figure) map[string]Link {
	out := map[string]Link{}
	for field, f := range of {
		types, exact := f.Types()
		out[field] = Link{f, types, exact}
	}
	return out
}

// reader reads the sums of one state of the tables for one query.
type reader struct {
	ctx      context.Context
	a        *Analytics
	q        db.Querier
	query    Query
	currency string
	today    civil.Date
}

// reported makes a report. part gives the rows of a range and their total.
func reported[R any](ctx context.Context, a *Analytics, q Query, links map[string]Link, part func(r *reader, in Period) ([]R, R, error)) (*Report[R], error) {
	if err := a.fresh(ctx); err != nil {
		return nil, a.told(ctx, err)
	}
	currency, zone, err := a.shop(ctx)
	if err != nil {
		return nil, err
	}
	today := civil.Today(a.clock(), zone)
	if q, err = q.normal(today); err != nil {
		return nil, err
	}
	if q.Product != "" {
		row, err := a.s.Load(ctx, a.s.Read, journal.Ref{Kind: journal.Product, ID: q.Product})
		if err != nil {
			return nil, store.Fault(err)
		}
		if row.Version == 0 {
			return nil, fault.New(fault.NotFound, "unknown_product", "There is no product %s in this shop.", q.Product)
		}
	}
	out := &Report[R]{Query: q, Currency: currency, Links: links}
	err = a.snapshot(ctx, func(sq db.Querier) error {
		at, err := a.position(ctx, sq)
		if err != nil {
			return err
		}
		out.Counted = at.Next
		r := &reader{ctx, a, sq, q, currency, today}
		out.Period = Period{q.From, q.To}
		if out.Rows, out.Total, err = part(r, out.Period); err != nil || !q.Compare {
			return err
		}
		out.Before = &Part[R]{Period: q.before()}
		out.Before.Rows, out.Before.Total, err = part(r, out.Before.Period)
		return err
	})
	return out, a.told(ctx, err)
}

// shop gives currency and zone of the shop.
func (a *Analytics) shop(ctx context.Context) (currency string, zone *time.Location, err error) {
	row, err := a.s.Load(ctx, a.s.Read, journal.Ref{Kind: journal.Settings, ID: settings.PageGeneral})
	g, ok := row.State.(*settings.General)
	if err != nil || !ok {
		return "", time.UTC, store.Fault(err)
	}
	return g.Currency, settings.Zone(g), nil
}

func (r *reader) money(minor int64) money.Amount { return money.Of(minor, r.currency) }

// opening gives what the figures of a family came to before a day.
func (r *reader) opening(family string, day civil.Date) (map[Figure]sum, error) {
	out := map[Figure]sum{}
	err := db.Each(r.ctx, r.q, func(rows *sql.Rows) error {
		var f Figure
		var s sum
		err := rows.Scan(&f, &s.count, &s.amount)
		out[f] = s
		return err
	}, `SELECT figure, CAST(sum(count) AS BIGINT), CAST(sum(amount) AS BIGINT) FROM rollup
		WHERE shop_id = $1 AND product = $2 AND figure > $3 AND figure < $4 AND day < $5 AND currency = $6 GROUP BY figure`,
		r.a.s.Shop, r.query.Product, family+".", family+"/", day.String(), r.currency)
	return out, err
}

// flow gives what the figures of a family add up to in each period. Periods follow each other.
func (r *reader) flow(family string, periods []Period) ([]map[Figure]sum, error) {
	out := make([]map[Figure]sum, len(periods))
	for i := range out {
		out[i] = map[Figure]sum{}
	}
	if len(periods) == 0 {
		return out, nil
	}
	ends := make([]string, len(periods))
	for i, p := range periods {
		ends[i] = p.To.String()
	}
	i := 0
	err := db.Each(r.ctx, r.q, func(rows *sql.Rows) error {
		var f Figure
		var day string
		var s sum
		if err := rows.Scan(&f, &day, &s.count, &s.amount); err != nil {
			return err
		}
		for day >= ends[i] {
			i++
		}
		was := out[i][f]
		out[i][f] = sum{was.count + s.count, was.amount + s.amount}
		return nil
	}, `SELECT figure, day, count, amount FROM rollup
		WHERE shop_id = $1 AND product = $2 AND figure > $3 AND figure < $4 AND day >= $5 AND day < $6 AND currency = $7 ORDER BY day`,
		r.a.s.Shop, r.query.Product, family+".", family+"/", periods[0].From.String(), ends[len(ends)-1], r.currency)
	return out, err
}
