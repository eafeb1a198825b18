package server

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"perennial/internal/access"
	"perennial/internal/api"
	"perennial/internal/audit"
	"perennial/internal/auth"
	"perennial/internal/db"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/follow"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/mail"
	"perennial/internal/metrics"
	"perennial/internal/notify"
	"perennial/internal/observe"
	"perennial/internal/payment"
	"perennial/internal/store"
	"perennial/internal/web/dashboard"
	"perennial/internal/web/portal"
	"perennial/internal/web/ui"
)

// Server is a running instance with its address and its background work.
type Server struct {
	*Instance
	Addr        string // as it listens, with the port
	MetricsAddr string // the same of Config.MetricsListen; empty without one

	Dashboard *dashboard.Dashboard

	api     *api.API
	portal  *portal.Portal
	letters *notify.Notifier // nil: no messages are sent
	samples *notify.Notifier // values to look at a message with
	mail    mail.Sender      // the same
	engine  *engine.Engine
	reports *Reports
	gateway payment.Gateway
	metrics *metrics.Metrics
	checks  *audit.Checks
	door    *door
	routes  []access.Route // of all faces
	http    []*http.Server
	stop    context.CancelFunc
	work    sync.WaitGroup // the listeners and the background work
	once    sync.Once
	err     error

	followers *follow.Group

	connecting sync.Mutex
	connected  bool        // guarded by connecting; the gateway's account is the shop's
	unknown    atomic.Bool // the gateway's account has still to be compared with the shop's, or its charges with the orders
	remembered bool        // guarded by connecting; the gateway's charges since the last entry are known
	noticed    atomic.Bool // the gateway made charges that the database knows nothing of, and nobody accepted it yet
	began      time.Time   // of the last entry at the start
	signing    atomic.Pointer[signing]
	stopping   atomic.Bool                      // for readyz
	checked    atomic.Pointer[audit.PastChecks] // as they were last read; nil before
	nightly    string                           // this process, among those that share the check at night
	gaps       gaps
	strangers  *auth.Strangers // one bound for all faces
}

// signing is how the last try to sign a checkpoint ended.
type signing struct {
	last metrics.Checkpoint // the newest one that is known
	err  error
}

// Intervals of the background work.
const (
	checkpointEvery  = time.Minute
	checkpointEvents = 1000
	billingEvery     = 15 * time.Second
	sweepEvery       = time.Minute
	settlePause      = 100 * time.Millisecond // between two looks for open charges
	indexPause       = 200 * time.Millisecond // between two batches of the index
	lettersEvery     = 20 * time.Second       // messages that are due
	lettersPause     = time.Second            // between two looks at new entries
	stopWithin       = 20 * time.Second       // for what is under way
)

// Start serves an open instance at Config.Listen; Stop closes it. extra is one more face, nil for none: the demo's mailbox.
// before is called with the address before anything is answered; it may be nil. With an error the instance is still open.
func Start(ctx context.Context, i *Instance, gateway payment.Gateway, extra *access.Mux, before func(addr string) error) (*Server, error) {
	if i.Config.Listen == "" {
		return nil, fault.New(fault.Refused, "listen", "Give an address to listen on.")
	}
	s := &Server{Instance: i, gateway: gateway, engine: newEngine(i, gateway), door: newDoor(), checks: &audit.Checks{Store: i.Store}}
	s.engine.InFlight = cmp.Or(i.Config.InFlight, engine.Busy)
	s.nightly = string(i.IDs.New(id.Command))
	s.reports = NewReports(i.Program, i.Store, s.engine, gateway, i.Config.Log)
	s.observe()
	s.gaps.wake = make(chan struct{}, 1)
	i.Finder.Noted = func(hidden, unreadable []int64) { s.gaps.add(observe.ByReading, hidden, unreadable) }
	l, err := listen(ctx, i.Config.Listen)
	if err != nil {
		return nil, err
	}
	listeners := []net.Listener{l}
	failed := func(err error) (*Server, error) {
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
		return nil, err
	}
	if i.Config.MetricsListen != "" {
		l, err := listen(ctx, i.Config.MetricsListen)
		if err != nil {
			return failed(err)
		}
		listeners = append(listeners, l)
		s.MetricsAddr = l.Addr().String()
	}
	s.Addr = l.Addr().String()
	if before != nil {
		if err := before(s.Addr); err != nil {
			return failed(err)
		}
	}
	if err := s.confirm(ctx); err != nil {
		return failed(err)
	}
	mux := access.NewMux("")
	base := cmp.Or(strings.TrimSuffix(i.Config.PublicURL, "/"), "http://"+s.Addr)
	s.api = api.New(api.Config{Program: i.Program, Store: i.Store, Finder: i.Finder, Analytics: i.Analytics, Log: i.Config.Log, Version: i.Config.Version, BaseURL: base, PortalURL: i.Config.portal(base), Mails: i.Config.SMTP != "" || i.Config.MailDir != "", Rate: i.Config.Rate, Noted: noted,
		Values: func(ctx context.Context, language string) (map[string]string, error) {
			return s.samples.Values(ctx, language)
		}}, mux)
	if err := s.subscribers(mux, base); err != nil {
		return failed(err)
	}
	if err := s.team(mux, base); err != nil {
		return failed(err)
	}
	if g, ok := gateway.(sender); ok {
		mux.Handle(access.Route{Pattern: "POST /webhooks/stripe", Who: access.Gateway, Besides: "makes what the report tells: of payments, refunds, disputes and cards"}, s.reports.receive(g))
	}
	if extra != nil {
		mux.Mount(extra, extra)
	}
	s.followers = follow.New(i.Program, i.Config.Log, s.list()...)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	front := access.NewMux("")
	front.Mount(mux, s.door.guard(mux), "/")
	s.serve(l, front, len(listeners) == 1)
	s.routes = front.Routes()
	if len(listeners) > 1 {
		figures := access.NewMux("")
		figures.Handle(access.Route{Pattern: "/", Who: access.Anyone}, http.NotFoundHandler())
		s.serve(listeners[1], figures, true)
	}
	if i.DB.Engine == db.Postgres {
		s.work.Go(func() {
			if err := s.engine.Alive(run); err != nil {
				i.Config.Log.Warn("lease", "error", err)
			}
		})
	}
	s.work.Go(func() { s.witness(run) })
	s.work.Go(func() { s.sign(run) })
	s.work.Go(func() { s.sweep(run) })
	s.work.Go(func() { s.prove(run) })
	s.work.Go(func() { s.recordGaps(run) })
	s.followers.Start(run)
	return s, nil
}

// Stop says "not ready" for Config.StopDelay, then refuses new requests, answers what is under way, ends streams and
// the background work, signs what is not signed yet, and closes the instance. What is not answered after 20 seconds is
// given up. It may be called more than once.
func (s *Server) Stop(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	s.once.Do(func() {
		s.stopping.Store(true)
		if d := s.Config.StopDelay; d > 0 {
			time.Sleep(d)
		}
		s.stop()
		s.api.Drain()
		s.Dashboard.Drain()
		within, cancel := context.WithTimeout(ctx, stopWithin)
		defer cancel()
		s.door.drain(within)
		var err error
		for _, h := range s.http {
			if serr := h.Shutdown(within); serr != nil {
				err = errors.Join(err, serr, h.Close())
			}
		}
		s.followers.Stop()
		s.work.Wait()
		s.api.FlushDenials(ctx)
		s.Dashboard.FlushTallies(ctx)
		s.flushGaps(ctx)
		if s.Program.Head() >= 0 {
			s.checkpoint(ctx)
		}
		s.err = errors.Join(err, s.Instance.Close(ctx))
	})
	return s.err
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "listen", "The address %s cannot be listened on: %v.", address, errors.Unwrap(err))
	}
	return l, nil
}

// serve answers at a listener until Stop, with the addresses for whoever runs the server beside all others.
func (s *Server) serve(l net.Listener, mux *access.Mux, withMetrics bool) {
	s.operations(mux, withMetrics)
	h := newHTTP(behind(s.Config.TrustedProxies, s.recorded(s.secure(mux))), s.Config.Log)
	crowd := newCrowd(l, s.Config.Connections, s.Config.TrustedProxies, s.Config.Log)
	h.ConnState = crowd.state
	s.http = append(s.http, h)
	s.work.Go(func() {
		if err := h.Serve(crowd); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.Config.Log.Error("listener", "error", err)
		}
	})
}

// bill looks for what is due at its interval, and charges what a person asked for (an extra order, a new card) as soon as it is
// committed. It is the one goroutine that uses the engine.
func (s *Server) bill(ctx context.Context, due bool) error {
	if s.unknown.Load() && due && s.Gate.Ask(gate.Charge, gate.GatewayUnknown) == nil {
		s.reconnect(ctx)
	}
	if s.unknown.Load() { // nothing is charged until the gateway's account is known
		s.metrics.BillingHeld()
		return s.Gate.Ask(gate.Charge)
	}
	if !due {
		return s.engine.Wake(ctx)
	}
	if err := s.reports.Pump(ctx); err != nil && ctx.Err() == nil && !gate.Held(err) {
		s.Config.Log.Error("the reports of the gateway", "error", err)
	}
	err := s.engine.Run(ctx)
	switch {
	case gate.Held(err):
		s.metrics.BillingHeld()
	case ctx.Err() == nil:
		s.metrics.BillingRun(time.Now(), err)
	}
	return err
}

// list gives the followers that live with the server: who follows the journal has its line here.
func (s *Server) list() []*follow.Follower {
	list := []*follow.Follower{
		{Name: "billing", Every: cmp.Or(s.Config.BillingEvery, billingEvery), Pause: settlePause, Longest: settlePause, Round: s.bill},
		{Name: "index", Pause: indexPause, Round: func(ctx context.Context, _ bool) error { return s.Finder.CatchUp(ctx) }},
		s.Analytics.Follower(),
	}
	if s.letters != nil {
		list = append(list, &follow.Follower{Name: "messages", Every: lettersEvery, Pause: lettersPause, Round: func(ctx context.Context, _ bool) error { return s.letters.Run(ctx) }})
	}
	return list
}

// signIns gives a customer's sign-ins before an entry, newest first.
func (i *Instance) signIns(ctx context.Context, who id.ID, before int64) iter.Seq2[*journal.Event, error] {
	return func(yield func(*journal.Event, error) bool) {
		for st, err := range i.Finder.Events(ctx, store.Opened, find.Filter{Types: []journal.Name{journal.CustomerLoggedIn}, Scope: who}, before) {
			if !yield(st.Event, err) {
				return
			}
		}
	}
}

// sweep writes down what was only counted.
func (s *Server) sweep(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for n := 0; ; n++ {
		if n%60 == 0 { // each hour
			for _, job := range []struct {
				name string
				do   func(context.Context) error
			}{{"retention", s.engine.Retain}, {"erasures at the gateway", s.engine.EraseAtGateway}, {"cards that expire", s.engine.NoteExpiries}, {"reconciliation with the gateway", s.engine.Reconcile}} {
				if err := job.do(ctx); err != nil && ctx.Err() == nil && !gate.Held(err) {
					s.Config.Log.Error(job.name, "error", err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.api.FlushDenials(ctx)
			if err := s.Dashboard.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.Config.Log.Error("sweep", "error", err)
			}
		}
	}
}

// sign makes a checkpoint each minute, or after checkpointEvents events, when the tree has grown. What failed is tried
// again at the next of these times.
func (s *Server) sign(ctx context.Context) {
	grown, done := s.Program.Watch()
	defer done()
	t := time.NewTicker(checkpointEvery)
	defer t.Stop()
	signed, tried := int64(-1), int64(-1)
	for {
		due := false
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			due = true
		case <-grown:
		}
		head := s.Program.Head()
		if head <= signed || !due && head-tried < checkpointEvents {
			continue
		}
		tried = head
		if size, ok := s.checkpoint(ctx); ok {
			signed = size - 1
			tried = max(tried, signed)
		}
	}
}

// checkpoint signs the tree when it has grown, and remembers how that ended.
func (s *Server) checkpoint(ctx context.Context) (size int64, ok bool) {
	c, err := s.Sign(ctx)
	if err != nil && ctx.Err() != nil {
		return 0, false
	}
	was := signing{}
	if p := s.signing.Load(); p != nil {
		was = *p
	}
	was.err = err
	if err != nil {
		was.last.Refused = refusesToSign(err)
		if !gate.Held(err) { // it was said
			s.Config.Log.Error("checkpoint", "error", err)
		}
	} else {
		at, _ := time.Parse(journal.TimeLayout, c.SignedAt) // a time that cannot be read is for verify to find
		was.last = metrics.Checkpoint{Size: c.Size, At: at}
	}
	s.signing.Store(&was)
	return c.Size, err == nil
}

// Sign signs the tree when it has grown, and tells the gate what that says of the database.
func (i *Instance) Sign(ctx context.Context) (store.Checkpoint, error) {
	c, err := i.Program.Checkpoint(ctx)
	if err == nil || ctx.Err() == nil {
		i.proved(err)
	}
	return c, err
}

// refusesToSign says that the database is not what was signed before: a restored copy, or another history.
func refusesToSign(err error) bool {
	code := fault.As(err).Code
	return code == "database_behind" || code == "database_forked"
}

// proved tells the gate how the comparison of the database with the last signed checkpoint ended: in an old copy nothing is charged,
// sent or destroyed. A disk that is full is in the way of a signature, and not of the comparison.
func (i *Instance) proved(err error) {
	f := fault.As(err)
	switch {
	case err != nil && refusesToSign(err):
		i.Gate.Raise(gate.Reason{Code: f.Code, Holds: gate.All | gate.Plan, Sentence: f.Public + " Until then nothing is charged, sent or erased, and no subscription can be changed."})
		i.Gate.Clear(gate.DatabaseUnproved)
	case i.Program.Continued():
		for _, code := range []string{gate.DatabaseBehind, gate.DatabaseForked, gate.DatabaseUnproved} {
			i.Gate.Clear(code)
		}
	case gate.Held(err): // the clock: its own reason says what to do
		i.Gate.Raise(gate.Reason{Code: gate.DatabaseUnproved, Holds: gate.All,
			Sentence: "The database is compared with the last signed checkpoint as soon as entries may be written again. Until then nothing is charged, sent or erased."})
	case err != nil && f.Code != "journal_empty":
		i.Gate.Raise(gate.Reason{Code: gate.DatabaseUnproved, Holds: gate.All,
			Sentence: "Nobody could compare the database with the last signed checkpoint: " + f.Public + " Until then nothing is charged, sent or erased."})
	}
}

// subscribers puts the Portal in its place.
func (s *Server) subscribers(mux *access.Mux, base string) error {
	i := s.Instance
	sender, err := i.Config.sender()
	if err != nil {
		return err
	}
	if sender != nil {
		s.mail = heldMail{sender, i.Gate}
	}
	s.strangers = auth.NewStrangers()
	s.portal, err = portal.New(portal.Config{Program: i.Program, Strangers: s.strangers, Store: i.Store, Finder: i.Finder, IDs: i.IDs, Log: i.Config.Log, BaseURL: base, PortalURL: i.Config.portal(base), FrameAncestors: i.Config.FrameAncestors, Mails: sender != nil, Gateway: s.gateway, Gate: i.Gate, AskAgain: s.engine.AskAgain, Noted: noted,
		Member: func(r *http.Request) (id.ID, error) { return s.Dashboard.Member(r) }})
	if err != nil {
		return fault.Wrap(err, fault.Refused, "portal_url", "The Portal cannot be at %s: its address has to look like https://store.example/account, in frames of origins such as https://store.example.", i.Config.portal(base))
	}
	s.samples = notify.New(notify.Config{Program: i.Program, Store: i.Store, Mail: sender, Log: i.Config.Log, Portal: i.Config.portal(base), Links: s.portal.QuickLink, SignIns: i.signIns, Gate: i.Gate})
	if sender != nil {
		s.letters = s.samples
	}
	h := s.portal.Handler()
	var at []string
	for _, base := range slices.Compact([]string{"/portal", s.portal.Base()}) {
		at = append(at, base, base+"/")
	}
	mux.Mount(s.portal, h, at...)
	return nil
}

// portal is where subscribers reach the Portal.
func (c Config) portal(base string) string {
	return cmp.Or(strings.TrimSuffix(c.PortalURL, "/"), base+"/portal")
}

// team puts the Dashboard at the root, behind everything that has an address of its own.
func (s *Server) team(mux *access.Mux, base string) (err error) {
	i := s.Instance
	s.Dashboard, err = dashboard.New(dashboard.Config{Program: i.Program, Strangers: s.strangers, Store: i.Store, Finder: i.Finder, Analytics: i.Analytics, IDs: i.IDs, Log: i.Config.Log, BaseURL: base, PortalURL: i.Config.portal(base), Provider: i.Config.Provider, Noted: noted,
		Gate: i.Gate, Check: s.check, LastChecks: s.checks.Last, DataCopy: s.api.DataCopy, ViewAs: s.portal.ViewAs, Mail: s.mail, Values: s.samples.Values})
	if err != nil {
		return fault.Wrap(err, fault.Refused, "public_url", "The address %s cannot be used: it has to look like https://shop.example.", base)
	}
	mux.Handle(access.Route{Pattern: "GET /assets/", Who: access.Anyone}, ui.Assets())
	mux.Mount(s.Dashboard, s.Dashboard.Handler(), "/")
	return nil
}

// Routes implements access.Rows: what every address of the server asks for.
func (s *Server) Routes() []access.Route { return s.routes }

// secure sets the headers that every page has. Where people come by https, browsers are told to come by nothing else; the Portal in a
// store's own site leaves that to the site.
func (s *Server) secure(next http.Handler) http.Handler {
	https := strings.HasPrefix(s.Config.PublicURL, "https://")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' https: data:; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if https && (s.Config.PortalURL == "" || !s.ofPortal(r.URL.Path)) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) ofPortal(path string) bool {
	return slices.ContainsFunc([]string{"/portal", s.portal.Base()}, func(at string) bool { return path == at || strings.HasPrefix(path, at+"/") })
}
