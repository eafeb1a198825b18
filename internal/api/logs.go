package api

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"perennial/internal/civil"
	"perennial/internal/external"
	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/reading"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/team"
)

// relatedEvents is how many events of the same correlation an event shows.
const relatedEvents = 50

// FilterQuery are the filters that the logs and the stream share.
type FilterQuery struct {
	Type          []string `query:"type,explode" maxItems:"100" doc:"Types of the catalogue, or families such as subscription.*."`
	Category      []string `query:"category,explode" maxItems:"50"`
	ActorKind     []string `query:"actor_kind,explode" maxItems:"20"`
	ActorID       []string `query:"actor_id,explode" maxItems:"50"`
	Channel       []string `query:"channel,explode" maxItems:"20"`
	Target        []string `query:"target,explode" maxItems:"100" doc:"Ids of things; an event that names one of them is meant."`
	CorrelationID string   `query:"correlation_id" maxLength:"100"`
	From          string   `query:"from" maxLength:"40" doc:"Recorded at or after: an RFC 3339 time, or a date in the shop's zone."`
	To            string   `query:"to" maxLength:"40" doc:"Recorded before: an RFC 3339 time, or a date in the shop's zone."`
	Q             string   `query:"q" maxLength:"200" doc:"Words of the summary; a name, an e-mail address or an id finds the thing first."`
}

// LogQuery is what every list of events takes.
type LogQuery struct {
	FilterQuery
	Page
	Order  string `query:"order" enum:"desc,asc" default:"desc" doc:"By seq: newest or oldest first."`
	Format string `query:"format" enum:"json,csv,ndjson" default:"json" doc:"csv and ndjson download the whole filtered list, which needs the permission exports.edit too."`
}

type scopedLogQuery struct {
	ID string `path:"id"`
	LogQuery
}

// typeView is a row of the catalogue of types.
type typeView struct {
	Type     string          `json:"type"`
	Label    string          `json:"label"`
	Log      journal.LogName `json:"log" enum:"activity,customer,subscription"`
	Category string          `json:"category"`
	Target   journal.Kind    `json:"target" doc:"The kind of the thing that an event of this type is about."`
	Mentions []journal.Kind  `json:"mentions" doc:"The kinds of other things that it may name."`
	Fields   []string        `json:"fields" doc:"What its changes may touch; * for every field of the target."`
	Details  []string        `json:"details" doc:"What its details may hold."`
	Undoable bool            `json:"undoable"`
	Since    string          `json:"since" doc:"The version that first wrote it."`
}

// undoView says whether an event can be undone now, and why not.
type undoView struct {
	Possible bool    `json:"possible"`
	Reason   *string `json:"reason"`
}

// oneEventView is an event with what a page about it shows.
type oneEventView struct {
	EventView
	Undo    undoView    `json:"undo"`
	Related []EventView `json:"related" doc:"Other events of the same correlation, oldest first, at most 50."`
}

// logs registers what reads the journal, and what writes to it from outside.
func (a *API) logs() {
	eventList(a, route{method: http.MethodGet, path: "/logs/activity", tag: "Logs", summary: "The Activity Log: what the team did to the account", permission: team.ActivityLogView},
		func(_ context.Context, in *LogQuery) (reading.Log, *LogQuery, error) {
			return reading.Log{Name: "activity"}, in, nil
		})
	eventList(a, route{method: http.MethodGet, path: "/customers/{id}/log", tag: "Logs", summary: "The Customer Audit Log: the customer and all their subscriptions", permission: team.CustomersView},
		func(ctx context.Context, in *scopedLogQuery) (reading.Log, *LogQuery, error) {
			_, err := a.mustHave(ctx, journal.Ref{Kind: journal.Customer, ID: id.ID(in.ID)})
			return reading.Log{Name: "customer", Customer: id.ID(in.ID)}, &in.LogQuery, err
		})
	eventList(a, route{method: http.MethodGet, path: "/subscriptions/{id}/log", tag: "Logs", summary: "The Subscription Audit Log: one subscription, whoever acted", permission: team.SubscriptionsView},
		func(ctx context.Context, in *scopedLogQuery) (reading.Log, *LogQuery, error) {
			row, err := a.mustHave(ctx, journal.Ref{Kind: journal.Subscription, ID: id.ID(in.ID)})
			if err != nil {
				return reading.Log{}, nil, err
			}
			return reading.Log{Name: "subscription", Subscription: id.ID(in.ID), Customer: row.State.(*subscription.Subscription).CustomerID}, &in.LogQuery, nil
		})
	eventList(a, route{method: http.MethodGet, path: "/events", tag: "Events", summary: "The explorer: everything on one timeline", permission: team.EventsView},
		func(_ context.Context, in *LogQuery) (reading.Log, *LogQuery, error) {
			return reading.Log{Name: "explorer"}, in, nil
		})
	read(a, route{method: http.MethodGet, path: "/events/{id}", tag: "Events", summary: "One event, with what else belongs to it", permission: team.EventsView}, a.oneEvent)
	read(a, route{method: http.MethodGet, path: "/events/{id}/causes", tag: "Events", summary: "An event, what caused it, and so on back to the first", permission: team.EventsView}, a.causes)
	read(a, route{method: http.MethodGet, path: "/event-types", tag: "Events", summary: "The catalogue of event types"},
		func(context.Context, *noInput) ([]typeView, error) { return catalogueView(), nil })
	a.stream()
	a.ingest()
	a.undo()
}

// mustHave loads a row; an unknown one is a NotFound fault.
func (a *API) mustHave(ctx context.Context, ref journal.Ref) (store.Row, error) {
	row, err := a.Store.Load(ctx, a.Store.Read, ref)
	if err == nil && row.Version == 0 {
		err = fault.New(fault.NotFound, "unknown_"+string(ref.Kind), "There is no %s %s in this shop.", ref.Kind.Words(), ref.ID)
	}
	return row, store.Fault(err)
}

// answered is an answer that writes its own body: a page, a download or a stream.
type answered struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        func(huma.Context)
}

// eventList registers a list of events with the filters, the order and the formats of them all. log says whose it is.
func eventList[I any](a *API, r route, log func(ctx context.Context, in *I) (reading.Log, *LogQuery, error)) {
	op := a.operation(r, reflect.TypeFor[eventsView](), false)
	text := &huma.Schema{Type: huma.TypeString}
	op.Responses["200"].Content["text/csv"] = &huma.MediaType{Schema: text}
	op.Responses["200"].Content["application/x-ndjson"] = &huma.MediaType{Schema: text}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*answered, error) {
		c := callOf(ctx)
		l, q, err := log(ctx, in)
		if err != nil {
			return nil, a.problem(c, err)
		}
		flt, err := a.logFilter(ctx, l, q)
		if err != nil {
			return nil, a.problem(c, err)
		}
		if q.Format != "json" {
			download := r
			download.permission = team.ExportsEdit
			if !a.allowed(c, download.permission) {
				return nil, problemOf(a.deny(ctx, c, download), c.requestID)
			}
			download.permission, download.also = r.permission, []team.Permission{team.ExportsEdit}
			out, err := a.download(ctx, download, l, q, flt)
			if err != nil {
				return nil, a.problem(c, err)
			}
			return out, nil
		}
		body, err := a.eventPage(ctx, r, l, q, flt)
		if err != nil {
			return nil, a.problem(c, err)
		}
		a.view(c, l)
		return &answered{ContentType: "application/json", Body: func(hc huma.Context) { _, _ = hc.BodyWriter().Write(body) }}, nil
	})
}

// logFilter is the filter of a query within a log.
func (a *API) logFilter(ctx context.Context, l reading.Log, q *LogQuery) (find.Filter, error) {
	flt, err := a.filter(ctx, &q.FilterQuery)
	flt.Oldest = q.Order == "asc"
	switch l.Name {
	case "activity":
		flt.Log = journal.ActivityLog
	case "customer":
		flt.Scope = l.Customer
	case "subscription":
		flt.Scope = l.Subscription
	}
	return flt, err
}

// eventPage renders one page of a list.
func (a *API) eventPage(ctx context.Context, r route, l reading.Log, q *LogQuery, flt find.Filter) ([]byte, error) {
	bound := struct {
		Log    reading.Log
		Filter FilterQuery
		Order  string
	}{l, q.FilterQuery, q.Order}
	position, err := a.cursors.parse(r.path, bound, q.Cursor)
	if err != nil {
		return nil, err
	}
	after := int64(-1)
	if position != "" {
		if after, err = strconv.ParseInt(position, 10, 64); err != nil {
			return nil, fmt.Errorf("api: a cursor's position: %w", err)
		}
	}
	page, err := a.Finder.Page(ctx, store.Opened, flt, after, q.Limit)
	if err != nil {
		return nil, store.Fault(err)
	}
	out := eventsView{Check: checked(page.Check)}
	if n := len(page.Entries); page.More && n > 0 {
		out.NextCursor = new(a.cursors.make(r.path, bound, strconv.FormatInt(page.Entries[n-1].Seq, 10)))
	}
	if out.Data, err = a.renderer(ctx).render(page.Entries); err != nil {
		return nil, err
	}
	markFound(out.Data, page.Check)
	return encode(out)
}

// eventsView is a page of a log.
type eventsView struct {
	Data       []EventView `json:"data"`
	NextCursor *string     `json:"next_cursor"`
	Check      checkView   `json:"check" doc:"What the page was held against while it was read."`
}

// checkView is what came of holding a page against the chains that lead to its events.
type checkView struct {
	Covers     find.Coverage `json:"covers" enum:"all,chains,named" doc:"What the page was held against: all events between its first and its last, the chains of the things that the log is about, or only what its events name as the ones before them."`
	Complete   bool          `json:"complete" doc:"False when the chains are too long for one page: only their newest part was walked."`
	Hidden     []int64       `json:"hidden" doc:"Seqs of events that the index left out. They are in data, with found_by_chain."`
	Unreadable []int64       `json:"unreadable" doc:"Seqs of events that others name and the database does not give. They are not in data."`
	Words      string        `json:"words" doc:"The same in plain words, with what no chain covers."`
}

func checked(c find.Check) checkView {
	return checkView{Covers: c.Covers, Complete: !c.Partly, Hidden: slice(c.Hidden), Unreadable: slice(c.Unreadable), Words: c.Words()}
}

// markFound marks the events that only a chain gave.
func markFound(events []EventView, c find.Check) {
	for i := range events {
		events[i].FoundByChain = slices.Contains(c.Hidden, events[i].Seq)
	}
}

// whole refuses a part of a log that an event is missing from: a file would not say so.
func whole(c find.Check) error {
	if len(c.Unreadable) == 0 {
		return nil
	}
	return fault.New(fault.Unavailable, "log_incomplete", "The database does not give the entry %d, which another one names: this log would not be whole. Run perennial verify.", c.Unreadable[0])
}

// take gives the first n events of a search.
func take(search iter.Seq2[store.Stored, error], n int) ([]store.Stored, error) {
	var events []store.Stored
	for st, err := range search {
		if err != nil {
			return nil, store.Fault(err)
		}
		if events = append(events, st); len(events) == n {
			break
		}
	}
	return events, nil
}

// The closed lists of the filters' values.
var (
	actorKinds = []string{string(journal.ActorTeamMember), string(journal.ActorCustomer), string(journal.ActorSystem), string(journal.ActorAPIKey),
		string(journal.ActorIntegration), string(journal.ActorImport), string(journal.ActorAnonymous)}
	channels = []string{string(journal.ChannelDashboard), string(journal.ChannelPortal), string(journal.ChannelQuickAction), string(journal.ChannelAPI),
		string(journal.ChannelBilling), string(journal.ChannelImport), string(journal.ChannelBulk), string(journal.ChannelCLI), string(journal.ChannelWebhook),
		string(journal.ChannelMigration)}
	families, categories = typeGroups()
)

// typeGroups gives the families and categories of the catalogue, sorted.
func typeGroups() (families, categories []string) {
	f, c := map[string]bool{}, map[string]bool{}
	for _, t := range journal.Types() {
		f[t.Family()+".*"], c[t.Category] = true, true
	}
	return slices.Sorted(maps.Keys(f)), slices.Sorted(maps.Keys(c))
}

func (a *API) filter(ctx context.Context, q *FilterQuery) (find.Filter, error) {
	zone, err := a.zone(ctx)
	if err != nil {
		return find.Filter{}, err
	}
	return q.Filter(zone)
}

// Filter checks the filters of a query and gives them as the index knows them; dates are the zone's. A value that can match
// nothing because it is not in the catalogue is refused: it is a typing error, and an empty list would hide it.
func (q *FilterQuery) Filter(zone *time.Location) (find.Filter, error) {
	var f fault.Fields
	flt := find.Filter{Types: q.Type, Categories: q.Category, ActorKinds: q.ActorKind, ActorIDs: q.ActorID, Channels: q.Channel,
		CorrelationID: q.CorrelationID, Words: strings.TrimSpace(q.Q)}
	for _, t := range q.Type {
		row, known := journal.Lookup(t)
		if strings.HasPrefix(t, journal.External) {
			known = external.ValidType(t)
		}
		if !known && !slices.Contains(families, t) {
			f.Add("/query/type", "There is no event type %q. See /event-types.", t)
		}
		flt.Hidden = flt.Hidden || row.Hidden || t == "log.*"
	}
	oneOf := func(name string, values, known []string) {
		for _, v := range values {
			if !slices.Contains(known, v) {
				f.Add("/query/"+name, "%q is none of %s.", v, strings.Join(known, ", "))
			}
		}
	}
	oneOf("category", q.Category, categories)
	oneOf("actor_kind", q.ActorKind, actorKinds)
	oneOf("channel", q.Channel, channels)
	for _, t := range q.Target {
		flt.Targets = append(flt.Targets, id.ID(t))
	}
	flt.From = instant(&f, "/query/from", q.From, zone)
	flt.To = instant(&f, "/query/to", q.To, zone)
	return flt, f.Err()
}

// zone is the shop's.
func (a *API) zone(ctx context.Context) (*time.Location, error) { return Zone(ctx, a.Store) }

// Zone is a shop's time zone, in which dates are meant and times are shown.
func Zone(ctx context.Context, s *store.Store) (*time.Location, error) {
	g, err := journal.Find[settings.General](program.NewReader(ctx, s, s.Read), journal.Settings, settings.PageGeneral)
	return settings.Zone(g), err
}

// instant reads a time, or a date as its first moment in the zone. Times of the journal have microseconds, so one
// between two of them counts as the later.
func instant(f *fault.Fields, at, s string, zone *time.Location) time.Time {
	if s == "" {
		return time.Time{}
	}
	if d, err := civil.Parse(s); err == nil {
		return d.Start(zone)
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		f.Add(at, "Give an RFC 3339 time such as 2027-03-01T00:00:00Z, or a date such as 2027-03-01.")
		return time.Time{}
	}
	if short := journal.Truncate(t); short.Before(t) {
		return short.Add(time.Microsecond)
	}
	return t.UTC()
}

func (a *API) oneEvent(ctx context.Context, in *byID) (oneEventView, error) {
	st, err := a.Store.EventByID(ctx, a.Store.Read, store.Opened, id.ID(in.ID))
	if err != nil {
		return oneEventView{}, store.Fault(err)
	}
	r := a.renderer(ctx)
	shown, err := r.render([]store.Stored{st})
	if err != nil {
		return oneEventView{}, err
	}
	out := oneEventView{EventView: shown[0]}
	if out.Undo, err = a.undoable(ctx, st.ID); err != nil {
		return out, err
	}
	related, err := take(a.Finder.Events(ctx, store.Opened, find.Filter{CorrelationID: string(st.CorrelationID), Hidden: true, Oldest: true}, -1), relatedEvents+1)
	if err != nil {
		return out, err
	}
	related = slices.DeleteFunc(related, func(other store.Stored) bool { return other.Seq == st.Seq })
	if out.Related, err = r.render(related[:min(len(related), relatedEvents)]); err != nil {
		return out, err
	}
	a.view(callOf(ctx), reading.Log{Name: "explorer"})
	return out, nil
}

// undoable says what an undo of an event would come to now.
func (a *API) undoable(ctx context.Context, key id.ID) (undoView, error) {
	w, err := program.Undo{Event: key, Actor: callOf(ctx).meta.Actor}.Load(program.NewReader(ctx, a.Store, a.Store.Read))
	if err != nil {
		return undoView{}, err
	}
	if _, _, err = program.Restored(w, a.now()); err != nil {
		f := fault.As(err)
		if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
			return undoView{}, err
		}
		return undoView{Reason: &f.Public}, nil
	}
	return undoView{Possible: true}, nil
}

func catalogueView() []typeView {
	var out []typeView
	for _, t := range journal.Types() {
		out = append(out, typeView{t.Name, t.Label, t.Log, t.Category, t.Target, slice(t.Mentions), slice(t.Fields), slice(t.Details), t.Undoable(), t.Since})
	}
	return out
}

// FilterWords gives a filter as a download's entry keeps it. What was searched for may be somebody's name, so the entry
// says only that something was.
func FilterWords(q *FilterQuery, order string) ([]byte, error) {
	m := map[string]any{"order": order}
	put := func(name string, values ...string) {
		if values = slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == "" }); len(values) > 0 {
			m[name] = values
		}
	}
	put("type", q.Type...)
	put("category", q.Category...)
	put("actor_kind", q.ActorKind...)
	put("actor_id", q.ActorID...)
	put("channel", q.Channel...)
	put("target", q.Target...)
	put("correlation_id", q.CorrelationID)
	put("from", q.From)
	put("to", q.To)
	if q.Q != "" {
		m["q"] = []string{masked}
	}
	return json.Marshal(m)
}
