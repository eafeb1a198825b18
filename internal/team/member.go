package team

import (
	"fmt"
	"strings"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
)

// FoundTeam makes the first owner of a shop, who is there at once and can sign in, and the team's default permissions.
// It is refused when anybody is, or ever was, in the team (Conflict, team_exists).
type FoundTeam struct {
	ID           id.ID
	Email        string
	Name         string
	PasswordHash string       // encoded argon2id
	Defaults     []Permission // nil: DefaultPermissions
}

// Load asks whether there is a team.
func (c FoundTeam) Load(r journal.Reader) (w World, err error) {
	if w.Defaults, err = journal.Find[Defaults](r, journal.Team, TeamID); err != nil {
		return w, err
	}
	for _, s := range []Status{Active, Invited, Removed} {
		ids, err := r.Where(journal.TeamMember, "status", string(s))
		if err != nil {
			return w, err
		}
		w.Peopled = w.Peopled || len(ids) > 0
	}
	w.EmailOwner, err = emailOwner(r, c.Email)
	return w, err
}

// Decide refuses wrong fields and a second founding.
func (c FoundTeam) Decide(w World, now time.Time) (journal.Decision, error) {
	if w.Peopled || w.Defaults != nil {
		return journal.Decision{}, fault.New(fault.Conflict, "team_exists",
			"The shop already has a team. Ask one of its owners for an invitation.")
	}
	if c.Defaults == nil {
		c.Defaults = DefaultPermissions()
	}
	var f fault.Fields
	owner := c.member(&f, now)
	defaults := &Defaults{DefaultPermissions: granted(&f, "/default_permissions", c.Defaults)}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	if w.EmailOwner != "" {
		return journal.Decision{}, emailTaken()
	}
	secret, err := password(c.PasswordHash)
	if err != nil {
		return journal.Decision{}, err
	}
	return journal.Decision{
		Drafts: []journal.Draft{
			{Type: journal.TeamDefaultPermissionsUpdated, After: defaults},
			{Type: journal.TeamMemberJoined, After: owner, Secrets: secret},
		},
		Reservations: moveEmail(nil, owner),
		Result:       owner.Ref(),
	}, nil
}

func (c FoundTeam) member(f *fault.Fields, now time.Time) *TeamMember {
	return &TeamMember{
		ID: c.ID, Email: email(f, c.Email), Name: name(f, c.Name), Role: Owner, Status: Active, CreatedAt: journal.At(now),
	}
}

// Invite asks somebody to join: a member who may do nothing before joining. Role and permissions cannot go beyond what
// Actor has (Forbidden: owner_only, admin_only, permission_not_yours); the e-mail address is free in the team
// (Conflict, email_taken). Whoever was removed is invited anew.
type Invite struct {
	ID          id.ID
	Email       string
	Name        string
	Role        Role
	Permissions *[]Permission // of a Member; nil: the team's defaults
	Actor       journal.Actor
}

// Load asks who acts and who has the e-mail address.
func (c Invite) Load(r journal.Reader) (w World, err error) {
	if err := w.loadActor(r, c.Actor); err != nil {
		return w, err
	}
	w.EmailOwner, err = emailOwner(r, c.Email)
	return w, err
}

// Decide refuses wrong fields, a taken e-mail address, and what the actor cannot give.
func (c Invite) Decide(w World, now time.Time) (journal.Decision, error) {
	var f fault.Fields
	next := &TeamMember{
		ID: c.ID, Email: email(&f, c.Email), Name: name(&f, c.Name), Role: role(&f, c.Role), Status: Invited, CreatedAt: journal.At(now),
	}
	if c.Permissions != nil {
		list := granted(&f, "/permissions", *c.Permissions)
		if c.Role == Owner || c.Role == Admin {
			f.Add("/permissions", "role_has_everything", "Owners and admins may do everything. Leave the permissions out.")
		}
		next.Permissions = &list
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	a := w.authority(c.Actor)
	if err := a.over(next.Role); err != nil {
		return journal.Decision{}, err
	}
	if err := a.give(promised(next, w.Defaults)); err != nil {
		return journal.Decision{}, err
	}
	if w.EmailOwner != "" {
		return journal.Decision{}, emailTaken()
	}
	return journal.Decision{
		Drafts:       []journal.Draft{{Type: journal.TeamMemberInvited, After: next}},
		Reservations: moveEmail(nil, next),
		Result:       next.Ref(),
	}, nil
}

// Join takes an invitation up: from invited only (status_active, status_removed). That the one who joins holds the
// invitation is for whoever sends the command.
type Join struct {
	ID           id.ID
	Name         *string // nil: as in the invitation
	PasswordHash string  // encoded argon2id; empty for who signs in without a password
}

func (c Join) Load(r journal.Reader) (World, error) { return loadMember(r, c.ID) }

// Decide refuses those who are in the team already, and those who were removed.
func (c Join) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := present(w.Member); err != nil {
		return journal.Decision{}, err
	}
	if w.Member.Status == Active {
		return journal.Decision{}, fault.New(fault.Conflict, "status_active", "This invitation was already taken up. Sign in instead.")
	}
	var f fault.Fields
	next := journal.Clone(w.Member)
	next.Status = Active
	if c.Name != nil {
		next.Name = name(&f, *c.Name)
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	d, err := changed(journal.TeamMemberJoined, w.Member, next)
	if err == nil && c.PasswordHash != "" {
		d.Drafts[0].Secrets, err = password(c.PasswordHash)
	}
	return d, err
}

// ChangeRole gives a member another role. It is refused for who was removed (status_removed), for the last owner
// (Conflict, last_owner), and beyond what the actor may give or change (Forbidden: owner_only, admin_only,
// permission_not_yours).
type ChangeRole struct {
	ID    id.ID
	Role  Role
	Actor journal.Actor
}

func (c ChangeRole) Load(r journal.Reader) (World, error) { return loadChange(r, c.ID, c.Actor) }

func (c ChangeRole) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := present(w.Member); err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	next := journal.Clone(w.Member)
	next.Role = role(&f, c.Role)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	if err := w.change(w.authority(c.Actor), w.Member, next); err != nil {
		return journal.Decision{}, err
	}
	if next.Role != Owner {
		if err := w.keepsOwner(); err != nil {
			return journal.Decision{}, err
		}
	}
	return changed(journal.TeamMemberRoleChanged, w.Member, next)
}

// ChangePermissions overrides what a Member may do, or goes back to the team's defaults. Owners and admins may do
// everything and have no permissions to change (Conflict, role_has_everything).
type ChangePermissions struct {
	ID          id.ID
	Permissions *[]Permission // nil: the team's defaults
	Actor       journal.Actor
}

func (c ChangePermissions) Load(r journal.Reader) (World, error) { return loadChange(r, c.ID, c.Actor) }

// Decide refuses as the type says, and what the actor cannot give.
func (c ChangePermissions) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := present(w.Member); err != nil {
		return journal.Decision{}, err
	}
	if w.Member.Role != Member {
		return journal.Decision{}, fault.New(fault.Conflict, "role_has_everything",
			"Owners and admins may do everything. Change the role to member first.")
	}
	var f fault.Fields
	next := journal.Clone(w.Member)
	next.Permissions = nil
	if c.Permissions != nil {
		next.Permissions = new(granted(&f, "/permissions", *c.Permissions))
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	if err := w.change(w.authority(c.Actor), w.Member, next); err != nil {
		return journal.Decision{}, err
	}
	return changed(journal.TeamMemberPermissionsUpdated, w.Member, next)
}

// ChangeProfile changes the fields that are not nil. Somebody else's e-mail address can only be changed by who may do
// all that this person may do: whoever has the address can ask for a new password.
type ChangeProfile struct {
	ID    id.ID
	Name  *string
	Email *string
	Actor journal.Actor
}

func (c ChangeProfile) Load(r journal.Reader) (World, error) {
	w, err := loadChange(r, c.ID, c.Actor)
	if err == nil && c.Email != nil {
		w.EmailOwner, err = emailOwner(r, *c.Email)
	}
	return w, err
}

// Decide refuses wrong fields, a taken e-mail address, and what the actor may not change.
func (c ChangeProfile) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := present(w.Member); err != nil {
		return journal.Decision{}, err
	}
	var f fault.Fields
	next := journal.Clone(w.Member)
	if c.Name != nil {
		next.Name = name(&f, *c.Name)
	}
	if c.Email != nil {
		next.Email = email(&f, *c.Email)
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	if err := w.change(w.authority(c.Actor), w.Member, next); err != nil {
		return journal.Decision{}, err
	}
	if w.EmailOwner != "" && w.EmailOwner != c.ID {
		return journal.Decision{}, emailTaken()
	}
	d, err := changed(journal.TeamMemberProfileUpdated, w.Member, next)
	d.Reservations = moveEmail(w.Member, next)
	return d, err
}

// Remove takes a person, or an invitation, out of the team and gives the e-mail address back. The last owner stays
// (Conflict, last_owner), and owners are removed by owners (Forbidden, owner_only). Who was removed stays removed.
type Remove struct {
	ID    id.ID
	Actor journal.Actor
}

func (c Remove) Load(r journal.Reader) (World, error) { return loadChange(r, c.ID, c.Actor) }

func (c Remove) Decide(w World, _ time.Time) (journal.Decision, error) {
	if w.Member.Status == Removed {
		return journal.Decision{Result: w.Member.Ref()}, nil
	}
	if err := w.authority(c.Actor).over(w.Member.Role); err != nil {
		return journal.Decision{}, err
	}
	if err := w.keepsOwner(); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(w.Member)
	next.Status = Removed
	d, err := changed(journal.TeamMemberRemoved, w.Member, next)
	d.Reservations = moveEmail(w.Member, nil)
	return d, err
}

// SetPassword replaces the password of a person who is in the team: their own, or by the system for who forgot it
// (Forbidden, password_not_yours). The event says that it changed, and nothing about it.
type SetPassword struct {
	ID           id.ID
	PasswordHash string // encoded argon2id
	Actor        journal.Actor
}

func (c SetPassword) Load(r journal.Reader) (World, error) { return loadMember(r, c.ID) }

// Decide refuses those who have not joined (status_invited) or were removed.
func (c SetPassword) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := present(w.Member); err != nil {
		return journal.Decision{}, err
	}
	if w.Member.Status == Invited {
		return journal.Decision{}, notJoined()
	}
	if !own(w.Member, c.Actor) && c.Actor.Kind != journal.ActorSystem {
		return journal.Decision{}, fault.New(fault.Forbidden, "password_not_yours", "Only the person can change a password.")
	}
	secret, err := password(c.PasswordHash)
	if err != nil {
		return journal.Decision{}, err
	}
	return journal.Decision{
		Drafts: []journal.Draft{{Type: journal.TeamMemberPasswordChanged, Before: w.Member, After: journal.Clone(w.Member), Secrets: secret}},
		Result: w.Member.Ref(),
	}, nil
}

// ChangeDefaults changes what every Member without an override may do. The actor cannot add what it does not have.
type ChangeDefaults struct {
	Permissions []Permission
	Actor       journal.Actor
}

func (c ChangeDefaults) Load(r journal.Reader) (w World, err error) {
	err = w.loadActor(r, c.Actor)
	return w, err
}

// Decide refuses unknown permissions and those that the actor cannot give.
func (c ChangeDefaults) Decide(w World, _ time.Time) (journal.Decision, error) {
	var f fault.Fields
	next := &Defaults{DefaultPermissions: granted(&f, "/default_permissions", c.Permissions)}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	var before Set
	if w.Defaults != nil {
		before = NewSet(w.Defaults.DefaultPermissions)
	}
	if err := w.authority(c.Actor).give(NewSet(next.DefaultPermissions).Without(before)); err != nil {
		return journal.Decision{}, err
	}
	if w.Defaults == nil {
		return changed(journal.TeamDefaultPermissionsUpdated, nil, next)
	}
	return changed(journal.TeamDefaultPermissionsUpdated, w.Defaults, next)
}

func loadMember(r journal.Reader, key id.ID) (w World, err error) {
	w.Member, err = journal.Get[TeamMember](r, journal.TeamMember, key)
	return w, err
}

func loadChange(r journal.Reader, key id.ID, who journal.Actor) (World, error) {
	w, err := loadMember(r, key)
	if err != nil {
		return w, err
	}
	if w.Member.Role == Owner {
		if w.OtherOwners, err = otherOwners(r, key); err != nil {
			return w, err
		}
	}
	return w, w.loadActor(r, who)
}

// otherOwners counts the owners who can sign in, besides one.
func otherOwners(r journal.Reader, besides id.ID) (n int, err error) {
	owners, err := journal.Where[TeamMember](r, journal.TeamMember, "role", string(Owner))
	for _, m := range owners {
		if m.ID != besides && m.Role == Owner && m.Status == Active {
			n++
		}
	}
	return n, err
}

func emailOwner(r journal.Reader, address string) (id.ID, error) {
	if plain.Email(strings.TrimSpace(address)) != nil {
		return "", nil
	}
	owner, _, err := r.Reserved(ScopeEmail, plain.EmailKey(address))
	return owner, err
}

// change refuses a change of a member that goes beyond what the one who acts may do.
func (w World) change(a authority, was, next *TeamMember) error {
	if err := a.over(was.Role); err != nil {
		return err
	}
	if err := a.over(next.Role); err != nil {
		return err
	}
	mightDo := promised(was, w.Defaults)
	if err := a.give(promised(next, w.Defaults).Without(mightDo)); err != nil {
		return err
	}
	if self := w.ActingMember != nil && w.ActingMember.ID == was.ID; was.Email != next.Email && !self {
		return a.give(mightDo)
	}
	return nil
}

func (w World) keepsOwner() error {
	if w.Member.Role == Owner && w.Member.Status == Active && w.OtherOwners == 0 {
		return lastOwner()
	}
	return nil
}

func lastOwner() error {
	return fault.New(fault.Conflict, "last_owner", "This is the last owner of the shop. Make somebody else an owner first.")
}

func emailTaken() error {
	return fault.New(fault.Conflict, "email_taken", "Somebody in the team already has this e-mail address.")
}

func present(m *TeamMember) error {
	if m.Status == Removed {
		return fault.New(fault.Conflict, "status_removed", "This person was removed from the team. Invite them again instead.")
	}
	return nil
}

// moveEmail takes the e-mail address of next and gives back that of was; either may be nil.
func moveEmail(was, next *TeamMember) (moves []journal.Reservation) {
	var from, to string
	if was != nil && !was.Email.Erased {
		from = plain.EmailKey(was.Email.Value)
	}
	if next != nil && !next.Email.Erased {
		to = plain.EmailKey(next.Email.Value)
	}
	if from == to {
		return nil
	}
	if to != "" {
		moves = append(moves, journal.Reservation{Scope: ScopeEmail, Value: to, Owner: next.ID})
	}
	if from != "" {
		moves = append(moves, journal.Reservation{Scope: ScopeEmail, Value: from, Owner: was.ID, Release: true})
	}
	return moves
}

// changed is the one event of a change, or none when nothing changes. before may be nil.
func changed(typ journal.Name, before, after journal.State) (journal.Decision, error) {
	d := journal.Decision{Result: after.Ref()}
	changes, err := journal.Diff(before, after)
	if err == nil && len(changes) > 0 {
		d.Drafts = []journal.Draft{{Type: typ, Before: before, After: after}}
	}
	return d, err
}

// password gives the secret of a hash. What is no hash is a mistake of the program: a password itself must never get
// here.
func password(hash string) ([]journal.Secret, error) {
	if !strings.HasPrefix(hash, "$argon2id$") {
		return nil, fmt.Errorf("team: the hash of a password is not an encoded argon2id hash")
	}
	return []journal.Secret{{Name: SecretPassword, Value: []byte(hash)}}, nil
}

func email(f *fault.Fields, s string) journal.Personal[string] {
	s = strings.TrimSpace(s)
	if why := plain.Email(s); why != nil {
		f.Refuse("/email", why)
	}
	return journal.Secluded(s)
}

func name(f *fault.Fields, s string) journal.Personal[string] {
	s = strings.TrimSpace(s)
	if why := plain.Text(s, maxNameLength); why != nil {
		f.Refuse("/name", why)
	}
	return journal.Secluded(s)
}

func role(f *fault.Fields, r Role) Role {
	if r.rank() == rankNobody {
		f.Add("/role", "not_one_of", "Choose owner, admin or member.", "values", "owner, admin, member")
	}
	return r
}

// granted gives permissions sorted and each once, and refuses those that do not exist.
func granted(f *fault.Fields, at string, list []Permission) []Permission {
	for i, p := range list {
		if !Known(p) {
			f.Add(fmt.Sprintf("%s/%d", at, i), "unknown_permission", "There is no such permission.")
		}
	}
	return NewSet(list).List()
}

// Reserves gives the names that a person holds: the e-mail address, until removed.
func Reserves(m *TeamMember) []journal.Reservation {
	if m.Status == Removed {
		return nil
	}
	return moveEmail(nil, m)
}
