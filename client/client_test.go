package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/client"
)

// answers is a transport that gives one answer after the other; nil breaks the connection.
type answers struct {
	list []*http.Response
	sent []sent
}

type sent struct {
	at      time.Duration
	method  string
	path    string
	key     string
	content string
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	a.sent = append(a.sent, sent{at: time.Duration(time.Now().UnixNano()), method: r.Method, path: r.URL.RequestURI(), key: r.Header.Get("Idempotency-Key"), content: string(b)})
	next := a.list[0]
	if len(a.list) > 1 {
		a.list = a.list[1:]
	}
	if next == nil {
		return nil, errors.New("connection reset")
	}
	out := *next
	out.Request = r
	return &out, nil
}

func answer(status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	if status >= 400 {
		h.Set("Content-Type", "application/problem+json")
	}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: repeated{strings.NewReader(body)}}
}

// repeated is a body that can be read once more after it was closed.
type repeated struct{ *strings.Reader }

func (r repeated) Close() error {
	_, err := r.Seek(0, io.SeekStart)
	return err
}

func faked(list ...*http.Response) (*client.Client, *answers) {
	a := &answers{list: list}
	c := client.New("https://shop.example", "key_1")
	c.HTTP = &http.Client{Transport: a, CheckRedirect: c.HTTP.CheckRedirect}
	return c, a
}

const busy = `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"Not now.","code":"busy","request_id":"req_1"}`

func TestRetries(t *testing.T) {
	pauses := func(ctx context.Context, c *client.Client) error {
		_, err := c.PauseSubscription(ctx, "sub_1", client.PauseSubscriptionInput{})
		return err
	}
	reads := func(ctx context.Context, c *client.Client) error {
		_, err := c.GetSubscription(ctx, "sub_1", client.GetSubscriptionParams{})
		return err
	}
	previews := func(ctx context.Context, c *client.Client) error { // a POST that takes no Idempotency-Key
		_, err := c.PreviewNotificationTemplate(ctx, "x", client.PreviewNotificationTemplateInput{})
		return err
	}
	fine := answer(200, `{"data":{"id":"sub_1"},"events":[]}`)
	date := time.Date(2000, 1, 1, 0, 0, 9, 0, time.UTC).Format(http.TimeFormat) // synctest begins in 2000
	for _, tt := range []struct {
		name     string
		call     func(context.Context, *client.Client) error
		answers  []*http.Response
		sent     int
		atLeast  time.Duration // how long it took
		atMost   time.Duration
		code     string // of the problem; "": done
		deadline time.Duration
	}{
		{"503 with seconds", pauses, []*http.Response{answer(503, busy, "Retry-After", "7"), fine}, 2, 7 * time.Second, 7 * time.Second, "", 0},
		{"429 with a date", reads, []*http.Response{answer(429, busy, "Retry-After", date), fine}, 2, 9 * time.Second, 9 * time.Second, "", 0},
		{"503 without", reads, []*http.Response{answer(503, busy), answer(503, busy), fine}, 3, 375 * time.Millisecond, 750 * time.Millisecond, "", 0},
		{"502 of a proxy", reads, []*http.Response{answer(502, "<html>", "Content-Type", "text/html"), fine}, 2, 125 * time.Millisecond, 250 * time.Millisecond, "", 0},
		{"a broken connection", pauses, []*http.Response{nil, fine}, 2, 125 * time.Millisecond, 250 * time.Millisecond, "", 0},
		{"for ever", reads, []*http.Response{answer(503, busy)}, 5, 1875 * time.Millisecond, 3750 * time.Millisecond, "busy", 0},
		{"longer than one waits", reads, []*http.Response{answer(503, busy, "Retry-After", "3600"), fine}, 1, 0, 0, "busy", 0},
		{"longer than the caller waits", reads, []*http.Response{answer(503, busy, "Retry-After", "7"), fine}, 1, 0, 0, "busy", 6 * time.Second},
		{"a refusal", pauses, []*http.Response{answer(409, strings.ReplaceAll(busy, "busy", "status_paused")), fine}, 1, 0, 0, "status_paused", 0},
		{"an error of the server", pauses, []*http.Response{answer(500, strings.ReplaceAll(busy, "busy", "internal")), fine}, 1, 0, 0, "internal", 0},
		{"what is not safe to repeat", previews, []*http.Response{answer(503, busy), fine}, 1, 0, 0, "busy", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, a := faked(tt.answers...)
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				began := time.Now()
				err := tt.call(ctx, c)
				p, _ := errors.AsType[*client.Problem](err)
				if got := time.Since(began); got < tt.atLeast || got > tt.atMost {
					t.Errorf("it took %v, want %v to %v", got, tt.atLeast, tt.atMost)
				}
				if len(a.sent) != tt.sent {
					t.Errorf("sent %d times, want %d", len(a.sent), tt.sent)
				}
				if (tt.code == "") != (err == nil) || p != nil && p.Code != tt.code {
					t.Errorf("error %v, want code %q", err, tt.code)
				}
				for _, s := range a.sent {
					if s.key != a.sent[0].key || s.content != a.sent[0].content {
						t.Errorf("sent %v and then %v", a.sent[0], s)
					}
				}
			})
		})
	}
}

func TestKeys(t *testing.T) {
	c, a := faked(answer(200, `{"data":{"id":"sub_1"},"events":[]}`))
	for _, opts := range [][]client.Option{nil, nil, {client.IdempotencyKey("mine")}} {
		_, err := c.PauseSubscription(t.Context(), "sub_1", client.PauseSubscriptionInput{}, opts...)
		must(t, err)
	}
	if a.sent[0].key == "" || a.sent[0].key == a.sent[1].key || a.sent[2].key != "mine" {
		t.Errorf("keys %q, %q, %q", a.sent[0].key, a.sent[1].key, a.sent[2].key)
	}
}

func TestAddresses(t *testing.T) {
	for _, id := range []string{"", ".", ".."} {
		c, a := faked(answer(200, `{"data":{}}`))
		if _, err := c.GetCustomer(t.Context(), id); err == nil || len(a.sent) != 0 {
			t.Errorf("%q was asked for: %v", id, a.sent)
		}
	}
	c, a := faked(answer(200, `{"data":{}}`))
	if _, err := c.GetCustomerAddress(t.Context(), "a/b?c", "ä#"); err != nil {
		t.Fatal(err)
	}
	if got, want := a.sent[0].path, "/api/v1/customers/a%2Fb%3Fc/addresses/%C3%A4%23"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	c, a = faked(answer(200, `{"data":[],"next_cursor":null}`))
	for _, err := range c.ListEvents(t.Context(), client.ListEventsParams{Type: []string{"a", "b"}, Limit: 3, Q: "x y"}) {
		t.Error(err)
	}
	c.HTTP.Transport = a
	a.list = []*http.Response{answer(200, `{"data":{}}`)}
	if _, err := c.GetSubscription(t.Context(), "s", client.GetSubscriptionParams{AtSeq: new(int64(0))}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range a.sent {
		got = append(got, s.path)
	}
	want := []string{"/api/v1/events?limit=3&q=x+y&type=a&type=b", "/api/v1/subscriptions/s?at_seq=0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The key goes nowhere but to the shop.
func TestRedirectsAreNotFollowed(t *testing.T) {
	c, a := faked(answer(307, "", "Location", "https://elsewhere.example/"))
	_, err := c.GetCustomer(t.Context(), "cus_1")
	if p, ok := errors.AsType[*client.Problem](err); !ok || p.Status != 307 || len(a.sent) != 1 {
		t.Errorf("error %v after %d requests", err, len(a.sent))
	}
}

func TestFieldsOfProblems(t *testing.T) {
	c, _ := faked(answer(422, `{"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"Some fields cannot be accepted.","code":"fields_refused",
		"errors":[{"pointer":"/email","detail":"Give at most 5 characters.","code":"too_long","args":{"most":"5"}}],"request_id":"req_1"}`))
	_, err := c.CreateCustomer(t.Context(), client.CreateCustomerInput{Email: "x"})
	want := &client.Problem{Type: "about:blank", Title: "Unprocessable Entity", Status: 422, Detail: "Some fields cannot be accepted.", Code: "fields_refused", RequestID: "req_1",
		Errors: []client.FieldProblem{{Pointer: "/email", Detail: "Give at most 5 characters.", Code: "too_long", Args: map[string]string{"most": "5"}}}}
	got, _ := errors.AsType[*client.Problem](err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := "client: CreateCustomer: fields_refused: Some fields cannot be accepted. /email: Give at most 5 characters."; err.Error() != want {
		t.Errorf("it says %q, want %q", err, want)
	}
}

func TestValues(t *testing.T) {
	in := client.UpdateProductVariantInput{Inventory: client.Null[int64](), Title: new("")}
	b, err := json.Marshal(in)
	must(t, err)
	if got, want := string(b), `{"inventory":null,"title":""}`; got != want {
		t.Errorf("it sends %s, want %s", got, want)
	}
	in.BackupVariantID = client.Set("var_2")
	b, err = json.Marshal(in)
	must(t, err)
	if got, want := string(b), `{"backup_variant_id":"var_2","inventory":null,"title":""}`; got != want {
		t.Errorf("it sends %s, want %s", got, want)
	}
	var sub client.Subscription
	must(t, json.Unmarshal([]byte(`{"note":{"erased":true},"cancel_reason":"Too dear.","attributes":{"erased":"yes"},"gifts":{"erased":true}}`), &sub))
	if !sub.Note.Erased || sub.CancelReason.Value != "Too dear." || sub.Attributes.Erased || sub.Attributes.Value["erased"] != "yes" || !sub.Gifts.Erased {
		t.Errorf("read %+v", sub)
	}
	must(t, json.Unmarshal([]byte(`{"attributes":{"erased":true},"note":"back"}`), &sub))
	if !sub.Attributes.Erased || sub.Note.Erased || sub.Note.String() != "back" || sub.Attributes.String() != "(erased)" {
		t.Errorf("read %+v", sub)
	}
}

// The package can be copied: it imports the standard library and nothing else.
func TestImports(t *testing.T) {
	files, err := os.ReadDir(".")
	must(t, err)
	for _, f := range files {
		if strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		b, err := os.ReadFile(f.Name())
		must(t, err)
		for line := range strings.Lines(string(b)) {
			path, ok := strings.CutPrefix(strings.TrimSpace(line), `"`)
			if path, quoted := strings.CutSuffix(path, `"`); ok && quoted && (strings.Contains(path, ".") || strings.HasPrefix(path, "perennial")) {
				t.Errorf("%s imports %s", f.Name(), path)
			}
		}
	}
}

// transport is a function as a transport.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An answer that got lost, before or within its body, makes nothing twice.
func TestLostAnswers(t *testing.T) {
	s := openShop(t)
	lossy := s.client()
	calls := 0
	lossy.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		res, err := http.DefaultTransport.RoundTrip(r)
		calls++
		switch {
		case err != nil:
		case calls%3 == 1:
			return nil, errors.Join(errors.New("lost"), res.Body.Close())
		case calls%3 == 2:
			res.Body = io.NopCloser(io.MultiReader(io.LimitReader(res.Body, 20), broken{}))
		}
		return res, err
	})}
	made, err := lossy.CreateCustomer(t.Context(), client.CreateCustomerInput{Email: "lost@mail.example"})
	must(t, err)
	if calls != 3 || len(made.Events) != 1 {
		t.Errorf("%d requests, %d events", calls, len(made.Events))
	}
	lines := []client.IngestLine{{Type: "external.a", Source: "till"}, {Type: "bad", Source: "till"}, {Type: "external.b", Source: "till"}}
	told, err := lossy.IngestEvents(t.Context(), lines)
	must(t, err)
	if told[0].Status != client.IngestAnswerStatusCreated || told[1].Status != client.IngestAnswerStatusRefused || told[2].Status != client.IngestAnswerStatusCreated {
		t.Errorf("told %+v", told)
	}
	var types []string
	for e, err := range s.client().ListEvents(t.Context(), client.ListEventsParams{Type: []string{"customer.*", "external.*"}, Order: "asc"}) {
		must(t, err)
		types = append(types, e.Type)
	}
	if want := []string{"customer.created", "external.a", "external.b"}; !slices.Equal(types, want) {
		t.Errorf("events %v, want %v", types, want)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// What docs/clients.md shows is what runs: each line of its Go stands in the examples.
func TestTheDocsShowWhatRuns(t *testing.T) {
	doc, err := os.ReadFile("../docs/clients.md")
	must(t, err)
	source, err := os.ReadFile("example_test.go")
	must(t, err)
	lines := map[string]bool{}
	for line := range strings.Lines(string(source)) {
		lines[strings.TrimSpace(line)] = true
	}
	blocks := strings.Split(string(doc), "```go\n")[1:]
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			if !lines[strings.TrimSpace(line)] {
				t.Errorf("the examples do not have: %s", line)
			}
		}
	}
	if len(blocks) < 5 {
		t.Errorf("there are %d examples", len(blocks))
	}
	script, err := os.ReadFile("../clients/typescript/test/run.ts")
	must(t, err)
	for _, block := range strings.Split(string(doc), "```ts\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			if !strings.Contains(string(script), strings.TrimSpace(line)) {
				t.Errorf("the TypeScript examples do not have: %s", line)
			}
		}
	}
}
