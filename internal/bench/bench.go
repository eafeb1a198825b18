// Package bench measures a shop on the machine at hand. It makes its own data and takes, in the same run, references to
// hold the figures against: the disk alone, a bare SQLite that does an update and an insert and nothing else, an empty
// shop. On a machine that others use, the ratios say more than the figures.
//
// What is measured is what a store would run: full durability, the journal with its tree and triggers, an idempotency
// key and a kept answer for each command, the index catching up beside.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/program"
)

// Options say how much is measured.
type Options struct {
	Dir    string        // where the data is made, in a folder that is removed at the end; empty: the system's for temporary files
	Events int64         // how many entries the reads are measured on, at least MinEvents
	Span   time.Duration // how long each rate is measured
	Large  bool          // also at 5 times the entries, and the rate at 2 times against that at a fifth

	// Found makes a new shop's settings and its first API key, which it returns.
	Found func(ctx context.Context, p *program.Program, ids *id.Maker) (key string, err error)
	// Serve gives the command line that serves the shop of a folder; nil leaves out what is measured on a process of its own.
	Serve func(data, listen string) []string
	// Say is told what is being measured.
	Say func(what string)
	// Profile names a folder for CPU profiles of the steps that write; empty: none.
	Profile string
}

// MinEvents is the least number of entries that a run is made on.
const MinEvents = 5000

// Figure is one result. Of Rate, Value and the latencies those that were measured are set.
type Figure struct {
	Key    string        `json:"key"` // stable, for programs
	Name   string        `json:"name"`
	Events int64         `json:"events,omitzero"` // entries in the journal when it began
	Rate   float64       `json:"rate_per_second,omitzero"`
	Value  float64       `json:"value,omitzero"`
	Unit   string        `json:"unit,omitzero"` // of Value
	P50    time.Duration `json:"p50_ns,omitzero"`
	P99    time.Duration `json:"p99_ns,omitzero"`
	Ratio  float64       `json:"ratio,omitzero"`  // to Beside: of the rates, of the values, or of the medians
	Beside string        `json:"beside,omitzero"` // the key of the reference; a reference has none
	Goal   string        `json:"goal,omitzero"`
	Met    *bool         `json:"met,omitzero"` // whether the goal is
}

// Report is the outcome of a run.
type Report struct {
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took_ns"`
	System  string        `json:"system"`
	CPU     string        `json:"cpu,omitzero"`
	CPUs    int           `json:"cpus"`
	Go      string        `json:"go"`
	Events  int64         `json:"events"`
	Span    time.Duration `json:"span_ns"`
	Figures []Figure      `json:"figures"`
}

// Figure gives a figure by its key.
func (r *Report) Figure(key string) (Figure, bool) {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Key == key })
	if i < 0 {
		return Figure{}, false
	}
	return r.Figures[i], true
}

// run is a measurement under way. It belongs to one goroutine.
type run struct {
	Options
	ctx context.Context
	dir string
	out *Report
}

// Run measures everything, one thing after the other. It removes what it made, also when the context ends it early; with an
// error, the report has what was measured until then.
func Run(ctx context.Context, o Options) (*Report, error) {
	return measure(ctx, o, func(r *run) []func() error { return []func() error{r.disk, r.bareWrites, r.bareReads, r.shop} })
}

func measure(ctx context.Context, o Options, steps func(*run) []func() error) (_ *Report, err error) {
	if o.Events < MinEvents {
		return nil, fault.New(fault.Refused, "events", "Measure on %d entries or more.", MinEvents)
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	began := time.Now()
	dir, err := os.MkdirTemp(o.Dir, "perennial-bench-")
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "bench_dir", "No folder can be made in %q.", o.Dir)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &run{Options: o, ctx: ctx, dir: dir, out: &Report{
		Began: began.UTC(), System: runtime.GOOS + "/" + runtime.GOARCH, CPU: processor(), CPUs: runtime.NumCPU(), Go: runtime.Version(), Events: o.Events, Span: o.Span}}
	for _, step := range steps(r) {
		if err = step(); err != nil {
			break
		}
	}
	r.out.Took = time.Since(began)
	return r.out, err
}

// shop measures the program, on one shop that grows.
func (r *run) shop() error {
	empty, err := r.found("empty")
	if err != nil {
		return err
	}
	if err := r.process("empty", "an empty shop", empty, false); err != nil {
		return err
	}
	s, err := r.found("shop")
	if err != nil {
		return err
	}
	var before float64
	if r.Large {
		if err := r.grow(s, r.Events/5); err != nil {
			return err
		}
		if before, err = r.steady(s); err != nil {
			return err
		}
	}
	if err := r.grow(s, r.Events); err != nil {
		return err
	}
	for _, step := range []func(*shop) error{
		r.size,
		func(s *shop) error { return r.process("full", "a shop", s, true) },
		func(s *shop) error { return r.profiled("reads", func() error { return r.reads(s) }) },
		func(s *shop) error { return r.profiled("pages", func() error { return r.pages(s) }) },
		r.verify, r.commands, r.served, r.answers,
	} {
		if err := step(s); err != nil {
			return err
		}
	}
	if !r.Large {
		return nil
	}
	if err := r.grow(s, 2*r.Events); err != nil {
		return err
	}
	after, err := r.steady(s)
	if err != nil {
		return err
	}
	r.add(Figure{Key: "steadiness", Name: "rate at 10 times the entries, against the rate before", Value: after / before, Unit: "times", Goal: "≥ 0.8", Met: new(after/before >= 0.8)})
	if err := r.grow(s, 5*r.Events); err != nil {
		return err
	}
	return r.reads(s)
}

// add adds a figure and holds it against its reference.
func (r *run) add(f Figure) {
	if ref, ok := r.out.Figure(f.Beside); ok {
		switch {
		case f.Rate > 0 && ref.Rate > 0:
			f.Ratio = f.Rate / ref.Rate
		case f.Value > 0 && ref.Value > 0:
			f.Ratio = f.Value / ref.Value
		case f.P50 > 0 && ref.P50 > 0:
			f.Ratio = float64(f.P50) / float64(ref.P50)
		}
	}
	r.out.Figures = append(r.out.Figures, f)
}

// atLeast is a goal for a rate.
func atLeast(f Figure, goal, wanted float64) Figure {
	f.Goal, f.Met = fmt.Sprintf("≥ %s/s, want %s", short(goal), short(wanted)), new(f.Rate >= goal)
	return f
}

// atMost is a goal for a value.
func atMost(f Figure, goal float64, words string) Figure {
	f.Goal, f.Met = words, new(f.Value <= goal)
	return f
}

func short(n float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", n/1000), ".0") + "k" }

// processor names the CPU, where the system tells.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (r *run) path(names ...string) string {
	return filepath.Join(append([]string{r.dir}, names...)...)
}
