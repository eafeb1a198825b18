package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/observe"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/team"
	"perennial/internal/view"
)

// relatedEvents is how many events of the same correlation an event shows.
const relatedEvents = 50

// LogQuery is what every list of events takes.
type LogQuery struct {
	view.Filter
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
	view.Event
	Undo    undoView     `json:"undo"`
	Related []view.Event `json:"related" doc:"Other events of the same correlation, oldest first, at most 50."`
}

// logs registers what reads the journal, and what writes to it from outside.
func (a *API) logs() {
	eventList(a, route{method: http.MethodGet, path: "/logs/activity", tag: "Logs", summary: "The Activity Log: what the team did to the account", permission: team.ActivityLogView},
		func(_ context.Context, in *LogQuery) (observe.Log, *LogQuery, error) {
			return observe.Log{Name: "activity"}, in, nil
		})
	eventList(a, route{method: http.MethodGet, path: "/customers/{id}/log", tag: "Logs", summary: "The Customer Audit Log: the customer and all their subscriptions", permission: team.CustomersView},
		func(ctx context.Context, in *scopedLogQuery) (observe.Log, *LogQuery, error) {
			_, err := a.mustHave(ctx, journal.Ref{Kind: journal.Customer, ID: id.ID(in.ID)})
			return observe.Log{Name: "customer", Customer: id.ID(in.ID)}, &in.LogQuery, err
		})
	eventList(a, route{method: http.MethodGet, path: "/subscriptions/{id}/log", tag: "Logs", summary: "The Subscription Audit Log: one subscription, whoever acted", permission: team.SubscriptionsView},
		func(ctx context.Context, in *scopedLogQuery) (observe.Log, *LogQuery, error) {
			row, err := a.mustHave(ctx, journal.Ref{Kind: journal.Subscription, ID: id.ID(in.ID)})
			if err != nil {
				return observe.Log{}, nil, err
			}
			return observe.Log{Name: "subscription", Subscription: id.ID(in.ID), Customer: row.State.(*subscription.Subscription).CustomerID}, &in.LogQuery, nil
		})
	eventList(a, route{method: http.MethodGet, path: "/events", tag: "Events", summary: "The explorer: everything on one timeline", permission: team.EventsView},
		func(_ context.Context, in *LogQuery) (observe.Log, *LogQuery, error) {
			return observe.Log{Name: "explorer"}, in, nil
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
func eventList[I any](a *API, r route, log func(ctx context.Context, in *I) (observe.Log, *LogQuery, error)) {
	r.besides = "exports.edit for a download"
	op := a.operation(r, reflect.TypeFor[eventsView](), false)
	downloads(&op, "text/csv", "application/x-ndjson")
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
func (a *API) logFilter(ctx context.Context, l observe.Log, q *LogQuery) (find.Filter, error) {
	flt, err := a.filter(ctx, &q.Filter)
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
func (a *API) eventPage(ctx context.Context, r route, l observe.Log, q *LogQuery, flt find.Filter) ([]byte, error) {
	bound := struct {
		Log    observe.Log
		Filter view.Filter
		Order  string
	}{l, q.Filter, q.Order}
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
	if out.Data, err = a.renderer(ctx).Render(page.Entries); err != nil {
		return nil, err
	}
	view.Mark(out.Data, page.Check)
	return encode(out)
}

// eventsView is a page of a log.
type eventsView struct {
	Data       []view.Event `json:"data"`
	NextCursor *string      `json:"next_cursor"`
	Check      checkView    `json:"check" doc:"What the page was held against while it was read."`
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

func (a *API) filter(ctx context.Context, q *view.Filter) (find.Filter, error) {
	zone, err := a.zone(ctx)
	if err != nil {
		return find.Filter{}, err
	}
	return q.Parse(zone)
}

// zone is the shop's.
func (a *API) zone(ctx context.Context) (*time.Location, error) { return view.Zone(ctx, a.Store) }

func (a *API) oneEvent(ctx context.Context, in *byID) (oneEventView, error) {
	st, err := a.Store.EventByID(ctx, a.Store.Read, store.Opened, id.ID(in.ID))
	if err != nil {
		return oneEventView{}, store.Fault(err)
	}
	r := a.renderer(ctx)
	shown, err := r.Render([]store.Stored{st})
	if err != nil {
		return oneEventView{}, err
	}
	out := oneEventView{Event: shown[0]}
	if out.Undo, err = a.undoable(ctx, st.ID); err != nil {
		return out, err
	}
	page, err := a.Finder.Page(ctx, store.Opened, find.Filter{CorrelationID: string(st.CorrelationID), Hidden: true, Oldest: true}, -1, relatedEvents+1)
	if err != nil {
		return out, err
	}
	related := slices.DeleteFunc(page.Entries, func(other store.Stored) bool { return other.Seq == st.Seq })
	if out.Related, err = r.Render(related[:min(len(related), relatedEvents)]); err != nil {
		return out, err
	}
	a.view(callOf(ctx), observe.Log{Name: "explorer"})
	return out, nil
}

// undoable says what an undo of an event would come to now.
func (a *API) undoable(ctx context.Context, key id.ID) (undoView, error) {
	w, err := kinds.Undo{Event: key, Actor: callOf(ctx).meta.Actor}.Load(program.NewReader(ctx, a.Store, a.Store.Read))
	if err != nil {
		return undoView{}, err
	}
	if _, _, err = kinds.Restored(w, a.now()); err != nil {
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
		out = append(out, typeView{string(t.Name), t.Label, t.Log, t.Category, t.Target, slice(t.Mentions), slice(t.Fields), slice(t.Details), t.Undoable(), t.Since})
	}
	return out
}

func (a *API) renderer(ctx context.Context) *view.Renderer {
	return view.New(ctx, a.Store, team.Holds(callOf(ctx).key))
}
