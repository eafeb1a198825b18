package team

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
)

// CreateKey makes an API key. It cannot hold what its maker does not have (Forbidden, permission_not_yours).
type CreateKey struct {
	ID          id.ID
	Name        string
	Permissions []Permission
	Hash        []byte // SHA-256 of the key
	Actor       journal.Actor
}

// Load asks who acts.
func (c CreateKey) Load(r journal.Reader) (w World, err error) {
	err = w.loadActor(r, c.Actor)
	return w, err
}

// Decide refuses wrong fields and what the maker cannot give.
func (c CreateKey) Decide(w World, now time.Time) (journal.Decision, error) {
	var f fault.Fields
	next := &Key{
		ID: c.ID, Name: keyName(&f, c.Name), Permissions: keyPermissions(&f, c.Permissions), Status: Active, CreatedAt: journal.At(now),
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	if err := w.authority(c.Actor).give(NewSet(next.Permissions)); err != nil {
		return journal.Decision{}, err
	}
	if len(c.Hash) != sha256.Size {
		return journal.Decision{}, fmt.Errorf("team: the hash of an API key has %d bytes, not %d", len(c.Hash), sha256.Size)
	}
	return journal.Decision{
		Drafts: []journal.Draft{{Type: journal.APIKeyCreated, After: next, Secrets: []journal.Secret{{Name: SecretAPIKey, Value: c.Hash}}}},
		Result: next.Ref(),
	}, nil
}

// UpdateKey changes the fields that are not nil. What is added cannot go beyond what the actor has; a revoked key
// stays as it is (Conflict, status_revoked).
type UpdateKey struct {
	ID          id.ID
	Name        *string
	Permissions *[]Permission
	Actor       journal.Actor
}

func (c UpdateKey) Load(r journal.Reader) (World, error) {
	w, err := loadKey(r, c.ID)
	if err != nil {
		return w, err
	}
	return w, w.loadActor(r, c.Actor)
}

// Decide refuses wrong fields, a revoked key, and what the actor cannot give.
func (c UpdateKey) Decide(w World, _ time.Time) (journal.Decision, error) {
	if w.Key.Status != Active {
		return journal.Decision{}, revoked()
	}
	var f fault.Fields
	next := journal.Clone(w.Key)
	if c.Name != nil {
		next.Name = keyName(&f, *c.Name)
	}
	if c.Permissions != nil {
		next.Permissions = keyPermissions(&f, *c.Permissions)
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	if err := w.authority(c.Actor).give(NewSet(next.Permissions).Without(NewSet(w.Key.Permissions))); err != nil {
		return journal.Decision{}, err
	}
	return changed(journal.APIKeyUpdated, w.Key, next)
}

// RevokeKey ends a key for ever. A revoked key stays revoked.
type RevokeKey struct{ ID id.ID }

func (c RevokeKey) Load(r journal.Reader) (World, error) { return loadKey(r, c.ID) }

func (c RevokeKey) Decide(w World, _ time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Key)
	next.Status = Revoked
	return changed(journal.APIKeyRevoked, w.Key, next)
}

func loadKey(r journal.Reader, key id.ID) (w World, err error) {
	w.Key, err = journal.Get[Key](r, journal.APIKey, key)
	return w, err
}

func revoked() error {
	return fault.New(fault.Conflict, "status_revoked", "This key was revoked. Make a new one instead.")
}

func keyName(f *fault.Fields, s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		f.Add("/name", "required", "Give the key a name that says who uses it.")
	} else if why := plain.Text(s, maxNameLength); why != nil {
		f.Refuse("/name", why)
	}
	return s
}

func keyPermissions(f *fault.Fields, list []Permission) []Permission {
	if len(list) == 0 {
		f.Add("/permissions", "required", "Give the key at least one permission.")
	}
	return granted(f, "/permissions", list)
}
