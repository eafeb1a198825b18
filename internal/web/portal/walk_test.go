package portal

import (
	"net/http"
	"strings"
	"testing"

	"perennial/internal/cancelflow"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/subscription"
	"perennial/internal/test/htmlcheck"
)

// TestEveryPage walks along every link and form of the Portal, and comes by every page.
func TestEveryPage(t *testing.T) {
	w := newWorld(t)
	for _, cmd := range []func(id.ID) journal.Command{
		func(s id.ID) journal.Command { return journal.Bind(subscription.Pause{ID: s}) },
		func(s id.ID) journal.Command { return journal.Bind(subscription.Cancel{ID: s}) },
		func(s id.ID) journal.Command { return journal.Bind(subscription.Skip{ID: s}) },
	} {
		sub := w.IDs.New(id.Subscription)
		w.Do(journal.Bind(subscription.Create{ID: sub, CustomerID: w.ada, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: w.variant, Quantity: 1}}, BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1}}))
		w.Do(cmd(sub))
	}
	w.spare()
	dear, _ := w.flow()
	w.waits(w.hers, "pi_1")
	session := w.IDs.New(id.CancelSession)
	w.Do(journal.Bind(cancelflow.Start{ID: session, SubscriptionID: w.hers}))
	w.Do(journal.Bind(cancelflow.Choose{Session: session, ReasonID: dear}))
	ada := w.signIn("ada@example.com")
	walked := htmlcheck.Walk{From: []string{"/portal", "/portal/subscriptions/" + string(w.hers) + "/cancel/offers"}, Elsewhere: []string{"/assets/", "http"},
		Get: func(address string) (int, string, string) {
			s := ada.get(address)
			return s.status, "text/html", s.body
		},
		Route: func(method, address string) string {
			r, err := http.NewRequestWithContext(t.Context(), method, address, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			return w.p.mux.Pattern(r)
		}}.Run(t)
	for _, p := range []string{"/portal/signin", "/portal/code", "/portal/link/{token}", "/portal/quick/{token}", "/portal/"} { // before one is in, from elsewhere, and what is nowhere
		walked["GET "+p]++
	}
	for _, p := range w.patterns() {
		if strings.HasPrefix(p, "GET ") && walked[p] == 0 {
			t.Errorf("no link leads to %s", p)
		}
	}
}
