package dashboard

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"perennial/internal/auth"
	"perennial/internal/journal"
	"perennial/internal/subscription"
	"perennial/internal/test/htmlcheck"
	"perennial/internal/web/ui"
)

// TestEveryFormIsSentOnce walks to every form of the Dashboard and sends it twice as it stands: the second time changes nothing.
func TestEveryFormIsSentOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	w, b, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	w.hire(b, "ben@example.com", "192.0.2.3", "role", "member", "defaults", "yes")
	b.post("/api-keys", "name", "Warehouse", "permission", "events.view")
	type sent struct{ page, action string }
	var forms []sent
	known := map[string]int{}
	htmlcheck.Walk{From: []string{"/", "/customers/" + string(f.ada)}, Elsewhere: []string{"/portal", "/api/", "/assets/", "/demo/", "http"}, Route: w.pattern,
		Get: func(address string) (int, string, string) {
			if strings.HasSuffix(address, "/preview") {
				return 200, "message/rfc822", ""
			}
			s := b.get(address)
			return s.status, s.header.Get("Content-Type"), s.body
		},
		Form: func(page, action string, _ htmlcheck.Form) {
			if r := w.pattern(http.MethodPost, action); known[r] == 0 && !strings.HasSuffix(action, ui.Preview) {
				known[r]++
				forms = append(forms, sent{page, action})
			}
		}}.Run(t)
	// What a form says when it is filled in, by the names of its fields.
	filled := map[string]string{
		"email": "eve@example.com", "confirm_email": "ada@example.com", "first_name": "Eve", "title": "Tea", "name": "Another", "line1": "Street 1", "city": "Bern", "country": "CH", "code": "SPRING", "value": "7",
		"price": "12.00", "amount": "1.00", "quantity": "7", "interval_count": "3", "note": "Something else", "attributes": "a: b", "label": "Too much", "variant_0": string(f.variant), "variant_id": string(f.variant),
		"product": string(f.product), "setting": "offered", "subject": "News", "text": "Hello.", "description": "Other words", "current": password, "delivery_price": "3.00", "unit_price": "9.00",
		"cutoff_days": "2", "support_contact": "us@example.com", "network_months": "3", "default_delivery_price": "4.00", "billing_hour": "5", "permission": "events.view", "tracking_url": "https://post.example/1",
		"next_billing_date": stateIn[*subscription.Subscription](w, journal.Subscription, f.sub).NextBillingDate.AddDays(2).String(), "password": password + "x", "value_0": "9",
	}
	words := []string{"/merge", "/split", "/pause", "/archive", "/remove", "/redact", "/cancel", "/end", "/account/password", "/signout"}
	ends := func(f sent) int {
		return 1 + slices.IndexFunc(words, func(word string) bool { return strings.Contains(f.action, word) })
	}
	slices.SortStableFunc(forms, func(a, b sent) int { return ends(a) - ends(b) })
	changed := map[string]bool{}
	for _, at := range forms {
		var values url.Values
		for _, form := range htmlcheck.Check(b.get(at.page).body).Forms {
			if form.Method == "post" && (form.Action == at.action || form.Action == "" && strings.HasPrefix(at.page, at.action)) {
				values = maps.Clone(form.Values)
			}
		}
		if values == nil {
			continue // something before this ended it
		}
		for name, value := range filled {
			if values.Has(name) {
				values.Set(name, value)
			}
		}
		if strings.HasSuffix(at.action, "/bulk") && strings.HasPrefix(at.action, "/products") {
			values.Set("product", string(f.product))
		}
		before := w.Things()
		first := b.send(http.MethodPost, at.action, values)
		once := w.Things()
		second := b.send(http.MethodPost, at.action, values)
		if twice := w.Things(); twice != once {
			t.Errorf("%s sent twice: %s, then %s, then %s (%d, %d)", at.action, before, once, twice, first.status, second.status)
		}
		if once != before {
			changed[w.pattern(http.MethodPost, at.action)] = true
		}
	}
	var without []string
	for r := range known {
		if !changed[r] {
			without = append(without, r)
		}
	}
	slices.Sort(without)
	t.Logf("%d kinds of forms, %d had an effect; sent without one: %q", len(known), len(changed), without)
	if len(changed) < 60 {
		t.Errorf("only %d of %d kinds of forms had an effect when they were first sent", len(changed), len(known))
	}
}
