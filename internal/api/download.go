package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/journal"
	"perennial/internal/observe"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/view"
)

// Streams to clients.
const (
	downloadPage = 200              // events read at a time
	stallTime    = 30 * time.Second // how long a client may take nothing before its connection is closed
)

// download makes the answer that streams a whole filtered list. The entry about it is made first, and it is the head
// before that entry which bounds the list: a download does not hold itself.
func (a *API) download(ctx context.Context, r route, l observe.Log, q *LogQuery, flt find.Filter) (*answered, error) {
	if q.Cursor != "" {
		return nil, fault.New(fault.Malformed, "cursor_invalid", "A download is the whole list: leave the cursor out.")
	}
	words, err := q.Words(q.Order)
	if err != nil {
		return nil, err
	}
	head, err := a.Store.ReadHead(ctx, a.Store.Read)
	if err != nil {
		return nil, store.Fault(err)
	}
	zone, err := a.zone(ctx)
	if err != nil {
		return nil, err
	}
	c := callOf(ctx)
	leave := func() {}
	if !c.head {
		if leave = a.downloads.Enter(string(c.key.ID)); leave == nil {
			return nil, tooMany("downloads", downloadsEach, downloadsAll)
		}
		if _, err := a.Program.Do(ctx, &program.Request{Meta: c.meta, Command: journal.Bind(observe.ExportLog{Log: l, Format: q.Format, Filter: words})}); err != nil {
			leave()
			return nil, err
		}
	}
	name := l.Name + "-log"
	if l.Name != "activity" && l.Name != "explorer" {
		name += "-" + string(l.Ref().ID)
	}
	day := settings.Today(&settings.General{TimeZone: zone.String()}, a.now())
	out := &answered{ContentType: "text/csv; charset=utf-8; header=present", Disposition: fmt.Sprintf(`attachment; filename="%s-%s.%s"`, name, day, q.Format)}
	if q.Format == "ndjson" {
		out.ContentType = "application/x-ndjson"
	}
	out.Body = func(hc huma.Context) {
		defer leave()
		if c.head {
			return
		}
		_, w := humago.Unwrap(hc)
		if err := a.writeDownload(ctx, w, r, q.Format, flt, head.Seq); err != nil {
			if ctx.Err() == nil {
				a.Log.Error("download", "request_id", c.requestID, "error", err)
			}
			// The status is sent: cutting the connection is the one way to say that this is not all.
			panic(http.ErrAbortHandler)
		}
	}
	return out, nil
}

// writeDownload writes the events of a filter up to a seq, a page at a time. Before each page the key is asked again for the permissions
// of the route and the download, and for personal values.
func (a *API) writeDownload(ctx context.Context, w http.ResponseWriter, r route, format string, flt find.Filter, last int64) error {
	names := a.renderer(ctx)
	render := func(found []store.Stored) ([]view.Event, error) {
		has, err := a.holds(ctx)
		if err != nil {
			return nil, err
		}
		if p := r.lacks(has); p != "" {
			return nil, forbidden(p)
		}
		if personal := has.Allows(team.PersonalDataView); names.Personal() != personal {
			names = view.New(ctx, a.Store, has)
		}
		return names.Render(found)
	}
	return view.WriteList(ctx, w, a.Finder, render, format, flt, last)
}
