package money

import (
	"slices"
	"testing"
)

// TestCurrenciesAreInOrder: ValidCurrency searches by halves.
func TestCurrenciesAreInOrder(t *testing.T) {
	if !slices.IsSorted(currencies) || len(slices.Compact(slices.Clone(currencies))) != len(currencies) {
		t.Error("the list is not sorted, or has a code twice")
	}
	for _, c := range currencies {
		if len(c) != 3 {
			t.Errorf("%q is no code", c)
		}
	}
}
