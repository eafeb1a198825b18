package dashboard

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"perennial/internal/cancelflow"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

func (d *Dashboard) registerCancelFlows() {
	d.on(route{pattern: "GET /cancel-flows", permission: team.CancelFlowsView}, (*call).cancelFlowsPage)
	d.on(route{pattern: "GET /cancel-flows/{id}", permission: team.CancelFlowsView}, (*call).cancelFlowPage)
	edit := func(f form) { f.permission = team.CancelFlowsEdit; d.form(f) }
	edit(form{path: "/cancel-flows/new", title: "Build a cancel flow", verb: "Make it", lead: "Add the reasons next, then switch it on.", events: []journal.Name{journal.CancelFlowCreated}, on: above("/cancel-flows", "Cancel flows"),
		fields: func(c *call, _ subject, v url.Values) ([]formField, error) {
			return c.flowFields(&cancelflow.Flow{Weight: 1, Status: cancelflow.Off}, v)
		},
		command: func(c *call, _ subject, in *input) journal.Command {
			return journal.Bind(cancelflow.CreateFlow{ID: c.IDs.New(id.CancelFlow), Fields: in.flow(c)})
		}, to: resultOf("/cancel-flows/")})
	edit(form{path: "/cancel-flows/{id}/edit", title: "Change the flow", verb: "Save", events: []journal.Name{journal.CancelFlowUpdated}, on: aboutFlow,
		fields: func(c *call, s subject, v url.Values) ([]formField, error) {
			return c.flowFields(s.state.(*cancelflow.Flow), v)
		},
		command: func(c *call, s subject, in *input) journal.Command {
			return journal.Bind(cancelflow.UpdateFlow{ID: s.state.Ref().ID, Fields: in.flow(c)})
		}})
	edit(form{path: "/cancel-flows/{id}/delete", title: "Delete the flow", verb: "Delete", danger: true, lead: "Nobody is asked with it any more. What came of it stays.", events: []journal.Name{journal.CancelFlowDeleted}, on: aboutFlow,
		command: func(_ *call, s subject, _ *input) journal.Command {
			return journal.Bind(cancelflow.DeleteFlow{ID: s.state.Ref().ID})
		}, to: func(subject, *program.Outcome) string { return "/cancel-flows" }})
	edit(form{path: "/cancel-flows/{id}/reasons/new", title: "Add a reason", verb: "Add", events: []journal.Name{journal.CancelReasonCreated}, on: aboutFlow,
		fields: func(c *call, s subject, v url.Values) ([]formField, error) {
			return c.reasonFields(s.state.Ref().ID, nil, v)
		},
		command: func(c *call, s subject, in *input) journal.Command {
			return journal.Bind(cancelflow.CreateReason{ID: c.IDs.New(id.CancelReason), FlowID: s.state.Ref().ID, ParentID: id.ID(in.text("parent_id")), Fields: in.reason()})
		}, to: func(s subject, _ *program.Outcome) string { return s.back }})
	edit(form{path: "/cancel-flows/{id}/reasons/{part}/edit", title: "Change the reason", verb: "Save", events: []journal.Name{journal.CancelReasonUpdated}, on: aboutReason,
		fields: func(c *call, s subject, v url.Values) ([]formField, error) {
			r := s.state.(*cancelflow.Reason)
			return c.reasonFields(r.FlowID, r, v)
		},
		command: func(_ *call, s subject, in *input) journal.Command {
			return journal.Bind(cancelflow.UpdateReason{ID: s.state.Ref().ID, Fields: in.reason()})
		}})
	edit(form{path: "/cancel-flows/{id}/reasons/{part}/delete", title: "Delete the reason", verb: "Delete", danger: true, lead: "It is not an answer any more. What was answered with it stays.", events: []journal.Name{journal.CancelReasonDeleted}, on: aboutReason,
		command: func(_ *call, s subject, _ *input) journal.Command {
			return journal.Bind(cancelflow.DeleteReason{ID: s.state.Ref().ID})
		}})
}

var aboutFlow = about(journal.CancelFlow, ui.Link{Href: "/cancel-flows", Text: "Cancel flows"}, func(f *cancelflow.Flow) string { return f.Name })

var aboutReason = aboutPart(aboutFlow, journal.CancelReason, func(r *cancelflow.Reason) id.ID { return r.FlowID })

// number is a whole number whose absence says 0.
func number(v url.Values, name, label string, now int, hint string) formField {
	f := whole(v, name, label, now, hint)
	if f.Value == "0" {
		f.Value = ""
	}
	return f
}

func (c *call) flowFields(f *cancelflow.Flow, v url.Values) ([]formField, error) {
	options, err := c.productOptions("")
	chosen := v["product_ids"]
	if len(v) == 0 {
		for _, p := range f.Audience.ProductIDs {
			chosen = append(chosen, string(p))
		}
	}
	value := func(minor int64) string {
		if minor == 0 {
			return ""
		}
		return money.Of(minor, c.here().general.Currency).Decimal()
	}
	name := textField("input", "name", "Name", filled(v, "name", f.Name), "For the team.")
	name.Required = true
	return []formField{name,
		{kind: "select", Field: ui.Field{Name: "status", Label: "Status", Value: filled(v, "status", string(f.Status))}, options: []ui.Option{{Value: "off", Label: "Off"}, {Value: "active", Label: "On"}}},
		textField("area", "intro", "What subscribers read first", filled(v, "intro", f.Intro), ""),
		number(v, "weight", "Share", f.Weight, "Of several flows that fit, one with 2 is drawn twice as often as one with 1."),
		number(v, "min_days", "Subscribed for at least so many days", f.Audience.MinDays, ""), number(v, "max_days", "And at most", f.Audience.MaxDays, "Empty: no limit."),
		textField("input", "min_value", "An order is worth at least, in "+c.here().general.Currency, filled(v, "min_value", value(f.Audience.MinValue)), ""),
		textField("input", "max_value", "And at most", filled(v, "max_value", value(f.Audience.MaxValue)), "Empty: no limit."),
		{kind: "boxes", Field: ui.Field{Name: "product_ids", Label: "Only with one of these products", Value: strings.Join(chosen, " "), Hint: "None ticked: any."}, options: options[1:]}}, err
}

func (in *input) flow(c *call) cancelflow.FlowFields {
	value := func(name string) int64 {
		if in.text(name) == "" {
			return 0
		}
		return in.amount(name, c.here().general.Currency).Minor
	}
	return cancelflow.FlowFields{Name: in.given("name"), Status: new(cancelflow.Status(in.text("status"))), Weight: new(in.number("weight", 1)), Intro: in.given("intro"),
		Audience: &cancelflow.Audience{MinDays: in.number("min_days", 0), MaxDays: in.number("max_days", 0), MinValue: value("min_value"), MaxValue: value("max_value"), ProductIDs: in.ids("product_ids")}}
}

// offerOptions are the offers that can be chosen, each as one value: "pause:30".
func (c *call) offerOptions() ([]ui.Option, error) {
	out := []ui.Option{{Label: "None"}, {Value: cancelflow.OfferSkip, Label: "Skip the next order"}}
	add := func(o cancelflow.Offer, words string) {
		out = append(out, ui.Option{Value: offerValue(o), Label: words})
	}
	for _, days := range []int{14, 30, 60, 90} {
		add(cancelflow.Offer{Kind: cancelflow.OfferPause, Days: days}, fmt.Sprintf("Pause for %d days", days))
	}
	for _, p := range []catalog.Policy{{Interval: civil.Week, IntervalCount: 2}, {Interval: civil.Week, IntervalCount: 3}, {Interval: civil.Month, IntervalCount: 1}, {Interval: civil.Month, IntervalCount: 2}, {Interval: civil.Month, IntervalCount: 3}} {
		add(cancelflow.Offer{Kind: cancelflow.OfferFrequency, Interval: p.Interval, IntervalCount: p.IntervalCount}, "Get it "+every(p))
	}
	rows, err := c.allRows(journal.Discount, query.Oldest, query.Is(query.Status, catalog.Active))
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		d := row.State.(*catalog.Discount)
		add(cancelflow.Offer{Kind: cancelflow.OfferDiscount, Code: d.Code}, "Discount "+d.Code+": "+c.discountRow(d).Value)
	}
	variants, err := c.variantOptions()
	for _, kind := range []struct{ kind, words string }{{cancelflow.OfferGift, "Gift: "}, {cancelflow.OfferSwap, "Swap for "}} {
		for _, v := range variants {
			if v.Value != "" {
				add(cancelflow.Offer{Kind: kind.kind, VariantID: id.ID(v.Value)}, kind.words+v.Label)
			}
		}
	}
	return append(out, ui.Option{Value: cancelflow.OfferTalk, Label: "Talk to us"}), err
}

// offerValue is an offer without its sentence, as the value of a choice.
func offerValue(o cancelflow.Offer) string {
	switch o.Kind {
	case cancelflow.OfferPause:
		return fmt.Sprintf("%s:%d", o.Kind, o.Days)
	case cancelflow.OfferFrequency:
		return fmt.Sprintf("%s:%d:%s", o.Kind, o.IntervalCount, o.Interval)
	case cancelflow.OfferDiscount:
		return o.Kind + ":" + o.Code
	case cancelflow.OfferSwap, cancelflow.OfferGift:
		return o.Kind + ":" + string(o.VariantID)
	}
	return o.Kind
}

func offerOf(value string) cancelflow.Offer {
	kind, rest, _ := strings.Cut(value, ":")
	o := cancelflow.Offer{Kind: kind}
	switch kind {
	case cancelflow.OfferPause:
		o.Days, _ = strconv.Atoi(rest) // 0 is refused
	case cancelflow.OfferFrequency:
		count, unit, _ := strings.Cut(rest, ":")
		o.IntervalCount, _ = strconv.Atoi(count)
		o.Interval = civil.Unit(unit)
	case cancelflow.OfferDiscount:
		o.Code = rest
	case cancelflow.OfferSwap, cancelflow.OfferGift:
		o.VariantID = id.ID(rest)
	}
	return o
}

func (c *call) reasonFields(flow id.ID, r *cancelflow.Reason, v url.Values) ([]formField, error) {
	now := r
	if r == nil {
		now = &cancelflow.Reason{}
	}
	label := textField("input", "label", "The answer", filled(v, "label", now.Label), "As subscribers read it: “It costs too much”.")
	label.Required = true
	out := []formField{label}
	if r == nil {
		reasons, err := c.reasons(flow)
		if err != nil {
			return nil, err
		}
		above := []ui.Option{{Label: "Nothing: an answer of its own"}}
		for _, x := range reasons {
			if x.ParentID == "" {
				above = append(above, ui.Option{Value: string(x.ID), Label: x.Label})
			}
		}
		out = append(out, formField{kind: "select", Field: ui.Field{Name: "parent_id", Label: "A closer answer to", Value: v.Get("parent_id")}, options: above})
	} else {
		out = append(out, number(v, "position", "Place in the list", now.Position, "Lower comes first."))
	}
	out = append(out, formField{kind: "box", Field: ui.Field{Name: "ask_words", Label: "Ask for a few words too", Value: ticked(v, "ask_words", now.AskWords)}})
	options, err := c.offerOptions()
	for i := range cancelflow.MaxOffers {
		var o cancelflow.Offer
		if i < len(now.Offers) {
			o = now.Offers[i]
		}
		n, words, list := strconv.Itoa(i), fmt.Sprintf("Offer %d", i+1), options
		chosen := filled(v, "offer_"+n, offerValue(o))
		if !slices.ContainsFunc(options, func(have ui.Option) bool { return have.Value == chosen }) {
			list = append(slices.Clone(options), ui.Option{Value: chosen, Label: c.offerWords(o, nil)})
		}
		out = append(out, formField{kind: "select", Field: ui.Field{Name: "offer_" + n, Label: words, Value: chosen}, options: list},
			textField("input", "text_"+n, words+": a sentence to go with it", filled(v, "text_"+n, o.Text), ""))
	}
	return out, err
}

// reason reads a reason.
func (in *input) reason() cancelflow.ReasonFields {
	f := cancelflow.ReasonFields{Label: in.given("label"), AskWords: new(in.yes("ask_words")), Offers: &[]cancelflow.Offer{}}
	if in.Values.Has("position") {
		f.Position = new(in.number("position", 0))
	}
	for i := range cancelflow.MaxOffers {
		n := strconv.Itoa(i)
		if o := offerOf(in.text("offer_" + n)); o.Kind != "" {
			o.Text = in.text("text_" + n)
			*f.Offers = append(*f.Offers, o)
		}
	}
	return f
}

// reasons are those of a flow, in order, each with its closer answers after it.
func (c *call) reasons(flow id.ID) ([]*cancelflow.Reason, error) {
	rows, err := c.allRows(journal.CancelReason, query.Oldest, query.Is(query.Flow, flow), query.Is(query.Status, cancelflow.Active))
	list := make([]*cancelflow.Reason, len(rows))
	places := map[id.ID]int{}
	for i, r := range rows {
		list[i] = r.State.(*cancelflow.Reason)
		places[list[i].ID] = list[i].Position
	}
	first := func(r *cancelflow.Reason) (place int, top id.ID, depth int) {
		if r.ParentID != "" {
			return places[r.ParentID], r.ParentID, 1
		}
		return r.Position, r.ID, 0
	}
	slices.SortFunc(list, func(a, b *cancelflow.Reason) int {
		p, above, below := first(a)
		q, other, under := first(b)
		return cmp.Or(cmp.Compare(p, q), cmp.Compare(above, other), cmp.Compare(below, under), cmp.Compare(a.Position, b.Position), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}

// offerWords say what an offer is, to the team.
func (c *call) offerWords(o cancelflow.Offer, variants map[id.ID]string) string {
	switch o.Kind {
	case cancelflow.OfferSkip:
		return "Skip the next order"
	case cancelflow.OfferPause:
		return "Pause for " + ui.Count(int64(o.Days), "day")
	case cancelflow.OfferSwap:
		return "Swap for " + cmp.Or(variants[o.VariantID], "another product")
	case cancelflow.OfferFrequency:
		return "Change to " + every(catalog.Policy{Interval: o.Interval, IntervalCount: o.IntervalCount})
	case cancelflow.OfferDiscount:
		return "Discount " + o.Code
	case cancelflow.OfferGift:
		return "Gift: " + cmp.Or(variants[o.VariantID], "a product")
	}
	return "Talk to us"
}

type flowRow struct {
	F     *cancelflow.Flow
	For   string
	Share string
	T     cancelflow.Tally
}

type cancelFlowsView struct {
	MayEdit  bool
	Enabled  bool
	Cooldown int
	Tabs     []ui.Tab
	Tiles    []ui.Tile
	Flows    []flowRow
}

// results counts the sessions of the last days that the address asks for.
func (c *call) results() (r *cancelflow.Results, tabs []ui.Tab, err error) {
	days := 90
	if n, err := strconv.Atoi(c.r.FormValue("days")); err == nil && (n == 30 || n == 365) {
		days = n
	}
	for _, n := range []int{30, 90, 365} {
		tabs = append(tabs, ui.Tab{Label: fmt.Sprintf("%d days", n), Href: c.r.URL.Path + "?days=" + strconv.Itoa(n), Current: n == days})
	}
	today, zone := c.today(), c.here().zone
	r, err = query.CancelResults(c.ctx, c.Store, today.AddDays(1-days).Start(zone), today.AddDays(1).Start(zone), c.Program.Now())
	return r, tabs, err
}

func rate(points int) string { return fmt.Sprintf("%d.%d %%", points/100, points%100/10) }

func share(part, of int) string {
	if of == 0 {
		return "none"
	}
	return rate(part * 10_000 / of)
}

func tallyTiles(t cancelflow.Tally, running int) []ui.Tile {
	return []ui.Tile{{Label: "Asked to cancel", Value: ui.Grouped(int64(t.Sessions)), Note: ui.Count(int64(running), "conversation") + " open"}, {Label: "Stayed", Value: share(t.Accepted+t.Kept, t.Sessions), Note: ui.Grouped(int64(t.Accepted + t.Kept))},
		{Label: "Took an offer", Value: ui.Grouped(int64(t.Accepted)), Note: share(t.Accepted, t.Sessions)}, {Label: "Cancelled", Value: ui.Grouped(int64(t.Cancelled)), Note: share(t.Cancelled, t.Sessions)}}
}

func (c *call) cancelFlowsPage() (answer, error) {
	r, tabs, err := c.results()
	if err != nil {
		return answer{}, err
	}
	v := cancelFlowsView{MayEdit: c.permitted(team.CancelFlowsEdit), Tabs: tabs, Tiles: tallyTiles(r.All, r.Running)}
	page, err := journal.Find[settings.CancelFlow](c.reader(), journal.Settings, settings.PageCancelFlow)
	if err != nil {
		return answer{}, err
	}
	if page == nil {
		page = settings.Default(settings.PageCancelFlow, c.here().general).(*settings.CancelFlow)
	}
	v.Enabled, v.Cooldown = page.Enabled, page.DiscountCooldownDays
	rows, err := c.allRows(journal.CancelFlow, query.Oldest, query.Not(query.Status, cancelflow.Deleted))
	if err != nil {
		return answer{}, err
	}
	titles, err := c.productTitles()
	if err != nil {
		return answer{}, err
	}
	for _, row := range rows {
		f := row.State.(*cancelflow.Flow)
		v.Flows = append(v.Flows, flowRow{F: f, For: c.audienceWords(f.Audience, titles), Share: strconv.Itoa(f.Weight), T: r.Flows[f.ID]})
	}
	a := answer{title: "Cancel flows", head: ui.Head{Lead: "What subscribers are asked, and offered, before they go. Each page of it offers to cancel at once, too."}, body: cancelFlowsBody(v)}
	if v.MayEdit {
		a.act = ui.Go("/cancel-flows/new", ui.Button{Label: "Build a flow", Icon: "plus", Kind: "primary", Dialog: true})
	}
	return a, nil
}

// audienceWords say whom a flow is for.
func (c *call) audienceWords(a cancelflow.Audience, titles map[id.ID]string) string {
	var out []string
	switch {
	case a.MinDays > 0 && a.MaxDays > 0:
		out = append(out, fmt.Sprintf("subscribed for %d to %d days", a.MinDays, a.MaxDays))
	case a.MinDays > 0:
		out = append(out, "subscribed for "+ui.Count(int64(a.MinDays), "day")+" or longer")
	case a.MaxDays > 0:
		out = append(out, "subscribed for at most "+ui.Count(int64(a.MaxDays), "day"))
	}
	cash := func(minor int64) string { return c.cash(money.Of(minor, c.here().general.Currency)) }
	if a.MinValue > 0 {
		out = append(out, "orders of "+cash(a.MinValue)+" or more")
	}
	if a.MaxValue > 0 {
		out = append(out, "orders of at most "+cash(a.MaxValue))
	}
	var products []string
	for _, p := range a.ProductIDs {
		products = append(products, cmp.Or(titles[p], string(p)))
	}
	if len(products) > 0 {
		out = append(out, "with "+strings.Join(products, " or "))
	}
	if len(out) == 0 {
		return "Everybody"
	}
	words := strings.Join(out, ", ")
	return strings.ToUpper(words[:1]) + words[1:]
}

type answerRow struct {
	R      *cancelflow.Reason
	At     string
	T      cancelflow.Tally
	Offers []offerRow
}

type offerRow struct {
	Words           string
	Shown, Accepted int
	Rate            string
}

type cancelFlowView struct {
	F       *cancelflow.Flow
	At      string
	For     string
	MayEdit bool
	Tabs    []ui.Tab
	Tiles   []ui.Tile
	Reasons []answerRow
	Log     []ui.Day
}

func (c *call) cancelFlowPage() (answer, error) {
	s, err := aboutFlow(c)
	if err != nil {
		return answer{}, err
	}
	f := s.state.(*cancelflow.Flow)
	r, tabs, err := c.results()
	if err != nil {
		return answer{}, err
	}
	titles, err := c.productTitles()
	if err != nil {
		return answer{}, err
	}
	variants, err := c.variantOptions()
	if err != nil {
		return answer{}, err
	}
	named := map[id.ID]string{}
	for _, o := range variants {
		named[id.ID(o.Value)] = o.Label
	}
	v := cancelFlowView{F: f, At: s.back, For: c.audienceWords(f.Audience, titles), MayEdit: c.permitted(team.CancelFlowsEdit) && f.Status != cancelflow.Deleted, Tabs: tabs, Tiles: tallyTiles(r.Flows[f.ID], 0)}
	v.Tiles[0].Note = ""
	reasons, err := c.reasons(f.ID)
	if err != nil {
		return answer{}, err
	}
	for _, x := range reasons {
		row := answerRow{R: x, At: s.back + "/reasons/" + string(x.ID), T: r.Reasons[x.ID]}
		for _, o := range x.Offers {
			t := r.Offers[x.ID][o.Kind]
			row.Offers = append(row.Offers, offerRow{c.offerWords(o, named), t.Shown, t.Accepted, share(t.Accepted, t.Shown)})
		}
		v.Reasons = append(v.Reasons, row)
	}
	if v.Log, err = c.logOf(f.ID); err != nil {
		return answer{}, err
	}
	a := answer{title: f.Name, head: ui.Head{Crumbs: s.crumbs[:1], Badge: new(flowBadge(f.Status))}, body: cancelFlowBody(v)}
	if v.MayEdit {
		a.act = cancelFlowActions(v.At)
	}
	return a, nil
}

func flowBadge(s cancelflow.Status) ui.Badge {
	switch s {
	case cancelflow.Active:
		return ui.Badge{Tone: ui.Good, Text: "On"}
	case cancelflow.Off:
		return ui.Badge{Text: "Off", Icon: "circle-dashed"}
	}
	return ui.Badge{Text: "Deleted", Icon: "circle-x"}
}
