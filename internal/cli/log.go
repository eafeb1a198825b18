package cli

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
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
	From          string   `help:"A day in the shop's zone, or a time; it belongs to the range." placeholder:"DATE"`
	To            string   `help:"A day or a time; it does not belong to the range." placeholder:"DATE"`
	Q             string   `help:"Words of the sentence, an e-mail address or an id." placeholder:"WORDS"`
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
// leaves alone: a filter is matched entry by entry.
func (c logCommand) Run(w *world) error {
	s, done, err := server.OpenReadOnly(w.ctx, c.config(w.log))
	if err != nil {
		return err
	}
	defer done()
	names := &people{r: program.NewReader(w.ctx, s, s.Read), known: map[journal.Actor]string{}}
	general, err := journal.Get[settings.General](names.r, journal.Settings, settings.PageGeneral)
	if err != nil {
		return err
	}
	zone := settings.Zone(general)
	match, err := c.matcher(w, s, zone)
	if err != nil {
		return err
	}
	head, err := s.ReadHead(w.ctx, s.Read)
	if err != nil {
		return store.Fault(err)
	}
	shown := 0
	show := func(st store.Stored) (more bool, err error) {
		if !match(st.Event) {
			return true, nil
		}
		opened, err := s.Event(w.ctx, s.Read, store.Opened, st.Seq)
		if err != nil {
			return false, err
		}
		shown++
		return c.N == 0 || shown < c.N, c.print(w, opened, zone, names)
	}
	if !c.Follow {
		return c.walk(w, s, head.Seq, show)
	}
	return c.follow(w, s, max(0, head.Seq+1-int64(c.N)), show)
}

// walk goes through the journal once, in the order asked for.
func (c logCommand) walk(w *world, s *store.Store, head int64, show func(store.Stored) (bool, error)) error {
	const page = 500
	if c.Order == "asc" {
		for st, err := range s.Events(w.ctx, s.Read, store.Closed, 0, head+1) {
			if err != nil {
				return store.Fault(err)
			}
			if more, err := show(st); err != nil || !more {
				return err
			}
		}
		return nil
	}
	for to := head + 1; to > 0; to -= page {
		var batch []store.Stored
		for st, err := range s.Events(w.ctx, s.Read, store.Closed, max(0, to-page), to) {
			if err != nil {
				return store.Fault(err)
			}
			batch = append(batch, st)
		}
		for _, st := range slices.Backward(batch) {
			if more, err := show(st); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// follow shows what comes, from a seq on, until it is interrupted.
func (c logCommand) follow(w *world, s *store.Store, next int64, show func(store.Stored) (bool, error)) error {
	t := time.NewTicker(followEvery)
	defer t.Stop()
	for {
		for st, err := range s.Events(w.ctx, s.Read, store.Closed, next, 0) {
			if err != nil {
				return store.Fault(err)
			}
			if _, err := show(st); err != nil {
				return err
			}
			next = st.Seq + 1
		}
		select {
		case <-w.ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// matcher turns the flags into a condition.
func (c logCommand) matcher(w *world, s *store.Store, zone *time.Location) (func(*journal.Event) bool, error) {
	scope := id.ID("")
	switch {
	case c.Which == "activity", c.Which == "all":
	case strings.HasPrefix(c.Which, id.Customer+"_"), strings.HasPrefix(c.Which, id.Subscription+"_"):
		scope = id.ID(c.Which)
	default:
		return nil, fault.New(fault.Refused, "log", "There is no log %q: say activity, all, or the id of a customer or subscription.", plain.Escape(c.Which))
	}
	from, err := moment(c.From, zone)
	if err != nil {
		return nil, err
	}
	to, err := moment(c.To, zone)
	if err != nil {
		return nil, err
	}
	targets := c.Target
	words := find.Words(c.Q)
	if q := strings.TrimSpace(c.Q); strings.Contains(q, "@") || id.Valid(q) {
		words = nil
		owner := id.ID(q)
		if !id.Valid(q) {
			if owner, _, err = s.Reserved(w.ctx, s.Read, customer.ScopeEmail, plain.EmailKey(q)); err != nil {
				return nil, store.Fault(err)
			}
		}
		targets = []string{string(owner)}
	}
	has := func(e *journal.Event, key string) bool {
		return slices.ContainsFunc(e.Targets, func(t journal.Ref) bool { return string(t.ID) == key })
	}
	return func(e *journal.Event) bool {
		t, _ := journal.Lookup(e.Type)
		switch {
		case t.Hidden && !slices.Contains(c.Type, e.Type),
			c.Which == "activity" && t.Log != journal.ActivityLog,
			scope != "" && (!has(e, string(scope)) || t.Family() == "log"),
			len(c.Type) > 0 && !slices.ContainsFunc(c.Type, func(want string) bool { return want == e.Type || want == t.Family()+".*" }),
			len(c.Category) > 0 && !slices.Contains(c.Category, t.Category),
			len(c.ActorKind) > 0 && !slices.Contains(c.ActorKind, string(e.Actor.Kind)),
			len(c.ActorID) > 0 && !slices.Contains(c.ActorID, e.Actor.ID),
			len(c.Channel) > 0 && !slices.Contains(c.Channel, string(e.Source.Channel)),
			len(targets) > 0 && !slices.ContainsFunc(targets, func(key string) bool { return has(e, key) }),
			c.CorrelationID != "" && string(e.CorrelationID) != c.CorrelationID,
			!from.IsZero() && e.RecordedAt.Before(from),
			!to.IsZero() && !e.RecordedAt.Before(to):
			return false
		}
		if len(words) == 0 {
			return true
		}
		said := find.Words(journal.Summary(e))
		return !slices.ContainsFunc(words, func(want string) bool { return !slices.Contains(said, want) })
	}, nil
}

// moment reads a day in the shop's zone or a time; empty is the zero time.
func moment(s string, zone *time.Location) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := civil.Parse(s); err == nil {
		return d.Start(zone), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, fault.New(fault.Refused, "time", "%q is neither a day such as 2027-03-03 nor a time such as 2027-03-03T09:30:00Z.", plain.Escape(s))
	}
	return t, nil
}

func (c logCommand) print(w *world, st store.Stored, zone *time.Location, names *people) error {
	if c.JSON {
		return c.printJSON(w, st)
	}
	who, err := names.name(st.Actor)
	if err != nil {
		return err
	}
	if st.OnBehalfOf != nil {
		other, err := names.name(*st.OnBehalfOf)
		if err != nil {
			return err
		}
		who += " for " + other
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

// people resolves who acted to a name, as it is today.
type people struct {
	r     journal.Reader
	known map[journal.Actor]string
}

func (p *people) name(a journal.Actor) (string, error) {
	if a.Kind == journal.ActorSystem {
		return "system: " + a.ID, nil
	}
	if n, ok := p.known[a]; ok {
		return n, nil
	}
	kind := map[journal.ActorKind]journal.Kind{journal.ActorAPIKey: journal.APIKey, journal.ActorTeamMember: journal.TeamMember, journal.ActorCustomer: journal.Customer}[a.Kind]
	name := ""
	if kind != "" {
		s, _, err := p.r.State(journal.Ref{Kind: kind, ID: id.ID(a.ID)})
		if err != nil {
			return "", err
		}
		switch s := s.(type) {
		case *team.Key:
			name = s.Name
		case *team.TeamMember:
			name = s.Name.Value
		case *customer.Customer:
			name = strings.TrimSpace(s.FirstName.Value + " " + s.LastName.Value)
		}
	}
	p.known[a] = cmp.Or(name, a.ID)
	return p.known[a], nil
}

func (c logCommand) printJSON(w *world, st store.Stored) error {
	p := printed{Seq: st.Seq, ID: st.ID, RecordedAt: journal.At(st.RecordedAt), Type: st.Type, Summary: journal.Summary(st.Event), Actor: st.Actor,
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
