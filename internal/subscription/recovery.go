package subscription

import (
	"fmt"
	"slices"
	"time"

	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
)

type entered struct {
	OrderID id.ID  `json:"order_id"`
	Code    string `json:"code"`
}

// EnterRecovery gives the event of an order whose first charge failed on a day, with the gateway's code: the
// subscription is failed until the order is paid or given up. It keeps the policy as it is now. Where no retry is set
// (NextRetry is nil) the caller goes on to Exhausted. Only an active subscription enters recovery (status_<status>).
func EnterRecovery(s *Subscription, o Order, code string, policy *settings.Recovery, on civil.Date) (journal.Draft, error) {
	if s.Status != Active {
		return journal.Draft{}, fault.New(fault.Conflict, "status_"+string(s.Status), "The subscription %s, so its payments are not tried again.", is[s.Status])
	}
	next := journal.Clone(s)
	next.Status = Failed
	next.Recovery = &Recovery{
		OrderID: o.ID, Attempts: 1, Code: code, RetryDays: slices.Clone(policy.RetryDays), EndAction: policy.EndAction, EnteredOn: on,
	}
	next.Recovery.NextRetry = next.Recovery.retryAfter(on)
	return change("recovery.entered", s, next, entered{o.ID, code}, o.ref()), nil
}

// ScheduleRetry gives the event of one more charge that failed on a day. ok is false when no retry day is left after
// it: the draft is not to be used then, and the caller goes on to Exhausted.
func ScheduleRetry(s *Subscription, code string, on civil.Date) (d journal.Draft, ok bool) {
	if s.Recovery == nil {
		return journal.Draft{}, false
	}
	next := journal.Clone(s)
	next.Recovery.Attempts++
	next.Recovery.Code = code
	next.Recovery.NextRetry = next.Recovery.retryAfter(on)
	if next.Recovery.NextRetry == nil {
		return journal.Draft{}, false
	}
	return change("recovery.retry_scheduled", s, next, forOrder{s.Recovery.OrderID}, s.Recovery.order()), true
}

// retryAfter gives the first retry day after a day. Days are counted from the first failure, so that a retry that a
// person asked for in between takes none of them away.
func (r *Recovery) retryAfter(on civil.Date) *civil.Date {
	for _, n := range r.RetryDays {
		if d := r.EnteredOn.AddDays(n); d.After(on) {
			return &d
		}
	}
	return nil
}

func (r *Recovery) order() journal.Ref { return journal.Ref{Kind: journal.Order, ID: r.OrderID} }

// Recovered gives the event of the order in recovery having been paid: the subscription is active again. Renewed begins
// with it by itself. The subscription must be in recovery.
func Recovered(s *Subscription) journal.Draft {
	return s.recovers("recovery.recovered")
}

func (s *Subscription) recovers(typ string) journal.Draft {
	next := journal.Clone(s)
	next.Status, next.Recovery = Active, nil
	return change(typ, s, next, forOrder{s.Recovery.OrderID}, s.Recovery.order())
}

// exhaustedReason is why a subscription is cancelled after the last retry, where people read reasons.
const exhaustedReason = "The payment failed, also after the last retry."

// Exhausted gives the events of giving the order up after the last retry: recovery.exhausted, and what the policy says
// then. Cancel and pause end orders; skip gives up the order's place in the rhythm and goes on with the next one, except
// for an extra order, which has no place. Giving up the order itself is billing's.
func Exhausted(s *Subscription, o Order, now time.Time) ([]journal.Draft, error) {
	if s.Recovery == nil || s.Recovery.OrderID != o.ID {
		return nil, fmt.Errorf("subscription: %s is not in recovery for order %s", s.ID, o.ID)
	}
	first := s.recovers("recovery.exhausted")
	free := first.After.(*Subscription)
	drafts := []journal.Draft{first}
	switch s.Recovery.EndAction {
	case settings.EndCancel:
		drafts = append(drafts, change("subscription.cancelled", free, free.cancelled(exhaustedReason, now), nil, o.ref()))
	case settings.EndPause:
		drafts = append(drafts, change("subscription.paused", free, free.paused(nil), nil, o.ref()))
	case settings.EndSkip:
		if o.Cycle == nil || slices.Contains(free.SkippedDates, o.Date) {
			break
		}
		date := *free.NextBillingDate
		skipped, err := free.schedule().Skip(date)
		if err != nil {
			// So much is skipped already that no more can be: nothing comes for a long time anyway.
			drafts = append(drafts, change("subscription.paused", free, free.paused(nil), nil, o.ref()))
			break
		}
		next := journal.Clone(free)
		next.follow(skipped)
		drafts = append(drafts, change("subscription.order_skipped", free, next, onDate{date}, o.ref()))
	}
	for i := range drafts[1:] {
		drafts[i+1].CausedByDraft = 1
	}
	return drafts, nil
}
