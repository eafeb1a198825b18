package api_test

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/privacy"
	"perennial/internal/subscription"
	"perennial/internal/team"
)

// amounts gives what a row of a report says of some amounts of money.
func (a *answer) amounts(row string, names ...string) map[string]int64 {
	out := map[string]int64{}
	for _, n := range names {
		out[n] = a.number(row + "." + n + ".amount")
	}
	return out
}

func TestMovementsOfAMonth(t *testing.T) {
	s := openStocked(t) // Ada: 12.00 a month
	s.created("/customers/"+string(s.ada)+"/payment-methods", card)
	filters := s.shop.product("Filters")
	paper := s.variant2(filters, 300)
	sub := "/subscriptions/" + string(s.sub)
	const day = 24 * time.Hour

	s.advance(31 * day)                                                                                // 1 April
	s.do("POST", sub+"/items", fields{"variant_id": paper, "quantity": 2}).want(200)                   // +6.00
	s.do("POST", sub+"/items", fields{"variant_id": paper, "quantity": 1, "one_time": true}).want(200) // counts for nothing
	s.advance(day)
	s.do("POST", sub+"/frequency", fields{"interval": "month", "interval_count": 2}).want(200) // 18.00 every two months: -9.00
	s.advance(day)
	s.do("POST", sub+"/pause", nil).want(200)  // -9.00
	s.do("POST", sub+"/resume", nil).want(200) // +9.00
	bob := s.shop.subscription(s.ada, paper)   // +3.00
	s.do("POST", "/subscriptions/"+string(bob)+"/merge", fields{"into": string(s.sub)}).want(200)
	s.advance(day)
	s.do("POST", sub+"/pause", nil).want(200) // 18.00 + 3.00 every two months: -10.50
	s.do("POST", sub+"/cancel", fields{"reason": " Too  expensive "}).want(200)

	movements := []string{"start", "new", "reactivated", "resumed", "upgrade", "downgrade", "paused", "churned", "transferred", "end"}
	a := s.do("GET", "/analytics/mrr?from=2027-04-01&to=2027-05-01&by=month&compare=before", nil).want(200)
	want := map[string]int64{"start": 1200, "new": 300, "reactivated": 0, "resumed": 900, "upgrade": 600, "downgrade": -900, "paused": -900 - 1050, "churned": 0, "transferred": 150 - 300, "end": 0}
	if diff := cmp.Diff(want, a.amounts("data.rows.0", movements...)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	a.shows(map[string]any{"data.before.from": "2027-03-01", "data.before.total.new.amount": 1200.0, "data.before.total.end.amount": 1200.0, "data.currency": "EUR", "data.product_id": nil})
	a = s.do("GET", "/analytics/mrr?from=2027-04-01&to=2027-05-01&product_id="+string(filters), nil).want(200)
	want = map[string]int64{"start": 0, "new": 300, "reactivated": 0, "resumed": 300, "upgrade": 600, "downgrade": -300, "paused": -300 - 450, "churned": 0, "transferred": -150, "end": 0}
	if diff := cmp.Diff(want, a.amounts("data.total", movements...)); diff != "" {
		t.Errorf("of filters, -want +got:\n%s", diff)
	}

	s.do("GET", "/analytics/subscriptions?from=2027-04-01&to=2027-05-01", nil).want(200).shows(map[string]any{"data.total.active": 0.0, "data.total.on_hold": 0.0, "data.total.new": 1.0,
		"data.total.paused": 2.0, "data.total.resumed": 1.0, "data.total.churned": 1.0, "data.total.transferred": 2.0})
	s.do("GET", "/analytics/churn?from=2027-04-01&to=2027-05-01&by=month", nil).want(200).shows(map[string]any{"data.rows.0.open": 1.0, "data.rows.0.churned": 1.0,
		"data.rows.0.rate_basis_points": 10000.0, "data.rows.0.mrr.amount": 1200.0, "data.rows.0.churned_mrr.amount": 0.0})
	s.do("GET", "/analytics/cohorts?from=2027-03-01&to=2027-05-01", nil).want(200).shows(map[string]any{"data.rows.0.month": "2027-03", "data.rows.0.began": 1.0,
		"data.rows.0.months.0.open": 1.0, "data.rows.0.months.1.open": 0.0, "data.rows.1.began": 1.0, "data.rows.1.months.0.open": 0.0})

	// Behind the number are the entries, newest first.
	list := s.do("GET", "/analytics/entries?figure=mrr.paused&from=2027-04-01&to=2027-05-01&limit=1", nil).want(200)
	list.shows(map[string]any{"data.0.type": "subscription.paused", "data.0.amount.amount": -1050.0, "data.0.subscription_id": string(s.sub), "data.0.day": "2027-04-04", "data.0.count": 1.0})
	list = s.do("GET", "/analytics/entries?figure=mrr.paused&from=2027-04-01&to=2027-05-01&limit=1&cursor="+list.text("next_cursor"), nil).want(200)
	list.shows(map[string]any{"data.0.amount.amount": -900.0, "next_cursor": nil})
	s.do("GET", "/events/"+list.text("data.0.event_id"), nil).want(200).shows(map[string]any{"data.type": "subscription.paused"})

	// Reasons are personal: they are told apart for whoever may see them, and gone once the person is erased.
	reasons := "/analytics/cancellations?from=2027-04-01&to=2027-05-01"
	s.do("GET", reasons, nil).want(200).shows(map[string]any{"data.rows.0.by": "program", "data.rows.0.reason": "Too expensive", "data.rows.0.ended": 1.0, "data.rows.0.mrr.amount": 0.0, "data.total.ended": 1.0})
	s.with(s.key(team.AnalyticsView)).do("GET", reasons, nil).want(200).shows(map[string]any{"data.rows.0.by": "program", "data.rows.0.reason": "", "data.total.ended": 1.0})
	s.run(journal.Bind(privacy.Redact{CustomerID: s.ada, ConfirmEmail: "ada@example.com"}))
	s.do("GET", reasons, nil).want(200).shows(map[string]any{"data.rows.0.by": "program", "data.rows.0.reason": "", "data.rows.0.ended": 1.0})
	must(t, s.Analytics.Rebuild(t.Context(), nil))
	s.do("GET", reasons, nil).want(200).shows(map[string]any{"data.rows.0.by": "program", "data.rows.0.reason": "", "data.rows.0.ended": 1.0})
}

// variant2 makes a variant of a price.
func (s stocked) variant2(product id.ID, minor int64) id.ID {
	return s.shop.variant(product, "One", minor)
}

func TestSalesAndRefunds(t *testing.T) {
	s := openStocked(t)
	s.created("/customers/"+string(s.ada)+"/payment-methods", card)
	first, second := s.order(s.sub), s.order(s.sub)
	s.advance(40 * 24 * time.Hour)
	s.do("POST", "/orders/"+string(first)+"/refund", fields{"amount": fields{"amount": 200, "currency": "EUR"}, "reason": "Late"}).want(200)
	s.do("POST", "/orders/"+string(first)+"/refund", fields{"reason": "Lost"}).want(200)
	s.do("POST", "/orders/"+string(second)+"/refund", fields{"amount": fields{"amount": 100, "currency": "EUR"}, "reason": "Late"}).want(200)
	for _, product := range []string{"", "&product_id=" + string(s.product)} {
		a := s.do("GET", "/analytics/revenue?from=2027-03-01&to=2027-05-01&by=month"+product, nil).want(200)
		a.shows(map[string]any{"data.rows.0.extra.amount": 2400.0, "data.rows.0.new.amount": 0.0, "data.rows.0.orders": 2.0, "data.rows.0.average_order_value.amount": 1200.0, "data.rows.0.refunded.amount": 0.0,
			"data.rows.1.total.amount": 0.0, "data.rows.1.refunded.amount": 1300.0, "data.rows.1.net.amount": -1300.0, "data.total.net.amount": 1100.0, "data.rows.1.average_order_value.amount": 0.0})
	}
	s.do("GET", "/analytics/products?from=2027-03-01&to=2027-04-01&compare=before", nil).want(200).shows(map[string]any{"data.rows.0.title": "Coffee", "data.rows.0.revenue.amount": 2400.0,
		"data.rows.0.pieces": 2.0, "data.rows.0.share_basis_points": 10000.0, "data.before.rows": []any{}})
	a := s.do("GET", "/analytics/revenue?from=2027-03-01&to=2027-05-01&by=month&format=csv", nil).want(200)
	rows, err := csv.NewReader(strings.NewReader(string(a.Body))).ReadAll()
	must(t, err)
	wants := [][]string{
		{"from", "to", "new", "recurring", "extra", "total", "delivery", "tax", "refunded", "net", "orders", "average_order_value", "currency"},
		{"2027-03-01", "2027-04-01", "0.00", "0.00", "24.00", "24.00", "0.00", "0.00", "0.00", "24.00", "2", "12.00", "EUR"},
		{"2027-04-01", "2027-05-01", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "13.00", "-13.00", "0", "0.00", "EUR"},
	}
	if diff := cmp.Diff(wants, rows); diff != "" {
		t.Errorf("CSV, -want +got:\n%s", diff)
	}
}

func TestForecastFollowsTheSchedules(t *testing.T) {
	s := openStocked(t) // next order on 1 April, then 1 May
	orders := func(want float64, amount float64) {
		t.Helper()
		s.do("GET", "/analytics/forecast?by=month", nil).want(200).shows(map[string]any{"data.total.orders": want, "data.total.amount.amount": amount, "data.from": "2027-03-01", "data.to": "2027-05-30", "data.before": nil})
	}
	orders(2, 2400)
	s.do("POST", "/subscriptions/"+string(s.sub)+"/skip", nil).want(200)
	orders(1, 1200)
	s.do("POST", "/subscriptions/"+string(s.sub)+"/unskip", fields{"date": "2027-04-01"}).want(200)
	orders(2, 2400)
	page := s.do("GET", "/settings/billing", nil).want(200).at("data").(map[string]any)
	delete(page, "id")
	delete(page, "version")
	page["tax_basis_points"] = 1000
	s.do("PUT", "/settings/billing", page).want(200)
	orders(2, 2640)
	s.do("POST", "/subscriptions/"+string(s.sub)+"/pause", fields{"until": "2027-04-20"}).want(200)
	orders(1, 1320)
	s.do("POST", "/subscriptions/"+string(s.sub)+"/cancel", nil).want(200)
	orders(0, 0)
}

// A plan's new prices move what its subscriptions are worth, on the day of the change.
func TestAPlansPricesMoveRevenue(t *testing.T) {
	s := openStocked(t)
	group, plan := s.IDs.New(id.SellingPlanGroup), s.IDs.New(id.SellingPlan)
	policy := catalog.Policy{Interval: civil.Month, IntervalCount: 1}
	s.run(journal.Bind(catalog.CreateGroup{ID: group, Name: "Monthly", ProductIDs: []id.ID{s.product}}))
	s.run(journal.Bind(catalog.CreatePlan{ID: plan, GroupID: group, Name: "Monthly", BillingPolicy: policy, Pricing: []catalog.Pricing{{Kind: catalog.KindPercentage, Value: 25}}}))
	s.run(journal.Bind(subscription.Create{ID: s.IDs.New(id.Subscription), CustomerID: s.ada, SellingPlanID: plan, Items: []subscription.NewItem{{ID: s.IDs.New(id.Item), VariantID: s.variant, Quantity: 1}}}))
	s.do("GET", "/analytics/mrr", nil).want(200).shows(map[string]any{"data.total.end.amount": 1200.0 + 900})
	s.advance(24 * time.Hour)
	s.do("PATCH", "/selling-plan-groups/"+string(group)+"/plans/"+string(plan), fields{"pricing": []any{fields{"kind": "percentage", "value": 50, "after_cycle": 0}}}).want(200)
	s.do("GET", "/analytics/mrr?from=2027-03-02&to=2027-03-03", nil).want(200).shows(map[string]any{"data.total.start.amount": 2100.0, "data.total.downgrade.amount": -300.0, "data.total.end.amount": 1800.0})
	s.do("GET", "/analytics/entries?figure=mrr.downgrade", nil).want(200).shows(map[string]any{"data.0.type": "selling_plan.updated", "data.0.amount.amount": -300.0})
}

func TestReportsRefuse(t *testing.T) {
	s := openShop(t)
	for path, want := range map[string]string{
		"/analytics/mrr?from=yesterday":                             "/query/from",
		"/analytics/mrr?from=2027-03-01&to=2027-03-01":              "/query/to",
		"/analytics/mrr?from=2020-01-01&to=2027-01-01&by=day":       "/query/by",
		"/analytics/mrr?by=hour":                                    "/query/by",
		"/analytics/mrr?compare=x":                                  "/query/compare",
		"/analytics/forecast?from=2027-03-01":                       "/query/from",
		"/analytics/entries?figure=gauge.running":                   "/query/figure",
		"/analytics/entries":                                        "/query/figure",
		"/analytics/entries?figure=mrr.new&from=2027-01-01&to=2026": "/query/to",
	} {
		if got := s.do("GET", path, nil).refused(422, "fields_refused").pointers(); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	s.do("GET", "/analytics/mrr?product_id=prod_x", nil).refused(404, "unknown_product")
	s.do("GET", "/analytics/nothing", nil).want(404)
	for _, name := range []string{"subscriptions", "mrr", "churn", "revenue", "cohorts", "cancellations", "recovery", "products", "forecast"} {
		s.do("GET", "/analytics/"+name, nil).want(200)
		s.do("GET", "/analytics/"+name+"?format=csv", nil).want(200)
	}
}
