package dashboard

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"perennial/internal/auth"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/message"
	"perennial/internal/notify"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/team"
)

// How long one-time links last.
const (
	setupLifetime       = 24 * time.Hour
	invitationLifetime  = 7 * 24 * time.Hour
	newPasswordLifetime = 24 * time.Hour
)

// paths are where one-time links lead, before the token.
var paths = map[team.Purpose]string{team.ForSetup: "/setup/", team.ForInvitation: "/join/", team.ForNewPassword: "/password/"}

func (d *Dashboard) linkTo(p team.Purpose, link id.ID, secret string) string {
	return d.BaseURL + paths[p] + string(link) + "." + secret
}

// SetupLink makes a link to found the team, and gives nothing when there is a team. An earlier one ends.
func (d *Dashboard) SetupLink(ctx context.Context) (string, error) {
	founded, err := d.founded(ctx)
	if err != nil || founded {
		return "", err
	}
	link, secret := d.IDs.New(id.Link), auth.NewSecret()
	err = d.Program.Upkeep(ctx, func(b *store.Batch) error {
		return b.PutLink(store.Link{ID: link, Purpose: string(team.ForSetup), ExpiresAt: b.Now.Add(setupLifetime)}, secret)
	})
	return d.linkTo(team.ForSetup, link, secret), err
}

// newLink makes a one-time link for a member, and what has to be written with it.
func (c *call) newLink(p team.Purpose, member id.ID, lifetime time.Duration) (address string, expires time.Time, put func(b *store.Batch) error) {
	link, secret := c.IDs.New(id.Link), auth.NewSecret()
	expires = c.Program.Now().Add(lifetime)
	return c.linkTo(p, link, secret), expires, func(b *store.Batch) error {
		basis, err := c.linkBasis(b, member)
		if err != nil {
			return err
		}
		return b.PutLink(store.Link{ID: link, Purpose: string(p), Owner: journal.Ref{Kind: journal.TeamMember, ID: member}, Basis: basis, ExpiresAt: expires}, secret)
	}
}

// linkBasis is what a link to a member stands on: the address that it was sent to, and the password that it may set. Whoever used it, or
// got another address, has ended it, and every link from before.
func (c *call) linkBasis(q store.Querier, member id.ID) (string, error) {
	ref := journal.Ref{Kind: journal.TeamMember, ID: member}
	row, err := c.Store.Load(c.ctx, q, ref)
	if err != nil {
		return "", store.Fault(err)
	}
	m, ok := row.State.(*team.TeamMember)
	if !ok {
		return "", fault.New(fault.Gone, "link_over", "This person is not in the team any more.")
	}
	password, err := c.Store.Secret(c.ctx, q, ref, team.SecretPassword)
	return c.Store.Basis([]byte("link"), []byte(m.ID), []byte(plain.EmailKey(m.Email.Value)), []byte(m.Status), password), store.Fault(err)
}

// invitation is a link by which somebody joins the team. It is mailed to them, too, where messages are sent.
func (c *call) invitation(member id.ID) (address string, expires time.Time, put func(b *store.Batch) error, err error) {
	address, expires, put = c.newLink(team.ForInvitation, member, invitationLifetime)
	if c.Mail == nil {
		return address, expires, put, nil
	}
	post, err := notify.Secret{Name: message.TeamInvitation, To: journal.Ref{Kind: journal.TeamMember, ID: member}, Inviter: c.member.ID, Value: address, Expires: expires}.
		Post(c.Store, c.IDs.New(id.Message), c.Program.Now())
	link := put
	return address, expires, func(b *store.Batch) error { return errors.Join(link(b), post(b)) }, err
}

// link finds the link of a token, which is the end of its address. One that is over is a page that says so.
func (c *call) link(p team.Purpose, token string) (store.Link, func(b *store.Batch) error, error) {
	key, l, ok, err := c.findLink(token)
	if err != nil {
		return l, nil, err
	}
	if !ok || l.Used || l.Purpose != string(p) || !c.Program.Now().Before(l.ExpiresAt) {
		return l, nil, linkOver()
	}
	if l.Owner.ID != "" {
		if basis, err := c.linkBasis(c.Store.Read, l.Owner.ID); err != nil || basis != l.Basis {
			return l, nil, cmp.Or(err, linkOver())
		}
	}
	return l, func(b *store.Batch) error { return b.UseLink(key) }, nil
}

func linkOver() error {
	return fault.New(fault.Gone, "link_over", "This link was used already, or it is too old. Ask for a new one.")
}

func (c *call) findLink(token string) (key id.ID, l store.Link, ok bool, err error) {
	text, secret, _ := strings.Cut(token, ".")
	l, ok, err = c.Store.Link(c.ctx, c.Store.Read, id.ID(text), secret)
	return id.ID(text), l, ok, err
}

func (d *Dashboard) registerLinks() {
	d.on(route{pattern: "GET /setup/{token}", who: withLink}, func(c *call) (answer, error) {
		_, _, err := c.link(team.ForSetup, c.r.PathValue("token"))
		return page("Set up your shop", newPersonForm(newPersonView{Setup: true, Shop: c.shopName(c.ctx)})), err
	})
	d.on(route{pattern: "POST /setup/{token}", who: withLink,
		events: append([]journal.Name{journal.TeamDefaultPermissionsUpdated, journal.TeamMemberJoined}, signInEvents...)}, (*call).setUp)
	d.on(route{pattern: "GET /join/{token}", who: withLink}, func(c *call) (answer, error) {
		m, _, err := c.invited(c.r.PathValue("token"))
		if err != nil {
			return answer{}, err
		}
		return page("Join the team", newPersonForm(newPersonView{Shop: c.shopName(c.ctx), Email: m.Email.Value, Name: m.Name.Value,
			Provider: c.providerName(), Token: c.r.PathValue("token")})), nil
	})
	d.on(route{pattern: "POST /join/{token}", who: withLink, events: append([]journal.Name{journal.TeamMemberJoined}, signInEvents...)}, (*call).join)
	d.on(route{pattern: "GET /password/{token}", who: withLink}, func(c *call) (answer, error) {
		l, _, err := c.link(team.ForNewPassword, c.r.PathValue("token"))
		if err != nil {
			return answer{}, err
		}
		m, _, err := c.activeMember(l.Owner.ID)
		if err != nil || m == nil {
			return goTo("/signin"), err
		}
		return page("Choose a new password", newPasswordForm(m, c.zone(c.ctx), nil)), nil
	})
	d.on(route{pattern: "POST /password/{token}", who: withLink, events: newPasswordEvents}, (*call).resetPassword)
}

// newPasswordEvents are those of a new password. Passkeys that its owner does not know go with the old one.
var newPasswordEvents = []journal.Name{journal.TeamMemberPasswordChanged, journal.TeamMemberLoggedOut, journal.TeamMemberSecondFactorDisabled}

// newPassword checks a password that somebody chooses.
func newPassword(f *fault.Fields, password, email string) {
	if why := team.WeakPassword(password, email); why != nil {
		f.Refuse("/password", why)
	}
}

func (c *call) setUp() (answer, error) {
	_, use, err := c.link(team.ForSetup, c.r.PathValue("token"))
	if err != nil {
		return answer{}, err
	}
	v := newPersonView{Setup: true, Shop: c.shopName(c.ctx), Email: strings.TrimSpace(c.r.PostFormValue("email")), Name: strings.TrimSpace(c.r.PostFormValue("name"))}
	password := c.r.PostFormValue("password")
	var f fault.Fields
	if why := plain.Email(v.Email); why != nil {
		f.Refuse("/email", why)
	}
	newPassword(&f, password, v.Email)
	if err := f.Err(); err != nil {
		return c.formAgain("Set up your shop", err, func(p problems) answer { v.Problems = p; return page("", newPersonForm(v)) })
	}
	hash, err := c.hashPassword(password)
	if err != nil {
		return answer{}, err
	}
	member := c.IDs.New(id.TeamMember)
	founding := c.meta
	founding.Actor = journal.Actor{Kind: journal.ActorSystem, ID: "setup"}
	err = c.do(&program.Request{Meta: founding, Command: journal.Bind(team.FoundTeam{ID: member, Email: v.Email, Name: v.Name, PasswordHash: hash}), Machinery: use})
	if err != nil {
		return c.formAgain("Set up your shop", err, func(p problems) answer { v.Problems = p; return page("", newPersonForm(v)) })
	}
	return goTo("/"), c.begin(member, team.BySetup, program.Request{})
}

// invited gives whom a link invites.
func (c *call) invited(token string) (*team.TeamMember, func(b *store.Batch) error, error) {
	l, use, err := c.link(team.ForInvitation, token)
	if err != nil {
		return nil, nil, err
	}
	row, err := c.Store.Load(c.ctx, c.Store.Read, journal.Ref{Kind: journal.TeamMember, ID: l.Owner.ID})
	m, ok := row.State.(*team.TeamMember)
	if err == nil && (!ok || m.Status != team.Invited) {
		err = fault.New(fault.Gone, "link_over", "This invitation was taken up or taken back.")
	}
	return m, use, store.Fault(err)
}

func (c *call) join() (answer, error) {
	m, use, err := c.invited(c.r.PathValue("token"))
	if err != nil {
		return answer{}, err
	}
	v := newPersonView{Shop: c.shopName(c.ctx), Email: m.Email.Value, Name: strings.TrimSpace(c.r.PostFormValue("name"))}
	password := c.r.PostFormValue("password")
	again := func(err error) (answer, error) {
		return c.formAgain("Join the team", err, func(p problems) answer { v.Problems = p; return page("", newPersonForm(v)) })
	}
	var f fault.Fields
	newPassword(&f, password, v.Email)
	if err := f.Err(); err != nil {
		return again(err)
	}
	hash, err := c.hashPassword(password)
	if err != nil {
		return answer{}, err
	}
	if err := c.begin(m.ID, team.ByInvitation, program.Request{Machinery: use}, journal.Bind(team.Join{ID: m.ID, Name: &v.Name, PasswordHash: hash})); err != nil {
		return again(err)
	}
	return goTo("/"), nil
}

// joinFromProvider takes an invitation up without a password, for whom the identity provider vouches.
func (c *call) joinFromProvider(token, email string) (answer, error) {
	m, use, err := c.invited(token)
	if err != nil {
		return answer{}, err
	}
	if plain.EmailKey(email) != plain.EmailKey(m.Email.Value) {
		c.failSignIn("", email, team.WrongProvider)
		return answer{}, fault.New(fault.Conflict, "provider_names_another", "The invitation is for another e-mail address than the identity provider's.")
	}
	return goTo("/"), c.begin(m.ID, team.ByProvider, program.Request{Machinery: use}, journal.Bind(team.Join{ID: m.ID}))
}

func (c *call) resetPassword() (answer, error) {
	// The version is read before the link is looked at: whoever used the link in between has moved the version on.
	_, l, ok, err := c.findLink(c.r.PathValue("token"))
	if err != nil {
		return answer{}, err
	}
	var version int64
	var m *team.TeamMember
	if ok {
		if m, version, err = c.activeMember(l.Owner.ID); err != nil {
			return answer{}, err
		}
	}
	_, use, err := c.link(team.ForNewPassword, c.r.PathValue("token"))
	if err != nil || m == nil {
		return goTo("/signin"), err
	}
	password := c.r.PostFormValue("password")
	var f fault.Fields
	newPassword(&f, password, m.Email.Value)
	if err := f.Err(); err != nil {
		return c.formAgain("Choose a new password", err, func(p problems) answer { return page("", newPasswordForm(m, c.zone(c.ctx), p)) })
	}
	actor := c.meta
	actor.Actor = journal.Actor{Kind: journal.ActorTeamMember, ID: string(m.ID)}
	if err := c.setPassword(m, password, &version, actor, "", use); err != nil {
		return answer{}, err
	}
	return c.done("/signin", "Your password is changed. Sign in with the new one.", nil)
}

// setPassword changes a password and ends the member's sessions, besides one.
func (c *call) setPassword(m *team.TeamMember, password string, version *int64, meta program.Meta, besides id.ID, also func(b *store.Batch) error) error {
	hash, err := c.hashPassword(password)
	if err != nil {
		return err
	}
	others, err := c.sessionIDs(m.ID, besides)
	if err != nil {
		return err
	}
	cmd, end := ending(meta.Actor, m.ID, team.PasswordChanged, others...)
	all := program.Sequence{journal.Bind(team.SetPassword{ID: m.ID, PasswordHash: hash, Actor: meta.Actor}), cmd}
	for _, p := range c.r.PostForm["remove_passkey"] { // those that were ticked: a passkey outlives a password
		all = append(all, journal.Bind(team.RemovePasskey{ID: m.ID, Passkey: id.ID(p), Actor: meta.Actor}))
	}
	return c.do(&program.Request{Meta: meta, Target: m.Ref(), IfMatch: version,
		Command: all,
		Machinery: func(b *store.Batch) error {
			if also != nil {
				if err := also(b); err != nil {
					return err
				}
			}
			if err := end(b); err != nil || besides == "" {
				return err
			}
			basis, err := c.sessionBasis(c.ctx, b, m.ID)
			if err != nil {
				return err
			}
			return b.RebaseSession(besides, basis)
		}})
}
