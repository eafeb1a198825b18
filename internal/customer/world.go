package customer

import (
	"encoding/json"
	"slices"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/settings"
)

// World is what the rules of a customer may see. A command's Load fills in what its rule needs.
type World struct {
	General       *settings.General // nil in a shop without settings
	Shipping      *settings.Shipping
	Customer      *Customer
	Address       *Address
	PaymentMethod *PaymentMethod
	EmailOwner    id.ID // who holds the e-mail address of the command; empty when nobody does
	InUse         bool  // an open subscription ships to the address, or is charged to the payment method
}

func loadCustomer(r journal.Reader, key id.ID) (w World, err error) {
	if w.Customer, err = journal.Get[Customer](r, journal.Customer, key); err != nil {
		return w, err
	}
	w.General, err = journal.Find[settings.General](r, journal.Settings, settings.PageGeneral)
	return w, err
}

// loadAddress loads an address of a customer. Somebody else's is as unknown as one that does not exist.
func loadAddress(r journal.Reader, customer, key id.ID) (World, error) {
	w, err := loadCustomer(r, customer)
	if err != nil {
		return w, err
	}
	w.Address, err = journal.Get[Address](r, journal.Address, key)
	if err == nil && w.Address.CustomerID != customer {
		err = unknown(journal.Address, key)
	}
	return w, err
}

func loadPaymentMethod(r journal.Reader, customer, key id.ID) (World, error) {
	w, err := loadCustomer(r, customer)
	if err != nil {
		return w, err
	}
	w.PaymentMethod, err = journal.Get[PaymentMethod](r, journal.PaymentMethod, key)
	if err == nil && w.PaymentMethod.CustomerID != customer {
		err = unknown(journal.PaymentMethod, key)
	}
	return w, err
}

func unknown(k journal.Kind, key id.ID) error {
	return fault.New(fault.NotFound, "unknown_"+string(k), "This customer has no %s {id}.", k.Words()).With("id", key)
}

func emailOwner(r journal.Reader, address string) (id.ID, error) {
	if plain.Email(address) != nil {
		return "", nil
	}
	owner, _, err := r.Reserved(ScopeEmail, plain.EmailKey(address))
	return owner, err
}

// openStatuses are those in which a subscription still ships and charges.
var openStatuses = []string{"active", "paused", "failed"}

// used says whether an open subscription of a customer has value in one of the fields. A subscription is seen here as
// the journal sees it, by the names of its fields: package subscription, whose state it is, imports this one.
func used(r journal.Reader, customer, value id.ID, fields ...string) (bool, error) {
	ids, err := r.Where(journal.Subscription, "customer_id", string(customer))
	if err != nil {
		return false, err
	}
	for _, key := range ids {
		s, ok, err := r.State(journal.Ref{Kind: journal.Subscription, ID: key})
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		set, err := journal.Diff(nil, s)
		if err != nil {
			return false, err
		}
		if !slices.Contains(openStatuses, text(set, "status")) {
			continue
		}
		for _, f := range fields {
			if text(set, f) == string(value) {
				return true, nil
			}
		}
	}
	return false, nil
}

// text gives a field that is a JSON string, empty when it is anything else.
func text(set []journal.Change, field string) (s string) {
	for _, c := range set {
		if c.Field == field && json.Unmarshal(c.After, &s) == nil {
			return s
		}
	}
	return ""
}

// present refuses everything about a customer whose personal data was erased.
func (w World) present() error {
	if w.Customer.Status == Redacted {
		return fault.New(fault.Conflict, "status_redacted", "This customer's personal data was erased, so nothing can change any more.")
	}
	return nil
}

// steps turns one request into its events.
type steps struct{ drafts []journal.Draft }

// add makes a draft of the step from before to after, unless it changes nothing; before is nil for a new row.
func (s *steps) add(typ journal.Name, before, after journal.State, mentions ...journal.Ref) error {
	changes, err := journal.Diff(before, after)
	if err != nil || len(changes) == 0 {
		return err
	}
	s.drafts = append(s.drafts, journal.Draft{Type: typ, Before: before, After: after, Mentions: mentions})
	return nil
}

func (s *steps) decision(result journal.State) journal.Decision {
	return journal.Decision{Drafts: s.drafts, Result: result.Ref()}
}
