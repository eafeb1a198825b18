package team

import (
	"slices"
	"strings"
)

// Permission names one thing that may be done: "<area>.view" or "<area>.edit". Neither implies the other: a key that
// only sends events in holds events.edit and nothing else.
type Permission string

// The permissions, a closed list. Matrix says what each of them allows.
const (
	AnalyticsView       Permission = "analytics.view"
	SubscriptionsView   Permission = "subscriptions.view"
	SubscriptionsEdit   Permission = "subscriptions.edit"
	CustomersView       Permission = "customers.view"
	CustomersEdit       Permission = "customers.edit"
	PersonalDataView    Permission = "personal_data.view"
	PersonalDataEdit    Permission = "personal_data.edit"
	RevealedDataView    Permission = "revealed_data.view"
	ProductsView        Permission = "products.view"
	ProductsEdit        Permission = "products.edit"
	PlansView           Permission = "plans.view"
	PlansEdit           Permission = "plans.edit"
	DiscountsView       Permission = "discounts.view"
	DiscountsEdit       Permission = "discounts.edit"
	CancelFlowsView     Permission = "cancel_flows.view"
	CancelFlowsEdit     Permission = "cancel_flows.edit"
	NotificationsView   Permission = "notifications.view"
	NotificationsEdit   Permission = "notifications.edit"
	ExportsView         Permission = "exports.view"
	ExportsEdit         Permission = "exports.edit"
	ActivityLogView     Permission = "activity_log.view"
	ActivityLogEdit     Permission = "activity_log.edit"
	EventsView          Permission = "events.view"
	EventsEdit          Permission = "events.edit"
	AccountSettingsView Permission = "account_settings.view"
	AccountSettingsEdit Permission = "account_settings.edit"
	BillingSettingsView Permission = "billing_settings.view"
	BillingSettingsEdit Permission = "billing_settings.edit"
	PortalSettingsView  Permission = "portal_settings.view"
	PortalSettingsEdit  Permission = "portal_settings.edit"
	LogSettingsView     Permission = "log_settings.view"
	LogSettingsEdit     Permission = "log_settings.edit"
	TeamView            Permission = "team.view"
	TeamEdit            Permission = "team.edit"
	APIKeysView         Permission = "api_keys.view"
	APIKeysEdit         Permission = "api_keys.edit"
)

// retired are permissions that earlier builds offered and nothing ever asked for. They may stand in rows, and allow nothing.
var retired = []Permission{"analytics.edit", "bulk_operations.edit", "bulk_operations.view", "webhooks.edit", "webhooks.view"}

// Level is how much of an area a new team's members may do.
type Level int

// The levels.
const (
	Nothing Level = iota
	Look          // view
	Work          // view and edit
)

// Area is one row of the matrix of permissions.
type Area struct {
	View, Edit Permission // Edit is empty where there is nothing to change
	Label      string
	ToView     string // what View allows, as people read it
	ToEdit     string // what Edit allows
	AtFirst    Level  // what the defaults of a new team give a Member
}

// Matrix gives every permission there is, in the order in which people see them. What is not in it is denied.
func Matrix() []Area { return slices.Clone(matrix) }

var matrix = []Area{
	{AnalyticsView, "", "Analytics", "See the reports", "", Look},
	{
		SubscriptionsView,
		SubscriptionsEdit,
		"Subscriptions",
		"See subscriptions and their orders",
		"Change subscriptions; refund, fulfil and cancel orders",
		Work,
	},
	{
		CustomersView,
		CustomersEdit,
		"Customers",
		"See customers, their addresses and payment methods",
		"Change customers, enter their portal",
		Work,
	},
	{
		PersonalDataView,
		PersonalDataEdit,
		"Personal data",
		"See names, e-mail and addresses unmasked",
		"Erase a customer, hand out a customer's data",
		Look,
	},
	{
		RevealedDataView,
		"",
		"Personal data, one by one",
		"Without the line above: reveal one masked value of a customer, which is an entry",
		"",
		Nothing,
	},
	{ProductsView, ProductsEdit, "Products", "See products and variants", "Change products, variants, stock and upsells", Look},
	{PlansView, PlansEdit, "Plans", "See selling plans", "Change selling plans and their groups", Look},
	{DiscountsView, DiscountsEdit, "Discounts", "See discounts", "Make, change and deactivate discounts", Look},
	{CancelFlowsView, CancelFlowsEdit, "Cancel flows", "See cancel flows and reasons", "Change cancel flows and reasons", Look},
	{NotificationsView, NotificationsEdit, "Notifications", "See message templates", "Change, enable and disable message templates", Look},
	{ExportsView, ExportsEdit, "Exports", "See and download exports", "Ask for exports, download logs", Nothing},
	{ActivityLogView, ActivityLogEdit, "Activity log", "Read what the team did", "Undo entries of the activity log", Look},
	{EventsView, EventsEdit, "Events", "Read the timeline of everything, follow it live, get proofs", "Send events in from outside", Nothing},
	{
		AccountSettingsView,
		AccountSettingsEdit,
		"Account settings",
		"See the general settings",
		"Change name, zone, currency and locale of the shop",
		Nothing,
	},
	{
		BillingSettingsView,
		BillingSettingsEdit,
		"Billing settings",
		"See billing, recovery and shipping settings",
		"Change billing, recovery and shipping settings",
		Nothing,
	},
	{PortalSettingsView, PortalSettingsEdit, "Portal settings", "See what subscribers may do", "Change what subscribers may do", Nothing},
	{LogSettingsView, LogSettingsEdit, "Log settings", "See how long network data is kept", "Change how long network data is kept", Nothing},
	{TeamView, TeamEdit, "Team", "See the people of the team and what they may do", "Invite, change and remove people", Look},
	{APIKeysView, APIKeysEdit, "API keys", "See the API keys", "Make, change and revoke API keys", Nothing},
}

// Set is what somebody may do: sorted, without duplicates. The zero Set allows nothing.
type Set struct{ sorted []Permission }

// NewSet makes a set of permissions in any order. Those that are not in the matrix are kept, and allow nothing.
func NewSet(list []Permission) Set {
	s := slices.Clone(list)
	slices.Sort(s)
	return Set{slices.Compact(s)}
}

// everything is every permission of the matrix.
var everything = func() Set {
	var all []Permission
	for _, a := range matrix {
		all = append(all, a.View)
		if a.Edit != "" {
			all = append(all, a.Edit)
		}
	}
	return NewSet(all)
}()

// Everything is the set of all permissions.
func Everything() Set { return everything }

// Known says whether a permission is in the matrix.
func Known(p Permission) bool { return everything.has(p) }

// Allows says whether the set holds a permission of the matrix. Whatever else is asked for is denied.
func (s Set) Allows(p Permission) bool { return Known(p) && s.has(p) }

// List gives the permissions, sorted; never nil.
func (s Set) List() []Permission { return append([]Permission{}, s.sorted...) }

// Without gives what is in s and not in other.
func (s Set) Without(other Set) Set {
	var out []Permission
	for _, p := range s.sorted {
		if !other.has(p) {
			out = append(out, p)
		}
	}
	return Set{out}
}

func (s Set) has(p Permission) bool {
	_, ok := slices.BinarySearch(s.sorted, p)
	return ok
}

// DefaultPermissions gives what a new team's members may do: enough to serve subscribers, nothing that changes the
// account.
func DefaultPermissions() []Permission {
	var out []Permission
	for _, a := range matrix {
		if a.AtFirst >= Look {
			out = append(out, a.View)
		}
		if a.AtFirst >= Work {
			out = append(out, a.Edit)
		}
	}
	return NewSet(out).List()
}

// Effective is what a team member may do now. Nobody but an active member may do anything; d is the team's row and may
// be nil, which is a team whose defaults are empty.
func Effective(m *TeamMember, d *Defaults) Set {
	if m == nil || m.Status != Active {
		return Set{}
	}
	return promised(m, d)
}

// promised is what a person's role and override give, whether or not the person has joined.
func promised(m *TeamMember, d *Defaults) Set {
	switch {
	case m.Role == Owner || m.Role == Admin:
		return Everything()
	case m.Role != Member:
		return Set{}
	case m.Permissions != nil:
		return NewSet(*m.Permissions)
	case d != nil:
		return NewSet(d.DefaultPermissions)
	}
	return Set{}
}

// Holds is what an API key may do now: nothing once it is revoked.
func Holds(k *Key) Set {
	if k == nil || k.Status != Active {
		return Set{}
	}
	return NewSet(k.Permissions)
}

func (s Set) empty() bool { return len(s.sorted) == 0 }

// String lists the permissions, separated by commas.
func (s Set) String() string {
	words := make([]string, len(s.sorted))
	for i, p := range s.sorted {
		words[i] = string(p)
	}
	return strings.Join(words, ", ")
}
