package dashboard

import (
	"strings"
	"testing"
	"time"

	"perennial/internal/auth"
	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// The page of an entry leads back along its causes: from the end of a subscription to the payment that failed first, made by other
// commands on other days.
func TestWhatLedToAnEntry(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	w.Do(journal.Bind(settings.Update{Document: &settings.Recovery{RetryDays: []int{}, EndAction: settings.EndCancel}}))
	sub, order, attempt := w.IDs.New(id.Subscription), w.IDs.New(id.Order), w.IDs.New(id.BillingAttempt)
	due := civil.Of(w.clock(), time.UTC)
	w.Do(journal.Bind(subscription.Create{ID: sub, CustomerID: f.ada, SellingPlanID: f.plan, NextBillingDate: &due, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: f.variant, Quantity: 1}}}))
	w.Do(journal.Bind(billing.CreateOrder{SubscriptionID: sub, OrderID: order, AttemptID: attempt, Due: due}))
	w.Do(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.Declined, Code: "insufficient_funds", Message: "No.", Cause: w.lastOf("billing_attempt.started").ID}))
	at := "/events/" + string(w.lastOf("subscription.cancelled").ID)
	s := w.want(owner.get(at), 200, at, "What led to this")
	_, list, _ := strings.Cut(s.body, "What led to this")
	list, _, _ = strings.Cut(list, "</ol>")
	last := -1
	for _, typ := range []string{"order.created", "billing_attempt.started", "billing_attempt.failed", "recovery.entered", "recovery.exhausted"} {
		i := strings.Index(list, `href="/events/`+string(w.lastOf(journal.Name(typ)).ID)+`"`)
		if i <= last {
			t.Errorf("%s is not in its place in %s", typ, list)
		}
		last = i
	}
	first := "/events/" + string(w.lastOf("order.created").ID)
	if s := w.want(owner.get(first), 200, first, ""); strings.Contains(s.body, "What led to this") {
		t.Error("the first entry has a cause")
	}
	for key, title := range map[id.ID]string{f.order: "Why this was charged", order: "Why this amount"} { // paid, and never paid
		w.want(owner.get("/orders/"+string(key)), 200, "/orders/"+string(key), "<h2>"+title+"</h2>")
	}
}
