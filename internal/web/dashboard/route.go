package dashboard

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"perennial/internal/access"
	"perennial/internal/auth"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

// Who may use a route.
const (
	withPermission = access.Permitted  // whoever holds the route's permissions; also of a route that says nothing else
	everybody      = access.Anyone     // also without a session: signing in
	withLink       = access.LinkHolder // the same, with a one-time link
	signedIn       = access.Member     // whoever is signed in: their own account
)

// route is what every registration says about itself.
type route struct {
	pattern    string // "POST /team/{id}/role"
	who        access.Who
	permission team.Permission   // with withPermission
	also       []team.Permission // what it takes besides
	besides    string            // what only some requests need, in words
	events     []journal.Name    // the types that it may make; a POST without them changes nothing that has a state
	// fromProvider is of the one GET that makes events: an identity provider sends people back with it, and a sealed
	// cookie says that they left from here.
	fromProvider bool
	// confirm is of what outlasts a session: it takes the password again, or a sign-in of the last minutes.
	confirm bool
	// unnumbered is of what a script asks for, which has no form and changes nothing.
	unnumbered bool
	// stream is of an answer that goes on until the browser leaves.
	stream bool
}

const (
	pageTimeout = 15 * time.Second
	formLimit   = 256 << 10
)

// call is one request: who makes it, and what may be done.
type call struct {
	*Dashboard
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context
	route route
	meta  program.Meta

	session id.ID            // empty for nobody
	member  *team.TeamMember // nil for nobody
	version int64            // of the member
	stale   bool             // who signs in now proved who they are longer ago, at the identity provider
	can     team.Set
	words   locale // read by here
	gap     string // what an index hid from a log that was read; empty: nothing
	steps   int    // what the form has asked for so far
}

// answer is what a handler comes to: a page, or another address to go to.
type answer struct {
	status int // 0: 200
	title  string
	body   templ.Component
	head   ui.Head         // what stands at the top; its title is the page's when it is empty
	act    templ.Component // the actions beside the title
	narrow bool            // a page of one form, or of reading
	toast  *ui.Toast       // nil: what the last command left to say
	to     string          // where to go instead
	sent   bool            // the handler wrote the answer itself
	gap    string          // what an index hid from a log on the page; empty: nothing
}

func page(title string, body templ.Component) answer { return answer{title: title, body: body} }

func goTo(address string) answer { return answer{to: cmp.Or(address, "/")} }

type handler func(c *call) (answer, error)

// on registers a route. What it says about itself is held here, so that no handler can forget it.
func (d *Dashboard) on(r route, h handler) {
	method, _, _ := strings.Cut(r.pattern, " ")
	switch {
	case method != http.MethodGet && method != http.MethodPost:
		panic("dashboard: " + r.pattern + ": a page is read with GET and sent with POST")
	case method == http.MethodGet && len(r.events) > 0 && !r.fromProvider:
		panic("dashboard: " + r.pattern + ": reading a page makes no event")
	}
	if r.who == 0 {
		r.who = withPermission
	}
	if r.confirm && (method != http.MethodPost || r.open()) {
		panic("dashboard: " + r.pattern + ": only a form of somebody who is signed in is confirmed")
	}
	d.routes = append(d.routes, r)
	d.mux.Handle(r.row(), http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { d.serve(w, req, r, h) }))
}

func (d *Dashboard) serve(w http.ResponseWriter, r *http.Request, rt route, h handler) {
	ctx := r.Context()
	if !rt.stream {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, pageTimeout)
		defer cancel()
	}
	r.Body = http.MaxBytesReader(w, r.Body, formLimit)
	c := &call{Dashboard: d, w: w, r: r, ctx: ctx, route: rt}
	c.meta.Source = d.source(r, string(d.IDs.New(id.Request)))
	if d.Noted != nil {
		defer func() { d.Noted(r.Context(), rt.pattern, c.meta.Source.RequestID, c.meta.Actor.Kind) }()
	}
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			d.Log.Error("page panicked", "route", rt.pattern, "request_id", c.meta.Source.RequestID, "panic", v, "stack", string(debug.Stack()))
			c.fail(fault.New(fault.Internal, "internal", "Something went wrong here."))
		}
	}()
	if err := c.identify(); err != nil {
		c.fail(err)
		return
	}
	if c.member == nil && !rt.open() {
		c.sendToSignIn()
		return
	}
	if p := rt.lacks(c.can); p != "" {
		c.route.permission = p
		c.fail(c.forbidden())
		return
	}
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			c.fail(fault.Wrap(err, fault.Malformed, "malformed", "The form could not be read, or is too large."))
			return
		}
		if !rt.unnumbered && !strings.HasSuffix(rt.pattern, ui.Preview) {
			if err := ui.NeedsNumber(r.PostForm, d.Program.Now()); err != nil {
				c.fail(err)
				return
			}
		}
	}
	a, held, err := c.held()
	if err == nil && !held {
		a, err = h(c)
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.render(a)
}

func (d *Dashboard) source(r *http.Request, requestID string) journal.Origin {
	agent := r.UserAgent()
	if len(agent) > 400 {
		agent = agent[:400]
	}
	return journal.Origin{Channel: journal.ChannelDashboard, RequestID: requestID, IP: journal.Secluded(auth.Address(r)), UserAgent: journal.Secluded(plain.Escape(agent))}
}

func (c *call) forbidden() error { return missing(c.route.permission) }

func missing(p team.Permission) error {
	return fault.New(fault.Forbidden, "permission_missing", "This needs the permission %s. An owner or an admin can give it to you.", p)
}

// takes are the permissions of the route.
func (r route) takes() []team.Permission {
	if r.who != withPermission {
		return nil
	}
	return append([]team.Permission{r.permission}, r.also...)
}

// row is the route in the table of all faces.
func (r route) row() access.Route {
	return access.Route{Pattern: r.pattern, Who: r.who, Needs: r.takes(), Besides: r.besides, Fresh: r.confirm, Events: r.events, Stream: r.stream}
}

// open says that nobody has to be signed in.
func (r route) open() bool { return r.who == everybody || r.who == withLink }

// lacks gives the first permission of the route that a set does not hold; empty when it holds them all.
func (r route) lacks(has team.Set) team.Permission { return r.row().Lacks(has) }

// stillMay asks again who it is and what they may do, for what goes on for long.
func (c *call) stillMay() error {
	if err := c.identify(); err != nil {
		return err
	}
	if p := c.route.lacks(c.can); c.member == nil || p != "" {
		return missing(p)
	}
	return nil
}

// needs refuses what takes another permission besides the route's.
func (c *call) needs(p team.Permission) error {
	if c.permitted(p) {
		return nil
	}
	c.route.permission = p
	return c.forbidden()
}

// do runs a command in the name of who is signed in. The permission of the route is asked again under the head.
func (c *call) do(req *program.Request) error {
	_, err := c.run(req)
	return err
}

// run is do, with what the command came to.
func (c *call) run(req *program.Request) (*program.Outcome, error) {
	if req.Meta.Actor.Kind == "" {
		req.Meta = c.meta
	}
	if c.route.who == withPermission {
		req.Allow = func(r journal.Reader) error {
			set, err := team.Of(r, c.meta.Actor)
			if err != nil {
				return err
			}
			if p := c.route.lacks(set); p != "" {
				return missing(p)
			}
			return nil
		}
	}
	do := c.Program.Do
	if c.r.Method == http.MethodPost && c.r.PostForm.Get(ui.Number) != "" {
		do = func(ctx context.Context, req *program.Request) (*program.Outcome, error) {
			return c.Program.DoOnce(ctx, req, c.sentKey())
		}
	}
	out, err := do(c.ctx, req)
	if err != nil {
		return nil, err
	}
	for _, e := range out.Events {
		if !slices.Contains(c.route.events, e.Type) {
			c.Log.Error("a route made an event that it did not announce", "route", c.route.pattern, "type", e.Type)
		}
	}
	return out, nil
}

// first says whether the form comes for the first time, where no command does what it asks for.
func (c *call) first() error {
	yes, err := c.Program.First(c.ctx, c.sentKey())
	if err == nil && !yes {
		err = program.SentAlready()
	}
	return err
}

func (c *call) sentKey() [sha256.Size]byte {
	c.steps++
	return ui.SentKey("dashboard", c.r.URL.Path, c.r.PostForm, c.steps)
}

// change runs a command and nothing more.
func (c *call) change(cmd journal.Command) error { return c.do(&program.Request{Command: cmd}) }

// fail shows a failure as a page. A refusal of what somebody signed in wanted is an entry.
func (c *call) fail(err error) {
	f := fault.As(err)
	switch f.Kind {
	case fault.Forbidden:
		if c.member != nil {
			c.recordDenial()
		}
	case fault.Internal:
		c.Log.Error("page", "route", c.route.pattern, "request_id", c.meta.Source.RequestID, "error", err)
	case fault.NotFound:
		c.plainAs(c.w, c.r, c.member, http.StatusNotFound, "There is nothing here", f.Public)
		return
	}
	if f.RetryAfter > 0 {
		c.w.Header().Set("Retry-After", fmt.Sprint(int(f.RetryAfter.Seconds())+1))
	}
	title := map[fault.Kind]string{fault.Forbidden: "You may not do this", fault.Stale: "Somebody else changed this", fault.Conflict: "This cannot be done now",
		fault.Refused: "This cannot be accepted", fault.TooMany: "Too many attempts", fault.Unavailable: "Not now", fault.Gone: "This link is over"}[f.Kind]
	if title == "" {
		title = "Something went wrong"
	}
	var words strings.Builder
	words.WriteString(f.Public)
	for _, field := range f.Fields {
		words.WriteString(" " + field.Detail)
	}
	c.plainAs(c.w, c.r, c.member, f.Kind.HTTPStatus(), title, words.String())
}

// recordDenial makes the entry of a refusal, or counts it.
func (c *call) recordDenial() {
	if !c.denials.Note(string(c.session)+" "+string(c.member.ID), c.Program.Now()) {
		return
	}
	c.Dashboard.recordDenial(context.WithoutCancel(c.ctx), c.meta, team.RecordDenial{Refused: c.session, Who: c.member.Ref(), Permission: c.route.permission,
		Path: c.r.Method + " " + c.r.URL.Path, Count: 1})
}

func (d *Dashboard) recordDenial(ctx context.Context, m program.Meta, denial team.RecordDenial) {
	if _, err := d.Program.Do(ctx, &program.Request{Meta: m, Command: journal.Bind(denial)}); err != nil {
		d.Log.Error("record a refusal", "request_id", m.Source.RequestID, "error", err)
	}
}

// FlushTallies makes one entry of each source's refusals that were only counted.
func (d *Dashboard) FlushTallies(ctx context.Context) {
	now := d.Program.Now()
	from := journal.Origin{Channel: journal.ChannelDashboard}
	for source, n := range d.denials.Take(now) {
		session, member, _ := strings.Cut(source, " ")
		d.recordDenial(ctx, program.Meta{Actor: journal.Actor{Kind: journal.ActorTeamMember, ID: member}, Source: from},
			team.RecordDenial{Refused: id.ID(session), Who: journal.Ref{Kind: journal.TeamMember, ID: id.ID(member)}, Count: n})
	}
	for network, n := range d.failures.Take(now) {
		origin := from
		origin.IP = journal.Secluded(network)
		d.recordFailure(ctx, origin, team.FailLogIn{Why: team.TooManyFailures, Count: n})
	}
}

// permitted says whether the one who asks may do something, for what a page offers.
func (c *call) permitted(p team.Permission) bool { return c.can.Allows(p) }
