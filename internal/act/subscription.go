package act

import (
	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/subscription"
)

// Inputs. In the OpenAPI document their names end in Body.
type (
	// MaybeDate is one of the orders to come.
	MaybeDate struct {
		Commented
		Date *civil.Date `json:"date,omitempty" form:"order" label:"Which order" word:"date"`
	}
	// Date is one of the skipped orders.
	Date struct {
		Commented
		Date civil.Date `json:"date" form:"order" label:"Which order" word:"date"`
	}
	// Until is the first day active again.
	Until struct {
		Commented
		Until *civil.Date `json:"until,omitempty" form:"later" label:"Until" hint:"The first day active again. Leave it empty to pause with no end." word:"until"`
	}
	// NextDate is the day of the next order.
	NextDate struct {
		Commented
		NextBillingDate *civil.Date `json:"next_billing_date,omitempty" form:"day" label:"Next order" hint:"Leave it empty for the next day of its rhythm." word:"next"`
	}
	// Frequency is an interval.
	Frequency struct {
		Commented
		Interval      civil.Unit `json:"interval" form:"unit" label:"Unit" word:"unit"`
		IntervalCount int        `json:"interval_count" form:"number" label:"Every" word:"every" before:"interval"`
	}
)

// Skip skips an order.
var Skip = OnSubscription[MaybeDate]{Name: "skip", Summary: "Skip an order, by default the next one", Rule: subscription.ActionSkip,
	Words:  Words{Title: "Skip an order", Verb: "Skip", Lead: "The rhythm stays as it is: the orders after it come on their days.", Icon: "skip-forward"},
	Events: []journal.Name{journal.SubscriptionOrderSkipped},
	Command: func(key id.ID, in MaybeDate) journal.Command {
		return journal.Bind(subscription.Skip{ID: key, Date: in.Date})
	}}

// Unskip puts a skipped order back.
var Unskip = OnSubscription[Date]{Name: "unskip", Summary: "Put a skipped order back", Rule: subscription.ActionUnskip,
	Words:  Words{Title: "Put a skipped order back", Verb: "Put back", Icon: "undo-2"},
	Events: []journal.Name{journal.SubscriptionOrderUnskipped},
	Useful: func(s *subscription.Subscription) bool { return len(s.SkippedDates) > 0 },
	Command: func(key id.ID, in Date) journal.Command {
		return journal.Bind(subscription.Unskip{ID: key, Date: in.Date})
	}}

// Pause pauses, until a day or with no end.
var Pause = OnSubscription[Until]{Name: "pause", Summary: "Pause, until a date or with no end", Rule: subscription.ActionPause,
	Words:  Words{Title: "Pause", Verb: "Pause", Icon: "pause"},
	Events: []journal.Name{journal.SubscriptionPaused},
	Command: func(key id.ID, in Until) journal.Command {
		return journal.Bind(subscription.Pause{ID: key, Until: in.Until})
	}}

// Resume ends a pause.
var Resume = OnSubscription[NextDate]{Name: "resume", Summary: "Resume", Rule: subscription.ActionResume,
	Words:  Words{Title: "Resume", Verb: "Resume", Icon: "play"},
	Events: []journal.Name{journal.SubscriptionResumed},
	Command: func(key id.ID, in NextDate) journal.Command {
		return journal.Bind(subscription.Resume{ID: key, NextBillingDate: in.NextBillingDate})
	}}

// Reactivate starts a cancelled subscription again.
var Reactivate = OnSubscription[NextDate]{Name: "reactivate", Summary: "Reactivate a cancelled subscription", Rule: subscription.ActionReactivate,
	Words:  Words{Title: "Reactivate", Verb: "Reactivate", Icon: "play"},
	Events: []journal.Name{journal.SubscriptionReactivated},
	Useful: func(s *subscription.Subscription) bool { return s.MergedInto == "" },
	Command: func(key id.ID, in NextDate) journal.Command {
		return journal.Bind(subscription.Reactivate{ID: key, NextBillingDate: in.NextBillingDate})
	}}

// ChangeFrequency changes the rhythm.
var ChangeFrequency = OnSubscription[Frequency]{Name: "frequency", Summary: "Change the frequency", Rule: subscription.ActionFrequency,
	Words:  Words{Title: "Change the frequency", Verb: "Change", Icon: "repeat"},
	Events: []journal.Name{journal.SubscriptionFrequencyChanged},
	First: func(s *subscription.Subscription) Frequency {
		return Frequency{Interval: s.BillingPolicy.Interval, IntervalCount: s.BillingPolicy.IntervalCount}
	},
	Command: func(key id.ID, in Frequency) journal.Command {
		return journal.Bind(subscription.ChangeFrequency{ID: key, Interval: in.Interval, IntervalCount: in.IntervalCount})
	}}

// All are the acts as forms know them.
func All() []Act {
	return []Act{Skip.Form(), Unskip.Form(), ChangeFrequency.Form(), Pause.Form(), Resume.Form(), Reactivate.Form()}
}
