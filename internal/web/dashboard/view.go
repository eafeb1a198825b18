package dashboard

import (
	"bytes"
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/a-h/templ"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

//go:generate go tool -modfile=../../../tools/go.mod templ generate

// problems are what is wrong with the fields of a form, by name; "" is about the whole of it.
type problems = ui.Problems

// What the pages show. Each struct is one page's.
type (
	signInView struct {
		Shop, Email, Next, Problem, Provider string
		Founded, Passkeys                    bool
		status                               int
	}
	newPersonView struct {
		Setup             bool
		Shop, Email, Name string
		Provider, Token   string // to join without a password
		Problems          problems
	}
	sessionView struct {
		ID          id.ID
		Here        bool
		Device      string
		IP          journal.Personal[string]
		Since, Seen time.Time
	}
	accountView struct {
		Confirmed bool // it was shown a moment ago who it is
		Member    *team.TeamMember
		Sessions  []sessionView
		Passkeys  bool // this browser can make one
		Problems  problems
		Zone      *time.Location
	}
	personView struct {
		Member      *team.TeamMember
		Name, Email string
		Self        bool
	}
	teamView struct {
		People  []personView
		MayEdit bool
	}
	gridCell struct {
		Permission             team.Permission
		Words                  string
		Held, Otherwise, Yours bool
	}
	gridRow struct {
		Label      string
		View, Edit gridCell
	}
	inviteView struct {
		Email, Name string
		Role        team.Role
		Defaults    bool
		Permissions []team.Permission
		Grid        []gridRow
		Problems    problems
	}
	memberView struct {
		personView
		Version                 int64
		MayEdit, Owner, Follows bool
		Grid                    []gridRow
		Sessions                int
	}
	linkView struct {
		Address, Back string
		Expires       time.Time
		Zone          *time.Location
		Purpose       team.Purpose
		Mailed        bool
	}
	bulkView struct {
		People   []personView
		Grid     []gridRow
		Problems problems
	}
)

func (v personView) address() templ.SafeURL { return templ.SafeURL("/team/" + string(v.Member.ID)) }

// register registers every route.
func (d *Dashboard) register() {
	d.registerHome()
	d.registerIntegrity()
	d.registerShell()
	d.registerSignIn()
	d.registerLinks()
	d.registerAccount()
	d.registerTeam()
	d.registerLogs()
	d.registerSubscriptions()
	d.registerViews()
	d.registerCustomers()
	d.registerOrders()
	d.registerCatalogue()
	d.registerCancelFlows()
	d.registerMessages()
	d.registerSettings()
	d.registerAnalytics()
}

// render writes what a handler came to.
func (c *call) render(a answer) {
	switch {
	case a.sent:
	case a.to != "":
		http.Redirect(c.w, c.r, a.to, http.StatusSeeOther)
	default:
		if a.toast == nil {
			a.toast = c.toast()
		}
		a.gap = c.gap
		c.write(c.w, c.r, c.member, c.can.Allows, a)
	}
}

// write renders a page whole before anything of it is sent, so that a page that fails is a failure.
func (d *Dashboard) write(w http.ResponseWriter, r *http.Request, m *team.TeamMember, can func(team.Permission) bool, a answer) {
	var b bytes.Buffer
	if err := frame(d.shell(r, m, can, a), a).Render(r.Context(), &b); err != nil {
		if r.Context().Err() != nil {
			return // a browser that went away
		}
		d.Log.Error("render", "title", a.title, "error", err)
		http.Error(w, "Something went wrong here.", http.StatusInternalServerError)
		return
	}
	ui.Send(w, r, cmp.Or(a.status, http.StatusOK), ui.Numbered(b.Bytes(), d.Program.Now()))
}

// plainAs shows a page of one sentence.
func (d *Dashboard) plainAs(w http.ResponseWriter, r *http.Request, m *team.TeamMember, status int, title, words string) {
	body := plainBody(words)
	if m != nil {
		body = boxed(body)
	}
	d.write(w, r, m, func(team.Permission) bool { return false }, answer{status: status, title: title, body: body})
}

func (d *Dashboard) missing(w http.ResponseWriter, r *http.Request) {
	if to := ui.WithoutSlash(r); to != "" {
		http.Redirect(w, r, to, http.StatusMovedPermanently)
		return
	}
	d.plainAs(w, r, nil, http.StatusNotFound, "There is nothing here", "The address may be wrong, or what was here is gone.")
}

// formAgain shows a form again with what is wrong with it. What is no refusal of the form is a failure.
func (c *call) formAgain(title string, err error, again func(p problems) answer) (answer, error) {
	f := fault.As(err)
	if f.Kind != fault.Refused && f.Kind != fault.Conflict {
		return answer{}, err
	}
	p := problems{}
	for _, field := range f.Fields {
		name, _, _ := strings.Cut(strings.TrimPrefix(field.Pointer, "/"), "/")
		p[name] = field.Detail
	}
	if len(f.Fields) == 0 {
		p[""] = f.Public
	}
	a := again(p)
	a.title, a.status = title, http.StatusUnprocessableEntity
	return a, nil
}

// title is what a list calls a session.
func (s sessionView) title(zone *time.Location) string {
	from := ""
	if s.IP.Value != "" {
		from = ", " + s.IP.Value
	}
	return s.Device + from + ", since " + when(s.Since, zone)
}

func when(t time.Time, zone *time.Location) string { return t.In(zone).Format("2 January 2006, 15:04") }
