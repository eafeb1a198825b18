package server

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perennial/internal/view"
)

// pipes is a listener in memory.
type pipes struct {
	come   chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.come:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.come <- theirs
	return ours
}

// TestBodiesThatDoNotCome is about requests that hold a connection: each ends by itself, and none that comes, however slowly, is cut.
func TestBodiesThatDoNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worked := make(chan error, 1)
		mux := http.NewServeMux()
		mux.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			if err != nil {
				http.Error(w, "the body did not come", http.StatusBadRequest)
				return
			}
			fmt.Fprint(w, n)
		})
		mux.HandleFunc("/refuse", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
		mux.HandleFunc("/work", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-time.After(5 * time.Minute):
			case <-r.Context().Done():
			}
			worked <- r.Context().Err()
			fmt.Fprint(w, "done")
		})
		l := pipes{make(chan net.Conn), make(chan struct{})}
		s := newHTTP(mux, slog.New(slog.DiscardHandler))
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { _ = s.Close() })
		for _, path := range []string{"/read", "/refuse"} {
			for _, head := range []string{"Content-Length: 100000", "Transfer-Encoding: chunked"} {
				began := time.Now()
				c := l.dial()
				go fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", path, head)
				_, err := io.Copy(io.Discard, c)
				if took := time.Since(began); err != nil || took > bodyTime+time.Second {
					t.Errorf("%s with %s: the connection was held for %s, %v", path, head, took, err)
				}
			}
		}
		// One that trickles is ended too; one that comes at its rate is not.
		began := time.Now()
		c := l.dial()
		go func() {
			fmt.Fprint(c, "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
			for range 1000 {
				if _, err := fmt.Fprint(c, "x"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		if _, err := io.Copy(io.Discard, c); err != nil || time.Since(began) > bodyTime+2*time.Second {
			t.Errorf("a body byte by byte held the connection for %s, %v", time.Since(began), err)
		}
		steady := l.dial()
		const pieces = 180
		go func() {
			fmt.Fprintf(steady, "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", pieces*bodyRate)
			for range pieces {
				_, _ = steady.Write(make([]byte, bodyRate))
				time.Sleep(time.Second)
			}
		}()
		if status := answered(t, steady); status != 200 {
			t.Errorf("a large body that came steadily: %d", status)
		}
		c.Close()
		// Work that takes long after the body came is not cut.
		busy := l.dial()
		go fmt.Fprint(busy, "POST /work HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		if status := answered(t, busy); status != 200 {
			t.Errorf("long work: %d", status)
		}
		if err := <-worked; err != nil {
			t.Errorf("long work was given up: %v", err)
		}
		busy.Close()
	})
}

// TestAnswersThatAreNotTaken is about clients that ask and do not read, or read as slowly as they can: none holds a goroutine for long, and
// what comes slowly because the work or the line is slow is not cut.
func TestAnswersThatAreNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const large = 1 << 20
		ended := make(chan error, 1)
		mux := http.NewServeMux()
		piece := func(w http.ResponseWriter, n int) (err error) {
			_, err = w.Write(make([]byte, n))
			return err
		}
		mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { ended <- piece(w, large) })
		mux.HandleFunc("/pieces", func(w http.ResponseWriter, _ *http.Request) {
			var err error
			for range large / 4096 {
				err = cmp.Or(err, piece(w, 4096))
			}
			ended <- err
		})
		mux.HandleFunc("/small", func(w http.ResponseWriter, _ *http.Request) { ended <- piece(w, 10) }) // sent when the handler is done
		mux.HandleFunc("/work", func(w http.ResponseWriter, r *http.Request) {
			err := cmp.Or(piece(w, 10), http.NewResponseController(w).Flush())
			select {
			case <-time.After(10 * time.Minute):
			case <-r.Context().Done():
			}
			ended <- cmp.Or(err, piece(w, 10))
		})
		mux.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
			rc := http.NewResponseController(w)
			var err error
			for range large / 4096 {
				done := view.Stalls(rc)
				err = cmp.Or(err, piece(w, 4096), rc.Flush())
				done()
			}
			ended <- err
		})
		l := pipes{make(chan net.Conn), make(chan struct{})}
		s := newHTTP(mux, slog.New(slog.DiscardHandler))
		closed := make(chan struct{}, 1)
		s.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				closed <- struct{}{}
			}
		}
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { _ = s.Close() })
		ask := func(path string) net.Conn {
			c := l.dial()
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
			return c
		}
		// The longest that a client may wait with an answer of a size.
		most := func(size int) time.Duration { return answerTime + time.Duration(size)*time.Second/answerRate }
		for _, tt := range []struct {
			path string
			rate int // bytes a second that the client takes; none
			most time.Duration
		}{
			{"/large", 0, most(large)},
			{"/pieces", 0, most(8192)},
			{"/small", 0, most(10)},
			{"/large", 100, most(large)},
			{"/pieces", 100, most(16384)},
			{"/work", 0, most(10)},
			{"/stream", 0, answerTime},
		} {
			began := time.Now()
			c := ask(tt.path)
			go func() {
				for one := make([]byte, max(1, tt.rate)); tt.rate > 0; time.Sleep(time.Second) {
					if _, err := io.ReadFull(c, one); err != nil {
						return
					}
				}
			}()
			<-ended //nolint:errcheck // the client is who ends it
			<-closed
			if took := time.Since(began); took > tt.most+time.Second {
				t.Errorf("%s, of which %d bytes a second are taken, held its goroutine for %s, want at most %s", tt.path, tt.rate, took, tt.most)
			}
			c.Close()
		}
		// What is taken at the rate that is asked for comes whole, also on a connection that was used before; work may take its time.
		c := l.dial()
		for _, path := range []string{"/large", "/pieces", "/work", "/small", "/stream", "/large"} {
			go fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
			if status := answered(t, slowly{c}); status != 200 {
				t.Errorf("%s: %d", path, status)
			}
			if err := <-ended; err != nil {
				t.Errorf("%s taken steadily: %v", path, err)
			}
			time.Sleep(idleTime / 2)
		}
		c.Close()
		<-closed
	})
}

// slowly takes answerRate bytes a second.
type slowly struct{ net.Conn }

func (s slowly) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	time.Sleep(time.Duration(n) * time.Second / answerRate)
	return n, err
}

func answered(t *testing.T, c net.Conn) int {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Error(err)
	}
	return res.StatusCode
}

// from is a connection that does nothing.
type from struct {
	net.Conn
	address string
	closed  *bool
}

func (f from) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.address))
}
func (f from) Close() error { *f.closed = true; return nil }

func TestACrowd(t *testing.T) {
	var log strings.Builder
	c := newCrowd(nil, 16, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, slog.New(slog.NewTextHandler(&log, nil)))
	come := func(address string) (from, bool) {
		f := from{address: address, closed: new(bool)}
		return f, c.admit(f)
	}
	// One network has its share and no more; a proxy that is known has what it needs.
	for n := range 4 {
		if _, ok := come(fmt.Sprintf("[2001:db8::%d]:1", n)); ok != (n < 2) {
			t.Errorf("connection %d of one network: %v", n, ok)
		}
	}
	var idle []from
	for n := range 14 {
		f, ok := come(fmt.Sprintf("198.51.100.7:%d", n+1))
		if !ok {
			t.Errorf("connection %d of a proxy was refused", n)
		}
		idle = append(idle, f)
	}
	// All are at work: nobody else is let in.
	if _, ok := come("203.0.113.9:1"); ok || !strings.Contains(log.String(), "a connection was refused") {
		t.Errorf("one too many was let in; the log: %s", log.String())
	}
	// Who is idle makes room, the one that was idle longest first.
	c.state(idle[3], http.StateIdle)
	c.state(idle[5], http.StateIdle)
	c.state(idle[3], http.StateActive)
	f, ok := come("203.0.113.9:1")
	if !ok || !*idle[5].closed || *idle[3].closed {
		t.Errorf("nobody made room: %v", ok)
	}
	c.state(idle[5], http.StateClosed) // its server tells too
	c.state(f, http.StateClosed)
	c.state(idle[0], http.StateHijacked)
	if len(c.open) != 14 || c.by[""] != 12 {
		t.Errorf("%d connections are open, %v", len(c.open), c.by)
	}
	if _, err := (&crowd{Listener: pipes{closed: closedChannel()}}).Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener: %v", err)
	}
}

func closedChannel() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// Browsers are told to come by https alone where people do; not for a Portal in another site.
func TestOnlyHTTPS(t *testing.T) {
	for _, tt := range []struct {
		public, portal, path string
		want                 string
	}{
		{"", "", "/signin", ""}, {"http://shop.example", "", "/signin", ""}, {"https://shop.example", "", "/signin", "max-age=31536000"},
		{"https://shop.example", "", "/portal/signin", "max-age=31536000"}, {"https://shop.example", "https://store.example/account", "/signin", "max-age=31536000"},
		{"https://shop.example", "https://store.example/account", "/account/signin", ""}, {"https://shop.example", "https://store.example/account", "/portal/signin", ""},
	} {
		c, _ := config(t.TempDir())
		c.PublicURL, c.PortalURL = tt.public, tt.portal
		i := open(t, c)
		found(t, i)
		s := serve(t, i, nil)
		_, _, h := get(t, "http://"+s.Addr+tt.path)
		if got := h.Get("Strict-Transport-Security"); got != tt.want {
			t.Errorf("%+v: got %q", tt, got)
		}
	}
}
