package engine

import (
	"testing"
	"time"

	"perennial/internal/civil"
	"perennial/internal/subscription"
)

// A shared database reads what is due after it took it in hand: somebody may have cancelled it in between.
func TestWhatIsNotDueAnyMore(t *testing.T) {
	p := &policy{now: time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC), zone: time.UTC, day: civil.Date{Year: 2027, Month: 3, Day: 1}, today: civil.Date{Year: 2027, Month: 3, Day: 1}}
	for _, s := range []*subscription.Subscription{{Status: subscription.Cancelled}, {Status: subscription.Expired}, {Status: subscription.Paused}, {Status: subscription.Active}} {
		if p.due(s) {
			t.Errorf("a subscription that is %s and has no day is due", s.Status)
		}
	}
	if s := (&subscription.Subscription{Status: subscription.Active, NextBillingDate: &p.today}); !p.due(s) {
		t.Error("a subscription of today is not due")
	}
}
