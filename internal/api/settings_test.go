package api_test

import (
	"maps"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/access"
	"perennial/internal/api"
	"perennial/internal/journal"
	"perennial/internal/server"
	"perennial/internal/settings"
	"perennial/internal/team"
)

var pages = map[string]struct {
	document   fields // as a new shop has it
	view, edit team.Permission
	event      string
}{
	"general":  {fields{"name": "Test shop", "time_zone": "Europe/Berlin", "currency": "EUR", "locale": "en", "support_email": ""}, team.AccountSettingsView, team.AccountSettingsEdit, "account_settings.updated"},
	"billing":  {fields{"billing_hour": 6.0, "cutoff_days": 0.0, "tax_basis_points": 0.0, "max_catch_up_orders": 1.0}, team.BillingSettingsView, team.BillingSettingsEdit, "billing_settings.updated"},
	"recovery": {fields{"retry_days": []any{1.0, 3.0, 5.0, 7.0}, "end_action": "pause"}, team.BillingSettingsView, team.BillingSettingsEdit, "recovery_settings.updated"},
	"shipping": {fields{"default_delivery_price": map[string]any{"amount": 0.0, "currency": "EUR"}, "countries": []any{}}, team.BillingSettingsView, team.BillingSettingsEdit, "shipping_settings.updated"},
	"portal":   {fields{"actions": texts(settings.PortalActions()), "max_skips_in_row": 3.0, "max_days_ahead": 90.0}, team.PortalSettingsView, team.PortalSettingsEdit, "portal_settings.updated"},
	"log":      {fields{"network_retention_months": 12.0}, team.LogSettingsView, team.LogSettingsEdit, "log_settings.updated"},
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

func TestSettings(t *testing.T) {
	s := openShop(t)
	changes := map[string]fields{
		"general": {"name": "Harbor Roast"}, "billing": {"billing_hour": 9.0}, "recovery": {"retry_days": []any{2.0}, "end_action": "skip"}, "shipping": {"countries": []any{"DE", "GB"}},
		"portal": {"actions": []any{"pause", "resume"}}, "log": {"network_retention_months": 3.0},
	}
	for name, page := range pages {
		path := "/settings/" + name
		want := map[string]any{"data.version": 1.0}
		for k, v := range page.document {
			want["data."+k] = v
		}
		if a := s.do("GET", path, nil).want(200).shows(want); a.Header.Get("ETag") != `"1"` {
			t.Errorf("%s: the ETag is %s", path, a.Header.Get("ETag"))
		}
		s.do("PUT", path, page.document).want(200).made().shows(want)
		next := maps.Clone(page.document)
		maps.Copy(next, changes[name])
		for k, v := range next {
			want["data."+k] = v
		}
		want["data.version"] = 2.0
		s.do("PUT", path, next, `If-Match: "1"`).want(200).made(page.event).shows(want)
		s.do("PUT", path, page.document, `If-Match: "1"`).refused(412, "stale_version")
		for k := range page.document {
			part := maps.Clone(page.document)
			delete(part, k)
			s.do("PUT", path, part).refused(422, "fields_refused")
		}
		s.with(s.key(team.Everything().Without(team.NewSet([]team.Permission{page.view})).List()...)).do("GET", path, nil).refused(403, "forbidden")
		s.with(s.key(team.Everything().Without(team.NewSet([]team.Permission{page.edit})).List()...)).do("PUT", path, page.document).refused(403, "forbidden")
	}
	s.do("PUT", "/settings/billing", fields{"billing_hour": 24, "cutoff_days": -1, "tax_basis_points": 0, "max_catch_up_orders": 1}).refused(422, "fields_refused").
		shows(map[string]any{"errors.0.pointer": "/billing_hour", "errors.1.pointer": "/cutoff_days"})
	s.do("PUT", "/settings/recovery", fields{"retry_days": nil, "end_action": "skip"}).refused(422, "fields_refused")
	phases := []any{map[string]any{"attempts": 2.0, "interval_days": 1.0, "silent": true}, map[string]any{"attempts": 1.0, "interval_days": 5.0}}
	s.do("PUT", "/settings/recovery", fields{"retry_days": []any{}, "phases": phases, "end_action": "skip"}).want(200).made("recovery_settings.updated").shows(map[string]any{"data.phases": phases})
	s.do("GET", "/settings/recovery", nil).want(200).shows(map[string]any{"data.phases": phases})
	if e := s.do("GET", "/events?type=recovery_settings.updated&limit=1", nil).want(200); e.at("data.0.changes.1.field") != "phases" || !cmp.Equal(e.at("data.0.changes.1.after"), any(phases)) {
		t.Errorf("the entry is %s", e.Body)
	}
	s.do("GET", "/settings/colour", nil).refused(404, "not_found")
	if got := s.do("GET", "/events?type=portal_settings.updated&limit=1", nil).want(200); got.at("data.0.targets.0.id") != "portal" {
		t.Errorf("the entry is %s", got.Body)
	}
}

// With the currency goes the delivery price, until there is a subscription.
func TestTheCurrency(t *testing.T) {
	s := openStocked(t)
	general := maps.Clone(pages["general"].document)
	general["currency"] = "USD"
	s.do("PUT", "/settings/general", general).refused(409, "currency_in_use")

	empty := openShop(t)
	empty.do("PUT", "/settings/general", general).want(200).made("account_settings.updated", "shipping_settings.updated").shows(map[string]any{"data.currency": "USD"})
	empty.do("GET", "/settings/shipping", nil).want(200).shows(map[string]any{"data.default_delivery_price.currency": "USD", "data.version": 2.0})
}

// A page that was never saved shows what it says until then.
func TestAPageThatWasNeverSaved(t *testing.T) {
	s := bareShop(t)
	s.do("GET", "/settings/general", nil).refused(404, "unknown_settings")
	s.run(journal.Bind(settings.Update{Document: &settings.General{Name: "Test shop", TimeZone: "Europe/Berlin", Currency: "EUR", Locale: "en"}}))
	for name, page := range pages {
		want := map[string]any{"data.version": 0.0}
		if name == "general" {
			want["data.version"] = 1.0
		}
		for k, v := range page.document {
			want["data."+k] = v
		}
		s.do("GET", "/settings/"+name, nil).want(200).shows(want)
	}
	s.do("PUT", "/settings/log", pages["log"].document, `If-Match: "0"`).want(200).made("log_settings.updated").shows(map[string]any{"data.version": 1.0})
	s.do("PUT", "/settings/log", pages["log"].document, `If-Match: "0"`).refused(412, "stale_version")
	s.do("GET", "/team/default-permissions", nil).want(200).shows(map[string]any{"data.version": 0.0, "data.default_permissions": []any{}})
}

// bareShop is a shop that was only opened.
func bareShop(t testing.TB) *shop {
	t.Helper()
	c := &clock{at: opened}
	i, err := server.Open(t.Context(), server.Config{Data: t.TempDir(), Clock: c.now, Relaxed: true})
	must(t, err)
	mux := access.NewMux("")
	h := httptest.NewServer(mux)
	s := &shop{Instance: i, t: t, clock: c, url: h.URL}
	s.api = api.New(api.Config{Program: i.Program, Store: i.Store, Finder: i.Finder, Log: i.Config.Log, Version: "test", BaseURL: h.URL}, mux)
	t.Cleanup(func() {
		s.api.Drain()
		h.Close()
		must(t, i.Close(t.Context()))
	})
	s.token = s.key(team.Everything().List()...)
	s.doc = readDocument(t, s.url)
	return s
}
