package api_test

import (
	"testing"

	"perennial/internal/cancelflow"
	"perennial/internal/id"
	"perennial/internal/journal"
)

func TestCancelFlows(t *testing.T) {
	s := openShop(t)
	s.created("/discounts", fields{"code": "STAY", "kind": "percentage", "value": 20})
	flow := s.created("/cancel-flows", fields{"name": "Everybody", "weight": 2, "intro": "Sorry to see you go.", "audience": fields{"min_days": 0, "min_value": 100}})
	s.do("GET", flow, nil).want(200).shows(map[string]any{"data.status": "off", "data.weight": 2.0, "data.audience.min_value": 100.0, "data.reasons": []any{}})
	s.do("POST", "/cancel-flows", fields{"name": "", "weight": 200}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/name", "errors.1.pointer": "/weight"})
	s.do("PATCH", flow, fields{"status": "active"}, `If-Match: "1"`).want(200).made("cancel_flow.updated").shows(map[string]any{"data.version": 2.0, "data.status": "active"})
	s.do("PATCH", flow, fields{"weight": 3}, `If-Match: "1"`).refused(412, "stale_version")

	dear := s.created(flow+"/reasons", fields{"label": "Too expensive", "ask_words": true, "offers": []fields{{"kind": "discount", "code": "stay", "text": "Stay for 20 % less"}, {"kind": "pause", "days": 30}}})
	s.do("GET", dear, nil).want(200).shows(map[string]any{"data.label": "Too expensive", "data.offers.0.code": "STAY", "data.offers.1.days": 30.0, "data.parent_id": nil})
	s.do("POST", flow+"/reasons", fields{"label": "x", "offers": []fields{{"kind": "pause"}, {"kind": "bribe"}}}).refused(422, "fields_refused").
		shows(map[string]any{"errors.0.pointer": "/offers/0/days", "errors.1.pointer": "/offers/1/kind"})
	s.do("PATCH", dear, fields{"label": "It costs too much"}).want(200).made("cancel_reason.updated")
	other := s.created("/cancel-flows", fields{"name": "Others"})
	s.do("GET", other+dear[len(flow):], nil).refused(404, "unknown_cancel_reason")
	s.do("DELETE", other, nil).want(200).made("cancel_flow.deleted")
	s.do("PUT", "/settings/cancel_flow", fields{"enabled": true, "discount_cooldown_days": -1}).refused(422, "fields_refused")
	s.do("PUT", "/settings/cancel_flow", fields{"enabled": true, "discount_cooldown_days": 30}).want(200).made("cancel_flow_settings.updated")

	sub := s.subscription(s.customer("ada@example.com"), s.variant(s.product("Coffee"), "250 g", 700))
	reason := id.ID(dear[len(flow+"/reasons/"):])
	session := id.First(id.CancelSession, s.clock.at)
	s.run(journal.Bind(cancelflow.Start{ID: session, SubscriptionID: sub}))
	s.run(journal.Bind(cancelflow.Choose{Session: session, ReasonID: reason}))
	s.do("GET", "/cancel-flows/results", nil).want(200).shows(map[string]any{"data.running": 1.0, "data.all.sessions": 0.0})
	s.run(cancelflow.Accept{Session: session, Offer: 1})
	s.do("GET", "/cancel-flows/results", nil).want(200).shows(map[string]any{"data.running": 0.0, "data.all.sessions": 1.0, "data.all.save_rate_basis_points": 10000.0,
		"data.reasons.0.reason_id": string(reason), "data.reasons.0.offers.0.kind": "pause", "data.reasons.0.offers.0.accepted": 1.0})
	s.do("GET", "/cancel-flows/results?from=x", nil).refused(422, "fields_refused")
	s.do("DELETE", dear, nil).want(200).made("cancel_reason.deleted")
	s.do("GET", flow, nil).want(200).shows(map[string]any{"data.reasons": []any{}})
}
