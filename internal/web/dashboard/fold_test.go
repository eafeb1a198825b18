package dashboard

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"perennial/internal/auth"
	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/subscription"
	"perennial/internal/view"
)

var (
	entryLink = regexp.MustCompile(`href="/events/(evt_[0-9a-z]+)"`)
	nextPage  = regexp.MustCompile(`href="([^"]+)"[^>]*>\s*Next page`)
)

// walk gives the entries that the pages of a log show, in the order in which they stand first, and how often each line was on a page.
func (b *browser) walk(address string) (entries []string, pages int) {
	for seen := map[string]bool{}; address != ""; pages++ {
		s := b.get(address)
		if s.status != 200 || pages > 50 {
			b.w.t.Fatalf("%s: %d, page %d", address, s.status, pages)
		}
		here := map[string]bool{}
		for _, m := range entryLink.FindAllStringSubmatch(s.body, -1) {
			if seen[m[1]] && !here[m[1]] {
				b.w.t.Errorf("%s: %s is on two pages", address, m[1])
			}
			if !seen[m[1]] {
				entries = append(entries, m[1])
			}
			seen[m[1]], here[m[1]] = true, true
		}
		address = ""
		if m := nextPage.FindStringSubmatch(s.body); m != nil {
			address = html.UnescapeString(m[1])
		}
	}
	return entries, pages
}

// A folded log says what happened in fewer lines, and leaves no entry out, whichever way it is read and however its pages fall.
func TestAFoldedLogHoldsEveryEntry(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	sub := w.IDs.New(id.Subscription)
	w.Do(journal.Bind(subscription.Create{ID: sub, CustomerID: f.ada, SellingPlanID: f.plan, PaymentMethodID: f.card, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: f.variant, Quantity: 1}}}))
	order, attempt := w.IDs.New(id.Order), w.IDs.New(id.BillingAttempt)
	w.Do(journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: order, AttemptID: attempt}))
	w.Do(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.Succeeded, GatewayID: "pi_1", Cause: w.lastOf("billing_attempt.started").ID}))
	for i := range 150 {
		w.Do(journal.Bind(subscription.ChangeNote{ID: sub, Note: fmt.Sprint("Called ", i/2)}))
	}
	for _, log := range []string{"/events", "/subscriptions/" + string(sub) + "/log", "/customers/" + string(f.ada) + "/log", "/activity"} {
		for _, order := range []string{"", "&order=asc"} {
			all, _ := owner.walk(log + "?fold=0" + order)
			folded, _ := owner.walk(log + "?" + strings.TrimPrefix(order, "&"))
			slices.Sort(all)
			slices.Sort(folded)
			if !slices.Equal(all, folded) {
				t.Errorf("%s%s: %d entries, folded %d", log, order, len(all), len(folded))
			}
		}
	}
	s := w.want(owner.get("/subscriptions/"+string(sub)+"/log?type=order.*&type=billing_attempt.*&type=subscription.renewed"), 200, "/subscriptions/"+string(sub)+"/log", " steps</span>")
	if n := strings.Count(s.body, `<article class="entry`); n != 1 {
		t.Errorf("an order from its beginning to its payment has %d lines, want 1", n)
	}
	if !strings.Contains(s.body, "Show every entry") {
		t.Error("the page does not offer to unfold")
	}
	s = w.want(owner.get("/subscriptions/"+string(sub)+"/log?fold=0&type=order.*&type=billing_attempt.*&type=subscription.renewed"), 200, "/subscriptions/"+string(sub)+"/log", "Fold what belongs together")
	if n := strings.Count(s.body, `<article class="entry`); n < 3 {
		t.Errorf("unfolded it has %d lines", n)
	}
	w.want(owner.get("/events?type=subscription.note_changed"), 200, "/events", " times</span>")
}

// Both days of a range belong to it, in the shop's zone.
func TestTheLastDayBelongsToARange(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	sub := w.IDs.New(id.Subscription)
	w.Do(journal.Bind(subscription.Create{ID: sub, CustomerID: f.ada, SellingPlanID: f.plan, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: f.variant, Quantity: 1}}}))
	zone, err := view.Zone(t.Context(), w.Store)
	if err != nil {
		t.Fatal(err)
	}
	today := civil.Of(w.clock(), zone)
	w.pass(today.AddDays(1).Start(zone).Add(-time.Minute).Sub(w.clock())) // the last minute of the day
	late := w.Do(journal.Bind(subscription.ChangeNote{ID: sub, Note: "Late."})).Events[0]
	w.pass(2 * time.Minute)
	tomorrow := w.Do(journal.Bind(subscription.ChangeNote{ID: sub, Note: "Tomorrow."})).Events[0]
	has := func(query string, e program.Done, want bool) {
		t.Helper()
		if got := strings.Contains(owner.get("/events?"+query).body, string(e.ID)); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	has("to="+today.String(), late, true)
	has("to="+today.String(), tomorrow, false)
	has("from="+today.String()+"&to="+today.String(), late, true)
	has("from="+today.AddDays(1).String(), late, false)
	has("from="+today.AddDays(1).String()+"&to="+today.AddDays(1).String(), tomorrow, true)
}
