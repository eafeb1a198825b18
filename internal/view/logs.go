package view

import "perennial/internal/journal"

// LogHelp says what one of the logs is for.
type LogHelp struct {
	Name     journal.LogName
	Title    string
	Question string // that it answers
	Has      string
	Lacks    string // and where that is
	Where    string // in the Dashboard
}

// Logs are the three logs. All are views of one journal: an entry is made once, and a log shows those that belong to it.
var Logs = []LogHelp{
	{journal.ActivityLog, "Activity Log", "What did the team do to the shop?",
		"Changes to what holds for everybody: products, prices, plans, discounts, messages, settings, people, roles and API keys; sign-ins of the team, exports, checks of the journal.",
		"What happened to one customer or subscription. That is in their own logs, whoever did it.",
		"“What happened”, Activity Log"},
	{journal.CustomerLog, "Customer Audit Log", "What happened to this customer?",
		"Every entry that names the customer, whoever acted: profile, addresses, cards, sign-ins, messages and consent, and all of each of their subscriptions and orders.",
		"What the team changed for everybody, such as the price of a product. That is in the Activity Log.",
		"a customer’s page, the card Customer Audit Log"},
	{journal.SubscriptionLog, "Subscription Audit Log", "What happened to this subscription?",
		"Every entry that names the subscription, whoever acted: its schedule, items, prices, plan, addresses and card, its orders, payments and refunds, and the messages about it.",
		"What was changed on the customer alone, such as their name, and their other subscriptions. That is in the Customer Audit Log.",
		"a subscription’s page, the card Subscription Audit Log"},
}

// LogStep is an entry of the story that shows in which log what stands.
type LogStep struct {
	Type     journal.Name
	Sentence string
}

// LogStory is followed through the three logs by their help.
var LogStory = []LogStep{
	{journal.VariantUpdated, "Amir raises the price of a coffee from $13.00 to $14.50"},
	{journal.CustomerProfileUpdated, "Katherine corrects her telephone number in the Customer Portal"},
	{journal.SubscriptionOrderSkipped, "Bea skips Katherine's next order, as she asked by phone"},
	{journal.BillingAttemptFailed, "The payment of the order after that fails"},
	{journal.OrderRefunded, "June sends back $5.00 for a crushed parcel"},
	{journal.TeamMemberRoleChanged, "Olivia makes June an administrator"},
}
