package portal

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"perennial/internal/access"
	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/money"
	"perennial/internal/notify"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/view"
	"perennial/internal/web/ui"
)

func (p *Portal) register() {
	p.registerSignIn()
	p.registerLanguage()
	p.registerQuick()
	p.on(route{pattern: "GET /portal", who: subscriber}, (*call).home)
	p.on(route{pattern: "GET /portal/subscriptions/{id}", who: subscriber}, (*call).subscriptionPage)
	p.registerActions()
	p.on(route{pattern: "POST /portal/undo/{event}", who: subscriber, events: undoEvents()}, (*call).undo)
	p.on(route{pattern: "GET /portal/orders", who: subscriber}, (*call).ordersPage)
	p.on(route{pattern: "GET /portal/history", who: subscriber}, (*call).historyPage)
	p.on(route{pattern: "GET /portal/account", who: subscriber}, func(c *call) (answer, error) { return c.accountPage(nil, nil) })
	p.on(route{pattern: "POST /portal/account", who: subscriber, events: []journal.Name{journal.CustomerProfileUpdated}}, (*call).changeProfile)
	p.on(route{pattern: "GET /portal/addresses/{address}", who: subscriber}, func(c *call) (answer, error) { return c.addressPage(nil, nil) })
	p.on(route{pattern: "POST /portal/addresses/{address}", who: subscriber, events: []journal.Name{journal.AddressAdded, journal.AddressUpdated, journal.CustomerDefaultAddressChanged}}, (*call).changeAddress)
	p.registerCards()
	p.registerConfirming()
	p.on(route{pattern: "POST /portal/sessions/{session}/end", who: subscriber, events: []journal.Name{journal.CustomerLoggedOut}}, (*call).endSession)
	p.mux.Handle(access.Route{Pattern: "GET /portal/brand/{file}", Who: everybody}, http.HandlerFunc(p.serveStyle))
	p.on(route{pattern: "GET /portal/", who: everybody}, func(*call) (answer, error) {
		return answer{}, fault.New(fault.NotFound, "unknown_page", "There is no such page.")
	})
}

func (c *call) cash(a money.Amount) string { return ui.Money(a, cmp.Or(c.who.Locale, c.shop().Locale)) }

func (c *call) today() civil.Date { return settings.Today(c.shop(), c.Program.Now()) }

// mine loads a subscription of the customer; somebody else's is as unknown as one that is not there.
func (c *call) mine() (*subscription.Subscription, error) {
	row, err := c.Store.Load(c.ctx, c.Store.Read, journal.Ref{Kind: journal.Subscription, ID: id.ID(c.r.PathValue("id"))})
	if err != nil {
		return nil, store.Fault(err)
	}
	s, ok := row.State.(*subscription.Subscription)
	if !ok || s.CustomerID != c.who.ID {
		return nil, fault.New(fault.NotFound, "unknown_subscription", "There is no such subscription.")
	}
	c.version = row.Version
	return s, nil
}

// rows reads the customer's own rows of a kind.
func (c *call) rows(kind journal.Kind, order query.Order, limit int) ([]store.Row, error) {
	return query.Rows(c.ctx, c.Store, query.List{Kind: kind, Where: []query.Filter{query.Is(query.Customer, c.who.ID)}, Order: order, Limit: limit})
}

func contents(s *subscription.Subscription) string {
	var out []string
	for _, it := range s.Items {
		out = append(out, fmt.Sprintf("%d × %s", it.Quantity, it.Title))
	}
	return strings.Join(out, ", ")
}

// every is a rhythm inside a sentence.
func (c *call) every(p catalog.Policy) string {
	key := map[civil.Unit]string{civil.Day: "rhythm.day", civil.Week: "rhythm.week", civil.Month: "rhythm.month", civil.Year: "rhythm.year"}[p.Interval]
	return c.say(key, "count", p.IntervalCount)
}

// capital begins a sentence.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

func (c *call) badge(s *subscription.Subscription) ui.Badge {
	switch s.Status {
	case subscription.Active:
		return ui.Badge{Tone: ui.Good, Text: c.say("status.active")}
	case subscription.Paused:
		return ui.Badge{Tone: ui.Warn, Text: c.say("status.paused"), Icon: "circle-pause"}
	case subscription.Failed:
		return ui.Badge{Tone: ui.Bad, Text: c.say("status.failed"), Icon: "circle-alert"}
	case subscription.Expired:
		return ui.Badge{Text: c.say("status.expired")}
	}
	return ui.Badge{Text: c.say("status.cancelled"), Icon: "circle-x"}
}

func (c *call) nextWords(s *subscription.Subscription) string {
	switch {
	case s.Status == subscription.Failed:
		return c.say("next.failed")
	case s.NextBillingDate != nil:
		return c.say("next.date", "date", *s.NextBillingDate)
	case s.PausedUntil != nil:
		return c.say("next.paused_until", "date", *s.PausedUntil)
	case s.Status == subscription.Paused:
		return c.say("next.paused")
	}
	return c.say("next.none")
}

type card struct {
	ID                         id.ID
	Contents, Next, Every, Sum string
	Badge                      ui.Badge
}

func (c *call) home() (answer, error) {
	rows, err := c.rows(journal.Subscription, query.Newest, 100)
	if err != nil {
		return answer{}, err
	}
	var cards []card
	for _, r := range rows {
		s := r.State.(*subscription.Subscription)
		one := card{ID: s.ID, Contents: contents(s), Next: c.nextWords(s), Every: capital(c.every(s.BillingPolicy)), Badge: c.badge(s)}
		if orders, err := c.upcoming(s, 1); err == nil && len(orders) > 0 && !orders[0].Skipped {
			one.Sum = c.cash(orders[0].Due())
		}
		cards = append(cards, one)
	}
	slices.SortStableFunc(cards, func(a, b card) int { return rank(a.Badge) - rank(b.Badge) })
	name := c.who.FirstName.Value
	title := c.say("home.title")
	if name != "" {
		title = c.say("home.hello", "name", name)
	}
	return answer{title: title, body: homeBody(cards, c.offer().Welcome, cmp.Or(c.offer().Language, c.shop().Locale))}, nil
}

// rank puts what runs before what is over.
func rank(b ui.Badge) int {
	if b.Tone == ui.Neutral {
		return 1
	}
	return 0
}

func (c *call) upcoming(s *subscription.Subscription, count int) ([]subscription.UpcomingOrder, error) {
	return query.Upcoming(c.reader(), s, c.today(), count)
}

type line struct {
	Date, Day, Total string
	Gift             string // whom it goes to
	GiftOf           civil.Date
	TakeBack         string // where it stops being a gift; empty: it cannot
	Skipped          bool
	MaySkip, MayBack bool
}

func (c *call) lines(s *subscription.Subscription, count int) ([]line, error) {
	orders, err := c.upcoming(s, count)
	var out []line
	gifts := journal.Clone(s)
	for _, o := range orders {
		l := line{Date: o.Date.String(), Day: c.words().Day(o.Date), Total: c.cash(o.Due()), Skipped: o.Skipped}
		l.MaySkip = !o.Skipped && s.May(subscription.ActionSkip) == nil && c.offered(s, subscription.ActionSkip, &o.Date) == nil
		l.MayBack = o.Skipped && s.May(subscription.ActionUnskip) == nil && c.offered(s, subscription.ActionUnskip, &o.Date) == nil
		if g, ok := gifts.GiftFor(o.Date); ok && !o.Skipped {
			l.Gift, l.GiftOf = cmp.Or(strings.TrimSpace(g.Address.FirstName+" "+g.Address.LastName), g.Address.Company), g.Date
			gifts.Gifts.Value = slices.DeleteFunc(gifts.Gifts.Value, func(other subscription.Gift) bool { return other.Date == g.Date })
		}
		out = append(out, l)
	}
	return out, err
}

// takeBack finds the gift that can be taken back: the one whose entry can be undone, which is the last of those about gifts.
func (c *call) takeBack(s *subscription.Subscription, list []line) error {
	if !slices.ContainsFunc(list, func(l line) bool { return l.Gift != "" }) {
		return nil
	}
	for st, err := range c.Finder.Events(c.ctx, store.Closed, find.Filter{Scope: s.ID, Types: []journal.Name{journal.SubscriptionOrderGifted}}, -1) {
		if err != nil {
			return store.Fault(err)
		}
		back, ok := c.undoes(st).(*subscription.Subscription)
		if !ok {
			return nil
		}
		for i, l := range list {
			stays := slices.ContainsFunc(back.Gifts.Value, func(g subscription.Gift) bool { return g.Date == l.GiftOf })
			if day, _ := civil.Parse(l.Date); l.Gift != "" && !stays && c.offered(s, subscription.ActionGift, &day) == nil {
				list[i].TakeBack = "/portal/undo/" + string(st.ID)
			}
		}
		return nil
	}
	return nil
}

// offered says why the store does not offer an action now.
func (c *call) offered(s *subscription.Subscription, a subscription.Action, date *civil.Date) error {
	bill, err := c.billing()
	if err != nil {
		return err
	}
	return subscription.Offered(s, a, date, c.offer(), bill, c.today())
}

// inSight is how many actions are buttons; the others are in a menu.
const inSight = 3

type itemLine struct {
	ID                     id.ID
	Title, Quantity, Price string
	Actions                []ui.MenuItem
}

type subscriptionView struct {
	S        *subscription.Subscription
	At       string
	Next     string
	Every    string
	Until    *civil.Date // the last day to change the next order
	Items    []itemLine
	Upcoming []line
	Actions  []ui.MenuItem
	Cancel   ui.Link
	Method   string
	Backup   string
	Address  string
	History  []entry
	Held     string // what the history was held against
}

func (c *call) subscriptionPage() (answer, error) {
	s, err := c.mine()
	if err != nil {
		return answer{}, err
	}
	bill, err := c.billing()
	if err != nil {
		return answer{}, err
	}
	v := subscriptionView{S: s, Until: subscription.LastChange(s, bill), At: "/portal/subscriptions/" + string(s.ID), Next: c.nextWords(s), Every: capital(c.every(s.BillingPolicy))}
	if v.Upcoming, err = c.lines(s, 6); err != nil {
		return answer{}, err
	}
	if err := c.takeBack(s, v.Upcoming); err != nil {
		return answer{}, err
	}
	for _, it := range s.Items {
		item := itemLine{ID: it.ID, Title: it.Title, Quantity: fmt.Sprint(it.Quantity), Price: c.cash(it.UnitPrice)}
		for _, a := range actions {
			if !a.part {
				continue
			}
			if shown, err := c.shows(s, a); err != nil {
				return answer{}, err
			} else if shown {
				item.Actions = append(item.Actions, ui.MenuItem{Href: v.At + "/" + a.name + "/" + string(it.ID), Label: c.say(a.title), Icon: a.icon, Dialog: true})
			}
		}
		v.Items = append(v.Items, item)
	}
	for _, a := range c.inOrder() {
		if a.part {
			continue
		}
		if shown, err := c.shows(s, a); err != nil {
			return answer{}, err
		} else if shown && a.name == "cancel" && len(v.Actions) >= inSight {
			v.Cancel = ui.Link{Href: v.At + "/" + a.name, Text: c.say(a.title)} // never behind a menu: the law's way out
		} else if shown {
			v.Actions = append(v.Actions, ui.MenuItem{Href: v.At + "/" + a.name, Label: c.say(a.title), Icon: a.icon, Danger: a.danger, Dialog: true})
		}
	}
	m, err := journal.Find[customer.PaymentMethod](c.reader(), journal.PaymentMethod, cmp.Or(s.PaymentMethodID, c.who.DefaultPaymentMethodID))
	if err != nil {
		return answer{}, err
	}
	v.Method = c.methodWords(m)
	if backup := cmp.Or(s.BackupPaymentMethodID, c.who.BackupPaymentMethodID); backup != "" {
		if m, err = journal.Find[customer.PaymentMethod](c.reader(), journal.PaymentMethod, backup); err != nil {
			return answer{}, err
		}
		v.Backup = c.methodWords(m)
	}
	address, err := journal.Find[customer.Address](c.reader(), journal.Address, s.ShippingAddressID)
	if err != nil {
		return answer{}, err
	}
	v.Address = cmp.Or(addressWords(address), c.say("none"))
	if v.History, v.Held, err = c.history(find.Filter{Scope: s.ID}, inShort); err != nil {
		return answer{}, err
	}
	return answer{title: contents(s), badge: new(c.badge(s)), crumbs: []ui.Link{{Href: "/portal", Text: c.say("home.title")}}, body: subscriptionBody(v)}, nil
}

func (c *call) methodWords(m *customer.PaymentMethod) string {
	if m == nil {
		return c.say("none")
	}
	name := c.cardWords(m)
	if m.ExpMonth > 0 {
		name = c.say("method.until", "method", name, "month", fmt.Sprintf("%02d/%d", m.ExpMonth, m.ExpYear))
	}
	if m.RefusedAt != nil {
		name = c.say("method.refused", "method", name)
	}
	return name
}

func (c *call) cardWords(m *customer.PaymentMethod) string {
	name := capital(cmp.Or(m.Brand, m.Gateway))
	if m.Last4.Value == "" {
		return name
	}
	return c.say("method.ending", "brand", name, "digits", m.Last4.Value)
}

func addressWords(a *customer.Address) string {
	if a == nil {
		return ""
	}
	var out []string
	for _, l := range []string{a.FirstName.Value + " " + a.LastName.Value, a.Company.Value, a.Line1.Value, a.Line2.Value, a.PostalCode.Value + " " + a.City.Value, a.Region.Value, a.Country} {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return strings.Join(out, ", ")
}

type orderRow struct {
	Number, Date, Total, What string
	Badge                     ui.Badge
	Tracking                  string
	Confirm                   string // where its payment is confirmed; empty: it need not be
	Asked                     string // the question that Why answers
	Why                       []string
}

func (c *call) ordersPage() (answer, error) {
	rows, err := c.rows(journal.Order, query.Newest, 50)
	if err != nil {
		return answer{}, err
	}
	var out []orderRow
	for i, r := range rows {
		o := r.State.(*billing.Order)
		var what []string
		for _, l := range o.Items {
			what = append(what, fmt.Sprintf("%d × %s", l.Quantity, l.Title))
		}
		row := orderRow{Number: o.Number, Date: c.words().Date(o.BillingDate), Total: c.cash(o.Due()), What: strings.Join(what, ", "), Tracking: o.TrackingURL.Value}
		switch o.Status {
		case billing.Placed:
			row.Badge = ui.Badge{Tone: ui.Good, Text: c.say("order.paid")}
			if o.FulfilledAt != nil {
				row.Badge = ui.Badge{Tone: ui.Good, Text: c.say("order.sent"), Icon: "truck"}
			}
		case billing.Pending:
			row.Badge = ui.Badge{Tone: ui.Info, Text: c.say("order.pending"), Icon: "clock"}
			if _, waits := waitsForCustomer(o); waits {
				row.Badge, row.Confirm = ui.Badge{Tone: ui.Warn, Text: c.say("order.waits"), Icon: "clock"}, "/portal/orders/"+string(o.ID)+"/confirm"
			}
		case billing.Failed:
			row.Badge = ui.Badge{Tone: ui.Bad, Text: c.say("order.failed")}
		case billing.Refunded:
			row.Badge = ui.Badge{Text: c.say("order.refunded"), Icon: "undo-2"}
		case billing.PartiallyRefunded:
			row.Badge = ui.Badge{Text: c.say("order.refunded_part"), Icon: "undo-2"}
		default:
			row.Badge = ui.Badge{Text: c.say("order.cancelled"), Icon: "circle-x"}
		}
		row.Asked = "orders.why"
		if billing.Paid(o).Minor > 0 {
			row.Asked = "orders.why_charged"
		}
		if i < 10 { // what the newest ones are made of, from the log
			reasons, err := view.Explain(c.ctx, c.Store, o)
			if err != nil {
				return answer{}, err
			}
			row.Why = c.why(o, reasons)
		}
		out = append(out, row)
	}
	return answer{title: c.say("orders.title"), body: ordersBody(out)}, nil
}

type sessionRow struct {
	ID          id.ID
	Since, Seen string
	Here        bool
}

type accountView struct {
	Email     string
	Fields    []ui.Field
	Problems  ui.Problems
	Addresses []ui.Link
	Methods   []string
	NewCard   bool // one can be added
	Version   int64
	Sessions  []sessionRow
}

func (c *call) accountPage(typed url.Values, p ui.Problems) (answer, error) {
	v := accountView{Email: c.who.Email.Value, Problems: p, NewCard: c.mayAddCard(), Version: c.whoVersion}
	for _, f := range []struct{ name, label, now, complete string }{{"first_name", c.say("account.first_name"), c.who.FirstName.Value, "given-name"}, {"last_name", c.say("account.last_name"), c.who.LastName.Value, "family-name"}, {"phone", c.say("account.phone"), c.who.Phone.Value, "tel"}} {
		value := f.now
		if typed.Has(f.name) {
			value = typed.Get(f.name)
		}
		v.Fields = append(v.Fields, ui.Field{Name: f.name, Label: f.label, Value: value, Complete: f.complete, Problem: p[f.name]})
	}
	addresses, err := c.rows(journal.Address, query.Oldest, 50)
	if err != nil {
		return answer{}, err
	}
	for _, r := range addresses {
		if a := r.State.(*customer.Address); a.Status == customer.StatusActive {
			v.Addresses = append(v.Addresses, ui.Link{Href: "/portal/addresses/" + string(a.ID), Text: addressWords(a)})
		}
	}
	methods, err := c.rows(journal.PaymentMethod, query.Oldest, 50)
	if err != nil {
		return answer{}, err
	}
	for _, r := range methods {
		if m := r.State.(*customer.PaymentMethod); m.Status == customer.StatusActive || m.Status == customer.StatusExpired {
			v.Methods = append(v.Methods, c.methodWords(m))
		}
	}
	now := c.Program.Now()
	sessions, err := notify.Sessions(c.ctx, c.Store, c.who, now)
	if err != nil {
		return answer{}, err
	}
	for _, s := range sessions {
		if s.Viewer == "" { // not the team's own looks
			v.Sessions = append(v.Sessions, sessionRow{s.ID, c.words().Time(s.CreatedAt.In(c.zone())), c.words().Time(s.SeenAt.In(c.zone())), s.ID == c.session})
		}
	}
	a := answer{title: c.say("account.title"), body: accountBody(v)}
	if p != nil {
		a.status = http.StatusUnprocessableEntity
	}
	return a, nil
}

// wrongWith turns a refusal into what is wrong with the fields of a form; other failures stay what they are.
func (c *call) wrongWith(err error) (ui.Problems, error) {
	f := fault.As(err)
	if f.Kind != fault.Refused && f.Kind != fault.Conflict && f.Kind != fault.Stale {
		return nil, err
	}
	p := ui.Problems{}
	for _, field := range f.Fields {
		p[fieldOf(field)] = c.wrong(field)
	}
	if len(f.Fields) == 0 {
		p[""] = c.refusal(f)
	}
	return p, nil
}

// formStatus is that of a form which is shown again.
func formStatus(k fault.Kind) int {
	if k == fault.Stale {
		return k.HTTPStatus()
	}
	return http.StatusUnprocessableEntity
}

// fieldOf is the name that a form has for what a pointer names.
func fieldOf(f fault.Field) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(f.Pointer, "/"), "address/"), "/")
	return name
}

func (c *call) changeProfile() (answer, error) {
	given := func(name string) *string { return new(strings.TrimSpace(c.r.PostFormValue(name))) }
	out, err := c.runOn(c.who.Ref(), journal.Bind(customer.UpdateProfile{ID: c.who.ID, FirstName: given("first_name"), LastName: given("last_name"), Phone: given("phone")}))
	if err != nil {
		status := fault.As(err).Kind
		p, err := c.wrongWith(err)
		if err != nil {
			return answer{}, err
		}
		again, err := c.accountPage(c.r.PostForm, p)
		again.status = formStatus(status)
		return again, err
	}
	return done("/portal/account", out.Events), nil
}

// addressNames are the fields of an address, with the keys of their labels.
var addressNames = []struct{ name, label, complete string }{{"first_name", "account.first_name", "given-name"}, {"last_name", "account.last_name", "family-name"}, {"company", "address.company", "organization"}, {"line1", "address.line1", "address-line1"}, {"line2", "address.line2", "address-line2"},
	{"postal_code", "address.postal_code", "postal-code"}, {"city", "address.city", "address-level2"}, {"region", "address.region", "address-level1"}, {"country", "address.country", "country"}, {"phone", "account.phone", "tel"}}

// addressNeeds are those that an address cannot be without.
var addressNeeds = []string{"line1", "city", "country"}

// address loads an address of the customer; "new" is one that is to be made.
func (c *call) address() (*customer.Address, error) {
	key := c.r.PathValue("address")
	if key == "new" {
		return &customer.Address{}, nil
	}
	row, err := c.Store.Load(c.ctx, c.Store.Read, journal.Ref{Kind: journal.Address, ID: id.ID(key)})
	if err != nil {
		return nil, store.Fault(err)
	}
	a, ok := row.State.(*customer.Address)
	if !ok || a.CustomerID != c.who.ID || a.Status != customer.StatusActive {
		return nil, fault.New(fault.NotFound, "unknown_address", "There is no such address.")
	}
	c.version = row.Version
	return a, nil
}

func (c *call) addressPage(typed url.Values, p ui.Problems) (answer, error) {
	a, err := c.address()
	if err != nil {
		return answer{}, err
	}
	now := map[string]string{"first_name": a.FirstName.Value, "last_name": a.LastName.Value, "company": a.Company.Value, "line1": a.Line1.Value, "line2": a.Line2.Value, "postal_code": a.PostalCode.Value, "city": a.City.Value, "region": a.Region.Value, "country": a.Country, "phone": a.Phone.Value}
	var fields []ui.Field
	for _, f := range addressNames {
		value := now[f.name]
		if typed.Has(f.name) {
			value = typed.Get(f.name)
		}
		fields = append(fields, ui.Field{Name: f.name, Label: c.say(f.label), Value: value, Complete: f.complete, Problem: p[f.name], Required: slices.Contains(addressNeeds, f.name)})
	}
	title := c.say("address.change")
	if a.ID == "" {
		title = c.say("address.add")
	}
	out := answer{title: title, crumbs: []ui.Link{{Href: "/portal/account", Text: c.say("account.title")}}, body: formBody(formView{At: c.r.URL.Path, Version: c.version, Back: "/portal/account", Verb: c.say("button.save"), Plain: fields, Problems: p})}
	if p != nil {
		out.status = http.StatusUnprocessableEntity
	}
	return out, nil
}

func (c *call) changeAddress() (answer, error) {
	a, err := c.address()
	if err != nil {
		return answer{}, err
	}
	given := func(name string) *string { return new(strings.TrimSpace(c.r.PostFormValue(name))) }
	f := customer.AddressFields{FirstName: given("first_name"), LastName: given("last_name"), Company: given("company"), Line1: given("line1"), Line2: given("line2"), City: given("city"), Region: given("region"), PostalCode: given("postal_code"),
		Country: new(strings.ToUpper(*given("country"))), Phone: given("phone")}
	var cmd journal.Command
	if a.ID == "" {
		cmd = journal.Bind(customer.AddAddress{ID: c.IDs.New(id.Address), CustomerID: c.who.ID, Fields: f})
	} else {
		cmd = journal.Bind(customer.UpdateAddress{ID: a.ID, CustomerID: c.who.ID, Fields: f})
	}
	out, err := c.runOn(a.Ref(), cmd)
	if err != nil {
		status := fault.As(err).Kind
		p, err := c.wrongWith(err)
		if err != nil {
			return answer{}, err
		}
		again, err := c.addressPage(c.r.PostForm, p)
		again.status = formStatus(status)
		return again, err
	}
	return done("/portal/account", out.Events), nil
}

func (c *call) endSession() (answer, error) {
	key := id.ID(c.r.PathValue("session"))
	list, err := notify.Sessions(c.ctx, c.Store, c.who, c.Program.Now())
	if err != nil {
		return answer{}, err
	}
	if !slices.ContainsFunc(list, func(s store.Session) bool { return s.ID == key }) {
		return answer{}, fault.New(fault.NotFound, "unknown_session", "This session is over already.")
	}
	if err := c.end("revoked", key); err != nil {
		return answer{}, err
	}
	c.note(c.say("account.session_over"))
	return answer{to: "/portal/account"}, nil
}

// done goes on after a command; the toast tells of its first entry.
func done(to string, events []program.Done) answer {
	if len(events) == 0 {
		return answer{to: to}
	}
	return answer{to: to + "?done=" + string(events[0].ID)}
}

// toast tells of the entry that the address names as done, with Undo where it can be undone.
func (c *call) toast() *ui.Toast {
	key := id.ID(c.r.URL.Query().Get("done"))
	if key == "" || c.who == nil {
		return nil
	}
	st, err := c.ownEvent(key)
	if err != nil {
		return nil
	}
	t := &ui.Toast{Text: c.sentence(st.Event)}
	if c.undoes(st) != nil {
		t.Undo, t.Back = "/portal/undo/"+string(key), c.r.URL.Path
	}
	return t
}

// undoes gives the state that the undo of an entry would come to; nil when this visitor cannot undo it.
func (c *call) undoes(st store.Stored) journal.State {
	if c.own(st) != nil {
		return nil
	}
	cmd, err := c.askedBack(st)
	if err != nil {
		return nil
	}
	d, err := cmd.Run(c.reader(), c.Program.Now())
	if err != nil || len(d.Drafts) == 0 {
		return nil
	}
	return d.Drafts[0].After
}

// ownEvent loads an entry of what this visitor did about themselves.
func (c *call) ownEvent(key id.ID) (store.Stored, error) {
	st, err := c.Store.EventByID(c.ctx, c.Store.Read, store.Opened, key)
	if err != nil {
		return st, store.Fault(err)
	}
	return st, c.own(st)
}

// own refuses an entry that is not of what this visitor did about themselves.
func (c *call) own(st store.Stored) error {
	mine := slices.ContainsFunc(st.Targets, func(t journal.Ref) bool { return t == c.who.Ref() })
	if s, err := journal.Find[subscription.Subscription](c.reader(), journal.Subscription, st.Target().ID); err == nil && s != nil && st.Target().Kind == journal.Subscription {
		mine = s.CustomerID == c.who.ID
	}
	if !mine || st.Actor != c.meta.Actor || st.Source.Channel != journal.ChannelPortal {
		return fault.New(fault.NotFound, "unknown_event", "There is nothing to undo here.")
	}
	return nil
}

// askedBack is the undo of an entry, held against what the store offers.
func (c *call) askedBack(st store.Stored) (subscription.AskedBack, error) {
	asked := subscription.AskedBack{Customer: c.who.ID, Type: st.Type, Do: journal.Bind(kinds.Undo{Event: st.ID, Actor: c.meta.Actor})}
	if st.Target().Kind != journal.Subscription {
		return asked, nil
	}
	s, err := journal.Get[subscription.Subscription](c.reader(), journal.Subscription, st.Target().ID)
	if err != nil {
		return asked, err
	}
	asked.ID = s.ID
	if day := date(st.Detail("date")); !day.IsZero() {
		if next := s.NextBillingDate; st.Type == journal.SubscriptionOrderGifted && next != nil && day.Before(*next) { // its own order was skipped
			day = *next
		}
		asked.Date = &day
	}
	return asked, nil
}

func (c *call) undo() (answer, error) {
	st, err := c.ownEvent(id.ID(c.r.PathValue("event")))
	if err != nil {
		return answer{}, err
	}
	cmd, err := c.askedBack(st)
	if err != nil {
		return answer{}, err
	}
	out, err := c.run(cmd)
	if err != nil {
		return answer{}, err
	}
	to := "/portal"
	if st.Target().Kind == journal.Subscription {
		to = "/portal/subscriptions/" + string(st.Target().ID)
	}
	return done(to, out.Events), nil
}
