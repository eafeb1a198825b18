package auth

import (
	"net/http"
	"testing"
)

func TestWhereARequestComesFrom(t *testing.T) {
	for remote, want := range map[string][2]string{
		"192.0.2.7:4711":             {"192.0.2.7", "192.0.2.7"},
		"[2001:db8:1:2:3:4:5:6]:1":   {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		"[2001:db8:1:2:9::1]:1":      {"2001:db8:1:2:9::1", "2001:db8:1:2::"},
		"[::ffff:192.0.2.7]:1":       {"::ffff:192.0.2.7", "::ffff:192.0.2.7"},
		"[fe80::1%eth0]:1":           {"fe80::1%eth0", "fe80::"},
		"/run/perennial/portal.sock": {"/run/perennial/portal.sock", "/run/perennial/portal.sock"},
	} {
		r := &http.Request{RemoteAddr: remote}
		if got := [2]string{Address(r), Network(r)}; got != want {
			t.Errorf("%s: %q, want %q", remote, got, want)
		}
	}
}
