package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"perennial/internal/api"
	"perennial/internal/bench"
	"perennial/internal/demo"
	"perennial/internal/engine"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/server"
	"perennial/internal/subscription"
	"perennial/internal/team"
)

type benchCommand struct {
	Dir           string        `help:"Where to make the data; by default a temporary folder, removed at the end." type:"path" placeholder:"DIR"`
	Subscriptions int           `help:"How many subscriptions the shop has had." default:"300" placeholder:"N"`
	Events        int64         `help:"How many entries the reads are measured on." default:"200000" placeholder:"N"`
	Span          time.Duration `help:"How long each rate is measured." default:"3s"`
	JSON          bool          `help:"Print the figures as JSON."`
}

// Run makes a shop with a year of history and measures on it.
func (c benchCommand) Run(w *world) (err error) {
	dir := c.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "perennial-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	quiet := slog.New(slog.NewTextHandler(w.err, &slog.HandlerOptions{Level: slog.LevelError}))
	until := time.Now().Truncate(time.Second)
	clock, random := demo.NewClock(demo.Begin(until), time.Now), demo.NewRandom(1)
	i, err := server.Open(w.ctx, server.Config{Data: filepath.Join(dir, "data"), Listen: "127.0.0.1:0", Log: quiet, Version: version(), Clock: clock.Now, Random: random})
	if err != nil {
		return err
	}
	gateway := simulated.New(clock.Now, simulated.Options{})
	line := newBar(w.err, "Making a year")
	if _, err := demo.Make(w.ctx, i.Program, i.Store, engine.New(i.Program, i.Store, gateway, quiet), clock, demo.Options{Subscriptions: c.Subscriptions, Seed: 1, Until: until},
		func(day int, _ int64) { line.set(int64(day), demo.Days, "") }); err != nil {
		return closing(i, err)
	}
	line.end()
	clock.Release()
	random.Release()
	key, err := newKey(w.ctx, i.Program, i.IDs, "Bench key", team.Everything().List())
	if err != nil {
		return closing(i, err)
	}
	s, err := server.Start(w.ctx, i, gateway, nil, nil)
	if err != nil {
		return closing(i, err)
	}
	b := &bench.Bench{I: i, Base: "http://" + s.Addr + api.Base, Key: key, Dir: dir, Opt: bench.Options{Span: c.Span, Events: c.Events},
		Say: func(what string) { fmt.Fprintf(w.err, "Measuring %s\n", what) }}
	if err := c.measure(w.ctx, b); err != nil {
		return errors.Join(err, s.Stop(context.Background()))
	}
	if err := s.Stop(context.Background()); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(w.out, b.Out)
	}
	table(w.out, b.Out)
	return nil
}

func (c benchCommand) measure(ctx context.Context, b *bench.Bench) error {
	rows, err := b.I.Store.List(ctx, b.I.Store.Read, journal.Subscription, `status = 'active' ORDER BY id LIMIT 5000`)
	if err != nil {
		return err
	}
	for _, r := range rows {
		s := r.State.(*subscription.Subscription)
		b.Subscriptions, b.Customers = append(b.Subscriptions, s.ID), append(b.Customers, id.ID(s.CustomerID))
	}
	if err := b.Raw(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{b.SQLite, b.Size, b.Commands, b.HTTP, b.Ingest, b.Grow, b.Reads, b.Verify} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func table(w io.Writer, figures []bench.Figure) {
	fmt.Fprintf(w, "%-58s %12s %10s %10s %8s\n", "", "per second", "p50", "p99", "ratio")
	for _, f := range figures {
		rate, p50, p99, ratio := "", "", "", ""
		if f.Rate > 0 {
			rate = thousands(int64(f.Rate))
		}
		if f.Bytes > 0 {
			rate = thousands(int64(f.Bytes)) + " B"
		}
		if f.P99 > 0 {
			p50, p99 = fmt.Sprintf("%.2f ms", f.P50.Seconds()*1000), fmt.Sprintf("%.2f ms", f.P99.Seconds()*1000)
		}
		if f.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", f.Ratio)
		}
		fmt.Fprintf(w, "%-58s %12s %10s %10s %8s\n", f.Name, rate, p50, p99, ratio)
	}
	fmt.Fprintln(w, "\nRatio: to a bare SQLite of the same run, which does one update and one insert and nothing else.")
}
