// The harness of the API's tests.
//
//	s := openShop(t)                         a real shop behind a real server: settings, an API key with every permission
//	a := s.do("POST", "/customers", body)    sends a request; body: nil, a string or []byte as it is, else JSON
//	a := s.do("GET", "/events", nil, "X-Request-Id: 1")          headers as "Name: value"
//	a.want(201)                              fails the test on another status, and shows the problem
//	a.text("data.items.0.id"), a.number("data.version"), a.at("data")    read the answer
//	a.code()                                 the code of a problem
//	s.with(token)                            the same shop as another API key; s.key(permissions...) makes one
//	s.run(command)                           a command of the domain, by the system
//	s.advance(d)                             moves the shop's clock
//	s.customer(email), s.product(title)...   things to begin with
//
// Every answer is checked against the served OpenAPI document: its status, content type and schema. When the test ends,
// the whole journal is verified.
package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"perennial/internal/access"
	"perennial/internal/api"
	"perennial/internal/audit"
	"perennial/internal/auth"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/settings"
	"perennial/internal/subscription"
	"perennial/internal/team"
	testshop "perennial/internal/test/shop"
)

// shop is a running shop, seen by one API key.
type shop struct {
	*server.Instance
	t     testing.TB
	url   string
	token string
	api   *api.API
	all   http.Handler
	doc   *document
	clock *clock
}

// clock is the shop's time. It stands still unless it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time // guarded by mu
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// opened is when every test's shop opens: a Monday.
var opened = time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)

// openShop makes a shop in an empty folder and serves it.
func openShop(t testing.TB) *shop {
	t.Helper()
	ctx := context.Background()
	c := &clock{at: opened}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	dir := t.TempDir()
	i, err := server.Open(ctx, server.Config{Data: dir, Database: testshop.URL(t, dir), Clock: c.now, Log: log, Relaxed: true})
	must(t, err)
	mux := access.NewMux("")
	s := &shop{Instance: i, t: t, clock: c, all: mux}
	h := httptest.NewServer(mux)
	s.url = h.URL
	s.api = api.New(api.Config{Program: i.Program, Store: i.Store, Finder: i.Finder, Analytics: i.Analytics, Log: log, Version: "test", BaseURL: h.URL}, mux)
	t.Cleanup(func() {
		s.api.Drain()
		h.Close()
		r, err := audit.Verify(ctx, i.Store, nil)
		must(t, err)
		for _, p := range r.Problems {
			t.Errorf("verify: %s", p)
		}
		must(t, i.Close(ctx))
	})
	for _, d := range settings.Defaults("Test shop", "Europe/Berlin", "EUR") {
		s.run(journal.Bind(settings.Update{Document: d}))
	}
	s.token = s.key(team.Everything().List()...)
	s.doc = readDocument(t, s.url)
	return s
}

// system is who acts when no API key does.
var system = program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}, Source: journal.Origin{Channel: journal.ChannelCLI}}

// run runs a command that must be accepted.
func (s *shop) run(c journal.Command) *program.Outcome {
	s.t.Helper()
	out, err := s.Program.Do(context.Background(), &program.Request{Meta: system, Command: c})
	must(s.t, err)
	return out
}

// advance moves the clock.
func (s *shop) advance(d time.Duration) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.at = s.clock.at.Add(d)
}

// key makes an API key and gives its text.
func (s *shop) key(permissions ...team.Permission) string {
	s.t.Helper()
	key := s.IDs.New(id.APIKey)
	text, hash := auth.NewAPIKey(key)
	s.run(journal.Bind(team.CreateKey{ID: key, Name: "Test key", Permissions: permissions, Hash: hash, Actor: system.Actor}))
	return text
}

// with is the same shop as the holder of another key sees it.
func (s *shop) with(token string) *shop {
	other := *s
	other.token = token
	return &other
}

// customer makes a customer, Ada Lovelace.
func (s *shop) customer(email string) id.ID {
	s.t.Helper()
	key := s.IDs.New(id.Customer)
	s.run(journal.Bind(customer.Create{ID: key, Email: email, FirstName: "Ada", LastName: "Lovelace"}))
	return key
}

// product makes an active product.
func (s *shop) product(title string) id.ID {
	s.t.Helper()
	key := s.IDs.New(id.Product)
	s.run(journal.Bind(catalog.CreateProduct{ID: key, Title: title}))
	return key
}

// variant makes a variant that is not counted.
func (s *shop) variant(product id.ID, title string, minor int64) id.ID {
	s.t.Helper()
	key := s.IDs.New(id.Variant)
	s.run(journal.Bind(catalog.CreateVariant{ID: key, ProductID: product, Title: title, Price: money.Of(minor, "EUR")}))
	return key
}

// subscription makes a monthly subscription of a customer to one piece of a variant.
func (s *shop) subscription(customer, variant id.ID) id.ID {
	s.t.Helper()
	key := s.IDs.New(id.Subscription)
	s.run(journal.Bind(subscription.Create{ID: key, CustomerID: customer, BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1},
		Items: []subscription.NewItem{{ID: s.IDs.New(id.Item), VariantID: variant, Quantity: 1}}}))
	return key
}

// answer is what came back.
type answer struct {
	t       testing.TB
	request string
	Status  int
	Header  http.Header
	Body    []byte
	JSON    any // the body, when it is JSON
}

// do sends a request and checks the answer against the document.
func (s *shop) do(method, path string, body any, headers ...string) *answer {
	s.t.Helper()
	req := s.request(method, path, body, headers...)
	res, err := http.DefaultClient.Do(req)
	must(s.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(s.t, err)
	a := &answer{t: s.t, request: method + " " + path, Status: res.StatusCode, Header: res.Header, Body: b}
	if method == "HEAD" {
		if len(b) > 0 {
			s.t.Errorf("%s: the answer has a body", a.request)
		}
		return a
	}
	if kind := mediaType(a.Header); kind == "application/json" || kind == "application/problem+json" {
		if err := json.Unmarshal(b, &a.JSON); err != nil {
			s.t.Fatalf("%s: the answer is not JSON: %v\n%s", a.request, err, b)
		}
	}
	if why := s.doc.check(method, req.URL.Path, a); why != "" {
		s.t.Errorf("%s: the answer is not as documented: %s\n%d %s\n%s", a.request, why, a.Status, mediaType(a.Header), b)
	}
	return a
}

// request makes a request without sending it.
func (s *shop) request(method, path string, body any, headers ...string) *http.Request {
	s.t.Helper()
	var in io.Reader
	switch v := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(v)
	case []byte:
		in = bytes.NewReader(v)
	default:
		b, err := json.Marshal(v)
		must(s.t, err)
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+api.Base+path, in)
	must(s.t, err)
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Set(name, strings.TrimSpace(value))
	}
	return req
}

func mediaType(h http.Header) string {
	t, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return t
}

// want fails the test unless the answer has a status.
func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("%s: got %d, want %d\n%s", a.request, a.Status, status, a.Body)
	}
	return a
}

// at gives the value at a path of names and indexes, "data.0.id"; nil when there is none.
func (a *answer) at(path string) any {
	v := a.JSON
	for name := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

// text gives a string of the answer.
func (a *answer) text(path string) string {
	a.t.Helper()
	s, ok := a.at(path).(string)
	if !ok {
		a.t.Fatalf("%s: there is no text at %s\n%s", a.request, path, a.Body)
	}
	return s
}

// number gives a number of the answer.
func (a *answer) number(path string) int64 {
	a.t.Helper()
	n, ok := a.at(path).(float64)
	if !ok {
		a.t.Fatalf("%s: there is no number at %s\n%s", a.request, path, a.Body)
	}
	return int64(n)
}

// list gives a list of the answer.
func (a *answer) list(path string) []any {
	a.t.Helper()
	l, ok := a.at(path).([]any)
	if !ok {
		a.t.Fatalf("%s: there is no list at %s\n%s", a.request, path, a.Body)
	}
	return l
}

// each gives the text at a path in each element of a list.
func (a *answer) each(list, path string) []string {
	a.t.Helper()
	var out []string
	for i := range a.list(list) {
		out = append(out, a.text(fmt.Sprintf("%s.%d.%s", list, i, path)))
	}
	return out
}

// code gives the code of a problem, empty when the answer is none.
func (a *answer) code() string {
	c, _ := a.at("code").(string)
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// document is the served OpenAPI document.
type document struct {
	paths    map[string]map[string]any
	registry huma.Registry
}

func readDocument(t testing.TB, url string) *document {
	t.Helper()
	res, err := http.Get(url + api.Base + "/openapi.json")
	must(t, err)
	defer res.Body.Close()
	var raw struct {
		OpenAPI    string                    `json:"openapi"`
		Paths      map[string]map[string]any `json:"paths"`
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}
	must(t, json.NewDecoder(res.Body).Decode(&raw))
	d := &document{paths: raw.Paths, registry: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)}
	for name, s := range raw.Components.Schemas {
		d.registry.Map()[name] = schema(s)
	}
	return d
}

// operation finds the operation of a request: the one whose path has the fewest parameters.
func (d *document) operation(method, path string) map[string]any {
	parts := strings.Split(strings.TrimPrefix(path, api.Base), "/")
	var found map[string]any
	best := len(parts) + 1
	for template, item := range d.paths {
		names := strings.Split(template, "/")
		op, ok := item[strings.ToLower(method)].(map[string]any)
		if !ok || len(names) != len(parts) {
			continue
		}
		parameters, fits := 0, true
		for i, n := range names {
			if strings.HasPrefix(n, "{") {
				parameters++
			} else {
				fits = fits && n == parts[i]
			}
		}
		if fits && parameters < best {
			found, best = op, parameters
		}
	}
	return found
}

// check says how an answer differs from what is documented, if it does.
func (d *document) check(method, path string, a *answer) string {
	op := d.operation(method, path)
	if op == nil {
		if a.Status == http.StatusNotFound || a.Status == http.StatusMethodNotAllowed || strings.HasSuffix(path, "/openapi.json") {
			return ""
		}
		return "there is no such operation"
	}
	responses := op["responses"].(map[string]any)
	response, ok := responses[strconv.Itoa(a.Status)].(map[string]any)
	if !ok && a.Status != http.StatusInternalServerError {
		return "the status is not listed"
	}
	if !ok || response["$ref"] != nil {
		response = responses["default"].(map[string]any)
	}
	content := response["content"].(map[string]any)
	media, ok := content[mediaType(a.Header)].(map[string]any)
	if downloads, _ := response["x-downloads"].([]any); slices.Contains(downloads, any(mediaType(a.Header))) {
		return "" // lines of a list that is documented as JSON
	}
	if !ok {
		return fmt.Sprintf("the content type is none of %v", slices.Sorted(maps.Keys(content)))
	}
	values := []any{a.JSON}
	switch mediaType(a.Header) {
	case "application/x-ndjson":
		values = nil
		for line := range bytes.Lines(a.Body) {
			var v any
			if err := json.Unmarshal(line, &v); err != nil {
				return "a line is not JSON: " + err.Error()
			}
			values = append(values, v)
		}
	case "text/plain", "text/event-stream":
		return ""
	}
	of := media["schema"]
	if line := media["x-line-schema"]; line != nil {
		of = line
	}
	for _, v := range values {
		var result huma.ValidateResult
		huma.Validate(d.registry, schema(of), huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, v, &result)
		if len(result.Errors) > 0 {
			return fmt.Sprint(result.Errors)
		}
	}
	return ""
}

// schema reads a JSON schema as the validator has it.
func schema(v any) *huma.Schema {
	m, ok := v.(map[string]any)
	if !ok {
		return &huma.Schema{}
	}
	s := &huma.Schema{Const: m["const"]}
	s.Ref, _ = m["$ref"].(string)
	s.Format, _ = m["format"].(string)
	s.Pattern, _ = m["pattern"].(string)
	s.ContentEncoding, _ = m["contentEncoding"].(string)
	s.Enum, _ = m["enum"].([]any)
	switch t := m["type"].(type) {
	case string:
		s.Type = t
	case []any:
		for _, one := range t {
			if one == "null" {
				s.Nullable = true
			} else {
				s.Type = one.(string)
			}
		}
	}
	if s.Type == "null" {
		s.Enum = []any{nil} // the validator does not know the type
	}
	number := func(name string) *float64 {
		if n, ok := m[name].(float64); ok {
			return &n
		}
		return nil
	}
	s.Minimum, s.Maximum = number("minimum"), number("maximum")
	if properties, ok := m["properties"].(map[string]any); ok {
		s.Properties = map[string]*huma.Schema{}
		for name, p := range properties {
			s.Properties[name] = schema(p)
		}
	}
	if required, ok := m["required"].([]any); ok {
		for _, name := range required {
			s.Required = append(s.Required, name.(string))
		}
	}
	if items, ok := m["items"]; ok {
		s.Items = schema(items)
	}
	switch more := m["additionalProperties"].(type) {
	case bool:
		s.AdditionalProperties = more
	case map[string]any:
		s.AdditionalProperties = schema(more)
	}
	many := func(name string) (out []*huma.Schema) {
		list, _ := m[name].([]any)
		for _, one := range list {
			out = append(out, schema(one))
		}
		return out
	}
	s.OneOf, s.AnyOf, s.AllOf = many("oneOf"), many("anyOf"), many("allOf")
	s.PrecomputeMessages()
	return s
}
