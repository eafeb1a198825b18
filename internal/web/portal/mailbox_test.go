package portal

import (
	"testing"

	"perennial/internal/customer"
	"perennial/internal/journal"
	"perennial/internal/notify"
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
