// Package team holds the people of the store, what each of them may do, and the API keys.
//
// What may be done is one closed matrix of permissions; what is not in it, and what nobody gave, is denied. An active
// team has an owner at all times. Nobody gives a permission that they do not have, and nobody changes somebody who
// stands above them: only an owner changes owners. Passwords and keys never enter an event: the commands take what was
// made of them and hand it on as a secret.
//
// team_test.go tests every refusal, and that these rules hold after any sequence of commands.
package team

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/settings"
)

// Role is a team member's role.
type Role string

// The roles. Owner and Admin may do everything (only an Owner may change owners); a Member has the team's default
// permissions unless overridden for that person.
const (
	Owner  Role = "owner"
	Admin  Role = "admin"
	Member Role = "member"
)

// Status of a team member or key.
type Status string

// The statuses.
const (
	Invited Status = "invited"
	Active  Status = "active"
	Removed Status = "removed" // a team member
	Revoked Status = "revoked" // an API key
)

// ScopeEmail is the scope of the reservation of a team member's e-mail address. A member who is removed gives it back.
const ScopeEmail = "team_email"

// Names of the secrets of this package.
const (
	SecretPassword = "password" // of a team member: an encoded argon2id hash
	SecretAPIKey   = "api_key"  // of an API key: its SHA-256
)

// Defaults is the team's row: what a Member may do unless overridden.
type Defaults struct {
	DefaultPermissions []Permission `json:"default_permissions"` // sorted
}

// TeamID is the id of the one row of kind team.
const TeamID id.ID = "team"

// TeamMember is one person of the store.
type TeamMember struct {
	ID    id.ID                    `json:"id"`
	Email journal.Personal[string] `json:"email"`
	Name  journal.Personal[string] `json:"name"`
	Role  Role                     `json:"role"`
	// Permissions override the team's defaults: sorted; null for the defaults. They are kept, without effect, while the
	// person is an owner or an admin.
	Permissions *[]Permission `json:"permissions"`
	Status      Status        `json:"status"`
	CreatedAt   journal.Time  `json:"created_at"`

	AuthenticatorApp bool      `json:"authenticator_app"`         // its code is asked for after the password
	RecoveryCodes    int       `json:"recovery_codes"`            // how many are left
	Passkeys         []Passkey `json:"passkeys" journal:"key=id"` // sorted by id
}

// Key is an API key. The key itself is known only to its holder; its SHA-256 is a secret of this row.
type Key struct {
	ID          id.ID        `json:"id"`
	Name        string       `json:"name"`
	Permissions []Permission `json:"permissions"` // sorted
	Status      Status       `json:"status"`
	CreatedAt   journal.Time `json:"created_at"`
}

func (*Defaults) Ref() journal.Ref { return journal.Ref{Kind: journal.Team, ID: TeamID} }

// Person is nobody.
func (*Defaults) Person() id.ID { return "" }

func (m *TeamMember) Ref() journal.Ref { return journal.Ref{Kind: journal.TeamMember, ID: m.ID} }

// Person is the member, whose key seals name and e-mail.
func (m *TeamMember) Person() id.ID { return m.ID }

func (k *Key) Ref() journal.Ref { return journal.Ref{Kind: journal.APIKey, ID: k.ID} }

// Person is nobody.
func (*Key) Person() id.ID { return "" }

// World is what the rules of the team may see. A command's Load fills in what its rule needs.
type World struct {
	Member       *TeamMember
	Key          *Key
	Defaults     *Defaults
	Peopled      bool  // somebody is, or was, in the team
	OtherOwners  int   // active owners besides Member
	EmailOwner   id.ID // who holds the e-mail of the command; empty when nobody does
	ActingMember *TeamMember
	ActingKey    *Key
}

const maxNameLength = 100

// Limits of passwords, in characters.
const (
	passwordMin = 10
	passwordMax = 256
)

// WeakPassword says why a password cannot be chosen, or nothing. Length is what counts (NIST SP 800-63B, section 5.1.1.2).
func WeakPassword(password, email string) *fault.Reason {
	switch runes := []rune(password); {
	case len(runes) < passwordMin:
		return fault.Because("too_short", "Take at least {least} characters. A few words in a row are good.", "least", passwordMin)
	case len(runes) > passwordMax:
		return fault.Because("too_long", "Take at most {most} characters.", "most", passwordMax)
	case strings.EqualFold(password, email) || strings.Count(password, string(runes[0])) == len(runes):
		return fault.Because("guessable", "This is too easy to guess.")
	}
	return nil
}

// Check names an invariant of a state of this package that is broken, if any.
func Check(s journal.State) error {
	switch s := s.(type) {
	case *Defaults:
		return tidy(s.DefaultPermissions)
	case *Key:
		switch {
		case s.ID == "":
			return fmt.Errorf("team: a key without an id")
		case s.Name == "" || plain.Text(s.Name, maxNameLength) != nil:
			return fmt.Errorf("team: key %s has no proper name", s.ID)
		case len(s.Permissions) == 0:
			return fmt.Errorf("team: key %s has no permissions", s.ID)
		case s.Status != Active && s.Status != Revoked:
			return fmt.Errorf("team: key %s has the status %q", s.ID, s.Status)
		}
		return tidy(s.Permissions)
	case *TeamMember:
		switch {
		case s.ID == "":
			return fmt.Errorf("team: a member without an id")
		case s.Role.rank() == rankNobody:
			return fmt.Errorf("team: member %s has the role %q", s.ID, s.Role)
		case s.Status != Invited && s.Status != Active && s.Status != Removed:
			return fmt.Errorf("team: member %s has the status %q", s.ID, s.Status)
		case !s.Email.Erased && plain.Email(s.Email.Value) != nil:
			return fmt.Errorf("team: member %s has no e-mail address", s.ID)
		case !s.Name.Erased && plain.Text(s.Name.Value, maxNameLength) != nil:
			return fmt.Errorf("team: member %s has no proper name", s.ID)
		case s.RecoveryCodes < 0 || s.RecoveryCodes > RecoveryCodes || s.RecoveryCodes > 0 && !s.AuthenticatorApp:
			return fmt.Errorf("team: member %s has %d recovery codes", s.ID, s.RecoveryCodes)
		case !slices.IsSortedFunc(s.Passkeys, byID):
			return fmt.Errorf("team: the passkeys of member %s are not sorted", s.ID)
		case s.Permissions != nil:
			return tidy(*s.Permissions)
		}
		return nil
	}
	return fmt.Errorf("team: no state of the team: %T", s)
}

func tidy(list []Permission) error {
	if !slices.Equal(list, NewSet(list).sorted) {
		return fmt.Errorf("team: the permissions %v are not sorted, or one is there twice", list)
	}
	for _, p := range list {
		if !Known(p) && !slices.Contains(retired, p) {
			return fmt.Errorf("team: there is no permission %q", p)
		}
	}
	return nil
}

// Undo says whether an entry of the team may be undone, where restored is what its row would be then. It refuses
// changes of who is gone (status_removed, status_revoked) and the first default permissions (undo_first). What only the
// rest of the shop can tell is for Restore.
func Undo(e *journal.Event, _ time.Time, current, restored journal.State, _ *settings.General) error {
	if m, ok := current.(*TeamMember); ok {
		if err := present(m); err != nil {
			return err
		}
	}
	if k, ok := current.(*Key); ok && k.Status != Active {
		return revoked()
	}
	if e.TargetVersion == 1 {
		return fault.New(fault.Conflict, "undo_first", "This entry is the beginning, so there is nothing before it to put back.")
	}
	if err := Check(restored); err != nil {
		return fault.Wrap(err, fault.Conflict, "undo_not_allowed", "What this entry changed cannot be put back: it would not be allowed today.")
	}
	return nil
}

// Restore says, for an undo by who, what Undo cannot see: that who acts could make this change by hand, that the team
// keeps an owner, and that an e-mail address that comes back is still free. It gives the reservations that move with
// the change.
func Restore(r journal.Reader, who journal.Actor, current, restored journal.State) ([]journal.Reservation, error) {
	var w World
	if err := w.loadActor(r, who); err != nil {
		return nil, err
	}
	a := w.authority(who)
	switch next := restored.(type) {
	case *Defaults:
		return nil, a.give(NewSet(next.DefaultPermissions).Without(NewSet(current.(*Defaults).DefaultPermissions)))
	case *Key:
		return nil, a.give(NewSet(next.Permissions).Without(NewSet(current.(*Key).Permissions)))
	case *TeamMember:
		was := current.(*TeamMember)
		if err := w.change(a, was, next); err != nil {
			return nil, err
		}
		if was.Role == Owner && next.Role != Owner {
			owners, err := otherOwners(r, was.ID)
			if err != nil {
				return nil, err
			}
			if w.OtherOwners = owners; owners == 0 && was.Status == Active {
				return nil, lastOwner()
			}
		}
		owner, err := emailOwner(r, next.Email.Value)
		if err != nil {
			return nil, err
		}
		if owner != "" && owner != next.ID {
			return nil, emailTaken()
		}
		return moveEmail(was, next), nil
	}
	return nil, fmt.Errorf("team: no state of the team: %T", restored)
}
