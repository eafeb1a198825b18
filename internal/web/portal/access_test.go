package portal

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/stripe"
	"perennial/internal/program"
	"perennial/internal/team"
)

// looksOn gives a visitor who looks at the Portal as Ada, and the member who it is.
func (w *world) looksOn() (*visitor, id.ID) {
	w.t.Helper()
	owner, member := w.IDs.New(id.TeamMember), w.IDs.New(id.TeamMember)
	hash := "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
	by := journal.Actor{Kind: journal.ActorSystem, ID: "test"}
	w.Do(journal.Bind(team.FoundTeam{ID: owner, Email: "olga@example.com", Name: "Olga", PasswordHash: hash}))
	w.Do(journal.Bind(team.Invite{ID: member, Email: "ben@example.com", Role: team.Member, Permissions: &[]team.Permission{team.CustomersEdit, team.PersonalDataView}, Actor: by}))
	w.Do(journal.Bind(team.Join{ID: member, PasswordHash: hash}))
	start := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/customers/x/view-as", nil)
	meta := program.Meta{Actor: journal.Actor{Kind: journal.ActorTeamMember, ID: string(member)}, Source: journal.Origin{Channel: journal.ChannelDashboard}}
	if err := w.p.ViewAs(start, r, meta, w.ada); err != nil {
		w.t.Fatal(err)
	}
	base, err := url.Parse(w.http.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	v := w.visitor()
	v.client.Jar.SetCookies(base, start.Result().Cookies())
	return v, member
}

// A member of the team who looks on is given no secret of a payment, and sees nothing more once a permission that the look took is gone.
func TestWhatALookerMayNot(t *testing.T) {
	w := newWorld(t)
	v, member := w.looksOn()
	asked := 0
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked++
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write([]byte(`{"id":"pi_3","object":"payment_intent","client_secret":"pi_3_secret_x","status":"requires_action","payment_method":"pm_9"}`))
	}))
	t.Cleanup(api.Close)
	var err error
	if w.p.Gateway, err = stripe.New(stripe.Config{SecretKey: "sk_test", Publishable: "pk_test_1", BaseURL: api.URL}); err != nil {
		t.Fatal(err)
	}
	order, _ := w.waits(w.hers, "pi_3")
	at := "/portal/orders/" + string(order) + "/confirm"
	s := v.get(at)
	w.want(s, 409, at, "Only the customer can do this")
	if strings.Contains(s.body, "pi_3_secret_x") || asked > 0 {
		t.Errorf("somebody who looks on got the secret of the payment (%d requests):\n%s", asked, s.body)
	}
	w.want(v.get("/portal"), 200, "/portal", "You see the portal as ada@example.com")
	for _, keep := range []team.Permission{team.PersonalDataView, team.CustomersEdit} {
		w.Do(journal.Bind(team.ChangePermissions{ID: member, Permissions: &[]team.Permission{keep}, Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}}))
		w.want(v.get("/portal"), 200, "/portal/signin")
		w.want(v.get("/portal/account"), 200, "/portal/signin")
	}
}

// Who is a customer shows in nothing that an answer is: not in its text, not in the length of its cookies, and not in what was written
// before it was given.
func TestTheSignInTellsNobodyWhoIsACustomer(t *testing.T) {
	w := newWorld(t)
	length := func(s seen) (n int) {
		for name, values := range s.header {
			n += len(name) + len(strings.Join(values, ""))
		}
		return n + len(s.body)
	}
	known, unknown := w.visitor(), w.visitor()
	for _, v := range []*visitor{known, unknown} {
		v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	// Nothing is done after the answers now: what is written was written before.
	for range laterLimit {
		w.p.under <- struct{}{}
	}
	head := w.Program.Head()
	compare := func(what string, a, b seen) {
		t.Helper()
		if a.status != b.status || length(a) != length(b) {
			t.Errorf("%s: %d in %d bytes for a customer, %d in %d for nobody:\n%v\n%v", what, a.status, length(a), b.status, length(b), a.header, b.header)
		}
		if now := w.Program.Head(); now != head {
			t.Errorf("%s: %d entries were made before the answer", what, now-head)
		}
	}
	compare("asking for a code", known.post("/portal/signin", "email", "ada@example.com"), unknown.post("/portal/signin", "email", "eve@example.com"))
	compare("the page of the code", known.get("/portal/code"), unknown.get("/portal/code"))
	for n := range codeTries + 3 {
		compare("try "+string(rune('1'+n)), known.post("/portal/code", "code", "22222222"), unknown.post("/portal/code", "code", "22222222"))
	}
	for n := range 12 { // until neither gets more
		compare("asking again "+string(rune('a'+n)), known.post("/portal/signin", "email", "ada@example.com"), unknown.post("/portal/signin", "email", "eve@example.com"))
	}
	for range laterLimit {
		<-w.p.under
	}
	w.pass(10 * time.Minute)
	known.post("/portal/signin", "email", "ada@example.com")
	unknown.post("/portal/signin", "email", "eve@example.com")
	w.deliver()
	if n := len(w.mail.sent); n != 1 {
		t.Errorf("%d messages were sent", n)
	}
}

// Whoever goes on trying codes makes no entry for each try.
func TestTriesWithoutEndMakeNoEntries(t *testing.T) {
	w := newWorld(t)
	v := w.visitor()
	v.post("/portal/signin", "email", "ada@example.com")
	w.p.Drain()
	head := w.Program.Head()
	for range 40 {
		v.post("/portal/code", "code", "22222222")
		w.p.Drain()
	}
	if made := w.Program.Head() - head; made != codeTries+1 {
		t.Errorf("40 tries made %d entries", made)
	}
}
