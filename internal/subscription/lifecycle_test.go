package subscription

import (
	"strings"
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

func create(change func(*Create)) journal.Command {
	c := Create{ID: "sub_9", CustomerID: "cus_1", Items: []NewItem{{ID: "item_1", VariantID: "var_1", Quantity: 2}}, BillingPolicy: &monthly}
	change(&c)
	return journal.Bind(c)
}

func TestCreate(t *testing.T) {
	s := newShop(t)
	s.day = date("2027-01-31")
	d, events, err := s.try(create(func(c *Create) { c.Note, c.Attributes = "hello", map[string]string{"a": "b"} }))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "types", types(events), []string{"subscription.created"})
	equal(t, "result", d.Result, journal.Ref{Kind: journal.Subscription, ID: "sub_9"})
	equal(t, "targets", events[0].Targets, []journal.Ref{
		{Kind: journal.Subscription, ID: "sub_9"}, {Kind: journal.Customer, ID: "cus_1"}, {Kind: journal.Variant, ID: "var_1"},
		{Kind: journal.Address, ID: "addr_1"},
	})
	want := &Subscription{
		ID: "sub_9", Status: Active, CustomerID: "cus_1", Currency: "USD",
		Items:         []Item{{ID: "item_1", VariantID: "var_1", ProductID: "prod_1", Title: "House Blend, 250 g", Quantity: 2, UnitPrice: usd(1000)}},
		BillingPolicy: monthly, AnchorDate: date("2027-01-31"), Position: 1, NextBillingDate: dateP("2027-02-28"),
		ShippingAddressID: "addr_1", DeliveryPrice: usd(500),
		Note: journal.Secluded("hello"), Attributes: journal.Secluded(map[string]string{"a": "b"}), CreatedAt: journal.At(s.now()),
	}
	equal(t, "state", s.sub("sub_9"), want)
	equal(t, "dates", s.dates("sub_9", 3), []string{"2027-02-28", "2027-03-31", "2027-04-30"})
}

func TestCreateVariations(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Create)
		check  func(*testing.T, *Subscription)
	}{
		{"a date is the anchor", func(c *Create) { c.NextBillingDate = dateP("2027-01-31") }, func(t *testing.T, s *Subscription) {
			equal(t, "anchor", []any{s.AnchorDate, s.Position, *s.NextBillingDate}, []any{date("2027-01-31"), 0, date("2027-01-31")})
		}},
		{"an anchor day moves the first date", func(c *Create) {
			c.BillingPolicy = &catalog.Policy{Interval: civil.Month, IntervalCount: 1, AnchorDay: new(31)}
			c.NextBillingDate = dateP("2027-02-10")
		}, func(t *testing.T, s *Subscription) { equal(t, "next", *s.NextBillingDate, date("2027-02-28")) }},
		{"today", func(c *Create) { c.NextBillingDate = dateP("2027-01-15") }, func(t *testing.T, s *Subscription) {
			equal(t, "next", *s.NextBillingDate, date("2027-01-15"))
		}},
		{"a plan brings its policy and its end", func(c *Create) { c.BillingPolicy, c.SellingPlanID = nil, "plan_1" }, func(t *testing.T, s *Subscription) {
			equal(t, "policy", s.BillingPolicy, catalog.Policy{Interval: civil.Month, IntervalCount: 1, MaxCycles: new(12)})
			equal(t, "plan", s.SellingPlanID, id.ID("plan_1"))
		}},
		{"prices of its own", func(c *Create) { c.Items[0].UnitPrice, c.DeliveryPrice = new(usd(1)), new(usd(0)) }, func(t *testing.T, s *Subscription) {
			equal(t, "prices", []any{s.Items[0].UnitPrice, s.DeliveryPrice}, []any{usd(1), usd(0)})
		}},
		{"other parties", func(c *Create) { c.ShippingAddressID, c.PaymentMethodID = "addr_2", "pm_2" }, func(t *testing.T, s *Subscription) {
			equal(t, "parties", []id.ID{s.ShippingAddressID, s.PaymentMethodID, s.BackupPaymentMethodID}, []id.ID{"addr_2", "pm_2", ""})
		}},
		{"a customer without anything", func(c *Create) { c.CustomerID = "cus_2" }, func(t *testing.T, s *Subscription) {
			equal(t, "parties", []id.ID{s.ShippingAddressID, s.PaymentMethodID, s.BackupPaymentMethodID}, []id.ID{"", "", ""})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShop(t)
			s.do(create(tt.change))
			tt.check(t, s.sub("sub_9"))
		})
	}
}

func TestCreateRefused(t *testing.T) {
	s := newShop(t)
	for _, tt := range []struct {
		name   string
		change func(*Create)
		want   []string
	}{
		{"everything at once", func(c *Create) {
			*c = Create{
				ID: "sub_9", CustomerID: "cus_none", Items: []NewItem{{ID: "item_1", VariantID: "var_none", Quantity: 0}, {ID: "item_2", VariantID: "var_old", Quantity: 1000}},
				BillingPolicy: &catalog.Policy{Interval: "moon", IntervalCount: 1}, NextBillingDate: dateP("2027-01-14"), DeliveryPrice: new(money.Of(-1, "EUR")),
				Note: "a\x00b", Attributes: map[string]string{"a/b": "\u202e"},
			}
		}, []string{
			"/customer_id", "/items/0/quantity", "/items/0/variant_id", "/items/1/quantity", "/items/1/variant_id", "/billing_policy/interval", "/next_billing_date",
			"/delivery_price/currency", "/delivery_price/amount", "/note", "/attributes/a~1b",
		}},
		{"no items", func(c *Create) { c.Items = nil }, []string{"/items"}},
		{"too many items", func(c *Create) { c.Items = make([]NewItem, MaxItems+1) }, []string{"/items"}},
		{"too much", func(c *Create) {
			c.Items = []NewItem{{ID: "item_1", VariantID: "var_max", Quantity: 999}, {ID: "item_2", VariantID: "var_max", Quantity: 2}}
		}, []string{"/items"}},
		{"erased customer", func(c *Create) { c.CustomerID = "cus_gone" }, []string{"/customer_id"}},
		{"another currency", func(c *Create) { c.Items[0].VariantID = "var_eur" }, []string{"/items/0/variant_id"}},
		{"unit price", func(c *Create) { c.Items[0].UnitPrice = new(money.Of(1_000_000_000_001, "EUR")) }, []string{"/items/0/unit_price/currency", "/items/0/unit_price/amount"}},
		{"no rhythm", func(c *Create) { c.BillingPolicy = nil }, []string{"/billing_policy"}},
		{"two rhythms", func(c *Create) { c.SellingPlanID = "plan_1" }, []string{"/billing_policy"}},
		{"unknown plan", func(c *Create) { c.BillingPolicy, c.SellingPlanID = nil, "plan_none" }, []string{"/selling_plan_id"}},
		{"old plan", func(c *Create) { c.BillingPolicy, c.SellingPlanID = nil, "plan_old" }, []string{"/selling_plan_id"}},
		{"far away", func(c *Create) { c.NextBillingDate = dateP("2037-02-01") }, []string{"/next_billing_date"}},
		{"others' things", func(c *Create) { c.ShippingAddressID, c.PaymentMethodID = "addr_other", "pm_other" }, []string{"/shipping_address_id", "/payment_method_id"}},
		{"removed things", func(c *Create) { c.ShippingAddressID, c.PaymentMethodID = "addr_old", "pm_old" }, []string{"/shipping_address_id", "/payment_method_id"}},
		{"unknown things", func(c *Create) { c.ShippingAddressID, c.PaymentMethodID = "addr_none", "pm_none" }, []string{"/shipping_address_id", "/payment_method_id"}},
		{"no delivery there", func(c *Create) { c.ShippingAddressID = "addr_fr" }, []string{"/shipping_address_id"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			quiet := *s
			quiet.t = t
			equal(t, "refused", quiet.refused(create(tt.change)), tt.want)
		})
	}
}

func TestPauseAndResume(t *testing.T) {
	for _, tt := range []struct {
		name   string
		until  *civil.Date
		resume string // day of the resume
		at     *civil.Date
		want   []string
	}{
		{"before the next order nothing is lost", nil, "2027-01-20", nil, []string{"2027-01-31", "2027-02-28", "2027-03-31"}},
		{"on its day it still comes", nil, "2027-01-31", nil, []string{"2027-01-31", "2027-02-28", "2027-03-31"}},
		{"what passed is used up", nil, "2027-03-01", nil, []string{"2027-03-31", "2027-04-30", "2027-05-31"}},
		{"a date is a new anchor", nil, "2027-03-01", dateP("2027-03-30"), []string{"2027-03-30", "2027-04-30", "2027-05-30"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := started(t, "2027-01-31")
			equal(t, "types", s.do(journal.Bind(Pause{ID: "sub_1", Until: tt.until})), []string{"subscription.paused"})
			equal(t, "next while paused", s.sub("sub_1").NextBillingDate, nil)
			equal(t, "upcoming while paused", s.dates("sub_1", 3), nil)
			s.day = date(tt.resume)
			equal(t, "types", s.do(journal.Bind(Resume{ID: "sub_1", NextBillingDate: tt.at})), []string{"subscription.resumed"})
			equal(t, "dates", s.dates("sub_1", 3), tt.want)
		})
	}
}

func TestPauseUntil(t *testing.T) {
	s := started(t, "2027-01-31")
	for _, d := range []string{"2027-01-14", "2027-01-15", "2040-01-01"} {
		equal(t, d, s.refused(journal.Bind(Pause{ID: "sub_1", Until: dateP(d)})), []string{"/until"})
	}
	s.do(journal.Bind(Pause{ID: "sub_1", Until: dateP("2027-02-28")}))
	equal(t, "upcoming after the pause", s.dates("sub_1", 2), []string{"2027-02-28", "2027-03-31"})
	s.day = date("2027-02-27")
	equal(t, "not due", s.do(journal.Bind(ResumeDue{ID: "sub_1"})), nil)
	s.day = date("2027-03-02")
	equal(t, "due", s.do(journal.Bind(ResumeDue{ID: "sub_1"})), []string{"subscription.resumed"})
	equal(t, "a late resume changes no date", s.dates("sub_1", 2), []string{"2027-02-28", "2027-03-31"})
	equal(t, "done", s.do(journal.Bind(ResumeDue{ID: "sub_1"})), nil)
}

func TestResumeAfterBilling(t *testing.T) {
	s := started(t, "2027-01-31")
	s.day = date("2027-01-31")
	s.bill("sub_1")
	s.in(Paused)
	equal(t, "a day that was billed", s.refused(journal.Bind(Resume{ID: "sub_1", NextBillingDate: dateP("2027-01-31")})), []string{"not_after_previous"})
	equal(t, "a day that has passed", s.refused(journal.Bind(Resume{ID: "sub_1", NextBillingDate: dateP("2027-01-30")})), []string{"/next_billing_date"})
	s.do(journal.Bind(Resume{ID: "sub_1"}))
	equal(t, "next", *s.sub("sub_1").NextBillingDate, date("2027-02-28"))
}

func TestCancelAndReactivate(t *testing.T) {
	s := started(t, "2027-01-31")
	equal(t, "reason", s.refused(journal.Bind(Cancel{ID: "sub_1", Reason: strings.Repeat("x", 501)})), []string{"/reason"})
	equal(t, "types", s.do(journal.Bind(Cancel{ID: "sub_1", Reason: "too much coffee"})), []string{"subscription.cancelled"})
	got := s.sub("sub_1")
	equal(t, "state", []any{got.Status, got.CancelReason.Value, got.CancelledAt.Time.Equal(s.now()), got.NextBillingDate == nil}, []any{Cancelled, "too much coffee", true, true})
	s.day = date("2027-02-10")
	equal(t, "types", s.do(journal.Bind(Reactivate{ID: "sub_1"})), []string{"subscription.reactivated"})
	got = s.sub("sub_1")
	equal(t, "state", []any{got.Status, got.CancelReason.Value, got.CancelledAt == nil, *got.NextBillingDate}, []any{Active, "", true, date("2027-02-28")})
	s.in(Cancelled).do(journal.Bind(Reactivate{ID: "sub_1", NextBillingDate: dateP("2027-02-14")}))
	equal(t, "dates", s.dates("sub_1", 2), []string{"2027-02-14", "2027-03-14"})
}

func TestReactivateRefused(t *testing.T) {
	s := started(t, "2027-01-31").in(Cancelled)
	gone := journal.Clone(s.sub("sub_1"))
	gone.CustomerID = "cus_gone"
	s.States[gone.Ref()] = gone
	equal(t, "erased", s.refused(journal.Bind(Reactivate{ID: "sub_1"})), []string{"erased"})
	equal(t, "note", s.refused(journal.Bind(ChangeNote{ID: "sub_1", Note: "x"})), []string{"erased"})
	equal(t, "attributes", s.refused(journal.Bind(ChangeAttributes{ID: "sub_1"})), []string{"erased"})
	billed := journal.Clone(gone)
	billed.CustomerID, billed.BillingPolicy.MaxCycles, billed.Cycle = "cus_1", new(3), 3
	s.States[gone.Ref()] = billed
	equal(t, "all billed", s.refused(journal.Bind(Reactivate{ID: "sub_1"})), []string{"cycles_billed"})
	equal(t, "unknown", s.refused(journal.Bind(Reactivate{ID: "sub_none"})), []string{"unknown_subscription"})
}
