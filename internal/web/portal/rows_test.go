package portal

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/notify"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/test/shop"
)

// sql runs a statement as somebody does who has the database and no keys.
func (w *world) sql(text string, args ...any) {
	w.t.Helper()
	if _, err := w.Shell(text, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) customer(who id.ID) *customer.Customer {
	w.t.Helper()
	c, err := journal.Get[customer.Customer](program.NewReader(w.t.Context(), w.Store, w.Store.Read), journal.Customer, who)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// portalLink has a link made for a customer, as the API makes it, and gives its address and id.
func (w *world) portalLink(who id.ID) (string, id.ID) {
	w.t.Helper()
	c := customer.PortalLink{CustomerID: who, SignInID: w.IDs.New(id.SignIn), ExpiresAt: w.clock().Add(10 * time.Minute)}
	if _, err := w.Program.Do(w.t.Context(), &program.Request{Meta: shop.System, Command: journal.Bind(c), Machinery: func(b *store.Batch) error {
		return b.PutLink(store.Link{ID: c.SignInID, Purpose: store.PortalLink, Owner: journal.Ref{Kind: journal.Customer, ID: who},
			Basis: notify.Mailbox(w.Store, w.customer(who)), ExpiresAt: c.ExpiresAt}, "secret")
	}}); err != nil {
		w.t.Fatal(err)
	}
	return "/portal/link/" + string(c.SignInID) + ".secret", c.SignInID
}

// TestAForgedLinkOpensNothing gives a link of Ben's to Ada, and makes one out of nothing.
func TestAForgedLinkOpensNothing(t *testing.T) {
	w := newWorld(t)
	his, _ := w.portalLink(w.ben)
	hers, sent := w.portalLink(w.ada)
	w.sql(`UPDATE link SET owner_id = $1`, string(w.ada))
	w.want(w.visitor().post(his), 410, his)
	w.sql(`UPDATE link SET opens = (SELECT opens FROM link WHERE id <> $1), id = 'sgn_01mg5m5vg0ekht81eq37hjbc0c' WHERE id = $1`, string(sent))
	for _, path := range []string{hers, "/portal/link/sgn_01mg5m5vg0ekht81eq37hjbc0c.secret", "/portal/link/", "/portal/link/x.y"} {
		if s := w.visitor().post(path); s.path == "/portal" {
			t.Errorf("%s signs in", path)
		}
	}
}

// TestALinkIsGoodOnceWhateverItsRowSays puts back what using a link spent, as it was before.
func TestALinkIsGoodOnceWhateverItsRowSays(t *testing.T) {
	w := newWorld(t)
	link, key := w.portalLink(w.ada)
	putBack := w.Copy("link")
	v := w.visitor()
	w.want(v.post(link), 200, "/portal", "Hello Ada")
	// Everything that is done came from the link, whose entry says who made it.
	v.post("/portal/subscriptions/"+string(w.hers)+"/skip", "date", "2027-04-03", "version", "1")
	if e, made := w.last("subscription.order_skipped"), w.last("customer.magic_link_created"); e.CausationID != made.ID || made.Target().ID != key {
		t.Errorf("the entry is caused by %q, not %q", e.CausationID, made.ID)
	}
	w.sql(`DELETE FROM spent`)
	w.sql(`DELETE FROM session`)
	putBack()
	w.want(w.visitor().post(link), 410, link, "over")

	mailed := w.link("skip", "2027-05-03")
	w.want(w.visitor().post(mailed), 200, mailed, "Done")
	w.sql(`DELETE FROM spent`)
	may, err := civil.Parse("2027-05-03")
	if err != nil {
		t.Fatal(err)
	}
	w.Do(journal.Bind(subscription.Unskip{ID: w.hers, Date: may}))
	w.want(w.visitor().post(mailed), 410, mailed, "already")
}

// TestACodeHasFiveTriesWhateverIsSpent forgets the tries of a code.
func TestACodeHasFiveTriesWhateverIsSpent(t *testing.T) {
	w := newWorld(t)
	v := w.visitor()
	v.post("/portal/signin", "email", "ada@example.com")
	code := w.code()
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	for range codeTries {
		w.want(v.post("/portal/code", "code", wrong), 422, "/portal/code")
		w.sql(`DELETE FROM spent`)
	}
	w.want(v.post("/portal/code", "code", code), 429, "/portal/code")
}

// TestASessionThatEndedStaysSo puts the row of a session back as it was before the sign-out, and shows it off as another's.
func TestASessionThatEndedStaysSo(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	base, err := url.Parse(w.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	cookies := v.client.Jar.Cookies(base)
	putBack := w.Copy("session")
	w.sql(`UPDATE session SET owner_id = $1`, string(w.ben))
	w.want(w.with(cookies).get("/portal"), 200, "/portal/signin")
	w.sql(`UPDATE session SET owner_id = $1`, string(w.ada))
	w.want(v.get("/portal"), 200, "/portal", "Hello Ada")
	w.want(v.post("/portal/signout"), 200, "/portal/signin")
	putBack()
	w.want(w.with(cookies).get("/portal"), 200, "/portal/signin")
}

// TestAMemberWhoUsesACustomersLink is a browser that is signed in to the Dashboard.
func TestAMemberWhoUsesACustomersLink(t *testing.T) {
	w := newWorld(t)
	member := w.olga()
	signedIn := member
	w.p.Member = func(*http.Request) (id.ID, error) { return signedIn, nil }
	link, _ := w.portalLink(w.ada)
	v := w.visitor()
	w.want(v.post(link), 200, "/portal", "You see the portal as ada@example.com")
	v.post("/portal/subscriptions/"+string(w.hers)+"/skip", "date", "2027-04-03", "version", "1")
	mailed := w.link("skip", "2027-05-03")
	w.want(w.visitor().post(mailed), 200, mailed, "Done")
	for _, typ := range []string{"customer.logged_in", "subscription.order_skipped", "customer.quick_action_used"} {
		if e := w.last(journal.Name(typ)); e.Actor.ID != string(member) || e.OnBehalfOf == nil || e.OnBehalfOf.ID != string(w.ada) {
			t.Errorf("%s is by %+v on behalf of %+v", typ, e.Actor, e.OnBehalfOf)
		}
	}
	signedIn = "mem_gone"
	link, _ = w.portalLink(w.ada)
	w.want(w.visitor().post(link), 403, link, "in this browser")
}

// TestACodeGoesToNobodyElse replaces the customer in a message that waits with a code.
func TestACodeGoesToNobodyElse(t *testing.T) {
	w := newWorld(t)
	v := w.visitor()
	v.post("/portal/signin", "email", "ada@example.com")
	w.sql(`UPDATE outbox SET body = replace(body, $1, $2) WHERE state = 'queued'`, string(w.ada), string(w.ben))
	if err := w.letters.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, m := range w.mail.sent {
		if strings.HasPrefix(m.To, "ben@") && strings.Contains(m.Subject+m.Text, "code") {
			t.Errorf("Ada's code was sent to %s: %s", m.To, m.Subject)
		}
	}
}
