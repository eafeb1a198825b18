package dashboard

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/subscription"
	"perennial/internal/team"
	"perennial/internal/web/ui"
)

func (d *Dashboard) registerCatalogue() {
	d.on(route{pattern: "GET /products", permission: team.ProductsView}, (*call).productsPage)
	d.on(route{pattern: "GET /products/{id}", permission: team.ProductsView}, (*call).productPage)
	d.on(route{pattern: "POST /products/bulk", permission: team.ProductsEdit, events: []journal.Name{journal.ProductSettingsBulkUpdated, journal.ProductSettingsUpdated, journal.ProductUpsellVariantSettingsUpdated, journal.ProductArchived}}, (*call).bulkProducts)
	d.registerProductForms()
	d.on(route{pattern: "GET /plans", permission: team.PlansView}, (*call).plansPage)
	d.on(route{pattern: "GET /plans/{id}", permission: team.PlansView}, (*call).groupPage)
	d.registerPlanForms()
	d.on(route{pattern: "GET /discounts", permission: team.DiscountsView}, (*call).discountsPage)
	d.on(route{pattern: "GET /discounts/{id}", permission: team.DiscountsView}, (*call).discountPage)
	d.registerDiscountForms()
}

func (d *Dashboard) registerProductForms() {
	edit := func(f form) { f.permission = team.ProductsEdit; d.form(f) }
	edit(form{path: "/products/new", title: "Add a product", verb: "Add", lead: "What is priced and counted are its variants: add one next.", events: []journal.Name{journal.ProductCreated},
		on: above("/products", "Products"),
		fields: func(_ *call, _ subject, v url.Values) ([]formField, error) {
			return productFields(&catalog.Product{Status: catalog.Active, PortalVisible: true}, v), nil
		},
		command: func(c *call, _ subject, in *input) journal.Command {
			return journal.Bind(catalog.CreateProduct{ID: c.IDs.New(id.Product), Title: in.text("title"), Description: in.text("description"), ImageURL: in.text("image_url"), Status: catalog.Status(in.text("status")), PortalVisible: new(in.yes("portal_visible")), Upsell: in.yes("upsell"), UpsellDiscount: in.number("upsell_discount", 0), UpsellLimit: in.number("upsell_limit", 0)})
		}, to: resultOf("/products/")})
	edit(form{path: "/products/{id}/edit", title: "Change the product", verb: "Save", events: []journal.Name{journal.ProductUpdated, journal.ProductSettingsUpdated, journal.ProductUpsellVariantSettingsUpdated, journal.ProductUpsellDiscountUpdated, journal.ProductUpsellLimitUpdated, journal.ProductArchived}, on: aboutProduct,
		fields: func(_ *call, s subject, v url.Values) ([]formField, error) {
			return productFields(s.state.(*catalog.Product), v), nil
		},
		command: func(_ *call, s subject, in *input) journal.Command {
			return journal.Bind(catalog.UpdateProduct{ID: s.state.Ref().ID, Title: in.given("title"), Description: in.given("description"), ImageURL: in.given("image_url"), Status: new(catalog.Status(in.text("status"))), PortalVisible: new(in.yes("portal_visible")), Upsell: new(in.yes("upsell")), UpsellDiscount: new(in.number("upsell_discount", 0)), UpsellLimit: new(in.number("upsell_limit", 0))})
		}})
	edit(form{path: "/products/{id}/archive", title: "Archive the product", verb: "Archive", danger: true, lead: "Nobody can subscribe to it any more. Subscriptions that have it keep it.", events: []journal.Name{journal.ProductArchived}, on: aboutProduct,
		command: func(_ *call, s subject, _ *input) journal.Command {
			return journal.Bind(catalog.ArchiveProduct{ID: s.state.Ref().ID})
		}})
	edit(form{path: "/products/{id}/variants/new", title: "Add a variant", verb: "Add", events: []journal.Name{journal.VariantCreated}, on: aboutProduct,
		fields: func(c *call, _ subject, v url.Values) ([]formField, error) {
			return c.variantFields(&catalog.Variant{Price: money.Zero(c.here().general.Currency)}, v), nil
		},
		command: func(c *call, s subject, in *input) journal.Command {
			return journal.Bind(catalog.CreateVariant{ID: c.IDs.New(id.Variant), ProductID: s.state.Ref().ID, Title: in.text("title"), SKU: in.text("sku"), Price: in.amount("price", c.here().general.Currency), WeightGrams: in.number("weight_grams", 0), Inventory: in.stock()})
		}, to: func(s subject, _ *program.Outcome) string { return s.back }})
	edit(form{path: "/products/{id}/variants/{part}/edit", title: "Change the variant", verb: "Save", lead: "Subscriptions keep the price that they have; new ones get the new price.", events: []journal.Name{journal.VariantUpdated, journal.VariantInventoryChanged}, on: aboutVariant,
		fields: func(c *call, s subject, v url.Values) ([]formField, error) {
			return c.variantFields(s.state.(*catalog.Variant), v), nil
		},
		command: func(c *call, s subject, in *input) journal.Command {
			return journal.Bind(catalog.UpdateVariant{ID: s.state.Ref().ID, Title: in.given("title"), SKU: in.given("sku"), Price: new(in.amount("price", c.here().general.Currency)), WeightGrams: new(in.number("weight_grams", 0)),
				Inventory: catalog.Nullable[int64]{Given: true, Value: in.stock()}})
		}})
	edit(form{path: "/products/{id}/variants/{part}/archive", title: "Archive the variant", verb: "Archive", danger: true, lead: "Nobody can subscribe to it any more. Subscriptions that have it keep it.", events: []journal.Name{journal.VariantArchived}, on: aboutVariant,
		command: func(_ *call, s subject, _ *input) journal.Command {
			return journal.Bind(catalog.ArchiveVariant{ID: s.state.Ref().ID})
		}})
}

// above is the subject of a form that makes something new.
func above(href, text string) func(*call) (subject, error) {
	return func(*call) (subject, error) {
		return subject{back: href, crumbs: []ui.Link{{Href: href, Text: text}}}, nil
	}
}

func (in *input) yes(name string) bool { return in.text(name) == "yes" }

// optional reads a whole number that may be left out.
func (in *input) optional(name string) *int {
	if in.text(name) == "" {
		return nil
	}
	return new(in.number(name, 0))
}

func (in *input) stock() *int64 {
	if in.text("inventory") == "" {
		return nil
	}
	return new(int64(in.number("inventory", 0)))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// ticked is a box's value: what was typed once the form was sent, else what there is.
func ticked(v url.Values, name string, now bool) string {
	if len(v) > 0 && (v.Has("version") || v.Has("title")) {
		return v.Get(name)
	}
	return yesNo(now)
}

var aboutProduct = about(journal.Product, ui.Link{Href: "/products", Text: "Products"}, func(p *catalog.Product) string { return p.Title })

var aboutVariant = aboutPart(aboutProduct, journal.Variant, func(v *catalog.Variant) id.ID { return v.ProductID })

var productStatuses = []ui.Option{{Value: "active", Label: "Active"}, {Value: "draft", Label: "Draft: nobody can subscribe to it yet"}, {Value: "archived", Label: "Archived"}}

func productFields(p *catalog.Product, v url.Values) []formField {
	f := []formField{textField("input", "title", "Title", filled(v, "title", p.Title), ""), textField("area", "description", "Description", filled(v, "description", p.Description), ""),
		textField("input", "image_url", "Address of a picture", filled(v, "image_url", p.ImageURL), "It begins with https://."),
		{kind: "select", Field: ui.Field{Name: "status", Label: "Status", Value: filled(v, "status", string(p.Status))}, options: productStatuses},
		{kind: "box", Field: ui.Field{Name: "portal_visible", Label: "Subscribers see it in the Portal", Value: ticked(v, "portal_visible", p.PortalVisible)}},
		{kind: "box", Field: ui.Field{Name: "upsell", Label: "Offered in the Portal as a one-time addition", Value: ticked(v, "upsell", p.Upsell)}},
		number(v, "upsell_discount", "Percent off as an addition", p.UpsellDiscount, "Leave it empty for the usual price."), number(v, "upsell_limit", "Most pieces of it in one order, as an addition", p.UpsellLimit, "Leave it empty for as many as they like.")}
	f[0].Required = true
	return f
}

// addition says how a product is offered as a one-time addition.
func addition(p *catalog.Product) string {
	s := "It is offered there as a one-time addition"
	if p.UpsellDiscount > 0 {
		s += fmt.Sprintf(", %d%% off", p.UpsellDiscount)
	}
	if p.UpsellLimit > 0 {
		s += fmt.Sprintf(", at most %d in one order", p.UpsellLimit)
	}
	return s + "."
}

func (c *call) variantFields(p *catalog.Variant, v url.Values) []formField {
	stock := ""
	if p.Inventory != nil {
		stock = strconv.FormatInt(*p.Inventory, 10)
	}
	f := []formField{textField("input", "title", "Title", filled(v, "title", p.Title), "Such as its size."), textField("input", "sku", "SKU", filled(v, "sku", p.SKU), ""),
		textField("input", "price", "Price, in "+c.here().general.Currency, filled(v, "price", p.Price.Decimal()), ""),
		textField("input", "weight_grams", "Weight in grams", filled(v, "weight_grams", strconv.Itoa(p.WeightGrams)), ""), textField("input", "inventory", "In stock", filled(v, "inventory", stock), "Leave it empty when it is not counted.")}
	f[0].Required = true
	for i := 3; i < 5; i++ {
		f[i].Type, f[i].Min = "number", "0"
	}
	return f
}

func statusBadge(s catalog.Status) ui.Badge {
	switch s {
	case catalog.Active:
		return ui.Badge{Tone: ui.Good, Text: "Active"}
	case catalog.Draft:
		return ui.Badge{Tone: ui.Warn, Text: "Draft", Icon: "circle-dashed"}
	case catalog.Inactive:
		return ui.Badge{Text: "Ended", Icon: "circle-x"}
	}
	return ui.Badge{Text: "Archived", Icon: "circle-x"}
}

type productRow struct {
	P        *catalog.Product
	Variants int
	Price    string
}

type productsView struct {
	Tabs    []ui.Tab
	Rows    []productRow
	Pager   ui.Pager
	MayEdit bool
}

func (c *call) productsPage() (answer, error) {
	v := productsView{MayEdit: c.permitted(team.ProductsEdit)}
	status := c.r.FormValue("status")
	for _, t := range []struct{ label, status string }{{"In use", ""}, {"Active", "active"}, {"Drafts", "draft"}, {"Archived", "archived"}} {
		href := "/products"
		if t.status != "" {
			href += "?status=" + t.status
		}
		v.Tabs = append(v.Tabs, ui.Tab{Label: t.label, Href: href, Current: status == t.status})
	}
	after := c.r.FormValue("after")
	if after != "" {
		v.Pager.First = "/products?status=" + status
	}
	rows, err := c.rows(journal.Product, query.Newest, append(query.Shelf(status, catalog.Archived), older(after)...)...)
	if err != nil {
		return answer{}, err
	}
	if len(rows) > rowsOnPage {
		rows = rows[:rowsOnPage]
		v.Pager.Next = "/products?status=" + url.QueryEscape(status) + "&after=" + string(rows[rowsOnPage-1].State.Ref().ID)
	}
	var ids []id.ID
	for _, r := range rows {
		ids = append(ids, r.State.Ref().ID)
	}
	variants := map[id.ID][]*catalog.Variant{}
	if len(ids) > 0 {
		list, err := c.allRows(journal.Variant, query.Oldest, query.In(query.Product, ids))
		if err != nil {
			return answer{}, err
		}
		for _, r := range list {
			if x := r.State.(*catalog.Variant); x.Status == catalog.Active {
				variants[x.ProductID] = append(variants[x.ProductID], x)
			}
		}
	}
	for _, r := range rows {
		p := r.State.(*catalog.Product)
		row := productRow{P: p, Variants: len(variants[p.ID])}
		if list := variants[p.ID]; len(list) > 0 {
			low := slices.MinFunc(list, func(a, b *catalog.Variant) int { return int(a.Price.Minor - b.Price.Minor) })
			high := slices.MaxFunc(list, func(a, b *catalog.Variant) int { return int(a.Price.Minor - b.Price.Minor) })
			if row.Price = c.cash(low.Price); high.Price != low.Price {
				row.Price += " to " + c.cash(high.Price)
			}
		}
		v.Rows = append(v.Rows, row)
	}
	v.Pager.Shown = ui.Count(int64(len(v.Rows)), "product")
	a := answer{title: "Products", body: productsBody(v)}
	if v.MayEdit {
		a.act = ui.Go("/products/new", ui.Button{Label: "Add a product", Icon: "plus", Kind: "primary", Dialog: true})
	}
	return a, nil
}

// bulkProducts changes a setting of several products in one operation, which has an entry of its own.
func (c *call) bulkProducts() (answer, error) {
	cmd := catalog.ChangeManyProducts{Operation: c.IDs.New(id.Operation), Setting: catalog.ProductSetting(c.r.PostFormValue("change"))}
	for _, key := range c.r.PostForm["product"] {
		cmd.Products = append(cmd.Products, id.ID(key))
	}
	if len(cmd.Products) == 0 {
		c.note("Tick the products first.")
		return goTo("/products"), nil
	}
	out, err := c.run(&program.Request{Command: journal.Bind(cmd)})
	if err != nil {
		return answer{}, err
	}
	if len(out.Events) == 0 {
		c.note("They are so already: nothing changed.")
	}
	return after("/products", out.Events), nil
}

type productView struct {
	P        *catalog.Product
	Variants []variantLine
	Groups   []ui.Link
	MayEdit  bool
	Log      []ui.Day
}

type variantLine struct {
	V            *catalog.Variant
	Price, Stock string
}

func (c *call) productPage() (answer, error) {
	s, err := aboutProduct(c)
	if err != nil {
		return answer{}, err
	}
	p := s.state.(*catalog.Product)
	v := productView{P: p, MayEdit: c.permitted(team.ProductsEdit)}
	rows, err := c.allRows(journal.Variant, query.Oldest, query.Is(query.Product, p.ID))
	if err != nil {
		return answer{}, err
	}
	for _, r := range rows {
		x := r.State.(*catalog.Variant)
		line := variantLine{V: x, Price: c.cash(x.Price), Stock: "not counted"}
		if x.Inventory != nil {
			line.Stock = ui.Grouped(*x.Inventory)
		}
		v.Variants = append(v.Variants, line)
	}
	groups, err := c.allRows(journal.SellingPlanGroup, query.Oldest)
	if err != nil {
		return answer{}, err
	}
	for _, r := range groups {
		if g := r.State.(*catalog.Group); g.Status == catalog.Active && slices.Contains(g.ProductIDs, p.ID) {
			v.Groups = append(v.Groups, ui.Link{Href: "/plans/" + string(g.ID), Text: g.Name})
		}
	}
	if v.Log, err = c.logOf(p.ID); err != nil {
		return answer{}, err
	}
	a := answer{title: p.Title, head: ui.Head{Crumbs: s.crumbs[:1], Badge: new(statusBadge(p.Status))}, body: productBody(v)}
	if v.MayEdit {
		a.act = productActions(p)
	}
	return a, nil
}

// Plans.

func (d *Dashboard) registerPlanForms() {
	edit := func(f form) { f.permission = team.PlansEdit; d.form(f) }
	edit(form{path: "/plans/new", title: "Make a group of plans", verb: "Make", lead: "A group holds the plans that are offered together for some products.", events: []journal.Name{journal.SellingPlanGroupCreated}, on: above("/plans", "Plans"),
		fields: func(c *call, _ subject, v url.Values) ([]formField, error) { return c.groupFields(&catalog.Group{}, v) },
		command: func(c *call, _ subject, in *input) journal.Command {
			return journal.Bind(catalog.CreateGroup{ID: c.IDs.New(id.SellingPlanGroup), Name: in.text("name"), ProductIDs: in.ids("product_ids")})
		}, to: resultOf("/plans/")})
	edit(form{path: "/plans/{id}/edit", title: "Change the group", verb: "Save", events: []journal.Name{journal.SellingPlanGroupUpdated}, on: aboutGroup,
		fields: func(c *call, s subject, v url.Values) ([]formField, error) {
			return c.groupFields(s.state.(*catalog.Group), v)
		},
		command: func(_ *call, s subject, in *input) journal.Command {
			return journal.Bind(catalog.UpdateGroup{ID: s.state.Ref().ID, Name: in.given("name"), ProductIDs: new(in.ids("product_ids"))})
		}})
	edit(form{path: "/plans/{id}/delete", title: "Delete the group", verb: "Delete", danger: true, lead: "Its plans are no longer offered. Subscriptions on them keep their rhythm and their price.", events: []journal.Name{journal.SellingPlanGroupDeleted}, on: aboutGroup,
		command: func(_ *call, s subject, _ *input) journal.Command {
			return journal.Bind(catalog.DeleteGroup{ID: s.state.Ref().ID})
		}})
	edit(form{path: "/plans/{id}/plans/new", title: "Add a plan", verb: "Add", events: []journal.Name{journal.SellingPlanCreated}, on: aboutGroup,
		fields: func(_ *call, _ subject, v url.Values) ([]formField, error) {
			return planFields(&catalog.Plan{BillingPolicy: catalog.Policy{Interval: civil.Month, IntervalCount: 1}}, v), nil
		},
		command: func(c *call, s subject, in *input) journal.Command {
			billing, delivery := in.policies()
			return journal.Bind(catalog.CreatePlan{ID: c.IDs.New(id.SellingPlan), GroupID: s.state.Ref().ID, Name: in.text("name"), BillingPolicy: billing, DeliveryPolicy: delivery, Pricing: in.pricing(), MinCycles: in.optional("min_cycles"), MaxCycles: in.optional("max_cycles")})
		}, to: func(s subject, _ *program.Outcome) string { return s.back }})
	edit(form{path: "/plans/{id}/plans/{part}/edit", title: "Change the plan", verb: "Save", lead: "Subscriptions keep the rhythm that they were made with; prices hold for every order that is made from now on.", events: []journal.Name{journal.SellingPlanUpdated}, on: aboutPlan,
		fields: func(_ *call, s subject, v url.Values) ([]formField, error) {
			return planFields(s.state.(*catalog.Plan), v), nil
		},
		command: func(_ *call, s subject, in *input) journal.Command {
			billing, delivery := in.policies()
			return journal.Bind(catalog.UpdatePlan{ID: s.state.Ref().ID, Name: in.given("name"), BillingPolicy: &billing, DeliveryPolicy: catalog.Nullable[catalog.Policy]{Given: true, Value: delivery}, Pricing: new(in.pricing()),
				MinCycles: catalog.Nullable[int]{Given: true, Value: in.optional("min_cycles")}, MaxCycles: catalog.Nullable[int]{Given: true, Value: in.optional("max_cycles")}})
		}})
	edit(form{path: "/plans/{id}/plans/{part}/delete", title: "Delete the plan", verb: "Delete", danger: true, lead: "It is no longer offered. Subscriptions on it keep their rhythm and their price.", events: []journal.Name{journal.SellingPlanDeleted}, on: aboutPlan,
		command: func(_ *call, s subject, _ *input) journal.Command {
			return journal.Bind(catalog.DeletePlan{ID: s.state.Ref().ID})
		}})
}

func (in *input) ids(name string) []id.ID {
	out := []id.ID{}
	for _, s := range in.Values[name] {
		if s != "" {
			out = append(out, id.ID(s))
		}
	}
	return out
}

// policies reads the two rhythms of a plan: of billing, and of delivery where it is another.
func (in *input) policies() (catalog.Policy, *catalog.Policy) {
	billing := catalog.Policy{Interval: civil.Unit(in.text("billing_interval")), IntervalCount: in.number("billing_count", 1), AnchorDay: in.optional("anchor_day")}
	if in.text("delivery_count") == "" {
		return billing, nil
	}
	return billing, &catalog.Policy{Interval: civil.Unit(in.text("delivery_interval")), IntervalCount: in.number("delivery_count", 1)}
}

// pricing reads up to two steps of a price.
func (in *input) pricing() []catalog.Pricing {
	out := []catalog.Pricing{}
	for _, n := range []string{"0", "1"} {
		if s := in.text("value_" + n); s != "" {
			kind := in.text("kind_" + n)
			value := int64(in.number("value_"+n, 0))
			out = append(out, catalog.Pricing{Kind: kind, Value: value, AfterCycle: in.number("after_"+n, 0)})
		}
	}
	return out
}

var aboutGroup = about(journal.SellingPlanGroup, ui.Link{Href: "/plans", Text: "Plans"}, func(g *catalog.Group) string { return g.Name })

var aboutPlan = aboutPart(aboutGroup, journal.SellingPlan, func(p *catalog.Plan) id.ID { return p.GroupID })

func (c *call) groupFields(g *catalog.Group, v url.Values) ([]formField, error) {
	options, err := c.productOptions("")
	chosen := v["product_ids"]
	if len(v) == 0 {
		for _, p := range g.ProductIDs {
			chosen = append(chosen, string(p))
		}
	}
	return []formField{textField("input", "name", "Name", filled(v, "name", g.Name), ""), {kind: "boxes", Field: ui.Field{Name: "product_ids", Label: "For these products", Value: strings.Join(chosen, " ")}, options: options[1:]}}, err
}

var pricingKinds = []ui.Option{{Value: "percentage", Label: "per cent off"}, {Value: "amount", Label: "off, in the smallest unit of the currency"}, {Value: "price", Label: "is the price, in the smallest unit"}}

func planFields(p *catalog.Plan, v url.Values) []formField {
	number := func(n *int) string {
		if n == nil {
			return ""
		}
		return strconv.Itoa(*n)
	}
	count, unit := "", "month"
	if p.DeliveryPolicy != nil {
		count, unit = strconv.Itoa(p.DeliveryPolicy.IntervalCount), string(p.DeliveryPolicy.Interval)
	}
	n := func(name, label, value, hint string) formField {
		f := textField("input", name, label, filled(v, name, value), hint)
		f.Type, f.Min = "number", "0"
		return f
	}
	f := []formField{textField("input", "name", "Name", filled(v, "name", p.Name), ""), n("billing_count", "Billed every", strconv.Itoa(p.BillingPolicy.IntervalCount), ""),
		{kind: "select", Field: ui.Field{Name: "billing_interval", Label: "Unit of billing", Value: filled(v, "billing_interval", string(p.BillingPolicy.Interval))}, options: intervalOptions},
		n("anchor_day", "On this day of the month", number(p.BillingPolicy.AnchorDay), "1 to 31. Leave it empty for the day on which the subscription began."),
		n("delivery_count", "Delivered every", count, "Only for prepaid plans, where several deliveries are paid at once. Leave it empty otherwise."),
		{kind: "select", Field: ui.Field{Name: "delivery_interval", Label: "Unit of delivery", Value: filled(v, "delivery_interval", unit)}, options: intervalOptions}}
	for i, words := range []string{"Price", "Later price"} {
		step := catalog.Pricing{Kind: "percentage"}
		value, after := "", "0"
		if i < len(p.Pricing) {
			step = p.Pricing[i]
			value, after = strconv.FormatInt(step.Value, 10), strconv.Itoa(step.AfterCycle)
		} else if i == 1 {
			after = ""
		}
		s := strconv.Itoa(i)
		f = append(f, n("value_"+s, words+": value", value, "Leave it empty for the variant's own price."), formField{kind: "select", Field: ui.Field{Name: "kind_" + s, Label: words + ": it", Value: filled(v, "kind_"+s, step.Kind)}, options: pricingKinds},
			n("after_"+s, words+": after so many orders", after, ""))
	}
	return append(f, n("min_cycles", "At least so many orders", number(p.MinCycles), "Before it can be cancelled. Empty: no minimum."), n("max_cycles", "At most so many orders", number(p.MaxCycles), "Then it ends. Empty: it goes on."))
}

type groupRow struct {
	G        *catalog.Group
	Products []string
	Plans    []string
}

type plansView struct {
	Rows    []groupRow
	MayEdit bool
}

// planWords says what a plan is: "every month, 10 % off, billed every 3 months".
func planWords(p *catalog.Plan) string {
	words := "billed " + every(p.BillingPolicy)
	if p.DeliveryPolicy != nil {
		words += ", delivered " + every(*p.DeliveryPolicy)
	}
	return words
}

func (c *call) pricingWords(p *catalog.Plan) []string {
	var out []string
	for _, s := range p.Pricing {
		var words string
		switch s.Kind {
		case "percentage":
			words = fmt.Sprintf("%d%% off", s.Value)
		case "amount":
			words = c.cash(money.Of(s.Value, c.here().general.Currency)) + " off"
		default:
			words = "for " + c.cash(money.Of(s.Value, c.here().general.Currency))
		}
		if s.AfterCycle > 0 {
			words += " after " + ui.Count(int64(s.AfterCycle), "order")
		}
		out = append(out, words)
	}
	return out
}

func (c *call) plansPage() (answer, error) {
	v := plansView{MayEdit: c.permitted(team.PlansEdit)}
	groups, err := c.allRows(journal.SellingPlanGroup, query.Oldest, query.Is(query.Status, catalog.Active))
	if err != nil {
		return answer{}, err
	}
	plans, err := c.plans()
	if err != nil {
		return answer{}, err
	}
	products, err := c.productTitles()
	if err != nil {
		return answer{}, err
	}
	for _, r := range groups {
		g := r.State.(*catalog.Group)
		row := groupRow{G: g}
		for _, p := range g.ProductIDs {
			row.Products = append(row.Products, products[p])
		}
		for _, p := range plans {
			if p.GroupID == g.ID && p.Status == catalog.Active {
				row.Plans = append(row.Plans, p.Name)
			}
		}
		slices.Sort(row.Plans)
		v.Rows = append(v.Rows, row)
	}
	a := answer{title: "Plans", head: ui.Head{Lead: "How often people get something, and for what price."}, body: plansBody(v)}
	if v.MayEdit {
		a.act = ui.Go("/plans/new", ui.Button{Label: "Make a group of plans", Icon: "plus", Kind: "primary", Dialog: true})
	}
	return a, nil
}

func (c *call) productTitles() (map[id.ID]string, error) {
	rows, err := c.allRows(journal.Product, query.Oldest)
	out := map[id.ID]string{}
	for _, r := range rows {
		out[r.State.Ref().ID] = r.State.(*catalog.Product).Title
	}
	return out, err
}

type planCard struct {
	P       *catalog.Plan
	Rhythm  string
	Prices  []string
	Limits  string
	Preview []upcomingLine
	Of      string // the variant whose price the preview uses
}

type groupView struct {
	G        *catalog.Group
	At       string
	Products []ui.Link
	Plans    []planCard
	MayEdit  bool
	Log      []ui.Day
}

func (c *call) groupPage() (answer, error) {
	s, err := aboutGroup(c)
	if err != nil {
		return answer{}, err
	}
	g := s.state.(*catalog.Group)
	v := groupView{G: g, At: s.back, MayEdit: c.permitted(team.PlansEdit)}
	titles, err := c.productTitles()
	if err != nil {
		return answer{}, err
	}
	for _, p := range g.ProductIDs {
		v.Products = append(v.Products, c.thing(string(journal.Product), string(p), titles[p]))
	}
	var sample *catalog.Variant
	if len(g.ProductIDs) > 0 {
		rows, err := c.allRows(journal.Variant, query.Oldest, query.In(query.Product, g.ProductIDs))
		if err != nil {
			return answer{}, err
		}
		for _, r := range rows {
			if x := r.State.(*catalog.Variant); x.Status == catalog.Active && sample == nil {
				sample = x
			}
		}
	}
	plans, err := c.plans()
	if err != nil {
		return answer{}, err
	}
	tax, err := query.Tax(c.reader())
	if err != nil {
		return answer{}, err
	}
	for _, p := range plans {
		if p.GroupID != g.ID || p.Status != catalog.Active {
			continue
		}
		card := planCard{P: p, Rhythm: planWords(p), Prices: c.pricingWords(p)}
		if p.MinCycles != nil {
			card.Limits = "at least " + ui.Count(int64(*p.MinCycles), "order")
		}
		if p.MaxCycles != nil {
			card.Limits = strings.TrimPrefix(card.Limits+", at most "+ui.Count(int64(*p.MaxCycles), "order"), ", ")
		}
		if sample != nil {
			card.Of = titles[sample.ProductID]
			if card.Preview, err = c.previewPlan(p, sample, tax); err != nil {
				return answer{}, err
			}
		}
		v.Plans = append(v.Plans, card)
	}
	slices.SortFunc(v.Plans, func(a, b planCard) int { return strings.Compare(string(a.P.ID), string(b.P.ID)) })
	if v.Log, err = c.logOf(g.ID); err != nil {
		return answer{}, err
	}
	a := answer{title: g.Name, head: ui.Head{Crumbs: s.crumbs[:1], Badge: new(statusBadge(g.Status))}, body: groupBody(v)}
	if v.MayEdit && g.Status == catalog.Active {
		a.act = groupActions(v.At)
	}
	return a, nil
}

// previewPlan gives the dates and prices of somebody who subscribes today to one piece of a variant.
func (c *call) previewPlan(p *catalog.Plan, sample *catalog.Variant, tax subscription.TaxRule) ([]upcomingLine, error) {
	today := c.today()
	dates := civil.Begin(today, p.BillingPolicy.Every(), anchorOf(p))
	s := &subscription.Subscription{Status: subscription.Active, Currency: sample.Price.Currency, SellingPlanID: p.ID, BillingPolicy: p.BillingPolicy, AnchorDate: dates.NextDate, NextBillingDate: &dates.NextDate,
		Items: []subscription.Item{{VariantID: sample.ID, ProductID: sample.ProductID, Title: sample.Title, Quantity: 1, UnitPrice: sample.Price}}, DeliveryPrice: money.Zero(sample.Price.Currency)}
	if p.MaxCycles != nil {
		s.BillingPolicy.MaxCycles = p.MaxCycles
	}
	orders, err := subscription.Upcoming(s, p, tax, today, 6)
	var out []upcomingLine
	for _, o := range orders {
		out = append(out, upcomingLine{Day: o.Date.Long(), Total: c.cash(o.Total)})
	}
	return out, err
}

func anchorOf(p *catalog.Plan) int {
	if p.BillingPolicy.AnchorDay == nil {
		return 0
	}
	return *p.BillingPolicy.AnchorDay
}

// Discounts.

func (d *Dashboard) registerDiscountForms() {
	edit := func(f form) { f.permission = team.DiscountsEdit; d.form(f) }
	edit(form{path: "/discounts/new", title: "Make a discount", verb: "Make", events: []journal.Name{journal.DiscountCreated}, on: above("/discounts", "Discounts"),
		fields: func(c *call, _ subject, v url.Values) ([]formField, error) { return c.discountFields(nil, v), nil },
		command: func(c *call, _ subject, in *input) journal.Command {
			return journal.Bind(catalog.CreateDiscount{ID: c.IDs.New(id.Discount), Code: in.text("code"), Kind: in.text("kind"), Value: in.discount(c), MaxCycles: in.optional("max_cycles"), MaxRedemptions: in.optional("max_redemptions"), EndsAt: in.end(c)})
		}, to: resultOf("/discounts/")})
	edit(form{path: "/discounts/{id}/edit", title: "Change the discount", verb: "Save", lead: "Subscriptions that have it keep it as it was when it was applied.", events: []journal.Name{journal.DiscountUpdated}, on: aboutDiscount,
		fields: func(c *call, s subject, v url.Values) ([]formField, error) {
			return c.discountFields(s.state.(*catalog.Discount), v), nil
		},
		command: func(c *call, s subject, in *input) journal.Command {
			return journal.Bind(catalog.UpdateDiscount{ID: s.state.Ref().ID, Kind: in.given("kind"), Value: new(in.discount(c)), MaxCycles: catalog.Nullable[int]{Given: true, Value: in.optional("max_cycles")},
				MaxRedemptions: catalog.Nullable[int]{Given: true, Value: in.optional("max_redemptions")}, EndsAt: catalog.Nullable[time.Time]{Given: true, Value: in.end(c)}})
		}})
	edit(form{path: "/discounts/{id}/deactivate", title: "End the discount", verb: "End it", danger: true, lead: "Nobody can use the code any more. Subscriptions that have it keep it.", events: []journal.Name{journal.DiscountDeactivated}, on: aboutDiscount,
		command: func(_ *call, s subject, _ *input) journal.Command {
			return journal.Bind(catalog.DeactivateDiscount{ID: s.state.Ref().ID})
		}})
}

// discount reads the value: whole per cent, or money.
func (in *input) discount(c *call) int64 {
	if in.text("kind") == "amount" {
		return in.amount("value", c.here().general.Currency).Minor
	}
	return int64(in.number("value", 0))
}

// end reads the last day of a discount, as the moment when it is over in the shop's zone.
func (in *input) end(c *call) *time.Time {
	d := in.date("ends_at")
	if d == nil {
		return nil
	}
	return new(d.AddDays(1).Start(c.here().zone))
}

var aboutDiscount = about(journal.Discount, ui.Link{Href: "/discounts", Text: "Discounts"}, func(d *catalog.Discount) string { return d.Code })

func (c *call) discountFields(d *catalog.Discount, v url.Values) []formField {
	var out []formField
	now := map[string]string{"kind": "percentage"}
	if d == nil {
		f := textField("input", "code", "Code", v.Get("code"), "What people type: 3 to 40 letters, digits, - and _.")
		f.Required = true
		out = append(out, f)
	} else {
		now["kind"], now["value"] = d.Kind, strconv.FormatInt(d.Value, 10)
		if d.Kind == "amount" {
			now["value"] = money.Of(d.Value, c.here().general.Currency).Decimal()
		}
		if d.MaxCycles != nil {
			now["max_cycles"] = strconv.Itoa(*d.MaxCycles)
		}
		if d.MaxRedemptions != nil {
			now["max_redemptions"] = strconv.Itoa(*d.MaxRedemptions)
		}
		if d.EndsAt != nil {
			now["ends_at"] = civil.Of(d.EndsAt.Add(-time.Second), c.here().zone).String()
		}
	}
	get := func(name string) string { return filled(v, name, now[name]) }
	end := dateField("ends_at", "Last day", get("ends_at"), c.today(), false)
	end.Hint = "Empty: it goes on."
	return append(out, formField{kind: "select", Field: ui.Field{Name: "kind", Label: "Takes off", Value: get("kind")}, options: []ui.Option{{Value: "percentage", Label: "per cent"}, {Value: "amount", Label: "an amount in " + c.here().general.Currency}}},
		textField("input", "value", "Value", get("value"), "Such as 10 for 10 %, or 5.00."), textField("input", "max_cycles", "For so many orders of a subscription", get("max_cycles"), "Empty: all."),
		textField("input", "max_redemptions", "For so many subscriptions", get("max_redemptions"), "Empty: no limit."), end)
}

type discountRow struct {
	D                *catalog.Discount
	Value, Uses, End string
}

type discountsView struct {
	Rows    []discountRow
	MayEdit bool
	Pager   ui.Pager
}

func (c *call) discountRow(d *catalog.Discount) discountRow {
	row := discountRow{D: d, Value: fmt.Sprintf("%d%% off", d.Value), Uses: ui.Grouped(int64(d.Redemptions)), End: "none"}
	if d.Kind == "amount" {
		row.Value = c.cash(money.Of(d.Value, c.here().general.Currency)) + " off"
	}
	if d.MaxCycles != nil {
		row.Value += ", for " + ui.Count(int64(*d.MaxCycles), "order")
	}
	if d.MaxRedemptions != nil {
		row.Uses += " of " + ui.Grouped(int64(*d.MaxRedemptions))
	}
	if d.EndsAt != nil {
		row.End = civil.Of(d.EndsAt.Add(-time.Second), c.here().zone).Long()
	}
	return row
}

func (c *call) discountsPage() (answer, error) {
	v := discountsView{MayEdit: c.permitted(team.DiscountsEdit)}
	after := c.r.FormValue("after")
	if after != "" {
		v.Pager.First = "/discounts"
	}
	rows, err := c.rows(journal.Discount, query.Newest, older(after)...)
	if err != nil {
		return answer{}, err
	}
	if len(rows) > rowsOnPage {
		rows = rows[:rowsOnPage]
		v.Pager.Next = "/discounts?after=" + string(rows[rowsOnPage-1].State.Ref().ID)
	}
	for _, r := range rows {
		v.Rows = append(v.Rows, c.discountRow(r.State.(*catalog.Discount)))
	}
	v.Pager.Shown = ui.Count(int64(len(v.Rows)), "discount")
	a := answer{title: "Discounts", body: discountsBody(v)}
	if v.MayEdit {
		a.act = ui.Go("/discounts/new", ui.Button{Label: "Make a discount", Icon: "plus", Kind: "primary", Dialog: true})
	}
	return a, nil
}

func (c *call) discountPage() (answer, error) {
	s, err := aboutDiscount(c)
	if err != nil {
		return answer{}, err
	}
	d := s.state.(*catalog.Discount)
	log, err := c.logOf(d.ID)
	if err != nil {
		return answer{}, err
	}
	a := answer{title: d.Code, head: ui.Head{Crumbs: s.crumbs[:1], Badge: new(statusBadge(d.Status))}, body: discountBody(c.discountRow(d), log)}
	if c.permitted(team.DiscountsEdit) && d.Status == catalog.Active {
		a.act = discountActions(s.back)
	}
	return a, nil
}
