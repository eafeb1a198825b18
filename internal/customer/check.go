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

const (
	maxNameLength      = 100
	maxLineLength      = 200
	maxCodeLength      = 20
	maxPhoneLength     = 40
	maxReferenceLength = 255
	maxTags            = 50
	maxTagLength       = 50
	fallbackLocale     = "en"
)

// checked is a state of this package.
type checked interface {
	journal.State
	// check adds every wrong field, by its pointer in the API's body. Erased fields are not wrong.
	check(f *fault.Fields)
	// sound names an invariant that no request can break.
	sound() error
}

func refusals(s checked) error {
	var f fault.Fields
	s.check(&f)
	return f.Err()
}

// Check names what is broken in a state of this package, if anything is: *Customer, *Address or *PaymentMethod.
func Check(s journal.State) error {
	c, ok := s.(checked)
	if !ok {
		return fmt.Errorf("customer: no state of a customer: %T", s)
	}
	if s.Ref().ID == "" {
		return fmt.Errorf("customer: a %s without an id", s.Ref().Kind.Words())
	}
	if s.Person() == "" {
		return fmt.Errorf("customer: %s %s belongs to nobody", s.Ref().Kind.Words(), s.Ref().ID)
	}
	if err := c.sound(); err != nil {
		return err
	}
	return refusals(c)
}

func (c *Customer) check(f *fault.Fields) {
	if !c.Email.Erased {
		if why := plain.Email(c.Email.Value); why != nil {
			f.Refuse("/email", why)
		}
	}
	personal(f, "/first_name", c.FirstName, maxNameLength)
	personal(f, "/last_name", c.LastName, maxNameLength)
	personal(f, "/phone", c.Phone, maxPhoneLength)
	if why := plain.Locale(c.Locale); why != nil {
		f.Refuse("/locale", why)
	}
	if len(c.Tags) > maxTags {
		f.Add("/tags", "too_many", "A customer has at most {most} tags.", "most", maxTags)
	}
	for _, t := range c.Tags {
		if why := plain.Text(t, maxTagLength); why != nil {
			f.Refuse("/tags", why)
		} else if t == "" {
			f.Add("/tags", "required", "A tag is not empty.")
		}
	}
}

func (c *Customer) sound() error {
	switch {
	case c.Status != Active && c.Status != Redacted:
		return fmt.Errorf("customer: %s has the status %q", c.ID, c.Status)
	case !slices.IsSorted(c.Tags) || len(slices.Compact(slices.Clone(c.Tags))) != len(c.Tags):
		return fmt.Errorf("customer: the tags of %s are not sorted, or one is there twice", c.ID)
	case c.BackupPaymentMethodID != "" && c.BackupPaymentMethodID == c.DefaultPaymentMethodID:
		return fmt.Errorf("customer: the backup of %s is the default payment method", c.ID)
	case c.GatewayData != "" && (c.Status != Redacted || !slices.Contains([]string{GatewayDataDue, GatewayDataFailing, GatewayDataErased}, c.GatewayData)):
		return fmt.Errorf("customer: the data of %s, who is %s, is %q at the gateway", c.ID, c.Status, c.GatewayData)
	}
	return erasedTogether(c, c.Status == Redacted, c.Email, c.FirstName, c.LastName, c.Phone)
}

func (a *Address) check(f *fault.Fields) {
	personal(f, "/first_name", a.FirstName, maxNameLength)
	personal(f, "/last_name", a.LastName, maxNameLength)
	personal(f, "/company", a.Company, maxNameLength)
	required(f, "/line1", a.Line1)
	personal(f, "/line1", a.Line1, maxLineLength)
	personal(f, "/line2", a.Line2, maxLineLength)
	required(f, "/city", a.City)
	personal(f, "/city", a.City, maxNameLength)
	personal(f, "/region", a.Region, maxNameLength)
	personal(f, "/postal_code", a.PostalCode, maxCodeLength)
	if why := plain.Country(a.Country); why != nil {
		f.Refuse("/country", why)
	}
	personal(f, "/phone", a.Phone, maxPhoneLength)
}

func (a *Address) sound() error {
	if err := status(a, a.Status); err != nil {
		return err
	}
	return erasedTogether(a, a.Status == StatusErased, a.FirstName, a.LastName, a.Company, a.Line1, a.Line2, a.City, a.Region,
		a.PostalCode, a.Phone)
}

func (p *PaymentMethod) check(f *fault.Fields) {
	if p.Gateway == "" {
		f.Add("/gateway", "required", "Name the gateway that keeps the payment method.")
	} else if why := plain.Text(p.Gateway, maxNameLength); why != nil {
		f.Refuse("/gateway", why)
	}
	required(f, "/gateway_reference", p.GatewayReference)
	personal(f, "/gateway_reference", p.GatewayReference, maxReferenceLength)
	if cardNumber(p.GatewayReference.Value) {
		f.Add("/gateway_reference", "card_number",
			"This looks like a card number. Give the gateway's reference; card numbers are never kept here.")
	}
	if why := plain.Text(p.Brand, maxNameLength); why != nil {
		f.Refuse("/brand", why)
	}
	if n := p.Last4.Value; n != "" && (len(n) != 4 || !digits(n)) {
		f.Add("/last4", "last4_invalid", "Give the last four digits, or nothing.")
	}
	if p.ExpMonth == 0 && p.ExpYear == 0 {
		return
	}
	if p.ExpMonth < 1 || p.ExpMonth > 12 {
		f.Add("/exp_month", "out_of_range", "Give a month from 1 to 12.", "least", 1, "most", 12)
	}
	if p.ExpYear < 2000 || p.ExpYear > 2099 {
		f.Add("/exp_year", "out_of_range", "Give a year from 2000 to 2099.", "least", 2000, "most", 2099)
	}
}

func (p *PaymentMethod) sound() error {
	if p.Status != StatusExpired {
		if err := status(p, p.Status); err != nil {
			return err
		}
	}
	return erasedTogether(p, p.Status == StatusErased, p.GatewayReference, p.Last4)
}

func status(s journal.State, v string) error {
	if v != StatusActive && v != StatusRemoved && v != StatusErased {
		return fmt.Errorf("customer: %s %s has the status %q", s.Ref().Kind.Words(), s.Ref().ID, v)
	}
	return nil
}

// erasedTogether says that the personal fields of a row are erased when its status says so, and only then.
func erasedTogether(s journal.State, want bool, fields ...journal.Personal[string]) error {
	for _, p := range fields {
		if p.Erased != want {
			return fmt.Errorf("customer: %s %s is half erased", s.Ref().Kind.Words(), s.Ref().ID)
		}
	}
	return nil
}

func personal(f *fault.Fields, at string, p journal.Personal[string], most int) {
	if p.Erased {
		return
	}
	if why := plain.Text(p.Value, most); why != nil {
		f.Refuse(at, why)
	}
}

func required(f *fault.Fields, at string, p journal.Personal[string]) {
	if !p.Erased && p.Value == "" {
		f.Add(at, "required", "This must not be empty.")
	}
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// cardNumber says whether a text is what is printed on a card: 12 to 19 digits, grouped or not, whose check digit is
// right (ISO/IEC 7812-1).
func cardNumber(s string) bool {
	n, sum := 0, 0
	for i := len(s) - 1; i >= 0; i-- {
		c := s[i]
		if c == ' ' || c == '-' {
			continue
		}
		if c < '0' || c > '9' {
			return false
		}
		d := int(c - '0')
		if n%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n++
	}
	return n >= 12 && n <= 19 && sum%10 == 0
}

// Undo says whether an entry about a customer may be undone, where restored is what its row would be then. Nothing of
// an erased customer comes back (Conflict, erased); a method that has expired does not (undo_expired). An address or method
// that was removed changes only by being put back, and none is removed by an undo: removing asks first who uses it. What
// only the rest of the shop can tell is for Restore.
func Undo(e *journal.Event, now time.Time, current, restored journal.State, general *settings.General) error {
	if err := erased(current); err != nil {
		return err
	}
	if err := erased(restored); err != nil {
		return err
	}
	if e.TargetVersion == 1 {
		return fault.New(fault.Conflict, "undo_first", "This entry is the beginning, so there is nothing before it to put back.")
	}
	if was, next := rowStatus(current), rowStatus(restored); next == StatusRemoved {
		if was == StatusRemoved {
			return fault.New(fault.Conflict, "status_removed", "This was removed since. Undo the removal first.")
		}
		return fault.New(fault.Conflict, "undo_not_allowed", "An undo does not remove anything. Remove it yourself instead.")
	}
	if err := Check(restored); err != nil {
		return fault.Wrap(err, fault.Conflict, "undo_not_allowed", "What this entry changed cannot be put back: it would not be allowed today.")
	}
	if c, ok := restored.(*Customer); ok { // an address that is put back brings back none of those who read it then
		anotherMailbox(current.(*Customer), c, now)
	}
	if p, ok := restored.(*PaymentMethod); ok && p.Expired(settings.Today(general, now)) {
		return fault.New(fault.Conflict, "undo_expired", "The payment method as it was has expired by now.")
	}
	return nil
}

// rowStatus is the status of an address or a payment method, empty for a customer.
func rowStatus(s journal.State) string {
	switch s := s.(type) {
	case *Address:
		return s.Status
	case *PaymentMethod:
		return s.Status
	}
	return ""
}

func erased(s journal.State) error {
	gone := false
	switch s := s.(type) {
	case *Customer:
		gone = s.Status == Redacted || s.Email.Erased
	case *Address:
		gone = s.Status == StatusErased || s.Line1.Erased
	case *PaymentMethod:
		gone = s.Status == StatusErased || s.GatewayReference.Erased
	}
	if gone {
		return fault.New(fault.Conflict, "erased", "The customer's personal data was erased, so nothing of it can be put back.")
	}
	return nil
}

// Restore says, for an undo, what Undo cannot see: that an e-mail address that comes back is still free, that the default address and
// payment methods that come back were not removed since, and that the shop sends to the country that comes back where subscriptions ship
// to the address. It gives the reservations that move with the change.
func Restore(r journal.Reader, current, restored journal.State) ([]journal.Reservation, error) {
	if a, ok := restored.(*Address); ok {
		return nil, a.shipsAgain(r, current.(*Address))
	}
	next, ok := restored.(*Customer)
	if !ok {
		return nil, nil
	}
	was := current.(*Customer)
	owner, err := emailOwner(r, next.Email.Value)
	if err != nil {
		return nil, err
	}
	if owner != "" && owner != next.ID {
		return nil, emailTaken()
	}
	if key := next.DefaultAddressID; key != "" && key != was.DefaultAddressID {
		a, err := journal.Find[Address](r, journal.Address, key)
		if err != nil {
			return nil, err
		}
		if a == nil || a.Status != StatusActive {
			return nil, fault.New(fault.Conflict, "undo_removed", "The address that was the default was removed since.")
		}
	}
	if err := stillThere(r, was.DefaultPaymentMethodID, next.DefaultPaymentMethodID); err != nil {
		return nil, err
	}
	if err := stillThere(r, was.BackupPaymentMethodID, next.BackupPaymentMethodID); err != nil {
		return nil, err
	}
	return moveEmail(was, next), nil
}

// shipsAgain asks of another country what UpdateAddress asks.
func (a *Address) shipsAgain(r journal.Reader, was *Address) error {
	if a.Country == was.Country {
		return nil
	}
	w, err := UpdateAddress{ID: a.ID, CustomerID: a.CustomerID, Fields: AddressFields{Country: &a.Country}}.Load(r)
	if err == nil && w.InUse && !w.Shipping.Ships(a.Country) {
		err = fault.New(fault.Conflict, "undo_country",
			"The shop does not send to {country}, and a subscription ships to this address.").With(
			"country",
			a.Country,
		)
	}
	return err
}

// stillThere refuses a choice of payment method that comes back when the method is gone.
func stillThere(r journal.Reader, was, next id.ID) error {
	if next == "" || next == was {
		return nil
	}
	p, err := journal.Find[PaymentMethod](r, journal.PaymentMethod, next)
	if err == nil && (p == nil || !p.there()) {
		err = fault.New(fault.Conflict, "undo_removed", "The payment method that was chosen then was removed since.")
	}
	return err
}
