// Package routes walks the table of routes of a running server (internal/access), from outside and as everybody who may come.
package routes_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"perennial/internal/api"
	"perennial/internal/audit"
	"perennial/internal/auth"
	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/demo"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/test/shop"
	"perennial/internal/web/ui"
)

// canary is in every personal value of the house, and in nothing else.
const canary = "qxzwombat"

// digits are the personal values without letters. The four of a card stand alone: a hash may have them inside.
var digits = regexp.MustCompile(`\b7391\b|0199 ?777`)

const password = "correct horse battery"

// house is a running server over a shop in which everything there can be has happened to Ada, with personal values in every field.
type house struct {
	t    *testing.T
	s    *server.Server
	i    *server.Instance
	base string
	log  *logged
	ids  map[string]string // of Ada's things, and the shop's, by what they are
	mail string
}

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

// posting is a gateway that sends its reports, so that there is an address for them. None of them is signed well.
type posting struct{ *simulated.Gateway }

func (posting) Parse([]byte, string, time.Time) (payment.Event, error) {
	return payment.Event{}, fmt.Errorf("not signed: %w", os.ErrPermission)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, log: &logged{}, ids: map[string]string{}}
	dir := t.TempDir()
	h.mail = filepath.Join(dir, "mail")
	must(t, os.MkdirAll(h.mail, 0o700))
	must(t, os.WriteFile(filepath.Join(h.mail, "1.eml"), []byte("Subject: Hello\r\n\r\nThere\r\n"), 0o600))
	var err error
	h.i, err = server.Open(t.Context(), server.Config{Data: dir, Database: shop.URL(t, dir), Listen: "127.0.0.1:0", Version: "test", MailDir: filepath.Join(dir, "outgoing"),
		Provider: auth.ProviderConfig{Issuer: "http://127.0.0.1:1"}, Log: slog.New(slog.NewTextHandler(h.log, nil))})
	must(t, err)
	for _, d := range settings.Defaults("Shop", "UTC", "USD") {
		h.do(journal.Bind(settings.Update{Document: d}))
	}
	h.s, err = server.Start(t.Context(), h.i, posting{simulated.New(time.Now, simulated.Options{})}, demo.Mailbox(h.mail), nil)
	must(t, err)
	h.base = "http://" + strings.Replace(h.s.Addr, "127.0.0.1", "localhost", 1)
	t.Cleanup(func() {
		r, err := audit.Verify(context.Background(), h.i.Store, nil)
		if err != nil || len(r.Problems) > 0 {
			t.Errorf("verify: %v %v", err, r.Problems)
		}
		if err := h.s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var system = journal.Actor{Kind: journal.ActorSystem, ID: "test"}

func (h *house) do(c journal.Command) {
	h.t.Helper()
	_, err := h.i.Program.Do(context.Background(), &program.Request{Meta: program.Meta{Actor: system, Source: journal.Origin{Channel: journal.ChannelCLI}}, Command: c})
	must(h.t, err)
}

// key makes an API key.
func (h *house) key(list ...team.Permission) string {
	h.t.Helper()
	key := h.i.IDs.New(id.APIKey)
	text, hash := auth.NewAPIKey(key)
	h.do(journal.Bind(team.CreateKey{ID: key, Name: "Test", Permissions: list, Hash: hash, Actor: system}))
	return text
}

func keyID(token string) id.ID { return id.ID(token[:strings.LastIndexByte(token, '_')]) }

// allow says what a key may do from now on.
func (h *house) allow(token string, list ...team.Permission) {
	h.t.Helper()
	h.do(journal.Bind(team.UpdateKey{ID: keyID(token), Permissions: &list, Actor: system}))
}

// member makes somebody of the team.
func (h *house) member(email, name string, role team.Role) id.ID {
	h.t.Helper()
	who := h.i.IDs.New(id.TeamMember)
	var list *[]team.Permission
	if role == team.Member {
		list = &[]team.Permission{}
	}
	h.do(journal.Bind(team.Invite{ID: who, Email: email, Name: name, Role: role, Permissions: list, Actor: system}))
	h.do(journal.Bind(team.Join{ID: who, PasswordHash: hashed()}))
	return who
}

var hashed = sync.OnceValue(func() string { return auth.HashPassword(password) })

func (h *house) grant(who id.ID, list ...team.Permission) {
	h.t.Helper()
	h.do(journal.Bind(team.ChangePermissions{ID: who, Permissions: &list, Actor: system}))
}

// visitor is somebody with a browser, or a program with a key.
type visitor struct {
	h      *house
	name   string
	client *http.Client
	key    string
	agent  string
	stay   bool // redirects are followed
}

func (h *house) visitor(name string) *visitor {
	jar, err := cookiejar.New(nil)
	must(h.t, err)
	v := &visitor{h: h, name: name, agent: "Tester"}
	v.client = &http.Client{Jar: jar, Transport: &http.Transport{MaxIdleConns: 2}, CheckRedirect: func(*http.Request, []*http.Request) error {
		if v.stay {
			return nil
		}
		return http.ErrUseLastResponse
	}}
	h.t.Cleanup(v.client.CloseIdleConnections)
	return v
}

func (h *house) caller(name, key string) *visitor {
	v := h.visitor(name)
	v.key = key
	return v
}

// seen is what came back.
type seen struct {
	status int
	header http.Header
	body   string
}

func (s seen) to() string { return s.header.Get("Location") }

// all is everything that an answer says.
func (s seen) all() string {
	var out strings.Builder
	for name, values := range s.header {
		fmt.Fprintln(&out, name, strings.Join(values, " "))
	}
	return out.String() + s.body
}

func (v *visitor) request(ctx context.Context, method, path, body string, headers ...string) *http.Request {
	v.h.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, v.h.base+path, strings.NewReader(body))
	must(v.h.t, err)
	r.Header.Set("User-Agent", v.agent)
	if v.key != "" {
		r.Header.Set("Authorization", "Bearer "+v.key)
	}
	if method != http.MethodGet && !strings.HasPrefix(path, api.Base) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (v *visitor) send(method, path, body string, headers ...string) seen {
	v.h.t.Helper()
	if method == http.MethodPost && !strings.HasPrefix(path, api.Base) && body == "" {
		body = ui.Number + "=" + rand.Text()
	}
	ctx, cancel := context.WithTimeout(v.h.t.Context(), time.Minute)
	defer cancel()
	res, err := v.client.Do(v.request(ctx, method, path, body, headers...))
	must(v.h.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.h.t.Errorf("%s %s: %v", method, path, err)
	}
	return seen{res.StatusCode, res.Header, string(b)}
}

func (v *visitor) post(path string, pairs ...string) seen {
	v.h.t.Helper()
	form := url.Values{ui.Number: {rand.Text()}}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return v.send(http.MethodPost, path, form.Encode())
}

// signedIn gives a member of the team in a browser.
func (h *house) signedIn(name, email string) *visitor {
	h.t.Helper()
	v := h.visitor(name)
	if s := v.post("/signin", "email", email, "password", password); s.status != http.StatusSeeOther || strings.HasPrefix(s.to(), "/signin") {
		h.t.Fatalf("%s cannot sign in: %d %s\n%s", email, s.status, s.to(), s.body)
	}
	return v
}

// inPortal gives a customer in a browser.
func (h *house) inPortal(name, customer string, by *visitor) *visitor {
	h.t.Helper()
	v := h.visitor(name)
	v.agent = canary + "/1.0"
	made := by.api(http.MethodPost, "/customers/"+customer+"/portal-link", `{}`)
	link, err := url.Parse(made.text("url"))
	must(h.t, err)
	if s := v.post(link.Path); s.status != http.StatusSeeOther || s.to() != "/portal" {
		h.t.Fatalf("the link does not open the Portal: %d %s\n%s", s.status, s.to(), s.body)
	}
	return v
}

// made is what an accepted change answered.
type made map[string]any

func (m made) text(name string) string {
	s, _ := m[name].(string)
	return s
}

// api makes a change that must be accepted.
func (v *visitor) api(method, path, body string) made {
	v.h.t.Helper()
	s := v.send(method, api.Base+path, body)
	var out struct{ Data made }
	if s.status/100 != 2 || json.Unmarshal([]byte(s.body), &out) != nil {
		v.h.t.Fatalf("%s %s: %d %s", method, path, s.status, s.body)
	}
	return out.Data
}

// settle waits until an order is placed.
func (h *house) settle(by *visitor, order string) {
	h.t.Helper()
	grown, done := h.i.Program.Watch()
	defer done()
	late := time.After(time.Minute)
	for {
		o := by.api(http.MethodGet, "/orders/"+order, "")
		if o.text("status") == "placed" {
			return
		}
		select {
		case <-grown:
		case <-late:
			h.t.Fatalf("the order is not placed: %v", o)
		}
	}
}

// furnish has everything happen to Ada that leaves a personal value, and gives somebody who may do all of it.
func (h *house) furnish() (all *visitor) {
	h.t.Helper()
	at, name := canary+"@"+canary+".example", func(s string) string { return s + " " + canary }
	olga := h.i.IDs.New(id.TeamMember)
	h.do(journal.Bind(team.FoundTeam{ID: olga, Email: "olga@example.com", Name: "Olga", PasswordHash: hashed()}))
	h.ids["zoe"] = string(h.member("zoe."+at, name("Zoe"), team.Member))
	all = h.caller("who may do everything", h.key(team.Everything().List()...))
	all.agent = canary + "/2.0"
	mk := func(what, method, path, body string, values ...any) string {
		h.t.Helper()
		h.ids[what] = all.api(method, path, fmt.Sprintf(body, values...)).text("id")
		return h.ids[what]
	}
	product := mk("product", "POST", "/products", `{"title":"Tea"}`)
	variant := mk("variant", "POST", "/products/"+product+"/variants", `{"title":"1 kg","price":{"amount":1200,"currency":"USD"}}`)
	group := mk("group", "POST", "/selling-plan-groups", `{"name":"Monthly","product_ids":[%q]}`, product)
	mk("plan", "POST", "/selling-plan-groups/"+group+"/plans", `{"name":"Each month","billing_policy":{"interval":"month","interval_count":1}}`)
	mk("discount", "POST", "/discounts", `{"code":"TEN","kind":"percentage","value":10}`)
	flow := mk("flow", "POST", "/cancel-flows", `{"name":"Stay","status":"active"}`)
	mk("reason", "POST", "/cancel-flows/"+flow+"/reasons", `{"label":"Too much","ask_words":true}`)
	person := func(who, email string) (cus, sub string) {
		word := canary
		if who == "ben" {
			word = "plain"
		}
		n := func(s string) string { return s + " " + word }
		phone, last4 := "+49 555 0199 777", "7391"
		if who == "ben" {
			phone, last4 = "+49 555 0100 000", "4242"
		}
		cus = mk(who, "POST", "/customers", `{"email":%q,"first_name":%q,"last_name":%q,"phone":%q,"comment":%q}`, email, n("First"), n("Last"), phone, n("Rang"))
		address := mk(who+" address", "POST", "/customers/"+cus+"/addresses", `{"first_name":%q,"last_name":%q,"company":%q,"line1":%q,"line2":%q,"city":%q,"region":%q,"postal_code":%q,"country":"DE","phone":%q}`,
			n("First"), n("Last"), n("Company"), n("Street"), n("Floor"), n("City"), n("Region"), "P "+word, phone)
		method := mk(who+" method", "POST", "/customers/"+cus+"/payment-methods", `{"gateway":"simulated","gateway_reference":%q,"brand":"Visa","last4":%q,"exp_month":12,"exp_year":2090}`, "sim_flaky_0_"+word, last4)
		sub = mk(who+" subscription", "POST", "/subscriptions", `{"customer_id":%q,"items":[{"variant_id":%q,"quantity":2}],"billing_policy":{"interval":"month","interval_count":1},
			"shipping_address_id":%q,"payment_method_id":%q,"note":%q,"attributes":{"door":%q}}`, cus, variant, address, method, n("Note"), n("Door"))
		return cus, sub
	}
	ada, sub := person("ada", at)
	person("ben", "ben@example.com")
	s := all.api("GET", "/subscriptions/"+sub, "")
	h.ids["item"] = s["items"].([]any)[0].(map[string]any)["id"].(string)
	all.api("POST", "/subscriptions/"+sub+"/discounts", `{"code":"TEN"}`)
	for _, d := range all.api("GET", "/subscriptions/"+sub, "")["discounts"].([]any) {
		h.ids["applied"] = d.(map[string]any)["discount_id"].(string)
	}
	next, err := time.Parse(time.DateOnly, s.text("next_billing_date"))
	must(h.t, err)
	all.api("POST", "/subscriptions/"+sub+"/gift", fmt.Sprintf(`{"date":%q,"message":%q,"address":{"first_name":%q,"last_name":%q,"line1":%q,"city":%q,"country":"DE"}}`,
		next.Format(time.DateOnly), name("Happy"), name("Gift"), name("Gifted"), name("Gift street"), name("Gift city")))
	order := string(h.i.IDs.New(id.Order))
	h.do(journal.Bind(billing.CreateOrder{SubscriptionID: id.ID(sub), OrderID: id.ID(order), AttemptID: h.i.IDs.New(id.BillingAttempt), Due: civil.Of(next, time.UTC)}))
	h.settle(all, order)
	h.ids["order"] = order
	all.api("POST", "/orders/"+order+"/refund", fmt.Sprintf(`{"amount":{"amount":100,"currency":"USD"},"reason":%q,"comment":%q}`, name("Torn"), name("As told")))
	all.api("POST", "/orders/"+order+"/fulfil", fmt.Sprintf(`{"tracking_url":%q}`, "https://track.example/"+canary))
	ended := mk("ended", "POST", "/subscriptions", `{"customer_id":%q,"items":[{"variant_id":%q,"quantity":1}],"billing_policy":{"interval":"week","interval_count":2}}`, ada, variant)
	all.api("POST", "/subscriptions/"+ended+"/cancel", fmt.Sprintf(`{"reason":%q}`, name("Moves")))
	h.ids["job"] = all.api("POST", "/customers/"+ada+"/data-request", `{}`).text("id")
	if s := all.send("POST", api.Base+"/events", fmt.Sprintf(`{"type":"external.ticket","source":"desk","targets":[%q],"summary":"A ticket","details":{"text":%q}}`, sub, name("Words")), "Content-Type", "application/x-ndjson"); s.status != 200 || strings.Contains(s.body, "refused") {
		h.t.Fatal(s.body)
	}
	all.api("PATCH", "/customers/"+ada, fmt.Sprintf(`{"first_name":%q,"email":%q}`, name("Second"), "new."+at)) // what was before is in the log
	h.ids["olga"] = string(olga)
	return all
}

var shapes = regexp.MustCompile(`\{([a-z$]+)\}`)

// address fills the names of a pattern in. With strange, the things are of nobody.
func (h *house) address(pattern string, strange bool) string {
	_, path, _ := strings.Cut(pattern, " ")
	return shapes.ReplaceAllStringFunc(path, func(name string) string {
		name = strings.Trim(name, "{}")
		if name == "$" {
			return ""
		}
		if strange {
			return "x"
		}
		key := name
		bare := strings.TrimPrefix(path, api.Base)
		for _, f := range fillings {
			if f.name == name && strings.HasPrefix(bare, f.under) {
				key = f.is
				break
			}
		}
		v, ok := h.ids[key]
		if !ok {
			h.t.Fatalf("%s: nobody says what {%s} is", pattern, name)
		}
		return v
	})
}

// fillings say what the names in the patterns are: the first that fits.
var fillings = []struct{ under, name, is string }{
	{"/subscriptions/{id}/discounts/", "part", "applied"}, {"/subscriptions/{id}/discount-remove/", "part", "applied"}, {"/subscriptions/", "part", "item"}, {"/subscriptions/", "id", "ada subscription"},
	{"/customers/{id}/addresses/", "part", "ada address"}, {"/customers/{id}/payment-methods/", "part", "ada method"}, {"/customers/{id}/data/", "part", "job"}, {"/customers/", "job", "job"}, {"/customers/", "id", "ada"},
	{"/orders/", "id", "order"}, {"/products/", "part", "variant"}, {"/products/", "id", "product"}, {"/plans/", "part", "plan"}, {"/plans/", "id", "group"}, {"/selling-plan-groups/", "part", "plan"}, {"/selling-plan-groups/", "id", "group"},
	{"/discounts/", "id", "discount"}, {"/cancel-flows/", "part", "reason"}, {"/cancel-flows/", "id", "flow"}, {"/events/", "id", "event"}, {"/team/", "id", "zoe"}, {"/api-keys/", "id", "key"},
	{"/notification-templates/", "part", "language"}, {"/notification-templates/", "id", "message"}, {"/messages/", "part", "language"}, {"/messages/", "id", "message"}, {"/past/", "kind", "kind"}, {"/past/", "id", "ada"},
	{"/account/passkeys/", "passkey", "passkey"}, {"/account/sessions/", "session", "session"}, {"/demo/mail/", "name", "mail"}, {"/views/", "id", "view"},
	{"/portal/subscriptions/", "part", "item"}, {"/portal/subscriptions/", "id", "ada subscription"}, {"/portal/addresses/", "address", "ada address"}, {"/portal/orders/", "order", "order"}, {"/portal/sessions/", "session", "session"},
	{"/portal/undo/", "event", "event"}, {"/portal/brand/", "file", "file"}, {"/", "token", "token"},
}

// known fills in what a walk needs besides.
func (h *house) known() {
	h.t.Helper()
	for e, err := range h.i.Store.Events(h.t.Context(), h.i.Store.Read, store.Closed, 0, 0) {
		must(h.t, err)
		if e.Type == "customer.created" && string(e.Target().ID) == h.ids["ada"] {
			h.ids["event"] = string(e.ID)
		}
	}
	maps.Copy(h.ids, map[string]string{"language": "en", "message": "paused", "kind": "customer", "mail": "1.eml", "token": "x", "file": "x.css", "view": "x"})
	h.ids["passkey"], h.ids["session"] = string(h.i.IDs.New(id.Passkey)), string(h.i.IDs.New(id.Session))
	h.ids["key"] = string(keyID(h.key(team.EventsView)))
}
