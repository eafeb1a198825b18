package dashboard

import (
	"cmp"
	"net/http"
	"time"

	"perennial/internal/auth"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

// seedCookie keeps the seed of an authenticator app that is being set up, until its first code proves that it works.
const seedCookie = "perennial_seed"

func (d *Dashboard) registerAccount() {
	factorOn, factorOff := []journal.Name{journal.TeamMemberSecondFactorEnabled}, []journal.Name{journal.TeamMemberSecondFactorDisabled}
	d.registerConfirm()
	d.on(route{pattern: "GET /account", who: signedIn}, func(c *call) (answer, error) { return c.accountPage(nil) })
	d.on(route{pattern: "POST /account/name", who: signedIn, events: []journal.Name{journal.TeamMemberProfileUpdated}}, (*call).changeName)
	d.on(route{pattern: "POST /account/password", who: signedIn, events: newPasswordEvents}, (*call).changePassword)
	d.on(route{pattern: "GET /account/authenticator", who: signedIn}, (*call).showAuthenticator)
	d.on(route{pattern: "GET /account/authenticator/code.png", who: signedIn}, (*call).seedPicture)
	d.on(route{pattern: "POST /account/authenticator", who: signedIn, confirm: true, events: factorOn}, (*call).enableAuthenticator)
	d.on(route{pattern: "POST /account/authenticator/off", who: signedIn, events: factorOff}, (*call).disableAuthenticator)
	if d.passkeys != nil {
		d.on(route{pattern: "POST /account/passkeys/begin", who: signedIn, confirm: true, unnumbered: true}, (*call).beginPasskey)
		d.on(route{pattern: "POST /account/passkeys", who: signedIn, confirm: true, events: factorOn}, (*call).addPasskey)
	}
	d.on(route{pattern: "POST /account/passkeys/{passkey}/remove", who: signedIn, confirm: true, events: factorOff}, func(c *call) (answer, error) {
		return c.done("/account", "The passkey is removed.", c.change(journal.Bind(team.RemovePasskey{ID: c.member.ID, Passkey: id.ID(c.r.PathValue("passkey")), Actor: c.meta.Actor})))
	})
	d.on(route{pattern: "POST /account/sessions/{session}/end", who: signedIn, events: []journal.Name{journal.TeamMemberLoggedOut}}, (*call).endSession)
	d.on(route{pattern: "POST /account/sessions/end-others", who: signedIn, events: []journal.Name{journal.TeamMemberLoggedOut}}, (*call).endOtherSessions)
}

func (c *call) accountPage(p problems) (answer, error) {
	v := accountView{Member: c.member, Problems: p, Passkeys: c.passkeysWork(), Confirmed: c.confirmed(), Zone: c.zone(c.ctx)}
	list, err := c.sessions(c.member.ID)
	if err != nil {
		return answer{}, err
	}
	for _, s := range list {
		from, err := c.origin(c.ctx, s.ID)
		if err != nil {
			return answer{}, err
		}
		v.Sessions = append(v.Sessions, sessionView{ID: s.ID, Here: s.ID == c.session, Device: deviceWords(from.UserAgent), IP: from.IP, Since: s.CreatedAt, Seen: s.SeenAt})
	}
	a := page("Your account", accountBody(v))
	if p != nil {
		a.status = http.StatusUnprocessableEntity
	}
	return a, nil
}

// deviceWords names a browser and a system, as far as its own words tell.
func deviceWords(agent journal.Personal[string]) string {
	if agent.Erased {
		return "Erased"
	}
	return cmp.Or(ui.Device(agent.Value), "Unknown device")
}

func (c *call) changeName() (answer, error) {
	name := c.r.PostFormValue("name")
	if err := c.change(journal.Bind(team.ChangeProfile{ID: c.member.ID, Name: &name, Actor: c.meta.Actor})); err != nil {
		return c.formAgain("Your account", err, func(p problems) answer { a, _ := c.accountPage(p); return a })
	}
	return c.done("/account", "Your name is saved.", nil)
}

// reauthenticate asks for the password again before what a borrowed session must not do. It is limited as a sign-in is.
func (c *call) reauthenticate() error {
	try := auth.Try{Account: plain.EmailKey(c.member.Email.Value), Network: auth.Network(c.r), Device: c.knownDevice(c.member.ID)}
	if err := c.admit(try); err != nil {
		return err
	}
	ok, err := c.checkPassword(c.member.ID, c.r.PostFormValue("current"))
	if err != nil {
		return err
	}
	if !ok {
		c.failSignIn(c.member.ID, "", team.WrongPassword)
		var f fault.Fields
		f.Add("/current", "password_wrong", "This is not your password.")
		return f.Err()
	}
	c.limits.Succeed(try)
	return nil
}

func (c *call) changePassword() (answer, error) {
	again := func(err error) (answer, error) {
		return c.formAgain("Your account", err, func(p problems) answer { a, _ := c.accountPage(p); return a })
	}
	password := c.r.PostFormValue("password")
	var f fault.Fields
	newPassword(&f, password, c.member.Email.Value)
	if err := f.Err(); err != nil {
		return again(err)
	}
	if err := c.reauthenticate(); err != nil {
		return again(err)
	}
	if err := c.setPassword(c.member, password, nil, c.meta, c.session, nil); err != nil {
		return again(err)
	}
	return c.done("/account", "Your password is changed, and your other sessions are signed out.", nil)
}

// newSeed is a seed that is being set up, and whose it will be: a cookie from elsewhere sets nobody else's up.
type newSeed struct {
	Member id.ID  `json:"member"`
	Seed   string `json:"seed"`
}

func (c *call) keptSeed() (string, bool) {
	var s newSeed
	ok := c.kept(seedCookie, &s) && s.Member == c.member.ID && s.Seed != ""
	return s.Seed, ok
}

func (c *call) showAuthenticator() (answer, error) {
	if c.member.AuthenticatorApp {
		return goTo("/account"), nil
	}
	seed, ok := c.keptSeed()
	if !ok {
		seed = auth.NewSeed()
		if err := c.keep(seedCookie, newSeed{c.member.ID, seed}, time.Hour); err != nil {
			return answer{}, err
		}
	}
	return page("Set up an authenticator app", boxed(authenticatorForm(seed, nil))), nil
}

func (c *call) seedPicture() (answer, error) {
	seed, ok := c.keptSeed()
	if !ok {
		return answer{}, fault.New(fault.NotFound, "unknown_picture", "There is no picture here.")
	}
	b, err := auth.SeedPicture(seed, c.shopName(c.ctx), c.member.Email.Value)
	if err != nil {
		return answer{}, err
	}
	c.w.Header().Set("Content-Type", "image/png")
	_, _ = c.w.Write(b) // a browser that went away
	return answer{sent: true}, nil
}

func (c *call) enableAuthenticator() (answer, error) {
	seed, ok := c.keptSeed()
	if !ok {
		return c.done("/account/authenticator", "That took too long. Begin again.", nil)
	}
	right, err := c.checkCode(c.member, seed, c.r.PostFormValue("code"))
	if err != nil {
		return answer{}, err
	}
	if !right {
		a := page("Set up an authenticator app", boxed(authenticatorForm(seed, problems{"code": "This code is not right. Check that the time of your phone is."})))
		a.status = http.StatusUnprocessableEntity
		return a, nil
	}
	codes, hashes := auth.NewRecoveryCodes(team.RecoveryCodes)
	sealed := c.box.Seal(purposeSeed+" "+string(c.member.ID), []byte(seed))
	if err := c.change(journal.Bind(team.EnableAuthenticator{ID: c.member.ID, Seed: sealed, Recovery: hashes, Actor: c.meta.Actor})); err != nil {
		return answer{}, err
	}
	c.dropCookie(seedCookie)
	return page("Keep your recovery codes", boxed(recoveryCodes(codes))), nil
}

func (c *call) disableAuthenticator() (answer, error) {
	if err := c.reauthenticate(); err != nil {
		return c.formAgain("Your account", err, func(p problems) answer {
			a, _ := c.accountPage(problems{"off": p["current"]})
			return a
		})
	}
	return c.done("/account", "The authenticator app is switched off.", c.change(journal.Bind(team.DisableAuthenticator{ID: c.member.ID, Actor: c.meta.Actor})))
}

func (c *call) beginPasskey() (answer, error) {
	u, err := c.passkeyUser(c.member)
	if err != nil {
		return answer{}, err
	}
	options, ceremony, err := c.passkeys.BeginRegister(u)
	if err != nil {
		return answer{}, err
	}
	return c.beginCeremony(newPasskeyCookie, options, ceremony)
}

func (c *call) addPasskey() (answer, error) {
	k, err := c.ceremony(newPasskeyCookie)
	if err != nil {
		return answer{}, err
	}
	u, err := c.passkeyUser(c.member)
	if err != nil {
		return answer{}, err
	}
	credential, err := c.passkeys.Register(u, k, []byte(c.r.PostFormValue("credential")))
	if err != nil {
		return answer{}, fault.Wrap(err, fault.Conflict, "passkey_refused", "The passkey could not be added. Try again.")
	}
	return c.done("/account", "The passkey is added.", c.change(journal.Bind(team.AddPasskey{ID: c.member.ID, Passkey: c.IDs.New(id.Passkey), Credential: credential, Actor: c.meta.Actor})))
}

// endSession signs one of one's own sessions out.
func (c *call) endSession() (answer, error) {
	wanted := id.ID(c.r.PathValue("session"))
	list, err := c.sessionIDs(c.member.ID)
	if err != nil {
		return answer{}, err
	}
	for _, s := range list {
		if s == wanted {
			return c.done("/account", "The session is signed out.", c.endSessions(c.member.ID, team.SessionRevoked, s))
		}
	}
	return answer{}, fault.New(fault.NotFound, "unknown_session", "You have no such session.")
}

func (c *call) endOtherSessions() (answer, error) {
	others, err := c.sessionIDs(c.member.ID, c.session)
	if err != nil {
		return answer{}, err
	}
	return c.done("/account", "Your other sessions are signed out.", c.endSessions(c.member.ID, team.SessionRevoked, others...))
}

func (c *call) endSessions(member id.ID, why team.Ending, sessions ...id.ID) error {
	cmd, end := ending(c.meta.Actor, member, why, sessions...)
	return c.do(&program.Request{Command: cmd, Machinery: end})
}
