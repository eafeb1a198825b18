package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"perennial/internal/auth"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/team"
)

func member(t testing.TB, w *world, email string) *team.TeamMember {
	t.Helper()
	row, err := w.Store.Load(t.Context(), w.Store.Read, journal.Ref{Kind: journal.TeamMember, ID: w.memberID(email)})
	if err != nil {
		t.Fatal(err)
	}
	return row.State.(*team.TeamMember)
}

func TestInvitations(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	from := w.next()
	s := w.want(b.post("/team/invite", "email", "ben", "role", "king"), 422, "/team/invite", "Choose owner, admin or member.")
	if !strings.Contains(s.body, `id="email-problem"`) {
		t.Error("only one of two wrong fields is told")
	}
	w.made(from)
	s = w.want(b.post("/team/invite", "email", "ben@example.com", "name", "Ben", "role", "member", "permission", "team.view", "permission", "customers.view"), 200, "/team/invite", "works once")
	w.made(from, "team_member.invited")
	link := w.link(s)
	w.want(b.post("/team/invite", "email", "BEN@example.com", "role", "member"), 422, "/team/invite", "already has this e-mail")
	w.want(b.get("/team"), 200, "/team", "Invited")

	ben := w.browser("192.0.2.3")
	path := strings.TrimPrefix(link, w.http.URL)
	w.want(ben.get(link), 200, path, `value="Ben"`)
	// A newer link ends the older one.
	newer := w.link(b.post("/team/" + string(w.memberID("ben@example.com")) + "/link"))
	w.want(ben.get(link), 410, path, "used already")
	path = strings.TrimPrefix(newer, w.http.URL)
	w.want(ben.post(newer, "name", "Ben", "password", "short"), 422, path, "Take at least 10 characters")
	from = w.next()
	w.want(ben.post(newer, "name", "Benno", "password", password), 200, "/", "You are signed in as Benno")
	w.made(from, "team_member.joined", "team_member.logged_in")
	w.want(ben.post(newer, "password", password), 410, path, "used already")
	if got := *member(t, w, "ben@example.com").Permissions; !slices.Equal(got, []team.Permission{team.CustomersView, team.TeamView}) {
		t.Errorf("Ben may do %v", got)
	}
	// Without the permission for personal data, colleagues have no names.
	s = w.want(ben.get("/team"), 200, "/team", "Benno")
	if strings.Contains(s.body, "olga@example.com") || strings.Contains(s.body, "Olga") || !strings.Contains(s.body, masked) {
		t.Errorf("Ben sees who is who:\n%s", s.body)
	}
}

func TestChangingPeople(t *testing.T) {
	w, b, olga := owned(t, auth.ProviderConfig{})
	ben := w.hire(b, "ben@example.com", "192.0.2.3", "role", "member", "defaults", "yes")
	page := "/team/" + string(w.memberID("ben@example.com"))
	version := func() string {
		m := regexp.MustCompile(`name="version" value="(\d+)"`).FindStringSubmatch(b.get(page).body)
		if m == nil {
			t.Fatal("no version on the page")
		}
		return m[1]
	}
	old := version()
	from := w.next()
	w.want(b.post(page+"/permissions", "version", old, "permission", "team.view", "permission", "exports.view"), 200, page, "The permissions are saved")
	w.made(from, "team_member.permissions_updated")
	s := b.get(page)
	if n := strings.Count(s.body, "not as in the defaults"); n < 2 {
		t.Errorf("%d overrides are marked", n)
	}
	w.want(b.post(page+"/permissions", "version", old, "permission", "team.view"), 412, page+"/permissions", "Somebody else changed this")
	w.want(b.post(page+"/permissions", "version", version(), "permission", "team.view", "permission", "root.edit"), 422, page+"/permissions", "no such permission")
	w.want(b.post(page+"/permissions", "version", version(), "defaults", "yes"), 200, page, "<p>The team's defaults.</p>")
	from = w.next()
	w.want(b.post(page+"/role", "version", version(), "role", "admin"), 200, page, "Owners and admins may do everything")
	w.made(from, "team_member.role_changed")
	w.want(b.post("/team/"+string(olga)+"/role", "role", "member"), 409, "/team/"+string(olga)+"/role", "last owner")

	// An admin may do everything but touch owners, which is refused and on record.
	from = w.next()
	w.want(ben.post("/team/"+string(olga)+"/role", "role", "admin"), 403, "/team/"+string(olga)+"/role", "Only an owner")
	w.want(ben.post("/team/"+string(olga)+"/link"), 403, "/team/"+string(olga)+"/link", "Only an owner")
	w.made(from, "access.denied", "access.denied")

	w.want(b.get(page+"/remove"), 200, page+"/remove", "signed out everywhere")
	from = w.next()
	w.want(b.post(page+"/remove", "reason", "He moved to Bremen"), 200, "/team", "Removed from the team")
	w.made(from, "team_member.removed", "team_member.logged_out")
	if e := w.lastOf("team_member.removed"); e.Comment.Value != "He moved to Bremen" {
		t.Errorf("the reason is %q", e.Comment.Value)
	}
	w.want(ben.get("/team"), 200, "/signin", "")
	w.want(ben.post("/signin", "email", "ben@example.com", "password", password), 422, "/signin", "not right")
	w.want(b.get("/team/mem_x"), 404, "/team/mem_x", "no such person")
}

func TestTextFromOutsideIsText(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	const evil = `"><img src=x onerror="alert(1)">`
	ben := w.hire(b, "ben@example.com", "192.0.2.3", "role", "member", "permission", "team.view")
	w.want(ben.post("/account/name", "name", evil), 200, "/account", "Your name is saved")
	page := "/team/" + string(w.memberID("ben@example.com"))
	for _, path := range []string{"/team", page, page + "/remove", "/team/bulk", "/team/defaults", "/signin?next=" + url.QueryEscape(evil), "/team/" + url.PathEscape(evil)} {
		b.get(path) // each page is looked at when it comes
	}
	b.post("/team/invite", "email", evil, "name", evil, "role", evil)
	w.browser("192.0.2.8").post("/signin", "email", evil, "password", evil, "next", evil)
}

func TestManyAtOnce(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	w.want(b.get("/team/bulk"), 200, "/team/bulk", "There are no members yet")
	w.hire(b, "ben@example.com", "192.0.2.3", "role", "member", "defaults", "yes")
	w.hire(b, "cleo@example.com", "192.0.2.4", "role", "member", "permission", "team.view")
	w.want(b.post("/team/bulk", "mode", "add", "permission", "exports.view"), 422, "/team/bulk", "Choose at least one person")
	form := []string{"member", string(w.memberID("ben@example.com")), "member", string(w.memberID("cleo@example.com"))}
	from := w.next()
	w.want(b.post("/team/bulk", append(form, "mode", "add", "permission", "exports.view")...), 200, "/team", "The permissions are saved")
	w.made(from, "team.permissions_bulk_updated", "team_member.permissions_updated", "team_member.permissions_updated")
	e := w.entries(from)
	if e[1].CausationID != e[0].ID || e[2].CausationID != e[0].ID || e[1].CorrelationID != e[0].CorrelationID || len(e[0].Targets) != 3 {
		t.Errorf("the entries do not belong together: %+v", e)
	}
	if got := *member(t, w, "cleo@example.com").Permissions; !slices.Equal(got, []team.Permission{team.ExportsView, team.TeamView}) {
		t.Errorf("Cleo may do %v", got)
	}
	from = w.next()
	w.want(b.post("/team/defaults", "permission", "team.view"), 200, "/team", "The default permissions are saved")
	w.made(from, "team.default_permissions_updated")
}

func (s seen) toSignIn() bool { return strings.HasPrefix(s.header.Get("Location"), "/signin") }

// TestEveryRouteWithEveryRole walks all routes: with no session, as an owner, as an admin, and as a member who has every
// permission but the route's, and only the route's.
func TestEveryRouteWithEveryRole(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	w, owner, _ := owned(t, auth.ProviderConfig{Issuer: "http://127.0.0.1:1"})
	admin := w.hire(owner, "ada@example.com", "192.0.2.5", "role", "admin")
	ben := w.hire(owner, "ben@example.com", "192.0.2.3", "role", "member")
	nobody := w.browser("192.0.2.6")
	benID := w.memberID("ben@example.com")
	w.hire(owner, "zoe@example.com", "192.0.2.7", "role", "member")
	for _, b := range []*browser{owner, admin, ben, nobody} {
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	grant := func(list ...team.Permission) {
		t.Helper()
		w.Do(journal.Bind(team.ChangePermissions{ID: benID, Permissions: &list, Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}}))
	}
	fill := strings.NewReplacer("{$}", "", "{id}", string(w.memberID("zoe@example.com")), "{token}", "x", "{passkey}", string(w.IDs.New(id.Passkey)), "{session}", string(w.IDs.New(id.Session)))
	if len(w.d.routes) < 35 {
		t.Fatalf("only %d routes", len(w.d.routes))
	}
	ownersOnly := func(path string) bool { return strings.HasSuffix(path, "/link") || strings.HasSuffix(path, "-off") }
	visit := func(b *browser, method, path string) seen {
		if strings.HasPrefix(path, "/account/") || strings.HasPrefix(path, "/team/") || path == "/api-keys" {
			if b != nobody && method == http.MethodPost {
				b.send(method, "/account/confirm", url.Values{"current": {password}}) // what outlasts a session wants to know who it is
			}
		}
		defer w.d.work.Wait() // what goes on when the request is answered may make entries
		return b.send(method, path, url.Values{})
	}
	for _, r := range w.d.routes {
		method, pattern, _ := strings.Cut(r.pattern, " ")
		path := fill.Replace(pattern)
		if path == "/signout" || strings.HasSuffix(path, "/remove") && method == http.MethodPost {
			continue // these end what the others need; their own journeys walk them
		}
		s := visit(nobody, method, path)
		if r.open() && s.status == http.StatusForbidden || !r.open() && (s.status != http.StatusSeeOther || !s.toSignIn()) {
			t.Errorf("%s with no session: %d", r.pattern, s.status)
		}
		if r.open() {
			continue
		}
		for who, b := range map[string]*browser{"an owner": owner, "an admin": admin} {
			if s := visit(b, method, path); (s.status == http.StatusForbidden) != (who == "an admin" && ownersOnly(path)) || s.toSignIn() || s.status == 500 {
				t.Errorf("%s as %s: %d %s", r.pattern, who, s.status, s.path)
			}
		}
		if r.who == signedIn {
			grant()
			if s := visit(ben, method, path); s.status == http.StatusForbidden || s.toSignIn() || s.status == 500 {
				t.Errorf("%s as a member who may do nothing: %d", r.pattern, s.status)
			}
			continue
		}
		grant(slices.DeleteFunc(team.Everything().List(), func(p team.Permission) bool { return p == r.permission })...)
		from := w.next()
		s = visit(ben, method, path)
		if s.status != http.StatusForbidden || !strings.Contains(s.body, string(r.permission)) {
			t.Errorf("%s without %s: %d", r.pattern, r.permission, s.status)
		}
		if e := w.entries(from); len(e) != 1 || e[0].Type != "access.denied" || string(e[0].Detail("path")) != fmt.Sprintf("%q", method+" "+path) ||
			string(e[0].Detail("permission")) != fmt.Sprintf("%q", r.permission) || e[0].Target().Kind != journal.Session {
			t.Errorf("%s without %s made %+v", r.pattern, r.permission, e)
		}
		w.pass(61e9) // the next minute: refusals are counted again
		for _, p := range r.also {
			grant(slices.DeleteFunc(team.Everything().List(), func(q team.Permission) bool { return p == q })...)
			if s := visit(ben, method, path); s.status != http.StatusForbidden || !strings.Contains(s.body, string(p)) {
				t.Errorf("%s without %s: %d", r.pattern, p, s.status)
			}
			w.pass(61e9)
		}
		grant(r.takes()...)
		if s := visit(ben, method, path); (s.status == http.StatusForbidden) != ownersOnly(path) || s.toSignIn() || s.status == 500 {
			t.Errorf("%s with only %s: %d", r.pattern, r.permission, s.status)
		}
	}
	w.want(owner.get("/nowhere"), 404, "/nowhere", "There is nothing here")
}

func TestDenialsAreCounted(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	ben := w.hire(owner, "ben@example.com", "192.0.2.3", "role", "member")
	from := w.next()
	for range 25 {
		w.want(ben.get("/team"), 403, "/team", "team.view")
	}
	if n := len(w.events(from)); n != auth.TallyEach {
		t.Errorf("%d entries of 25 refusals", n)
	}
	w.d.FlushTallies(t.Context())
	if e := w.lastOf("access.denied"); string(e.Detail("count")) != "15" || e.Actor.ID != string(w.memberID("ben@example.com")) {
		t.Errorf("the counted entry: %+v", e)
	}
}
