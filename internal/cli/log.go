package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/server"
	"perennial/internal/store"
	"perennial/internal/view"
)

type logCommand struct {
	place
	Which         string   `arg:"" optional:"" default:"all" help:"activity, all, or the id of a customer or subscription."`
	Type          []string `help:"A type, or a family such as subscription.*; repeatable." placeholder:"TYPE"`
	Category      []string `help:"A category; repeatable." placeholder:"NAME"`
	ActorKind     []string `help:"Who acted: team_member, customer, system, api_key …" placeholder:"KIND"`
	ActorID       []string `name:"actor-id" help:"Who acted, by id." placeholder:"ID"`
	Channel       []string `help:"From where: api, portal, dashboard, billing …" placeholder:"NAME"`
	Target        []string `help:"Something that is concerned, by id." placeholder:"ID"`
	CorrelationID string   `name:"correlation-id" help:"One operation." placeholder:"ID"`
	From          string   `help:"The first day, in the shop's zone, or a time." placeholder:"DATE"`
	To            string   `help:"The last day, or a time before which." placeholder:"DATE"`
	Q             string   `help:"Words, whole numbers, sums, dates or \"phrases\" of the sentence, a name, an e-mail address or an id." placeholder:"WORDS"`
	Order         string   `help:"desc shows the newest first, asc the oldest." enum:"desc,asc" default:"desc"`
	N             int      `short:"n" help:"At most so many; 0 for all." default:"50"`
	JSON          bool     `help:"One JSON object a line."`
	Follow        bool     `short:"f" help:"Go on as entries come in, oldest first."`
}

// followEvery is how often a followed log looks for something new.
const followEvery = 300 * time.Millisecond

// printed is what the terminal shows of an entry, as JSON.
type printed struct {
	Seq        int64           `json:"seq"`
	ID         id.ID           `json:"id"`
	RecordedAt journal.Time    `json:"recorded_at"`
	Type       string          `json:"type"`
	Summary    string          `json:"summary"`
	Actor      journal.Actor   `json:"actor"`
	Channel    journal.Channel `json:"channel"`
	Targets    []journal.Ref   `json:"targets"`
	Changes    []printedChange `json:"changes"`
	Comment    string          `json:"comment,omitempty"`
}

type printedChange struct {
	Field  string         `json:"field"`
	Before jsontext.Value `json:"before"`
	After  jsontext.Value `json:"after"`
}

// Run shows a log. It reads the journal itself and writes nothing, so it may run beside a server, whose index it
// leaves alone: a filter is matched entry by entry. What it shows is held against chains, so that an entry which the database does not
// give is missed.
func (c logCommand) Run(w *world) error {
	s, done, err := server.OpenReadOnly(w.ctx, c.config(w.log))
	if err != nil {
		return err
	}
	defer done()
	names := &people{views: view.Unmasked(w.ctx, s).Render}
	zone, err := view.Zone(w.ctx, s)
	if err != nil {
		return err
	}
	flt, err := c.filter(w, s, zone)
	if err != nil {
		return err
	}
	head, err := s.ReadHead(w.ctx, s.Read)
	if err != nil {
		return store.Fault(err)
	}
	if c.Follow {
		return c.follow(w, s, flt, max(0, head.Seq+1-int64(c.N)), func(st store.Stored) error { return c.print(w, st, zone, names) })
	}
	const most = 200 // at a time
	var all find.Check
	for shown, after := 0, int64(-1); ; {
		n := most
		if c.N > 0 {
			n = min(n, c.N-shown)
		}
		page, err := find.ScanPage(w.ctx, s, store.Opened, flt, after, n)
		if err != nil {
			return store.Fault(err)
		}
		for _, st := range page.Entries {
			if err := c.print(w, st, zone, names); err != nil {
				return err
			}
			after = st.Seq
		}
		shown += len(page.Entries)
		if all.Add(page.Check); !page.More || shown == c.N {
			break
		}
	}
	return c.held(w, all)
}

// held says on standard error what the log was held against; a log with an entry missing is no success.
func (c logCommand) held(w *world, check find.Check) error {
	fmt.Fprintln(w.err, check.Words())
	if check.Found() {
		return failed(1)
	}
	return nil
}

// follow shows what comes, from a seq on, until it is interrupted. It is held against chains as it comes; an entry that is missing is told
// at once, and the end is no success.
func (c logCommand) follow(w *world, s *store.Store, flt find.Filter, next int64, show func(store.Stored) error) error {
	flt.Oldest = true
	t := time.NewTicker(followEvery)
	defer t.Stop()
	whole := true
	ended := func() error {
		if !whole {
			return failed(1)
		}
		return nil
	}
	for {
		head, err := s.ReadHead(w.ctx, s.Read)
		if err != nil && w.ctx.Err() == nil {
			return store.Fault(err)
		}
		for more := head.Seq >= next; more; {
			page, err := find.ScanPage(w.ctx, s, store.Opened, flt, next-1, followPage)
			if w.ctx.Err() != nil {
				return ended()
			}
			if err != nil {
				return store.Fault(err)
			}
			if page.Check.Found() {
				whole = false
				fmt.Fprintln(w.err, page.Check.Words())
			}
			for _, st := range page.Entries {
				if err := show(st); err != nil {
					return err
				}
				next = st.Seq + 1
			}
			more = page.More
		}
		next = max(next, head.Seq+1)
		select {
		case <-w.ctx.Done():
			return ended()
		case <-t.C:
		}
	}
}

// followPage is how many entries are read at a time while a log is followed.
const followPage = 200

// filter is what the flags ask for: the filters of the API, and the log.
func (c logCommand) filter(w *world, s *store.Store, zone *time.Location) (find.Filter, error) {
	q := view.Filter{Type: c.Type, Category: c.Category, ActorKind: c.ActorKind, ActorID: c.ActorID, Channel: c.Channel, Target: c.Target,
		CorrelationID: c.CorrelationID, From: c.From, To: view.LastDay(c.To), Q: c.Q}
	flt, err := q.Parse(zone)
	if err != nil {
		return flt, err
	}
	flt.Oldest = c.Order == "asc"
	kind := map[string]journal.Kind{id.Customer: journal.Customer, id.Subscription: journal.Subscription}[id.ID(c.Which).Prefix()]
	switch {
	case c.Which == "all":
	case c.Which == "activity":
		flt.Log = journal.ActivityLog
	case kind != "" && id.Valid(c.Which):
		row, err := s.Load(w.ctx, s.Read, journal.Ref{Kind: kind, ID: id.ID(c.Which)})
		if err != nil {
			return flt, store.Fault(err)
		}
		if row.Version == 0 {
			return flt, fault.New(fault.NotFound, "unknown_"+string(kind), "There is no %s %s in this shop.", kind.Words(), c.Which)
		}
		flt.Scope = id.ID(c.Which)
	default:
		return flt, fault.New(fault.Refused, "log", "There is no log %q: say activity, all, or the id of a customer or subscription.", plain.Escape(c.Which))
	}
	return flt, nil
}

func (c logCommand) print(w *world, st store.Stored, zone *time.Location, names *people) error {
	if c.JSON {
		return c.printJSON(w, st)
	}
	who, err := names.name(st)
	if err != nil {
		return err
	}
	dim, plainly := "", ""
	if f, ok := w.out.(*os.File); ok && os.Getenv("NO_COLOR") == "" {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			dim, plainly = "\x1b[2m", "\x1b[0m"
		}
	}
	fmt.Fprintf(w.out, "%s%s%s  %s  %s(%s, %s, %d)%s\n", dim, st.RecordedAt.In(zone).Format("2 Jan 2006 15:04:05 MST"), plainly,
		plain.Escape(journal.Summary(st.Event)), dim, plain.Escape(who), st.Source.Channel, st.Seq, plainly)
	if st.Comment.Value != "" {
		fmt.Fprintf(w.out, "    “%s”\n", plain.Escape(st.Comment.Value))
	}
	return nil
}

// people resolves who acted to a name, as it was then and as it is now.
type people struct {
	views func([]store.Stored) ([]view.Event, error)
}

func (p *people) name(st store.Stored) (string, error) {
	who := st.Actor.ID
	if st.Actor.Kind == journal.ActorSystem {
		who = "system: " + who
	}
	if st.Actor.Kind == journal.ActorSystem && st.OnBehalfOf == nil {
		return who, nil
	}
	v, err := p.views([]store.Stored{st})
	if err != nil {
		return "", err
	}
	switch st.Actor.Kind {
	case journal.ActorAPIKey, journal.ActorTeamMember, journal.ActorCustomer:
		who = v[0].Actor.Words()
	}
	if other := v[0].OnBehalfOf.Name(); other != "" {
		who += " for " + other
	}
	return who, nil
}

func (c logCommand) printJSON(w *world, st store.Stored) error {
	p := printed{Seq: st.Seq, ID: st.ID, RecordedAt: journal.At(st.RecordedAt), Type: string(st.Type), Summary: journal.Summary(st.Event), Actor: st.Actor,
		Channel: st.Source.Channel, Targets: st.Targets, Changes: []printedChange{}, Comment: st.Comment.Value}
	for _, ch := range st.Changes {
		p.Changes = append(p.Changes, printedChange{ch.Field, null(ch.Before), null(ch.After)})
	}
	b, err := journal.Canonical(p)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.out, "%s\n", b)
	return err
}

func null(j jsontext.Value) jsontext.Value {
	if j == nil {
		return jsontext.Value("null")
	}
	return j
}
