package billing

import (
	"time"

	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// CaughtUp says that overdue orders were dealt with: the entry that tells a downtime from an ordinary day.
type CaughtUp struct {
	Shop  id.ID
	Since civil.Date // the day of the oldest
	// How many subscriptions had overdue orders, and what became of those.
	Subscriptions, Made, Skipped int
}

type caughtUpDetails struct {
	Since         civil.Date `json:"since"`
	Subscriptions int        `json:"subscriptions"`
	Made          int        `json:"made"`
	Skipped       int        `json:"skipped"`
}

func (CaughtUp) Load(journal.Reader) (World, error) { return World{}, nil }

// Decide refuses nothing: it tells what happened.
func (c CaughtUp) Decide(World, time.Time) (journal.Decision, error) {
	ref := journal.Ref{Kind: journal.Shop, ID: c.Shop}
	return journal.Decision{Result: ref, Drafts: []journal.Draft{{Type: journal.BillingCaughtUp, Target: ref,
		Details: caughtUpDetails{c.Since, c.Subscriptions, c.Made, c.Skipped}}}}, nil
}
