package dashboard

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/observe"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/view"
	"perennial/internal/web/ui"
)

// The logs are one page with different filters: the Activity Log, a customer's, a subscription's, and everything.

// entriesOnPage is how many entries a page of a log shows.
const entriesOnPage = 50

func (d *Dashboard) registerLogs() {
	const byHand = "the permission to make the change by hand"
	log := func(path string, p team.Permission, of func(c *call) (observe.Log, answer, error)) {
		d.on(route{pattern: "GET " + path, permission: p, besides: "exports.edit for a download"}, func(c *call) (answer, error) { return c.logPage(of) })
		d.on(route{pattern: "GET " + path + "/live", permission: p, stream: true}, func(c *call) (answer, error) { return c.liveLog(of) })
	}
	d.on(route{pattern: "GET /help/logs", who: signedIn}, func(*call) (answer, error) {
		return answer{title: "What the three logs have", head: ui.Head{Lead: "All are views of one journal: an entry is made once, and stands in each log that it belongs to."}, body: logHelpBody()}, nil
	})
	log("/activity", team.ActivityLogView, func(*call) (observe.Log, answer, error) {
		return observe.Log{Name: "activity"}, answer{title: "Activity Log", head: ui.Head{Lead: "What the team did to the shop: products, plans, settings, people and keys.", Help: logHelp}}, nil
	})
	log("/events", team.EventsView, func(*call) (observe.Log, answer, error) {
		return observe.Log{Name: "explorer"}, answer{title: "Explorer", head: ui.Head{Lead: "Everything that happened, on one timeline.", Help: logHelp}}, nil
	})
	log("/customers/{id}/log", team.CustomersView, (*call).customerLog)
	log("/subscriptions/{id}/log", team.SubscriptionsView, (*call).subscriptionLog)
	d.on(route{pattern: "GET /events/{id}", permission: team.EventsView}, (*call).eventPage)
	d.on(route{pattern: "GET /events/{id}/receipt.json", permission: team.EventsView}, (*call).receipt)
	d.on(route{pattern: "GET /log-key.txt", permission: team.EventsView}, (*call).logKey)
	d.on(route{pattern: "GET /events/{id}/undo", who: signedIn, besides: byHand}, (*call).undoPage)
	d.on(route{pattern: "POST /events/{id}/undo", who: signedIn, besides: byHand, events: kinds.UndoTypes()}, (*call).undo)
	d.on(route{pattern: "GET /past/{kind}/{id}", permission: team.EventsView}, (*call).pastPage)
}

func (c *call) customerLog() (observe.Log, answer, error) {
	who, _, err := c.customer()
	if err != nil {
		return observe.Log{}, answer{}, err
	}
	at := "/customers/" + string(who.ID)
	return observe.Log{Name: "customer", Customer: who.ID}, answer{title: "Customer Audit Log", head: ui.Head{Crumbs: []ui.Link{{Href: "/customers", Text: "Customers"}, {Href: at, Text: c.called(who)}},
		Lead: "Everything about this customer and all their subscriptions, whoever acted.", Help: logHelp}}, nil
}

func (c *call) subscriptionLog() (observe.Log, answer, error) {
	s, _, err := c.subscription()
	if err != nil {
		return observe.Log{}, answer{}, err
	}
	at := "/subscriptions/" + string(s.ID)
	return observe.Log{Name: "subscription", Subscription: s.ID, Customer: s.CustomerID}, answer{title: "Subscription Audit Log", head: ui.Head{
		Crumbs: []ui.Link{{Href: "/subscriptions", Text: "Subscriptions"}, {Href: at, Text: kinds.Contents(s)}}, Lead: "Everything about this subscription, whoever acted.", Help: logHelp}}, nil
}

// logHelp leads from a log to what the others have.
var logHelp = ui.Link{Href: "/help/logs", Text: "Which log has what?"}

// logView is a page of a log.
type logView struct {
	Path    string // of the log
	Query   view.Filter
	Order   string
	Problem string
	Held    string // what the page was held against; empty when something was found, which stands above
	Days    []ui.Day
	Any     bool // something is filtered for
	Pager   ui.Pager
	CSV     string // addresses of the downloads; empty: not permitted
	NDJSON  string
	Live    string // address of the stream; empty on other pages than the first
	Types   []typeGroup
	Presets []ui.Link
	Scoped  bool // the log of one thing: it needs no field for another
	// Unfolded was asked for: each entry has a line of its own. Otherwise what one cause made is one line.
	Unfolded bool
	Folded   bool // so it is shown
}

// typeGroup is a family of the catalogue for the filter.
type typeGroup struct {
	Label string
	Types []ui.Option
}

// filterOf reads the filters of a log from the address, as api.md names them.
func (c *call) filterOf(l observe.Log) (q view.Filter, order string, flt find.Filter, err error) {
	v := c.r.URL.Query()
	list := func(name string) []string {
		return slices.DeleteFunc(slices.Clone(v[name]), func(s string) bool { return s == "" })
	}
	q = view.Filter{Type: list("type"), Category: list("category"), ActorKind: list("actor_kind"), ActorID: list("actor_id"), Channel: list("channel"), Target: list("target"),
		CorrelationID: v.Get("correlation_id"), From: v.Get("from"), To: v.Get("to"), Q: v.Get("q")}
	order = "desc"
	if v.Get("order") == "asc" {
		order = "asc"
	}
	flt, err = exactly(q).Parse(c.here().zone)
	flt.Oldest = order == "asc"
	switch l.Name {
	case "activity":
		flt.Log = journal.ActivityLog
	case "customer":
		flt.Scope = l.Customer
	case "subscription":
		flt.Scope = l.Subscription
	}
	return q, order, flt, err
}

// exactly is the filter as the API has it: a range ends before the day after its last.
func exactly(q view.Filter) *view.Filter {
	q.To = view.LastDay(q.To)
	return &q
}

// link is an address of a log with its filters, changed.
func (v logView) link(change func(url.Values)) string {
	u := url.Values{}
	maps.Copy(u, map[string][]string{"type": v.Query.Type, "category": v.Query.Category, "actor_kind": v.Query.ActorKind, "actor_id": v.Query.ActorID, "channel": v.Query.Channel, "target": v.Query.Target})
	for name, s := range map[string]string{"correlation_id": v.Query.CorrelationID, "from": v.Query.From, "to": v.Query.To, "q": v.Query.Q} {
		if s != "" {
			u.Set(name, s)
		}
	}
	if v.Order == "asc" {
		u.Set("order", "asc")
	}
	if v.Unfolded {
		u.Set("fold", "0")
	}
	change(u)
	if q := u.Encode(); q != "" {
		return v.Path + "?" + q
	}
	return v.Path
}

func (c *call) logPage(of func(c *call) (observe.Log, answer, error)) (answer, error) {
	l, a, err := of(c)
	if err != nil {
		return a, err
	}
	v := logView{Path: c.r.URL.Path, Types: typeGroups(l), Scoped: l.Subscription != "" || l.Customer != ""}
	var flt find.Filter
	v.Query, v.Order, flt, err = c.filterOf(l)
	if format := c.r.FormValue("format"); format != "" && err == nil {
		return c.downloadLog(l, v, flt, format)
	}
	v.Unfolded = c.r.FormValue("fold") == "0"
	page := func(u url.Values) {}
	v.Any = v.link(page) != v.Path && v.link(page) != v.Path+"?order=asc"
	v.Presets = c.presets(v)
	if c.permitted(team.ExportsEdit) {
		v.CSV = v.link(func(u url.Values) { u.Set("format", "csv") })
		v.NDJSON = v.link(func(u url.Values) { u.Set("format", "ndjson") })
	}
	after := int64(-1)
	if s := c.r.FormValue("after"); s != "" && err == nil {
		if after, err = strconv.ParseInt(s, 10, 64); err != nil || after < 0 {
			err = fault.New(fault.Malformed, "cursor_invalid", "This page of the log does not exist. Start from the first page.")
		}
	}
	var found find.Page
	var entries []ui.Entry
	v.Folded = !v.Unfolded && flt.CorrelationID == ""
	switch {
	case err != nil:
	case v.Folded:
		found, entries, err = c.foldedLines(flt, after, linesOnPage, l)
	default:
		found, entries, err = c.lines(flt, after, entriesOnPage, l)
	}
	if err != nil {
		f := fault.As(err)
		if f.Kind != fault.Refused && f.Kind != fault.Malformed {
			return a, err
		}
		a.status, v.Problem = http.StatusUnprocessableEntity, f.Public
		for _, field := range f.Fields {
			v.Problem = field.Detail
		}
		a.body = logBody(v)
		return a, nil
	}
	if !found.Check.Found() {
		v.Held = found.Check.Words()
	}
	v.Days = ui.Days(entries, c.Program.Now())
	n := len(found.Entries)
	v.Pager.Shown = ui.Count(int64(n), "entry", "entries")
	if len(entries) < n {
		v.Pager.Shown += ", in " + ui.Count(int64(len(entries)), "line", "lines")
	}
	c.countDays(v.Days, found, after >= 0)
	if after >= 0 {
		v.Pager.First = v.link(page)
	} else if v.Order == "desc" {
		v.Live = c.r.URL.Path + "/live" + strings.TrimPrefix(v.link(page), v.Path)
		if n > 0 {
			v.Live = withQuery(v.Live, "after", strconv.FormatInt(found.Entries[0].Seq, 10))
		}
	}
	if found.More {
		v.Pager.Next = v.link(func(u url.Values) { u.Set("after", strconv.FormatInt(found.Entries[n-1].Seq, 10)) })
	}
	c.viewed(l)
	a.body = logBody(v)
	a.act = logActions(v)
	return a, nil
}

// countDays says of the days that are whole on a page how many entries they have.
func (c *call) countDays(days []ui.Day, found find.Page, later bool) {
	counts := map[string]int64{}
	for _, st := range found.Entries {
		counts[ui.DayOf(st.RecordedAt.In(c.here().zone), c.Program.Now())]++
	}
	for i := range days {
		if (i > 0 || !later) && (i < len(days)-1 || !found.More) {
			days[i].Count = ui.Count(counts[days[i].Label], "entry", "entries")
		}
	}
}

func withQuery(address, name, value string) string {
	sep := "?"
	if strings.Contains(address, "?") {
		sep = "&"
	}
	return address + sep + name + "=" + url.QueryEscape(value)
}

// take gives the first n entries of a search.
func take(search func(func(store.Stored, error) bool), n int) ([]store.Stored, error) {
	var out []store.Stored
	for st, err := range search {
		if err != nil {
			return nil, store.Fault(err)
		}
		if out = append(out, st); len(out) == n {
			break
		}
	}
	return out, nil
}

// presets are spans of days that people ask for.
func (c *call) presets(v logView) []ui.Link {
	today := c.today()
	span := func(label string, from, to string) ui.Link {
		return ui.Link{Text: label, Href: v.link(func(u url.Values) {
			u.Del("from")
			u.Del("to")
			if from != "" {
				u.Set("from", from)
			}
			if to != "" {
				u.Set("to", to)
			}
		})}
	}
	return []ui.Link{span("Today", today.String(), ""), span("Yesterday", today.AddDays(-1).String(), today.AddDays(-1).String()), span("7 days", today.AddDays(-6).String(), ""),
		span("30 days", today.AddDays(-29).String(), ""), span("All time", "", "")}
}

// typeGroups are the types that a log can have, by family.
func typeGroups(l observe.Log) []typeGroup {
	by := map[string][]ui.Option{}
	for _, t := range journal.Types() {
		if t.Hidden || l.Name == "activity" && t.Log != journal.ActivityLog {
			continue
		}
		by[t.Family()] = append(by[t.Family()], ui.Option{Value: string(t.Name), Label: t.Label})
	}
	var out []typeGroup
	for _, family := range slices.Sorted(maps.Keys(by)) {
		label := strings.ReplaceAll(family, "_", " ")
		label = strings.ToUpper(label[:1]) + label[1:]
		out = append(out, typeGroup{label, append([]ui.Option{{Value: family + ".*", Label: "All of " + strings.ToLower(label)}}, by[family]...)})
	}
	return out
}

// views makes views of entries for who is signed in.
func (c *call) views() *view.Renderer {
	if c.permitted(team.PersonalDataView) {
		return view.Unmasked(c.ctx, c.Store)
	}
	return view.New(c.ctx, c.Store, team.Set{})
}

// lines gives the first n lines of a log after a seq, held against the chains that lead to its entries. What was hidden is said above
// the page.
func (c *call) lines(flt find.Filter, after int64, n int, l observe.Log) (find.Page, []ui.Entry, error) {
	page, err := c.Finder.Page(c.ctx, store.Opened, flt, after, n)
	if err != nil {
		return page, nil, store.Fault(err)
	}
	entries, err := c.entries(page.Entries, l)
	for i := range entries {
		entries[i].Hidden = slices.Contains(page.Check.Hidden, entries[i].Seq)
	}
	if page.Check.Found() {
		c.gap = page.Check.Words()
	}
	return page, entries, err
}

// entries makes lines of a log. What a log is about needs no link on every line.
func (c *call) entries(found []store.Stored, l observe.Log) ([]ui.Entry, error) {
	entries, _, err := c.entriesWith(found, l)
	return entries, err
}

// entriesWith is entries, with the views that they were made of.
func (c *call) entriesWith(found []store.Stored, l observe.Log) ([]ui.Entry, []view.Event, error) {
	r := c.views()
	shown, err := r.Render(found)
	if err == nil {
		err = r.LearnValues(shown)
	}
	if err != nil {
		return nil, nil, err
	}
	undone := undoneOf(found)
	out := make([]ui.Entry, len(shown))
	for i, v := range shown {
		out[i] = c.entry(r, v, found[i], l)
		if out[i].Undone = undone[v.ID]; out[i].Undone {
			out[i].Undo = nil
		}
	}
	return out, shown, nil
}

// undoneOf gives the entries that others of the list take back.
func undoneOf(found []store.Stored) map[id.ID]bool {
	undone := map[id.ID]bool{}
	for _, st := range found {
		undone[st.Corrects] = true
	}
	return undone
}

// about links to what an event is about: all of it, and what a line of a log does not say already.
func (c *call) about(v view.Event, l observe.Log) (all, besides []ui.Link) {
	for _, t := range v.Targets {
		link := c.thing(t.Kind, t.ID, t.Words())
		if link.Href == "" {
			continue
		}
		all = append(all, link)
		own := t.ID == string(l.Subscription) || t.ID == string(l.Customer) || t.Kind == string(journal.Settings)
		if !own && (len(besides) == 0 || len(besides) == 1 && l.Subscription == "" && l.Customer == "") {
			besides = append(besides, link)
		}
	}
	return all, besides
}

// entry makes a line of an event.
func (c *call) entry(r *view.Renderer, v view.Event, st store.Stored, l observe.Log) ui.Entry {
	e := ui.Entry{ID: string(v.ID), Href: "/events/" + string(v.ID), Seq: v.Seq, At: v.RecordedAt.In(c.here().zone), Icon: actorIcon(v), Sentence: v.Summary, Who: who(v), Changes: c.changes(r.Deltas(v))}
	switch comment := v.Comment.Personal; {
	case comment.Erased:
		e.Reason = "erased"
	default:
		e.Reason = comment.Value
	}
	about, besides := c.about(v, l)
	e.About = besides
	e.Facts = c.facts(r, v, about)
	target := st.Target()
	if c.permitted(team.EventsView) {
		if store.HasState(target.Kind) {
			e.Actions = append(e.Actions, ui.Go(pastOf(target, v.Seq), ui.Button{Label: "As it was then", Icon: "history", Kind: "small"}))
		}
		e.Actions = append(e.Actions, ui.Go("/events?order=asc&correlation_id="+string(v.CorrelationID), ui.Button{Label: "What else happened", Icon: "layers", Kind: "small"}))
	} else {
		e.Href = ""
	}
	if t, _ := journal.Lookup(journal.Name(v.Type)); t.Undoable() && c.mayUndo(st.Event) {
		e.Undo = ui.Go("/events/"+string(v.ID)+"/undo?back="+url.QueryEscape(c.backHere()), ui.Button{Label: "Undo…", Icon: "undo-2", Kind: "small", Dialog: true})
	}
	return e
}

// backHere is the address of this page, without what only it once said.
func (c *call) backHere() string {
	u := *c.r.URL
	q := u.Query()
	q.Del("done")
	u.RawQuery = q.Encode()
	u.Path = strings.TrimSuffix(u.Path, "/live")
	return u.RequestURI()
}

// pastOf is the page of a thing as it was after an entry.
func pastOf(ref journal.Ref, seq int64) string {
	return fmt.Sprintf("/past/%s/%s?at_seq=%d", ref.Kind, ref.ID, seq)
}

func (c *call) mayUndo(e *journal.Event) bool {
	return !slices.ContainsFunc(kinds.UndoPermissions(e), func(p team.Permission) bool { return !c.permitted(p) })
}

// thing links to the page of a thing; without a page or the permission there is only its name.
func (c *call) thing(kind, key, name string) ui.Link {
	l := ui.Link{Text: name}
	k := kinds.Of(journal.Kind(kind))
	if k.Page == "" || !c.permitted(k.Look(id.ID(key))) {
		return l
	}
	if l.Href = k.Page; strings.HasSuffix(k.Page, "/") {
		l.Href += key
	}
	return l
}

// who says who acted, and for whom.
func who(v view.Event) string {
	name := v.Actor.Words()
	switch journal.ActorKind(v.Actor.Kind) {
	case journal.ActorSystem:
		name = "Automatic"
	case journal.ActorAPIKey:
		name = "API: " + name
	}
	if other := v.OnBehalfOf.Name(); other != "" {
		name += ", for " + other
	}
	return name
}

func actorIcon(v view.Event) string {
	switch journal.ActorKind(v.Actor.Kind) {
	case journal.ActorCustomer:
		return "shopping-bag"
	case journal.ActorSystem:
		return "zap"
	case journal.ActorAPIKey:
		return "key-round"
	case journal.ActorIntegration:
		return "webhook"
	case journal.ActorImport:
		return "upload"
	case journal.ActorAnonymous:
		return "circle-dashed"
	}
	return "user"
}

// channels in words.
var channelWords = map[journal.Channel]string{
	journal.ChannelDashboard: "Dashboard", journal.ChannelPortal: "Customer Portal", journal.ChannelQuickAction: "Link in a message", journal.ChannelAPI: "REST API",
	journal.ChannelBilling: "Billing engine", journal.ChannelImport: "Import", journal.ChannelBulk: "Bulk operation", journal.ChannelCLI: "Command line", journal.ChannelWebhook: "Webhook",
	journal.ChannelMigration: "Migration",
}

// facts are what else is known of an entry.
func (c *call) facts(r *view.Renderer, v view.Event, about []ui.Link) []ui.Pair {
	text := func(s string) templ.Component { return ui.Text(s) }
	out := []ui.Pair{{Term: "When", Value: whenFact(v.RecordedAt.In(c.here().zone))}}
	if d := v.OccurredAt.Time.Sub(v.RecordedAt.Time); d < -time.Second {
		out = append(out, ui.Pair{Term: "Happened", Value: whenFact(v.OccurredAt.In(c.here().zone))})
	}
	out = append(out, ui.Pair{Term: "Who", Value: text(who(v) + " (" + strings.ReplaceAll(v.Actor.Kind, "_", " ") + ")")},
		ui.Pair{Term: "From", Value: text(channelWords[v.Source.Channel])})
	if p := v.Source.UserAgent.Personal; p.Erased || p.Value != "" {
		device := deviceWords(p)
		if p.Value == plain.Mask {
			device = plain.Mask
		}
		out = append(out, ui.Pair{Term: "Device", Value: deviceFact(device, p.Value)})
	}
	if p := v.Source.IP.Personal; p.Erased || p.Value != "" {
		out = append(out, ui.Pair{Term: "IP address", Value: ui.Personal(p.Value, p.Erased)})
	}
	if len(about) > 0 {
		out = append(out, ui.Pair{Term: "About", Value: linksFact(about)})
	}
	for _, d := range v.Details {
		if s := r.Detail(v, d); !s.None {
			out = append(out, ui.Pair{Term: journal.FieldName(d.Name), Value: ui.ValueOf(c.side(s, nil))})
		}
	}
	return append(out, ui.Pair{Term: "Entry", Value: entryFact(v.Seq, v.Type, v.Label)})
}

// changes shows what changed to people: what serves the program alone is not among it, unless there is nothing else.
func (c *call) changes(deltas []view.Delta) []ui.Change {
	var out []ui.Change
	all := !slices.ContainsFunc(deltas, func(d view.Delta) bool { return !d.Internal })
	for _, d := range deltas {
		if all || !d.Internal {
			out = append(out, ui.Change{Field: d.Field, Before: c.side(d.Before, d.After.Lines), After: c.side(d.After, d.Before.Lines)})
		}
	}
	return out
}

// mostSame is how many members that a list keeps are shown beside those that come and go.
const mostSame = 4

// side is one side of a change. A moment is in the shop's zone, with UTC on hover; of several lines those are marked that the other side
// has too.
func (c *call) side(v view.Value, other []string) ui.Value {
	out := ui.Value{None: v.None, Erased: v.Erased, Hidden: v.Hidden}
	switch {
	case !v.At.IsZero():
		out.Text, out.Hover = v.At.In(c.here().zone).Format(ui.DateTime), v.At.UTC().Format(ui.UTC)
	case len(v.Lines) == 1:
		out.Text = v.Lines[0]
		if v.Thing.ID != "" {
			out.Href = c.thing(string(v.Thing.Kind), string(v.Thing.ID), out.Text).Href
		}
	default:
		same := 0
		for _, l := range v.Lines {
			line := ui.Line{Text: l, Same: slices.Contains(other, l)}
			if line.Same {
				same++
			}
			out.Lines = append(out.Lines, line)
		}
		if same > mostSame && v.Thing.ID == "" {
			out.Lines = slices.DeleteFunc(out.Lines, func(l ui.Line) bool { return l.Same })
			out.Lines = append(out.Lines, ui.Line{Text: fmt.Sprintf("%d more that stay", same), Same: true})
		}
	}
	return out
}

// downloadLog sends the whole filtered log as a file. The entry about it is made first, and it does not hold itself.
func (c *call) downloadLog(l observe.Log, v logView, flt find.Filter, format string) (answer, error) {
	if format != "csv" && format != "ndjson" {
		return answer{}, fault.New(fault.Malformed, "format_unknown", "A log can be downloaded as csv or ndjson.")
	}
	if !c.permitted(team.ExportsEdit) {
		c.route.permission = team.ExportsEdit
		return answer{}, c.forbidden()
	}
	leave := c.files.Enter(string(c.member.ID))
	if leave == nil {
		f := fault.New(fault.TooMany, "too_many_downloads", "Too many downloads are under way. Wait until one has ended.")
		f.RetryAfter = time.Minute
		return answer{}, f
	}
	defer leave()
	head, err := c.Store.ReadHead(c.ctx, c.Store.Read)
	if err != nil {
		return answer{}, store.Fault(err)
	}
	words, err := exactly(v.Query).Words(v.Order)
	if err != nil {
		return answer{}, err
	}
	if _, err := c.Program.Do(c.ctx, &program.Request{Meta: c.meta, Command: journal.Bind(observe.ExportLog{Log: l, Format: format, Filter: words})}); err != nil {
		return answer{}, err
	}
	kind := "text/csv; charset=utf-8; header=present"
	if format == "ndjson" {
		kind = "application/x-ndjson"
	}
	c.w.Header().Set("Content-Type", kind)
	c.w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-log-%s.%s"`, l.Name, settings.Today(c.here().general, c.Program.Now()), format))
	c.ctx = c.r.Context() // a long list takes longer than a page may
	c.route.also = append(slices.Clone(c.route.also), team.ExportsEdit)
	var render func([]store.Stored) ([]view.Event, error)
	var personal bool
	again := func(found []store.Stored) ([]view.Event, error) { // before each page
		if err := c.stillMay(); err != nil {
			return nil, err
		}
		if now := c.permitted(team.PersonalDataView); render == nil || personal != now {
			render, personal = c.views().Render, now
		}
		return render(found)
	}
	if err := view.WriteList(c.ctx, c.w, c.Finder, again, format, flt, head.Seq); err != nil {
		if c.r.Context().Err() == nil {
			c.Log.Error("download", "route", c.route.pattern, "request_id", c.meta.Source.RequestID, "error", err)
		}
		panic(http.ErrAbortHandler) // the status is sent: cutting the connection says that this is not all
	}
	return answer{sent: true}, nil
}

// viewed makes the entry of a log that was looked at, at most one in a while for each person and log.
func (c *call) viewed(l observe.Log) {
	key := string(c.member.ID) + " " + string(l.Ref().ID)
	if !c.looks.Note(key, c.Program.Now()) {
		return
	}
	if _, err := c.Program.Submit(c.ctx, &program.Request{Meta: c.meta, Command: journal.Bind(observe.ViewLog{Log: l})}); err != nil {
		c.Log.Warn("record the reading of a log", "request_id", c.meta.Source.RequestID, "error", err)
	}
}

// logOf is what the journal says about one thing, newest first, for who may read everything.
func (c *call) logOf(key id.ID) ([]ui.Day, error) {
	if !c.permitted(team.EventsView) {
		return nil, nil
	}
	_, entries, err := c.lines(find.Filter{Targets: []id.ID{key}}, -1, 20, observe.Log{})
	for i := range entries {
		entries[i].About = slices.DeleteFunc(entries[i].About, func(l ui.Link) bool { return strings.HasSuffix(l.Href, string(key)) })
	}
	return ui.Days(entries, c.Program.Now()), err
}
