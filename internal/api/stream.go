package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/follow"
	"perennial/internal/observe"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/view"
)

const (
	heartbeat  = 15 * time.Second
	streamPage = 100 // events read at a time

	streamsEach, streamsAll     = 16, 256 // open at once: of one key, and of all
	downloadsEach, downloadsAll = 4, 32
)

// open tells the streams that are under way when the server stops.
type open struct {
	once sync.Once
	done chan struct{} // closed by Drain
}

func (o *open) init() { o.done = make(chan struct{}) }

// Drain ends the open streams and finishes the entries about what was read, so that the server can stop. It may be
// called more than once.
func (a *API) Drain() {
	a.open.once.Do(func() { close(a.open.done) })
	a.viewed.close()
}

type streamQuery struct {
	view.Filter
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"The seq of the last event that was seen; the stream goes on after it. Without it, it begins now."`
	Unnamed     bool   `query:"unnamed" doc:"Leave the type away as event, so that every message is one for EventSource.onmessage; the type is in the data too."`
}

// Streams is how many clients follow the journal now.
func (a *API) Streams() int { return a.streams.Open() }

// stream registers the live stream of events.
func (a *API) stream() {
	r := route{method: http.MethodGet, path: "/events/stream", tag: "Events", summary: "Follow the journal live, as server-sent events", permission: team.EventsView,
		stream: true}
	op := a.operation(r, reflect.TypeFor[view.Event](), false)
	op.Description += " Each message has the event's seq as `id`, its type as `event` and the event as `data`. At the start and every 15 seconds comes one of the type `heartbeat` whose `id` and " +
		"`data` (`{\"seq\":N}`) say up to where everything was looked at: it moves the client on, so that nothing is lost between two connections, and " +
		"an EventSource does not show it to `onmessage`. A key may have 16 streams open, all together 256."
	op.Responses["200"].Content = map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}
	huma.Register(a.huma, op, func(ctx context.Context, in *streamQuery) (*answered, error) {
		c := callOf(ctx)
		flt, err := a.filter(ctx, &in.Filter)
		if err != nil {
			return nil, a.problem(c, err)
		}
		flt.Oldest = true
		position, err := a.streamStart(ctx, in.LastEventID)
		if err != nil {
			return nil, a.problem(c, err)
		}
		leave := a.streams.Enter(string(c.key.ID))
		if leave == nil {
			return nil, a.problem(c, tooMany("streams", streamsEach, streamsAll))
		}
		a.view(c, observe.Log{Name: "explorer"})
		return &answered{ContentType: "text/event-stream", Body: func(hc huma.Context) {
			defer leave()
			_, w := humago.Unwrap(hc)
			if err := a.send(ctx, w, flt, position, in.Unnamed); err != nil && ctx.Err() == nil {
				a.Log.Error("stream", "request_id", c.requestID, "error", err)
			}
		}}, nil
	})
}

// tooMany refuses what goes on for long when there is as much of it as there may be.
func tooMany(what string, each, all int) error {
	f := fault.New(fault.TooMany, "too_many_"+what, "There are too many %s open: an API key may have %d at once, all together %d.", what, each, all)
	f.RetryAfter = time.Minute
	return f
}

// streamStart gives the seq after which a stream begins.
func (a *API) streamStart(ctx context.Context, last string) (int64, error) {
	head, err := a.Store.ReadHead(ctx, a.Store.Read)
	if err != nil {
		return 0, store.Fault(err)
	}
	if last == "" {
		return head.Seq, nil
	}
	n, err := strconv.ParseInt(last, 10, 64)
	if err != nil || n < 0 || n > head.Seq {
		return 0, fault.New(fault.Malformed, "last_event_id_invalid", "Last-Event-ID is no seq of this shop's journal.")
	}
	return n, nil
}

// send writes the events of a filter after a seq as they are committed, until the client goes away, its key loses the
// permission, or the server stops. Each stream reads for itself, so a slow client holds up nobody.
func (a *API) send(ctx context.Context, w http.ResponseWriter, flt find.Filter, position int64, unnamed bool) error { //nolint:revive // the client's word
	rc := http.NewResponseController(w)
	send := func(format string, args ...any) error {
		defer view.Stalls(rc)()
		_, err := fmt.Fprintf(w, format, args...)
		if err = cmp.Or(err, rc.Flush()); err != nil {
			return fmt.Errorf("%w: %w", errGone, err)
		}
		return nil
	}
	// A client that is cut off before the first message resumes from here. It is an event of its own because some clients drop an id that has
	// no data, and others hand it on as an empty message.
	alive := func(upTo int64) error { return send("id: %d\nevent: heartbeat\ndata: {\"seq\":%[1]d}\n\n", upTo) }
	tail := follow.Tail{Journal: a.Program, Beat: cmp.Or(a.Beat, heartbeat), End: a.open.done, Alive: alive,
		Read: func(ctx context.Context, after int64) (int64, bool, error) {
			next, found, err := a.since(ctx, flt, after)
			if err != nil {
				return after, false, err
			}
			// After the reading: a key that lost a permission sees nothing that came after that.
			has, err := a.holds(ctx)
			if err == nil && !has.Allows(team.EventsView) {
				err = errGone
			}
			if err != nil {
				return after, false, err
			}
			events, err := view.New(ctx, a.Store, has).Render(found)
			if err != nil {
				return after, false, err
			}
			for _, e := range events {
				data, err := encode(e)
				if err != nil {
					return after, false, err
				}
				name := "event: " + e.Type + "\n"
				if unnamed {
					name = ""
				}
				if err := send("id: %d\n%sdata: %s\n", e.Seq, name, data); err != nil {
					return after, false, err
				}
			}
			return next, next != after && len(events) > 0, nil
		}}
	err := cmp.Or(send("retry: 2000\n\n"), alive(position))
	if err == nil {
		err = tail.Follow(ctx, position)
	}
	if errors.Is(err, errGone) {
		return nil
	}
	return err
}

// errGone says that nobody listens to a stream any more, or nobody who may.
var errGone = errors.New("the listener is gone")

// since gives the next events of a filter after a seq, and the seq up to which everything was looked at.
func (a *API) since(ctx context.Context, flt find.Filter, position int64) (int64, []store.Stored, error) {
	head, err := a.Store.ReadHead(ctx, a.Store.Read)
	if err != nil || head.Seq <= position {
		return position, nil, store.Fault(err)
	}
	// Held against every entry in between, as long as they are not many: what the index leaves out is sent all the same.
	page, err := a.Finder.Page(ctx, store.Opened, flt, position, streamPage)
	if err != nil || len(page.Entries) == 0 {
		return head.Seq, nil, err
	}
	last := page.Entries[len(page.Entries)-1].Seq
	if page.More {
		return last, page.Entries, nil
	}
	// What was committed after the head was read may be among the events too.
	return max(head.Seq, last), page.Entries, nil
}

// holds is what the key of a request may do now; nothing when it was revoked.
func (a *API) holds(ctx context.Context) (team.Set, error) {
	row, err := a.Store.Load(ctx, a.Store.Read, callOf(ctx).key.Ref())
	if err != nil {
		return team.Set{}, store.Fault(err)
	}
	k, _ := row.State.(*team.Key)
	return team.Holds(k), nil
}
