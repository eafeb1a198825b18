package api_test

import (
	"strings"
	"testing"
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/team"
)

// owner founds the team.
func (s *shop) owner() id.ID {
	s.t.Helper()
	key := s.IDs.New(id.TeamMember)
	s.run(journal.Bind(team.FoundTeam{ID: key, Email: "olivia@example.com", Name: "Olivia", PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"}))
	return key
}

func TestTeam(t *testing.T) {
	s := openShop(t)
	owner := "/team/" + string(s.owner())
	mona := s.created("/team", fields{"email": "mona@example.com", "name": "Mona", "role": "member"})
	s.do("GET", mona, nil).want(200).shows(map[string]any{"data.version": 1.0, "data.email": "mona@example.com", "data.name": "Mona", "data.role": "member", "data.permissions": nil, "data.status": "invited"})
	max := s.created("/team", fields{"email": "max@example.com", "role": "member", "permissions": []string{"products.view"}})
	s.do("GET", max, nil).want(200).shows(map[string]any{"data.permissions": []any{"products.view"}, "data.name": ""})
	s.do("POST", "/team", fields{"email": "MONA@example.com", "role": "member"}).refused(409, "email_taken")
	s.do("POST", "/team", fields{"email": "x", "role": "king", "permissions": []string{"fly"}}).refused(422, "fields_refused").
		shows(map[string]any{"errors.0.pointer": "/email", "errors.1.pointer": "/role", "errors.2.pointer": "/permissions/0"})
	s.do("POST", "/team", fields{"email": "eve@example.com", "role": "owner"}).refused(403, "owner_only")

	// Several fields are one change: all of it or nothing.
	s.do("PATCH", mona, fields{"name": "Mona Lisa", "email": "lisa@example.com", "permissions": []string{"team.view", "products.edit"}, "comment": "New job"}, `If-Match: "1"`).want(200).
		made("team_member.profile_updated", "team_member.permissions_updated").
		shows(map[string]any{"data.version": 3.0, "data.name": "Mona Lisa", "data.permissions": []any{"products.edit", "team.view"}})
	s.do("PATCH", mona, fields{"name": "Lisa", "role": "owner"}).refused(403, "owner_only")
	s.do("PATCH", mona, fields{"name": "Lisa", "permissions": []string{"fly"}}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/permissions/0"})
	s.do("PATCH", mona, fields{"email": "max@example.com", "role": "admin"}).refused(409, "email_taken")
	s.do("PATCH", mona, fields{"role": "admin", "permissions": []string{}}).refused(409, "role_has_everything")
	s.do("GET", mona, nil).want(200).shows(map[string]any{"data.version": 3.0, "data.name": "Mona Lisa", "data.role": "member"})
	s.do("PATCH", mona, fields{"role": "admin"}).want(200).made("team_member.role_changed").shows(map[string]any{"data.role": "admin"})
	s.do("PATCH", mona, fields{"role": "member", "permissions": nil}).want(200).made("team_member.role_changed", "team_member.permissions_updated").
		shows(map[string]any{"data.role": "member", "data.permissions": nil})
	s.do("PATCH", mona, fields{}).want(200).made()
	s.do("PATCH", "/team/mem_x", fields{}).refused(404, "unknown_team_member")
	s.do("POST", "/team", fields{"email": "mona@example.com", "role": "member"}).want(201) // given back

	s.do("PATCH", owner, fields{"role": "admin"}).refused(403, "owner_only")
	s.do("DELETE", owner, nil).refused(403, "owner_only")
	s.do("DELETE", max+"?comment=Left", nil).want(200).made("team_member.removed").shows(map[string]any{"data.status": "removed"})
	s.do("DELETE", max, nil).want(200).made()
	s.do("PATCH", max, fields{"name": "x"}).refused(409, "status_removed")
	for query, want := range map[string]int{"": 3, "?status=removed": 1, "?status=invited": 2, "?status=active": 1, "?role=owner": 1} {
		if got := len(s.do("GET", "/team"+query, nil).want(200).list("data")); got != want {
			t.Errorf("team%s: got %d, want %d", query, got, want)
		}
	}
	// Who is refused by a rule of the team was refused access: an entry says so.
	if got := s.do("GET", "/events?type=access.denied", nil).want(200).each("data", "type"); len(got) != 4 {
		t.Errorf("%d refusals are recorded, want 4", len(got))
	}
}

func TestDefaultPermissions(t *testing.T) {
	s := openShop(t)
	s.owner()
	a := s.do("GET", "/team/default-permissions", nil).want(200).shows(map[string]any{"data.version": 1.0})
	if got := len(a.list("data.default_permissions")); got != len(team.DefaultPermissions()) {
		t.Errorf("defaults: got %d", got)
	}
	s.do("PUT", "/team/default-permissions", fields{"default_permissions": []string{"team.view", "products.view", "team.view"}}, `If-Match: "1"`).want(200).
		made("team.default_permissions_updated").shows(map[string]any{"data.version": 2.0, "data.default_permissions": []any{"products.view", "team.view"}})
	s.do("PUT", "/team/default-permissions", fields{"default_permissions": []string{"team.view", "fly"}}).refused(422, "fields_refused").
		shows(map[string]any{"errors.0.pointer": "/default_permissions/1"})
	s.do("PUT", "/team/default-permissions", fields{}).refused(422, "fields_refused")
	narrow := s.with(s.key(team.TeamEdit))
	narrow.do("PUT", "/team/default-permissions", fields{"default_permissions": []string{"team.view", "events.view"}}).refused(403, "permission_not_yours")
}

func TestAPIKeys(t *testing.T) {
	s := openShop(t)
	a := s.do("POST", "/api-keys", fields{"name": "Warehouse", "permissions": []string{"products.view", "api_keys.view"}}, "Idempotency-Key: k1").want(201).made("api_key.created").
		shows(map[string]any{"data.version": 1.0, "data.name": "Warehouse", "data.permissions": []any{"api_keys.view", "products.view"}, "data.last_used_at": nil})
	key := "/api-keys/" + a.text("data.id")
	if got := a.Header.Get("Location"); got != "/api/v1"+key || !strings.HasPrefix(a.text("data.key"), a.text("data.id")+"_") {
		t.Errorf("the key is %s", a.Body)
	}
	s.do("POST", "/api-keys", fields{"name": "Warehouse", "permissions": []string{"products.view", "api_keys.view"}}, "Idempotency-Key: k1").refused(409, "already_shown")
	s.do("POST", "/api-keys", fields{"name": " ", "permissions": []string{}}).refused(422, "fields_refused").shows(map[string]any{"errors.0.pointer": "/name", "errors.1.pointer": "/permissions"})
	if read := s.do("GET", key, nil).want(200).shows(map[string]any{"data.last_used_at": nil}); strings.Contains(string(read.Body), a.text("data.key")) || read.at("data.key") != nil {
		t.Errorf("the key is shown again: %s", read.Body)
	}
	if e := s.do("GET", "/events/"+a.text("events.0.id"), nil).want(200); strings.Contains(string(e.Body), strings.TrimPrefix(a.text("data.key"), a.text("data.id"))) {
		t.Error("the key is in the event")
	}

	// The time of use is no part of the key's state.
	s.advance(time.Hour)
	warehouse := s.with(a.text("data.key"))
	warehouse.do("GET", "/products", nil).want(200)
	s.advance(time.Hour)
	s.do("GET", key, nil).want(200).shows(map[string]any{"data.last_used_at": "2027-03-01T10:00:00.000000Z", "data.version": 1.0})
	warehouse.do("GET", key, nil).want(200).shows(map[string]any{"data.last_used_at": "2027-03-01T11:00:00.000000Z"})

	s.do("PATCH", key, fields{"name": "Store room", "permissions": []string{"products.view"}}, `If-Match: "1"`).want(200).made("api_key.updated").
		shows(map[string]any{"data.name": "Store room", "data.permissions": []any{"products.view"}, "data.version": 2.0})
	warehouse.do("GET", key, nil).refused(403, "forbidden")
	s.do("PATCH", key, fields{"permissions": []string{}}).refused(422, "fields_refused")
	narrow := s.with(s.key(team.APIKeysEdit))
	narrow.do("POST", "/api-keys", fields{"name": "More", "permissions": []string{"events.view"}}).refused(403, "permission_not_yours")
	narrow.do("PATCH", key, fields{"permissions": []string{"products.view", "events.view"}}).refused(403, "permission_not_yours")

	s.do("DELETE", key+"?comment=Lost", nil).want(200).made("api_key.revoked").shows(map[string]any{"data.version": 3.0})
	s.do("DELETE", key, nil).want(200).made()
	s.do("PATCH", key, fields{"name": "x"}).refused(409, "status_revoked")
	warehouse.do("GET", "/products", nil).refused(401, "unauthenticated")
	for query, want := range map[string]int{"": 2, "?status=revoked": 1, "?status=active": 2} {
		if got := len(s.do("GET", "/api-keys"+query, nil).want(200).list("data")); got != want {
			t.Errorf("keys%s: got %d, want %d", query, got, want)
		}
	}
}
