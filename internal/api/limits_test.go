package api_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"perennial/internal/access"
	"perennial/internal/api"
	"perennial/internal/team"
)

// limited serves the shop once more, with a limit on each key.
func (s *shop) limited(perSecond int) *shop {
	mux := access.NewMux("")
	other := *s
	other.api = api.New(api.Config{Program: s.Program, Store: s.Store, Finder: s.Finder, Log: s.Config.Log, Version: "test", Rate: perSecond}, mux)
	h := httptest.NewServer(mux)
	other.url = h.URL
	s.t.Cleanup(func() {
		other.api.Drain()
		h.Close()
	})
	return &other
}

func TestRateLimit(t *testing.T) {
	s := openShop(t)
	l := s.limited(5)
	for range 10 {
		l.do("GET", "/event-types", nil).want(200)
	}
	if a := l.do("GET", "/event-types", nil).refused(429, "too_many_requests"); a.Header.Get("Retry-After") != "1" {
		t.Errorf("retry after %q", a.Header.Get("Retry-After"))
	}
	other := l.with(s.key(team.ProductsView))
	other.do("GET", "/products", nil).want(200)
	s.advance(time.Second)
	for range 5 {
		l.do("GET", "/event-types", nil).want(200)
	}
	l.do("GET", "/event-types", nil).want(429)
}

// Keys that nobody has are counted, and make one entry when there were more than ten in a minute.
func TestGuessedKeys(t *testing.T) {
	s := openShop(t)
	stranger := s.with("key_01kaqhr7mrfxpsarm5b530yar0_guess")
	nobody := s.with("")
	for range 10 {
		stranger.do("GET", "/events", nil).refused(401, "unauthenticated")
		nobody.do("GET", "/events", nil).refused(401, "unauthenticated")
	}
	denied := func() []any {
		s.api.FlushDenials(t.Context())
		return s.do("GET", "/events?type=access.denied", nil).want(200).list("data")
	}
	if got := denied(); len(got) != 0 {
		t.Errorf("ten mistakes made %d entries", len(got))
	}
	for range 7 {
		stranger.do("POST", "/customers", nil).refused(401, "unauthenticated")
	}
	if got := denied(); len(got) != 1 {
		t.Fatalf("there are %d entries, want 1", len(got))
	}
	a := s.do("GET", "/events?type=access.denied", nil).want(200)
	if got := a.text("data.0.summary"); got != "Was refused access to the API with an unknown key (7 times)" {
		t.Errorf("summary: %s", got)
	}
	if got := a.text("data.0.actor.kind") + " " + a.text("data.0.source.ip"); got != "anonymous 127.0.0.1" {
		t.Errorf("who and from where: %s", got)
	}
	if got := denied(); len(got) != 1 {
		t.Errorf("they are recorded again")
	}
}
