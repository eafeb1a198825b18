package analytics

import (
	"encoding/json"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"perennial/internal/billing"
	"perennial/internal/journal"
	"perennial/internal/money"
)

func value(t rapid.TB, v any) jsontext.Value {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever is paid, paid twice and sent back: sales less refunds are what the shop has of the order's total once it is placed.
func TestSalesLessRefundsAreWhatIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		usd := func(minor int64) money.Amount { return money.Of(minor, "USD") }
		total := rapid.Int64Range(0, 5000).Draw(t, "total")
		share := rapid.Int64Range(0, total).Draw(t, "share")
		lines := []billing.Line{{ProductID: "prod_a", Quantity: 1, Total: usd(share), Discount: usd(0)}, {ProductID: "prod_b", Quantity: 2, Total: usd(total - share), Discount: usd(0)}}
		history := []*journal.Event{{Type: "order.created", Changes: []journal.Change{{Field: "subscription_id", After: value(t, "sub_1")}, {Field: "items", After: value(t, lines)},
			{Field: "total", After: value(t, usd(total))}, {Field: "delivery", After: value(t, usd(0))}, {Field: "tax", After: value(t, usd(0))}}}}
		add := func(typ string, amount int64) *sale {
			history = append(history, &journal.Event{Type: journal.Name(typ), Details: []journal.Detail{{Name: "amount", Value: value(t, usd(amount))}}})
			s, err := saleOf(history)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		times := rapid.Int64Range(1, 2).Draw(t, "times paid")
		for range times {
			add("billing_attempt.succeeded", total)
		}
		s := add("order.placed", 0)
		sums := map[cell]int64{}
		count := func(facts []Fact) {
			for _, f := range facts {
				sums[cell{product: string(f.Product), figure: string(f.Figure)}] += f.Amount
			}
		}
		count(s.placedFacts())
		for left := times * total; left > 0 && rapid.Bool().Draw(t, "refund"); {
			back := rapid.Int64Range(1, left).Draw(t, "back")
			left -= back
			before := s
			s = add("order.refunded", back)
			facts, err := s.refundFacts(before)
			if err != nil {
				t.Fatal(err)
			}
			count(facts)
			got := sums[cell{figure: string(SalesExtra)}] - sums[cell{figure: string(SalesRefunded)}]
			if want := min(total, left); got != want {
				t.Fatalf("sales less refunds are %d, want %d", got, want)
			}
		}
		// Each refund is split among the products with one rounding.
		parts := sums[cell{product: "prod_a", figure: string(SalesRefunded)}] + sums[cell{product: "prod_b", figure: string(SalesRefunded)}]
		if d := parts - sums[cell{figure: string(SalesRefunded)}]; d < 0 || d > int64(len(history)) {
			t.Fatalf("the products' refunds are %d more than all", d)
		}
	})
}
