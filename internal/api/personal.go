package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"perennial/internal/billing"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/privacy"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/team"
	"perennial/internal/view"
)

// text gives a personal text as the caller may see it: masked without the permission personal_data.view.
func (c *call) text(p journal.Personal[string]) journal.Personal[string] {
	if !p.Erased {
		p.Value = c.words(p.Value)
	}
	return p
}

// shipTo gives an address as the caller may see it. A country is nobody's own.
func (c *call) shipTo(p journal.Personal[*billing.ShipTo]) journal.Personal[*billing.ShipTo] {
	if p.Erased || p.Value == nil {
		return p
	}
	a := p.Value
	p.Value = &billing.ShipTo{FirstName: c.words(a.FirstName), LastName: c.words(a.LastName), Company: c.words(a.Company), Line1: c.words(a.Line1), Line2: c.words(a.Line2),
		City: c.words(a.City), Region: c.words(a.Region), PostalCode: c.words(a.PostalCode), Country: a.Country, Phone: c.words(a.Phone)}
	return p
}

func (c *call) words(s string) string {
	if !c.personal && s != "" {
		return view.Mask
	}
	c.shown = c.shown || s != ""
	return s
}

// attributes masks the values: the names are the shop's own.
func (c *call) attributes(p journal.Personal[map[string]string]) journal.Personal[map[string]string] {
	out := make(map[string]string, len(p.Value))
	for name, v := range p.Value {
		out[name] = c.words(v)
	}
	p.Value = out
	return p
}

// gifts masks everything of a gift but its date and country.
func (c *call) gifts(p journal.Personal[[]subscription.Gift]) journal.Personal[[]subscription.Gift] {
	out := make([]subscription.Gift, len(p.Value))
	for i, g := range p.Value {
		to := g.Address
		for _, s := range []*string{&g.Message, &to.FirstName, &to.LastName, &to.Company, &to.Line1, &to.Line2, &to.City, &to.Region, &to.PostalCode, &to.Phone} {
			*s = c.words(*s)
		}
		g.Address = to
		out[i] = g
	}
	p.Value = out
	return p
}

type (
	redactBody struct {
		Commented
		ConfirmEmail string `json:"confirm_email" doc:"The customer's e-mail address, so that nobody erases the wrong person by a slip."`
	}
	jobInput struct {
		ID  string `path:"id"`
		Job string `path:"job"`
	}
	// jobView is a piece of work that somebody asked for.
	jobView struct {
		ID         id.ID        `json:"id"`
		Version    int64        `json:"version"`
		Kind       string       `json:"kind" enum:"data_request"`
		Status     string       `json:"status" enum:"completed" doc:"The copy is put together when it is read, so it is there at once."`
		CustomerID id.ID        `json:"customer_id"`
		URL        string       `json:"url" doc:"Where the copy is. It takes the permissions personal_data.edit and personal_data.view to read it."`
		CreatedAt  journal.Time `json:"created_at"`
	}
	// CopiedOrder is an order with what only the customer's copy shows of it.
	CopiedOrder struct {
		OrderView
		GiftMessage journal.Personal[string] `json:"gift_message"`
		TrackingURL journal.Personal[string] `json:"tracking_url"`
	}
	// dataCopy is everything that the shop knows of a customer.
	dataCopy struct {
		Job            jobView             `json:"job"`
		Customer       customerView        `json:"customer"`
		Addresses      []addressView       `json:"addresses" nullable:"false"`
		PaymentMethods []paymentMethodView `json:"payment_methods" nullable:"false"`
		Subscriptions  []subscriptionView  `json:"subscriptions" nullable:"false"`
		Orders         []CopiedOrder       `json:"orders" nullable:"false"`
		Log            []view.Event        `json:"log" nullable:"false" doc:"The customer's log, oldest first."`
	}
)

func (v jobView) resourceVersion() int64  { return v.Version }
func (v dataCopy) resourceVersion() int64 { return v.Job.Version }

// personalData registers what the law asks of a shop: the copy of a customer's data, and its erasure.
func (a *API) personalData() {
	const tag = "Customers"
	edit := team.PersonalDataEdit
	change(a, route{method: http.MethodPost, path: "/customers/{id}/data-request", tag: tag, summary: "Ask for a copy of the customer's data", permission: edit,
		status: http.StatusAccepted, events: []journal.Name{journal.CustomerDataRequested}},
		func(_ context.Context, in *onThingMaybe[noBody]) (plan, error) {
			c := customer.RequestData{CustomerID: id.ID(in.ID), RequestID: a.newID(id.Job)}
			return plan{command: journal.Bind(c), target: customerRef(in.ID), location: "/customers/" + in.ID + "/data-request/%s"}, nil
		}, a.viewDataRequest)
	read(a, route{method: http.MethodGet, path: "/customers/{id}/data-request/{job}", tag: tag, summary: "The copy of the customer's data that was asked for", permission: edit,
		also: []team.Permission{team.PersonalDataView}}, a.dataCopy)
	change(a, route{method: http.MethodPost, path: "/customers/{id}/redact", tag: tag, summary: "Erase the customer's personal data for ever", permission: edit,
		events: privacy.Types()},
		func(_ context.Context, in *onThing[redactBody]) (plan, error) {
			return plan{command: journal.Bind(privacy.Redact{CustomerID: id.ID(in.ID), ConfirmEmail: in.Body.ConfirmEmail}), target: customerRef(in.ID)}, nil
		}, viewCustomer)
}

// viewDataRequest shows a request from the only entry that there is of it.
func (a *API) viewDataRequest(q program.Query, ref journal.Ref, row store.Row) (jobView, error) {
	unknown := fault.New(fault.NotFound, "unknown_request", "This customer has no data request %s.", printable(string(ref.ID)))
	if row.Version == 0 {
		return jobView{}, unknown
	}
	e, err := q.S.Event(q.Ctx, q.Q, store.Closed, row.LastSeq)
	if err != nil {
		return jobView{}, err
	}
	of := slices.IndexFunc(e.Targets, func(t journal.Ref) bool { return t.Kind == journal.Customer })
	if e.Type != journal.CustomerDataRequested || of < 0 {
		return jobView{}, unknown
	}
	v := jobView{ID: ref.ID, Version: row.Version, Kind: "data_request", Status: "completed", CustomerID: e.Targets[of].ID, CreatedAt: journal.At(e.RecordedAt)}
	v.URL = fmt.Sprintf("%s%s/customers/%s/data-request/%s", a.BaseURL, Base, v.CustomerID, v.ID)
	return v, nil
}

// dataCopy puts together everything that the shop knows of a customer, personal values included: whoever reads it may see them.
func (a *API) dataCopy(ctx context.Context, in *jobInput) (out dataCopy, err error) {
	ref := journal.Ref{Kind: journal.Request, ID: id.ID(in.Job)}
	row, err := a.Store.Load(ctx, a.Store.Read, ref)
	if err != nil {
		return out, err
	}
	if out.Job, err = a.viewDataRequest(a.query(ctx), ref, row); err != nil {
		return out, err
	}
	if out.Job.CustomerID != id.ID(in.ID) {
		return out, fault.New(fault.NotFound, "unknown_request", "This customer has no data request %s.", printable(in.Job))
	}
	person, row, err := a.get(ctx, journal.Customer, in.ID)
	if err != nil {
		return out, err
	}
	if row.State.(*customer.Customer).Status == customer.Redacted {
		return out, fault.New(fault.Gone, "erased", "The customer's personal data was erased after it was asked for.")
	}
	c := callOf(ctx)
	open := *c
	open.personal = true
	ctx = context.WithValue(ctx, callKey{}, &open)
	if out.Customer, err = viewCustomer(a.query(ctx), person, row); err != nil {
		return out, err
	}
	if out.Addresses, err = owned(ctx, a, journal.Address, person.ID, viewAddress); err != nil {
		return out, err
	}
	if out.PaymentMethods, err = owned(ctx, a, journal.PaymentMethod, person.ID, viewPaymentMethod); err != nil {
		return out, err
	}
	if out.Subscriptions, err = owned(ctx, a, journal.Subscription, person.ID, viewSubscription); err != nil {
		return out, err
	}
	if out.Orders, err = owned(ctx, a, journal.Order, person.ID, viewCopiedOrder); err != nil {
		return out, err
	}
	if out.Log, err = a.ownLog(ctx, person.ID); err != nil {
		return out, err
	}
	a.view(c, observe.Log{Name: "customer", Customer: person.ID})
	return out, nil
}

// DataCopy is the copy of a customer's data as JSON, for somebody who asks by another way than the API.
func (a *API) DataCopy(ctx context.Context, m program.Meta, customerID, request id.ID) ([]byte, error) {
	ctx = context.WithValue(ctx, callKey{}, &call{key: &team.Key{ID: id.ID(m.Actor.ID)}, meta: m, personal: true})
	out, err := a.dataCopy(ctx, &jobInput{ID: string(customerID), Job: string(request)})
	if err != nil {
		return nil, err
	}
	return encode(out)
}

// owned gives all rows of a kind that belong to a customer, oldest first, those that were removed included.
func owned[V any](ctx context.Context, a *API, kind journal.Kind, person id.ID, show viewOf[V]) ([]V, error) {
	rows, err := query.Rows(ctx, a.Store, query.List{Kind: kind, Where: []query.Filter{query.Is(query.Customer, person)}, Steady: true})
	if err != nil {
		return nil, err
	}
	return shown(a.query(ctx), rows, show)
}

func viewCopiedOrder(q program.Query, ref journal.Ref, row store.Row) (CopiedOrder, error) {
	v, err := viewOrder(q, ref, row)
	if err != nil {
		return CopiedOrder{}, err
	}
	o := row.State.(*billing.Order)
	return CopiedOrder{v, o.GiftMessage, o.TrackingURL}, nil
}

// ownLog gives the customer's log without what it says of other people: who of the team acted, and from where.
func (a *API) ownLog(ctx context.Context, person id.ID) ([]view.Event, error) {
	r := view.Unmasked(ctx, a.Store)
	out := []view.Event{}
	after := int64(-1)
	for {
		page, err := a.Finder.Page(ctx, store.Opened, find.Filter{Scope: person, Oldest: true}, after, downloadPage)
		if err == nil {
			err = view.Whole(page.Check)
		}
		if err != nil {
			return nil, store.Fault(err)
		}
		events, err := r.Render(page.Entries)
		if err != nil {
			return nil, err
		}
		view.Mark(events, page.Check)
		for _, e := range events {
			if e.Actor.Kind != string(journal.ActorCustomer) {
				e.Source.IP, e.Source.UserAgent = view.MaybePersonal{}, view.MaybePersonal{}
			}
			if e.Actor.Kind == string(journal.ActorTeamMember) {
				e.Actor.Display, e.Actor.Now = "The team", ""
			}
			out = append(out, e)
		}
		if !page.More {
			return out, nil
		}
		after = page.Entries[len(page.Entries)-1].Seq
	}
}
