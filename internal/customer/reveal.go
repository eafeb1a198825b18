package customer

import (
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// What can be revealed of a customer, one by one, to somebody for whom the rest stays masked.
const (
	RevealName    = "name"
	RevealEmail   = "email"
	RevealPhone   = "phone"
	RevealAddress = "address"
)

// Reveal is the entry of a personal value that somebody had shown to them: an observation, which never holds the value.
type Reveal struct {
	CustomerID id.ID
	RequestID  id.ID
	Value      string // one of the above
	AddressID  id.ID  // with RevealAddress
}

type revealDetails struct {
	Value string `json:"value"`
	Of    id.ID  `json:"of"`
}

func (c Reveal) Load(r journal.Reader) (w World, err error) {
	if w, err = loadCustomer(r, c.CustomerID); err == nil && c.Value == RevealAddress {
		w.Address, err = journal.Get[Address](r, journal.Address, c.AddressID)
	}
	return w, err
}

// Decide refuses what is no value of this customer, and a customer who was erased.
func (c Reveal) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := w.present(); err != nil {
		return journal.Decision{}, err
	}
	request := journal.Ref{Kind: journal.Request, ID: c.RequestID}
	d := journal.Draft{
		Type:     journal.PersonalDataRevealed,
		Target:   request,
		Mentions: []journal.Ref{w.Customer.Ref()},
		Details:  revealDetails{c.Value, c.CustomerID},
		Person:   c.CustomerID,
	}
	switch c.Value {
	case RevealName, RevealEmail, RevealPhone:
	case RevealAddress:
		if w.Address.CustomerID != c.CustomerID {
			return journal.Decision{}, fault.New(fault.NotFound, "unknown_address", "There is no such address of this customer.")
		}
		d.Details, d.Mentions = revealDetails{c.Value, c.AddressID}, append(d.Mentions, w.Address.Ref())
	default:
		var f fault.Fields
		f.Add("/value", "not_revealable", "This is no value that can be revealed.")
		return journal.Decision{}, f.Err()
	}
	return journal.Decision{Drafts: []journal.Draft{d}, Result: request}, nil
}
