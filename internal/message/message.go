// Package message holds the messages that the store sends to its subscribers: which there are, what they say in each language until the
// store says something else, and how a text becomes a mail. All of it is pure: who is written to, and when, is package notify's.
//
// A text is Markdown with variables, "{{next_date}}", from a closed set for each message. Values are put in as they are, never as
// Markdown or HTML. message_test.go tests every default, every refusal, and that nothing in a value becomes markup.
package message

import (
	"slices"

	"perennial/internal/id"
	"perennial/internal/journal"
)

// Name is which message it is. It never changes.
type Name string

// The messages.
const (
	LoginCode            Name = "login_code"
	MagicLink            Name = "magic_link"
	SubscriptionCreated  Name = "subscription_created"
	OrderUpcoming        Name = "order_upcoming"
	OrderPlaced          Name = "order_placed"
	PaymentFailed        Name = "payment_failed"
	ActionRequired       Name = "action_required"
	CardExpiring         Name = "card_expiring"
	Skipped              Name = "skipped"
	Rescheduled          Name = "rescheduled"
	Paused               Name = "paused"
	Resumed              Name = "resumed"
	Cancelled            Name = "cancelled"
	Reactivated          Name = "reactivated"
	AddressChanged       Name = "address_changed"
	PaymentMethodChanged Name = "payment_method_changed"
	NewDevice            Name = "new_device"
	EmailChanged         Name = "email_changed"
	ExportReady          Name = "export_ready"
	TeamInvitation       Name = "team_invitation"
	AccountChanged       Name = "account_changed"
)

// Kind is what there is to know of a message.
type Kind struct {
	Name      Name
	Title     string // for the team
	When      string // a sentence: when it is sent
	Needed    bool   // it cannot be switched off
	Variables []string
}

// What every message to a subscriber may say, and what those about a subscription may say too.
var (
	everywhere = []string{"shop_name", "customer_first_name", "support_email", "portal_link"}
	aboutSub   = append(slices.Clone(everywhere), "items", "rhythm", "next_date", "subscription_link")
)

func with(base []string, more ...string) []string { return append(slices.Clone(base), more...) }

// Kinds are the messages, in the order in which the team sees them.
var Kinds = []Kind{
	{LoginCode, "Code to sign in", "When a subscriber asks for a code to sign in to the Portal.", true, with(everywhere, "code")},
	{MagicLink, "Link to sign in", "When the team sends a subscriber a link into the Portal.", true, with(everywhere, "link")},
	{SubscriptionCreated, "Subscription created", "When a subscription begins.", false, aboutSub},
	{
		OrderUpcoming,
		"Upcoming order",
		"Some days before the next order is made.",
		false,
		with(aboutSub, "total", "skip_link", "reschedule_link", "swap_link"),
	},
	{OrderPlaced, "Order placed", "When an order is paid.", false, with(aboutSub, "order_number", "total")},
	{
		PaymentFailed,
		"Payment failed",
		"Each time a payment fails, but for the silent phases of the recovery settings.",
		false,
		with(aboutSub, "order_number", "total", "card", "card_trouble", "next_try", "pay_link", "card_link"),
	},
	{
		ActionRequired,
		"Payment needs a confirmation",
		"When the bank wants the subscriber to confirm a payment.",
		false,
		with(aboutSub, "order_number", "total", "card", "pay_link"),
	},
	{CardExpiring, "Card expires", "Some weeks before a card expires.", false, with(everywhere, "card", "card_link")},
	{Skipped, "Order skipped", "When an order is skipped.", false, with(aboutSub, "date")},
	{Rescheduled, "Order moved", "When the next order is moved.", false, with(aboutSub, "date")},
	{Paused, "Subscription paused", "When a subscription is paused.", false, with(aboutSub, "until")},
	{Resumed, "Subscription resumed", "When a paused subscription goes on.", false, aboutSub},
	{Cancelled, "Subscription cancelled", "When a subscription is cancelled.", false, with(aboutSub, "reactivate_link")},
	{Reactivated, "Subscription started again", "When a cancelled subscription goes on.", false, aboutSub},
	{AddressChanged, "Address changed", "When a subscription goes to another address.", false, with(aboutSub, "if_not_you")},
	{
		PaymentMethodChanged,
		"Payment method changed",
		"When a subscription is paid in another way.",
		false,
		with(aboutSub, "card", "if_not_you"),
	},
	{
		NewDevice,
		"Sign-in from a new device",
		"When somebody signs in to the Portal from a device that was not seen before.",
		false,
		with(everywhere, "device", "time"),
	},
	{
		EmailChanged,
		"E-mail address changed",
		"When the e-mail address of a subscriber is changed, whoever did it. It goes to the address before.",
		true,
		with(everywhere, "time"),
	},
	{
		ExportReady,
		"Copy of the data made",
		"When the team makes a copy of all that the store keeps about a subscriber.",
		false,
		with(everywhere, "time", "if_not_reached"),
	},
	{TeamInvitation, "Invitation to the team", "When somebody is invited to the team.", true, []string{"shop_name", "link", "inviter"}},
	{
		AccountChanged,
		"Account of the team changed",
		"When somebody of the team gets another way to sign in, or gives rights away: a passkey, an authenticator app, a password, an API key, an invitation, a role.",
		true,
		[]string{"shop_name", "what", "time", "device"},
	},
}

// Of gives what there is to know of a message, or false.
func Of(n Name) (Kind, bool) {
	i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == n })
	if i < 0 {
		return Kind{}, false
	}
	return Kinds[i], true
}

// links are the variables that are addresses. Only they may stand as one.
var links = []string{
	"portal_link",
	"subscription_link",
	"link",
	"skip_link",
	"reschedule_link",
	"swap_link",
	"pay_link",
	"card_link",
	"reactivate_link",
}

// Sample gives values to look at a text with, where nothing better is at hand.
func Sample(shop string) map[string]string {
	out := map[string]string{
		"shop_name":           shop,
		"customer_first_name": "Ada",
		"support_email":       "hello@shop.example",
		"code":                "K7QM-3XRT",
		"items":               "2 × Harbor Blend, 250 g",
		"rhythm":              "every month",
		"next_date":           "3 April 2027",
		"date":                "3 March 2027",
		"until":               "It goes on by itself on 1 June 2027.",
		"total":               "$24.50",
		"order_number":        "A1B2C3-4",
		"card":                "Visa 4242",
		"card_trouble":        "We tried your card Visa 4242. If it is no longer the right one, please give us another.",
		"next_try":            "We will try again on 5 March 2027.",
		"if_not_you":          "If that was not you, please tell us at once (hello@shop.example).",
		"if_not_reached":      "If you did not ask for it, or it does not reach you, tell us (hello@shop.example).",
		"device":              "Firefox on Linux",
		"time":                "3 March 2027, 12:05",
		"inviter":             "Olivia Hart",
		"what":                "A passkey was added to your account.",
	}
	for _, l := range links {
		out[l] = "https://shop.example/portal"
	}
	return out
}

// Personal are the variables that hold something about a person: a subscriber, or who invites to the team.
var Personal = []string{"customer_first_name", "card", "card_trouble", "device", "inviter"}

// Languages are those that the program has texts in, the first when nothing else is known.
var Languages = []string{"en", "de", "fr", "es"}

// Text is what a message says in a language.
type Text struct {
	Language string `json:"language"`
	Subject  string `json:"subject"` // one line, 1 to 200 characters, with variables
	Body     string `json:"body"`    // Markdown, 1 to 5,000 characters, with variables
}

// Template is what the store changed of a message; a message without one is as the program has it.
type Template struct {
	Name     Name   `json:"name"`
	Disabled bool   `json:"disabled"`
	Texts    []Text `json:"texts" journal:"key=language"` // those that the store wrote
}

func (t *Template) Ref() journal.Ref {
	return journal.Ref{Kind: journal.NotificationTemplate, ID: id.ID(t.Name)}
}

// Person is nobody: a template is the store's.
func (*Template) Person() id.ID { return "" }

// Says gives the text of a message in a language: the store's, or the program's. t may be nil.
func Says(n Name, t *Template, language string) Text {
	if !slices.Contains(Languages, language) {
		language = Languages[0]
	}
	if t != nil {
		for _, x := range t.Texts {
			if x.Language == language {
				return x
			}
		}
	}
	return defaults()[language][n]
}
