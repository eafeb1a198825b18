package auth

import (
	"net"
	"net/http"
	"net/netip"
)

// Address gives the address that a request comes from, without its port. The server has put the client's there when trusted proxies
// passed the request on.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Network gives where a request comes from as limits see it: an IPv4 address, or of IPv6 the half that one customer of a provider has.
func Network(r *http.Request) string {
	address := Address(r)
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return address
	}
	return NetworkOf(ip)
}

// NetworkOf is Network for an address.
func NetworkOf(ip netip.Addr) string {
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return ip.String()
	}
	return p.Addr().String()
}
