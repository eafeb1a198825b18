package server

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"perennial/internal/api"
	"perennial/internal/civil"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/journal"
	"perennial/internal/metrics"
	"perennial/internal/program"
)

// observe makes the metrics, and has everybody below tell of what they do.
func (s *Server) observe() {
	zones, origin := civil.ZoneData()
	s.metrics = metrics.New(metrics.Sources{
		Zones: zones, ZonesOrigin: origin,
		Head: s.Program.Head, Indexed: func() int64 { return s.Finder.Indexed() - 1 }, Missed: s.Finder.Missed,
		Counted: func() int64 { return s.Analytics.Counted() - 1 }, Messages: s.messageFigures, Followers: s.followerFigures,
		Forged: s.Store.Forged, Waiting: s.Program.Waiting, Streams: func() int { return s.api.Streams() },
		Checkpoint: func() metrics.Checkpoint {
			if g := s.signing.Load(); g != nil {
				return g.last
			}
			return metrics.Checkpoint{}
		},
		Verified: s.metricsOfChecks,
		Held:     gate.Codes, IsHeld: s.isHeld, Now: s.Program.Now, Version: s.Config.Version,
	})
	s.Program.Observe(func() func(program.Batch) {
		began := time.Now()
		return func(b program.Batch) {
			s.metrics.Batch(map[string]int{metrics.Done: b.Done, metrics.Unchanged: b.Unchanged, metrics.Repeated: b.Repeated, metrics.Refused: b.Refused,
				metrics.Failed: b.Failed}, b.Entries, time.Since(began))
		}
	})
	s.engine.Observer = engine.Observer{Due: s.metrics.Due, Attempt: s.metrics.Attempt}
}

// metricsOfChecks gives when the last check of the whole journal ended, and the differences that it found.
func (s *Server) metricsOfChecks() (time.Time, int64) {
	p := s.checked.Load()
	switch {
	case p == nil || p.Ended == nil:
		return time.Time{}, 0
	case p.Doubt != nil:
		return p.Ended.At, p.Doubt.Differences
	}
	return p.Ended.At, 0
}

// isHeld says whether something is held up for a reason.
func (s *Server) isHeld(code string) bool {
	return slices.ContainsFunc(s.Gate.Reasons(), func(r gate.Reason) bool { return r.Code == code })
}

func (s *Server) messageFigures() metrics.Messages {
	if s.letters == nil {
		return metrics.Messages{}
	}
	return metrics.Messages{Lag: s.letters.Lag(), Waiting: s.letters.Waiting(), Sent: s.letters.Sent(), Failed: s.letters.Failed()}
}

func (s *Server) followerFigures() (out []metrics.Follower) {
	for _, f := range s.followers.Figures() {
		m := metrics.Follower{Name: f.Name, Lag: f.Lag}
		if !f.Since.IsZero() {
			m.Failing = s.Program.Now().Sub(f.Since)
		}
		out = append(out, m)
	}
	return out
}

// request is what is told of one request.
type request struct {
	pattern, id string
	actor       journal.ActorKind
	status      int
}

type requestKey struct{}

// noted is told by the faces what only they know of a request.
func noted(ctx context.Context, pattern, requestID string, actor journal.ActorKind) {
	q, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return
	}
	q.id, q.actor = requestID, actor
	if pattern != "" {
		q.pattern = pattern
	}
}

// recorded counts every request and writes a line about it: the route's pattern, never the address itself, which may
// hold a search, a token or a name.
func (s *Server) recorded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := &request{}
		began := time.Now()
		routed := r.WithContext(context.WithValue(r.Context(), requestKey{}, q))
		defer func() {
			took := time.Since(began)
			if q.pattern == "" {
				q.pattern = routed.Pattern
			}
			if q.status == 0 {
				q.status = http.StatusOK
			}
			s.metrics.Request(r.Method, q.pattern, q.status, took)
			s.logRequest(r.Method, q, took)
		}()
		next.ServeHTTP(&statusWriter{w, q}, routed)
	})
}

func (s *Server) logRequest(method string, q *request, took time.Duration) {
	route := metrics.Route(q.pattern)
	level := slog.LevelInfo
	switch {
	case q.status >= 500:
		level = slog.LevelWarn
	case route == "/healthz", route == "/readyz", route == "/metrics":
		level = slog.LevelDebug
	}
	actor := q.actor
	if actor == "" {
		actor = journal.ActorAnonymous
	}
	attrs := []slog.Attr{slog.String("method", metrics.Known(method)), slog.String("route", route), slog.Int("status", q.status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("actor", string(actor))}
	if q.id != "" {
		attrs = append(attrs, slog.String("request_id", plainID(q.id)))
	}
	s.Config.Log.LogAttrs(context.Background(), level, "request", attrs...)
}

// plainID is a request's id for the log. One that a client made up may hold anything, so one that does not look like an id is
// left out.
func plainID(v string) string {
	for _, c := range v {
		if !strings.ContainsRune("-_.:", c) && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return "other"
		}
	}
	return v
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	q *request
}

func (w *statusWriter) WriteHeader(status int) {
	if w.q.status == 0 && status >= 200 {
		w.q.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// door counts the requests that are under way, and lets none in once the server stops: readyz can say so as long as
// something is still being answered, because the listener is closed last.
type door struct {
	mu     sync.Mutex
	active int           // guarded by mu
	closed bool          // guarded by mu
	idle   chan struct{} // closed when closed and active is 0
}

func newDoor() *door { return &door{idle: make(chan struct{})} }

func (d *door) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.active++
	return true
}

func (d *door) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active--
	if d.closed && d.active == 0 {
		close(d.idle)
	}
}

// drain closes the door and waits until nothing is under way, or the context ends.
func (d *door) drain(ctx context.Context) {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		if d.active == 0 {
			close(d.idle)
		}
	}
	d.mu.Unlock()
	select {
	case <-d.idle:
	case <-ctx.Done():
	}
}

func (d *door) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.enter() {
			w.Header().Set("Connection", "close")
			refuse(w, r)
			return
		}
		defer d.leave()
		next.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter, r *http.Request) {
	f := fault.New(fault.Unavailable, "stopping", "The server is stopping. Try again in a moment.")
	f.RetryAfter = time.Second
	if strings.HasPrefix(r.URL.Path, api.Base+"/") {
		api.Refuse(w, f)
		return
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, f.Public, http.StatusServiceUnavailable)
}
