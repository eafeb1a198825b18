package stripe_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"perennial/internal/payment/stripe"
)

// mock is the address of stripe-mock, which holds every request of these tests against Stripe's own OpenAPI document.
var mock string

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzzworker").Value.String() == "true" { // it may be ended at any time, and the server would stay
		os.Exit(m.Run())
	}
	code, err := withMock(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "stripe-mock:", err)
		code = 1
	}
	os.Exit(code)
}

func withMock(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "stripe-mock")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, "stripe-mock")
	build := exec.CommandContext(context.Background(), "go", "build", "-modfile="+filepath.Join("..", "..", "..", "tools", "go.mod"), "-o", binary, "github.com/stripe/stripe-mock")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}
	ctx, stop := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, binary, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0")
	out, err := server.StdoutPipe()
	if err != nil {
		stop()
		return 0, err
	}
	if err := server.Start(); err != nil {
		stop()
		return 0, err
	}
	defer func() {
		stop()
		_ = server.Wait() // it was killed
	}()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "Listening for HTTP at address: "); ok {
			mock = "http://" + address
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return run(), nil
		}
	}
	return 0, fmt.Errorf("it ended before it listened: %v", lines.Err())
}

const (
	secretKey     = "sk_test_123"
	webhookSecret = "whsec_test"
)

// call is a request that a test's gateway made.
type call struct {
	Route string // "POST /v1/refunds"
	Key   string
	Form  url.Values // of the body, or the query
}

// site is Stripe for one test: stripe-mock answers, and checks the request, unless the test answers a route in its own way.
type site struct {
	*stripe.Gateway
	mu    sync.Mutex
	calls []call
}

// answer gives what the site says to a request, from the object that stripe-mock said.
type answer func(object map[string]any) (status int, body any)

// with changes fields of what stripe-mock said.
func with(fields map[string]any) answer {
	return func(object map[string]any) (int, any) {
		maps.Copy(object, fields)
		return http.StatusOK, object
	}
}

// list answers with a list of objects.
func list(objects ...map[string]any) answer {
	if objects == nil {
		objects = []map[string]any{}
	}
	return with(map[string]any{"data": objects, "has_more": false})
}

// fails answers with an error.
func fails(status int, e map[string]any) answer {
	return func(map[string]any) (int, any) { return status, map[string]any{"error": e} }
}

// at makes a site. The answers are by the patterns of http.ServeMux.
func at(t *testing.T, answers map[string]answer) *site {
	t.Helper()
	asked := map[string]func(url.Values) answer{}
	for route, a := range answers {
		asked[route] = func(url.Values) answer { return a }
	}
	return asking(t, asked)
}

// asking makes a site whose answers depend on the query.
func asking(t *testing.T, answers map[string]func(url.Values) answer) *site {
	t.Helper()
	s := &site{}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.pass(t, w, r, with(nil)) })
	for route, a := range answers {
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) { s.pass(t, w, r, a(r.URL.Query())) })
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	g, err := stripe.New(stripe.Config{SecretKey: secretKey, WebhookSecret: webhookSecret, BaseURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	s.Gateway = g
	return s
}

// pass asks stripe-mock, which has to take the request, and answers.
func (s *site) pass(t *testing.T, w http.ResponseWriter, r *http.Request, a answer) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
		return
	}
	form := r.URL.Query()
	if r.Method == http.MethodPost {
		form, err = url.ParseQuery(string(body))
	}
	if err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	s.calls = append(s.calls, call{r.Method + " " + r.URL.Path, r.Header.Get("Idempotency-Key"), form})
	s.mu.Unlock()
	onward, err := http.NewRequestWithContext(r.Context(), r.Method, mock+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	onward.Header = r.Header
	answer, err := http.DefaultClient.Do(onward)
	if err != nil {
		t.Error(err)
		return
	}
	defer answer.Body.Close()
	var object map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&object); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("stripe-mock refused %s %s %s: %s %v %v", r.Method, r.URL, body, answer.Status, object, err)
	}
	status, said := a(object)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(said); err != nil {
		t.Error(err)
	}
}

// made gives the requests to a route.
func (s *site) made(route string) []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []call
	for _, c := range s.calls {
		if c.Route == route {
			all = append(all, c)
		}
	}
	return all
}
