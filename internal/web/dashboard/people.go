package dashboard

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/team"
)

// masked stands in the place of a personal value for who may not see it.
const masked = plain.Mask

func (d *Dashboard) registerTeam() {
	view := func(pattern string, h handler) { d.on(route{pattern: pattern, permission: team.TeamView}, h) }
	edit := func(pattern string, h handler, events ...journal.Name) {
		d.on(route{pattern: pattern, permission: team.TeamEdit, events: events}, h)
	}
	// What gives somebody rights, or a way in, outlasts the session of who gives them.
	give := func(pattern string, h handler, events ...journal.Name) {
		d.on(route{pattern: pattern, permission: team.TeamEdit, confirm: true, events: events}, h)
	}
	view("GET /team", (*call).teamPage)
	view("GET /team/defaults", func(c *call) (answer, error) { return c.defaultsPage(nil) })
	give("POST /team/defaults", (*call).changeDefaults, journal.TeamDefaultPermissionsUpdated)
	edit("GET /team/invite", func(c *call) (answer, error) { return c.invitePage(inviteView{Role: team.Member, Defaults: true}) })
	give("POST /team/invite", (*call).invite, journal.TeamMemberInvited)
	edit("GET /team/bulk", func(c *call) (answer, error) { return c.bulkPage(nil) })
	give("POST /team/bulk", (*call).bulk, journal.TeamPermissionsBulkUpdated, journal.TeamMemberPermissionsUpdated)
	view("GET /team/{id}", (*call).memberPage)
	give("POST /team/{id}/role", (*call).changeRole, journal.TeamMemberRoleChanged)
	give("POST /team/{id}/permissions", (*call).changePermissions, journal.TeamMemberPermissionsUpdated)
	owners := func(pattern string, h handler, events ...journal.Name) {
		d.on(route{pattern: pattern, permission: team.TeamEdit, besides: "owners alone", confirm: true, events: events}, h)
	}
	owners("POST /team/{id}/link", (*call).makeLink, journal.TeamMemberLinkCreated)
	owners("POST /team/{id}/second-factor-off", (*call).takeFactor, journal.TeamMemberSecondFactorDisabled)
	edit("POST /team/{id}/sessions-end", (*call).endTheirSessions, journal.TeamMemberLoggedOut)
	edit("GET /team/{id}/remove", func(c *call) (answer, error) {
		m, _, err := c.person()
		if err != nil {
			return answer{}, err
		}
		return page("Remove from the team", boxed(removeForm(c.show(m)))), nil
	})
	edit("POST /team/{id}/remove", (*call).remove, journal.TeamMemberRemoved, journal.TeamMemberLoggedOut)
}

// show makes what a page says of a person. Colleagues are masked for who may not see personal data.
func (c *call) show(m *team.TeamMember) personView {
	text := func(p journal.Personal[string]) string {
		switch {
		case p.Erased:
			return "Erased"
		case !c.permitted(team.PersonalDataView) && m.ID != c.member.ID && p.Value != "":
			return masked
		}
		return p.Value
	}
	v := personView{Member: m, Name: text(m.Name), Email: text(m.Email), Self: m.ID == c.member.ID}
	if v.Name == "" {
		v.Name = v.Email
	}
	return v
}

// person loads who the address names.
func (c *call) person() (*team.TeamMember, int64, error) {
	key, err := id.Parse(id.TeamMember, c.r.PathValue("id"))
	if err != nil {
		return nil, 0, unknownPerson()
	}
	row, err := c.Store.Load(c.ctx, c.Store.Read, journal.Ref{Kind: journal.TeamMember, ID: key})
	m, ok := row.State.(*team.TeamMember)
	if err == nil && !ok {
		err = unknownPerson()
	}
	return m, row.Version, store.Fault(err)
}

func unknownPerson() error {
	return fault.New(fault.NotFound, "unknown_team_member", "There is no such person in this team.")
}

// people lists the team without those who were removed: owners first, then by when they came.
func (c *call) people() ([]*team.TeamMember, error) {
	rows, err := c.allRows(journal.TeamMember, query.Oldest, query.Not(query.Status, team.Removed))
	if err != nil {
		return nil, err
	}
	var out []*team.TeamMember
	for _, r := range rows {
		out = append(out, r.State.(*team.TeamMember))
	}
	rank := map[team.Role]int{team.Owner: 0, team.Admin: 1, team.Member: 2}
	slices.SortStableFunc(out, func(a, b *team.TeamMember) int { return cmp.Compare(rank[a.Role], rank[b.Role]) })
	return out, nil
}

func (c *call) teamPage() (answer, error) {
	list, err := c.people()
	if err != nil {
		return answer{}, err
	}
	v := teamView{MayEdit: c.permitted(team.TeamEdit)}
	for _, m := range list {
		v.People = append(v.People, c.show(m))
	}
	a := page("Team", teamBody(v))
	if v.MayEdit {
		a.act = teamActions()
	}
	return a, nil
}

// grid makes the rows of the permission grid: what a set holds, and what is otherwise than in base (nil: nothing is
// marked).
func (c *call) grid(has team.Set, base *team.Set) []gridRow {
	var out []gridRow
	for _, a := range team.Matrix() {
		cell := func(p team.Permission, words string) gridCell {
			return gridCell{Permission: p, Words: words, Held: has.Allows(p), Otherwise: base != nil && base.Allows(p) != has.Allows(p), Yours: c.can.Allows(p)}
		}
		out = append(out, gridRow{Label: a.Label, View: cell(a.View, a.ToView), Edit: cell(a.Edit, a.ToEdit)})
	}
	return out
}

// ticked gives the permissions that a form's boxes name.
func (c *call) ticked() []team.Permission {
	var out []team.Permission
	for _, p := range c.r.PostForm["permission"] {
		out = append(out, team.Permission(p))
	}
	return out
}

func (c *call) defaultSet() (team.Set, error) {
	set, _, err := c.defaultsNow()
	return set, err
}

// defaultsNow gives the team's defaults, and the version of its row.
func (c *call) defaultsNow() (team.Set, int64, error) {
	row, err := c.load(c.ctx, journal.Team, team.TeamID)
	d, ok := row.State.(*team.Defaults)
	if !ok {
		return team.Set{}, row.Version, err
	}
	return team.NewSet(d.DefaultPermissions), row.Version, err
}

func (c *call) defaultsPage(p problems) (answer, error) {
	set, version, err := c.defaultsNow()
	if err != nil {
		return answer{}, err
	}
	return page("Default permissions", boxed(defaultsForm(c.grid(set, nil), version, c.permitted(team.TeamEdit), p))), nil
}

func (c *call) changeDefaults() (answer, error) {
	req := &program.Request{Target: journal.Ref{Kind: journal.Team, ID: team.TeamID}, Command: journal.Bind(team.ChangeDefaults{Permissions: c.ticked(), Actor: c.meta.Actor})}
	if v, err := strconv.ParseInt(c.r.PostFormValue("version"), 10, 64); err == nil {
		req.IfMatch = &v
	}
	err := c.do(req)
	if err != nil && fault.As(err).Kind == fault.Stale {
		a, err := c.defaultsPage(nil)
		if err != nil {
			return answer{}, err
		}
		return c.refuseStale(a, req.Target, c.r.PostFormValue("version"), req.Command)
	}
	if err != nil {
		return answer{}, err
	}
	return c.done("/team", "The default permissions are saved.", nil)
}

func (c *call) invitePage(v inviteView) (answer, error) {
	set := team.NewSet(v.Permissions)
	if v.Defaults {
		var err error
		if set, err = c.defaultSet(); err != nil {
			return answer{}, err
		}
	}
	v.Grid = c.grid(set, nil)
	return page("Invite somebody", boxed(inviteForm(v))), nil
}

func (c *call) invite() (answer, error) {
	v := inviteView{Email: strings.TrimSpace(c.r.PostFormValue("email")), Name: strings.TrimSpace(c.r.PostFormValue("name")),
		Role: team.Role(c.r.PostFormValue("role")), Defaults: c.r.PostFormValue("defaults") != "", Permissions: c.ticked()}
	cmd := team.Invite{ID: c.IDs.New(id.TeamMember), Email: v.Email, Name: v.Name, Role: v.Role, Actor: c.meta.Actor}
	if v.Role == team.Member && !v.Defaults {
		cmd.Permissions = &v.Permissions
	}
	address, expires, put, err := c.invitation(cmd.ID)
	if err != nil {
		return answer{}, err
	}
	if err := c.do(&program.Request{Command: journal.Bind(cmd), Machinery: put}); err != nil {
		return c.formAgain("Invite somebody", err, func(p problems) answer { v.Problems = p; a, _ := c.invitePage(v); return a })
	}
	return page("Send this link", boxed(linkShown(linkView{Address: address, Expires: expires, Zone: c.zone(c.ctx), Purpose: team.ForInvitation, Back: "/team", Mailed: c.Mail != nil}))), nil
}

func (c *call) memberPage() (answer, error) {
	m, version, err := c.person()
	if err != nil {
		return answer{}, err
	}
	set, err := c.defaultSet()
	if err != nil {
		return answer{}, err
	}
	v := memberView{personView: c.show(m), Version: version, MayEdit: c.permitted(team.TeamEdit) && m.Status != team.Removed, Owner: c.member.Role == team.Owner,
		Follows: m.Permissions == nil}
	switch {
	case m.Role != team.Member:
		v.Grid = c.grid(team.Everything(), nil)
	case m.Permissions == nil:
		v.Grid = c.grid(set, nil)
	default:
		v.Grid = c.grid(team.NewSet(*m.Permissions), &set)
	}
	if v.MayEdit && m.Status == team.Active {
		list, err := c.sessions(m.ID)
		if err != nil {
			return answer{}, err
		}
		v.Sessions = len(list)
	}
	return page(v.Name, memberBody(v)), nil
}

// changePerson runs a change of the person of the address, held against the version that the form was made from, and
// shows the person again.
func (c *call) changePerson(words string, also func(b *store.Batch) error, cmd ...journal.Command) (answer, error) {
	m, _, err := c.person()
	if err != nil {
		return answer{}, err
	}
	req := &program.Request{Target: m.Ref(), Command: program.Sequence(cmd), Machinery: also}
	if v, err := strconv.ParseInt(c.r.PostFormValue("version"), 10, 64); err == nil {
		req.IfMatch = &v
	}
	err = c.do(req)
	if err != nil && fault.As(err).Kind == fault.Stale {
		a, err := c.memberPage()
		if err != nil {
			return answer{}, err
		}
		return c.refuseStale(a, m.Ref(), c.r.PostFormValue("version"), req.Command)
	}
	if err != nil {
		return answer{}, err
	}
	return c.done("/team/"+string(m.ID), words, nil)
}

func (c *call) changeRole() (answer, error) {
	return c.changePerson("The role is saved.", nil, journal.Bind(team.ChangeRole{ID: id.ID(c.r.PathValue("id")), Role: team.Role(c.r.PostFormValue("role")), Actor: c.meta.Actor}))
}

func (c *call) changePermissions() (answer, error) {
	cmd := team.ChangePermissions{ID: id.ID(c.r.PathValue("id")), Actor: c.meta.Actor}
	if c.r.PostFormValue("defaults") == "" {
		cmd.Permissions = new(c.ticked())
	}
	return c.changePerson("The permissions are saved.", nil, journal.Bind(cmd))
}

func (c *call) makeLink() (answer, error) {
	m, _, err := c.person()
	if err != nil {
		return answer{}, err
	}
	purpose := team.ForNewPassword
	address, expires, put := c.newLink(purpose, m.ID, newPasswordLifetime)
	if m.Status == team.Invited {
		purpose = team.ForInvitation
		if address, expires, put, err = c.invitation(m.ID); err != nil {
			return answer{}, err
		}
	}
	cmd := team.MakeLink{ID: c.IDs.New(id.SignIn), Member: m.ID, Purpose: purpose, ExpiresAt: expires, Actor: c.meta.Actor}
	if err := c.do(&program.Request{Command: journal.Bind(cmd), Machinery: put}); err != nil {
		return answer{}, err
	}
	return page("Send this link", boxed(linkShown(linkView{Address: address, Expires: expires, Zone: c.zone(c.ctx), Purpose: purpose, Back: "/team/" + string(m.ID), Mailed: purpose == team.ForInvitation && c.Mail != nil}))), nil
}

// takeFactor switches every second factor of somebody off who lost them.
func (c *call) takeFactor() (answer, error) {
	m, _, err := c.person()
	if err != nil {
		return answer{}, err
	}
	cmds := []journal.Command{journal.Bind(team.DisableAuthenticator{ID: m.ID, Actor: c.meta.Actor})}
	for _, p := range m.Passkeys {
		cmds = append(cmds, journal.Bind(team.RemovePasskey{ID: m.ID, Passkey: p.ID, Actor: c.meta.Actor}))
	}
	return c.changePerson("Second factors are switched off.", nil, cmds...)
}

func (c *call) endTheirSessions() (answer, error) {
	m, _, err := c.person()
	if err != nil {
		return answer{}, err
	}
	list, err := c.sessionIDs(m.ID, c.session)
	if err != nil {
		return answer{}, err
	}
	cmd, end := ending(c.meta.Actor, m.ID, team.SessionRevoked, list...)
	return c.changePerson("The sessions are signed out.", end, cmd)
}

func (c *call) remove() (answer, error) {
	m, _, err := c.person()
	if err != nil {
		return answer{}, err
	}
	reason := strings.TrimSpace(c.r.PostFormValue("reason"))
	if why := plain.MultiLine(reason, 2000); why != nil {
		return answer{}, fault.New(fault.Refused, "reason", "%s", why)
	}
	list, err := c.sessionIDs(m.ID)
	if err != nil {
		return answer{}, err
	}
	cmd, end := ending(c.meta.Actor, m.ID, team.MemberRemoved, list...)
	req := &program.Request{Command: program.Sequence{journal.Bind(team.Remove{ID: m.ID, Actor: c.meta.Actor}), cmd},
		Machinery: func(b *store.Batch) error { return errors.Join(end(b), b.DropSavedViews(m.ID)) }}
	req.Meta = c.meta
	req.Meta.Comment = reason
	if err := c.do(req); err != nil {
		return answer{}, err
	}
	return c.done("/team", "Removed from the team.", nil)
}

func (c *call) bulkPage(p problems) (answer, error) {
	list, err := c.people()
	if err != nil {
		return answer{}, err
	}
	v := bulkView{Grid: c.grid(team.Set{}, nil), Problems: p}
	for _, m := range list {
		if m.Role == team.Member {
			v.People = append(v.People, c.show(m))
		}
	}
	a := page("Change several people", boxed(bulkForm(v)))
	if p != nil {
		a.status = http.StatusUnprocessableEntity
	}
	return a, nil
}

func (c *call) bulk() (answer, error) {
	cmd := team.ChangeManyPermissions{Operation: c.IDs.New(id.Operation), Mode: team.BulkMode(c.r.PostFormValue("mode")), Permissions: c.ticked(), Actor: c.meta.Actor}
	if cmd.Mode == team.BulkDefaults {
		cmd.Permissions = nil
	}
	for _, m := range c.r.PostForm["member"] {
		cmd.Members = append(cmd.Members, id.ID(m))
	}
	if err := c.change(journal.Bind(cmd)); err != nil {
		return c.formAgain("Change several people", err, func(p problems) answer { a, _ := c.bulkPage(p); return a })
	}
	return c.done("/team", "The permissions are saved.", nil)
}
