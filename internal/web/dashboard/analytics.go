package dashboard

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"perennial/internal/analytics"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/money"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/web/ui"
	"perennial/internal/web/ui/chart"
)

func (d *Dashboard) registerAnalytics() {
	d.on(route{pattern: "GET /analytics", permission: team.AnalyticsView}, (*call).analyticsPage)
}

type analyticsView struct {
	From, To, By string
	Product      string
	Compare      bool
	Presets      []ui.Link
	Products     []ui.Option
	Problem      string
	Tiles        []ui.Tile
	Charts       []chartCard
	Cohorts      []chart.Row
	Months       int
	Top          []topRow
	Reasons      []reasonRow
	Counted      string
}

type chartCard struct {
	Title, Lead string
	Body        templ.Component
}

type topRow struct {
	Product                        ui.Link
	Revenue, Orders, Pieces, Share string
}

type reasonRow struct{ Reason, By, Ended, MRR, Share string }

// percent writes basis points: "12.5 %".
func percent(points *int64) string {
	if points == nil {
		return "none"
	}
	return strings.TrimSuffix(strings.TrimSuffix(fmt.Sprintf("%d.%02d", *points/100, *points%100), "0"), ".0") + " %"
}

func (c *call) analyticsPage() (answer, error) {
	f := func(name string) string { return strings.TrimSpace(c.r.FormValue(name)) }
	v := analyticsView{From: f("from"), To: f("to"), By: f("by"), Product: f("product_id"), Compare: f("compare") == "before"}
	a := answer{title: "Analytics"}
	var err error
	if v.Products, err = c.productOptions("All products"); err != nil {
		return a, err
	}
	q := analytics.Query{By: analytics.Granularity(v.By), Product: id.ID(v.Product), Compare: v.Compare}
	var bad fault.Fields
	day := func(name, s string) (d civil.Date) {
		if s != "" {
			if d, err = civil.Parse(s); err != nil {
				bad.Add("/query/"+name, "date_invalid", "Give a date such as 2027-03-01.")
			}
		}
		return d
	}
	q.From, q.To = day("from", v.From), day("to", v.To)
	if !q.To.IsZero() {
		q.To = q.To.AddDays(1) // people name the last day
	}
	if q.From.IsZero() && q.To.IsZero() {
		today := c.today()
		q.From, q.To = today.AddDays(-364), today.AddDays(1)
	}
	c.analyticsPresets(&v)
	if err = bad.Err(); err == nil {
		err = c.reports(&v, q)
	}
	if err != nil {
		fl := fault.As(err)
		if fl.Kind != fault.Refused && fl.Kind != fault.NotFound {
			return a, err
		}
		v.Problem = fl.Public
		for _, field := range fl.Fields {
			v.Problem = field.Detail
		}
		a.status = 422
	}
	a.body = analyticsBody(v)
	return a, nil
}

func (c *call) analyticsPresets(v *analyticsView) {
	today := c.today()
	first := civil.Date{Year: today.Year, Month: today.Month, Day: 1}
	for _, p := range []struct {
		label    string
		from, to civil.Date
	}{{"30 days", today.AddDays(-29), today}, {"90 days", today.AddDays(-89), today}, {"12 months", today.AddDays(-364), today}, {"This month", first, today}, {"Last month", first.AddMonths(-1), first.AddDays(-1)}} {
		u := url.Values{"from": {p.from.String()}, "to": {p.to.String()}}
		if v.Product != "" {
			u.Set("product_id", v.Product)
		}
		if v.Compare {
			u.Set("compare", "before")
		}
		v.Presets = append(v.Presets, ui.Link{Href: "/analytics?" + u.Encode(), Text: p.label})
	}
}

// periodLabel names a period on an axis.
func periodLabel(p analytics.Period, by analytics.Granularity) string {
	if by == analytics.Monthly {
		return p.From.Month.String()[:3] + " " + strconv.Itoa(p.From.Year)[2:]
	}
	return strconv.Itoa(p.From.Day) + " " + p.From.Month.String()[:3]
}

// behind is where the entries behind a number are shown, as far as a filter can say it.
func (c *call) behind(l analytics.Link, in analytics.Period, product id.ID) string {
	if !c.permitted(team.EventsView) {
		return ""
	}
	if q, ok := l.Explorer(in, product); ok {
		return "/events?" + q.Encode()
	}
	return ""
}

// moved compares a number with the one before: "12 % more than before".
func moved(now, before int64, good ui.Tone) (string, ui.Tone) {
	switch {
	case before == 0:
		return "nothing before", ui.Neutral
	case now == before:
		return "as before", ui.Neutral
	}
	diff := now - before
	points := diff * 1000 / max(before, -before)
	word := "more"
	tone := good
	if diff < 0 {
		word, points = "less", -points
		if tone = ui.Bad; good == ui.Bad {
			tone = ui.Good
		}
	}
	return fmt.Sprintf("%d.%d %% %s than before", points/10, points%10, word), tone
}

// reports fills the page in.
func (c *call) reports(v *analyticsView, q analytics.Query) error {
	subs, err := c.Analytics.Subscriptions(c.ctx, q)
	if err != nil {
		return err
	}
	mrr, err := c.Analytics.MRR(c.ctx, q)
	if err != nil {
		return err
	}
	churn, err := c.Analytics.Churn(c.ctx, q)
	if err != nil {
		return err
	}
	sales, err := c.Analytics.Revenue(c.ctx, q)
	if err != nil {
		return err
	}
	recovery, err := c.Analytics.Recovery(c.ctx, q)
	if err != nil {
		return err
	}
	v.By = string(subs.By)
	v.From, v.To = subs.From.String(), subs.To.AddDays(-1).String()
	v.Counted = ui.Grouped(subs.Counted)
	tile := func(label, value string, now, before int64, has bool, good ui.Tone, href string) {
		t := ui.Tile{Label: label, Value: value, Href: href}
		if has {
			t.Note, t.Tone = moved(now, before, good)
		}
		v.Tiles = append(v.Tiles, t)
	}
	period := subs.Period
	had := func(n func() int64) int64 {
		if !q.Compare {
			return 0
		}
		return n()
	}
	tile("Active subscriptions", ui.Grouped(subs.Total.Active), subs.Total.Active, had(func() int64 { return subs.Before.Total.Active }), q.Compare, ui.Good, "/subscriptions?status=active")
	tile("Monthly recurring revenue", c.cash(mrr.Total.End), mrr.Total.End.Minor, had(func() int64 { return mrr.Before.Total.End.Minor }), q.Compare, ui.Good, "")
	tile("New subscriptions", ui.Grouped(subs.Total.New), subs.Total.New, had(func() int64 { return subs.Before.Total.New }), q.Compare, ui.Good, c.behind(subs.Links["new"], period, q.Product))
	open, lost := int64(0), int64(0)
	for _, r := range churn.Rows {
		open, lost = open+r.Open, lost+r.Churned
	}
	var rate *int64
	if open > 0 {
		rate = new(lost * 10_000 / open)
	}
	tile("Churn a "+string(subs.By), percent(rate), churn.Total.Churned, had(func() int64 { return churn.Before.Total.Churned }), q.Compare, ui.Bad, c.behind(churn.Links["churned"], period, q.Product))
	tile("Paid", c.cash(sales.Total.Total), sales.Total.Total.Minor, had(func() int64 { return sales.Before.Total.Total.Minor }), q.Compare, ui.Good, c.behind(sales.Links["total"], period, q.Product))
	tile("Average order", c.cash(sales.Total.Average), sales.Total.Average.Minor, had(func() int64 { return sales.Before.Total.Average.Minor }), q.Compare, ui.Good, "")
	tile("Recovered payments", percent(recovery.Total.Rate), recovery.Total.Recovered, had(func() int64 { return recovery.Before.Total.Recovered }), q.Compare, ui.Good, c.behind(recovery.Links["recovered"], period, q.Product))
	tile("Refunded", c.cash(sales.Total.Refunded), sales.Total.Refunded.Minor, had(func() int64 { return sales.Before.Total.Refunded.Minor }), q.Compare, ui.Bad, c.behind(sales.Links["refunded"], period, q.Product))

	labels := make([]string, len(subs.Rows))
	for i, r := range subs.Rows {
		labels[i] = periodLabel(r.Period, subs.By)
	}
	whole := func(x float64) string { return ui.Grouped(int64(x)) }
	cash := func(x float64) string { return strings.TrimSuffix(c.cash(money.Of(int64(x), subs.Currency)), ".00") }
	add := func(title, lead string, body templ.Component) {
		v.Charts = append(v.Charts, chartCard{title, lead, body})
	}
	active := chart.Chart{Title: "Active subscriptions", Labels: labels, Format: whole, Series: []chart.Series{{Name: "Active", Class: "s1", Values: column(subs.Rows, func(r analytics.SubscriptionRow) int64 { return r.Active })}}}
	if q.Compare {
		active.Series = append(active.Series, chart.Series{Name: "The period before", Class: "s0", Before: true, Values: column(subs.Before.Rows, func(r analytics.SubscriptionRow) int64 { return r.Active })})
	}
	add("Active subscriptions", "At the end of each "+string(subs.By)+".", chart.Line(active))
	amount := func(get func(analytics.RevenueMovementRow) money.Amount) []float64 {
		return column(mrr.Rows, func(r analytics.RevenueMovementRow) int64 { return get(r).Minor })
	}
	recurring := chart.Chart{Title: "Monthly recurring revenue", Labels: labels, Format: cash, Series: []chart.Series{{Name: "At the end", Class: "s1", Values: amount(func(r analytics.RevenueMovementRow) money.Amount { return r.End })}}}
	if q.Compare {
		recurring.Series = append(recurring.Series, chart.Series{Name: "The period before", Class: "s0", Before: true, Values: column(mrr.Before.Rows, func(r analytics.RevenueMovementRow) int64 { return r.End.Minor })})
	}
	add("Monthly recurring revenue", "What the subscriptions that run come to in a month.", chart.Line(recurring))
	add("What moved it", "", chart.Bars(chart.Chart{Title: "Movements of the monthly recurring revenue", Labels: labels, Format: cash, Series: []chart.Series{
		{Name: "New", Class: "s4", Values: amount(func(r analytics.RevenueMovementRow) money.Amount { return r.New })},
		{Name: "Reactivated and resumed", Class: "s2", Values: column(mrr.Rows, func(r analytics.RevenueMovementRow) int64 { return r.Reactivated.Minor + r.Resumed.Minor })},
		{Name: "Upgrade", Class: "s1", Values: amount(func(r analytics.RevenueMovementRow) money.Amount { return r.Upgrade })},
		{Name: "Downgrade", Class: "s3", Values: amount(func(r analytics.RevenueMovementRow) money.Amount { return r.Downgrade })},
		{Name: "Paused", Class: "s5", Values: amount(func(r analytics.RevenueMovementRow) money.Amount { return r.Paused })},
		{Name: "Churned", Class: "s6", Values: amount(func(r analytics.RevenueMovementRow) money.Amount { return r.Churned })},
	}}))
	paid := func(get func(analytics.SalesRow) money.Amount) []float64 {
		return column(sales.Rows, func(r analytics.SalesRow) int64 { return get(r).Minor })
	}
	add("Paid orders", "Refunds are not taken off.", chart.Bars(chart.Chart{Title: "Paid orders", Labels: labels, Format: cash, Series: []chart.Series{
		{Name: "First orders", Class: "s4", Values: paid(func(r analytics.SalesRow) money.Amount { return r.New })},
		{Name: "Recurring", Class: "s1", Values: paid(func(r analytics.SalesRow) money.Amount { return r.Recurring })},
		{Name: "Extra", Class: "s3", Values: paid(func(r analytics.SalesRow) money.Amount { return r.Extra })},
	}}))
	rt := recovery.Total
	funnel := chart.Chart{Title: "What became of failed payments", Labels: []string{"Failed"}, Format: whole, Series: []chart.Series{{Name: "Orders", Class: "s1", Values: []float64{float64(rt.Entered)}}}}
	step := func(label string, n int64) {
		funnel.Labels = append(funnel.Labels, label)
		funnel.Series[0].Values = append(funnel.Series[0].Values, float64(n))
	}
	step("Recovered", rt.Recovered)
	for i, n := range rt.ByRetry[:min(len(rt.ByRetry), 4)] {
		step("by try "+strconv.Itoa(i+1), n)
	}
	step("Given up", rt.Exhausted+rt.Abandoned)
	step("Still open", rt.InRecovery)
	add("Recovery", "Of the payments that failed in this time.", chart.Funnel(funnel))
	ahead, err := c.Analytics.Forecast(c.ctx, analytics.Query{By: analytics.Weekly, Product: q.Product})
	if err != nil {
		return err
	}
	var weeks []string
	for _, r := range ahead.Rows {
		weeks = append(weeks, periodLabel(r.Period, analytics.Weekly))
	}
	add("The next 90 days", "The orders to come, as the schedules stand now: nobody joins, nobody leaves.", chart.Bars(chart.Chart{Title: "Orders to come, by week", Labels: weeks, Format: cash,
		Series: []chart.Series{{Name: "Orders", Class: "s1", Values: column(ahead.Rows, func(r analytics.ForecastRow) int64 { return r.Amount.Minor })}}}))
	if err := c.cohorts(v, q); err != nil {
		return err
	}
	return c.rankings(v, q)
}

func column[R any](rows []R, get func(R) int64) []float64 {
	out := make([]float64, len(rows))
	for i, r := range rows {
		out[i] = float64(get(r))
	}
	return out
}

// cohortsAtMost is how many months of cohorts fit the page.
const cohortsAtMost = 12

func (c *call) cohorts(v *analyticsView, q analytics.Query) error {
	r, err := c.Analytics.Cohorts(c.ctx, q)
	if err != nil {
		return err
	}
	rows := r.Rows[max(0, len(r.Rows)-cohortsAtMost):]
	for _, row := range rows {
		line := chart.Row{Name: row.Month, Size: ui.Grouped(row.Began)}
		for m, cell := range row.Months[:min(len(row.Months), cohortsAtMost)] {
			one := chart.Cell{}
			if cell.Rate != nil {
				one = chart.Cell{Text: strconv.FormatInt((*cell.Rate+50)/100, 10) + "%", Share: float64(*cell.Rate) / 10_000, Said: fmt.Sprintf("%d of %d are there after %d months", cell.Open, row.Began, m)}
			}
			line.Cells = append(line.Cells, one)
		}
		v.Months = max(v.Months, len(line.Cells))
		v.Cohorts = append(v.Cohorts, line)
	}
	return nil
}

var endedBy = map[string]string{"customer": "The customer", "team": "The team", "program": "An API key", "payment": "A payment that failed", "expired": "All orders were made", "system": "Automatic"}

func (c *call) rankings(v *analyticsView, q analytics.Query) error {
	products, err := c.Analytics.Products(c.ctx, q)
	if err != nil {
		return err
	}
	for _, r := range products.Rows[:min(len(products.Rows), 10)] {
		link := ui.Link{Text: r.Title}
		if r.ProductID != "" {
			link = c.thing("product", string(r.ProductID), r.Title)
		}
		v.Top = append(v.Top, topRow{link, c.cash(r.Revenue), ui.Grouped(r.Orders), ui.Grouped(r.Pieces), percent(r.Share)})
	}
	privacy := store.Closed
	if c.permitted(team.PersonalDataView) {
		privacy = store.Opened
	}
	ended, err := c.Analytics.Cancellations(c.ctx, q, privacy)
	if err != nil {
		return err
	}
	for _, r := range ended.Rows[:min(len(ended.Rows), 12)] {
		reason := r.Reason
		switch {
		case r.Others:
			reason = "Other reasons"
		case reason == "":
			reason = "No reason given"
		}
		v.Reasons = append(v.Reasons, reasonRow{reason, endedBy[r.By], ui.Grouped(r.Ended), c.cash(r.MRR), percent(r.Share)})
	}
	return nil
}
