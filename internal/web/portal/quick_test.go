package portal

import (
	"strings"
	"testing"
	"time"

	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/notify"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

func (w *world) link(action, date string) string {
	w.t.Helper()
	row, err := w.Store.Load(w.t.Context(), w.Store.Read, journal.Ref{Kind: journal.Customer, ID: w.ada})
	if err != nil {
		w.t.Fatal(err)
	}
	to := row.State.(*customer.Customer).Email.Value
	at, err := w.p.QuickLink(notify.Link{Action: action, Customer: w.ada, Email: to, EmailSince: w.customer(w.ada).EmailChangedAt, Subscription: w.hers, Message: w.IDs.New(id.Message), Date: date, Expires: w.clock().Add(time.Hour)})
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimPrefix(at, w.http.URL)
}

func TestQuickActions(t *testing.T) {
	w := newWorld(t)
	v := w.visitor() // nobody is signed in
	skip := w.link("skip", "2027-04-03")
	for range 2 { // looking uses nothing up, and is one entry
		w.want(v.get(skip), 200, skip, "Skip an order", "Skipped the order of 3 April 2027")
	}
	if e := w.last("customer.quick_action_viewed"); e.Source.Channel != journal.ChannelQuickAction || e.Actor.ID != string(w.ada) {
		t.Errorf("the entry: %+v", e)
	}
	w.want(v.post(skip), 200, skip, "Done")
	if e := w.last("subscription.order_skipped"); e.Source.Channel != journal.ChannelQuickAction || e.CausationID == "" {
		t.Errorf("the entry: %+v", e)
	}
	w.last("customer.quick_action_used")
	other := w.link("skip", "2027-04-03")
	w.want(v.post(other), 422, other, "already", "not possible", `href="/portal">Sign in</a>`)
	if s := v.get(other); strings.Contains(s.body, `action="`+other) || !strings.Contains(s.body, "already") {
		t.Errorf("what cannot be done is still offered:\n%s", s.body)
	}
	if s := v.post(skip); s.status != 410 && s.status != 422 {
		t.Errorf("used twice: got %d", s.status)
	}

	move := w.link("reschedule", "2027-05-03")
	w.want(v.post(move+"/preview", "next_billing_date", "2027-05-09", "rhythm", "keep"), 200, move+"/preview", "to 9 May 2027") // the form as it is filled in
	w.want(v.post(move, "next_billing_date", "2020-01-01"), 422, move, `action="`+move)                                         // another day can make it right
	w.Do(journal.Bind(subscription.Pause{ID: w.hers}))
	if s := v.get(move); strings.Contains(s.body, `action="`+move) || !strings.Contains(s.body, `href="/portal">Sign in</a>`) {
		t.Errorf("a paused subscription's order can be moved:\n%s", s.body)
	}
	w.Do(journal.Bind(subscription.Resume{ID: w.hers}))
	w.want(v.post(move, "next_billing_date", "2027-05-10", "rhythm", "keep"), 200, move, "Done") // what was refused did not use it up
	w.want(v.post(move, "next_billing_date", "2027-05-11", "rhythm", "keep"), 410, move, "used already")

	swap := func(item id.ID) string {
		at, err := w.p.QuickLink(notify.Link{Action: "swap", Item: item, Customer: w.ada, Email: "ada@example.com", Subscription: w.hers, Message: w.IDs.New(id.Message), Expires: w.clock().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(at, w.http.URL)
	}
	s, err := journal.Get[subscription.Subscription](program.NewReader(t.Context(), w.Store, w.Store.Read), journal.Subscription, w.hers)
	if err != nil {
		t.Fatal(err)
	}
	other = swap(s.Items[0].ID)
	w.want(v.get(other), 200, other, "variant_id")
	w.want(v.post(other, "variant_id", string(w.other)), 200, other, "Done")
	w.last("subscription.item_swapped")
	other = swap("item_gone")
	w.want(v.get(other), 404, other)

	// Limited to its action, its subscription, its time, and to what the store offers.
	w.want(v.get("/portal/subscriptions/"+string(w.hers)), 200, "/portal/signin")
	old := w.link("skip", "2027-06-03")
	w.pass(2 * time.Hour)
	w.want(v.get(old), 410, old, "This link is over")
	w.want(v.post(old), 410, old, "This link is over")
	w.want(v.get(skip[:len(skip)-2]+"xx"), 410, skip[:len(skip)-2]+"xx", "This link is over")
	w.Do(journal.Bind(settings.Update{Document: &settings.Portal{Actions: []string{settings.ActionPause}, MaxSkipsInRow: 1, MaxDaysAhead: 60}}))
	off := w.link("skip", "2027-06-03")
	w.want(v.post(off), 422, off, "does not offer")
}

// A link in a message is for whoever reads the address that it went to: with another address it is over, for good or until that one is back.
func TestAQuickLinkAndAnotherAddress(t *testing.T) {
	w := newWorld(t)
	w.Do(journal.Bind(subscription.Cancel{ID: w.hers}))
	w.deliver()
	_, after, _ := strings.Cut(w.mail.sent[len(w.mail.sent)-1].Text, "/portal/quick/")
	mailed := "/portal/quick/" + strings.FieldsFunc(after, func(r rune) bool { return strings.ContainsRune("> \n\r)", r) })[0]
	v := w.visitor()
	w.want(v.get(mailed), 200, mailed, "<form")
	card := w.link("card", "")
	w.Do(journal.Bind(customer.UpdateProfile{ID: w.ada, Email: new("ADA@example.com "), FirstName: new("Adele")})) // the same mailbox
	w.want(v.get(mailed), 200, mailed, "<form")
	w.Do(journal.Bind(customer.UpdateProfile{ID: w.ada, Email: new("ada@other.example")}))
	for _, at := range []string{mailed, card} {
		w.want(v.get(at), 410, at, "This link is over")
		w.want(v.post(at), 410, at, "This link is over")
	}
	fresh := w.link("card", "")
	w.want(v.get(fresh), 200, fresh, "Add a card")

	// One of the build before names no address. It may have gone to another one.
	old, err := w.p.box.Ticket(quickPurpose, notify.Link{Action: "card", Customer: w.ada, Message: w.IDs.New(id.Message), Expires: w.clock().Add(time.Hour)}, w.clock().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	w.want(v.get("/portal/quick/"+old), 410, "/portal/quick/"+old, "This link is over")
}

// A link to give another card needs no sign-in, keeps one card, once, and leads nowhere else.
func TestAQuickCard(t *testing.T) {
	w := newWorld(t)
	v := w.visitor()
	at := w.link("card", "")
	w.want(v.get(at), 200, at, "Add a card", "4242 4242 4242 4242")
	w.last("customer.quick_action_viewed")
	w.want(v.post(at, "number", "4000 0000 0000 0002", "expiry", "04/31"), 422, at, "The bank declined this card")
	w.want(v.post(at, "number", "4242 4242 4242 4242", "expiry", "02/27"), 422, at, "has expired") // what was refused did not use it up
	w.want(v.post(at, "number", "5555 5555 5555 4444", "expiry", "04/31", "use", "all"), 200, at, "Done")
	m := w.methodsOf(w.ada)
	if len(m) != 2 || m[1].Last4.Value != "4444" || w.charged(w.hers) != m[1].ID {
		t.Fatalf("%d payment methods, the last %+v", len(m), m[len(m)-1])
	}
	used := w.last("customer.quick_action_used")
	for _, typ := range []string{"payment_method.added", "payment_method.default_changed", "payment_method.default_changed"} {
		if e := w.last(journal.Name(typ)); e.Actor.ID != string(w.ada) || e.Source.Channel != journal.ChannelQuickAction || e.CausationID != used.ID {
			t.Errorf("%s: %+v", typ, e)
		}
	}
	w.want(v.post(at, "number", "4242 4242 4242 4242", "expiry", "04/31"), 410, at, "used already")
	w.want(v.get("/portal/account"), 200, "/portal/signin")

	bare, err := w.p.QuickLink(notify.Link{Action: "card", Customer: w.ben, Email: "ben@example.com", Message: w.IDs.New(id.Message), Expires: w.clock().Add(time.Hour)}) // of a card that expires
	if err != nil {
		t.Fatal(err)
	}
	bare = strings.TrimPrefix(bare, w.http.URL)
	w.want(v.get(bare), 200, bare, "Add a card")
	w.want(v.post(bare, "number", "4242 4242 4242 4242", "expiry", "04/31", "use", "none"), 200, bare, "Done")
	if n := len(w.methodsOf(w.ben)); n != 2 {
		t.Errorf("%d payment methods", n)
	}

	off := w.link("card", "")
	w.Do(journal.Bind(settings.Update{Document: &settings.Portal{Actions: []string{settings.ActionPause}, MaxSkipsInRow: 1, MaxDaysAhead: 60}}))
	w.want(v.get(off), 409, off, "does not offer")
	w.want(v.post(off, "number", "4242 4242 4242 4242", "expiry", "04/31"), 409, off, "does not offer")
	if n := len(w.methodsOf(w.ada)); n != 2 {
		t.Errorf("%d payment methods", n)
	}
}
