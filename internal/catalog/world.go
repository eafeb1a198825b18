package catalog

import (
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
)

// ScopeDiscountCode is the scope of the reservation of a discount's code. A code is never given back: an old order
// that names it stays readable.
const ScopeDiscountCode = "discount_code"

// World is what the rules of the catalogue may see. A command's Load fills in what its rule needs and leaves the rest
// nil.
type World struct {
	General   *settings.General
	Product   *Product
	Variant   *Variant
	Backup    *Variant
	Group     *Group
	Plan      *Plan
	Discount  *Discount
	Products  map[id.ID]*Product // the products that a group names; those that do not exist are missing
	CodeOwner id.ID              // who holds the code of a new discount; empty when nobody does
}

// Nullable is one nullable field of a PATCH: left alone unless Given, and then set to Value, where nil is null.
type Nullable[T any] struct {
	Given bool
	Value *T
}

// Set gives a field that sets a value.
func Set[T any](v T) Nullable[T] { return Nullable[T]{Given: true, Value: &v} }

// Null gives a field that sets null.
func Null[T any]() Nullable[T] { return Nullable[T]{Given: true} }

func (n Nullable[T]) apply(to **T) {
	if n.Given {
		*to = n.Value
	}
}

func put[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

func general(r journal.Reader) (*settings.General, error) {
	return journal.Get[settings.General](r, journal.Settings, settings.PageGeneral)
}

// steps turns one request into the events of one row, an event for each kind of change.
type steps struct {
	last   journal.State
	drafts []journal.Draft
}

// add makes a draft of the next step, unless it changes nothing. next must be a changed clone of the last state.
func (s *steps) add(typ journal.Name, next journal.State, mentions ...journal.Ref) error {
	changes, err := journal.Diff(s.last, next)
	if err != nil || len(changes) == 0 {
		return err
	}
	s.drafts = append(s.drafts, journal.Draft{Type: typ, Before: s.last, After: next, Mentions: mentions})
	s.last = next
	return nil
}

func (s *steps) decision() journal.Decision {
	return journal.Decision{Drafts: s.drafts, Result: s.last.Ref()}
}

func created(typ journal.Name, s journal.State, mentions ...journal.Ref) journal.Decision {
	return journal.Decision{Drafts: []journal.Draft{{Type: typ, After: s, Mentions: mentions}}, Result: s.Ref()}
}

// closed refuses a change of a thing that was archived. The sentence says what can be done instead.
func closed(what string, s Status) error {
	return fault.New(fault.Conflict, "status_"+string(s), "The %s is %s, so it cannot be changed. Undo that first.", what, s)
}
