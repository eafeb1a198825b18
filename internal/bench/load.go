package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"sync"
	"time"
)

// measured is what a load came to.
type measured struct {
	rate     float64 // finished works a second
	p50, p99 time.Duration
}

// load lets n callers work, each without a pause, until the span is over or one of them fails.
func (r *run) load(n int, work func(ctx context.Context, caller, i int) error) (measured, error) {
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	each := make([][]time.Duration, n)
	began := time.Now()
	end := began.Add(r.Span)
	var callers sync.WaitGroup
	for c := range n {
		callers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				at := time.Now()
				if at.After(end) {
					return
				}
				if err := work(ctx, c, i); err != nil {
					cancel(err)
					return
				}
				each[c] = append(each[c], time.Since(at))
			}
		})
	}
	callers.Wait()
	took := time.Since(began)
	if err := context.Cause(ctx); err != nil {
		return measured{}, err
	}
	all := slices.Concat(each...)
	if len(all) == 0 {
		return measured{}, errors.New("bench: nothing was finished within the span")
	}
	p50, p99 := percentiles(all)
	return measured{float64(len(all)) / took.Seconds(), p50, p99}, nil
}

// percentiles sorts latencies and gives the median and the 99th percentile.
func percentiles(all []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

// profiled runs a step, with a CPU profile of it where one is wanted.
func (r *run) profiled(name string, step func() error) (err error) {
	if r.Profile == "" {
		return step()
	}
	f, err := os.Create(filepath.Join(r.Profile, name+".pprof"))
	if err != nil {
		return fmt.Errorf("bench: profile: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return fmt.Errorf("bench: profile: %w", err)
	}
	defer pprof.StopCPUProfile()
	return step()
}
