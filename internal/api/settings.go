package api

import (
	"context"
	"fmt"
	"net/http"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
)

// Versioned is embedded in the view of a page: 0 until the page is first saved.
type Versioned struct {
	Version int64 `json:"version"`
}

func (v Versioned) resourceVersion() int64 { return v.Version }

// The documents, one for each page. A PUT brings all of its fields. They are embedded in bodies and in views, and have the
// fields of the domain's types of the same names, in their order, so that one converts to the other.
type (
	GeneralPage struct {
		Name         string `json:"name"`
		TimeZone     string `json:"time_zone" doc:"IANA name. Billing dates are days in this zone."`
		Currency     string `json:"currency" doc:"ISO 4217. It stays once there is a subscription."`
		Locale       string `json:"locale" doc:"BCP 47."`
		SupportEmail string `json:"support_email"`
		SenderName   string `json:"sender_name" required:"false" doc:"Whom messages come from, at most 100 characters; empty: the name. Answers to them go to the address for support."`
	}
	BillingPage struct {
		BillingHour      int `json:"billing_hour" doc:"0 to 23: the hour of the day in the shop's zone at which due orders are made."`
		CutoffDays       int `json:"cutoff_days" doc:"0 to 30."`
		TaxBasisPoints   int `json:"tax_basis_points" doc:"0 to 10,000: a flat rate on the discounted subtotal and delivery."`
		MaxCatchUpOrders int `json:"max_catch_up_orders" doc:"1 to 12: how many missed orders a subscription is billed after a downtime."`

		MissedOrders string `json:"missed_orders" required:"false" default:"skip" doc:"What becomes of missed orders beyond those: skip, restart (one is made now, and the rhythm goes on from there) or pause."`
		OutOfStock   string `json:"out_of_stock" required:"false" default:"skip" doc:"What becomes of an order whose variant is out of stock: skip, swap (the variant's backup for the same price; without one, skip) or hold (it waits)."`

		SmallOrders string `json:"small_orders" required:"false" default:"free" doc:"What becomes of an order that is less than the payment gateway charges: free, or carry (it is charged with the next order of the subscription)."`

		UpcomingDays int `json:"upcoming_days" required:"false" default:"3" doc:"1 to 30: how many days before an order its subscriber is told."`
	}
	RecoveryPage struct {
		RetryDays []int  `json:"retry_days" nullable:"false" doc:"Days after the failed charge at which it is tried again, rising: at most 10 of 1 to 60."`
		EndAction string `json:"end_action" doc:"cancel, pause or skip: what happens when the last retry failed. keep: go on trying at the last interval."`

		Phases    []settings.RecoveryPhase `json:"phases" nullable:"false" required:"false" doc:"In place of retry_days: phases with a number of retries and the days before each. silent: the customer is not told of the phase's failed payments; the first failure belongs to the first phase."`
		RetryHour *int                     `json:"retry_hour" nullable:"true" required:"false" doc:"0 to 23: the hour of the day in the shop's zone at which is tried again; null: the billing hour."`
	}
	ShippingPage struct {
		DefaultDeliveryPrice money.Amount `json:"default_delivery_price"`
		Countries            []string     `json:"countries" nullable:"false" doc:"ISO 3166-1 alpha-2; empty: everywhere."`
	}
	PortalPage struct {
		Actions       []string `json:"actions" nullable:"false" doc:"What subscribers may do, in the order shown."`
		MaxSkipsInRow int      `json:"max_skips_in_row" doc:"0: no limit."`
		MaxDaysAhead  int      `json:"max_days_ahead" doc:"1 to 730: how far an order may be moved."`

		MinDaysAhead   int    `json:"min_days_ahead" required:"false" doc:"0 to 60: how near an order may be moved; 0: today."`
		Language       string `json:"language" required:"false" doc:"en, de, fr or es: the language of people who ask for none of them; empty: that of the page general."`
		Welcome        string `json:"welcome" required:"false" doc:"Plain text over the subscriptions, at most 1,000 characters."`
		SupportContact string `json:"support_contact" required:"false" doc:"Whom subscribers ask, at most 200 characters; empty: the address of the page general."`
		BrandColor     string `json:"brand_color" required:"false" doc:"Such as #2b55c9; empty: Perennial's. Text on it is white, or black where white cannot be read."`
		LogoURL        string `json:"logo_url" required:"false" doc:"An https address; empty: none."`
		CornerRadius   *int   `json:"corner_radius" nullable:"true" required:"false" doc:"0 to 24 pixels; null: Perennial's."`
	}
	LogPage struct {
		NetworkRetentionMonths int `json:"network_retention_months" doc:"1 to 120: then IP addresses and user agents are erased."`
	}
)

type (
	generalView struct {
		Versioned
		GeneralPage
	}
	billingView struct {
		Versioned
		BillingPage
	}
	recoveryView struct {
		Versioned
		RecoveryPage
	}
	shippingView struct {
		Versioned
		ShippingPage
	}
	portalView struct {
		Versioned
		PortalPage
	}
	logView struct {
		Versioned
		LogPage
	}
	generalBody struct {
		Commented
		GeneralPage
	}
	billingBody struct {
		Commented
		BillingPage
	}
	recoveryBody struct {
		Commented
		RecoveryPage
	}
	shippingPageBody struct {
		Commented
		ShippingPage
	}
	portalBody struct {
		Commented
		PortalPage
	}
	logBody struct {
		Commented
		LogPage
	}
)

func (a *API) settings() {
	shows := map[id.ID]viewer{}
	a.views[journal.Settings] = func(q program.Query, ref journal.Ref, row store.Row) (any, error) {
		show := shows[ref.ID]
		if show == nil {
			return nil, fmt.Errorf("api: no view of the settings page %s", ref.ID)
		}
		return show(q, ref, row)
	}
	shows[settings.PageGeneral] = page(a, settings.PageGeneral, team.AccountSettingsView, team.AccountSettingsEdit,
		func(b generalBody) settings.Document { return new(settings.General(b.GeneralPage)) },
		func(v Versioned, d *settings.General) generalView { return generalView{v, GeneralPage(*d)} })
	shows[settings.PageBilling] = page(a, settings.PageBilling, team.BillingSettingsView, team.BillingSettingsEdit,
		func(b billingBody) settings.Document { return new(settings.Billing(b.BillingPage)) },
		func(v Versioned, d *settings.Billing) billingView { return billingView{v, BillingPage(*d)} })
	shows[settings.PageRecovery] = page(a, settings.PageRecovery, team.BillingSettingsView, team.BillingSettingsEdit,
		func(b recoveryBody) settings.Document { return new(settings.Recovery(b.RecoveryPage)) },
		func(v Versioned, d *settings.Recovery) recoveryView { return recoveryView{v, RecoveryPage(*d)} })
	shows[settings.PageShipping] = page(a, settings.PageShipping, team.BillingSettingsView, team.BillingSettingsEdit,
		func(b shippingPageBody) settings.Document { return new(settings.Shipping(b.ShippingPage)) },
		func(v Versioned, d *settings.Shipping) shippingView { return shippingView{v, ShippingPage(*d)} })
	shows[settings.PagePortal] = page(a, settings.PagePortal, team.PortalSettingsView, team.PortalSettingsEdit,
		func(b portalBody) settings.Document { return new(settings.Portal(b.PortalPage)) },
		func(v Versioned, d *settings.Portal) portalView { return portalView{v, PortalPage(*d)} })
	shows[settings.PageCancelFlow] = page(a, settings.PageCancelFlow, team.CancelFlowsView, team.CancelFlowsEdit,
		func(b cancelPageBody) settings.Document { return new(settings.CancelFlow(b.CancelFlowPage)) },
		func(v Versioned, d *settings.CancelFlow) cancelPageView { return cancelPageView{v, CancelFlowPage(*d)} })
	shows[settings.PageLog] = page(a, settings.PageLog, team.LogSettingsView, team.LogSettingsEdit,
		func(b logBody) settings.Document { return new(settings.Log(b.LogPage)) },
		func(v Versioned, d *settings.Log) logView { return logView{v, LogPage(*d)} })
}

// page registers the reading and the saving of one page, and gives its viewer. A page that was never saved shows what it
// says until then.
func page[B hasComment, D settings.Document, V any](a *API, name id.ID, look, edit team.Permission, document func(B) settings.Document, view func(Versioned, D) V) viewer {
	path, words := "/settings/"+string(name), "the settings page "+string(name)
	events := []journal.Name{settings.EventType(name)}
	if name == settings.PageGeneral {
		events = append(events, settings.EventType(settings.PageShipping)) // its price goes with the currency
	}
	ref := journal.Ref{Kind: journal.Settings, ID: name}
	show := func(q program.Query, _ journal.Ref, row store.Row) (V, error) {
		d, ok := row.State.(D)
		if ok {
			return view(Versioned{row.Version}, d), nil
		}
		general, err := journal.Get[settings.General](program.NewReader(q.Ctx, q.S, q.Q), journal.Settings, settings.PageGeneral)
		if err != nil {
			var none V
			return none, err
		}
		return view(Versioned{}, settings.Default(name, general).(D)), nil
	}
	read(a, route{method: http.MethodGet, path: path, tag: "Settings", summary: "Read " + words, permission: look},
		func(ctx context.Context, _ *noInput) (V, error) {
			row, err := a.Store.Load(ctx, a.Store.Read, ref)
			if err != nil {
				var none V
				return none, err
			}
			return show(a.query(ctx), ref, row)
		})
	change(a, route{method: http.MethodPut, path: path, tag: "Settings", summary: "Save " + words, permission: edit, events: events},
		func(_ context.Context, in *withBody[B]) (plan, error) {
			return plan{command: journal.Bind(settings.Update{Document: document(in.Body)}), target: ref}, nil
		}, show)
	return anyView(show)
}
