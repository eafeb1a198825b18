package view

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/journal"
	"perennial/internal/store"
)

const (
	listPage  = 200              // entries read at a time
	stallTime = 30 * time.Second // how long a client may take nothing before its connection is closed
)

// WriteList writes the entries of a filter up to a seq as CSV (safe against formulas) or NDJSON, a page at a time and each page by a
// search of its own, so that a slow client holds nothing open. What the index left out is in the file, and marked; a list that is
// not whole is cut. render makes the views.
func WriteList(ctx context.Context, w http.ResponseWriter, f *find.Finder, render func([]store.Stored) ([]Event, error), format string, flt find.Filter, last int64) error {
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
		Mark(events, c)
		for _, e := range events {
			if format == "ndjson" {
				line, err := json.Marshal(e)
				if err != nil {
					return err
				}
				if _, err := buf.Write(append(line, '\n')); err != nil {
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
		defer Stalls(rc)()
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
		page, err := f.Page(ctx, store.Opened, flt, after, listPage)
		if err == nil {
			err = Whole(page.Check)
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

// Stalls closes a connection that takes nothing for stallTime, by a deadline in the past, and takes the place of the server's own bound.
// What it returns ends the watch.
func Stalls(rc *http.ResponseController) func() {
	_ = rc.SetWriteDeadline(time.Time{})
	t := time.AfterFunc(stallTime, func() { _ = rc.SetWriteDeadline(time.Unix(1, 0)) }) // one that cannot be set has no connection to close
	return func() { t.Stop() }
}

var csvHeader = []string{"seq", "id", "recorded_at", "occurred_at", "type", "label", "category", "log", "summary", "actor_kind", "actor_id", "actor",
	"on_behalf_of_kind", "on_behalf_of_id", "on_behalf_of", "channel", "request_id", "ip", "user_agent", "targets", "target_version", "changes", "details",
	"comment", "correlation_id", "causation_id", "command_id", "corrects", "leaf_hash", "found_by_chain"}

// csvRow gives an event as a row: lists as JSON, erased values as "(erased)".
func csvRow(e Event) ([]string, error) {
	var behalf Party
	if e.OnBehalfOf.Party != nil {
		behalf = *e.OnBehalfOf.Party
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
	text := func(p MaybePersonal) string {
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
		row[i] = Inert(cell)
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

// Inert keeps a spreadsheet from taking a cell for a formula (OWASP, "CSV injection"): one that begins like a formula
// gets an apostrophe in front.
func Inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// Mark marks the events that only a chain gave.
func Mark(events []Event, c find.Check) {
	for i := range events {
		events[i].FoundByChain = slices.Contains(c.Hidden, events[i].Seq)
	}
}

// Whole refuses a part of a log that an event is missing from: a file would not say so.
func Whole(c find.Check) error {
	if len(c.Unreadable) == 0 {
		return nil
	}
	return fault.New(fault.Unavailable, "log_incomplete", "The database does not give the entry %d, which another one names: this log would not be whole. Run perennial verify.", c.Unreadable[0])
}
