// Package torture ends servers, databases and disks under load and looks whether Perennial kept its word. It drives a real
// `perennial serve` over HTTP with many callers, each with idempotency keys of its own, and keeps what was acknowledged outside
// of the database: in an append-only file that is flushed before an acknowledgement counts. After each fault it checks every
// invariant of the list in report.go, and goes on with the same shop.
//
// A test in which nothing can go wrong proves nothing. So there are sabotages (sabotage.go), each of which has to turn a named
// invariant red.
package torture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"perennial/internal/test/pgtest"
)

// Options say how hard and how long.
type Options struct {
	Seed    uint64
	Short   bool   // the form for `go test ./...`
	Only    string // scenarios whose name contains it; empty: all
	Program string // the perennial that is tested; empty: this binary, as Program serves it
	Dir     string // where the data goes; empty: a folder that is removed when everything held
	Log     io.Writer
}

// callers is how many send requests at once.
const callers = 24

// errCannot is the reason why a fault could not be made here. That is not a broken invariant, and not a passed round either.
type errCannot struct{ why string }

func (e errCannot) Error() string { return e.why }

func cannot(format string, args ...any) error { return errCannot{fmt.Sprintf(format, args...)} }

// A fault is what happens in the middle of a round's load. When it returns, what it ended may still be gone: the round starts
// again what is missing, and then checks.
type fault func(ctx context.Context, r *run) error

// round is one kind of fault, and how often it is done.
type round struct {
	name   string
	times  int
	do     fault
	before fault // on servers at rest; may be nil
}

// scenario is one shop and what happens to it.
type scenario struct {
	name     string
	postgres bool
	settings []string // of the PostgreSQL
	servers  int      // 0: one
	env      []string // of each server, see Program
	prepare  fault    // before the shop is made; may be nil
	rounds   []round
	billing  *billingDay // in place of rounds; nil: none
	sabotage bool        // red has to be broken
	red      invariant
}

// Run runs the scenarios and gives a report of each.
func Run(ctx context.Context, o Options) *Report {
	if o.Log == nil {
		o.Log = io.Discard
	}
	rep := &Report{Seed: o.Seed, Began: time.Now()}
	all := scenarios(o.Short)
	if !o.Short {
		all = append(all, sabotages()...)
	}
	for _, s := range all {
		if strings.Contains(s.name, o.Only) {
			rep.Scenarios = append(rep.Scenarios, runScenario(ctx, s, o))
		}
	}
	rep.Took = time.Since(rep.Began)
	return rep
}

// run is a scenario that is running. Its goroutine owns it; callers see only its load.
type run struct {
	scenario
	o       Options
	rng     *rand.Rand
	dir     string // of everything of this scenario
	data    string // the data folder of the first server
	keys    string // the keys folder of all
	url     string // of the PostgreSQL database
	pg      *pgtest.Server
	servers []*process // nil: ended
	apiKey  string
	logKey  string
	load    *load
	result  *Result
	cleanup []func() error
}

func runScenario(ctx context.Context, s scenario, o Options) *Result {
	r := &run{scenario: s, o: o, rng: rand.New(rand.NewPCG(o.Seed, uint64(len(s.name)))), result: newResult(s)}
	began := time.Now()
	err := r.play(ctx)
	for i := len(r.cleanup) - 1; i >= 0; i-- {
		err = errors.Join(err, r.cleanup[i]())
	}
	if err != nil {
		r.result.cannot(err)
	}
	if r.load != nil {
		r.load.count(r.result)
	}
	r.result.Took = time.Since(began)
	if r.dir != "" && r.result.Good() && o.Dir == "" {
		_ = os.RemoveAll(r.dir) // nothing to look at
	} else {
		r.result.Dir = r.dir
	}
	fmt.Fprint(o.Log, r.result)
	return r.result
}

// play plays the scenario. An error says that it could not be played to its end.
func (r *run) play(ctx context.Context) (err error) {
	if r.dir, err = os.MkdirTemp(cmp.Or(r.o.Dir, os.TempDir()), "torture-"); err != nil {
		return err
	}
	r.data, r.keys = filepath.Join(r.dir, "data"), filepath.Join(r.dir, "keys")
	if r.postgres {
		if r.pg, err = pgtest.Start(pgtest.Options{Durable: true, Settings: r.settings}); err != nil {
			return err
		}
		r.cleanup = append(r.cleanup, r.pg.Stop)
		if r.url, err = r.pg.Create(""); err != nil {
			return err
		}
	}
	if r.billing != nil {
		return r.billing.play(ctx, r)
	}
	if r.prepare != nil {
		if err := r.prepare(ctx, r); err != nil {
			return err
		}
	}
	r.servers = make([]*process, max(1, r.scenario.servers))
	r.cleanup = append(r.cleanup, r.stop)
	if err := r.start(ctx); err != nil {
		return err
	}
	if r.load, err = newLoad(r); err != nil {
		return err
	}
	r.cleanup = append(r.cleanup, r.load.close)
	for _, rd := range r.rounds {
		for n := range rd.times {
			if err := r.round(ctx, rd, n); err != nil {
				if _, ok := errors.AsType[errCannot](err); ok {
					r.result.cannot(fmt.Errorf("%s: %w", rd.name, err))
					break
				}
				return fmt.Errorf("%s, round %d: %w", rd.name, n+1, err)
			}
			r.result.Rounds++
			if ctx.Err() != nil {
				return cannot("it was stopped")
			}
		}
	}
	if r.sabotage {
		return nil
	}
	return r.gentle()
}

// round puts load on the servers, makes the fault in the middle of it, brings everything up again and checks.
func (r *run) round(ctx context.Context, rd round, n int) error {
	began := time.Now()
	if rd.before != nil {
		if err := rd.before(ctx, r); err != nil {
			return err
		}
	}
	if err := r.start(ctx); err != nil {
		return err
	}
	before := r.load.acknowledged()
	stop := r.load.begin(r.rng.Uint64(), r.bases())
	// The fault comes at no chosen place: some time after the load has really begun.
	busy := r.load.until(ctx, 10*time.Second, func() bool { return r.load.acknowledged() >= before+40 })
	if !busy {
		stop()
		return fmt.Errorf("only %d changes were acknowledged in ten seconds", r.load.acknowledged()-before)
	}
	pause(ctx, time.Duration(100+r.rng.IntN(500))*time.Millisecond)
	err := rd.do(ctx, r)
	stop()
	if err != nil {
		return err
	}
	if err := r.start(ctx); err != nil {
		r.result.broke(comesBack, "after %s, round %d: %v", rd.name, n+1, err)
	} else {
		r.result.held(comesBack, 1)
		r.load.settle(ctx, r.bases())
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	fmt.Fprintf(r.o.Log, "  %-10s %-34s %3d  %6d acknowledged, %4d s since the scenario began: %d broken, %.1f s\n", r.name, rd.name, n+1,
		r.load.acknowledged(), int(time.Since(r.result.began).Seconds()), r.result.Broken(), time.Since(began).Seconds())
	return nil
}

// pause waits: it is the time that the load goes on, not a wait for something.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
