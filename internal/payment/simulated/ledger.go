package simulated

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"perennial/internal/id"
	"perennial/internal/money"
	"perennial/internal/payment"
)

// EntryKind says what an entry of the ledger is.
type EntryKind string

// The kinds of entries.
const (
	Charge       EntryKind = "charge"
	Confirmation EntryKind = "confirmation" // the customer confirmed a charge that required it
	Cancellation EntryKind = "cancellation" // a charge that required a confirmation was given up
	Refund       EntryKind = "refund"
	Contestation EntryKind = "contestation" // the cardholder contests a charge
	Decision     EntryKind = "decision"     // of a dispute: succeeded, the money stays; declined, it is gone
	Return       EntryKind = "return"       // a refund that failed after all
	Erasure      EntryKind = "erasure"      // of what is kept of a customer
)

// Entry is one line of the ledger: a request that reached the gateway and what became of it. Declined ones are in it too.
type Entry struct {
	Kind      EntryKind    `json:"kind"`
	At        time.Time    `json:"at"`                 // UTC, microseconds
	Key       string       `json:"key,omitzero"`       // the idempotency key; a confirmation and a cancellation have none
	Amount    money.Amount `json:"amount"`             // above zero, but of an erasure
	Reference string       `json:"reference,omitzero"` // of a charge
	OrderID   id.ID        `json:"order_id,omitzero"`  // of a charge
	Customer  id.ID        `json:"customer,omitzero"`  // of an erasure
	ChargeID  string       `json:"charge_id,omitzero"` // of the other kinds: the charge's GatewayID
	Text      string       `json:"text,omitzero"`      // a charge's description, a refund's reason

	GatewayID string         `json:"gateway_id,omitzero"` // of the charge, the refund, the dispute; of a return: of the refund
	Status    payment.Status `json:"status"`
	Code      string         `json:"code,omitzero"`
	Message   string         `json:"message,omitzero"`
	Hard      bool           `json:"hard,omitzero"`
}

func (e Entry) chargeResult() payment.ChargeResult {
	return payment.ChargeResult{GatewayID: e.GatewayID, Status: e.Status, Code: e.Code, Message: e.Message, Hard: e.Hard}
}

func (e Entry) refundResult() payment.RefundResult {
	return payment.RefundResult{GatewayID: e.GatewayID, Status: e.Status, Code: e.Code, Message: e.Message}
}

// account is what the ledger says of one charge.
type account struct {
	charge   *Entry
	ended    *payment.ChargeResult // of one that required a confirmation, or was paid later
	closed   bool                  // cancelled: nobody can pay it any more
	refunded int64                 // minor units, at most the charge's amount
}

// now is the result of the charge as it is by now.
func (a *account) now() payment.ChargeResult {
	if a.ended != nil {
		return *a.ended
	}
	return a.charge.chargeResult()
}

// read is the charge as it is by now.
func (a *account) read() payment.Charge {
	return payment.Charge{ChargeResult: a.now(), Key: a.charge.Key, OrderID: a.charge.OrderID, Amount: a.charge.Amount, At: a.charge.At}
}

// try is what sim_fail_first_<n> counts by.
type try struct {
	order     id.ID
	reference string
}

// ledger is the entries in order, and what they add up to. It has no lock of its own.
type ledger struct {
	entries  []*Entry
	byKey    map[string]int      // index into entries
	accounts map[string]*account // by the charge's GatewayID
	tries    map[try]int
	refunds  map[string]*Entry                 // that came through, by their GatewayID
	disputes map[string]*payment.DisputeReport // that were told by calls, as they are by now
	erased   map[id.ID]bool                    // customers
}

func newLedger() *ledger {
	return &ledger{
		byKey:    map[string]int{},
		accounts: map[string]*account{},
		tries:    map[try]int{},
		refunds:  map[string]*Entry{},
		disputes: map[string]*payment.DisputeReport{},
		erased:   map[id.ID]bool{},
	}
}

// check says why an entry cannot come next. It guards against a file that something else wrote.
func (l *ledger) check(e Entry) error {
	if e.Kind == Erasure {
		if e.Customer == "" || l.erased[e.Customer] || e.Key != "" || e.Status != payment.Succeeded {
			return fmt.Errorf("its customer is %q", e.Customer)
		}
		return nil
	}
	if e.Amount.Minor <= 0 {
		return fmt.Errorf("its amount is %s", e.Amount)
	}
	if _, used := l.byKey[e.Key]; used || (e.Key == "") != (e.Kind != Charge && e.Kind != Refund) {
		return fmt.Errorf("its key is %q", e.Key)
	}
	switch e.Kind {
	case Charge:
		if e.GatewayID == "" || l.accounts[e.GatewayID] != nil {
			return fmt.Errorf("its gateway id is %q", e.GatewayID)
		}
		if e.Status != payment.Succeeded && e.Status != payment.Declined && e.Status != payment.ActionRequired {
			return fmt.Errorf("its status is %q", e.Status)
		}
		return nil
	case Confirmation, Cancellation:
		want := payment.Succeeded
		if e.Kind == Cancellation {
			want = payment.Declined
		}
		if a := l.accounts[e.ChargeID]; a == nil || a.closed || a.now().Status == payment.Succeeded || e.Status != want {
			return fmt.Errorf("its charge %q does not wait for it", e.ChargeID)
		}
		return nil
	case Refund:
		if e.Status == payment.Declined {
			return nil
		}
		if code, _ := l.refuseRefund(e.ChargeID, e.Amount); code != "" || e.Status != payment.Succeeded {
			return fmt.Errorf("a refund that is %q should be declined: %q", e.Status, code)
		}
		return nil
	}
	return l.checkLater(e)
}

// checkLater is check for what happens to a charge that took money.
func (l *ledger) checkLater(e Entry) error {
	switch a := l.accounts[e.ChargeID]; {
	case e.Kind != Contestation && e.Kind != Decision && e.Kind != Return:
		return fmt.Errorf("its kind is %q", e.Kind)
	case a == nil || a.now().Status != payment.Succeeded || e.Amount.Currency != a.charge.Amount.Currency || e.GatewayID == "":
		return fmt.Errorf("its charge %q took no such money", e.ChargeID)
	case e.Kind == Contestation && (l.disputes[e.GatewayID] != nil || e.Status != payment.ActionRequired):
		return fmt.Errorf("the dispute %q is there already", e.GatewayID)
	case e.Kind == Decision && (l.disputes[e.GatewayID] == nil || e.Status == payment.ActionRequired):
		return fmt.Errorf("there is no dispute %q", e.GatewayID)
	case e.Kind == Return && (l.refunds[e.GatewayID] == nil || e.Status != payment.Declined):
		return fmt.Errorf("there is no refund %q that came through", e.GatewayID)
	}
	return nil
}

// add takes an entry that passed check.
func (l *ledger) add(e Entry) {
	switch e.Kind {
	case Charge:
		l.accounts[e.GatewayID] = &account{charge: &e}
		if strings.HasPrefix(e.Reference, failFirstPrefix) {
			l.tries[try{e.OrderID, e.Reference}]++
		}
	case Confirmation:
		l.accounts[e.ChargeID].ended = &payment.ChargeResult{GatewayID: e.ChargeID, Status: payment.Succeeded}
	case Cancellation:
		a := l.accounts[e.ChargeID]
		if a.closed = true; a.now().Status == payment.ActionRequired {
			a.ended = new(payment.GivenUp(e.ChargeID))
		}
	case Refund:
		if e.Status == payment.Succeeded {
			l.accounts[e.ChargeID].refunded += e.Amount.Minor
			l.refunds[e.GatewayID] = &e
		}
	case Contestation:
		l.disputes[e.GatewayID] = &payment.DisputeReport{DisputeID: e.GatewayID, ChargeID: e.ChargeID, Amount: e.Amount, Reason: "fraudulent"}
	case Decision:
		d := l.disputes[e.GatewayID]
		d.Closed, d.Won = true, e.Status == payment.Succeeded
	case Return:
		l.accounts[e.ChargeID].refunded -= e.Amount.Minor
		delete(l.refunds, e.GatewayID)
	case Erasure:
		l.erased[e.Customer] = true
	}
	if e.Key != "" {
		l.byKey[e.Key] = len(l.entries)
	}
	l.entries = append(l.entries, &e)
}

// refuseRefund gives the code and the sentence of a refund that cannot be made, or nothing.
func (l *ledger) refuseRefund(chargeID string, amount money.Amount) (code, message string) {
	a := l.accounts[chargeID]
	switch {
	case a == nil:
		return payment.CodeChargeUnknown, "The gateway does not have this charge."
	case a.now().Status != payment.Succeeded:
		return payment.CodeChargeNotSucceeded, "The charge took no money."
	case a.charge.Amount.Currency != amount.Currency:
		return payment.CodeCurrencyMismatch, "The charge was made in " + a.charge.Amount.Currency + "."
	case amount.Minor > a.charge.Amount.Minor-a.refunded:
		return payment.CodeAmountTooLarge, "Only " + money.Of(a.charge.Amount.Minor-a.refunded,
			a.charge.Amount.Currency).Format() + " of the charge is left."
	}
	return "", ""
}

// decode reads the file of a ledger: one entry a line. The last line may be torn, by a process that ended while it wrote
// it; nobody was given that answer, so it is left out. whole is the length of what was read.
func decode(data []byte) (l *ledger, whole int, err error) {
	l = newLedger()
	for n := 1; ; n++ {
		line, _, found := bytes.Cut(data[whole:], []byte("\n"))
		if !found {
			return l, whole, nil
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", n, err)
		}
		if err := l.check(e); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", n, err)
		}
		l.add(e)
		whole += len(line) + 1
	}
}
