// Peers measures Perennial beside what people would use instead, on one machine in one run: each in turn, round by round, and the
// medians of the rounds. It is a module of its own, so that what it needs never reaches the product.
//
// All are asked for the same: a change, or an entry of 350 bytes, durable before it is answered. Those that only store bytes
// are given them; those that keep rows are given a change of a row. What each leaves out stands under the table.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := command(); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func command() error {
	debug.SetGCPercent(300) // as perennial sets it for itself; the others that are in this process have it too
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := options{Say: func(what string) { fmt.Fprintln(os.Stderr, what) }}
	entries := flag.Int64("entries", 100_000, "how many entries there are before anything is measured, at least 40,000")
	large := flag.Bool("large", false, "read at 1,000,000 entries too (a few minutes more)")
	only := flag.String("only", "", "keys of peers to measure, with commas; empty: all")
	asJSON := flag.Bool("json", false, "print the figures as JSON")
	flag.IntVar(&o.Rounds, "rounds", 3, "how many turns each has")
	flag.DurationVar(&o.Span, "span", 400*time.Millisecond, "how long a turn is")
	flag.Parse()
	if flag.NArg() > 0 || *entries < 2*rarely || o.Rounds < 1 || o.Span <= 0 {
		flag.Usage()
		return fmt.Errorf("give at least %d entries, one round and some time, and nothing else", 2*rarely)
	}
	if *only != "" {
		o.Only = strings.Split(*only, ",")
	}
	o.Sizes = []int64{*entries}
	if *large {
		o.Sizes = append(o.Sizes, max(1_000_000, 2**entries))
	}
	r, err := run(ctx, o)
	if err != nil {
		return err
	}
	if *asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	printTable(os.Stdout, r)
	return nil
}
