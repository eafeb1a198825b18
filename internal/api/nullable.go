package api

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// Nullable is a field of a PATCH that may be null: null sets it to null, and only a field that is missing stays as it is.
// Its fields are those of catalog.Nullable, so that one converts to the other. Fields of this type are tagged omitzero.
type Nullable[T any] struct {
	Given bool
	Value *T
}

// UnmarshalJSON implements json.Unmarshaler. It is called for null too, and not for a missing field.
func (n *Nullable[T]) UnmarshalJSON(b []byte) error {
	n.Given, n.Value = true, nil
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	n.Value = new(T)
	return json.Unmarshal(b, n.Value)
}

// Schema implements huma.SchemaProvider: that of T, or null. It stands in its place and not behind a reference, because
// a reference cannot be nullable.
func (Nullable[T]) Schema(r huma.Registry) *huma.Schema {
	s := *r.Schema(reflect.TypeFor[T](), false, "")
	s.Nullable = true
	return &s
}
