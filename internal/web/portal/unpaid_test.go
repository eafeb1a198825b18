package portal

import (
	"testing"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/subscription"
)

// While a payment of an order of the rhythm can still succeed, nothing is split off or merged: the page says so before the form is sent, and
// when it is, in each language.
func TestItemsOfAnUnpaidOrderStay(t *testing.T) {
	w := newWorld(t)
	today := civil.Date{Year: 2027, Month: 3, Day: 3}
	sub, order, attempt := w.another(today, ""), w.IDs.New(id.Order), w.IDs.New(id.BillingAttempt)
	item := w.IDs.New(id.Item)
	w.Do(journal.Bind(subscription.AddItem{ID: sub, Item: subscription.NewItem{ID: item, VariantID: w.variant, Quantity: 1}}))
	w.Do(journal.Bind(billing.CreateOrder{SubscriptionID: sub, OrderID: order, AttemptID: attempt, Due: today}))
	w.Do(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.ActionRequired, GatewayID: "pi_1"}))
	for language, words := range map[string]string{"en": "A payment is on its way, or waits for you to confirm it.", "de": "Eine Zahlung ist unterwegs oder wartet auf Ihre Bestätigung.",
		"fr": "Un paiement est en cours ou attend votre confirmation.", "es": "Hay un pago en curso o a la espera de que usted lo confirme."} {
		v := w.signIn("ada@example.com")
		v.post("/portal/language", "language", language)
		for at, form := range map[string][]string{
			"/portal/subscriptions/" + string(sub) + "/split":    {"item_ids", string(item)},
			"/portal/subscriptions/" + string(sub) + "/merge":    {"into", string(w.hers)},
			"/portal/subscriptions/" + string(w.hers) + "/merge": {"into", string(sub)},
		} {
			w.want(v.post(at+"/preview", form...), 200, at+"/preview", words)
			w.want(v.post(at, form...), 422, at, words)
		}
	}
	w.Do(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.Succeeded, GatewayID: "pi_1"}))
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(sub)
	if s := v.post(at+"/split", "item_ids", string(item)); s.status != 200 || len(w.subscription(sub).Items) != 1 {
		t.Errorf("after the payment: %d, %+v", s.status, w.subscription(sub).Items)
	}
}
