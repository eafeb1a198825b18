package portal

import (
	"strings"
	"testing"
	"time"

	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/notify"
	"perennial/internal/test/shop"
)

// TestAnotherMailboxSignsOut changes the e-mail address of a customer: who reads the mailbox before has no session, code or link any more.
func TestAnotherMailboxSignsOut(t *testing.T) {
	w := newWorld(t)
	borrowed, waiting := w.signIn("ada@example.com"), w.visitor()
	waiting.post("/portal/signin", "email", "ada@example.com")
	w.deliver()
	code := w.code()
	link, _ := w.portalLink(w.ada)
	looks, _ := w.looksOn()
	change := func(email string) { w.Do(journal.Bind(customer.UpdateProfile{ID: w.ada, Email: &email})) }
	change("ADA@example.com")
	w.want(borrowed.get("/portal"), 200, "/portal", "Hello Ada")
	change("new@example.com")
	w.want(borrowed.get("/portal"), 200, "/portal/signin")
	w.want(borrowed.post("/portal/undo/"+string(w.last(journal.CustomerEmailChanged).ID)), 200, "/portal/signin")
	w.want(waiting.post("/portal/code", "code", code), 422, "/portal/code", "This code is too old")
	w.want(w.visitor().post(link), 410, link, "over")
	w.want(looks.get("/portal"), 200, "/portal", "You see the portal as new@example.com")
	w.want(w.signIn("new@example.com").get("/portal/account"), 200, "/portal/account", "new@example.com")
	if list, err := notify.Sessions(t.Context(), w.Store, w.customer(w.ada), w.clock()); err != nil || len(list) != 2 { // the new one, and the look
		t.Errorf("%d sessions: %v", len(list), err)
	}
}

// TestAnAddressThatIsPutBackBringsNobodyBack undoes the change of an address, and changes it back by hand: who read the mailbox before gets
// in again by what the customer does, and by nothing from before.
func TestAnAddressThatIsPutBackBringsNobodyBack(t *testing.T) {
	for name, putBack := range map[string]func(w *world){
		"by an undo": func(w *world) {
			w.Do(journal.Bind(kinds.Undo{Event: w.last(journal.CustomerEmailChanged).ID, Actor: shop.System.Actor}))
		},
		"by hand": func(w *world) {
			w.Do(journal.Bind(customer.UpdateProfile{ID: w.ada, Email: new("ada@example.com")}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			borrowed, waiting := w.signIn("ada@example.com"), w.visitor()
			waiting.post("/portal/signin", "email", "ada@example.com")
			w.deliver()
			code := w.code()
			link, _ := w.portalLink(w.ada)
			ada := w.customer(w.ada)
			quick, err := w.p.QuickLink(notify.Link{Action: "skip", Customer: w.ada, Email: ada.Email.Value, EmailSince: ada.EmailChangedAt, Subscription: w.hers,
				Message: w.IDs.New(id.Message), Expires: w.clock().Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			_, path, _ := strings.Cut(quick, "/portal")
			path = "/portal" + path
			w.want(w.visitor().get(path), 200, path)
			w.Do(journal.Bind(customer.UpdateProfile{ID: w.ada, Email: new("new@example.com")}))
			putBack(w)
			if got := w.customer(w.ada).Email.Value; got != "ada@example.com" {
				t.Fatalf("the address is %s", got)
			}
			w.want(borrowed.get("/portal"), 200, "/portal/signin")
			w.want(waiting.post("/portal/code", "code", code), 422, "/portal/code", "This code is too old")
			w.want(w.visitor().post(link), 410, link, "over")
			w.want(w.visitor().get(path), 410, path, "over")
			w.want(w.signIn("ada@example.com").get("/portal/account"), 200, "/portal/account", "ada@example.com")
		})
	}
}
