package api

import (
	"context"
	"net/http"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/team"
)

// The views of the catalogue. What belongs to a thing and has a row of its own is put together when it is read.
type (
	productView struct {
		ID            id.ID          `json:"id"`
		Version       int64          `json:"version"`
		Title         string         `json:"title"`
		Description   string         `json:"description"`
		ImageURL      string         `json:"image_url"`
		Status        catalog.Status `json:"status" enum:"active,draft,archived"`
		PortalVisible bool           `json:"portal_visible" doc:"Subscribers see it in the portal."`
		Upsell        bool           `json:"upsell" doc:"The portal offers it as a one-time addition."`

		UpsellDiscount int           `json:"upsell_discount" doc:"Percent off as a one-time addition, while it is offered."`
		UpsellLimit    int           `json:"upsell_limit" doc:"Pieces of it that a subscriber may add to one order; 0: as many as they like."`
		Variants       []variantView `json:"variants" nullable:"false" doc:"Those that were not archived, oldest first."`
	}
	variantView struct {
		ID          id.ID        `json:"id"`
		Version     int64        `json:"version"`
		Title       string       `json:"title"`
		SKU         string       `json:"sku"`
		Price       money.Amount `json:"price"`
		WeightGrams int          `json:"weight_grams"`
		Inventory   *int64       `json:"inventory" doc:"Pieces in stock; null: not counted."`

		BackupVariantID *id.ID `json:"backup_variant_id" doc:"Sent when this one is out of stock, if the billing settings say so."`
	}
	groupView struct {
		ID         id.ID      `json:"id"`
		Version    int64      `json:"version"`
		Name       string     `json:"name"`
		ProductIDs []id.ID    `json:"product_ids" nullable:"false"`
		Plans      []planView `json:"plans" nullable:"false" doc:"Those that were not archived, oldest first."`
	}
	planView struct {
		ID             id.ID             `json:"id"`
		Version        int64             `json:"version"`
		Name           string            `json:"name"`
		BillingPolicy  catalog.Policy    `json:"billing_policy"`
		DeliveryPolicy *catalog.Policy   `json:"delivery_policy"`
		Pricing        []catalog.Pricing `json:"pricing" nullable:"false"`
		MinCycles      *int              `json:"min_cycles"`
		MaxCycles      *int              `json:"max_cycles"`
	}
	discountView struct {
		ID             id.ID          `json:"id"`
		Version        int64          `json:"version"`
		Code           string         `json:"code"`
		Kind           string         `json:"kind" enum:"percentage,amount"`
		Value          int64          `json:"value" doc:"Whole percent, or minor units of the shop's currency."`
		MaxCycles      *int           `json:"max_cycles" doc:"How many orders of one subscription; null: all."`
		MaxRedemptions *int           `json:"max_redemptions" doc:"How many subscriptions; null: no limit."`
		EndsAt         *journal.Time  `json:"ends_at"`
		Status         catalog.Status `json:"status" enum:"active,inactive"`
	}
)

func (v productView) resourceVersion() int64  { return v.Version }
func (v variantView) resourceVersion() int64  { return v.Version }
func (v groupView) resourceVersion() int64    { return v.Version }
func (v planView) resourceVersion() int64     { return v.Version }
func (v discountView) resourceVersion() int64 { return v.Version }

func viewProduct(q program.Query, _ journal.Ref, row store.Row) (productView, error) {
	s, ok := row.State.(*catalog.Product)
	if !ok {
		return productView{}, fault.New(fault.NotFound, "unknown_product", "There is no such product in this shop.")
	}
	variants, err := nested(q, s.ID, journal.Variant, viewVariant)
	return productView{ID: s.ID, Version: row.Version, Title: s.Title, Description: s.Description, ImageURL: s.ImageURL, Status: s.Status,
		PortalVisible: s.PortalVisible, Upsell: s.Upsell, UpsellDiscount: s.UpsellDiscount, UpsellLimit: s.UpsellLimit, Variants: variants}, err
}

func viewVariant(_ program.Query, _ journal.Ref, row store.Row) (variantView, error) {
	s, ok := row.State.(*catalog.Variant)
	if !ok {
		return variantView{}, fault.New(fault.NotFound, "unknown_variant", "There is no such variant in this shop.")
	}
	return variantView{ID: s.ID, Version: row.Version, Title: s.Title, SKU: s.SKU, Price: s.Price, WeightGrams: s.WeightGrams, Inventory: s.Inventory, BackupVariantID: nullable(s.BackupVariantID)}, nil
}

func viewGroup(q program.Query, _ journal.Ref, row store.Row) (groupView, error) {
	s, ok := row.State.(*catalog.Group)
	if !ok {
		return groupView{}, fault.New(fault.NotFound, "unknown_selling_plan_group", "There is no such selling plan group in this shop.")
	}
	plans, err := nested(q, s.ID, journal.SellingPlan, viewPlan)
	return groupView{ID: s.ID, Version: row.Version, Name: s.Name, ProductIDs: slice(s.ProductIDs), Plans: plans}, err
}

func viewPlan(_ program.Query, _ journal.Ref, row store.Row) (planView, error) {
	s, ok := row.State.(*catalog.Plan)
	if !ok {
		return planView{}, fault.New(fault.NotFound, "unknown_selling_plan", "There is no such selling plan in this shop.")
	}
	return planView{ID: s.ID, Version: row.Version, Name: s.Name, BillingPolicy: s.BillingPolicy, DeliveryPolicy: s.DeliveryPolicy, Pricing: slice(s.Pricing),
		MinCycles: s.MinCycles, MaxCycles: s.MaxCycles}, nil
}

func viewDiscount(_ program.Query, _ journal.Ref, row store.Row) (discountView, error) {
	s, ok := row.State.(*catalog.Discount)
	if !ok {
		return discountView{}, fault.New(fault.NotFound, "unknown_discount", "There is no such discount in this shop.")
	}
	return discountView{ID: s.ID, Version: row.Version, Code: s.Code, Kind: s.Kind, Value: s.Value, MaxCycles: s.MaxCycles, MaxRedemptions: s.MaxRedemptions,
		EndsAt: s.EndsAt, Status: s.Status}, nil
}

type (
	productFilter struct {
		Page
		Status string `query:"status" enum:"active,draft,archived" doc:"Without it, archived ones are left out."`
	}
	groupFilter struct {
		Page
		Status string `query:"status" enum:"active,archived" doc:"Without it, archived ones are left out."`
	}
	partFilter struct {
		ID string `path:"id"`
		Page
		Status string `query:"status" enum:"active,archived" doc:"Without it, archived ones are left out."`
	}
	discountFilter struct {
		Page
		Status string `query:"status" enum:"active,inactive" doc:"Without it, inactive ones are left out."`
	}
	createProduct struct {
		Commented
		Title         string         `json:"title"`
		Description   string         `json:"description,omitempty"`
		ImageURL      string         `json:"image_url,omitempty"`
		Status        catalog.Status `json:"status,omitempty" doc:"active, the default, or draft."`
		PortalVisible *bool          `json:"portal_visible,omitempty" doc:"Default: true."`
		Upsell        bool           `json:"upsell,omitempty"`

		UpsellDiscount int `json:"upsell_discount,omitempty"`
		UpsellLimit    int `json:"upsell_limit,omitempty"`
	}
	patchProduct struct {
		Commented
		Title         *string         `json:"title,omitempty"`
		Description   *string         `json:"description,omitempty"`
		ImageURL      *string         `json:"image_url,omitempty"`
		Status        *catalog.Status `json:"status,omitempty"`
		PortalVisible *bool           `json:"portal_visible,omitempty"`
		Upsell        *bool           `json:"upsell,omitempty"`

		UpsellDiscount *int `json:"upsell_discount,omitempty"`
		UpsellLimit    *int `json:"upsell_limit,omitempty"`
	}
	createVariant struct {
		Commented
		Title       string       `json:"title"`
		SKU         string       `json:"sku,omitempty"`
		Price       money.Amount `json:"price"`
		WeightGrams int          `json:"weight_grams,omitempty"`
		Inventory   *int64       `json:"inventory,omitempty" nullable:"true" doc:"Pieces in stock; null, the default: not counted."`
	}
	patchVariant struct {
		Commented
		Title       *string         `json:"title,omitempty"`
		SKU         *string         `json:"sku,omitempty"`
		Price       *money.Amount   `json:"price,omitempty"`
		WeightGrams *int            `json:"weight_grams,omitempty"`
		Inventory   Nullable[int64] `json:"inventory,omitzero" doc:"Pieces in stock; null: not counted."`

		BackupVariantID Nullable[id.ID] `json:"backup_variant_id,omitzero" doc:"Another variant; null: none."`
	}
	createGroup struct {
		Commented
		Name       string  `json:"name"`
		ProductIDs []id.ID `json:"product_ids,omitempty"`
	}
	patchGroup struct {
		Commented
		Name       *string  `json:"name,omitempty"`
		ProductIDs *[]id.ID `json:"product_ids,omitempty" nullable:"false"`
	}
	pricingBody struct {
		Kind       string `json:"kind" doc:"percentage (0 to 100 off), amount (minor units off) or price (minor units: the price itself)."`
		Value      int64  `json:"value"`
		AfterCycle int    `json:"after_cycle,omitempty" doc:"From the order after so many on; 0, the default: from the first."`
	}
	createPlan struct {
		Commented
		Name           string               `json:"name"`
		BillingPolicy  policyBody           `json:"billing_policy"`
		DeliveryPolicy Nullable[policyBody] `json:"delivery_policy,omitzero" doc:"null, the default: the same as billing."`
		Pricing        []pricingBody        `json:"pricing,omitempty"`
		MinCycles      *int                 `json:"min_cycles,omitempty" nullable:"true"`
		MaxCycles      *int                 `json:"max_cycles,omitempty" nullable:"true"`
	}
	patchPlan struct {
		Commented
		Name           *string              `json:"name,omitempty"`
		BillingPolicy  *policyBody          `json:"billing_policy,omitempty"`
		DeliveryPolicy Nullable[policyBody] `json:"delivery_policy,omitzero" doc:"null: the same as billing."`
		Pricing        *[]pricingBody       `json:"pricing,omitempty" nullable:"false"`
		MinCycles      Nullable[int]        `json:"min_cycles,omitzero"`
		MaxCycles      Nullable[int]        `json:"max_cycles,omitzero"`
	}
	createDiscount struct {
		Commented
		Code           string     `json:"code"`
		Kind           string     `json:"kind" doc:"percentage (1 to 100) or amount (minor units of the shop's currency)."`
		Value          int64      `json:"value"`
		MaxCycles      *int       `json:"max_cycles,omitempty" nullable:"true" doc:"How many orders of one subscription; null, the default: all."`
		MaxRedemptions *int       `json:"max_redemptions,omitempty" nullable:"true" doc:"How many subscriptions; null, the default: no limit."`
		EndsAt         *time.Time `json:"ends_at,omitempty" nullable:"true"`
	}
	patchDiscount struct {
		Commented
		Kind           *string             `json:"kind,omitempty"`
		Value          *int64              `json:"value,omitempty"`
		MaxCycles      Nullable[int]       `json:"max_cycles,omitzero"`
		MaxRedemptions Nullable[int]       `json:"max_redemptions,omitzero"`
		EndsAt         Nullable[time.Time] `json:"ends_at,omitzero"`
	}
)

func pricing(steps []pricingBody) []catalog.Pricing {
	out := make([]catalog.Pricing, len(steps))
	for i, s := range steps {
		out[i] = catalog.Pricing(s)
	}
	return out
}

func (a *API) catalogue() {
	a.products()
	a.variants()
	a.groups()
	a.plans()
	a.discounts()
}

func (a *API) products() {
	a.views[journal.Product] = anyView(viewProduct)
	const tag = "Catalogue"
	view, edit := team.ProductsView, team.ProductsEdit
	list(a, route{method: http.MethodGet, path: "/products", tag: tag, summary: "List products, newest first", permission: view},
		func(in *productFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f },
		func(ctx context.Context, in *productFilter, limit int, after string) ([]productView, error) {
			return rowsOf(ctx, a, journal.Product, query.Shelf(in.Status, catalog.Archived), limit, after, viewProduct)
		}, func(v productView) string { return string(v.ID) })
	readThing(a, route{method: http.MethodGet, path: "/products/{id}", tag: tag, summary: "Read a product", permission: view}, journal.Product, viewProduct)
	change(a, route{method: http.MethodPost, path: "/products", tag: tag, summary: "Create a product", permission: edit, status: http.StatusCreated, events: []journal.Name{journal.ProductCreated}},
		func(_ context.Context, in *withBody[createProduct]) (plan, error) {
			b := in.Body
			c := catalog.CreateProduct{ID: a.newID(id.Product), Title: b.Title, Description: b.Description, ImageURL: b.ImageURL, Status: b.Status, PortalVisible: b.PortalVisible, Upsell: b.Upsell, UpsellDiscount: b.UpsellDiscount, UpsellLimit: b.UpsellLimit}
			return plan{command: journal.Bind(c), location: "/products/%s"}, nil
		}, viewProduct)
	change(a, route{method: http.MethodPatch, path: "/products/{id}", tag: tag, summary: "Change a product", permission: edit,
		events: []journal.Name{journal.ProductUpdated, journal.ProductSettingsUpdated, journal.ProductUpsellVariantSettingsUpdated, journal.ProductUpsellDiscountUpdated, journal.ProductUpsellLimitUpdated, journal.ProductArchived}},
		func(_ context.Context, in *onThing[patchProduct]) (plan, error) {
			b := in.Body
			c := catalog.UpdateProduct{ID: id.ID(in.ID), Title: b.Title, Description: b.Description, ImageURL: b.ImageURL, Status: b.Status, PortalVisible: b.PortalVisible, Upsell: b.Upsell, UpsellDiscount: b.UpsellDiscount, UpsellLimit: b.UpsellLimit}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.Product, ID: c.ID}}, nil
		}, viewProduct)
	change(a, route{method: http.MethodDelete, path: "/products/{id}", tag: tag, summary: "Archive a product", permission: edit, events: []journal.Name{journal.ProductArchived}},
		func(_ context.Context, in *dropThing) (plan, error) {
			c := catalog.ArchiveProduct{ID: id.ID(in.ID)}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.Product, ID: c.ID}}, nil
		}, viewProduct)
}

func (a *API) variants() {
	a.views[journal.Variant] = anyView(viewVariant)
	const tag = "Catalogue"
	view, edit := team.ProductsView, team.ProductsEdit
	const all, single = "/products/{id}/variants", "/products/{id}/variants/{part}"
	list(a, route{method: http.MethodGet, path: all, tag: tag, summary: "List a product's variants, newest first", permission: view},
		func(in *partFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f },
		func(ctx context.Context, in *partFilter, limit int, after string) ([]variantView, error) {
			owner := journal.Ref{Kind: journal.Product, ID: id.ID(in.ID)}
			return partsOf(ctx, a, owner, journal.Variant, query.Shelf(in.Status, catalog.Archived), limit, after, viewVariant)
		}, func(v variantView) string { return string(v.ID) })
	readPart(a, route{method: http.MethodGet, path: single, tag: tag, summary: "Read a variant", permission: view}, journal.Variant, viewVariant)
	change(a, route{method: http.MethodPost, path: all, tag: tag, summary: "Add a variant", permission: edit, status: http.StatusCreated, events: []journal.Name{journal.VariantCreated}},
		func(_ context.Context, in *onThing[createVariant]) (plan, error) {
			b := in.Body
			c := catalog.CreateVariant{ID: a.newID(id.Variant), ProductID: id.ID(in.ID), Title: b.Title, SKU: b.SKU, Price: b.Price, WeightGrams: b.WeightGrams, Inventory: b.Inventory}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.Product, ID: c.ProductID}, location: "/products/" + in.ID + "/variants/%s"}, nil
		}, viewVariant)
	change(a, route{method: http.MethodPatch, path: single, tag: tag, summary: "Change a variant", permission: edit,
		events: []journal.Name{journal.VariantUpdated, journal.VariantInventoryChanged}},
		func(ctx context.Context, in *onPart[patchVariant]) (plan, error) {
			b := in.Body
			ref, _, err := a.part(ctx, journal.Variant, in.ID, in.Part)
			c := catalog.UpdateVariant{ID: ref.ID, Title: b.Title, SKU: b.SKU, Price: b.Price, WeightGrams: b.WeightGrams, Inventory: catalog.Nullable[int64](b.Inventory)}
			if b.BackupVariantID.Given {
				c.BackupVariantID = new(id.ID)
				if b.BackupVariantID.Value != nil {
					c.BackupVariantID = b.BackupVariantID.Value
				}
			}
			return plan{command: journal.Bind(c), target: ref}, err
		}, viewVariant)
	change(a, route{method: http.MethodDelete, path: single, tag: tag, summary: "Archive a variant", permission: edit, events: []journal.Name{journal.VariantArchived}},
		func(ctx context.Context, in *dropPart) (plan, error) {
			ref, _, err := a.part(ctx, journal.Variant, in.ID, in.Part)
			return plan{command: journal.Bind(catalog.ArchiveVariant{ID: ref.ID}), target: ref}, err
		}, viewVariant)
}

func (a *API) groups() {
	a.views[journal.SellingPlanGroup] = anyView(viewGroup)
	const tag = "Catalogue"
	view, edit := team.PlansView, team.PlansEdit
	list(a, route{method: http.MethodGet, path: "/selling-plan-groups", tag: tag, summary: "List selling plan groups, newest first", permission: view},
		func(in *groupFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f },
		func(ctx context.Context, in *groupFilter, limit int, after string) ([]groupView, error) {
			return rowsOf(ctx, a, journal.SellingPlanGroup, query.Shelf(in.Status, catalog.Archived), limit, after, viewGroup)
		}, func(v groupView) string { return string(v.ID) })
	readThing(a, route{method: http.MethodGet, path: "/selling-plan-groups/{id}", tag: tag, summary: "Read a selling plan group", permission: view}, journal.SellingPlanGroup, viewGroup)
	change(a, route{method: http.MethodPost, path: "/selling-plan-groups", tag: tag, summary: "Create a selling plan group", permission: edit, status: http.StatusCreated,
		events: []journal.Name{journal.SellingPlanGroupCreated}},
		func(_ context.Context, in *withBody[createGroup]) (plan, error) {
			c := catalog.CreateGroup{ID: a.newID(id.SellingPlanGroup), Name: in.Body.Name, ProductIDs: in.Body.ProductIDs}
			return plan{command: journal.Bind(c), location: "/selling-plan-groups/%s"}, nil
		}, viewGroup)
	change(a, route{method: http.MethodPatch, path: "/selling-plan-groups/{id}", tag: tag, summary: "Change a selling plan group", permission: edit,
		events: []journal.Name{journal.SellingPlanGroupUpdated}},
		func(_ context.Context, in *onThing[patchGroup]) (plan, error) {
			c := catalog.UpdateGroup{ID: id.ID(in.ID), Name: in.Body.Name, ProductIDs: in.Body.ProductIDs}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.SellingPlanGroup, ID: c.ID}}, nil
		}, viewGroup)
	change(a, route{method: http.MethodDelete, path: "/selling-plan-groups/{id}", tag: tag, summary: "Archive a selling plan group", permission: edit,
		events: []journal.Name{journal.SellingPlanGroupDeleted}},
		func(_ context.Context, in *dropThing) (plan, error) {
			c := catalog.DeleteGroup{ID: id.ID(in.ID)}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.SellingPlanGroup, ID: c.ID}}, nil
		}, viewGroup)
}

func (a *API) plans() {
	a.views[journal.SellingPlan] = anyView(viewPlan)
	const tag = "Catalogue"
	view, edit := team.PlansView, team.PlansEdit
	const all, single = "/selling-plan-groups/{id}/plans", "/selling-plan-groups/{id}/plans/{part}"
	list(a, route{method: http.MethodGet, path: all, tag: tag, summary: "List a group's selling plans, newest first", permission: view},
		func(in *partFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f },
		func(ctx context.Context, in *partFilter, limit int, after string) ([]planView, error) {
			owner := journal.Ref{Kind: journal.SellingPlanGroup, ID: id.ID(in.ID)}
			return partsOf(ctx, a, owner, journal.SellingPlan, query.Shelf(in.Status, catalog.Archived), limit, after, viewPlan)
		}, func(v planView) string { return string(v.ID) })
	readPart(a, route{method: http.MethodGet, path: single, tag: tag, summary: "Read a selling plan", permission: view}, journal.SellingPlan, viewPlan)
	change(a, route{method: http.MethodPost, path: all, tag: tag, summary: "Add a selling plan", permission: edit, status: http.StatusCreated, events: []journal.Name{journal.SellingPlanCreated}},
		func(_ context.Context, in *onThing[createPlan]) (plan, error) {
			b := in.Body
			c := catalog.CreatePlan{ID: a.newID(id.SellingPlan), GroupID: id.ID(in.ID), Name: b.Name, BillingPolicy: *b.BillingPolicy.policy(),
				DeliveryPolicy: b.DeliveryPolicy.Value.policy(), Pricing: pricing(b.Pricing), MinCycles: b.MinCycles, MaxCycles: b.MaxCycles}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.SellingPlanGroup, ID: c.GroupID}, location: "/selling-plan-groups/" + in.ID + "/plans/%s"}, nil
		}, viewPlan)
	change(a, route{method: http.MethodPatch, path: single, tag: tag, summary: "Change a selling plan", permission: edit, events: []journal.Name{journal.SellingPlanUpdated}},
		func(ctx context.Context, in *onPart[patchPlan]) (plan, error) {
			b := in.Body
			ref, _, err := a.part(ctx, journal.SellingPlan, in.ID, in.Part)
			c := catalog.UpdatePlan{ID: ref.ID, Name: b.Name, BillingPolicy: b.BillingPolicy.policy(), MinCycles: catalog.Nullable[int](b.MinCycles), MaxCycles: catalog.Nullable[int](b.MaxCycles),
				DeliveryPolicy: catalog.Nullable[catalog.Policy]{Given: b.DeliveryPolicy.Given, Value: b.DeliveryPolicy.Value.policy()}}
			if b.Pricing != nil {
				c.Pricing = new(pricing(*b.Pricing))
			}
			return plan{command: journal.Bind(c), target: ref}, err
		}, viewPlan)
	change(a, route{method: http.MethodDelete, path: single, tag: tag, summary: "Archive a selling plan", permission: edit, events: []journal.Name{journal.SellingPlanDeleted}},
		func(ctx context.Context, in *dropPart) (plan, error) {
			ref, _, err := a.part(ctx, journal.SellingPlan, in.ID, in.Part)
			return plan{command: journal.Bind(catalog.DeletePlan{ID: ref.ID}), target: ref}, err
		}, viewPlan)
}

func (a *API) discounts() {
	a.views[journal.Discount] = anyView(viewDiscount)
	const tag = "Catalogue"
	view, edit := team.DiscountsView, team.DiscountsEdit
	list(a, route{method: http.MethodGet, path: "/discounts", tag: tag, summary: "List discounts, newest first", permission: view},
		func(in *discountFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f },
		func(ctx context.Context, in *discountFilter, limit int, after string) ([]discountView, error) {
			return rowsOf(ctx, a, journal.Discount, query.Shelf(in.Status, catalog.Inactive), limit, after, viewDiscount)
		}, func(v discountView) string { return string(v.ID) })
	readThing(a, route{method: http.MethodGet, path: "/discounts/{id}", tag: tag, summary: "Read a discount", permission: view}, journal.Discount, viewDiscount)
	change(a, route{method: http.MethodPost, path: "/discounts", tag: tag, summary: "Create a discount", permission: edit, status: http.StatusCreated, events: []journal.Name{journal.DiscountCreated}},
		func(_ context.Context, in *withBody[createDiscount]) (plan, error) {
			b := in.Body
			c := catalog.CreateDiscount{ID: a.newID(id.Discount), Code: b.Code, Kind: b.Kind, Value: b.Value, MaxCycles: b.MaxCycles, MaxRedemptions: b.MaxRedemptions, EndsAt: b.EndsAt}
			return plan{command: journal.Bind(c), location: "/discounts/%s"}, nil
		}, viewDiscount)
	change(a, route{method: http.MethodPatch, path: "/discounts/{id}", tag: tag, summary: "Change a discount; its code stays", permission: edit, events: []journal.Name{journal.DiscountUpdated}},
		func(_ context.Context, in *onThing[patchDiscount]) (plan, error) {
			b := in.Body
			c := catalog.UpdateDiscount{ID: id.ID(in.ID), Kind: b.Kind, Value: b.Value, MaxCycles: catalog.Nullable[int](b.MaxCycles),
				MaxRedemptions: catalog.Nullable[int](b.MaxRedemptions), EndsAt: catalog.Nullable[time.Time](b.EndsAt)}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.Discount, ID: c.ID}}, nil
		}, viewDiscount)
	change(a, route{method: http.MethodDelete, path: "/discounts/{id}", tag: tag, summary: "Deactivate a discount; subscriptions that have it keep it", permission: edit,
		events: []journal.Name{journal.DiscountDeactivated}},
		func(_ context.Context, in *dropThing) (plan, error) {
			c := catalog.DeactivateDiscount{ID: id.ID(in.ID)}
			return plan{command: journal.Bind(c), target: journal.Ref{Kind: journal.Discount, ID: c.ID}}, nil
		}, viewDiscount)
}
