package dashboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"perennial/internal/auth"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/team"
)

// stepLifetime is how long somebody may take for the second step, or at an identity provider.
const stepLifetime = 10 * time.Minute

// step is what is known of somebody between two steps of signing in.
type step struct {
	Member id.ID  `json:"member"`
	Next   string `json:"next"`
}

// signInEvents are those of a sign-in; a session that the browser had before ends with it.
var signInEvents = []journal.Name{journal.TeamMemberLoggedIn, journal.TeamMemberLoggedOut}

func (d *Dashboard) registerSignIn() {
	d.on(route{pattern: "GET /signin", who: everybody}, func(c *call) (answer, error) {
		if c.member != nil {
			return goTo(inside(c.r.FormValue("next"))), nil
		}
		return c.signInPage(signInView{Next: inside(c.r.FormValue("next"))})
	})
	d.on(route{pattern: "POST /signin", who: everybody, events: signInEvents}, (*call).signInWithPassword)
	d.on(route{pattern: "GET /signin/code", who: everybody}, func(c *call) (answer, error) {
		var s step
		if !c.kept(stepCookie, &s) {
			return goTo("/signin"), nil
		}
		return page("Enter the code", codeForm("")), nil
	})
	d.on(route{pattern: "POST /signin/code", who: everybody, events: append([]journal.Name{journal.TeamMemberRecoveryCodeUsed}, signInEvents...)}, (*call).signInWithCode)
	d.on(route{pattern: "POST /signout", who: signedIn, events: []journal.Name{journal.TeamMemberLoggedOut}}, func(c *call) (answer, error) {
		cmd, end := ending(c.meta.Actor, c.member.ID, team.SignedOut, c.session)
		if err := c.do(&program.Request{Command: cmd, Machinery: end}); err != nil {
			return answer{}, err
		}
		c.dropCookie(sessionCookie)
		return c.done("/signin", "You are signed out.", nil)
	})
	if d.passkeys != nil {
		d.on(route{pattern: "POST /signin/passkey/begin", who: everybody, unnumbered: true}, func(c *call) (answer, error) {
			options, ceremony, err := c.passkeys.BeginLogin()
			if err != nil {
				return answer{}, err
			}
			return c.beginCeremony(passkeyCookie, options, ceremony)
		})
		d.on(route{pattern: "POST /signin/passkey", who: everybody, events: signInEvents}, (*call).signInWithPasskey)
	}
	if d.provider != nil {
		d.on(route{pattern: "GET /signin/provider", who: everybody}, (*call).goToProvider)
		d.on(route{pattern: "GET /signin/provider/callback", who: everybody, events: append([]journal.Name{journal.TeamMemberJoined}, signInEvents...), fromProvider: true}, (*call).backFromProvider)
	}
}

func (c *call) signInPage(v signInView) (answer, error) {
	founded, err := c.founded(c.ctx)
	if err != nil {
		return answer{}, err
	}
	v.Shop, v.Founded = c.shopName(c.ctx), founded
	v.Passkeys = c.passkeysWork()
	v.Provider = c.providerName()
	a := page("Sign in", signInForm(v))
	a.status = v.status
	return a, nil
}

// providerName is what people call the identity provider, empty when there is none.
func (d *Dashboard) providerName() string {
	if d.provider == nil {
		return ""
	}
	return cmp.Or(d.provider.Name, "your identity provider")
}

// memberByEmail finds somebody who is in the team; nil for nobody.
func (c *call) memberByEmail(email string) (*team.TeamMember, error) {
	owner, ok, err := c.Store.Reserved(c.ctx, c.Store.Read, team.ScopeEmail, plain.EmailKey(email))
	if err != nil || !ok {
		return nil, store.Fault(err)
	}
	m, _, err := c.activeMember(owner)
	return m, err
}

// activeMember loads somebody who is in the team, with the row's version; nil for nobody.
func (c *call) activeMember(key id.ID) (*team.TeamMember, int64, error) {
	row, err := c.Store.Load(c.ctx, c.Store.Read, journal.Ref{Kind: journal.TeamMember, ID: key})
	if m, ok := row.State.(*team.TeamMember); ok && m.Status == team.Active {
		return m, row.Version, nil
	}
	return nil, 0, store.Fault(err)
}

// noPassword is a hash that takes as long as any to check, so that the time of an answer does not tell who is in the team,
// or has a password. It is nobody's: that it fits lets nobody in.
var noPassword = auth.NoPassword()

func (c *call) checkPassword(member id.ID, password string) (bool, error) {
	encoded, has := noPassword, false
	if member != "" {
		stored, err := c.Store.Secret(c.ctx, c.Store.Read, journal.Ref{Kind: journal.TeamMember, ID: member}, team.SecretPassword)
		if err != nil {
			return false, store.Fault(err)
		}
		if len(stored) > 0 {
			encoded, has = string(stored), true
		}
	}
	if err := c.enterHashing(); err != nil {
		return false, err
	}
	defer c.leaveHashing()
	return auth.CheckPassword(password, encoded) && has, nil
}

func (c *call) enterHashing() error {
	select {
	case c.hashing <- struct{}{}:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

func (c *call) leaveHashing() { <-c.hashing }

func (c *call) hashPassword(password string) (string, error) {
	if err := c.enterHashing(); err != nil {
		return "", err
	}
	defer c.leaveHashing()
	return auth.HashPassword(password), nil
}

// admit asks the limits whether an attempt may be looked at, and holds it up as long as they say.
func (c *call) admit(t auth.Try) error {
	slow, refused := c.limits.Admit(t, c.Program.Now())
	if refused == 0 && c.member == nil && t.Device == "" {
		refused = c.Strangers.Admit(auth.Network(c.r), c.Program.Now())
	}
	if refused > 0 {
		c.failures.Count(c.Program.Now())
		f := fault.New(fault.TooMany, "too_many_attempts", "There were too many attempts. Try again in %s.", shortly(refused))
		f.RetryAfter = refused
		return f
	}
	return wait(c.ctx, slow)
}

func shortly(d time.Duration) string {
	if d <= time.Minute {
		return "a minute"
	}
	return fmt.Sprintf("%d minutes", int(d.Minutes())+1)
}

// failSignIn makes the entry of a failed attempt, or counts it.
func (c *call) failSignIn(member id.ID, email string, why team.Failure) {
	if c.failures.Note(auth.Network(c.r), c.Program.Now()) {
		c.recordFailure(context.WithoutCancel(c.ctx), c.meta.Source, team.FailLogIn{Member: member, Email: email, Why: why, Count: 1})
	}
}

func (d *Dashboard) recordFailure(ctx context.Context, from journal.Origin, f team.FailLogIn) {
	f.Attempt = d.IDs.New(id.SignIn)
	m := program.Meta{Actor: journal.Actor{Kind: journal.ActorAnonymous, ID: string(f.Attempt)}, Source: from}
	if _, err := d.Program.Do(ctx, &program.Request{Meta: m, Command: journal.Bind(f)}); err != nil {
		d.Log.Error("record a failed sign-in", "request_id", from.RequestID, "error", err)
	}
}

func (c *call) signInWithPassword() (answer, error) {
	email, password := strings.TrimSpace(c.r.PostFormValue("email")), c.r.PostFormValue("password")
	again := signInView{Email: email, Next: inside(c.r.PostFormValue("next")), status: http.StatusUnprocessableEntity}
	m, err := c.memberByEmail(email)
	if err != nil {
		return answer{}, err
	}
	var known id.ID
	if m != nil {
		known = m.ID
	}
	try := auth.Try{Account: plain.EmailKey(email), Network: auth.Network(c.r), Device: c.knownDevice(known)}
	if err := c.admit(try); err != nil {
		return answer{}, err
	}
	ok, err := c.checkPassword(known, password)
	if err != nil {
		return answer{}, err
	}
	if !ok {
		if m == nil {
			c.failSignIn("", email, team.UnknownEmail)
		} else {
			c.failSignIn(known, "", team.WrongPassword)
		}
		again.Problem = "The e-mail address or the password is not right."
		return c.signInPage(again)
	}
	c.limits.Succeed(try)
	return c.proved(m, team.ByPassword, again.Next)
}

// proved goes on with somebody whose first factor was right: to the second one, or in.
func (c *call) proved(m *team.TeamMember, how team.Method, next string) (answer, error) {
	if m.AuthenticatorApp {
		return goTo("/signin/code"), c.keep(stepCookie, step{m.ID, next}, stepLifetime)
	}
	return c.entered(next, c.begin(m.ID, how, program.Request{}))
}

// entered goes on after signing in. A form that comes twice, by a double click, comes to what the first one came to: in, or to the sign-in.
func (c *call) entered(next string, err error) (answer, error) {
	if err != nil && fault.As(err).Code == fault.As(program.SentAlready()).Code {
		err = nil
	}
	return goTo(next), err
}

func (c *call) signInWithCode() (answer, error) {
	var s step
	if !c.kept(stepCookie, &s) {
		return c.done("/signin", "That took too long. Sign in again.", nil)
	}
	m, version, err := c.activeMember(s.Member)
	if err != nil || m == nil || !m.AuthenticatorApp {
		return goTo("/signin"), err
	}
	try := auth.Try{Account: string(m.ID), Network: auth.Network(c.r), Device: c.knownDevice(m.ID), Code: true}
	if err := c.admit(try); err != nil {
		return answer{}, err
	}
	if err := c.first(); err != nil {
		return c.entered(s.Next, err)
	}
	code := strings.TrimSpace(c.r.PostFormValue("code"))
	seed, err := c.seed(m)
	if err != nil {
		return answer{}, err
	}
	right, err := c.checkCode(m, seed, code)
	if err != nil {
		return answer{}, err
	}
	if right {
		c.limits.Succeed(try)
		return goTo(s.Next), c.begin(m.ID, team.ByAuthenticatorApp, program.Request{})
	}
	hashes, err := c.Store.Secret(c.ctx, c.Store.Read, m.Ref(), team.SecretRecoveryCodes)
	if err != nil {
		return answer{}, store.Fault(err)
	}
	if left, ok := auth.UseRecoveryCode(code, hashes); ok {
		c.limits.Succeed(try)
		// The version says that the hashes are those that were looked at: a code is used once.
		req := program.Request{Target: m.Ref(), IfMatch: &version}
		return goTo(s.Next), c.begin(m.ID, team.ByRecoveryCode, req, journal.Bind(team.UseRecoveryCode{ID: m.ID, Left: left}))
	}
	c.failSignIn(m.ID, "", team.WrongCode)
	a := page("Enter the code", codeForm("This code is not right. Codes change every half minute, and each works once."))
	a.status = http.StatusUnprocessableEntity
	return a, nil
}

// checkCode says whether a code is that of a seed now, and was not used before.
func (c *call) checkCode(m *team.TeamMember, seed, code string) (bool, error) {
	period, ok := auth.CheckCode(seed, code, c.Program.Now())
	if !ok {
		return false, nil
	}
	return c.Program.Spend(c.ctx, fmt.Sprint("code ", m.ID, period), auth.CodeEnd(period))
}

// purposeSeed is what seeds of authenticator apps are sealed for in the database.
const purposeSeed = "authenticator app"

// seed opens the seed of somebody's authenticator app.
func (c *call) seed(m *team.TeamMember) (string, error) {
	sealed, err := c.Store.Secret(c.ctx, c.Store.Read, m.Ref(), team.SecretAuthenticator)
	if err != nil {
		return "", store.Fault(err)
	}
	seed, ok := c.box.Open(purposeSeed+" "+string(m.ID), sealed)
	if !ok {
		return "", fmt.Errorf("dashboard: the seed of %s cannot be opened", m.ID)
	}
	return string(seed), nil
}

// passkeysWork says whether a browser that sees this page could use a passkey: it is at the address that they belong to.
func (c *call) passkeysWork() bool {
	return c.passkeys != nil && strings.HasSuffix(c.passkeys.Origin, "//"+c.r.Host)
}

func (c *call) beginCeremony(cookie string, options []byte, ceremony auth.Ceremony) (answer, error) {
	if err := c.keep(cookie, ceremony, stepLifetime); err != nil {
		return answer{}, err
	}
	c.w.Header().Set("Content-Type", "application/json")
	_, _ = c.w.Write(options) // a browser that went away
	return answer{sent: true}, nil
}

// ceremony gives the ceremony that a browser answers, once.
func (c *call) ceremony(cookie string) (auth.Ceremony, error) {
	var k auth.Ceremony
	first, err := false, error(nil)
	if c.kept(cookie, &k) && k.Challenge() != "" {
		first, err = c.Program.Spend(c.ctx, "challenge "+k.Challenge(), c.Program.Now().Add(stepLifetime))
	}
	if err != nil {
		return k, err
	}
	if !first {
		return k, fault.New(fault.Gone, "ceremony_over", "That took too long. Try the passkey again.")
	}
	c.dropCookie(cookie)
	return k, nil
}

func (c *call) signInWithPasskey() (answer, error) {
	if err := c.admit(auth.Try{Network: auth.Network(c.r)}); err != nil { // before anything is written for a stranger
		return answer{}, err
	}
	k, err := c.ceremony(passkeyCookie)
	if err != nil {
		return answer{}, err
	}
	var m *team.TeamMember
	refused := c.passkeys.Login(k, []byte(c.r.PostFormValue("credential")), func(handle []byte) (u auth.PasskeyUser, err error) {
		if m, _, err = c.activeMember(id.ID(handle)); err != nil {
			return u, err
		}
		if m == nil {
			return u, fault.New(fault.NotFound, "unknown_passkey", "Nobody of the team has this passkey.")
		}
		return c.passkeyUser(m)
	})
	if refused != nil || m == nil {
		var known id.ID
		if m != nil {
			known = m.ID
		}
		c.failSignIn(known, "", team.WrongPasskey)
		return c.signInPage(signInView{Next: "/", Problem: "This passkey was refused.", status: http.StatusUnprocessableEntity})
	}
	return goTo(inside(c.r.PostFormValue("next"))), c.begin(m.ID, team.ByPasskey, program.Request{})
}

func (c *call) passkeyUser(m *team.TeamMember) (auth.PasskeyUser, error) {
	u := auth.PasskeyUser{Handle: []byte(m.ID), Name: m.Email.Value}
	for _, p := range m.Passkeys {
		b, err := c.Store.Secret(c.ctx, c.Store.Read, m.Ref(), team.SecretPasskey(p.ID))
		if err != nil {
			return u, store.Fault(err)
		}
		u.Credentials = append(u.Credentials, b)
	}
	return u, nil
}

// atProvider is what is kept while somebody is at the identity provider.
type atProvider struct {
	Errand auth.Errand `json:"errand"`
	Next   string      `json:"next"`
	Again  id.ID       `json:"again,omitempty"` // who is to show once more that it is them
	Join   string      `json:"join,omitempty"`  // the token of an invitation that is to be taken up
}

func (c *call) goToProvider() (answer, error) {
	at := atProvider{Next: inside(c.r.FormValue("next")), Join: c.r.FormValue("join")}
	if c.member != nil && c.r.FormValue("again") != "" {
		at.Again = c.member.ID
	}
	address, errand, err := c.provider.Begin(c.ctx, at.Again != "")
	if err != nil {
		return answer{}, fault.Wrap(err, fault.Unavailable, "provider_away", "The identity provider does not answer. Sign in another way, or try again.")
	}
	at.Errand = errand
	if err := c.keep(providerCookie, at, stepLifetime); err != nil {
		return answer{}, err
	}
	return goTo(address), nil
}

func (c *call) backFromProvider() (answer, error) {
	var at atProvider
	if !c.kept(providerCookie, &at) {
		return c.done("/signin", "That took too long. Sign in again.", nil)
	}
	c.dropCookie(providerCookie)
	at.Next = inside(at.Next)
	if err := c.admit(auth.Try{Network: auth.Network(c.r)}); err != nil {
		return answer{}, err
	}
	who, err := c.provider.Finish(c.ctx, at.Errand, c.r.FormValue("state"), c.r.FormValue("code"), c.r.FormValue("error"), c.Program.Now())
	c.stale = c.Program.Now().Sub(who.Proved) > provedWithin // by a session of the provider's own, or the provider does not say
	if err == nil && at.Join != "" {
		return c.joinFromProvider(at.Join, who.Email)
	}
	var m *team.TeamMember
	if err == nil {
		m, err = c.memberByEmail(who.Email)
	}
	if m == nil {
		if err != nil {
			c.Log.Info("identity provider", "request_id", c.meta.Source.RequestID, "error", err)
		}
		c.failSignIn("", who.Email, team.WrongProvider)
		return c.signInPage(signInView{Next: at.Next, Problem: c.notNamed(err), status: http.StatusUnprocessableEntity})
	}
	if at.Again != "" && c.member != nil {
		switch {
		case at.Again != c.member.ID || m.ID != c.member.ID:
			return answer{}, fault.New(fault.Conflict, "provider_names_another", "The identity provider names somebody else than who is signed in here.")
		case c.stale:
			return answer{}, fault.New(fault.Conflict, "not_proved", "The identity provider does not say that you signed in there just now (auth_time). Confirm it with your password, or a passkey.")
		}
		return goTo(at.Next), c.confirm(c.session)
	}
	return c.proved(m, team.ByProvider, at.Next)
}

// notNamed says why the identity provider's answer signs nobody in: each cause has another remedy.
func (c *call) notNamed(err error) string {
	name := c.provider.Name
	if name == "" {
		name = "The identity provider"
	}
	switch {
	case err == nil:
		return "Nobody of this team has the e-mail address that " + c.providerName() + " gave. Ask an owner for an invitation to it."
	case errors.Is(err, auth.ErrNoEmail):
		return name + " gave no e-mail address. Whoever runs it has to release the claim “email” to this application."
	case errors.Is(err, auth.ErrNotVerified):
		return name + " does not say that your e-mail address is verified. Verify it there, then try again."
	case errors.Is(err, auth.ErrTurnedAway):
		return name + " did not sign you in. Try again, or sign in another way."
	}
	return "The answer of " + c.providerName() + " could not be used. Try again, or sign in another way; the cause is in the server's log."
}
