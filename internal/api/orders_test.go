package api_test

import (
	"slices"
	"testing"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// pending makes an extra order of a subscription, whose customer has a payment method. Its charge is on its way.
func (s *shop) pending(sub id.ID) (order, attempt id.ID) {
	s.t.Helper()
	order, attempt = s.IDs.New(id.Order), s.IDs.New(id.BillingAttempt)
	s.run(journal.Bind(billing.OrderNow{SubscriptionID: sub, OrderID: order, AttemptID: attempt}))
	return order, attempt
}

// order makes an extra order that is paid.
func (s *shop) order(sub id.ID) id.ID {
	s.t.Helper()
	order, attempt := s.pending(sub)
	s.run(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.Succeeded, GatewayID: "ch_1"}))
	return order
}

func TestOrders(t *testing.T) {
	s := openStocked(t)
	s.created("/customers/"+string(s.ada)+"/payment-methods", card)
	paid := s.order(s.sub)
	waiting, attempt := s.pending(s.sub)
	at := "/orders/" + string(paid)
	s.do("GET", at, nil).want(200).shows(map[string]any{
		"data.subscription_id": string(s.sub), "data.customer_id": string(s.ada), "data.cycle": nil, "data.status": "placed", "data.items.0.variant_id": string(s.variant),
		"data.items.0.quantity": 1.0, "data.items.0.total.amount": 1200.0, "data.subtotal.amount": 1200.0, "data.discount.amount": 0.0, "data.total.currency": "EUR",
		"data.attempts.0.status": "succeeded", "data.attempts.0.gateway_id": "ch_1", "data.fulfilled_at": nil, "data.created_at": "2027-03-01T09:00:00.000000Z",
	})
	for query, want := range map[string][]string{
		"": {string(waiting), string(paid)}, "?status=placed": {string(paid)}, "?status=failed": nil, "?customer_id=" + string(s.ada) + "&subscription_id=" + string(s.sub) + "&limit=1": {string(waiting)},
		"?subscription_id=x": nil,
	} {
		if got := s.do("GET", "/orders"+query, nil).want(200).each("data", "id"); !slices.Equal(got, want) {
			t.Errorf("list%s: got %v, want %v", query, got, want)
		}
	}

	s.do("POST", at+"/fulfil", fields{"tracking_url": "x"}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/tracking_url"})
	s.do("POST", at+"/fulfil", fields{"tracking_url": "https://example.com/t/1"}).want(200).made("order.fulfilled").shows(map[string]any{"data.fulfilled_at": "2027-03-01T09:00:00.000000Z"})
	s.do("POST", at+"/fulfil", nil).want(200).made()
	version := s.do("GET", at, nil).want(200).Header.Get("ETag")
	s.do("POST", at+"/refund", fields{"amount": fields{"amount": 200, "currency": "EUR"}, "reason": "Late"}, "If-Match: "+version).want(200).made("order.refunded").
		shows(map[string]any{"data.status": "partially_refunded"})
	s.do("POST", at+"/refund", fields{"reason": "Late"}, "If-Match: "+version).refused(412, "stale_version")
	s.do("POST", at+"/refund", fields{"amount": fields{"amount": 1001, "currency": "EUR"}, "reason": "Late"}).refused(409, "refund_too_large")
	s.do("POST", at+"/refund", fields{"amount": fields{"amount": 1, "currency": "USD"}, "reason": "Late"}).refused(422, "fields_refused")
	s.do("POST", at+"/refund", fields{}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/reason", "errors.0.detail": "Give this field."})
	s.do("POST", at+"/refund", fields{"reason": "Lost"}).want(200).shows(map[string]any{"data.status": "refunded"})
	s.do("POST", at+"/refund", fields{"reason": "Lost"}).refused(409, "already_refunded")
	s.do("POST", at+"/cancel", nil).refused(409, "status_refunded")

	at = "/orders/" + string(waiting)
	s.do("POST", at+"/fulfil", nil).refused(409, "status_pending")
	s.do("POST", at+"/cancel", nil).refused(409, "charge_open")
	s.run(journal.Bind(billing.FinishAttempt{OrderID: waiting, AttemptID: attempt, Result: billing.Declined, Code: "card_declined", Message: "No."}))
	s.do("GET", at, nil).want(200).shows(map[string]any{"data.attempts.0.status": "failed", "data.attempts.0.code": "card_declined"})
	s.do("GET", "/orders/x", nil).refused(404, "unknown_order")
	s.do("POST", "/orders/x/cancel", nil).refused(404, "unknown_order")
}

// An explanation adds up to the order's total, names an entry in every line, and its last line's causes lead back to the
// beginning.
func TestExplanation(t *testing.T) {
	s := openStocked(t)
	s.created("/customers/"+string(s.ada)+"/payment-methods", card)
	order := s.order(s.sub)
	got := s.do("GET", "/orders/"+string(order)+"/explanation", nil).want(200).shows(map[string]any{
		"data.order_id": string(order), "data.lines.0.kind": "plan", "data.lines.1.kind": "item", "data.lines.1.amount.amount": 1200.0, "data.lines.1.about.kind": "variant",
	})
	kinds, entries := got.each("data.lines", "kind"), got.each("data.lines", "event_id")
	if n := len(kinds); n < 5 || kinds[n-1] != "story" {
		t.Fatalf("the lines are %v", kinds)
	}
	for _, key := range entries {
		s.do("GET", "/events/"+key, nil).want(200)
	}
	last := entries[len(entries)-1]
	types := s.do("GET", "/events/"+last+"/causes", nil).want(200).each("data", "type")
	if want := []string{"order.placed", "billing_attempt.succeeded"}; !slices.Equal(types, want) {
		t.Errorf("the causes of the last line are %v, want %v", types, want)
	}
	s.do("GET", "/orders/ord_none/explanation", nil).refused(404, "unknown_order")
	s.do("GET", "/events/evt_none/causes", nil).refused(404, "unknown_event")
}

func TestCancellingAnOrderInRecovery(t *testing.T) {
	s := openStocked(t)
	s.created("/customers/"+string(s.ada)+"/payment-methods", card)
	order, attempt := s.IDs.New(id.Order), s.IDs.New(id.BillingAttempt)
	next := s.do("GET", "/subscriptions/"+string(s.sub), nil).want(200).text("data.next_billing_date")
	due := date(t, next)
	s.advance(due.Start(opened.Location()).Sub(opened) + 12*3600e9)
	s.run(journal.Bind(billing.CreateOrder{SubscriptionID: s.sub, OrderID: order, AttemptID: attempt, Due: due}))
	s.run(journal.Bind(billing.FinishAttempt{OrderID: order, AttemptID: attempt, Result: billing.Declined, Code: "card_declined", Message: "No."}))
	s.do("GET", "/subscriptions/"+string(s.sub), nil).want(200).shows(map[string]any{"data.status": "failed"})
	s.do("POST", "/orders/"+string(order)+"/cancel", fields{"comment": "She moved"}).want(200).made("order.cancelled", "recovery.abandoned", "subscription.order_skipped").
		shows(map[string]any{"data.id": string(order), "data.status": "cancelled", "data.cycle": 1.0})
	s.do("GET", "/subscriptions/"+string(s.sub), nil).want(200).shows(map[string]any{"data.status": "active", "data.recovery": nil})
}

func date(t testing.TB, s string) civil.Date {
	t.Helper()
	d, err := civil.Parse(s)
	must(t, err)
	return d
}
