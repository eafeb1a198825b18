package api

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/reading"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
)

// Streams to clients.
const (
	downloadPage = 200              // events read at a time
	stallTime    = 30 * time.Second // how long a client may take nothing before its connection is closed
)

// download makes the answer that streams a whole filtered list. The entry about it is made first, and it is the head
// before that entry which bounds the list: a download does not hold itself.
func (a *API) download(ctx context.Context, r route, l reading.Log, q *LogQuery, flt find.Filter) (*answered, error) {
	if q.Cursor != "" {
		return nil, fault.New(fault.Malformed, "cursor_invalid", "A download is the whole list: leave the cursor out.")
	}
	words, err := FilterWords(&q.FilterQuery, q.Order)
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
		if _, err := a.Program.Do(ctx, &program.Request{Meta: c.meta, Command: journal.Bind(reading.Export{Log: l, Format: q.Format, Filter: words})}); err != nil {
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
	render := func(found []store.Stored) ([]EventView, error) {
		has, err := a.holds(ctx)
		if err != nil {
			return nil, err
		}
		if p := r.lacks(has); p != "" {
			return nil, forbidden(p)
		}
		if personal := has.Allows(team.PersonalDataView); names.personal != personal {
			names = a.rendererFor(ctx, has)
		}
		return names.render(found)
	}
	return WriteList(ctx, w, a.Finder, render, format, flt, last)
}

// WriteList writes the entries of a filter up to a seq as CSV (safe against formulas) or NDJSON, a page at a time and each page by a
// search of its own, so that a slow client holds nothing open. What the index left out is in the file, and marked; a list that is
// not whole is cut. render makes the views.
func WriteList(ctx context.Context, w http.ResponseWriter, f *find.Finder, render func([]store.Stored) ([]EventView, error), format string, flt find.Filter, last int64) error {
	rc := http.NewResponseController(w)
	buf := bufio.NewWriterSize(w, 64<<10)
	rows := csv.NewWriter(buf)
	rows.UseCRLF = true
	if format == "csv" {
		if err := rows.Write(csvHeader); err != nil {
			return err
		}
	}
	write := func(found []store.Stored, c find.Check) error {
		events, err := render(found)
		if err != nil {
			return err
		}
		markFound(events, c)
		for _, e := range events {
			if format == "ndjson" {
				line, err := encode(e)
				if err != nil {
					return err
				}
				if _, err := buf.Write(line); err != nil {
					return err
				}
				continue
			}
			row, err := csvRow(e)
			if err != nil {
				return err
			}
			if err := rows.Write(row); err != nil {
				return err
			}
		}
		rows.Flush()
		if err := rows.Error(); err != nil {
			return err
		}
		defer stalls(rc)()
		if err := buf.Flush(); err != nil {
			return err
		}
		return rc.Flush()
	}
	after := int64(-1)
	if !flt.Oldest {
		after = last + 1
	}
	for more := true; more; {
		page, err := f.Page(ctx, store.Opened, flt, after, downloadPage)
		if err == nil {
			err = whole(page.Check)
		}
		if err != nil {
			return err
		}
		found := page.Entries
		if more = page.More; more {
			after = found[len(found)-1].Seq
		}
		if i := slices.IndexFunc(found, func(st store.Stored) bool { return st.Seq > last }); i >= 0 {
			found, more = found[:i], false
		}
		if err := write(found, page.Check); err != nil {
			return err
		}
	}
	return nil
}

// stalls closes a connection that takes nothing for stallTime, by a deadline in the past. What it returns ends the watch.
func stalls(rc *http.ResponseController) func() {
	t := time.AfterFunc(stallTime, func() { _ = rc.SetWriteDeadline(time.Unix(1, 0)) }) // one that cannot be set has no connection to close
	return func() { t.Stop() }
}

var csvHeader = []string{"seq", "id", "recorded_at", "occurred_at", "type", "label", "category", "log", "summary", "actor_kind", "actor_id", "actor",
	"on_behalf_of_kind", "on_behalf_of_id", "on_behalf_of", "channel", "request_id", "ip", "user_agent", "targets", "target_version", "changes", "details",
	"comment", "correlation_id", "causation_id", "command_id", "corrects", "leaf_hash", "found_by_chain"}

// csvRow gives an event as a row: lists as JSON, erased values as "(erased)".
func csvRow(e EventView) ([]string, error) {
	var behalf partyView
	if e.OnBehalfOf.party != nil {
		behalf = *e.OnBehalfOf.party
	}
	var lists [4]string
	for i, v := range []any{e.Targets, e.Changes, e.Details, e.LeafHash} {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		lists[i] = strings.Trim(string(b), `"`)
	}
	stamp := func(t journal.Time) string { return t.UTC().Format(journal.TimeLayout) }
	text := func(p maybePersonal) string {
		if p.Erased {
			return "(erased)"
		}
		return p.Value
	}
	row := []string{strconv.FormatInt(e.Seq, 10), string(e.ID), stamp(e.RecordedAt), stamp(e.OccurredAt), e.Type, e.Label, e.Category, string(e.Log), e.Summary,
		e.Actor.Kind, e.Actor.ID, e.Actor.Words(), behalf.Kind, behalf.ID, behalf.Words(), string(e.Source.Channel), given(e.Source.RequestID), text(e.Source.IP),
		text(e.Source.UserAgent), lists[0], strconv.FormatInt(e.TargetVersion, 10), lists[1], lists[2], text(e.Comment), string(e.CorrelationID),
		string(given(e.CausationID)), string(e.CommandID), string(given(e.Corrects)), lists[3], map[bool]string{true: "yes"}[e.FoundByChain]}
	for i, cell := range row {
		row[i] = inert(cell)
	}
	return row, nil
}

// given is what a pointer points to, the zero value for nil.
func given[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// inert keeps a spreadsheet from taking a cell for a formula (OWASP, "CSV injection"): one that begins like a formula
// gets an apostrophe in front.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
