package dashboard

import (
	"net/http"
	"net/url"
	"testing"

	"perennial/internal/auth"
)

// FuzzInside: wherever somebody is sent after signing in, a browser stays here.
func FuzzInside(f *testing.F) {
	for _, s := range []string{"/", "/team?a=b", "//evil.example", `/\evil.example`, "https://evil.example", "/%2f/evil", "/\t/evil.example", ""} {
		f.Add(s)
	}
	base := &url.URL{Scheme: "https", Host: "shop.example", Path: "/signin"}
	f.Fuzz(func(t *testing.T, next string) {
		to, err := base.Parse(inside(next))
		if err != nil || to.Scheme != "https" || to.Host != "shop.example" {
			t.Errorf("%q leads to %v, %v", next, to, err)
		}
	})
}

// FuzzDevice: no cookie that somebody makes up is a mark of ours, and none breaks the reading.
func FuzzDevice(f *testing.F) {
	w := newWorld(f, auth.ProviderConfig{})
	f.Add("")
	f.Add("AAAA")
	f.Add("8w5Tn1erTZWjWcGBnX6QvdTAZKyuTL1YABqRQgNL0ELE25Ib1DjNKSzrd_4KIQF02hRP7Fu3c7ORsvpYt5Hmi9uuzMEpmBZcAIltA3BiiTcZknBad00xicBbtBWYpEg3")
	f.Fuzz(func(t *testing.T, value string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.AddCookie(&http.Cookie{Name: deviceCookie, Value: value})
		if dev := (&call{Dashboard: w.d, r: r}).knownDevice("mem_x"); dev != "" {
			t.Errorf("%q is the device %s", value, dev)
		}
	})
}
