// Package access is the one table of routes of all faces: what is asked before a request is answered. A Mux takes no route without its
// row, no face makes a router of its own (internal/test/archtest), and docs/routes.md is the table of a running server.
// internal/test/routes walks it with everybody who may come.
package access

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"perennial/internal/journal"
	"perennial/internal/team"
)

// Who is whom a route answers.
type Who int

// Who may use a route. The zero Who is nobody: a route that does not say is refused.
const (
	_          Who = iota
	Anyone         // needs no session and no key
	LinkHolder     // the secret in the address is the right
	KeyHolder      // an API key with every permission of Needs
	Member         // somebody of the team who is signed in: their own account, or what every page shows
	Permitted      // somebody of the team with every permission of Needs
	Customer       // a customer who is signed in, or a member of the team who looks on as them
	Alone          // the customer themselves, and nobody who looks on
	Gateway        // who signs as the payment gateway
	Operator       // this machine, a private network, or the listener for metrics
)

var names = map[Who]string{Anyone: "anyone", LinkHolder: "whoever has the link", KeyHolder: "API key", Member: "team member", Permitted: "team member", Customer: "customer, or a member looking on",
	Alone: "customer alone", Gateway: "the gateway's signature", Operator: "operator's network"}

func (w Who) String() string { return names[w] }

// Route is a row of the table.
type Route struct {
	Pattern string // "POST /team/{id}/role"
	Who     Who
	Needs   []team.Permission // all of them; of KeyHolder and Permitted
	Besides string            // what only some requests need, in words
	// Fresh says that a session alone is not enough: the caller shows again who they are.
	Fresh  bool
	Events []journal.Name // types that it may make, besides refusals
	Stream bool           // the answer goes on until one side ends it
}

// Split gives method and path of a pattern; the method is "" for a pattern of any.
func (r Route) Split() (method, path string) {
	method, path, ok := strings.Cut(r.Pattern, " ")
	if !ok {
		return "", r.Pattern
	}
	return method, path
}

// Lacks gives the first permission of the route that a set does not hold; empty when it holds them all.
func (r Route) Lacks(has team.Set) team.Permission {
	for _, p := range r.Needs {
		if !has.Allows(p) {
			return p
		}
	}
	return ""
}

// check gives what is wrong with a row.
func (r Route) check() error {
	switch {
	case r.Who.String() == "":
		return fmt.Errorf("access: %s does not say who may use it", r.Pattern)
	case (r.Who == Permitted) != (len(r.Needs) > 0) && r.Who != KeyHolder:
		return fmt.Errorf("access: %s: permissions are for members and keys, and %v has %v", r.Pattern, r.Who, r.Needs)
	}
	for _, p := range r.Needs {
		if !team.Known(p) {
			return fmt.Errorf("access: %s needs %q, which is no permission", r.Pattern, p)
		}
	}
	for _, e := range r.Events {
		if _, ok := journal.Lookup(e); !ok {
			return fmt.Errorf("access: %s makes %s, which is not in the catalogue", r.Pattern, e)
		}
	}
	return nil
}

// Mux is a router whose every route is a row.
type Mux struct {
	under string // where the routes are, from the root of the server
	mux   *http.ServeMux
	rows  []Route
}

// NewMux makes a router. Its routes are rows below a path: "" for those whose patterns begin at the root.
func NewMux(under string) *Mux { return &Mux{under: under, mux: http.NewServeMux()} }

// Handle registers a route. A row that does not say enough is a mistake in the program.
func (m *Mux) Handle(r Route, h http.Handler) {
	if err := r.check(); err != nil {
		panic(err)
	}
	m.mux.Handle(r.Pattern, h)
	if method, path := r.Split(); m.under != "" {
		r.Pattern = strings.TrimSpace(method + " " + m.under + path)
	}
	m.rows = append(m.rows, r)
}

// Rows is a face: it says what its routes are.
type Rows interface{ Routes() []Route }

// Mount puts a face under patterns; without any, under those of its routes. Its rows become rows of this table; a face without any is
// refused.
func (m *Mux) Mount(of Rows, h http.Handler, patterns ...string) {
	rows := of.Routes()
	if len(rows) == 0 {
		panic(fmt.Sprintf("access: nobody says what %T answers", of))
	}
	if len(patterns) == 0 {
		for _, r := range rows {
			patterns = append(patterns, r.Pattern)
		}
	}
	for _, p := range patterns {
		m.mux.Handle(p, h)
	}
	m.rows = append(m.rows, rows...)
}

// Routes implements Rows, sorted by path.
func (m *Mux) Routes() []Route {
	return slices.SortedFunc(slices.Values(m.rows), func(a, b Route) int {
		am, ap := a.Split()
		bm, bp := b.Split()
		return cmp.Or(cmp.Compare(ap, bp), cmp.Compare(am, bm))
	})
}

// Pattern gives the pattern of the route that answers a request; "" for none.
func (m *Mux) Pattern(r *http.Request) string {
	_, pattern := m.mux.Handler(r)
	return pattern
}

// ServeHTTP implements http.Handler.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }
