package subscription

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"perennial/internal/id"
	"perennial/internal/journal"
)

func twoSubscriptions(t *testing.T) *shop {
	s := started(t, "2027-01-31")
	s.do(journal.Bind(Create{
		ID: "sub_2", CustomerID: "cus_1", NextBillingDate: dateP("2027-01-20"), BillingPolicy: &monthly,
		Items: []NewItem{{ID: "item_a", VariantID: "var_2", Quantity: 2, UnitPrice: new(usd(1700))}, {ID: "item_b", VariantID: "var_3", Quantity: 1}},
	}))
	return s
}

func TestMerge(t *testing.T) {
	s := twoSubscriptions(t)
	d, events, err := s.try(journal.Bind(Merge{ID: "sub_2", Into: "sub_1", ItemIDs: []id.ID{"item_8", "item_0", "item_9"}}))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "types", types(events), []string{"subscription.merged", "subscription.merged"})
	equal(t, "result", d.Result.ID, id.ID("sub_2"))
	equal(t, "targets", events[1].Targets, []journal.Ref{
		{Kind: journal.Subscription, ID: "sub_1"}, {Kind: journal.Customer, ID: "cus_1"}, {Kind: journal.Subscription, ID: "sub_2"},
		{Kind: journal.Variant, ID: "var_2"}, {Kind: journal.Variant, ID: "var_3"},
	})
	from, into := s.sub("sub_2"), s.sub("sub_1")
	equal(t, "source", []any{from.Status, from.MergedInto, len(from.Items), from.CancelledAt != nil}, []any{Cancelled, id.ID("sub_1"), 2, true})
	var items []id.ID
	for _, it := range into.Items {
		items = append(items, it.ID)
	}
	equal(t, "items", items, []id.ID{"item_0", "item_1", "item_8"})
	equal(t, "a price stays", into.Items[2].UnitPrice, usd(1700))
	equal(t, "the rhythm stays", *into.NextBillingDate, date("2027-01-31"))
	equal(t, "merged away", s.refused(journal.Bind(Reactivate{ID: "sub_2"})), []string{"merged_away"})
}

func TestMergeRefused(t *testing.T) {
	s := twoSubscriptions(t)
	s.do(journal.Bind(Create{ID: "sub_3", CustomerID: "cus_2", Items: []NewItem{{ID: "item_1", VariantID: "var_1", Quantity: 1}}, BillingPolicy: &monthly}))
	merge := func(into id.ID) journal.Command {
		return journal.Bind(Merge{ID: "sub_1", Into: into, ItemIDs: make([]id.ID, MaxItems)})
	}
	equal(t, "itself", s.refused(merge("sub_1")), []string{"/into"})
	equal(t, "nothing", s.refused(merge("sub_none")), []string{"/into"})
	equal(t, "somebody else's", s.refused(merge("sub_3")), []string{"other_customer"})
	euro := journal.Clone(s.sub("sub_2"))
	euro.Currency = "EUR"
	s.States[euro.Ref()] = euro
	equal(t, "another currency", s.refused(merge("sub_2")), []string{"other_currency"})
	euro.Currency = "USD"
	if _, _, err := s.try(journal.Bind(Merge{ID: "sub_2", Into: "sub_1", ItemIDs: []id.ID{"item_8"}})); err == nil {
		t.Error("merged with too few ids")
	}
	s.do(journal.Bind(Pause{ID: "sub_2"}))
	equal(t, "a paused one", s.refused(merge("sub_2")), []string{"status_paused"})
}

func TestSplit(t *testing.T) {
	s := started(t, "2027-01-31")
	s.do(journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_2", VariantID: "var_2", Quantity: 1}}))
	s.do(journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_3", VariantID: "var_3", Quantity: 1, OneTime: true}}))
	s.do(apply("TEN"))
	s.do(apply("FIVER"))
	s.do(gift("2027-01-31"))
	s.do(journal.Bind(ChangeNote{ID: "sub_1", Note: "mine"}))
	split := func(items ...id.ID) journal.Command {
		return journal.Bind(Split{ID: "sub_1", NewID: "sub_9", ItemIDs: items})
	}
	equal(t, "nothing", s.refused(split()), []string{"/item_ids"})
	equal(t, "unknown, and twice", s.refused(split("item_none", "item_2", "item_2")), []string{"/item_ids/0", "/item_ids/2"})
	equal(t, "all", s.refused(split("item_1", "item_2")), []string{"split_leaves_nothing"})
	equal(t, "only a one-time item", s.refused(split("item_3")), []string{"split_takes_nothing"})
	before := s.sub("sub_1")
	d, events, err := s.try(split("item_2", "item_3"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "types", types(events), []string{"subscription.split", "subscription.created"})
	equal(t, "created", d.Created, []id.ID{"sub_9"})
	made := s.sub("sub_9")
	want := journal.Clone(before)
	want.ID, want.Items, want.Discounts = "sub_9", before.Items[1:], []AppliedDiscount{before.Discounts[1]}
	want.Gifts, want.Note = journal.Personal[[]Gift]{}, journal.Personal[string]{}
	if diff := cmp.Diff(want, made, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the new one: -want +got\n%s", diff)
	}
	rest := journal.Clone(before)
	rest.Items = before.Items[:1]
	if diff := cmp.Diff(rest, s.sub("sub_1"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the old one: -want +got\n%s", diff)
	}
}
