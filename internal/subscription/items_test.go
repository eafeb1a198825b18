package subscription

import (
	"fmt"
	"testing"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

func TestItems(t *testing.T) {
	s := started(t, "2027-01-31")
	add := func(key, variant string, oneTime bool) journal.Command {
		return journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: id.ID(key), VariantID: id.ID(variant), Quantity: 1, OneTime: oneTime}})
	}
	equal(t, "add", s.do(add("item_0", "var_2", false)), []string{"subscription.item_added"})
	equal(t, "add once", s.do(add("item_2", "var_3", true)), []string{"subscription.one_time_item_added"})
	equal(t, "order", []id.ID{s.sub("sub_1").Items[0].ID, s.sub("sub_1").Items[2].ID}, []id.ID{"item_0", "item_2"})
	equal(t, "both changes", s.do(journal.Bind(ChangeItem{ID: "sub_1", ItemID: "item_1", Quantity: new(3), UnitPrice: new(usd(950))})),
		[]string{"subscription.item_quantity_changed", "subscription.item_price_overridden"})
	equal(t, "the same is nothing", s.do(journal.Bind(ChangeItem{ID: "sub_1", ItemID: "item_1", Quantity: new(3), UnitPrice: new(usd(950))})), nil)
	equal(t, "swap", s.do(journal.Bind(SwapItem{ID: "sub_1", ItemID: "item_1", VariantID: "var_3"})), []string{"subscription.item_swapped"})
	equal(t, "swapped", s.sub("sub_1").Items[1], Item{ID: "item_1", VariantID: "var_3", ProductID: "prod_1", Title: "House Blend, 1 kg", Quantity: 3, UnitPrice: usd(3300)})
	equal(t, "swap for the same", s.do(journal.Bind(SwapItem{ID: "sub_1", ItemID: "item_1", VariantID: "var_3"})), nil)
	equal(t, "swap for more of the same", s.do(journal.Bind(SwapItem{ID: "sub_1", ItemID: "item_1", VariantID: "var_3", Quantity: new(1)})), []string{"subscription.item_quantity_changed"})
	equal(t, "remove", s.do(journal.Bind(RemoveItem{ID: "sub_1", ItemID: "item_0"})), []string{"subscription.item_removed"})
	equal(t, "the last one stays", s.refused(journal.Bind(RemoveItem{ID: "sub_1", ItemID: "item_1"})), []string{"last_item"})
	equal(t, "remove once", s.do(journal.Bind(RemoveItem{ID: "sub_1", ItemID: "item_2"})), []string{"subscription.one_time_item_removed"})
}

func TestItemsRefused(t *testing.T) {
	s := started(t, "2027-01-31")
	for _, tt := range []struct {
		name    string
		command journal.Command
		want    []string
	}{
		{"unknown variant", journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_2", VariantID: "var_none", Quantity: 0}}), []string{"/quantity", "/variant_id"}},
		{"archived variant", journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_2", VariantID: "var_old", Quantity: 1}}), []string{"/variant_id"}},
		{"other currency", journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_2", VariantID: "var_eur", Quantity: 1}}), []string{"/variant_id"}},
		{"swap to unknown", journal.Bind(SwapItem{ID: "sub_1", ItemID: "item_1", VariantID: "var_none"}), []string{"/variant_id"}},
		{"swap too many", journal.Bind(SwapItem{ID: "sub_1", ItemID: "item_1", VariantID: "var_2", Quantity: new(1000)}), []string{"/quantity"}},
		{"change too many", journal.Bind(ChangeItem{ID: "sub_1", ItemID: "item_1", Quantity: new(0), UnitPrice: new(money.Of(-5, "EUR"))}),
			[]string{"/quantity", "/unit_price/currency", "/unit_price/amount"}},
		{"unknown item", journal.Bind(ChangeItem{ID: "sub_1", ItemID: "item_none", Quantity: new(1)}), []string{"unknown_item"}},
		{"unknown item to swap", journal.Bind(SwapItem{ID: "sub_1", ItemID: "item_none", VariantID: "var_2"}), []string{"unknown_item"}},
		{"unknown item to remove", journal.Bind(RemoveItem{ID: "sub_1", ItemID: "item_none"}), []string{"unknown_item"}},
		{"unknown subscription", journal.Bind(AddItem{ID: "sub_none"}), []string{"unknown_subscription"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			quiet := *s
			quiet.t = t
			equal(t, "refused", quiet.refused(tt.command), tt.want)
		})
	}
}

func TestItemLimits(t *testing.T) {
	s := started(t, "2027-01-31")
	for i := range MaxItems - 1 {
		s.do(journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: id.ID(fmt.Sprintf("item_a%03d", i)), VariantID: "var_1", Quantity: 1}}))
	}
	equal(t, "one more", s.refused(journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_z", VariantID: "var_1", Quantity: 1}})), []string{"too_many_items"})
	s.do(journal.Bind(SwapItem{ID: "sub_1", ItemID: "item_a000", VariantID: "var_max", Quantity: new(999)}))
	equal(t, "too large by a swap", s.refused(journal.Bind(SwapItem{ID: "sub_1", ItemID: "item_a001", VariantID: "var_max", Quantity: new(2)})), []string{"order_too_large"})
	equal(t, "too large by a price", s.refused(journal.Bind(ChangeItem{ID: "sub_1", ItemID: "item_a001", UnitPrice: new(usd(1_000_000_000_000))})), []string{"order_too_large"})
}
