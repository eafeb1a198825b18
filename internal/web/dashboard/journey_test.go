package dashboard

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"perennial/internal/analytics"
	"perennial/internal/auth"
	"perennial/internal/db"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/test/htmlcheck"
	"perennial/internal/test/shop"
	"perennial/internal/web/ui"
)

// world is a running dashboard over a real shop, whose clock the test sets. The whole journal is checked at its end.
type world struct {
	*shop.Shop
	t    testing.TB
	d    *Dashboard
	http *httptest.Server
	log  *logged

	mu  sync.Mutex
	now time.Time
}

// logged is a log that may be written from many goroutines.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t testing.TB, provider auth.ProviderConfig) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2027, 3, 3, 12, 0, 0, 0, time.UTC), log: &logged{}}
	w.Shop = shop.OpenWith(t, t.TempDir(), w.clock, rand.Reader, db.Options{})
	w.Found()
	var handler http.Handler
	w.http = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = net.JoinHostPort(r.Header.Get("X-Test-IP"), "1")
		handler.ServeHTTP(rw, r)
	}))
	base := strings.Replace(w.http.URL, "127.0.0.1", "localhost", 1)
	finder, err := find.Open(t.Context(), w.Store, filepath.Join(w.Dir, "find.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	figures, err := analytics.Open(t.Context(), w.Store, filepath.Join(w.Dir, "analytics.db"), w.clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w.d, err = New(Config{Program: w.Program, Store: w.Store, Finder: finder, Analytics: figures, IDs: w.IDs, Log: slog.New(slog.NewTextHandler(w.log, nil)), BaseURL: base, Provider: provider})
	if err != nil {
		t.Fatal(err)
	}
	handler = w.d.Handler()
	w.http.URL = base
	t.Cleanup(func() {
		w.http.Close()
		if err := errors.Join(figures.Close(), w.d.Finder.Close(context.Background())); err != nil {
			t.Error(err)
		}
		if s := w.log.String(); strings.Contains(s, "level=ERROR") {
			t.Errorf("the log:\n%s", s)
		}
	})
	return w
}

// browser is somebody's browser.
type browser struct {
	w      *world
	client *http.Client
	ip     string
}

// seen is what a browser got.
type seen struct {
	status     int
	path, body string
	header     http.Header
}

func (w *world) browser(ip string) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w, &http.Client{Jar: jar}, ip}
}

func (b *browser) send(method, path string, form url.Values, header ...string) seen {
	b.w.t.Helper()
	if method == http.MethodPost && !form.Has(ui.Number) { // as on a page that was just opened
		form = maps.Clone(form)
		if form == nil {
			form = url.Values{}
		}
		form.Set(ui.Number, rand.Text())
	}
	address := path
	if strings.HasPrefix(path, "/") {
		address = b.w.http.URL + path
	}
	req, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.w.t.Fatal(err)
	}
	req.Header.Set("X-Test-IP", b.ip)
	req.Header.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0) Firefox/144.0")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") == "text/event-stream" { // it would go on for ever
		return seen{status: res.StatusCode, path: res.Request.URL.Path, header: res.Header}
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") && res.Header.Get("Location") == "" && res.Header.Get("Content-Encoding") == "" {
		for _, wrong := range htmlcheck.Check(string(body)).Problems {
			b.w.t.Errorf("%s %s: %s", method, path, wrong)
		}
		if strings.Contains(string(body), "<img src=x") {
			b.w.t.Errorf("%s %s has a tag that came through a text field", method, path)
		}
	}
	return seen{res.StatusCode, res.Request.URL.Path, string(body), res.Header}
}

func (b *browser) get(path string) seen { b.w.t.Helper(); return b.send(http.MethodGet, path, nil) }

func (b *browser) post(path string, pairs ...string) seen {
	b.w.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.send(http.MethodPost, path, form)
}

// want fails unless a page has a status, an address and words.
func (w *world) want(s seen, status int, path, words string) seen {
	w.t.Helper()
	if s.status != status || s.path != path || !strings.Contains(s.body, words) {
		w.t.Fatalf("got %d %s, want %d %s with %q:\n%s", s.status, s.path, status, path, words, s.body)
	}
	return s
}

// events gives the types of the shop's entries from a seq on, without the settings.
func (w *world) events(from int64) (types []string) {
	w.t.Helper()
	for _, e := range w.entries(from) {
		types = append(types, string(e.Type))
	}
	return types
}

func (w *world) entries(from int64) (out []*journal.Event) {
	w.t.Helper()
	for seq := from; seq <= w.Program.Head(); seq++ {
		st, err := w.Store.Event(context.Background(), w.Store.Read, store.Opened, seq)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, st.Event)
	}
	return out
}

// made fails unless the entries since a seq are of these types.
func (w *world) made(from int64, want ...string) {
	w.t.Helper()
	if got := w.events(from); !slices.Equal(got, want) {
		w.t.Errorf("made %q, want %q", got, want)
	}
}

func (w *world) next() int64 { return w.Program.Head() + 1 }

const password = "four words in a row"

// owned gives a shop with an owner, signed in.
func owned(t testing.TB, provider auth.ProviderConfig) (*world, *browser, id.ID) {
	t.Helper()
	w := newWorld(t, provider)
	link, err := w.d.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser("192.0.2.1")
	w.want(b.get(link), 200, strings.TrimPrefix(link, w.http.URL), "Set up your shop")
	w.want(b.post(link, "email", "olga@example.com", "name", "Olga", "password", password), 200, "/", "You are signed in as Olga")
	return w, b, w.memberID("olga@example.com")
}

func (w *world) memberID(email string) id.ID {
	w.t.Helper()
	owner, ok, err := w.Store.Reserved(context.Background(), w.Store.Read, team.ScopeEmail, email)
	if err != nil || !ok {
		w.t.Fatalf("%s is nobody: %v", email, err)
	}
	return owner
}

var shownLink = regexp.MustCompile(`value="(http[^"]+)"`)

// link finds the one-time link that a page shows.
func (w *world) link(s seen) string {
	w.t.Helper()
	m := shownLink.FindStringSubmatch(s.body)
	if m == nil {
		w.t.Fatalf("no link on %d %s:\n%s", s.status, s.path, s.body)
	}
	return m[1]
}

// hire invites somebody, who joins in a browser of their own.
func (w *world) hire(by *browser, email, ip string, fields ...string) *browser {
	w.t.Helper()
	link := w.link(by.post("/team/invite", append([]string{"email", email}, fields...)...))
	b := w.browser(ip)
	w.want(b.get(link), 200, strings.TrimPrefix(link, w.http.URL), email)
	w.want(b.post(link, "name", strings.ToUpper(email[:1])+email[1:strings.IndexByte(email, '@')], "password", password), 200, "/", "You are signed in")
	return b
}

func TestSetUp(t *testing.T) {
	w := newWorld(t, auth.ProviderConfig{})
	b := w.browser("192.0.2.1")
	w.want(b.get("/"), 200, "/signin", "This shop has no owner yet")
	first, err := w.d.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	link, err := w.d.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(link, w.http.URL)
	w.want(b.get(first), 410, strings.TrimPrefix(first, w.http.URL), "used already, or it is too old")
	s := w.want(b.post(link, "email", "olga", "password", "short"), 422, path, "Take at least 10 characters")
	if !strings.Contains(s.body, `id="email-problem"`) {
		t.Error("only one of two wrong fields is told")
	}
	from := w.next()
	w.want(b.post(link, "email", "olga@example.com", "name", "Olga", "password", password), 200, "/", "You are signed in as Olga")
	w.made(from, "team.default_permissions_updated", "team_member.joined", "team_member.logged_in")
	in := w.entries(from)[2]
	if olga := w.memberID("olga@example.com"); in.Actor != (journal.Actor{Kind: journal.ActorTeamMember, ID: string(olga)}) || in.Target().Kind != journal.Session ||
		in.Source.IP.Value != "192.0.2.1" || in.Source.Channel != journal.ChannelDashboard {
		t.Errorf("the entry of the sign-in: %+v", in)
	}
	w.want(w.browser("192.0.2.2").get(link), 410, path, "used already")
	if again, err := w.d.SetupLink(t.Context()); err != nil || again != "" {
		t.Errorf("another set-up link %q, %v", again, err)
	}
	from = w.next()
	w.want(b.post("/signout"), 200, "/signin", "You are signed out")
	w.made(from, "team_member.logged_out")
	w.want(b.get("/team"), 200, "/signin", `value="/team"`)
	w.want(b.post("/signin", "email", "OLGA@example.com", "password", password, "next", "/team"), 200, "/team", "olga@example.com")
}

func TestNobodyIsToldWhoIsInTheTeam(t *testing.T) {
	w, _, olga := owned(t, auth.ProviderConfig{})
	b := w.browser("198.51.100.7")
	from := w.next()
	wrong := w.want(b.post("/signin", "email", "olga@example.com", "password", "not this one!"), 422, "/signin", "The e-mail address or the password is not right")
	nobody := w.want(b.post("/signin", "email", "olgo@example.com", "password", "not this one!"), 422, "/signin", "The e-mail address or the password is not right")
	unnumbered := func(page string) string {
		return regexp.MustCompile(`name="form_number" value="[^"]*"`).ReplaceAllString(page, "")
	}
	if unnumbered(strings.ReplaceAll(nobody.body, "olgo", "olga")) != unnumbered(wrong.body) {
		t.Error("the two pages differ")
	}
	entries := w.entries(from)
	w.made(from, "team_member.login_failed", "team_member.login_failed")
	if !slices.Contains(entries[0].Targets, journal.Ref{Kind: journal.TeamMember, ID: olga}) || entries[0].Detail("email") != nil {
		t.Errorf("the entry of a wrong password: %+v", entries[0])
	}
	if e := entries[1]; len(e.Targets) != 1 || string(e.Detail("email")) != `"olgo@example.com"` || e.Boxes[0].Key != string(e.Target().ID) || e.Actor.Kind != journal.ActorAnonymous {
		t.Errorf("the entry of an unknown address: %+v", e)
	}
}

func TestFailuresAreCountedAndLockNobodyElseOut(t *testing.T) {
	w, owner, _ := owned(t, auth.ProviderConfig{})
	thief := w.browser("198.51.100.7")
	from := w.next()
	for range 5 {
		w.want(thief.post("/signin", "email", "olga@example.com", "password", "guess"), 422, "/signin", "not right")
	}
	for range 20 {
		s := w.want(thief.post("/signin", "email", "olga@example.com", "password", password), 429, "/signin", "Too many attempts")
		if s.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if n := len(w.events(from)); n != 5 { // what the limits refuse is counted, for all networks together
		t.Errorf("%d entries of 25 failures", n)
	}
	w.d.FlushTallies(t.Context())
	last := w.entries(w.Program.Head())[0]
	if last.Type != "team_member.login_failed" || string(last.Detail("count")) != "20" || last.Source.IP.Value != "" {
		t.Errorf("the counted entry: %+v", last)
	}
	// The owner signs in from elsewhere, and on a known device from the thief's network.
	w.want(owner.post("/signout"), 200, "/signin", "")
	owner.ip = thief.ip
	w.want(owner.post("/signin", "email", "olga@example.com", "password", password), 200, "/", "You are signed in")
	w.want(w.browser("192.0.2.9").post("/signin", "email", "olga@example.com", "password", password), 200, "/", "You are signed in")
	w.pass(time.Minute)
	w.want(thief.post("/signin", "email", "olga@example.com", "password", password), 200, "/", "You are signed in")
}

func TestSessionsEnd(t *testing.T) {
	w, b, olga := owned(t, auth.ProviderConfig{})
	other := w.browser("192.0.2.2")
	w.want(other.post("/signin", "email", "olga@example.com", "password", password), 200, "/", "You are signed in")
	s := w.want(b.get("/account"), 200, "/account", "Firefox on Windows")
	ends := regexp.MustCompile(`/account/sessions/(ses_[a-z0-9]+)/end"`).FindStringSubmatch(s.body)
	if ends == nil || !strings.Contains(s.body, "192.0.2.2") {
		t.Fatalf("the other session is not listed:\n%s", s.body)
	}
	from := w.next()
	w.want(b.post("/account/sessions/"+ends[1]+"/end"), 200, "/account", "The session is signed out")
	w.made(from, "team_member.logged_out")
	w.want(other.get("/account"), 200, "/signin", "")
	w.want(b.post("/account/sessions/"+ends[1]+"/end"), 404, "/account/sessions/"+ends[1]+"/end", "no such session")

	w.want(other.post("/signin", "email", "olga@example.com", "password", password), 200, "/", "")
	from = w.next()
	w.want(b.post("/account/sessions/end-others"), 200, "/account", "Your other sessions are signed out")
	w.made(from, "team_member.logged_out")

	// Used now and then it lasts 30 days, unused 7.
	for range 5 {
		w.pass(6 * 24 * time.Hour)
		if s := b.get("/account"); s.path != "/account" && w.clock().Before(time.Date(2027, 4, 2, 12, 0, 0, 0, time.UTC)) {
			t.Fatalf("the session ended on %v", w.clock())
		}
	}
	w.want(b.get("/account"), 200, "/signin", "")
	w.want(b.post("/signin", "email", "olga@example.com", "password", password), 200, "/", "")
	w.pass(7*24*time.Hour + time.Second)
	w.want(b.get("/account"), 200, "/signin", "")
	w.pass(32 * 24 * time.Hour)
	if err := w.d.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := w.Store.Sessions(t.Context(), w.Store.Read, journal.Ref{Kind: journal.TeamMember, ID: olga}, time.Time{}, time.Time{})
	if err != nil || len(left) != 0 {
		t.Errorf("%d sessions are left, %v", len(left), err)
	}
}

// Whoever can write to the database, but has no keys, signs in as nobody else.
func TestSessionsCannotBeForged(t *testing.T) {
	w, b, olga := owned(t, auth.ProviderConfig{})
	ben := w.hire(b, "ben@example.com", "192.0.2.3", "role", "member")
	write := func(text string, args ...any) {
		t.Helper()
		if _, err := w.Shell(text, args...); err != nil {
			t.Fatal(err)
		}
	}
	w.want(ben.get("/account"), 200, "/account", "ben@example.com")
	write(`UPDATE session SET owner_id = $1 WHERE owner_id = $2`, olga, w.memberID("ben@example.com"))
	w.want(ben.get("/account"), 200, "/signin", "")
	w.want(b.get("/account"), 200, "/account", "olga@example.com")
	write(`UPDATE session SET expires_at = '2099-01-01T00:00:00.000000Z'`)
	w.want(b.get("/account"), 200, "/signin", "")
}

func TestPasswords(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	other := w.browser("192.0.2.2")
	w.want(other.post("/signin", "email", "olga@example.com", "password", password), 200, "/", "")
	w.want(b.post("/account/password", "current", password, "password", "olga@example.com"), 422, "/account/password", "too easy to guess")
	from := w.next()
	w.want(b.post("/account/password", "current", "wrong password", "password", "another four words"), 422, "/account/password", "This is not your password")
	w.made(from, "team_member.login_failed")
	from = w.next()
	w.want(b.post("/account/password", "current", password, "password", "another four words"), 200, "/account", "Your password is changed")
	w.made(from, "team_member.password_changed", "team_member.logged_out")
	w.want(other.get("/"), 200, "/signin", "")
	w.want(other.post("/signin", "email", "olga@example.com", "password", password), 422, "/signin", "")
	w.want(other.post("/signin", "email", "olga@example.com", "password", "another four words"), 200, "/", "")

	// A link for who forgot it: made by an owner, used once.
	ben := w.hire(b, "ben@example.com", "192.0.2.3", "role", "member", "defaults", "yes")
	benID := w.memberID("ben@example.com")
	from = w.next()
	link := w.link(b.post("/team/" + string(benID) + "/link"))
	path := strings.TrimPrefix(link, w.http.URL)
	w.made(from, "team_member.link_created")
	if body := w.body(from); strings.Contains(body, path[len("/password/"):]) {
		t.Error("the entry holds the link's secret")
	}
	w.want(ben.get(link), 200, path, "Choose a new password")
	from = w.next()
	w.want(ben.post(link, "password", "ben takes four words"), 200, "/signin", "Sign in with the new one")
	w.made(from, "team_member.password_changed", "team_member.logged_out")
	w.want(ben.post(link, "password", "ben takes four more"), 410, path, "used already")
	w.want(ben.post("/signin", "email", "ben@example.com", "password", "ben takes four words"), 200, "/", "")
	link = w.link(b.post("/team/" + string(benID) + "/link"))
	w.pass(newPasswordLifetime)
	w.want(ben.get(link), 410, strings.TrimPrefix(link, w.http.URL), "too old")
}

func (w *world) body(seq int64) string {
	w.t.Helper()
	var body string
	if err := w.DB.Reader.QueryRow(`SELECT body FROM event WHERE seq = $1`, seq).Scan(&body); err != nil {
		w.t.Fatal(err)
	}
	return body
}

func TestForgedForms(t *testing.T) {
	w, b, _ := owned(t, auth.ProviderConfig{})
	from := w.next()
	form := url.Values{"permission": {"team.view"}}
	w.want(b.send(http.MethodPost, "/team/defaults", form, "Sec-Fetch-Site", "cross-site"), 403, "/team/defaults", "came from another site")
	w.want(b.send(http.MethodPost, "/team/defaults", form, "Sec-Fetch-Site", "", "Origin", "https://evil.example"), 403, "/team/defaults", "came from another site")
	w.made(from)
	u, err := url.Parse(w.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range b.client.Jar.Cookies(u) {
		if strings.Contains(k.Value, "olga") {
			t.Errorf("cookie %s", k)
		}
	}
	s := b.post("/signin", "email", "olga@example.com", "password", password, "next", "//evil.example/")
	w.want(s, 200, "/", "You are signed in")
	for _, next := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "evil", "/a\nb", ""} {
		if got := inside(next); got != "/" {
			t.Errorf("%q leads to %q", next, got)
		}
	}
}

func TestCookiesAreForHTTPSOnly(t *testing.T) {
	w := newWorld(t, auth.ProviderConfig{})
	d, err := New(Config{Program: w.Program, Store: w.Store, Finder: w.d.Finder, IDs: w.IDs, Log: slog.New(slog.DiscardHandler), BaseURL: "https://shop.example"})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	(&call{Dashboard: d, w: rec}).setCookie(sessionCookie, "x", time.Hour)
	if got, want := rec.Header().Get("Set-Cookie"), "__Host-perennial_session=x; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"; got != want {
		t.Errorf("got %s", got)
	}
}

// lastOf gives the last entry of a type.
func (w *world) lastOf(typ journal.Name) *journal.Event {
	w.t.Helper()
	for seq := w.Program.Head(); seq >= 0; seq-- {
		if e := w.entries(seq)[0]; e.Type == typ {
			return e
		}
	}
	w.t.Fatalf("no %s", typ)
	return nil
}
