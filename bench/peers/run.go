package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	immudb "github.com/codenotary/immudb/embedded/store"

	"perennial/internal/test/pgtest"
)

// options say how much is measured.
type options struct {
	Sizes  []int64       // entries that the reads are measured at, increasing; the writes are measured at the first
	Rounds int           // each peer has its turn in each round
	Span   time.Duration // of a turn
	Only   []string      // keys of peers; empty: all
	Say    func(what string)
}

// result is one figure of one peer: the medians over the rounds.
type result struct {
	Peer    string        `json:"peer"`
	What    string        `json:"what"` // write, or the kind of a question
	Entries int64         `json:"entries"`
	Callers int           `json:"callers"`
	Rate    float64       `json:"rate_per_second,omitzero"`
	P50     time.Duration `json:"p50_ns"`
	P99     time.Duration `json:"p99_ns"`
	Ratio   float64       `json:"perennial_ratio,omitzero"` // how many times as fast Perennial on SQLite is
	Scan    bool          `json:"scan,omitzero"`            // answered by reading entries from the newest back
}

type report struct {
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took_ns"`
	System  string        `json:"system"`
	CPUs    int           `json:"cpus"`
	Busy    string        `json:"load_average,omitzero"` // when it began: what else the machine had to do
	Go      string        `json:"go"`
	Rounds  int           `json:"rounds"`
	Span    time.Duration `json:"span_ns"`
	Results []result      `json:"results"`
	Goals   []goal        `json:"goals"`
}

type goal struct {
	Name   string  `json:"name"`
	Ratio  float64 `json:"ratio"`
	Wanted float64 `json:"wanted"`
	Met    bool    `json:"met"`
}

// running is a contender that is open, and what was seen of it.
type running struct {
	contender
	peer peer
}

var loads = []int{1, 64, 512}

// contenders are the rows of the table. pg is a PostgreSQL that flushes its commits.
func contenders(pg *pgtest.Server) []contender {
	everything := []questionKind{ofSubject, ofRare, ofActor}
	database := func(open func(ctx context.Context, dir, url string) (peer, error)) func(context.Context, string) (peer, error) {
		return func(ctx context.Context, dir string) (peer, error) {
			url, err := pg.Create("")
			if err != nil {
				return nil, err
			}
			return open(ctx, dir, url)
		}
	}
	return []contender{
		{key: "perennial-sqlite", name: "Perennial on SQLite", how: "synchronous=FULL", reads: everything,
			open: func(ctx context.Context, dir string) (peer, error) { return openShop(ctx, dir, "") }},
		{key: "perennial-postgres", name: "Perennial on PostgreSQL", how: "fsync and synchronous_commit on", reads: everything, open: database(openShop)},
		{key: "postgres", name: "PostgreSQL, UPDATE alone", how: "64 connections, fsync and synchronous_commit on",
			leavesOut: "any history: no entry, no actor, no rule, no proof; the row before is gone",
			open:      database(func(ctx context.Context, _, url string) (peer, error) { return openTable(ctx, url, false, nil) })},
		{key: "audit", name: "PostgreSQL, audit trigger", how: "64 connections, fsync and synchronous_commit on; four indexes", reads: everything,
			leavesOut: "rules and refusals, the kind of the change (only which table and both rows), other subjects that it concerns, an order without gaps, hashes, a tree, proofs, sealed personal values; whoever may write can change the past",
			open:      database(func(ctx context.Context, _, url string) (peer, error) { return openTable(ctx, url, true, nil) })},
		{key: "audit-wide", name: "the same, rows of 1 kB", how: "a row that is as long as Perennial's, which the trigger keeps twice",
			leavesOut: "the same",
			open:      database(func(ctx context.Context, _, url string) (peer, error) { return openTable(ctx, url, true, new(wide)) })},
		{key: "tessera", name: "Tessera", how: "its log on files, as it comes: batches of 256, or what came within 250 ms",
			leavesOut: "state, rules, actors, any index: it keeps bytes in order, with their tree; every question is a scan",
			open:      func(_ context.Context, dir string) (peer, error) { return openTessera(dir, false) }},
		{key: "tessera-tuned", name: "Tessera, tuned", how: fmt.Sprintf("it knows how many callers there are and writes when all wait, or after %v", tesseraAge), reads: everything, scans: true,
			leavesOut: "the same",
			open:      func(_ context.Context, dir string) (peer, error) { return openTessera(dir, true) }},
		{key: "immudb", name: "immudb", how: fmt.Sprintf("its embedded store, as it comes: flushes within %v", immudb.DefaultSyncFrequency),
			leavesOut: "rules, actors, the kind of the change, every index but the one by key, which follows and is not waited for; its state is the last value of a key",
			open:      func(_ context.Context, dir string) (peer, error) { return openImmudb(dir, immudb.DefaultSyncFrequency) }},
		{key: "immudb-tuned", name: "immudb, tuned", how: fmt.Sprintf("flushes within %v", immudbSync), reads: everything, scans: true,
			leavesOut: "the same",
			open:      func(_ context.Context, dir string) (peer, error) { return openImmudb(dir, immudbSync) }},
	}
}

// run measures, round by round, each peer in turn. It removes what it made.
func run(ctx context.Context, o options) (_ *report, err error) {
	out := &report{Began: time.Now().UTC(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(), Rounds: o.Rounds, Span: o.Span}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		out.Busy, _, _ = strings.Cut(string(b), " ")
	}
	dir, err := os.MkdirTemp("", "perennial-peers-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	pg, err := pgtest.Start(pgtest.Options{Durable: true, Settings: []string{"shared_buffers=256MB", "max_wal_size=4GB"}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pg.Stop()) }()
	var all []running
	defer func() {
		for _, r := range all {
			err = errors.Join(err, r.peer.Close())
		}
	}()
	for _, c := range contenders(pg) {
		if len(o.Only) > 0 && !slices.Contains(o.Only, c.key) {
			continue
		}
		d := filepath.Join(dir, c.key)
		if err := os.Mkdir(d, 0o700); err != nil {
			return nil, err
		}
		p, err := c.open(ctx, d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		all = append(all, running{c, p})
	}
	for n, entries := range o.Sizes {
		for _, r := range all {
			if n > 0 && len(r.reads) == 0 {
				continue // nothing more is asked of it
			}
			o.Say(fmt.Sprintf("Making %d entries: %s", entries, r.name))
			if err := r.peer.Fill(ctx, entries); err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
		}
		for _, q := range questions {
			o.Say(fmt.Sprintf("Reading at %d entries: %s", entries, q.name))
			if err := measure(ctx, o, all, out, result{What: string(q.kind), Entries: entries, Callers: 1}); err != nil {
				return nil, err
			}
		}
		if n > 0 {
			continue
		}
		for _, callers := range loads {
			o.Say(fmt.Sprintf("Writing: callers %d", callers))
			if err := measure(ctx, o, all, out, result{What: "write", Entries: entries, Callers: callers}); err != nil {
				return nil, err
			}
		}
	}
	out.compare()
	out.Took = time.Since(out.Began)
	return out, nil
}

// measure gives every peer its turn in every round, in another order each time, and adds the medians.
func measure(ctx context.Context, o options, all []running, out *report, what result) error {
	seen := make(map[string][]result)
	for range o.Rounds {
		for _, i := range rand.Perm(len(all)) {
			r := all[i]
			var err error
			one := what
			switch {
			case what.What == "write":
				err = r.write(ctx, o.Span, &one)
			case slices.Contains(r.reads, questionKind(what.What)):
				err = r.read(ctx, o, &one)
			default:
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %s: %w", r.name, what.What, err)
			}
			seen[r.key] = append(seen[r.key], one)
		}
	}
	for _, r := range all {
		if len(seen[r.key]) == 0 {
			continue
		}
		one := what
		one.Peer = r.key
		one.Scan = r.scans && what.What != "write" && (r.key != "immudb-tuned" || what.What != string(ofSubject))
		one.Rate = median(seen[r.key], func(x result) float64 { return x.Rate })
		one.P50 = time.Duration(median(seen[r.key], func(x result) float64 { return float64(x.P50) }))
		one.P99 = time.Duration(median(seen[r.key], func(x result) float64 { return float64(x.P99) }))
		out.Results = append(out.Results, one)
	}
	return nil
}

func median(all []result, of func(result) float64) float64 {
	var v []float64
	for _, r := range all {
		v = append(v, of(r))
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// write lets the callers work for a turn, each without a pause.
func (r running) write(ctx context.Context, span time.Duration, out *result) (err error) {
	work, end, err := r.peer.Writer(ctx, out.Callers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	each := make([][]time.Duration, out.Callers)
	began := time.Now()
	var callers sync.WaitGroup
	for c := range out.Callers {
		callers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				at := time.Now()
				if at.Sub(began) > span {
					return
				}
				if err := work(ctx, c, n); err != nil {
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
		return err
	}
	all := slices.Concat(each...)
	out.Rate = float64(len(all)) / took.Seconds()
	out.P50, out.P99 = percentiles(all)
	return nil
}

// read asks one question again and again for a turn, about another subject, actor and moment each time.
func (r running) read(ctx context.Context, o options, out *result) error {
	var all []time.Duration
	for start := time.Now(); len(all) == 0 || time.Since(start) < o.Span; {
		q := question{kind: questionKind(out.What), subject: rand.IntN(subjects), actor: rand.IntN(actors), before: at(out.Entries/2 + rand.Int64N(out.Entries/2))}
		at := time.Now()
		found, err := r.peer.Read(ctx, q)
		if err != nil {
			return err
		}
		all = append(all, time.Since(at))
		if wanted := min(q.limit(), int(expected(q.kind, o.Sizes[0]))); found < wanted {
			return fmt.Errorf("%d of %d entries were found", found, wanted)
		}
	}
	out.P50, out.P99 = percentiles(all)
	return nil
}

// expected is how many entries a question has at least as an answer, when there are so many and perhaps more. What Perennial needs
// to begin (its settings, its subjects) is among the first, so there may be a few less of the others.
func expected(kind questionKind, entries int64) int64 {
	switch kind {
	case ofSubject:
		return entries / subjects * 9 / 10
	case ofRare:
		return entries/rarely - 1
	}
	return entries / actors / 8
}

func percentiles(all []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

func (r *report) find(peer, what string, entries int64, callers int) (result, bool) {
	i := slices.IndexFunc(r.Results, func(x result) bool {
		return x.Peer == peer && x.What == what && x.Entries == entries && x.Callers == callers
	})
	if i < 0 {
		return result{}, false
	}
	return r.Results[i], true
}

// compare holds every figure against Perennial's on SQLite, and the goals against what was measured.
func (r *report) compare() {
	for i := range r.Results {
		x := &r.Results[i]
		ours, ok := r.find("perennial-sqlite", x.What, x.Entries, x.Callers)
		if !ok {
			continue
		}
		if x.Ratio = float64(x.P50) / float64(ours.P50); x.Rate > 0 {
			x.Ratio = ours.Rate / x.Rate
		}
	}
	rate := func(peer string) float64 {
		i := slices.IndexFunc(r.Results, func(x result) bool { return x.Peer == peer && x.What == "write" && x.Callers == 64 })
		if i < 0 {
			return 0
		}
		return r.Results[i].Rate
	}
	for _, g := range []struct {
		name        string
		ours, other float64
		wanted      float64
	}{
		{"Perennial on SQLite against the audit trigger", rate("perennial-sqlite"), rate("audit"), 2},
		{"Perennial on SQLite against the audit trigger, rows of 1 kB", rate("perennial-sqlite"), rate("audit-wide"), 2},
		{"Perennial on SQLite against the better of Tessera and immudb, as they come", rate("perennial-sqlite"), max(rate("tessera"), rate("immudb")), 2},
		{"Perennial on SQLite against the better of Tessera and immudb, tuned", rate("perennial-sqlite"), max(rate("tessera-tuned"), rate("immudb-tuned")), 2},
		{"Perennial on PostgreSQL against the audit trigger", rate("perennial-postgres"), rate("audit"), 1.5},
		{"Perennial on PostgreSQL against the audit trigger, rows of 1 kB", rate("perennial-postgres"), rate("audit-wide"), 1.5},
	} {
		if g.ours > 0 && g.other > 0 {
			r.Goals = append(r.Goals, goal{g.name, g.ours / g.other, g.wanted, g.ours >= g.wanted*g.other})
		}
	}
}
