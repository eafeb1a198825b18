package api

import (
	"testing"

	"perennial/internal/fault"
)

type someFilter struct {
	Status string
	Q      string
}

func TestCursorIsGoodForItsListAndFilterOnly(t *testing.T) {
	c := cursors{key: [32]byte{1}}
	cursor := c.make("/subscriptions", someFilter{"active", ""}, "sub_1")
	if got, err := c.parse("/subscriptions", someFilter{"active", ""}, cursor); err != nil || got != "sub_1" {
		t.Errorf("got %q, %v", got, err)
	}
	for name, parse := range map[string]func() (string, error){
		"another list":   func() (string, error) { return c.parse("/orders", someFilter{"active", ""}, cursor) },
		"another filter": func() (string, error) { return c.parse("/subscriptions", someFilter{"paused", ""}, cursor) },
		"another shop": func() (string, error) {
			return cursors{key: [32]byte{2}}.parse("/subscriptions", someFilter{"active", ""}, cursor)
		},
		"cut short":    func() (string, error) { return c.parse("/subscriptions", someFilter{"active", ""}, cursor[:10]) },
		"not a cursor": func() (string, error) { return c.parse("/subscriptions", someFilter{"active", ""}, "!!") },
	} {
		if got, err := parse(); fault.As(err) == nil || fault.As(err).Code != "cursor_invalid" {
			t.Errorf("%s: got %q, %v, want cursor_invalid", name, got, err)
		}
	}
	flipped := []byte(cursor)
	for i := range flipped {
		flipped[i] ^= 1
		if got, err := c.parse("/subscriptions", someFilter{"active", ""}, string(flipped)); err == nil {
			t.Errorf("with character %d changed it reads as %q", i, got)
		}
		flipped[i] ^= 1
	}
}

func FuzzCursor(f *testing.F) {
	c := cursors{key: [32]byte{1}}
	f.Add(c.make("/events", someFilter{}, "41"))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := c.parse("/events", someFilter{}, s)
		if err == nil && s != "" && c.make("/events", someFilter{}, got) != s {
			t.Errorf("%q was read as %q, which was never made", s, got)
		}
	})
}
