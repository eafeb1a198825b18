package subscription

import (
	"errors"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
	"perennial/internal/money"
	"perennial/internal/settings"
)

// shop is a shop in memory on a day, at noon of its zone.
type shop struct {
	*journaltest.World
	t   rapid.TB
	day civil.Date
}

// seed is a command that makes the states that subscriptions refer to.
type seed []journal.Draft

func (s seed) Run(journal.Reader, time.Time) (journal.Decision, error) {
	d := journal.Decision{Drafts: s, Result: s[0].After.Ref()}
	for _, dr := range s {
		if dis, ok := dr.After.(*catalog.Discount); ok {
			d.Reservations = append(d.Reservations, journal.Reservation{Scope: catalog.ScopeDiscountCode, Value: dis.Code, Owner: dis.ID})
		}
	}
	return d, nil
}

func fresh[T any, P interface {
	*T
	journal.State
}](id.ID) func() journal.State {
	return func() journal.State { return P(new(T)) }
}

func usd(minor int64) money.Amount { return money.Of(minor, "USD") }

func date(s string) civil.Date {
	d, err := civil.Parse(s)
	if err != nil {
		panic(err)
	}
	return d
}

func dateP(s string) *civil.Date { return new(date(s)) }

var monthly = catalog.Policy{Interval: civil.Month, IntervalCount: 1}

// newShop has two customers, a product of three variants, a plan and some discounts, on 15 January 2027.
func newShop(t rapid.TB) *shop {
	w := journaltest.NewWorld("shop_testtest")
	w.Fresh = map[journal.Kind]func(id.ID) func() journal.State{
		journal.Subscription: fresh[Subscription], journal.Customer: fresh[customer.Customer], journal.Address: fresh[customer.Address],
		journal.PaymentMethod: fresh[customer.PaymentMethod], journal.Product: fresh[catalog.Product], journal.Variant: fresh[catalog.Variant],
		journal.SellingPlanGroup: fresh[catalog.Group], journal.SellingPlan: fresh[catalog.Plan], journal.Discount: fresh[catalog.Discount],
		journal.Settings: settings.Fresh,
	}
	w.Columns[journal.Subscription] = map[string]journaltest.Column{
		"customer_id": func(s journal.State) string { return string(s.(*Subscription).CustomerID) },
	}
	s := &shop{World: w, t: t, day: date("2027-01-15")}
	at := journal.At(s.now())
	ended := journal.At(s.now().Add(-time.Hour))
	variant := func(key, title string, price money.Amount, status catalog.Status) *catalog.Variant {
		return &catalog.Variant{ID: id.ID(key), ProductID: "prod_1", Title: title, Price: price, Status: status, CreatedAt: at}
	}
	method := func(key, owner, status string) *customer.PaymentMethod {
		return &customer.PaymentMethod{ID: id.ID(key), CustomerID: id.ID(owner), Gateway: "simulated", Brand: "visa", Status: status, CreatedAt: at}
	}
	address := func(key, owner, country, status string) *customer.Address {
		return &customer.Address{ID: id.ID(key), CustomerID: id.ID(owner), Country: country, Status: status, CreatedAt: at}
	}
	discount := func(d catalog.Discount) *catalog.Discount {
		if d.Status == "" {
			d.Status = catalog.Active
		}
		d.ID, d.CreatedAt = id.ID("disc_"+d.Code), at
		return &d
	}
	var drafts seed
	for typ, states := range map[string][]journal.State{
		"account_settings.updated":  {&settings.General{Name: "Test", TimeZone: "Europe/Berlin", Currency: "USD", Locale: "en"}},
		"shipping_settings.updated": {&settings.Shipping{DefaultDeliveryPrice: usd(500), Countries: []string{"DE", "US"}}},
		"customer.created": {
			&customer.Customer{ID: "cus_1", DefaultAddressID: "addr_1", DefaultPaymentMethodID: "pm_1", BackupPaymentMethodID: "pm_2", Status: customer.Active, CreatedAt: at},
			&customer.Customer{ID: "cus_2", Status: customer.Active, CreatedAt: at},
			&customer.Customer{ID: "cus_gone", Status: customer.Redacted, CreatedAt: at},
		},
		"address.added": {
			address("addr_1", "cus_1", "US", "active"), address("addr_2", "cus_1", "DE", "active"), address("addr_fr", "cus_1", "FR", "active"),
			address("addr_old", "cus_1", "US", "removed"), address("addr_other", "cus_2", "US", "active"),
		},
		"payment_method.added": {
			method("pm_1", "cus_1", "active"), method("pm_2", "cus_1", "active"), method("pm_3", "cus_1", "active"),
			method("pm_old", "cus_1", "removed"), method("pm_other", "cus_2", "active"),
		},
		"product.created": {&catalog.Product{ID: "prod_1", Title: "House Blend", Status: catalog.Active, CreatedAt: at}},
		"variant.created": {
			variant("var_1", "250 g", usd(1000), catalog.Active), variant("var_2", "500 g", usd(1800), catalog.Active),
			variant("var_3", "1 kg", usd(3300), catalog.Active), variant("var_old", "100 g", usd(500), catalog.Archived),
			variant("var_eur", "Euro", money.Of(900, "EUR"), catalog.Active), variant("var_max", "Gold", usd(catalog.MaxPrice), catalog.Active),
		},
		"selling_plan_group.created": {&catalog.Group{ID: "grp_1", Name: "Subscribe", Status: catalog.Active, CreatedAt: at}},
		"selling_plan.created": {
			&catalog.Plan{ID: "plan_1", GroupID: "grp_1", Name: "Monthly", BillingPolicy: monthly, Status: catalog.Active, CreatedAt: at, MaxCycles: new(12),
				Pricing: []catalog.Pricing{{Kind: catalog.KindPercentage, Value: 10}, {Kind: catalog.KindAmount, Value: 150, AfterCycle: 2}}},
			&catalog.Plan{ID: "plan_old", GroupID: "grp_1", Name: "Old", BillingPolicy: monthly, Status: catalog.Archived, CreatedAt: at},
		},
		"discount.created": {
			discount(catalog.Discount{Code: "TEN", Kind: catalog.KindPercentage, Value: 10}),
			discount(catalog.Discount{Code: "FIVER", Kind: catalog.KindAmount, Value: 500, MaxCycles: new(2)}),
			discount(catalog.Discount{Code: "ONCE", Kind: catalog.KindPercentage, Value: 50, MaxCycles: new(1), MaxRedemptions: new(1)}),
			discount(catalog.Discount{Code: "OVER", Kind: catalog.KindPercentage, Value: 10, EndsAt: &ended}),
			discount(catalog.Discount{Code: "OFF", Kind: catalog.KindPercentage, Value: 10, Status: catalog.Inactive}),
		},
	} {
		for _, st := range states {
			drafts = append(drafts, journal.Draft{Type: journal.Name(typ), After: st})
		}
	}
	s.do(drafts)
	return s
}

func (s *shop) now() time.Time {
	loc, err := civil.Zone("Europe/Berlin")
	if err != nil {
		s.t.Fatal(err)
	}
	return s.day.At(12, 0, loc)
}

// try runs a command; nothing in the shop changes when it is refused. Every subscription that it touched must pass
// Check, and be what Decide said.
func (s *shop) try(c journal.Command) (journal.Decision, []*journal.Event, error) {
	d, events, err := s.Run(c, s.now())
	if err != nil {
		return d, nil, err
	}
	last := map[journal.Ref]journal.State{}
	for _, dr := range d.Drafts {
		last[dr.After.Ref()] = dr.After
	}
	for ref, after := range last {
		if changes, err := journal.Diff(after, s.States[ref]); err != nil || len(changes) > 0 {
			s.t.Fatalf("%s: the events come to another state than Decide: %v %v", ref.ID, changes, err)
		}
		if sub, ok := s.States[ref].(*Subscription); ok {
			if err := Check(sub); err != nil {
				s.t.Fatalf("after %v: %v", types(events), err)
			}
		}
	}
	return d, events, nil
}

// do runs a command that must be allowed, and gives the types of its events.
func (s *shop) do(c journal.Command) []string {
	s.t.Helper()
	_, events, err := s.try(c)
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	return types(events)
}

// refused runs a command that must be refused, and gives its code, or its wrong fields.
func (s *shop) refused(c journal.Command) []string {
	s.t.Helper()
	_, events, err := s.try(c)
	if err == nil {
		s.t.Fatalf("allowed: %v", types(events))
	}
	e, ok := errors.AsType[*fault.Error](err)
	if !ok {
		s.t.Fatalf("not a refusal: %v", err)
	}
	if e.Kind == fault.Refused {
		var at []string
		for _, f := range e.Fields {
			at = append(at, f.Pointer)
		}
		return at
	}
	return []string{e.Code}
}

func (s *shop) sub(key id.ID) *Subscription {
	s.t.Helper()
	st, ok := s.States[journal.Ref{Kind: journal.Subscription, ID: key}].(*Subscription)
	if !ok {
		s.t.Fatalf("no subscription %s", key)
	}
	return st
}

// drafts is a command of what billing makes of a subscription.
type drafts func() ([]journal.Draft, error)

func (f drafts) Run(journal.Reader, time.Time) (journal.Decision, error) {
	d, err := f()
	return journal.Decision{Drafts: d}, err
}

// bill places the next order of a subscription.
func (s *shop) bill(key id.ID) []string {
	s.t.Helper()
	sub := s.sub(key)
	return s.do(drafts(func() ([]journal.Draft, error) { return Renewed(sub, nextOrder(sub)), nil }))
}

func nextOrder(s *Subscription) Order {
	return Order{ID: "ord_1", Number: "1001-1", Cycle: new(s.Cycle + 1), Date: *s.NextBillingDate, Total: usd(1500), Once: s.once()}
}

// started is a monthly subscription of var_1 of customer 1, with its first order on a day.
func started(t rapid.TB, first string) *shop {
	s := newShop(t)
	s.do(journal.Bind(Create{
		ID: "sub_1", CustomerID: "cus_1", Items: []NewItem{{ID: "item_1", VariantID: "var_1", Quantity: 1}}, BillingPolicy: &monthly,
		NextBillingDate: dateP(first),
	}))
	return s
}

// in brings the subscription into a status.
func (s *shop) in(status Status) *shop {
	s.t.Helper()
	switch sub := s.sub("sub_1"); status {
	case Paused:
		s.do(journal.Bind(Pause{ID: "sub_1"}))
	case Cancelled:
		s.do(journal.Bind(Cancel{ID: "sub_1"}))
	case Expired:
		last := journal.Clone(sub)
		last.BillingPolicy.MaxCycles = new(1)
		s.States[sub.Ref()] = last
		s.bill("sub_1")
	case Failed:
		s.do(drafts(func() ([]journal.Draft, error) {
			return entering(sub, nextOrder(sub), &settings.Recovery{RetryDays: []int{1, 3}, EndAction: settings.EndCancel}, *sub.NextBillingDate)
		}))
	}
	return s
}

func types(events []*journal.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, string(e.Type))
	}
	return out
}

func equal[T any](t rapid.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: -want +got\n%s", what, diff)
	}
}

// dates gives the dates of the next orders; a skipped one in brackets.
func (s *shop) dates(key id.ID, count int) []string {
	s.t.Helper()
	list, err := Upcoming(s.sub(key), nil, nil, s.day, count)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, o := range list {
		text := o.Date.String()
		if o.Skipped {
			text = "(" + text + ")"
		}
		out = append(out, text)
	}
	return out
}
