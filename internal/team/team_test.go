package team

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
	"perennial/internal/plain"
)

var now = time.Date(2027, time.March, 3, 12, 0, 0, 0, time.UTC)

const hash = "$argon2id$v=19$m=65536,t=3,p=1$c2FsdA$aGFzaA"

func newWorld() *journaltest.World {
	w := journaltest.NewWorld("shop_00000001")
	w.Fresh[journal.Team] = func(id.ID) func() journal.State { return func() journal.State { return new(Defaults) } }
	w.Fresh[journal.TeamMember] = func(id.ID) func() journal.State { return func() journal.State { return new(TeamMember) } }
	w.Fresh[journal.APIKey] = func(id.ID) func() journal.State { return func() journal.State { return new(Key) } }
	w.Columns[journal.TeamMember] = map[string]journaltest.Column{
		"status": func(s journal.State) string { return string(s.(*TeamMember).Status) },
		"role":   func(s journal.State) string { return string(s.(*TeamMember).Role) },
	}
	return w
}

func as(m id.ID) journal.Actor { return journal.Actor{Kind: journal.ActorTeamMember, ID: string(m)} }

func asKey(k id.ID) journal.Actor { return journal.Actor{Kind: journal.ActorAPIKey, ID: string(k)} }

var (
	system = journal.Actor{Kind: journal.ActorSystem, ID: "setup"}
	client = journal.Actor{Kind: journal.ActorCustomer, ID: "cus_1"}
)

func run[W any](w *journaltest.World, c journal.Decider[W]) ([]*journal.Event, error) {
	_, events, err := w.Run(journal.Bind(c), now)
	return events, err
}

func must[W any](t testing.TB, w *journaltest.World, c journal.Decider[W]) []*journal.Event {
	t.Helper()
	events, err := run(w, c)
	if err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	return events
}

// newTeam is mem_owner, mem_admin, mem_lead (a member who may change the team), mem_member (with the defaults),
// mem_invited, mem_gone, key_all, key_some and key_gone.
func newTeam(t testing.TB) *journaltest.World {
	t.Helper()
	w := newWorld()
	must(t, w, FoundTeam{ID: "mem_owner", Email: "Owner@Example.com", Name: "Olga", PasswordHash: hash})
	for _, m := range []Invite{
		{ID: "mem_admin", Email: "admin@example.com", Role: Admin},
		{ID: "mem_lead", Email: "lead@example.com", Role: Member, Permissions: &[]Permission{TeamEdit, TeamView, APIKeysEdit}},
		{ID: "mem_member", Email: "member@example.com", Role: Member},
		{ID: "mem_invited", Email: "invited@example.com", Role: Member},
		{ID: "mem_gone", Email: "gone@example.com", Role: Member},
	} {
		m.Actor = as("mem_owner")
		must(t, w, m)
		if m.ID != "mem_invited" {
			must(t, w, Join{ID: m.ID, PasswordHash: hash})
		}
	}
	must(t, w, Remove{ID: "mem_gone", Actor: as("mem_admin")})
	must(t, w, createKey("key_all", as("mem_owner"), Everything().List()...))
	must(t, w, createKey("key_some", as("mem_owner"), TeamEdit, EventsEdit, APIKeysEdit))
	must(t, w, createKey("key_gone", as("mem_owner"), Everything().List()...))
	must(t, w, RevokeKey{ID: "key_gone"})
	return w
}

func createKey(key id.ID, actor journal.Actor, list ...Permission) CreateKey {
	sum := sha256.Sum256([]byte(key))
	return CreateKey{ID: key, Name: "A key", Permissions: list, Hash: sum[:], Actor: actor}
}

func member(w *journaltest.World, key id.ID) *TeamMember {
	return w.States[journal.Ref{Kind: journal.TeamMember, ID: key}].(*TeamMember)
}

// refusal gives the pointers of a refusal's fields, or its code when it is about none.
func refusal(err error) []string {
	f := fault.As(err)
	if f == nil {
		return nil
	}
	if len(f.Fields) == 0 {
		return []string{f.Code}
	}
	var out []string
	for _, field := range f.Fields {
		out = append(out, field.Pointer)
	}
	return out
}

// A row of an earlier build may hold permissions that nothing asks for any more. It can be kept, and they allow nothing.
func TestRetiredPermissionsAllowNothing(t *testing.T) {
	k := &Key{ID: "key_a", Name: "Key", Status: Active, Permissions: []Permission{"products.view", "webhooks.edit", "webhooks.view"}}
	if err := Check(k); err != nil {
		t.Error(err)
	}
	for _, p := range retired {
		if has := Holds(k); has.Allows(p) || Everything().Allows(p) {
			t.Errorf("%s is allowed", p)
		}
		var f fault.Fields
		if granted(&f, "/permissions", []Permission{p}); f.Err() == nil {
			t.Errorf("%s can be given", p)
		}
	}
}

func TestMatrixIsComplete(t *testing.T) {
	areas := []string{
		"subscriptions", "customers", "products", "plans", "discounts", "cancel_flows", "notifications", "portal_settings",
		"billing_settings", "exports", "api_keys", "team", "activity_log", "personal_data", "account_settings",
		"log_settings", "events",
	}
	look := []string{"analytics.view", "revealed_data.view"} // where there is nothing to change
	want, got := slices.Clone(look), []string(nil)
	for _, a := range areas {
		want = append(want, a+".edit", a+".view")
	}
	for _, a := range Matrix() {
		if got = append(got, string(a.View)); slices.Contains(look, string(a.View)) {
			continue
		}
		got = append(got, string(a.Edit))
		area, _, _ := strings.Cut(string(a.View), ".")
		if a.View != Permission(area+".view") || a.Edit != Permission(area+".edit") {
			t.Errorf("the row of %s has %s and %s", area, a.View, a.Edit)
		}
		if a.Label == "" || a.ToView == "" || a.ToEdit == "" {
			t.Errorf("the row of %s does not say what it allows", area)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("permissions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got, strings.Split(Everything().String(), ", ")); diff != "" {
		t.Errorf("Everything (-matrix +set):\n%s", diff)
	}
}

// Every role and status against every permission, and what is no permission at all.
func TestEffectiveExhaustively(t *testing.T) {
	defaults := &Defaults{DefaultPermissions: []Permission{AnalyticsView, SubscriptionsEdit}}
	override := &[]Permission{ProductsEdit, "root.edit"}
	none := &[]Permission{}
	asked := append(Everything().List(), "", "root.edit", "team", "TEAM.EDIT", "team.delete")
	for _, role := range []Role{Owner, Admin, Member, "", "root"} {
		for _, status := range []Status{Active, Invited, Removed, ""} {
			for _, own := range []*[]Permission{nil, override, none} {
				m := &TeamMember{Role: role, Status: status, Permissions: own}
				for _, d := range []*Defaults{nil, defaults} {
					got := Effective(m, d)
					for _, p := range asked {
						want := false
						switch {
						case status != Active || !Known(p):
						case role == Owner || role == Admin:
							want = true
						case role != Member:
						case own != nil:
							want = slices.Contains(*own, p)
						case d != nil:
							want = slices.Contains(d.DefaultPermissions, p)
						}
						if got.Allows(p) != want {
							t.Errorf("%s, %s, own %v, defaults %v: Allows(%q) = %t", role, status, own, d, p, !want)
						}
					}
				}
			}
		}
	}
	if !Effective(nil, defaults).empty() {
		t.Error("nobody may do something")
	}
	for _, p := range asked {
		if (Set{}).Allows(p) {
			t.Errorf("the zero Set allows %q", p)
		}
	}
}

func TestOf(t *testing.T) {
	w := newTeam(t)
	tests := []struct {
		who  journal.Actor
		want []Permission
	}{
		{system, Everything().List()},
		{as("mem_owner"), Everything().List()},
		{as("mem_admin"), Everything().List()},
		{as("mem_lead"), []Permission{APIKeysEdit, TeamEdit, TeamView}},
		{as("mem_member"), DefaultPermissions()},
		{as("mem_invited"), nil},
		{as("mem_gone"), nil},
		{as("mem_unknown"), nil},
		{asKey("key_all"), Everything().List()},
		{asKey("key_some"), []Permission{APIKeysEdit, EventsEdit, TeamEdit}},
		{asKey("key_gone"), nil},
		{client, nil},
		{journal.Actor{Kind: journal.ActorImport, ID: "mem_owner"}, nil},
		{journal.Actor{Kind: journal.ActorIntegration, ID: "key_all"}, nil},
		{journal.Actor{Kind: journal.ActorAnonymous}, nil},
		{journal.Actor{}, nil},
	}
	for _, tt := range tests {
		got, err := Of(w, tt.who)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got.List(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("Of(%v) (-want +got):\n%s", tt.who, diff)
		}
	}
}

func TestFoundTeam(t *testing.T) {
	w := newWorld()
	found := FoundTeam{ID: "mem_owner", Email: " Owner@Example.com ", Name: "Olga", PasswordHash: hash}
	d, events, err := w.Run(journal.Bind(found), now)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, e := range events {
		types = append(types, string(e.Type))
	}
	if diff := cmp.Diff([]string{"team.default_permissions_updated", "team_member.joined"}, types); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	want := &TeamMember{
		ID: "mem_owner", Email: journal.Secluded("Owner@Example.com"), Name: journal.Secluded("Olga"), Role: Owner, Status: Active, CreatedAt: journal.At(now),
	}
	if diff := cmp.Diff(want, member(w, "mem_owner")); diff != "" {
		t.Errorf("owner (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]journal.Secret{{Name: "password", Value: []byte(hash)}}, d.Drafts[1].Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if got := w.Names[[2]string{ScopeEmail, "owner@example.com"}]; got != "mem_owner" {
		t.Errorf("the e-mail address is held by %q", got)
	}
	found.ID = "mem_other"
	if _, err := run(w, found); !slices.Equal(refusal(err), []string{"team_exists"}) {
		t.Errorf("a second founding: %v", err)
	}
	bad := FoundTeam{ID: "mem_x", Email: "x", Name: "a\u202eb", PasswordHash: hash, Defaults: []Permission{"root.edit"}}
	if _, err := run(newWorld(), bad); !slices.Equal(refusal(err), []string{"/email", "/name", "/default_permissions/0"}) {
		t.Errorf("wrong fields: %v", err)
	}
	found.PasswordHash = "hunter2"
	if _, err := run(newWorld(), found); fault.As(err).Kind != fault.Internal {
		t.Errorf("a password that is not hashed: %v", err)
	}
}

func TestCommands(t *testing.T) {
	few := &[]Permission{TeamView}
	more := &[]Permission{TeamView, PersonalDataEdit}
	invite := func(actor journal.Actor, role Role, p *[]Permission) Invite {
		return Invite{ID: "mem_new", Email: "new@example.com", Name: "Nora", Role: role, Permissions: p, Actor: actor}
	}
	owner, admin, lead := as("mem_owner"), as("mem_admin"), as("mem_lead")
	tests := []struct {
		name string
		do   func(w *journaltest.World) ([]*journal.Event, error)
		want string // the event's type, empty for none, or the refusal after "!"
	}{
		{"invite a member", do(invite(owner, Member, nil)), "team_member.invited"},
		{"invite with permissions", do(invite(lead, Member, few)), "team_member.invited"},
		{"invite an owner as owner", do(invite(owner, Owner, nil)), "team_member.invited"},
		{"invite an owner as the system", do(invite(system, Owner, nil)), "team_member.invited"},
		{"invite an admin as admin", do(invite(admin, Admin, nil)), "team_member.invited"},
		{"invite an admin with a key that may do everything", do(invite(asKey("key_all"), Admin, nil)), "team_member.invited"},
		{"invite an owner with a key that may do everything", do(invite(asKey("key_all"), Owner, nil)), "!owner_only"},
		{"invite an owner as admin", do(invite(admin, Owner, nil)), "!owner_only"},
		{"invite an admin as member", do(invite(lead, Admin, nil)), "!admin_only"},
		{"invite beyond one's own", do(invite(lead, Member, more)), "!permission_not_yours"},
		{"invite with defaults beyond one's own", do(invite(lead, Member, nil)), "!permission_not_yours"},
		{"invite with a key beyond its own", do(invite(asKey("key_some"), Member, few)), "!permission_not_yours"},
		{"invite with a revoked key", do(invite(asKey("key_gone"), Member, few)), "!not_in_team"},
		{"invite as a customer", do(invite(client, Member, few)), "!not_in_team"},
		{"invite as who was removed", do(invite(as("mem_gone"), Member, few)), "!not_in_team"},
		{"invite an admin with permissions", do(invite(owner, Admin, few)), "!/permissions"},
		{"invite with no permissions", do(invite(owner, Member, &[]Permission{})), "team_member.invited"},
		{"invite with unknown permissions", do(invite(owner, Member, &[]Permission{TeamView, "root.edit"})), "!/permissions/1"},
		{"invite: everything is wrong", do(Invite{ID: "mem_new", Email: "new", Name: strings.Repeat("x", 101), Role: "root", Actor: owner}), "!/email /name /role"},
		{"invite a taken address", do(Invite{ID: "mem_new", Email: "ADMIN@example.com", Role: Member, Actor: owner}), "!email_taken"},
		{"invite who was removed anew", do(Invite{ID: "mem_new", Email: "gone@example.com", Role: Member, Actor: owner}), "team_member.invited"},

		{"join", do(Join{ID: "mem_invited", PasswordHash: hash, Name: new("Ina")}), "team_member.joined"},
		{"join without a password", do(Join{ID: "mem_invited"}), "team_member.joined"},
		{"join with a bad name", do(Join{ID: "mem_invited", PasswordHash: hash, Name: new("a\nb")}), "!/name"},
		{"join twice", do(Join{ID: "mem_member", PasswordHash: hash}), "!status_active"},
		{"join after removal", do(Join{ID: "mem_gone", PasswordHash: hash}), "!status_removed"},
		{"join from nowhere", do(Join{ID: "mem_unknown", PasswordHash: hash}), "!unknown_team_member"},

		{"make an owner", do(ChangeRole{ID: "mem_admin", Role: Owner, Actor: owner}), "team_member.role_changed"},
		{"the same role", do(ChangeRole{ID: "mem_admin", Role: Admin, Actor: admin}), ""},
		{"an unknown role", do(ChangeRole{ID: "mem_admin", Role: "root", Actor: owner}), "!/role"},
		{"make oneself an owner", do(ChangeRole{ID: "mem_admin", Role: Owner, Actor: admin}), "!owner_only"},
		{"make oneself an admin", do(ChangeRole{ID: "mem_lead", Role: Admin, Actor: lead}), "!admin_only"},
		{"demote an owner as admin", do(ChangeRole{ID: "mem_owner", Role: Member, Actor: admin}), "!owner_only"},
		{"demote an admin as member", do(ChangeRole{ID: "mem_admin", Role: Member, Actor: lead}), "!admin_only"},
		{"demote the last owner", do(ChangeRole{ID: "mem_owner", Role: Admin, Actor: owner}), "!last_owner"},
		{"change the role of who was removed", do(ChangeRole{ID: "mem_gone", Role: Admin, Actor: owner}), "!status_removed"},

		{"permissions", do(ChangePermissions{ID: "mem_member", Permissions: more, Actor: owner}), "team_member.permissions_updated"},
		{"no permissions", do(ChangePermissions{ID: "mem_member", Permissions: &[]Permission{}, Actor: owner}), "team_member.permissions_updated"},
		{"back to the defaults", do(ChangePermissions{ID: "mem_lead", Actor: owner}), "team_member.permissions_updated"},
		{"the defaults again", do(ChangePermissions{ID: "mem_member", Actor: owner}), ""},
		{"permissions beyond one's own", do(ChangePermissions{ID: "mem_member", Permissions: more, Actor: lead}), "!permission_not_yours"},
		{"one's own permissions", do(ChangePermissions{ID: "mem_lead", Permissions: more, Actor: lead}), "!permission_not_yours"},
		{"fewer of one's own", do(ChangePermissions{ID: "mem_lead", Permissions: few, Actor: lead}), "team_member.permissions_updated"},
		{"what somebody had before may stay", do(ChangePermissions{ID: "mem_member", Permissions: &[]Permission{AnalyticsView}, Actor: lead}), "team_member.permissions_updated"},
		{"permissions of an admin", do(ChangePermissions{ID: "mem_admin", Permissions: few, Actor: owner}), "!role_has_everything"},
		{"unknown permissions", do(ChangePermissions{ID: "mem_member", Permissions: &[]Permission{"x"}, Actor: owner}), "!/permissions/0"},
		{"permissions of who was removed", do(ChangePermissions{ID: "mem_gone", Permissions: few, Actor: owner}), "!status_removed"},

		{"one's own profile", do(ChangeProfile{ID: "mem_member", Name: new("Max"), Email: new("max@example.com"), Actor: as("mem_member")}), "team_member.profile_updated"},
		{"the same profile", do(ChangeProfile{ID: "mem_member", Email: new("member@example.com"), Actor: as("mem_member")}), ""},
		{"another's name", do(ChangeProfile{ID: "mem_member", Name: new("Max"), Actor: lead}), "team_member.profile_updated"},
		{"the e-mail of who may do more", do(ChangeProfile{ID: "mem_member", Email: new("mine@example.com"), Actor: lead}), "!permission_not_yours"},
		{"an owner's name", do(ChangeProfile{ID: "mem_owner", Name: new("Max"), Actor: admin}), "!owner_only"},
		{"a taken address", do(ChangeProfile{ID: "mem_member", Email: new("Lead@example.com"), Actor: owner}), "!email_taken"},
		{"a bad profile", do(ChangeProfile{ID: "mem_member", Name: new("\x00"), Email: new(""), Actor: owner}), "!/name /email"},
		{"the profile of who was removed", do(ChangeProfile{ID: "mem_gone", Name: new("x"), Actor: owner}), "!status_removed"},

		{"remove", do(Remove{ID: "mem_member", Actor: lead}), "team_member.removed"},
		{"remove an invitation", do(Remove{ID: "mem_invited", Actor: owner}), "team_member.removed"},
		{"remove twice", do(Remove{ID: "mem_gone", Actor: owner}), ""},
		{"remove the last owner", do(Remove{ID: "mem_owner", Actor: owner}), "!last_owner"},
		{"remove an owner as admin", do(Remove{ID: "mem_owner", Actor: admin}), "!owner_only"},
		{"remove an admin as member", do(Remove{ID: "mem_admin", Actor: lead}), "!admin_only"},
		{"remove as a customer", do(Remove{ID: "mem_member", Actor: client}), "!not_in_team"},

		{"one's own password", do(SetPassword{ID: "mem_member", PasswordHash: hash, Actor: as("mem_member")}), "team_member.password_changed"},
		{"a forgotten password", do(SetPassword{ID: "mem_member", PasswordHash: hash, Actor: system}), "team_member.password_changed"},
		{"another's password", do(SetPassword{ID: "mem_member", PasswordHash: hash, Actor: owner}), "!password_not_yours"},
		{"a password before joining", do(SetPassword{ID: "mem_invited", PasswordHash: hash, Actor: system}), "!status_invited"},
		{"a password after removal", do(SetPassword{ID: "mem_gone", PasswordHash: hash, Actor: as("mem_gone")}), "!status_removed"},
		{"a password itself", do(SetPassword{ID: "mem_member", PasswordHash: "hunter2", Actor: system}), "!internal"},

		{"defaults", do(ChangeDefaults{Permissions: *more, Actor: owner}), "team.default_permissions_updated"},
		{"no defaults", do(ChangeDefaults{Actor: owner}), "team.default_permissions_updated"},
		{"the same defaults", do(ChangeDefaults{Permissions: append(DefaultPermissions(), TeamView), Actor: owner}), ""},
		{"defaults beyond one's own", do(ChangeDefaults{Permissions: *more, Actor: lead}), "!permission_not_yours"},
		{"unknown defaults", do(ChangeDefaults{Permissions: []Permission{TeamView, "x"}, Actor: owner}), "!/default_permissions/1"},

		{"a key", do(createKey("key_new", lead, APIKeysEdit)), "api_key.created"},
		{"a key beyond one's own", do(createKey("key_new", lead, EventsEdit)), "!permission_not_yours"},
		{"a key by a key", do(createKey("key_new", asKey("key_some"), EventsEdit)), "api_key.created"},
		{"a key by a key beyond its own", do(createKey("key_new", asKey("key_some"), TeamView)), "!permission_not_yours"},
		{"a key by a revoked key", do(createKey("key_new", asKey("key_gone"), TeamView)), "!permission_not_yours"},
		{"a key without anything", do(CreateKey{ID: "key_new", Actor: owner}), "!/name /permissions"},
		{"a key itself", do(CreateKey{ID: "key_new", Name: "k", Permissions: *few, Hash: []byte("secret"), Actor: owner}), "!internal"},
		{"change a key", do(UpdateKey{ID: "key_some", Name: new("CRM"), Permissions: few, Actor: owner}), "api_key.updated"},
		{"the same key", do(UpdateKey{ID: "key_some", Name: new("A key"), Actor: owner}), ""},
		{"a key widens itself", do(UpdateKey{ID: "key_some", Permissions: more, Actor: asKey("key_some")}), "!permission_not_yours"},
		{"a key keeps what it has", do(UpdateKey{ID: "key_some", Permissions: &[]Permission{EventsEdit}, Actor: lead}), "api_key.updated"},
		{"a key with nothing left", do(UpdateKey{ID: "key_some", Name: new(" "), Permissions: &[]Permission{}, Actor: owner}), "!/name /permissions"},
		{"change a revoked key", do(UpdateKey{ID: "key_gone", Name: new("x"), Actor: owner}), "!status_revoked"},
		{"revoke", do(RevokeKey{ID: "key_some"}), "api_key.revoked"},
		{"revoke twice", do(RevokeKey{ID: "key_gone"}), ""},
		{"revoke nothing", do(RevokeKey{ID: "key_unknown"}), "!unknown_api_key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newTeam(t)
			events, err := tt.do(w)
			got := ""
			if err != nil {
				got = "!" + strings.Join(refusal(err), " ")
			} else if len(events) == 1 {
				got = string(events[0].Type)
			} else if len(events) > 1 {
				t.Fatalf("%d events", len(events))
			}
			if got != tt.want {
				t.Errorf("got %q, want %q (%v)", got, tt.want, err)
			}
			sound(t, w)
		})
	}
}

func do[W any](c journal.Decider[W]) func(*journaltest.World) ([]*journal.Event, error) {
	return func(w *journaltest.World) ([]*journal.Event, error) { return run(w, c) }
}

func TestTwoOwnersMayPart(t *testing.T) {
	w := newTeam(t)
	must(t, w, ChangeRole{ID: "mem_admin", Role: Owner, Actor: as("mem_owner")})
	must(t, w, Invite{ID: "mem_third", Email: "third@example.com", Role: Owner, Actor: as("mem_owner")})
	must(t, w, Remove{ID: "mem_owner", Actor: as("mem_admin")})
	// Who is only invited keeps no shop.
	if _, err := run(w, Remove{ID: "mem_admin", Actor: as("mem_admin")}); !slices.Equal(refusal(err), []string{"last_owner"}) {
		t.Errorf("the last owner who has joined: %v", err)
	}
	must(t, w, Remove{ID: "mem_third", Actor: as("mem_admin")})
}

func TestEmailMoves(t *testing.T) {
	w := newTeam(t)
	must(t, w, ChangeProfile{ID: "mem_member", Email: new("MEMBER@example.com"), Actor: as("mem_member")})
	if got := w.Names[[2]string{ScopeEmail, "member@example.com"}]; got != "mem_member" {
		t.Errorf("after a change of case, the address is held by %q", got)
	}
	must(t, w, ChangeProfile{ID: "mem_member", Email: new("new@example.com"), Actor: as("mem_member")})
	must(t, w, Invite{ID: "mem_next", Email: "member@example.com", Role: Member, Actor: as("mem_owner")})

	restored := journal.Clone(member(w, "mem_member"))
	restored.Email = journal.Secluded("member@example.com")
	if _, err := Restore(w, as("mem_owner"), member(w, "mem_member"), restored); !slices.Equal(refusal(err), []string{"email_taken"}) {
		t.Errorf("undo of an address that is taken: %v", err)
	}
	must(t, w, Remove{ID: "mem_next", Actor: as("mem_owner")})
	moves, err := Restore(w, as("mem_owner"), member(w, "mem_member"), restored)
	want := []journal.Reservation{
		{Scope: ScopeEmail, Value: "member@example.com", Owner: "mem_member"},
		{Scope: ScopeEmail, Value: "new@example.com", Owner: "mem_member", Release: true},
	}
	if diff := cmp.Diff(want, moves); err != nil || diff != "" {
		t.Errorf("undo of a change of address: %v (-want +got):\n%s", err, diff)
	}
}

func TestUndo(t *testing.T) {
	w := newTeam(t)
	later := &journal.Event{TargetVersion: 3}
	key := w.States[journal.Ref{Kind: journal.APIKey, ID: "key_gone"}]
	demoted := journal.Clone(member(w, "mem_owner"))
	demoted.Role = Member
	promoted := journal.Clone(member(w, "mem_lead"))
	promoted.Role = Admin
	nameless := journal.Clone(member(w, "mem_lead"))
	nameless.Email.Value = ""
	wide := &Defaults{DefaultPermissions: []Permission{PersonalDataEdit}}
	defaults := w.States[(*Defaults)(nil).Ref()]
	tests := []struct {
		name              string
		event             *journal.Event
		who               journal.Actor
		current, restored journal.State
		want              string
	}{
		{"by the owner", later, as("mem_owner"), member(w, "mem_lead"), promoted, ""},
		{"by who could not do it by hand", later, as("mem_lead"), member(w, "mem_lead"), promoted, "admin_only"},
		{"of who was removed", later, as("mem_owner"), member(w, "mem_gone"), member(w, "mem_gone"), "status_removed"},
		{"of a revoked key", later, as("mem_owner"), key, key, "status_revoked"},
		{"of the first event", &journal.Event{TargetVersion: 1}, as("mem_owner"), defaults, wide, "undo_first"},
		{"to what is not allowed", later, as("mem_owner"), member(w, "mem_lead"), nameless, "undo_not_allowed"},
		{"of the last owner's role", later, as("mem_owner"), member(w, "mem_owner"), demoted, "last_owner"},
		{"of defaults beyond one's own", later, as("mem_lead"), defaults, wide, "permission_not_yours"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Undo(tt.event, now, tt.current, tt.restored, nil)
			if err == nil {
				_, err = Restore(w, tt.who, tt.current, tt.restored)
			}
			got := ""
			if err != nil {
				got = fault.As(err).Code
			}
			if got != tt.want {
				t.Errorf("code %q, want %q (%v)", got, tt.want, err)
			}
		})
	}
}

func TestDenialLeavesTheKeyAlone(t *testing.T) {
	w := newTeam(t)
	key := journal.Ref{Kind: journal.APIKey, ID: "key_some"}
	path := "/api/v1/\u202eteam\n" + strings.Repeat("x", 400)
	events := must(t, w, RecordDenial{Refused: key.ID, Who: key, Permission: TeamView, Path: path, Count: 12})
	want := []journal.Ref{{Kind: journal.Session, ID: key.ID}, key}
	if diff := cmp.Diff(want, events[0].Targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if got := string(events[0].Detail("path")); strings.Contains(got, "\u202e") || len([]rune(got)) > maxPathLength+10 {
		t.Errorf("the path is kept as %s", got)
	}
	if got := string(events[0].Detail("count")); got != "12" {
		t.Errorf("the count is %s", got)
	}
	if _, err := run(w, RecordDenial{Who: key, Permission: TeamView, Count: 1}); err == nil {
		t.Error("a denial without a session was accepted")
	}
}

// sound says that no state breaks a rule, that the reservations are those of who is there, and that the events fold to
// the same states.
func sound(t interface {
	Helper()
	Fatalf(string, ...any)
}, w *journaltest.World) {
	t.Helper()
	owners := 0
	names := map[[2]string]id.ID{}
	for ref, s := range w.States {
		if err := Check(s); err != nil {
			t.Fatalf("%v: %v", ref, err)
		}
		if m, ok := s.(*TeamMember); ok && m.Status != Removed {
			if m.Role == Owner && m.Status == Active {
				owners++
			}
			names[[2]string{ScopeEmail, plain.EmailKey(m.Email.Value)}] = m.ID
		}
	}
	if owners == 0 && len(w.States) > 0 {
		t.Fatalf("the team has no owner")
	}
	if diff := cmp.Diff(names, w.Names); diff != "" {
		t.Fatalf("reservations (-of members +held):\n%s", diff)
	}
	rebuilt, err := w.Rebuild()
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	if diff := cmp.Diff(w.States, rebuilt, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("replay (-live +replayed):\n%s", diff)
	}
}

// Whatever is done, in whatever order: the team keeps an owner, nobody comes to more than the one who gave it had, and
// the journal says what was decided.
func TestAnySequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		members := []id.ID{"mem_a", "mem_b", "mem_c", "mem_d"}
		keys := []id.ID{"key_a", "key_b"}
		emails := []string{"a@example.com", "A@example.com", "b@example.com", "c@example.com", "nobody"}
		drawPermissions := rapid.SliceOfN(rapid.SampledFrom([]Permission{TeamView, TeamEdit, APIKeysEdit, CustomersEdit, "x"}), 0, 3)
		member := func() id.ID { return rapid.SampledFrom(members).Draw(t, "member") }
		key := func() id.ID { return rapid.SampledFrom(keys).Draw(t, "key") }
		email := func() string { return rapid.SampledFrom(emails).Draw(t, "email") }
		role := func() Role { return rapid.SampledFrom([]Role{Owner, Admin, Member}).Draw(t, "role") }
		override := func() *[]Permission {
			if rapid.Bool().Draw(t, "defaults") {
				return nil
			}
			return new(drawPermissions.Draw(t, "permissions"))
		}
		fresh := func(k journal.Kind, ids []id.ID) (id.ID, bool) {
			for _, key := range ids {
				if _, ok := w.States[journal.Ref{Kind: k, ID: key}]; !ok {
					return key, true
				}
			}
			return "", false
		}
		for range rapid.IntRange(1, 30).Draw(t, "commands") {
			var actor journal.Actor
			switch rapid.IntRange(0, 5).Draw(t, "actor") {
			case 0:
				actor = system
			case 1:
				actor = asKey(key())
			default:
				actor = as(member())
			}
			before, err := Of(w, actor)
			if err != nil {
				t.Fatal(err)
			}
			var c journal.Command
			switch rapid.IntRange(0, 16).Draw(t, "command") {
			case 0:
				k, ok := fresh(journal.TeamMember, members)
				if !ok {
					continue
				}
				c = journal.Bind(FoundTeam{ID: k, Email: email(), PasswordHash: hash})
			case 1:
				k, ok := fresh(journal.TeamMember, members)
				if !ok || len(w.States) == 0 {
					continue
				}
				c = journal.Bind(Invite{ID: k, Email: email(), Role: role(), Permissions: override(), Actor: actor})
			case 2:
				c = journal.Bind(Join{ID: member(), PasswordHash: hash})
			case 3:
				c = journal.Bind(ChangeRole{ID: member(), Role: role(), Actor: actor})
			case 4:
				c = journal.Bind(ChangePermissions{ID: member(), Permissions: override(), Actor: actor})
			case 5:
				c = journal.Bind(ChangeProfile{ID: member(), Email: new(email()), Actor: actor})
			case 6:
				c = journal.Bind(Remove{ID: member(), Actor: actor})
			case 7:
				c = journal.Bind(SetPassword{ID: member(), PasswordHash: hash, Actor: actor})
			case 8:
				if len(w.States) == 0 {
					continue
				}
				c = journal.Bind(ChangeDefaults{Permissions: drawPermissions.Draw(t, "permissions"), Actor: actor})
			case 9:
				k, ok := fresh(journal.APIKey, keys)
				if !ok || len(w.States) == 0 {
					continue
				}
				c = journal.Bind(createKey(k, actor, drawPermissions.Draw(t, "permissions")...))
			case 10:
				c = journal.Bind(UpdateKey{ID: key(), Permissions: new(drawPermissions.Draw(t, "permissions")), Actor: actor})
			case 11:
				c = journal.Bind(RevokeKey{ID: key()})
			case 12:
				c = journal.Bind(EnableAuthenticator{ID: member(), Seed: []byte("s"), Recovery: []byte("r"), Actor: actor})
			case 13:
				c = journal.Bind(DisableAuthenticator{ID: member(), Actor: actor})
			case 14:
				c = journal.Bind(UseRecoveryCode{ID: member(), Left: []byte("l")})
			case 15:
				c = journal.Bind(AddPasskey{ID: member(), Passkey: rapid.SampledFrom([]id.ID{"pk_1", "pk_2"}).Draw(t, "passkey"), Credential: []byte("c"), Actor: actor})
			case 16:
				if len(w.States) == 0 {
					continue
				}
				mode := rapid.SampledFrom([]BulkMode{BulkDefaults, BulkSet, BulkAdd, BulkRemove}).Draw(t, "mode")
				c = journal.Bind(ChangeManyPermissions{Operation: "op_1", Members: []id.ID{member(), member()}, Mode: mode, Permissions: drawPermissions.Draw(t, "permissions"), Actor: actor})
			}
			decision, events, err := w.Run(c, now)
			if err != nil {
				if fault.As(err).Kind == fault.Internal {
					t.Fatalf("a command failed: %v", err)
				}
				continue
			}
			for i, d := range decision.Drafts {
				if d.After == nil {
					continue // the entry of a bulk change
				}
				if diff := cmp.Diff(d.After, w.States[d.After.Ref()], cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("event %s says something else than the decision (-decided +applied):\n%s", events[i].Type, diff)
				}
				if events[i].Type == "team_member.role_changed" && d.After.(*TeamMember).Role != Member && before.empty() {
					t.Fatalf("%v, who may do nothing, made an %s", actor, d.After.(*TeamMember).Role)
				}
				if k, ok := d.After.(*Key); ok && d.Before == nil && !NewSet(k.Permissions).Without(before).empty() {
					t.Fatalf("%v, who may do %v, made a key for %v", actor, before, k.Permissions)
				}
			}
			sound(t, w)
		}
	})
}
