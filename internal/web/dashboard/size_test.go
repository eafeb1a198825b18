package dashboard

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"perennial/internal/auth"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/subscription"
	"perennial/internal/test/htmlcheck"
)

// heaviest is what a page of 50 rows may weigh on its way, compressed.
const heaviest = 60 << 10

func TestPagesAreSmall(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	for n := range 60 {
		who, sub := w.IDs.New(id.Customer), w.IDs.New(id.Subscription)
		name := string(who)[10:] // as different from one another as names are
		w.Do(journal.Bind(customer.Create{ID: who, Email: name + "@example.com", FirstName: name[:8], LastName: name[8:]}))
		w.Do(journal.Bind(subscription.Create{ID: sub, CustomerID: who, SellingPlanID: f.plan, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: f.variant, Quantity: 1 + n%5}}}))
		w.Do(journal.Bind(subscription.Skip{ID: sub}))
		w.Do(journal.Bind(subscription.ChangeNote{ID: f.sub, Note: name}))
	}
	for _, path := range []string{"/subscriptions", "/subscriptions?view=cards", "/customers", "/events", "/subscriptions/" + string(f.sub), "/subscriptions/" + string(f.sub) + "/log", "/customers/" + string(f.ada) + "/log", "/upcoming"} {
		s := b.send("GET", path, nil, "Accept-Encoding", "gzip")
		if s.header.Get("Content-Encoding") != "gzip" || len(s.body) > heaviest {
			t.Errorf("%s: %d bytes, %q", path, len(s.body), s.header.Get("Content-Encoding"))
		}
		z, err := gzip.NewReader(strings.NewReader(s.body))
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(z)
		if err != nil || len(htmlcheck.Check(string(page)).Problems) > 0 {
			t.Errorf("%s is not the page: %v", path, err)
		}
		t.Logf("%s: %d of %d bytes", path, len(s.body), len(page))
	}
}

// Whoever closes the page while it is made is no trouble of the server's: the log stays without an error (newWorld looks).
func TestABrowserThatWentAway(t *testing.T) {
	w, _, _ := owned(t, auth.ProviderConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.d.plainAs(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody), nil, http.StatusServiceUnavailable, "Not now", "The server is busy.")
}
