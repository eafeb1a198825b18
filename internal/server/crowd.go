package server

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"perennial/internal/auth"
)

// What strangers may hold of a listener. A request's head has ten seconds (ReadHeaderTimeout); its body has bodyTime, and a second more
// for each bodyRate bytes that came: how long that is at most, each route says by how much it reads. For the answer a client may keep
// us waiting answerTime, and a second more for each answerRate bytes; the time that the work takes does not count.
const (
	headTime       = 10 * time.Second
	idleTime       = 2 * time.Minute
	bodyTime       = 20 * time.Second
	bodyRate       = 64 << 10
	answerTime     = 30 * time.Second
	answerRate     = 16 << 10
	connections    = 4096 // when Config.Connections says nothing
	connectedShare = 8    // one network has at most this part of them
)

// newHTTP makes the server of a listener, with its bounds.
func newHTTP(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           punctual(h),
		ReadHeaderTimeout: headTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// punctual ends requests whose body does not come, and those whose answer is not taken.
func punctual(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &punctualAnswer{ResponseWriter: w, rc: http.NewResponseController(w)}
		_ = answer.rc.SetWriteDeadline(time.Time{}) // the last request's on this connection
		defer answer.last()
		if r.Body != nil && r.Body != http.NoBody {
			b := &punctualBody{ReadCloser: r.Body, rc: http.NewResponseController(w), began: time.Now()}
			b.wait()
			r.Body = b
		}
		next.ServeHTTP(answer, r)
	})
}

// punctualAnswer is an answer whose client may keep it waiting for so long. It is used by one goroutine, but for SetWriteDeadline: a stream
// or a download that sets a deadline of its own is left to it.
type punctualAnswer struct {
	http.ResponseWriter
	rc     *http.ResponseController
	own    atomic.Bool
	sent   int64         // bytes
	waited time.Duration // for the client
}

// left is for how long the client may still keep us waiting.
func (a *punctualAnswer) left() time.Duration {
	return answerTime + time.Duration(a.sent)*time.Second/answerRate - a.waited
}

func (a *punctualAnswer) send(bytes int, f func() error) error {
	began := time.Now()
	a.sent += int64(bytes)
	if !a.own.Load() {
		_ = a.rc.SetWriteDeadline(began.Add(a.left())) // a connection without deadlines stays as it is
	}
	err := f()
	a.waited += time.Since(began)
	return err
}

// Write implements http.ResponseWriter.
func (a *punctualAnswer) Write(p []byte) (n int, err error) {
	return n, a.send(len(p), func() error {
		n, err = a.ResponseWriter.Write(p)
		return err
	})
}

// FlushError is what http.ResponseController flushes by.
func (a *punctualAnswer) FlushError() error { return a.send(0, a.rc.Flush) }

// SetWriteDeadline is what http.ResponseController sets a deadline by.
func (a *punctualAnswer) SetWriteDeadline(t time.Time) error {
	a.own.Store(true)
	return a.rc.SetWriteDeadline(t)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *punctualAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// last bounds what the server sends when the handler is done: what is still buffered, and the end of the body.
func (a *punctualAnswer) last() {
	left := answerTime
	if !a.own.Load() {
		left = a.left()
	}
	_ = a.rc.SetWriteDeadline(time.Now().Add(left))
}

// punctualBody is a body with a deadline that moves on as it comes. It is read by one goroutine.
type punctualBody struct {
	io.ReadCloser
	rc           *http.ResponseController
	began        time.Time
	came, waited int64 // bytes; and for how many of them there was more time
}

func (b *punctualBody) wait() {
	_ = b.rc.SetReadDeadline(b.began.Add(bodyTime + time.Duration(b.came)*time.Second/bodyRate)) // a connection without deadlines stays as it is
}

func (b *punctualBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.came += int64(n)
	switch {
	case err == io.EOF: // what is read now is only whether the client is still there
		_ = b.rc.SetReadDeadline(time.Time{})
	case b.came-b.waited >= bodyRate:
		b.waited = b.came
		b.wait()
	}
	return n, err
}

// crowd bounds the connections of a listener. When there are as many as there may be, the one that was idle longest makes room; when
// none is idle, the new one is closed.
type crowd struct {
	net.Listener
	most   int
	exempt func(netip.Addr) bool // from the share of one network: proxies, and what is near
	log    *slog.Logger

	mu     sync.Mutex
	open   map[net.Conn]time.Time // since when it is idle; zero while it is at work; guarded by mu
	by     map[string]int         // connections by network; guarded by mu
	warned time.Time              // guarded by mu
}

func newCrowd(l net.Listener, most int, proxies []netip.Prefix, log *slog.Logger) *crowd {
	if most <= 0 {
		most = connections
	}
	near := func(a netip.Addr) bool {
		return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return &crowd{Listener: l, most: most, exempt: near, log: log, open: map[net.Conn]time.Time{}, by: map[string]int{}}
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil || c.admit(conn) {
			return conn, err
		}
		_ = conn.Close() // nothing was said on it
	}
}

// network is whose connection it is; empty for those that no share is asked of.
func (c *crowd) network(conn net.Conn) string {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil || c.exempt(at.Addr().Unmap()) {
		return ""
	}
	return auth.NetworkOf(at.Addr())
}

func (c *crowd) admit(conn net.Conn) bool {
	network := c.network(conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= c.most {
		c.makeRoom()
	}
	if len(c.open) >= c.most || network != "" && c.by[network] >= max(1, c.most/connectedShare) {
		if now := time.Now(); now.Sub(c.warned) >= time.Minute {
			c.warned = now
			c.log.Warn("a connection was refused: there are too many", "open", len(c.open), "most", c.most)
		}
		return false
	}
	c.open[conn] = time.Time{}
	c.by[network]++
	return true
}

// makeRoom closes what was idle longest.
func (c *crowd) makeRoom() {
	var oldest net.Conn
	for conn, since := range c.open {
		if !since.IsZero() && (oldest == nil || since.Before(c.open[oldest])) {
			oldest = conn
		}
	}
	if oldest != nil {
		c.forget(oldest)
		_ = oldest.Close() // its server finds out
	}
}

func (c *crowd) forget(conn net.Conn) {
	if _, known := c.open[conn]; !known {
		return
	}
	delete(c.open, conn)
	network := c.network(conn)
	if c.by[network]--; c.by[network] <= 0 {
		delete(c.by, network)
	}
}

// state is http.Server.ConnState.
func (c *crowd) state(conn net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case http.StateIdle:
		if _, known := c.open[conn]; known {
			c.open[conn] = time.Now()
		}
	case http.StateActive:
		if _, known := c.open[conn]; known {
			c.open[conn] = time.Time{}
		}
	case http.StateClosed, http.StateHijacked:
		c.forget(conn)
	}
}
