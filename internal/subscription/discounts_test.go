package subscription

import (
	"strings"
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/journal"
)

func apply(code string) journal.Command { return journal.Bind(ApplyDiscount{ID: "sub_1", Code: code}) }

func TestDiscounts(t *testing.T) {
	s := started(t, "2027-01-31")
	_, events, err := s.try(apply(" ten "))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "types", types(events), []string{"subscription.discount_applied", "discount.redeemed"})
	equal(t, "targets", events[0].Targets, []journal.Ref{{Kind: journal.Subscription, ID: "sub_1"}, {Kind: journal.Customer, ID: "cus_1"}, {Kind: journal.Discount, ID: "disc_TEN"}})
	equal(t, "targets", events[1].Targets, []journal.Ref{{Kind: journal.Discount, ID: "disc_TEN"}, {Kind: journal.Customer, ID: "cus_1"}, {Kind: journal.Subscription, ID: "sub_1"}})
	s.do(apply("ONCE"))
	for code, want := range map[string]string{
		"TEN": "already_applied", "NONE": "/code", "!": "/code", "OVER": "discount_ended", "OFF": "discount_inactive",
	} {
		equal(t, code, s.refused(apply(code)), []string{want})
	}
	remove := func(code string) journal.Command { return journal.Bind(RemoveDiscount{ID: "sub_1", Code: code}) }
	equal(t, "remove", s.do(remove("once")), []string{"subscription.discount_removed"})
	equal(t, "removed before", s.refused(remove("once")), []string{"unknown_discount"})
	equal(t, "the redemption stays counted", s.refused(apply("ONCE")), []string{"discount_used_up"})
	redeemed := s.States[journal.Ref{Kind: journal.Discount, ID: "disc_ONCE"}].(*catalog.Discount)
	equal(t, "redemptions", redeemed.Redemptions, 1)
}

func TestTooManyDiscounts(t *testing.T) {
	s := started(t, "2027-01-31")
	full := journal.Clone(s.sub("sub_1"))
	for i := range MaxDiscounts {
		full.Discounts = append(full.Discounts, AppliedDiscount{Code: "A" + strings.Repeat("X", i+2), Kind: catalog.KindAmount, Value: 1})
	}
	s.States[full.Ref()] = full
	equal(t, "refused", s.refused(apply("TEN")), []string{"too_many_discounts"})
}
