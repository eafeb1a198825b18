package dashboard

import (
	"slices"

	"perennial/internal/find"
	"perennial/internal/observe"
	"perennial/internal/store"
	"perennial/internal/view"
	"perennial/internal/web/ui"
)

// A page of a folded log is made of as many entries as make linesOnPage lines, and of foldedOnPage at most.
const (
	linesOnPage  = 20
	linesOnCard  = 8
	foldedOnPage = 200
)

// foldedLines is lines with what one cause made in one line. The page ends where a line ends, unless that line is half of it.
func (c *call) foldedLines(flt find.Filter, after int64, lines int, l observe.Log) (find.Page, []ui.Entry, error) {
	r := c.views()
	var page find.Page
	var shown []view.Event
	var rows []view.Row
	for {
		more, err := c.Finder.Page(c.ctx, store.Opened, flt, after, max(entriesOnPage*lines/linesOnPage, 1))
		if err != nil {
			return page, nil, store.Fault(err)
		}
		events, err := r.Render(more.Entries)
		if err != nil {
			return page, nil, err
		}
		shown = append(shown, events...)
		page.Entries, page.More = append(page.Entries, more.Entries...), more.More
		page.Check.Add(more.Check)
		rows = view.Fold(shown, c.here().zone)
		if !more.More || len(rows) >= lines || len(shown) >= foldedOnPage {
			break
		}
		after = shown[len(shown)-1].Seq
	}
	if page.Check.Found() {
		c.gap = page.Check.Words()
	}
	if last := len(rows) - 1; page.More && last > 0 && rows[last].Steps != nil {
		if first, n := slices.Min(rows[last].Steps), len(rows[last].Steps); first+n == len(shown) && n <= len(shown)/2 {
			rows, shown, page.Entries = rows[:last], shown[:first], page.Entries[:first]
		}
	}
	heads := make([]view.Event, len(rows))
	for i, row := range rows {
		heads[i] = shown[row.Head]
	}
	if err := r.LearnValues(heads); err != nil {
		return page, nil, err
	}
	undone := undoneOf(page.Entries)
	out := make([]ui.Entry, len(rows))
	for i, row := range rows {
		e := c.entry(r, heads[i], page.Entries[row.Head], l)
		if e.Undone = undone[heads[i].ID]; e.Undone {
			e.Undo = nil
		}
		e.Sentence, e.Count = row.Sentence(shown), row.Count()
		for _, i := range row.Steps {
			step := ui.Step{ID: string(shown[i].ID), Href: e.Href, At: shown[i].RecordedAt.In(c.here().zone), Sentence: shown[i].Summary, Hidden: slices.Contains(page.Check.Hidden, shown[i].Seq)}
			if step.Href != "" {
				step.Href = "/events/" + step.ID
			}
			_, step.About = c.about(shown[i], l)
			e.Hidden = e.Hidden || step.Hidden
			e.Steps = append(e.Steps, step)
		}
		if row.Times { // it stands for no single one
			e.Href, e.About, e.Changes, e.Facts, e.Actions, e.Undo = "", nil, nil, nil, nil, nil
		}
		if row.Steps != nil {
			e.ID = "row-" + e.ID
		} else {
			e.Hidden = slices.Contains(page.Check.Hidden, e.Seq)
		}
		e.Quiet = l.Name == "activity" && heads[i].Automatic()
		out[i] = e
	}
	return page, out, nil
}
