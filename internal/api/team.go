package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"perennial/internal/auth"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/team"
)

// lastUsed remembers when each API key was last used. It is only in memory: after a restart nobody knows until a key is
// used again, and it is no part of a key's version.
type lastUsed struct {
	mu sync.Mutex
	at map[id.ID]time.Time // guarded by mu
}

func (u *lastUsed) init() { u.at = map[id.ID]time.Time{} }

func (u *lastUsed) note(key id.ID, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.at[key] = now
}

// of gives when a key was last used, nil when nobody knows.
func (u *lastUsed) of(key id.ID) *journal.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	at, ok := u.at[key]
	if !ok {
		return nil
	}
	return journal.AtPtr(at)
}

type (
	memberView struct {
		ID          id.ID                    `json:"id"`
		Version     int64                    `json:"version"`
		Email       journal.Personal[string] `json:"email"`
		Name        journal.Personal[string] `json:"name"`
		Role        team.Role                `json:"role" enum:"owner,admin,member"`
		Permissions *[]team.Permission       `json:"permissions" doc:"What this person may do instead of the team's defaults; null for the defaults. Owners and admins may do everything."`
		Status      team.Status              `json:"status" enum:"invited,active,removed"`
	}
	defaultsView struct {
		Version            int64             `json:"version"`
		DefaultPermissions []team.Permission `json:"default_permissions" nullable:"false" doc:"What a member may do unless overridden."`
	}
	// APIKeyView is an API key without the key itself. It is exported because the framework sees only exported embedded
	// structs.
	APIKeyView struct {
		ID          id.ID             `json:"id"`
		Version     int64             `json:"version"`
		Name        string            `json:"name"`
		Permissions []team.Permission `json:"permissions" nullable:"false"`
		LastUsedAt  *journal.Time     `json:"last_used_at" doc:"null when the key was not used since the server started."`
	}
	newAPIKeyView struct {
		APIKeyView
		Key string `json:"key" doc:"The key itself. It is shown only now."`
	}
)

func (v memberView) resourceVersion() int64   { return v.Version }
func (v defaultsView) resourceVersion() int64 { return v.Version }
func (v APIKeyView) resourceVersion() int64   { return v.Version }

func viewMember(q program.Query, _ journal.Ref, row store.Row) (memberView, error) {
	s, ok := row.State.(*team.TeamMember)
	if !ok {
		return memberView{}, fault.New(fault.NotFound, "unknown_team_member", "There is no such person in this team.")
	}
	c := callOf(q.Ctx)
	return memberView{ID: s.ID, Version: row.Version, Email: c.text(s.Email), Name: c.text(s.Name), Role: s.Role, Permissions: s.Permissions, Status: s.Status}, nil
}

// viewDefaults shows a team that was not founded yet as what it is: its members may do nothing.
func viewDefaults(_ program.Query, _ journal.Ref, row store.Row) (defaultsView, error) {
	v := defaultsView{Version: row.Version, DefaultPermissions: []team.Permission{}}
	if s, ok := row.State.(*team.Defaults); ok {
		v.DefaultPermissions = slice(s.DefaultPermissions)
	}
	return v, nil
}

func (a *API) viewKey(_ program.Query, _ journal.Ref, row store.Row) (APIKeyView, error) {
	s, ok := row.State.(*team.Key)
	if !ok {
		return APIKeyView{}, fault.New(fault.NotFound, "unknown_api_key", "There is no such API key in this shop.")
	}
	return APIKeyView{ID: s.ID, Version: row.Version, Name: s.Name, Permissions: slice(s.Permissions), LastUsedAt: a.used.of(s.ID)}, nil
}

type (
	memberFilter struct {
		Page
		Status string `query:"status" enum:"invited,active,removed" doc:"Without it, those who were removed are left out."`
		Role   string `query:"role" enum:"owner,admin,member"`
	}
	keyFilter struct {
		Page
		Status string `query:"status" enum:"active,revoked" doc:"Without it, revoked keys are left out."`
	}
	inviteBody struct {
		Commented
		Email       string                      `json:"email"`
		Name        string                      `json:"name,omitempty"`
		Role        team.Role                   `json:"role" doc:"owner, admin or member."`
		Permissions Nullable[[]team.Permission] `json:"permissions,omitzero" doc:"Of a member; null, the default: the team's defaults."`
	}
	patchMember struct {
		Commented
		Email       *string                     `json:"email,omitempty"`
		Name        *string                     `json:"name,omitempty"`
		Role        *team.Role                  `json:"role,omitempty"`
		Permissions Nullable[[]team.Permission] `json:"permissions,omitzero" doc:"Of a member; null: the team's defaults."`
	}
	defaultsBody struct {
		Commented
		DefaultPermissions []team.Permission `json:"default_permissions" nullable:"false"`
	}
	createKey struct {
		Commented
		Name        string            `json:"name"`
		Permissions []team.Permission `json:"permissions" nullable:"false"`
	}
	patchKey struct {
		Commented
		Name        *string            `json:"name,omitempty"`
		Permissions *[]team.Permission `json:"permissions,omitempty" nullable:"false"`
	}
)

func (a *API) team() {
	a.members()
	a.defaults()
	a.keys()
}

func (a *API) members() {
	a.views[journal.TeamMember] = anyView(viewMember)
	const tag = "Team"
	view, edit := team.TeamView, team.TeamEdit
	list(a, route{method: http.MethodGet, path: "/team", tag: tag, summary: "List the people of the team, newest first", permission: view},
		func(in *memberFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f },
		func(ctx context.Context, in *memberFilter, limit int, after string) ([]memberView, error) {
			asked := append(query.Shelf(in.Status, team.Removed), query.IsGiven(query.Role, in.Role)...)
			return rowsOf(ctx, a, journal.TeamMember, asked, limit, after, viewMember)
		}, func(v memberView) string { return string(v.ID) })
	readThing(a, route{method: http.MethodGet, path: "/team/{id}", tag: tag, summary: "Read a person of the team", permission: view}, journal.TeamMember, viewMember)
	change(a, route{method: http.MethodPost, path: "/team", tag: tag, summary: "Invite somebody into the team", permission: edit, status: http.StatusCreated, events: []journal.Name{journal.TeamMemberInvited}},
		func(ctx context.Context, in *withBody[inviteBody]) (plan, error) {
			b := in.Body
			c := team.Invite{ID: a.newID(id.TeamMember), Email: b.Email, Name: b.Name, Role: b.Role, Permissions: b.Permissions.Value, Actor: callOf(ctx).meta.Actor}
			return plan{command: journal.Bind(c), location: "/team/%s"}, nil
		}, viewMember)
	change(a, route{method: http.MethodPatch, path: "/team/{id}", tag: tag, summary: "Change a person's profile, role and permissions, all or none of it", permission: edit,
		events: []journal.Name{journal.TeamMemberProfileUpdated, journal.TeamMemberRoleChanged, journal.TeamMemberPermissionsUpdated}},
		func(ctx context.Context, in *onThing[patchMember]) (plan, error) {
			key := id.ID(in.ID)
			return plan{command: changeMember(key, in.Body, callOf(ctx).meta.Actor), target: journal.Ref{Kind: journal.TeamMember, ID: key}}, nil
		}, viewMember)
	change(a, route{method: http.MethodDelete, path: "/team/{id}", tag: tag, summary: "Remove a person or an invitation from the team", permission: edit,
		events: []journal.Name{journal.TeamMemberRemoved}},
		func(ctx context.Context, in *dropThing) (plan, error) {
			c := team.Remove{ID: id.ID(in.ID), Actor: callOf(ctx).meta.Actor}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.TeamMember, ID: c.ID}}, nil
		}, viewMember)
}

// changeMember makes one command of what a PATCH asks for. The role comes before the permissions: only a member has some
// of its own. The profile is always among it, so that a PATCH of nothing finds the person.
func changeMember(key id.ID, b patchMember, actor journal.Actor) program.Sequence {
	s := program.Sequence{journal.Bind(team.ChangeProfile{ID: key, Name: b.Name, Email: b.Email, Actor: actor})}
	if b.Role != nil {
		s = append(s, journal.Bind(team.ChangeRole{ID: key, Role: *b.Role, Actor: actor}))
	}
	if b.Permissions.Given {
		s = append(s, journal.Bind(team.ChangePermissions{ID: key, Permissions: b.Permissions.Value, Actor: actor}))
	}
	return s
}

func (a *API) defaults() {
	a.views[journal.Team] = anyView(viewDefaults)
	const tag = "Team"
	ref := journal.Ref{Kind: journal.Team, ID: team.TeamID}
	read(a, route{method: http.MethodGet, path: "/team/default-permissions", tag: tag, summary: "Read what members may do unless overridden", permission: team.TeamView},
		func(ctx context.Context, _ *noInput) (defaultsView, error) {
			row, err := a.Store.Load(ctx, a.Store.Read, ref)
			if err != nil {
				return defaultsView{}, err
			}
			return viewDefaults(a.query(ctx), ref, row)
		})
	change(a, route{method: http.MethodPut, path: "/team/default-permissions", tag: tag, summary: "Change what members may do unless overridden", permission: team.TeamEdit,
		events: []journal.Name{journal.TeamDefaultPermissionsUpdated}},
		func(ctx context.Context, in *withBody[defaultsBody]) (plan, error) {
			c := team.ChangeDefaults{Permissions: in.Body.DefaultPermissions, Actor: callOf(ctx).meta.Actor}
			return plan{command: journal.Bind(c), target: ref}, nil
		}, viewDefaults)
}

func (a *API) keys() {
	a.views[journal.APIKey] = anyView(a.viewKey)
	const tag = "Team"
	view, edit := team.APIKeysView, team.APIKeysEdit
	list(a, route{method: http.MethodGet, path: "/api-keys", tag: tag, summary: "List API keys, newest first", permission: view},
		func(in *keyFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f },
		func(ctx context.Context, in *keyFilter, limit int, after string) ([]APIKeyView, error) {
			return rowsOf(ctx, a, journal.APIKey, query.Shelf(in.Status, team.Revoked), limit, after, a.viewKey)
		}, func(v APIKeyView) string { return string(v.ID) })
	readThing(a, route{method: http.MethodGet, path: "/api-keys/{id}", tag: tag, summary: "Read an API key", permission: view}, journal.APIKey, a.viewKey)
	changeShown(a, route{method: http.MethodPost, path: "/api-keys", tag: tag, summary: "Make an API key", permission: edit, status: http.StatusCreated, events: []journal.Name{journal.APIKeyCreated}}, a.createKey)
	change(a, route{method: http.MethodPatch, path: "/api-keys/{id}", tag: tag, summary: "Change an API key's name or permissions", permission: edit, events: []journal.Name{journal.APIKeyUpdated}},
		func(ctx context.Context, in *onThing[patchKey]) (plan, error) {
			c := team.UpdateKey{ID: id.ID(in.ID), Name: in.Body.Name, Permissions: in.Body.Permissions, Actor: callOf(ctx).meta.Actor}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.APIKey, ID: c.ID}}, nil
		}, a.viewKey)
	change(a, route{method: http.MethodDelete, path: "/api-keys/{id}", tag: tag, summary: "Revoke an API key for ever", permission: edit, events: []journal.Name{journal.APIKeyRevoked}},
		func(_ context.Context, in *dropThing) (plan, error) {
			c := team.RevokeKey{ID: id.ID(in.ID)}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.APIKey, ID: c.ID}}, nil
		}, a.viewKey)
}

func (a *API) createKey(ctx context.Context, in *withBody[createKey]) (plan, viewOf[newAPIKeyView], error) {
	c := team.CreateKey{ID: a.newID(id.APIKey), Name: in.Body.Name, Permissions: in.Body.Permissions, Actor: callOf(ctx).meta.Actor}
	text, hash := auth.NewAPIKey(c.ID)
	c.Hash = hash
	return plan{command: journal.Bind(c), once: true, location: "/api-keys/%s"}, func(q program.Query, ref journal.Ref, row store.Row) (newAPIKeyView, error) {
		v, err := a.viewKey(q, ref, row)
		return newAPIKeyView{v, text}, err
	}, nil
}
