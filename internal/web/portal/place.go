package portal

import (
	"bytes"
	"net/http"
	"strings"

	"perennial/internal/fault"
)

// home is where the Portal is unless a reverse proxy puts it elsewhere, and where its routes are.
const home = "/portal"

// Below a path of a store's own site ("https://store.example/account") every address of the Portal begins with that path, those of its style
// sheet and script too, because /assets is the store's there. The routes stay what they are: requests are taken off the path before
// they are looked up, and addresses put on it when a page or a redirect leaves. Pages are made of templates that quote every
// attribute, and a text cannot hold a quote, so an address is known by ="/portal.

// placed gives a page with its addresses as they are from outside.
func (p *Portal) placed(page []byte) []byte {
	if p.base == home {
		return page
	}
	for _, attr := range []string{`href="`, `action="`, `src="`, `hx-get="`, `hx-post="`} {
		for _, rest := range []string{`"`, `/`, `?`, `#`} {
			page = bytes.ReplaceAll(page, []byte(attr+home+rest), []byte(attr+p.base+rest))
		}
		page = bytes.ReplaceAll(page, []byte(attr+`/assets/`), []byte(attr+p.base+`/assets/`))
	}
	return page
}

// outside is an address of the Portal as it is from outside.
func (p *Portal) outside(address string) string {
	if rest, ok := strings.CutPrefix(address, home); ok && (rest == "" || strings.ContainsAny(rest[:1], "/?#")) {
		return p.base + rest
	}
	return address
}

// Base is the path that the Portal is under, from outside: "/portal", or that of Config.PortalURL.
func (p *Portal) Base() string { return p.base }

// inside takes requests off the path that they come under. assets answers for style sheet and script.
func (p *Portal) inside(next, assets http.Handler) http.Handler {
	if p.base == home {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.Path, p.base)
		if !ok || rest != "" && rest[0] != '/' {
			next.ServeHTTP(w, r)
			return
		}
		inner := r.Clone(r.Context())
		if strings.HasPrefix(rest, "/assets/") {
			inner.URL.Path = rest
			assets.ServeHTTP(w, inner)
			return
		}
		inner.URL.Path, inner.URL.RawPath = home+strings.TrimSuffix(rest, "/"), ""
		next.ServeHTTP(w, inner)
	})
}

// CheckAncestors refuses what cannot stand in a Content-Security-Policy: sources are 'self' or origins such as https://store.example or
// https://*.store.example.
func CheckAncestors(list []string) error {
	for _, s := range list {
		host, ok := strings.CutPrefix(s, "https://")
		if !ok {
			host, ok = strings.CutPrefix(s, "http://")
		}
		if s != "'self'" && (!ok || host == "" || strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-:*") != "" || strings.ContainsAny(host, " ;,'\"/")) {
			return fault.New(fault.Refused, "frame_ancestors", "--frame-ancestors takes origins such as https://store.example, or 'self': %q is neither.", s)
		}
	}
	return nil
}
