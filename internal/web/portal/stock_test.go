package portal

import (
	"strings"
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// TestSoldOut refuses a variant of which nothing is left when it is posted, as the form does not show it.
func TestSoldOut(t *testing.T) {
	w := newWorld(t)
	product, variant := w.IDs.New(id.Product), w.IDs.New(id.Variant)
	w.Do(journal.Bind(catalog.CreateProduct{ID: product, Title: "Rare tea"}))
	w.Do(journal.Bind(catalog.CreateVariant{ID: variant, ProductID: product, Title: "100 g", Price: money.Of(1000, "EUR"), Inventory: new(int64(0))}))
	v := w.signIn("ada@example.com")
	at := "/portal/subscriptions/" + string(w.hers)
	if strings.Contains(v.get(at+"/items").body, string(variant)) {
		t.Error("what is sold out is offered")
	}
	w.want(v.post(at+"/items", "variant_id", string(variant), "quantity", "1"), 422, at+"/items", "out of stock")
	swap := at + "/swap/" + string(w.subscription(w.hers).Items[0].ID)
	w.want(v.post(swap, "variant_id", string(variant)), 422, swap, "out of stock")
}
