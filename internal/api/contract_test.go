package api_test

import (
	"strings"
	"testing"
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
		"/proofs/consistency?from=0":             "/query/from",
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
