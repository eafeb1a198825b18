package billing

import (
	"cmp"
	"slices"
	"strings"
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
// the bank: the order stays what it is. An order may have several. A report that comes again changes nothing, nor does one of the
// beginning after the end; an end may be followed by another one, as when a lost dispute is won on appeal.
type RecordDispute struct {
	OrderID   id.ID
	DisputeID string
	ChargeID  string // the gateway's id of the charge; empty: not known
	Amount    money.Amount
	Reason    string
	Status    string
	Inquiry   bool
	Asked     bool // the gateway says so now; else a won dispute stays won, as an old report of its loss may come after it
}

type disputeDetails struct {
	Amount money.Amount `json:"amount"`
	Reason string       `json:"reason"`
}

func (c RecordDispute) Load(r journal.Reader) (World, error) { return loadOrder(r, c.OrderID) }

func (c RecordDispute) Decide(w World, _ time.Time) (journal.Decision, error) {
	o := w.Order
	d := journal.Decision{Result: o.Ref()}
	key := strings.ReplaceAll(line(c.DisputeID, 200), ".", "_")
	all := AllDisputes(o)
	i := slices.IndexFunc(all, func(x Dispute) bool { return x.ID == key })
	is := Dispute{ID: key, Amount: c.Amount, Reason: c.Reason, Status: c.Status, Inquiry: c.Inquiry}
	if at := slices.IndexFunc(o.Attempts, func(a Attempt) bool { return a.GatewayID == c.ChargeID && c.ChargeID != "" }); at >= 0 {
		is.AttemptID = o.Attempts[at].ID
	}
	if i >= 0 {
		old := all[i]
		is.AttemptID = cmp.Or(is.AttemptID, old.AttemptID)
		switch {
		case old.Status == DisputeOpen && c.Status == DisputeOpen && old.Inquiry && !c.Inquiry: // it is one by now
		case old.Status == c.Status, c.Status == DisputeOpen, old.Status == DisputeWon && !c.Asked:
			return d, nil
		}
	}
	next := journal.Clone(o)
	next.Dispute, next.Disputes = &is, withDispute(all, is)
	typ := map[string]journal.Name{DisputeOpen: journal.OrderDisputed, DisputeWon: journal.OrderDisputeWon, DisputeLost: journal.OrderDisputeLost}[c.Status]
	draft := orderDraft(typ, o, next)
	draft.Details = disputeDetails{c.Amount, c.Reason}
	d.Drafts = []journal.Draft{draft}
	return d, nil
}
