package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	mathrand "math/rand/v2"

	"perennial/internal/civil"
	"perennial/internal/engine"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/subscription"
)

// Trouble is what goes wrong in the life of a process that bills.
type Trouble string

// The troubles.
const (
	Untroubled Trouble = ""
	Refused    Trouble = "refused"  // the gateway refuses the shop: its key
	Jumps      Trouble = "jumps"    // the clock jumps 400 days ahead and back, then 3 days back and forth again
	Wrong      Trouble = "wrong"    // the process begins beside a clock that is 400 days ahead, which is set right later
	Restored   Trouble = "restored" // the database is an old copy, put back beside the newer keys
	KeysAsOld  Trouble = "keys-old" // the database is an old copy, and so is the keys folder: only the gateway knows better
)

// How far the clock jumps, and for how long it stays there.
const (
	ahead = 400 * 24 * time.Hour
	back  = -3 * 24 * time.Hour
	there = 400 * time.Millisecond
)

// BillingWork is what a process that may be killed has to do.
type BillingWork struct {
	Data, Database string
	Latency        time.Duration
	InFlight       int
	Moves          bool // people split and merge meanwhile, and take back what they did
	Trouble        Trouble
	Spoil          Spoil
	Seed           uint64 // of what people do
}

// Arguments are the command line of the program that calls Do.
func (w BillingWork) Arguments() []string {
	return []string{"bench", "billing", "--work", w.Data, "--database", w.Database, "--latency", w.Latency.String(), "--in-flight", fmt.Sprint(w.InFlight),
		fmt.Sprintf("--moves=%t", w.Moves), "--trouble", string(w.Trouble), "--spoil", string(w.Spoil), "--seed", fmt.Sprint(w.Seed)}
}

func (w BillingWork) config(clock program.Clock) server.Config {
	return server.Config{Data: w.Data, Database: w.Database, Listen: "127.0.0.1:0", Clock: clock, InFlight: w.InFlight, BillingEvery: time.Second / 2}
}

func (w BillingWork) gateway() (*simulated.Gateway, error) {
	return simulated.Open(filepath.Join(w.Data, ledgerFile), onTheDay, simulated.Options{Latency: w.Latency})
}

// open opens the shop on the day, with its gateway and engine.
func (w BillingWork) open(ctx context.Context, step func(i *server.Instance, g *simulated.Gateway, e *engine.Engine) error) (err error) {
	i, err := server.Open(ctx, w.config(onTheDay))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close(context.WithoutCancel(ctx))) }()
	g, err := w.gateway()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	e := engine.New(i.Program, i.Store, g, i.Config.Log)
	e.InFlight = w.InFlight
	return step(i, g, e)
}

// Do serves the shop, as `perennial serve` does, until nothing is due any more. It may be killed at any point and begun again. It
// writes a line to out when it has begun.
func (w BillingWork) Do(ctx context.Context, out io.Writer) (err error) {
	var jump atomic.Int64
	cfg := w.config(nil)
	cfg.RealClock(dayAfter)
	cfg.Witnesses = false // a PostgreSQL would tell the day before yesterday
	right := cfg.Clock
	cfg.Clock = func() time.Time { return right().Add(time.Duration(jump.Load())) }
	if w.Trouble == Wrong {
		jump.Store(int64(ahead))
	}
	g, err := w.gateway()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	if w.Trouble == Refused {
		g.Refuse(payment.CodeKeyInvalid)
	}
	i, err := server.Open(ctx, cfg)
	if err != nil {
		return err
	}
	if w.Spoil == Believed {
		i.Gate.Heed(nil)
	}
	s, err := server.Start(ctx, i, w.spoiled(g), nil, nil)
	if err != nil {
		return errors.Join(err, i.Close(context.WithoutCancel(ctx)))
	}
	beside, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer func() {
		stop()
		work.Wait()
		err = errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}()
	if _, err := fmt.Fprintln(out, "billing"); err != nil {
		return err
	}
	if w.Moves {
		work.Go(func() { newPeople(i, g, w).move(beside) })
	}
	work.Go(func() {
		for _, d := range w.Trouble.jumps() {
			pause(beside, there)
			jump.Store(int64(d))
		}
	})
	for ctx.Err() == nil {
		n, err := left(ctx, i)
		if err != nil || n == 0 {
			return err
		}
		pause(ctx, there/2)
	}
	return ctx.Err()
}

// jumps gives how far the clock is from the right one, one time after the other.
func (t Trouble) jumps() []time.Duration {
	switch t {
	case Jumps:
		return []time.Duration{ahead, 0, back, 0}
	case Wrong:
		return []time.Duration{ahead, 0}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// left is 0 when nothing of the day is left to do.
func left(ctx context.Context, i *server.Instance) (int, error) {
	open, err := i.Store.List(ctx, i.Store.Read, journal.Order, `open_attempt IS NOT NULL ORDER BY id LIMIT 1`)
	if err != nil {
		return 0, err
	}
	due, err := i.Store.List(ctx, i.Store.Read, journal.Subscription, `due_date <= $2 ORDER BY due_date LIMIT 1`, civil.Of(onTheDay(), time.UTC).String())
	return len(open) + len(due), err
}

// people do what they may.
type people struct {
	i     *server.Instance
	rnd   *mathrand.Rand
	spoil Spoil
	// charged are the subscriptions that the gateway charged before. What people split off one whose order was lost with a newer database
	// has another key there, so the money of then would be a stray, which somebody has to look at.
	charged map[id.ID]bool
	split   []subscription.Split // what was split off and is not merged yet
}

func newPeople(i *server.Instance, g *simulated.Gateway, w BillingWork) *people {
	p := &people{i: i, spoil: w.Spoil, rnd: mathrand.New(mathrand.NewPCG(w.Seed, 1)), charged: map[id.ID]bool{}}
	for _, e := range g.Ledger() {
		if e.Kind == simulated.Charge && e.Status == payment.Succeeded {
			p.charged[subscriptionOf(i, e.Key)] = true
		}
	}
	return p
}

func (p *people) do(ctx context.Context, c journal.Command) *program.Outcome {
	out, err := p.i.Program.Do(ctx, &program.Request{Meta: program.Meta{Actor: somebody, Source: journal.Origin{Channel: journal.ChannelPortal}}, Command: c})
	if err != nil {
		return nil
	}
	return out
}

var somebody = journal.Actor{Kind: journal.ActorSystem, ID: "people"}

// move splits subscriptions that are due, merges what was split, and adds items and takes them back, until the context ends. Much of it is
// refused, because the order is being paid.
func (p *people) move(ctx context.Context) {
	ids := p.i.IDs
	for ctx.Err() == nil {
		rows, err := p.i.Store.List(ctx, p.i.Store.Read, journal.Subscription, fmt.Sprintf(`status = 'active' ORDER BY due_date, id LIMIT 3 OFFSET %d`, p.rnd.IntN(100)))
		if err != nil || len(rows) == 0 {
			return
		}
		s := rows[p.rnd.IntN(len(rows))].State.(*subscription.Subscription)
		switch {
		case p.charged[s.ID]:
			pause(ctx, time.Millisecond)
		case p.rnd.IntN(2) == 0:
			if out := p.do(ctx, journal.Bind(subscription.AddItem{ID: s.ID, Item: subscription.NewItem{ID: ids.New(id.Item), VariantID: s.Items[0].VariantID, Quantity: 1, OneTime: true}})); out != nil {
				p.do(ctx, journal.Bind(kinds.Undo{Event: out.Events[0].ID, Actor: somebody}))
			}
		case len(p.split) > 0 && p.rnd.IntN(2) == 0: // at once, or when one of the two was billed
			n := p.rnd.IntN(len(p.split))
			merge := subscription.Merge{ID: p.split[n].NewID, Into: p.split[n].ID, ItemIDs: []id.ID{ids.New(id.Item), ids.New(id.Item)}}
			if p.rnd.IntN(2) == 0 {
				merge.ID, merge.Into = merge.Into, merge.ID
			}
			if p.do(ctx, p.spoil.merge(merge)) != nil {
				p.split = slices.Delete(p.split, n, n+1)
			}
		case len(s.Items) > 1:
			split := subscription.Split{ID: s.ID, NewID: ids.New(id.Subscription), ItemIDs: []id.ID{s.Items[len(s.Items)-1].ID}}
			if p.do(ctx, p.spoil.split(split)) != nil {
				p.split = append(p.split, split)
			}
		}
	}
}
