package customer

import (
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
)

// QuickAction says that a customer opened the link of an action in a message, or used it.
type QuickAction struct {
	Message    id.ID // in which the link stands
	CustomerID id.ID
	Action     string
	About      []journal.Ref   // the subscription, the order
	Do         journal.Command // what using it does; nil for opening it
}

type quickDetails struct {
	Action string `json:"action"`
}

// Run implements journal.Command: what the action does is decided by its own rule, and caused by the use.
func (c QuickAction) Run(r journal.Reader, now time.Time) (journal.Decision, error) {
	if _, err := journal.Get[Customer](r, journal.Customer, c.CustomerID); err != nil {
		return journal.Decision{}, err
	}
	first := journal.Draft{
		Type:     journal.CustomerQuickActionViewed,
		Target:   journal.Ref{Kind: journal.Message, ID: c.Message},
		Mentions: append([]journal.Ref{{Kind: journal.Customer, ID: c.CustomerID}}, c.About...),
		Details:  quickDetails{c.Action},
	}
	if c.Do == nil {
		return journal.Decision{Drafts: []journal.Draft{first}, Result: first.Target}, nil
	}
	first.Type = journal.CustomerQuickActionUsed
	d, err := c.Do.Run(r, now)
	if err != nil {
		return journal.Decision{}, err
	}
	d.Drafts = journal.AppendDrafts([]journal.Draft{first}, 1, d.Drafts...)
	return d, nil
}
