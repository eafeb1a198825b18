package server

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
)

var update = flag.Bool("update", false, "write the table of metrics into docs/operations.md")

// metric gives a figure of a scrape.
func metric(t testing.TB, s *Server, name string) string {
	t.Helper()
	_, body, _ := get(t, "http://"+s.Addr+"/metrics")
	for line := range strings.Lines(body) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return "none"
}

func TestMetricsCountWhatHappens(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	s := serve(t, i, nil)
	key := i.IDs.New(id.Product)
	make := journal.Bind(catalog.CreateProduct{ID: key, Title: "Tea"})
	do(t, i, make)
	if _, err := i.Program.Do(t.Context(), &program.Request{Meta: setup, Command: make}); err == nil {
		t.Error("made twice")
	}
	title := "Tea"
	do(t, i, journal.Bind(catalog.UpdateProduct{ID: key, Title: &title})) // changes nothing
	get(t, "http://"+s.Addr+"/api/v1/products?q=olga@example.com")
	get(t, "http://"+s.Addr+"/signin")
	get(t, "http://"+s.Addr+"/nowhere/olga@example.com")
	if err := i.Finder.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.checkpoint(t.Context()) // behind the batches in the writer's queue, so all of them were counted
	for name, want := range map[string]string{
		`perennial_commands_total{outcome="done"}`: "2", `perennial_commands_total{outcome="refused"}`: "1", `perennial_commands_total{outcome="unchanged"}`: "1",
		`perennial_commands_total{outcome="failed"}`: "0", `perennial_entries_written_total`: "2", `perennial_batch_commands_count`: "4", `perennial_commit_duration_seconds_count`: "4",
		`perennial_journal_head_seq`: "7", `perennial_journal_entries`: "8", `perennial_index_seq`: "7", `perennial_index_lag_entries`: "0", `perennial_commands_waiting`: "0",
		`perennial_checkpoint_entries`: "8", `perennial_checkpoint_unsigned_entries`: "0", `perennial_checkpoint_refused`: "0", `perennial_stream_clients`: "0",
		`perennial_http_requests_total{method="GET",route="/api/v1/",status="401"}`:   "1",
		`perennial_http_requests_total{method="GET",route="/signin",status="200"}`:    "1",
		`perennial_http_requests_total{method="GET",route="/",status="404"}`:          "1",
		`perennial_http_request_duration_seconds_count{method="GET",route="/signin"}`: "1",
		`perennial_billing_attempts_total{outcome="succeeded"}`:                       "0",
		`perennial_build_info{version="test"}`:                                        "1",
	} {
		if got := metric(t, s, name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	_, body, _ := get(t, "http://"+s.Addr+"/metrics")
	if strings.Contains(body, "olga") || !strings.Contains(body, "go_goroutines") || !strings.Contains(body, "process_open_fds") {
		t.Errorf("the scrape:\n%s", body)
	}
	if !strings.Contains(body, `perennial_follower_lag_entries{follower="analytics"}`) || strings.Contains(body, `perennial_follower_lag_entries{follower="billing"}`) ||
		!strings.Contains(body, `perennial_follower_failing_seconds{follower="billing"}`) {
		t.Errorf("who takes entries can be behind, who only has rounds cannot:\n%s", body)
	}
}

func TestMetricsAreNotForTheInternet(t *testing.T) {
	c, _ := config(t.TempDir())
	s := serve(t, open(t, c), nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"} {
		req.Header = http.Header{http.CanonicalHeaderKey(h): {"203.0.113.9"}}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 404 {
			t.Errorf("passed on with %s: %d", h, res.StatusCode)
		}
	}
	for address, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "10.1.2.3:80": true, "[::ffff:192.168.1.1]:80": true, "203.0.113.9:80": false, "[2001:db8::1]:80": false, "odd": false} {
		if got := nearby(&http.Request{RemoteAddr: address}); got != want {
			t.Errorf("%s: got %v", address, got)
		}
	}
	// With an address of their own they are nowhere else.
	c, _ = config(t.TempDir())
	c.MetricsListen = "127.0.0.1:0"
	s = serve(t, open(t, c), nil)
	for address, want := range map[string]int{s.Addr + "/metrics": 404, s.MetricsAddr + "/metrics": 200, s.MetricsAddr + "/healthz": 200, s.MetricsAddr + "/readyz": 200,
		s.MetricsAddr + "/": 404, s.MetricsAddr + "/api/v1/openapi.json": 404, s.Addr + "/readyz": 200} {
		if code, _, _ := get(t, "http://"+address); code != want {
			t.Errorf("%s: %d, want %d", address, code, want)
		}
	}
}

// The log has a line for each request, with nothing of what a person sent.
func TestRequestsAreLogged(t *testing.T) {
	c, log := config(t.TempDir())
	c.Log = slog.New(slog.NewJSONHandler(log, nil))
	i := open(t, c)
	found(t, i)
	s := serve(t, i, nil)
	for _, id := range []string{"abc-1", "olga@example.com"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr+"/api/v1/customers/cus_secret?q=olga", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"X-Request-Id": {id}, "Authorization": {"Bearer key_olga"}, "User-Agent": {"olga"}}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	get(t, "http://"+s.Addr+"/signin?next=olga")
	get(t, "http://"+s.Addr+"/healthz")
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	type line struct {
		Level, Msg, Method, Route, Actor string
		Status                           int
		Duration                         float64 `json:"duration_ms"`
		RequestID                        string  `json:"request_id"`
	}
	var got []line
	for text := range strings.Lines(log.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil || l.Duration <= 0 {
			t.Errorf("%s: %v", text, err)
		}
		got = append(got, l)
	}
	if len(got) != 3 || got[0].RequestID != "abc-1" || got[1].RequestID != "other" || got[2].RequestID == "" {
		t.Fatalf("got %+v", got)
	}
	for n, want := range []string{"INFO request GET /api/v1/ 401 anonymous", "INFO request GET /api/v1/ 401 anonymous", "INFO request GET /signin 200 anonymous"} {
		l := got[n]
		if is := fmt.Sprint(l.Level, " ", l.Msg, " ", l.Method, " ", l.Route, " ", l.Status, " ", l.Actor); is != want {
			t.Errorf("got %s, want %s", is, want)
		}
	}
	if strings.Contains(log.String(), "olga") || strings.Contains(log.String(), "secret") {
		t.Errorf("the log:\n%s", log)
	}
}

// A database that is older than the last signed checkpoint is served, signs nothing, and says so.
func TestARestoredDatabaseIsNotReady(t *testing.T) {
	c, _ := config(t.TempDir())
	i := open(t, c)
	found(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(c.Data, "perennial.db"))
	if err != nil {
		t.Fatal(err)
	}
	i = open(t, c)
	product(t, i)
	s, err := Start(t.Context(), i, simulated.New(time.Now, simulated.Options{}), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.Data, "perennial.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	s = serve(t, open(t, c), nil)
	code, body, _ := get(t, "http://"+s.Addr+"/readyz")
	if code != 503 || !strings.Contains(body, "database_behind: The database holds 6 entries, but a checkpoint over 8 was signed") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if got := metric(t, s, "perennial_checkpoint_refused"); got != "1" {
		t.Errorf("refused: %s", got)
	}
	if list, err := s.Store.Checkpoints(t.Context(), s.Store.Read, math.MaxInt64, 10); err != nil || len(list) > 0 {
		t.Errorf("signed: %v, %v", list, err)
	}
}

func TestReadyzAsJSON(t *testing.T) {
	c, _ := config(t.TempDir())
	s := serve(t, open(t, c), nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got readiness
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || !got.Ready || got.Head != -1 || got.Indexed != -1 || got.Reasons == nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Within the delay readyz says that the server stops, and requests are still answered.
func TestStopDelay(t *testing.T) {
	c, _ := config(t.TempDir())
	c.StopDelay = 300 * time.Millisecond
	i := open(t, c)
	s, err := Start(t.Context(), i, simulated.New(time.Now, simulated.Options{}), page("GET /more", more), nil)
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	<-s.draining(t)
	if code, _, _ := get(t, "http://"+s.Addr+"/more"); code != 200 {
		t.Errorf("within the delay: %d", code)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// The table of docs/operations.md is made from the metrics: go test ./internal/server -run Documented -update.
func TestMetricsAreDocumented(t *testing.T) {
	c, _ := config(t.TempDir())
	s := serve(t, open(t, c), nil)
	var b strings.Builder
	b.WriteString("| name | kind | labels | what |\n|---|---|---|---|\n")
	for _, d := range s.metrics.List() {
		labels := "`" + strings.Join(d.Labels, "`, `") + "`"
		if len(d.Labels) == 0 {
			labels = ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Kind, labels, d.Help)
	}
	alerts, err := os.ReadFile("../../deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`perennial_[a-z_]+`).FindAllString(string(alerts), -1) {
		if !strings.Contains(b.String(), "`"+strings.TrimSuffix(name, "_bucket")+"`") {
			t.Errorf("deploy/alerts.yaml: there is no metric %s", name)
		}
	}
	const file = "../../docs/operations.md"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?s)(<!-- metrics -->\n).*?(<!-- /metrics -->)`)
	want := table.ReplaceAllString(string(doc), "${1}"+strings.ReplaceAll(b.String(), "$", "$$")+"${2}")
	if !table.Match(doc) {
		t.Fatal("docs/operations.md has no place for the metrics")
	}
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(doc) {
		t.Error("docs/operations.md lists other metrics: run with -update")
	}
}
