package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Date is a day in the shop's time zone, such as 2027-03-01. Dates compare as texts do.
type Date string

// NewDate makes a date.
func NewDate(year int, month time.Month, day int) Date {
	return Date(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
}

// In gives the beginning of the day in a place.
func (d Date) In(loc *time.Location) (time.Time, error) {
	return time.ParseInLocation(time.DateOnly, string(d), loc)
}

// Erasable is a personal value. Once its person was erased it is gone.
type Erasable[T any] struct {
	Value  T
	Erased bool
}

// String gives the value, or says that it was erased.
func (e Erasable[T]) String() string {
	if e.Erased {
		return "(erased)"
	}
	return fmt.Sprint(e.Value)
}

// UnmarshalJSON reads the value or {"erased": true}. An attribute may be called erased too: then it is a text.
func (e *Erasable[T]) UnmarshalJSON(b []byte) error {
	*e = Erasable[T]{}
	if len(b) > 0 && b[0] == '{' {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(b, &members); err != nil {
			return err
		}
		if len(members) == 1 && string(members["erased"]) == "true" {
			e.Erased = true
			return nil
		}
	}
	return json.Unmarshal(b, &e.Value)
}

// MarshalJSON writes the form that UnmarshalJSON reads.
func (e Erasable[T]) MarshalJSON() ([]byte, error) {
	if e.Erased {
		return []byte(`{"erased":true}`), nil
	}
	return json.Marshal(e.Value)
}

// Nullable is a field of a change that stays as it is (the zero Nullable), becomes null, or gets a value.
type Nullable[T any] struct {
	value *T
	given bool
}

// Null sets a field to null.
func Null[T any]() Nullable[T] { return Nullable[T]{given: true} }

// Set gives a field a value.
func Set[T any](v T) Nullable[T] { return Nullable[T]{value: &v, given: true} }

// IsZero says whether the field stays as it is; encoding/json leaves it out then.
func (n Nullable[T]) IsZero() bool { return !n.given }

// MarshalJSON writes the value or null.
func (n Nullable[T]) MarshalJSON() ([]byte, error) { return json.Marshal(n.value) }

// UnmarshalJSON reads a value or null.
func (n *Nullable[T]) UnmarshalJSON(b []byte) error {
	*n = Nullable[T]{given: true}
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	return json.Unmarshal(b, &n.value)
}
