package auth_test

import (
	"testing"

	"perennial/internal/auth"
)

func TestSlots(t *testing.T) {
	s := auth.Slots{Each: 2, All: 3}
	a, b := s.Enter("ada"), s.Enter("ada")
	if a == nil || b == nil || s.Enter("ada") != nil {
		t.Error("one has not two slots")
	}
	c := s.Enter("ben")
	if c == nil || s.Enter("cleo") != nil || s.Open() != 3 {
		t.Errorf("all have not three slots, but %d", s.Open())
	}
	a()
	a()
	if s.Open() != 2 || s.Enter("cleo") == nil || s.Enter("ada") != nil {
		t.Errorf("%d slots are taken", s.Open())
	}
}
