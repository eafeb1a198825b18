package dashboard

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/notify"
	"perennial/internal/observe"
	"perennial/internal/plain"
	"perennial/internal/privacy"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

func (d *Dashboard) registerCustomers() {
	view := func(pattern string, h handler) { d.on(route{pattern: pattern, permission: team.CustomersView}, h) }
	view("GET /customers", (*call).customersPage)
	view("GET /customers/{id}", (*call).customerPage)
	// open is what it takes to see a customer's personal data, or to get where they are shown.
	open := []team.Permission{team.PersonalDataView}
	d.on(route{pattern: "POST /customers/{id}/portal-link", permission: team.CustomersEdit, also: open, events: []journal.Name{journal.CustomerMagicLinkCreated}}, (*call).portalLink)
	d.on(route{pattern: "POST /customers/{id}/sessions-end", permission: team.CustomersEdit, events: []journal.Name{journal.CustomerLoggedOut}}, (*call).endPortalSessions)
	d.on(route{pattern: "POST /customers/{id}/reveal", permission: team.RevealedDataView, events: []journal.Name{journal.PersonalDataRevealed}}, (*call).reveal)
	d.on(route{pattern: "POST /customers/{id}/view-as", permission: team.CustomersEdit, also: open, events: []journal.Name{journal.CustomerLoggedIn}}, func(c *call) (answer, error) {
		who, _, err := c.customer()
		if err != nil {
			return answer{}, err
		}
		if c.ViewAs == nil {
			return answer{}, fault.New(fault.Unavailable, "no_portal", "This server has no portal.")
		}
		if err := c.first(); err != nil {
			return answer{}, err
		}
		return goTo("/portal"), c.ViewAs(c.w, c.r, c.meta, who.ID)
	})
	edit := func(f form) { f.permission = team.CustomersEdit; d.form(f) }

	edit(form{path: "/customers/new", title: "Add a customer", verb: "Add", events: []journal.Name{journal.CustomerCreated},
		on: func(*call) (subject, error) {
			return subject{back: "/customers", crumbs: []ui.Link{{Href: "/customers", Text: "Customers"}}}, nil
		},
		fields: func(_ *call, _ subject, v url.Values) ([]formField, error) {
			return profileFields(&customer.Customer{}, v), nil
		},
		command: func(c *call, _ subject, in *input) journal.Command {
			return journal.Bind(customer.Create{ID: c.IDs.New(id.Customer), Email: in.text("email"), FirstName: in.text("first_name"), LastName: in.text("last_name"), Phone: in.text("phone"), Locale: in.text("locale"), Tags: in.words("tags")})
		}, to: resultOf("/customers/")})
	edit(form{path: "/customers/{id}/edit", title: "Change the profile", verb: "Save", events: []journal.Name{journal.CustomerProfileUpdated, journal.CustomerEmailChanged}, on: (*call).aboutCustomer, also: open,
		fields: func(_ *call, s subject, v url.Values) ([]formField, error) {
			return profileFields(s.state.(*customer.Customer), v), nil
		},
		command: func(_ *call, s subject, in *input) journal.Command {
			return journal.Bind(customer.UpdateProfile{ID: s.state.Ref().ID, Email: in.given("email"), FirstName: in.given("first_name"), LastName: in.given("last_name"), Phone: in.given("phone"), Locale: in.given("locale"), Tags: new(in.words("tags"))})
		}})
	edit(form{path: "/customers/{id}/addresses/new", title: "Add an address", verb: "Add", events: []journal.Name{journal.AddressAdded, journal.CustomerDefaultAddressChanged}, on: (*call).aboutCustomer,
		fields: func(_ *call, _ subject, v url.Values) ([]formField, error) {
			return addressFields(&customer.Address{}, v), nil
		},
		command: func(c *call, s subject, in *input) journal.Command {
			return journal.Bind(customer.AddAddress{ID: c.IDs.New(id.Address), CustomerID: s.state.Ref().ID, Fields: in.address()})
		}})
	edit(form{path: "/customers/{id}/addresses/{part}/edit", title: "Change an address", verb: "Save", lead: "Every subscription that ships there gets the new address with its next order.", events: []journal.Name{journal.AddressUpdated}, on: aboutAddress, also: open,
		fields: func(_ *call, s subject, v url.Values) ([]formField, error) {
			return addressFields(s.state.(*customer.Address), v), nil
		},
		command: func(c *call, s subject, in *input) journal.Command {
			return journal.Bind(customer.UpdateAddress{ID: s.state.Ref().ID, CustomerID: id.ID(c.r.PathValue("id")), Fields: in.address()})
		}})
	edit(form{path: "/customers/{id}/addresses/{part}/remove", title: "Remove an address", verb: "Remove", danger: true, events: []journal.Name{journal.AddressRemoved, journal.CustomerDefaultAddressChanged}, on: aboutAddress,
		command: func(c *call, s subject, _ *input) journal.Command {
			return journal.Bind(customer.RemoveAddress{ID: s.state.Ref().ID, CustomerID: id.ID(c.r.PathValue("id"))})
		}})
	edit(form{path: "/customers/{id}/addresses/{part}/default", title: "Make it the default address", verb: "Make it the default", lead: "New subscriptions ship there unless told otherwise. Those that there are stay as they are.", events: []journal.Name{journal.CustomerDefaultAddressChanged}, on: (*call).aboutCustomer,
		command: func(c *call, s subject, _ *input) journal.Command {
			return journal.Bind(customer.SetDefaultAddress{CustomerID: s.state.Ref().ID, AddressID: part(c)})
		}})
	edit(form{path: "/customers/{id}/payment-methods/{part}/default", title: "Make it the default payment method", verb: "Make it the default", lead: "New subscriptions are charged to it unless told otherwise. Those that there are stay as they are.",
		events: []journal.Name{journal.PaymentMethodDefaultChanged, journal.PaymentMethodBackupSet}, on: (*call).aboutCustomer,
		command: func(c *call, s subject, _ *input) journal.Command {
			return journal.Bind(customer.SetDefaultPaymentMethod{CustomerID: s.state.Ref().ID, PaymentMethodID: part(c)})
		}})
	edit(form{path: "/customers/{id}/payment-methods/{part}/backup", title: "Make it the backup payment method", verb: "Make it the backup", lead: "It is tried when the first one fails.", events: []journal.Name{journal.PaymentMethodBackupSet}, on: (*call).aboutCustomer,
		command: func(c *call, s subject, _ *input) journal.Command {
			return journal.Bind(customer.SetBackupPaymentMethod{CustomerID: s.state.Ref().ID, PaymentMethodID: part(c)})
		}})
	edit(form{path: "/customers/{id}/payment-methods/{part}/remove", title: "Remove a payment method", verb: "Remove", danger: true, events: []journal.Name{journal.PaymentMethodRemoved, journal.PaymentMethodDefaultChanged, journal.PaymentMethodBackupSet}, on: (*call).aboutCustomer,
		command: func(c *call, s subject, _ *input) journal.Command {
			return journal.Bind(customer.RemovePaymentMethod{ID: part(c), CustomerID: s.state.Ref().ID})
		}})
	d.form(form{path: "/customers/{id}/data-request", title: "Hand out the customer's data", verb: "Make the export", lead: "Everything that the shop keeps about this person is put together, for the person to have. The request is in the log, and the person is told of it by the message “Copy of the data made”, where it is on.", permission: team.PersonalDataEdit,
		events: []journal.Name{journal.CustomerDataRequested}, on: (*call).aboutCustomer,
		command: func(c *call, s subject, _ *input) journal.Command {
			return journal.Bind(customer.RequestData{CustomerID: s.state.Ref().ID, RequestID: c.IDs.New(id.Job)})
		}, to: func(s subject, out *program.Outcome) string {
			return s.back + "/data/" + string(out.Decision.Result.ID)
		}})
	d.on(route{pattern: "GET /customers/{id}/data/{part}", permission: team.PersonalDataEdit}, func(c *call) (answer, error) {
		s, err := c.aboutCustomer()
		return answer{title: "The customer's data", narrow: true, head: ui.Head{Crumbs: s.crumbs}, body: boxed(dataReady(c.r.URL.Path+"/copy.json", s.back))}, err
	})
	d.on(route{pattern: "GET /customers/{id}/data/{part}/copy.json", permission: team.PersonalDataEdit, also: open}, (*call).dataCopy)
	d.form(form{path: "/customers/{id}/redact", title: "Erase the customer", verb: "Erase for ever", danger: true, permission: team.PersonalDataEdit,
		lead:   "Names, e-mail address, addresses and everything else that is personal are erased everywhere: in the logs, in old copies of the database, in search, and at the payment gateway as soon as no payment is open there. Open subscriptions and orders are cancelled. The entries stay, and can still be proved. This cannot be undone.",
		events: privacy.Types(), on: (*call).aboutCustomer,
		fields: func(_ *call, _ subject, v url.Values) ([]formField, error) {
			return []formField{textField("input", "confirm_email", "The customer's e-mail address", v.Get("confirm_email"), "So that nobody erases the wrong person by a slip.")}, nil
		},
		command: func(_ *call, s subject, in *input) journal.Command {
			return journal.Bind(privacy.Redact{CustomerID: s.state.Ref().ID, ConfirmEmail: in.text("confirm_email")})
		},
		untouched: func(_ *call, s subject) journal.Command { // to name what will happen, not to do it
			who := s.state.(*customer.Customer)
			return journal.Bind(privacy.Redact{CustomerID: who.ID, ConfirmEmail: who.Email.Value})
		}})
}

// customer loads the one that the address names.
func (c *call) customer() (*customer.Customer, int64, error) {
	return stateOf[customer.Customer](c, journal.Customer, c.r.PathValue("id"))
}

func (c *call) aboutCustomer() (subject, error) {
	who, version, err := c.customer()
	if err != nil {
		return subject{}, err
	}
	at := "/customers/" + string(who.ID)
	return subject{who, version, at, []ui.Link{{Href: "/customers", Text: "Customers"}, {Href: at, Text: c.called(who)}}}, nil
}

var aboutAddress = aboutPart((*call).aboutCustomer, journal.Address, func(a *customer.Address) id.ID { return a.CustomerID })

func profileFields(who *customer.Customer, v url.Values) []formField {
	f := []formField{textField("input", "email", "E-mail", filled(v, "email", who.Email.Value), ""), textField("input", "first_name", "First name", filled(v, "first_name", who.FirstName.Value), ""),
		textField("input", "last_name", "Last name", filled(v, "last_name", who.LastName.Value), ""), textField("input", "phone", "Telephone", filled(v, "phone", who.Phone.Value), ""),
		textField("input", "locale", "Language", filled(v, "locale", who.Locale), "Such as en, de or fr-CA. Empty: the shop's."), textField("input", "tags", "Tags", filled(v, "tags", strings.Join(who.Tags, ", ")), "With commas between them.")}
	f[0].Type, f[0].Required = "email", true
	return f
}

var addressLabels = []struct{ name, label string }{{"first_name", "First name"}, {"last_name", "Last name"}, {"company", "Company"}, {"line1", "Street and number"}, {"line2", "More"}, {"postal_code", "Postal code"}, {"city", "City"}, {"region", "Region"}, {"country", "Country (two letters)"}, {"phone", "Telephone"}}

func addressFields(a *customer.Address, v url.Values) []formField {
	now := map[string]string{"first_name": a.FirstName.Value, "last_name": a.LastName.Value, "company": a.Company.Value, "line1": a.Line1.Value, "line2": a.Line2.Value, "postal_code": a.PostalCode.Value, "city": a.City.Value, "region": a.Region.Value, "country": a.Country, "phone": a.Phone.Value}
	var out []formField
	for _, l := range addressLabels {
		f := textField("input", l.name, l.label, filled(v, l.name, now[l.name]), "")
		f.Required = slices.Contains([]string{"line1", "city", "country"}, l.name)
		out = append(out, f)
	}
	return out
}

func (in *input) address() customer.AddressFields {
	return customer.AddressFields{FirstName: in.given("first_name"), LastName: in.given("last_name"), Company: in.given("company"), Line1: in.given("line1"), Line2: in.given("line2"), City: in.given("city"),
		Region: in.given("region"), PostalCode: in.given("postal_code"), Country: new(strings.ToUpper(in.text("country"))), Phone: in.given("phone")}
}

type customerRow struct {
	ID          id.ID
	Name, Email string
	Tags        []string
	Since       string
	Erased      bool
}

type customersView struct {
	Q, Tag  string
	Rows    []customerRow
	Pager   ui.Pager
	MayEdit bool
}

func (c *call) customersPage() (answer, error) {
	f := func(name string) string { return strings.TrimSpace(c.r.FormValue(name)) }
	v := customersView{Q: f("q"), Tag: f("tag"), MayEdit: c.permitted(team.CustomersEdit)}
	var asked []query.Filter
	if v.Q != "" {
		people, err := c.meant(v.Q)
		if err != nil {
			return answer{}, err
		}
		asked = append(asked, query.In(query.ID, people))
	}
	if f("after") != "" {
		v.Pager.First = withQuery("/customers", "q", v.Q)
	}
	rows, err := c.rows(journal.Customer, query.Newest, append(asked, older(f("after"))...)...)
	if err != nil {
		return answer{}, err
	}
	if len(rows) > rowsOnPage {
		rows = rows[:rowsOnPage]
		v.Pager.Next = withQuery(withQuery("/customers", "q", v.Q), "after", string(rows[rowsOnPage-1].State.Ref().ID))
	}
	for _, r := range rows {
		who := r.State.(*customer.Customer)
		v.Rows = append(v.Rows, customerRow{who.ID, c.called(who), c.personal(who.Email), who.Tags, who.CreatedAt.In(c.here().zone).Format("2 January 2006"), who.Status == customer.Redacted})
	}
	v.Pager.Shown = ui.Count(int64(len(v.Rows)), "customer")
	a := answer{title: "Customers", body: customersBody(v)}
	if v.MayEdit {
		a.act = ui.Go("/customers/new", ui.Button{Label: "Add a customer", Icon: "plus", Kind: "primary", Dialog: true})
	}
	return a, nil
}

type addressLine struct {
	ID      id.ID
	Lines   []string
	Default bool
	Masked  bool // and may be revealed
}

type methodLine struct {
	ID              id.ID
	Text            string
	Default, Backup bool
	Expired         bool
}

type customerView struct {
	Who           *customer.Customer
	At            string
	Name          string
	Profile       []ui.Pair
	Tiles         []ui.Tile
	Subscriptions []subscriptionRow
	Orders        []orderLine
	Sessions      []sessionView
	Zone          *time.Location
	Addresses     []addressLine
	Methods       []methodLine
	Log           []ui.Day
	MayEdit       bool
	MayMake       bool // a subscription for them
	MayMail       bool

	SeesSubscriptions bool
}

// reveal shows the customer's page with one value that is masked otherwise. The entry is made first.
func (c *call) reveal() (answer, error) {
	who, _, err := c.customer()
	if err != nil {
		return answer{}, err
	}
	shown := revealed{c.r.PostFormValue("value"), id.ID(c.r.PostFormValue("address_id"))}
	cmd := customer.Reveal{CustomerID: who.ID, RequestID: c.IDs.New(id.Job), Value: shown.value, AddressID: shown.address}
	if _, err := c.run(&program.Request{Command: journal.Bind(cmd)}); err != nil {
		return answer{}, err
	}
	return c.customerShown(who, shown)
}

// revealed is the one value that a page shows in the open; none: all are as the permissions say.
type revealed struct {
	value   string
	address id.ID
}

func (c *call) customerPage() (answer, error) {
	who, _, err := c.customer()
	if err != nil {
		return answer{}, err
	}
	return c.customerShown(who, revealed{})
}

// profile lists what is known of a customer. What is masked has a button where it may be revealed.
func (c *call) profile(at string, who *customer.Customer, shown revealed) (out []ui.Pair) {
	text := func(term, s string) {
		if s != "" {
			out = append(out, ui.Pair{Term: term, Value: ui.Text(s)})
		}
	}
	personal := func(term, name string, p journal.Personal[string]) {
		switch s := c.personal(p); {
		case s == plain.Mask && shown.value == name:
			text(term, p.Value)
		case s == plain.Mask && c.permitted(team.RevealedDataView):
			out = append(out, ui.Pair{Term: term, Value: revealButton(at, name, "", term)})
		default:
			text(term, s)
		}
	}
	if name := strings.TrimSpace(who.FirstName.Value + " " + who.LastName.Value); name != "" && !c.permitted(team.PersonalDataView) {
		personal("Name", customer.RevealName, journal.Secluded(name))
	}
	personal("E-mail", customer.RevealEmail, who.Email)
	personal("Telephone", customer.RevealPhone, who.Phone)
	text("Language", who.Locale)
	text("Tags", strings.Join(who.Tags, ", "))
	text("Since", who.CreatedAt.In(c.here().zone).Format("2 January 2006"))
	return append(out, ui.Pair{Term: "Id", Value: ui.Code(string(who.ID))})
}

func (c *call) customerShown(who *customer.Customer, shown revealed) (answer, error) {
	v := customerView{Who: who, At: "/customers/" + string(who.ID), Name: c.called(who), MayEdit: c.permitted(team.CustomersEdit) && who.Status == customer.Active, MayMake: c.permitted(team.SubscriptionsEdit) && who.Status == customer.Active, MayMail: c.Mail != nil}
	v.Profile = c.profile(v.At, who, shown)
	t, err := c.Store.Totals(c.ctx, c.Store.Read, who.ID)
	if err != nil {
		return answer{}, store.Fault(err)
	}
	v.Tiles = []ui.Tile{{Label: "Spent", Value: c.cash(money.Of(t.Paid, c.here().general.Currency)), Note: "refunds taken off"}, {Label: "Orders", Value: ui.Grouped(t.Orders)}, {Label: "Subscriptions", Value: ui.Grouped(t.Subscriptions)}}
	mine := query.Is(query.Customer, who.ID)
	if v.SeesSubscriptions = c.permitted(team.SubscriptionsView); v.SeesSubscriptions {
		rows, err := c.rows(journal.Subscription, query.Newest, mine)
		if err != nil {
			return answer{}, err
		}
		if v.Subscriptions, err = c.subscriptionRows(rows); err != nil {
			return answer{}, err
		}
		if v.Orders, err = c.orderLines(query.Customer, who.ID); err != nil {
			return answer{}, err
		}
	}
	addresses, err := c.allRows(journal.Address, query.Oldest, mine)
	if err != nil {
		return answer{}, err
	}
	for _, r := range addresses {
		if a := r.State.(*customer.Address); a.Status == customer.StatusActive {
			line := addressLine{a.ID, c.addressLines(a), a.ID == who.DefaultAddressID, !c.permitted(team.PersonalDataView) && c.permitted(team.RevealedDataView)}
			if line.Masked && shown.address == a.ID {
				line.Lines, line.Masked = parcelLines(a), false
			}
			v.Addresses = append(v.Addresses, line)
		}
	}
	methods, err := c.allRows(journal.PaymentMethod, query.Oldest, mine)
	if err != nil {
		return answer{}, err
	}
	for _, r := range methods {
		if m := r.State.(*customer.PaymentMethod); m.Status == customer.StatusActive || m.Status == customer.StatusExpired {
			v.Methods = append(v.Methods, methodLine{m.ID, c.method(m), m.ID == who.DefaultPaymentMethodID, m.ID == who.BackupPaymentMethodID, m.Status == customer.StatusExpired})
		}
	}
	v.Zone = c.here().zone
	if v.Sessions, err = c.portalSessions(who); err != nil {
		return answer{}, err
	}
	l := observe.Log{Name: "customer", Customer: who.ID}
	_, entries, err := c.foldedLines(find.Filter{Scope: who.ID}, -1, linesOnCard, l)
	if err != nil {
		return answer{}, err
	}
	v.Log = ui.Days(entries, c.Program.Now())
	c.viewed(l)
	a := answer{title: v.Name, head: ui.Head{Crumbs: []ui.Link{{Href: "/customers", Text: "Customers"}}}, body: customerBody(v)}
	if who.Status == customer.Redacted {
		a.head.Badge = &ui.Badge{Text: "Erased", Icon: "ban"}
		a.head.Lead = map[string]string{
			customer.GatewayDataDue:     "The payment gateway is asked to delete this customer as soon as none of their money can move any more.",
			customer.GatewayDataFailing: "The payment gateway did not delete this customer yet. It is asked again at least once a day.",
			customer.GatewayDataErased:  "The payment gateway keeps nothing of this customer any more.",
		}[who.GatewayData]
		return a, nil
	}
	a.act = customerActions(v, c.permitted(team.PersonalDataEdit))
	return a, nil
}

// portalSessions are a customer's running sessions in the Portal, with the looks that the team takes there.
func (c *call) portalSessions(who *customer.Customer) (out []sessionView, err error) {
	list, err := notify.Sessions(c.ctx, c.Store, who, c.Program.Now())
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		from, err := c.origin(c.ctx, s.ID)
		if err != nil {
			return nil, err
		}
		v := sessionView{ID: s.ID, Device: deviceWords(from.UserAgent), IP: journal.Personal[string]{Value: c.personal(from.IP)}, Since: s.CreatedAt, Seen: s.SeenAt}
		if !c.permitted(team.PersonalDataView) {
			v.Device = plain.Mask
		}
		out = append(out, v)
	}
	return out, nil
}

// endPortalSessions signs a customer out of the Portal everywhere.
func (c *call) endPortalSessions() (answer, error) {
	who, _, err := c.customer()
	if err != nil {
		return answer{}, err
	}
	list, err := c.Store.Sessions(c.ctx, c.Store.Read, who.Ref(), c.Program.Now(), time.Time{})
	if err != nil {
		return answer{}, store.Fault(err)
	}
	end := customer.EndSessions{CustomerID: who.ID, Why: "revoked"}
	for _, s := range list {
		end.Sessions = append(end.Sessions, s.ID)
	}
	if len(end.Sessions) > 0 {
		if err := c.do(&program.Request{Command: journal.Bind(end), Machinery: func(b *store.Batch) error { return b.EndSessions(end.Sessions...) }}); err != nil {
			return answer{}, err
		}
	}
	return c.done("/customers/"+string(who.ID), "The customer is signed out of the portal everywhere.", nil)
}

// portalLink makes a link that lets the customer into the Portal, and shows it once.
func (c *call) portalLink() (answer, error) {
	who, _, err := c.customer()
	if err != nil {
		return answer{}, err
	}
	link := notify.NewPortalLink(cmp.Or(c.PortalURL, c.BaseURL+"/portal"), who.ID, c.IDs.New(id.SignIn), notify.Mailbox(c.Store, who),
		c.Program.Now())
	mailed := c.Mail != nil && c.r.PostFormValue("mail") != ""
	if mailed {
		if err := link.Mail(c.Store, c.IDs.New(id.Message), who.ID, c.Program.Now()); err != nil {
			return answer{}, err
		}
	}
	if _, err := c.run(&program.Request{Command: link.Command, Machinery: link.Machinery}); err != nil {
		return answer{}, err
	}
	if mailed {
		c.note("The link is on its way to the customer.")
		return answer{to: "/customers/" + string(who.ID)}, nil
	}
	return page("Send this link", boxed(portalLinkShown(link.URL, when(link.Expires, c.here().zone), "/customers/"+string(who.ID)))), nil
}

// dataCopy sends everything that the shop keeps about a customer.
func (c *call) dataCopy() (answer, error) {
	if c.DataCopy == nil {
		return answer{}, fault.New(fault.Unavailable, "no_copies", "This server hands out no copies.")
	}
	b, err := c.DataCopy(c.ctx, c.meta, id.ID(c.r.PathValue("id")), part(c))
	if err != nil {
		return answer{}, err
	}
	return c.file("application/json", "customer-data.json", b)
}
