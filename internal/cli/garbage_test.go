package cli

import "testing"

func TestGarbage(t *testing.T) {
	for live, want := range map[uint64]int{0: 300, 1: 300, 50 << 20: 300, 64 << 20: 300, 96 << 20: 200, 192 << 20: 100, 4 << 30: 100} {
		if got := garbage(live); got != want {
			t.Errorf("%d MiB: got %d, want %d", live>>20, got, want)
		}
	}
}
