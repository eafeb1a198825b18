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

// Failure is a charge that failed.
type Failure struct {
	Code     string     // of the gateway
	On       civil.Date // in the shop's zone
	Attempts int        // charges of the order so far, this one included
	Spent    bool       // no payment method is left that may be charged
}

// EnterRecovery gives the event of an order whose charge failed: the subscription is failed until the order is paid or
// given up. It keeps the policy as it is now. What comes next is AfterFailure's. Only an active subscription enters
// recovery (status_<status>).
func EnterRecovery(s *Subscription, o Order, f Failure, policy *settings.Recovery) (journal.Draft, error) {
	if s.Status != Active {
		return journal.Draft{}, fault.New(fault.Conflict, "status_"+string(s.Status), "The subscription %s, so its payments are not tried again.", is[s.Status])
	}
	next := journal.Clone(s)
	next.Status = Failed
	days, repeat := policy.Schedule()
	next.Recovery = &Recovery{OrderID: o.ID, Attempts: f.Attempts, Code: f.Code, RetryDays: days, RepeatDays: repeat, EndAction: policy.EndAction, EnteredOn: f.On, SilentDays: policy.SilentDays()}
	if policy.RetryHour != nil {
		next.Recovery.RetryHour = new(*policy.RetryHour)
	}
	return change(journal.RecoveryEntered, s, next, entered{o.ID, f.Code}, o.ref()), nil
}

// Silent says whether a charge that failed is kept from the customer: it was due by the schedule, in a phase that says so. The customer
// always hears when a new payment method is needed, and of a charge that somebody asked for or that a new payment method
// brought about. s is the subscription before the failure, the policy that of the settings, for a case that begins.
func Silent(s *Subscription, f Failure, policy *settings.Recovery) bool {
	r := s.Recovery
	switch {
	case f.Spent:
		return false
	case r == nil:
		return slices.Contains(policy.SilentDays(), 0)
	case r.NextRetry == nil || r.NextRetry.After(f.On) || len(r.RetryDays) == 0:
		return false
	}
	day := r.RetryDays[len(r.RetryDays)-1] // the repeats after it belong to its phase
	for _, n := range r.RetryDays {
		if r.EnteredOn.AddDays(n) == *r.NextRetry {
			day = n
		}
	}
	return slices.Contains(r.SilentDays, day)
}

// AfterFailure gives the event that says what comes after a failed charge: the next retry, or, when nothing is left to
// charge, the wait for a new payment method until the schedule ends. ok is false when the schedule has ended: the draft
// is not to be used then, and the caller goes on to Exhausted.
func AfterFailure(s *Subscription, f Failure) (d journal.Draft, ok bool) {
	if s.Recovery == nil {
		return journal.Draft{}, false
	}
	next := journal.Clone(s)
	r := next.Recovery
	r.Attempts, r.Code, r.NextRetry, r.NeedsCard, r.EndsOn = f.Attempts, f.Code, nil, f.Spent, nil
	typ := journal.RecoveryRetryScheduled
	var goesOn bool
	if f.Spent {
		typ = journal.RecoveryCardRequested
		if n := len(r.RetryDays); r.RepeatDays == 0 && n > 0 {
			r.EndsOn = new(r.EnteredOn.AddDays(r.RetryDays[n-1]))
		}
		goesOn = r.RepeatDays > 0 || r.EndsOn != nil && r.EndsOn.After(f.On)
	} else {
		r.NextRetry = r.retryAfter(f.On)
		goesOn = r.NextRetry != nil
	}
	if !goesOn {
		return journal.Draft{}, false
	}
	return change(typ, s, next, forOrder{r.OrderID}, r.order()), true
}

// retryAfter gives the first retry day after a day. Days are counted from the first failure, so that a retry that a
// person asked for in between takes none of them away.
func (r *Recovery) retryAfter(on civil.Date) *civil.Date {
	last := r.EnteredOn
	for _, n := range r.RetryDays {
		if last = r.EnteredOn.AddDays(n); last.After(on) {
			return &last
		}
	}
	if r.RepeatDays == 0 {
		return nil
	}
	for !last.After(on) {
		last = last.AddDays(r.RepeatDays)
	}
	return &last
}

// Due gives the day on which the case goes on by itself: it is tried again, or ends because no new payment method came.
func (r *Recovery) Due() *civil.Date {
	if r.NextRetry != nil {
		return r.NextRetry
	}
	return r.EndsOn
}

func (r *Recovery) order() journal.Ref { return journal.Ref{Kind: journal.Order, ID: r.OrderID} }

// Recovered gives the event of the order in recovery having been paid: the subscription is active again. Renewed begins
// with it by itself. The subscription must be in recovery.
func Recovered(s *Subscription) journal.Draft {
	return s.recovers(journal.RecoveryRecovered)
}

func (s *Subscription) recovers(typ journal.Name) journal.Draft {
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
	first := s.recovers(journal.RecoveryExhausted)
	free := first.After.(*Subscription)
	drafts := []journal.Draft{first}
	switch s.Recovery.EndAction {
	case settings.EndCancel:
		drafts = append(drafts, change(journal.SubscriptionCancelled, free, free.cancelled(exhaustedReason, now), nil, o.ref()))
	case settings.EndPause:
		drafts = append(drafts, change(journal.SubscriptionPaused, free, free.paused(nil), nil, o.ref()))
	case settings.EndSkip, settings.EndKeep: // one that is to be kept up ends only when somebody ends it
		drafts = append(drafts, Passed(free, o)...)
	}
	for i := range drafts[1:] {
		drafts[i+1].CausedByDraft = 1
	}
	return drafts, nil
}

// Passed is what comes of the subscription when the order that it waits for is given up and it goes on: the order's date is skipped.
func Passed(s *Subscription, o Order) []journal.Draft {
	if o.Cycle == nil || slices.Contains(s.SkippedDates, o.Date) {
		return nil
	}
	date := *s.NextBillingDate
	skipped, err := s.schedule().Skip(date)
	if err != nil {
		// So much is skipped already that no more can be: nothing comes for a long time anyway.
		return []journal.Draft{change(journal.SubscriptionPaused, s, s.paused(nil), nil, o.ref())}
	}
	next := journal.Clone(s)
	next.follow(skipped)
	return []journal.Draft{change(journal.SubscriptionOrderSkipped, s, next, onDate{date}, o.ref())}
}
