package observe

import (
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
)

// Move is the last entry of a journal that goes on in another database.
type Move struct {
	Shop    id.ID
	To      string // the other database, without a password
	Entries int64  // how many there are before this one
}

type moveDetails struct {
	To      string `json:"to"`
	Entries int64  `json:"entries"`
}

func (Move) Load(journal.Reader) (World, error) { return World{}, nil }

func (c Move) Decide(World, time.Time) (journal.Decision, error) {
	ref := journal.Ref{Kind: journal.Shop, ID: c.Shop}
	return journal.Decision{
		Drafts: []journal.Draft{{Type: journal.ShopMoved, Target: ref, Details: moveDetails{c.To, c.Entries}}},
		Result: ref,
	}, nil
}
