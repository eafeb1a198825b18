package journal

import (
	"cmp"
	"slices"
	"strings"
)

// LogName names the log that a type belongs to.
type LogName string

// The three logs.
const (
	ActivityLog     LogName = "activity"
	CustomerLog     LogName = "customer"
	SubscriptionLog LogName = "subscription"
)

// Name is the name of a type of event: noun.verb_in_the_past. Every name in the catalogue is a constant here, so that a wrong one does not
// compile; what comes from outside is looked up.
type Name string

// Type is one row of the catalogue.
type Type struct {
	Name     Name     // noun.verb_in_the_past; never changed or reused
	Label    string   // what a person reads in filters
	Log      LogName  // the log that it belongs to
	Category string   // the group of types in filters
	Target   Kind     // the kind of the primary target
	Mentions []Kind   // the kinds that it may mention besides
	Fields   []string // the state fields that its changes may touch; All for every field of the target
	Details  []string // the members its details may have
	Undo     Name     // the type of the event that undoes it; empty when it cannot be undone
	NoUndo   string   // why it cannot be undone, as a sentence; a general one stands in when empty
	Destroys string   // the class of the key that goes with it: its target's, or that of the month in its details
	Hidden   bool     // not shown in lists unless asked for by type
	Since    string   // the version of the program that first wrote it
	Version  int      // the type_version written today
}

// All stands for every field of the target's state.
const All = "*"

// External is the family of events that come in from outside: external.<name>.
const External = "external."

// Texts gives names as plain texts.
func Texts(names []Name) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}

// Lookup gives the catalogue's row of a type. An external type, whose name its source chose, has a row made from the
// family's.
func Lookup(name Name) (Type, bool) {
	if i, ok := slices.BinarySearchFunc(sorted, name, func(t Type, n Name) int { return cmp.Compare(t.Name, n) }); ok {
		return sorted[i], true
	}
	if ext, ok := strings.CutPrefix(string(name), External); ok && ext != "" {
		t := externalType
		t.Name = name
		t.Label = "External: " + strings.ReplaceAll(ext, "_", " ")
		return t, true
	}
	return Type{}, false
}

// Types gives the whole catalogue in the order in which it is declared; external.* stands for its family.
func Types() []Type { return append(slices.Clone(catalogue), externalType) }

// Undoable says whether an event of the type can be undone at all.
func (t Type) Undoable() bool { return t.Undo != "" }

// In says whether entries of the type can stand in a log: in the Activity Log by the type alone, in the other two whenever the entry names the
// customer or the subscription, unless it tells of the reading of a log.
func (t Type) In(log LogName) bool {
	names := func(k Kind) bool { return t.Family() != "log" && (t.Target == k || slices.Contains(t.Mentions, k)) }
	switch log {
	case CustomerLog:
		return names(Customer)
	case SubscriptionLog:
		return names(Subscription)
	}
	return t.Log == log
}

// Family is the first half of the name: "subscription" of "subscription.paused".
func (t Type) Family() string {
	f, _, _ := strings.Cut(string(t.Name), ".")
	return f
}

var sorted = func() []Type {
	s := slices.Clone(catalogue)
	slices.SortFunc(s, func(a, b Type) int { return cmp.Compare(a.Name, b.Name) })
	return s
}()

var externalType = Type{
	Name: External + "*", Label: "External event", Log: CustomerLog, Category: "external", Target: Source,
	Mentions: []Kind{Customer, Subscription, Order, Product, Variant},
	Details:  []string{"source", "summary", "details", "idempotency_key"}, Since: "0.1", Version: 1,
	NoUndo: "It tells what happened elsewhere; undo it there.",
}

func activity(category string, name Name, label string, target Kind, fields ...string) Type {
	return Type{Name: name, Label: label, Log: ActivityLog, Category: category, Target: target, Fields: fields, Since: "0.1", Version: 1}
}

func forCustomer(category string, name Name, label string, target Kind, fields ...string) Type {
	t := activity(category, name, label, target, fields...)
	t.Log = CustomerLog
	if target != Customer {
		t.Mentions = []Kind{Customer}
	}
	return t
}

func forSubscription(category string, name Name, label string, fields ...string) Type {
	t := activity(category, name, label, Subscription, fields...)
	t.Log = SubscriptionLog
	t.Mentions = []Kind{Customer, Order, SellingPlan, Variant, Discount, Address, PaymentMethod, Subscription}
	return t
}

func forOrder(category string, name Name, label string, fields ...string) Type {
	t := forSubscription(category, name, label, fields...)
	t.Target = Order
	t.Mentions = []Kind{Customer, Subscription, PaymentMethod, Discount}
	return t
}

func forCancelSession(name Name, label string) Type {
	return forCustomer("cancel_session", name, label, CancelSession, All).mentions(Subscription, Customer, CancelFlow, CancelReason).never("It tells what was said; undo what came of it.")
}

func (t Type) undo(by Name) Type            { t.Undo = by; return t }
func (t Type) destroys(class string) Type   { t.Destroys = class; return t }
func (t Type) undoSelf() Type               { t.Undo = t.Name; return t }
func (t Type) never(why string) Type        { t.NoUndo = why; return t }
func (t Type) details(names ...string) Type { t.Details = names; return t }
func (t Type) mentions(kinds ...Kind) Type  { t.Mentions = kinds; return t }
func (t Type) in(log LogName) Type          { t.Log = log; return t }
func (t Type) hidden() Type                 { t.Hidden = true; return t }

// catalogue is the closed list of types. Filters, labels, the API's list, the documentation page and the tests are
// made from it.
var catalogue = []Type{
	// People
	activity("people", TeamMemberLoggedIn, "Logged in", Session).details("method").mentions(TeamMember),
	activity("people", TeamMemberLoginFailed, "Failed to log in", SignIn).details("why", "count", "email").mentions(TeamMember),
	activity("people", TeamMemberLoggedOut, "Logged out", Session).details("why").mentions(TeamMember),
	activity("people", TeamMemberInvited, "Invited a team member", TeamMember, All),
	activity("people", TeamMemberJoined, "Joined the team", TeamMember, All),
	activity("people", TeamMemberRemoved, "Removed a team member", TeamMember, "status"),
	activity("people", TeamMemberRoleChanged, "Changed a role", TeamMember, "role").undoSelf(),
	activity("people", TeamMemberPermissionsUpdated, "Updated a team member's permissions", TeamMember, "permissions").undoSelf(),
	activity("people", TeamMemberProfileUpdated, "Updated a team member's profile", TeamMember, "name", "email").undoSelf(),
	activity("people", TeamMemberPasswordChanged, "Changed a password", TeamMember).never("A password cannot be put back: only its fingerprint was kept."),
	activity("people", TeamMemberLinkCreated, "Made a one-time link", SignIn).details("purpose", "expires_at").mentions(TeamMember).
		never("A link ends by itself, or with the next one that is made."),
	activity("people", TeamMemberSecondFactorEnabled, "Switched a second factor on", TeamMember, "authenticator_app", "recovery_codes", "passkeys").
		details("factor").never("Switch the second factor off instead."),
	activity("people", TeamMemberSecondFactorDisabled, "Switched a second factor off", TeamMember, "authenticator_app", "recovery_codes", "passkeys").
		details("factor").never("A second factor cannot be put back: set it up again."),
	activity("people", TeamMemberRecoveryCodeUsed, "Used a recovery code", TeamMember, "recovery_codes").never("A recovery code is used once."),
	activity("people", TeamPermissionsBulkUpdated, "Bulk-updated team permissions", Operation).details("mode", "permissions", "changed").mentions(TeamMember).
		never("Undo the change of each person."),
	activity("people", TeamDefaultPermissionsUpdated, "Updated the default permissions", Team, "default_permissions").undoSelf(),
	activity("people", AccessDenied, "Was refused access", Session).details("permission", "path", "count").
		mentions(APIKey, TeamMember, Customer, Subscription, Session),

	// Plans and products
	activity("products", ProductCreated, "Created a product", Product, All).never("Archive the product instead."),
	activity("products", ProductUpdated, "Updated a product", Product, All).undoSelf(),
	activity("products", ProductArchived, "Archived a product", Product, "status").undo(ProductUpdated),
	activity("products", VariantCreated, "Added a variant", Variant, All).mentions(Product).never("Archive the variant instead."),
	activity("products", VariantUpdated, "Updated a variant", Variant, All).mentions(Product).undoSelf(),
	activity("products", VariantArchived, "Archived a variant", Variant, "status").mentions(Product).undo(VariantUpdated),
	activity("products", VariantInventoryChanged, "Changed a variant's stock", Variant, "inventory").mentions(Product, Order, Subscription).
		never("Stock follows what is sold; correct it with a new count."),
	activity("products", ProductSettingsUpdated, "Updated product settings", Product, "portal_visible").undoSelf(),
	activity("products", ProductSettingsBulkUpdated, "Bulk-updated product settings", Operation).details("setting", "changed").mentions(Product).
		never("Undo the change of each product."),
	activity("products", ProductUpsellVariantSettingsUpdated, "Updated upsell settings", Product, "upsell").undoSelf(),
	activity("products", ProductUpsellDiscountUpdated, "Changed the upsell discount", Product, "upsell_discount").undoSelf(),
	activity("products", ProductUpsellLimitUpdated, "Changed the upsell limit", Product, "upsell_limit").undoSelf(),
	activity("products", SellingPlanGroupCreated, "Created a selling plan group", SellingPlanGroup, All).mentions(Product).never("Delete the group instead."),
	activity("products", SellingPlanGroupUpdated, "Updated a selling plan group", SellingPlanGroup, All).mentions(Product).undoSelf(),
	activity("products", SellingPlanGroupDeleted, "Deleted a selling plan group", SellingPlanGroup, "status").mentions(Product).undo(SellingPlanGroupUpdated),
	activity("products", SellingPlanCreated, "Created a selling plan", SellingPlan, All).mentions(SellingPlanGroup).never("Delete the plan instead."),
	activity("products", SellingPlanUpdated, "Updated a selling plan", SellingPlan, All).mentions(SellingPlanGroup).undoSelf(),
	activity("products", SellingPlanDeleted, "Deleted a selling plan", SellingPlan, "status").mentions(SellingPlanGroup).undo(SellingPlanUpdated),
	activity("products", DiscountCreated, "Created a discount", Discount, All).never("Deactivate the discount instead."),
	activity("products", DiscountUpdated, "Updated a discount", Discount, All).undoSelf(),
	activity("products", DiscountDeactivated, "Deactivated a discount", Discount, "status").undo(DiscountUpdated),

	// Settings
	activity("settings", AccountSettingsUpdated, "Updated account settings", Settings, All).undoSelf(),
	activity("settings", PortalSettingsUpdated, "Updated portal settings", Settings, All).undoSelf(),
	activity("settings", BillingSettingsUpdated, "Updated billing settings", Settings, All).undoSelf(),
	activity("settings", RecoverySettingsUpdated, "Updated recovery settings", Settings, All).undoSelf(),
	activity("settings", ShippingSettingsUpdated, "Updated shipping settings", Settings, All).undoSelf(),
	activity("settings", LogSettingsUpdated, "Updated log settings", Settings, All).undoSelf(),

	// Messages
	activity("messages", NotificationTemplateUpdated, "Changed a message", NotificationTemplate, All).undoSelf(),
	activity("messages", NotificationTemplateEnabled, "Switched a message on", NotificationTemplate, "name", "disabled", "texts").undo(NotificationTemplateDisabled),
	activity("messages", NotificationTemplateDisabled, "Switched a message off", NotificationTemplate, "name", "disabled", "texts").undo(NotificationTemplateEnabled),

	// The cancel flow
	activity("cancel_flow", CancelFlowCreated, "Created a cancel flow", CancelFlow, All).never("Delete the flow instead."),
	activity("cancel_flow", CancelFlowUpdated, "Updated a cancel flow", CancelFlow, All).undoSelf(),
	activity("cancel_flow", CancelFlowDeleted, "Deleted a cancel flow", CancelFlow, "status").undo(CancelFlowUpdated),
	activity("cancel_flow", CancelReasonCreated, "Added a reason to cancel", CancelReason, All).mentions(CancelFlow).never("Delete the reason instead."),
	activity("cancel_flow", CancelReasonUpdated, "Updated a reason to cancel", CancelReason, All).mentions(CancelFlow).undoSelf(),
	activity("cancel_flow", CancelReasonDeleted, "Deleted a reason to cancel", CancelReason, "status").mentions(CancelFlow).undo(CancelReasonUpdated),
	activity("cancel_flow", CancelFlowSettingsUpdated, "Updated the cancel flow settings", Settings, All).undoSelf(),

	// Access from outside
	activity("access", APIKeyCreated, "Created an API key", APIKey, All).never("Revoke the key instead."),
	activity("access", APIKeyUpdated, "Updated an API key", APIKey, "name", "permissions").undoSelf(),
	activity("access", APIKeyRevoked, "Revoked an API key", APIKey, "status").never("A revoked key stays revoked; make a new one."),

	// Data and logs
	activity("data", LogViewed, "Viewed a log", Log).details("log", "customer_id", "subscription_id").mentions(Customer, Subscription).hidden(),
	activity("privacy", NetworkDataExpired, "Erased a month's IP addresses", Shop).details("month").destroys(ClassNetwork).never("Erasure destroys the key; nobody can bring the values back."),
	activity("data", BillingCaughtUp, "Caught up on overdue orders", Shop).details("since", "subscriptions", "made", "skipped").never("The orders were made; refund or cancel them one by one."),
	activity("data", BillingReconciled, "Compared the orders with the gateway", Shop).details("from", "to", "charges", "refunds", "foreign", "open", "orders", "strays", "unknown").never("It tells what was seen."),
	activity("data", ShopMoved, "Moved the shop to another database", Shop).details("to", "entries").never("The shop goes on in the other database."),
	activity("data", ShopRestoreNoticed, "Noticed that the database is an older copy", Shop).details("missing_since", "charges", "first_charge").
		never("It tells what was seen."),
	activity("data", ShopRestoreAccepted, "Went on from a restored database", Shop).details("found", "entries", "signed", "root", "missing_since", "by", "because").
		never("What came after it would be lost: put the newer database back instead."),
	activity("data", ShopClockAccepted, "Took the server's clock for right", Shop).details("last_entry", "clock", "by", "because").never("Entries stay dated as they are."),
	activity("data", ShopGatewayConnected, "Connected an account of the payment gateway", Shop).
		details("gateway", "account", "mode", "was_gateway", "was_account", "was_mode", "by", "because").never("Start the server with the other account's keys."),
	activity("data", LogVerified, "Verified the log", Log).details("result", "entries", "changes", "differences", "checkpoints", "root", "problem", "derived"),
	activity("data", LogGapFound, "Found a gap in a log", Log).details("found_by", "hidden", "unreadable").never("It tells what was seen."),
	activity("data", LogExported, "Downloaded a log", Log).details("log", "format", "filter").mentions(Customer, Subscription),

	// Privacy
	activity("privacy", CustomerDataRequested, "Asked for a customer's data", Request).mentions(Customer),
	activity("privacy", PersonalDataRevealed, "Revealed a personal value", Request).details("value", "of").mentions(Customer, Address),
	activity("privacy", CustomerRedacted, "Erased a customer's personal data", Customer, All).destroys(ClassPerson).
		never("Erasure destroys the key; nobody can bring the values back."),
	activity("privacy", CustomerGatewayErased, "Deleted an erased customer at the payment gateway", Customer, "gateway_data").details("customers", "elsewhere").
		never("The gateway deletes for ever."),
	activity("privacy", CustomerGatewayErasureFailed, "Could not delete an erased customer at the payment gateway", Customer, "gateway_data").details("code").
		never("It is tried again by itself."),

	// The customer
	forCustomer("sign_in", CustomerMagicLinkCreated, "Portal link created", SignIn).details("expires_at"),
	forCustomer("sign_in", CustomerLoginCodeSent, "Login code sent", SignIn).details("expires_at"),
	forCustomer("sign_in", CustomerLoginCodeRejected, "Login code rejected", SignIn).details("why"),
	forCustomer("sign_in", CustomerLoggedIn, "Logged in", Session).details("method"),
	forCustomer("sign_in", CustomerLoggedOut, "Logged out", Session).details("why"),
	forCustomer("portal", CustomerQuickActionViewed, "Quick action page viewed", Message).details("action").mentions(Customer, Subscription, Order),
	forCustomer("portal", CustomerQuickActionUsed, "Quick action used", Message).details("action").mentions(Customer, Subscription, Order).never("Undo what it did."),
	forCustomer("profile", CustomerCreated, "Customer created", Customer, All).never("Erase the customer instead."),
	forCustomer("profile", CustomerProfileUpdated, "Profile updated", Customer, "first_name", "last_name", "phone", "locale", "tags").undoSelf(),
	forCustomer("profile", CustomerEmailChanged, "E-mail changed", Customer, "email", "email_changed_at").undoSelf(),
	forCustomer("profile", CustomerDefaultAddressChanged, "Default address changed", Customer, "default_address_id").mentions(Address).undoSelf(),
	forCustomer("profile", AddressAdded, "Address added", Address, All).never("Remove the address instead."),
	forCustomer("profile", AddressUpdated, "Address updated", Address, All).undoSelf(),
	forCustomer("profile", AddressRemoved, "Address removed", Address, "status").undo(AddressUpdated),
	forCustomer("privacy", AddressRedacted, "Address erased", Address, All).never("Erasure destroys the key; nobody can bring the values back."),
	forCustomer("payment", PaymentMethodAdded, "Payment method added", PaymentMethod, All).never("Remove the payment method instead."),
	forCustomer("payment", PaymentMethodUpdated, "Payment method updated", PaymentMethod, All).undoSelf(),
	forCustomer("payment", PaymentMethodRemoved, "Payment method removed", PaymentMethod, "status").undo(PaymentMethodUpdated),
	forCustomer("payment", PaymentMethodDefaultChanged, "Default payment method changed", Customer, "default_payment_method_id").mentions(PaymentMethod).undoSelf(),
	forCustomer("payment", PaymentMethodBackupSet, "Backup payment method set", Customer, "backup_payment_method_id").mentions(PaymentMethod).undoSelf(),
	forCustomer("payment", PaymentMethodExpiring, "Payment method expires soon", PaymentMethod, "expiry_told").never("It tells what the card says."),
	forCustomer("payment", PaymentMethodRefused, "Payment method refused for good", PaymentMethod, "refused_at").mentions(Customer, Order).never("It tells what the gateway said."),
	forCustomer("payment", PaymentMethodAccepted, "Payment method works again", PaymentMethod, "refused_at").mentions(Customer, Order).never("It tells what the gateway said."),
	forCustomer("privacy", PaymentMethodRedacted, "Payment method erased", PaymentMethod, All).never("Erasure destroys the key; nobody can bring the values back."),

	forCustomer("messages", NotificationSent, "Message sent", Message).details("message", "channel", "language").mentions(Customer, TeamMember, Subscription, Order, PaymentMethod, Session),
	forCustomer("messages", NotificationFailed, "Message not sent", Message).details("message", "channel", "language", "tries").mentions(Customer, TeamMember, Subscription, Order, PaymentMethod, Session),
	forCancelSession(CancelSessionStarted, "Asked to cancel").details("flow"),
	forCancelSession(CancelSessionOfferShown, "Was shown offers").details("reason"),
	forCancelSession(CancelSessionOfferAccepted, "Accepted an offer").details("reason"),
	forCancelSession(CancelSessionAbandoned, "Kept the subscription").details("reason"),
	forCancelSession(CancelSessionCompleted, "Cancelled after all").details("reason"),

	// The subscription
	forSubscription("lifecycle", SubscriptionCreated, "Created", All).never("Cancel the subscription instead."),
	forSubscription("billing", SubscriptionAmountCarriedOver, "Carried an amount over", "carried_over").details("order_id", "order_number", "amount").never("The order was placed; it is charged with the next one."),
	forSubscription("lifecycle", SubscriptionRenewed, "Renewed", "cycle", "position", "next_billing_date", "last_billing_date", "moved_from", "moved_to", "skipped_dates", "status", "recovery", "items", "discounts", "gifts", "held_on", "carried_over").
		details("order_id", "order_number", "total", "date").never("The order was paid; refund it instead."),
	forSubscription("lifecycle", SubscriptionPaused, "Paused", All).details("reason").undo(SubscriptionResumed),
	forSubscription("lifecycle", SubscriptionResumed, "Resumed", All).undo(SubscriptionPaused),
	forSubscription("lifecycle", SubscriptionCancelled, "Cancelled", All).undo(SubscriptionReactivated),
	forSubscription("lifecycle", SubscriptionReactivated, "Reactivated", All).undo(SubscriptionCancelled),
	forSubscription("lifecycle", SubscriptionExpired, "Expired", "status", "next_billing_date", "moved_from", "moved_to", "paused_until", "recovery", "held_on").never("All its orders were made; create a new subscription."),
	forSubscription("lifecycle", SubscriptionMerged, "Merged", All).details("from", "into").never("A merge cannot be undone: split the subscription instead."),
	forSubscription("lifecycle", SubscriptionSplit, "Split", "items").details("new_subscription_id").never("A split cannot be undone: merge the two subscriptions instead."),
	forSubscription("schedule", SubscriptionOrderSkipped, "Skipped an order", "skipped_dates", "next_billing_date", "position", "moved_from", "held_on").details("date", "reason").undo(SubscriptionOrderUnskipped),
	forSubscription("schedule", SubscriptionOrderHeld, "Held an order", "held_on").details("date", "reason").never("It is made when it can be; skip it, or change what is in it."),
	forSubscription("schedule", SubscriptionOrderUnskipped, "Unskipped an order", "skipped_dates", "next_billing_date", "position", "moved_from", "held_on").details("date").undo(SubscriptionOrderSkipped),
	forSubscription("schedule", SubscriptionNextBillingDateChanged, "Changed the next billing date", "next_billing_date", "moved_from", "anchor_date", "billing_policy", "position", "skipped_dates", "gifts", "held_on").details("reason").undoSelf(),
	forSubscription("schedule", SubscriptionFrequencyChanged, "Changed the frequency", "billing_policy", "delivery_policy", "anchor_date", "position", "next_billing_date", "moved_from", "moved_to", "skipped_dates", "held_on").undoSelf(),
	forSubscription("schedule", SubscriptionOrderRequestedNow, "Requested an order now", "extra_orders").details("order_id").
		never("The order is already on its way; cancel or refund the order instead."),
	forSubscription("schedule", SubscriptionOrderGifted, "Gifted an order", "gifts").details("date").undoSelf(),
	forSubscription("items", SubscriptionItemAdded, "Added an item", "items").undo(SubscriptionItemRemoved),
	forSubscription("items", SubscriptionItemRemoved, "Removed an item", "items").undo(SubscriptionItemAdded),
	forSubscription("items", SubscriptionItemQuantityChanged, "Changed a quantity", "items").details("title").undoSelf(),
	forSubscription("items", SubscriptionItemSwapped, "Swapped an item", "items").details("title").undoSelf(),
	forSubscription("items", SubscriptionItemPriceOverridden, "Changed a price", "items").details("title").undoSelf(),
	forSubscription("items", SubscriptionOneTimeItemAdded, "Added a one-time item", "items").undo(SubscriptionOneTimeItemRemoved),
	forSubscription("items", SubscriptionOneTimeItemRemoved, "Removed a one-time item", "items").undo(SubscriptionOneTimeItemAdded),
	forSubscription("delivery_and_payment", SubscriptionShippingAddressChanged, "Changed the shipping address", "shipping_address_id").undoSelf(),
	forSubscription("delivery_and_payment", SubscriptionPaymentMethodChanged, "Changed the payment method", "payment_method_id").undoSelf(),
	forSubscription("delivery_and_payment", SubscriptionBackupPaymentMethodChanged, "Changed the backup payment method", "backup_payment_method_id").undoSelf(),
	forSubscription("delivery_and_payment", SubscriptionDeliveryPriceChanged, "Changed the delivery price", "delivery_price").undoSelf(),
	activity("discounts", DiscountRedeemed, "Discount redeemed", Discount, "redemptions").in(SubscriptionLog).mentions(Subscription, Customer).
		never("A code that was redeemed counts as redeemed."),
	forSubscription("discounts", SubscriptionDiscountApplied, "Applied a discount", "discounts").undo(SubscriptionDiscountRemoved),
	forSubscription("discounts", SubscriptionDiscountRemoved, "Removed a discount", "discounts").undo(SubscriptionDiscountApplied),
	forSubscription("notes", SubscriptionNoteChanged, "Changed the note", "note").undoSelf(),
	forSubscription("notes", SubscriptionAttributesChanged, "Changed the attributes", "attributes").undoSelf(),
	forSubscription("privacy", SubscriptionRedacted, "Erased personal data", All).never("Erasure destroys the key; nobody can bring the values back."),

	// Billing and recovery
	forOrder("billing", OrderCreated, "Order created", All).never("Cancel or refund the order instead."),
	forOrder("billing", OrderPlaced, "Order placed", "status", "placed_at", "waived", "carried_over", "ship_to", "gift_message").details("waived", "carried_over").never("The order was paid; refund it instead."),
	forOrder("billing", OrderFailed, "Order failed", "status").never("A failed order is final; order again."),
	forOrder("billing", OrderCancelled, "Order cancelled", "status", "cancelled_at").never("A cancelled order stays cancelled; order again."),
	forOrder("billing", OrderRefunded, "Order refunded", "status", "refunded", "repayments").details("amount", "reason").never("Money that was sent back cannot be taken again; order again."),
	forOrder("billing", OrderRefundCompleted, "Refund completed", "repayments").details("repayment", "amount").never("Money that was sent back cannot be taken again; order again."),
	forOrder("billing", OrderRefundFailed, "Refund refused", "status", "refunded", "repayments").details("repayment", "amount", "code").never("It tells what the gateway said; refund again."),
	forOrder("billing", OrderDisputed, "Charge contested", "dispute", "disputes").details("amount", "reason").never("The bank decides; answer it at the gateway."),
	forOrder("billing", OrderDisputeWon, "Dispute won", "dispute", "disputes").details("amount", "reason").never("The bank decided."),
	forOrder("billing", OrderDisputeLost, "Dispute lost", "dispute", "disputes").details("amount", "reason").never("The bank decided."),
	forOrder("billing", BillingDifferenceFound, "Difference from the gateway's books", "differences").details("what", "gateway_id", "ours", "theirs").never("It tells what was seen; the next reconciliation looks again."),
	forOrder("billing", BillingDifferenceSettled, "Difference from the gateway's books is gone", "differences").details("what", "gateway_id", "ours", "theirs").never("It tells what was seen; the next reconciliation looks again."),
	forOrder("billing", OrderFulfilled, "Order fulfilled", "fulfilled_at", "tracking_url", "deliveries").details("delivery", "of").never("The parcel has left."),
	forOrder("billing", OrderDeliveryFulfilled, "Delivery of a prepaid order fulfilled", "deliveries", "tracking_url").details("delivery", "of").never("The parcel has left."),
	forOrder("privacy", OrderRedacted, "Personal data of an order erased", All).never("Erasure destroys the key; nobody can bring the values back."),
	forOrder("billing", BillingAttemptStarted, "Payment started", "attempts").details("attempt", "amount", "payment_method_id").never("A payment attempt is a fact; refund the order instead."),
	forOrder("billing", BillingAttemptSucceeded, "Payment succeeded", "attempts").details("attempt", "amount").never("A payment attempt is a fact; refund the order instead."),
	forOrder("billing", BillingAttemptFailed, "Payment failed", "attempts").details("attempt", "amount", "code", "message", "silent").never("A payment attempt is a fact."),
	forOrder("billing", BillingAttemptDelayed, "Payment delayed by the gateway", "attempts").details("attempt", "amount", "code").never("It tells what the gateway said; the payment is tried again."),
	forOrder("billing", BillingAttemptAmountDiffers, "Another amount was taken", "attempts").details("attempt", "asked", "amount", "gateway_id").never("It tells what the gateway took."),
	forOrder("billing", BillingAttemptAmountAccepted, "Took another amount as the payment", "attempts").details("attempt", "asked", "amount", "gateway_id").never("The payment counts; refund the order instead."),
	forOrder("billing", BillingAttemptAmountRefused, "Sent another amount back", "attempts", "repayments").details("attempt", "asked", "amount", "gateway_id").never("The money is on its way back."),
	forOrder("billing", BillingAttemptActionRequired, "Payment needs the customer", "attempts").details("attempt", "amount", "code", "message").never("A payment attempt is a fact."),
	forSubscription("recovery", RecoveryEntered, "Entered recovery", "status", "recovery").details("order_id", "code").never("Recovery ends when the order is paid."),
	forSubscription("recovery", RecoveryRetryScheduled, "Retry scheduled", "recovery").details("order_id").never("Recovery ends when the order is paid."),
	forSubscription("recovery", RecoveryCardRequested, "New payment method needed", "recovery").details("order_id").never("Recovery ends when the order is paid."),
	forSubscription("recovery", RecoveryRecovered, "Recovered", "status", "recovery").details("order_id").never("Recovery ends when the order is paid."),
	forSubscription("recovery", RecoveryExhausted, "Recovery exhausted", "status", "recovery").details("order_id").never("Recovery ends when the order is paid."),
	forSubscription("recovery", RecoveryAbandoned, "Gave up the failed payment", "status", "recovery").details("order_id").never("The order was cancelled; order again."),
}
