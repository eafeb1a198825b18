package subscription

import (
	"testing"

	"perennial/internal/catalog"
	"perennial/internal/fault"
)

func TestBound(t *testing.T) {
	tests := []struct {
		name  string
		least *int
		cycle int
		want  string
	}{
		{"no plan's minimum", nil, 0, ""},
		{"none came", new(1), 0, "This subscription runs for at least 1 order, and 0 came so far. It can be cancelled after that; until then you can write to the store."},
		{"one too few", new(3), 2, "This subscription runs for at least 3 orders, and 2 came so far. It can be cancelled after that; until then you can write to the store."},
		{"as many", new(3), 3, ""},
		{"more", new(3), 4, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := bound(&Subscription{Cycle: test.cycle}, &catalog.Plan{MinCycles: test.least})
			got := ""
			if err != nil {
				f := fault.As(err)
				if got = f.Public; f.Kind != fault.Conflict || f.Code != "min_cycles" {
					t.Errorf("kind %v, code %q", f.Kind, f.Code)
				}
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if err := bound(&Subscription{}, nil); err != nil {
		t.Errorf("without a plan: %v", err)
	}
}
