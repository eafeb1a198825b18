package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/follow"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/observe"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/view"
	"perennial/internal/web/ui"
)

func decode(v jsontext.Value, into any) error { return json.Unmarshal(v, into) }

// looks remembers who looked at which log in the running hour, so that each has one entry an hour. It is in memory: after a restart
// an hour may have a second one, which says nothing wrong.
type looks struct {
	mu   sync.Mutex
	hour time.Time       // guarded by mu
	seen map[string]bool // guarded by mu; of that hour
}

// Note says whether this is the first look of the hour.
func (l *looks) Note(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if hour := now.Truncate(time.Hour); !hour.Equal(l.hour) {
		l.hour, l.seen = hour, map[string]bool{}
	}
	first := !l.seen[key]
	l.seen[key] = true
	return first
}

// entryView is the page of one entry.
type entryView struct {
	At       string // of the page
	Entry    ui.Entry
	Undo     string // why it cannot be undone; empty: it can
	MayUndo  bool
	Causes   []ui.Entry // what led to it, the first cause first
	Related  []ui.Day
	Raw      []ui.Change // the same for programs
	Leaf     string
	Corrects string // the entry that this one undoes
	UndoneBy string // the entry that undid this one
}

// relatedEntries is how many entries of the same operation are shown.
const relatedEntries = 50

// eventOf loads the entry that the address names.
func (c *call) eventOf() (store.Stored, error) {
	key := id.ID(c.r.PathValue("id"))
	st, err := c.Store.EventByID(c.ctx, c.Store.Read, store.Opened, key)
	return st, store.Fault(err)
}

func (c *call) eventPage() (answer, error) {
	st, err := c.eventOf()
	if err != nil {
		return answer{}, err
	}
	own, shown, err := c.entriesWith([]store.Stored{st}, observe.Log{})
	if err != nil {
		return answer{}, err
	}
	v := entryView{At: "/events/" + string(st.ID), Entry: own[0], Raw: raw(shown[0]), MayUndo: c.mayUndo(st.Event), Leaf: fmt.Sprintf("%x", st.Leaf[:])}
	v.Entry.Href = ""
	if st.Corrects != "" {
		v.Corrects = "/events/" + string(st.Corrects)
	}
	undo, err := c.canUndo(st.ID)
	if err != nil {
		f := fault.As(err)
		if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
			return answer{}, err
		}
		v.Undo = f.Public
		v.Entry.Undo = nil
	}
	if by := undo.UndoneBy(); by != "" {
		v.UndoneBy = "/events/" + string(by)
	}
	causes, err := view.Causes(c.ctx, c.Store, st.ID)
	if err != nil {
		return answer{}, err
	}
	if v.Causes, err = c.entries(causes[1:], observe.Log{}); err != nil {
		return answer{}, err
	}
	slices.Reverse(v.Causes)
	related, err := c.Finder.Page(c.ctx, store.Opened, find.Filter{CorrelationID: string(st.CorrelationID), Hidden: true, Oldest: true}, -1, relatedEntries)
	if err != nil {
		return answer{}, err
	}
	if len(related.Entries) > 1 {
		entries, err := c.entries(related.Entries, observe.Log{})
		if err != nil {
			return answer{}, err
		}
		for i := range entries {
			if entries[i].Seq == st.Seq {
				entries[i].ID = "this" // this page's own
			}
		}
		v.Related = ui.Days(entries, c.Program.Now())
	}
	c.viewed(observe.Log{Name: "explorer"})
	return answer{title: v.Entry.Sentence, head: ui.Head{Crumbs: []ui.Link{{Href: "/events", Text: "Explorer"}}}, body: entryBody(v)}, nil
}

// raw is what an entry changed as the API gives it.
func raw(v view.Event) []ui.Change {
	side := func(v jsontext.Value) ui.Value {
		return ui.Value{Text: string(v), None: len(v) == 0 || string(v) == "null"}
	}
	out := make([]ui.Change, len(v.Changes))
	for i, c := range v.Changes {
		out[i] = ui.Change{Field: c.Field, Before: side(c.Before), After: side(c.After)}
	}
	return out
}

// receipt sends what proves an entry without this server.
func (c *call) receipt() (answer, error) {
	key := id.ID(c.r.PathValue("id"))
	receipt, err := view.ReceiptOf(c.ctx, c.Store, c.Program, key)
	if err != nil {
		return answer{}, err
	}
	b, err := json.Marshal(receipt)
	if err != nil {
		return answer{}, err
	}
	return c.file("application/json", "receipt-"+string(key)+".json", append(b, '\n'))
}

// logKey sends the public key that receipts are checked with.
func (c *call) logKey() (answer, error) {
	_, key, err := c.Store.Keys.Folder().Verifier(string(c.Store.Shop))
	if err != nil {
		return answer{}, store.Fault(err)
	}
	return c.file("text/plain; charset=utf-8", "log-key.txt", []byte(key+"\n"))
}

// file sends something to keep.
func (c *call) file(contentType, name string, b []byte) (answer, error) {
	c.w.Header().Set("Content-Type", contentType)
	c.w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	_, _ = c.w.Write(b) // a browser that went away
	return answer{sent: true}, nil
}

// undoView is the page that asks before an undo.
type undoView struct {
	At, Back string
	Sentence string
	Why      string // it cannot be undone
	Changes  []ui.Change
	Reason   string
	Problems problems
}

// permitUndo holds who is signed in against what an undo of an entry takes.
func (c *call) permitUndo(e *journal.Event) error {
	for _, p := range kinds.UndoPermissions(e) {
		c.route.who, c.route.permission = withPermission, p
		if !c.permitted(p) {
			return c.forbidden()
		}
	}
	c.route.permission = kinds.UndoPermissions(e)[0]
	return nil
}

func (c *call) undoPage() (answer, error) { return c.undoForm(nil) }

func (c *call) undoForm(p problems) (answer, error) {
	st, err := c.eventOf()
	if err == nil {
		err = c.permitUndo(st.Event)
	}
	if err != nil {
		return answer{}, err
	}
	v := undoView{At: "/events/" + string(st.ID) + "/undo", Back: inside(c.r.FormValue("back")), Sentence: journal.Summary(st.Event), Reason: c.r.PostFormValue("comment"), Problems: p}
	w, err := kinds.Undo{Event: st.ID, Actor: c.meta.Actor}.Load(c.reader())
	if err != nil {
		return answer{}, err
	}
	restored, _, err := kinds.Restored(w, c.Program.Now())
	if err != nil {
		f := fault.As(err)
		if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
			return answer{}, err
		}
		v.Why = f.Public
	} else if v.Changes, err = c.difference(w.Current, restored); err != nil {
		return answer{}, err
	}
	return answer{title: "Undo this?", narrow: true, body: undoBody(v)}, nil
}

// difference is what changes from one state to another, for who is signed in.
func (c *call) difference(before, after journal.State) ([]ui.Change, error) {
	deltas, err := c.views().Difference(before, after)
	return c.changes(deltas), err
}

func (c *call) undo() (answer, error) {
	st, err := c.eventOf()
	if err == nil {
		err = c.permitUndo(st.Event)
	}
	if err != nil {
		return answer{}, err
	}
	c.comment()
	out, err := c.run(&program.Request{Command: journal.Bind(kinds.Undo{Event: st.ID, Actor: c.meta.Actor})})
	if err != nil {
		return c.formAgain("Undo this?", err, func(p problems) answer { a, _ := c.undoForm(p); return a })
	}
	return after(inside(c.r.PostFormValue("back")), out.Events), nil
}

// comment takes the reason of a form onto the entries of its command.
func (c *call) comment() {
	c.meta.Comment = strings.TrimSpace(c.r.PostFormValue("comment"))
}

// pastView is a thing as it was after an entry.
type pastView struct {
	Then     ui.Link // the entry
	At       time.Time
	Fields   []ui.Pair
	Since    []ui.Change
	Now      string // the page of the thing as it is
	Previous string // the state before; empty: it began here
	state    *subscription.Subscription
}

// pastPage shows a thing as it was.
func (c *call) pastPage() (answer, error) {
	ref := journal.Ref{Kind: journal.Kind(c.r.PathValue("kind")), ID: id.ID(c.r.PathValue("id"))}
	seq, err := strconv.ParseInt(c.r.FormValue("at_seq"), 10, 64)
	if err != nil || seq < 0 || !store.HasState(ref.Kind) {
		return answer{}, fault.New(fault.NotFound, "no_past", "There is no such past.")
	}
	if ref.Kind == journal.Subscription {
		return goTo(fmt.Sprintf("/subscriptions/%s?at_seq=%d", ref.ID, seq)), nil
	}
	now, err := c.load(c.ctx, ref.Kind, ref.ID)
	if err != nil {
		return answer{}, err
	}
	then, err := c.Store.StateAt(c.ctx, c.Store.Read, ref, func(e *journal.Event) bool { return e.Seq <= seq })
	if err != nil {
		return answer{}, store.Fault(err)
	}
	if then.Version == 0 {
		return answer{}, fault.New(fault.NotFound, "not_yet", "It did not exist then.")
	}
	last, err := c.Store.Event(c.ctx, c.Store.Read, store.Opened, then.LastSeq)
	if err != nil {
		return answer{}, store.Fault(err)
	}
	v := pastView{Then: ui.Link{Href: "/events/" + string(last.ID), Text: journal.Summary(last.Event)}, At: last.RecordedAt.In(c.here().zone)}
	fields, err := c.difference(nil, then.State)
	if err != nil {
		return answer{}, err
	}
	for _, f := range fields {
		v.Fields = append(v.Fields, ui.Pair{Term: f.Field, Value: ui.ValueOf(f.After)})
	}
	if v.Since, err = c.difference(then.State, now.State); err != nil {
		return answer{}, err
	}
	shown, err := c.views().Render([]store.Stored{last})
	if err != nil {
		return answer{}, err
	}
	link := c.thing(string(ref.Kind), string(ref.ID), shown[0].Targets[0].Display)
	v.Now = link.Href
	if last.TargetPrevSeq >= 0 {
		v.Previous = pastOf(ref, last.TargetPrevSeq)
	}
	return answer{title: link.Text + ", as it was", body: pastBody(v)}, nil
}

// liveBeat is how often a stream says that it is there.
const liveBeat = 15 * time.Second

// liveLog sends the entries of a log that come, each as the line that the page shows.
func (c *call) liveLog(of func(c *call) (observe.Log, answer, error)) (answer, error) {
	l, _, err := of(c)
	if err != nil {
		return answer{}, err
	}
	_, _, flt, err := c.filterOf(l)
	if err != nil {
		return answer{}, err
	}
	flt.Oldest = true
	position := c.Program.Head()
	last := c.r.Header.Get("Last-Event-ID")
	if last == "" {
		last = c.r.FormValue("after")
	}
	if n, err := strconv.ParseInt(last, 10, 64); err == nil && n >= 0 {
		position = min(n, position)
	}
	leave := c.streams.Enter(string(c.member.ID))
	if leave == nil {
		f := fault.New(fault.TooMany, "too_many_streams", "Too many pages follow the log live. Close some of them.")
		f.RetryAfter = time.Minute
		return answer{}, f
	}
	defer leave()
	rc := http.NewResponseController(c.w)
	c.w.Header().Set("Content-Type", "text/event-stream")
	send := func(format string, args ...any) error {
		defer view.Stalls(rc)()
		if _, err := fmt.Fprintf(c.w, format, args...); err != nil {
			return err
		}
		return rc.Flush()
	}
	tail := follow.Tail{Journal: c.Program, Beat: liveBeat, End: c.ending.Done(),
		Alive: func(upTo int64) error { return send(": still here\nid: %d\n\n", upTo) },
		Read: func(ctx context.Context, after int64) (int64, bool, error) {
			head := c.Program.Head()
			page, err := c.Finder.Page(ctx, store.Opened, flt, after, entriesOnPage) // with what the index leaves out
			if err != nil {
				return after, false, err
			}
			// A session that ended, or a permission that went, ends the stream; asked after the reading, nothing is sent that came later.
			if err := c.stillMay(); err != nil {
				return after, false, err
			}
			entries, err := c.entries(page.Entries, l)
			if err != nil {
				return after, false, err
			}
			for _, e := range entries {
				var b bytes.Buffer
				if err := ui.EntryLine(e).Render(ctx, &b); err != nil {
					return after, false, err
				}
				if err := send("id: %d\nevent: entry\ndata: %s\n\n", e.Seq, strings.ReplaceAll(b.String(), "\n", " ")); err != nil {
					return after, false, err
				}
				after = e.Seq
			}
			if page.More {
				return after, true, nil
			}
			return max(after, head), false, nil
		}}
	if send("retry: 3000\nid: %d\n\n", position) == nil {
		_ = tail.Follow(c.ctx, position) // whatever ended it, the browser comes again
	}
	return answer{sent: true}, nil
}
