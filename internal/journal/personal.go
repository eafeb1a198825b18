package journal

import (
	"bytes"

	"github.com/go-json-experiment/json"
)

// ErasedJSON is how an erased value reads, everywhere.
const ErasedJSON = `{"erased":true}`

// Personal is a value about a person. It is kept sealed, in events and in state rows; once the key is destroyed it
// reads as erased. A state's personal fields are always top-level fields of this type.
type Personal[T any] struct {
	Value  T
	Erased bool
}

// Secluded makes a personal value.
func Secluded[T any](v T) Personal[T] { return Personal[T]{Value: v} }

// Erased is the value that stands where a personal value was destroyed.
func Erased[T any]() Personal[T] { return Personal[T]{Erased: true} }

func (Personal[T]) personal() {}

func (p *Personal[T]) erase() { *p = Personal[T]{Erased: true} }

// MarshalJSON writes the value itself, or {"erased":true}.
func (p Personal[T]) MarshalJSON() ([]byte, error) {
	if p.Erased {
		return []byte(ErasedJSON), nil
	}
	return json.Marshal(p.Value)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Personal[T]) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte(ErasedJSON)) {
		*p = Personal[T]{Erased: true}
		return nil
	}
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*p = Personal[T]{Value: v}
	return nil
}

type isPersonal interface{ personal() }

type eraser interface{ erase() }
