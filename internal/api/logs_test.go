package api_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/catalog"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/privacy"
	"perennial/internal/subscription"
	"perennial/internal/team"
)

// stocked is a shop with a customer, a product, a variant and a subscription.
type stocked struct {
	*shop
	ada, product, variant, sub id.ID
}

func openStocked(t testing.TB) stocked {
	s := stocked{shop: openShop(t)}
	s.ada = s.customer("ada@example.com")
	s.product = s.shop.product("Coffee")
	s.variant = s.shop.variant(s.product, "1 kg", 1200)
	s.sub = s.shop.subscription(s.ada, s.variant)
	return s
}

func (s stocked) pause() id.ID {
	return s.run(journal.Bind(subscription.Pause{ID: s.sub})).Events[0].ID
}

// seen waits for the entries that reads make beside their answers.
func (s *shop) seen(n int) {
	s.t.Helper()
	for range 1000 {
		if got := len(s.do("GET", "/events?type=log.viewed", nil).want(200).list("data")); got >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	s.t.Fatalf("there are not %d entries of reading", n)
}

func TestWhichLogShowsWhat(t *testing.T) {
	s := openStocked(t)
	s.pause()
	other := s.shop.subscription(s.shop.customer("bob@example.com"), s.variant)
	for path, want := range map[string][]string{
		"/logs/activity?category=products":                                                {"variant.created", "product.created"},
		"/logs/activity?category=access":                                                  {"api_key.created"},
		"/logs/activity?type=subscription.*":                                              nil,
		"/customers/" + string(s.ada) + "/log":                                            {"subscription.paused", "subscription.created", "customer.created"},
		"/customers/" + string(s.ada) + "/log?order=asc":                                  {"customer.created", "subscription.created", "subscription.paused"},
		"/subscriptions/" + string(s.sub) + "/log":                                        {"subscription.paused", "subscription.created"},
		"/subscriptions/" + string(other) + "/log":                                        {"subscription.created"},
		"/events?type=subscription.paused":                                                {"subscription.paused"},
		"/events?target=" + string(other) + "&target=" + string(s.product):                {"subscription.created", "variant.created", "product.created"},
		"/events?q=paused":                                                                {"subscription.paused"},
		"/events?q=ada%40example.com":                                                     {"subscription.paused", "subscription.created", "customer.created"},
		"/events?q=Lovelace&type=customer.created":                                        {"customer.created", "customer.created"},
		"/events?type=product.*&q=" + string(s.product):                                   {"product.created"},
		"/events?channel=portal":                                                          nil,
		"/events?actor_kind=system&actor_id=test&category=lifecycle&channel=cli":          {"subscription.created", "subscription.paused", "subscription.created"},
		"/events?from=2027-03-02":                                                         nil,
		"/events?to=2027-03-01":                                                           nil,
		"/events?from=2027-03-01&to=2027-03-02&type=subscription.paused":                  {"subscription.paused"},
		"/events?from=2027-03-01T09:00:00Z&to=2027-03-01T09:00:00.000001Z&type=product.*": {"product.created"},
		"/events?from=2027-03-01T10:00:00.000000001%2B01:00&type=product.*":               nil,
	} {
		t.Run(path, func(t *testing.T) {
			if diff := cmp.Diff(want, s.do("GET", path, nil).want(200).each("data", "type")); diff != "" {
				t.Errorf("types (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFiltersThatMeanNothingAreRefused(t *testing.T) {
	s := openShop(t)
	for _, query := range []string{"type=subscription.exploded", "type=external.", "type=nothing.*", "category=x", "actor_kind=robot", "channel=fax", "from=yesterday",
		"to=2027-02-30", "order=up", "limit=201", "limit=0", "limit=x", "format=pdf", "q=" + strings.Repeat("x", 201)} {
		if a := s.do("GET", "/events?"+query, nil).want(422); a.code() != "fields_refused" || a.text("errors.0.pointer") != "/query/"+strings.Split(query, "=")[0] {
			t.Errorf("%s: got %s", query, a.Body)
		}
	}
	if a := s.do("GET", "/customers/cus_00000000000000000000000000/log", nil).want(404); a.code() != "unknown_customer" {
		t.Errorf("an unknown customer: got %s", a.code())
	}
	if a := s.do("GET", "/subscriptions/x/log", nil).want(404); a.code() != "unknown_subscription" {
		t.Errorf("an unknown subscription: got %s", a.code())
	}
	s.do("GET", "/events/evt_x", nil).want(404)
}

func TestPages(t *testing.T) {
	s := openShop(t)
	for n := range 25 {
		s.product(fmt.Sprint("Coffee ", n))
	}
	for _, order := range []string{"desc", "asc"} {
		var got []int64
		path := "/events?type=product.*&limit=10&order=" + order
		for next := path; ; {
			a := s.do("GET", next, nil).want(200)
			for i := range a.list("data") {
				got = append(got, a.number(fmt.Sprintf("data.%d.seq", i)))
			}
			cursor, more := a.at("next_cursor").(string)
			if !more {
				break
			}
			next = path + "&cursor=" + cursor
			s.product("Later") // moves no page of the newest first
			for _, foreign := range []string{"/events?type=customer.*&cursor=", "/logs/activity?type=product.*&cursor=", path + "&q=x&cursor="} {
				if a := s.do("GET", foreign+cursor, nil).want(400); a.code() != "cursor_invalid" {
					t.Errorf("a cursor elsewhere: got %s", a.code())
				}
			}
		}
		if order == "asc" {
			slices.Reverse(got)
		}
		if len(got) < 25 || !slices.IsSortedFunc(got, func(x, y int64) int { return int(y - x) }) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("%s: pages give %v", order, got)
		}
	}
}

func TestAnEvent(t *testing.T) {
	s := openStocked(t)
	pause := s.do("GET", "/events/"+string(s.pause()), nil, "X-Request-Id: r-1").want(200)
	for path, want := range map[string]any{
		"data.type": "subscription.paused", "data.label": "Paused", "data.log": "subscription", "data.category": "lifecycle", "data.summary": "Paused the subscription",
		"data.targets.0.kind": "subscription", "data.targets.0.id": string(s.sub), "data.targets.0.display": "1 × Coffee, 1 kg",
		"data.targets.1.display": "Ada Lovelace", "data.actor.display": "System: test", "data.on_behalf_of": nil, "data.comment": nil,
		"data.source.channel": "cli", "data.source.ip": nil, "data.recorded_at": "2027-03-01T09:00:00.000000Z", "data.occurred_at": "2027-03-01T09:00:00.000000Z",
		"data.changes.0.field": "status", "data.changes.0.before": "active", "data.changes.0.after": "paused", "data.corrects": nil,
		"data.undo.possible": true, "data.undo.reason": nil, "data.target_version": 2.0,
	} {
		if got := pause.at(path); got != want {
			if path == "data.targets.0.display" && strings.HasPrefix(fmt.Sprint(got), "1 × Coffee") {
				continue
			}
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	if got := pause.list("data.related"); len(got) != 0 {
		t.Errorf("related of a lone event: %v", got)
	}
	shown := s.do("GET", "/events?type=customer.created", nil).want(200)
	if got := shown.at("data.0.targets.0.display"); got != "Ada Lovelace" {
		t.Errorf("a customer's name: got %v", got)
	}
}

// A command that touches several rows makes events of one correlation.
func TestRelatedEvents(t *testing.T) {
	s := openStocked(t)
	second := s.shop.subscription(s.ada, s.variant)
	out := s.run(journal.Bind(subscription.Merge{ID: second, Into: s.sub, ItemIDs: []id.ID{s.IDs.New(id.Item)}}))
	a := s.do("GET", "/events/"+string(out.Events[0].ID), nil).want(200)
	if got, want := len(a.list("data.related")), len(out.Events)-1; got != want {
		t.Errorf("%d related events, want %d", got, want)
	}
	if a.at("data.undo.possible") != false || a.text("data.undo.reason") != "A merge cannot be undone: split the subscription instead." {
		t.Errorf("undo of a merge: %v", a.at("data.undo"))
	}
}

func TestPersonalDataIsMasked(t *testing.T) {
	s := openStocked(t)
	first := "Augusta"
	s.do("GET", "/events", nil).want(200) // an entry with an IP address
	s.seen(1)
	s.run(journal.Bind(customer.UpdateProfile{ID: s.ada, FirstName: &first}))
	blind := s.with(s.key(team.EventsView, team.ExportsEdit))
	for _, who := range []struct {
		*shop
		name, ip string
		after    string
	}{{s.shop, "Augusta Lovelace", "127.0.0.1", "Augusta"}, {blind, "•••", "•••", "•••"}} {
		a := who.do("GET", "/events?type=customer.profile_updated", nil).want(200)
		if got := a.text("data.0.targets.0.display"); got != who.name {
			t.Errorf("name: got %q, want %q", got, who.name)
		}
		if got := a.at("data.0.changes.0.after"); got != who.after {
			t.Errorf("after: got %v, want %q", got, who.after)
		}
		if got := who.do("GET", "/events?type=log.viewed", nil).want(200).at("data.0.source.ip"); got != who.ip {
			t.Errorf("ip: got %v, want %q", got, who.ip)
		}
	}
	if got := string(blind.do("GET", "/events?format=ndjson&q=lovelace", nil).want(200).Body); strings.Contains(got, "Lovelace") || strings.Contains(got, "ada@") {
		t.Errorf("a download without the permission shows a name:\n%s", got)
	}
}

func TestErasedValues(t *testing.T) {
	s := openStocked(t)
	s.run(journal.Bind(privacy.Redact{CustomerID: s.ada, ConfirmEmail: "ada@example.com"}))
	a := s.do("GET", "/customers/"+string(s.ada)+"/log?type=customer.created", nil).want(200)
	if got := a.text("data.0.targets.0.display"); got != "Erased customer" {
		t.Errorf("name: got %q", got)
	}
	erased := 0
	for _, c := range a.list("data.0.changes") {
		if v, ok := c.(map[string]any)["after"].(map[string]any); ok && v["erased"] == true {
			erased++
		}
	}
	if erased < 3 {
		t.Errorf("%d changes read as erased:\n%s", erased, a.Body)
	}
	undo := s.do("POST", "/events/"+a.text("data.0.id")+"/undo", nil)
	if undo.Status != 409 && undo.Status != 410 {
		t.Errorf("undo of an erased customer's event: %d %s", undo.Status, undo.Body)
	}
}

func TestReadingIsAnEntryOnceAnHour(t *testing.T) {
	s := openStocked(t)
	for range 3 {
		s.do("GET", "/logs/activity", nil).want(200)
		s.do("GET", "/customers/"+string(s.ada)+"/log", nil).want(200)
		s.do("GET", "/subscriptions/"+string(s.sub)+"/log", nil).want(200)
		s.do("GET", "/events", nil).want(200)
	}
	s.seen(4)
	count := func() int {
		return len(s.do("GET", "/logs/activity?type=log.viewed&limit=200", nil).want(200).list("data"))
	}
	if got := count(); got != 4 {
		t.Errorf("%d entries after four logs, want 4", got)
	}
	s.with(s.key(team.ActivityLogView)).do("GET", "/logs/activity", nil).want(200)
	s.seen(5)
	s.advance(time.Hour)
	s.do("GET", "/logs/activity", nil).want(200)
	s.seen(6)
	if got := s.do("GET", "/logs/activity?limit=200", nil).want(200).each("data", "type"); slices.Contains(got, "log.viewed") {
		t.Errorf("the list shows log.viewed unasked: %v", got)
	}
	if got := s.do("GET", "/customers/"+string(s.ada)+"/log?type=log.*", nil).want(200).list("data"); len(got) != 0 {
		t.Errorf("the customer's log shows who read it: %v", got)
	}
	a := s.do("GET", "/events?type=log.viewed&target="+string(s.sub), nil).want(200)
	if got := a.at("data.0.details"); !cmp.Equal(got, map[string]any{"log": "subscription", "customer_id": string(s.ada), "subscription_id": string(s.sub)}) {
		t.Errorf("details: %v", got)
	}
}

func TestDownloads(t *testing.T) {
	s := openStocked(t)
	for n := range 450 { // more than two pages
		s.run(journal.Bind(catalog.CreateProduct{ID: s.IDs.New(id.Product), Title: fmt.Sprint("=HYPERLINK ", n)}))
	}
	s.do("POST", "/events", `{"type":"external.note","source":"desk","summary":"=1+1 \u00fc","targets":["`+string(s.ada)+`"],"details":{"a":"@b"}}`).want(200)
	for _, order := range []string{"desc", "asc"} {
		a := s.do("GET", "/events?format=csv&order="+order, nil).want(200)
		if got := a.Header.Get("Content-Disposition"); got != `attachment; filename="explorer-log-2027-03-01.csv"` {
			t.Errorf("Content-Disposition: %s", got)
		}
		rows, err := csv.NewReader(strings.NewReader(string(a.Body))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(s.do("GET", "/events?format=ndjson&order="+order, nil).want(200).Body)), "\n")
		// The first download's own entry came after it, and is in the second's.
		if len(rows)-1 < 450 || len(lines) != len(rows) {
			t.Fatalf("%d rows, %d lines", len(rows)-1, len(lines))
		}
		for _, row := range rows[1:] {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
					t.Fatalf("a cell begins like a formula: %q", cell)
				}
			}
		}
		var first struct {
			Seq int64 `json:"seq"`
		}
		if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || (order == "asc") != (first.Seq == 0) {
			t.Errorf("%s begins with %d, %v", order, first.Seq, err)
		}
	}
	a := s.do("GET", "/customers/"+string(s.ada)+"/log?format=csv&type=external.note", nil).want(200)
	if !strings.Contains(string(a.Body), ",'=1+1 ü,") {
		t.Errorf("the summary is not made inert:\n%s", a.Body)
	}
	e := s.do("GET", "/logs/activity?type=log.exported", nil).want(200)
	if got := e.at("data.0.details"); !cmp.Equal(got, map[string]any{"log": "customer", "format": "csv", "filter": map[string]any{"order": "desc", "type": []any{"external.note"}}}) {
		t.Errorf("details of the entry: %v", got)
	}
	s.with(s.key(team.EventsView)).do("GET", "/events?format=csv", nil).want(403)
	s.do("GET", "/events?format=csv&cursor=x", nil).want(400)
}

func TestPermissions(t *testing.T) {
	s := openStocked(t)
	nobody := s.with(s.key(team.AnalyticsView))
	for _, path := range []string{"/logs/activity", "/customers/" + string(s.ada) + "/log", "/subscriptions/" + string(s.sub) + "/log", "/events", "/events/stream",
		"/events/" + string(id.Event(s.Store.Shop, 0)), "/events/" + string(id.Event(s.Store.Shop, 0)) + "/receipt", "/checkpoint", "/checkpoints", "/proofs/inclusion?seq=0&size=1",
		"/proofs/consistency?from=1&to=1"} {
		if a := nobody.do("GET", path, nil).want(403); a.code() != "forbidden" {
			t.Errorf("%s: got %s", path, a.code())
		}
	}
	nobody.do("POST", "/events", `{"type":"external.x","source":"s"}`).want(403)
	nobody.do("POST", "/events/"+string(s.pause())+"/undo", nil).want(403)
	if got := s.do("GET", "/events?type=access.denied", nil).want(200).list("data"); len(got) == 0 {
		t.Error("no refusal has an entry")
	}
	s.with("").do("GET", "/events", nil).want(401)
}

func TestUndo(t *testing.T) {
	s := openStocked(t)
	pause := s.pause()
	a := s.do("POST", "/events/"+string(pause)+"/undo", map[string]any{"comment": "By mistake"}, "Idempotency-Key: u1", `If-Match: "2"`).want(200)
	if a.text("data.id") != string(s.sub) || a.text("data.status") != "active" || a.text("events.0.type") != "subscription.resumed" || a.Header.Get("ETag") != `"3"` {
		t.Errorf("answer: %s", a.Body)
	}
	again := s.do("POST", "/events/"+string(pause)+"/undo", map[string]any{"comment": "By mistake"}, "Idempotency-Key: u1", `If-Match: "2"`).want(200)
	if string(again.Body) != string(a.Body) {
		t.Errorf("the same request again: %s", again.Body)
	}
	e := s.do("GET", "/events/"+a.text("events.0.id"), nil).want(200)
	if e.text("data.corrects") != string(pause) || e.text("data.comment") != "By mistake" || e.text("data.actor.display") != "Test key" {
		t.Errorf("the event: %s", e.Body)
	}
	if a := s.do("POST", "/events/"+string(pause)+"/undo", nil).want(409); a.code() != "undone_already" {
		t.Errorf("undo again: %s", a.code())
	}
	if got := s.do("GET", "/events/"+string(pause), nil).want(200).at("data.undo"); !cmp.Equal(got, map[string]any{"possible": false, "reason": "This was undone already."}) {
		t.Errorf("undo: %v", got)
	}
	s.do("POST", "/events/"+string(s.pause())+"/undo", nil, `If-Match: "2"`).want(412)
	s.do("POST", "/events/evt_x/undo", nil).want(404)

	title := "Espresso"
	renamed := s.run(journal.Bind(catalog.UpdateProduct{ID: s.product, Title: &title})).Events[0].ID
	support := s.with(s.key(team.SubscriptionsEdit, team.ProductsEdit))
	if a := support.do("POST", "/events/"+string(renamed)+"/undo", nil).want(403); !strings.Contains(a.text("detail"), string(team.ActivityLogEdit)) {
		t.Errorf("an entry of the activity log: %s", a.Body)
	}
	if support.do("POST", "/events/"+string(s.pauseUndone())+"/undo", nil).want(200).text("data.status") != "active" {
		t.Error("the subscription is not active")
	}
}

func (s stocked) pauseUndone() id.ID {
	return id.ID(s.do("GET", "/events?type=subscription.paused&limit=1", nil).want(200).text("data.0.id"))
}

func TestCatalogue(t *testing.T) {
	s := openShop(t)
	a := s.do("GET", "/event-types", nil).want(200)
	if got, want := len(a.list("data")), len(journal.Types()); got != want {
		t.Errorf("%d types, want %d", got, want)
	}
	if !slices.Contains(a.each("data", "type"), "external.*") {
		t.Error("external.* is missing")
	}
}

func TestErrorsAreProblems(t *testing.T) {
	s := openShop(t)
	s.do("GET", "/nothing", nil).want(404)
	if a := s.do("PUT", "/events", nil).want(405); mediaType(a.Header) != "application/problem+json" {
		t.Errorf("content type: %s", mediaType(a.Header))
	}
}
