package view

import (
	"slices"

	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/team"
)

// UndoTypes are the types of the events that an undo can make.
func UndoTypes() []journal.Name {
	var out []journal.Name
	for _, t := range journal.Types() {
		if t.Undoable() && !slices.Contains(out, t.Undo) {
			out = append(out, t.Undo)
		}
	}
	return out
}

// UndoPermissions are what it takes to undo an event: first the one for changing what it is about.
func UndoPermissions(e *journal.Event) []team.Permission {
	t, _ := journal.Lookup(e.Type)
	p := editing(e.Target())
	if t.Log == journal.ActivityLog && p != team.ActivityLogEdit {
		return []team.Permission{p, team.ActivityLogEdit}
	}
	return []team.Permission{p}
}

// editing is the permission for changing a thing by hand. Of what nobody changes by hand it is that of the activity log,
// and the undo is refused for its own reason then.
func editing(ref journal.Ref) team.Permission {
	switch ref.Kind {
	case journal.Subscription, journal.Order:
		return team.SubscriptionsEdit
	case journal.Customer, journal.Address, journal.PaymentMethod:
		return team.CustomersEdit
	case journal.Product, journal.Variant:
		return team.ProductsEdit
	case journal.SellingPlanGroup, journal.SellingPlan:
		return team.PlansEdit
	case journal.Discount:
		return team.DiscountsEdit
	case journal.NotificationTemplate:
		return team.NotificationsEdit
	case journal.CancelFlow, journal.CancelReason:
		return team.CancelFlowsEdit
	case journal.Team, journal.TeamMember:
		return team.TeamEdit
	case journal.APIKey:
		return team.APIKeysEdit
	case journal.Settings:
		switch ref.ID {
		case settings.PageGeneral:
			return team.AccountSettingsEdit
		case settings.PagePortal:
			return team.PortalSettingsEdit
		case settings.PageCancelFlow:
			return team.CancelFlowsEdit
		case settings.PageLog:
			return team.LogSettingsEdit
		}
		return team.BillingSettingsEdit
	}
	return team.ActivityLogEdit
}
