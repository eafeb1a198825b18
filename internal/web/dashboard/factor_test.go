package dashboard

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/pquerna/otp/totp"

	"perennial/internal/auth"
	"perennial/internal/test/softkey"
)

func (w *world) code(seed string) string {
	w.t.Helper()
	c, err := totp.GenerateCode(seed, w.clock())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// enrol sets an authenticator app up and gives its seed and the recovery codes.
func (w *world) enrol(b *browser) (seed string, codes []string) {
	w.t.Helper()
	s := w.want(b.get("/account/authenticator"), 200, "/account/authenticator", "Scan this picture")
	seed = strings.ReplaceAll(regexp.MustCompile(`<code>([A-Z2-7 ]+)</code>`).FindStringSubmatch(s.body)[1], " ", "")
	if p := b.get("/account/authenticator/code.png"); p.status != 200 || p.header.Get("Content-Type") != "image/png" {
		w.t.Errorf("the picture: %d %s", p.status, p.header)
	}
	w.want(b.post("/account/authenticator", "code", "000000"), 422, "/account/authenticator", "This code is not right")
	from := w.next()
	s = w.want(b.post("/account/authenticator", "code", w.code(seed)), 200, "/account/authenticator", "recovery codes")
	w.made(from, "team_member.second_factor_enabled")
	for _, m := range regexp.MustCompile(`<li><code>([a-z2-7]{5}-[a-z2-7]{5})</code>`).FindAllStringSubmatch(s.body, -1) {
		codes = append(codes, m[1])
	}
	if body := w.body(from); strings.Contains(body, seed) || len(codes) != 10 {
		w.t.Errorf("%d codes; the entry: %s", len(codes), body)
	}
	return seed, codes
}

func TestAuthenticatorApp(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	seed, codes := w.enrol(b)
	var stored []byte
	if err := w.DB.Reader.QueryRow(`SELECT value FROM secret WHERE name = 'authenticator_app'`).Scan(&stored); err != nil || strings.Contains(string(stored), seed) {
		t.Errorf("the database holds the seed as it is, %v", err)
	}
	other := w.browser("192.0.2.2")
	signIn := func() {
		t.Helper()
		w.want(other.post("/signin", "email", "olga@example.com", "password", password, "next", "/account"), 200, "/signin/code", "Enter the code")
	}
	signIn()
	// The password alone opens nothing.
	w.want(other.get("/team"), 200, "/signin", "")
	w.want(other.post("/signin/code", "code", w.code(seed)), 422, "/signin/code", "not right") // used when it was set up
	from := w.next()
	w.want(other.post("/signin/code", "code", "123"), 422, "/signin/code", "not right")
	w.made(from, "team_member.login_failed")
	w.pass(time.Minute)
	from = w.next()
	w.want(other.post("/signin/code", "code", w.code(seed)), 200, "/account", "10 recovery codes are left")
	w.made(from, "team_member.logged_in")
	if how := string(w.entries(from)[0].Detail("method")); how != `"authenticator_app"` {
		t.Errorf("signed in with %s", how)
	}
	w.want(other.post("/signout"), 200, "/signin", "")
	signIn()
	w.want(other.post("/signin/code", "code", w.code(seed)), 422, "/signin/code", "each works once")
	from = w.next()
	w.want(other.post("/signin/code", "code", codes[3]), 200, "/account", "9 recovery codes are left")
	w.made(from, "team_member.recovery_code_used", "team_member.logged_in")
	w.want(other.post("/signout"), 200, "/signin", "")
	signIn()
	w.want(other.post("/signin/code", "code", codes[3]), 422, "/signin/code", "not right")
	w.pass(stepLifetime)
	w.want(other.post("/signin/code", "code", w.code(seed)), 200, "/signin", "That took too long")
	w.want(other.get("/signin/code"), 200, "/signin", "")

	w.want(b.post("/account/authenticator/off", "current", "wrong"), 422, "/account/authenticator/off", "This is not your password")
	from = w.next()
	w.want(b.post("/account/authenticator/off", "current", password), 200, "/account", "switched off")
	w.made(from, "team_member.second_factor_disabled")
	w.want(other.post("/signin", "email", "olga@example.com", "password", password), 200, "/", "You are signed in")
}

func TestAnOwnerHelpsWhoLostTheApp(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	ben := w.hire(b, "ben@example.com", "192.0.2.3", "role", "member", "defaults", "yes")
	w.enrol(ben)
	page := "/team/" + string(w.memberID("ben@example.com"))
	from := w.next()
	w.want(b.post(page+"/second-factor-off"), 200, page, "Second factors are switched off")
	w.made(from, "team_member.second_factor_disabled")
	w.want(w.browser("192.0.2.9").post("/signin", "email", "ben@example.com", "password", password), 200, "/", "You are signed in")
	from = w.next()
	w.want(b.post(page+"/sessions-end"), 200, page, "The sessions are signed out")
	w.made(from, "team_member.logged_out", "team_member.logged_out")
	w.want(ben.get("/"), 200, "/signin", "")
}

func TestCodesCannotBeGuessed(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	seed, _ := w.enrol(b)
	thief := w.browser("198.51.100.1")
	w.want(thief.post("/signin", "email", "olga@example.com", "password", password), 200, "/signin/code", "")
	tried := 0
	for i := range 40 { // from a new network each time
		thief.ip = fmt.Sprintf("198.51.100.%d", i)
		if s := thief.post("/signin/code", "code", "000000"); s.status == 422 {
			tried++
		}
	}
	if tried != 10 {
		t.Errorf("%d codes were tried", tried)
	}
	// The owner's own device is not locked out by it.
	w.pass(time.Minute)
	w.want(b.post("/signout"), 200, "/signin", "")
	w.want(b.post("/signin", "email", "olga@example.com", "password", password), 200, "/signin/code", "")
	w.want(b.post("/signin/code", "code", w.code(seed)), 200, "/", "You are signed in")
}

func TestPasskeys(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	key := &softkey.Key{Origin: w.http.URL}
	add := func(b *browser, k *softkey.Key) seen {
		t.Helper()
		answer, err := k.Create([]byte(b.post("/account/passkeys/begin").body))
		if err != nil {
			t.Fatal(err)
		}
		return b.post("/account/passkeys", "credential", answer)
	}
	use := func(b *browser, k *softkey.Key) (string, seen) {
		t.Helper()
		answer, err := k.Get([]byte(b.post("/signin/passkey/begin").body))
		if err != nil {
			t.Fatal(err)
		}
		return answer, b.post("/signin/passkey", "credential", answer, "next", "/account")
	}
	w.want(b.get("/account"), 200, "/account", `data-passkey="create"`)
	from := w.next()
	w.want(add(b, &softkey.Key{Origin: "https://evil.example"}), 409, "/account/passkeys", "could not be added")
	w.made(from)
	w.want(add(b, key), 200, "/account", "The passkey is added")
	w.made(from, "team_member.second_factor_enabled")

	other := w.browser("192.0.2.2")
	w.want(other.get("/signin"), 200, "/signin", `data-passkey="get"`)
	from = w.next()
	answer, s := use(other, key)
	w.want(s, 200, "/account", "(this one)")
	w.made(from, "team_member.logged_in")
	if how := string(w.entries(from)[0].Detail("method")); how != `"passkey"` {
		t.Errorf("signed in with %s", how)
	}
	// An answer is good once, and at the real address only.
	w.want(w.browser("192.0.2.4").post("/signin/passkey", "credential", answer), 410, "/signin/passkey", "That took too long")
	key.Origin = "https://evil.example"
	from = w.next()
	_, s = use(w.browser("192.0.2.4"), key)
	w.want(s, 422, "/signin/passkey", "This passkey was refused")
	w.made(from, "team_member.login_failed")
	key.Origin = w.http.URL

	// A passkey is enough where there is an authenticator app too; once removed it is nothing.
	w.enrol(b)
	_, s = use(w.browser("192.0.2.5"), key)
	w.want(s, 200, "/account", "(this one)")
	remove := regexp.MustCompile(`/account/passkeys/pk_[a-z0-9]+/remove`).FindString(b.get("/account").body)
	from = w.next()
	w.want(b.post(remove), 200, "/account", "The passkey is removed")
	w.made(from, "team_member.second_factor_disabled")
	w.want(b.post(remove), 404, remove, "no such passkey")
	_, s = use(w.browser("192.0.2.6"), key)
	w.want(s, 422, "/signin/passkey", "This passkey was refused")
}

// provider is a small identity provider: it signs whoever asks in as one person.
type provider struct {
	*oidctest.Server
	http *httptest.Server
	key  *rsa.PrivateKey
	now  func() time.Time

	mu     sync.Mutex
	claims map[string]any
	info   map[string]any        // what UserInfo says; nil: there is no UserInfo
	codes  map[string]url.Values // what was asked for, by code; once
	asked  url.Values            // the last time
}

func newProvider(t *testing.T, now func() time.Time) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{Server: &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "RS256"}}}, key: key, now: now, codes: map[string]url.Values{}}
	p.http = httptest.NewServer(p)
	t.Cleanup(p.http.Close)
	p.SetIssuer(p.http.URL)
	return p
}

func (p *provider) says(claims map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims = claims
}

func (p *provider) tells(info map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.info = info
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.URL.Path {
	case "/auth":
		q := r.URL.Query()
		code := rand.Text()
		p.codes[code], p.asked = q, q
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
	case "/token":
		asked, ok := p.codes[r.FormValue("code")]
		delete(p.codes, r.FormValue("code"))
		verifier := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		client, secret, _ := r.BasicAuth()
		if !ok || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(verifier[:]) || client != "perennial" || secret != "secret" {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		claims := map[string]any{"iss": p.http.URL, "aud": "perennial", "sub": "1", "exp": p.now().Add(time.Hour).Unix(), "nonce": asked.Get("nonce")}
		maps.Copy(claims, p.claims)
		b, _ := json.Marshal(claims)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"access_token": "a", "token_type": "Bearer", "id_token": oidctest.SignIDToken(crypto.PrivateKey(p.key), "k", "RS256", string(b))})
	case "/userinfo":
		if r.Header.Get("Authorization") != "Bearer a" {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.info)
	case "/.well-known/openid-configuration":
		rec := httptest.NewRecorder()
		p.Server.ServeHTTP(rec, r)
		var about map[string]any
		_ = json.Unmarshal(rec.Body.Bytes(), &about)
		about["userinfo_endpoint"] = p.http.URL + "/userinfo"
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(about)
	default:
		p.Server.ServeHTTP(w, r)
	}
}

func TestIdentityProvider(t *testing.T) {
	p := newProvider(t, func() time.Time { return time.Date(2027, 3, 3, 12, 0, 0, 0, time.UTC) })
	w, owner, _ := owned(t, auth.ProviderConfig{Issuer: p.http.URL, ClientID: "perennial", ClientSecret: "secret", Name: "Acme"})
	b := w.browser("192.0.2.2")
	w.want(b.get("/signin"), 200, "/signin", "Sign in with Acme")
	p.says(map[string]any{"email": "Olga@example.com", "email_verified": true})
	from := w.next()
	w.want(b.get("/signin/provider?next=/account"), 200, "/account", "(this one)")
	w.made(from, "team_member.logged_in")
	if how := string(w.entries(from)[0].Detail("method")); how != `"identity_provider"` {
		t.Errorf("signed in with %s", how)
	}
	const unverified, noAddress, nobody, unusable = "does not say that your e-mail address is verified", "gave no e-mail address", "Nobody of this team has", "could not be used"
	for name, tt := range map[string]struct {
		claims, info map[string]any
		words        string
	}{
		"not verified":          {map[string]any{"email": "olga@example.com"}, nil, unverified},
		"verified as a string":  {map[string]any{"email": "olga@example.com", "email_verified": "false"}, nil, unverified},
		"no address":            {map[string]any{"email_verified": true}, map[string]any{"sub": "1"}, noAddress},
		"nobody of the team":    {map[string]any{"email": "eve@example.com", "email_verified": true}, nil, nobody},
		"another client":        {map[string]any{"email": "olga@example.com", "email_verified": true, "aud": "other"}, nil, unusable},
		"another sign-in":       {map[string]any{"email": "olga@example.com", "email_verified": true, "nonce": "x"}, nil, unusable},
		"too old":               {map[string]any{"email": "olga@example.com", "email_verified": true, "exp": 1}, nil, unusable},
		"another issuer":        {map[string]any{"email": "olga@example.com", "email_verified": true, "iss": "https://evil.example"}, nil, unusable},
		"neither true nor not":  {map[string]any{"email": "olga@example.com", "email_verified": "perhaps"}, nil, unusable},
		"UserInfo of another":   {nil, map[string]any{"sub": "2", "email": "olga@example.com", "email_verified": true}, unusable},
		"UserInfo not verified": {nil, map[string]any{"sub": "1", "email": "olga@example.com"}, unverified},
		"claims of two places":  {map[string]any{"email_verified": true}, map[string]any{"sub": "1", "email": "olga@example.com"}, unverified},
	} {
		p.says(tt.claims)
		p.tells(tt.info)
		from := w.next()
		w.pass(20 * time.Second) // each failure is an entry
		s := w.browser("192.0.2.3").get("/signin/provider")
		if s.status != 422 || !strings.Contains(s.body, tt.words) {
			t.Errorf("%s: %d %s\n%s", name, s.status, s.path, s.body)
		}
		w.made(from, "team_member.login_failed")
	}
	// The address may stand at UserInfo only, and "verified" be a string there, as oidc-provider and others have it.
	p.says(nil)
	p.tells(map[string]any{"sub": "1", "email": "olga@example.com", "email_verified": "true"})
	w.want(w.browser("192.0.2.8").get("/signin/provider?next=/account"), 200, "/account", "(this one)")
	p.says(map[string]any{"email": "olga@example.com", "email_verified": "true"})
	w.want(w.browser("192.0.2.9").get("/signin/provider?next=/account"), 200, "/account", "(this one)")
	// Somebody else's answer is refused, and one without a question too.
	p.says(map[string]any{"email": "olga@example.com", "email_verified": true})
	w.want(w.browser("192.0.2.4").get("/signin/provider/callback?state=x&code=y"), 200, "/signin", "That took too long")
	// Who has an authenticator app is asked for its code here too.
	w.enrol(owner)
	w.want(w.browser("192.0.2.5").get("/signin/provider"), 200, "/signin/code", "Enter the code")
}

// Each cookie of a ceremony is good for its own: one that was made for a passkey has no state, nonce or verifier, and must not stand for
// the errand to an identity provider, or anybody could be signed in as whoever laid the address.
func TestCeremoniesAreNotMixed(t *testing.T) {
	p := newProvider(t, func() time.Time { return time.Date(2027, 3, 3, 12, 0, 0, 0, time.UTC) })
	w, owner, _ := owned(t, auth.ProviderConfig{Issuer: p.http.URL, ClientID: "perennial", ClientSecret: "secret"})
	w.hire(owner, "eve@example.com", "192.0.2.7", "role", "member")
	p.says(map[string]any{"email": "eve@example.com", "email_verified": true, "nonce": ""})
	// Eve's own code, for the empty verifier.
	empty := sha256.Sum256(nil)
	res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Get(p.http.URL + "/auth?" +
		url.Values{"redirect_uri": {w.http.URL}, "code_challenge": {base64.RawURLEncoding.EncodeToString(empty[:])}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	to, err := res.Location()
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser("192.0.2.2")
	b.post("/signin/passkey/begin")
	from := w.next()
	w.want(b.get("/signin/provider/callback?state=&code="+to.Query().Get("code")), 200, "/signin", "That took too long")
	w.made(from)
	w.want(b.get("/account"), 200, "/signin", "Sign in")
	// A passkey that is used adds none, and the other way round.
	key := &softkey.Key{Origin: w.http.URL}
	answer, err := key.Create([]byte(owner.post("/account/passkeys/begin").body))
	if err != nil {
		t.Fatal(err)
	}
	w.want(owner.post("/signin/passkey", "credential", answer), 410, "/signin/passkey", "That took too long")
	w.want(owner.post("/account/passkeys", "credential", answer), 200, "/account", "The passkey is added")
	// The seed of an authenticator app is for whom it was made.
	w.want(owner.get("/account/authenticator"), 200, "/account/authenticator", "Scan this picture")
	eve := w.browser("192.0.2.9")
	eve.client.Jar = owner.client.Jar
	w.want(eve.post("/signout"), 200, "/signin", "You are signed out")
	w.want(eve.post("/signin", "email", "eve@example.com", "password", password), 200, "/", "You are signed in")
	w.want(eve.post("/account/authenticator", "code", "000000"), 200, "/account/authenticator", "That took too long")
}

func TestJoiningWithTheProvider(t *testing.T) {
	p := newProvider(t, func() time.Time { return time.Date(2027, 3, 3, 12, 0, 0, 0, time.UTC) })
	w, owner, _ := owned(t, auth.ProviderConfig{Issuer: p.http.URL, ClientID: "perennial", ClientSecret: "secret", Name: "Acme"})
	link := w.link(owner.post("/team/invite", "email", "ben@example.com", "role", "member", "permission", "team.view"))
	ben := w.browser("192.0.2.2")
	s := w.want(ben.get(link), 200, strings.TrimPrefix(link, w.http.URL), "Join with Acme")
	join := html.UnescapeString(regexp.MustCompile(`/signin/provider\?join=[^"]+`).FindString(s.body))
	p.says(map[string]any{"email": "eve@example.com", "email_verified": true})
	from := w.next()
	w.want(w.browser("192.0.2.3").get(join), 409, "/signin/provider/callback", "for another e-mail address")
	w.made(from, "team_member.login_failed")
	p.says(map[string]any{"email": "Ben@example.com", "email_verified": true})
	from = w.next()
	w.want(ben.get(join), 200, "/", "You are signed in as ben@example.com")
	w.made(from, "team_member.joined", "team_member.logged_in")
	w.want(ben.get(join), 410, "/signin/provider/callback", "used already")
	for _, password := range []string{"", "nobody has this password"} {
		w.want(w.browser("192.0.2.4").post("/signin", "email", "ben@example.com", "password", password), 422, "/signin", "not right")
	}
}

func TestTheProviderIsAway(t *testing.T) {
	w, _, _ := owned(t, auth.ProviderConfig{Issuer: "http://127.0.0.1:1", ClientID: "x"})
	w.want(w.browser("192.0.2.2").get("/signin/provider"), 503, "/signin/provider", "does not answer")
}
