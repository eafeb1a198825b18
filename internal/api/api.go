// Package api is the REST face: each route parses, calls program or store, and renders. The contract is the served
// OpenAPI document, which is generated from the routes, and the test that validates every answer against it.
//
// Routes are registered only through read, list and change (route.go), which demand a permission, and for a change the
// types of the events that it makes.
package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"perennial/internal/access"
	"perennial/internal/analytics"
	"perennial/internal/auth"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/store"
)

// Base is the path under which the API lives.
const Base = "/api/v1"

// Config is what the API works with.
type Config struct {
	Program   *program.Program
	Store     *store.Store
	Finder    *find.Finder
	Analytics *analytics.Analytics
	Log       *slog.Logger
	Version   string
	BaseURL   string // of the server as clients reach it, for links; without a slash at the end
	PortalURL string // where subscribers reach the Portal; empty: /portal of BaseURL
	Mails     bool   // whether messages are sent
	Rate      int    // requests a second for each API key, twice as many at once; 0: no limit
	// Values gives what the variables of messages stand for, of a real subscription, in a language; nil: only made-up values.
	Values func(ctx context.Context, language string) (map[string]string, error)
	Beat   time.Duration // between two signs of life on a stream; 0: 15 seconds
	// Noted, when it is set, is told of each request what only its route knows: the route's pattern, empty when nobody got so far,
	// the request's id, and what kind of actor it was.
	Noted func(ctx context.Context, pattern, requestID string, actor journal.ActorKind)
}

// API serves the REST contract.
type API struct {
	Config
	huma               huma.API
	mux                *access.Mux
	rows               map[string]access.Route // of what is being registered, by pattern
	cursors            cursors
	denials            auth.Tally // refusals, by key
	guesses            auth.Tally // keys that nobody has, by network
	limits             limits
	viewed             viewed
	used               lastUsed
	views              views // how each kind of thing is shown; filled in by the registration methods
	open               open  // streams under way
	streams, downloads auth.Slots
}

// New makes the API and mounts it on mux.
func New(c Config, mux *access.Mux) *API {
	a := &API{Config: c, cursors: cursors{key: c.Store.Keys.Folder().Derive("cursor " + string(c.Store.Shop))}}
	a.register()
	a.documents(mux)
	face := http.StripPrefix(Base, a.guard(a.mux))
	mux.Mount(a.mux, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == Base { // not redirected
			r.URL.Path += "/"
		}
		face.ServeHTTP(w, r)
	}), Base, Base+"/")
	return a
}

// Document is the OpenAPI document that an API of a version serves.
func Document(version string) []byte {
	a := &API{Config: Config{Version: version}}
	a.register()
	return a.document()
}

// register makes the routes and what describes them.
func (a *API) register() {
	a.mux, a.rows = access.NewMux(Base), map[string]access.Route{}
	huma.DefaultArrayNullable = false
	huma.NewError = newProblem
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		p := newProblem(status, msg, errs...).(*Problem)
		if c, ok := ctx.Context().Value(callKey{}).(*call); ok {
			p.RequestID = c.requestID
		}
		return p
	}
	cfg := huma.DefaultConfig("Perennial", a.Version)
	cfg.DocsPath, cfg.SchemasPath, cfg.OpenAPIPath = "", "", ""
	cfg.CreateHooks = nil
	cfg.Transformers = nil
	same := huma.Format{Marshal: func(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }, Unmarshal: json.Unmarshal} // as encode writes
	cfg.Formats = map[string]huma.Format{"application/json": same, "json": same}
	cfg.Info.Description = "The REST API of a Perennial shop. Every change answers with the events that it made."
	cfg.Servers = []*huma.Server{{URL: Base}}
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"key": {Type: "http", Scheme: "bearer", Description: "An API key of the shop."}}
	cfg.Security = []map[string][]string{{"key": {}}}
	a.viewed.init()
	a.used.init()
	a.views = views{}
	a.open.init()
	a.guesses.All = auth.TallyAll
	a.streams.Each, a.streams.All = streamsEach, streamsAll
	a.downloads.Each, a.downloads.All = downloadsEach, downloadsAll
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	registerSchemas(cfg.Components.Schemas)
	documentRefusals(cfg.Components)
	a.huma = humago.New(registry{a.mux, a.rows}, cfg)
	a.subscriptions()
	a.orders()
	a.customers()
	a.catalogue()
	a.cancelFlows()
	a.notificationTemplates()
	a.settings()
	a.team()
	a.logs()
	a.proof()
	a.analytics()
	finish(a.huma.OpenAPI())
}

// registry gives each route of the framework its row of the table. One without a row is a mistake in the program.
type registry struct {
	*access.Mux
	rows map[string]access.Route
}

// HandleFunc implements humago.Mux.
func (g registry) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	row, ok := g.rows[pattern]
	if !ok {
		panic("api: " + pattern + " is registered without operation, so nobody says who may use it")
	}
	g.Handle(row, http.HandlerFunc(h))
}

// now is the time of a request, for what is not decided under the head.
func (a *API) now() time.Time { return a.Program.Now() }

// newID makes an id for a new thing.
func (a *API) newID(prefix string) id.ID { return a.Program.IDs.New(prefix) }
