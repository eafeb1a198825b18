package server

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"perennial/internal/auth"
)

// What strangers may hold of a listener. A request's head has ten seconds (ReadHeaderTimeout); its body has bodyTime, and a second more
// for each bodyRate bytes that came: how long that is at most, each route says by how much it reads.
const (
	headTime       = 10 * time.Second
	idleTime       = 2 * time.Minute
	bodyTime       = 20 * time.Second
	bodyRate       = 64 << 10
	connections    = 4096 // when Config.Connections says nothing
	connectedShare = 8    // one network has at most this part of them
)

// newHTTP makes the server of a listener, with its bounds.
func newHTTP(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: punctual(h), ReadHeaderTimeout: headTime, IdleTimeout: idleTime, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
}

// punctual ends requests whose body does not come.
func punctual(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			b := &punctualBody{ReadCloser: r.Body, rc: http.NewResponseController(w), began: time.Now()}
			b.wait()
			r.Body = b
		}
		next.ServeHTTP(w, r)
	})
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
