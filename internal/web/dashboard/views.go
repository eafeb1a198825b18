package dashboard

import (
	"net/url"
	"strings"

	"perennial/internal/fault"
	"perennial/internal/plain"
	"perennial/internal/store"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

// Saved views are how one person likes to see the list of subscriptions: a preference, in a table of machinery, without an entry.

const (
	subscriptionsList = "subscriptions" // the page that the views are of
	viewsAtMost       = 20              // of one person
	viewNameLength    = 40
)

// viewParameters are what a view keeps of an address. Words that were searched for are left out: they may name a person, and nothing of a
// person is kept where an erasure does not reach.
var viewParameters = []string{"status", "product_id", "sort", "view"}

func (d *Dashboard) registerViews() {
	save := func(pattern string, h handler) {
		d.on(route{pattern: pattern, permission: team.SubscriptionsView}, h)
	}
	save("POST /saved-views", (*call).saveView)
	save("POST /saved-views/forget", (*call).forgetView)
}

// kept is the part of a query that a view keeps; nil for none.
func kept(v url.Values) url.Values {
	var out url.Values
	for _, name := range viewParameters {
		if s := v.Get(name); s != "" {
			if out == nil {
				out = url.Values{}
			}
			out.Set(name, s)
		}
	}
	return out
}

// savedViews are somebody's views, and what can be done about the one that is shown.
type savedViews struct {
	Tabs    []ui.Tab
	Current string     // its name; empty: it is none of them
	Query   url.Values // what would be saved; nil: there is nothing to save
}

func (c *call) savedViews() (v savedViews, err error) {
	list, err := c.Store.SavedViews(c.ctx, c.Store.Read, c.member.ID, subscriptionsList)
	if err != nil {
		return v, store.Fault(err)
	}
	v.Query = kept(c.r.URL.Query())
	for _, s := range list {
		t := ui.Tab{Href: "/subscriptions?" + s.Query, Label: s.Name, Current: s.Query == v.Query.Encode() && c.r.FormValue("q") == ""}
		if t.Current {
			v.Current = s.Name
		}
		v.Tabs = append(v.Tabs, t)
	}
	return v, nil
}

func (c *call) saveView() (answer, error) {
	name := strings.TrimSpace(c.r.PostFormValue("name"))
	view := store.SavedView{Name: name, Query: kept(c.r.PostForm).Encode()}
	if why := plain.Text(name, viewNameLength); why != nil || name == "" || view.Query == "" {
		if why == nil {
			why = fault.Because("required", "Give the view a name, and choose something to see first.")
		}
		return answer{}, fault.New(fault.Refused, "view_name", "%s", why)
	}
	list, err := c.Store.SavedViews(c.ctx, c.Store.Read, c.member.ID, subscriptionsList)
	if err != nil {
		return answer{}, store.Fault(err)
	}
	if len(list) >= viewsAtMost {
		return answer{}, fault.New(fault.Conflict, "too_many_views", "You have %d views already. Forget one first.", viewsAtMost)
	}
	err = c.Program.Upkeep(c.ctx, func(b *store.Batch) error { return b.PutSavedView(c.member.ID, subscriptionsList, view) })
	return c.done("/subscriptions?"+view.Query, "The view is saved, for you.", err)
}

func (c *call) forgetView() (answer, error) {
	err := c.Program.Upkeep(c.ctx, func(b *store.Batch) error {
		return b.DropSavedView(c.member.ID, subscriptionsList, c.r.PostFormValue("name"))
	})
	return c.done("/subscriptions", "The view is forgotten.", err)
}
