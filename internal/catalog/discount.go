package catalog

import (
	"strings"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// NormalizeCode gives a discount code as it is kept and compared: upper case, without the blanks around it. ok is
// false when it cannot be a code: 3 to 40 of A-Z, 0-9, "-" and "_". Letters beyond ASCII are not folded into them.
func NormalizeCode(s string) (code string, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) < 3 || len(s) > 40 {
		return "", false
	}
	b := []byte(s)
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z':
			b[i] = c - 'a' + 'A'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return "", false
		}
	}
	return string(b), true
}

// CreateDiscount makes a discount. Its code is unique in the shop for ever (Conflict, code_taken), whatever the case
// of its letters, and never changes.
type CreateDiscount struct {
	ID             id.ID
	Code           string
	Kind           string // KindPercentage or KindAmount
	Value          int64  // percent, 1 to 100, or minor units of the shop's currency
	MaxCycles      *int
	MaxRedemptions *int
	EndsAt         *time.Time // after now
}

// Load asks who holds the code.
func (c CreateDiscount) Load(r journal.Reader) (w World, err error) {
	if code, ok := NormalizeCode(c.Code); ok {
		w.CodeOwner, _, err = r.Reserved(ScopeDiscountCode, code)
	}
	return w, err
}

// Decide refuses wrong fields and a code that is taken.
func (c CreateDiscount) Decide(w World, now time.Time) (journal.Decision, error) {
	code, _ := NormalizeCode(c.Code)
	next := journal.Clone(&Discount{
		ID: c.ID, Code: code, Kind: c.Kind, Value: c.Value, MaxCycles: c.MaxCycles, MaxRedemptions: c.MaxRedemptions,
		EndsAt: instant(c.EndsAt), Status: Active, CreatedAt: journal.At(now),
	})
	var f fault.Fields
	next.check(&f)
	endsLater(&f, next.EndsAt, now)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	if w.CodeOwner != "" {
		return journal.Decision{}, fault.New(fault.Conflict, "code_taken",
			"The code %s is already in use, or was used before. Choose another one.", code)
	}
	d := created(journal.DiscountCreated, next)
	d.Reservations = []journal.Reservation{{Scope: ScopeDiscountCode, Value: code, Owner: c.ID}}
	return d, nil
}

// UpdateDiscount changes the fields that are not nil. Subscriptions that already have the discount keep it as it was
// when it was applied.
type UpdateDiscount struct {
	ID             id.ID
	Kind           *string
	Value          *int64
	MaxCycles      Nullable[int]
	MaxRedemptions Nullable[int]
	EndsAt         Nullable[time.Time]
}

func (c UpdateDiscount) Load(r journal.Reader) (w World, err error) {
	w.Discount, err = journal.Get[Discount](r, journal.Discount, c.ID)
	return w, err
}

// Decide refuses wrong fields and changes of a discount that was deactivated (status_inactive).
func (c UpdateDiscount) Decide(w World, now time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Discount)
	put(&next.Kind, c.Kind)
	put(&next.Value, c.Value)
	c.MaxCycles.apply(&next.MaxCycles)
	c.MaxRedemptions.apply(&next.MaxRedemptions)
	var f fault.Fields
	if c.EndsAt.Given {
		next.EndsAt = instant(c.EndsAt.Value)
		if !sameInstant(next.EndsAt, w.Discount.EndsAt) {
			endsLater(&f, next.EndsAt, now)
		}
	}
	next = journal.Clone(next)
	next.check(&f)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	s := &steps{last: w.Discount}
	if err := s.add(journal.DiscountUpdated, next); err != nil {
		return journal.Decision{}, err
	}
	if len(s.drafts) > 0 && w.Discount.Status == Inactive {
		return journal.Decision{}, closed("discount", Inactive)
	}
	return s.decision(), nil
}

// DeactivateDiscount ends a discount for new subscriptions. Its code stays reserved, and subscriptions that have it
// keep it.
type DeactivateDiscount struct{ ID id.ID }

func (c DeactivateDiscount) Load(r journal.Reader) (World, error) {
	return UpdateDiscount{ID: c.ID}.Load(r)
}

// Decide refuses nothing: an inactive discount stays inactive.
func (c DeactivateDiscount) Decide(w World, _ time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Discount)
	next.Status = Inactive
	s := &steps{last: w.Discount}
	err := s.add(journal.DiscountDeactivated, next)
	return s.decision(), err
}

func instant(t *time.Time) *journal.Time {
	if t == nil {
		return nil
	}
	return journal.AtPtr(*t)
}

func sameInstant(a, b *journal.Time) bool {
	return a == b || a != nil && b != nil && a.Equal(b.Time)
}

func endsLater(f *fault.Fields, ends *journal.Time, now time.Time) {
	if ends != nil && !ends.After(now) {
		f.Add("/ends_at", "not_in_future", "A discount ends in the future. Deactivate it to end it now.")
	}
}

// Reserves gives the names that a discount holds: its code, for ever.
func Reserves(d *Discount) []journal.Reservation {
	return []journal.Reservation{{Scope: ScopeDiscountCode, Value: d.Code, Owner: d.ID}}
}
