package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"perennial/internal/auth"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/team"
)

// How long a session lasts, and how long unused.
const (
	sessionLifetime = 30 * 24 * time.Hour
	idleAfter       = 7 * 24 * time.Hour
	touchEvery      = time.Hour // how exactly it is known when it was used
	deviceLifetime  = 365 * 24 * time.Hour
	devicePeople    = 8 // who may have signed in on one device
)

// Cookies. All of them are HttpOnly, and go with a link from elsewhere (Lax) but with no form from elsewhere.
const (
	sessionCookie  = "perennial_session"
	deviceCookie   = "perennial_device"   // the sealed mark of a device on which somebody signed in
	stepCookie     = "perennial_step"     // between two steps of signing in
	passkeyCookie  = "perennial_passkey"  // between two halves of signing in with a passkey
	providerCookie = "perennial_provider" // while somebody is at the identity provider
	noteCookie     = "perennial_note"     // what the next page says was done

	newPasskeyCookie = "perennial_new_passkey" // between two halves of adding a passkey
)

func (d *Dashboard) cookieName(name string) string {
	if d.secure {
		return "__Host-" + name
	}
	return name
}

func (c *call) setCookie(name, value string, lifetime time.Duration) {
	http.SetCookie(c.w, &http.Cookie{Name: c.cookieName(name), Value: value, Path: "/", MaxAge: int(lifetime.Seconds()), HttpOnly: true, Secure: c.secure,
		SameSite: http.SameSiteLaxMode})
}

func (c *call) dropCookie(name string) { c.setCookie(name, "", -time.Second) }

func (c *call) cookie(name string) string {
	k, err := c.r.Cookie(c.cookieName(name))
	if err != nil {
		return ""
	}
	return k.Value
}

// keep seals a value into a cookie that says what it is for.
func (c *call) keep(name string, value any, lifetime time.Duration) error {
	t, err := c.box.Ticket(name, value, c.Program.Now().Add(lifetime))
	if err != nil {
		return err
	}
	c.setCookie(name, t, lifetime)
	return nil
}

// kept reads what keep sealed.
func (c *call) kept(name string, into any) bool {
	return c.box.Redeem(name, c.cookie(name), c.Program.Now(), into)
}

// identify finds who makes a request. Nobody is no failure, and leaves nothing of who it was before: a stream asks again and again.
func (c *call) identify() error {
	c.session, c.member, c.version, c.can, c.meta.Actor = "", nil, 0, team.Set{}, journal.Actor{}
	session, secret, ok := strings.Cut(c.cookie(sessionCookie), ".")
	if !ok {
		return nil
	}
	s, ok, err := c.Store.Session(c.ctx, c.Store.Read, id.ID(session), secret)
	if err != nil {
		return err
	}
	now := c.Program.Now()
	if !ok || s.Ended || !now.Before(s.ExpiresAt) || now.Sub(s.SeenAt) > idleAfter || s.Owner.Kind != journal.TeamMember {
		return nil
	}
	row, err := c.Store.Load(c.ctx, c.Store.Read, s.Owner)
	if err != nil {
		return store.Fault(err)
	}
	m, ok := row.State.(*team.TeamMember)
	if !ok || m.Status != team.Active {
		return nil
	}
	if basis, err := c.sessionBasis(c.ctx, c.Store.Read, m.ID); err != nil || s.Basis != basis {
		return err // the password is another one
	}
	defaults, err := c.defaults()
	if err != nil {
		return err
	}
	c.session, c.member, c.version, c.can = s.ID, m, row.Version, team.Effective(m, defaults)
	c.meta.Actor = journal.Actor{Kind: journal.ActorTeamMember, ID: string(m.ID)}
	if now.Sub(s.SeenAt) >= touchEvery {
		// A page does not fail because of it.
		if err := c.Program.Upkeep(c.ctx, func(b *store.Batch) error { return b.TouchSession(s.ID) }); err != nil {
			c.Log.Warn("note the use of a session", "request_id", c.meta.Source.RequestID, "error", err)
		}
	}
	return nil
}

func (c *call) defaults() (*team.Defaults, error) {
	row, err := c.Store.Load(c.ctx, c.Store.Read, journal.Ref{Kind: journal.Team, ID: team.TeamID})
	d, _ := row.State.(*team.Defaults)
	return d, store.Fault(err)
}

// sessionBasis is what a member's sessions stand on: a new password ends them all, also one whose row was out of sight meanwhile.
func (d *Dashboard) sessionBasis(ctx context.Context, q store.Querier, member id.ID) (string, error) {
	password, err := d.Store.Secret(ctx, q, journal.Ref{Kind: journal.TeamMember, ID: member}, team.SecretPassword)
	return d.Store.Basis([]byte("session"), []byte(member), password), store.Fault(err)
}

// Member gives the member who is signed in by a request's cookie, for what is served beside the Dashboard; empty for nobody.
func (d *Dashboard) Member(r *http.Request) (id.ID, error) {
	c := &call{Dashboard: d, r: r, ctx: r.Context()}
	if err := c.identify(); err != nil || c.member == nil {
		return "", err
	}
	return c.member.ID, nil
}

// sendToSignIn asks whoever is not signed in to do so, and brings them back to what they wanted to read.
func (c *call) sendToSignIn() {
	to := "/signin"
	if c.r.Method == http.MethodGet && c.r.URL.Path != "/" {
		to += "?next=" + url.QueryEscape(c.r.URL.RequestURI())
	}
	http.Redirect(c.w, c.r, to, http.StatusSeeOther)
}

// inside says whether an address leads to a page of ours, for what comes from outside and is gone to later.
func inside(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

// device is what the mark of a device says.
type device struct {
	ID     string  `json:"id"`
	People []id.ID `json:"people"` // who signed in on it, the last one first
}

// knownDevice gives the device's id when the member signed in on it before.
func (c *call) knownDevice(member id.ID) string {
	var dev device
	if member != "" && c.kept(deviceCookie, &dev) && slices.Contains(dev.People, member) {
		return dev.ID
	}
	return ""
}

func (c *call) markDevice(member id.ID) error {
	var dev device
	if !c.kept(deviceCookie, &dev) {
		dev.ID = auth.NewSecret()
	}
	dev.People = slices.DeleteFunc(dev.People, func(p id.ID) bool { return p == member })
	dev.People = slices.Insert(dev.People, 0, member)
	dev.People = dev.People[:min(len(dev.People), devicePeople)]
	return c.keep(deviceCookie, dev, deviceLifetime)
}

// begin starts a session for somebody who proved who they are. before are commands that belong to it, all or nothing;
// req may say more about the request.
func (c *call) begin(member id.ID, how team.Method, req program.Request, before ...journal.Command) error {
	if c.member != nil { // it is the same browser: what it had before is over
		if err := c.endSessions(c.member.ID, team.SignedOut, c.session); err != nil {
			return err
		}
	}
	session, secret := c.IDs.New(id.Session), auth.NewSecret()
	owner := journal.Ref{Kind: journal.TeamMember, ID: member}
	expires := c.Program.Now().Add(sessionLifetime)
	machinery := req.Machinery
	req.Machinery = func(b *store.Batch) error {
		if machinery != nil {
			if err := machinery(b); err != nil {
				return err
			}
		}
		basis, err := c.sessionBasis(c.ctx, b, member)
		if err != nil {
			return err
		}
		return b.PutSession(store.Session{ID: session, Owner: owner, Basis: basis, ExpiresAt: expires}, secret)
	}
	if req.Meta.Actor.Kind == "" {
		req.Meta = c.meta
		req.Meta.Actor = journal.Actor{Kind: journal.ActorTeamMember, ID: string(member)}
	}
	req.Command = program.Sequence(append(before, journal.Bind(team.LogIn{Session: session, Member: member, Method: how})))
	if err := c.do(&req); err != nil {
		return err
	}
	c.setCookie(sessionCookie, string(session)+"."+secret, sessionLifetime)
	c.dropCookie(stepCookie)
	c.dropCookie(passkeyCookie)
	c.dropCookie(providerCookie)
	if !c.stale {
		if err := c.confirm(session); err != nil {
			return err
		}
	}
	return c.markDevice(member)
}

// ending makes the command that ends sessions of a member, and what goes with it.
func ending(by journal.Actor, member id.ID, why team.Ending, sessions ...id.ID) (journal.Command, func(b *store.Batch) error) {
	return journal.Bind(team.EndSessions{Member: member, Sessions: sessions, Why: why, Actor: by}), func(b *store.Batch) error { return b.EndSessions(sessions...) }
}

// sessions gives the running sessions of a member, besides some.
func (c *call) sessions(member id.ID, besides ...id.ID) ([]store.Session, error) {
	now := c.Program.Now()
	list, err := c.Store.Sessions(c.ctx, c.Store.Read, journal.Ref{Kind: journal.TeamMember, ID: member}, now, now.Add(-idleAfter))
	return slices.DeleteFunc(list, func(s store.Session) bool { return slices.Contains(besides, s.ID) }), err
}

func (c *call) sessionIDs(member id.ID, besides ...id.ID) ([]id.ID, error) {
	list, err := c.sessions(member, besides...)
	var out []id.ID
	for _, s := range list {
		out = append(out, s.ID)
	}
	return out, err
}

// origin gives where a session began: the source of its first entry.
func (d *Dashboard) origin(ctx context.Context, session id.ID) (journal.Origin, error) {
	row, err := d.Store.Load(ctx, d.Store.Read, journal.Ref{Kind: journal.Session, ID: session})
	if err != nil || row.Version == 0 {
		return journal.Origin{}, store.Fault(err)
	}
	var first journal.Origin
	for e, err := range d.Store.Chain(ctx, d.Store.Read, store.Opened, row.LastSeq) {
		if err != nil {
			return first, store.Fault(err)
		}
		first = e.Source
	}
	return first, nil
}

// note keeps a sentence for the next page.
func (c *call) note(words string) { _ = c.keep(noteCookie, words, time.Minute) } // text always seals

// done goes on after a change that worked, with a sentence that says so.
func (c *call) done(to, words string, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	c.note(words)
	return goTo(to), nil
}

// noted gives the sentence that the last page left, once.
func (c *call) noted() string {
	var words string
	if c.kept(noteCookie, &words) {
		c.dropCookie(noteCookie)
	}
	return words
}

// wait holds an attempt up.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
