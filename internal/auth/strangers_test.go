package auth

import (
	"fmt"
	"testing"
	"time"
)

// TestStrangersTogether lets one network, and then ten thousand, write for a day.
func TestStrangersTogether(t *testing.T) {
	for _, tt := range []struct{ networks, most int }{
		{1, strangerWrites + int(24*time.Hour/strangerEvery)},
		{10_000, strangersWrites + int(24*time.Hour/strangersEvery)},
	} {
		s, now, written := NewStrangers(), time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC), 0
		for second := range 24 * 60 * 60 {
			for n := range 4 {
				if s.Admit(fmt.Sprint((second*4+n)%tt.networks), now) == 0 {
					written++
				}
			}
			now = now.Add(time.Second)
		}
		if written > tt.most || written < tt.most*9/10 {
			t.Errorf("%d networks write %d times a day, want at most %d", tt.networks, written, tt.most)
		}
	}
}
