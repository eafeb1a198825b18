package catalog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
	"perennial/internal/money"
	"perennial/internal/settings"
)

var now = time.Date(2027, 3, 1, 9, 30, 0, 0, time.UTC)

func usd(minor int64) money.Amount { return money.Of(minor, "USD") }

// newWorld is a shop in memory that sells in USD and has nothing else.
func newWorld() *journaltest.World {
	w := journaltest.NewWorld("shop_0a1b2c3d")
	w.Fresh = map[journal.Kind]func(id.ID) func() journal.State{
		journal.Product:          fresh[catalog.Product],
		journal.Variant:          fresh[catalog.Variant],
		journal.SellingPlanGroup: fresh[catalog.Group],
		journal.SellingPlan:      fresh[catalog.Plan],
		journal.Discount:         fresh[catalog.Discount],
	}
	g := &settings.General{Name: "Beans", TimeZone: "Europe/Berlin", Currency: "USD", Locale: "en"}
	w.States[g.Ref()] = g
	return w
}

func fresh[T any, P interface {
	*T
	journal.State
}](id.ID) func() journal.State {
	return func() journal.State { return P(new(T)) }
}

// stocked is a shop with a product, a variant, a group, a plan and a discount.
func stocked(t *testing.T) *journaltest.World {
	t.Helper()
	w := newWorld()
	must(t, w, journal.Bind(catalog.CreateProduct{ID: "prod_1", Title: "Coffee"}))
	must(t, w, journal.Bind(catalog.CreateProduct{ID: "prod_2", Title: "Tea"}))
	must(t, w, journal.Bind(catalog.CreateVariant{ID: "var_1", ProductID: "prod_1", Title: "250 g", Price: usd(1250), Inventory: new(int64(3))}))
	must(t, w, journal.Bind(catalog.CreateGroup{ID: "grp_1", Name: "Subscribe", ProductIDs: []id.ID{"prod_1"}}))
	must(t, w, journal.Bind(catalog.CreatePlan{ID: "plan_1", GroupID: "grp_1", Name: "Monthly", BillingPolicy: monthly}))
	must(t, w, journal.Bind(catalog.CreateDiscount{ID: "disc_1", Code: "welcome", Kind: catalog.KindPercentage, Value: 10}))
	return w
}

var monthly = catalog.Policy{Interval: civil.Month, IntervalCount: 1}

func must(t *testing.T, w *journaltest.World, c journal.Command) []*journal.Event {
	t.Helper()
	_, events, err := w.Run(c, now)
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	return events
}

func types(events []*journal.Event) string {
	var out []string
	for _, e := range events {
		out = append(out, string(e.Type))
	}
	return strings.Join(out, " ")
}

// refusal gives the code of a refusal, and the pointers of the fields that it names.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	f := fault.As(err)
	var out strings.Builder
	out.WriteString(f.Code)
	for _, field := range f.Fields {
		out.WriteString(" " + field.Pointer)
	}
	return out.String()
}

func get[T any](t *testing.T, w *journaltest.World, kind journal.Kind, key id.ID) T {
	t.Helper()
	s, ok := w.States[journal.Ref{Kind: kind, ID: key}].(T)
	if !ok {
		t.Fatalf("there is no %s %s", kind, key)
	}
	return s
}

func TestEvents(t *testing.T) {
	tests := []struct {
		name    string
		command journal.Command
		want    string
	}{
		{"title", journal.Bind(catalog.UpdateProduct{ID: "prod_1", Title: new("Beans")}), "product.updated"},
		{"visible", journal.Bind(catalog.UpdateProduct{ID: "prod_1", PortalVisible: new(false)}), "product_settings.updated"},
		{"upsell", journal.Bind(catalog.UpdateProduct{ID: "prod_1", Upsell: new(true)}), "product_upsell.variant_settings_updated"},
		{"upsell discount", journal.Bind(catalog.UpdateProduct{ID: "prod_1", UpsellDiscount: new(20)}), "product_upsell.discount_updated"},
		{"upsell limit", journal.Bind(catalog.UpdateProduct{ID: "prod_1", UpsellLimit: new(2)}), "product_upsell.limit_updated"},
		{"all kinds", journal.Bind(catalog.UpdateProduct{ID: "prod_1", Title: new("Beans"), Upsell: new(true), PortalVisible: new(false), Status: new(catalog.Archived)}),
			"product.updated product_settings.updated product_upsell.variant_settings_updated product.archived"},
		{"to a draft", journal.Bind(catalog.UpdateProduct{ID: "prod_1", Status: new(catalog.Draft)}), "product.updated"},
		{"nothing", journal.Bind(catalog.UpdateProduct{ID: "prod_1", Title: new("Coffee")}), ""},
		{"archive", journal.Bind(catalog.ArchiveProduct{ID: "prod_1"}), "product.archived"},
		{"variant", journal.Bind(catalog.UpdateVariant{ID: "var_1", Price: new(usd(1300))}), "variant.updated"},
		{"stock", journal.Bind(catalog.UpdateVariant{ID: "var_1", Inventory: catalog.Set(int64(9))}), "variant.inventory_changed"},
		{"stock not counted", journal.Bind(catalog.UpdateVariant{ID: "var_1", Inventory: catalog.Null[int64]()}), "variant.inventory_changed"},
		{"variant and stock", journal.Bind(catalog.UpdateVariant{ID: "var_1", SKU: new("C-250"), Inventory: catalog.Set(int64(9))}), "variant.updated variant.inventory_changed"},
		{"same stock", journal.Bind(catalog.UpdateVariant{ID: "var_1", Inventory: catalog.Set(int64(3))}), ""},
		{"archive variant", journal.Bind(catalog.ArchiveVariant{ID: "var_1"}), "variant.archived"},
		{"group", journal.Bind(catalog.UpdateGroup{ID: "grp_1", ProductIDs: &[]id.ID{"prod_2", "prod_1", "prod_2"}}), "selling_plan_group.updated"},
		{"same group", journal.Bind(catalog.UpdateGroup{ID: "grp_1", ProductIDs: &[]id.ID{"prod_1"}}), ""},
		{"delete group", journal.Bind(catalog.DeleteGroup{ID: "grp_1"}), "selling_plan_group.deleted"},
		{"plan", journal.Bind(catalog.UpdatePlan{ID: "plan_1", MaxCycles: catalog.Set(12), Pricing: &[]catalog.Pricing{{Kind: catalog.KindPercentage, Value: 5}}}), "selling_plan.updated"},
		{"plan without change", journal.Bind(catalog.UpdatePlan{ID: "plan_1", MaxCycles: catalog.Null[int]()}), ""},
		{"delete plan", journal.Bind(catalog.DeletePlan{ID: "plan_1"}), "selling_plan.deleted"},
		{"discount", journal.Bind(catalog.UpdateDiscount{ID: "disc_1", Value: new(int64(20)), EndsAt: catalog.Set(now.Add(time.Hour))}), "discount.updated"},
		{"deactivate", journal.Bind(catalog.DeactivateDiscount{ID: "disc_1"}), "discount.deactivated"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := stocked(t)
			if got := types(must(t, w, tt.command)); got != tt.want {
				t.Errorf("events: got %q, want %q", got, tt.want)
			}
			if got := types(must(t, w, tt.command)); got != "" {
				t.Errorf("the same command again: got %q, want nothing", got)
			}
			checkWorld(t, w)
		})
	}
}

func TestRefusals(t *testing.T) {
	week := catalog.Policy{Interval: civil.Week, IntervalCount: 1}
	plan := func(change func(*catalog.CreatePlan)) journal.Command {
		c := catalog.CreatePlan{ID: "plan_9", GroupID: "grp_1", Name: "P", BillingPolicy: monthly}
		change(&c)
		return journal.Bind(c)
	}
	discount := func(change func(*catalog.CreateDiscount)) journal.Command {
		c := catalog.CreateDiscount{ID: "disc_9", Code: "SUMMER-27", Kind: catalog.KindAmount, Value: 500}
		change(&c)
		return journal.Bind(c)
	}
	tests := []struct {
		name    string
		before  journal.Command // what is done first
		command journal.Command
		want    string
	}{
		{"all wrong fields together", nil, journal.Bind(catalog.CreateProduct{ID: "prod_9", Description: "a\x00b", ImageURL: "javascript:alert(1)", Status: "gone"}),
			"fields_refused /title /description /image_url /status"},
		{"new in the archive", nil, journal.Bind(catalog.CreateProduct{ID: "prod_9", Title: "x", Status: catalog.Archived}), "fields_refused /status"},
		{"bidi override", nil, journal.Bind(catalog.CreateProduct{ID: "prod_9", Title: "a\u202eb"}), "fields_refused /title"},
		{"unknown product", nil, journal.Bind(catalog.UpdateProduct{ID: "prod_9"}), "unknown_product"},
		{"archived product", journal.Bind(catalog.ArchiveProduct{ID: "prod_1"}), journal.Bind(catalog.UpdateProduct{ID: "prod_1", Title: new("x")}), "status_archived"},
		{"out of the archive", journal.Bind(catalog.ArchiveProduct{ID: "prod_1"}), journal.Bind(catalog.UpdateProduct{ID: "prod_1", Title: new("x"), Status: new(catalog.Active)}), ""},

		{"variant of an archived product", journal.Bind(catalog.ArchiveProduct{ID: "prod_1"}), journal.Bind(catalog.CreateVariant{ID: "var_9", ProductID: "prod_1", Title: "x", Price: usd(1)}), "status_archived"},
		{"variant of no product", nil, journal.Bind(catalog.CreateVariant{ID: "var_9", ProductID: "prod_9", Title: "x", Price: usd(1)}), "unknown_product"},
		{"wrong variant", nil, journal.Bind(catalog.CreateVariant{ID: "var_9", ProductID: "prod_1", Price: money.Of(-1, "EUR"), WeightGrams: -1, Inventory: new(int64(-1))}),
			"fields_refused /title /price/amount /weight_grams /inventory /price/currency"},
		{"too dear", nil, journal.Bind(catalog.UpdateVariant{ID: "var_1", Price: new(usd(catalog.MaxPrice + 1))}), "fields_refused /price/amount"},
		{"archived variant", journal.Bind(catalog.ArchiveVariant{ID: "var_1"}), journal.Bind(catalog.UpdateVariant{ID: "var_1", Title: new("x")}), "status_archived"},

		{"unknown products", nil, journal.Bind(catalog.CreateGroup{ID: "grp_9", Name: "x", ProductIDs: []id.ID{"prod_1", "prod_9"}}), "fields_refused /product_ids/1"},
		{"archived in a new group", journal.Bind(catalog.ArchiveProduct{ID: "prod_2"}), journal.Bind(catalog.CreateGroup{ID: "grp_9", Name: "x", ProductIDs: []id.ID{"prod_2"}}), "fields_refused /product_ids/0"},
		{"archived stays in its group", journal.Bind(catalog.ArchiveProduct{ID: "prod_1"}), journal.Bind(catalog.UpdateGroup{ID: "grp_1", ProductIDs: &[]id.ID{"prod_1", "prod_2"}}), ""},
		{"deleted group", journal.Bind(catalog.DeleteGroup{ID: "grp_1"}), journal.Bind(catalog.UpdateGroup{ID: "grp_1", Name: new("x")}), "status_archived"},
		{"plan in a deleted group", journal.Bind(catalog.DeleteGroup{ID: "grp_1"}), plan(func(*catalog.CreatePlan) {}), "status_archived"},

		{"no interval", nil, plan(func(c *catalog.CreatePlan) { c.BillingPolicy = catalog.Policy{Interval: "fortnight"} }), "fields_refused /billing_policy/interval"},
		{"no count", nil, plan(func(c *catalog.CreatePlan) { c.BillingPolicy.IntervalCount = 0 }), "fields_refused /billing_policy/interval_count"},
		{"too long an interval", nil, plan(func(c *catalog.CreatePlan) { c.BillingPolicy.IntervalCount = 37 }), "fields_refused /billing_policy/interval_count"},
		{"anchor day of a week", nil, plan(func(c *catalog.CreatePlan) { c.BillingPolicy = week; c.BillingPolicy.AnchorDay = new(1) }), "fields_refused /billing_policy/anchor_day"},
		{"anchor day 32", nil, plan(func(c *catalog.CreatePlan) { c.BillingPolicy.AnchorDay = new(32) }), "fields_refused /billing_policy/anchor_day"},
		{"anchor day 31", nil, plan(func(c *catalog.CreatePlan) { c.BillingPolicy.AnchorDay = new(31) }), ""},
		{"weekly delivery of a month", nil, plan(func(c *catalog.CreatePlan) { c.DeliveryPolicy = &week }), "fields_refused /delivery_policy"},
		{"delivery rarer than billing", nil, plan(func(c *catalog.CreatePlan) {
			c.DeliveryPolicy = &catalog.Policy{Interval: civil.Month, IntervalCount: 2}
		}), "fields_refused /delivery_policy"},
		{"prepaid year", nil, plan(func(c *catalog.CreatePlan) { c.BillingPolicy.Interval, c.DeliveryPolicy = civil.Year, &monthly }), ""},
		{"steps do not rise", nil, plan(func(c *catalog.CreatePlan) {
			c.Pricing = []catalog.Pricing{{catalog.KindPercentage, 10, 3}, {catalog.KindPercentage, 5, 3}}
		}), "fields_refused /pricing/1/after_cycle"},
		{"wrong steps", nil, plan(func(c *catalog.CreatePlan) {
			c.Pricing = []catalog.Pricing{{"gift", 1, 0}, {catalog.KindPercentage, 101, 1}, {catalog.KindPrice, -1, 2}, {catalog.KindPercentage, 0, 3}}
		}), "fields_refused /pricing/0/kind /pricing/1/value /pricing/2/value"},
		{"cycles the wrong way round", nil, plan(func(c *catalog.CreatePlan) { c.MinCycles, c.MaxCycles = new(3), new(2) }), "fields_refused /max_cycles"},
		{"no cycles", nil, plan(func(c *catalog.CreatePlan) { c.MaxCycles = new(0) }), "fields_refused /max_cycles"},
		{"two ends", nil, plan(func(c *catalog.CreatePlan) { c.MaxCycles, c.BillingPolicy.MaxCycles = new(3), new(2) }), "fields_refused /billing_policy/max_cycles"},
		{"deleted plan", journal.Bind(catalog.DeletePlan{ID: "plan_1"}), journal.Bind(catalog.UpdatePlan{ID: "plan_1", Name: new("x")}), "status_archived"},

		{"taken code", nil, discount(func(c *catalog.CreateDiscount) { c.Code = " WelCome " }), "code_taken"},
		{"taken by an inactive one", journal.Bind(catalog.DeactivateDiscount{ID: "disc_1"}), discount(func(c *catalog.CreateDiscount) { c.Code = "WELCOME" }), "code_taken"},
		{"short code", nil, discount(func(c *catalog.CreateDiscount) { c.Code = "ab" }), "fields_refused /code"},
		{"strange code", nil, discount(func(c *catalog.CreateDiscount) { c.Code = "50%OFF" }), "fields_refused /code"},
		{"kind of a plan", nil, discount(func(c *catalog.CreateDiscount) { c.Kind = catalog.KindPrice }), "fields_refused /kind"},
		{"nothing off", nil, discount(func(c *catalog.CreateDiscount) { c.Value = 0 }), "fields_refused /value"},
		{"more than all", nil, discount(func(c *catalog.CreateDiscount) { c.Kind, c.Value = catalog.KindPercentage, 101 }), "fields_refused /value"},
		{"ended before it began", nil, discount(func(c *catalog.CreateDiscount) { c.EndsAt = new(now) }), "fields_refused /ends_at"},
		{"no limits", nil, discount(func(c *catalog.CreateDiscount) { c.MaxCycles, c.MaxRedemptions = new(0), new(0) }), "fields_refused /max_cycles /max_redemptions"},
		{"inactive discount", journal.Bind(catalog.DeactivateDiscount{ID: "disc_1"}), journal.Bind(catalog.UpdateDiscount{ID: "disc_1", Value: new(int64(1))}), "status_inactive"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := stocked(t)
			if tt.before != nil {
				must(t, w, tt.before)
			}
			_, _, err := w.Run(tt.command, now)
			if got := refusal(err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			checkWorld(t, w)
		})
	}
}

func TestCreated(t *testing.T) {
	w := stocked(t)
	must(t, w, journal.Bind(catalog.CreateGroup{ID: "grp_2", Name: "Two", ProductIDs: []id.ID{"prod_2", "prod_1", "prod_2"}}))
	got := get[*catalog.Group](t, w, journal.SellingPlanGroup, "grp_2").ProductIDs
	if diff := cmp.Diff([]id.ID{"prod_1", "prod_2"}, got); diff != "" {
		t.Errorf("products of the group (-want +got):\n%s", diff)
	}
	if got := get[*catalog.Discount](t, w, journal.Discount, "disc_1").Code; got != "WELCOME" {
		t.Errorf("code: got %q, want %q", got, "WELCOME")
	}
	if !get[*catalog.Product](t, w, journal.Product, "prod_1").PortalVisible {
		t.Error("a new product is not visible in the portal")
	}
}

func TestChangeInventory(t *testing.T) {
	v := &catalog.Variant{ID: "var_1", ProductID: "prod_1", Title: "250 g", Price: usd(1), Inventory: new(int64(3)), Status: catalog.Active}
	d, next, ok, err := catalog.ChangeInventory(v, -3, journal.Ref{Kind: journal.Order, ID: "ord_1"})
	if err != nil || !ok || *next.Inventory != 0 || *v.Inventory != 3 {
		t.Fatalf("take 3 of 3: got %v, %v, %v; the variant before has %d", next, ok, err, *v.Inventory)
	}
	e, err := d.Event()
	if err != nil {
		t.Fatal(err)
	}
	want := []journal.Ref{{Kind: journal.Variant, ID: "var_1"}, {Kind: journal.Product, ID: "prod_1"}, {Kind: journal.Order, ID: "ord_1"}}
	if diff := cmp.Diff(want, e.Targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if _, _, _, err := catalog.ChangeInventory(next, -1); refusal(err) != "out_of_stock" {
		t.Errorf("take 1 of 0: got %v, want out_of_stock", err)
	}
	v.Inventory = nil
	if _, _, ok, err := catalog.ChangeInventory(v, -1000); ok || err != nil {
		t.Errorf("stock that is not counted: got %v, %v; want no event", ok, err)
	}
}

func TestDeliveriesPerOrder(t *testing.T) {
	tests := []struct {
		billing, delivery catalog.Policy
		want              int
	}{
		{catalog.Policy{Interval: civil.Year, IntervalCount: 1}, catalog.Policy{Interval: civil.Month, IntervalCount: 3}, 4},
		{catalog.Policy{Interval: civil.Week, IntervalCount: 4}, catalog.Policy{Interval: civil.Day, IntervalCount: 14}, 2},
		{catalog.Policy{Interval: civil.Month, IntervalCount: 1}, catalog.Policy{Interval: civil.Month, IntervalCount: 1}, 1},
		{catalog.Policy{Interval: civil.Month, IntervalCount: 3}, catalog.Policy{Interval: civil.Month, IntervalCount: 2}, 0},
		{catalog.Policy{Interval: civil.Month, IntervalCount: 1}, catalog.Policy{Interval: civil.Week, IntervalCount: 1}, 0},
	}
	for _, tt := range tests {
		if got := catalog.DeliveriesPerOrder(tt.billing, &tt.delivery); got != tt.want {
			t.Errorf("DeliveriesPerOrder(%v, %v) = %d, want %d", tt.billing.Every(), tt.delivery.Every(), got, tt.want)
		}
	}
	if got := catalog.DeliveriesPerOrder(monthly, nil); got != 1 {
		t.Errorf("without a delivery policy: got %d, want 1", got)
	}
}

func FuzzNormalizeCode(f *testing.F) {
	for _, s := range []string{"welcome", " B-1_ ", "ab", "\u017fale", "50%", strings.Repeat("x", 41)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, ok := catalog.NormalizeCode(s)
		if !ok {
			return
		}
		if !strings.EqualFold(code, strings.TrimSpace(s)) {
			t.Errorf("%q became %q", s, code)
		}
		if again, ok := catalog.NormalizeCode(code); again != code || !ok {
			t.Errorf("%q became %q, and that %q", s, code, again)
		}
	})
}

func TestUndo(t *testing.T) {
	w := stocked(t)
	g := get[*settings.General](t, w, journal.Settings, settings.PageGeneral)
	must(t, w, journal.Bind(catalog.UpdateVariant{ID: "var_1", Price: new(usd(1300))}))
	e := w.Events[len(w.Events)-1]
	current := get[*catalog.Variant](t, w, journal.Variant, "var_1")
	restored, err := journal.Apply(current, fresh[catalog.Variant]("var_1"), journal.Inverse(e.Changes))
	if err != nil {
		t.Fatal(err)
	}
	if err := catalog.Undo(e, now, current, restored, g); err != nil {
		t.Errorf("a price: %v", err)
	}
	moved := journal.Clone(g)
	moved.Currency = "EUR"
	if err := catalog.Undo(e, now, current, restored, moved); refusal(err) != "undo_not_allowed" {
		t.Errorf("a price in another currency: got %v, want undo_not_allowed", err)
	}
}

// checkWorld checks every state, and that the events alone come to the same states.
func checkWorld(t interface {
	Helper()
	Errorf(string, ...any)
}, w *journaltest.World) {
	t.Helper()
	live := map[journal.Ref]journal.State{}
	for ref, s := range w.States {
		if ref.Kind == journal.Settings {
			continue
		}
		live[ref] = s
		if err := catalog.Check(s); err != nil {
			t.Errorf("%s %s: %v", ref.Kind, ref.ID, err)
		}
	}
	replayed, err := w.Rebuild()
	if err != nil {
		t.Errorf("replay: %v", err)
	}
	if diff := cmp.Diff(live, replayed, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("states and replay differ (-live +replay):\n%s", diff)
	}
}

func TestOncePrice(t *testing.T) {
	for _, test := range []struct {
		offered     bool
		off         int
		price, want int64
	}{{true, 0, 999, 999}, {true, 10, 999, 899}, {true, 15, 850, 723}, {true, 100, 850, 0}, {false, 50, 850, 850}} {
		if got := catalog.OncePrice(&catalog.Product{Upsell: test.offered, UpsellDiscount: test.off}, &catalog.Variant{Price: usd(test.price)}); got != usd(test.want) {
			t.Errorf("%+v: %s", test, got.Format())
		}
	}
	if _, err := (catalog.UpdateProduct{UpsellDiscount: new(101), UpsellLimit: new(-1)}).Decide(catalog.World{Product: &catalog.Product{Title: "Coffee", Status: catalog.Active}}, time.Now()); err == nil || len(fault.As(err).Fields) != 2 {
		t.Errorf("a discount of 101 percent and a limit of -1: %v", err)
	}
}
