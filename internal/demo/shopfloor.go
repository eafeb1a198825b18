package demo

import (
	"strings"
	"time"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/observe"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/subscription"
	"perennial/internal/team"
)

func usd(minor int64) money.Amount { return money.Of(minor, "USD") }

// found makes the shop: settings, people, products, plans, discounts, keys.
func (l *life) found() error {
	l.clock.Set(l.start)
	for _, d := range settings.Defaults("Harbor Roast", Zone, "USD") {
		switch d := d.(type) {
		case *settings.General:
			d.SupportEmail = "hello@harborroast.example"
		case *settings.Billing:
			d.TaxBasisPoints = 650
		case *settings.Shipping:
			d.DefaultDeliveryPrice = usd(495)
		}
		if err := l.must(l.setup(), journal.Bind(settings.Update{Document: d})); err != nil {
			return err
		}
	}
	if err := l.hire(); err != nil {
		return err
	}
	if err := l.stock(); err != nil {
		return err
	}
	if err := l.offer(); err != nil {
		return err
	}
	return l.asksWhy()
}

func (l *life) hire() error {
	l.owner = l.p.IDs.New(id.TeamMember)
	if err := l.must(l.setup(),
		journal.Bind(team.FoundTeam{ID: l.owner, Email: OwnerEmail, Name: "Olivia Hart", PasswordHash: hashedPassword()})); err != nil {
		return err
	}
	for _, m := range []struct {
		name, email string
		role        team.Role
	}{
		{"Amir Haddad", "amir@harborroast.example", team.Admin}, {"June Park", "june@harborroast.example", team.Member},
		{"Tomas Novak", "tomas@harborroast.example", team.Member}, {"Bea Lindqvist", "bea@harborroast.example", team.Member},
	} {
		key := l.p.IDs.New(id.TeamMember)
		by := l.dashboard(l.owner)
		if err := l.must(by, journal.Bind(team.Invite{ID: key, Email: m.email, Name: m.name, Role: m.role, Actor: by.Actor})); err != nil {
			return err
		}
		if err := l.must(l.dashboard(key), journal.Bind(team.Join{ID: key, PasswordHash: hashedPassword()})); err != nil {
			return err
		}
		if m.role == team.Admin {
			l.admin = key
		} else {
			l.support = append(l.support, key)
		}
	}
	all := team.Everything().List()
	for _, k := range []struct {
		name        string
		permissions []team.Permission
	}{
		{"Storefront", all}, {"Warehouse", []team.Permission{team.SubscriptionsView, team.SubscriptionsEdit, team.EventsEdit, team.ProductsView, team.ProductsEdit}},
		{"Reporting", []team.Permission{team.SubscriptionsView, team.CustomersView, team.AnalyticsView}},
	} {
		key := l.p.IDs.New(id.APIKey)
		l.keys[k.name] = key
		by := l.dashboard(l.owner)
		hash := make([]byte, 32)
		copy(hash, key) // nobody holds this key: its text was never made
		if err := l.must(by,
			journal.Bind(team.CreateKey{ID: key, Name: k.name, Permissions: k.permissions, Hash: hash, Actor: by.Actor})); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) stock() error {
	by := l.dashboard(l.admin)
	for _, p := range []struct {
		title, text string
		upsell      bool
		variants    []variant
	}{
		{"Harbor Blend", "Our house coffee: chocolate, hazelnut, a long finish.", false, []variant{
			{title: "250 g", price: 1250}, {title: "500 g", price: 2250}, {title: "1 kg", price: 3950},
		}},
		{"Lighthouse Espresso", "Dark and sweet, made for milk.", false, []variant{{title: "250 g", price: 1350}, {title: "1 kg", price: 4350}}},
		{"Fog Decaf", "Swiss Water decaf from Huila.", false, []variant{{title: "250 g", price: 1450}, {title: "500 g", price: 2650}}},
		{"Single Origin", "A different farm each month.", false, []variant{{title: "250 g", price: 1750}}},
		{"Green Tea Sencha", "Spring harvest, Shizuoka.", false, []variant{{title: "100 g", price: 1150}}},
		{"Earl Grey", "Assam and real bergamot.", false, []variant{{title: "100 g", price: 950}}},
		{"Paper Filters", "A hundred, unbleached.", true, []variant{{title: "100 pieces", price: 600}}},
		{"Oat Biscuits", "Baked on Thursdays.", true, []variant{{title: "Box of 12", price: 850}}},
	} {
		pr := product{id: l.p.IDs.New(id.Product), title: p.title}
		limit := 0
		if p.upsell {
			limit = 4
		}
		if err := l.must(by,
			journal.Bind(catalog.CreateProduct{ID: pr.id, Title: p.title, Description: p.text, Upsell: p.upsell, UpsellLimit: limit})); err != nil {
			return err
		}
		for _, v := range p.variants {
			v.id = l.p.IDs.New(id.Variant)
			c := catalog.CreateVariant{ID: v.id, ProductID: pr.id, Title: v.title, SKU: sku(p.title, v.title), Price: usd(v.price), WeightGrams: 300}
			if p.upsell {
				c.Inventory = new(int64(5000))
			}
			if err := l.must(by, journal.Bind(c)); err != nil {
				return err
			}
			pr.variants = append(pr.variants, v)
		}
		l.products = append(l.products, pr)
	}
	return nil
}

func sku(product, variant string) string {
	s := strings.ToUpper(strings.ReplaceAll(product, " ", "")[:4] + "-" + strings.ReplaceAll(variant, " ", ""))
	return s
}

func (l *life) offer() error {
	by := l.dashboard(l.admin)
	group := l.p.IDs.New(id.SellingPlanGroup)
	var ids []id.ID
	for _, p := range l.products[:6] {
		ids = append(ids, p.id)
	}
	if err := l.must(by, journal.Bind(catalog.CreateGroup{ID: group, Name: "Subscribe and save", ProductIDs: ids})); err != nil {
		return err
	}
	for _, p := range []struct {
		name    string
		unit    civil.Unit
		count   int
		pricing []catalog.Pricing
	}{
		{"Every month", civil.Month, 1, []catalog.Pricing{{Kind: catalog.KindPercentage, Value: 10}}},
		{"Every 2 weeks", civil.Week, 2, []catalog.Pricing{{Kind: catalog.KindPercentage, Value: 12}}},
		{"Every 6 weeks", civil.Week, 6, []catalog.Pricing{{Kind: catalog.KindPercentage, Value: 5}}},
		{"Every 2 months", civil.Month, 2, []catalog.Pricing{{Kind: catalog.KindPercentage, Value: 5}, {Kind: catalog.KindPercentage, Value: 10, AfterCycle: 3}}},
	} {
		key := l.p.IDs.New(id.SellingPlan)
		if err := l.must(
			by,
			journal.Bind(
				catalog.CreatePlan{
					ID:            key,
					GroupID:       group,
					Name:          p.name,
					BillingPolicy: catalog.Policy{Interval: p.unit, IntervalCount: p.count},
					Pricing:       p.pricing,
				},
			),
		); err != nil {
			return err
		}
		l.plans = append(l.plans, key)
	}
	for _, d := range []catalog.CreateDiscount{
		{Code: "WELCOME10", Kind: catalog.KindPercentage, Value: 10, MaxCycles: new(1)},
		{Code: "STAY15", Kind: catalog.KindPercentage, Value: 15, MaxCycles: new(2)},
		{Code: "FIVEOFF", Kind: catalog.KindAmount, Value: 500, MaxCycles: new(1)},
	} {
		d.ID = l.p.IDs.New(id.Discount)
		if err := l.must(by, journal.Bind(d)); err != nil {
			return err
		}
		l.discounts = append(l.discounts, d.Code)
	}
	return nil
}

// signUp is a new customer at the storefront.
func (l *life) signUp() error {
	first, last := l.fake.FirstName(), l.fake.LastName()
	p := &person{
		customer:     l.p.IDs.New(id.Customer),
		address:      l.p.IDs.New(id.Address),
		method:       l.p.IDs.New(id.PaymentMethod),
		subscription: l.p.IDs.New(id.Subscription),
		email:        strings.ToLower(first+"."+last) + l.fake.Numerify("##") + "@mail.example",
		ip:           l.fake.IPv4Address(),
		agent:        pick(l, agents),
		card:         l.card(),
	}
	by := l.key("Storefront")
	c := customer.Create{
		ID:        p.customer,
		Email:     p.email,
		FirstName: first,
		LastName:  last,
		Phone:     l.fake.Numerify("+1 555 ### ####"),
		Locale:    "en-US",
	}
	if l.rarely(0.1) {
		c.Tags = []string{"wholesale"}
	}
	out, err := l.do(by, journal.Bind(c))
	if err != nil || out == nil {
		return err // the address is taken: somebody of the same name
	}
	a := l.fake.Address()
	if err := l.must(
		by,
		journal.Bind(customer.AddAddress{ID: p.address, CustomerID: p.customer, Fields: customer.AddressFields{FirstName: &first, LastName: &last,
			Line1: &a.Street, City: &a.City, Region: &a.State, PostalCode: &a.Zip, Country: new("US")}}),
	); err != nil {
		return err
	}
	if err := l.must(
		by,
		journal.Bind(customer.AddPaymentMethod{ID: p.method, CustomerID: p.customer, Gateway: "simulated", Fields: l.cardFields(p.card)}),
	); err != nil {
		return err
	}
	s := subscription.Create{
		ID:                p.subscription,
		CustomerID:        p.customer,
		SellingPlanID:     l.plans[[]int{0, 0, 0, 0, 0, 1, 2, 3}[l.rnd.IntN(8)]],
		ShippingAddressID: p.address,
		PaymentMethodID:   p.method,
	}
	for range 1 + l.rnd.IntN(2) {
		pr := l.products[l.rnd.IntN(6)]
		s.Items = append(s.Items, subscription.NewItem{ID: l.p.IDs.New(id.Item), VariantID: pick(l, pr.variants).id, Quantity: 1 + l.rnd.IntN(2)})
	}
	if l.rarely(0.7) {
		s.NextBillingDate = new(civil.Today(l.clock.Now(), l.zone).AddDays(l.rnd.IntN(14)))
	}
	if out, err = l.do(by, journal.Bind(s)); err != nil || out == nil {
		return err
	}
	l.people = append(l.people, p)
	if l.rarely(0.2) {
		_, err = l.do(l.portal(p), journal.Bind(subscription.ApplyDiscount{ID: p.subscription, Code: l.discounts[0]}))
	}
	return err
}

// card is how somebody's card behaves at the simulated gateway.
func (l *life) card() string {
	switch n := l.rnd.IntN(100); {
	case n < 84:
		return "sim_ok"
	case n < 92:
		return "sim_flaky_150_7"
	case n < 96:
		return "sim_fail_first_1"
	case n < 98:
		return "sim_fail_first_2"
	default:
		return "sim_decline_insufficient_funds"
	}
}

func (l *life) cardFields(reference string) customer.PaymentMethodFields {
	return customer.PaymentMethodFields{
		GatewayReference: &reference,
		Brand:            new(pick(l, []string{"visa", "mastercard", "amex"})),
		Last4:            new(l.fake.Numerify("####")),
		ExpMonth:         new(1 + l.rnd.IntN(12)),
		ExpYear:          new(l.opt.Until.Year() + 1 + l.rnd.IntN(3)),
	}
}

// state reads somebody's subscription as it is.
func (l *life) state(p *person) (*subscription.Subscription, error) {
	row, err := l.s.Load(l.ctx, l.s.Read, journal.Ref{Kind: journal.Subscription, ID: p.subscription})
	if err != nil {
		return nil, db.Fault(err)
	}
	return row.State.(*subscription.Subscription), nil
}

// notice looks at the night's orders: those that are paid are sent by the warehouse.
func (l *life) notice() error {
	rows, err := query.Rows(l.ctx, l.s,
		query.List{Kind: journal.Order, Where: []query.Filter{query.After(query.ID, l.lastOrder)}, Steady: true})
	if err != nil {
		return err
	}
	for _, r := range rows {
		o := r.State.(*billing.Order)
		l.toShip, l.lastOrder = append(l.toShip, o.ID), o.ID
	}
	return nil
}

// ship sends what is paid, and the carrier tells of some parcels.
func (l *life) ship() error {
	var later []id.ID
	for _, key := range l.toShip {
		row, err := l.s.Load(l.ctx, l.s.Read, journal.Ref{Kind: journal.Order, ID: key})
		if err != nil {
			return db.Fault(err)
		}
		o := row.State.(*billing.Order)
		switch o.Status {
		case billing.Placed:
			c := billing.Fulfil{OrderID: key}
			if l.rarely(0.8) {
				c.TrackingURL = "https://track.example/" + l.fake.Numerify("##########")
			}
			if _, err := l.do(l.key("Warehouse"), journal.Bind(c)); err != nil {
				return err
			}
			if l.rarely(0.1) {
				e := observe.External{
					Source:     "carrier",
					Type:       "external.parcel_delivered",
					OccurredAt: l.clock.Now().Add(-time.Hour),
					Summary:    "Parcel delivered to the door",
					Targets: []journal.Ref{
						{Kind: journal.Order, ID: key},
						{Kind: journal.Subscription, ID: o.SubscriptionID},
						{Kind: journal.Customer, ID: o.CustomerID},
					},
				}
				if _, err := l.do(l.key("Warehouse"), journal.Bind(e)); err != nil {
					return err
				}
			}
		case billing.Pending:
			later = append(later, key)
		}
	}
	l.toShip = later
	return nil
}

// show picks somebody with a long and varied history.
func (l *life) show() Made {
	var best *person
	most := int64(-1)
	for _, p := range l.people {
		row, err := l.s.Load(l.ctx, l.s.Read, journal.Ref{Kind: journal.Subscription, ID: p.subscription})
		if err != nil || row.State == nil {
			continue
		}
		if s := row.State.(*subscription.Subscription); s.Status == subscription.Active && row.Version > most && s.Recovery == nil {
			best, most = p, row.Version
		}
	}
	if best == nil {
		best = l.people[0]
	}
	return Made{CustomerID: best.customer, CustomerEmail: best.email, SubscriptionID: best.subscription}
}
