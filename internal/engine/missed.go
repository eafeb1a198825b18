package engine

import (
	"time"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// catchUp deals with orders that were not made in time, so that at most Keep of a subscription are made late. What becomes
// of the others the store chose:
//
//   - skip: they are skipped, each a subscription.order_skipped with the reason "missed". The last ones are made, because
//     they are nearest to what the rhythm says. As much is skipped as can be (civil.MaxSkipped).
//   - restart: one is made today, and the rhythm goes on from there.
//   - pause: none is made until somebody resumes the subscription.
//
// Nothing is done while an order of the subscription waits for its money: that one is the oldest, and it is on its way. Orders that came due
// while it waited are nobody's downtime: beyond Keep they are skipped, with the reason "recovery", and pause and restart nothing.
// It looks only at what is due, so it comes to the same whenever and however often it is run.
type catchUp struct {
	ID     id.ID
	Due    civil.Date // orders of this day and before should have been made by now
	Keep   int        // 1 or more
	Policy string     // of settings.Billing
}

// missedWorld is the subscription, and its order that waits for money, if there is one.
type missedWorld struct {
	subscription.World
	waiting *billing.Order
	paid    *billing.Order // the newest order of the rhythm that was paid
}

// missedDetails are those of billing's skips. Only a skip has a date.
type missedDetails struct {
	Date   civil.Date `json:"date,omitzero"`
	Reason string     `json:"reason"`
}

func (c catchUp) Load(r journal.Reader) (w missedWorld, err error) {
	if w.World, err = (subscription.Skip{ID: c.ID}).Load(r); err != nil {
		return w, err
	}
	order, ok, err := r.Reserved(billing.ScopeOpenOrder, string(c.ID))
	if err == nil && ok {
		w.waiting, err = journal.Get[billing.Order](r, journal.Order, order)
	}
	if err != nil {
		return w, err
	}
	orders, err := journal.Where[billing.Order](r, journal.Order, "subscription_id", string(c.ID))
	for _, o := range orders {
		if o.Cycle != nil && o.PlacedAt != nil {
			w.paid = o
		}
	}
	return w, err
}

// waited says whether a day passed while the order of before waited for its money, from when it was made to when it was paid.
func waited(paid *billing.Order, day civil.Date, zone *time.Location) bool {
	return paid != nil && day.After(civil.Of(paid.CreatedAt.Time, zone)) && !day.After(civil.Of(paid.PlacedAt.Time, zone))
}

func (c catchUp) Decide(w missedWorld, now time.Time) (journal.Decision, error) {
	d := journal.Decision{Result: w.Subscription.Ref()}
	if w.waiting != nil && !billing.Stale(w.waiting, w.Subscription) {
		return d, nil
	}
	skips, err := c.skips(w.World, now)
	if err != nil || len(skips) <= c.Keep {
		return d, err
	}
	policy, missed := c.Policy, len(skips)
	for i := range skips {
		if date := skips[i].Details.(missedDetails).Date; waited(w.paid, date, settings.Zone(w.General)) {
			skips[i].Details = missedDetails{date, "recovery"}
			missed--
		}
	}
	if missed <= c.Keep {
		policy = settings.MissedSkip
	}
	switch policy {
	case settings.MissedRestart:
		d, err = subscription.Reschedule{ID: c.ID, Date: settings.Today(w.General, now), NewRhythm: true}.Decide(w.World, now)
	case settings.MissedPause:
		d, err = subscription.Pause{ID: c.ID}.Decide(w.World, now)
	default:
		d.Drafts = skips[:len(skips)-c.Keep]
		return d, nil
	}
	for i := range d.Drafts {
		d.Drafts[i].Details = missedDetails{Reason: "missed"}
	}
	return d, err
}

// needed says whether more of a subscription is due than is made late, as far as its state tells.
func (c catchUp) needed(s *subscription.Subscription, now time.Time) bool {
	skips, err := c.skips(subscription.World{Subscription: s}, now)
	return err != nil || len(skips) > c.Keep
}

// skips gives the events that would skip all orders that are due, in order of date.
func (c catchUp) skips(w subscription.World, now time.Time) (all []journal.Draft, err error) {
	for w.Subscription.NextBillingDate != nil && !w.Subscription.NextBillingDate.After(c.Due) {
		date := *w.Subscription.NextBillingDate
		one, err := subscription.Skip{ID: c.ID}.Decide(w, now)
		if err != nil {
			if fault.As(err).Code == "too_many_skipped" {
				break
			}
			return nil, err
		}
		for _, draft := range one.Drafts {
			draft.Details = missedDetails{date, "missed"}
			all = append(all, draft)
			w.Subscription = draft.After.(*subscription.Subscription)
		}
	}
	return all, nil
}
