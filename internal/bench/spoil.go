package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/subscription"
)

// Spoil is a rule that is switched off, to see that a crash run turns red without it. No shop can do so.
type Spoil string

// What can be switched off.
const (
	Nothing   Spoil = ""
	Splits    Spoil = "splits"    // items are split off beside an order that can still be paid
	Merges    Spoil = "merges"    // subscriptions are merged beside one
	Believed  Spoil = "believed"  // the clock is believed, however it jumps
	Blamed    Spoil = "blamed"    // what the gateway refuses because of us is held against the customers
	Forgotten Spoil = "forgotten" // the keys folder and the gateway know nothing of what a restored copy has lost
)

// careless commands do not look for orders that can still be paid.
type (
	carelessSplit struct{ subscription.Split }
	carelessMerge struct{ subscription.Merge }
)

func (c carelessSplit) Load(r journal.Reader) (subscription.World, error) {
	w, err := c.Split.Load(r)
	w.Unpaid = nil
	return w, err
}

func (c carelessMerge) Load(r journal.Reader) (subscription.World, error) {
	w, err := c.Merge.Load(r)
	w.Unpaid, w.IntoUnpaid = nil, nil
	return w, err
}

func (s Spoil) split(c subscription.Split) journal.Command {
	if s == Splits {
		return journal.Bind(carelessSplit{c})
	}
	return journal.Bind(c)
}

func (s Spoil) merge(c subscription.Merge) journal.Command {
	if s == Merges {
		return journal.Bind(carelessMerge{c})
	}
	return journal.Bind(c)
}

// blaming is a gateway whose refusals look like declines.
type blaming struct{ *simulated.Gateway }

func (g blaming) Charge(ctx context.Context, r payment.ChargeRequest) (payment.ChargeResult, error) {
	result, err := g.Gateway.Charge(ctx, r)
	if _, ours := errors.AsType[*payment.Ours](err); ours {
		return payment.ChargeResult{Status: payment.Declined, Code: payment.CodeProcessingError}, nil
	}
	return result, err
}

func (w BillingWork) spoiled(g *simulated.Gateway) payment.Gateway {
	if w.Spoil == Blamed {
		return blaming{g}
	}
	return g
}

// lostLedger is what the gateway took and forgot.
const lostLedger = ledgerFile + ".lost"

// forget takes away what knows better than a restored copy.
func (c *crashes) forget() error {
	signed, err := filepath.Glob(filepath.Join(c.work.Data, "keys", "checkpoint-*"))
	if err != nil {
		return err
	}
	for _, name := range signed {
		err = errors.Join(err, os.Remove(name))
	}
	ledger := filepath.Join(c.work.Data, ledgerFile)
	return errors.Join(err, os.Rename(ledger, filepath.Join(c.work.Data, lostLedger)))
}
