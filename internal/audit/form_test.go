package audit

import (
	"testing"

	"github.com/go-json-experiment/json"

	"perennial/internal/billing"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// A row of an older form, which had its empty fields too, is compared in the form of today.
func TestToday(t *testing.T) {
	o := billing.Order{ID: "ord_1", Number: "1", Items: []billing.Line{{Title: "Coffee", Total: money.Of(900, "USD")}}, Total: money.Of(900, "USD")}
	old, err := json.Marshal(map[string]any{"id": o.ID, "number": o.Number, "items": o.Items, "total": o.Total, "cancelled_at": nil, "attempts": []any{}, "placed_at": nil})
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := journal.Split(&o)
	if err != nil {
		t.Fatal(err)
	}
	if got := today(new(billing.Order), old); string(got) != string(want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := today(new(billing.Order), []byte(`{"id":1}`)); string(got) != `{"id":1}` {
		t.Errorf("what cannot be read: got %s", got)
	}
}
