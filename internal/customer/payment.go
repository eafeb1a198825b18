package customer

import (
	"fmt"
	"strings"
	"time"

	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
)

// PaymentMethodFields are the fields of a payment method that change. Those that are nil stay as they are, or empty in
// a new one.
type PaymentMethodFields struct {
	GatewayReference *string // what the gateway calls it; required
	Brand            *string
	Last4            *string // four digits, or empty
	ExpMonth         *int    // 1 to 12; 0 with ExpYear 0: it does not expire
	ExpYear          *int    // 2000 to 2099
}

func (f PaymentMethodFields) apply(next *PaymentMethod) {
	setText(&next.GatewayReference, f.GatewayReference)
	setText(&next.Last4, f.Last4)
	if f.Brand != nil {
		next.Brand = strings.TrimSpace(*f.Brand)
	}
	if f.ExpMonth != nil {
		next.ExpMonth = *f.ExpMonth
	}
	if f.ExpYear != nil {
		next.ExpYear = *f.ExpYear
	}
}

// Expired says whether the method's last month is over on a day of the shop.
func (p *PaymentMethod) Expired(today civil.Date) bool {
	if p.ExpMonth == 0 {
		return false
	}
	return today.Year > p.ExpYear || today.Year == p.ExpYear && int(today.Month) > p.ExpMonth
}

// there says whether the method was neither removed nor erased.
func (p *PaymentMethod) there() bool { return p.Status == StatusActive || p.Status == StatusExpired }

// AddPaymentMethod refers to a payment method that the gateway keeps. It becomes the default when the customer has
// none.
type AddPaymentMethod struct {
	ID         id.ID
	CustomerID id.ID
	Gateway    string
	Fields     PaymentMethodFields
}

func (c AddPaymentMethod) Load(r journal.Reader) (World, error) {
	return loadCustomer(r, c.CustomerID)
}

// Decide refuses wrong fields, a method that has expired, and an erased customer (status_redacted).
func (c AddPaymentMethod) Decide(w World, now time.Time) (journal.Decision, error) {
	if err := w.present(); err != nil {
		return journal.Decision{}, err
	}
	next := &PaymentMethod{
		ID:         c.ID,
		CustomerID: c.CustomerID,
		Gateway:    strings.TrimSpace(c.Gateway),
		Status:     StatusActive,
		CreatedAt:  journal.At(now),
	}
	c.Fields.apply(next)
	if err := refuseMethod(next, settings.Today(w.General, now)); err != nil {
		return journal.Decision{}, err
	}
	var s steps
	if err := s.add(journal.PaymentMethodAdded, nil, next, w.Customer.Ref()); err != nil {
		return journal.Decision{}, err
	}
	if w.Customer.DefaultPaymentMethodID == "" {
		owner := journal.Clone(w.Customer)
		owner.DefaultPaymentMethodID = next.ID
		if err := s.add(journal.PaymentMethodDefaultChanged, w.Customer, owner, next.Ref()); err != nil {
			return journal.Decision{}, err
		}
	}
	return s.decision(next), nil
}

// UpdatePaymentMethod changes the fields that are not nil: a card that was renewed, say. The gateway stays.
type UpdatePaymentMethod struct {
	ID         id.ID
	CustomerID id.ID
	Fields     PaymentMethodFields
}

func (c UpdatePaymentMethod) Load(r journal.Reader) (World, error) {
	return loadPaymentMethod(r, c.CustomerID, c.ID)
}

// Decide refuses wrong fields, an expiry in the past, an erased customer, and a method that was removed
// (status_removed).
func (c UpdatePaymentMethod) Decide(w World, now time.Time) (journal.Decision, error) {
	if err := w.methodPresent(); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(w.PaymentMethod)
	c.Fields.apply(next)
	if next.GatewayReference.Value != w.PaymentMethod.GatewayReference.Value || next.ExpMonth != w.PaymentMethod.ExpMonth ||
		next.ExpYear != w.PaymentMethod.ExpYear {
		next.RefusedAt, next.RenewedAt = nil, journal.AtPtr(now) // it is another card now
	}
	var err error
	if next.ExpMonth != w.PaymentMethod.ExpMonth || next.ExpYear != w.PaymentMethod.ExpYear {
		err = refuseMethod(next, settings.Today(w.General, now))
	} else {
		err = refusals(next)
	}
	if err != nil {
		return journal.Decision{}, err
	}
	var s steps
	err = s.add(journal.PaymentMethodUpdated, w.PaymentMethod, next, w.Customer.Ref())
	return s.decision(next), err
}

// RemovePaymentMethod takes a payment method away, unless an open subscription is charged to it, as its method or as its backup, or
// because it is the default (Conflict, payment_method_in_use). The customer has no default, or no backup, then. A method that was
// removed stays removed.
type RemovePaymentMethod struct {
	ID         id.ID
	CustomerID id.ID
}

func (c RemovePaymentMethod) Load(r journal.Reader) (World, error) {
	w, err := loadPaymentMethod(r, c.CustomerID, c.ID)
	if err == nil {
		w.InUse, err = used(r, c.CustomerID, c.ID, "payment_method_id", "backup_payment_method_id")
	}
	if err == nil && !w.InUse && w.Customer.DefaultPaymentMethodID == c.ID {
		w.InUse, err = used(r, c.CustomerID, "", "payment_method_id")
	}
	return w, err
}

// Decide refuses as the type says, and an erased customer.
func (c RemovePaymentMethod) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := w.present(); err != nil {
		return journal.Decision{}, err
	}
	if w.PaymentMethod.there() && w.InUse {
		return journal.Decision{}, fault.New(fault.Conflict, "payment_method_in_use",
			"A subscription is charged to this payment method. Give the subscription another one first.")
	}
	next := journal.Clone(w.PaymentMethod)
	next.Status = StatusRemoved
	var s steps
	if err := s.add(journal.PaymentMethodRemoved, w.PaymentMethod, next, w.Customer.Ref()); err != nil {
		return journal.Decision{}, err
	}
	owner := journal.Clone(w.Customer)
	if owner.DefaultPaymentMethodID == c.ID {
		owner.DefaultPaymentMethodID = ""
	}
	withoutDefault := journal.Clone(owner)
	if owner.BackupPaymentMethodID == c.ID {
		owner.BackupPaymentMethodID = ""
	}
	if err := s.add(journal.PaymentMethodDefaultChanged, w.Customer, withoutDefault); err != nil {
		return journal.Decision{}, err
	}
	if err := s.add(journal.PaymentMethodBackupSet, withoutDefault, owner); err != nil {
		return journal.Decision{}, err
	}
	return s.decision(next), nil
}

// SetDefaultPaymentMethod says which method a new subscription of the customer is charged to unless told otherwise. If
// it was the backup, there is none then: a backup that is the same method would not help.
type SetDefaultPaymentMethod struct {
	CustomerID      id.ID
	PaymentMethodID id.ID
}

func (c SetDefaultPaymentMethod) Load(r journal.Reader) (World, error) {
	return loadPaymentMethod(r, c.CustomerID, c.PaymentMethodID)
}

// Decide refuses an erased customer and a method that was removed (status_removed).
func (c SetDefaultPaymentMethod) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := w.methodPresent(); err != nil {
		return journal.Decision{}, err
	}
	var s steps
	free := journal.Clone(w.Customer)
	if free.BackupPaymentMethodID == c.PaymentMethodID {
		free.BackupPaymentMethodID = ""
	}
	if err := s.add(journal.PaymentMethodBackupSet, w.Customer, free); err != nil {
		return journal.Decision{}, err
	}
	next := journal.Clone(free)
	next.DefaultPaymentMethodID = c.PaymentMethodID
	err := s.add(journal.PaymentMethodDefaultChanged, free, next, w.PaymentMethod.Ref())
	return s.decision(next), err
}

// SetBackupPaymentMethod says which method is tried when the default one fails. An empty PaymentMethodID says none.
type SetBackupPaymentMethod struct {
	CustomerID      id.ID
	PaymentMethodID id.ID
}

func (c SetBackupPaymentMethod) Load(r journal.Reader) (World, error) {
	if c.PaymentMethodID == "" {
		return loadCustomer(r, c.CustomerID)
	}
	return loadPaymentMethod(r, c.CustomerID, c.PaymentMethodID)
}

// Decide refuses an erased customer, a method that was removed (status_removed), and the default one
// (same_as_default).
func (c SetBackupPaymentMethod) Decide(w World, _ time.Time) (journal.Decision, error) {
	if err := w.methodPresent(); err != nil {
		return journal.Decision{}, err
	}
	if c.PaymentMethodID != "" && c.PaymentMethodID == w.Customer.DefaultPaymentMethodID {
		return journal.Decision{}, fault.New(fault.Conflict, "same_as_default",
			"This is the default payment method already. Choose another one as its backup.")
	}
	next := journal.Clone(w.Customer)
	next.BackupPaymentMethodID = c.PaymentMethodID
	var s steps
	err := s.add(journal.PaymentMethodBackupSet, w.Customer, next, journal.Ref{Kind: journal.PaymentMethod, ID: c.PaymentMethodID})
	return s.decision(next), err
}

func (w World) methodPresent() error {
	if err := w.present(); err != nil {
		return err
	}
	if w.PaymentMethod != nil && !w.PaymentMethod.there() {
		return fault.New(fault.Conflict, "status_"+w.PaymentMethod.Status, "This payment method was removed. Undo that, or add it again.")
	}
	return nil
}

// refuseMethod is refusals, and refuses a method that has expired besides.
func refuseMethod(p *PaymentMethod, today civil.Date) error {
	var f fault.Fields
	p.check(&f)
	if p.Expired(today) {
		f.Add("/exp_year", "card_expired", "This payment method has expired.")
	}
	return f.Err()
}

// Charged gives the event of what a charge says about its payment method for all later ones: that the gateway refuses it for good, or
// takes it again after all. ok is false when that is known already, or the method is gone.
func Charged(p *PaymentMethod, refused bool, now time.Time, order journal.Ref) (d journal.Draft, ok bool) {
	if p == nil || !p.there() || refused == (p.RefusedAt != nil) {
		return journal.Draft{}, false
	}
	next, typ := journal.Clone(p), journal.PaymentMethodAccepted
	next.RefusedAt = nil
	if refused {
		next.RefusedAt, typ = journal.AtPtr(now), journal.PaymentMethodRefused
	}
	return journal.Draft{Type: typ, Before: p, After: next, Mentions: []journal.Ref{{Kind: journal.Customer, ID: p.CustomerID}, order}}, true
}

// NoteExpiry says that a card expires this month or the next, once for each expiry. It is for a job: a card that was removed, or told
// already, changes nothing.
type NoteExpiry struct {
	ID         id.ID
	CustomerID id.ID
}

func (c NoteExpiry) Load(r journal.Reader) (World, error) {
	return loadPaymentMethod(r, c.CustomerID, c.ID)
}

func (c NoteExpiry) Decide(w World, now time.Time) (journal.Decision, error) {
	p := w.PaymentMethod
	d := journal.Decision{Result: p.Ref()}
	if p.Status != StatusActive || !p.ExpiresSoon(settings.Today(w.General, now)) || p.ExpiryTold == p.expiry() {
		return d, nil
	}
	next := journal.Clone(p)
	next.ExpiryTold = p.expiry()
	d.Drafts = []journal.Draft{{Type: journal.PaymentMethodExpiring, Before: p, After: next, Mentions: []journal.Ref{w.Customer.Ref()}}}
	return d, nil
}

func (p *PaymentMethod) expiry() string { return fmt.Sprintf("%04d-%02d", p.ExpYear, p.ExpMonth) }

// ExpiresSoon says whether the method's last month is the current one or the next.
func (p *PaymentMethod) ExpiresSoon(today civil.Date) bool {
	months := (p.ExpYear-today.Year)*12 + p.ExpMonth - int(today.Month)
	return p.ExpMonth > 0 && (months == 0 || months == 1)
}
