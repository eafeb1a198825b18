package billing

import (
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// The statuses of a dispute.
const (
	DisputeOpen = "open"
	DisputeWon  = "won"
	DisputeLost = "lost"
)

// RecordDispute says that a charge of an order is contested at the bank, and how that ends. The money is a matter of the gateway and
// the bank: the order stays what it is. A report that comes again, or after the end, changes nothing.
type RecordDispute struct {
	OrderID   id.ID
	DisputeID string
	Amount    money.Amount
	Reason    string
	Status    string
}

type disputeDetails struct {
	Amount money.Amount `json:"amount"`
	Reason string       `json:"reason"`
}

// Load needs the order.
func (c RecordDispute) Load(r journal.Reader) (World, error) { return loadOrder(r, c.OrderID) }

// Decide is the rule.
func (c RecordDispute) Decide(w World, _ time.Time) (journal.Decision, error) {
	o := w.Order
	d := journal.Decision{Result: o.Ref()}
	if old := o.Dispute; old != nil && old.ID == c.DisputeID && (old.Status != DisputeOpen || old.Status == c.Status) {
		return d, nil
	}
	next := journal.Clone(o)
	next.Dispute = &Dispute{ID: c.DisputeID, Amount: c.Amount, Reason: c.Reason, Status: c.Status}
	typ := map[string]string{DisputeOpen: "order.disputed", DisputeWon: "order.dispute_won", DisputeLost: "order.dispute_lost"}[c.Status]
	draft := orderDraft(typ, o, next)
	draft.Details = disputeDetails{c.Amount, c.Reason}
	d.Drafts = []journal.Draft{draft}
	return d, nil
}
