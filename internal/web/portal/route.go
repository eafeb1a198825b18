package portal

import (
	"net/http"
	"slices"
	"strings"

	"perennial/internal/access"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/program"
)

// Who may use a route.
const (
	everybody  = access.Anyone     // also without a session
	withLink   = access.LinkHolder // the same, with a link that was mailed
	subscriber = access.Customer   // a customer, or a member of the team who looks on as them
	alone      = access.Alone      // the customer, and nobody who looks on
)

// route is what every registration says about itself.
type route struct {
	pattern string // "POST /portal/subscriptions/{id}/skip"
	who     access.Who
	events  []journal.Name // the types that it may make; a POST without them changes nothing that has a state
	// looks says that the first look is an event: at a link, and at a cancel flow.
	looks bool
}

// check refuses a registration that does not say enough.
func (r route) check() {
	method, _, _ := strings.Cut(r.pattern, " ")
	switch {
	case method != http.MethodGet && method != http.MethodPost:
		panic("portal: " + r.pattern + ": a page is read with GET and sent with POST")
	case r.who != everybody && r.who != withLink && r.who != subscriber && r.who != alone:
		panic("portal: " + r.pattern + " does not say who may use it")
	case method == http.MethodGet && len(r.events) > 0 && !r.looks:
		panic("portal: " + r.pattern + ": reading a page makes no event")
	}
}

// row is the route in the table of all faces.
func (r route) row() access.Route {
	return access.Route{Pattern: r.pattern, Who: r.who, Events: r.events}
}

// open says that nobody has to be signed in.
func (r route) open() bool { return r.who == everybody || r.who == withLink }

// undoEvents are those of taking back what a customer did. Their e-mail address, with which they get in, only the store changes.
func undoEvents() []journal.Name {
	return slices.DeleteFunc(kinds.UndoTypes(), func(typ journal.Name) bool {
		kind, _, _ := strings.Cut(string(typ), ".")
		return typ == journal.CustomerEmailChanged || !slices.Contains([]string{"subscription", "customer", "address", "payment_method"}, kind)
	})
}

// announced logs what a route made and did not say that it would.
func (c *call) announced(events []program.Done) {
	for _, e := range events {
		if !slices.Contains(c.route.events, e.Type) {
			c.Log.Error("a route made an event that it did not announce", "route", c.route.pattern, "type", e.Type)
		}
	}
}
