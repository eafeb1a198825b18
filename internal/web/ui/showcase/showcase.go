// Package showcase is one page with every part of the design system, so that a part can be looked at in both themes and at any width, and a
// change to the style sheet can be judged at one glance. A test fails for a part that is not on it.
package showcase

import (
	"time"

	"perennial/internal/civil"
	"perennial/internal/money"
	"perennial/internal/web/ui"
	"perennial/internal/web/ui/chart"
)

//go:generate go tool -modfile=../../../../tools/go.mod templ generate

// at is when everything on the page happened.
var at = time.Date(2027, 3, 3, 14, 5, 0, 0, time.FixedZone("CET", 3600))

var day = civil.Date{Year: 2027, Month: 3, Day: 3}

var options = []ui.Option{{Value: "week", Label: "weeks"}, {Value: "month", Label: "months", Hint: "The most common one."}, {Value: "year", Label: "years"}}

var changes = []ui.Change{
	{Field: "Status", Before: ui.Value{Text: "active"}, After: ui.Value{Text: "paused"}},
	{Field: "Paused until", Before: ui.Value{None: true}, After: ui.Value{Text: "3 April 2027"}},
	{Field: "Note", Before: ui.Value{Erased: true}, After: ui.Value{Hidden: true}},
	{Field: "Product", Before: ui.Value{Text: "House blend", Href: "/ui#parts"}, After: ui.Value{Text: "Decaf", Href: "/ui#parts"}},
}

var entries = []ui.Entry{
	{ID: "entry-1", Href: "/ui#entry-1", Seq: 12_481, At: at, Icon: "user", Sentence: "Paused the subscription until 3 April 2027", About: []ui.Link{{Href: "/ui#parts", Text: "Ada Lovelace"}}, Who: "Olivia Hart", Reason: "Away for the winter",
		Open: true, Changes: changes, Facts: []ui.Pair{{Term: "From", Value: ui.Text("Dashboard")}, {Term: "IP address", Value: ui.Personal("", true)}}},
	{ID: "entry-2", Seq: 12_480, At: at.Add(-time.Hour), Icon: "zap", Sentence: "Renewed the subscription with order W7-1 for $24.50", Who: "Automatic"},
	{ID: "entry-3", Seq: 12_200, At: at.AddDate(0, 0, -2), Icon: "shopping-bag", Sentence: "Skipped the order of 1 March 2027", Who: "Ada Lovelace", Undone: true},
}

var figures = chart.Chart{Title: "Monthly recurring revenue", Labels: []string{"Jan", "Feb", "Mar", "Apr"}, Series: []chart.Series{
	{Name: "This year", Class: "s1", Values: []float64{1200, 1350, 1500, 1480}}, {Name: "The year before", Class: "s1", Values: []float64{900, 1000, 1150, 1200}, Before: true}}}

var moves = chart.Chart{Title: "Movements", Labels: []string{"Jan", "Feb", "Mar"}, Series: []chart.Series{
	{Name: "New", Class: "s1", Values: []float64{30, 42, 25}}, {Name: "Upgrade", Class: "s2", Values: []float64{8, 5, 11}}, {Name: "Churned", Class: "s5", Values: []float64{-12, -9, -14}}}}

var funnel = chart.Chart{Title: "Recovery", Labels: []string{"Failed", "First try", "Second try"}, Series: []chart.Series{{Name: "Payments", Class: "s1", Values: []float64{40, 22, 9}}}}

var cohorts = []chart.Row{{Name: "January 2027", Size: "40", Cells: []chart.Cell{{Text: "100%", Share: 1, Said: "40 of 40"}, {Text: "85%", Share: .85, Said: "34 of 40"}, {Text: "70%", Share: .7, Said: "28 of 40"}}},
	{Name: "February 2027", Size: "52", Cells: []chart.Cell{{Text: "100%", Share: 1, Said: "52 of 52"}, {Text: "90%", Share: .9, Said: "47 of 52"}}}}

func price() string { return ui.Money(money.Of(123450, "USD"), "en-US") }

// Toast is what the page shows in its corner.
func Toast() *ui.Toast {
	return &ui.Toast{Text: "Paused the subscription until 3 April 2027", More: ui.Link{Href: "/ui#entry-1", Text: "See the entry"}}
}
