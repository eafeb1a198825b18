package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/notify"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
)

// customerView is a customer as clients see them. Counts and sums are put together when it is read.
type customerView struct {
	ID                     id.ID                    `json:"id"`
	Version                int64                    `json:"version"`
	Email                  journal.Personal[string] `json:"email"`
	FirstName              journal.Personal[string] `json:"first_name"`
	LastName               journal.Personal[string] `json:"last_name"`
	Phone                  journal.Personal[string] `json:"phone"`
	Locale                 string                   `json:"locale" doc:"BCP 47."`
	Tags                   []string                 `json:"tags" nullable:"false"`
	DefaultAddressID       *id.ID                   `json:"default_address_id"`
	DefaultPaymentMethodID *id.ID                   `json:"default_payment_method_id"`
	BackupPaymentMethodID  *id.ID                   `json:"backup_payment_method_id"`
	SubscriptionCount      int64                    `json:"subscription_count" doc:"In any status."`
	OrderCount             int64                    `json:"order_count" doc:"In any status."`
	TotalSpent             money.Amount             `json:"total_spent" doc:"What was paid, refunds taken off."`
	CreatedAt              journal.Time             `json:"created_at"`
	GatewayData            *string                  `json:"gateway_data" enum:"due,failing,erased" doc:"Whether the payment gateway still keeps data of a customer who was erased: due, it is deleted when no money can move any more; failing, the gateway refuses or does not answer. Null for everybody else."`
}

type addressView struct {
	ID         id.ID                    `json:"id"`
	Version    int64                    `json:"version"`
	FirstName  journal.Personal[string] `json:"first_name"`
	LastName   journal.Personal[string] `json:"last_name"`
	Company    journal.Personal[string] `json:"company"`
	Line1      journal.Personal[string] `json:"line1"`
	Line2      journal.Personal[string] `json:"line2"`
	City       journal.Personal[string] `json:"city"`
	Region     journal.Personal[string] `json:"region"`
	PostalCode journal.Personal[string] `json:"postal_code"`
	Country    string                   `json:"country" doc:"ISO 3166-1 alpha-2."`
	Phone      journal.Personal[string] `json:"phone"`
}

type paymentMethodView struct {
	ID               id.ID                    `json:"id"`
	Version          int64                    `json:"version"`
	Gateway          string                   `json:"gateway"`
	GatewayReference journal.Personal[string] `json:"gateway_reference" doc:"What the gateway calls it. Card numbers are never kept here."`
	Brand            string                   `json:"brand"`
	Last4            journal.Personal[string] `json:"last4"`
	ExpMonth         int                      `json:"exp_month" doc:"1 to 12; 0 when it does not expire."`
	ExpYear          int                      `json:"exp_year" doc:"0 when it does not expire."`
	Status           string                   `json:"status" enum:"active,expired,removed,redacted"`
	RefusedAt        *journal.Time            `json:"refused_at" doc:"When the gateway refused it for good: others are charged before it. Null: it did not, or it was renewed since."`
}

type portalLinkBody struct {
	Commented
	Mail bool `json:"mail,omitempty" doc:"Sends the link to the customer by e-mail, too."`
}

type portalLinkView struct {
	URL       string       `json:"url" doc:"Lets the customer into the portal, once. It is shown only now."`
	ExpiresAt journal.Time `json:"expires_at"`
}

func (v customerView) resourceVersion() int64      { return v.Version }
func (v addressView) resourceVersion() int64       { return v.Version }
func (v paymentMethodView) resourceVersion() int64 { return v.Version }

func viewCustomer(q program.Query, _ journal.Ref, row store.Row) (customerView, error) {
	s, ok := row.State.(*customer.Customer)
	if !ok {
		return customerView{}, fault.New(fault.NotFound, "unknown_customer", "There is no such customer in this shop.")
	}
	t, err := q.S.Totals(q.Ctx, q.Q, s.ID)
	if err != nil {
		return customerView{}, err
	}
	general, err := journal.Get[settings.General](program.NewReader(q.Ctx, q.S, q.Q), journal.Settings, settings.PageGeneral)
	if err != nil {
		return customerView{}, err
	}
	c := callOf(q.Ctx)
	return customerView{
		ID: s.ID, Version: row.Version, Email: c.text(s.Email), FirstName: c.text(s.FirstName), LastName: c.text(s.LastName), Phone: c.text(s.Phone),
		Locale: s.Locale, Tags: slice(s.Tags), DefaultAddressID: nullable(s.DefaultAddressID), DefaultPaymentMethodID: nullable(s.DefaultPaymentMethodID),
		BackupPaymentMethodID: nullable(s.BackupPaymentMethodID), SubscriptionCount: t.Subscriptions, OrderCount: t.Orders,
		TotalSpent: money.Of(t.Paid, general.Currency), CreatedAt: s.CreatedAt,
		GatewayData: filled(s.GatewayData),
	}, nil
}

func viewAddress(q program.Query, _ journal.Ref, row store.Row) (addressView, error) {
	s, ok := row.State.(*customer.Address)
	if !ok {
		return addressView{}, fault.New(fault.NotFound, "unknown_address", "There is no such address in this shop.")
	}
	c := callOf(q.Ctx)
	return addressView{
		ID: s.ID, Version: row.Version, FirstName: c.text(s.FirstName), LastName: c.text(s.LastName), Company: c.text(s.Company), Line1: c.text(s.Line1),
		Line2: c.text(s.Line2), City: c.text(s.City), Region: c.text(s.Region), PostalCode: c.text(s.PostalCode), Country: s.Country, Phone: c.text(s.Phone),
	}, nil
}

func viewPaymentMethod(q program.Query, _ journal.Ref, row store.Row) (paymentMethodView, error) {
	s, ok := row.State.(*customer.PaymentMethod)
	if !ok {
		return paymentMethodView{}, fault.New(fault.NotFound, "unknown_payment_method", "There is no such payment method in this shop.")
	}
	c := callOf(q.Ctx)
	return paymentMethodView{
		ID: s.ID, Version: row.Version, Gateway: s.Gateway, GatewayReference: c.text(s.GatewayReference), Brand: s.Brand, Last4: c.text(s.Last4),
		ExpMonth: s.ExpMonth, ExpYear: s.ExpYear, Status: s.Status, RefusedAt: s.RefusedAt,
	}, nil
}

// AddressFields and PaymentMethodFields are embedded in bodies. They have the fields of the domain's types of the same
// names, in their order, so that one converts to the other.
type (
	AddressFields struct {
		FirstName  *string `json:"first_name,omitempty"`
		LastName   *string `json:"last_name,omitempty"`
		Company    *string `json:"company,omitempty"`
		Line1      *string `json:"line1,omitempty" doc:"A new address needs it."`
		Line2      *string `json:"line2,omitempty"`
		City       *string `json:"city,omitempty" doc:"A new address needs it."`
		Region     *string `json:"region,omitempty"`
		PostalCode *string `json:"postal_code,omitempty"`
		Country    *string `json:"country,omitempty" doc:"ISO 3166-1 alpha-2. A new address needs it."`
		Phone      *string `json:"phone,omitempty"`
	}
	PaymentMethodFields struct {
		GatewayReference *string `json:"gateway_reference,omitempty" doc:"What the gateway calls it; a new method needs it. Never a card number."`
		Brand            *string `json:"brand,omitempty"`
		Last4            *string `json:"last4,omitempty"`
		ExpMonth         *int    `json:"exp_month,omitempty" doc:"1 to 12; 0 with the year 0 when it does not expire."`
		ExpYear          *int    `json:"exp_year,omitempty"`
	}
)

type (
	customerFilter struct {
		Page
		Status string `query:"status" enum:"active,redacted"`
		Tag    string `query:"tag" maxLength:"50"`
		Q      string `query:"q" maxLength:"200" doc:"A name, an e-mail or an id."`
	}
	addressFilter struct {
		ID string `path:"id"`
		Page
		Status string `query:"status" enum:"active,removed,redacted" doc:"Without it, those that were removed are left out."`
	}
	paymentMethodFilter struct {
		ID string `path:"id"`
		Page
		Status string `query:"status" enum:"active,expired,removed,redacted" doc:"Without it, those that were removed are left out."`
	}
	createCustomer struct {
		Commented
		Email     string   `json:"email"`
		FirstName string   `json:"first_name,omitempty"`
		LastName  string   `json:"last_name,omitempty"`
		Phone     string   `json:"phone,omitempty"`
		Locale    string   `json:"locale,omitempty" doc:"BCP 47; the shop's when left out."`
		Tags      []string `json:"tags,omitempty"`
	}
	patchCustomer struct {
		Commented
		Email     *string   `json:"email,omitempty" doc:"Needs the permission personal_data.view too: whoever gets its mail can enter the portal."`
		FirstName *string   `json:"first_name,omitempty"`
		LastName  *string   `json:"last_name,omitempty"`
		Phone     *string   `json:"phone,omitempty"`
		Locale    *string   `json:"locale,omitempty"`
		Tags      *[]string `json:"tags,omitempty" nullable:"false"`
	}
	addressBody struct {
		Commented
		AddressFields
	}
	createPaymentMethod struct {
		Commented
		Gateway string `json:"gateway"`
		PaymentMethodFields
	}
	patchPaymentMethod struct {
		Commented
		PaymentMethodFields
	}
	defaultAddressBody struct {
		Commented
		AddressID id.ID `json:"address_id"`
	}
	defaultPaymentMethodBody struct {
		Commented
		PaymentMethodID id.ID `json:"payment_method_id"`
	}
)

func customerRef(key string) journal.Ref { return journal.Ref{Kind: journal.Customer, ID: id.ID(key)} }

func (a *API) customers() {
	a.views[journal.Customer] = anyView(viewCustomer)
	const tag = "Customers"
	view, edit := team.CustomersView, team.CustomersEdit
	list(a, route{method: http.MethodGet, path: "/customers", tag: tag, summary: "List customers, newest first", permission: view},
		func(in *customerFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f }, a.listCustomers, func(v customerView) string { return string(v.ID) })
	readThing(a, route{method: http.MethodGet, path: "/customers/{id}", tag: tag, summary: "Read a customer", permission: view}, journal.Customer, viewCustomer)
	change(a, route{method: http.MethodPost, path: "/customers", tag: tag, summary: "Create a customer", permission: edit, status: http.StatusCreated, events: []journal.Name{journal.CustomerCreated}},
		func(_ context.Context, in *withBody[createCustomer]) (plan, error) {
			b := in.Body
			c := customer.Create{ID: a.newID(id.Customer), Email: b.Email, FirstName: b.FirstName, LastName: b.LastName, Phone: b.Phone, Locale: b.Locale, Tags: b.Tags}
			return plan{command: journal.Bind(c), location: "/customers/%s"}, nil
		}, viewCustomer)
	change(a, route{method: http.MethodPatch, path: "/customers/{id}", tag: tag, summary: "Change a customer's profile", permission: edit,
		besides: "personal_data.view for a new e-mail address",
		events:  []journal.Name{journal.CustomerProfileUpdated, journal.CustomerEmailChanged}},
		func(_ context.Context, in *onThing[patchCustomer]) (plan, error) {
			b := in.Body
			c := customer.UpdateProfile{ID: id.ID(in.ID), Email: b.Email, FirstName: b.FirstName, LastName: b.LastName, Phone: b.Phone, Locale: b.Locale, Tags: b.Tags}
			p := plan{command: journal.Bind(c), target: customerRef(in.ID)}
			if b.Email != nil && !strings.Contains(*b.Email, plain.Mask) { // a mask is refused for what it is
				p.needs = []team.Permission{team.PersonalDataView} // whose address it is gets a code for the Portal
			}
			return p, nil
		}, viewCustomer)
	change(a, route{method: http.MethodPut, path: "/customers/{id}/default-address", tag: tag, summary: "Choose where new subscriptions ship to", permission: edit,
		events: []journal.Name{journal.CustomerDefaultAddressChanged}},
		func(_ context.Context, in *onThing[defaultAddressBody]) (plan, error) {
			c := customer.SetDefaultAddress{CustomerID: id.ID(in.ID), AddressID: in.Body.AddressID}
			return plan{command: journal.Bind(c), target: customerRef(in.ID)}, nil
		}, viewCustomer)
	change(a, route{method: http.MethodPut, path: "/customers/{id}/default-payment-method", tag: tag, summary: "Choose what new subscriptions are charged to", permission: edit,
		events: []journal.Name{journal.PaymentMethodDefaultChanged, journal.PaymentMethodBackupSet}},
		func(_ context.Context, in *onThing[defaultPaymentMethodBody]) (plan, error) {
			c := customer.SetDefaultPaymentMethod{CustomerID: id.ID(in.ID), PaymentMethodID: in.Body.PaymentMethodID}
			return plan{command: journal.Bind(c), target: customerRef(in.ID)}, nil
		}, viewCustomer)
	change(a, route{method: http.MethodPut, path: "/customers/{id}/backup-payment-method", tag: tag, summary: "Choose what is tried when the default method fails; null for nothing", permission: edit,
		events: []journal.Name{journal.PaymentMethodBackupSet}},
		func(_ context.Context, in *onThing[methodBody]) (plan, error) {
			c := customer.SetBackupPaymentMethod{CustomerID: id.ID(in.ID), PaymentMethodID: deref(in.Body.PaymentMethodID)}
			return plan{command: journal.Bind(c), target: customerRef(in.ID)}, nil
		}, viewCustomer)
	changeShown(a, route{method: http.MethodPost, path: "/customers/{id}/portal-link", tag: tag, summary: "Make a link that lets the customer into the portal", permission: edit, also: []team.Permission{team.PersonalDataView},
		status: http.StatusCreated, events: []journal.Name{journal.CustomerMagicLinkCreated}}, a.portalLink)
	a.addresses()
	a.paymentMethods()
	a.personalData()
}

func (a *API) addresses() {
	a.views[journal.Address] = anyView(viewAddress)
	const tag = "Customers"
	view, edit := team.CustomersView, team.CustomersEdit
	const all, single = "/customers/{id}/addresses", "/customers/{id}/addresses/{part}"
	list(a, route{method: http.MethodGet, path: all, tag: tag, summary: "List a customer's addresses, newest first", permission: view},
		func(in *addressFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f },
		func(ctx context.Context, in *addressFilter, limit int, after string) ([]addressView, error) {
			w := query.Shelf(in.Status, customer.StatusRemoved)
			return partsOf(ctx, a, customerRef(in.ID), journal.Address, w, limit, after, viewAddress)
		}, func(v addressView) string { return string(v.ID) })
	readPart(a, route{method: http.MethodGet, path: single, tag: tag, summary: "Read an address", permission: view}, journal.Address, viewAddress)
	change(a, route{method: http.MethodPost, path: all, tag: tag, summary: "Add an address", permission: edit, status: http.StatusCreated,
		events: []journal.Name{journal.AddressAdded, journal.CustomerDefaultAddressChanged}},
		func(_ context.Context, in *onThing[addressBody]) (plan, error) {
			c := customer.AddAddress{ID: a.newID(id.Address), CustomerID: id.ID(in.ID), Fields: customer.AddressFields(in.Body.AddressFields)}
			return plan{command: journal.Bind(c), target: customerRef(in.ID), location: "/customers/" + in.ID + "/addresses/%s"}, nil
		}, viewAddress)
	change(a, route{method: http.MethodPatch, path: single, tag: tag, summary: "Change an address", permission: edit, events: []journal.Name{journal.AddressUpdated}},
		func(_ context.Context, in *onPart[addressBody]) (plan, error) {
			c := customer.UpdateAddress{ID: id.ID(in.Part), CustomerID: id.ID(in.ID), Fields: customer.AddressFields(in.Body.AddressFields)}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.Address, ID: c.ID}}, nil
		}, viewAddress)
	change(a, route{method: http.MethodDelete, path: single, tag: tag, summary: "Remove an address", permission: edit,
		events: []journal.Name{journal.AddressRemoved, journal.CustomerDefaultAddressChanged}},
		func(_ context.Context, in *dropPart) (plan, error) {
			c := customer.RemoveAddress{ID: id.ID(in.Part), CustomerID: id.ID(in.ID)}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.Address, ID: c.ID}}, nil
		}, viewAddress)
}

func (a *API) paymentMethods() {
	a.views[journal.PaymentMethod] = anyView(viewPaymentMethod)
	const tag = "Customers"
	view, edit := team.CustomersView, team.CustomersEdit
	const all, single = "/customers/{id}/payment-methods", "/customers/{id}/payment-methods/{part}"
	list(a, route{method: http.MethodGet, path: all, tag: tag, summary: "List a customer's payment methods, newest first", permission: view},
		func(in *paymentMethodFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f },
		func(ctx context.Context, in *paymentMethodFilter, limit int, after string) ([]paymentMethodView, error) {
			w := query.Shelf(in.Status, customer.StatusRemoved)
			return partsOf(ctx, a, customerRef(in.ID), journal.PaymentMethod, w, limit, after, viewPaymentMethod)
		}, func(v paymentMethodView) string { return string(v.ID) })
	readPart(a, route{method: http.MethodGet, path: single, tag: tag, summary: "Read a payment method", permission: view}, journal.PaymentMethod, viewPaymentMethod)
	change(a, route{method: http.MethodPost, path: all, tag: tag, summary: "Add a payment method that the gateway keeps", permission: edit, status: http.StatusCreated,
		events: []journal.Name{journal.PaymentMethodAdded, journal.PaymentMethodDefaultChanged}},
		func(_ context.Context, in *onThing[createPaymentMethod]) (plan, error) {
			c := customer.AddPaymentMethod{ID: a.newID(id.PaymentMethod), CustomerID: id.ID(in.ID), Gateway: in.Body.Gateway, Fields: customer.PaymentMethodFields(in.Body.PaymentMethodFields)}
			return plan{command: journal.Bind(c), target: customerRef(in.ID), location: "/customers/" + in.ID + "/payment-methods/%s"}, nil
		}, viewPaymentMethod)
	change(a, route{method: http.MethodPatch, path: single, tag: tag, summary: "Change a payment method, such as one that was renewed", permission: edit,
		events: []journal.Name{journal.PaymentMethodUpdated}},
		func(_ context.Context, in *onPart[patchPaymentMethod]) (plan, error) {
			c := customer.UpdatePaymentMethod{ID: id.ID(in.Part), CustomerID: id.ID(in.ID), Fields: customer.PaymentMethodFields(in.Body.PaymentMethodFields)}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.PaymentMethod, ID: c.ID}}, nil
		}, viewPaymentMethod)
	change(a, route{method: http.MethodDelete, path: single, tag: tag, summary: "Remove a payment method", permission: edit,
		events: []journal.Name{journal.PaymentMethodRemoved, journal.PaymentMethodDefaultChanged, journal.PaymentMethodBackupSet}},
		func(_ context.Context, in *dropPart) (plan, error) {
			c := customer.RemovePaymentMethod{ID: id.ID(in.Part), CustomerID: id.ID(in.ID)}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.PaymentMethod, ID: c.ID}}, nil
		}, viewPaymentMethod)
}

func (a *API) portalLink(ctx context.Context, in *onThingMaybe[portalLinkBody]) (plan, viewOf[portalLinkView], error) {
	basis := "" // of nobody, whom the command does not know either
	who, err := journal.Find[customer.Customer](program.NewReader(ctx, a.Store, a.Store.Read), journal.Customer, id.ID(in.ID))
	if err != nil {
		return plan{}, nil, err
	}
	if who != nil {
		basis = notify.Mailbox(a.Store, who)
	}
	l := notify.NewPortalLink(cmp.Or(a.PortalURL, a.BaseURL+"/portal"), id.ID(in.ID), a.newID(id.SignIn), basis, a.now())
	if b := in.Body; b != nil && b.Mail {
		if !a.Mails {
			return plan{}, nil, fault.New(fault.Unavailable, "no_mail", "This server sends no messages. Give the link to the customer yourself.")
		}
		if err := l.Mail(a.Store, a.newID(id.Message), id.ID(in.ID), a.now()); err != nil {
			return plan{}, nil, err
		}
	}
	p := plan{command: l.Command, target: customerRef(in.ID), once: true, machinery: l.Machinery}
	return p, func(program.Query, journal.Ref, store.Row) (portalLinkView, error) {
		return portalLinkView{URL: l.URL, ExpiresAt: journal.At(l.Expires)}, nil
	}, nil
}

func (a *API) listCustomers(ctx context.Context, in *customerFilter, limit int, after string) ([]customerView, error) {
	where, keep := query.IsGiven(query.Status, in.Status), func(journal.State) bool { return true }
	if in.Tag != "" {
		quoted, err := jsontext.AppendQuote(nil, in.Tag)
		if err != nil {
			return nil, refused("/query/tag", "not_utf8", "This is not valid UTF-8.")
		}
		where = append(where, query.Mentions(string(quoted)))
		keep = func(s journal.State) bool { return slices.Contains(s.(*customer.Customer).Tags, in.Tag) }
	}
	if in.Q != "" {
		people, err := a.Finder.People(ctx, in.Q, 200)
		if err != nil {
			return nil, err
		}
		where = append(where, query.In(query.ID, people))
	}
	return rowsThat(ctx, a, journal.Customer, where, keep, limit, after, viewCustomer)
}
