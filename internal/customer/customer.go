// Package customer holds the people who subscribe: profile, addresses, references to payment methods.
//
// A customer's e-mail address is theirs alone in the shop, whatever the case of its letters. The default and backup
// that a customer names are active rows of the same customer. What an open subscription ships to or is charged to
// cannot be removed. After an erasure nothing of a customer changes any more. Card numbers never come here: a payment
// method is the gateway's reference.
//
// customer_test.go tests every refusal, and that these rules hold after any sequence of commands.
package customer

import (
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Status of a customer.
type Status string

// The statuses.
const (
	Active   Status = "active"
	Redacted Status = "redacted" // the personal data was erased; nothing may change any more
)

// ScopeEmail is the scope of the reservation of a customer's e-mail address.
const ScopeEmail = "customer_email"

// Customer is a person who subscribes.
type Customer struct {
	ID                     id.ID                    `json:"id"`
	Email                  journal.Personal[string] `json:"email"`
	EmailChangedAt         *journal.Time            `json:"email_changed_at"` // what let people in before does no more
	FirstName              journal.Personal[string] `json:"first_name"`
	LastName               journal.Personal[string] `json:"last_name"`
	Phone                  journal.Personal[string] `json:"phone"`
	Locale                 string                   `json:"locale"`
	Tags                   []string                 `json:"tags"` // sorted, without duplicates
	DefaultAddressID       id.ID                    `json:"default_address_id"`
	DefaultPaymentMethodID id.ID                    `json:"default_payment_method_id"`
	BackupPaymentMethodID  id.ID                    `json:"backup_payment_method_id"` // never the default one
	Status                 Status                   `json:"status"`
	CreatedAt              journal.Time             `json:"created_at"`
	GatewayData            string                   `json:"gateway_data"` // of one that was erased: due, failing, erased; else empty
}

// The statuses of an address and of a payment method.
const (
	StatusActive  = "active"
	StatusRemoved = "removed"
	StatusErased  = "redacted"
	// StatusExpired is a payment method that was found to be past its month. It can still be tried: gateways renew
	// cards by themselves.
	StatusExpired = "expired"
)

// Address is where parcels go.
type Address struct {
	ID         id.ID                    `json:"id"`
	CustomerID id.ID                    `json:"customer_id"`
	FirstName  journal.Personal[string] `json:"first_name"`
	LastName   journal.Personal[string] `json:"last_name"`
	Company    journal.Personal[string] `json:"company"`
	Line1      journal.Personal[string] `json:"line1"`
	Line2      journal.Personal[string] `json:"line2"`
	City       journal.Personal[string] `json:"city"`
	Region     journal.Personal[string] `json:"region"`
	PostalCode journal.Personal[string] `json:"postal_code"`
	Country    string                   `json:"country"` // ISO 3166-1 alpha-2; not personal by itself
	Phone      journal.Personal[string] `json:"phone"`
	Status     string                   `json:"status"` // active, removed, redacted
	CreatedAt  journal.Time             `json:"created_at"`
}

// PaymentMethod refers to a payment method that the gateway keeps. Card data never comes here.
type PaymentMethod struct {
	ID               id.ID                    `json:"id"`
	CustomerID       id.ID                    `json:"customer_id"`
	Gateway          string                   `json:"gateway"`
	GatewayReference journal.Personal[string] `json:"gateway_reference"`
	Brand            string                   `json:"brand"`
	Last4            journal.Personal[string] `json:"last4"`
	ExpMonth         int                      `json:"exp_month"` // 1 to 12; 0 when the method does not expire
	ExpYear          int                      `json:"exp_year"`  // 2000 to 2099; 0 with ExpMonth
	Status           string                   `json:"status"`    // active, expired, removed, redacted
	CreatedAt        journal.Time             `json:"created_at"`
	ExpiryTold       string                   `json:"expiry_told"` // the expiry that was told as near: "2027-03"; empty: none
	RefusedAt        *journal.Time            `json:"refused_at"`  // when the gateway last refused it for good; null: it did not, or it was renewed since
	RenewedAt        *journal.Time            `json:"renewed_at"`  // when its reference or its expiry last changed: what was tried before was another card
}

func (c *Customer) Ref() journal.Ref { return journal.Ref{Kind: journal.Customer, ID: c.ID} }

// Person is the customer.
func (c *Customer) Person() id.ID { return c.ID }

func (a *Address) Ref() journal.Ref { return journal.Ref{Kind: journal.Address, ID: a.ID} }

// Person is the customer, whose key seals the address.
func (a *Address) Person() id.ID { return a.CustomerID }

func (p *PaymentMethod) Ref() journal.Ref { return journal.Ref{Kind: journal.PaymentMethod, ID: p.ID} }

// Person is the customer, whose key seals the reference.
func (p *PaymentMethod) Person() id.ID { return p.CustomerID }
