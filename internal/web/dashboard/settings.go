package dashboard

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"perennial/internal/auth"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

// settingsPage is a page of the settings: its fields, and the document that they come to.
type settingsPage struct {
	page       id.ID
	title      string
	lead       string
	view, edit team.Permission
	fields     func(c *call, d settings.Document, v url.Values) []formField
	document   func(c *call, d settings.Document, in *input) settings.Document
	preview    func(c *call, d settings.Document) (templ.Component, error) // of a document that could be saved; nil: none
}

var zones = []string{"UTC", "Europe/London", "Europe/Dublin", "Europe/Lisbon", "Europe/Paris", "Europe/Berlin", "Europe/Zurich", "Europe/Vienna", "Europe/Madrid", "Europe/Rome", "Europe/Amsterdam", "Europe/Stockholm", "Europe/Warsaw", "Europe/Athens", "Europe/Helsinki",
	"America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Toronto", "America/Sao_Paulo", "Asia/Dubai", "Asia/Kolkata", "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland"}

var endActions = []ui.Option{{Value: settings.EndCancel, Label: "Cancel the subscription"}, {Value: settings.EndPause, Label: "Pause the subscription"}, {Value: settings.EndSkip, Label: "Give the order up and go on"},
	{Value: settings.EndKeep, Label: "Go on trying, at the last interval"}}

var missedOptions = []ui.Option{{Value: settings.MissedSkip, Label: "Skip them"}, {Value: settings.MissedRestart, Label: "Count the rhythm anew"}, {Value: settings.MissedPause, Label: "Pause the subscription"}}

var stockOptions = []ui.Option{{Value: settings.StockSkip, Label: "Skip the order"}, {Value: settings.StockSwap, Label: "Send another variant"}, {Value: settings.StockHold, Label: "Hold the order until there is some"}}

var smallOptions = []ui.Option{{Value: settings.SmallFree, Label: "Is free"}, {Value: settings.SmallCarry, Label: "Is charged with the next order"}}

func whole(v url.Values, name, label string, now int, hint string) formField {
	f := textField("input", name, label, filled(v, name, strconv.Itoa(now)), hint)
	f.Type, f.Min = "number", "0"
	return f
}

var settingsPages = []settingsPage{
	{page: settings.PageGeneral, title: "General", lead: "Name, time zone, currency and language of the store.", view: team.AccountSettingsView, edit: team.AccountSettingsEdit,
		fields: func(_ *call, d settings.Document, v url.Values) []formField {
			g := d.(*settings.General)
			zone := filled(v, "time_zone", g.TimeZone)
			var o []ui.Option
			for _, z := range append([]string{zone}, zones...) {
				if !slices.ContainsFunc(o, func(have ui.Option) bool { return have.Value == z }) {
					o = append(o, ui.Option{Value: z, Label: z})
				}
			}
			return []formField{textField("input", "name", "Name", filled(v, "name", g.Name), "Customers see it."), {kind: "select", Field: ui.Field{Name: "time_zone", Label: "Time zone", Value: zone, Hint: "Billing dates are days in this zone."}, options: o},
				textField("input", "currency", "Currency", filled(v, "currency", g.Currency), "Three letters. It is fixed once there is a subscription."), textField("input", "locale", "Language", filled(v, "locale", g.Locale), "Such as en-US or de."),
				textField("input", "support_email", "E-mail address for support", filled(v, "support_email", g.SupportEmail), "Customers see it in messages and in the Portal, and answers to messages go there."),
				textField("input", "sender_name", "Sender of messages", filled(v, "sender_name", g.SenderName), "Whom messages come from. Leave it empty for the name of the store.")}
		},
		document: func(_ *call, d settings.Document, in *input) settings.Document {
			g := journal.Clone(d.(*settings.General))
			g.Name, g.TimeZone, g.Currency, g.Locale = in.text("name"), in.text("time_zone"), strings.ToUpper(in.text("currency")), in.text("locale")
			g.SupportEmail, g.SenderName = in.text("support_email"), in.text("sender_name")
			return g
		}},
	{page: settings.PageBilling, title: "Billing", lead: "When orders are made, and with which tax.", view: team.BillingSettingsView, edit: team.BillingSettingsEdit,
		fields: func(_ *call, d settings.Document, v url.Values) []formField {
			b := d.(*settings.Billing)
			return []formField{whole(v, "billing_hour", "Hour of the day", b.BillingHour, "0 to 23, in the shop's time zone: orders that are due are made then."), whole(v, "cutoff_days", "Cut-off in days", b.CutoffDays, "So many days before an order, subscribers can no longer change it."),
				textField("input", "tax", "Tax in per cent", filled(v, "tax", money.Of(int64(b.TaxBasisPoints), "EUR").Decimal()), "A flat rate on items and delivery, such as 19 or 7.7."), whole(v, "max_catch_up_orders", "After a downtime, at most so many missed orders", b.MaxCatchUpOrders, "1 to 12, for each subscription."),
				{kind: "select", Field: ui.Field{Name: "missed_orders", Label: "The missed orders beyond those", Value: filled(v, "missed_orders", cmp.Or(b.MissedOrders, settings.MissedSkip))}, options: missedOptions},
				{kind: "select", Field: ui.Field{Name: "out_of_stock", Label: "When something is out of stock", Value: filled(v, "out_of_stock", cmp.Or(b.OutOfStock, settings.StockSkip))}, options: stockOptions},
				{kind: "select", Field: ui.Field{Name: "small_orders", Label: "An order that is too small to be charged", Value: filled(v, "small_orders", cmp.Or(b.SmallOrders, settings.SmallFree)), Hint: "Payment gateways charge no less than some amount, such as 0.50."}, options: smallOptions},
				whole(v, "upcoming_days", "Tell subscribers of an order so many days before", cmp.Or(b.UpcomingDays, settings.DefaultUpcomingDays), "1 to 30. The message “Upcoming order” says so, unless it is switched off.")}
		},
		document: func(_ *call, d settings.Document, in *input) settings.Document {
			b := journal.Clone(d.(*settings.Billing))
			b.BillingHour, b.CutoffDays, b.MaxCatchUpOrders = in.number("billing_hour", 0), in.number("cutoff_days", 0), in.number("max_catch_up_orders", 1)
			b.MissedOrders, b.OutOfStock, b.SmallOrders = in.text("missed_orders"), in.text("out_of_stock"), in.text("small_orders")
			b.UpcomingDays = in.number("upcoming_days", settings.DefaultUpcomingDays)
			points, ok := minorOf(in.text("tax"), 2)
			if !ok {
				in.wrong.Add("/tax", "percent_invalid", "Give a number such as 19 or 7.7.")
			}
			b.TaxBasisPoints = int(points)
			return b
		}},
	{page: settings.PageRecovery, title: "Recovery", lead: "What happens when a payment fails. A case keeps the schedule that it began with.", view: team.BillingSettingsView, edit: team.BillingSettingsEdit,
		fields: recoveryFields, document: recoveryDocument, preview: (*call).campaign},
	{page: settings.PageShipping, title: "Shipping", lead: "What a delivery costs, and where it goes.", view: team.BillingSettingsView, edit: team.BillingSettingsEdit,
		fields: func(_ *call, d settings.Document, v url.Values) []formField {
			s := d.(*settings.Shipping)
			return []formField{textField("input", "default_delivery_price", "Price of a delivery, in "+s.DefaultDeliveryPrice.Currency, filled(v, "default_delivery_price", s.DefaultDeliveryPrice.Decimal()), "For new subscriptions."),
				textField("input", "countries", "Countries", filled(v, "countries", strings.Join(s.Countries, ", ")), "Two letters each, with commas. Empty: everywhere.")}
		},
		document: func(c *call, d settings.Document, in *input) settings.Document {
			s := journal.Clone(d.(*settings.Shipping))
			s.DefaultDeliveryPrice = in.amount("default_delivery_price", c.here().general.Currency)
			s.Countries = []string{}
			for _, w := range in.words("countries") {
				s.Countries = append(s.Countries, strings.ToUpper(w))
			}
			return s
		}},
	{page: settings.PagePortal, title: "Portal", lead: "What subscribers may do by themselves, and what the Portal looks like.", view: team.PortalSettingsView, edit: team.PortalSettingsEdit,
		fields: portalFields, document: portalDocument, preview: (*call).warnings},
	{page: settings.PageCancelFlow, title: "Cancel flows", lead: "What holds for all of them. The flows themselves are under Cancel flows.", view: team.CancelFlowsView, edit: team.CancelFlowsEdit,
		fields: func(_ *call, d settings.Document, v url.Values) []formField {
			p := d.(*settings.CancelFlow)
			enabled := yesNo(p.Enabled)
			if v.Has("discount_cooldown_days") {
				enabled = v.Get("enabled")
			}
			return []formField{{kind: "box", Field: ui.Field{Name: "enabled", Label: "Ask subscribers why before they cancel", Value: enabled}},
				whole(v, "discount_cooldown_days", "Days without another discount", p.DiscountCooldownDays, "How long somebody who accepted a discount is offered none. 1 to 3,650.")}
		},
		document: func(_ *call, d settings.Document, in *input) settings.Document {
			p := journal.Clone(d.(*settings.CancelFlow))
			p.Enabled, p.DiscountCooldownDays = in.yes("enabled"), in.number("discount_cooldown_days", 0)
			return p
		}},
	{page: settings.PageLog, title: "Log", lead: "How long IP addresses and devices are kept. The entries themselves stay for ever.", view: team.LogSettingsView, edit: team.LogSettingsEdit,
		fields: func(_ *call, d settings.Document, v url.Values) []formField {
			return []formField{whole(v, "network_retention_months", "Months", d.(*settings.Log).NetworkRetentionMonths, "1 to 120. Then the key of a month is destroyed, and its addresses are gone from old copies too. That cannot be undone.")}
		},
		document: func(_ *call, d settings.Document, in *input) settings.Document {
			l := journal.Clone(d.(*settings.Log))
			l.NetworkRetentionMonths = in.number("network_retention_months", 0)
			return l
		}},
}

func (d *Dashboard) registerSettings() {
	d.on(route{pattern: "GET /settings", who: signedIn}, (*call).settingsStart)
	for _, p := range settingsPages {
		d.on(route{pattern: "GET /settings/" + string(p.page), permission: p.view}, func(c *call) (answer, error) { return c.settingsForm(p, nil, nil) })
		if p.preview != nil {
			d.on(route{pattern: "POST /settings/" + string(p.page) + ui.Preview, permission: p.edit}, func(c *call) (answer, error) { return c.settingsForm(p, c.r.PostForm, nil) })
		}
		d.on(route{pattern: "POST /settings/" + string(p.page), permission: p.edit, events: []journal.Name{settings.EventType(p.page)}}, func(c *call) (answer, error) { return c.saveSettings(p) })
	}
	d.on(route{pattern: "GET /api-keys", permission: team.APIKeysView}, (*call).keysPage)
	d.on(route{pattern: "GET /api-keys/new", permission: team.APIKeysEdit}, func(c *call) (answer, error) { return c.newKeyForm(nil) })
	d.on(route{pattern: "POST /api-keys", permission: team.APIKeysEdit, confirm: true, events: []journal.Name{journal.APIKeyCreated}}, (*call).makeKey)
	d.form(form{path: "/api-keys/{id}/revoke", title: "Revoke the key", verb: "Revoke for ever", danger: true, lead: "Programs that use it are refused at once. This cannot be undone.", permission: team.APIKeysEdit, events: []journal.Name{journal.APIKeyRevoked},
		on: func(c *call) (subject, error) {
			k, version, err := stateOf[team.Key](c, journal.APIKey, c.r.PathValue("id"))
			return subject{k, version, "/api-keys", []ui.Link{{Href: "/api-keys", Text: "API keys"}}}, err
		},
		command: func(_ *call, s subject, _ *input) journal.Command {
			return journal.Bind(team.RevokeKey{ID: s.state.Ref().ID})
		}})
}

type settingsLine struct {
	ui.Link
	Lead string
}

func (c *call) settingsStart() (answer, error) {
	var out []settingsLine
	for _, p := range settingsPages {
		if c.permitted(p.view) {
			out = append(out, settingsLine{ui.Link{Href: "/settings/" + string(p.page), Text: p.title}, p.lead})
		}
	}
	for _, p := range account {
		if p.path != "/account" && c.shown(p, c.can.Allows) {
			out = append(out, settingsLine{ui.Link{Href: p.path, Text: p.label}, ""})
		}
	}
	return answer{title: "Settings", narrow: true, body: settingsList(out)}, nil
}

type settingsView struct {
	At       string
	Tabs     []ui.Tab
	Fields   []formField
	Notes    []string // what the page says of itself
	MayEdit  bool
	Version  int64
	Comment  string
	Problems problems
	Log      []ui.Day
	Preview  templ.Component // nil: none
}

// live keeps the preview up to date while the form is filled in.
func (v settingsView) live() templ.Attributes {
	if v.Preview == nil || !v.MayEdit {
		return nil
	}
	return templ.Attributes{"hx-post": v.At + ui.Preview, "hx-target": "#foreseen", "hx-select": "#foreseen", "hx-swap": "outerHTML", "hx-trigger": "input delay:200ms"}
}

// current is a page's document as it is, or what it says until it is first saved.
func (c *call) current(p settingsPage) (settings.Document, int64, error) {
	row, err := c.load(c.ctx, journal.Settings, p.page)
	if err != nil {
		return nil, 0, err
	}
	if d, ok := row.State.(settings.Document); ok {
		return d, row.Version, nil
	}
	return settings.Default(p.page, c.here().general), 0, nil
}

func (c *call) settingsForm(p settingsPage, typed url.Values, wrong problems) (answer, error) {
	d, version, err := c.current(p)
	if err != nil {
		return answer{}, err
	}
	v := settingsView{At: "/settings/" + string(p.page), MayEdit: c.permitted(p.edit), Version: version, Comment: typed.Get("comment"), Problems: wrong}
	for _, other := range settingsPages {
		if c.permitted(other.view) {
			v.Tabs = append(v.Tabs, ui.Tab{Href: "/settings/" + string(other.page), Label: other.title, Current: other.page == p.page})
		}
	}
	v.Fields = p.fields(c, d, typed)
	if p.preview != nil {
		in := &input{Values: typed}
		if typed.Has("version") {
			d = p.document(c, d, in)
		}
		if err := cmp.Or(in.wrong.Err(), settings.Check(d)); err != nil {
			v.Preview = foreseenPart(foreseen{Problem: fault.As(err).Fields[0].Detail})
		} else if v.Preview, err = p.preview(c, d); err != nil {
			return answer{}, err
		}
	}
	if portal, ok := d.(*settings.Portal); ok {
		v.Notes = looksNotes(portal)
	}
	for i, f := range v.Fields {
		v.Fields[i].Problem = wrong[f.Name]
		v.Fields[i].ReadOnly = !v.MayEdit
	}
	if v.Log, err = c.logOf(p.page); err != nil {
		return answer{}, err
	}
	return answer{title: p.title, narrow: true, head: ui.Head{Crumbs: []ui.Link{{Href: "/settings", Text: "Settings"}}, Lead: p.lead}, body: settingsBody(v)}, nil
}

func (c *call) saveSettings(p settingsPage) (answer, error) {
	now, version, err := c.current(p)
	if err != nil {
		return answer{}, err
	}
	in := &input{Values: c.r.PostForm}
	next := p.document(c, now, in)
	again := func(wrong problems) answer {
		a, err := c.settingsForm(p, c.r.PostForm, wrong)
		if err != nil {
			return answer{title: p.title, body: boxed(plainBody(fault.As(err).Public))}
		}
		return a
	}
	if err := in.wrong.Err(); err != nil {
		return c.formAgain(p.title, err, again)
	}
	seen, err := strconv.ParseInt(in.text("version"), 10, 64)
	if err != nil {
		seen = version
	}
	c.comment()
	req := &program.Request{Command: journal.Bind(settings.Update{Document: next}), Target: now.Ref(), IfMatch: &seen}
	out, err := c.run(req)
	if err != nil && fault.As(err).Kind == fault.Stale {
		return c.refuseStale(again(nil), now.Ref(), in.text("version"), req.Command)
	}
	if err != nil {
		return c.formAgain(p.title, err, again)
	}
	return after("/settings/"+string(p.page), out.Events), nil
}

// API keys.

type keyRow struct {
	K           *team.Key
	Since       string
	Permissions string
}

func (c *call) keysPage() (answer, error) {
	rows, err := c.allRows(journal.APIKey, query.Newest, query.Not(query.Status, team.Revoked))
	if err != nil {
		return answer{}, err
	}
	var out []keyRow
	for _, r := range rows {
		k := r.State.(*team.Key)
		words := ui.Count(int64(len(k.Permissions)), "permission")
		if len(team.Everything().Without(team.NewSet(k.Permissions)).List()) == 0 {
			words = "Everything"
		}
		out = append(out, keyRow{k, k.CreatedAt.In(c.here().zone).Format(ui.FullDate), words})
	}
	a := answer{title: "API keys", head: ui.Head{Lead: "Programs use them to reach the REST API. A key is shown once."}, body: keysBody(out, c.permitted(team.APIKeysEdit))}
	if c.permitted(team.APIKeysEdit) {
		a.act = ui.Go("/api-keys/new", ui.Button{Label: "Make a key", Icon: "plus", Kind: "primary"})
	}
	return a, nil
}

func (c *call) newKeyForm(p problems) (answer, error) {
	var chosen []team.Permission
	for _, s := range c.r.Form["permission"] {
		chosen = append(chosen, team.Permission(s))
	}
	return answer{title: "Make an API key", narrow: true, head: ui.Head{Crumbs: []ui.Link{{Href: "/api-keys", Text: "API keys"}}}, body: boxed(newKeyBody(c.r.FormValue("name"), c.grid(team.NewSet(chosen), nil), p))}, nil
}

func (c *call) makeKey() (answer, error) {
	cmd := team.CreateKey{ID: c.IDs.New(id.APIKey), Name: strings.TrimSpace(c.r.PostFormValue("name")), Actor: c.meta.Actor, Permissions: []team.Permission{}}
	for _, s := range c.r.PostForm["permission"] {
		cmd.Permissions = append(cmd.Permissions, team.Permission(s))
	}
	text, hash := auth.NewAPIKey(cmd.ID)
	cmd.Hash = hash
	if _, err := c.run(&program.Request{Command: journal.Bind(cmd)}); err != nil {
		return c.formAgain("Make an API key", err, func(p problems) answer { a, _ := c.newKeyForm(p); return a })
	}
	return answer{title: "Keep this key", narrow: true, body: boxed(keyShown(text))}, nil
}
