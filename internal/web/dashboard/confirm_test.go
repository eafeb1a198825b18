package dashboard

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"perennial/internal/auth"
	"perennial/internal/test/softkey"
)

// TestWhatOutlastsASession is about a session that somebody else found open: it lets them do nothing that lasts longer than it does.
func TestWhatOutlastsASession(t *testing.T) {
	w, owner, me := owned(t, auth.ProviderConfig{})
	ben := w.hire(owner, "ben@example.com", "192.0.2.3", "role", "member")
	benID := string(w.memberID("ben@example.com"))
	key := &softkey.Key{Origin: w.http.URL}
	options := owner.post("/account/passkeys/begin").body
	answer, err := key.Create([]byte(options))
	if err != nil {
		t.Fatal(err)
	}
	// The cookie of the session alone, at once: what shows that it is fresh is not in it.
	base, err := url.Parse(w.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	thief := w.browser("192.0.2.66")
	for _, k := range owner.client.Jar.Cookies(base) {
		if k.Name == sessionCookie {
			thief.client.Jar.SetCookies(base, []*http.Cookie{k})
		}
	}
	w.want(thief.get("/account"), 200, "/account", "Confirm that it is you, to add a passkey")
	w.want(thief.post("/account/passkeys/begin"), 422, "/account/passkeys/begin", "Confirm that it is you")
	w.pass(confirmedFor)
	from := w.next()
	fill := strings.NewReplacer("{id}", benID)
	asked := 0
	for _, r := range w.d.routes {
		if !r.confirm {
			continue
		}
		asked++
		path := fill.Replace(strings.TrimPrefix(r.pattern, "POST "))
		for name, b := range map[string]*browser{"the session": owner, "a thief": thief} {
			s := b.post(path, "credential", answer, "name", "Mine", "permission", "events.view", "email", "eve@example.com", "role", "owner")
			if s.status != 422 || !strings.Contains(s.body, "Confirm that it is you") || !strings.Contains(s.body, `name="permission" value="events.view"`) {
				t.Errorf("%s by %s: %d %s", r.pattern, name, s.status, s.body)
			}
		}
	}
	if asked < 11 {
		t.Errorf("only %d routes ask who it is", asked)
	}
	w.made(from)
	// A wrong password is a failed sign-in; the right one goes on with what was sent, and asks no more for a while.
	form := []string{"name", "Mine", "permission", "events.view", "current"}
	w.want(owner.post("/api-keys", append(form, "wrong wrong wrong")...), 422, "/api-keys", "This is not your password")
	w.made(from, "team_member.login_failed")
	w.want(owner.post("/api-keys", append(form, password)...), 200, "/api-keys", "This is the key")
	w.want(owner.post("/team/"+benID+"/role", "role", "admin"), 200, "/team/"+benID, "The role is saved")
	w.want(thief.post("/team/"+benID+"/role", "role", "owner"), 422, "/team/"+benID+"/role", "Confirm that it is you")
	// A page on which nothing is sent by a form asks first, and so does a sign-in of long ago on a page of its own.
	w.pass(confirmedFor)
	w.want(owner.get("/account/confirm?next=/team"), 200, "/account/confirm", "Your password")
	w.want(owner.post("/account/confirm?next=/team", "current", password), 200, "/team", "ben@example.com")
	w.want(owner.post("/account/confirm?next=//evil.example", "current", password), 200, "/", "You are signed in as Olga")
	if answer, err = key.Create([]byte(owner.post("/account/passkeys/begin").body)); err != nil {
		t.Fatal(err)
	}
	w.want(owner.post("/account/passkeys", "credential", answer), 200, "/account", "The passkey is added")
	if again := ben.get("/team/" + string(me)); strings.Contains(again.body, "remove_passkey") {
		t.Error("somebody else's passkeys are listed")
	}
}

// A passkey that somebody else added outlives a new password only if nobody looks: it is listed where the password is chosen.
func TestANewPasswordEndsPasskeysToo(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	ben := w.hire(owner, "ben@example.com", "192.0.2.3", "role", "member")
	add := func(b *browser) *softkey.Key {
		key := &softkey.Key{Origin: w.http.URL}
		answer, err := key.Create([]byte(b.post("/account/passkeys/begin").body))
		if err != nil {
			t.Fatal(err)
		}
		w.want(b.post("/account/passkeys", "credential", answer), 200, "/account", "The passkey is added")
		return key
	}
	signIn := func(key *softkey.Key) int {
		b := w.browser("192.0.2.9")
		answer, err := key.Get([]byte(b.post("/signin/passkey/begin").body))
		if err != nil {
			t.Fatal(err)
		}
		return b.post("/signin/passkey", "credential", answer).status
	}
	listed := regexp.MustCompile(`name="remove_passkey" value="(pk_[a-z0-9]+)"`)
	own, thiefs := add(ben), add(ben)
	s := w.want(ben.get("/account"), 200, "/account", "Tick those that you do not know")
	list := listed.FindAllStringSubmatch(s.body, -1)
	if len(list) != 2 {
		t.Fatalf("%d passkeys are listed", len(list))
	}
	from := w.next()
	w.want(ben.post("/account/password", "current", password, "password", "another four words here", "remove_passkey", list[1][1]), 200, "/account", "Your password is changed")
	w.made(from, "team_member.password_changed", "team_member.second_factor_disabled")
	if signIn(thiefs) != 422 || signIn(own) != 200 {
		t.Error("the wrong passkey went with the password")
	}
	// By a link of an owner too.
	link := w.link(owner.post("/team/" + string(w.memberID("ben@example.com")) + "/link"))
	stranger := w.browser("192.0.2.11")
	s = w.want(stranger.get(link), 200, strings.TrimPrefix(link, w.http.URL), "Tick those that you do not know")
	if list = listed.FindAllStringSubmatch(s.body, -1); len(list) != 1 {
		t.Fatalf("%d passkeys are listed", len(list))
	}
	w.want(stranger.post(link, "password", "four other words again", "remove_passkey", list[0][1]), 200, "/signin", "Your password is changed")
	if signIn(own) != 422 {
		t.Error("the passkey outlived the password")
	}
}

// Who signs in by the identity provider alone confirms it there, and has to sign in there for it: a session of the provider's own is not enough.
func TestConfirmingAtTheProvider(t *testing.T) {
	now := time.Date(2027, 3, 3, 12, 0, 0, 0, time.UTC)
	p := newProvider(t, func() time.Time { return now })
	w, _, _ := owned(t, auth.ProviderConfig{Issuer: p.http.URL, ClientID: "perennial", ClientSecret: "secret", Name: "Acme"})
	is := func(email string, ago time.Duration) {
		c := map[string]any{"email": email, "email_verified": true}
		if ago >= 0 {
			c["auth_time"] = w.clock().Add(-ago).Unix()
		}
		p.says(c)
	}
	const refused, confirmed = "Confirm that it is you, to add a passkey", `data-passkey="create"`
	b := w.browser("192.0.2.2")
	is("olga@example.com", -1)
	w.want(b.get("/signin/provider?next=/account"), 200, "/account", refused)
	is("olga@example.com", time.Hour)
	w.want(b.get("/signin/provider?again=yes&next=/account"), 409, "/signin/provider/callback", "auth_time")
	w.want(b.get("/account"), 200, "/account", refused)
	w.hire(b, "eve@example.com", "192.0.2.7", "role", "member", "current", password)
	is("eve@example.com", 0)
	w.want(b.get("/signin/provider?again=yes&next=/account"), 409, "/signin/provider/callback", "somebody else")
	w.pass(confirmedFor)
	w.want(b.get("/account/confirm?next=/account"), 200, "/account/confirm", "Sign in with Acme again")
	is("olga@example.com", time.Minute)
	w.want(b.get("/signin/provider?again=yes&next=/account"), 200, "/account", confirmed)
	p.mu.Lock()
	defer p.mu.Unlock()
	if q := p.asked; q.Get("prompt") != "login" || q.Get("max_age") != "0" {
		t.Errorf("the provider was asked %v", q)
	}
}
