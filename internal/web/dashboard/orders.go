package dashboard

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"perennial/internal/billing"
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
	"perennial/internal/view"
	"perennial/internal/web/ui"
)

func (d *Dashboard) registerOrders() {
	view := func(pattern string, h handler) {
		d.on(route{pattern: pattern, permission: team.SubscriptionsView}, h)
	}
	view("GET /orders", (*call).ordersPage)
	view("GET /orders/{id}", (*call).orderPage)
	view("GET "+booksPath, (*call).booksPage)
	view("GET /upcoming", (*call).upcomingPage)
	edit := func(f form) { f.permission, f.on = team.SubscriptionsEdit, aboutOrder; d.form(f) }
	edit(form{path: "/orders/{id}/refund", title: "Refund the order", verb: "Refund", danger: true, lead: "The money goes back the way it came. A refund cannot be undone.", events: []journal.Name{journal.OrderRefunded},
		fields: func(c *call, s subject, v url.Values) ([]formField, error) {
			o := s.state.(*billing.Order)
			return []formField{textField("input", "amount", "Amount, in "+o.Total.Currency, filled(v, "amount", billing.Refundable(o).Decimal()), "At most "+c.cash(billing.Refundable(o))+"."),
				textField("input", "reason", "Reason", v.Get("reason"), "The customer may ask for it.")}, nil
		},
		command: func(_ *call, s subject, in *input) journal.Command {
			o := s.state.(*billing.Order)
			return journal.Bind(billing.Refund{OrderID: o.ID, Amount: new(in.amount("amount", o.Total.Currency)), Reason: in.text("reason")})
		}})
	edit(form{path: "/orders/{id}/other-charge", title: "End the payment of another amount", verb: "End the payment", danger: true, lead: "The gateway took another amount than the order's. Neither choice can be undone.",
		events: []journal.Name{journal.BillingAttemptAmountAccepted, journal.BillingAttemptAmountRefused, journal.OrderPlaced, journal.OrderCancelled, journal.VariantInventoryChanged, journal.RecoveryRecovered, journal.RecoveryAbandoned, journal.SubscriptionRenewed, journal.SubscriptionExpired,
			journal.SubscriptionOrderSkipped, journal.SubscriptionPaused, journal.SubscriptionPaymentMethodChanged},
		fields: func(c *call, s subject, v url.Values) ([]formField, error) {
			o := s.state.(*billing.Order)
			a, ok := billing.Differing(o)
			if !ok {
				return nil, fault.New(fault.Conflict, "no_other_charge", "The payment gateway took no other amount for this order than it was asked for.")
			}
			options := []ui.Option{{Value: "refund", Label: "Send " + c.cash(a.Other.Amount) + " back, and cancel the order"}}
			if a.Other.Amount.Currency == o.Total.Currency {
				options = append(options, ui.Option{Value: "payment", Label: "Take " + c.cash(a.Other.Amount) + " as the payment of " + c.cash(o.Total)})
			}
			return []formField{{kind: "select", Field: ui.Field{Name: "as", Label: "What becomes of it", Value: filled(v, "as", "refund")}, options: options}}, nil
		},
		command: func(_ *call, s subject, in *input) journal.Command {
			return journal.Bind(billing.EndOtherCharge{OrderID: s.state.Ref().ID, Accept: in.text("as") == "payment"})
		}})
	edit(form{path: "/orders/{id}/fulfil", title: "Mark the order as sent", verb: "Mark as sent", events: []journal.Name{journal.OrderFulfilled},
		fields: func(_ *call, _ subject, v url.Values) ([]formField, error) {
			return []formField{textField("input", "tracking_url", "Address to follow the parcel", v.Get("tracking_url"), "Optional. The customer sees it.")}, nil
		},
		command: func(_ *call, s subject, in *input) journal.Command {
			return journal.Bind(billing.Fulfil{OrderID: s.state.Ref().ID, TrackingURL: in.text("tracking_url")})
		}})
	edit(form{path: "/orders/{id}/cancel", title: "Cancel the order", verb: "Cancel the order", danger: true, lead: "It is not charged any more. The subscription goes on with its next order.",
		events: []journal.Name{journal.OrderCancelled, journal.VariantInventoryChanged, journal.RecoveryAbandoned, journal.SubscriptionOrderSkipped, journal.SubscriptionPaused},
		command: func(_ *call, s subject, _ *input) journal.Command {
			return journal.Bind(billing.CancelOrder{OrderID: s.state.Ref().ID})
		}})
}

var aboutOrder = about(journal.Order, ui.Link{Href: "/orders", Text: "Orders"}, func(o *billing.Order) string { return o.Number })

// orderBadge is an order's status as a badge.
func orderBadge(o *billing.Order) ui.Badge {
	switch o.Status {
	case billing.Placed:
		if o.FulfilledAt != nil {
			return ui.Badge{Tone: ui.Good, Text: "Sent", Icon: "truck"}
		}
		return ui.Badge{Tone: ui.Good, Text: "Paid"}
	case billing.Pending:
		return ui.Badge{Tone: ui.Info, Text: "Being charged", Icon: "clock"}
	case billing.Failed:
		return ui.Badge{Tone: ui.Bad, Text: "Not paid", Icon: "circle-alert"}
	case billing.Refunded:
		return ui.Badge{Text: "Refunded", Icon: "undo-2"}
	case billing.PartiallyRefunded:
		return ui.Badge{Text: "Partly refunded", Icon: "undo-2"}
	}
	return ui.Badge{Text: "Cancelled", Icon: "circle-x"}
}

// orderLines are the newest orders of a subscription or a customer.
func (c *call) orderLines(column query.Column, key id.ID) ([]orderLine, error) {
	rows, err := c.rows(journal.Order, query.Newest, query.Is(column, key))
	var out []orderLine
	for _, r := range rows[:min(len(rows), 12)] {
		out = append(out, c.orderLine(r.State.(*billing.Order)))
	}
	return out, err
}

func (c *call) orderLine(o *billing.Order) orderLine {
	return orderLine{ID: o.ID, Number: o.Number, Date: o.BillingDate.Long(), Total: c.cash(o.Total), Badge: orderBadge(o)}
}

type ordersView struct {
	Tabs  []ui.Tab
	Rows  []orderLine
	Names []ui.Link // of the customers, in the order of Rows
	Pager ui.Pager
}

func (c *call) ordersPage() (answer, error) {
	v := ordersView{}
	q := url.Values{}
	for _, name := range []string{"status", "customer_id", "subscription_id"} {
		if s := c.r.FormValue(name); s != "" {
			q.Set(name, s)
		}
	}
	link := func(name, value string) string {
		u := url.Values{}
		maps.Copy(u, q)
		u.Del(name)
		if value != "" {
			u.Set(name, value)
		}
		if len(u) == 0 {
			return "/orders"
		}
		return "/orders?" + u.Encode()
	}
	for _, t := range []struct{ label, status string }{{"All", ""}, {"Being charged", "pending"}, {"Paid", "placed"}, {"Not paid", "failed"}, {"Refunded", "refunded"}, {"Partly refunded", "partially_refunded"}, {"Cancelled", "cancelled"}} {
		v.Tabs = append(v.Tabs, ui.Tab{Label: t.label, Current: q.Get("status") == t.status, Href: link("status", t.status)})
	}
	after := c.r.FormValue("after")
	if after != "" {
		v.Pager.First = link("after", "")
	}
	asked := query.Orders{Status: q.Get("status"), Customer: q.Get("customer_id"), Subscription: q.Get("subscription_id")}
	rows, err := c.rows(journal.Order, query.Newest, append(asked.Where(), older(after)...)...)
	if err != nil {
		return answer{}, err
	}
	if len(rows) > rowsOnPage {
		rows = rows[:rowsOnPage]
		v.Pager.Next = link("after", string(rows[rowsOnPage-1].State.Ref().ID))
	}
	var ids []id.ID
	for _, r := range rows {
		ids = append(ids, r.State.(*billing.Order).CustomerID)
	}
	slices.Sort(ids)
	people, err := statesOf[*customer.Customer](c, journal.Customer, slices.Compact(ids))
	if err != nil {
		return answer{}, err
	}
	for _, r := range rows {
		o := r.State.(*billing.Order)
		v.Rows = append(v.Rows, c.orderLine(o))
		name := ui.Link{}
		if who := people[o.CustomerID]; who != nil {
			name = c.thing(string(journal.Customer), string(who.ID), c.called(who))
		}
		v.Names = append(v.Names, name)
	}
	v.Pager.Shown = ui.Count(int64(len(rows)), "order")
	return answer{title: "Orders", act: ui.Go(booksPath, ui.Button{Label: "The gateway's books", Icon: "receipt-text", Kind: "quiet"}), body: ordersBody(v)}, nil
}

type attemptLine struct {
	When, Method, Amount string
	Badge                ui.Badge
	Message              string
}

// whyLine is one line of the explanation of an order.
type whyLine struct {
	Text, Amount string
	Entry        string // address of the entry that it rests on
}

type orderView struct {
	O            *billing.Order
	Lines        []itemLine
	Sums         []ui.Pair
	Attempts     []attemptLine
	Facts        []ui.Pair
	Address      []string
	Tracking     string
	Asked        string // the heading of Why
	Why          []whyLine
	Log          []ui.Day
	Contested    []*ui.Notice
	Differs      []string // what it and the gateway's books disagree about
	Customer     ui.Link
	Subscription ui.Link
}

// contested says how it stands about the payments that the cardholder contests; empty for nearly every order.
func (c *call) contested(o *billing.Order) (out []*ui.Notice) {
	for _, d := range billing.AllDisputes(o) {
		n := &ui.Notice{Text: "Reason: " + strings.ReplaceAll(d.Reason, "_", " ") + ". Dispute " + d.ID + " at the gateway."}
		switch d.Status {
		case billing.DisputeWon:
			n.Tone, n.Title = ui.Info, "The cardholder contested "+c.cash(d.Amount)+". The bank left it with the store."
		case billing.DisputeLost:
			n.Tone, n.Title = ui.Bad, "The cardholder contested "+c.cash(d.Amount)+". The bank gave it back: do not refund it too."
		default:
			n.Tone, n.Title = ui.Warn, "The cardholder contests "+c.cash(d.Amount)+" at the bank."
			n.Text += " Answer it there, with what was sent and when. Do not refund it too."
		}
		out = append(out, n)
	}
	return out
}

func (c *call) orderPage() (answer, error) {
	s, err := aboutOrder(c)
	if err != nil {
		return answer{}, err
	}
	o := s.state.(*billing.Order)
	v := orderView{O: o, Contested: c.contested(o), Asked: "Why this amount"}
	if billing.Paid(o).Minor > 0 {
		v.Asked = "Why this was charged"
	}
	if a, ok := billing.Differing(o); ok {
		v.Contested = append(v.Contested, &ui.Notice{Tone: ui.Bad, Title: "The gateway took " + c.cash(a.Other.Amount) + " instead of " + c.cash(a.Amount) + ".",
			Text: "The order waits until somebody says what becomes of it: End the payment. It is charge " + a.Other.GatewayID + " at the gateway."})
	}
	for _, l := range c.bookLines(o) {
		v.Differs = append(v.Differs, l.What+": "+l.Amount+", "+l.Gateway+". "+l.Advice)
	}
	for _, l := range o.Items {
		v.Lines = append(v.Lines, itemLine{ID: l.ItemID, Title: l.Title, Quantity: strconv.Itoa(l.Quantity), Price: c.cash(l.UnitPrice), Total: c.cash(l.Total), OneTime: l.OneTime, Product: c.thing(string(journal.Product), string(l.ProductID), "").Href})
	}
	sum := func(term string, a money.Amount, always bool) {
		if always || !a.IsZero() {
			v.Sums = append(v.Sums, ui.Pair{Term: term, Value: ui.Text(c.cash(a))})
		}
	}
	sum("Items", o.Subtotal, true)
	if off, err := o.Discount.Neg(); err == nil {
		sum("Discount", off, false)
	}
	sum("Delivery", o.Delivery, false)
	sum("Tax", o.Tax, false)
	sum("Total", o.Total, true)
	if o.Carried != nil {
		sum("Carried over from earlier orders", *o.Carried, true)
		sum("To be charged", o.Due(), true)
	}
	if o.CarriedOver != nil {
		sum("Charged with the next order", *o.CarriedOver, true)
	}
	if o.Waived != nil {
		sum("Not charged", *o.Waived, true)
	}
	sum("Refunded", o.Refunded, false)
	for _, a := range billing.Chronological(o) {
		method, err := c.methodWords(a.PaymentMethodID)
		if err != nil {
			return answer{}, err
		}
		line := attemptLine{When: a.StartedAt.In(c.here().zone).Format("2 January 2006, 15:04"), Method: method, Amount: c.cash(a.Amount), Message: a.Message}
		switch a.Status {
		case billing.AttemptSucceeded:
			line.Badge = ui.Badge{Tone: ui.Good, Text: "Succeeded"}
		case billing.AttemptFailed:
			line.Badge = ui.Badge{Tone: ui.Bad, Text: "Failed"}
			if a.Hard {
				line.Message = strings.TrimSpace(line.Message + " The card will not work again.")
			}
		case billing.AttemptActionRequired:
			line.Badge = ui.Badge{Tone: ui.Warn, Text: "The customer must confirm"}
		default:
			line.Badge = ui.Badge{Tone: ui.Info, Text: "Under way", Icon: "clock"}
		}
		v.Attempts = append(v.Attempts, line)
	}
	who, err := journal.Find[customer.Customer](c.reader(), journal.Customer, o.CustomerID)
	if err != nil {
		return answer{}, err
	}
	if who != nil {
		v.Customer = c.thing(string(journal.Customer), string(who.ID), c.called(who))
	}
	sub, err := journal.Find[subscription.Subscription](c.reader(), journal.Subscription, o.SubscriptionID)
	if err != nil {
		return answer{}, err
	}
	if sub != nil {
		v.Subscription = ui.Link{Href: "/subscriptions/" + string(sub.ID), Text: kinds.Contents(sub)}
	}
	v.Facts = []ui.Pair{{Term: "Customer", Value: ui.Anchor(v.Customer)}, {Term: "Subscription", Value: ui.Anchor(v.Subscription)}, {Term: "Due", Value: ui.Text(o.BillingDate.Long())}}
	if o.Cycle != nil {
		v.Facts = append(v.Facts, ui.Pair{Term: "Order", Value: ui.Text("No. " + strconv.Itoa(*o.Cycle) + " of the subscription")})
	} else {
		v.Facts = append(v.Facts, ui.Pair{Term: "Order", Value: ui.Text("Extra: outside the rhythm")})
	}
	stamp := func(term string, t *journal.Time) {
		if t != nil {
			v.Facts = append(v.Facts, ui.Pair{Term: term, Value: ui.Time(t.In(c.here().zone), ui.DateTime)})
		}
	}
	stamp("Paid", o.PlacedAt)
	stamp("Sent", o.FulfilledAt)
	stamp("Cancelled", o.CancelledAt)
	v.Facts = append(v.Facts, ui.Pair{Term: "Id", Value: ui.Code(string(o.ID))})
	if to := o.ShipTo.Value; to != nil && c.permitted(team.PersonalDataView) {
		for _, l := range []string{to.FirstName + " " + to.LastName, to.Company, to.Line1, to.Line2, to.PostalCode + " " + to.City, to.Region, to.Country} {
			if l = strings.TrimSpace(l); l != "" {
				v.Address = append(v.Address, l)
			}
		}
	} else if o.ShipTo.Erased {
		v.Address = []string{"erased"}
	}
	if c.permitted(team.PersonalDataView) {
		v.Tracking = o.TrackingURL.Value
	}
	reasons, err := view.Explain(c.ctx, c.Store, o)
	if err != nil {
		return answer{}, err
	}
	for _, r := range reasons {
		line := whyLine{Text: r.Text}
		if c.permitted(team.EventsView) {
			line.Entry = "/events/" + string(r.Event.ID)
		}
		if r.Amount != nil {
			line.Amount = c.cash(*r.Amount)
		}
		v.Why = append(v.Why, line)
	}
	_, entries, err := c.lines(find.Filter{Targets: []id.ID{o.ID}, Oldest: true}, -1, 100, observe.Log{Subscription: o.SubscriptionID, Customer: o.CustomerID})
	if err != nil {
		return answer{}, err
	}
	v.Log = ui.Days(entries, c.Program.Now())
	a := answer{title: "Order " + o.Number, head: ui.Head{Crumbs: []ui.Link{{Href: "/orders", Text: "Orders"}}, Badge: new(orderBadge(o))}, body: orderBody(v)}
	if c.permitted(team.SubscriptionsEdit) {
		a.act = orderActions(o)
	}
	return a, nil
}

// A calendar of what is to come.

// calendarDays is how far the calendar looks.
const calendarDays = 30

type calendarDay struct {
	Day    civil.Date
	Orders int
	Total  string
	Today  bool
	Off    bool // before the first day of the calendar
	Link   string
}

type upcomingView struct {
	Days   []calendarDay
	Orders int
	Total  string
	List   []subscriptionRow // of the day that was asked for
	Day    *civil.Date
	Capped bool
}

// calendarAtMost bounds the subscriptions whose orders are priced for the calendar.
const calendarAtMost = 20_000

func (c *call) upcomingPage() (answer, error) {
	today := c.today()
	end := today.AddDays(calendarDays)
	rows, err := query.Rows(c.ctx, c.Store, query.List{Kind: journal.Subscription, Order: query.ByNext, Limit: calendarAtMost,
		Where: query.Subscriptions{NextFrom: today.String(), NextBefore: end.String()}.Where()})
	if err != nil {
		return answer{}, err
	}
	v := upcomingView{Capped: len(rows) == calendarAtMost}
	sums := map[civil.Date]int64{}
	counts := map[civil.Date]int{}
	currency := c.here().general.Currency
	var all int64
	plans, err := c.plans()
	if err != nil {
		return answer{}, err
	}
	tax, err := query.Tax(c.reader())
	if err != nil {
		return answer{}, err
	}
	asked, _ := civil.Parse(c.r.FormValue("day"))
	var ofDay []store.Row
	for _, r := range rows {
		s := r.State.(*subscription.Subscription)
		// A weekly subscription comes several times in the span: its schedule says when, and what each costs.
		orders, err := subscription.Upcoming(s, plans[s.SellingPlanID], tax, today, calendarDays)
		if err != nil {
			return answer{}, err
		}
		on := false
		for _, o := range orders {
			if !o.Date.Before(end) {
				break
			}
			if o.Skipped {
				continue
			}
			counts[o.Date]++
			sums[o.Date] += o.Due().Minor
			all += o.Due().Minor
			v.Orders++
			on = on || o.Date == asked
		}
		if on {
			ofDay = append(ofDay, r)
		}
	}
	v.Total = c.cash(money.Of(all, currency))
	first := today.AddDays(-(int(today.Weekday()) + 6) % 7)
	for d := first; d.Before(end) || d.Weekday() != 1; d = d.AddDays(1) {
		day := calendarDay{Day: d, Orders: counts[d], Today: d == today, Off: d.Before(today) || !d.Before(end)}
		if day.Orders > 0 {
			day.Total, day.Link = c.cash(money.Of(sums[d], currency)), "/upcoming?day="+d.String()
		}
		v.Days = append(v.Days, day)
	}
	if len(ofDay) > 0 {
		v.Day = &asked
		if v.List, err = c.subscriptionRows(ofDay[:min(len(ofDay), 200)]); err != nil {
			return answer{}, err
		}
	}
	return answer{title: "Upcoming", head: ui.Head{Lead: "The orders of the next 30 days, as the schedules stand now."}, body: upcomingBody(v)}, nil
}
