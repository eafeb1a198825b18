package dashboard

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/money"
	"perennial/internal/observe"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

func (d *Dashboard) registerSubscriptions() {
	view := func(pattern string, h handler) {
		d.on(route{pattern: pattern, permission: team.SubscriptionsView}, h)
	}
	view("GET /subscriptions", (*call).subscriptionsPage)
	view("GET /subscriptions/{id}", (*call).subscriptionPage)
	d.registerSubscriptionActions()
}

// subscription loads the one that the address names.
func (c *call) subscription() (*subscription.Subscription, int64, error) {
	return stateOf[subscription.Subscription](c, journal.Subscription, c.r.PathValue("id"))
}

// badgeOf is a status as a badge.
func badgeOf(s *subscription.Subscription) ui.Badge {
	switch s.Status {
	case subscription.Active:
		return ui.Badge{Tone: ui.Good, Text: "Active"}
	case subscription.Paused:
		return ui.Badge{Tone: ui.Warn, Text: "Paused", Icon: "circle-pause"}
	case subscription.Failed:
		return ui.Badge{Tone: ui.Bad, Text: "Payment failed", Icon: "circle-alert"}
	case subscription.Expired:
		return ui.Badge{Text: "Ended", Icon: "circle-check"}
	}
	return ui.Badge{Text: "Cancelled", Icon: "circle-x"}
}

// subscriptionRow is a line of the list.
type subscriptionRow struct {
	ID       id.ID
	Name     string // of the customer
	Email    string
	Contents string
	Badge    ui.Badge
	Next     string
	Every    string
	Value    string // of an order, before tax and delivery
}

type subscriptionsView struct {
	Tabs    []ui.Tab
	Q       string
	Product string
	Status  string
	Sort    string
	View    string // "cards" or empty
	Options []ui.Option
	Rows    []subscriptionRow
	Columns []ui.Column
	Pager   ui.Pager
	Any     bool
	MayEdit bool
	Table   string // addresses of the two views
	Cards   string
}

func (v subscriptionsView) link(change func(url.Values)) string {
	u := url.Values{}
	for name, s := range map[string]string{"status": v.Status, "q": v.Q, "product_id": v.Product, "sort": v.Sort, "view": v.View} {
		if s != "" {
			u.Set(name, s)
		}
	}
	change(u)
	if q := u.Encode(); q != "" {
		return "/subscriptions?" + q
	}
	return "/subscriptions"
}

func (c *call) subscriptionsPage() (answer, error) {
	f := func(name string) string { return strings.TrimSpace(c.r.FormValue(name)) }
	v := subscriptionsView{Q: f("q"), Product: f("product_id"), Status: f("status"), Sort: f("sort"), View: f("view"), MayEdit: c.permitted(team.SubscriptionsEdit)}
	v.Any = v.Q != "" || v.Product != ""
	var err error
	if v.Options, err = c.productOptions("All products"); err != nil {
		return answer{}, err
	}
	for _, t := range []struct{ label, status string }{{"All", ""}, {"Active", "active"}, {"Paused", "paused"}, {"Payment failed", "failed"}, {"Cancelled", "cancelled"}, {"Ended", "expired"}} {
		v.Tabs = append(v.Tabs, ui.Tab{Label: t.label, Current: v.Status == t.status, Href: v.link(func(u url.Values) {
			u.Del("status")
			if t.status != "" {
				u.Set("status", t.status)
			}
		})})
	}
	asked := query.Subscriptions{Status: v.Status, Product: v.Product}
	if v.Q != "" {
		people, err := c.meant(v.Q)
		if err != nil {
			return answer{}, err
		}
		asked.Meant = &query.Meant{Things: people, Products: productsCalled(v.Q, v.Options)}
	}
	order, filters := query.Newest, asked.Where()
	if v.Sort == "next" {
		order, filters = query.ByNext, append(filters, query.Set(query.Next))
		if date, key, ok := strings.Cut(f("after"), "~"); ok {
			filters = append(filters, query.Past(query.Next, date, id.ID(key)))
		}
	} else {
		filters = append(filters, older(f("after"))...)
	}
	rows, err := c.rows(journal.Subscription, order, filters...)
	if err != nil {
		return answer{}, err
	}
	if len(rows) > rowsOnPage {
		rows = rows[:rowsOnPage]
		last := rows[rowsOnPage-1].State.(*subscription.Subscription)
		v.Pager.Next = v.link(func(u url.Values) {
			after := string(last.ID)
			if v.Sort == "next" {
				after = last.NextBillingDate.String() + "~" + after
			}
			u.Set("after", after)
		})
	}
	if f("after") != "" {
		v.Pager.First = v.link(func(url.Values) {})
	}
	v.Pager.Shown = ui.Count(int64(len(rows)), "subscription")
	if v.Rows, err = c.subscriptionRows(rows); err != nil {
		return answer{}, err
	}
	sorted := ""
	if v.Sort == "next" {
		sorted = "ascending"
	}
	v.Columns = []ui.Column{{Label: "Customer"}, {Label: "What"}, {Label: "Status"}, {Label: "Next order", Sorted: sorted, Sort: v.link(func(u url.Values) {
		if v.Sort == "next" {
			u.Del("sort")
		} else {
			u.Set("sort", "next")
		}
	})}, {Label: "Rhythm"}, {Label: "Each order", Number: true}}
	v.Table, v.Cards = v.link(func(u url.Values) { u.Del("view") }), v.link(func(u url.Values) { u.Set("view", "cards") })
	saved, err := c.savedViews()
	if err != nil {
		return answer{}, err
	}
	for i := range v.Tabs {
		v.Tabs[i].Current = v.Tabs[i].Current && saved.Current == ""
	}
	v.Tabs = append(v.Tabs, saved.Tabs...)
	return answer{title: "Subscriptions", body: subscriptionsBody(v), act: subscriptionsActions(saved, v.MayEdit)}, nil
}

// productsMeant is how many products the words of a search may lead to.
const productsMeant = 20

// productsCalled gives the products whose title has the words of a search, or whose id it is.
func productsCalled(q string, options []ui.Option) (out []id.ID) {
	for _, o := range options {
		if o.Value != "" && (o.Value == q || strings.Contains(strings.ToLower(o.Label), strings.ToLower(q))) && len(out) < productsMeant {
			out = append(out, id.ID(o.Value))
		}
	}
	return out
}

// subscriptionRows makes lines of a list, with the customers' names.
func (c *call) subscriptionRows(rows []store.Row) ([]subscriptionRow, error) {
	var ids []id.ID
	for _, r := range rows {
		ids = append(ids, r.State.(*subscription.Subscription).CustomerID)
	}
	slices.Sort(ids)
	people, err := statesOf[*customer.Customer](c, journal.Customer, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	out := make([]subscriptionRow, len(rows))
	for i, r := range rows {
		s := r.State.(*subscription.Subscription)
		out[i] = subscriptionRow{ID: s.ID, Contents: kinds.Contents(s), Badge: badgeOf(s), Next: nextWords(s), Every: every(s.BillingPolicy), Value: c.cash(worth(s))}
		if who := people[s.CustomerID]; who != nil {
			out[i].Name, out[i].Email = c.called(who), c.personal(who.Email)
		}
	}
	return out, nil
}

// worth is what the recurring items of an order come to at their own prices.
func worth(s *subscription.Subscription) money.Amount {
	sum := money.Zero(s.Currency)
	for _, it := range s.Items {
		if line, err := it.UnitPrice.Mul(int64(it.Quantity)); err == nil && !it.OneTime {
			if more, err := sum.Add(line); err == nil {
				sum = more
			}
		}
	}
	return sum
}

func nextWords(s *subscription.Subscription) string {
	switch {
	case s.NextBillingDate != nil:
		return s.NextBillingDate.Long()
	case s.PausedUntil != nil:
		return "Paused until " + s.PausedUntil.Long()
	case s.Status == subscription.Paused:
		return "Paused with no end"
	}
	return "None"
}

// called is a customer's name, or what stands for it.
func (c *call) called(who *customer.Customer) string {
	if who.Email.Erased {
		return "Erased customer"
	}
	name := strings.TrimSpace(who.FirstName.Value + " " + who.LastName.Value)
	if name == "" {
		return c.personal(who.Email)
	}
	return c.personal(journal.Personal[string]{Value: name})
}

// productOptions lists the products for a filter.
func (c *call) productOptions(all string) ([]ui.Option, error) {
	rows, err := c.allRows(journal.Product, query.Oldest)
	out := []ui.Option{{Label: all}}
	for _, r := range rows {
		p := r.State.(*catalog.Product)
		out = append(out, ui.Option{Value: string(p.ID), Label: p.Title})
	}
	return out, err
}

// subscriptionView is the page of one subscription, as it is or as it was.
type subscriptionView struct {
	S        *subscription.Subscription
	Version  int64
	Past     *pastOfSubscription
	MayEdit  bool
	Customer ui.Link
	Email    string
	Items    []itemLine
	Upcoming []upcomingLine
	Method   string
	Backup   string
	Address  []string
	Plan     string
	Note     string
	Reason   string // of a cancellation
	Gifts    []ui.Pair
	Extras   []ui.Pair // attributes
	Discount []discountLine
	Log      []ui.Day
	Locale   locale
	Orders   []orderLine
	Delivery string
}

type pastOfSubscription struct {
	pastView
	Sentence string
}

type itemLine struct {
	ID                      id.ID
	Title, Quantity         string
	Price, Total            string
	OneTime, MayChangeItems bool
	Product                 string // address
}

type upcomingLine struct {
	Date, Day, Cycle    string
	Skipped, Gift, Next bool
	Items, Total        string
	MaySkip, MayUnskip  bool
}

type discountLine struct{ Code, Text string }

type orderLine struct {
	ID                  id.ID
	Number, Date, Total string
	Badge               ui.Badge
}

// ahead is how many orders a subscription's page looks ahead.
const ahead = 12

func (c *call) upcomingOf(s *subscription.Subscription, count int) ([]subscription.UpcomingOrder, error) {
	return query.Upcoming(c.reader(), s, c.today(), count)
}

func (c *call) upcomingLines(s *subscription.Subscription, count int, mayEdit bool) ([]upcomingLine, error) {
	orders, err := c.upcomingOf(s, count)
	if err != nil {
		return nil, err
	}
	var out []upcomingLine
	for _, o := range orders {
		line := upcomingLine{Date: o.Date.String(), Day: o.Date.Weekday().String()[:3] + ", " + o.Date.Long(), Skipped: o.Skipped, Total: c.cash(o.Due())}
		if o.Cycle != nil {
			line.Cycle = strconv.Itoa(*o.Cycle)
		}
		var what []string
		for _, l := range o.Items {
			what = append(what, fmt.Sprintf("%d × %s", l.Quantity, l.Title))
		}
		line.Items = strings.Join(what, ", ")
		_, line.Gift = s.GiftFor(o.Date)
		line.Next = s.NextBillingDate != nil && *s.NextBillingDate == o.Date
		line.MaySkip = mayEdit && !o.Skipped && s.May(subscription.ActionSkip) == nil
		line.MayUnskip = mayEdit && o.Skipped && s.May(subscription.ActionUnskip) == nil
		out = append(out, line)
	}
	return out, nil
}

func (c *call) subscriptionPage() (answer, error) {
	s, version, err := c.subscription()
	if err != nil {
		return answer{}, err
	}
	v := subscriptionView{S: s, Version: version, MayEdit: c.permitted(team.SubscriptionsEdit), Locale: c.here()}
	at := "/subscriptions/" + string(s.ID)
	a := answer{title: kinds.Contents(s), head: ui.Head{Crumbs: []ui.Link{{Href: "/subscriptions", Text: "Subscriptions"}}}}
	if c.r.FormValue("at_seq") != "" || c.r.FormValue("at") != "" {
		if v.Past, err = c.pastSubscription(s); err != nil {
			return answer{}, err
		}
		v.S = v.Past.state
		s, v.MayEdit = v.S, false
		a.title = kinds.Contents(s) + ", as it was"
		a.head.Crumbs = append(a.head.Crumbs, ui.Link{Href: at, Text: "As it is now"})
	}
	a.head.Badge = new(badgeOf(s))
	if err := c.describe(&v); err != nil {
		return answer{}, err
	}
	if v.Past == nil {
		l := observe.Log{Name: "subscription", Subscription: s.ID, Customer: s.CustomerID}
		_, entries, err := c.foldedLines(find.Filter{Scope: s.ID}, -1, linesOnCard, l)
		if err != nil {
			return answer{}, err
		}
		v.Log = ui.Days(entries, c.Program.Now())
		if v.Orders, err = c.orderLines(query.Subscription, s.ID); err != nil {
			return answer{}, err
		}
		c.viewed(l)
		a.act = subscriptionActions(v)
	}
	a.body = subscriptionBody(v)
	return a, nil
}

// describe fills in the names of what a subscription refers to.
func (c *call) describe(v *subscriptionView) (err error) {
	s := v.S
	who, err := journal.Find[customer.Customer](c.reader(), journal.Customer, s.CustomerID)
	if err != nil {
		return err
	}
	if who != nil {
		v.Customer = c.thing(string(journal.Customer), string(who.ID), c.called(who))
		v.Email = c.personal(who.Email)
	}
	for _, it := range s.Items {
		total, err := it.UnitPrice.Mul(int64(it.Quantity))
		if err != nil {
			return err
		}
		v.Items = append(v.Items, itemLine{ID: it.ID, Title: it.Title, Quantity: strconv.Itoa(it.Quantity), Price: c.cash(it.UnitPrice), Total: c.cash(total), OneTime: it.OneTime,
			MayChangeItems: v.MayEdit && s.May(subscription.ActionChangeQuantity) == nil, Product: c.thing(string(journal.Product), string(it.ProductID), "").Href})
	}
	if v.Upcoming, err = c.upcomingLines(s, ahead, v.MayEdit); err != nil {
		return err
	}
	v.Delivery = c.cash(s.DeliveryPrice)
	if who == nil {
		who = &customer.Customer{}
	}
	if v.Method, err = c.chargedWords(s.PaymentMethodID, who.DefaultPaymentMethodID, "default"); err != nil {
		return err
	}
	if v.Backup, err = c.chargedWords(s.BackupPaymentMethodID, who.BackupPaymentMethodID, "backup"); err != nil {
		return err
	}
	address, err := journal.Find[customer.Address](c.reader(), journal.Address, s.ShippingAddressID)
	if err != nil {
		return err
	}
	v.Address = c.addressLines(address)
	plan, err := journal.Find[catalog.Plan](c.reader(), journal.SellingPlan, s.SellingPlanID)
	if err != nil {
		return err
	}
	if plan != nil {
		v.Plan = plan.Name
	}
	v.Note, v.Reason = c.personal(s.Note), c.personal(s.CancelReason)
	if !s.Attributes.Erased {
		for _, k := range slices.Sorted(func(yield func(string) bool) {
			for k := range s.Attributes.Value {
				if !yield(k) {
					return
				}
			}
		}) {
			v.Extras = append(v.Extras, ui.Pair{Term: k, Value: ui.Text(c.personal(journal.Personal[string]{Value: s.Attributes.Value[k]}))})
		}
	}
	for _, g := range s.Gifts.Value {
		v.Gifts = append(v.Gifts, ui.Pair{Term: g.Date.Long(), Value: ui.Text(c.personal(journal.Personal[string]{Value: strings.TrimSpace(g.Address.FirstName + " " + g.Address.LastName + ", " + g.Address.City)}))})
	}
	for _, d := range s.Discounts {
		text := c.cash(money.Of(d.Value, s.Currency)) + " off"
		if d.Kind == "percentage" {
			text = fmt.Sprintf("%d%% off", d.Value)
		}
		if d.CyclesLeft != nil {
			text += ", " + ui.Count(int64(*d.CyclesLeft), "order") + " left"
		}
		v.Discount = append(v.Discount, discountLine{d.Code, text})
	}
	return nil
}

// methodWords names a payment method: "Visa ending in 4242, expires 03/2028".
func (c *call) methodWords(key id.ID) (string, error) {
	m, err := journal.Find[customer.PaymentMethod](c.reader(), journal.PaymentMethod, key)
	if err != nil || m == nil {
		return "", err
	}
	return c.method(m), nil
}

// chargedWords names the payment method of a subscription: its own, or the customer's.
func (c *call) chargedWords(own, theirs id.ID, as string) (string, error) {
	words, err := c.methodWords(cmp.Or(own, theirs))
	if own == "" && words != "" {
		words += " (the customer's " + as + ")"
	}
	return words, err
}

func (c *call) method(m *customer.PaymentMethod) string {
	name := cmp.Or(m.Brand, m.Gateway)
	if name != "" {
		name = strings.ToUpper(name[:1]) + name[1:]
	}
	if four := c.personal(m.Last4); four != "" {
		name += " ending in " + four
	}
	if m.ExpMonth > 0 {
		name += fmt.Sprintf(", expires %02d/%d", m.ExpMonth, m.ExpYear)
	}
	if m.RefusedAt != nil {
		name += ", refused by the gateway"
	}
	return name
}

// addressLines writes an address as on a parcel; nothing for none.
func (c *call) addressLines(a *customer.Address) []string {
	if a == nil {
		return nil
	}
	if a.Line1.Erased {
		return []string{"erased"}
	}
	if !c.permitted(team.PersonalDataView) {
		return []string{"•••", a.Country}
	}
	return parcelLines(a)
}

func parcelLines(a *customer.Address) (out []string) {
	for _, line := range []string{a.FirstName.Value + " " + a.LastName.Value, a.Company.Value, a.Line1.Value, a.Line2.Value, a.PostalCode.Value + " " + a.City.Value, a.Region.Value, a.Country} {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// pastSubscription loads the state that the address asks for.
func (c *call) pastSubscription(now *subscription.Subscription) (*pastOfSubscription, error) {
	keep, err := c.untilAsked()
	if err != nil {
		return nil, err
	}
	then, err := c.Store.StateAt(c.ctx, c.Store.Read, now.Ref(), keep)
	if err != nil {
		return nil, store.Fault(err)
	}
	s, ok := then.State.(*subscription.Subscription)
	if !ok {
		return nil, fault.New(fault.NotFound, "not_yet", "The subscription did not exist then.")
	}
	last, err := c.Store.Event(c.ctx, c.Store.Read, store.Opened, then.LastSeq)
	if err != nil {
		return nil, store.Fault(err)
	}
	p := &pastOfSubscription{pastView: pastView{Then: ui.Link{Href: "/events/" + string(last.ID), Text: journal.Summary(last.Event)}, At: last.RecordedAt.In(c.here().zone), Now: "/subscriptions/" + string(now.ID), state: s}}
	if last.TargetPrevSeq >= 0 {
		p.Previous = fmt.Sprintf("/subscriptions/%s?at_seq=%d", now.ID, last.TargetPrevSeq)
	}
	p.Since, err = c.difference(s, now)
	return p, err
}

// untilAsked reads at_seq or at from the address.
func (c *call) untilAsked() (func(*journal.Event) bool, error) {
	if s := c.r.FormValue("at"); s != "" {
		if d, err := civil.Parse(s); err == nil {
			end := d.AddDays(1).Start(c.here().zone)
			return func(e *journal.Event) bool { return e.RecordedAt.Before(end) }, nil
		}
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return nil, fault.New(fault.Malformed, "at_invalid", "Give a date such as 2027-03-03, or a time such as 2027-03-03T09:30:00Z.")
		}
		return func(e *journal.Event) bool { return !e.RecordedAt.After(at) }, nil
	}
	seq, err := strconv.ParseInt(c.r.FormValue("at_seq"), 10, 64)
	if err != nil || seq < 0 {
		return nil, fault.New(fault.Malformed, "at_invalid", "There is no such past.")
	}
	return func(e *journal.Event) bool { return e.Seq <= seq }, nil
}

// plans are all selling plans by their ids: they are few.
func (c *call) plans() (map[id.ID]*catalog.Plan, error) {
	rows, err := c.allRows(journal.SellingPlan, query.Oldest)
	out := map[id.ID]*catalog.Plan{}
	for _, r := range rows {
		p := r.State.(*catalog.Plan)
		out[p.ID] = p
	}
	return out, err
}
