package message

import (
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
)

// Record says of a message that it was sent, or that it was given up.
type Record struct {
	ID       id.ID // of the message
	Name     Name
	Language string
	Customer id.ID
	Member   id.ID         // of the team, in place of a customer
	About    []journal.Ref // the subscription, the order, the card; may be empty
	CausedBy id.ID         // the entry that it tells of; may be empty
	Tries    int           // when it was given up: how often it was tried; 0: it was sent
}

type sent struct {
	Message  Name   `json:"message"`
	Channel  string `json:"channel"`
	Language string `json:"language"`
	Tries    int    `json:"tries,omitzero"`
}

// Load needs nothing: what was sent was sent.
func (Record) Load(journal.Reader) (struct{}, error) { return struct{}{}, nil }

func (c Record) Decide(struct{}, time.Time) (journal.Decision, error) {
	d := journal.Draft{
		Type:     journal.NotificationSent,
		Target:   journal.Ref{Kind: journal.Message, ID: c.ID},
		Mentions: append([]journal.Ref{{Kind: journal.Customer, ID: c.Customer}, {Kind: journal.TeamMember, ID: c.Member}}, c.About...),
		Details:  sent{c.Name, "email", c.Language, c.Tries},
		CausedBy: c.CausedBy,
	}
	if c.Tries > 0 {
		d.Type = journal.NotificationFailed
	}
	return journal.Decision{Drafts: []journal.Draft{d}, Result: d.Target}, nil
}
