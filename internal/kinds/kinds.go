// Package kinds has one row for each kind of thing: how it becomes a row of a table, who may read and change it, its page, its name, and
// what may be undone of it. program runs commands and knows no kind; it is handed the rows (Mappings).
package kinds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"perennial/internal/billing"
	"perennial/internal/cancelflow"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/message"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/team"
)

// Kind is a kind of thing: everything that the house knows of it beside its rules. A new kind is a row in All.
type Kind struct {
	store.Mapping // how it becomes a row, and the names that it holds

	Look, Edit func(key id.ID) team.Permission // to read it, and to change it by hand; a nil Edit: nobody does
	Page       string                          // the address of its page in the Dashboard, before its id; empty: it has none

	// Called is what it is called today. A nil one: its kind's name will do.
	Called func(s journal.State, n Names) string
	// Naming are the fields that its name is made of, of an address all that stand on a parcel, and Renames the types of entries that
	// can change them.
	Naming  []string
	Renames []journal.Name

	// Undo refuses to put back what the domain does not allow, and sets in the restored state what goes with the change. Restore asks the
	// rest of the shop, where a change touches more than its own row.
	Undo    func(e *journal.Event, now time.Time, current, restored journal.State, general *settings.General) error
	Restore func(r journal.Reader, w UndoWorld, actor journal.Actor, restored journal.State) ([]journal.Reservation, error)
}

// Names writes personal parts of names as their reader may see them.
type Names interface {
	// Person joins the parts of a name; other stands in when all of them are empty.
	Person(what string, other journal.Personal[string], parts ...journal.Personal[string]) string
	// Text is a personal text.
	Text(p journal.Personal[string]) string
}

// Of gives the row of a kind. A kind without states, which is only observed, has a row that knows nothing.
func Of(k journal.Kind) Kind { return byKind[k] }

// Mappings says how the states of every kind become rows.
func Mappings() []store.Mapping {
	out := make([]store.Mapping, len(All))
	for i, k := range All {
		out[i] = k.Mapping
	}
	return out
}

var byKind = func() map[journal.Kind]Kind {
	out := map[journal.Kind]Kind{}
	for _, k := range All {
		out[k.Kind] = k
	}
	return out
}()

// All is the table of kinds.
var All = []Kind{
	{
		Mapping: store.Mapping{
			Kind:    journal.Subscription,
			Fresh:   fresh[subscription.Subscription],
			Columns: []string{"status", "customer_id", "due_date", "next_billing_date", "product_ids"},
			Values: of(func(v *subscription.Subscription) []any {
				return []any{string(v.Status), string(v.CustomerID), date(DueDate(v)), date(v.NextBillingDate), productIDs(v)}
			}),
		},
		Look:   always(team.SubscriptionsView),
		Edit:   always(team.SubscriptionsEdit),
		Page:   "/subscriptions/",
		Called: called(func(v *subscription.Subscription, _ Names) string { return Contents(v) }),
		Naming: []string{
			"items",
		},
		Renames: []journal.Name{
			journal.SubscriptionItemAdded,
			journal.SubscriptionItemRemoved,
			journal.SubscriptionItemQuantityChanged,
			journal.SubscriptionItemSwapped,
			journal.SubscriptionOneTimeItemAdded,
			journal.SubscriptionOneTimeItemRemoved,
			journal.SubscriptionRenewed,
			journal.SubscriptionMerged,
			journal.SubscriptionSplit,
		},
		Undo:    subscription.Undo,
		Restore: restoreSubscription,
	},
	{
		Mapping: store.Mapping{Kind: journal.Customer, Fresh: fresh[customer.Customer], Columns: []string{"status", "gateway_data"},
			Values:   of(func(v *customer.Customer) []any { return []any{string(v.Status), gatewayData(v)} }),
			Reserves: func(s journal.State) []journal.Reservation { return customer.Reserves(s.(*customer.Customer)) }},
		Look: always(team.CustomersView),
		Edit: always(team.CustomersEdit),
		Page: "/customers/",
		Called: called(func(v *customer.Customer, n Names) string {
			return n.Person("customer", v.Email, v.FirstName, v.LastName)
		}),
		Naming: []string{
			"first_name",
			"last_name",
			"email",
		},
		Renames: []journal.Name{journal.CustomerProfileUpdated, journal.CustomerEmailChanged},
		Undo:    customer.Undo,
		Restore: restoreCustomer,
	},
	{
		Mapping: store.Mapping{Kind: journal.Address, Fresh: fresh[customer.Address], Columns: []string{"status", "customer_id"},
			Values: of(func(v *customer.Address) []any { return []any{v.Status, string(v.CustomerID)} })},
		Look: always(team.CustomersView), Edit: always(team.CustomersEdit),
		Called:  called(func(v *customer.Address, n Names) string { return n.Person("address", v.City, v.Line1) }),
		Naming:  []string{"first_name", "last_name", "company", "line1", "line2", "city", "region", "postal_code", "country", "phone"},
		Renames: []journal.Name{journal.AddressUpdated},
		Undo:    customer.Undo,
		Restore: restoreCustomer,
	},
	{
		Mapping: store.Mapping{Kind: journal.PaymentMethod, Fresh: fresh[customer.PaymentMethod], Columns: []string{"status", "customer_id"},
			Values: of(func(v *customer.PaymentMethod) []any { return []any{v.Status, string(v.CustomerID)} })},
		Look: always(team.CustomersView), Edit: always(team.CustomersEdit),
		Called: called(card),
		Naming: []string{"brand", "gateway", "last4"}, Renames: []journal.Name{journal.PaymentMethodUpdated},
		Undo:    customer.Undo,
		Restore: restoreCustomer,
	},
	{
		Mapping: store.Mapping{
			Kind:    journal.Order,
			Fresh:   fresh[billing.Order],
			Columns: []string{"status", "customer_id", "subscription_id", "open_attempt", "paid"},
			Values: of(func(v *billing.Order) []any {
				return []any{string(v.Status), string(v.CustomerID), string(v.SubscriptionID), openAttempt(v), billing.Received(v).Minor}
			}),
			Reserves: func(s journal.State) []journal.Reservation { return billing.Reserves(s.(*billing.Order)) },
		},
		Look:   always(team.SubscriptionsView),
		Edit:   always(team.SubscriptionsEdit),
		Page:   "/orders/",
		Called: called(func(v *billing.Order, _ Names) string { return "Order " + v.Number }),
	},
	{
		Mapping: store.Mapping{Kind: journal.Product, Fresh: fresh[catalog.Product], Columns: []string{"status"},
			Values: of(func(v *catalog.Product) []any { return []any{string(v.Status)} })},
		Look: always(team.ProductsView), Edit: always(team.ProductsEdit),
		Page:   "/products/",
		Called: called(func(v *catalog.Product, _ Names) string { return v.Title }),
		Naming: []string{"title"}, Renames: []journal.Name{journal.ProductUpdated},
		Undo: catalog.Undo,
	},
	{
		Mapping: store.Mapping{Kind: journal.Variant, Fresh: fresh[catalog.Variant], Columns: []string{"status", "product_id"},
			Values: of(func(v *catalog.Variant) []any { return []any{string(v.Status), string(v.ProductID)} })},
		Look: always(team.ProductsView), Edit: always(team.ProductsEdit),
		Called: called(func(v *catalog.Variant, _ Names) string { return v.Title }),
		Naming: []string{"title"}, Renames: []journal.Name{journal.VariantUpdated},
		Undo: catalog.Undo,
	},
	{
		Mapping: store.Mapping{Kind: journal.SellingPlanGroup, Fresh: fresh[catalog.Group], Columns: []string{"status"},
			Values: of(func(v *catalog.Group) []any { return []any{string(v.Status)} })},
		Look: always(team.PlansView), Edit: always(team.PlansEdit),
		Page:   "/plans/",
		Called: called(func(v *catalog.Group, _ Names) string { return v.Name }),
		Naming: []string{"name"}, Renames: []journal.Name{journal.SellingPlanGroupUpdated},
		Undo: catalog.Undo,
	},
	{
		Mapping: store.Mapping{Kind: journal.SellingPlan, Fresh: fresh[catalog.Plan], Columns: []string{"status", "group_id"},
			Values: of(func(v *catalog.Plan) []any { return []any{string(v.Status), string(v.GroupID)} })},
		Look: always(team.PlansView), Edit: always(team.PlansEdit),
		Called: called(func(v *catalog.Plan, _ Names) string { return v.Name }),
		Naming: []string{"name"}, Renames: []journal.Name{journal.SellingPlanUpdated},
		Undo: catalog.Undo,
	},
	{
		Mapping: store.Mapping{Kind: journal.Discount, Fresh: fresh[catalog.Discount], Columns: []string{"status"},
			Values:   of(func(v *catalog.Discount) []any { return []any{string(v.Status)} }),
			Reserves: func(s journal.State) []journal.Reservation { return catalog.Reserves(s.(*catalog.Discount)) }},
		Look: always(team.DiscountsView), Edit: always(team.DiscountsEdit),
		Page:   "/discounts/",
		Called: called(func(v *catalog.Discount, _ Names) string { return v.Code }),
		Naming: []string{"code"}, Renames: []journal.Name{journal.DiscountUpdated},
		Undo: catalog.Undo,
	},
	{
		Mapping: store.Mapping{Kind: journal.Settings, Fresh: freshSettings, Values: none},
		Look:    settingsLook, Edit: settingsEdit,
		Page: "/settings/",
		Undo: settings.Undo,
	},
	{
		Mapping: store.Mapping{Kind: journal.Team, Fresh: fresh[team.Defaults], Values: none},
		Look:    always(team.TeamView), Edit: always(team.TeamEdit),
		Undo:    team.Undo,
		Restore: restoreTeam,
	},
	{
		Mapping: store.Mapping{Kind: journal.TeamMember, Fresh: fresh[team.TeamMember], Columns: []string{"status", "role"},
			Values:   of(func(v *team.TeamMember) []any { return []any{string(v.Status), string(v.Role)} }),
			Reserves: func(s journal.State) []journal.Reservation { return team.Reserves(s.(*team.TeamMember)) }},
		Look: always(team.TeamView), Edit: always(team.TeamEdit),
		Page:   "/team/",
		Called: called(func(v *team.TeamMember, n Names) string { return n.Person("team member", v.Email, v.Name) }),
		Naming: []string{"name", "email"}, Renames: []journal.Name{journal.TeamMemberProfileUpdated, journal.TeamMemberJoined},
		Undo:    team.Undo,
		Restore: restoreTeam,
	},
	{
		Mapping: store.Mapping{Kind: journal.APIKey, Fresh: fresh[team.Key], Columns: []string{"status"},
			Values: of(func(v *team.Key) []any { return []any{string(v.Status)} })},
		Look: always(team.APIKeysView), Edit: always(team.APIKeysEdit),
		Page:   "/api-keys",
		Called: called(func(v *team.Key, _ Names) string { return v.Name }),
		Naming: []string{"name"}, Renames: []journal.Name{journal.APIKeyUpdated},
		Undo:    team.Undo,
		Restore: restoreTeam,
	},
	{
		Mapping: store.Mapping{Kind: journal.NotificationTemplate, Fresh: fresh[message.Template], Values: none},
		Look:    always(team.NotificationsView), Edit: always(team.NotificationsEdit),
		Undo: message.Undo,
	},
	{
		Mapping: store.Mapping{Kind: journal.CancelFlow, Fresh: fresh[cancelflow.Flow], Columns: []string{"status"},
			Values: of(func(v *cancelflow.Flow) []any { return []any{string(v.Status)} })},
		Look: always(team.CancelFlowsView), Edit: always(team.CancelFlowsEdit),
		Called: called(func(v *cancelflow.Flow, _ Names) string { return v.Name }),
		Naming: []string{"name"}, Renames: []journal.Name{journal.CancelFlowUpdated},
		Undo: cancelflow.Undo,
	},
	{
		Mapping: store.Mapping{Kind: journal.CancelReason, Fresh: fresh[cancelflow.Reason], Columns: []string{"status", "flow_id"},
			Values: of(func(v *cancelflow.Reason) []any { return []any{string(v.Status), string(v.FlowID)} })},
		Look: always(team.CancelFlowsView), Edit: always(team.CancelFlowsEdit),
		Called: called(func(v *cancelflow.Reason, _ Names) string { return v.Label }),
		Naming: []string{"label"}, Renames: []journal.Name{journal.CancelReasonUpdated},
		Undo: cancelflow.Undo,
	},
	{
		Mapping: store.Mapping{Kind: journal.CancelSession, Fresh: fresh[cancelflow.Session], Columns: []string{"status", "customer_id"},
			Values: of(func(v *cancelflow.Session) []any { return []any{string(v.Status), string(v.CustomerID)} })},
	},
}

func fresh[T any, P interface {
	*T
	journal.State
}](id.ID) journal.State {
	return P(new(T))
}

func freshSettings(page id.ID) journal.State {
	switch page {
	case settings.PageBilling:
		return new(settings.Billing)
	case settings.PageRecovery:
		return new(settings.Recovery)
	case settings.PageShipping:
		return new(settings.Shipping)
	case settings.PagePortal:
		return new(settings.Portal)
	case settings.PageLog:
		return new(settings.Log)
	case settings.PageCancelFlow:
		return new(settings.CancelFlow)
	}
	return new(settings.General)
}

// settingsMatrix are the permissions for pages of settings; billing's are those of any other page.
var settingsMatrix = map[id.ID][2]team.Permission{
	settings.PageGeneral:    {team.AccountSettingsView, team.AccountSettingsEdit},
	settings.PagePortal:     {team.PortalSettingsView, team.PortalSettingsEdit},
	settings.PageCancelFlow: {team.CancelFlowsView, team.CancelFlowsEdit},
	settings.PageLog:        {team.LogSettingsView, team.LogSettingsEdit},
}

func settingsLook(page id.ID) team.Permission { return settingsOf(page)[0] }
func settingsEdit(page id.ID) team.Permission { return settingsOf(page)[1] }

func settingsOf(page id.ID) [2]team.Permission {
	if p, ok := settingsMatrix[page]; ok {
		return p
	}
	return [2]team.Permission{team.BillingSettingsView, team.BillingSettingsEdit}
}

func always(p team.Permission) func(id.ID) team.Permission {
	return func(id.ID) team.Permission { return p }
}

// of makes a rule about one type a rule about states.
func of[S journal.State](f func(S) []any) func(journal.State) []any {
	return func(s journal.State) []any { return f(s.(S)) }
}

func called[S journal.State](f func(S, Names) string) func(journal.State, Names) string {
	return func(s journal.State, n Names) string { return f(s.(S), n) }
}

func card(m *customer.PaymentMethod, n Names) string {
	if m.Last4.Erased || m.Last4.Value == "" {
		return upperFirst(cmp.Or(m.Brand, m.Gateway))
	}
	return upperFirst(m.Brand) + " " + n.Text(m.Last4)
}

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(string(r)) + s[n:]
}

// Contents says what is in a subscription: "2 × Coffee and 1 more".
func Contents(s *subscription.Subscription) string {
	if len(s.Items) == 0 {
		return "Subscription"
	}
	t := fmt.Sprintf("%d × %s", s.Items[0].Quantity, s.Items[0].Title)
	if n := len(s.Items) - 1; n > 0 {
		t += fmt.Sprintf(" and %d more", n)
	}
	return t
}

func restoreSubscription(r journal.Reader, w UndoWorld, _ journal.Actor, restored journal.State) ([]journal.Reservation, error) {
	return nil, subscription.Restore(r, w.Later, w.Current.(*subscription.Subscription), restored.(*subscription.Subscription))
}

func restoreCustomer(r journal.Reader, w UndoWorld, _ journal.Actor, restored journal.State) ([]journal.Reservation, error) {
	return customer.Restore(r, w.Current, restored)
}

func restoreTeam(r journal.Reader, w UndoWorld, actor journal.Actor, restored journal.State) ([]journal.Reservation, error) {
	return team.Restore(r, actor, w.Current, restored)
}

func none(journal.State) []any { return nil }

func date(d *civil.Date) any {
	if d == nil {
		return nil
	}
	return d.String()
}

// DueDate is the next day on which the engine has something to do for a subscription, nil when there is none: the
// column due_date.
func DueDate(s *subscription.Subscription) *civil.Date {
	switch s.Status {
	case subscription.Active:
		return s.NextBillingDate
	case subscription.Paused:
		return s.PausedUntil
	case subscription.Failed:
		if s.Recovery != nil {
			return s.Recovery.Due()
		}
	}
	return nil
}

// productIDs is the list of products in a subscription as one text, "|prod_a|prod_b|", that a LIKE can look into.
func productIDs(s *subscription.Subscription) string {
	var ids []string
	for _, it := range s.Items {
		if !slices.Contains(ids, string(it.ProductID)) {
			ids = append(ids, string(it.ProductID))
		}
	}
	slices.Sort(ids)
	return "|" + strings.Join(ids, "|") + "|"
}

// gatewayData is what is still to be deleted of an erased customer at the gateway.
func gatewayData(c *customer.Customer) any {
	if c.GatewayData == customer.GatewayDataDue || c.GatewayData == customer.GatewayDataFailing {
		return c.GatewayData
	}
	return nil
}

// openAttempt is what of an order waits for the gateway: a charge, or a refund.
func openAttempt(o *billing.Order) any {
	if a, ok := billing.OpenAttempt(o); ok {
		return string(a.ID)
	}
	if r, _, ok := billing.OpenRepayment(o); ok {
		return r.Key(o.ID)
	}
	return nil
}
