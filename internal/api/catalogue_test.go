package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProductsAndVariants(t *testing.T) {
	s := openShop(t)
	product := s.created("/products", fields{"title": "Coffee"})
	s.do("GET", product, nil).want(200).shows(map[string]any{"data.version": 1.0, "data.title": "Coffee", "data.description": "", "data.image_url": "", "data.status": "active",
		"data.portal_visible": true, "data.upsell": false, "data.variants": []any{}})
	s.do("POST", "/products", fields{"title": " ", "status": "archived", "image_url": "x"}).refused(422, "fields_refused").
		shows(map[string]any{"errors.0.pointer": "/title", "errors.1.pointer": "/image_url", "errors.2.pointer": "/status"})
	s.do("PATCH", product, fields{"title": "Espresso", "portal_visible": false, "upsell": true}, `If-Match: "1"`).want(200).
		made("product.updated", "product_settings.updated", "product_upsell.variant_settings_updated").shows(map[string]any{"data.version": 4.0, "data.upsell": true})

	small := s.created(product+"/variants", fields{"title": "250 g", "price": fields{"amount": 700, "currency": "EUR"}})
	large := s.created(product+"/variants", fields{"title": "1 kg", "sku": "E-1", "price": fields{"amount": 2400, "currency": "EUR"}, "weight_grams": 1000, "inventory": 12})
	s.do("GET", large, nil).want(200).shows(map[string]any{"data.version": 1.0, "data.sku": "E-1", "data.price.amount": 2400.0, "data.weight_grams": 1000.0, "data.inventory": 12.0})
	s.do("GET", small, nil).want(200).shows(map[string]any{"data.inventory": nil})
	s.do("GET", product, nil).want(200).shows(map[string]any{"data.variants.0.title": "250 g", "data.variants.1.title": "1 kg", "data.version": 4.0})
	if got := s.do("GET", product+"/variants", nil).want(200).each("data", "title"); !slices.Equal(got, []string{"1 kg", "250 g"}) {
		t.Errorf("variants: got %v", got)
	}
	// What is missing stays, and null means null.
	s.do("PATCH", large, fields{"title": "Big bag"}).want(200).made("variant.updated").shows(map[string]any{"data.inventory": 12.0})
	s.do("PATCH", large, fields{"inventory": nil}).want(200).made("variant.inventory_changed").shows(map[string]any{"data.inventory": nil})
	s.do("PATCH", large, fields{"inventory": 0}, `If-Match: "3"`).want(200).shows(map[string]any{"data.inventory": 0.0, "data.version": 4.0})
	s.do("PATCH", large, fields{"inventory": "many"}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/inventory"})
	s.do("PATCH", large, fields{"price": fields{"amount": -1, "currency": "USD"}}).refused(422, "fields_refused")
	s.do("POST", product+"/variants", fields{"title": "x"}).refused(422, "fields_refused")

	other := s.created("/products", fields{"title": "Tea", "status": "draft"})
	foreign := other + strings.TrimPrefix(large, product)
	s.do("GET", foreign, nil).refused(404, "unknown_variant")
	s.do("PATCH", foreign, fields{"title": "x"}).refused(404, "unknown_variant")
	s.do("DELETE", foreign, nil).refused(404, "unknown_variant")

	s.do("DELETE", small+"?comment=Gone", nil).want(200).made("variant.archived").shows(map[string]any{"data.version": 2.0})
	s.do("DELETE", small, nil).want(200).made()
	s.do("PATCH", small, fields{"title": "x"}).refused(409, "status_archived")
	if got := s.do("GET", product, nil).want(200).each("data.variants", "title"); !slices.Equal(got, []string{"Big bag"}) {
		t.Errorf("variants of the product: got %v", got)
	}
	for query, want := range map[string][]string{"": {"Big bag"}, "?status=active": {"Big bag"}, "?status=archived": {"250 g"}} {
		if got := s.do("GET", product+"/variants"+query, nil).want(200).each("data", "title"); !slices.Equal(got, want) {
			t.Errorf("variants%s: got %v, want %v", query, got, want)
		}
	}
	s.do("DELETE", product, nil).want(200).made("product.archived").shows(map[string]any{"data.status": "archived"})
	s.do("POST", product+"/variants", fields{"title": "x", "price": fields{"amount": 1, "currency": "EUR"}}).refused(409, "status_archived")
	s.do("PATCH", product, fields{"title": "x"}).refused(409, "status_archived")
	s.do("PATCH", product, fields{"status": "active"}).want(200).made("product.updated")
	s.do("DELETE", product, nil).want(200)
	for query, want := range map[string][]string{"": {"Tea"}, "?status=draft": {"Tea"}, "?status=active": nil, "?status=archived": {"Espresso"}} {
		if got := s.do("GET", "/products"+query, nil).want(200).each("data", "title"); !slices.Equal(got, want) {
			t.Errorf("products%s: got %v, want %v", query, got, want)
		}
	}
	s.do("GET", "/products/x", nil).refused(404, "unknown_product")
	s.do("GET", "/products/x/variants", nil).refused(404, "unknown_product")
}

func TestSellingPlans(t *testing.T) {
	s := openShop(t)
	coffee := string(s.product("Coffee"))
	group := s.created("/selling-plan-groups", fields{"name": "Subscribe and save", "product_ids": []string{coffee}})
	s.do("GET", group, nil).want(200).shows(map[string]any{"data.name": "Subscribe and save", "data.product_ids": []any{coffee}, "data.plans": []any{}})
	s.do("POST", "/selling-plan-groups", fields{"name": "x", "product_ids": []string{"prod_x"}}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/product_ids/0"})
	s.do("PATCH", group, fields{"name": "Save", "product_ids": []string{}}).want(200).made("selling_plan_group.updated").shows(map[string]any{"data.name": "Save", "data.product_ids": []any{}})

	monthly := s.created(group+"/plans", fields{"name": "Monthly", "billing_policy": fields{"interval": "month", "interval_count": 1}})
	s.do("GET", monthly, nil).want(200).shows(map[string]any{"data.billing_policy.interval": "month", "data.billing_policy.anchor_day": nil, "data.delivery_policy": nil,
		"data.pricing": []any{}, "data.min_cycles": nil, "data.max_cycles": nil})
	prepaid := s.created(group+"/plans", fields{"name": "Prepaid", "billing_policy": fields{"interval": "month", "interval_count": 3, "anchor_day": 31},
		"delivery_policy": fields{"interval": "month", "interval_count": 1}, "min_cycles": 2, "max_cycles": nil,
		"pricing": []fields{{"kind": "percentage", "value": 10}, {"kind": "price", "value": 5000, "after_cycle": 3}}})
	s.do("GET", prepaid, nil).want(200).shows(map[string]any{"data.billing_policy.anchor_day": 31.0, "data.delivery_policy.interval_count": 1.0, "data.min_cycles": 2.0,
		"data.pricing.0.after_cycle": 0.0, "data.pricing.1.kind": "price"})
	s.do("PATCH", prepaid, fields{"name": "Quarterly"}).want(200).shows(map[string]any{"data.delivery_policy.interval_count": 1.0, "data.min_cycles": 2.0})
	s.do("PATCH", prepaid, fields{"delivery_policy": nil, "min_cycles": nil, "max_cycles": 8, "pricing": []fields{}}, `If-Match: "2"`).want(200).made("selling_plan.updated").
		shows(map[string]any{"data.delivery_policy": nil, "data.min_cycles": nil, "data.max_cycles": 8.0, "data.pricing": []any{}})
	s.do("PATCH", prepaid, fields{"delivery_policy": fields{"interval": "month", "interval_count": 1}, "billing_policy": fields{"interval": "month", "interval_count": 3}}).want(200).
		shows(map[string]any{"data.delivery_policy.interval_count": 1.0, "data.billing_policy.anchor_day": nil})
	s.do("PATCH", prepaid, fields{"delivery_policy": fields{"interval": "month"}}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/delivery_policy/interval_count"})
	s.do("PATCH", prepaid, fields{"delivery_policy": fields{"interval": "week", "interval_count": 2}}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/delivery_policy"})
	s.do("GET", group, nil).want(200).shows(map[string]any{"data.plans.0.name": "Monthly", "data.plans.1.name": "Quarterly"})

	other := s.created("/selling-plan-groups", fields{"name": "Other"})
	s.do("GET", other+strings.TrimPrefix(monthly, group), nil).refused(404, "unknown_selling_plan")
	s.do("PATCH", other+strings.TrimPrefix(monthly, group), fields{}).refused(404, "unknown_selling_plan")
	s.do("DELETE", monthly, nil).want(200).made("selling_plan.deleted")
	s.do("PATCH", monthly, fields{"name": "x"}).refused(409, "status_archived")
	if got := s.do("GET", group+"/plans", nil).want(200).each("data", "name"); !slices.Equal(got, []string{"Quarterly"}) {
		t.Errorf("plans: got %v", got)
	}
	s.do("DELETE", group, nil).want(200).made("selling_plan_group.deleted")
	if got := s.do("GET", "/selling-plan-groups", nil).want(200).each("data", "name"); !slices.Equal(got, []string{"Other"}) {
		t.Errorf("groups: got %v", got)
	}
	if got := s.do("GET", "/selling-plan-groups?status=archived", nil).want(200).each("data", "name"); !slices.Equal(got, []string{"Save"}) {
		t.Errorf("archived groups: got %v", got)
	}
}

func TestDiscounts(t *testing.T) {
	s := openShop(t)
	spring := s.created("/discounts", fields{"code": "spring-10", "kind": "percentage", "value": 10, "max_cycles": 3, "ends_at": "2027-04-01T00:00:00Z"})
	s.do("GET", spring, nil).want(200).shows(map[string]any{"data.code": "SPRING-10", "data.kind": "percentage", "data.value": 10.0, "data.max_cycles": 3.0, "data.max_redemptions": nil,
		"data.ends_at": "2027-04-01T00:00:00.000000Z", "data.status": "active"})
	s.do("POST", "/discounts", fields{"code": "Spring-10", "kind": "amount", "value": 500}).refused(409, "code_taken")
	s.do("POST", "/discounts", fields{"code": "x", "kind": "percentage", "value": 101, "ends_at": "2027-01-01T00:00:00Z"}).refused(422, "fields_refused").
		shows(map[string]any{"errors.0.pointer": "/code", "errors.1.pointer": "/value", "errors.2.pointer": "/ends_at"})
	s.do("PATCH", spring, fields{"value": 15}).want(200).made("discount.updated").shows(map[string]any{"data.value": 15.0, "data.max_cycles": 3.0, "data.ends_at": "2027-04-01T00:00:00.000000Z"})
	s.do("PATCH", spring, fields{"max_cycles": nil, "max_redemptions": 100, "ends_at": nil}).want(200).
		shows(map[string]any{"data.max_cycles": nil, "data.max_redemptions": 100.0, "data.ends_at": nil})
	s.do("PATCH", spring, fields{"code": "OTHER"}).refused(422, "fields_refused")
	s.do("PATCH", spring, fields{"ends_at": "tomorrow"}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/ends_at"})
	s.do("DELETE", spring, nil).want(200).made("discount.deactivated").shows(map[string]any{"data.status": "inactive"})
	s.do("PATCH", spring, fields{"value": 1}).refused(409, "status_inactive")
	s.created("/discounts", fields{"code": "FIVE", "kind": "amount", "value": 500})
	for query, want := range map[string][]string{"": {"FIVE"}, "?status=inactive": {"SPRING-10"}} {
		if got := s.do("GET", "/discounts"+query, nil).want(200).each("data", "code"); !slices.Equal(got, want) {
			t.Errorf("discounts%s: got %v, want %v", query, got, want)
		}
	}
}

// The same request again gives the first answer, byte for byte, and makes nothing.
func TestRepeatedCreation(t *testing.T) {
	s := openShop(t)
	first := s.do("POST", "/products", fields{"title": "Coffee"}, "Idempotency-Key: c1").want(201)
	again := s.do("POST", "/products", fields{"title": "Coffee"}, "Idempotency-Key: c1").want(201)
	if string(first.Body) != string(again.Body) || first.Header.Get("Location") != again.Header.Get("Location") || first.Header.Get("ETag") != again.Header.Get("ETag") {
		t.Errorf("again: got %s, want %s", again.Body, first.Body)
	}
	s.do("POST", "/products", fields{"title": "Tea"}, "Idempotency-Key: c1").refused(409, "idempotency_key_reused")
	// A change of nothing is kept too.
	product := "/products/" + first.text("data.id")
	nothing := s.do("PATCH", product, fields{"title": "Coffee"}, "Idempotency-Key: c2").want(200).made()
	s.do("PATCH", product, fields{"title": "Tea"}).want(200)
	if got := s.do("PATCH", product, fields{"title": "Coffee"}, "Idempotency-Key: c2").want(200); string(got.Body) != string(nothing.Body) {
		t.Errorf("nothing again: got %s, want %s", got.Body, nothing.Body)
	}
}

// The answer to an undo shows the thing as a read of it does, whatever it is.
func TestAnUndoShowsWhatItChanged(t *testing.T) {
	s := openStocked(t)
	s.owner()
	ada, product, group := "/customers/"+string(s.ada), "/products/"+string(s.product), s.created("/selling-plan-groups", fields{"name": "Save"})
	for _, tc := range []struct {
		method, path string
		body         any
	}{
		{"PATCH", ada, fields{"first_name": "Augusta"}},
		{"PATCH", s.created(ada+"/addresses", street), fields{"city": "Bath"}},
		{"PATCH", s.created(ada+"/payment-methods", card), fields{"exp_year": 2031}},
		{"DELETE", product, nil},
		{"PATCH", product + "/variants/" + string(s.variant), fields{"title": "2 kg"}},
		{"PATCH", group, fields{"name": "Save more"}},
		{"PATCH", s.created(group+"/plans", fields{"name": "Monthly", "billing_policy": fields{"interval": "month", "interval_count": 1}}), fields{"max_cycles": 3}},
		{"DELETE", s.created("/discounts", fields{"code": "FIVE", "kind": "amount", "value": 500}), nil},
		{"PUT", "/settings/log", fields{"network_retention_months": 1}},
		{"PUT", "/team/default-permissions", fields{"default_permissions": []string{"team.view"}}},
		{"PATCH", s.created("/team", fields{"email": "mona@example.com", "role": "member"}), fields{"name": "Mona"}},
		{"PATCH", s.created("/api-keys", fields{"name": "Reports", "permissions": []string{"events.view"}}), fields{"name": "Report"}},
	} {
		before := s.do("GET", tc.path, nil).want(200)
		event := s.do(tc.method, tc.path, tc.body).want(200).text("events.0.id")
		s.do("GET", "/events/"+event, nil).want(200).shows(map[string]any{"data.undo.possible": true})
		undone := s.do("POST", "/events/"+event+"/undo", nil).want(200)
		after := s.do("GET", tc.path, nil).want(200).at("data").(map[string]any)
		if !cmp.Equal(undone.at("data"), any(after)) {
			t.Errorf("%s %s: the undo shows %v, a read %v", tc.method, tc.path, undone.at("data"), after)
		}
		after["version"] = before.at("data.version")
		if diff := cmp.Diff(before.at("data"), any(after)); diff != "" {
			t.Errorf("%s %s: after the undo (-before +after):\n%s", tc.method, tc.path, diff)
		}
	}
}
