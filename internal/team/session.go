package team

import (
	"errors"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Method is how somebody proved who they are.
type Method string

// The methods, a closed list.
const (
	ByPassword         Method = "password"
	ByAuthenticatorApp Method = "authenticator_app" // after the password, or after the identity provider
	ByRecoveryCode     Method = "recovery_code"     // in the place of the authenticator app
	ByPasskey          Method = "passkey"
	ByProvider         Method = "identity_provider"
	ByInvitation       Method = "invitation"
	BySetup            Method = "setup"
)

// LogIn is the entry of a session that begins. It is refused for who is not in the team (Forbidden, not_in_team): the
// person may have been removed while the password was checked.
type LogIn struct {
	Session id.ID
	Member  id.ID
	Method  Method
}

type logInDetails struct {
	Method Method `json:"method"`
}

func (c LogIn) Load(r journal.Reader) (World, error) { return loadMember(r, c.Member) }

func (c LogIn) Decide(w World, _ time.Time) (journal.Decision, error) {
	if c.Session == "" {
		return journal.Decision{}, errors.New("team: a sign-in without a session")
	}
	if w.Member.Status != Active {
		return journal.Decision{}, fault.New(fault.Forbidden, "not_in_team", "You are not in this team.")
	}
	return sessionEvent(journal.TeamMemberLoggedIn, c.Session, c.Member, logInDetails{c.Method}), nil
}

// Failure is why a sign-in failed.
type Failure string

// The failures, a closed list.
const (
	UnknownEmail    Failure = "unknown_email"
	WrongPassword   Failure = "wrong_password"
	WrongCode       Failure = "wrong_code" // of the authenticator app, or a recovery code
	WrongPasskey    Failure = "wrong_passkey"
	WrongProvider   Failure = "identity_provider" // it did not vouch for anybody of the team
	TooManyFailures Failure = "too_many"          // nothing was looked at: there were too many failures before
)

// FailLogIn is the entry of failed sign-ins: an observation of the attempt. Who is in the team is mentioned; an address
// that belongs to nobody is sealed under a key of the attempt. Failures of one source in one minute are counted into
// one entry by whoever sends the command.
type FailLogIn struct {
	Attempt id.ID
	Member  id.ID  // empty when nobody is known
	Email   string // as it was typed, of who is not known; empty for a counted entry
	Why     Failure
	Count   int // 1 or more
}

type failDetails struct {
	Why   Failure                  `json:"why"`
	Count int                      `json:"count"`
	Email journal.Personal[string] `json:"email,omitzero"`
}

func (FailLogIn) Load(journal.Reader) (World, error) { return World{}, nil }

// Decide refuses nothing that people can do.
func (c FailLogIn) Decide(World, time.Time) (journal.Decision, error) {
	if c.Attempt == "" || c.Count < 1 {
		return journal.Decision{}, errors.New("team: a failed sign-in without an attempt or a count")
	}
	target := journal.Ref{Kind: journal.SignIn, ID: c.Attempt}
	d := journal.Draft{Type: journal.TeamMemberLoginFailed, Target: target, Mentions: []journal.Ref{{Kind: journal.TeamMember, ID: c.Member}}}
	details := failDetails{Why: c.Why, Count: c.Count}
	if c.Member == "" && c.Email != "" {
		details.Email, d.Person = journal.Secluded(typed(c.Email)), c.Attempt
	}
	d.Details = details
	return journal.Decision{Drafts: []journal.Draft{d}, Result: target}, nil
}

// Ending is why a session ended before its time.
type Ending string

// The endings, a closed list.
const (
	SignedOut       Ending = "signed_out"
	SessionRevoked  Ending = "revoked"
	PasswordChanged Ending = "password_changed"
	MemberRemoved   Ending = "removed"
)

// EndSessions is the entry of each session of a member that ends before its time: by the person, or by whoever may change
// the person (Forbidden: owner_only, admin_only).
type EndSessions struct {
	Member   id.ID
	Sessions []id.ID
	Why      Ending
	Actor    journal.Actor
}

type endDetails struct {
	Why Ending `json:"why"`
}

func (c EndSessions) Load(r journal.Reader) (World, error) { return loadChange(r, c.Member, c.Actor) }

func (c EndSessions) Decide(w World, _ time.Time) (journal.Decision, error) {
	if !own(w.Member, c.Actor) {
		if err := w.authority(c.Actor).over(w.Member.Role); err != nil {
			return journal.Decision{}, err
		}
	}
	d := journal.Decision{Result: journal.Ref{Kind: journal.TeamMember, ID: c.Member}}
	for _, s := range c.Sessions {
		d.Drafts = append(d.Drafts, sessionEvent(journal.TeamMemberLoggedOut, s, c.Member, endDetails{c.Why}).Drafts...)
	}
	return d, nil
}

func sessionEvent(typ journal.Name, session, member id.ID, details any) journal.Decision {
	target := journal.Ref{Kind: journal.Session, ID: session}
	return journal.Decision{
		Drafts: []journal.Draft{{Type: typ, Target: target, Mentions: []journal.Ref{{Kind: journal.TeamMember, ID: member}}, Details: details}},
		Result: target,
	}
}

// Purpose is what a one-time link is for.
type Purpose string

// The purposes, a closed list. A set-up link has no entry: there is nobody yet whom it could be about.
const (
	ForSetup       Purpose = "setup"
	ForInvitation  Purpose = "invitation"
	ForNewPassword Purpose = "new_password"
)

// MakeLink is the entry of a one-time link: to take up an invitation, by whoever may change the person, or to set a new
// password, which lets its holder in and is therefore made by owners only (Forbidden, owner_only).
type MakeLink struct {
	ID        id.ID // of the sign-in that the link is for
	Member    id.ID
	Purpose   Purpose
	ExpiresAt time.Time
	Actor     journal.Actor
}

type linkDetails struct {
	Purpose   Purpose      `json:"purpose"`
	ExpiresAt journal.Time `json:"expires_at"`
}

func (c MakeLink) Load(r journal.Reader) (World, error) { return loadChange(r, c.Member, c.Actor) }

// Decide refuses as the type says, and a purpose that does not fit the person.
func (c MakeLink) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := present(w.Member); err != nil {
		return journal.Decision{}, err
	}
	a := w.authority(c.Actor)
	switch c.Purpose {
	case ForInvitation:
		if w.Member.Status != Invited {
			return journal.Decision{}, fault.New(fault.Conflict, "status_active", "This invitation was already taken up.")
		}
		if err := a.over(w.Member.Role); err != nil {
			return journal.Decision{}, err
		}
		if err := a.give(promised(w.Member, w.Defaults)); err != nil {
			return journal.Decision{}, err
		}
	case ForNewPassword:
		if w.Member.Status != Active {
			return journal.Decision{}, notJoined()
		}
		if a.rank != rankOwner {
			return journal.Decision{}, fault.New(fault.Forbidden, "owner_only", "Only an owner may make a link for a new password.")
		}
	default:
		return journal.Decision{}, errors.New("team: a link for nothing")
	}
	target := journal.Ref{Kind: journal.SignIn, ID: c.ID}
	return journal.Decision{
		Drafts: []journal.Draft{{Type: journal.TeamMemberLinkCreated, Target: target, Mentions: []journal.Ref{w.Member.Ref()},
			Details: linkDetails{c.Purpose, journal.At(c.ExpiresAt)}}},
		Result: target,
	}, nil
}

func notJoined() error {
	return fault.New(fault.Conflict, "status_invited", "This person has not joined yet. The password is set when joining.")
}
