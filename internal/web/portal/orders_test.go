package portal

import (
	"testing"

	"perennial/internal/billing"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// An order says how much of it came back: a part is not the whole. What was never charged is not asked about as if it had been.
func TestHowAnOrderStands(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	const at = "/portal/orders"
	order, attempt := w.IDs.New(id.Order), w.IDs.New(id.BillingAttempt)
	w.Do(journal.Bind(billing.OrderNow{SubscriptionID: w.hers, OrderID: order, AttemptID: attempt}))
	w.want(v.get(at), 200, at, "Being charged", "Why this amount?")
	w.Do(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.Succeeded}))
	w.Do(journal.Bind(billing.Refund{OrderID: order, Amount: new(money.Of(300, "EUR"))}))
	w.want(v.get(at), 200, at, "Why was I charged?")
	for language, want := range map[string]string{"en": ">Partly refunded<", "de": ">Teilweise erstattet<", "fr": ">Remboursée en partie<", "es": ">Reembolsado en parte<"} {
		w.want(v.post("/portal/language", "language", language, "back", at), 200, at, want)
	}
	w.Do(journal.Bind(billing.Refund{OrderID: order}))
	v.post("/portal/language", "language", "en", "back", at)
	w.want(v.get(at), 200, at, ">Refunded<")
}
