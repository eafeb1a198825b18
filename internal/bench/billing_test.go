package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"perennial/internal/bench"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/test/shop"
)

// workVariable makes this binary a process that bills, so that a real one can be killed.
const workVariable = "PERENNIAL_BENCH_WORK"

func TestMain(m *testing.M) {
	if text := os.Getenv(workVariable); text != "" {
		var w bench.BillingWork
		err := json.Unmarshal([]byte(text), &w)
		if err == nil {
			err = w.Do(context.Background(), os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// However often the process that bills is killed, whatever people move meanwhile, with old copies of the database put back, a clock that
// jumps and a gateway that refuses the shop: nothing is charged twice, nobody is missed, and the gateway's own ledger is what the orders say. `perennial bench billing --crashes 20` is the long form.
func TestBillingSurvivesKills(t *testing.T) {
	const kills = 8 // one of each kind of life
	r, err := bench.Billing(t.Context(), bench.BillingOptions{Dir: t.TempDir(), Database: shop.URL(t, t.TempDir()), Subscriptions: 600, Latency: 40 * time.Millisecond, InFlight: 16, Crashes: kills, Seed: 1,
		Found: func(ctx context.Context, p *program.Program, _ *id.Maker) (string, error) {
			for _, d := range settings.Defaults("Bench", "UTC", "USD") {
				if _, err := p.Do(ctx, &program.Request{Meta: shop.System, Command: journal.Bind(settings.Update{Document: d})}); err != nil {
					return "", err
				}
			}
			return "", nil
		},
		Work: func(w bench.BillingWork) []string {
			text, err := json.Marshal(w)
			if err != nil {
				t.Fatal(err)
			}
			return []string{"/usr/bin/env", workVariable + "=" + string(text), os.Args[0]}
		},
		Say: func(what string) { t.Log(what) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"billing.twice", "billing.missed", "billing.early", "billing.unbalanced", "billing.verify", "billing.held"} {
		if f, ok := r.Figure(key); !ok || !*f.Met {
			t.Errorf("%s: %+v", key, f)
		}
	}
	for _, key := range []string{"billing.splits", "billing.merges", "billing.restores", "billing.restores.keys", "billing.jumps", "billing.wrong", "billing.refusals"} {
		f, _ := r.Figure(key)
		if t.Logf("%s: %v", key, f.Value); f.Value < 1 {
			t.Errorf("%s: %v", key, f.Value)
		}
	}
	if f, _ := r.Figure("billing.kills"); f.Value != kills {
		t.Errorf("only %v of %d kills hit a process that billed", f.Value, kills)
	}
}
