package customer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/plain"
	"perennial/internal/settings"
)

// Create makes a customer. The e-mail address is theirs alone (Conflict, email_taken).
type Create struct {
	ID        id.ID
	Email     string
	FirstName string
	LastName  string
	Phone     string
	Locale    string // BCP 47; empty: the shop's
	Tags      []string
}

// Load asks who has the e-mail address.
func (c Create) Load(r journal.Reader) (w World, err error) {
	if w.General, err = journal.Find[settings.General](r, journal.Settings, settings.PageGeneral); err != nil {
		return w, err
	}
	w.EmailOwner, err = emailOwner(r, strings.TrimSpace(c.Email))
	return w, err
}

// Decide refuses wrong fields and a taken e-mail address.
func (c Create) Decide(w World, now time.Time) (journal.Decision, error) {
	next := &Customer{ID: c.ID, Locale: fallbackLocale, Status: Active, CreatedAt: journal.At(now)}
	if w.General != nil {
		next.Locale = w.General.Locale
	}
	change := UpdateProfile{Email: &c.Email, FirstName: &c.FirstName, LastName: &c.LastName, Phone: &c.Phone, Tags: &c.Tags}
	if c.Locale != "" {
		change.Locale = &c.Locale
	}
	change.apply(next)
	if err := refusals(next); err != nil {
		return journal.Decision{}, err
	}
	if w.EmailOwner != "" {
		return journal.Decision{}, emailTaken()
	}
	var s steps
	if err := s.add(journal.CustomerCreated, nil, next); err != nil {
		return journal.Decision{}, err
	}
	d := s.decision(next)
	d.Reservations = moveEmail(nil, next)
	return d, nil
}

// UpdateProfile changes the fields that are not nil. A new e-mail address is an event of its own, and its reservation
// moves (Conflict, email_taken); an erased customer does not change (status_redacted).
type UpdateProfile struct {
	ID        id.ID
	Email     *string
	FirstName *string
	LastName  *string
	Phone     *string
	Locale    *string
	Tags      *[]string
}

func (c UpdateProfile) Load(r journal.Reader) (World, error) {
	w, err := loadCustomer(r, c.ID)
	if err == nil && c.Email != nil {
		w.EmailOwner, err = emailOwner(r, strings.TrimSpace(*c.Email))
	}
	return w, err
}

// Decide gives up to two events: the profile's and the e-mail's.
func (c UpdateProfile) Decide(w World, now time.Time) (journal.Decision, error) {
	if err := w.present(); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(w.Customer)
	c.apply(next)
	anotherMailbox(w.Customer, next, now)
	if err := refusals(next); err != nil {
		return journal.Decision{}, err
	}
	if w.EmailOwner != "" && w.EmailOwner != c.ID {
		return journal.Decision{}, emailTaken()
	}
	profile := journal.Clone(next)
	profile.Email, profile.EmailChangedAt = w.Customer.Email, w.Customer.EmailChangedAt
	var s steps
	if err := s.add(journal.CustomerProfileUpdated, w.Customer, profile); err != nil {
		return journal.Decision{}, err
	}
	if err := s.add(journal.CustomerEmailChanged, profile, next); err != nil {
		return journal.Decision{}, err
	}
	d := s.decision(next)
	d.Reservations = moveEmail(w.Customer, next)
	return d, nil
}

// anotherMailbox notes when the address became another one, by a change or by an undo. An address in other letters is the same.
func anotherMailbox(was, next *Customer, now time.Time) {
	if plain.EmailKey(was.Email.Value) == plain.EmailKey(next.Email.Value) {
		next.EmailChangedAt = was.EmailChangedAt
	} else {
		next.EmailChangedAt = journal.AtPtr(now)
	}
}

func (c UpdateProfile) apply(next *Customer) {
	setText(&next.Email, c.Email)
	setText(&next.FirstName, c.FirstName)
	setText(&next.LastName, c.LastName)
	setText(&next.Phone, c.Phone)
	if c.Locale != nil {
		next.Locale = *c.Locale
	}
	if c.Tags != nil {
		next.Tags = tidyTags(*c.Tags)
	}
}

// PortalLink is the entry of a link that lets a customer into the portal: an observation of the sign-in attempt that
// begins with it. The token is nowhere in it; only its hash is kept, beside the journal.
type PortalLink struct {
	CustomerID id.ID
	SignInID   id.ID     // the attempt
	ExpiresAt  time.Time // after now
}

type linkDetails struct {
	ExpiresAt journal.Time `json:"expires_at"`
}

func (c PortalLink) Load(r journal.Reader) (World, error) { return loadCustomer(r, c.CustomerID) }

// Decide refuses a customer who was erased.
func (c PortalLink) Decide(w World, now time.Time) (journal.Decision, error) {
	if err := w.present(); err != nil {
		return journal.Decision{}, err
	}
	if !c.ExpiresAt.After(now) {
		return journal.Decision{}, fmt.Errorf("customer: a portal link that has expired already, at %s", c.ExpiresAt)
	}
	attempt := journal.Ref{Kind: journal.SignIn, ID: c.SignInID}
	return journal.Decision{
		Drafts: []journal.Draft{{
			Type: journal.CustomerMagicLinkCreated, Target: attempt, Mentions: []journal.Ref{w.Customer.Ref()}, Person: c.CustomerID,
			Details: linkDetails{journal.At(c.ExpiresAt)},
		}},
		Result: attempt,
	}, nil
}

// RequestData is the entry of a customer's wish to have their data: an observation of the request.
type RequestData struct {
	CustomerID id.ID
	RequestID  id.ID
}

func (c RequestData) Load(r journal.Reader) (World, error) { return loadCustomer(r, c.CustomerID) }

// Decide refuses a customer who was erased: there is nothing left to hand out.
func (c RequestData) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := w.present(); err != nil {
		return journal.Decision{}, err
	}
	request := journal.Ref{Kind: journal.Request, ID: c.RequestID}
	return journal.Decision{
		Drafts: []journal.Draft{
			{Type: journal.CustomerDataRequested, Target: request, Mentions: []journal.Ref{w.Customer.Ref()}, Person: c.CustomerID},
		},
		Result: request,
	}, nil
}

// RedactOwn gives the drafts that erase a customer's own rows (the addresses, the payment methods, the customer last)
// and the release of the e-mail address. It is a part of the erasure that package privacy composes; destroying the key
// is another. The lists are all rows of the customer, those that were removed included.
func RedactOwn(c *Customer, addresses []*Address, methods []*PaymentMethod) ([]journal.Draft, []journal.Reservation) {
	var drafts []journal.Draft
	for _, a := range addresses {
		next := journal.Clone(a)
		journal.Erase(next)
		next.Status = StatusErased
		drafts = append(drafts, journal.Draft{Type: journal.AddressRedacted, Before: a, After: next, Mentions: []journal.Ref{c.Ref()}})
	}
	for _, p := range methods {
		next := journal.Clone(p)
		journal.Erase(next)
		next.Status = StatusErased
		drafts = append(drafts, journal.Draft{Type: journal.PaymentMethodRedacted, Before: p, After: next, Mentions: []journal.Ref{c.Ref()}})
	}
	next := journal.Clone(c)
	journal.Erase(next)
	next.Status = Redacted
	next.Tags = nil
	next.DefaultAddressID, next.DefaultPaymentMethodID, next.BackupPaymentMethodID = "", "", ""
	next.GatewayData = GatewayDataDue
	drafts = append(drafts,
		journal.Draft{Type: journal.CustomerRedacted, Before: c, After: next, Secrets: []journal.Secret{gatewayReferences(methods)}})
	return drafts, moveEmail(c, next)
}

// moveEmail takes the e-mail address of next and gives back that of was. was may be nil; an erased address is none.
func moveEmail(was, next *Customer) (moves []journal.Reservation) {
	var from, to string
	if was != nil && !was.Email.Erased {
		from = plain.EmailKey(was.Email.Value)
	}
	if !next.Email.Erased {
		to = plain.EmailKey(next.Email.Value)
	}
	if from == to {
		return nil
	}
	if to != "" {
		moves = append(moves, journal.Reservation{Scope: ScopeEmail, Value: to, Owner: next.ID})
	}
	if from != "" {
		moves = append(moves, journal.Reservation{Scope: ScopeEmail, Value: from, Owner: was.ID, Release: true})
	}
	return moves
}

func emailTaken() error {
	return fault.New(fault.Conflict, "email_taken", "Another customer already has this e-mail address.")
}

func setText(to *journal.Personal[string], s *string) {
	if s != nil {
		*to = journal.Secluded(strings.TrimSpace(*s))
	}
}

func tidyTags(tags []string) []string {
	out := make([]string, 0, len(tags))
	for _, t := range tags {
		out = append(out, strings.TrimSpace(t))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Reserves gives the names that a customer holds: the e-mail address.
func Reserves(c *Customer) []journal.Reservation { return moveEmail(nil, c) }
