package api_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/journal"
	"perennial/internal/subscription"
	"perennial/internal/team"
)

// pointers gives where the fields of a problem are, in its order.
func (a *answer) pointers() string {
	var at []string
	errs, _ := a.at("errors").([]any)
	for _, e := range errs {
		at = append(at, e.(map[string]any)["pointer"].(string))
	}
	return strings.Join(at, " ")
}

// A query parameter that a route does not have is refused like a field that a body does not have.
func TestQueriesAreReadStrictly(t *testing.T) {
	s := openStocked(t)
	sub := "/subscriptions/" + string(s.sub)
	for path, want := range map[string]string{
		"/subscriptions?colour=red":              "/query/colour",
		"/subscriptions?limit=5&limit=6":         "/query/limit",
		"/subscriptions?status=active&Status=x":  "/query/Status",
		"/subscriptions?q=%00":                   "/query/q",
		"/subscriptions?customer_id=cus_%FF":     "/query/customer_id",
		"/events?at=1&bogus=2":                   "/query/at /query/bogus",
		"/events?type=nope":                      "/query/type",
		"/events?actor_kind=nobody&channel=post": "/query/actor_kind /query/channel",
		"/event-types?type=x":                    "/query/type",
		"/settings/log?x=1":                      "/query/x",
		"/events/stream?limit=1":                 "/query/limit",
		"/checkpoint?size=1":                     "/query/size",
		sub + "?at=2027-03-01":                   "/query/at",
		sub + "/upcoming?count=0":                "/query/count",
		"/events?limit=0":                        "/query/limit",
		"/events?limit=-1":                       "/query/limit",
		"/events?limit=201":                      "/query/limit",
		"/proofs/inclusion":                      "/query/seq",
		"/proofs/inclusion?seq=-1":               "/query/seq",
		"/proofs/inclusion?seq=99":               "/query/seq",
		"/proofs/inclusion?seq=0&size=9999":      "/query/size",
		"/proofs/consistency?from=-1":            "/query/from",
		"/proofs/consistency?from=3&to=2":        "/query/from",
	} {
		if got := s.do("GET", path, nil).refused(422, "fields_refused").pointers(); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	s.do("GET", "/events?limit=%zz", nil).refused(400, "malformed")
	s.do("GET", "/events?cursor=%FF", nil).refused(400, "cursor_invalid")
	long := s.do("GET", "/events?cursor="+strings.Repeat("a", 600), nil).refused(400, "cursor_invalid")
	if got := long.text("title"); got != "Bad Request" {
		t.Errorf("title: got %q", got)
	}
	s.do("POST", sub+"/pause?until=2027-04-01", nil).refused(422, "fields_refused")
	s.do("GET", "/events?type=product.*&type=subscription.*&limit=200", nil).want(200)
}

// Kept are 2xx, 409 and 422, whoever refused: the body's schema, a rule, or the words of the comment.
func TestIdempotencyToTheLetter(t *testing.T) {
	s := openStocked(t)
	sub := "/subscriptions/" + string(s.sub)
	n := 0
	for _, tc := range []struct {
		method, path, body string
		status             int
		kept               bool
	}{
		{"POST", "/customers", `{"email":"new@example.com"}`, 201, true},
		{"POST", "/customers", `{"email":"ada@example.com"}`, 409, true},
		{"POST", "/customers", `{"colour":"red"}`, 422, true},
		{"POST", "/customers", `{"email":"<a> & b"}`, 422, true},
		{"POST", "/customers", `{"email":7e1}`, 422, true},
		{"POST", "/customers?x=1", `{"email":"other@example.com"}`, 422, true},
		{"POST", sub + "/items", `{"variant_id":"<b>&","quantity":1}`, 422, true},
		{"POST", sub + "/pause", `{"comment":"\u202e"}`, 422, true},
		{"PUT", sub + "/note", `{"note":""}`, 200, true},
		{"DELETE", sub + "/items/item_x", `{"comment":"No"}`, 422, true},
		{"DELETE", sub + "/items/item_x", ``, 404, false},
		{"POST", "/customers", `{"email":`, 400, false},
		{"POST", "/nothing", `{}`, 404, false},
	} {
		n++
		header := fmt.Sprintf("Idempotency-Key: k%d", n)
		first := s.do(tc.method, tc.path, tc.body, header).want(tc.status)
		again := s.do(tc.method, tc.path, tc.body, header).want(tc.status)
		same := string(first.Body) == string(again.Body) && first.Header.Get("ETag") == again.Header.Get("ETag") &&
			first.Header.Get("Location") == again.Header.Get("Location") && first.Header.Get("Content-Type") == again.Header.Get("Content-Type")
		if same != tc.kept {
			t.Errorf("%s %s %s: got the same answer %v, want %v\n%s%s", tc.method, tc.path, tc.body, same, tc.kept, first.Body, again.Body)
		}
		if !tc.kept {
			continue
		}
		for _, other := range []string{`{"comment":"Another"}`, `{"nothing":"right"}`} {
			if tc.method != "DELETE" {
				s.do(tc.method, tc.path, other, header).refused(409, "idempotency_key_reused")
			}
		}
		s.do("POST", sub+"/skip", nil, header).refused(409, "idempotency_key_reused")
	}
	// Another caller's key is another key.
	s.with(s.key(team.CustomersEdit)).do("POST", "/customers", fields{"email": "third@example.com"}, "Idempotency-Key: k1").want(201)
	s.do("POST", "/customers", fields{"email": "x@example.com"}, "Idempotency-Key: "+strings.Repeat("k", 256)).refused(400, "idempotency_key_invalid")
	s.do("POST", "/customers", fields{"email": "x@example.com"}, "Idempotency-Key: "+strings.Repeat("k", 255)).want(201)
}

// Duplicates of a request that fails wait for it too, and hear the same.
func TestDuplicatesWait(t *testing.T) {
	s := openStocked(t)
	for _, body := range []string{`{"email":"many@example.com"}`, `{"email":"ada@example.com"}`, `{"email":7}`} {
		var mu sync.Mutex
		answers := map[string]int{}
		var work sync.WaitGroup
		for range 16 {
			work.Go(func() {
				a := s.do("POST", "/customers", body, "Idempotency-Key: "+body)
				mu.Lock()
				defer mu.Unlock()
				answers[string(a.Body)]++
			})
		}
		work.Wait()
		if len(answers) != 1 {
			t.Errorf("%s: got %d answers", body, len(answers))
		}
	}
}

func TestVersions(t *testing.T) {
	s := openStocked(t)
	sub := "/subscriptions/" + string(s.sub)
	s.do("POST", sub+"/skip", nil, `If-Match: "2"`).refused(412, "stale_version")
	s.do("POST", sub+"/skip", nil, `If-Match: "none"`).refused(412, "stale_version")
	s.do("POST", "/subscriptions/sub_x/skip", nil, `If-Match: "2"`).refused(404, "unknown_subscription")
	s.do("DELETE", "/products/prod_x", nil, `If-Match: "1"`).refused(404, "unknown_product")
	s.do("PUT", "/settings/log", fields{"network_retention_months": 3}, `If-Match: "9"`).refused(412, "stale_version")
	item := s.do("GET", sub, nil).want(200).text("data.items.0.id")
	s.do("PATCH", sub+"/items/"+item, fields{"quantity": 3}, `If-Match: "9"`).refused(412, "stale_version")
	a := s.do("PATCH", sub+"/items/"+item, fields{"quantity": 3}, `If-Match: "1"`).want(200)
	if got := a.Header.Get("ETag"); got != `"2"` || a.number("data.version") != 2 {
		t.Errorf("etag %s, version %d, want 2", got, a.number("data.version"))
	}
	if got := s.do("PATCH", sub+"/items/"+item, fields{"quantity": 3}).want(200).list("events"); len(got) != 0 {
		t.Errorf("a change of nothing made %v", got)
	}
	if got := s.do("HEAD", sub, nil).want(200); got.Header.Get("ETag") != `"2"` || len(got.Body) != 0 {
		t.Errorf("HEAD: etag %s and %d bytes", got.Header.Get("ETag"), len(got.Body))
	}
}

// What is wrong with a body is said in words that know nothing of how it is read, at the field.
func TestBodiesAreReadStrictly(t *testing.T) {
	s := openStocked(t)
	sub := "/subscriptions/" + string(s.sub)
	for _, tc := range []struct {
		method, path, body string
		status             int
		at, detail         string
	}{
		{"POST", "/customers", `{}`, 422, "/email", "Give this field."},
		{"POST", "/customers", `{"email":"a@example.com","id":"cus_1"}`, 422, "/id", "There is no such field."},
		{"POST", "/customers", `[]`, 422, "", "Give an object."},
		{"POST", "/customers", `{"email":1}`, 422, "/email", "Give a text."},
		{"POST", "/customers", `{"email":"a@example.com","tags":"x"}`, 422, "/tags", "Give a list."},
		{"POST", "/customers", `{"email":"a@example.com","first_name":"a\u202eb"}`, 422, "/first_name", "This holds a character that turns the direction of text (U+202E)."},
		{"POST", sub + "/items", `{"variant_id":"` + string(s.variant) + `","quantity":1e30}`, 422, "/quantity", "Give a whole number of at most 2^53 - 1, without a point or an exponent."},
		{"POST", sub + "/items", `{"variant_id":"` + string(s.variant) + `","quantity":1.0}`, 422, "/quantity", "Give a whole number of at most 2^53 - 1, without a point or an exponent."},
		{"POST", sub + "/items", `{"variant_id":"` + string(s.variant) + `","quantity":-1}`, 422, "/quantity", "A quantity is 1 to 999."},
		{"POST", sub + "/items", `{"variant_id":"` + string(s.variant) + `","quantity":"1"}`, 422, "/quantity", "Give a whole number."},
		{"POST", sub + "/items", `{"variant_id":"var_\u0000","quantity":1}`, 422, "/variant_id", "*"},
		{"PUT", sub + "/delivery-price", `{"delivery_price":{"amount":9223372036854775808,"currency":"EUR"}}`, 422, "/delivery_price/amount", "*"},
		{"PUT", sub + "/delivery-price", `{"delivery_price":{"amount":1,"currency":"USD"}}`, 422, "/delivery_price/currency", "The price must be in EUR."},
		{"POST", sub + "/pause", `{"until":"2027-02-29"}`, 422, "/until", "Give a day such as 2027-03-03."},
		{"POST", sub + "/pause", `{"until":"0000-01-01"}`, 422, "/until", "Give a day such as 2027-03-03."},
		{"POST", sub + "/pause", `{"comment":"` + strings.Repeat("x", 2001) + `"}`, 422, "/comment", "Give at most 2000 characters."},
		{"DELETE", sub + "/items/item_x", `{"comment":"x"}`, 422, "", "A DELETE takes no body: its comment is a query parameter."},
		{"POST", "/discounts", `{"code":"A","kind":"percentage","value":10,"ends_at":"2027-03-03T00:00:00"}`, 422, "/ends_at", "*"},
	} {
		a := s.do(tc.method, tc.path, tc.body).want(tc.status)
		if got := a.pointers(); got != tc.at || tc.detail != "*" && a.text("errors.0.detail") != tc.detail {
			t.Errorf("%s: got %s %q, want %s %q", a.request+" "+tc.body, got, a.text("errors.0.detail"), tc.at, tc.detail)
		}
		if strings.Contains(string(a.Body), "json:") || strings.Contains(string(a.Body), "Go ") {
			t.Errorf("%s: the answer tells of the inside: %s", a.request, a.Body)
		}
	}
	for _, body := range []string{`{`, `{} {}`, `{"comment":"a","comment":"b"}`, "{\"comment\":\"\xff\"}", `{"comment":"\ud800"}`, strings.Repeat("[", 40) + strings.Repeat("]", 40)} {
		s.do("POST", sub+"/pause", body).refused(400, "malformed")
	}
	s.do("POST", sub+"/pause", `{"comment":"`+strings.Repeat("x", 1<<20)+`"}`).refused(413, "too_large")
	s.do("POST", "/events", strings.Repeat("\n", 64<<20+1), "Content-Type: application/x-ndjson").refused(413, "too_large")
	s.do("POST", "/events", nil).refused(400, "malformed")
	s.do("POST", "/customers", `{"email":"a@example.com"`, "Content-Type: application/x-ndjson").refused(400, "malformed")
	s.do("POST", "/customers", `{"email":"a@example.com"}`, "Content-Type: application/x-ndjson").want(201)
	for _, path := range []string{"", "/", "/nothing", "/subscriptions/", "/settings/nothing", "/subscriptions/%00", "/subscriptions/%FF", "/customers/" + string(s.sub), "/events/evt_1", "/events/evt_1/receipt"} {
		if a := s.do("GET", path, nil).want(404); a.text("request_id") != a.Header.Get("X-Request-Id") {
			t.Errorf("%q: request_id %s, header %s", path, a.text("request_id"), a.Header.Get("X-Request-Id"))
		}
	}
	for _, method := range []string{"OPTIONS", "PUT", "PATCH"} {
		if got := s.do(method, "/events", nil).refused(405, "method_not_allowed").Header.Get("Allow"); got != "GET, HEAD, POST" {
			t.Errorf("%s: allow %q", method, got)
		}
	}
}

// A look at the headers of a download downloads nothing.
func TestHeadOfADownload(t *testing.T) {
	s := openShop(t)
	s.do("HEAD", "/events?format=csv", nil).want(200)
	s.do("HEAD", "/events?format=ndjson", nil).want(200)
	if got := s.do("GET", "/events?type=log.exported", nil).want(200).list("data"); len(got) != 0 {
		t.Errorf("it made %d entries", len(got))
	}
}

func TestFiltersOfSubscriptions(t *testing.T) {
	s := openStocked(t)
	tea := s.shop.variant(s.shop.product("Tea"), "100 g", 500)
	second := s.shop.subscription(s.customer("bob@example.com"), tea)
	s.run(journal.Bind(subscription.Pause{ID: second}))
	first := string(s.sub)
	for query, want := range map[string][]string{
		"":                                 {string(second), first},
		"?status=paused":                   {string(second)},
		"?customer_id=" + string(s.ada):    {first},
		"?product_id=" + string(s.product): {first},
		"?product_id=%25":                  nil,
		"?next_billing_from=2027-04-01&next_billing_to=2027-04-02":  {first},
		"?next_billing_from=2027-04-02":                             nil,
		"?next_billing_to=2027-04-01":                               nil,
		"?q=ada%40example.com":                                      {first},
		"?q=" + string(second):                                      {string(second)},
		"?q=Lovelace":                                               {string(second), first},
		"?status=active&product_id=" + string(s.product) + "&q=Ada": {first},
	} {
		if diff := cmp.Diff(want, s.do("GET", "/subscriptions"+query, nil).want(200).each("data", "id")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}
