package privacy_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
	"perennial/internal/money"
	"perennial/internal/privacy"
	"perennial/internal/subscription"
)

var (
	now   = time.Date(2027, time.March, 3, 12, 0, 0, 0, time.UTC)
	today = civil.Date{Year: 2027, Month: time.March, Day: 3}
)

// seed puts states into the shop with the events that create them.
type seed struct {
	types  map[journal.Kind]string
	states []journal.State
}

func (seed) Load(journal.Reader) (struct{}, error) { return struct{}{}, nil }

func (c seed) Decide(struct{}, time.Time) (d journal.Decision, err error) {
	for _, s := range c.states {
		d.Drafts = append(d.Drafts, journal.Draft{Type: journal.Name(c.types[s.Ref().Kind]), After: s})
	}
	return d, nil
}

var created = map[journal.Kind]string{
	journal.Customer: "customer.created", journal.Address: "address.added", journal.PaymentMethod: "payment_method.added",
	journal.Subscription: "subscription.created", journal.Order: "order.created", journal.Variant: "variant.created",
}

func fresh[T any, P interface {
	*T
	journal.State
}](id.ID) func() journal.State {
	return func() journal.State { return P(new(T)) }
}

func newWorld() *journaltest.World {
	w := journaltest.NewWorld("shop_00000001")
	w.Fresh[journal.Customer] = fresh[customer.Customer]
	w.Fresh[journal.Address] = fresh[customer.Address]
	w.Fresh[journal.PaymentMethod] = fresh[customer.PaymentMethod]
	w.Fresh[journal.Subscription] = fresh[subscription.Subscription]
	w.Fresh[journal.Order] = fresh[billing.Order]
	w.Fresh[journal.Variant] = fresh[catalog.Variant]
	for _, k := range []journal.Kind{journal.Address, journal.PaymentMethod, journal.Subscription, journal.Order} {
		w.Columns[k] = map[string]journaltest.Column{"customer_id": func(s journal.State) string { return string(s.Person()) }}
	}
	return w
}

// person gives the rows of a customer: one subscription and one order of each status asked for, two addresses, one of
// which was removed, and a payment method.
func person(name string, subs []subscription.Status, orders []billing.Status) []journal.State {
	cus := id.ID("cus_" + name)
	at := journal.At(now)
	say := func(s string) journal.Personal[string] { return journal.Secluded(name + "'s " + s) }
	rows := []journal.State{
		&customer.Customer{
			ID: cus, Email: journal.Secluded(name + "@example.com"), FirstName: say("name"), Phone: say("phone"), Locale: "en", Tags: []string{"vip"},
			DefaultAddressID: id.ID("addr_" + name), DefaultPaymentMethodID: id.ID("pm_" + name), Status: customer.Active, CreatedAt: at,
		},
		&customer.Address{ID: id.ID("addr_" + name), CustomerID: cus, Line1: say("street"), City: say("city"), Country: "AT", Status: customer.StatusActive, CreatedAt: at},
		&customer.Address{ID: id.ID("addr_old_" + name), CustomerID: cus, Line1: say("old street"), City: say("city"), Country: "AT", Status: customer.StatusRemoved, CreatedAt: at},
		&customer.PaymentMethod{ID: id.ID("pm_" + name), CustomerID: cus, Gateway: "simulated", GatewayReference: say("reference"), Status: customer.StatusActive, CreatedAt: at},
	}
	price := money.Of(1000, "EUR")
	for i, status := range subs {
		s := &subscription.Subscription{
			ID: id.ID(fmt.Sprintf("sub_%s_%d", name, i)), Status: status, CustomerID: cus, Currency: "EUR",
			Items:         []subscription.Item{{ID: "item_1", VariantID: "var_1", ProductID: "prod_1", Title: "Tea", Quantity: 1, UnitPrice: price}},
			BillingPolicy: catalog.Policy{Interval: civil.Month, IntervalCount: 1},
			AnchorDate:    today, DeliveryPrice: money.Zero("EUR"), Note: say("note"),
			Attributes: journal.Secluded(map[string]string{"door": name}), CreatedAt: at,
			Gifts: journal.Secluded([]subscription.Gift{{Date: today, Address: subscription.GiftAddress{FirstName: name}, Message: name}}),
		}
		switch status {
		case subscription.Active:
			s.NextBillingDate = &today
		case subscription.Failed:
			s.NextBillingDate = &today
			s.Recovery = &subscription.Recovery{OrderID: "ord_1", Attempts: 1, RetryDays: []int{3}, EndAction: "pause", EnteredOn: today}
		case subscription.Paused:
			s.PausedUntil = new(today.AddDays(10))
		case subscription.Cancelled:
			s.CancelledAt, s.CancelReason = &at, say("reason")
		case subscription.Expired:
			s.Cycle, s.BillingPolicy.MaxCycles = 1, new(1)
		}
		rows = append(rows, s)
	}
	for i, status := range orders {
		total := money.Of(2000, "EUR")
		o := &billing.Order{
			ID: id.ID(fmt.Sprintf("ord_%s_%d", name, i)), SubscriptionID: id.ID("sub_" + name + "_0"), CustomerID: cus, Number: fmt.Sprint(i), BillingDate: today,
			Status:   status,
			Items:    []billing.Line{{ItemID: "item_1", VariantID: "var_1", ProductID: "prod_1", Title: "Tea", Quantity: 2, UnitPrice: price, Total: total, FromStock: true}},
			Subtotal: total, Discount: money.Zero("EUR"), Delivery: money.Zero("EUR"), Tax: money.Zero("EUR"), Total: total, Refunded: money.Zero("EUR"),
			ShipTo: journal.Secluded(&billing.ShipTo{Line1: name}), GiftMessage: say("wishes"), CreatedAt: at,
		}
		switch status {
		case billing.Placed, billing.Refunded, billing.PartiallyRefunded:
			o.PlacedAt, o.FulfilledAt, o.TrackingURL = &at, &at, say("parcel")
			o.Attempts = []billing.Attempt{{ID: "att_1", Amount: total, Status: billing.AttemptSucceeded, StartedAt: at, FinishedAt: &at}}
		case billing.Pending:
			o.Attempts = []billing.Attempt{{ID: "att_1", Amount: total, Status: billing.AttemptStarted, StartedAt: at}}
		case billing.Cancelled:
			o.CancelledAt = &at
		}
		switch status {
		case billing.Refunded:
			o.Refunded = total
		case billing.PartiallyRefunded:
			o.Refunded = price
		}
		rows = append(rows, o)
	}
	return rows
}

type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func put(t failer, w *journaltest.World, rows ...journal.State) {
	t.Helper()
	if _, _, err := w.Run(journal.Bind(seed{created, rows}), now); err != nil {
		t.Fatal(err)
	}
	for _, s := range rows {
		if c, ok := s.(*customer.Customer); ok {
			w.Names[[2]string{customer.ScopeEmail, c.Email.Value}] = c.ID
		}
	}
}

func tea() *catalog.Variant {
	return &catalog.Variant{ID: "var_1", ProductID: "prod_1", Title: "Tea", Price: money.Of(1000, "EUR"), Inventory: new(int64(3)), Status: catalog.Active}
}

// sound says that no row breaks a rule of its package, and that the events fold to the same rows.
func sound(t failer, w *journaltest.World) {
	t.Helper()
	for ref, s := range w.States {
		var err error
		switch s := s.(type) {
		case *subscription.Subscription:
			err = subscription.Check(s)
		case *billing.Order:
			err = billing.Check(s)
		case *catalog.Variant:
			err = catalog.Check(s)
		default:
			err = customer.Check(s)
		}
		if err != nil {
			t.Fatalf("%v: %v", ref, err)
		}
	}
	rebuilt, err := w.Rebuild()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.States, rebuilt, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("replay (-live +replayed):\n%s", diff)
	}
}

// gone says that nothing about a customer is left: no open subscription, no pending order, no personal value.
func gone(t failer, w *journaltest.World, key id.ID) {
	t.Helper()
	for ref, s := range w.States {
		if s.Person() != key {
			continue
		}
		if _, sealed, err := journal.Split(s); err != nil || sealed != nil {
			t.Fatalf("%v still holds %s (%v)", ref, sealed, err)
		}
		switch s := s.(type) {
		case *subscription.Subscription:
			if s.Open() {
				t.Fatalf("%s is still %s", s.ID, s.Status)
			}
		case *billing.Order:
			if s.Status == billing.Pending {
				t.Fatalf("%s is still pending", s.ID)
			}
		}
	}
	for name, owner := range w.Names {
		if owner == key {
			t.Fatalf("%s still holds %v", key, name)
		}
	}
}

func TestRedact(t *testing.T) {
	w := newWorld()
	put(t, w, tea())
	put(t, w, person("ada", []subscription.Status{subscription.Active, subscription.Cancelled}, []billing.Status{billing.Placed, billing.Pending})...)
	put(t, w, person("bob", []subscription.Status{subscription.Active}, []billing.Status{billing.Pending})...)
	sound(t, w)
	before := maps.Clone(w.States)

	d, events, err := w.Run(journal.Bind(privacy.Redact{CustomerID: "cus_ada", ConfirmEmail: " ADA@example.com"}), now)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, e := range events {
		got = append(got, string(e.Type)+" "+string(e.Target().ID))
		if !slices.Contains(e.Targets, journal.Ref{Kind: journal.Customer, ID: "cus_ada"}) && e.Target().Kind != journal.Variant {
			t.Errorf("%s does not mention the customer: %v", e.Type, e.Targets)
		}
		if c := d.Drafts[i].CausedByDraft; c > i {
			t.Errorf("draft %d, %s, is caused by draft %d", i+1, e.Type, c)
		} else if e.Type == "variant.inventory_changed" && d.Drafts[c-1].Type != "order.cancelled" {
			t.Errorf("the stock moved because of %s", d.Drafts[c-1].Type)
		}
	}
	want := []string{
		"subscription.cancelled sub_ada_0",
		"order.redacted ord_ada_0",
		"order.cancelled ord_ada_1", "variant.inventory_changed var_1", "order.redacted ord_ada_1",
		"subscription.redacted sub_ada_0", "subscription.redacted sub_ada_1",
		"address.redacted addr_ada", "address.redacted addr_old_ada", "payment_method.redacted pm_ada",
		"customer.redacted cus_ada",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	sound(t, w)
	gone(t, w, "cus_ada")
	if got := *w.States[journal.Ref{Kind: journal.Variant, ID: "var_1"}].(*catalog.Variant).Inventory; got != 5 {
		t.Errorf("%d in stock, want the 3 and the 2 of the cancelled order", got)
	}
	for ref, s := range before {
		if s.Person() == "cus_bob" && w.States[ref] != s {
			t.Errorf("%v of another customer changed", ref)
		}
	}
	placed := w.States[journal.Ref{Kind: journal.Order, ID: "ord_ada_0"}].(*billing.Order)
	if placed.Total != money.Of(2000, "EUR") || placed.Status != billing.Placed {
		t.Errorf("the paid order is %s of %s now", placed.Status, placed.Total)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld()
	put(t, w, person("ada", nil, nil)...)
	for _, tt := range []struct{ name, customer, email, want string }{
		{"unknown", "cus_x", "ada@example.com", "unknown_customer"},
		{"another's address", "cus_ada", "bob@example.com", "/confirm_email"},
		{"no address", "cus_ada", "", "/confirm_email"},
		{"", "cus_ada", "ada@example.com", ""},
		{"twice", "cus_ada", "ada@example.com", "status_redacted"},
		{"twice, without an address", "cus_ada", "", "status_redacted"},
	} {
		_, _, err := w.Run(journal.Bind(privacy.Redact{CustomerID: id.ID(tt.customer), ConfirmEmail: tt.email}), now)
		got := ""
		if f := fault.As(err); f != nil {
			if got = f.Code; len(f.Fields) > 0 {
				got = f.Fields[0].Pointer
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q (%v)", tt.name, got, tt.want, err)
		}
	}
}

// Whatever a customer has: afterwards nothing personal is left, the customer's event is the last, and every rule of the
// rows holds.
func TestAnyCustomer(t *testing.T) {
	statuses := []subscription.Status{subscription.Active, subscription.Paused, subscription.Failed, subscription.Cancelled, subscription.Expired}
	orders := []billing.Status{billing.Pending, billing.Placed, billing.Failed, billing.Cancelled, billing.Refunded, billing.PartiallyRefunded}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		put(t, w, tea())
		for _, name := range []string{"ada", "bob"} {
			put(t, w, person(name, rapid.SliceOfN(rapid.SampledFrom(statuses), 0, 4).Draw(t, "subscriptions"),
				rapid.SliceOfN(rapid.SampledFrom(orders), 0, 5).Draw(t, "orders"))...)
		}
		_, events, err := w.Run(journal.Bind(privacy.Redact{CustomerID: "cus_ada", ConfirmEmail: "ada@example.com"}), now)
		if err != nil {
			t.Fatal(err)
		}
		sound(t, w)
		gone(t, w, "cus_ada")
		if last := events[len(events)-1]; last.Type != "customer.redacted" {
			t.Fatalf("the last event is %s", last.Type)
		}
		for _, e := range events {
			if strings.HasPrefix(string(e.Target().ID), "cus_bob") {
				t.Fatalf("%s of another customer", e.Type)
			}
		}
	})
}
