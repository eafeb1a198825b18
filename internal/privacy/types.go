package privacy

import "perennial/internal/journal"

// Types are the types of the events that an erasure can make.
func Types() []journal.Name {
	return []journal.Name{"customer.redacted", "address.redacted", "payment_method.redacted", "subscription.cancelled", "subscription.redacted", "order.cancelled", "order.redacted", "variant.inventory_changed"}
}
