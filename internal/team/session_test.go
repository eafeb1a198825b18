package team

import (
	"slices"
	"strings"
	"testing"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
)

func TestSessions(t *testing.T) {
	owner, admin, lead, mem := as("mem_owner"), as("mem_admin"), as("mem_lead"), as("mem_member")
	link := func(m id.ID, p Purpose, who journal.Actor) MakeLink {
		return MakeLink{ID: "sgn_1", Member: m, Purpose: p, ExpiresAt: now, Actor: who}
	}
	enable := EnableAuthenticator{ID: "mem_member", Seed: []byte("s"), Recovery: []byte("r"), Actor: mem}
	add := AddPasskey{ID: "mem_member", Passkey: "pk_2", Credential: []byte("c"), Actor: mem}
	tests := []struct {
		name string
		do   []func(w *journaltest.World) ([]*journal.Event, error)
		want string // types of the last command's events, or its refusal after "!"
	}{
		{"log in", all(do(LogIn{"ses_1", "mem_member", ByPassword})), "team_member.logged_in"},
		{"log in before joining", all(do(LogIn{"ses_1", "mem_invited", ByPassword})), "!not_in_team"},
		{"log in after removal", all(do(LogIn{"ses_1", "mem_gone", ByPasskey})), "!not_in_team"},
		{"log in as nobody", all(do(LogIn{"ses_1", "mem_x", ByPasskey})), "!unknown_team_member"},
		{"fail", all(do(FailLogIn{Attempt: "sgn_1", Email: "x@example.com", Why: UnknownEmail, Count: 1})), "team_member.login_failed"},
		{"end two sessions", all(do(EndSessions{"mem_member", []id.ID{"ses_1", "ses_2"}, SessionRevoked, mem})), "team_member.logged_out team_member.logged_out"},
		{"end none", all(do(EndSessions{"mem_member", nil, SessionRevoked, mem})), ""},
		{"end a member's as an admin", all(do(EndSessions{"mem_member", []id.ID{"ses_1"}, SessionRevoked, admin})), "team_member.logged_out"},
		{"end an owner's as an admin", all(do(EndSessions{"mem_owner", []id.ID{"ses_1"}, SessionRevoked, admin})), "!owner_only"},
		{"end an admin's as a member", all(do(EndSessions{"mem_admin", []id.ID{"ses_1"}, SessionRevoked, lead})), "!admin_only"},
		{"end one as a stranger", all(do(EndSessions{"mem_member", []id.ID{"ses_1"}, SessionRevoked, client})), "!not_in_team"},

		{"a new password by an owner", all(do(link("mem_admin", ForNewPassword, owner))), "team_member.link_created"},
		{"a new password by an admin", all(do(link("mem_member", ForNewPassword, admin))), "!owner_only"},
		{"a new password of who has not joined", all(do(link("mem_invited", ForNewPassword, owner))), "!status_invited"},
		{"a new password of who is gone", all(do(link("mem_gone", ForNewPassword, owner))), "!status_removed"},
		{"an invitation by an admin", all(do(link("mem_invited", ForInvitation, admin))), "team_member.link_created"},
		{"an invitation beyond one's own", all(do(link("mem_invited", ForInvitation, lead))), "!permission_not_yours"},
		{"an invitation taken up", all(do(link("mem_member", ForInvitation, owner))), "!status_active"},

		{"an app", all(do(enable)), "team_member.second_factor_enabled"},
		{"an app for somebody else", all(do(EnableAuthenticator{ID: "mem_member", Actor: owner})), "!factor_not_yours"},
		{"a second app", all(do(enable), do(enable)), "!factor_exists"},
		{"off again", all(do(enable), do(DisableAuthenticator{"mem_member", mem})), "team_member.second_factor_disabled"},
		{"off by an owner", all(do(enable), do(DisableAuthenticator{"mem_member", owner})), "team_member.second_factor_disabled"},
		{"off by an admin", all(do(enable), do(DisableAuthenticator{"mem_member", admin})), "!owner_only"},
		{"off where it is off", all(do(DisableAuthenticator{"mem_member", mem})), ""},
		{"a recovery code", all(do(enable), do(UseRecoveryCode{"mem_member", []byte("l")})), "team_member.recovery_code_used"},
		{"a recovery code of nobody", all(do(UseRecoveryCode{"mem_member", []byte("l")})), "!no_recovery_codes"},
		{"a passkey", all(do(add)), "team_member.second_factor_enabled"},
		{"a passkey for somebody else", all(do(AddPasskey{ID: "mem_member", Passkey: "pk_1", Actor: owner})), "!factor_not_yours"},
		{"two passkeys", all(do(add), do(AddPasskey{"mem_member", "pk_1", []byte("c"), mem})), "team_member.second_factor_enabled"},
		{"a passkey twice", all(do(add), do(add)), "!already_exists"},
		{"a passkey less", all(do(add), do(RemovePasskey{"mem_member", "pk_2", mem})), "team_member.second_factor_disabled"},
		{"a passkey that is not there", all(do(RemovePasskey{"mem_member", "pk_2", mem})), "!unknown_passkey"},
		{"a passkey of somebody else", all(do(add), do(RemovePasskey{"mem_member", "pk_2", lead})), "!owner_only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newTeam(t)
			var got string
			for _, d := range tt.do {
				got = outcome(d(w))
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			sound(t, w)
		})
	}
}

func all(list ...func(w *journaltest.World) ([]*journal.Event, error)) []func(w *journaltest.World) ([]*journal.Event, error) {
	return list
}

func outcome(events []*journal.Event, err error) string {
	if err != nil {
		return "!" + strings.Join(refusal(err), " ")
	}
	var types []string
	for _, e := range events {
		types = append(types, string(e.Type))
	}
	return strings.Join(types, " ")
}

func TestAFailedSignInKeepsNoAddressOfTheTeam(t *testing.T) {
	w := newTeam(t)
	known := must(t, w, FailLogIn{Attempt: "sgn_1", Member: "mem_member", Email: "member@example.com", Why: WrongPassword, Count: 1})[0]
	if len(known.Details) != 2 || known.Person != "" {
		t.Errorf("a known address: %v sealed for %q", known.Details, known.Person)
	}
	unknown := must(t, w, FailLogIn{Attempt: "sgn_2", Email: "who\u202e@example.com", Why: UnknownEmail, Count: 1})[0]
	email := unknown.Details[slices.IndexFunc(unknown.Details, func(d journal.Detail) bool { return d.Name == "email" })]
	if !email.Personal || unknown.Person != "sgn_2" || strings.Contains(string(email.Value), "\u202e") {
		t.Errorf("an unknown address: %+v sealed for %q", email, unknown.Person)
	}
}

func TestBulk(t *testing.T) {
	op := func(who journal.Actor, mode BulkMode, list []Permission, members ...id.ID) ChangeManyPermissions {
		return ChangeManyPermissions{Operation: "op_1", Members: members, Mode: mode, Permissions: list, Actor: who}
	}
	owner := as("mem_owner")
	const one, per = "team.permissions_bulk_updated", " team_member.permissions_updated"
	tests := []struct {
		name string
		c    ChangeManyPermissions
		want string
	}{
		{"add", op(owner, BulkAdd, []Permission{ExportsView}, "mem_member", "mem_lead", "mem_member"), one + per + per},
		{"add what one of them has", op(owner, BulkAdd, []Permission{TeamEdit}, "mem_member", "mem_lead"), one + per},
		{"add what all have", op(owner, BulkAdd, []Permission{TeamView}, "mem_member", "mem_lead"), ""},
		{"remove", op(owner, BulkRemove, []Permission{TeamView}, "mem_member", "mem_lead"), one + per + per},
		{"set", op(owner, BulkSet, []Permission{TeamView}, "mem_member", "mem_lead"), one + per + per},
		{"the defaults again", op(owner, BulkDefaults, nil, "mem_member", "mem_lead"), one + per},
		{"nobody", op(owner, BulkDefaults, nil), "!/members"},
		{"everything is wrong", op(owner, "x", []Permission{"root"}), "!/members /permissions/0 /mode"},
		{"an admin among them", op(owner, BulkSet, nil, "mem_admin", "mem_member"), "!role_has_everything"},
		{"who is gone", op(owner, BulkSet, nil, "mem_gone"), "!status_removed"},
		{"beyond one's own", op(as("mem_lead"), BulkAdd, []Permission{ExportsView}, "mem_member"), "!permission_not_yours"},
		{"a stranger", op(client, BulkRemove, []Permission{TeamView}, "mem_member"), "!not_in_team"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newTeam(t)
			if got := outcome(run(w, tt.c)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			sound(t, w)
		})
	}
	w := newTeam(t)
	must(t, w, tests[0].c)
	if got := NewSet(*member(w, "mem_lead").Permissions); !got.Allows(ExportsView) || !got.Allows(APIKeysEdit) {
		t.Errorf("mem_lead may do %v", got)
	}
	if f := fault.As(func() error { _, err := run(w, op(owner, BulkSet, nil, "mem_x")); return err }()); f.Code != "unknown_team_member" {
		t.Errorf("got %v", f)
	}
}
