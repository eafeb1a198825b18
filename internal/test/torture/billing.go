package torture

import (
	"context"
	"fmt"
	"strings"
	"time"

	"perennial/internal/bench"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/settings"
)

// billingDay is a day on which every subscription is due, in place of callers and rounds: bench.Billing kills the server that bills
// while people split and merge, old copies are put back, the clock jumps, and the gateway refuses the shop.
type billingDay struct {
	subscriptions, kills int
	latency              time.Duration
	lives                []bench.Life // nil: all kinds
	spoil                bench.Spoil
}

func billing(name string, postgres bool) scenario {
	return scenario{name: name, postgres: postgres, billing: &billingDay{subscriptions: 1500, kills: 2 * len(bench.Lives), latency: 40 * time.Millisecond}}
}

// spoiled is a short day without one rule, which has to be seen.
func spoiled(name string, red invariant, spoil bench.Spoil, lives ...bench.Life) scenario {
	return scenario{name: "sabotage " + name, sabotage: true, red: red,
		billing: &billingDay{subscriptions: 300, kills: len(lives), latency: 100 * time.Millisecond, lives: lives, spoil: spoil}}
}

func billingSabotages() []scenario {
	moves := bench.Life{Moves: true}
	return []scenario{
		spoiled("split beside an open order", charged, bench.Splits, moves, moves),
		spoiled("merge beside an open order", charged, bench.Merges, moves, moves),
		spoiled("a copy that nobody knows is old", charged, bench.Forgotten, bench.Life{Copied: true}, bench.Life{Trouble: bench.Restored}),
		spoiled("a clock that is believed", times, bench.Believed, bench.Life{Trouble: bench.Wrong}),
		spoiled("our key held against the customers", billed, bench.Blamed, bench.Life{Trouble: bench.Refused}),
	}
}

func (b *billingDay) play(ctx context.Context, r *run) error {
	rep, err := bench.Billing(ctx, bench.BillingOptions{Dir: r.dir, Database: r.url, Subscriptions: b.subscriptions, Latency: b.latency, InFlight: 16,
		Crashes: b.kills, Seed: r.o.Seed, Lives: b.lives, Spoil: b.spoil,
		Found: func(ctx context.Context, p *program.Program, _ *id.Maker) (string, error) {
			meta := program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "setup"}, Source: journal.Origin{Channel: journal.ChannelCLI}}
			for _, d := range settings.Defaults("Torture", "UTC", "USD") {
				if _, err := p.Do(ctx, &program.Request{Meta: meta, Command: journal.Bind(settings.Update{Document: d})}); err != nil {
					return "", err
				}
			}
			return "", nil
		},
		Work: func(w bench.BillingWork) []string {
			c := r.command(w.Arguments()...)
			if c.Path == r.o.Program {
				return c.Args
			}
			return []string{"/usr/bin/env", argsVariable + "=" + strings.Join(w.Arguments(), "\n"), c.Path}
		},
		Say: func(what string) { fmt.Fprintf(r.o.Log, "  %-10s %s\n", r.name, what) }})
	if err != nil {
		return err
	}
	r.result.Rounds = b.kills
	for key, i := range map[string]invariant{"billing.twice": charged, "billing.early": times, "billing.missed": billed, "billing.unbalanced": books, "billing.held": idle, "billing.verify": replay} {
		f, ok := rep.Figure(key)
		if !ok {
			return fmt.Errorf("the day has no %s", key)
		}
		r.result.held(i, b.subscriptions)
		if f.Value > 0 {
			r.result.broke(i, "%.0f %s: %s", f.Value, f.Unit, f.Name)
		}
	}
	if f, _ := rep.Figure("billing.verify"); f.Events > 0 {
		r.result.Entries = f.Events
	}
	return nil
}
