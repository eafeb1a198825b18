package portal

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

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
	w.want(s, 409, at, "does not offer this")
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
