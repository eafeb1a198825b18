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
		Found: func(ctx context.Context, p *program.Program, ids *id.Maker) (string, error) {
			return found(ctx, p, ids, "Bench", "UTC", "USD")
		},
		Say: func(what string) { fmt.Fprintf(w.err, "Measuring %s\n", what) }}
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
