package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"perennial/internal/access"
	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/find"
	"perennial/internal/follow"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"),
		goleak.IgnoreAnyFunction("perennial/internal/test/pgtest.Start.func1")) // it reads what the server of the process says, to the end
}

// logged is a log that tests look into.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func config(dir string) (Config, *logged) {
	l := &logged{}
	return Config{Data: dir, Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.NewTextHandler(l, nil))}, l
}

func open(t testing.TB, c Config) *Instance {
	t.Helper()
	i, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

var setup = program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}, Source: journal.Origin{Channel: journal.ChannelCLI}}

func do(t testing.TB, i *Instance, c journal.Command) *program.Outcome {
	t.Helper()
	out, err := i.Program.Do(t.Context(), &program.Request{Meta: setup, Command: c})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func found(t testing.TB, i *Instance) {
	t.Helper()
	for _, d := range settings.Defaults("Shop", "UTC", "USD") {
		do(t, i, journal.Bind(settings.Update{Document: d}))
	}
}

func product(t testing.TB, i *Instance) {
	t.Helper()
	do(t, i, journal.Bind(catalog.CreateProduct{ID: i.IDs.New(id.Product), Title: "Tea"}))
}

// page is a face of one page.
func page(pattern string, h http.HandlerFunc) *access.Mux {
	m := access.NewMux("")
	m.Handle(access.Route{Pattern: pattern, Who: access.Anyone}, h)
	return m
}

func more(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "more") }

func serve(t testing.TB, i *Instance, extra *access.Mux) *Server {
	t.Helper()
	s, err := Start(t.Context(), i, simulated.New(time.Now, simulated.Options{}), extra, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client keeps no connection, so that nothing is left of it.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(t testing.TB, url string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

func TestStartAndStop(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		c, log := config(dir)
		i := open(t, c)
		if round == 0 {
			found(t, i)
		}
		told := ""
		s, err := Start(t.Context(), i, simulated.New(time.Now, simulated.Options{}), nil, func(addr string) error { told = addr; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if told != s.Addr {
			t.Errorf("before was told %q, the address is %q", told, s.Addr)
		}
		if code, body, _ := get(t, "http://"+s.Addr+"/healthz"); code != 200 || body != "ok\n" {
			t.Errorf("healthz: %d %q", code, body)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := s.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("once more: %v", err)
		}
		if l, err := net.Listen("tcp", s.Addr); err != nil {
			t.Errorf("the address is still taken: %v", err)
		} else {
			l.Close()
		}
		if log.String() != "" {
			t.Errorf("the log:\n%s", log)
		}
	}
}

func TestTheFolderIsTaken(t *testing.T) {
	c, _ := config(t.TempDir())
	serve(t, open(t, c), nil)
	_, err := Open(t.Context(), c)
	if f := fault.As(err); err == nil || f.Code != "index_in_use" {
		t.Errorf("got %v", err)
	}
}

func TestTheAddressIsTaken(t *testing.T) {
	c, _ := config(t.TempDir())
	s := serve(t, open(t, c), nil)
	for addr, want := range map[string]string{
		s.Addr: "The address " + s.Addr + " cannot be listened on: bind: address already in use.", "nowhere": "The address nowhere cannot be listened on: address nowhere: missing port in address.",
		"": "Give an address to listen on.",
	} {
		c, _ := config(t.TempDir())
		c.Listen = addr
		i := open(t, c)
		_, err := Start(t.Context(), i, simulated.New(time.Now, simulated.Options{}), nil, nil)
		if f := fault.As(err); err == nil || f.Code != "listen" || f.Public != want {
			t.Errorf("%q: got %v, want %s", addr, err, want)
		}
		if err := i.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestBeforeRefuses(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	refusal := errors.New("no")
	addr := ""
	if _, err := Start(t.Context(), i, simulated.New(time.Now, simulated.Options{}), nil, func(a string) error { addr = a; return refusal }); !errors.Is(err, refusal) {
		t.Errorf("got %v", err)
	}
	if l, err := net.Listen("tcp", addr); err != nil {
		t.Errorf("the address is still taken: %v", err)
	} else {
		l.Close()
	}
	if err := i.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStopWaitsForRequests(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	entered, release := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		// What a request does at the end is done too.
		if _, err := i.Program.Do(r.Context(), &program.Request{Meta: setup, Command: journal.Bind(catalog.CreateProduct{ID: i.IDs.New(id.Product), Title: "Late"})}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "done")
	})
	s := serve(t, i, page("GET /slow", slow))
	answered := make(chan string, 1)
	go func() {
		code, body, _ := get(t, "http://"+s.Addr+"/slow")
		answered <- fmt.Sprint(code, " ", body)
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(t.Context()) }()
	select {
	case err := <-stopped:
		t.Fatalf("it stopped while a request was under way: %v", err)
	case <-s.draining(t):
	}
	// As long as it is answered, a balancer hears why nothing more is taken.
	if code, body, h := get(t, "http://"+s.Addr+"/api/v1/products"); code != 503 || !strings.Contains(body, `"stopping"`) || h.Get("Retry-After") != "1" {
		t.Errorf("a request while it stops: %d %s", code, body)
	}
	if code, _, _ := get(t, "http://"+s.Addr+"/healthz"); code != 200 {
		t.Errorf("healthz while it stops: %d", code)
	}
	close(release)
	if got := <-answered; got != "200 done" {
		t.Errorf("got %s", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	r, err := Verify(t.Context(), c, nil)
	if err != nil || len(r.Problems) > 0 {
		t.Errorf("afterwards: %v, %v", err, r)
	}
}

// draining gives a channel that is closed when readyz says that the server stops.
func (s *Server) draining(t *testing.T) <-chan struct{} {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for t.Context().Err() == nil {
			if code, body, _ := get(t, "http://"+s.Addr+"/readyz"); code == 503 && strings.Contains(body, "\nstopping: The server is stopping.\n") {
				return
			}
		}
	}()
	return closed
}

func TestOperations(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	s := serve(t, i, page("GET /more", more))
	if err := i.Finder.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/healthz": `^ok\n$`,
		"/readyz":  `^ready\nhead 6\nindexed 6\n$`,
		"/metrics": `(?s)perennial_commands_waiting 0\n.*perennial_index_lag_entries 0\n.*perennial_journal_entries 7\n`,
		"/":        `(?s)<h1>Sign in</h1>.*This shop has no owner yet`,
		"/more":    `^more$`,
	} {
		code, body, h := get(t, "http://"+s.Addr+path)
		if code != 200 || !regexp.MustCompile(want).MatchString(body) {
			t.Errorf("%s: %d\n%s", path, code, body)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s: headers %v", path, h)
		}
	}
	if code, _, _ := get(t, "http://"+s.Addr+"/nowhere"); code != 404 {
		t.Errorf("an unknown page: %d", code)
	}
	// A database that is away is told by readyz and not by healthz.
	if err := i.DB.Reader.Close(); err != nil {
		t.Fatal(err)
	}
	if code, body, _ := get(t, "http://"+s.Addr+"/readyz"); code != 503 || !strings.HasPrefix(body, "not ready\nhead 6\nindexed 6\n") {
		t.Errorf("readyz without a database: %d %q", code, body)
	}
	if code, _, _ := get(t, "http://"+s.Addr+"/healthz"); code != 200 {
		t.Errorf("healthz without a database: %d", code)
	}
}

// checkpoints gives the sizes of the signed checkpoints, oldest first.
func checkpoints(t *testing.T, s *store.Store) (sizes []int64) {
	t.Helper()
	list, err := s.Checkpoints(t.Context(), s.Read, math.MaxInt64, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		sizes = append(sizes, list[len(list)-1-i].Size)
	}
	return sizes
}

func TestCheckpointsAreSignedByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log := config(t.TempDir())
		s := &Server{Instance: open(t, c)}
		ctx, stop := context.WithCancel(t.Context())
		s.work.Go(func() { s.sign(ctx) })
		want := func(sizes ...int64) {
			t.Helper()
			synctest.Wait()
			if got := checkpoints(t, s.Store); fmt.Sprint(got) != fmt.Sprint(sizes) {
				t.Errorf("checkpoints of %v, want %v", got, sizes)
			}
		}
		time.Sleep(3 * checkpointEvery)
		want() // nothing to sign
		found(t, s.Instance)
		want()
		time.Sleep(checkpointEvery)
		want(6)
		time.Sleep(3 * checkpointEvery)
		want(6) // it did not grow
		for range checkpointEvents - 1 {
			product(t, s.Instance)
		}
		want(6)
		product(t, s.Instance)
		want(6, 6+checkpointEvents)
		product(t, s.Instance)
		want(6, 6+checkpointEvents)
		time.Sleep(checkpointEvery)
		want(6, 6+checkpointEvents, 7+checkpointEvents)
		stop()
		s.work.Wait()
		if err := s.Instance.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if log.String() != "" {
			t.Errorf("the log:\n%s", log)
		}
	})
}

func TestStopSignsTheRest(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	s := serve(t, i, nil)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	st, done, err := OpenReadOnly(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if got := checkpoints(t, st); fmt.Sprint(got) != "[6 7]" {
		t.Errorf("checkpoints of %v", got)
	}
}

// The background work bills and indexes without being asked.
func TestTheBackgroundWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log := config(t.TempDir())
		i := open(t, c)
		gateway := simulated.New(time.Now, simulated.Options{})
		s := &Server{Instance: i, engine: newEngine(i, gateway)}
		s.reports = NewReports(i.Program, i.Store, s.engine, gateway, i.Config.Log)
		s.observe()
		s.followers = follow.New(i.Program, i.Config.Log, s.list()...)
		s.followers.Start(t.Context())
		synctest.Wait()
		found(t, i)
		product(t, i)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := i.Finder.Indexed(); got != 7 {
			t.Errorf("%d entries are indexed", got)
		}
		time.Sleep(2 * billingEvery)
		s.followers.Stop()
		if err := i.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if log.String() != "" {
			t.Errorf("the log:\n%s", log)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	c, _ := config(t.TempDir())
	for address, code := range map[string]string{"mysql://localhost/shop": "database_url", "postgres://127.0.0.1:1/shop": "database_unreachable"} {
		c.Database = address
		if _, err := Open(t.Context(), c); fault.As(err).Code != code {
			t.Errorf("%s: got %v, want %s", address, err, code)
		}
	}
	c, _ = config(t.TempDir())
	if _, _, err := OpenReadOnly(t.Context(), c); err == nil {
		t.Error("an empty folder was opened for reading")
	}
	if entries, err := os.ReadDir(c.Data); err != nil || len(entries) > 0 {
		t.Errorf("reading left %v, %v", entries, err)
	}
	// Keys of another shop.
	i := open(t, c)
	found(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(c.Data, "keys")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), c); err == nil {
		t.Error("other keys were taken")
	}
}

// A search works on the index of the instance; the file may be deleted while nothing runs.
func TestTheIndexIsMadeAgain(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	product(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(c.Data, "find.db")); err != nil {
		t.Fatal(err)
	}
	i = open(t, c)
	defer i.Close(t.Context())
	n := 0
	for _, err := range i.Finder.Search(t.Context(), find.Filter{}, -1) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 7 {
		t.Errorf("%d entries are found", n)
	}
}
