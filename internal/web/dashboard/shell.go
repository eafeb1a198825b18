package dashboard

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/program"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/web/ui"
	"perennial/internal/web/ui/showcase"
)

// place is a page of the menu. It is shown to who may see it, once its route is registered.
type place struct {
	path, label, icon string
	needs             team.Permission // empty: everybody who is signed in
	also              []string        // beginnings of other paths that belong to it
}

// The menu at the side, and what is under one's own name.
var (
	menu = []struct {
		title  string
		places []place
	}{
		{"", []place{
			{path: "/", label: "Home", icon: "house"},
		}},
		{"Subscribers", []place{
			{path: "/subscriptions", label: "Subscriptions", icon: "repeat", needs: team.SubscriptionsView},
			{path: "/customers", label: "Customers", icon: "users", needs: team.CustomersView},
			{path: "/orders", label: "Orders", icon: "receipt-text", needs: team.SubscriptionsView},
			{path: "/upcoming", label: "Upcoming", icon: "calendar", needs: team.SubscriptionsView},
		}},
		{"Catalogue", []place{
			{path: "/products", label: "Products", icon: "package", needs: team.ProductsView},
			{path: "/plans", label: "Plans", icon: "calendar-clock", needs: team.PlansView},
			{path: "/discounts", label: "Discounts", icon: "badge-percent", needs: team.DiscountsView},
		}},
		{"What happened", []place{
			{path: "/events", label: "Explorer", icon: "history", needs: team.EventsView},
			{path: "/activity", label: "Activity Log", icon: "users", needs: team.ActivityLogView},
			{path: "/analytics", label: "Analytics", icon: "chart-line", needs: team.AnalyticsView},
			{path: "/integrity", label: "Integrity", icon: "shield-check", needs: team.EventsView},
		}},
		{"The store", []place{
			{path: "/cancel-flows", label: "Cancel flows", icon: "split", needs: team.CancelFlowsView},
			{path: "/messages", label: "Messages", icon: "mail", needs: team.NotificationsView},
			{path: "/settings", label: "Settings", icon: "settings"},
		}},
	}
	account = []place{
		{path: "/account", label: "Your account", icon: "user"},
		{path: "/team", label: "Team", icon: "users", needs: team.TeamView},
		{path: "/api-keys", label: "API keys", icon: "key-round", needs: team.APIKeysView},
	}
)

func (d *Dashboard) shown(p place, can func(team.Permission) bool) bool {
	pattern := "GET " + p.path
	if p.path == "/" {
		pattern += "{$}"
	}
	return (p.needs == "" || can(p.needs)) && slices.ContainsFunc(d.routes, func(r route) bool { return r.pattern == pattern })
}

// at says whether a page is a place, or below it.
func (p place) at(path string) bool {
	if path == p.path {
		return true
	}
	return slices.ContainsFunc(append([]string{p.path}, p.also...), func(up string) bool { return up != "/" && strings.HasPrefix(path, up+"/") })
}

// shell is what is around a page for somebody; m is nil for nobody.
func (d *Dashboard) shell(r *http.Request, m *team.TeamMember, can func(team.Permission) bool, a answer) ui.Shell {
	v := ui.Shell{Title: a.title, Shop: d.shopName(r.Context()), Theme: ui.ThemeOf(r), Toast: a.toast, Narrow: a.narrow}
	if m == nil {
		return v
	}
	item := func(p place) ui.NavItem {
		return ui.NavItem{Href: p.path, Label: p.label, Icon: p.icon, Current: p.at(r.URL.Path)}
	}
	for _, g := range menu {
		group := ui.NavGroup{Title: g.title}
		for _, p := range g.places {
			if d.shown(p, can) {
				group.Items = append(group.Items, item(p))
			}
		}
		if len(group.Items) > 0 {
			v.Nav = append(v.Nav, group)
		}
	}
	v.Finder, v.FinderPage = "/find", "/search"
	v.Account = &ui.Account{Name: m.Name.Value, Sub: m.Email.Value + ", " + roleWords(m.Role), SignOut: "/signout"}
	if v.Account.Name == "" {
		v.Account.Name = m.Email.Value
	}
	for _, p := range account {
		if d.shown(p, can) {
			v.Account.Items = append(v.Account.Items, item(p))
		}
	}
	here := "&back=" + url.QueryEscape(ui.WithoutPreview(r.URL.RequestURI()))
	if v.Theme == ui.ThemeDark {
		v.Account.Items = append(v.Account.Items, ui.NavItem{Href: "/theme?set=light" + here, Label: "Light colours", Icon: "sun"})
	} else {
		v.Account.Items = append(v.Account.Items, ui.NavItem{Href: "/theme?set=dark" + here, Label: "Dark colours", Icon: "moon"})
	}
	v.Account.Items = append(v.Account.Items, ui.NavItem{Href: "/api/docs", Label: "The REST API", Icon: "terminal"})
	return v
}

func (d *Dashboard) registerShell() {
	d.on(route{pattern: "GET /theme", who: signedIn}, func(c *call) (answer, error) {
		theme := ui.Theme(c.r.FormValue("set"))
		age := 365 * 24 * 3600
		if theme != ui.ThemeLight && theme != ui.ThemeDark {
			theme, age = "", -1
		}
		http.SetCookie(c.w, &http.Cookie{Name: ui.ThemeCookie, Value: string(theme), Path: "/", MaxAge: age, Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		return goTo(inside(c.r.FormValue("back"))), nil
	})
	d.on(route{pattern: "GET /ui", who: signedIn}, func(*call) (answer, error) {
		return answer{title: "Every part", head: ui.Head{Lead: "What pages are made of, all at once.", Badge: &ui.Badge{Text: "For who works on it", Icon: "eye"}}, toast: showcase.Toast(), body: showcase.Body()}, nil
	})
	d.on(route{pattern: "GET /find", who: signedIn}, (*call).findPlaces)
	d.on(route{pattern: "GET /search", who: signedIn}, (*call).searchPage)
}

// toast tells what the last command did: the entry that the address names as done, with its undo, or a sentence that was kept.
func (c *call) toast() *ui.Toast {
	if words := c.noted(); words != "" {
		return &ui.Toast{Text: words}
	}
	key := id.ID(c.r.URL.Query().Get("done"))
	if key == "" || c.member == nil {
		return nil
	}
	st, err := c.Store.EventByID(c.ctx, c.Store.Read, store.Opened, key)
	if err != nil || st.Actor.ID != string(c.member.ID) {
		return nil
	}
	t := &ui.Toast{Text: journal.Summary(st.Event), More: ui.Link{Href: "/events/" + string(key), Text: "See the entry"}}
	if _, err := c.canUndo(key); err == nil {
		back := *c.r.URL
		q := back.Query()
		q.Del("done")
		back.RawQuery = q.Encode()
		t.Undo, t.Back = "/events/"+string(key)+"/undo", back.RequestURI()
	}
	return t
}

// canUndo says why an event cannot be undone now, and what stands in the way.
func (c *call) canUndo(key id.ID) (kinds.UndoWorld, error) {
	w, err := kinds.Undo{Event: key, Actor: c.meta.Actor}.Load(program.NewReader(c.ctx, c.Store, c.Store.Read))
	if err == nil {
		_, _, err = kinds.Restored(w, c.Program.Now())
	}
	return w, err
}

// after is where a page goes when a command is done: the address, with the entry that the toast tells of.
func after(address string, events []program.Done) answer {
	if len(events) == 0 {
		return goTo(address)
	}
	u, err := url.Parse(address)
	if err != nil {
		return goTo(address)
	}
	q := u.Query()
	q.Set("done", string(events[0].ID))
	u.RawQuery = q.Encode()
	return goTo(u.String())
}

func (d *Dashboard) load(ctx context.Context, kind journal.Kind, key id.ID) (store.Row, error) {
	row, err := d.Store.Load(ctx, d.Store.Read, journal.Ref{Kind: kind, ID: key})
	return row, store.Fault(err)
}

// found is a line of the command palette.
type found struct {
	Icon string `json:"icon"`
	Text string `json:"text"`
	Sub  string `json:"sub"`
	Href string `json:"href"`
}

// foundAtMost is how many lines the palette shows of each kind.
const foundAtMost = 8

// find looks for what somebody typed among the pages, the people, and the ids of things.
func (c *call) find(text string) ([]found, error) {
	text = strings.TrimSpace(text)
	out := []found{}
	if text != "" {
		things, err := c.findThings(text)
		if err != nil {
			return nil, err
		}
		out = append(out, things...) // a list also when nothing is found
	}
	low := strings.ToLower(text)
	for _, g := range menu {
		for _, p := range g.places {
			if c.shown(p, c.can.Allows) && strings.Contains(strings.ToLower(p.label), low) {
				out = append(out, found{p.icon, p.label, "Page", p.path})
			}
		}
	}
	for _, p := range account {
		if c.shown(p, c.can.Allows) && strings.Contains(strings.ToLower(p.label), low) {
			out = append(out, found{p.icon, p.label, "Page", p.path})
		}
	}
	return out, nil
}

// findThings finds customers by name, e-mail address or id, and other things by their id.
func (c *call) findThings(text string) ([]found, error) {
	if id.Valid(text) {
		return c.findID(id.ID(text)), nil
	}
	var out []found
	if !c.permitted(team.CustomersView) || !c.permitted(team.PersonalDataView) {
		return out, nil // whoever may not see names may not find by them either
	}
	people, err := c.Finder.People(c.ctx, text, foundAtMost)
	if err != nil {
		return nil, store.Fault(err)
	}
	for _, key := range people {
		row, err := c.load(c.ctx, journal.Customer, key)
		if err != nil {
			return nil, err
		}
		if who, ok := row.State.(*customer.Customer); ok {
			out = append(out, found{"user", strings.TrimSpace(who.FirstName.Value + " " + who.LastName.Value), who.Email.Value, "/customers/" + string(key)})
		}
	}
	return out, nil
}

// findID leads from an id to its page, if there is such a thing and one may see it.
func (c *call) findID(key id.ID) []found {
	prefix, _, _ := strings.Cut(string(key), "_")
	at, known := map[string]struct {
		kind       journal.Kind
		path, icon string
		needs      team.Permission
	}{
		id.Customer:     {journal.Customer, "/customers/", "user", team.CustomersView},
		id.Subscription: {journal.Subscription, "/subscriptions/", "repeat", team.SubscriptionsView},
		id.Order:        {journal.Order, "/orders/", "receipt-text", team.SubscriptionsView},
		id.Product:      {journal.Product, "/products/", "package", team.ProductsView},
		id.TeamMember:   {journal.TeamMember, "/team/", "user", team.TeamView},
	}[prefix]
	if prefix == "evt" && c.permitted(team.EventsView) {
		return []found{{"history", "Entry " + string(key), "Explorer", "/events/" + string(key)}}
	}
	if !known || !c.permitted(at.needs) {
		return nil
	}
	if row, err := c.load(c.ctx, at.kind, key); err != nil || row.Version == 0 {
		return nil
	}
	return []found{{at.icon, string(key), at.kind.Words(), at.path + string(key)}}
}

func (c *call) findPlaces() (answer, error) {
	list, err := c.find(c.r.FormValue("q"))
	if err != nil {
		return answer{}, err
	}
	c.w.Header().Set("Content-Type", "application/json")
	return answer{sent: true}, json.NewEncoder(c.w).Encode(list)
}

// searchPage is the palette without a script.
func (c *call) searchPage() (answer, error) {
	q := c.r.FormValue("q")
	list, err := c.find(q)
	return page("Search", searchBody(q, list)), err
}
