package customer

import (
	"errors"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Method is how a customer came into the Portal.
type Method string

// The methods, a closed list.
const (
	ByCode    Method = "code"    // sent to the e-mail address
	ByLink    Method = "link"    // made by the team, or in a message
	ByTheTeam Method = "view_as" // a team member looks at the Portal as the customer sees it
)

// SendCode is the entry of a code that is sent to a customer, to sign in with. The code is nowhere in it.
type SendCode struct {
	SignInID   id.ID // the attempt
	CustomerID id.ID
	ExpiresAt  time.Time
}

func (c SendCode) Load(r journal.Reader) (World, error) { return loadCustomer(r, c.CustomerID) }

// Decide refuses a customer who was erased.
func (c SendCode) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := w.present(); err != nil {
		return journal.Decision{}, err
	}
	return observed(journal.CustomerLoginCodeSent, journal.Ref{Kind: journal.SignIn, ID: c.SignInID}, c.CustomerID,
		linkDetails{journal.At(c.ExpiresAt)}), nil
}

// RejectCode is the entry of a code or a link that was not accepted.
type RejectCode struct {
	SignInID   id.ID
	CustomerID id.ID
	Why        string // "wrong", "expired", "used", "too_many"
}

type rejectDetails struct {
	Why string `json:"why"`
}

func (c RejectCode) Load(r journal.Reader) (World, error) { return loadCustomer(r, c.CustomerID) }

func (c RejectCode) Decide(World, time.Time) (journal.Decision, error) {
	return observed(journal.CustomerLoginCodeRejected, journal.Ref{Kind: journal.SignIn, ID: c.SignInID}, c.CustomerID,
		rejectDetails{c.Why}), nil
}

// LogIn is the entry of a session in the Portal that begins.
type LogIn struct {
	Session    id.ID
	CustomerID id.ID
	Method     Method
}

type logInDetails struct {
	Method Method `json:"method"`
}

func (c LogIn) Load(r journal.Reader) (World, error) { return loadCustomer(r, c.CustomerID) }

// Decide refuses a customer who was erased.
func (c LogIn) Decide(w World, _ time.Time) (journal.Decision, error) {
	if c.Session == "" {
		return journal.Decision{}, errors.New("customer: a sign-in without a session")
	}
	if w.Customer.Status != Active {
		return journal.Decision{}, fault.New(fault.Forbidden, "status_redacted", "This account was erased.")
	}
	return observed(journal.CustomerLoggedIn, journal.Ref{Kind: journal.Session, ID: c.Session}, c.CustomerID, logInDetails{c.Method}), nil
}

// EndSessions is the entry of each session in the Portal that ends before its time.
type EndSessions struct {
	CustomerID id.ID
	Sessions   []id.ID
	Why        string // "signed_out" or "revoked"
}

func (c EndSessions) Load(r journal.Reader) (World, error) { return loadCustomer(r, c.CustomerID) }

func (c EndSessions) Decide(World, time.Time) (journal.Decision, error) {
	d := journal.Decision{Result: journal.Ref{Kind: journal.Customer, ID: c.CustomerID}}
	for _, s := range c.Sessions {
		d.Drafts = append(
			d.Drafts,
			observed(journal.CustomerLoggedOut, journal.Ref{Kind: journal.Session, ID: s}, c.CustomerID, rejectDetails{c.Why}).Drafts...)
	}
	return d, nil
}

// observed is the decision of an observation that mentions the customer.
func observed(typ journal.Name, target journal.Ref, customer id.ID, details any) journal.Decision {
	return journal.Decision{
		Drafts: []journal.Draft{
			{Type: typ, Target: target, Mentions: []journal.Ref{{Kind: journal.Customer, ID: customer}}, Person: customer, Details: details},
		},
		Result: target,
	}
}
