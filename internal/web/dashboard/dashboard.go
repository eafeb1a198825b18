// Package dashboard is the team's side: pages that parse a request, call program or store, and render. Every page works
// without JavaScript.
//
// A route cannot be registered without saying who may use it and, when it changes something, the types of the events
// that it makes (route.go). Whoever has no session is sent to the sign-in; whoever may not do a thing gets a plain page
// and leaves an entry. A test walks every route with every role, and every journey of the tests ends with the check of
// the whole journal.
package dashboard

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"perennial/internal/access"
	"perennial/internal/analytics"
	"perennial/internal/audit"
	"perennial/internal/auth"
	"perennial/internal/find"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/mail"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
)

// Config is what a dashboard needs.
type Config struct {
	Program *program.Program
	Store   *store.Store
	Finder  *find.Finder
	// Analytics gives the reports.
	Analytics *analytics.Analytics
	IDs       *id.Maker
	Log       *slog.Logger
	// BaseURL is where people reach the server: "https://shop.example". Cookies are for https only when it is https.
	BaseURL   string
	PortalURL string          // where subscribers reach the Portal; empty: /portal of BaseURL
	Strangers *auth.Strangers // bounds what strangers make all faces write; nil: this one alone
	Provider  auth.ProviderConfig
	// Gate says why nothing is charged or sent now; nil: it always is.
	Gate *gate.Gate
	// Check checks the whole journal, and all that is derived from it; nil: the database alone.
	Check func(ctx context.Context, progress audit.Progress) (*audit.Report, error)
	// LastChecks gives what the newest checks came to; nil: it is read here.
	LastChecks func(ctx context.Context) (audit.PastChecks, error)
	// DataCopy puts together what the shop keeps of a customer, for a request that is in the log.
	DataCopy func(ctx context.Context, m program.Meta, customer, request id.ID) ([]byte, error)
	// ViewAs starts a look at the Portal as a customer sees it, under both names.
	ViewAs func(w http.ResponseWriter, r *http.Request, m program.Meta, customer id.ID) error
	// Mail sends a test of a message; nil: no messages are sent.
	Mail mail.Sender
	// Values gives what the variables of messages stand for, of a real subscription, in a language; nil: only made-up values.
	Values func(ctx context.Context, language string) (map[string]string, error)
	// Noted, when it is set, is told of each request its route's pattern, its id, and what kind of actor it was.
	Noted func(ctx context.Context, pattern, requestID string, actor journal.ActorKind)
}

// Dashboard serves the pages.
type Dashboard struct {
	Config
	secure   bool // cookies are for https only
	box      auth.Box
	limits   *auth.Limits
	failures auth.Tally      // failed sign-ins by network
	denials  auth.Tally      // refusals by session
	hashing  chan struct{}   // one for each password that is being hashed
	passkeys *auth.Passkeys  // nil where browsers have none: on an address without a name
	provider *auth.Provider  // nil without one
	routes   []route         // as they were registered
	streams  auth.Slots      // pages that follow a log live
	files    auth.Slots      // downloads under way
	looks    looks           // who looked at which log
	ending   context.Context // over with Drain
	end      context.CancelFunc
	work     sync.WaitGroup // what goes on when a request is answered
	verifyMu sync.Mutex
	verified verification // guarded by verifyMu
	mux      *access.Mux
	forged   *http.CrossOriginProtection
}

// hashers is how many passwords are hashed at once: each takes 64 MiB.
const hashers = 4

// New makes a dashboard.
func New(c Config) (*Dashboard, error) {
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	base, err := url.Parse(c.BaseURL)
	if err != nil {
		return nil, err
	}
	forged := http.NewCrossOriginProtection()
	if err := forged.AddTrustedOrigin(base.Scheme + "://" + base.Host); err != nil {
		return nil, err
	}
	if c.LastChecks == nil {
		c.LastChecks = (&audit.Checks{Store: c.Store}).Last
	}
	if c.Strangers == nil {
		c.Strangers = auth.NewStrangers()
	}
	d := &Dashboard{Config: c, secure: base.Scheme == "https", limits: auth.NewLimits(), hashing: make(chan struct{}, hashers), mux: access.NewMux(""), forged: forged,
		box: auth.NewBox(c.Store.Keys.Folder().Derive("dashboard " + string(c.Store.Shop)))}
	d.failures.All = auth.TallyAll
	d.streams.Each, d.streams.All = 16, 256
	d.files.Each, d.files.All = 4, 32
	d.ending, d.end = context.WithCancel(context.Background())
	// A passkey belongs to a name. A server that listens on this machine alone is called localhost.
	if ip := net.ParseIP(base.Hostname()); ip != nil && ip.IsLoopback() {
		base.Host = net.JoinHostPort("localhost", base.Port())
	}
	if net.ParseIP(base.Hostname()) == nil {
		if d.passkeys, err = auth.NewPasskeys(base.String(), "Perennial"); err != nil {
			return nil, err
		}
	}
	if c.Provider.Issuer != "" {
		d.provider = auth.NewProvider(c.Provider, c.BaseURL+"/signin/provider/callback")
	}
	d.register()
	return d, nil
}

// Handler serves the dashboard at the root. Requests that change something and come from another site are refused.
func (d *Dashboard) Handler() http.Handler {
	d.forged.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.plainAs(w, r, nil, http.StatusForbidden, "This came from another site", "The form was sent from another web site, so nothing was done. Open the page here and try again.")
	}))
	return d.forged.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer") // addresses of one-time links are secrets
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		if d.mux.Pattern(r) == "" {
			d.missing(w, r)
			return
		}
		d.mux.ServeHTTP(w, r)
	}))
}

// Routes implements access.Rows.
func (d *Dashboard) Routes() []access.Route { return d.mux.Routes() }

// Drain ends the streams that are open and waits for work that goes on, so that the server can stop. It may be called more than once.
func (d *Dashboard) Drain() {
	d.end()
	d.work.Wait()
}

// Sweep writes down what was only counted, and deletes sessions, links, messages and forms that were over long ago. It is for each minute.
func (d *Dashboard) Sweep(ctx context.Context) error {
	d.FlushTallies(ctx)
	return d.Program.Upkeep(ctx, func(b *store.Batch) error {
		return errors.Join(b.SweepSignIn(idleAfter), b.SweepPosts(), b.SweepForms())
	})
}

// shopName is what the pages are headed with.
func (d *Dashboard) shopName(ctx context.Context) string {
	row, err := d.Store.Load(ctx, d.Store.Read, journal.Ref{Kind: journal.Settings, ID: settings.PageGeneral})
	if g, ok := row.State.(*settings.General); err == nil && ok {
		return g.Name
	}
	return "Perennial"
}

// zone is the time zone that times are shown in.
func (d *Dashboard) zone(ctx context.Context) *time.Location {
	row, err := d.Store.Load(ctx, d.Store.Read, journal.Ref{Kind: journal.Settings, ID: settings.PageGeneral})
	if g, ok := row.State.(*settings.General); err == nil && ok {
		return settings.Zone(g)
	}
	return time.UTC
}

// founded says whether the shop has a team.
func (d *Dashboard) founded(ctx context.Context) (bool, error) {
	row, err := d.Store.Load(ctx, d.Store.Read, journal.Ref{Kind: journal.Team, ID: team.TeamID})
	return row.Version > 0, store.Fault(err)
}
