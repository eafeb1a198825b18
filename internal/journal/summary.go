package journal

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Summary says in one plain sentence what an event did, from the event alone. Personal values never stand in it, so it
// can be searched and shown to everybody who may see the event. What an undo says begins with "Undid".
//
// Every sentence is in testdata/summaries.golden, which a test holds against events of the real rules.
func Summary(e *Event) string {
	words := sentences[e.Type]
	tell := words.did
	if e.Corrects != "" && words.undid != nil {
		tell = words.undid
	}
	if tell != nil {
		if s := tell(e); s != "" {
			return s
		}
	}
	if strings.HasPrefix(string(e.Type), External) {
		if s := strings.TrimSpace(text(detail(e, "summary"))); s != "" {
			return s
		}
	}
	t, ok := Lookup(e.Type)
	switch {
	case !ok:
		return string(e.Type)
	case e.Corrects != "":
		return "Undid a change: " + lowerFirst(t.Label)
	case e.TargetVersion > 1 && len(e.Changes) > 0:
		return t.Label + ": " + listed(fieldNames(e))
	}
	return t.Label
}

// sentence makes the summary of one type. A function may give nothing, when the event does not hold what it wants to
// say: the type's label stands in then.
type sentence struct {
	did   func(*Event) string
	undid func(*Event) string // of an event that corrects another one; only for types that undo something
}

// sentences has a row for each type that has more to say than its label.
var sentences = func() map[Name]sentence {
	all := map[Name]sentence{}
	for _, family := range []map[Name]sentence{accountSentences, customerSentences, cancelSentences, messageSentences, subscriptionSentences, orderSentences} {
		maps.Copy(all, family)
	}
	return all
}()

// says makes a sentence that is the same for every event.
func says(s string) sentence { return sentence{did: always(s)} }

func always(s string) func(*Event) string { return func(*Event) string { return s } }

// accountSentences are those of what the team does to the account.
var accountSentences = map[Name]sentence{
	TeamMemberLoggedIn:    {did: func(e *Event) string { return "Logged in" + form(" with %s", proofs[text(detail(e, "method"))]) }},
	TeamMemberLoginFailed: {did: failedLogIn},
	TeamMemberLoggedOut: {did: func(e *Event) string {
		return cmp.Or(endings[text(detail(e, "why"))], "Logged out")
	}},
	TeamMemberLinkCreated: {did: func(e *Event) string {
		s := "Made a one-time link"
		switch text(detail(e, "purpose")) {
		case "invitation":
			s = "Made a link for an invitation"
		case "new_password":
			s = "Made a link for a new password"
		}
		return s + form(", valid until %s", minute(detail(e, "expires_at")))
	}},
	TeamMemberSecondFactorEnabled:  {did: factor("Set up an authenticator app", "Added a passkey")},
	TeamMemberSecondFactorDisabled: {did: factor("Switched the authenticator app off", "Removed a passkey")},
	TeamMemberRecoveryCodeUsed: {did: func(e *Event) string {
		return "Used a recovery code: " + counted(number(afterOf(e, "recovery_codes")), "code") + " left"
	}},
	TeamPermissionsBulkUpdated: {did: bulkPermissions},
	TeamMemberInvited: {did: func(e *Event) string {
		return "Invited a team member" + form(" as %s", text(afterOf(e, "role")))
	}},
	TeamMemberJoined: {did: func(e *Event) string {
		return "Joined the team" + form(" as %s", text(afterOf(e, "role")))
	}},
	TeamMemberRemoved:            says("Removed a team member"),
	TeamMemberRoleChanged:        edits("a team member", of, "", ""),
	TeamMemberPermissionsUpdated: {did: ownPermissions, undid: ownPermissions},
	TeamMemberProfileUpdated:     edits("a team member", of, "", ""),
	TeamMemberPasswordChanged:    says("Set a new password"),
	TeamDefaultPermissionsUpdated: {
		did: func(e *Event) string {
			if e.TargetVersion == 1 {
				return "Set the default permissions of the team"
			}
			return edited(e, "the team", of, "")
		},
		undid: func(e *Event) string { return unedited(e, "the team", of, "", "") },
	},
	AccessDenied: {did: func(e *Event) string {
		s := "Was refused access to " + cmp.Or(text(detail(e, "path")), "a page")
		s += form(", which needs the permission to %s", permission(text(detail(e, "permission"))))
		if n := number(detail(e, "count")); n > 1 {
			s += fmt.Sprintf(" (%d times)", n)
		}
		return s
	}},

	ProductCreated:  {did: func(e *Event) string { return "Created the product" + called(e, "title") }},
	ProductUpdated:  edits("the product", of, "title", "archiving"),
	ProductArchived: says("Archived the product"),
	ProductSettingsUpdated: {
		did:   either("portal_visible", "Made the product visible in the portal", "Hid the product from the portal"),
		undid: either("portal_visible", "Undid hiding the product: the portal shows it again", "Undid showing the product: it is hidden from the portal again"),
	},
	ProductUpsellVariantSettingsUpdated: {
		did:   either("upsell", "Offered the product as a one-time addition", "Stopped offering the product as a one-time addition"),
		undid: either("upsell", "Undid the end of the upsell: the product is offered as a one-time addition again", "Undid the upsell: the product is no longer offered as a one-time addition"),
	},
	ProductUpsellDiscountUpdated: {
		did: func(e *Event) string {
			return fmt.Sprintf("Changed the discount of the product as a one-time addition from %d%% to %d%%", number(beforeOf(e, "upsell_discount")), number(afterOf(e, "upsell_discount")))
		},
		undid: func(e *Event) string {
			return fmt.Sprintf("Undid a change of the discount of the product as a one-time addition: it is %d%% again", number(afterOf(e, "upsell_discount")))
		},
	},
	ProductUpsellLimitUpdated: {
		did: func(e *Event) string {
			if n := number(afterOf(e, "upsell_limit")); n > 0 {
				return fmt.Sprintf("Limited the product as a one-time addition to %d in one order", n)
			}
			return "Removed the limit of the product as a one-time addition"
		},
		undid: func(e *Event) string {
			if n := number(afterOf(e, "upsell_limit")); n > 0 {
				return fmt.Sprintf("Undid a change of the limit of the product as a one-time addition: it is %d in one order again", n)
			}
			return "Undid the limit of the product as a one-time addition"
		},
	},
	VariantCreated: {did: func(e *Event) string {
		return "Added the variant" + called(e, "title") + form(" at %s", cash(afterOf(e, "price")))
	}},
	VariantUpdated:          edits("the variant", of, "title", "archiving"),
	VariantArchived:         says("Archived the variant"),
	VariantInventoryChanged: {did: inventory},
	SellingPlanGroupCreated: {did: func(e *Event) string { return "Created the selling plan group" + called(e, "name") }},
	SellingPlanGroupUpdated: edits("the selling plan group", of, "name", "deletion"),
	SellingPlanGroupDeleted: says("Deleted the selling plan group"),
	SellingPlanCreated: {did: func(e *Event) string {
		return "Created the selling plan" + called(e, "name") + form(", billed %s", every(afterOf(e, "billing_policy")))
	}},
	SellingPlanUpdated: edits("the selling plan", of, "name", "deletion"),
	SellingPlanDeleted: says("Deleted the selling plan"),
	DiscountCreated: {did: func(e *Event) string {
		return "Created the discount" + called(e, "code") + form(": %s", percentOff(afterOf(e, "kind"), afterOf(e, "value")))
	}},
	DiscountUpdated:     edits("the discount", of, "code", "deactivation"),
	DiscountDeactivated: says("Deactivated the discount"),
	DiscountRedeemed: {did: func(e *Event) string {
		if n := number(afterOf(e, "redemptions")); n > 0 {
			return "Redeemed the discount: " + counted(n, "use") + " so far"
		}
		return "Redeemed the discount"
	}},

	ProductSettingsBulkUpdated: {did: func(e *Event) string {
		n := counted(number(detail(e, "changed")), "product")
		return map[string]string{"shown": "Showed " + n + " in the portal", "hidden": "Hid " + n + " in the portal", "offered": "Offered " + n + " as an addition",
			"not_offered": "Offered " + n + " as an addition no longer", "archived": "Archived " + n}[text(detail(e, "setting"))]
	}},

	AccountSettingsUpdated:  edits("the account settings", in, "", ""),
	PortalSettingsUpdated:   edits("the portal settings", in, "", ""),
	BillingSettingsUpdated:  edits("the billing settings", in, "", ""),
	RecoverySettingsUpdated: edits("the recovery settings", in, "", ""),
	ShippingSettingsUpdated: edits("the shipping settings", in, "", ""),
	LogSettingsUpdated:      edits("the log settings", in, "", ""),

	APIKeyCreated: {did: func(e *Event) string { return "Created the API key" + called(e, "name") }},
	APIKeyUpdated: edits("the API key", of, "name", ""),
	APIKeyRevoked: says("Revoked the API key"),

	BillingCaughtUp: {did: func(e *Event) string {
		return "Caught up on orders that were due since " + day(detail(e, "since")) + ": " + counted(number(detail(e, "made")), "order") + " made, " +
			counted(number(detail(e, "skipped")), "order") + " skipped, of " + counted(number(detail(e, "subscriptions")), "subscription")
	}},
	BillingReconciled: {did: func(e *Event) string {
		said := "Compared " + counted(number(detail(e, "charges")), "charge") + " and " + counted(number(detail(e, "refunds")), "refund") + " of the gateway with the orders"
		if n := number(detail(e, "open")); n > 0 {
			return said + ": " + counted(n, "difference")
		}
		return said + ": they agree"
	}},
	NetworkDataExpired: {did: func(e *Event) string {
		month, err := time.Parse("2006-01", text(detail(e, "month")))
		if err != nil {
			return "Erased IP addresses and user agents that are kept no longer"
		}
		return "Erased the IP addresses and user agents of " + month.Format("January 2006") + ", which are kept no longer"
	}},
	ShopMoved: {did: func(e *Event) string {
		return fmt.Sprintf("Moved the shop to another database, where it goes on after entry %d", e.Seq)
	}},
	ShopRestoreNoticed: {did: func(e *Event) string {
		return "The gateway made " + counted(number(detail(e, "charges")), "charge") + " for this shop that the database knows nothing of" +
			form(": it is an older copy, and what was recorded after %s is missing", minute(detail(e, "missing_since")))
	}},
	ShopRestoreAccepted: {did: func(e *Event) string {
		if number(detail(e, "signed")) == 0 {
			return "Went on from a restored database" + form(": what was recorded after %s may be missing", minute(detail(e, "missing_since")))
		}
		return fmt.Sprintf("Went on from a restored database: a checkpoint over %d entries is given up", number(detail(e, "signed"))) +
			form(", and what was recorded after %s may be missing", minute(detail(e, "missing_since")))
	}},
	ShopClockAccepted: {did: func(e *Event) string {
		return "Took the server's clock for right" + form(", which said %s", minute(detail(e, "clock"))) + form("; the last entry was of %s", minute(detail(e, "last_entry")))
	}},
	ShopGatewayConnected: {did: func(e *Event) string {
		said := "Connected the " + account(e, "")
		if text(detail(e, "was_gateway")) == "" {
			return said
		}
		return said + ", in place of another account: the " + account(e, "was_")
	}},
	LogVerified: {did: func(e *Event) string {
		switch text(detail(e, "result")) {
		case "holds":
			return fmt.Sprintf("Verified all %d entries of the journal: everything holds", number(detail(e, "entries")))
		case "differs":
			return "Verified the whole journal, and found " + counted(number(detail(e, "differences")), "difference")
		}
		return "Began to verify the whole journal, and could not finish"
	}},
	LogGapFound: {did: func(e *Event) string {
		var said []string
		if n := seqs(detail(e, "hidden")); len(n) > 0 {
			said = append(said, "the index left out "+numbered(n))
		}
		if n := seqs(detail(e, "unreadable")); len(n) > 0 {
			said = append(said, "the database no longer gives "+numbered(n))
		}
		if text(detail(e, "found_by")) == "check" {
			return "Found in a check that " + strings.Join(said, ", and that ")
		}
		return "Found, while a log was read, that " + strings.Join(said, ", and that ")
	}},
	LogViewed: {did: func(e *Event) string { return "Viewed the " + logWords(text(detail(e, "log"))) }},
	LogExported: {did: func(e *Event) string {
		return "Downloaded the " + logWords(text(detail(e, "log"))) + form(" as %s", strings.ToUpper(text(detail(e, "format"))))
	}},
	PersonalDataRevealed:  {did: func(e *Event) string { return "Revealed " + revealed[text(detail(e, "value"))] }},
	CustomerDataRequested: says("Asked for a copy of the customer's data"),
	CustomerRedacted:      says("Erased the customer's personal data"),
	CustomerGatewayErased: {did: func(e *Event) string {
		s := "Deleted the customer, with name, e-mail address and cards, at the payment gateway"
		if number(detail(e, "customers")) == 0 {
			s = "Looked for the customer at the payment gateway, which keeps nothing of them"
		}
		return s + form("; what %s keeps has to be deleted there", strings.Join(texts(detail(e, "elsewhere")), " and "))
	}},
	CustomerGatewayErasureFailed: {did: func(e *Event) string {
		return "Could not delete the customer at the payment gateway" + form(" (%s)", strings.ReplaceAll(text(detail(e, "code")), "_", " ")) + "; it is tried again"
	}},
}

// account says what kind of account of a payment gateway it is, and nothing of its id.
func account(e *Event, prefix string) string {
	if text(detail(e, prefix+"gateway")) == "simulated" {
		return "simulated payment gateway"
	}
	return "payment gateway" + map[string]string{"live": " in live mode", "test": " in test mode"}[text(detail(e, prefix+"mode"))]
}

// customerSentences are those of a customer's own things.
var customerSentences = map[Name]sentence{
	CustomerMagicLinkCreated: {did: func(e *Event) string {
		return "Created a link into the portal" + form(", valid until %s", minute(detail(e, "expires_at")))
	}},
	CustomerLoginCodeSent: {did: func(e *Event) string {
		return "Sent a code to sign in" + form(", valid until %s", minute(detail(e, "expires_at")))
	}},
	CustomerLoginCodeRejected: {did: func(e *Event) string {
		return "Refused a code to sign in: " + map[string]string{"wrong": "it was wrong", "expired": "it was too old", "used": "it was used before", "too_many": "too many were tried"}[text(detail(e, "why"))]
	}},
	CustomerLoggedIn: {did: func(e *Event) string {
		return map[string]string{"code": "Signed in to the portal with a code", "link": "Signed in to the portal with a link", "view_as": "Opened the portal as the customer sees it"}[text(detail(e, "method"))]
	}},
	CustomerLoggedOut: {did: func(e *Event) string {
		if text(detail(e, "why")) == "revoked" {
			return "Ended a session in the portal"
		}
		return "Signed out of the portal"
	}},
	CustomerCreated:               says("Created the customer"),
	CustomerProfileUpdated:        edits("the customer", of, "", ""),
	CustomerEmailChanged:          {did: always("Changed the e-mail address"), undid: always("Undid the change of the e-mail address")},
	CustomerDefaultAddressChanged: points("the default address", "the customer", "default_address_id"),
	AddressAdded:                  {did: func(e *Event) string { return "Added an address" + form(" in %s", text(afterOf(e, "country"))) }},
	AddressUpdated:                edits("the address", of, "", "removal"),
	AddressRemoved:                says("Removed the address"),
	AddressRedacted:               says("Erased the address"),
	PaymentMethodAdded: {did: func(e *Event) string {
		s := "Added a payment method" + form(": %s", upperFirst(text(afterOf(e, "brand"))))
		if m, y := number(afterOf(e, "exp_month")), number(afterOf(e, "exp_year")); m > 0 && y > 0 {
			s += fmt.Sprintf(", valid to %02d/%d", m, y)
		}
		return s
	}},
	PaymentMethodUpdated:        edits("the payment method", of, "", "removal"),
	PaymentMethodRemoved:        says("Removed the payment method"),
	PaymentMethodDefaultChanged: points("the default payment method", "the customer", "default_payment_method_id"),
	PaymentMethodBackupSet:      points("the backup payment method", "the customer", "backup_payment_method_id"),
	PaymentMethodRedacted:       says("Erased the payment method"),
	PaymentMethodRefused:        says("The gateway refused the payment method for good: others are charged first from now on"),
	PaymentMethodAccepted:       says("The payment method works again"),
	PaymentMethodExpiring: {did: func(e *Event) string {
		month, err := time.Parse("2006-01", text(afterOf(e, "expiry_told")))
		if err != nil {
			return "The payment method expires soon"
		}
		return "The payment method expires at the end of " + month.Format("January 2006")
	}},
}

// either chooses between two sentences by what a yes-or-no field says now.
func either(field, yes, no string) func(*Event) string {
	return func(e *Event) string {
		switch string(afterOf(e, field)) {
		case "true":
			return yes
		case "false":
			return no
		}
		return ""
	}
}

// points is the sentence of a field that names another thing, whose id says nothing to people.
func points(what, whose, field string) sentence {
	return sentence{
		did: func(e *Event) string {
			switch was, is := text(beforeOf(e, field)), text(afterOf(e, field)); {
			case is == "" && was != "":
				return "Left " + whose + " without " + indefinite(what)
			case was == "":
				return "Set " + what
			}
			return "Changed " + what
		},
		undid: always("Undid the change of " + what),
	}
}

// follows is points for what a subscription takes from its customer when it has none of its own; so says what that means.
func follows(what, field, so string) sentence {
	s := points(what, "the subscription", field)
	did := s.did
	s.did = func(e *Event) string {
		if text(afterOf(e, field)) == "" {
			return "Removed the subscription's own " + strings.TrimPrefix(what, "the ") + ": " + so
		}
		return did(e)
	}
	return s
}

// ownPermissions is about the permissions that override the team's defaults for one person: null means that none do.
func ownPermissions(e *Event) string {
	was, is := beforeOf(e, "permissions"), afterOf(e, "permissions")
	if e.Corrects != "" {
		if was != nil && is != nil {
			return unedited(e, "a team member", of, "", "")
		}
		return "Undid the change of a team member's permissions" + map[bool]string{true: ": the team's defaults apply again"}[is == nil]
	}
	switch {
	case is == nil:
		return "Gave a team member the team's default permissions again"
	case was == nil:
		return "Gave a team member permissions of their own"
	}
	return edited(e, "a team member", of, "")
}

var proofs = map[string]string{
	"password": "a password", "authenticator_app": "a password and an authenticator app", "recovery_code": "a password and a recovery code",
	"passkey": "a passkey", "identity_provider": "the identity provider", "invitation": "an invitation", "setup": "the set-up link",
}

var endings = map[string]string{
	"revoked": "Logged a session out", "password_changed": "Was logged out by a new password", "removed": "Was logged out by leaving the team",
}

func failedLogIn(e *Event) string {
	s := "Failed to log in"
	switch text(detail(e, "why")) {
	case "unknown_email":
		s += ": the e-mail address is not in the team"
	case "wrong_password":
		s += ": the password was wrong"
	case "wrong_code":
		s += ": the code was wrong"
	case "wrong_passkey":
		s += ": the passkey was refused"
	case "identity_provider":
		s += ": the identity provider named nobody of the team"
	case "too_many":
		s += ": there were too many failures before"
	}
	if n := number(detail(e, "count")); n > 1 {
		s += fmt.Sprintf(" (%d times)", n)
	}
	return s
}

func factor(app, passkey string) func(*Event) string {
	return func(e *Event) string {
		return map[string]string{"authenticator_app": app, "passkey": passkey}[text(detail(e, "factor"))]
	}
}

func bulkPermissions(e *Event) string {
	who := counted(number(detail(e, "changed")), "team member")
	n := int64(0)
	var list []string
	if json.Unmarshal(detail(e, "permissions"), &list) == nil {
		n = int64(len(list))
	}
	switch text(detail(e, "mode")) {
	case "defaults":
		return "Gave " + who + " the team's default permissions again"
	case "add":
		return "Gave " + who + " " + counted(n, "permission") + " more"
	case "remove":
		return "Took " + counted(n, "permission") + " from " + who
	}
	return "Set the permissions of " + who
}

// inventory tells counting from selling: a change that mentions an order took pieces for it, or put them back.
func inventory(e *Event) string {
	was, is := beforeOf(e, "inventory"), afterOf(e, "inventory")
	switch {
	case was == nil && is == nil:
		return ""
	case was == nil:
		return fmt.Sprintf("Began to count the stock: %d", number(is))
	case is == nil:
		return fmt.Sprintf("Stopped counting the stock, which was %d", number(was))
	}
	by := number(is) - number(was)
	for _, t := range e.Targets {
		switch {
		case t.Kind != Order:
		case by < 0:
			return fmt.Sprintf("Took %d out of stock for an order: %d left", -by, number(is))
		default:
			return fmt.Sprintf("Put %d of an order back into stock: %d now", by, number(is))
		}
	}
	return fmt.Sprintf("Changed the stock from %d to %d", number(was), number(is))
}

// revealed names the values that can be revealed one by one.
var revealed = map[string]string{"name": "a customer's name", "email": "a customer's e-mail address", "phone": "a customer's telephone number", "address": "an address"}

func logWords(log string) string {
	switch log {
	case "customer":
		return "Customer Audit Log"
	case "subscription":
		return "Subscription Audit Log"
	case "explorer":
		return "explorer"
	}
	return "Activity Log"
}
