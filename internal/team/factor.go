package team

import (
	"slices"
	"strings"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Passkey is one passkey of a person. Its public key is a secret of the person's row, so that nobody swaps it without an
// entry.
type Passkey struct {
	ID      id.ID        `json:"id"`
	AddedAt journal.Time `json:"added_at"`
}

// Names of the secrets of second factors.
const (
	SecretAuthenticator = "authenticator_app" // the sealed seed
	SecretRecoveryCodes = "recovery_codes"    // SHA-256 of each code that is left, one after the other
)

// SecretPasskey is the name of a passkey's secret: its credential record.
func SecretPasskey(key id.ID) string { return "passkey_" + string(key) }

// RecoveryCodes is how many codes come with an authenticator app.
const RecoveryCodes = 10

const maxPasskeys = 20

// cleared is what stands in the place of a secret that is no longer used: secrets have no end, only a next value.
var cleared = []byte{0}

type factorDetails struct {
	Factor string `json:"factor"`
}

const (
	factorApp     = "authenticator_app"
	factorPasskey = "passkey"
)

// EnableAuthenticator makes sign-in ask for the code of an authenticator app. That the person has the app was checked by
// whoever sends the command. Only the person can do it (Forbidden, factor_not_yours).
type EnableAuthenticator struct {
	ID       id.ID
	Seed     []byte // sealed
	Recovery []byte // hashes of the recovery codes
	Actor    journal.Actor
}

func (c EnableAuthenticator) Load(r journal.Reader) (World, error) { return loadMember(r, c.ID) }

// Decide refuses as the type says, and a second app (Conflict, factor_exists).
func (c EnableAuthenticator) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := ownFactor(w.Member, c.Actor); err != nil {
		return journal.Decision{}, err
	}
	if w.Member.AuthenticatorApp {
		return journal.Decision{}, fault.New(fault.Conflict, "factor_exists", "An authenticator app is set up already. Switch it off first.")
	}
	next := journal.Clone(w.Member)
	next.AuthenticatorApp, next.RecoveryCodes = true, RecoveryCodes
	return factorEvent(journal.TeamMemberSecondFactorEnabled, w.Member, next, factorApp,
		journal.Secret{Name: SecretAuthenticator, Value: c.Seed}, journal.Secret{Name: SecretRecoveryCodes, Value: c.Recovery}), nil
}

// DisableAuthenticator makes sign-in no longer ask for a code: by the person, or by an owner for somebody who lost the
// app.
type DisableAuthenticator struct {
	ID    id.ID
	Actor journal.Actor
}

func (c DisableAuthenticator) Load(r journal.Reader) (World, error) {
	return loadChange(r, c.ID, c.Actor)
}

// Decide refuses who may not (Forbidden, owner_only). Where there is no app nothing changes.
func (c DisableAuthenticator) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := w.ownOrOwner(c.Actor); err != nil || !w.Member.AuthenticatorApp {
		return journal.Decision{Result: w.Member.Ref()}, err
	}
	next := journal.Clone(w.Member)
	next.AuthenticatorApp, next.RecoveryCodes = false, 0
	return factorEvent(journal.TeamMemberSecondFactorDisabled, w.Member, next, factorApp,
		journal.Secret{Name: SecretAuthenticator, Value: cleared}, journal.Secret{Name: SecretRecoveryCodes, Value: cleared}), nil
}

// UseRecoveryCode takes one recovery code away. Which one it was is known to whoever sends the command, with the version
// of the member that it saw.
type UseRecoveryCode struct {
	ID   id.ID
	Left []byte // hashes of the codes that are left
}

func (c UseRecoveryCode) Load(r journal.Reader) (World, error) { return loadMember(r, c.ID) }

// Decide refuses a code where none is left (Conflict, no_recovery_codes).
func (c UseRecoveryCode) Decide(w World, _ time.Time) (journal.Decision, error) {
	if w.Member.RecoveryCodes < 1 {
		return journal.Decision{}, fault.New(fault.Conflict, "no_recovery_codes", "There are no recovery codes left.")
	}
	next := journal.Clone(w.Member)
	next.RecoveryCodes--
	left := c.Left
	if next.RecoveryCodes == 0 {
		left = cleared
	}
	return journal.Decision{
		Drafts: []journal.Draft{
			{
				Type:    journal.TeamMemberRecoveryCodeUsed,
				Before:  w.Member,
				After:   next,
				Secrets: []journal.Secret{{Name: SecretRecoveryCodes, Value: left}},
			},
		},
		Result: next.Ref(),
	}, nil
}

// AddPasskey lets a person sign in with a passkey. Only the person can do it (Forbidden, factor_not_yours).
type AddPasskey struct {
	ID         id.ID
	Passkey    id.ID
	Credential []byte
	Actor      journal.Actor
}

func (c AddPasskey) Load(r journal.Reader) (World, error) { return loadMember(r, c.ID) }

// Decide refuses as the type says, and more than 20 passkeys (Conflict, too_many_passkeys).
func (c AddPasskey) Decide(w World, now time.Time) (journal.Decision, error) {
	if err := ownFactor(w.Member, c.Actor); err != nil {
		return journal.Decision{}, err
	}
	if len(w.Member.Passkeys) >= maxPasskeys {
		return journal.Decision{}, fault.New(fault.Conflict, "too_many_passkeys", "You have %d passkeys. Remove one first.", maxPasskeys)
	}
	if slices.ContainsFunc(w.Member.Passkeys, func(p Passkey) bool { return p.ID == c.Passkey }) {
		return journal.Decision{}, fault.New(fault.Conflict, "already_exists", "This passkey exists already.")
	}
	next := journal.Clone(w.Member)
	next.Passkeys = append(next.Passkeys, Passkey{ID: c.Passkey, AddedAt: journal.At(now)})
	slices.SortFunc(next.Passkeys, byID)
	return factorEvent(journal.TeamMemberSecondFactorEnabled, w.Member, next, factorPasskey,
		journal.Secret{Name: SecretPasskey(c.Passkey), Value: c.Credential}), nil
}

// RemovePasskey ends a passkey: by the person, or by an owner for somebody who lost it.
type RemovePasskey struct {
	ID      id.ID
	Passkey id.ID
	Actor   journal.Actor
}

func (c RemovePasskey) Load(r journal.Reader) (World, error) { return loadChange(r, c.ID, c.Actor) }

// Decide refuses who may not (Forbidden, owner_only) and a passkey that is not there (NotFound, unknown_passkey).
func (c RemovePasskey) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := w.ownOrOwner(c.Actor); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(w.Member)
	next.Passkeys = slices.DeleteFunc(next.Passkeys, func(p Passkey) bool { return p.ID == c.Passkey })
	if len(next.Passkeys) == len(w.Member.Passkeys) {
		return journal.Decision{}, fault.New(fault.NotFound, "unknown_passkey", "There is no such passkey.")
	}
	return factorEvent(journal.TeamMemberSecondFactorDisabled, w.Member, next, factorPasskey,
		journal.Secret{Name: SecretPasskey(c.Passkey), Value: cleared}), nil
}

func factorEvent(typ journal.Name, before, after *TeamMember, factor string, secrets ...journal.Secret) journal.Decision {
	return journal.Decision{
		Drafts: []journal.Draft{{Type: typ, Before: before, After: after, Details: factorDetails{factor}, Secrets: secrets}},
		Result: after.Ref(),
	}
}

// own says whether an actor is the member.
func own(m *TeamMember, who journal.Actor) bool {
	return who == journal.Actor{Kind: journal.ActorTeamMember, ID: string(m.ID)}
}

func ownFactor(m *TeamMember, who journal.Actor) error {
	if m.Status != Active || !own(m, who) {
		return fault.New(fault.Forbidden, "factor_not_yours", "Only the person can set up a second factor.")
	}
	return nil
}

func (w World) ownOrOwner(who journal.Actor) error {
	if err := present(w.Member); err != nil {
		return err
	}
	if own(w.Member, who) || w.authority(who).rank == rankOwner {
		return nil
	}
	return fault.New(fault.Forbidden, "owner_only", "Only the person or an owner may switch a second factor off.")
}

func byID(a, b Passkey) int { return strings.Compare(string(a.ID), string(b.ID)) }
