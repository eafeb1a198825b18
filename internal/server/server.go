package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"perennial/internal/api"
	"perennial/internal/db"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/payment"
)

// Server is a running instance with its address and its background work.
type Server struct {
	*Instance
	Addr string // as it listens, with the port

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
)

// Start serves an open instance. extra are further pages (the demo's mailbox) by pattern. before is called with the
// address before anything is answered; it may be nil.
func Start(ctx context.Context, i *Instance, gateway payment.Gateway, extra map[string]http.Handler, before func(addr string) error) (*Server, error) {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{Instance: i, stop: stop, engine: engine.New(i.Program, i.Store, gateway, i.Config.Log)}
	l, err := net.Listen("tcp", i.Config.Listen)
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
	s.api = api.New(api.Config{Program: i.Program, Store: i.Store, Finder: i.Finder, Log: i.Config.Log, Version: i.Config.Version, BaseURL: "http://" + s.Addr}, mux)
	s.operations(mux)
	for pattern, h := range extra {
		mux.Handle(pattern, h)
	}
	s.http = &http.Server{Handler: secure(mux), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	s.work.Go(func() {
		if err := s.http.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			i.Config.Log.Error("listener", "error", err)
		}
	})
	s.work.Go(func() { s.sign(run) })
	s.work.Go(func() { s.bill(run) })
	s.work.Go(func() {
		s.every(run, sweepEvery, "sweep", func(ctx context.Context) error {
			s.api.FlushDenials(ctx)
			return i.Finder.CatchUp(ctx)
		})
	})
	return s, nil
}

// Stop answers what is under way, ends the background work, and closes the instance. It may be called more than once.
func (s *Server) Stop(ctx context.Context) error {
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		s.stop()
		s.api.Drain()
		err := s.http.Shutdown(ctx)
		s.work.Wait()
		s.api.FlushDenials(ctx)
		s.err = errors.Join(err, s.Instance.Close(ctx))
	})
	return s.err
}

// every calls work until the context ends, with a pause between.
func (s *Server) every(ctx context.Context, pause time.Duration, name string, work func(context.Context) error) {
	t := time.NewTicker(pause)
	defer t.Stop()
	for {
		if err := work(ctx); err != nil && ctx.Err() == nil {
			s.Config.Log.Error(name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// bill looks for what is due at its interval, and charges what a person asked for (an extra order) as soon as it is
// committed. It is the one goroutine that uses the engine.
func (s *Server) bill(ctx context.Context) {
	grown, done := s.Program.Watch()
	defer done()
	t := time.NewTicker(billingEvery)
	defer t.Stop()
	work := s.engine.Run
	for {
		if err := work(ctx); err != nil && ctx.Err() == nil {
			s.Config.Log.Error("billing", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			work = s.engine.Run
		case <-grown:
			work = s.engine.Settle
		}
	}
}

// sign makes a checkpoint each minute, or after checkpointEvents events, when the tree has grown.
func (s *Server) sign(ctx context.Context) {
	grown, done := s.Program.Watch()
	defer done()
	t := time.NewTicker(checkpointEvery)
	defer t.Stop()
	signed := int64(-1)
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
		if head < 0 || head == signed || (!due && head-signed < checkpointEvents) {
			continue
		}
		c, err := s.Program.Checkpoint(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.Config.Log.Error("checkpoint", "error", err)
			}
			signed = head // not again before the next growth or minute
			continue
		}
		signed = c.Size - 1
	}
}

// operations are the addresses for whoever runs the server.
func (s *Server) operations(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", start)
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
