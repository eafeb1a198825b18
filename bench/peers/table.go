package main

import (
	"fmt"
	"io"
	"time"
)

// printTable prints a report for people.
func printTable(w io.Writer, r *report) {
	fmt.Fprintf(w, "%s, %d CPUs (load average %s when it began), %s, %s\n", r.System, r.CPUs, r.Busy, r.Go, r.Began.Format("2 January 2006 15:04 UTC"))
	fmt.Fprintf(w, "%d rounds of %v for each, in turn; medians. In brackets: how many times as fast Perennial on SQLite is.\n", r.Rounds, r.Span)
	rows := contenders(nil)
	var sizes []int64
	for _, x := range r.Results {
		if len(sizes) == 0 || sizes[len(sizes)-1] != x.Entries {
			sizes = append(sizes, x.Entries)
		}
	}
	const form = "%-26s %24s %24s %24s\n"
	fmt.Fprintf(w, "\nDurable changes at %s entries: a second, and how long one takes (p50)\n\n", thousands(sizes[0]))
	fmt.Fprintf(w, form, "", "1 caller", "64 callers", "512 callers")
	for _, c := range rows {
		var cells [3]string
		for i, callers := range loads {
			if x, ok := r.find(c.key, "write", sizes[0], callers); ok {
				cells[i] = fmt.Sprintf("%s/s %s %7s", thousands(int64(x.Rate)), short(x.P50), times(x.Ratio))
			}
		}
		if cells != [3]string{} {
			fmt.Fprintf(w, form, c.name, cells[0], cells[1], cells[2])
		}
	}
	for _, entries := range sizes {
		fmt.Fprintf(w, "\nReads at %s entries (p50; * by looking at the entries from the newest back)\n\n", thousands(entries))
		fmt.Fprintf(w, form, "", questions[0].name, questions[1].name, questions[2].name)
		for _, c := range rows {
			var cells [3]string
			for i, q := range questions {
				if x, ok := r.find(c.key, string(q.kind), entries, 1); ok {
					cells[i] = fmt.Sprintf("%s %7s", short(x.P50), times(x.Ratio))
					if x.Scan {
						cells[i] = "* " + cells[i]
					}
				}
			}
			if cells != [3]string{} {
				fmt.Fprintf(w, form, c.name, cells[0], cells[1], cells[2])
			}
		}
	}
	fmt.Fprint(w, "\nPerennial makes with each change: the rule's decision, the row, an entry with its actor, kind and changes, its hash in the tree, the index of every facet.\nWhat the others leave out:\n")
	for _, c := range rows {
		if c.leavesOut != "" {
			fmt.Fprintf(w, "- %s (%s): %s.\n", c.name, c.how, c.leavesOut)
		}
	}
	if len(r.Goals) > 0 {
		fmt.Fprint(w, "\nGoals at 64 callers:\n")
	}
	for _, g := range r.Goals {
		missed := ""
		if !g.Met {
			missed = "  (missed)"
		}
		fmt.Fprintf(w, "- %s: %.1f times, goal %.1f%s\n", g.Name, g.Ratio, g.Wanted, missed)
	}
	fmt.Fprintf(w, "\nIt took %.0f s.\n", r.Took.Seconds())
}

func times(ratio float64) string {
	switch {
	case ratio == 0:
		return ""
	case ratio < 10:
		return fmt.Sprintf("[%.1f]", ratio)
	}
	return "[" + thousands(int64(ratio+0.5)) + "]"
}

func short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
	return thousands(d.Milliseconds()) + " ms"
}

func thousands(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
