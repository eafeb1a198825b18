package api

import (
	"net/http"
	"strings"
)

// operationNames are the ids of the operations that the rule of operationID would name badly.
var operationNames = map[string]string{
	"GET /team":                           "listTeamMembers",
	"POST /team":                          "inviteTeamMember",
	"GET /team/default-permissions":       "getDefaultPermissions",
	"PUT /team/default-permissions":       "setDefaultPermissions",
	"GET /logs/activity":                  "listActivityLog",
	"GET /customers/{id}/log":             "listCustomerLog",
	"GET /subscriptions/{id}/log":         "listSubscriptionLog",
	"GET /subscriptions/{id}/upcoming":    "listUpcomingOrders",
	"POST /subscriptions/{id}/items":      "addSubscriptionItem",
	"POST /subscriptions/{id}/discounts":  "applySubscriptionDiscount",
	"POST /subscriptions/{id}/frequency":  "changeSubscriptionFrequency",
	"POST /subscriptions/{id}/gift":       "giftSubscriptionOrder",
	"POST /subscriptions/{id}/order-now":  "orderSubscriptionNow",
	"POST /subscriptions/{id}/reschedule": "rescheduleSubscriptionOrder",
	"POST /subscriptions/{id}/skip":       "skipSubscriptionOrder",
	"POST /subscriptions/{id}/unskip":     "unskipSubscriptionOrder",
	"PUT /subscriptions/{id}/attributes":  "setSubscriptionAttributes",
	"GET /selling-plan-groups/{id}/plans": "listSellingPlans",
	"POST /customers/{id}/portal-link":    "createCustomerPortalLink",
	"POST /customers/{id}/data-request":   "requestCustomerData",
	"GET /cancel-flows/results":           "getCancelFlowResults",
	"GET /analytics/entries":              "listAnalyticsEntries",
	"GET /events/stream":                  "streamEvents",
	"POST /events":                        "ingestEvents",
	"GET /proofs/inclusion":               "getInclusionProof",
	"GET /proofs/consistency":             "getConsistencyProof",
}

// operationID names a route as a function of a client would be called: listOrders, getOrder, pauseSubscription,
// setSubscriptionNote, deleteCustomerAddress, getBillingSettings, getChurnReport.
func operationID(r route) string {
	if name, ok := operationNames[r.method+" "+r.path]; ok {
		return name
	}
	var names []string // of the path, without its parameters
	ofOne := false
	for part := range strings.SplitSeq(strings.Trim(r.path, "/"), "/") {
		if ofOne = strings.HasPrefix(part, "{"); !ofOne {
			names = append(names, part)
		}
	}
	last := names[len(names)-1]
	things := strings.HasSuffix(last, "s") && !strings.HasSuffix(last, "ss") && !ofOne && names[0] != "settings" && names[0] != "analytics"
	switch {
	case names[0] == "settings":
		names = []string{last + " ", "settings "} // the space keeps the plural
	case names[0] == "analytics":
		names = []string{last + " ", "report"}
	case r.method == http.MethodPost && !things: // an action
		return pascal(last, false) + chain(names[:len(names)-1])
	case r.method == http.MethodGet && things:
		return "list" + chain(names[:len(names)-1]) + pascal(last, true)
	}
	verb := map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPatch: "update", http.MethodPut: "set", http.MethodDelete: "delete"}[r.method]
	return verb + chain(names)
}

// chain is the name of the one thing that the names of a path lead to.
func chain(names []string) string {
	var out strings.Builder
	for _, name := range names {
		switch {
		case name == "team":
			name = "team-member"
		case name == "plans": // of a selling-plan-group
			out.Reset()
			name = "selling-plan"
		case strings.HasSuffix(name, "sses"):
			name = strings.TrimSuffix(name, "es")
		case strings.HasSuffix(name, "s") && !strings.HasSuffix(name, "ss"):
			name = strings.TrimSuffix(name, "s")
		}
		out.WriteString(pascal(name, true))
	}
	return out.String()
}

// pascal joins the words of a name: payment-methods is PaymentMethods, and paymentMethods without the first capital.
func pascal(name string, first bool) string {
	var out strings.Builder
	for i, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' || r == ' ' }) {
		switch {
		case i == 0 && !first:
			out.WriteString(word)
		case word == "api" || word == "mrr":
			out.WriteString(strings.ToUpper(word))
		default:
			out.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return out.String()
}
