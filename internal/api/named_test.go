package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/journal"
	"perennial/internal/subscription"
)

// TestNamesOfTheirTime renames a customer, a product and its variant: entries from before call them as they were called then, and say what they
// are called now. Who is erased has no name at any time.
func TestNamesOfTheirTime(t *testing.T) {
	s := openStocked(t)
	name := func(first, last string) {
		s.run(journal.Bind(customer.UpdateProfile{ID: s.ada, FirstName: &first, LastName: &last}))
	}
	name("Ada", "Byron")
	s.pause()
	s.run(journal.Bind(catalog.UpdateProduct{ID: s.product, Title: new("Tea")}))
	name("Ada", "King")
	s.run(journal.Bind(subscription.Resume{ID: s.sub}))
	names := func(typ, path string) string {
		e := s.do("GET", "/events?limit=1&type="+typ+path, nil).want(200)
		var out []string
		for i := range e.list("data.0.targets") {
			words := e.text(fmt.Sprintf("data.0.targets.%d.display", i))
			b, err := json.Marshal(e.list("data.0.targets")[i])
			if err != nil {
				t.Fatal(err)
			}
			if _, now, ok := strings.Cut(string(b), `"display_now":"`); ok {
				now, _, _ = strings.Cut(now, `"`)
				words += " → " + now
			}
			out = append(out, words)
		}
		return strings.Join(out, ", ")
	}
	for _, tt := range []struct{ typ, want string }{
		{"subscription.paused", "1 × Coffee, 1 kg, Ada Byron → Ada King"},
		{"subscription.resumed", "1 × Coffee, 1 kg, Ada King"},
		{"product.created", "Coffee → Tea"},
		{"variant.created", "1 kg, Coffee → Tea"},
		{"product.updated", "Tea"},
		{"customer.created", "Ada Lovelace → Ada King"},
		{"customer.profile_updated", "Ada King"},
	} {
		if got := names(tt.typ, ""); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.typ, got, tt.want)
		}
	}
	csv := string(s.do("GET", "/events?format=csv&type=subscription.paused", nil).want(200).Body)
	if !strings.Contains(csv, "Ada Byron") {
		t.Errorf("the download: %s", csv)
	}
	s.do("POST", "/customers/"+string(s.ada)+"/redact", map[string]any{"confirm_email": "ada@example.com"}).want(200)
	for _, typ := range []string{"subscription.paused", "customer.created", "customer.profile_updated"} {
		if got := names(typ, ""); strings.Contains(got, "Ada") || strings.Contains(got, "ada@") || !strings.Contains(got, "Erased customer") {
			t.Errorf("%s after the erasure: %q", typ, got)
		}
	}
}
