package dashboard

import (
	"perennial/internal/customer"
	"perennial/internal/journal"
)

func (d *Dashboard) registerCustomers() {}

// customer loads the one that the address names.
func (c *call) customer() (*customer.Customer, int64, error) {
	return stateOf[customer.Customer](c, journal.Customer, c.r.PathValue("id"))
}
