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
	"perennial/internal/kinds"
	"perennial/internal/money"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/subscription"
	"perennial/internal/team"
)

// A mood is something that a subscriber may do on a day, with the chance of it on one day.
type mood struct {
	chance float64
	act    func(l *life, p *person) error
}

const perMonth = 1.0 / 30

// moods are what subscribers do, with how often in a month.
var moods = []mood{
	{0.070 * perMonth, (*life).skips},
	{0.035 * perMonth, (*life).pauses},
	{0.045 * perMonth, (*life).swaps},
	{0.050 * perMonth, (*life).moves},
	{0.030 * perMonth, (*life).changesQuantity},
	{0.050 * perMonth, (*life).addsOnce},
	{0.020 * perMonth, (*life).changesFrequency},
	{0.020 * perMonth, (*life).movesHouse},
	{0.020 * perMonth, (*life).ordersNow},
	{0.010 * perMonth, (*life).gifts},
	{0.012 * perMonth, (*life).changesCard},
	{0.038 * perMonth, (*life).leaves},
	{0.008 * perMonth, (*life).callsSupport},
}

// mood is what somebody does today, nil for nothing: most days are that.
func (l *life) mood(p *person) func() error {
	n := l.rnd.Float64()
	if p.troubled && l.rarely(0.15) {
		return func() error { return l.mendsCard(p) }
	}
	for _, m := range moods {
		if n -= m.chance; n < 0 {
			return func() error { return m.act(l, p) }
		}
	}
	// Those who are away come back now and then.
	if n -= 0.05 * perMonth; n < 0 {
		return func() error { return l.comesBack(p) }
	}
	return nil
}

func (l *life) command(p *person, c journal.Command) error {
	_, err := l.do(l.portal(p), c)
	return err
}

func (l *life) explained(m program.Meta, why string) program.Meta {
	m.Comment = why
	return m
}

func (l *life) skips(p *person) error {
	return l.command(p, journal.Bind(subscription.Skip{ID: p.subscription}))
}

func (l *life) pauses(p *person) error {
	c := subscription.Pause{ID: p.subscription}
	if l.rarely(0.7) {
		c.Until = new(l.today().AddDays(14 + l.rnd.IntN(60)))
	}
	return l.command(p, journal.Bind(c))
}

func (l *life) swaps(p *person) error {
	s, err := l.state(p)
	if err != nil || len(s.Items) == 0 {
		return err
	}
	pr := l.products[l.rnd.IntN(6)]
	return l.command(p,
		journal.Bind(subscription.SwapItem{ID: p.subscription, ItemID: pick(l, s.Items).ID, VariantID: pick(l, pr.variants).id}))
}

func (l *life) moves(p *person) error {
	s, err := l.state(p)
	if err != nil || s.NextBillingDate == nil {
		return err
	}
	return l.command(p,
		journal.Bind(subscription.Reschedule{ID: p.subscription, Date: s.NextBillingDate.AddDays(1 + l.rnd.IntN(9)), NewRhythm: l.rarely(0.2)}))
}

func (l *life) changesQuantity(p *person) error {
	s, err := l.state(p)
	if err != nil || len(s.Items) == 0 {
		return err
	}
	return l.command(p,
		journal.Bind(subscription.ChangeItem{ID: p.subscription, ItemID: pick(l, s.Items).ID, Quantity: new(1 + l.rnd.IntN(4))}))
}

func (l *life) addsOnce(p *person) error {
	pr := l.products[6+l.rnd.IntN(2)]
	return l.command(
		p,
		journal.Bind(
			subscription.AddItem{
				ID:   p.subscription,
				Item: subscription.NewItem{ID: l.p.IDs.New(id.Item), VariantID: pr.variants[0].id, Quantity: 1, OneTime: true},
			},
		),
	)
}

func (l *life) changesFrequency(p *person) error {
	f := pick(
		l,
		[]civil.Interval{
			{Unit: civil.Month, Count: 1},
			{Unit: civil.Week, Count: 2},
			{Unit: civil.Week, Count: 6},
			{Unit: civil.Month, Count: 2},
		},
	)
	return l.command(p, journal.Bind(subscription.ChangeFrequency{ID: p.subscription, Interval: f.Unit, IntervalCount: f.Count}))
}

func (l *life) movesHouse(p *person) error {
	a := l.fake.Address()
	key := l.p.IDs.New(id.Address)
	out, err := l.do(
		l.portal(p),
		journal.Bind(
			customer.AddAddress{
				ID:         key,
				CustomerID: p.customer,
				Fields: customer.AddressFields{FirstName: new(l.fake.FirstName()), LastName: new(l.fake.LastName()),
					Line1: &a.Street, City: &a.City, Region: &a.State, PostalCode: &a.Zip, Country: new("US")},
			},
		),
	)
	if err != nil || out == nil {
		return err
	}
	p.address = key
	return l.command(p, journal.Bind(subscription.ChangeShippingAddress{ID: p.subscription, AddressID: key, AllSubscriptions: true}))
}

func (l *life) ordersNow(p *person) error {
	if err := l.command(
		p,
		journal.Bind(billing.OrderNow{SubscriptionID: p.subscription, OrderID: l.p.IDs.New(id.Order), AttemptID: l.p.IDs.New(id.BillingAttempt)}),
	); err != nil {
		return err
	}
	return l.e.Settle(l.ctx)
}

func (l *life) gifts(p *person) error {
	s, err := l.state(p)
	if err != nil || s.NextBillingDate == nil {
		return err
	}
	a := l.fake.Address()
	return l.command(
		p,
		journal.Bind(
			subscription.GiftOrder{ID: p.subscription, Date: *s.NextBillingDate, Message: "Happy birthday!", Address: subscription.GiftAddress{
				FirstName:  l.fake.FirstName(),
				LastName:   l.fake.LastName(),
				Line1:      a.Street,
				City:       a.City,
				Region:     a.State,
				PostalCode: a.Zip,
				Country:    "US",
			}},
		),
	)
}

func (l *life) changesCard(p *person) error {
	key := l.p.IDs.New(id.PaymentMethod)
	card := l.card()
	out, err := l.do(l.portal(p),
		journal.Bind(customer.AddPaymentMethod{ID: key, CustomerID: p.customer, Gateway: "simulated", Fields: l.cardFields(card)}))
	if err != nil || out == nil {
		return err
	}
	p.method, p.card = key, card
	return l.command(p, journal.Bind(subscription.ChangePaymentMethod{ID: p.subscription, PaymentMethodID: key}))
}

// mendsCard is what people do some days after their card failed.
func (l *life) mendsCard(p *person) error {
	s, err := l.state(p)
	if err != nil || s.Status != subscription.Failed {
		p.troubled = false
		return err
	}
	key := l.p.IDs.New(id.PaymentMethod)
	out, err := l.do(l.portal(p),
		journal.Bind(customer.AddPaymentMethod{ID: key, CustomerID: p.customer, Gateway: "simulated", Fields: l.cardFields("sim_ok")}))
	if err != nil || out == nil {
		return err
	}
	p.method, p.card, p.troubled = key, "sim_ok", false
	return l.command(p, journal.Bind(subscription.ChangePaymentMethod{ID: p.subscription, PaymentMethodID: key}))
}

func (l *life) comesBack(p *person) error {
	s, err := l.state(p)
	if err != nil {
		return err
	}
	switch s.Status {
	case subscription.Cancelled:
		return l.command(p, journal.Bind(subscription.Reactivate{ID: p.subscription, NextBillingDate: new(l.today().AddDays(1 + l.rnd.IntN(7)))}))
	case subscription.Paused:
		return l.command(p, journal.Bind(subscription.Resume{ID: p.subscription}))
	case subscription.Failed:
		p.troubled = true
	case subscription.Active:
		if l.rarely(0.3) {
			return l.command(p, journal.Bind(subscription.ApplyDiscount{ID: p.subscription, Code: l.discounts[1]}))
		}
		if len(s.SkippedDates) > 0 {
			return l.command(p, journal.Bind(subscription.Unskip{ID: p.subscription, Date: s.SkippedDates[0]}))
		}
	}
	return nil
}

// callsSupport is somebody who writes to the store, where a person of the team puts it right.
func (l *life) callsSupport(p *person) error {
	s, err := l.state(p)
	if err != nil {
		return err
	}
	by := l.dashboard(pick(l, l.support))
	switch l.rnd.IntN(6) {
	case 0:
		_, err = l.do(l.explained(by, "Customer wrote in: on holiday"),
			journal.Bind(subscription.Pause{ID: p.subscription, Until: new(l.today().AddDays(30))}))
	case 1:
		_, err = l.do(
			by,
			journal.Bind(
				subscription.ChangeNote{
					ID:   p.subscription,
					Note: pick(l, []string{"Leave the parcel with the neighbour", "Prefers whole beans", "Asked for no plastic"}),
				},
			),
		)
	case 2:
		if len(s.Items) > 0 {
			it := s.Items[0]
			price, perr := it.UnitPrice.Percent(9000, money.HalfUp)
			if perr != nil {
				return perr
			}
			_, err = l.do(l.explained(by, "Goodwill after a late parcel"),
				journal.Bind(subscription.ChangeItem{ID: p.subscription, ItemID: it.ID, UnitPrice: &price}))
		}
	case 3:
		_, err = l.do(l.explained(by, "Free delivery for a loyal customer"),
			journal.Bind(subscription.ChangeDeliveryPrice{ID: p.subscription, Price: usd(0)}))
	case 4:
		return l.refunds(p, by)
	default:
		_, err = l.do(
			by,
			journal.Bind(
				subscription.ChangeAttributes{
					ID:         p.subscription,
					Attributes: map[string]string{"grind": pick(l, []string{"whole", "filter", "espresso"})},
				},
			),
		)
	}
	return err
}

// refunds sends the money of somebody's last order back, in part or all of it.
func (l *life) refunds(p *person, by program.Meta) error {
	rows, err := query.Rows(
		l.ctx,
		l.s,
		query.List{
			Kind:   journal.Order,
			Where:  []query.Filter{query.Is(query.Subscription, p.subscription), query.Is(query.Status, billing.Placed)},
			Order:  query.Newest,
			Limit:  1,
			Steady: true,
		},
	)
	if err != nil || len(rows) == 0 {
		return err
	}
	c := billing.Refund{OrderID: rows[0].State.Ref().ID, Reason: "The bag arrived torn"}
	if l.rarely(0.5) {
		c.Amount = new(usd(500))
	}
	_, err = l.do(l.explained(by, "The bag arrived torn"), journal.Bind(c))
	return err
}

func (l *life) today() civil.Date { return civil.Today(l.clock.Now(), l.zone) }

// office is what the team does on a day: nothing on most, something on working days, and the moments that everybody
// remembers.
func (l *life) office(day int) []func() error {
	var acts []func() error
	if big := l.bigMoment[day]; big != nil {
		acts = append(acts, big)
	}
	if wd := l.today().Weekday(); wd == 0 || wd == 6 {
		return acts
	}
	for _, o := range []struct {
		chance float64
		act    func() error
	}{
		{0.10, l.reprices}, {0.06, l.describes}, {0.05, l.tunesPlan}, {0.04, l.hidesProduct}, {0.05, l.makesDiscount}, {0.03, l.tunesSettings},
		{0.30, l.restocks}, {0.12, l.isRefused}, {0.05, l.undoes}, {0.25, l.marksTrouble}, {0.6, l.signsIn},
	} {
		if l.rarely(o.chance) {
			acts = append(acts, o.act)
		}
	}
	return acts
}

// signsIn is somebody of the team who opens the Dashboard in the morning, not always with the right password at once, and
// now and then signs out.
func (l *life) signsIn() error {
	who := pick(l, append([]id.ID{l.owner, l.admin}, l.support...))
	by := l.dashboard(who)
	if l.rarely(0.1) {
		attempt := l.p.IDs.New(id.SignIn)
		stranger := by
		stranger.Actor = journal.Actor{Kind: journal.ActorAnonymous, ID: string(attempt)}
		if err := l.must(stranger, journal.Bind(team.FailLogIn{Attempt: attempt, Member: who, Why: team.WrongPassword, Count: 1})); err != nil {
			return err
		}
	}
	session := l.p.IDs.New(id.Session)
	if err := l.must(by, journal.Bind(team.LogIn{Session: session, Member: who, Method: team.ByPassword})); err != nil || !l.rarely(0.2) {
		return err
	}
	return l.must(by, journal.Bind(team.EndSessions{Member: who, Sessions: []id.ID{session}, Why: team.SignedOut, Actor: by.Actor}))
}

func (l *life) reprices() error {
	pr := l.products[l.rnd.IntN(len(l.products))]
	v := &pr.variants[l.rnd.IntN(len(pr.variants))]
	v.price += int64(l.rnd.IntN(5)-1) * 50
	_, err := l.do(l.explained(l.dashboard(l.admin), "Green coffee prices"),
		journal.Bind(catalog.UpdateVariant{ID: v.id, Price: new(usd(v.price))}))
	return err
}

func (l *life) describes() error {
	pr := l.products[l.rnd.IntN(len(l.products))]
	text := pick(l, []string{"Roasted on Mondays. ", "New harvest. ", "Our most loved. ", "Now in a compostable bag. "}) + pr.title + "."
	_, err := l.do(l.dashboard(pick(l, append(l.support, l.admin))), journal.Bind(catalog.UpdateProduct{ID: pr.id, Description: &text}))
	return err
}

func (l *life) tunesPlan() error {
	key := l.plans[1+l.rnd.IntN(len(l.plans)-1)]
	steps := []catalog.Pricing{{Kind: catalog.KindPercentage, Value: int64(5 + l.rnd.IntN(12))}}
	_, err := l.do(l.explained(l.dashboard(l.owner), "Trying another price"), journal.Bind(catalog.UpdatePlan{ID: key, Pricing: &steps}))
	return err
}

func (l *life) hidesProduct() error {
	pr := l.products[3]
	_, err := l.do(l.dashboard(l.admin), journal.Bind(catalog.UpdateProduct{ID: pr.id, PortalVisible: new(l.rarely(0.5))}))
	return err
}

func (l *life) makesDiscount() error {
	code := strings.ToUpper(l.fake.Color()) + l.fake.Numerify("##")
	code = strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, code)
	_, err := l.do(
		l.dashboard(pick(l, append(l.support, l.admin))),
		journal.Bind(catalog.CreateDiscount{ID: l.p.IDs.New(id.Discount), Code: code, Kind: catalog.KindPercentage,
			Value: int64(5 + l.rnd.IntN(20)), MaxCycles: new(1), MaxRedemptions: new(100)}),
	)
	return err
}

func (l *life) tunesSettings() error {
	by := l.dashboard(l.owner)
	if l.rarely(0.5) {
		_, err := l.do(
			by,
			journal.Bind(
				settings.Update{
					Document: &settings.Recovery{
						RetryDays: pick(l, [][]int{{1, 3, 5, 7}, {2, 5, 9}, {1, 2, 4, 8, 12}}),
						EndAction: pick(l, []string{"pause", "cancel"}),
					},
				},
			),
		)
		return err
	}
	_, err := l.do(
		by,
		journal.Bind(
			settings.Update{
				Document: &settings.Portal{Actions: settings.PortalActions(), MaxSkipsInRow: 2 + l.rnd.IntN(3), MaxDaysAhead: 60 + 30*l.rnd.IntN(2)},
			},
		),
	)
	return err
}

func (l *life) restocks() error {
	v := l.products[6+l.rnd.IntN(2)].variants[0]
	_, err := l.do(l.key("Warehouse"), journal.Bind(catalog.UpdateVariant{ID: v.id, Inventory: catalog.Set(int64(3000 + l.rnd.IntN(3000)))}))
	return err
}

// isRefused is an integration that asks for what its key does not allow.
func (l *life) isRefused() error {
	who := l.keys["Reporting"]
	return l.must(l.key("Reporting"), journal.Bind(team.RecordDenial{
		Refused:    who,
		Who:        journal.Ref{Kind: journal.APIKey, ID: who},
		Permission: pick(l, []team.Permission{team.ProductsEdit, team.CustomersEdit, team.ExportsView}),
		Path:       pick(l, []string{"PATCH /api/v1/products/{id}", "POST /api/v1/customers", "GET /api/v1/exports"}),
		Count:      1,
	}))
}

// undoes is somebody of the team who puts back what was done by mistake: the last thing that can be undone.
func (l *life) undoes() error {
	head := l.p.Head()
	for seq := head; seq > max(0, head-200); seq-- {
		st, err := l.s.Event(l.ctx, l.s.Read, 0, seq)
		if err != nil {
			return db.Fault(err)
		}
		if t, ok := journal.Lookup(st.Type); ok && t.Undoable() && st.Actor.Kind == journal.ActorTeamMember && st.Corrects == "" {
			who := l.dashboard(l.admin)
			_, err := l.do(l.explained(who, "That was a mistake"), journal.Bind(kinds.Undo{Event: st.ID, Actor: who.Actor}))
			return err
		}
	}
	return nil
}

// marksTrouble lets those whose payment failed notice it.
func (l *life) marksTrouble() error {
	for _, p := range l.people {
		if p.card == "sim_ok" {
			continue
		}
		s, err := l.state(p)
		if err != nil {
			return err
		}
		if s.Status == subscription.Failed {
			p.troubled = true
		}
	}
	return nil
}

// plan sets the moments of the year that everybody remembers.
func (l *life) plan() {
	member := func() id.ID { return l.support[len(l.support)-1] }
	l.bigMoment = map[int]func() error{
		60: func() error {
			by := l.dashboard(l.owner)
			return l.must(
				by,
				journal.Bind(
					team.ChangePermissions{
						ID:          member(),
						Permissions: &[]team.Permission{team.CustomersView, team.SubscriptionsEdit, team.SubscriptionsView},
						Actor:       by.Actor,
					},
				),
			)
		},
		120: func() error {
			by := l.dashboard(l.owner)
			return l.must(l.explained(by, "June runs support now"),
				journal.Bind(team.ChangeRole{ID: l.support[0], Role: team.Admin, Actor: by.Actor}))
		},
		200: func() error {
			return l.must(l.explained(l.dashboard(l.owner), "Carrier raised its prices"),
				journal.Bind(settings.Update{Document: &settings.Shipping{DefaultDeliveryPrice: usd(545), Countries: []string{"US"}}}))
		},
		240: func() error {
			by := l.dashboard(l.owner)
			return l.must(by, journal.Bind(team.ChangeDefaults{Permissions: append(team.DefaultPermissions(), team.ExportsView), Actor: by.Actor}))
		},
		300: func() error {
			by := l.dashboard(l.owner)
			who := member()
			l.support = l.support[:len(l.support)-1]
			return l.must(l.explained(by, "Left the company"), journal.Bind(team.Remove{ID: who, Actor: by.Actor}))
		},
	}
	l.strangeCard(90, simulated.DisputeWon)
	l.strangeCard(180, simulated.DisputeLost)
	l.strangeCard(210, "sim_renews_")
	l.strangeCard(230, "sim_expires_")
}

// also adds a moment to those of a day.
func (l *life) also(day int, act func() error) {
	first := l.bigMoment[day]
	l.bigMoment[day] = func() error {
		if first != nil {
			if err := first(); err != nil {
				return err
			}
		}
		return act()
	}
}

// strangeCard lets somebody who pays in the next days, on that day or one of the next, do it with a card of which the bank reports
// something: one that ends in _ expires after two months.
func (l *life) strangeCard(day int, reference string) {
	if day >= Days-60 {
		return
	}
	l.also(day, func() error {
		for _, p := range l.people {
			s, err := l.state(p)
			if err != nil {
				return err
			}
			if p.card != simulated.OK || s.Status != subscription.Active || s.BillingPolicy.Interval != civil.Month ||
				s.BillingPolicy.IntervalCount != 1 ||
				s.NextBillingDate.After(l.today().AddDays(7)) {
				continue
			}
			lasts := l.opt.Until.AddDate(2, 0, 0)
			if strings.HasSuffix(reference, "_") {
				lasts = l.clock.Now().AddDate(0, 0, 60)
				reference += lasts.Format("2006-01")
			} else {
				l.also(day+25, func() error { return l.takesCard(p, simulated.OK, l.opt.Until.AddDate(3, 0, 0)) })
			}
			return l.takesCard(p, reference, lasts)
		}
		l.strangeCard(day+1, reference)
		return nil
	})
}

// takesCard is somebody who pays with another card from now on.
func (l *life) takesCard(p *person, reference string, lasts time.Time) error {
	key := l.p.IDs.New(id.PaymentMethod)
	fields := l.cardFields(reference)
	fields.Brand, fields.ExpMonth, fields.ExpYear = new("visa"), new(int(lasts.Month())), new(lasts.Year())
	out, err := l.do(l.portal(p),
		journal.Bind(customer.AddPaymentMethod{ID: key, CustomerID: p.customer, Gateway: "simulated", Fields: fields}))
	if err != nil || out == nil {
		return err
	}
	p.method, p.card = key, reference
	return l.command(p, journal.Bind(subscription.ChangePaymentMethod{ID: p.subscription, PaymentMethodID: key}))
}
