package portal

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"perennial/internal/auth"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/subscription"
	"perennial/internal/web/ui"
)

// belongings are the ids of what a customer has, by the name that routes have for them.
func (w *world) belongings(who, sub id.ID) map[string][]string {
	w.t.Helper()
	row, err := w.Store.Load(w.t.Context(), w.Store.Read, journal.Ref{Kind: journal.Subscription, ID: sub})
	if err != nil {
		w.t.Fatal(err)
	}
	s := row.State.(*subscription.Subscription)
	w.Do(journal.Bind(subscription.Pause{ID: sub}))
	event := w.last("subscription.paused").ID
	w.Do(journal.Bind(subscription.Resume{ID: sub}))
	sessions, err := w.Store.Sessions(w.t.Context(), w.Store.Read, journal.Ref{Kind: journal.Customer, ID: who}, w.clock(), time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string][]string{"id": {string(sub)}, "address": {string(s.ShippingAddressID)}, "method": {string(s.PaymentMethodID)}, "event": {string(event)}}
	for _, it := range s.Items {
		out["part"] = append(out["part"], string(it.ID))
	}
	for _, x := range sessions {
		out["session"] = append(out["session"], string(x.ID))
	}
	return out
}

// TestNobodyReachesWhatBelongsToAnother asks by every route for the things of another customer and of another shop, alone and mixed with
// one's own: nothing is found, and nothing changes.
func TestNobodyReachesWhatBelongsToAnother(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	w, foreign := newWorld(t), newWorld(t)
	w.signIn("ben@example.com")
	foreign.signIn("ben@example.com")
	v := w.signIn("ada@example.com")
	hers, his, theirs := w.belongings(w.ada, w.hers), w.belongings(w.ben, w.his), foreign.belongings(foreign.ben, foreign.his)
	head := w.Program.Head()
	var patterns []string
	for _, p := range w.patterns() {
		if strings.Contains(p, "{") && !strings.Contains(p, "{token}") {
			patterns = append(patterns, p)
		}
	}
	if len(patterns) < 2*len(actions) {
		t.Fatalf("only %d routes", len(patterns))
	}
	ask := func(t *rapid.T, pattern string) {
		method, path, _ := strings.Cut(pattern, " ")
		alien := 0
		parts := strings.Split(path, "/")
		for i, p := range parts {
			name, ok := strings.CutPrefix(p, "{")
			if !ok {
				continue
			}
			name = strings.TrimSuffix(name, "}")
			last := !strings.Contains(strings.Join(parts[i+1:], "/"), "{")
			whose := rapid.IntRange(0, 3).Draw(t, "whose "+name)
			if alien == 0 && last {
				whose = max(whose, 1)
			}
			pool := [][]string{hers[name], his[name], theirs[name], {"sub_" + strings.Repeat("0", 26), "x", "..%2f"}}[whose]
			if len(pool) == 0 {
				pool = []string{"nothing"}
			}
			if whose > 0 {
				alien++
			}
			parts[i] = rapid.SampledFrom(pool).Draw(t, name)
		}
		form := url.Values{"line1": {"x"}, "city": {"x"}, "country": {"CH"}, "date": {"2027-04-03"}, "quantity": {"2"}, "variant_id": {string(w.other)}, "reason": {"r"}}
		if s := v.send(method, strings.Join(parts, "/"), form); s.status != http.StatusNotFound {
			t.Fatalf("%s %s: %d %s", method, strings.Join(parts, "/"), s.status, s.path)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		for _, p := range patterns {
			ask(t, p)
		}
	})
	if got := w.Program.Head(); got != head {
		t.Errorf("%d entries were made", got-head)
	}
	for _, path := range []string{"/portal", "/portal/orders", "/portal/history", "/portal/account"} {
		if s := v.get(path); strings.Contains(s.body, string(w.his)) || strings.Contains(s.body, "ben@") {
			t.Errorf("%s tells of somebody else", path)
		}
	}
}

// TestAMillionGuesses asks for codes and guesses at them as fast as the rules allow, from a million networks. At one address they are few;
// over all addresses the codes are so many that one is found in ten thousand years.
func TestAMillionGuesses(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	const tries = 1_000_000
	l, now := auth.NewLimits(), time.Date(2027, 3, 3, 12, 0, 0, 0, time.UTC)
	sent := 0
	const days = 3
	for second := range days * 24 * 3600 {
		if admit(l, "ada@example.com", fmt.Sprint(second%50_000), "", now.Add(time.Duration(second)*time.Second)) == 0 {
			sent++
		}
	}
	perDay := float64(sent*codeTries) / days
	t.Logf("%.0f tries a day are possible at one address, so a million take %.0f days", perDay, tries/perDay)
	if perDay > 2_500 {
		t.Errorf("%.0f tries a day are possible", perDay)
	}
	if admit(l, "ada@example.com", "home", "cus_ada", now.Add(days*24*time.Hour)) != 0 {
		t.Error("whoever guesses locks out whom they guess at")
	}
}

// TestCodesOverAllAddresses counts what a minute of asking for many addresses from many networks comes to.
func TestCodesOverAllAddresses(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	l, now := auth.NewLimits(), time.Date(2027, 3, 3, 12, 0, 0, 0, time.UTC)
	sent := 0
	const seconds = 3600
	for n := range seconds * 40 {
		at := now.Add(time.Duration(n) * time.Second / 40)
		if admit(l, fmt.Sprintf("c%d@example.com", n), fmt.Sprint(n), "", at) == 0 {
			sent++
		}
	}
	codes := math.Pow(float64(len(codeLetters)), codeLength)
	years := codes / (float64(sent) * codeTries * 24 * 365)
	t.Logf("%d codes an hour can be asked for and guessed at; one of %.1e is found in %.0f years", sent, codes, years)
	if years < 100 {
		t.Errorf("a code is found in %.1f years", years)
	}
}

// TestCodesAreEvenlySpread holds the codes that are made against what they can be, and reads them as people type them.
func TestCodesAreEvenlySpread(t *testing.T) {
	counts := make([]int, len(codeLetters))
	const codes = 20_000
	for range codes {
		code, err := newCode()
		if err != nil || len(code) != codeLength {
			t.Fatal(code, err)
		}
		for _, typed := range []string{code, shownCode(code), strings.ToLower(shownCode(code)), " " + code[:3] + " " + code[3:] + "\n"} {
			if typedCode(typed) != code {
				t.Fatalf("%q is not read as %s", typed, code)
			}
		}
		counts[strings.IndexByte(codeLetters, code[0])]++
	}
	if lo, hi := slices.Min(counts), slices.Max(counts); lo < codes/len(codeLetters)*7/10 || hi > codes/len(codeLetters)*13/10 { // eight standard deviations
		t.Errorf("first letters: %v", counts)
	}
}

// TestTheLooksOfTheStore is the brand, the order of actions, and what the store says of itself.
func TestTheLooksOfTheStore(t *testing.T) {
	w := newWorld(t)
	v := w.signIn("ada@example.com")
	if s := v.get("/portal"); strings.Contains(s.body, "/portal/brand/") {
		t.Error("a shop with no brand has a style sheet of its own")
	}
	look := &settings.Portal{Actions: []string{settings.ActionPause, settings.ActionCancel, settings.ActionSkip, settings.ActionReschedule}, MaxDaysAhead: 60, MinDaysAhead: 5, Language: "fr", Welcome: "Freshly roasted.\nEvery Tuesday.",
		SupportContact: "+49 30 1234", BrandColor: "#ffd400", LogoURL: "https://cdn.example/logo.png", CornerRadius: new(12)}
	w.Do(journal.Bind(settings.Update{Document: look}))
	s := v.get("/portal")
	w.want(s, 200, "/portal", "Freshly roasted.\nEvery Tuesday.", "+49 30 1234", `src="https://cdn.example/logo.png"`, style(look))
	sheet := v.get(style(look))
	w.want(sheet, 200, style(look), "background:#ffd400;border-color:#ffd400;color:#000000", "--radius:12px")
	at := "/portal/subscriptions/" + string(w.hers)
	body := v.get(at).body
	if p, c, k := strings.Index(body, at+"/pause"), strings.Index(body, at+"/cancel"), strings.Index(body, at+"/skip\""); p < 0 || p > c || c > k {
		t.Errorf("the order of actions: pause %d, cancel %d, skip %d", p, c, k)
	}
	w.want(v.post(at+"/reschedule", "next_billing_date", "2027-03-05"), 422, at+"/reschedule", "Choose a day from 8 March 2027 on.")
	w.Do(journal.Bind(settings.Update{Document: &settings.Billing{BillingHour: 6, CutoffDays: 3, MaxCatchUpOrders: 1}}))
	w.want(v.get(at), 200, at, "The next order can be changed until 31 March 2027.")
	stranger := w.visitor()
	w.want(stranger.get("/portal/signin"), 200, "/portal/signin", `<html lang="fr"`)
	stranger.language = "ja, de;q=0.5"
	w.want(stranger.get("/portal/signin"), 200, "/portal/signin", `<html lang="de"`)

	res, err := http.Get(w.http.URL + "/portal/signin")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if p := res.Header.Get("Content-Security-Policy"); !strings.Contains(p, "img-src 'self' data: https://cdn.example;") || !strings.Contains(p, "frame-ancestors 'none'") {
		t.Errorf("the policy: %s", p)
	}
}

// TestEveryBrandCanBeRead tries many colours: what is written in them has enough contrast on everything that is behind it.
func TestEveryBrandCanBeRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint32Range(0, 1<<24-1).Draw(t, "colour")
		c := settings.Color{R: uint8(n >> 16), G: uint8(n >> 8), B: uint8(n)}
		for _, x := range []struct {
			towards settings.Color
			grounds []settings.Color
		}{{settings.Black, lightGrounds}, {settings.White, darkGrounds}} {
			text, soft := readable(c, x.towards, x.grounds)
			for _, g := range append(slices.Clone(x.grounds), soft) {
				if got := settings.Contrast(text, g); got < settings.ReadableContrast {
					t.Fatalf("%s becomes %s, which has a contrast of %.2f on %s", c, text, got, g)
				}
			}
			if settings.Contrast(text, settings.TextOn(text)) < settings.ReadableContrast {
				t.Fatalf("no text on %s", text)
			}
		}
	})
}

// TestUnderAPathOfTheStore puts the Portal behind a proxy that leaves the path as it is, and behind one that takes it off.
func TestUnderAPathOfTheStore(t *testing.T) {
	w := newWorld(t)
	c := w.p.Config
	c.PortalURL, c.FrameAncestors = "https://store.example/account/me", []string{"https://store.example", "'self'"}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	h := p.Handler()
	send := func(method, path string, form url.Values, cookies []*http.Cookie) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, "https://store.example"+path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://store.example")
		for _, k := range cookies {
			r.AddCookie(k)
		}
		out := httptest.NewRecorder()
		h.ServeHTTP(out, r)
		return out
	}
	for _, path := range []string{"/account/me/signin", "/portal/signin"} {
		got := send(http.MethodGet, path, nil, nil)
		body := got.Body.String()
		if got.Code != 200 || !strings.Contains(body, `action="/account/me/signin"`) || !strings.Contains(body, `href="/account/me/assets/`) || strings.Contains(body, `"/portal`) && !strings.Contains(body, `value="/portal/signin"`) || strings.Contains(body, `"/assets`) {
			t.Errorf("%s: %d\n%s", path, got.Code, body)
		}
		if csp := got.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors https://store.example 'self';") {
			t.Errorf("the policy: %s", csp)
		}
	}
	got := send(http.MethodGet, "/account/me", nil, nil)
	if to := got.Header().Get("Location"); to != "/account/me/signin" {
		t.Errorf("a stranger is sent to %s", to)
	}
	asked := send(http.MethodPost, "/account/me/signin", url.Values{"email": {"ada@example.com"}, ui.Number: {strings.Repeat("once", 6)}}, nil)
	p.Drain()
	in := send(http.MethodPost, "/account/me/code", url.Values{"code": {w.code()}, ui.Number: {strings.Repeat("once", 6)}}, asked.Result().Cookies())
	if to := in.Header().Get("Location"); to != "/account/me" {
		t.Fatalf("after signing in one is sent to %q (%d)", to, in.Code)
	}
	page := send(http.MethodGet, "/account/me", nil, in.Result().Cookies())
	if !strings.Contains(page.Body.String(), `href="/account/me/subscriptions/`+string(w.hers)) {
		t.Errorf("the start:\n%s", page.Body)
	}
	if css := send(http.MethodGet, "/account/me/assets/x/ui.css", nil, nil); css.Code != 200 || !strings.Contains(css.Body.String(), "--accent") {
		t.Errorf("the style sheet: %d", css.Code)
	}
	for _, bad := range []string{"https://store.example", "https://store.example/a/../b", "https://store.example/a?b", "nonsense", `https://store.example/"x`} {
		c.PortalURL = bad
		if _, err := New(c); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	for _, bad := range []string{"store.example", "https://a; script-src *", "*", "https://", "https://a/b"} {
		if CheckAncestors([]string{bad}) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
