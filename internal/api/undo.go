package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/team"
)

// views is how each kind of thing is shown, for answers that may be about any of them. The registration methods fill it
// in.
type views map[journal.Kind]viewer

// anyThing is a view of any kind. It has a name so that the document's schema has one.
type anyThing any

// undo registers the undoing of events. Its permission is that of the change which the undo amounts to, so it depends
// on the event; entries of the activity log need activity_log.edit too.
func (a *API) undo() {
	r := route{method: http.MethodPost, path: "/events/{id}/undo", tag: "Events", summary: "Undo an event with a new one that names it",
		events: kinds.UndoTypes(), besides: "the permission to make the change by hand"}
	op := a.operation(r, reflect.TypeFor[changedThing[anyThing]](), true)
	op.Description = "Needs the permission to make the change by hand; for entries of the activity log also `" + string(team.ActivityLogEdit) + "`. " +
		"Makes an event of the type that undoes the event's. Refused with 409 and the reason when a later event touched the same fields, or nothing can be put back."
	huma.Register(a.huma, op, func(ctx context.Context, in *onThingMaybe[Commented]) (*raw, error) {
		c := callOf(ctx)
		st, err := a.Store.EventByID(ctx, a.Store.Read, store.Closed, id.ID(in.ID))
		if err != nil {
			return nil, a.problem(c, store.Fault(err))
		}
		for _, p := range kinds.UndoPermissions(st.Event) {
			r := r
			if r.permission = p; !a.allowed(c, p) {
				return nil, problemOf(a.deny(ctx, c, r), c.requestID)
			}
		}
		r := r
		r.permission = kinds.UndoPermissions(st.Event)[0]
		out, err := run(ctx, a, r, plan{command: journal.Bind(kinds.Undo{Event: st.ID, Actor: c.meta.Actor}), target: st.Target()}, in.Because(), a.showAny)
		if err != nil {
			return nil, a.problem(c, err)
		}
		return out, nil
	})
}

// showAny shows a thing of any kind by its own view.
func (a *API) showAny(q program.Query, ref journal.Ref, row store.Row) (any, error) {
	show := a.views[ref.Kind]
	if show == nil {
		return nil, fmt.Errorf("api: no view of a %s", ref.Kind)
	}
	return show(q, ref, row)
}
