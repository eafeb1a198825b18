package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"perennial/internal/api"
	"perennial/internal/db"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/payment"
	"perennial/internal/web/dashboard"
)

// Server is a running instance with its address and its background work.
type Server struct {
	*Instance
	Addr string // as it listens, with the port

	Dashboard *dashboard.Dashboard

	api    *api.API
	engine *engine.Engine
	http   *http.Server
	stop   context.CancelFunc
	work   sync.WaitGroup // the listener and the background work
	once   sync.Once
	err    error
}

// Intervals of the background work.
const (
	checkpointEvery  = time.Minute
	checkpointEvents = 1000
	billingEvery     = 15 * time.Second
	sweepEvery       = time.Minute
	settlePause      = 100 * time.Millisecond // between two looks for open charges
	indexPause       = 200 * time.Millisecond // between two batches of the index
	stopWithin       = 20 * time.Second       // for what is under way
)

// Start serves an open instance at Config.Listen; Stop closes it. extra are further pages (the demo's mailbox) by pattern.
// before is called with the address before anything is answered; it may be nil. With an error the instance is still open.
func Start(ctx context.Context, i *Instance, gateway payment.Gateway, extra map[string]http.Handler, before func(addr string) error) (*Server, error) {
	if i.Config.Listen == "" {
		return nil, fault.New(fault.Refused, "listen", "Give an address to listen on.")
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{Instance: i, stop: stop, engine: engine.New(i.Program, i.Store, gateway, i.Config.Log)}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", i.Config.Listen)
	if err != nil {
		stop()
		return nil, fault.Wrap(err, fault.Unavailable, "listen", "The address %s cannot be listened on: %v.", i.Config.Listen, errors.Unwrap(err))
	}
	s.Addr = l.Addr().String()
	if before != nil {
		if err := before(s.Addr); err != nil {
			stop()
			return nil, errors.Join(err, l.Close())
		}
	}
	mux := http.NewServeMux()
	base := cmp.Or(strings.TrimSuffix(i.Config.PublicURL, "/"), "http://"+s.Addr)
	s.api = api.New(api.Config{Program: i.Program, Store: i.Store, Finder: i.Finder, Log: i.Config.Log, Version: i.Config.Version, BaseURL: base, Rate: i.Config.Rate}, mux)
	s.operations(mux)
	if err := s.team(mux, base); err != nil {
		stop()
		return nil, errors.Join(err, l.Close())
	}
	for pattern, h := range extra {
		mux.Handle(pattern, h)
	}
	s.http = &http.Server{Handler: behind(i.Config.TrustedProxies, secure(mux)), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(i.Config.Log.Handler(), slog.LevelWarn)}
	s.work.Go(func() {
		if err := s.http.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			i.Config.Log.Error("listener", "error", err)
		}
	})
	if i.DB.Engine == db.Postgres {
		s.work.Go(func() {
			if err := s.engine.Alive(run); err != nil {
				i.Config.Log.Warn("lease", "error", err)
			}
		})
	}
	s.work.Go(func() { s.sign(run) })
	s.work.Go(func() { s.bill(run) })
	s.work.Go(func() { s.index(run) })
	s.work.Go(func() { s.sweep(run) })
	return s, nil
}

// Stop answers what is under way, ends the background work, signs what is not signed yet, and closes the instance. What
// is not answered after 20 seconds is given up. It may be called more than once.
func (s *Server) Stop(ctx context.Context) error {
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		s.stop()
		s.api.Drain()
		err := s.http.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, s.http.Close())
		}
		s.work.Wait()
		ctx = context.WithoutCancel(ctx)
		s.api.FlushDenials(ctx)
		s.Dashboard.FlushTallies(ctx)
		if s.Program.Head() >= 0 {
			if _, err := s.Program.Checkpoint(ctx); err != nil {
				s.Config.Log.Error("checkpoint", "error", err)
			}
		}
		s.err = errors.Join(err, s.Instance.Close(ctx))
	})
	return s.err
}

// follow calls work once, and then whenever something was committed or a while has passed. due says that it is not for a
// commit. It does not call it again before a pause is over, so that many commits are one call.
func (s *Server) follow(ctx context.Context, name string, every, pause time.Duration, work func(ctx context.Context, due bool) error) {
	grown, done := s.Program.Watch()
	defer done()
	t := time.NewTicker(every)
	defer t.Stop()
	for due := true; ; {
		if err := work(ctx, due); err != nil && ctx.Err() == nil {
			s.Config.Log.Error(name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			due = true
		case <-grown:
			due = false
		}
	}
}

// bill looks for what is due at its interval, and charges what a person asked for (an extra order) as soon as it is
// committed. It is the one goroutine that uses the engine.
func (s *Server) bill(ctx context.Context) {
	s.follow(ctx, "billing", billingEvery, settlePause, func(ctx context.Context, due bool) error {
		if due {
			return s.engine.Run(ctx)
		}
		return s.engine.Settle(ctx)
	})
}

// index follows the journal, so that a search after a busy time finds little left to do.
func (s *Server) index(ctx context.Context) {
	s.follow(ctx, "index", sweepEvery, indexPause, func(ctx context.Context, _ bool) error { return s.Finder.CatchUp(ctx) })
}

// sweep writes down what was only counted.
func (s *Server) sweep(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for n := 0; ; n++ {
		if n%60 == 0 { // each hour
			if err := s.engine.Retain(ctx); err != nil && ctx.Err() == nil {
				s.Config.Log.Error("retention", "error", err)
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
		c, err := s.Program.Checkpoint(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.Config.Log.Error("checkpoint", "error", err)
			}
			continue
		}
		signed = c.Size - 1
		tried = max(tried, signed)
	}
}

// team puts the Dashboard at the root, behind everything that has an address of its own.
func (s *Server) team(mux *http.ServeMux, base string) (err error) {
	i := s.Instance
	s.Dashboard, err = dashboard.New(dashboard.Config{Program: i.Program, Store: i.Store, IDs: i.IDs, Log: i.Config.Log, BaseURL: base, Provider: i.Config.Provider})
	if err != nil {
		return fault.Wrap(err, fault.Refused, "public_url", "The address %s cannot be used: it has to look like https://shop.example.", base)
	}
	mux.Handle("/", s.Dashboard.Handler())
	return nil
}

// operations are the addresses for whoever runs the server.
func (s *Server) operations(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		head, err := s.Store.ReadHead(ctx, s.Store.Read)
		if err != nil {
			http.Error(w, "not ready: "+fault.As(db.Fault(err)).Public, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "ready\nhead %d\nindexed %d\n", head.Seq, s.Finder.Indexed()-1)
	})
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "perennial_journal_entries", Help: "Entries in the journal."}, func() float64 { return float64(s.Program.Head() + 1) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "perennial_commands_waiting", Help: "Commands that wait for the writer."}, func() float64 { return float64(s.Program.Waiting()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "perennial_index_lag_entries", Help: "Entries that are committed and not indexed yet; a search indexes them first."}, func() float64 {
			return float64(s.Program.Head() + 1 - s.Finder.Indexed())
		}),
	)
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
}

// secure sets the headers that every page has.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
