package subscription

import (
	"encoding/json"
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/journal"
)

// TestUpcoming shows one subscription with everything that a coming order can depend on.
func TestUpcoming(t *testing.T) {
	s := newShop(t)
	s.do(create(func(c *Create) {
		c.ID, c.BillingPolicy, c.SellingPlanID, c.NextBillingDate = "sub_1", nil, "plan_1", dateP("2027-01-31")
	}))
	s.do(journal.Bind(AddItem{ID: "sub_1", Item: NewItem{ID: "item_2", VariantID: "var_2", Quantity: 1, OneTime: true}}))
	s.do(apply("FIVER"))
	s.do(skip(dateP("2027-02-28")))
	plan := s.States[journal.Ref{Kind: journal.SellingPlan, ID: "plan_1"}].(*catalog.Plan)
	list, err := Upcoming(s.sub("sub_1"), plan, FlatTax(1000), s.day, 5)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Cycle                                    int
		Date                                     string
		Skipped                                  bool
		Items                                    int
		Subtotal, Discount, Delivery, Tax, Total int64
	}
	var got []row
	for _, o := range list {
		r := row{0, o.Date.String(), o.Skipped, len(o.Items), o.Subtotal.Minor, o.Discount.Minor, o.Delivery.Minor, o.Tax.Minor, o.Total.Minor}
		if o.Cycle != nil {
			r.Cycle = *o.Cycle
		}
		got = append(got, r)
	}
	equal(t, "upcoming", got, []row{
		{1, "2027-01-31", false, 2, 3600, 500, 500, 360, 3960},
		{0, "2027-02-28", true, 0, 0, 0, 0, 0, 0},
		{2, "2027-03-31", false, 1, 1800, 500, 500, 180, 1980},
		{3, "2027-04-30", false, 1, 1700, 0, 500, 220, 2420},
		{4, "2027-05-31", false, 1, 1700, 0, 500, 220, 2420},
	})
	raw, err := json.Marshal(list[1])
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "JSON", string(raw), `{"cycle":null,"date":"2027-02-28","skipped":true,"items":[],"subtotal":{"amount":0,"currency":"USD"},"discount":{"amount":0,"currency":"USD"},`+
		`"delivery":{"amount":0,"currency":"USD"},"tax":{"amount":0,"currency":"USD"},"total":{"amount":0,"currency":"USD"},"carried":null}`)
	equal(t, "the subscription is as it was", s.sub("sub_1").Cycle, 0)
}
