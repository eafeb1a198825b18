package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"perennial/internal/bench"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/program"
)

type benchCommands struct {
	Journal benchCommand        `cmd:"" default:"withargs" help:"Commands, reads and the journal."`
	Pages   benchPagesCommand   `cmd:"" help:"How long the Dashboard takes for pages of 50 rows."`
	Billing benchBillingCommand `cmd:"" help:"A day on which every subscription is due."`
}

type benchCommand struct {
	Dir     string `help:"Where to make the data, in a folder that is removed at the end; by default the system's place for temporary files." type:"path" placeholder:"DIR"`
	Events  int64  `help:"How many entries the reads are measured on; by default 1,000,000, with --quick 50,000." placeholder:"N"`
	Quick   bool   `help:"Less of everything: figures within half a minute."`
	Large   bool   `help:"Also at 5 times the entries, and the rate at 2 times against that at a fifth."`
	JSON    bool   `help:"Print the figures as JSON."`
	Profile string `help:"A folder for CPU profiles of the steps that write." type:"existingdir" hidden:""`
}

// Run measures, and prints a table.
func (c benchCommand) Run(w *world) error {
	o := bench.Options{Dir: c.Dir, Events: cmp.Or(c.Events, 1_000_000), Span: 3 * time.Second, Large: c.Large, Profile: c.Profile,
		Found: foundBench,
		Say:   func(what string) { fmt.Fprintf(w.err, "Measuring %s\n", what) }}
	if c.Quick {
		o.Events, o.Span = cmp.Or(c.Events, 50_000), 600*time.Millisecond
	}
	self, err := os.Executable()
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "executable", "It cannot be told which program this is.")
	}
	o.Serve = func(data, listen string) []string {
		return []string{self, "serve", "--data", data, "--listen", listen, "--rate-limit", "0"}
	}
	r, err := bench.Run(w.ctx, o)
	switch {
	case r == nil:
		return err
	case c.JSON:
		return errors.Join(err, printJSON(w.out, r))
	}
	printFigures(w.out, r) // a run that is cut short shows what it has
	return err
}

type benchPagesCommand struct {
	Dir     string `help:"Where to make the data, in a folder that is removed at the end; by default the system's place for temporary files." type:"path" placeholder:"DIR"`
	Events  int64  `help:"How many entries there are." default:"1000000" placeholder:"N"`
	JSON    bool   `help:"Print the figures as JSON."`
	Profile string `help:"A folder for a CPU profile." type:"existingdir" hidden:""`
}

// Run measures, and prints a table.
func (c benchPagesCommand) Run(w *world) error {
	r, err := bench.Pages(w.ctx, bench.Options{Dir: c.Dir, Events: c.Events, Profile: c.Profile, Found: foundBench, Say: func(what string) { fmt.Fprintf(w.err, "Measuring %s\n", what) }})
	switch {
	case r == nil:
		return err
	case c.JSON:
		return errors.Join(err, printJSON(w.out, r))
	}
	printFigures(w.out, r)
	return err
}

// foundBench makes the shop that is measured.
func foundBench(ctx context.Context, p *program.Program, ids *id.Maker) (string, error) {
	return found(ctx, p, ids, "Bench", "UTC", "USD")
}

type benchBillingCommand struct {
	Dir           string        `help:"Where to make the data, in a folder that is removed at the end; by default the system's place for temporary files." type:"path" placeholder:"DIR"`
	Database      string        `help:"The address of an empty PostgreSQL database; by default SQLite." placeholder:"URL"`
	Subscriptions int           `help:"How many are due." default:"100000" placeholder:"N"`
	Latency       time.Duration `help:"How long the simulated gateway takes for a call." default:"50ms" placeholder:"DURATION"`
	InFlight      int           `help:"How many calls of the gateway are under way at once." default:"64" placeholder:"N"`
	Crashes       int           `help:"How often the process that bills is killed without a warning; nothing is measured then, and the ledgers have to agree all the same." placeholder:"N"`
	JSON          bool          `help:"Print the figures as JSON."`
	Profile       string        `help:"A folder for a CPU profile." type:"existingdir" hidden:""`
	Seed          uint64        `help:"Of when it is killed, and of what people do meanwhile." default:"1" placeholder:"N"`
	Work          string        `help:"Bill the shop of a folder, and end." type:"path" hidden:""`
	Moves         bool          `help:"With --work: people split and merge meanwhile." hidden:""`
	Trouble       string        `help:"With --work: what goes wrong." hidden:""`
	Spoil         string        `help:"With --work: the rule that is switched off." hidden:""`
}

// Run measures, and prints a table. Its exit code says whether every goal was met that has to be: no charge twice, none missed.
func (c benchBillingCommand) Run(w *world) error {
	if c.Work != "" {
		return bench.BillingWork{Data: c.Work, Database: c.Database, Latency: c.Latency, InFlight: c.InFlight,
			Moves: c.Moves, Trouble: bench.Trouble(c.Trouble), Spoil: bench.Spoil(c.Spoil), Seed: c.Seed}.Do(w.ctx, w.out)
	}
	self, err := os.Executable()
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "executable", "It cannot be told which program this is.")
	}
	o := bench.BillingOptions{Dir: c.Dir, Database: c.Database, Subscriptions: c.Subscriptions, Latency: c.Latency, InFlight: c.InFlight, Crashes: c.Crashes, Seed: c.Seed, Profile: c.Profile,
		Found: foundBench,
		Work:  func(b bench.BillingWork) []string { return append([]string{self}, b.Arguments()...) },
		Say:   func(what string) { fmt.Fprintf(w.err, "Measuring: %s\n", what) }}
	r, err := bench.Billing(w.ctx, o)
	switch {
	case r == nil:
		return err
	case c.JSON:
		return errors.Join(err, printJSON(w.out, r))
	}
	printFigures(w.out, r)
	return err
}

// printFigures prints a report as a table.
func printFigures(w io.Writer, r *bench.Report) {
	fmt.Fprintf(w, "%s, %d CPUs %s, %s, %s\n\n", r.System, r.CPUs, strings.TrimSpace(r.CPU), r.Go, r.Began.Format("2 January 2006 15:04 UTC"))
	const form = "%-58s %11s %13s %10s %10s %7s  %s\n"
	fmt.Fprintf(w, form, "", "entries", "", "p50", "p99", "ratio", "goal")
	for _, f := range r.Figures {
		at, value, p50, p99, ratio, goal := "", "", "", "", "", f.Goal
		if f.Events > 0 {
			at = thousands(f.Events)
		}
		switch {
		case f.Rate > 0:
			value = thousands(int64(f.Rate)) + "/s"
		case f.Value >= 100:
			value = thousands(int64(f.Value+0.5)) + " " + f.Unit
		case f.Value > 0:
			value = fmt.Sprintf("%.1f %s", f.Value, f.Unit)
		case f.Unit != "":
			value = "0 " + f.Unit
		}
		if f.P99 > 0 {
			p50, p99 = milliseconds(f.P50), milliseconds(f.P99)
		}
		if f.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", f.Ratio)
		}
		if f.Met != nil && !*f.Met {
			goal += "  (missed)"
		}
		fmt.Fprintf(w, form, f.Name, at, value, p50, p99, ratio, goal)
	}
	fmt.Fprintf(w, "\nRatio: to the reference of the same run, which --json names. Rates: more is better; times and sizes: less is. It took %.0f s.\n", r.Took.Seconds())
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
