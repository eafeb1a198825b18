package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"perennial/internal/audit"
	"perennial/internal/fault"
	"perennial/internal/server"
	"perennial/verify"
)

type verifyCommand struct {
	place
	Receipt string `help:"Check a receipt instead, offline." type:"existingfile" placeholder:"FILE" and:"receipt"`
	Key     string `help:"The log's public key, as GET /log-key gives it; with --receipt." type:"existingfile" placeholder:"FILE" and:"receipt"`
	Deep    bool   `help:"Look in the index for every entry and person, and count all figures again, not a sample."`
	JSON    bool   `help:"Print the report as JSON."`
}

// Run checks a database, or a receipt.
func (c verifyCommand) Run(w *world) error {
	if c.Receipt != "" {
		return c.receipt(w)
	}
	b := newBar(w.err, "Verifying")
	report, err := server.Check(w.ctx, c.config(w.log), c.Deep, func(done, total int64) { b.set(done, total, thousands(done)+" entries") })
	b.end()
	if err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(w.out, report); err != nil {
			return err
		}
	} else {
		printReport(w.out, report)
		printProblems(w.out, report)
	}
	switch {
	case !report.Holds():
		return failed(1)
	case !report.Finished():
		return failed(2)
	}
	return nil
}

// printReport says what was compared, and what was not.
func printReport(w io.Writer, r *audit.Report) {
	fmt.Fprintf(w, "%s changes, %s entries, replayed, %s differences.\n", thousands(r.Changes), thousands(r.Entries), thousands(r.Differences))
	if r.MovedTo != "" {
		fmt.Fprintf(w, "This shop was moved to %s: its journal goes on there.\n", r.MovedTo)
	}
	fmt.Fprintf(w, "Covered: shop %s; the bytes, hash and place of every entry; the tree (root %s); %s checkpoints; %s rows of state against replay;\n  %s secrets against their commitments; the names that are held; %s sealed boxes, %s of them erased; the data keys",
		r.Shop, r.Root, thousands(r.Checkpoints), thousands(r.Rows), thousands(r.Secrets), thousands(r.Boxes), thousands(r.ErasedBoxes))
	for _, what := range r.Covered {
		fmt.Fprintf(w, ";\n  %s", what)
	}
	fmt.Fprintf(w, ". It took %.1f s.\n", r.Took.Seconds())
	for i, what := range r.Missed {
		if i == 0 {
			fmt.Fprint(w, "Not looked at: ")
		} else {
			fmt.Fprint(w, ";\n  ")
		}
		fmt.Fprint(w, what)
	}
	fmt.Fprintln(w, ".")
	for _, what := range r.Unread {
		fmt.Fprintf(w, "Could not be read, so nothing can be said of it: %s\n", what)
	}
}

// printProblems lists what is wrong.
func printProblems(w io.Writer, report *audit.Report) {
	for i, p := range report.Problems {
		if i == 0 {
			fmt.Fprintln(w, "The first thing that is wrong:")
		} else if i == 1 {
			fmt.Fprintln(w, "And:")
		}
		fmt.Fprintf(w, "  %s\n", p)
	}
	if n := report.Differences - int64(len(report.Problems)); n > 0 {
		fmt.Fprintf(w, "  … and %s more.\n", thousands(n))
	}
}

// receipt checks a receipt with nothing but itself and a key.
func (c verifyCommand) receipt(w *world) error {
	b, err := os.ReadFile(c.Receipt)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "receipt_unreadable", "The receipt %s cannot be read.", c.Receipt)
	}
	key, err := os.ReadFile(c.Key)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "key_unreadable", "The key %s cannot be read.", c.Key)
	}
	r, err := verify.ParseReceipt(b)
	if err != nil {
		fmt.Fprintf(w.out, "The receipt does not hold: %v\n", err)
		return failed(1)
	}
	e, err := r.Check(strings.TrimSpace(string(key)))
	if err != nil {
		fmt.Fprintf(w.out, "The receipt does not hold: %v\n", err)
		return failed(1)
	}
	fmt.Fprintf(w.out, "The receipt holds: entry %d (%s, %s) is in the log that this key signs.\n", e.Seq, e.ID, e.Type)
	return nil
}
