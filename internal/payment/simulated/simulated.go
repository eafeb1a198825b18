// Package simulated is a payment gateway of our own for the demo and for tests. It is stateful as a real one is: it
// remembers each idempotency key, refunds only what was charged, and its ledger says afterwards what really happened. It
// is deterministic: the reference of the payment method decides each charge, with the same outcome on each run.
//
//	sim_ok                        succeeds
//	sim_decline_<code>            is declined with a code, such as insufficient_funds or expired_card
//	sim_decline_hard              is declined as a lost card: it will never work again
//	sim_fail_first_<n>            is declined for the first n attempts at each order, then succeeds
//	sim_action_required           waits until Confirm, as a card with 3-D Secure
//	sim_timeout_after_charge      succeeds, but the answer to the first call with each key is lost
//	sim_error_after_charge        succeeds, but the first call with each key is answered with an error 500
//	sim_timeout_before_charge     the first call with each key is lost before the gateway sees it, the next one succeeds
//	sim_flaky_<permille>_<seed>   declines that share of charges, chosen by a hash of seed and idempotency key
//	sim_expires_<2027-03>         succeeds to the end of that month (UTC), then is declined as expired
//	sim_renews_<2027-03>          succeeds; on the 15th of that month, and every 3 years from then on, the bank renews it for 3 years
//	sim_reports_twice             succeeds; each report of it comes again, an hour later
//	sim_reports_late              succeeds; the report of it comes two days late
//	sim_dispute_won               succeeds; each charge is contested after 6 days, and stays after 20
//	sim_dispute_lost              succeeds; each charge is contested after 6 days, and lost after 20
//	sim_dispute_backwards         as the one before, and the dispute's end is reported before its beginning
//	sim_least_<n>                 is declined as too small below n minor units, else succeeds
//	sim_ours_<code>               is refused because of us, with a code such as account_invalid: nothing is charged
//	sim_processing                is under way for ever: the gateway has it and knows no outcome
//
// What happens later at the gateway's own pages and at the bank is told by calls: [Gateway.Pay], [Gateway.Contest], [Gateway.Decide],
// [Gateway.SendBack] and [Gateway.Refuse].
//
// Any other reference is unknown to the gateway, and a charge of it is declined hard.
//
// What it reports (see [Gateway.Reports]) follows from the ledger and the time alone, so a restart loses no report.
package simulated

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"perennial/internal/payment"
)

// ErrTimeout is what a caller gets whose request or answer was lost.
var ErrTimeout = errors.New("simulated: no answer from the gateway")

// ErrServer is what a caller gets from a gateway whose server failed after it had charged.
var ErrServer = errors.New("simulated: the gateway answered with status 500")

var errClosed = errors.New("simulated: the gateway is closed")

// Options is how a gateway behaves beside the outcomes.
type Options struct {
	// Latency is how long a call takes: half of it before the gateway sees the request, half after. A context that ends
	// in the second half leaves a charge that its caller does not know of.
	Latency time.Duration
}

// Gateway is a simulated payment gateway. It is safe for concurrent use.
type Gateway struct {
	account string // names this one among simulated gateways
	now     func() time.Time
	latency time.Duration

	mu         sync.Mutex
	ledger     *ledger         // guarded by mu; every entry in it is in file too
	file       *os.File        // guarded by mu; nil for a gateway in memory
	missed     map[string]bool // guarded by mu; keys of sim_timeout_before_charge whose first request was lost
	processing map[string]bool // guarded by mu; keys of sim_processing
	refuse     string          // guarded by mu; the code with which each request is refused because of us; empty: none is
	broken     error           // guarded by mu; why nothing is answered any more
}

var (
	_ payment.Gateway = (*Gateway)(nil)
	_ payment.Eraser  = (*Gateway)(nil)
)

// New makes a gateway whose ledger is in memory. now dates the entries.
func New(now func() time.Time, o Options) *Gateway {
	return &Gateway{
		account:    "sim_memory",
		now:        now,
		latency:    o.Latency,
		ledger:     newLedger(),
		missed:     map[string]bool{},
		processing: map[string]bool{},
	}
}

// Open makes a gateway whose ledger is also in a file, one JSON object a line, made if it does not exist and read if it
// does. What was answered outlives the process, however it ends; it is not forced to the disk, so a power cut may lose
// the last of it. Only one gateway may have a file open.
func Open(path string, now func() time.Time, o Options) (*Gateway, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("simulated: %w", err)
	}
	g := New(now, o)
	g.file = file
	if g.account, err = named(path + ".id"); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := g.load(path); err != nil {
		return nil, errors.Join(fmt.Errorf("simulated: %s: %w", path, err), file.Close())
	}
	return g, nil
}

// named reads the name of an account, and makes one up the first time.
func named(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		b = []byte("sim_" + strings.ToLower(rand.Text()[:16]) + "\n")
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("simulated: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Account implements [payment.Identified]. The gateway has no clock of its own.
func (g *Gateway) Account(context.Context) (payment.Account, error) {
	return payment.Account{Gateway: g.Name(), ID: g.account, Mode: payment.TestMode}, nil
}

func (g *Gateway) load(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	l, whole, err := decode(data)
	if err != nil {
		return err
	}
	g.ledger = l
	return g.file.Truncate(int64(whole))
}

// Close closes the ledger's file. Later calls fail; Ledger still answers.
func (g *Gateway) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if errors.Is(g.broken, errClosed) {
		return nil
	}
	g.broken = errClosed
	if g.file == nil {
		return nil
	}
	return g.file.Close()
}

// Ledger gives a copy of all entries so far, in order.
func (g *Gateway) Ledger() []Entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Entry, len(g.ledger.entries))
	for i, e := range g.ledger.entries {
		out[i] = *e
	}
	return out
}

// Charge implements [payment.Gateway].
func (g *Gateway) Charge(ctx context.Context, r payment.ChargeRequest) (payment.ChargeResult, error) {
	if err := r.Check(); err != nil {
		return payment.ChargeResult{}, err
	}
	return call(ctx, g, func() (payment.ChargeResult, error) { return g.charge(r) })
}

// Lookup implements [payment.Gateway].
func (g *Gateway) Lookup(ctx context.Context, q payment.Query) (payment.Charge, bool, error) {
	found := false
	c, err := call(ctx, g, func() (payment.Charge, error) {
		if g.processing[q.Key] {
			return payment.Charge{}, payment.ErrUndecided
		}
		i, ok := g.ledger.byKey[q.Key]
		if !ok || g.ledger.entries[i].Kind != Charge {
			return payment.Charge{}, nil
		}
		found = true
		return g.ledger.accounts[g.ledger.entries[i].GatewayID].read(), nil
	})
	return c, found && err == nil, err
}

// Retrieve gives a charge as it is now: [payment.ErrNotFound] for one that is not there.
func (g *Gateway) Retrieve(ctx context.Context, chargeID string) (payment.Charge, error) {
	return call(ctx, g, func() (payment.Charge, error) {
		a := g.ledger.accounts[chargeID]
		if a == nil {
			return payment.Charge{}, payment.ErrNotFound
		}
		return a.read(), nil
	})
}

// Refund implements [payment.Gateway].
func (g *Gateway) Refund(ctx context.Context, r payment.RefundRequest) (payment.RefundResult, error) {
	if err := r.Check(); err != nil {
		return payment.RefundResult{}, err
	}
	return call(ctx, g, func() (payment.RefundResult, error) { return g.refund(r) })
}

// Confirm is the customer who confirms a charge that required it: the charge succeeds, as Lookup says from then on. A
// charge that does not wait for it is an error.
func (g *Gateway) Confirm(ctx context.Context, chargeID string) error {
	_, err := call(ctx, g, func() (struct{}, error) {
		a := g.ledger.accounts[chargeID]
		if a == nil || a.now().Status != payment.ActionRequired {
			return struct{}{}, fmt.Errorf("simulated: %q: %w", chargeID, payment.ErrNotWaiting)
		}
		return struct{}{}, g.append(Entry{Kind: Confirmation, ChargeID: chargeID, Amount: a.charge.Amount, Status: payment.Succeeded})
	})
	return err
}

// Cancel implements [payment.Gateway]. A charge that was declined is closed by it, so that nobody pays it later.
func (g *Gateway) Cancel(ctx context.Context, chargeID string) (payment.ChargeResult, error) {
	return call(ctx, g, func() (payment.ChargeResult, error) {
		a := g.ledger.accounts[chargeID]
		if a == nil {
			return payment.GivenUp(chargeID), nil
		}
		if a.closed || a.now().Status == payment.Succeeded {
			return a.now(), nil
		}
		err := g.append(Entry{Kind: Cancellation, ChargeID: chargeID, Amount: a.charge.Amount, Status: payment.Declined})
		return a.now(), err
	})
}

// call does what the gateway does, under its lock, with the latency round it.
func call[T any](ctx context.Context, g *Gateway, do func() (T, error)) (T, error) {
	var none T
	if err := g.travel(ctx); err != nil {
		return none, err
	}
	result, err := func() (T, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.broken != nil {
			return none, g.broken
		}
		return do()
	}()
	if err != nil {
		return none, err
	}
	if err := g.travel(ctx); err != nil {
		return none, err
	}
	return result, nil
}

// travel is one way between the program and the gateway.
func (g *Gateway) travel(ctx context.Context) error {
	if g.latency > 0 {
		timer := time.NewTimer(g.latency / 2)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrTimeout, context.Cause(ctx))
	}
	return nil
}

func (g *Gateway) charge(r payment.ChargeRequest) (payment.ChargeResult, error) {
	e := Entry{Kind: Charge, Key: r.IdempotencyKey, Amount: r.Amount, Reference: r.Reference, OrderID: r.OrderID, Text: r.Description}
	first, again, err := g.first(e)
	if err != nil || again {
		return first.chargeResult(), err
	}
	switch code, ours := strings.CutPrefix(r.Reference, oursPrefix); {
	case g.refuse != "":
		return payment.ChargeResult{}, refusal(g.refuse)
	case ours:
		return payment.ChargeResult{}, refusal(code)
	case r.Reference == Processing:
		g.processing[r.IdempotencyKey] = true
		return payment.ChargeResult{}, payment.ErrUndecided
	}
	result, loss := outcome(r.Reference, r.IdempotencyKey, g.ledger.tries[try{r.OrderID, r.Reference}], r.Amount.Minor, g.now())
	if loss == request && !g.missed[r.IdempotencyKey] {
		g.missed[r.IdempotencyKey] = true
		return payment.ChargeResult{}, ErrTimeout
	}
	e.GatewayID, e.Status, e.Code, e.Message, e.Hard = gatewayID("ch",
		r.IdempotencyKey), result.Status, result.Code, result.Message, result.Hard
	if err := g.append(e); err != nil {
		return payment.ChargeResult{}, err
	}
	switch loss {
	case answer:
		return payment.ChargeResult{}, ErrTimeout
	case garbled:
		return payment.ChargeResult{}, ErrServer
	}
	return e.chargeResult(), nil
}

func refusal(code string) error {
	return &payment.Ours{Code: code, Err: errors.New("simulated: the gateway refuses the shop")}
}

func (g *Gateway) refund(r payment.RefundRequest) (payment.RefundResult, error) {
	if g.refuse != "" {
		return payment.RefundResult{}, refusal(g.refuse)
	}
	e := Entry{Kind: Refund, Key: r.IdempotencyKey, Amount: r.Amount, ChargeID: r.ChargeID, Text: r.Reason}
	first, again, err := g.first(e)
	if err != nil || again {
		return first.refundResult(), err
	}
	if code, message := g.ledger.refuseRefund(r.ChargeID, r.Amount); code != "" {
		e.Status, e.Code, e.Message = payment.Declined, code, message
	} else {
		e.GatewayID, e.Status = gatewayID("re", r.IdempotencyKey), payment.Succeeded
	}
	if err := g.append(e); err != nil {
		return payment.RefundResult{}, err
	}
	return e.refundResult(), nil
}

// first gives the entry that an earlier request with the same key made, if there was one. A key is bound to everything
// that decides about money.
func (g *Gateway) first(e Entry) (first Entry, again bool, err error) {
	i, ok := g.ledger.byKey[e.Key]
	if !ok {
		return Entry{}, false, nil
	}
	first = *g.ledger.entries[i]
	if first.Kind != e.Kind || first.Amount != e.Amount || first.Reference != e.Reference || first.OrderID != e.OrderID ||
		first.ChargeID != e.ChargeID {
		return Entry{}, false, payment.ErrKeyReused
	}
	return first, true, nil
}

// append dates an entry, writes it to the file, and then takes it into the ledger. After a failed write it is not known
// whether the file has the entry, so nothing is answered, not even Lookup, until Open has looked at it again.
func (g *Gateway) append(e Entry) error {
	e.At = g.now().UTC().Truncate(time.Microsecond)
	if g.file != nil {
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("simulated: %w", err)
		}
		if _, err := g.file.Write(append(line, '\n')); err != nil {
			g.broken = fmt.Errorf("simulated: the ledger cannot be written: %w", err)
			return g.broken
		}
	}
	g.ledger.add(e)
	return nil
}

// gatewayID makes the id of what a key made: the same on each run.
func gatewayID(prefix, key string) string {
	h := sha256.Sum256([]byte(key))
	return prefix + "_sim_" + hex.EncodeToString(h[:10])
}
