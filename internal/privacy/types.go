package privacy

import "perennial/internal/journal"

// Types are the types of the events that an erasure can make.
func Types() []journal.Name {
	return []journal.Name{
		journal.CustomerRedacted,
		journal.AddressRedacted,
		journal.PaymentMethodRedacted,
		journal.SubscriptionCancelled,
		journal.SubscriptionRedacted,
		journal.OrderCancelled,
		journal.OrderRedacted,
		journal.VariantInventoryChanged,
	}
}
