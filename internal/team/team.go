// Package team holds the people of the store, what each of them may do, and the API keys.
package team

import (
	"perennial/internal/id"
	"perennial/internal/journal"
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

// Permission names one thing that may be done: "<area>.view" or "<area>.edit".
type Permission string

// Status of a team member or key.
type Status string

// The statuses.
const (
	Invited Status = "invited"
	Active  Status = "active"
	Removed Status = "removed" // a team member
	Revoked Status = "revoked" // an API key
)

// Defaults is the team's row: what a Member may do unless overridden.
type Defaults struct {
	DefaultPermissions []Permission `json:"default_permissions"` // sorted
}

// TeamID is the id of the one row of kind team.
const TeamID id.ID = "team"

// TeamMember is one person of the store.
type TeamMember struct {
	ID          id.ID                    `json:"id"`
	Email       journal.Personal[string] `json:"email"`
	Name        journal.Personal[string] `json:"name"`
	Role        Role                     `json:"role"`
	Permissions []Permission             `json:"permissions"` // overrides of a Member, sorted; null: the defaults
	Status      Status                   `json:"status"`
	CreatedAt   journal.Time             `json:"created_at"`
}

// Key is an API key. The key itself is known only to its holder; its SHA-256 is a secret of this row.
type Key struct {
	ID          id.ID        `json:"id"`
	Name        string       `json:"name"`
	Permissions []Permission `json:"permissions"` // sorted
	Status      Status       `json:"status"`
	CreatedAt   journal.Time `json:"created_at"`
}

func (*Defaults) Ref() journal.Ref     { return journal.Ref{Kind: journal.Team, ID: TeamID} }
func (*Defaults) Person() id.ID        { return "" }
func (m *TeamMember) Ref() journal.Ref { return journal.Ref{Kind: journal.TeamMember, ID: m.ID} }
func (m *TeamMember) Person() id.ID    { return m.ID }
func (k *Key) Ref() journal.Ref        { return journal.Ref{Kind: journal.APIKey, ID: k.ID} }
func (*Key) Person() id.ID             { return "" }
