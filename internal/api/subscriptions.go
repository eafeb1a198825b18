package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"perennial/internal/act"
	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/team"
)

// subscriptionView is a subscription as clients see it.
type subscriptionView struct {
	ID                    id.ID                                 `json:"id"`
	Version               int64                                 `json:"version"`
	Status                subscription.Status                   `json:"status" enum:"active,paused,cancelled,expired,failed"`
	CustomerID            id.ID                                 `json:"customer_id"`
	Currency              string                                `json:"currency"`
	Items                 []subscription.Item                   `json:"items" nullable:"false"`
	SellingPlanID         *id.ID                                `json:"selling_plan_id"`
	BillingPolicy         catalog.Policy                        `json:"billing_policy"`
	DeliveryPolicy        *catalog.Policy                       `json:"delivery_policy"`
	AnchorDate            civil.Date                            `json:"anchor_date"`
	Cycle                 int                                   `json:"cycle"`
	NextBillingDate       *civil.Date                           `json:"next_billing_date"`
	PausedUntil           *civil.Date                           `json:"paused_until"`
	SkippedDates          []civil.Date                          `json:"skipped_dates" nullable:"false"`
	ShippingAddressID     *id.ID                                `json:"shipping_address_id"`
	PaymentMethodID       *id.ID                                `json:"payment_method_id" doc:"Null: whichever is the customer's default."`
	BackupPaymentMethodID *id.ID                                `json:"backup_payment_method_id"`
	DeliveryPrice         money.Amount                          `json:"delivery_price"`
	Discounts             []subscription.AppliedDiscount        `json:"discounts" nullable:"false"`
	CarriedOver           *money.Amount                         `json:"carried_over" doc:"Of orders that were too small to be charged: it is charged with the next one. Null: nothing."`
	Gifts                 journal.Personal[[]subscription.Gift] `json:"gifts"`
	Recovery              *subscription.Recovery                `json:"recovery"`
	Note                  journal.Personal[string]              `json:"note"`
	Attributes            journal.Personal[map[string]string]   `json:"attributes"`
	CancelledAt           *journal.Time                         `json:"cancelled_at"`
	CancelReason          journal.Personal[string]              `json:"cancel_reason"`
	CreatedAt             journal.Time                          `json:"created_at"`
}

func (v subscriptionView) resourceVersion() int64 { return v.Version }

func viewSubscription(q program.Query, _ journal.Ref, row store.Row) (subscriptionView, error) {
	s, ok := row.State.(*subscription.Subscription)
	if !ok {
		return subscriptionView{}, fault.New(fault.NotFound, "unknown_subscription", "There is no such subscription in this shop.")
	}
	c := callOf(q.Ctx)
	return subscriptionView{
		ID: s.ID, Version: row.Version, Status: s.Status, CustomerID: s.CustomerID, Currency: s.Currency, Items: slice(s.Items), SellingPlanID: nullable(s.SellingPlanID),
		BillingPolicy: s.BillingPolicy, DeliveryPolicy: s.DeliveryPolicy, AnchorDate: s.AnchorDate, Cycle: s.Cycle, NextBillingDate: s.NextBillingDate,
		PausedUntil: s.PausedUntil, SkippedDates: slice(s.SkippedDates), ShippingAddressID: nullable(s.ShippingAddressID), PaymentMethodID: nullable(s.PaymentMethodID),
		BackupPaymentMethodID: nullable(s.BackupPaymentMethodID), DeliveryPrice: s.DeliveryPrice, Discounts: slice(s.Discounts), CarriedOver: s.CarriedOver, Gifts: c.gifts(s.Gifts), Recovery: s.Recovery,
		Note: c.text(s.Note), Attributes: c.attributes(s.Attributes), CancelledAt: s.CancelledAt, CancelReason: c.text(s.CancelReason), CreatedAt: s.CreatedAt,
	}, nil
}

func (a *API) query(ctx context.Context) program.Query {
	return program.Query{Ctx: ctx, S: a.Store, Q: a.Store.Read}
}

// get reads one row that must be there.
func (a *API) get(ctx context.Context, kind journal.Kind, key string) (journal.Ref, store.Row, error) {
	ref := journal.Ref{Kind: kind, ID: id.ID(key)}
	row, err := a.Store.Load(ctx, a.Store.Read, ref)
	if err == nil && row.Version == 0 {
		err = fault.New(fault.NotFound, "unknown_"+string(kind), "There is no %s %s in this shop.", kind.Words(), printable(key))
	}
	return ref, row, err
}

func printable(key string) string {
	if len(key) > 64 || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "of that id"
	}
	return key
}

type (
	newItemBody struct {
		VariantID id.ID         `json:"variant_id"`
		Quantity  int           `json:"quantity"`
		UnitPrice *money.Amount `json:"unit_price,omitempty"`
	}
	createSubscription struct {
		Commented
		CustomerID        id.ID             `json:"customer_id"`
		Items             []newItemBody     `json:"items" nullable:"false"`
		SellingPlanID     id.ID             `json:"selling_plan_id,omitempty"`
		BillingPolicy     *policyBody       `json:"billing_policy,omitempty"`
		NextBillingDate   *civil.Date       `json:"next_billing_date,omitempty"`
		ShippingAddressID id.ID             `json:"shipping_address_id,omitempty"`
		PaymentMethodID   id.ID             `json:"payment_method_id,omitempty"`
		DeliveryPrice     *money.Amount     `json:"delivery_price,omitempty"`
		Note              string            `json:"note,omitempty"`
		Attributes        map[string]string `json:"attributes,omitempty"`
	}
	// policyBody is a policy as a request brings it: what may be null may be left out.
	policyBody struct {
		Interval      civil.Unit `json:"interval"`
		IntervalCount int        `json:"interval_count"`
		AnchorDay     *int       `json:"anchor_day,omitempty"`
		MaxCycles     *int       `json:"max_cycles,omitempty"`
	}
	noBody         struct{ Commented }
	rescheduleBody struct {
		Commented
		NextBillingDate civil.Date `json:"next_billing_date"`
		KeepRhythm      *bool      `json:"keep_rhythm,omitempty" doc:"Only this order moves; the default. false counts the rhythm from the new date."`
	}
	reasonBody struct {
		Commented
		Reason string `json:"reason,omitempty"`
	}
	addItemBody struct {
		Commented
		VariantID id.ID `json:"variant_id"`
		Quantity  int   `json:"quantity"`
		OneTime   bool  `json:"one_time,omitempty"`
	}
	changeItemBody struct {
		Commented
		Quantity  *int          `json:"quantity,omitempty"`
		UnitPrice *money.Amount `json:"unit_price,omitempty"`
	}
	swapBody struct {
		Commented
		VariantID id.ID `json:"variant_id"`
		Quantity  *int  `json:"quantity,omitempty"`
	}
	shippingBody struct {
		Commented
		AddressID        id.ID `json:"address_id"`
		AllSubscriptions bool  `json:"all_subscriptions,omitempty"`
	}
	methodBody struct {
		Commented
		PaymentMethodID *id.ID `json:"payment_method_id" doc:"Null takes the subscription's own away: the customer's default, or backup, is charged."`
	}
	deliveryBody struct {
		Commented
		DeliveryPrice money.Amount `json:"delivery_price"`
	}
	codeBody struct {
		Commented
		Code string `json:"code"`
	}
	giftAddressBody struct {
		FirstName  string `json:"first_name,omitempty"`
		LastName   string `json:"last_name,omitempty"`
		Company    string `json:"company,omitempty"`
		Line1      string `json:"line1"`
		Line2      string `json:"line2,omitempty"`
		City       string `json:"city"`
		Region     string `json:"region,omitempty"`
		PostalCode string `json:"postal_code,omitempty"`
		Country    string `json:"country"`
		Phone      string `json:"phone,omitempty"`
	}
	giftBody struct {
		Commented
		Date    civil.Date      `json:"date"`
		Address giftAddressBody `json:"address"`
		Message string          `json:"message,omitempty"`
	}
	noteBody struct {
		Commented
		Note string `json:"note"`
	}
	attributesBody struct {
		Commented
		Attributes map[string]string `json:"attributes"`
	}
	mergeBody struct {
		Commented
		Into id.ID `json:"into"`
	}
	splitBody struct {
		Commented
		ItemIDs []id.ID `json:"item_ids" nullable:"false"`
	}
	subscriptionFilter struct {
		Page
		Status          string `query:"status" enum:"active,paused,cancelled,expired,failed"`
		CustomerID      string `query:"customer_id"`
		ProductID       string `query:"product_id"`
		NextBillingFrom string `query:"next_billing_from" format:"date"`
		NextBillingTo   string `query:"next_billing_to" format:"date"`
		Q               string `query:"q" maxLength:"200" doc:"A name, an e-mail or an id."`
	}
	atInput struct {
		ID    string `path:"id"`
		At    string `query:"at" doc:"The state after the last event recorded at or before this time (RFC 3339)."`
		AtSeq int64  `query:"at_seq" default:"-1" minimum:"-1" doc:"The state after this seq; -1 asks for no seq."`
	}
	upcomingInput struct {
		ID    string `path:"id"`
		Count int    `query:"count" default:"12" minimum:"1" maximum:"60"`
	}
)

func (p *policyBody) policy() *catalog.Policy {
	if p == nil {
		return nil
	}
	return &catalog.Policy{Interval: p.Interval, IntervalCount: p.IntervalCount, AnchorDay: p.AnchorDay, MaxCycles: p.MaxCycles}
}

// onSubscription is the plan of an action on a subscription.
func onSubscription(key string, c journal.Command) plan {
	return plan{command: c, target: journal.Ref{Kind: journal.Subscription, ID: id.ID(key)}}
}

func (a *API) subscriptions() {
	a.views[journal.Subscription] = anyView(viewSubscription)
	const tag = "Subscriptions"
	view, edit := team.SubscriptionsView, team.SubscriptionsEdit
	list(a, route{method: http.MethodGet, path: "/subscriptions", tag: tag, summary: "List subscriptions, newest first", permission: view},
		func(in *subscriptionFilter) (Page, any) { f := *in; f.Page = Page{}; return in.Page, f }, a.listSubscriptions, func(v subscriptionView) string { return string(v.ID) })
	read(a, route{method: http.MethodGet, path: "/subscriptions/{id}", tag: tag, summary: "Read a subscription, as it is or as it was", permission: view}, a.readSubscription)
	read(a, route{method: http.MethodGet, path: "/subscriptions/{id}/upcoming", tag: tag, summary: "The next orders, skipped ones included", permission: view}, a.upcoming)
	change(a, route{method: http.MethodPost, path: "/subscriptions", tag: tag, summary: "Create a subscription", permission: edit, status: http.StatusCreated, events: []journal.Name{journal.SubscriptionCreated}},
		func(_ context.Context, in *withBody[createSubscription]) (plan, error) {
			b := in.Body
			c := subscription.Create{ID: a.newID(id.Subscription), CustomerID: b.CustomerID, SellingPlanID: b.SellingPlanID, BillingPolicy: b.BillingPolicy.policy(),
				NextBillingDate: b.NextBillingDate, ShippingAddressID: b.ShippingAddressID, PaymentMethodID: b.PaymentMethodID, DeliveryPrice: b.DeliveryPrice, Note: b.Note, Attributes: b.Attributes}
			for _, it := range b.Items {
				c.Items = append(c.Items, subscription.NewItem{ID: a.newID(id.Item), VariantID: it.VariantID, Quantity: it.Quantity, UnitPrice: it.UnitPrice})
			}
			return plan{command: journal.Bind(c), location: "/subscriptions/%s"}, nil
		}, viewSubscription)

	onSubscriptions(a, act.Pause)
	onSubscriptions(a, act.Resume)
	onSubscriptions(a, act.Skip)
	onSubscriptions(a, act.Unskip)
	action(a, "reschedule", "Move the next order", []journal.Name{journal.SubscriptionNextBillingDateChanged}, func(key id.ID, b rescheduleBody) journal.Command {
		return journal.Bind(subscription.Reschedule{ID: key, Date: b.NextBillingDate, NewRhythm: b.KeepRhythm != nil && !*b.KeepRhythm})
	})
	onSubscriptions(a, act.ChangeFrequency)
	action(a, "order-now", "Make an extra order now", []journal.Name{journal.OrderCreated, journal.SubscriptionOrderRequestedNow, journal.BillingAttemptStarted}, func(key id.ID, _ noBody) journal.Command {
		return journal.Bind(billing.OrderNow{SubscriptionID: key, OrderID: a.newID(id.Order), AttemptID: a.newID(id.BillingAttempt)})
	})
	action(a, "cancel", "Cancel", []journal.Name{journal.SubscriptionCancelled}, func(key id.ID, b reasonBody) journal.Command {
		return journal.Bind(subscription.Cancel{ID: key, Reason: b.Reason})
	})
	onSubscriptions(a, act.Reactivate)
	action(a, "items", "Add an item", []journal.Name{journal.SubscriptionItemAdded, journal.SubscriptionOneTimeItemAdded}, func(key id.ID, b addItemBody) journal.Command {
		return journal.Bind(subscription.AddItem{ID: key, Item: subscription.NewItem{ID: a.newID(id.Item), VariantID: b.VariantID, Quantity: b.Quantity, OneTime: b.OneTime}})
	})
	action(a, "discounts", "Apply a discount code", []journal.Name{journal.SubscriptionDiscountApplied, journal.DiscountRedeemed}, func(key id.ID, b codeBody) journal.Command {
		return journal.Bind(subscription.ApplyDiscount{ID: key, Code: b.Code})
	})
	action(a, "gift", "Send an order to somebody else", []journal.Name{journal.SubscriptionOrderGifted}, func(key id.ID, b giftBody) journal.Command {
		return journal.Bind(subscription.GiftOrder{ID: key, Date: b.Date, Address: subscription.GiftAddress(b.Address), Message: b.Message})
	})
	action(a, "merge", "Merge into another subscription of the customer", []journal.Name{journal.SubscriptionMerged}, func(key id.ID, b mergeBody) journal.Command {
		c := subscription.Merge{ID: key, Into: b.Into}
		for range subscription.MaxItems {
			c.ItemIDs = append(c.ItemIDs, a.newID(id.Item))
		}
		return journal.Bind(c)
	})
	action(a, "split", "Split items off into a new subscription", []journal.Name{journal.SubscriptionSplit, journal.SubscriptionCreated}, func(key id.ID, b splitBody) journal.Command {
		return journal.Bind(subscription.Split{ID: key, NewID: a.newID(id.Subscription), ItemIDs: b.ItemIDs})
	})
	put(a, "shipping-address", "Change the shipping address", []journal.Name{journal.SubscriptionShippingAddressChanged}, func(key id.ID, b shippingBody) journal.Command {
		return journal.Bind(subscription.ChangeShippingAddress{ID: key, AddressID: b.AddressID, AllSubscriptions: b.AllSubscriptions})
	})
	put(a, "payment-method", "Change the payment method", []journal.Name{journal.SubscriptionPaymentMethodChanged}, func(key id.ID, b methodBody) journal.Command {
		return journal.Bind(subscription.ChangePaymentMethod{ID: key, PaymentMethodID: deref(b.PaymentMethodID)})
	})
	put(a, "backup-payment-method", "Change the backup payment method", []journal.Name{journal.SubscriptionBackupPaymentMethodChanged}, func(key id.ID, b methodBody) journal.Command {
		return journal.Bind(subscription.ChangeBackupPaymentMethod{ID: key, PaymentMethodID: deref(b.PaymentMethodID)})
	})
	put(a, "delivery-price", "Change the delivery price", []journal.Name{journal.SubscriptionDeliveryPriceChanged}, func(key id.ID, b deliveryBody) journal.Command {
		return journal.Bind(subscription.ChangeDeliveryPrice{ID: key, Price: b.DeliveryPrice})
	})
	put(a, "note", "Change the note", []journal.Name{journal.SubscriptionNoteChanged}, func(key id.ID, b noteBody) journal.Command {
		return journal.Bind(subscription.ChangeNote{ID: key, Note: b.Note})
	})
	put(a, "attributes", "Change the attributes", []journal.Name{journal.SubscriptionAttributesChanged}, func(key id.ID, b attributesBody) journal.Command {
		return journal.Bind(subscription.ChangeAttributes{ID: key, Attributes: b.Attributes})
	})
	change(a, route{method: http.MethodPatch, path: "/subscriptions/{id}/items/{part}", tag: tag, summary: "Change an item's quantity or price", permission: edit,
		events: []journal.Name{journal.SubscriptionItemQuantityChanged, journal.SubscriptionItemPriceOverridden}},
		func(_ context.Context, in *onPart[changeItemBody]) (plan, error) {
			return onSubscription(in.ID, journal.Bind(subscription.ChangeItem{ID: id.ID(in.ID), ItemID: id.ID(in.Part), Quantity: in.Body.Quantity, UnitPrice: in.Body.UnitPrice})), nil
		}, viewSubscription)
	change(a, route{method: http.MethodPost, path: "/subscriptions/{id}/items/{part}/swap", tag: tag, summary: "Swap an item for another variant", permission: edit,
		events: []journal.Name{journal.SubscriptionItemSwapped}},
		func(_ context.Context, in *onPart[swapBody]) (plan, error) {
			return onSubscription(in.ID, journal.Bind(subscription.SwapItem{ID: id.ID(in.ID), ItemID: id.ID(in.Part), VariantID: in.Body.VariantID, Quantity: in.Body.Quantity})), nil
		}, viewSubscription)
	change(a, route{method: http.MethodDelete, path: "/subscriptions/{id}/items/{part}", tag: tag, summary: "Remove an item", permission: edit,
		events: []journal.Name{journal.SubscriptionItemRemoved, journal.SubscriptionOneTimeItemRemoved}},
		func(_ context.Context, in *dropPart) (plan, error) {
			return onSubscription(in.ID, journal.Bind(subscription.RemoveItem{ID: id.ID(in.ID), ItemID: id.ID(in.Part)})), nil
		}, viewSubscription)
	change(a, route{method: http.MethodDelete, path: "/subscriptions/{id}/discounts/{part}", tag: tag, summary: "Remove a discount", permission: edit,
		events: []journal.Name{journal.SubscriptionDiscountRemoved}},
		func(_ context.Context, in *dropPart) (plan, error) {
			return onSubscription(in.ID, journal.Bind(subscription.RemoveDiscount{ID: id.ID(in.ID), Code: in.Part})), nil
		}, viewSubscription)
}

func deref(v *id.ID) id.ID {
	if v == nil {
		return ""
	}
	return *v
}

// onSubscriptions registers an act as POST /subscriptions/{id}/<name>. The body may be left out where nothing in it is required.
func onSubscriptions[In hasComment](a *API, x act.OnSubscription[In]) {
	action(a, x.Name, x.Summary, x.Events, x.Command)
}

// action registers POST /subscriptions/{id}/<name>. The body may be left out where nothing in it is required.
func action[B hasComment](a *API, name, summary string, events []journal.Name, command func(key id.ID, b B) journal.Command) {
	change(a, route{method: http.MethodPost, path: "/subscriptions/{id}/" + name, tag: "Subscriptions", summary: summary, permission: team.SubscriptionsEdit, events: events},
		func(_ context.Context, in *onThingMaybe[B]) (plan, error) {
			return onSubscription(in.ID, command(id.ID(in.ID), in.body())), nil
		}, viewSubscription)
}

// put registers PUT /subscriptions/{id}/<name>.
func put[B hasComment](a *API, name, summary string, events []journal.Name, command func(key id.ID, b B) journal.Command) {
	change(a, route{method: http.MethodPut, path: "/subscriptions/{id}/" + name, tag: "Subscriptions", summary: summary, permission: team.SubscriptionsEdit, events: events},
		func(_ context.Context, in *onThing[B]) (plan, error) {
			return onSubscription(in.ID, command(id.ID(in.ID), in.Body)), nil
		}, viewSubscription)
}

func (a *API) readSubscription(ctx context.Context, in *atInput) (subscriptionView, error) {
	ref, row, err := a.get(ctx, journal.Subscription, in.ID)
	if err != nil {
		return subscriptionView{}, err
	}
	if in.At != "" || in.AtSeq >= 0 {
		if row, err = a.past(ctx, ref, in); err != nil {
			return subscriptionView{}, err
		}
	}
	return viewSubscription(a.query(ctx), ref, row)
}

// past gives a row as it was at a time or after a seq.
func (a *API) past(ctx context.Context, ref journal.Ref, in *atInput) (store.Row, error) {
	keep := func(e *journal.Event) bool { return in.AtSeq < 0 || e.Seq <= in.AtSeq }
	if in.At != "" {
		at, err := time.Parse(time.RFC3339Nano, in.At)
		if err != nil {
			return store.Row{}, refused("/query/at", "time_invalid", "Give a time such as 2027-03-03T09:30:00Z.")
		}
		bySeq := keep
		keep = func(e *journal.Event) bool { return bySeq(e) && !e.RecordedAt.After(at) }
	}
	row, err := a.Store.StateAt(ctx, a.Store.Read, ref, keep)
	if err == nil && row.Version == 0 {
		err = fault.New(fault.NotFound, "not_yet", "The %s %s did not exist then.", ref.Kind.Words(), ref.ID)
	}
	return row, err
}

func (a *API) listSubscriptions(ctx context.Context, in *subscriptionFilter, limit int, after string) ([]subscriptionView, error) {
	asked := query.Subscriptions{Status: in.Status, Customer: in.CustomerID, Product: in.ProductID, NextFrom: in.NextBillingFrom, NextBefore: in.NextBillingTo}
	if in.Q != "" {
		people, err := a.Finder.People(ctx, in.Q, 200)
		if err != nil {
			return nil, err
		}
		asked.Meant = &query.Meant{Things: people}
	}
	return rowsOf(ctx, a, journal.Subscription, asked.Where(), limit, after, viewSubscription)
}

// rowsOf reads a page of rows of a kind, newest first, and renders them.
func rowsOf[V any](ctx context.Context, a *API, kind journal.Kind, where []query.Filter, limit int, after string, show viewOf[V]) ([]V, error) {
	return rowsThat(ctx, a, kind, where, func(journal.State) bool { return true }, limit, after, show)
}

// rowsThat is rowsOf for the rows that also pass keep, which knows what the database does not.
func rowsThat[V any](ctx context.Context, a *API, kind journal.Kind, where []query.Filter, keep func(journal.State) bool, limit int, after string, show viewOf[V]) ([]V, error) {
	out := make([]V, 0, limit)
	for rows, err := range query.Pages(ctx, a.Store, query.List{Kind: kind, Where: where, Order: query.Newest, Limit: limit}, id.ID(after)) {
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if !keep(r.State) {
				continue
			}
			v, err := show(a.query(ctx), r.State.Ref(), r)
			if err != nil {
				return nil, err
			}
			if out = append(out, v); len(out) == limit {
				return out, nil
			}
		}
	}
	return out, nil
}

func (a *API) upcoming(ctx context.Context, in *upcomingInput) ([]subscription.UpcomingOrder, error) {
	_, row, err := a.get(ctx, journal.Subscription, in.ID)
	if err != nil {
		return nil, err
	}
	s := row.State.(*subscription.Subscription)
	rd := program.NewReader(ctx, a.Store, a.Store.Read)
	general, err := journal.Get[settings.General](rd, journal.Settings, settings.PageGeneral)
	if err != nil {
		return nil, err
	}
	out, err := query.Upcoming(rd, s, settings.Today(general, a.now()), in.Count)
	return slice(out), err
}
