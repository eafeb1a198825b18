package dashboard

import (
	"testing"

	"perennial/internal/auth"
	"perennial/internal/billing"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/subscription"
)

// While a payment of an order of the rhythm can still succeed, nothing is split off or merged: the page says so before the form is sent,
// and when it is.
func TestItemsOfAnUnpaidOrderStay(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	f := furnish(w)
	other, item, order, attempt := w.IDs.New(id.Subscription), w.IDs.New(id.Item), w.IDs.New(id.Order), w.IDs.New(id.BillingAttempt)
	w.Do(journal.Bind(subscription.Create{ID: other, CustomerID: f.ada, SellingPlanID: f.plan, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: f.variant, Quantity: 1}}}))
	w.Do(journal.Bind(subscription.AddItem{ID: f.sub, Item: subscription.NewItem{ID: item, VariantID: f.variant, Quantity: 1}}))
	due := *stateIn[*subscription.Subscription](w, journal.Subscription, f.sub).NextBillingDate
	w.Do(journal.Bind(billing.CreateOrder{SubscriptionID: f.sub, OrderID: order, AttemptID: attempt, Due: due}))
	w.Do(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.ActionRequired, GatewayID: "pi_1"}))
	const words = "waits for the customer to confirm it. Its items stay where they are until it is paid or cancelled."
	for at, form := range map[string][]string{
		"/subscriptions/" + string(f.sub) + "/split": {"item_ids", string(item)},
		"/subscriptions/" + string(f.sub) + "/merge": {"into", string(other)},
		"/subscriptions/" + string(other) + "/merge": {"into", string(f.sub)},
	} {
		w.want(b.post(at+"/preview", form...), 200, at+"/preview", words)
		w.want(b.post(at, form...), 422, at, words)
	}
	w.Do(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.Succeeded, GatewayID: "pi_1"}))
	at := "/subscriptions/" + string(f.sub)
	if s := b.post(at+"/split", "item_ids", string(item)); s.status != 200 || s.path == at {
		t.Errorf("after the payment: %d %s", s.status, s.path)
	}
}

func stateIn[S journal.State](w *world, kind journal.Kind, key id.ID) S {
	w.t.Helper()
	row, err := w.Store.Load(w.t.Context(), w.Store.Read, journal.Ref{Kind: kind, ID: key})
	if err != nil {
		w.t.Fatal(err)
	}
	return row.State.(S)
}
