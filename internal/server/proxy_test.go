package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestBehindProxies(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"198.51.100.1:4000", []string{"203.0.113.9"}, "198.51.100.1:4000"}, // nobody's proxy
		{"10.1.2.3:4000", nil, "10.1.2.3:0"},
		{"10.1.2.3:4000", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"10.1.2.3:4000", []string{"1.1.1.1, 203.0.113.9, 10.9.9.9"}, "203.0.113.9:0"}, // 1.1.1.1 is what the client says
		{"10.1.2.3:4000", []string{"1.1.1.1", "203.0.113.9"}, "203.0.113.9:0"},
		{"10.1.2.3:4000", []string{"203.0.113.9, nonsense"}, "10.1.2.3:0"},
		{"10.1.2.3:4000", []string{"203.0.113.9, nonsense, 192.0.2.7"}, "192.0.2.7:0"},
		{"10.1.2.3:4000", []string{"10.0.0.1"}, "10.0.0.1:0"},
		{"[::ffff:10.1.2.3]:4000", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"[2001:db8::1]:4000", []string{"2001:db9::5"}, "[2001:db9::5]:0"},
		{"192.0.2.8:4000", []string{"203.0.113.9"}, "192.0.2.8:4000"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tc.peer
		r.Header["X-Forwarded-For"] = tc.forwarded
		var got string
		behind(proxies, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })).ServeHTTP(httptest.NewRecorder(), r)
		if got != tc.want {
			t.Errorf("%s %q: got %s, want %s", tc.peer, tc.forwarded, got, tc.want)
		}
	}
	for _, s := range []string{"", "10.0.0.0/33", "proxy.example"} {
		if _, err := ParseProxies([]string{s}); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}
