package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"perennial/internal/analytics"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/view"
)

type (
	// ReportFormat and the types after it are embedded in the queries of reports.
	ReportFormat struct {
		ProductID string `query:"product_id" maxLength:"100" doc:"Only what is about this product. Amounts are then its lines after discounts, without delivery and tax."`
		Format    string `query:"format" enum:"json,csv" default:"json" doc:"csv downloads the rows."`
	}
	ReportRange struct {
		From string `query:"from" maxLength:"10" doc:"The first day, in the shop's zone. Left out: 30 days before to."`
		To   string `query:"to" maxLength:"10" doc:"The first day after. Left out: tomorrow."`
	}
	ReportCompare struct {
		Compare string `query:"compare" enum:"none,before" default:"none" doc:"before adds the same of the period before: as many days, or as many months when the range is of whole months."`
	}
	// seriesQuery asks for a report with a row for each period.
	seriesQuery struct {
		ReportRange
		ReportCompare
		ReportFormat
		By string `query:"by" enum:"day,week,month" doc:"How long a period is; weeks begin on Monday. Left out: by the length of the range."`
	}
	// rangeQuery asks for a report with a row for each thing.
	rangeQuery struct {
		ReportRange
		ReportCompare
		ReportFormat
	}
	cohortQuery struct {
		ReportRange
		ReportFormat
	}
	forecastQuery struct {
		ReportFormat
		By string `query:"by" enum:"day,week,month" default:"week" doc:"How long a period is; weeks begin on Monday."`
	}
	entriesQuery struct {
		Page
		ReportRange
		Figure    string `query:"figure" required:"true" maxLength:"40" doc:"Of the links of a report: mrr.new, sales.recurring, recovery.entered …, or recovered.1 for what the first retry recovered."`
		ProductID string `query:"product_id" maxLength:"100"`
	}
)

// reportQuery is what the queries of reports have in common.
type reportQuery interface {
	asked(f *fault.Fields) (q analytics.Query, format string)
}

func (r ReportRange) period(f *fault.Fields) (from, to civil.Date) {
	read := func(at, s string) (d civil.Date) {
		if s == "" {
			return d
		}
		d, err := civil.Parse(s)
		if err != nil {
			f.Add(at, "date_invalid", "Give a date in the form 2006-01-02.")
		}
		return d
	}
	return read("/query/from", r.From), read("/query/to", r.To)
}

func (q seriesQuery) asked(f *fault.Fields) (analytics.Query, string) {
	from, to := q.period(f)
	return analytics.Query{From: from, To: to, By: analytics.Granularity(q.By), Product: id.ID(q.ProductID), Compare: q.Compare == "before"}, q.Format
}

func (q rangeQuery) asked(f *fault.Fields) (analytics.Query, string) {
	from, to := q.period(f)
	return analytics.Query{From: from, To: to, By: analytics.Monthly, Product: id.ID(q.ProductID), Compare: q.Compare == "before"}, q.Format
}

func (q cohortQuery) asked(f *fault.Fields) (analytics.Query, string) {
	from, to := q.period(f)
	return analytics.Query{From: from, To: to, Product: id.ID(q.ProductID)}, q.Format
}

func (q forecastQuery) asked(*fault.Fields) (analytics.Query, string) {
	return analytics.Query{By: analytics.Granularity(q.By), Product: id.ID(q.ProductID)}, q.Format
}

type (
	// reportView is a report as clients see it.
	reportView[R any] struct {
		From      civil.Date          `json:"from"`
		To        civil.Date          `json:"to" doc:"The first day after."`
		ProductID *id.ID              `json:"product_id"`
		Currency  string              `json:"currency"`
		Counted   int64               `json:"entries_counted" doc:"How much of the journal is in it: all entries with a lower seq."`
		Rows      []R                 `json:"rows" nullable:"false"`
		Total     R                   `json:"total" doc:"The rows together; of what there is at the end of a period, the last one's."`
		Before    *reportPart[R]      `json:"before"`
		Links     map[string]linkView `json:"links" nullable:"false" doc:"By the fields of a row: where the entries behind the number are."`
	}
	reportPart[R any] struct {
		From  civil.Date `json:"from"`
		To    civil.Date `json:"to"`
		Rows  []R        `json:"rows" nullable:"false"`
		Total R          `json:"total"`
	}
	linkView struct {
		Figure analytics.Figure `json:"figure" doc:"For GET /analytics/entries, with the from, to and product_id of the row. What there is at a time is all that moved before it: give an early from."`
		Types  []string         `json:"types" nullable:"false" doc:"The types of the events, for GET /events; empty: too many to name."`
		Exact  bool             `json:"exact" doc:"Every event of these types in the row's days is meant, as long as no product is chosen."`
	}
	// entryView is an event behind a number.
	entryView struct {
		EventID        id.ID        `json:"event_id"`
		Seq            int64        `json:"seq"`
		Type           string       `json:"type"`
		Summary        string       `json:"summary"`
		RecordedAt     journal.Time `json:"recorded_at"`
		Day            string       `json:"day" format:"date" doc:"Of the shop, on which it counts."`
		SubscriptionID id.ID        `json:"subscription_id"`
		Count          int64        `json:"count" doc:"What it adds to the number of things."`
		Amount         money.Amount `json:"amount" doc:"What it adds to the money."`

		position string
	}
)

func (a *API) analytics() {
	report(a, "subscriptions", "How many subscriptions there are, and what moves their number", byQuery[*seriesQuery](a.Analytics.Subscriptions))
	report(a, "mrr", "Monthly recurring revenue and its movements", byQuery[*seriesQuery](a.Analytics.MRR))
	report(a, "churn", "Which part of the subscriptions and of the recurring revenue was lost", byQuery[*seriesQuery](a.Analytics.Churn))
	report(a, "revenue", "What was paid, new and recurring, and the average order value", byQuery[*seriesQuery](a.Analytics.Revenue))
	report(a, "cohorts", "How many of the subscriptions that began in each month are still there", byQuery[*cohortQuery](a.Analytics.Cohorts))
	report(a, "recovery", "What became of failed payments", byQuery[*seriesQuery](a.Analytics.Recovery))
	report(a, "products", "The products that brought most", byQuery[*rangeQuery](a.Analytics.Products))
	report(a, "forecast", "The orders of the next 90 days, as the schedules say", byQuery[*forecastQuery](a.Analytics.Forecast))
	report(a, "cancellations", "Why subscriptions ended. Reasons are what people wrote, so without the permission personal_data.view they are not told apart",
		func(ctx context.Context, _ *rangeQuery, q analytics.Query) (*analytics.Report[analytics.CancellationRow], error) {
			p := store.Closed
			if callOf(ctx).personal {
				p = store.Opened
			}
			return a.Analytics.Cancellations(ctx, q, p)
		})
	list(a, route{method: http.MethodGet, path: "/analytics/entries", tag: "Analytics", summary: "The entries behind a number, newest first", permission: team.AnalyticsView},
		func(in *entriesQuery) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f },
		func(ctx context.Context, in *entriesQuery, limit int, after string) ([]entryView, error) {
			var f fault.Fields
			from, to := in.period(&f)
			if err := f.Err(); err != nil {
				return nil, err
			}
			found, err := a.Analytics.Entries(ctx, analytics.Figure(in.Figure), analytics.Query{From: from, To: to, Product: id.ID(in.ProductID)}, after, limit)
			out := make([]entryView, len(found))
			for i, e := range found {
				out[i] = entryView{e.ID, e.Seq, string(e.Type), journal.Summary(e.Event), journal.At(e.RecordedAt), e.Day, e.Subscription, e.Count, e.Amount, e.Position()}
			}
			return out, err
		}, func(v entryView) string { return v.position })
}

// byQuery is a report that depends on nothing but its query.
func byQuery[I, R any](get func(context.Context, analytics.Query) (*analytics.Report[R], error)) func(context.Context, I, analytics.Query) (*analytics.Report[R], error) {
	return func(ctx context.Context, _ I, q analytics.Query) (*analytics.Report[R], error) { return get(ctx, q) }
}

// report registers a report as JSON and CSV.
func report[I any, P interface {
	*I
	reportQuery
}, R any](a *API, name, summary string, get func(context.Context, P, analytics.Query) (*analytics.Report[R], error)) {
	r := route{method: http.MethodGet, path: "/analytics/" + name, tag: "Analytics", summary: summary, permission: team.AnalyticsView}
	op := a.operation(r, reflect.TypeFor[one[reportView[R]]](), false)
	downloads(&op, "text/csv")
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*answered, error) {
		c := callOf(ctx)
		var f fault.Fields
		q, format := P(in).asked(&f)
		err := f.Err()
		var found *analytics.Report[R]
		if err == nil {
			found, err = get(ctx, in, q)
		}
		if err != nil {
			return nil, a.problem(c, err)
		}
		out := &answered{ContentType: "application/json"}
		var body []byte
		if format == "csv" {
			out.ContentType = "text/csv; charset=utf-8; header=present"
			out.Disposition = fmt.Sprintf(`attachment; filename="%s-%s-%s.csv"`, name, found.From, found.To)
			body, err = reportCSV(found.Rows, found.Currency)
		} else {
			body, err = encode(one[reportView[R]]{viewReport(found)})
		}
		if err != nil {
			return nil, a.problem(c, err)
		}
		out.Body = func(hc huma.Context) { _, _ = hc.BodyWriter().Write(body) } // a client that went away needs no answer
		return out, nil
	})
}

func viewReport[R any](r *analytics.Report[R]) reportView[R] {
	v := reportView[R]{From: r.From, To: r.To, Currency: r.Currency, Counted: r.Counted, Rows: slice(r.Rows), Total: r.Total, Links: map[string]linkView{}}
	if r.Product != "" {
		v.ProductID = &r.Product
	}
	if b := r.Before; b != nil {
		v.Before = &reportPart[R]{b.From, b.To, slice(b.Rows), b.Total}
	}
	for field, l := range r.Links {
		v.Links[field] = linkView{l.Figure, slice(journal.Texts(l.Types)), l.Exact}
	}
	return v
}

// cell is one value of a row of CSV, under the name of its column.
type cell struct{ column, value string }

// reportCSV writes rows with the names of the JSON as columns. Money is in units with a point, and the currency in a column of its own.
func reportCSV[R any](rows []R, currency string) ([]byte, error) {
	all := make([][]cell, len(rows))
	widest := cells(nil, "", reflect.ValueOf(*new(R)))
	for i, r := range rows {
		all[i] = cells(nil, "", reflect.ValueOf(r))
		if len(all[i]) > len(widest) {
			widest = all[i]
		}
	}
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	w.UseCRLF = true
	header := []string{}
	for _, c := range widest {
		header = append(header, c.column)
	}
	lines := [][]string{append(header, "currency")}
	for _, row := range all {
		line := make([]string, len(header)+1)
		line[len(header)] = currency
		for _, c := range row {
			line[slices.Index(header, c.column)] = c.value
		}
		lines = append(lines, line)
	}
	err := w.WriteAll(lines)
	return buf.Bytes(), err
}

// cells flattens a value: members by their JSON names, elements of lists counted from 0.
func cells(out []cell, name string, v reflect.Value) []cell {
	switch x := v.Interface().(type) {
	case civil.Date:
		return append(out, cell{name, x.String()})
	case money.Amount:
		if x.Currency == "" {
			return append(out, cell{name, ""})
		}
		return append(out, cell{name, x.Decimal()})
	}
	within := func(part string) string { return strings.Trim(name+"_"+part, "_") }
	switch v.Kind() {
	case reflect.String:
		return append(out, cell{name, view.Inert(v.String())}) // a number with a sign is no formula
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			part, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			out = cells(out, within(part), v.Field(i))
		}
		return out
	case reflect.Slice:
		for i := range v.Len() {
			out = cells(out, within(fmt.Sprint(i)), v.Index(i))
		}
		return out
	case reflect.Pointer:
		if v.IsNil() {
			return append(out, cell{name, ""})
		}
		return cells(out, name, v.Elem())
	}
	return append(out, cell{name, fmt.Sprint(v.Interface())})
}
