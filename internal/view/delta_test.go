package view_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/test/shop"
	"perennial/internal/view"
)

// forPrograms is what people should not have to read: ids, codes, JSON, times as the API writes them.
var forPrograms = regexp.MustCompile(`\b[a-z]+_[0-9a-z]|[{}"\[\]]|\d{4}-\d{2}-\d{2}`)

// Every field of every type of the catalogue is written for people.
func TestEveryFieldIsReadable(t *testing.T) {
	s := shop.Open(t)
	r := view.New(t.Context(), s.Store, team.Everything())
	seen := 0
	for _, typ := range journal.Types() {
		pages := []id.ID{"x"}
		if typ.Target == journal.Settings {
			pages = settings.Pages()
		}
		if len(typ.Fields) == 0 || !store.HasState(typ.Target) {
			continue
		}
		for _, page := range pages {
			m := kinds.Of(typ.Target).Mapping
			full := m.Fresh(page)
			fill(reflect.ValueOf(full).Elem(), "", 0)
			deltas, err := r.Difference(nil, full)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range deltas {
				seen++
				if d.Internal {
					continue
				}
				if strings.ContainsAny(d.Field, "_.") {
					t.Errorf("%s: the field %q", typ.Name, d.Field)
				}
				for _, line := range d.After.Lines {
					if forPrograms.MatchString(line) {
						t.Errorf("%s: %s is %q", typ.Name, d.Field, line)
					}
				}
			}
		}
	}
	if seen < 1000 {
		t.Errorf("only %d fields were seen", seen)
	}
}

// codes are fields of plain text that hold codes of the program's or of the gateway's.
var codes = []string{"kind", "end_action", "missed_orders", "out_of_stock", "small_orders", "status", "gateway", "brand", "reason", "what", "accepted"}

// fill gives every field of a value something.
func fill(v reflect.Value, name string, depth int) {
	switch v.Interface().(type) {
	case journal.Time:
		_ = v.Addr().Interface().(interface{ UnmarshalJSON([]byte) error }).UnmarshalJSON([]byte(`"2027-03-01T09:30:00.000000Z"`))
		return
	}
	if u, ok := v.Addr().Interface().(interface{ UnmarshalText([]byte) error }); ok && u.UnmarshalText([]byte("2027-03-01")) == nil {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name, depth)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() {
				continue
			}
			field, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if field == "" {
				field = name // of what wraps another value
			}
			fill(v.Field(i), field, depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name, depth)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"grind": "whole beans"}).Convert(v.Type()))
	case reflect.Bool:
		v.SetBool(name != "erased")
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.String:
		v.SetString(sample(v.Type(), name))
	}
}

func sample(t reflect.Type, name string) string {
	const uuid = "01kbby37mrfvnr64a6ket9twyh"
	prefixes := map[string]string{"subscription_id": "sub", "customer_id": "cus", "order_id": "ord", "product_id": "prod", "product_ids": "prod", "variant_id": "var", "backup_variant_id": "var",
		"selling_plan_id": "plan", "group_id": "grp", "discount_id": "disc", "flow_id": "flow", "reason_id": "rsn", "parent_id": "rsn", "shipping_address_id": "addr", "default_address_id": "addr",
		"payment_method_id": "pm", "default_payment_method_id": "pm", "backup_payment_method_id": "pm", "merged_into": "sub", "attempt_id": "att", "item_id": "item", "instead_of": "var"}
	switch {
	case prefixes[name] != "":
		return prefixes[name] + "_" + uuid
	case t == reflect.TypeFor[id.ID]():
		return "cus_" + uuid
	case name == "currency":
		return "EUR"
	case name == "interval":
		return "month"
	case strings.Contains(name, "permissions"):
		return "billing_settings.view"
	case name == "country" || name == "countries":
		return "DE"
	case name == "locale" || name == "language":
		return "de-AT"
	case name == "actions" || name == "shown":
		return "change_quantity"
	case name == "code":
		return "SAVE10"
	case t != reflect.TypeFor[string]() || slices.Contains(codes, name):
		return "insufficient_funds"
	}
	return "Ada"
}

// A value that names a thing shows what it was at the time, in full.
func TestValuesOfTheirTime(t *testing.T) {
	s := shop.Open(t)
	ada, home, card := s.IDs.New(id.Customer), s.IDs.New(id.Address), s.IDs.New(id.PaymentMethod)
	s.Do(journal.Bind(customer.Create{ID: ada, Email: "ada@example.com", FirstName: "Ada"}))
	s.Do(journal.Bind(customer.AddAddress{ID: home, CustomerID: ada, Fields: customer.AddressFields{FirstName: new("Ada"), Line1: new("1 Old Street"), City: new("London"), PostalCode: new("N1"), Country: new("GB")}}))
	s.Do(journal.Bind(customer.AddPaymentMethod{ID: card, CustomerID: ada, Gateway: "simulated", Fields: customer.PaymentMethodFields{GatewayReference: new("sim_ok"), Brand: new("visa"), Last4: new("4242"), ExpMonth: new(3), ExpYear: new(2031)}}))
	s.Do(journal.Bind(customer.UpdateAddress{ID: home, CustomerID: ada, Fields: customer.AddressFields{Line1: new("2 New Street")}}))
	s.Do(journal.Bind(customer.UpdatePaymentMethod{ID: card, CustomerID: ada, Fields: customer.PaymentMethodFields{Last4: new("2420"), Brand: new("amex")}}))
	lines := func(typ journal.Name, has team.Set) []view.Value {
		r := view.New(t.Context(), s.Store, has)
		for st, err := range s.Store.Events(t.Context(), s.Store.Read, store.Opened, 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if st.Type != typ {
				continue
			}
			shown, err := r.Render([]store.Stored{st})
			if err == nil {
				err = r.LearnValues(shown)
			}
			if err != nil {
				t.Fatal(err)
			}
			var out []view.Value
			for _, d := range r.Deltas(shown[0]) {
				out = append(out, d.After)
			}
			return out
		}
		t.Fatalf("there is no %s", typ)
		return nil
	}
	address := journal.Ref{Kind: journal.Address, ID: home}
	for _, tt := range []struct {
		typ  journal.Name
		has  team.Set
		want view.Value
	}{
		{journal.CustomerDefaultAddressChanged, team.Everything(), view.Value{Lines: []string{"Ada", "1 Old Street", "N1 London", "United Kingdom"}, Thing: address}},
		{journal.CustomerDefaultAddressChanged, team.NewSet([]team.Permission{team.EventsView}), view.Value{Hidden: true, Thing: address}},
		{journal.PaymentMethodDefaultChanged, team.Everything(), view.Value{Lines: []string{"Visa 4242"}, Thing: journal.Ref{Kind: journal.PaymentMethod, ID: card}}},
	} {
		if diff := cmp.Diff([]view.Value{tt.want}, lines(tt.typ, tt.has)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.typ, diff)
		}
	}
}

// Only what moved is a row, and the members of an object are rows of their own.
func TestOnlyWhatMoved(t *testing.T) {
	s := shop.Open(t)
	r := view.New(t.Context(), s.Store, team.Everything())
	raw := func(v string) json.RawMessage { return json.RawMessage(v) }
	e := view.Event{Changes: []view.Change{{Field: "recovery",
		Before: []byte(raw(`{"attempts":1,"code":"insufficient_funds","end_action":"cancel","next_retry":null,"needs_card":false}`)),
		After:  []byte(raw(`{"attempts":2,"code":"insufficient_funds","end_action":"cancel","next_retry":"2027-03-05","needs_card":false}`))}}}
	var got []string
	for _, d := range r.Deltas(e) {
		got = append(got, d.Field+": "+strings.Join(d.Before.Lines, "/")+" → "+strings.Join(d.After.Lines, "/"))
	}
	want := []string{"Recovery, payments tried: 1 → 2", "Recovery, next retry:  → 5 March 2027"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
