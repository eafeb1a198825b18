package subscription

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/money"
)

func percent(points int64) AppliedDiscount {
	return AppliedDiscount{Code: "P", Kind: catalog.KindPercentage, Value: points}
}

func amount(minor int64) AppliedDiscount {
	return AppliedDiscount{Code: "A", Kind: catalog.KindAmount, Value: minor}
}

// TestPriceOrder checks the examples of docs/billing-rules.md, "Prices and orders", among others.
func TestPriceOrder(t *testing.T) {
	one := []Item{{ID: "item_1", Quantity: 1, UnitPrice: usd(1000)}}
	three := []Item{{ID: "item_1", Quantity: 1, UnitPrice: usd(333)}, {ID: "item_2", Quantity: 1, UnitPrice: usd(333)}, {ID: "item_3", Quantity: 1, UnitPrice: usd(334)}}
	steps := []catalog.Pricing{{Kind: catalog.KindPercentage, Value: 10}, {Kind: catalog.KindAmount, Value: 1500, AfterCycle: 2}, {Kind: catalog.KindPrice, Value: 750, AfterCycle: 5}}
	for _, tt := range []struct {
		name                                     string
		basis                                    Basis
		subtotal, discount, delivery, tax, total int64
		shares                                   []int64
	}{
		{"plain", Basis{Items: one}, 1000, 0, 0, 0, 1000, []int64{0}},
		{"delivery and tax", Basis{Items: one, Delivery: usd(490), Tax: FlatTax(1900)}, 1000, 0, 490, 283, 1773, []int64{0}},
		{"tax of half a cent", Basis{Items: one, Tax: FlatTax(5)}, 1000, 0, 0, 1, 1001, []int64{0}},
		{"shares add up", Basis{Items: three, Discounts: []AppliedDiscount{amount(100)}}, 1000, 100, 0, 0, 900, []int64{33, 33, 34}},
		{"percentages do not compound", Basis{Items: one, Discounts: []AppliedDiscount{percent(10), percent(10)}}, 1000, 200, 0, 0, 800, []int64{200}},
		{"never below nothing", Basis{Items: one, Delivery: usd(490), Discounts: []AppliedDiscount{percent(60), amount(600)}}, 1000, 1000, 490, 0, 490, []int64{1000}},
		{"first step of the plan", Basis{Items: one, Pricing: steps, OrdersBefore: 1}, 900, 0, 0, 0, 900, []int64{0}},
		{"second step stops at nothing", Basis{Items: one, Pricing: steps, OrdersBefore: 2}, 0, 0, 0, 0, 0, []int64{0}},
		{"third step", Basis{Items: one, Pricing: steps, OrdersBefore: 7}, 750, 0, 0, 0, 750, []int64{0}},
		{"one-time items are not of the plan", Basis{Items: []Item{{OneTime: true, Quantity: 2, UnitPrice: usd(1000)}}, Pricing: steps}, 2000, 0, 0, 0, 2000, []int64{0}},
		{"half a cent off is a cent", Basis{Items: []Item{{Quantity: 1, UnitPrice: usd(5)}}, Discounts: []AppliedDiscount{percent(10)}}, 5, 1, 0, 0, 4, []int64{1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.basis.Currency = "USD"
			tt.basis.Delivery.Currency = "USD"
			p, err := PriceOrder(tt.basis)
			if err != nil {
				t.Fatal(err)
			}
			got := []int64{p.Subtotal.Minor, p.Discount.Minor, p.Delivery.Minor, p.Tax.Minor, p.Total.Minor}
			equal(t, "subtotal, discount, delivery, tax, total", got, []int64{tt.subtotal, tt.discount, tt.delivery, tt.tax, tt.total})
			var shares []int64
			for _, l := range p.Lines {
				shares = append(shares, l.Discount.Minor)
			}
			equal(t, "shares", shares, tt.shares)
		})
	}
}

func TestPriceOrderCurrency(t *testing.T) {
	if _, err := PriceOrder(Basis{Currency: "USD", Items: []Item{{Quantity: 1, UnitPrice: money.Of(1, "EUR")}}, Delivery: usd(0)}); err == nil {
		t.Error("two currencies in one order")
	}
}

// A prepaid order pays for each of its deliveries: items and delivery price as often, a one-time item and a discount once.
func TestPrepaidOrder(t *testing.T) {
	p, err := PriceOrder(Basis{Currency: "USD", Deliveries: 3, Delivery: usd(490), Discounts: []AppliedDiscount{amount(200)}, Tax: FlatTax(1000),
		Items: []Item{{Quantity: 2, UnitPrice: usd(1000)}, {Quantity: 1, UnitPrice: usd(300), OneTime: true}}})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "price", []money.Amount{p.Lines[0].Total, p.Lines[1].Total, p.Subtotal, p.Discount, p.Delivery, p.Tax, p.Total},
		[]money.Amount{usd(6000), usd(300), usd(6300), usd(200), usd(1470), usd(757), usd(8327)})
}

func TestDeliveryDates(t *testing.T) {
	s := started(t, "2027-01-31")
	prepaid := s.sub("sub_1")
	prepaid.BillingPolicy.IntervalCount = 3
	prepaid.DeliveryPolicy = &catalog.Policy{Interval: civil.Month, IntervalCount: 1}
	dates := func() (out []string) {
		for _, d := range prepaid.DeliveryDates() {
			out = append(out, d.String())
		}
		return out
	}
	equal(t, "the first order", dates(), []string{"2027-01-31", "2027-02-28", "2027-03-31"})
	prepaid.follow(prepaid.schedule().Advance())
	equal(t, "the second", dates(), []string{"2027-04-30", "2027-05-31", "2027-06-30"})
	prepaid.NextBillingDate = dateP("2027-05-05")
	equal(t, "moved", dates(), []string{"2027-05-05", "2027-05-31", "2027-06-30"})
	prepaid.DeliveryPolicy = nil
	equal(t, "not prepaid", dates(), []string{"2027-05-05"})
}

func TestExtraOrder(t *testing.T) {
	s := started(t, "2027-01-31")
	sub := s.sub("sub_1")
	sub.Items = append(sub.Items, Item{ID: "item_2", OneTime: true, Quantity: 1, UnitPrice: usd(1)})
	counted := percent(1)
	counted.CyclesLeft = new(1)
	sub.Discounts = []AppliedDiscount{counted, amount(10)}
	p, err := PriceOrder(sub.ExtraOrder(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "price", []int64{p.Subtotal.Minor, p.Discount.Minor, p.Delivery.Minor, p.Total.Minor}, []int64{1000, 10, 500, 1490})
}

// TestPriceOrderProperties holds for any order: the sums add up, nothing is negative, and the order of discounts means
// nothing.
func TestPriceOrderProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		item := rapid.Custom(func(t *rapid.T) Item {
			return Item{
				Quantity: rapid.IntRange(1, MaxQuantity).Draw(t, "quantity"), UnitPrice: usd(rapid.Int64Range(0, 10_000_000).Draw(t, "price")),
				OneTime: rapid.Bool().Draw(t, "one-time"),
			}
		})
		discount := rapid.Custom(func(t *rapid.T) AppliedDiscount {
			if rapid.Bool().Draw(t, "percentage") {
				return percent(rapid.Int64Range(1, 100).Draw(t, "points"))
			}
			return amount(rapid.Int64Range(1, 1_000_000_000_000).Draw(t, "amount"))
		})
		b := Basis{
			Currency: "USD", Items: rapid.SliceOfN(item, 1, 20).Draw(t, "items"), Discounts: rapid.SliceOfN(discount, 0, MaxDiscounts).Draw(t, "discounts"),
			Delivery: usd(rapid.Int64Range(0, 10_000).Draw(t, "delivery")), Deliveries: rapid.IntRange(0, 4).Draw(t, "deliveries"), Tax: FlatTax(rapid.IntRange(0, 10_000).Draw(t, "tax")),
			Pricing: []catalog.Pricing{{Kind: catalog.KindPercentage, Value: rapid.Int64Range(0, 100).Draw(t, "step")}},
		}
		p, err := PriceOrder(b)
		if err != nil {
			t.Fatal(err)
		}
		var lines, shares int64
		for _, l := range p.Lines {
			lines += l.Total.Minor
			shares += l.Discount.Minor
			if l.Discount.Minor < 0 || l.Discount.Minor > l.Total.Minor {
				t.Errorf("%d off a line of %d", l.Discount.Minor, l.Total.Minor)
			}
		}
		if lines != p.Subtotal.Minor || shares != p.Discount.Minor {
			t.Errorf("lines %d of %d, shares %d of %d", lines, p.Subtotal.Minor, shares, p.Discount.Minor)
		}
		if got := p.Subtotal.Minor - p.Discount.Minor + p.Delivery.Minor + p.Tax.Minor; got != p.Total.Minor || p.Discount.Minor > p.Subtotal.Minor || p.Tax.Minor < 0 {
			t.Errorf("%+v does not add up", p)
		}
		for i, j := 0, len(b.Discounts)-1; i < j; i, j = i+1, j-1 {
			b.Discounts[i], b.Discounts[j] = b.Discounts[j], b.Discounts[i]
		}
		turned, err := PriceOrder(b)
		if diff := cmp.Diff(p, turned); err != nil || diff != "" {
			t.Errorf("discounts the other way round: %v\n%s", err, diff)
		}
	})
}
