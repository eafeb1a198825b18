package customer

import (
	"strings"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
)

// AddressFields are the fields of an address that people give. Those that are nil stay as they are, or empty in a new
// address.
type AddressFields struct {
	FirstName  *string
	LastName   *string
	Company    *string
	Line1      *string // required
	Line2      *string
	City       *string // required
	Region     *string
	PostalCode *string
	Country    *string // ISO 3166-1 alpha-2, required
	Phone      *string
}

func (f AddressFields) apply(next *Address) {
	setText(&next.FirstName, f.FirstName)
	setText(&next.LastName, f.LastName)
	setText(&next.Company, f.Company)
	setText(&next.Line1, f.Line1)
	setText(&next.Line2, f.Line2)
	setText(&next.City, f.City)
	setText(&next.Region, f.Region)
	setText(&next.PostalCode, f.PostalCode)
	setText(&next.Phone, f.Phone)
	if f.Country != nil {
		next.Country = strings.TrimSpace(*f.Country)
	}
}

// AddAddress gives a customer an address. It becomes the default when the customer has none.
type AddAddress struct {
	ID         id.ID
	CustomerID id.ID
	Fields     AddressFields
}

func (c AddAddress) Load(r journal.Reader) (World, error) { return loadCustomer(r, c.CustomerID) }

// Decide refuses wrong fields and an erased customer (status_redacted).
func (c AddAddress) Decide(w World, now time.Time) (journal.Decision, error) {
	if err := w.present(); err != nil {
		return journal.Decision{}, err
	}
	next := &Address{ID: c.ID, CustomerID: c.CustomerID, Status: StatusActive, CreatedAt: journal.At(now)}
	c.Fields.apply(next)
	if err := refusals(next); err != nil {
		return journal.Decision{}, err
	}
	var s steps
	if err := s.add(journal.AddressAdded, nil, next, w.Customer.Ref()); err != nil {
		return journal.Decision{}, err
	}
	if w.Customer.DefaultAddressID == "" {
		if err := s.defaultAddress(w.Customer, next.ID); err != nil {
			return journal.Decision{}, err
		}
	}
	return s.decision(next), nil
}

// UpdateAddress changes the fields that are not nil. What was ordered already goes where it was ordered to. An address that open
// subscriptions ship to cannot go to a country that the shop does not send to.
type UpdateAddress struct {
	ID         id.ID
	CustomerID id.ID
	Fields     AddressFields
}

func (c UpdateAddress) Load(r journal.Reader) (World, error) {
	w, err := loadAddress(r, c.CustomerID, c.ID)
	if err != nil || c.Fields.Country == nil {
		return w, err
	}
	if w.Shipping, err = journal.Find[settings.Shipping](r, journal.Settings, settings.PageShipping); err != nil {
		return w, err
	}
	w.InUse, err = used(r, c.CustomerID, c.ID, "shipping_address_id")
	if err == nil && !w.InUse && w.Customer.DefaultAddressID == c.ID {
		w.InUse, err = used(r, c.CustomerID, "", "shipping_address_id")
	}
	return w, err
}

// Decide refuses wrong fields, an erased customer and an address that was removed (status_removed).
func (c UpdateAddress) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := w.addressPresent(); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(w.Address)
	c.Fields.apply(next)
	if err := refusals(next); err != nil {
		return journal.Decision{}, err
	}
	if next.Country != w.Address.Country && w.InUse && !w.Shipping.Ships(next.Country) {
		var f fault.Fields
		f.Add("/country", "country_not_served", "The shop does not send to {country}, and a subscription ships to this address.",
			"country", next.Country)
		return journal.Decision{}, f.Err()
	}
	var s steps
	err := s.add(journal.AddressUpdated, w.Address, next, w.Customer.Ref())
	return s.decision(next), err
}

// RemoveAddress takes an address away, unless an open subscription ships to it (Conflict, address_in_use). The
// customer has no default address then, if it was the default: which one to use instead is not guessed. An address
// that was removed stays removed.
type RemoveAddress struct {
	ID         id.ID
	CustomerID id.ID
}

func (c RemoveAddress) Load(r journal.Reader) (World, error) {
	w, err := loadAddress(r, c.CustomerID, c.ID)
	if err == nil {
		w.InUse, err = used(r, c.CustomerID, c.ID, "shipping_address_id")
	}
	return w, err
}

// Decide refuses as the type says, and an erased customer.
func (c RemoveAddress) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := w.present(); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(w.Address)
	next.Status = StatusRemoved
	if w.Address.Status == StatusActive && w.InUse {
		return journal.Decision{}, fault.New(fault.Conflict, "address_in_use",
			"A subscription ships to this address. Give the subscription another address first.")
	}
	var s steps
	if err := s.add(journal.AddressRemoved, w.Address, next, w.Customer.Ref()); err != nil {
		return journal.Decision{}, err
	}
	if w.Customer.DefaultAddressID == c.ID {
		if err := s.defaultAddress(w.Customer, ""); err != nil {
			return journal.Decision{}, err
		}
	}
	return s.decision(next), nil
}

// SetDefaultAddress says which address a new subscription of the customer ships to unless told otherwise.
type SetDefaultAddress struct {
	CustomerID id.ID
	AddressID  id.ID
}

func (c SetDefaultAddress) Load(r journal.Reader) (World, error) {
	return loadAddress(r, c.CustomerID, c.AddressID)
}

// Decide refuses an erased customer and an address that was removed (status_removed).
func (c SetDefaultAddress) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := w.addressPresent(); err != nil {
		return journal.Decision{}, err
	}
	var s steps
	err := s.defaultAddress(w.Customer, c.AddressID)
	return s.decision(w.Customer), err
}

func (w World) addressPresent() error {
	if err := w.present(); err != nil {
		return err
	}
	if w.Address.Status != StatusActive {
		return fault.New(fault.Conflict, "status_"+w.Address.Status, "This address was removed. Undo that, or add it again.")
	}
	return nil
}

func (s *steps) defaultAddress(c *Customer, address id.ID) error {
	next := journal.Clone(c)
	next.DefaultAddressID = address
	return s.add(journal.CustomerDefaultAddressChanged, c, next, journal.Ref{Kind: journal.Address, ID: address})
}
