package portal

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/team"
)

// olga founds the team.
func (w *world) olga() id.ID {
	w.t.Helper()
	member := w.IDs.New(id.TeamMember)
	w.Do(journal.Bind(team.FoundTeam{ID: member, Email: "olga@example.com", Name: "Olga Secret", PasswordHash: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"}))
	return member
}

// look starts a look of a member at a customer's Portal, and gives the cookies of its browser.
func (w *world) look(member, who id.ID) []*http.Cookie {
	w.t.Helper()
	start := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/customers/x/view-as", nil)
	meta := program.Meta{Actor: journal.Actor{Kind: journal.ActorTeamMember, ID: string(member)}, Source: journal.Origin{Channel: journal.ChannelDashboard}}
	if err := w.p.ViewAs(start, r, meta, who); err != nil {
		w.t.Fatal(err)
	}
	return start.Result().Cookies()
}

func (w *world) with(cookies []*http.Cookie) *visitor {
	w.t.Helper()
	v := w.visitor()
	base, err := url.Parse(w.http.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	v.client.Jar.SetCookies(base, cookies)
	return v
}

// TestTheMarkOfAnotherLook sends the session of one look with every other cookie of a second one: whoever comes so is nobody, or the
// member who looks. Nothing is done in the name of the customer alone.
func TestTheMarkOfAnotherLook(t *testing.T) {
	w := newWorld(t)
	member := w.olga()
	first, second := w.look(member, w.ada), w.look(member, w.ben)
	var mixed []*http.Cookie
	for _, k := range second {
		if k.Name == sessionCookie {
			mixed = append(mixed, k)
		}
	}
	for _, k := range first {
		if k.Name != sessionCookie {
			mixed = append(mixed, k)
		}
	}
	for name, cookies := range map[string][]*http.Cookie{"the other look's cookies": mixed, "no other cookie": mixed[:1]} {
		v := w.with(cookies)
		if s := v.get("/portal"); s.path == "/portal" && !strings.Contains(s.body, "You see the portal as ben@example.com") {
			t.Errorf("%s: signed in with no word of the team", name)
		}
		before := w.Program.Head()
		v.post("/portal/subscriptions/"+string(w.his)+"/pause", "version", "1")
		if w.Program.Head() == before {
			continue
		}
		if e := w.last("subscription.paused"); e.Actor.ID != string(member) || e.OnBehalfOf == nil || e.OnBehalfOf.ID != string(w.ben) {
			t.Errorf("%s: the entry is by %+v on behalf of %+v", name, e.Actor, e.OnBehalfOf)
		}
		if s := v.get("/portal/account/card"); s.status == 200 && s.path == "/portal/account/card" {
			t.Errorf("%s: a look adds a card", name)
		}
	}
}
