// Package portal is the subscribers' side: pages where they see their subscriptions, change them, and read what happened to
// them and who did it. Every page works without JavaScript.
//
// A subscriber gets in with a code that is mailed, or with a link. What the store does not offer is refused under the head
// (subscription.Asked), and every query names the customer of the session: a test asks for the things of others by every route.
// A team member who looks at the Portal as the customer sees it acts as both: each entry has the member as its actor and the customer as who it is for.
package portal

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"

	"perennial/internal/access"
	"perennial/internal/auth"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/notify"
	"perennial/internal/payment"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/web/ui"
	"perennial/internal/web/ui/lang"
)

//go:generate go tool -modfile=../../../tools/go.mod templ generate

// Config is what a portal needs.
type Config struct {
	Program        *program.Program
	Store          *store.Store
	Finder         *find.Finder
	IDs            *id.Maker
	Log            *slog.Logger
	BaseURL        string                               // where people reach the server
	PortalURL      string                               // where subscribers reach the Portal, behind a proxy; empty: /portal of BaseURL
	FrameAncestors []string                             // who may show the Portal in a frame, as CSP says it; empty: nobody
	Strangers      *auth.Strangers                      // bounds what strangers make all faces write; nil: this one alone
	Mails          bool                                 // false: no codes can be sent, and only links let people in
	Gateway        payment.Gateway                      // what takes new cards; nil: nothing does
	Gate           *gate.Gate                           // says whether the gateway may be used now; nil: always
	AskAgain       func(attempt id.ID)                  // says that there may be news of a charge; nil: they come when they come
	Member         func(r *http.Request) (id.ID, error) // the team member who is signed in to the Dashboard in this browser; nil: nobody is
	Noted          func(ctx context.Context, pattern, requestID string, actor journal.ActorKind)
}

// Portal serves the pages.
type Portal struct {
	Config
	secure bool
	where  string // the address that subscribers see
	base   string // the path that subscribers see: home, or another behind a proxy
	box    auth.Box
	limits *auth.Limits
	cards  [2]*auth.Quota // cards that are begun at Stripe: by customer, and by network
	mux    *access.Mux
	forged *http.CrossOriginProtection
	routes []route
	under  chan struct{}  // one for each piece of work that an answer left
	work   sync.WaitGroup // the same
}

// How long things last.
const (
	sessionLifetime = 30 * 24 * time.Hour
	touchEvery      = time.Hour
	codeLifetime    = 10 * time.Minute
	viewAsLifetime  = time.Hour
	pageTimeout     = 15 * time.Second
	formLimit       = 64 << 10
	codeTries       = 5
	deviceLifetime  = 365 * 24 * time.Hour
)

// Cookies, all of them HttpOnly.
const (
	sessionCookie = "perennial_portal"
	codeCookie    = "perennial_code" // which code the browser waits for
	noteCookie    = "perennial_portal_note"
	deviceCookie  = "perennial_portal_device" // whose device it is
	nextCookie    = "perennial_portal_next"   // the page that was asked for before signing in
)

// New makes a portal.
func New(c Config) (*Portal, error) {
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	if err := CheckAncestors(c.FrameAncestors); err != nil {
		return nil, err
	}
	at, err := url.Parse(cmp.Or(strings.TrimSuffix(c.PortalURL, "/"), c.BaseURL+home))
	if err != nil {
		return nil, err
	}
	if at.Host == "" || at.Path == "" || at.RawQuery != "" || at.Fragment != "" || path.Clean(at.Path) != at.Path || strings.ContainsAny(at.Path, "\"'<>& {}") {
		return nil, fmt.Errorf("portal: %s is not an address with a path", at)
	}
	if c.Strangers == nil {
		c.Strangers = auth.NewStrangers()
	}
	p := &Portal{Config: c, secure: at.Scheme == "https", where: at.String(), base: at.Path, limits: auth.NewLimits(), cards: cardQuotas(),
		under: make(chan struct{}, laterLimit), mux: access.NewMux(""), forged: http.NewCrossOriginProtection(),
		box: auth.NewBox(c.Store.Keys.Folder().Derive("portal " + string(c.Store.Shop)))}
	for _, address := range []string{c.BaseURL, at.String()} {
		u, err := url.Parse(address)
		if err != nil {
			return nil, err
		}
		if err := p.forged.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return nil, err
		}
	}
	p.register()
	return p, nil
}

// Handler serves the portal below /portal, and below the path of PortalURL.
func (p *Portal) Handler() http.Handler {
	return p.forged.Handler(p.inside(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		p.mux.ServeHTTP(w, r)
	}), ui.Assets()))
}

// Routes implements access.Rows.
func (p *Portal) Routes() []access.Route { return p.mux.Routes() }

// call is one request.
type call struct {
	*Portal
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context
	route route
	meta  program.Meta

	session    id.ID
	who        *customer.Customer // nil for nobody
	whoVersion int64              // of who
	viewer     id.ID              // the team member who looks on; empty for the customer themselves
	cause      id.ID              // the entry of the link that opened the session; empty when nobody made one
	steps      int                // what the form has asked for so far
	version    int64              // of what the form is about, as it is now; 0: of nothing that is there
	general    *settings.General
	portal     *settings.Portal
	bill       *settings.Billing
	after      []func(ctx context.Context) error // what is done when the answer is given
}

type answer struct {
	status int
	title  string
	crumbs []ui.Link
	badge  *ui.Badge
	body   templ.Component
	to     string
	toast  *ui.Toast
	stripe bool // Stripe's script is on the page
}

type handler func(c *call) (answer, error)

// on registers a page. What it says about itself is held here, so that no handler can forget it.
func (p *Portal) on(rt route, h handler) {
	rt.check()
	p.routes = append(p.routes, rt)
	pattern := rt.pattern
	p.mux.Handle(rt.row(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, formLimit)
		c := &call{Portal: p, w: w, r: r, ctx: lang.With(ctx, catalogue().Printer(lang.English, lang.English)), route: rt}
		agent := r.UserAgent()
		c.meta.Source = journal.Origin{Channel: journal.ChannelPortal, RequestID: string(p.IDs.New(id.Request)), IP: journal.Secluded(auth.Address(r)), UserAgent: journal.Secluded(plain.Escape(agent[:min(len(agent), 400)]))}
		if p.Noted != nil {
			defer func() { p.Noted(r.Context(), pattern, c.meta.Source.RequestID, c.meta.Actor.Kind) }()
		}
		defer func() {
			if v := recover(); v != nil {
				if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(v)
				}
				p.Log.Error("page panicked", "route", pattern, "request_id", c.meta.Source.RequestID, "panic", v, "stack", string(debug.Stack()))
				c.fail(fault.New(fault.Internal, "internal", "Something went wrong here."))
			}
		}()
		if err := c.identify(); err != nil {
			c.fail(err)
			return
		}
		c.listen()
		if c.who == nil && !rt.open() {
			if r.Method == http.MethodGet {
				_ = c.keep(nextCookie, r.URL.RequestURI(), codeLifetime) // text always seals
			}
			http.Redirect(w, r, p.outside("/portal/signin"), http.StatusSeeOther)
			return
		}
		if rt.who == alone && c.viewer != "" {
			c.fail(fault.New(fault.Conflict, "customer_alone", "Only the customer can do this. You are looking on."))
			return
		}
		if r.Method == http.MethodPost {
			if err := r.ParseForm(); err != nil {
				c.fail(fault.Wrap(err, fault.Malformed, "malformed", "The form could not be read, or is too large."))
				return
			}
			if !strings.HasSuffix(pattern, ui.Preview) {
				if err := ui.NeedsNumber(r.PostForm, p.Program.Now()); err != nil {
					c.fail(err)
					return
				}
			}
		}
		a, err := h(c)
		defer func() { p.doLater(r.Context(), c.meta.Source.RequestID, c.after) }()
		switch {
		case err != nil:
			c.fail(err)
		case a.to != "":
			http.Redirect(w, r, p.outside(a.to), http.StatusSeeOther)
		default:
			c.render(a)
		}
	}))
}

func (p *Portal) cookieName(name string) string {
	if p.secure {
		return "__Host-" + name
	}
	return name
}

func (c *call) setCookie(name, value string, lifetime time.Duration) {
	http.SetCookie(c.w, &http.Cookie{Name: c.cookieName(name), Value: value, Path: "/", MaxAge: int(lifetime.Seconds()), HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode})
}

func (c *call) cookie(name string) string {
	k, err := c.r.Cookie(c.cookieName(name))
	if err != nil {
		return ""
	}
	return k.Value
}

func (c *call) keep(name string, value any, lifetime time.Duration) error {
	t, err := c.box.Ticket(name, value, c.Program.Now().Add(lifetime))
	if err == nil {
		c.setCookie(name, t, lifetime)
	}
	return err
}

func (c *call) kept(name string, into any) bool {
	return c.box.Redeem(name, c.cookie(name), c.Program.Now(), into)
}

// note keeps a sentence for the next page.
func (c *call) note(words string) { _ = c.keep(noteCookie, words, time.Minute) } // text always seals

func (c *call) reader() journal.Reader { return program.NewReader(c.ctx, c.Store, c.Store.Read) }

// shop gives the general settings, read once for a request.
func (c *call) shop() *settings.General {
	if c.general == nil {
		g, err := journal.Find[settings.General](c.reader(), journal.Settings, settings.PageGeneral)
		if err != nil || g == nil {
			g = &settings.General{Name: "Perennial", TimeZone: "UTC", Currency: "USD", Locale: "en"}
		}
		c.general = g
	}
	return c.general
}

// offer gives the settings of the Portal, read once for a request.
func (c *call) offer() *settings.Portal {
	if c.portal == nil {
		p, err := journal.Find[settings.Portal](c.reader(), journal.Settings, settings.PagePortal)
		if err != nil || p == nil {
			p = settings.Default(settings.PagePortal, c.shop()).(*settings.Portal)
		}
		c.portal = p
	}
	return c.portal
}

// billing gives the billing settings, read once for a request; nil until they are first saved.
func (c *call) billing() (*settings.Billing, error) {
	if c.bill == nil {
		b, err := journal.Find[settings.Billing](c.reader(), journal.Settings, settings.PageBilling)
		if err != nil {
			return nil, err
		}
		c.bill = b
	}
	return c.bill, nil
}

func (c *call) zone() *time.Location { return settings.Zone(c.shop()) }

// run runs a command for the customer.
func (c *call) run(cmd journal.Command) (*program.Outcome, error) { return c.runOn(journal.Ref{}, cmd) }

// runOn is run for a form about a thing, which says which version of it the customer saw.
func (c *call) runOn(about journal.Ref, cmd journal.Command) (*program.Outcome, error) {
	c.meta.Comment = strings.TrimSpace(c.r.PostFormValue("comment"))
	req := &program.Request{Meta: c.meta, Command: cmd}
	if seen, err := strconv.ParseInt(c.r.PostFormValue("version"), 10, 64); err == nil && about.ID != "" {
		req.Target, req.IfMatch = about, &seen
	}
	return c.once(req)
}

// once runs what a form asks for, once however often the form is sent.
func (c *call) once(req *program.Request) (*program.Outcome, error) {
	do := c.Program.Do
	if c.r.Method == http.MethodPost && c.r.PostForm.Get(ui.Number) != "" {
		do = func(ctx context.Context, req *program.Request) (*program.Outcome, error) {
			return c.Program.DoOnce(ctx, req, c.sentKey())
		}
	}
	out, err := do(c.ctx, req)
	if err == nil {
		c.announced(out.Events)
	}
	return out, err
}

// first says whether the form comes for the first time, where no command does what it asks for.
func (c *call) first() (bool, error) { return c.Program.First(c.ctx, c.sentKey()) }

func (c *call) sentKey() [sha256.Size]byte {
	c.steps++
	return ui.SentKey("portal", c.r.URL.Path, c.r.PostForm, c.steps)
}

func (c *call) render(a answer) {
	var b bytes.Buffer
	v := ui.Shell{Title: a.title, Shop: c.shop().Name, Home: "/portal", Lang: c.words().Language, Theme: ui.ThemeOf(c.r), Narrow: true, Subscribers: true, Toast: a.toast, Footer: foot(c), Style: style(c.offer()), Logo: c.offer().LogoURL}
	if a.toast == nil {
		var words string
		if c.kept(noteCookie, &words) {
			c.setCookie(noteCookie, "", -time.Second)
			v.Toast = &ui.Toast{Text: words}
		} else {
			v.Toast = c.toast()
		}
	}
	if err := frame(c, v, a).Render(ui.WithWords(c.ctx, c.partWords()), &b); err != nil {
		c.Log.Error("render", "title", a.title, "error", err)
		http.Error(c.w, "Something went wrong here.", http.StatusInternalServerError)
		return
	}
	policy := c.policy()
	if a.stripe {
		policy += stripePolicy
	}
	c.w.Header().Set("Content-Security-Policy", policy)
	ui.Send(c.w, c.r, cmp.Or(a.status, http.StatusOK), ui.Numbered(c.placed(b.Bytes()), c.Program.Now()))
}

func (c *call) fail(err error) {
	f := fault.As(err)
	if f.Kind == fault.Internal {
		c.Log.Error("page", "route", c.route.pattern, "request_id", c.meta.Source.RequestID, "error", err)
	}
	if f.RetryAfter > 0 {
		c.w.Header().Set("Retry-After", fmt.Sprint(int(f.RetryAfter.Seconds())+1))
	}
	title := map[fault.Kind]string{fault.NotFound: "failed.not_found", fault.Forbidden: "failed.forbidden", fault.Conflict: "failed.conflict", fault.Refused: "failed.refused", fault.TooMany: "failed.too_many", fault.Gone: "failed.gone"}[f.Kind]
	if title == "" {
		title = "failed.title"
	}
	var words strings.Builder
	words.WriteString(c.refusal(f))
	for _, field := range f.Fields {
		words.WriteString(" " + c.wrong(field))
	}
	c.render(answer{status: f.Kind.HTTPStatus(), title: c.say(title), body: plainBody(words.String())})
}

// identify finds who makes a request. Nobody is no failure. Who it is, and who looks on, is said at once by the session's row, or not at
// all.
func (c *call) identify() error {
	session, secret, ok := strings.Cut(c.cookie(sessionCookie), ".")
	if !ok {
		return nil
	}
	s, ok, err := c.Store.Session(c.ctx, c.Store.Read, id.ID(session), secret)
	now := c.Program.Now()
	if err != nil || !ok || s.Ended || !now.Before(s.ExpiresAt) || s.Owner.Kind != journal.Customer {
		return store.Fault(err)
	}
	row, err := c.Store.Load(c.ctx, c.Store.Read, s.Owner)
	if err != nil {
		return store.Fault(err)
	}
	who, ok := row.State.(*customer.Customer)
	if !ok || who.Status != customer.Active || s.Basis != "" && s.Basis != notify.Mailbox(c.Store, who) {
		return nil
	}
	if s.Viewer != "" {
		if err := c.mayLook(s.Viewer); err != nil {
			if fault.As(err).Kind == fault.Forbidden {
				return nil // the member may not look any more
			}
			return err
		}
	}
	c.session, c.who, c.whoVersion, c.cause = s.ID, who, row.Version, s.Cause
	c.actAs(who.ID, s.Viewer)
	if now.Sub(s.SeenAt) >= touchEvery {
		if err := c.Program.Upkeep(c.ctx, func(b *store.Batch) error { return b.TouchSession(s.ID) }); err != nil {
			c.Log.Warn("note the use of a session", "request_id", c.meta.Source.RequestID, "error", err)
		}
	}
	return nil
}

// actAs makes a customer who acts, or the member of the team who looks on as them: every entry names both then. What is done in a session
// that a link of the team opened was caused by its making, whose entry names who made it.
func (c *call) actAs(who, viewer id.ID) {
	c.viewer = viewer
	c.meta.Actor, c.meta.OnBehalfOf, c.meta.CausationID = journal.Actor{Kind: journal.ActorCustomer, ID: string(who)}, nil, c.cause
	if viewer != "" {
		owner := c.meta.Actor
		c.meta.Actor, c.meta.OnBehalfOf = journal.Actor{Kind: journal.ActorTeamMember, ID: string(viewer)}, &owner
	}
}

// mayLook refuses a member who may not act for customers.
func (c *call) mayLook(member id.ID) error {
	may, err := team.Of(c.reader(), journal.Actor{Kind: journal.ActorTeamMember, ID: string(member)})
	if err == nil && (!may.Allows(team.CustomersEdit) || !may.Allows(team.PersonalDataView)) {
		err = fault.New(fault.Forbidden, "team_browser", "You are signed in to the Dashboard in this browser, and may not act for customers there. Sign out of it first, or use another browser.")
	}
	return err
}

// looker gives the member of the team whose browser this is, empty for anybody else's: who looks on, or is signed in to the Dashboard.
func (c *call) looker() (id.ID, error) {
	member := c.viewer
	if member == "" && c.Member != nil {
		var err error
		if member, err = c.Member(c.r); err != nil {
			return "", err
		}
	}
	if member == "" {
		return "", nil
	}
	return member, c.mayLook(member)
}

// Codes have eight characters that nobody takes for others, and of which no words are made: 2.8e11 of them.
const (
	codeLetters = "23456789BCDFGHJKMNPQRTVWXYZ"
	codeLength  = 8
)

// newCode makes a code.
func newCode() (string, error) {
	b := make([]byte, codeLength)
	for i := range b {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(codeLetters))))
		if err != nil {
			return "", err
		}
		b[i] = codeLetters[n.Int64()]
	}
	return string(b), nil
}

// shownCode is a code as people read it.
func shownCode(code string) string { return code[:codeLength/2] + "-" + code[codeLength/2:] }

// typedCode is a code as it was typed, without what people put between.
func typedCode(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' && r < 'A' || r > 'Z' {
			return -1
		}
		return r
	}, strings.ToUpper(s))
}

// laterLimit is how much may be left to be done after answers at once. Beyond it nothing is: the limits of asking are far below.
const laterLimit = 64

// later has something done after the answer, so that neither the time of the answer nor what it counts tells of it.
func (c *call) later(do func(ctx context.Context) error) { c.after = append(c.after, do) }

// doLater does what an answer left.
func (p *Portal) doLater(ctx context.Context, request string, after []func(ctx context.Context) error) {
	ctx = context.WithoutCancel(ctx)
	for _, do := range after {
		select {
		case p.under <- struct{}{}:
		default:
			p.Log.Warn("too much is left to be done after answers", "request_id", request)
			return
		}
		p.work.Go(func() {
			defer func() { <-p.under }()
			ctx, cancel := context.WithTimeout(ctx, pageTimeout)
			defer cancel()
			if err := do(ctx); err != nil {
				p.Log.Error("after an answer", "request_id", request, "error", err)
			}
		})
	}
}

// Drain waits for what answers left to be done.
func (p *Portal) Drain() { p.work.Wait() }
