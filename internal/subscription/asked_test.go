package subscription

import (
	"slices"
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

func TestBound(t *testing.T) {
	tests := []struct {
		name  string
		least *int
		cycle int
		want  string
	}{
		{"no plan's minimum", nil, 0, ""},
		{"none came", new(1), 0, "This subscription runs for at least 1 order, and 0 came so far. It can be cancelled after that; until then you can write to the store."},
		{"one too few", new(3), 2, "This subscription runs for at least 3 orders, and 2 came so far. It can be cancelled after that; until then you can write to the store."},
		{"as many", new(3), 3, ""},
		{"more", new(3), 4, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := bound(&Subscription{Cycle: test.cycle}, &catalog.Plan{MinCycles: test.least})
			got := ""
			if err != nil {
				f := fault.As(err)
				if got = f.Public; f.Kind != fault.Conflict || f.Code != "min_cycles" {
					t.Errorf("kind %v, code %q", f.Kind, f.Code)
				}
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if err := bound(&Subscription{}, nil); err != nil {
		t.Errorf("without a plan: %v", err)
	}
}

func TestOnShelf(t *testing.T) {
	products := map[id.ID]*catalog.Product{
		"shown":  {ID: "shown", PortalVisible: true},
		"once":   {ID: "once", Upsell: true, UpsellLimit: 3},
		"hidden": {ID: "hidden"},
	}
	item := func(key, product id.ID, quantity int, once bool) Item {
		return Item{ID: key, VariantID: product + "_v", ProductID: product, Quantity: quantity, OneTime: once}
	}
	have := []Item{item("a", "hidden", 1, false), item("b", "once", 2, true)}
	tests := []struct {
		name string
		now  []Item
		want string
	}{
		{"nothing new", have, ""},
		{"what is shown", append(slices.Clone(have), item("c", "shown", 9, false)), ""},
		{"what is shown, once", append(slices.Clone(have), item("c", "shown", 1, true)), "not_offered"},
		{"what is hidden", append(slices.Clone(have), item("c", "hidden", 1, false)), "not_offered"},
		{"more of what is hidden", []Item{item("a", "hidden", 5, false), have[1]}, ""},
		{"in its place what is hidden", []Item{have[0], item("b", "hidden", 1, true)}, "not_offered"},
		{"an addition for always", append(slices.Clone(have), item("c", "once", 1, false)), "not_offered"},
		{"as much as may be", []Item{have[0], item("b", "once", 3, true)}, ""},
		{"more than may be", []Item{have[0], item("b", "once", 4, true)}, "upsell_limit"},
		{"more than may be, in two", append(slices.Clone(have), item("c", "once", 2, true)), "upsell_limit"},
		{"less, of what was too much", []Item{item("b", "once", 1, true)}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := (&Subscription{Items: test.now}).onShelf(&Subscription{Items: have}, func(key id.ID) (*catalog.Product, error) { return products[key], nil })
			got := ""
			if err != nil {
				got = fault.As(err).Code
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestInStock refuses what is sold out to who takes it now, and leaves alone what they have.
func TestInStock(t *testing.T) {
	stock := map[id.ID]*catalog.Variant{
		"none": {ID: "none", Inventory: new(int64(0))}, "one": {ID: "one", Inventory: new(int64(1))}, "uncounted": {ID: "uncounted"},
	}
	item := func(key, variant id.ID) Item { return Item{ID: key, VariantID: variant, Quantity: 1} }
	have := &Subscription{Items: []Item{item("a", "none")}}
	for _, tt := range []struct {
		name string
		now  []Item
		want string
	}{
		{"what they have", []Item{item("a", "none")}, ""},
		{"more of what they have", []Item{{ID: "a", VariantID: "none", Quantity: 3}}, ""},
		{"one left", []Item{item("a", "none"), item("b", "one")}, ""},
		{"uncounted", []Item{item("a", "uncounted")}, ""},
	} {
		after := &Subscription{Items: tt.now}
		if err := after.inStock(have, func(key id.ID) (*catalog.Variant, error) { return stock[key], nil }); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	after := &Subscription{Items: []Item{item("a", "none")}}
	err := after.inStock(&Subscription{Items: []Item{item("a", "one")}}, func(key id.ID) (*catalog.Variant, error) { return stock[key], nil })
	if f := fault.As(err); f == nil || f.Code != "out_of_stock" {
		t.Errorf("swapped for one that is sold out: %v", err)
	}
}

// TestTenYearsAhead takes a date up to ten years ahead, and not a day more.
func TestTenYearsAhead(t *testing.T) {
	s := started(t, "2027-01-31")
	if got := s.refused(journal.Bind(Reschedule{ID: "sub_1", Date: date("2037-01-16"), NewRhythm: true})); !slices.Equal(got, []string{"/next_billing_date"}) {
		t.Errorf("ten years and a day: %v", got)
	}
	equal(t, "ten years", s.do(journal.Bind(Reschedule{ID: "sub_1", Date: date("2037-01-15"), NewRhythm: true})), []string{"subscription.next_billing_date_changed"})
	if got := s.refused(journal.Bind(Pause{ID: "sub_1", Until: dateP("2037-01-16")})); !slices.Equal(got, []string{"/until"}) {
		t.Errorf("paused for ten years and a day: %v", got)
	}
}
