package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"perennial/internal/fault"
)

// ParseProxies reads the networks of proxies that are trusted: CIDRs, or single addresses.
func ParseProxies(networks []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range networks {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil {
				p, err = a.Prefix(a.BitLen())
			}
		}
		if err != nil {
			return nil, fault.New(fault.Refused, "trusted_proxy", "--trusted-proxy takes networks such as 10.0.0.0/8, or addresses: %q is neither.", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// behind gives a request that came through trusted proxies the address of the client: the last one of X-Forwarded-For that
// is not a proxy's. What stands before it was written by the client, who can write anything. Nobody else is asked
// where a request comes from.
func behind(proxies []netip.Prefix, next http.Handler) http.Handler {
	if len(proxies) == 0 {
		return next
	}
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !trusted(peer.Addr().Unmap()) {
			next.ServeHTTP(w, r)
			return
		}
		client := peer.Addr().Unmap()
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for _, hop := range slices.Backward(hops) {
			a, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				break // the one who wrote the hop after it is the last that is known
			}
			if client = a.Unmap(); !trusted(client) {
				break
			}
		}
		r.RemoteAddr = net.JoinHostPort(client.String(), "0")
		next.ServeHTTP(w, r)
	})
}
