package dashboard

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/find"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/observe"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

func (d *Dashboard) registerHome() {
	d.on(route{pattern: "GET /{$}", who: signedIn}, (*call).homePage)
}

// What the start page counts, at most: "1,000+" says enough.
const (
	countedAtMost   = 1000
	attentionAtMost = 6
	cardsAhead      = 500 // subscriptions whose cards are looked at
)

type attention struct {
	Tone ui.Tone
	Icon string
	Text string
	Link ui.Link
}

type homeView struct {
	Name  string
	Held  []ui.Notice // why nothing is charged or sent now
	Note  []attention
	Tiles []ui.Tile
	Log   []ui.Day
	Empty bool // the shop has nothing yet
}

// people are who acts but the program itself.
var people = []string{string(journal.ActorTeamMember), string(journal.ActorCustomer), string(journal.ActorAPIKey)}

func (c *call) homePage() (answer, error) {
	v := homeView{Name: c.show(c.member).Name}
	for _, r := range c.Gate.Reasons() {
		v.Held = append(v.Held, held(r))
	}
	if tables := c.Store.ForgedTables(); len(tables) > 0 {
		v.Held = append(v.Held, ui.Notice{Tone: ui.Bad, Title: "Somebody writes to the database beside the program",
			Text: "Since the server started there were rows of " + strings.Join(tables, ", ") +
				" that it did not write so. They had no effect. Have whoever runs the server find out who can write there, and run perennial verify."})
	}
	if err := c.doubted(&v); err != nil {
		return answer{}, err
	}
	if c.permitted(team.SubscriptionsView) {
		if err := c.needsAttention(&v); err != nil {
			return answer{}, err
		}
		if err := c.todaysNumbers(&v); err != nil {
			return answer{}, err
		}
	}
	if c.permitted(team.EventsView) {
		_, entries, err := c.lines(find.Filter{ActorKinds: people}, -1, 12, observe.Log{})
		if err != nil {
			return answer{}, err
		}
		v.Log = ui.Days(entries, c.Program.Now())
	}
	return answer{title: "Home", head: ui.Head{Lead: "You are signed in as " + v.Name + "."}, body: homeBody(v)}, nil
}

// doubted tells the team, from the journal, what no check saw mended: entries that logs were without, and differences.
func (c *call) doubted(v *homeView) error {
	past, err := c.LastChecks(c.ctx)
	if err != nil {
		return err
	}
	if n := past.Gaps.Count(); n > 0 {
		v.Held = append(v.Held, ui.Notice{Tone: ui.Bad, Title: "Logs were without entries",
			Text: "Since " + past.Gaps.Since.In(c.here().zone).Format(ui.DateTime) + " the index or the database kept " + ui.Count(n, "entry", "entries") +
				" from logs. Have whoever runs the server run perennial reindex and perennial verify. This goes when a check finds everything in its place."})
	}
	if d := past.Doubt; d != nil {
		v.Held = append(v.Held, ui.Notice{Tone: ui.Bad, Title: "The journal and the database do not agree",
			Text: "The check of " + d.At.In(c.here().zone).Format(ui.DateTime) + " found " + ui.Count(d.Differences, "difference", "differences") +
				". See Integrity, and have whoever runs the server run perennial verify."})
	}
	return nil
}

// held tells the team why the server holds its work up.
func held(r gate.Reason) ui.Notice {
	title := "Nothing is charged, sent or erased now"
	switch {
	case r.Code == gate.GatewayFailing:
		title = "Payments are delayed"
	case r.Code == gate.GatewayVersion:
		title = "The payment gateway's reports may not be understood"
	case r.Holds&gate.Write != 0:
		title = "Nothing is changed, charged or sent now"
	case r.Holds&gate.Send == 0:
		title = "Nothing is charged now"
	}
	return ui.Notice{Tone: ui.Bad, Title: title, Text: r.Sentence + " (" + r.Code + ", since " + r.Since.Format("2 January 2006, 15:04") + " UTC)"}
}

// needsAttention lists failed payments and cards that expire before the next charge.
func (c *call) needsAttention(v *homeView) error {
	rows, err := c.rows(journal.Subscription, query.Newest, query.Is(query.Status, subscription.Failed))
	if err != nil {
		return err
	}
	lines, err := c.subscriptionRows(rows)
	if err != nil {
		return err
	}
	for i, r := range rows[:min(len(rows), attentionAtMost)] {
		s := r.State.(*subscription.Subscription)
		text := lines[i].Name + ": a payment failed"
		if s.Recovery != nil {
			text = lines[i].Name + ": " + recoveryWords(s.Recovery)
		}
		v.Note = append(v.Note, attention{ui.Bad, "circle-alert", text, ui.Link{Href: "/subscriptions/" + string(s.ID), Text: "See the subscription"}})
	}
	if n := len(rows); n > attentionAtMost {
		v.Note = append(v.Note, attention{ui.Bad, "circle-alert", fmt.Sprintf("%d more payments failed", n-attentionAtMost), ui.Link{Href: "/subscriptions?status=failed", Text: "See all"}})
	}
	today := c.today()
	due, err := query.Rows(c.ctx, c.Store, query.List{Kind: journal.Subscription, Order: query.ByNext, Limit: cardsAhead,
		Where: query.Subscriptions{NextFrom: today.String(), NextBefore: today.AddDays(calendarDays).String()}.Where()})
	if err != nil {
		return err
	}
	charged, err := c.charged(due)
	if err != nil {
		return err
	}
	methods := slices.Collect(maps.Values(charged))
	slices.Sort(methods)
	cards, err := statesOf[*customer.PaymentMethod](c, journal.PaymentMethod, slices.Compact(methods))
	if err != nil {
		return err
	}
	if err := c.heldOrders(v, today); err != nil {
		return err
	}
	shown, more := 0, 0
	for _, r := range due {
		s := r.State.(*subscription.Subscription)
		m := cards[charged[s.ID]]
		if m == nil || m.ExpMonth == 0 || m.ExpYear > s.NextBillingDate.Year || m.ExpYear == s.NextBillingDate.Year && m.ExpMonth >= int(s.NextBillingDate.Month) {
			continue
		}
		if shown++; shown > attentionAtMost/2 {
			more++
			continue
		}
		names, err := c.subscriptionRows([]store.Row{r})
		if err != nil {
			return err
		}
		v.Note = append(v.Note, attention{ui.Warn, "credit-card", fmt.Sprintf("%s: the card expires before the order of %s", names[0].Name, s.NextBillingDate.Long()), ui.Link{Href: "/subscriptions/" + string(s.ID), Text: "See the subscription"}})
	}
	lost := 0
	for _, err := range c.Finder.Events(c.ctx, store.Closed, find.Filter{Types: []journal.Name{journal.NotificationFailed}, From: c.Program.Now().AddDate(0, 0, -7)}, -1) {
		if err != nil {
			return store.Fault(err)
		}
		if lost++; lost == rowsOnPage {
			break
		}
	}
	if lost > 0 {
		v.Note = append(v.Note, attention{ui.Warn, "mail", ui.Count(int64(lost), "message could not be sent this week", "messages could not be sent this week"), ui.Link{Href: "/events?type=notification.failed", Text: "See them"}})
	}
	if err := c.delayedPayments(v); err != nil {
		return err
	}
	left, err := query.Rows(c.ctx, c.Store, query.List{Kind: journal.Customer, Where: []query.Filter{query.Set(query.GatewayData), query.Is(query.GatewayData, customer.GatewayDataFailing)}, Limit: rowsOnPage})
	if err != nil {
		return err
	}
	if n := len(left); n > 0 {
		v.Note = append(v.Note, attention{ui.Bad, "circle-alert", ui.Count(int64(n), "erased customer could not be deleted at the payment gateway yet", "erased customers could not be deleted at the payment gateway yet"), ui.Link{Href: "/events?type=customer.gateway_erasure_failed", Text: "See why"}})
	}
	contested, err := c.openDisputes()
	if err != nil {
		return err
	}
	for _, o := range contested[:min(len(contested), attentionAtMost)] {
		v.Note = append(v.Note, attention{ui.Bad, "circle-alert", "Order " + o.Number + ": the cardholder contests " + c.cash(contestedOf(o)) + " at the bank", ui.Link{Href: "/orders/" + string(o.ID), Text: "See the order"}})
	}
	if n := len(contested); n > attentionAtMost {
		v.Note = append(v.Note, attention{ui.Bad, "circle-alert", ui.Count(int64(n-attentionAtMost), "more payment is contested", "more payments are contested"), ui.Link{Href: "/events?type=order.disputed", Text: "See them"}})
	}
	books, err := c.lastReconciled()
	if err != nil {
		return err
	}
	if books != nil && books.Open > 0 {
		v.Note = append(v.Note, attention{ui.Bad, "circle-alert", ui.Count(int64(books.Open), "difference between the orders and the payment gateway's books", "differences between the orders and the payment gateway's books"), ui.Link{Href: booksPath, Text: "See what differs"}})
	}
	if more > 0 {
		v.Note = append(v.Note, attention{ui.Warn, "credit-card", ui.Count(int64(more), "more card expires before its next charge", "more cards expire before their next charge"), ui.Link{Href: "/upcoming", Text: "See the calendar"}})
	}
	return nil
}

// delayedPayments says how many payments wait because the gateway refuses the shop, and why, and which wait for a person.
func (c *call) delayedPayments(v *homeView) error {
	open, err := query.States[*billing.Order](c.ctx, c.Store, query.List{Kind: journal.Order, Where: []query.Filter{query.Set(query.OpenAttempt)}, Limit: countedAtMost})
	if err != nil {
		return err
	}
	var codes []string
	waiting, first := int64(0), id.ID("")
	for _, o := range open {
		if a, ok := billing.Differing(o); ok {
			v.Note = append(v.Note, attention{ui.Bad, "circle-alert", "Order " + o.Number + ": the gateway took " + c.cash(a.Other.Amount) + " instead of " + c.cash(a.Amount), ui.Link{Href: "/orders/" + string(o.ID), Text: "Say what becomes of it"}})
			continue
		}
		if a, ok := billing.OpenAttempt(o); ok && a.Delayed() {
			if waiting++; first == "" {
				first = o.ID
			}
			if !slices.Contains(codes, a.Code) {
				codes = append(codes, a.Code)
			}
		}
	}
	if waiting == 0 {
		return nil
	}
	slices.Sort(codes)
	to := ui.Link{Href: "/events?type=billing_attempt.delayed", Text: "See them"}
	if waiting == 1 {
		to = ui.Link{Href: "/orders/" + string(first), Text: "See the order"}
	}
	v.Note = append(v.Note, attention{ui.Bad, "circle-alert", ui.Count(waiting, "payment is delayed because of", "payments are delayed because of") + " the shop's account, key or request at the payment gateway (" + strings.ReplaceAll(strings.Join(codes, ", "), "_", " ") + ")", to})
	return nil
}

// contestedOf is what cardholders contest of an order at the bank, and that is not decided.
func contestedOf(o *billing.Order) money.Amount {
	sum := money.Zero(o.Total.Currency)
	for _, d := range billing.AllDisputes(o) {
		if d.Status == billing.DisputeOpen && d.Amount.Currency == sum.Currency {
			sum.Minor += d.Amount.Minor
		}
	}
	return sum
}

// openDisputes gives the orders whose payment is contested, the newest dispute first. A bank decides within some months.
func (c *call) openDisputes() (out []*billing.Order, err error) {
	var keys []id.ID
	for st, err := range c.Finder.Events(c.ctx, store.Closed, find.Filter{Types: []journal.Name{journal.OrderDisputed}, From: c.Program.Now().AddDate(-1, 0, 0)}, -1) {
		if err != nil {
			return nil, store.Fault(err)
		}
		if keys = append(keys, st.Target().ID); len(keys) == rowsOnPage {
			break
		}
	}
	orders, err := statesOf[*billing.Order](c, journal.Order, keys)
	for _, key := range keys {
		if o := orders[key]; o != nil && !contestedOf(o).IsZero() && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out, err
}

// countOf counts entries of a filter, up to countedAtMost.
func (c *call) countOf(flt find.Filter) (n int, words string, err error) {
	for _, err := range c.Finder.Search(c.ctx, flt, -1) {
		if err != nil {
			return 0, "", store.Fault(err)
		}
		if n++; n == countedAtMost {
			return n, "1,000+", nil
		}
	}
	return n, ui.Grouped(int64(n)), nil
}

func (c *call) todaysNumbers(v *homeView) error {
	start := c.today().Start(c.here().zone)
	from := "?from=" + c.today().String()
	link := func(kind string) string {
		if !c.permitted(team.EventsView) {
			return ""
		}
		return "/events" + from + "&type=" + kind
	}
	active, err := query.Count(c.ctx, c.Store, journal.Subscription, query.Is(query.Status, subscription.Active))
	if err != nil {
		return err
	}
	v.Tiles = append(v.Tiles, ui.Tile{Label: "Active subscriptions", Value: ui.Grouped(active), Href: "/subscriptions?status=active"})
	var paid int64
	var orders []id.ID
	for st, err := range c.Finder.Events(c.ctx, store.Closed, find.Filter{Types: []journal.Name{journal.OrderPlaced}, From: start}, -1) {
		if err != nil {
			return store.Fault(err)
		}
		if orders = append(orders, st.Target().ID); len(orders) == countedAtMost {
			break
		}
	}
	states, err := statesOf[*billing.Order](c, journal.Order, orders)
	if err != nil {
		return err
	}
	for _, o := range states {
		paid += o.Total.Minor
	}
	more := ""
	if len(orders) == countedAtMost {
		more = "+"
	}
	v.Tiles = append(v.Tiles, ui.Tile{Label: "Paid today", Value: c.cash(money.Of(paid, c.here().general.Currency)) + more, Note: ui.Count(int64(len(orders)), "order") + more, Href: link(string(journal.OrderPlaced))})
	for _, t := range []struct {
		label string
		kind  journal.Name
	}{{"New today", journal.SubscriptionCreated}, {"Cancelled today", journal.SubscriptionCancelled}, {"Failed payments today", journal.BillingAttemptFailed}} {
		_, words, err := c.countOf(find.Filter{Types: []journal.Name{t.kind}, From: start})
		if err != nil {
			return err
		}
		v.Tiles = append(v.Tiles, ui.Tile{Label: t.label, Value: words, Href: link(string(t.kind))})
	}
	v.Empty = active == 0 && len(orders) == 0
	return nil
}

// charged gives the payment method that is charged for each of some subscriptions: its own, or the customer's default.
func (c *call) charged(rows []store.Row) (map[id.ID]id.ID, error) {
	var following []id.ID
	for _, r := range rows {
		if s := r.State.(*subscription.Subscription); s.PaymentMethodID == "" {
			following = append(following, s.CustomerID)
		}
	}
	slices.Sort(following)
	people, err := statesOf[*customer.Customer](c, journal.Customer, slices.Compact(following))
	out := map[id.ID]id.ID{}
	for _, r := range rows {
		s := r.State.(*subscription.Subscription)
		key := s.PaymentMethodID
		if who := people[s.CustomerID]; key == "" && who != nil {
			key = who.DefaultPaymentMethodID
		}
		if key != "" {
			out[s.ID] = key
		}
	}
	return out, err
}

// heldOrders notes orders whose day has come and that wait: for stock, or for an address that the shop sends to.
func (c *call) heldOrders(v *homeView, today civil.Date) error {
	rows, err := query.Rows(c.ctx, c.Store, query.List{Kind: journal.Subscription, Order: query.ByDue, Limit: cardsAhead,
		Where: []query.Filter{query.Is(query.Status, subscription.Active), query.To(query.Due, today.String())}})
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(r store.Row) bool { return r.State.(*subscription.Subscription).HeldOn == nil })
	names, err := c.subscriptionRows(rows[:min(len(rows), attentionAtMost)])
	if err != nil {
		return err
	}
	for i, line := range names {
		s := rows[i].State.(*subscription.Subscription)
		v.Note = append(v.Note, attention{ui.Warn, "circle-alert", line.Name + ": the order of " + s.HeldOn.Long() + " is held", ui.Link{Href: "/subscriptions/" + string(s.ID), Text: "See why"}})
	}
	if n := len(rows) - len(names); n > 0 {
		v.Note = append(v.Note, attention{ui.Warn, "circle-alert", ui.Count(int64(n), "more order is held", "more orders are held"), ui.Link{Href: "/events?type=subscription.order_held", Text: "See them"}})
	}
	return nil
}
