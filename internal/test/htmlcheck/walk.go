package htmlcheck

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Walk is a walk through all pages of a face.
type Walk struct {
	From      []string // where it begins
	Elsewhere []string // beginnings of addresses that others answer
	// Get reads a page.
	Get func(address string) (status int, contentType, body string)
	// Route names what answers an address; empty: nothing does.
	Route func(method, address string) string
	// Form is given each form that is sent, with the address of its page, unless it goes elsewhere. Nil: nobody asks.
	Form func(page, action string, f Form)
}

// alike is how many addresses of one route with the same names in the query are looked at.
const alike = 4

// Run goes along every link from where the walk begins. It fails the test for a page that breaks a rule, a link that leads to no page, and a
// form that goes nowhere, and gives the routes that it came by, with how many pages each had.
func (w Walk) Run(t testing.TB) map[string]int {
	t.Helper()
	others := func(address string) bool {
		return slices.ContainsFunc(w.Elsewhere, func(p string) bool { return strings.HasPrefix(address, p) })
	}
	routes, times, done := map[string]int{}, map[string]int{}, map[string]bool{}
	for waiting := slices.Clone(w.From); len(waiting) > 0; waiting = waiting[1:] {
		address := waiting[0]
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		route := w.Route(http.MethodGet, address)
		kind := route + " " + strings.Join(slices.Sorted(maps.Keys(u.Query())), " ")
		if done[address] || times[kind] == alike {
			continue
		}
		done[address] = true
		times[kind]++
		routes[route]++
		status, contentType, body := w.Get(address)
		if status != http.StatusOK {
			t.Errorf("%s: %d", address, status)
			continue
		}
		if !strings.HasPrefix(contentType, "text/html") {
			continue
		}
		page := Check(body)
		for _, wrong := range page.Problems {
			t.Errorf("%s: %s", address, wrong)
		}
		for _, form := range page.Forms {
			method := http.MethodGet
			if form.Method == "post" {
				method = http.MethodPost
			}
			if form.Action != "" && !others(form.Action) && w.Route(method, form.Action) == "" {
				t.Errorf("%s has a form that goes nowhere: %+v", address, form)
			}
			if action := cmp.Or(form.Action, u.Path); w.Form != nil && method == http.MethodPost && !others(action) {
				w.Form(address, action, form)
			}
		}
		for _, link := range page.Links {
			if link, _, _ = strings.Cut(link, "#"); link != "" && !others(link) {
				waiting = append(waiting, link)
			}
		}
	}
	return routes
}
