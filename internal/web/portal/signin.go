package portal

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"perennial/internal/auth"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/message"
	"perennial/internal/notify"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
)

// codePurpose is what a code is for, among the one-time links: a new one takes the place of the one before.
const codePurpose = "portal_code"

// awaited is the code that a browser waits for. It is the same for an address that nobody has: who is a customer is neither in it nor in
// its length.
type awaited struct {
	Attempt id.ID  `json:"attempt"`
	Email   string `json:"email"`
}

func (p *Portal) registerSignIn() {
	p.on(route{pattern: "GET /portal/signin", who: everybody}, func(c *call) (answer, error) {
		if c.who != nil {
			return answer{to: "/portal"}, nil
		}
		return answer{title: c.say("signin.title"), body: signInBody("", "", c.Mails)}, nil
	})
	p.on(route{pattern: "POST /portal/signin", who: everybody, events: []journal.Name{journal.CustomerLoginCodeSent}}, (*call).askForCode)
	p.on(route{pattern: "GET /portal/code", who: everybody}, func(c *call) (answer, error) {
		var w awaited
		if !c.kept(codeCookie, &w) {
			return answer{to: "/portal/signin"}, nil
		}
		return answer{title: c.say("code.title"), body: codeBody(w.Email, "")}, nil
	})
	p.on(route{pattern: "POST /portal/code", who: everybody, events: []journal.Name{journal.CustomerLoggedIn, journal.CustomerLoginCodeRejected}}, (*call).enterCode)
	p.on(route{pattern: "GET /portal/link/{token}", who: withLink}, func(c *call) (answer, error) {
		return answer{title: c.say("signin.title"), body: linkBody(c.r.URL.Path)}, nil // opened by a button, so that a scanner of mail does not use it up
	})
	p.on(route{pattern: "POST /portal/link/{token}", who: withLink, events: []journal.Name{journal.CustomerLoggedIn}}, (*call).useLink)
	p.on(route{pattern: "POST /portal/signout", who: subscriber, events: []journal.Name{journal.CustomerLoggedOut}}, (*call).signOut)
}

// askForCode has a code sent, if somebody has the address: after the answer, which is the same either way and takes as long.
func (c *call) askForCode() (answer, error) {
	email := strings.TrimSpace(c.r.PostFormValue("email"))
	if _, why := plain.NormalEmail(email); why != nil {
		return answer{status: http.StatusUnprocessableEntity, title: c.say("signin.title"), body: signInBody(email, c.say("signin.email_wrong"), c.Mails)}, nil
	}
	device, err := c.deviceOf(email)
	if err != nil {
		return answer{}, err
	}
	refused := admit(c.limits, plain.EmailKey(email), auth.Network(c.r), device, c.Program.Now())
	if refused == 0 && device == "" {
		refused = c.Strangers.Admit(auth.Network(c.r), c.Program.Now())
	}
	if refused > 0 {
		return answer{}, &fault.Error{Kind: fault.TooMany, Code: "too_many_attempts", Public: "Too many codes were asked for. Wait a moment, then try again.", RetryAfter: refused}
	}
	if first, err := c.first(); err != nil || !first { // of anybody, so that it tells nothing
		return answer{to: "/portal/code"}, err
	}
	w := awaited{Attempt: c.IDs.New(id.SignIn), Email: email}
	if err := c.keep(codeCookie, w, codeLifetime); err != nil {
		return answer{}, err
	}
	if c.Mails {
		meta, chosen := c.meta, c.cookie(languageCookie)
		c.later(func(ctx context.Context) error { return c.sendCode(ctx, w, meta, chosen) })
	}
	return answer{to: "/portal/code"}, nil
}

// deviceOf gives whose device it is, when the owner of the address signed in on it before.
func (c *call) deviceOf(email string) (id.ID, error) {
	var device id.ID
	if !c.kept(deviceCookie, &device) {
		return "", nil
	}
	owner, known, err := c.reader().Reserved(customer.ScopeEmail, plain.EmailKey(email))
	if err != nil || !known || owner != device {
		return "", err
	}
	return device, nil
}

// addressee finds the customer with an e-mail address; nil for nobody.
func (p *Portal) addressee(ctx context.Context, email string) (*customer.Customer, error) {
	owner, known, err := program.NewReader(ctx, p.Store, p.Store.Read).Reserved(customer.ScopeEmail, plain.EmailKey(email))
	if err != nil || !known {
		return nil, err
	}
	row, err := p.Store.Load(ctx, p.Store.Read, journal.Ref{Kind: journal.Customer, ID: owner})
	if who, ok := row.State.(*customer.Customer); ok && who.Status == customer.Active {
		return who, nil
	}
	return nil, store.Fault(err)
}

// admit says whether a code may be sent to an address now: zero, or when to ask again. An address gets ten at once and one every three
// minutes, from wherever they are asked for, so that a million networks guess no more than one. A device on which its owner signed in
// before has a count of its own, which no stranger uses up.
func admit(l *auth.Limits, email, network string, device id.ID, now time.Time) (refused time.Duration) {
	if device != "" {
		_, refused = l.Admit(auth.Try{Account: "portal " + email, Device: "portal " + string(device)}, now)
		return refused
	}
	if _, refused = l.Admit(auth.Try{Account: "portal " + email, Network: network}, now); refused == 0 {
		_, refused = l.Admit(auth.Try{Account: "portal " + email, Code: true}, now)
	}
	return refused
}

// sendCode makes the entry, the code and the message that brings it in one transaction.
func (p *Portal) sendCode(ctx context.Context, w awaited, meta program.Meta, language string) error {
	who, err := p.addressee(ctx, w.Email)
	if err != nil || who == nil {
		return err
	}
	code, err := newCode()
	if err != nil {
		return err
	}
	general, err := journal.Find[settings.General](program.NewReader(ctx, p.Store, p.Store.Read), journal.Settings, settings.PageGeneral)
	if err != nil {
		return err
	}
	now := p.Program.Now()
	expires := now.Add(codeLifetime)
	spoken := []string{language, who.Locale}
	if general != nil {
		spoken = append(spoken, general.Locale)
	}
	language, _ = catalogue().Match(spoken...)
	post, err := notify.Secret{Name: message.LoginCode, To: who.Ref(), Language: language, Value: shownCode(code), Expires: expires}.Post(p.Store, p.IDs.New(id.Message), now)
	if err != nil {
		return err
	}
	meta.Actor = journal.Actor{Kind: journal.ActorCustomer, ID: string(who.ID)}
	_, err = p.Program.Do(ctx, &program.Request{Meta: meta, Command: journal.Bind(customer.SendCode{SignInID: w.Attempt, CustomerID: who.ID, ExpiresAt: expires}),
		Machinery: func(b *store.Batch) error {
			return errors.Join(b.PutLink(store.Link{ID: w.Attempt, Purpose: codePurpose, Owner: who.Ref(), Basis: notify.Mailbox(p.Store, who), ExpiresAt: expires}, code), post(b))
		}})
	return err
}

// enterCode takes the code. At most five are tried for one that was sent.
func (c *call) enterCode() (answer, error) {
	var w awaited
	if !c.kept(codeCookie, &w) {
		return answer{}, fault.New(fault.Gone, "code_expired", "The code is too old, or was asked for in another browser. Ask for a new one.")
	}
	wrong := func(words string) (answer, error) {
		return answer{status: http.StatusUnprocessableEntity, title: c.say("code.title"), body: codeBody(w.Email, words)}, nil
	}
	if device, err := c.deviceOf(w.Email); err != nil {
		return answer{}, err
	} else if device == "" {
		if refused := c.Strangers.Admit(auth.Network(c.r), c.Program.Now()); refused > 0 {
			return answer{}, &fault.Error{Kind: fault.TooMany, Code: "too_many_attempts", Public: "Too many codes were tried. Wait a moment, then try again.",
				RetryAfter: refused}
		}
	}
	if first, err := c.first(); err != nil || !first { // a double click: what the first one came to is there, or the sign-in is
		return answer{to: "/portal"}, err
	}
	code := typedCode(c.r.PostFormValue("code"))
	until := c.Program.Now().Add(codeLifetime)
	tried := false
	for n := range codeTries { // the tries of a code are used up one by one, whichever process asks
		first, err := c.Program.Spend(c.ctx, "code "+string(w.Attempt)+" "+strconv.Itoa(n), until)
		if err != nil {
			return answer{}, err
		}
		if first {
			tried = true
			break
		}
	}
	// The refusals are entries of the attempt, which stay whatever becomes of what was used up.
	attempt, err := c.Store.Load(c.ctx, c.Store.Read, journal.Ref{Kind: journal.SignIn, ID: w.Attempt})
	if err != nil {
		return answer{}, store.Fault(err)
	}
	if !tried || attempt.Version > codeTries {
		if once, err := c.Program.Spend(c.ctx, "code "+string(w.Attempt)+" refused", until); err != nil {
			return answer{}, err
		} else if once { // whoever goes on makes no more entries
			c.reject(w, "too_many")
		}
		return answer{}, fault.New(fault.TooMany, "too_many_attempts", "Too many codes were tried. Ask for a new one.")
	}
	link, ok, err := c.Store.Link(c.ctx, c.Store.Read, w.Attempt, code)
	if err != nil {
		return answer{}, err
	}
	switch {
	case !ok || link.Purpose != codePurpose || link.Owner.Kind != journal.Customer:
		c.reject(w, "wrong")
		return wrong(c.say("code.wrong"))
	case link.Used:
		c.reject(w, "used")
		return wrong(c.say("code.used"))
	case !c.Program.Now().Before(link.ExpiresAt) || !c.standsOn(link.Owner.ID, link.Basis):
		c.reject(w, "expired")
		return wrong(c.say("code.old"))
	}
	err = c.begin(store.Session{ID: w.Attempt.As(id.Session), Owner: link.Owner}, customer.ByCode, func(b *store.Batch) error { return b.UseLink(w.Attempt) })
	if err != nil && fault.As(err).Kind == fault.Stale { // another request was faster
		return answer{to: "/portal/signin"}, nil
	}
	if err != nil {
		return answer{}, err
	}
	c.setCookie(codeCookie, "", -time.Second)
	to := "/portal"
	if c.kept(nextCookie, &to) {
		c.setCookie(nextCookie, "", -time.Second)
	}
	return answer{to: to}, nil
}

// reject has the entry of a code that was not accepted made, after the answer; of an address that nobody has there is none.
func (c *call) reject(w awaited, why string) {
	meta := c.meta
	meta.Actor = journal.Actor{Kind: journal.ActorAnonymous, ID: string(w.Attempt)}
	c.later(func(ctx context.Context) error {
		who, err := c.addressee(ctx, w.Email)
		if err != nil || who == nil {
			return err
		}
		_, err = c.Program.Do(ctx, &program.Request{Meta: meta, Command: journal.Bind(customer.RejectCode{SignInID: w.Attempt, CustomerID: who.ID, Why: why})})
		return err
	})
}

// begin starts a session of a customer. A session that a link or a code opens has the UUID of the link: so the journal itself refuses a
// second one (Stale), whatever became of the rows that say that the link was used.
func (c *call) begin(n store.Session, how customer.Method, machinery func(b *store.Batch) error) error {
	lifetime := sessionLifetime
	if n.Viewer != "" {
		lifetime = viewAsLifetime
	}
	n.ExpiresAt = c.Program.Now().Add(lifetime)
	if n.Viewer == "" { // a look is the member's, who may look or may not
		who, err := journal.Get[customer.Customer](c.reader(), journal.Customer, n.Owner.ID)
		if err != nil {
			return err
		}
		n.Basis = notify.Mailbox(c.Store, who)
	}
	secret := auth.NewSecret()
	c.cause = n.Cause
	c.actAs(n.Owner.ID, n.Viewer)
	_, err := c.Program.Do(c.ctx, &program.Request{Meta: c.meta, Command: journal.Bind(customer.LogIn{Session: n.ID, CustomerID: n.Owner.ID, Method: how}),
		Target: journal.Ref{Kind: journal.Session, ID: n.ID}, IfMatch: new(int64), Machinery: func(b *store.Batch) error {
			if machinery != nil {
				if err := machinery(b); err != nil {
					return err
				}
			}
			return b.PutSession(n, secret)
		}})
	if err != nil {
		return err
	}
	c.setCookie(sessionCookie, string(n.ID)+"."+secret, lifetime)
	if n.Viewer != "" {
		return nil
	}
	return c.keep(deviceCookie, n.Owner.ID, deviceLifetime)
}

// useLink signs in with a link that the team made. What is done then was caused by the making, and when it is used in the browser of a
// member of the team, the member is named, too.
func (c *call) useLink() (answer, error) {
	text, secret, _ := strings.Cut(c.r.PathValue("token"), ".")
	l, ok, err := c.Store.Link(c.ctx, c.Store.Read, id.ID(text), secret)
	if err != nil {
		return answer{}, err
	}
	over := fault.New(fault.Gone, "link_over", "This link is over, or was used already. Sign in with your e-mail address, or ask the store for a new link.")
	if !ok || l.Used || l.Purpose != store.PortalLink || !c.Program.Now().Before(l.ExpiresAt) || !c.standsOn(l.Owner.ID, l.Basis) {
		return answer{}, over
	}
	made, err := c.Store.First(c.ctx, c.Store.Read, journal.Ref{Kind: journal.SignIn, ID: l.ID})
	if err != nil {
		return answer{}, store.Fault(err)
	}
	if made == nil || made.Type != journal.CustomerMagicLinkCreated {
		return answer{}, over
	}
	viewer, err := c.looker()
	if err != nil {
		return answer{}, err
	}
	err = c.begin(store.Session{ID: l.ID.As(id.Session), Owner: l.Owner, Viewer: viewer, Cause: made.ID}, customer.ByLink, func(b *store.Batch) error { return b.UseLink(l.ID) })
	if err != nil && fault.As(err).Kind == fault.Stale {
		err = over
	}
	return answer{to: "/portal"}, err
}

// standsOn says whether a code or a link went to the mailbox that is the customer's now. What the build before made stands on nothing.
func (c *call) standsOn(who id.ID, basis string) bool {
	if basis == "" {
		return true
	}
	now, err := journal.Find[customer.Customer](c.reader(), journal.Customer, who)
	return err == nil && now != nil && basis == notify.Mailbox(c.Store, now)
}

func (c *call) signOut() (answer, error) {
	if err := c.end("signed_out", c.session); err != nil {
		return answer{}, err
	}
	c.setCookie(sessionCookie, "", -time.Second)
	if c.viewer != "" {
		return answer{to: "/customers/" + string(c.who.ID)}, nil
	}
	return answer{to: "/portal/signin"}, nil
}

// end ends sessions of the customer.
func (c *call) end(why string, sessions ...id.ID) error {
	_, err := c.Program.Do(c.ctx, &program.Request{Meta: c.meta, Command: journal.Bind(customer.EndSessions{CustomerID: c.who.ID, Sessions: sessions, Why: why}),
		Machinery: func(b *store.Batch) error { return b.EndSessions(sessions...) }})
	return err
}

// ViewAs starts a look of a team member at the Portal as a customer sees it. The permission was asked by the caller; meta says who
// it is. Everything that is done there names both.
func (p *Portal) ViewAs(w http.ResponseWriter, r *http.Request, meta program.Meta, who id.ID) error {
	c := &call{Portal: p, w: w, r: r, ctx: r.Context(), meta: meta}
	n := store.Session{ID: p.IDs.New(id.Session), Owner: journal.Ref{Kind: journal.Customer, ID: who}, Viewer: id.ID(meta.Actor.ID)}
	return c.begin(n, customer.ByTheTeam, nil)
}
