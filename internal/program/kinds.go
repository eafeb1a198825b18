package program

import (
	"slices"
	"strings"

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

// Mappings says how the states of every kind become rows: the one place where the domain meets the tables.
func Mappings() []store.Mapping {
	return []store.Mapping{
		{Kind: journal.Subscription, Fresh: fresh[subscription.Subscription], Columns: []string{"status", "customer_id", "due_date", "next_billing_date", "product_ids"},
			Values: func(s journal.State) []any {
				v := s.(*subscription.Subscription)
				return []any{string(v.Status), string(v.CustomerID), date(DueDate(v)), date(v.NextBillingDate), productIDs(v)}
			}},
		{Kind: journal.Customer, Fresh: fresh[customer.Customer], Columns: []string{"status", "gateway_data"},
			Values: func(s journal.State) []any {
				v := s.(*customer.Customer)
				return []any{string(v.Status), gatewayData(v)}
			},
			Reserves: func(s journal.State) []journal.Reservation { return customer.Reserves(s.(*customer.Customer)) }},
		{Kind: journal.Address, Fresh: fresh[customer.Address], Columns: []string{"status", "customer_id"},
			Values: func(s journal.State) []any {
				v := s.(*customer.Address)
				return []any{v.Status, string(v.CustomerID)}
			}},
		{Kind: journal.PaymentMethod, Fresh: fresh[customer.PaymentMethod], Columns: []string{"status", "customer_id"},
			Values: func(s journal.State) []any {
				v := s.(*customer.PaymentMethod)
				return []any{v.Status, string(v.CustomerID)}
			}},
		{Kind: journal.Order, Fresh: fresh[billing.Order], Columns: []string{"status", "customer_id", "subscription_id", "open_attempt", "paid"},
			Values: func(s journal.State) []any {
				v := s.(*billing.Order)
				return []any{string(v.Status), string(v.CustomerID), string(v.SubscriptionID), openAttempt(v), billing.Received(v).Minor}
			},
			Reserves: func(s journal.State) []journal.Reservation { return billing.Reserves(s.(*billing.Order)) }},
		{Kind: journal.Product, Fresh: fresh[catalog.Product], Columns: []string{"status"},
			Values: func(s journal.State) []any { return []any{string(s.(*catalog.Product).Status)} }},
		{Kind: journal.Variant, Fresh: fresh[catalog.Variant], Columns: []string{"status", "product_id"},
			Values: func(s journal.State) []any {
				v := s.(*catalog.Variant)
				return []any{string(v.Status), string(v.ProductID)}
			}},
		{Kind: journal.SellingPlanGroup, Fresh: fresh[catalog.Group], Columns: []string{"status"},
			Values: func(s journal.State) []any { return []any{string(s.(*catalog.Group).Status)} }},
		{Kind: journal.SellingPlan, Fresh: fresh[catalog.Plan], Columns: []string{"status", "group_id"},
			Values: func(s journal.State) []any {
				v := s.(*catalog.Plan)
				return []any{string(v.Status), string(v.GroupID)}
			}},
		{Kind: journal.Discount, Fresh: fresh[catalog.Discount], Columns: []string{"status"},
			Values:   func(s journal.State) []any { return []any{string(s.(*catalog.Discount).Status)} },
			Reserves: func(s journal.State) []journal.Reservation { return catalog.Reserves(s.(*catalog.Discount)) }},
		{Kind: journal.Settings, Fresh: freshSettings, Values: none},
		{Kind: journal.Team, Fresh: fresh[team.Defaults], Values: none},
		{Kind: journal.TeamMember, Fresh: fresh[team.TeamMember], Columns: []string{"status", "role"},
			Values: func(s journal.State) []any {
				v := s.(*team.TeamMember)
				return []any{string(v.Status), string(v.Role)}
			},
			Reserves: func(s journal.State) []journal.Reservation { return team.Reserves(s.(*team.TeamMember)) }},
		{Kind: journal.APIKey, Fresh: fresh[team.Key], Columns: []string{"status"},
			Values: func(s journal.State) []any { return []any{string(s.(*team.Key).Status)} }},
		{Kind: journal.NotificationTemplate, Fresh: fresh[message.Template], Values: none},
		{Kind: journal.CancelFlow, Fresh: fresh[cancelflow.Flow], Columns: []string{"status"},
			Values: func(s journal.State) []any { return []any{string(s.(*cancelflow.Flow).Status)} }},
		{Kind: journal.CancelReason, Fresh: fresh[cancelflow.Reason], Columns: []string{"status", "flow_id"},
			Values: func(s journal.State) []any {
				v := s.(*cancelflow.Reason)
				return []any{string(v.Status), string(v.FlowID)}
			}},
		{Kind: journal.CancelSession, Fresh: fresh[cancelflow.Session], Columns: []string{"status", "customer_id"},
			Values: func(s journal.State) []any {
				v := s.(*cancelflow.Session)
				return []any{string(v.Status), string(v.CustomerID)}
			}},
	}
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
