package analytics

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/store"
)

// CohortRow is the subscriptions that began in one month, and how many of them were open at the end of that month and of each month
// after it, up to now. With a product these are the ones that began with it.
type CohortRow struct {
	Month  string       `json:"month" doc:"As 2027-03."`
	Began  int64        `json:"began"`
	Months []CohortCell `json:"months" doc:"The first is the cohort's own month."`
}

// CohortCell is what was left of a cohort at the end of a month.
type CohortCell struct {
	Open int64  `json:"open" doc:"Can grow again: who reactivates comes back to the cohort."`
	Rate *int64 `json:"rate_basis_points" doc:"Of those that began."`
}

// Cohorts reports how many of the subscriptions that began in each month of the range are still there. What came of a split belongs
// to no cohort, what was merged away left its own. The total has what each month after the beginning comes to in all cohorts that are old enough.
func (a *Analytics) Cohorts(ctx context.Context, q Query) (*Report[CohortRow], error) {
	q.By = Monthly
	return reported(ctx, a, q, links(map[string]Figure{"began": MRRNew}), func(r *reader, in Period) (rows []CohortRow, total CohortRow, err error) {
		first, last := firstMonth(in.From), firstMonth(in.To.AddDays(-1))
		last = earlier(last, firstMonth(r.today))
		changes := map[string]map[string]int64{} // by cohort and month
		err = db.Each(ctx, r.q, func(rows *sql.Rows) error {
			var f, month string
			var n int64
			if err := rows.Scan(&f, &month, &n); err != nil {
				return err
			}
			c := strings.TrimPrefix(f, cohortFamily)
			if changes[c] == nil {
				changes[c] = map[string]int64{}
			}
			changes[c][month] = n
			return nil
		}, `SELECT figure, substr(day, 1, 7), CAST(sum(count) AS BIGINT) FROM rollup
			WHERE shop_id = $1 AND product = $2 AND figure >= $3 AND figure <= $4 AND currency = $5 GROUP BY figure, substr(day, 1, 7)`,
			a.s.Shop, r.query.Product, cohort(month(first)), cohort(month(last)), r.currency)
		if err != nil {
			return nil, total, err
		}
		began, err := r.began(first, last)
		if err != nil {
			return nil, total, err
		}
		var sums, wholes []int64
		for m := first; !m.After(last); m = m.AddMonths(1) {
			row := CohortRow{Month: month(m), Began: began[month(m)], Months: []CohortCell{}}
			open := int64(0)
			for at := m; !at.After(firstMonth(r.today)); at = at.AddMonths(1) {
				open += changes[row.Month][month(at)]
				row.Months = append(row.Months, CohortCell{open, share(open, row.Began)})
				if i := len(row.Months) - 1; i == len(sums) {
					sums, wholes = append(sums, open), append(wholes, row.Began)
				} else {
					sums[i], wholes[i] = sums[i]+open, wholes[i]+row.Began
				}
			}
			total.Began += row.Began
			rows = append(rows, row)
		}
		total.Months = []CohortCell{}
		for i, open := range sums {
			total.Months = append(total.Months, CohortCell{open, share(open, wholes[i])})
		}
		return rows, total, nil
	})
}

// began gives how many subscriptions began in each month from first to last.
func (r *reader) began(first, last civil.Date) (map[string]int64, error) {
	out := map[string]int64{}
	err := db.Each(r.ctx, r.q, func(rows *sql.Rows) error {
		var m string
		var n int64
		err := rows.Scan(&m, &n)
		out[m] = n
		return err
	}, `SELECT substr(day, 1, 7), CAST(sum(count) AS BIGINT) FROM rollup
		WHERE shop_id = $1 AND product = $2 AND figure = $3 AND day >= $4 AND day < $5 AND currency = $6 GROUP BY substr(day, 1, 7)`,
		r.a.s.Shop, r.query.Product, MRRNew, first.String(), last.AddMonths(1).String(), r.currency)
	return out, err
}

// maxReasons is how many reasons are told apart.
const maxReasons = 50

// CancellationRow is the subscriptions that ended for one reason.
type CancellationRow struct {
	By     string       `json:"by" doc:"Who or what ended them: customer, team, program (an API key), payment (the last retry failed), expired (all orders were made) or system. The entries of the row are behind the figure ended. and this word."`
	Reason string       `json:"reason" doc:"As the last one gave it; empty: none was given, or it was erased."`
	Others bool         `json:"others" doc:"The reasons that are given too seldom for a row of their own."`
	Ended  int64        `json:"ended"`
	MRR    money.Amount `json:"mrr" doc:"Monthly recurring revenue that went with them."`
	Share  *int64       `json:"share_basis_points"`
}

// Cancellations reports why subscriptions ended, the most frequent reason first. Reasons are what people wrote: equal but for case
// and spaces is one reason. When p is store.Closed they are not told apart. Merged ones did not end.
func (a *Analytics) Cancellations(ctx context.Context, q Query, p store.Privacy) (*Report[CancellationRow], error) {
	return reported(ctx, a, q, links(map[string]Figure{"ended": "ended", "mrr": "ended"}), func(r *reader, in Period) (rows []CancellationRow, total CancellationRow, err error) {
		type group struct {
			figure Figure
			mac    string
			last   int64
			sum
		}
		var groups []group
		err = db.Each(ctx, r.q, func(rows *sql.Rows) error {
			var g group
			var mac []byte
			err := rows.Scan(&g.figure, &mac, &g.last, &g.count, &g.amount)
			g.mac = string(mac)
			groups = append(groups, g)
			return err
		}, `SELECT e.figure, r.mac, max(e.seq), CAST(sum(e.count) AS BIGINT), CAST(sum(e.amount) AS BIGINT)
			FROM rollup_entry e LEFT JOIN rollup_reason r ON r.shop_id = e.shop_id AND r.seq = e.seq
			WHERE e.shop_id = $1 AND e.product = $2 AND e.figure IN (`+db.Placeholders(6, len(Endings))+`) AND e.day >= $3 AND e.day < $4 AND e.currency = $5
			GROUP BY e.figure, r.mac`, append([]any{a.s.Shop, r.query.Product, in.From.String(), in.To.String(), r.currency}, anyOf(Endings)...)...)
		if err != nil {
			return nil, total, err
		}
		if p == store.Closed {
			for i := range groups {
				groups[i].mac = ""
			}
		}
		slices.SortFunc(groups, func(a, b group) int {
			return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.figure, b.figure), cmp.Compare(b.last, a.last))
		})
		merged := map[CancellationRow]sum{}
		told := 0
		for _, g := range groups {
			row := CancellationRow{By: strings.TrimPrefix(string(g.figure), "ended.")}
			if g.mac != "" {
				if told++; told > maxReasons {
					row.Others = true
				} else if row.Reason, err = a.reasonAt(ctx, g.last); err != nil {
					return nil, total, err
				}
			}
			s := merged[row]
			merged[row] = sum{s.count + g.count, s.amount + g.amount}
			total.Ended += g.count
			total.MRR.Minor += g.amount
		}
		total.MRR.Currency, total.Share = r.currency, share(total.Ended, total.Ended)
		for row, s := range merged {
			row.Ended, row.MRR, row.Share = s.count, r.money(s.amount), share(s.count, total.Ended)
			rows = append(rows, row)
		}
		slices.SortFunc(rows, func(a, b CancellationRow) int {
			return cmp.Or(cmp.Compare(b.Ended, a.Ended), cmp.Compare(a.By, b.By), cmp.Compare(a.Reason, b.Reason))
		})
		return rows, total, nil
	})
}

// reasonAt reads the words of a reason from their event.
func (a *Analytics) reasonAt(ctx context.Context, seq int64) (string, error) {
	st, err := a.s.Event(ctx, a.s.Read, store.Opened, seq)
	if err != nil {
		return "", err
	}
	return reasonOf(st.Event), nil
}

func anyOf(figures []Figure) []any {
	out := make([]any, len(figures))
	for i, f := range figures {
		out[i] = f
	}
	return out
}

// RecoveryRow is what became of payments that failed in a period: each number counts what happened in it, so that a case that began
// before it can end in it. Amounts are those of the whole orders.
type RecoveryRow struct {
	Period
	Entered         int64        `json:"entered"`
	EnteredAmount   money.Amount `json:"entered_amount"`
	Retried         int64        `json:"retried" doc:"Retries that failed, with another one to come."`
	Recovered       int64        `json:"recovered"`
	RecoveredAmount money.Amount `json:"recovered_amount"`
	ByRetry         []int64      `json:"by_retry" doc:"Recovered by the first retry, the second, …"`
	Exhausted       int64        `json:"exhausted" doc:"The last retry failed."`
	ExhaustedAmount money.Amount `json:"exhausted_amount"`
	Abandoned       int64        `json:"abandoned" doc:"The order was given up by somebody."`
	AbandonedAmount money.Amount `json:"abandoned_amount"`
	InRecovery      int64        `json:"in_recovery" doc:"At the end."`
	Rate            *int64       `json:"rate_basis_points" doc:"Recovered, of all that ended."`
}

func (r *reader) recovered(in Period, m, retries map[Figure]sum, open int64) RecoveryRow {
	ended := m[RecoveryRecovered].count + m[RecoveryExhausted].count + m[RecoveryAbandoned].count
	row := RecoveryRow{
		Period: in, Entered: m[RecoveryEntered].count, EnteredAmount: r.money(m[RecoveryEntered].amount), Retried: m[RecoveryRetried].count,
		Recovered: m[RecoveryRecovered].count, RecoveredAmount: r.money(m[RecoveryRecovered].amount), ByRetry: []int64{},
		Exhausted: m[RecoveryExhausted].count, ExhaustedAmount: r.money(m[RecoveryExhausted].amount),
		Abandoned: m[RecoveryAbandoned].count, AbandonedAmount: r.money(m[RecoveryAbandoned].amount),
		InRecovery: open, Rate: share(m[RecoveryRecovered].count, ended),
	}
	for f, s := range retries {
		n, err := strconv.Atoi(strings.TrimPrefix(string(f), recoveredFamily))
		if err != nil || n < 1 {
			continue
		}
		for len(row.ByRetry) < n {
			row.ByRetry = append(row.ByRetry, 0)
		}
		row.ByRetry[n-1] += s.count
	}
	return row
}

// Recovery reports what became of failed payments.
func (a *Analytics) Recovery(ctx context.Context, q Query) (*Report[RecoveryRow], error) {
	on := links(map[string]Figure{"entered": RecoveryEntered, "retried": RecoveryRetried, "recovered": RecoveryRecovered, "exhausted": RecoveryExhausted, "abandoned": RecoveryAbandoned,
		"entered_amount": RecoveryEntered, "recovered_amount": RecoveryRecovered, "exhausted_amount": RecoveryExhausted, "abandoned_amount": RecoveryAbandoned})
	return reported(ctx, a, q, on, func(r *reader, in Period) (rows []RecoveryRow, total RecoveryRow, err error) {
		periods := in.periods(r.query.By)
		has, err := r.opening("gauge", in.From)
		if err != nil {
			return nil, total, err
		}
		var flows [3][]map[Figure]sum
		for i, family := range []string{"recovery", "recovered", "gauge"} {
			if flows[i], err = r.flow(family, periods); err != nil {
				return nil, total, err
			}
		}
		all := [2]map[Figure]sum{{}, {}}
		open := has[GaugeRecovery].count
		for i, p := range periods {
			open += flows[2][i][GaugeRecovery].count
			rows = append(rows, r.recovered(p, flows[0][i], flows[1][i], open))
			for n := range all {
				for f, s := range flows[n][i] {
					all[n][f] = sum{all[n][f].count + s.count, all[n][f].amount + s.amount}
				}
			}
		}
		return rows, r.recovered(in, all[0], all[1], open), nil
	})
}

// maxProducts is how many products have a row of their own.
const maxProducts = 100

// ProductRow is what one product brought.
type ProductRow struct {
	ProductID id.ID        `json:"product_id" doc:"Empty: all products that have no row of their own, or all together."`
	Title     string       `json:"title"`
	Revenue   money.Amount `json:"revenue" doc:"Of paid orders: its lines after discounts, without delivery and tax; refunds not taken off."`
	Orders    int64        `json:"orders"`
	Pieces    int64        `json:"pieces"`
	Share     *int64       `json:"share_basis_points" doc:"Of the revenue of all."`
}

// Products reports which products brought most in a range. With a product it reports that one, beside the total of all.
func (a *Analytics) Products(ctx context.Context, q Query) (*Report[ProductRow], error) {
	only := q.Product
	on := links(map[string]Figure{"revenue": allSales, "orders": allSales, "pieces": allSales})
	return reported(ctx, a, q, on, func(r *reader, in Period) (rows []ProductRow, total ProductRow, err error) {
		of := map[id.ID]*ProductRow{}
		row := func(key id.ID) *ProductRow {
			if of[key] == nil {
				of[key] = &ProductRow{ProductID: key, Revenue: r.money(0)}
			}
			return of[key]
		}
		total.Revenue = r.money(0)
		err = db.Each(ctx, r.q, func(rows *sql.Rows) error {
			var f string
			var s sum
			if err := rows.Scan(&f, &s.count, &s.amount); err != nil {
				return err
			}
			family, product, _ := strings.Cut(f, ".")
			p := row(id.ID(product))
			if family+"." == unitFamily {
				p.Pieces += s.count
				total.Pieces += s.count
				return nil
			}
			p.Orders, p.Revenue.Minor = p.Orders+s.count, p.Revenue.Minor+s.amount
			total.Revenue.Minor += s.amount
			return nil
		}, `SELECT figure, CAST(sum(count) AS BIGINT), CAST(sum(amount) AS BIGINT) FROM rollup
			WHERE shop_id = $1 AND product = '' AND (figure > $2 AND figure < $3 OR figure > $4 AND figure < $5) AND day >= $6 AND day < $7 AND currency = $8 GROUP BY figure`,
			a.s.Shop, productFamily, "product/", unitFamily, "unit/", in.From.String(), in.To.String(), r.currency)
		if err != nil {
			return nil, total, err
		}
		err = r.q.QueryRowContext(ctx, `SELECT CAST(coalesce(sum(count), 0) AS BIGINT) FROM rollup
			WHERE shop_id = $1 AND product = '' AND figure IN ($2, $3, $4) AND day >= $5 AND day < $6 AND currency = $7`,
			a.s.Shop, SalesNew, SalesRecurring, SalesExtra, in.From.String(), in.To.String(), r.currency).Scan(&total.Orders)
		if err != nil {
			return nil, total, err
		}
		total.Share = share(total.Revenue.Minor, total.Revenue.Minor)
		list := slices.SortedFunc(maps.Values(of), func(a, b *ProductRow) int {
			return cmp.Or(cmp.Compare(b.Revenue.Minor, a.Revenue.Minor), cmp.Compare(b.Pieces, a.Pieces), cmp.Compare(a.ProductID, b.ProductID))
		})
		others := ProductRow{Revenue: r.money(0)}
		for i, p := range list {
			p.Share = share(p.Revenue.Minor, total.Revenue.Minor)
			switch {
			case only != "" && p.ProductID != only:
			case only == "" && i >= maxProducts:
				others.Orders, others.Pieces, others.Revenue.Minor = others.Orders+p.Orders, others.Pieces+p.Pieces, others.Revenue.Minor+p.Revenue.Minor
			default:
				if p.Title, err = a.title(ctx, p.ProductID); err != nil {
					return nil, total, err
				}
				rows = append(rows, *p)
			}
		}
		if others.Orders > 0 {
			others.Share = share(others.Revenue.Minor, total.Revenue.Minor)
			rows = append(rows, others)
		}
		return rows, total, nil
	})
}

// title gives a product's title as it is now.
func (a *Analytics) title(ctx context.Context, key id.ID) (string, error) {
	row, err := a.s.Load(ctx, a.s.Read, journal.Ref{Kind: journal.Product, ID: key})
	p, ok := row.State.(*catalog.Product)
	if err != nil || !ok {
		return "", err
	}
	return p.Title, nil
}

// ForecastRow is the orders to come in a period, as the schedules of today's subscriptions say. For one product the amount is its
// lines after discounts, without delivery and tax.
type ForecastRow struct {
	Period
	Orders int64        `json:"orders"`
	Amount money.Amount `json:"amount"`
}

// Forecast reports the orders of the next 90 days, if nobody changed anything any more: nobody joins or leaves. What is overdue
// counts today. The range of the query is not asked for.
func (a *Analytics) Forecast(ctx context.Context, q Query) (*Report[ForecastRow], error) {
	_, zone, err := a.shop(ctx)
	if err != nil {
		return nil, err
	}
	today := civil.Today(a.clock(), zone)
	q.From, q.To, q.Compare = today, today.AddDays(Horizon), false
	if q.By == "" {
		q.By = Weekly
	}
	return reported(ctx, a, q, nil, func(r *reader, in Period) (rows []ForecastRow, total ForecastRow, err error) {
		total = ForecastRow{Period: in, Amount: r.money(0)}
		for _, p := range in.periods(r.query.By) {
			rows = append(rows, ForecastRow{Period: p, Amount: r.money(0)})
		}
		i := 0
		err = db.Each(ctx, r.q, func(sums *sql.Rows) error {
			var day string
			var s sum
			if err := sums.Scan(&day, &s.count, &s.amount); err != nil {
				return err
			}
			for day >= rows[i].To.String() {
				i++
			}
			rows[i].Orders, rows[i].Amount.Minor = rows[i].Orders+s.count, rows[i].Amount.Minor+s.amount
			total.Orders, total.Amount.Minor = total.Orders+s.count, total.Amount.Minor+s.amount
			return nil
		}, `SELECT day, count, amount FROM rollup WHERE shop_id = $1 AND product = $2 AND figure = $3 AND day < $4 AND currency = $5 ORDER BY day`,
			a.s.Shop, r.query.Product, dueFigure, in.To.String(), r.currency)
		return rows, total, err
	})
}

// Entry is one event behind a figure, with what it added.
type Entry struct {
	*journal.Event
	Subscription id.ID
	Day          string
	Count        int64
	Amount       money.Amount
}

// Entries gives the events behind a figure or a family of figures ("mrr", "sales", "ended") in some days, newest first, at most
// limit after a position that Position gave; empty is the beginning. Personal values are not opened. Of the query it takes range and
// product.
func (a *Analytics) Entries(ctx context.Context, f Figure, q Query, after string, limit int) (out []Entry, err error) {
	if err := a.fresh(ctx); err != nil {
		return nil, a.told(ctx, err)
	}
	_, zone, err := a.shop(ctx)
	if err != nil {
		return nil, err
	}
	q.By = Monthly
	if q, err = q.normal(civil.Today(a.clock(), zone)); err != nil {
		return nil, err
	}
	figures := f.members()
	if len(figures) == 0 {
		return nil, unknownFigure(f)
	}
	where, args := "", []any{a.s.Shop, q.Product, q.From.String(), q.To.String(), limit}
	if after != "" {
		day, rest, _ := strings.Cut(after, " ")
		seq, sub, _ := strings.Cut(rest, " ")
		n, err := strconv.ParseInt(seq, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("analytics: a position: %w", err)
		}
		where, args = ` AND (day, seq, subscription_id) < ($6, $7, $8)`, append(args, day, n, sub)
	}
	var seqs []int64
	err = db.Each(ctx, a.d.Load().Reader, func(r *sql.Rows) error {
		var e Entry
		var seq int64
		err := r.Scan(&seq, &e.Subscription, &e.Day, &e.Amount.Currency, &e.Count, &e.Amount.Minor)
		out, seqs = append(out, e), append(seqs, seq)
		return err
	}, `SELECT seq, subscription_id, day, currency, count, amount FROM rollup_entry WHERE shop_id = $1 AND product = $2 AND day >= $3 AND day < $4`+where+
		` AND figure IN (`+db.Placeholders(len(args)+1, len(figures))+`) ORDER BY day DESC, seq DESC, subscription_id DESC LIMIT $5`, append(args, anyOf(figures)...)...)
	if err != nil {
		return nil, a.told(ctx, err)
	}
	found, err := a.s.Pick(ctx, a.s.Read, store.Closed, seqs)
	if err != nil {
		return nil, db.Fault(err)
	}
	for i := range out {
		out[i].Event = found[i].Event
	}
	return out, nil
}

// Position is where a list of entries goes on after this one.
func (e Entry) Position() string { return fmt.Sprintf("%s %d %s", e.Day, e.Seq, e.Subscription) }
