package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"sync"
	"syscall"
	"time"

	"perennial/internal/audit"
	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/money"
	"perennial/internal/payment"
	"perennial/internal/payment/simulated"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/settings"
	"perennial/internal/subscription"
)

// BillingOptions say how large the day is.
type BillingOptions struct {
	Dir           string        // where the data is made, in a folder that is removed at the end; empty: the system's for temporary files
	Database      string        // URL of an empty PostgreSQL database; empty: SQLite
	Subscriptions int           // due on one day
	Latency       time.Duration // of each call of the gateway
	InFlight      int           // calls of the gateway at once
	Crashes       int           // how often the process that bills is killed; 0: it bills in this process, and is measured

	Found func(ctx context.Context, p *program.Program, ids *id.Maker) (key string, err error)
	// Work gives the command line of a process that calls BillingWork for a folder; needed for crashes.
	Work    func(BillingWork) []string
	Say     func(what string)
	Profile string
}

// BillingWork is what a process that may be killed has to do.
type BillingWork struct {
	Data, Database string
	Latency        time.Duration
	InFlight       int
	Moves          bool // people split and merge meanwhile, and take back what they did
}

// dayAfter is how far ahead of the real clock the measured day is: the subscriptions are made before it.
const dayAfter = 48 * time.Hour

func onTheDay() time.Time { return time.Now().Add(dayAfter) }

// declining is which of the cards declines: one in so many, so that recovery and backups are part of the day.
const declining = 50

const ledgerFile = "gateway.jsonl"

// Billing measures a day on which every subscription is due, or kills the process that bills, over and over, and holds the
// gateway's own ledger against the orders.
func Billing(ctx context.Context, o BillingOptions) (_ *Report, err error) {
	if o.Subscriptions < 100 || o.InFlight < 1 || o.Latency < 0 {
		return nil, fault.New(fault.Refused, "subscriptions", "Bill 100 subscriptions or more, with at least one call at once.")
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
	r := &run{Options: Options{Profile: o.Profile, Say: o.Say}, ctx: ctx, dir: dir, out: &Report{
		Began: began.UTC(), System: runtime.GOOS + "/" + runtime.GOARCH, CPU: processor(), CPUs: runtime.NumCPU(), Go: runtime.Version()}}
	b := &billingRun{run: r, o: o, work: BillingWork{Data: filepath.Join(dir, "shop"), Database: o.Database, Latency: o.Latency, InFlight: o.InFlight}}
	steps := []func() error{b.furnish, b.measured, b.balance}
	if o.Crashes > 0 {
		steps[1], b.work.Moves = b.killed, true
		steps = append(steps, b.proved)
	}
	for _, step := range steps {
		if err = step(); err != nil {
			break
		}
	}
	r.out.Took = time.Since(began)
	return r.out, err
}

// billingRun is a day under way. It belongs to one goroutine.
type billingRun struct {
	*run
	o      BillingOptions
	work   BillingWork
	people []id.ID // subscriptions whose notes people change meanwhile; none of them is due
	due    int     // subscriptions that can be paid
}

func (w BillingWork) config(clock program.Clock) server.Config {
	return server.Config{Data: w.Data, Database: w.Database, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Clock: clock}
}

// open opens the shop on the day, with its gateway and engine.
func (w BillingWork) open(ctx context.Context, step func(i *server.Instance, g *simulated.Gateway, e *engine.Engine) error) (err error) {
	i, err := server.Open(ctx, w.config(onTheDay))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close(context.WithoutCancel(ctx))) }()
	g, err := simulated.Open(filepath.Join(w.Data, ledgerFile), onTheDay, simulated.Options{Latency: w.Latency})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	e := engine.New(i.Program, i.Store, g, i.Config.Log)
	e.InFlight = w.InFlight
	return step(i, g, e)
}

// Do bills what is due and returns when nothing is left. It may be killed at any point and begun again. It writes a line
// to out when it begins.
func (w BillingWork) Do(ctx context.Context, out io.Writer) error {
	return w.open(ctx, func(i *server.Instance, _ *simulated.Gateway, e *engine.Engine) error {
		if _, err := fmt.Fprintln(out, "billing"); err != nil {
			return err
		}
		if i.Config.Database != "" { // what a killed process had in hand is free when it has not lived for some seconds
			alive, stop := context.WithCancel(ctx)
			var beat sync.WaitGroup
			beat.Go(func() { _ = e.Alive(alive) }) // it only shortens the wait of others
			defer func() { stop(); beat.Wait() }()
		}
		if w.Moves {
			moving, stop := context.WithCancel(ctx)
			var people sync.WaitGroup
			people.Go(func() { move(moving, i) })
			defer func() { stop(); people.Wait() }()
		}
		for {
			if err := e.Run(ctx); err != nil {
				return err
			}
			open, err := i.Store.List(ctx, i.Store.Read, journal.Order, `open_attempt IS NOT NULL ORDER BY id LIMIT 1`)
			if err != nil {
				return err
			}
			due, err := i.Store.List(ctx, i.Store.Read, journal.Subscription, `due_date <= $2 ORDER BY due_date LIMIT 1`, civil.Of(onTheDay(), time.UTC).String())
			if err != nil || len(open)+len(due) == 0 {
				return err
			}
			pause := time.NewTimer(200 * time.Millisecond) // another process has them in hand
			select {
			case <-pause.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

// furnish makes the shop and its subscriptions, without durability: that is not what is measured.
func (b *billingRun) furnish() error {
	cfg := b.work.config(time.Now)
	cfg.Relaxed = true
	i, err := server.Open(b.ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close(context.WithoutCancel(b.ctx))) }()
	if i.Program.Head() >= 0 {
		return fault.New(fault.Refused, "database", "The database has a shop already. Give an empty one.")
	}
	if _, err := b.o.Found(b.ctx, i.Program, i.IDs); err != nil {
		return err
	}
	l := &pipeline{ctx: b.ctx, p: i.Program}
	system := program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "setup"}, Source: journal.Origin{Channel: journal.ChannelCLI}}
	product, variant := i.IDs.New(id.Product), i.IDs.New(id.Variant)
	day := civil.Of(onTheDay(), time.UTC)
	if err := l.submit(&program.Request{Meta: system, Command: journal.Bind(settings.Update{Document: &settings.Billing{MaxCatchUpOrders: 1}})}); err != nil {
		return err // billing begins with the day
	}
	all := []journal.Command{journal.Bind(catalog.CreateProduct{ID: product, Title: "Roast"}), journal.Bind(catalog.CreateVariant{ID: variant, ProductID: product, Title: "1 kg", Price: money.Of(1450, currency)})}
	const idle = 50 // whose notes people change
	items := func() []subscription.NewItem {
		out := []subscription.NewItem{{ID: i.IDs.New(id.Item), VariantID: variant, Quantity: 1}}
		if b.o.Crashes > 0 { // something to split off
			out = append(out, subscription.NewItem{ID: i.IDs.New(id.Item), VariantID: variant, Quantity: 2})
		}
		return out
	}
	for n := range b.o.Subscriptions + idle {
		if n%10_000 == 0 {
			b.Say(fmt.Sprintf("making subscriptions: %d of %d", n, b.o.Subscriptions))
		}
		first, reference := day, simulated.OK
		key, person := i.IDs.New(id.Subscription), i.IDs.New(id.Customer)
		switch {
		case n >= b.o.Subscriptions:
			first = day.AddDays(30)
			b.people = append(b.people, key)
		case n%declining == 0:
			reference = "sim_decline_insufficient_funds"
		default:
			b.due++
		}
		name := fmt.Sprintf("Person%d", n)
		all = append(all, journal.Bind(customer.Create{ID: person, Email: name + "@example.com", FirstName: name}),
			journal.Bind(customer.AddAddress{ID: i.IDs.New(id.Address), CustomerID: person, Fields: customer.AddressFields{FirstName: new(name), Line1: new("12 Harbor Street"), City: new("Portland"),
				Region: new("Maine"), PostalCode: new("04101"), Country: new("US")}}),
			journal.Bind(customer.AddPaymentMethod{ID: i.IDs.New(id.PaymentMethod), CustomerID: person, Gateway: "simulated", Fields: customer.PaymentMethodFields{GatewayReference: new(reference),
				Brand: new("Visa"), Last4: new("4242"), ExpMonth: new(12), ExpYear: new(2040)}}),
			journal.Bind(subscription.Create{ID: key, CustomerID: person, Items: items(),
				BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1}, NextBillingDate: &first}))
		for _, c := range all {
			if err := l.submit(&program.Request{Meta: system, Command: c}); err != nil {
				return err
			}
		}
		all = all[:0]
	}
	if err := l.wait(len(l.waiting)); err != nil {
		return err
	}
	if err := i.Finder.CatchUp(b.ctx); err != nil {
		return err
	}
	return i.Program.Exclusive(b.ctx, durable(b.ctx))
}

// measured bills in this process, while people go on and the index follows.
func (b *billingRun) measured() error {
	return b.work.open(b.ctx, func(i *server.Instance, _ *simulated.Gateway, e *engine.Engine) error {
		b.Say(fmt.Sprintf("billing %d subscriptions", b.o.Subscriptions))
		debug.FreeOSMemory() // what making them took is not measured
		return b.following(i, func() error {
			alone, err := b.commands(i, time.Second)
			if err != nil {
				return err
			}
			stop := make(chan struct{})
			var beside sync.WaitGroup
			var with measured
			var peopleErr error
			var used []float64
			beside.Go(func() { with, peopleErr = b.commands(i, 0, stop) })
			beside.Go(func() { used = memory(stop) })
			began := time.Now()
			err = b.profiled("billing", func() error { return e.Run(b.ctx) })
			took := time.Since(began)
			if err == nil && b.o.Profile != "" {
				err = heap(filepath.Join(b.o.Profile, "billing-heap.pprof"))
			}
			close(stop)
			beside.Wait()
			if err = errors.Join(err, peopleErr); err != nil {
				return err
			}
			f := Figure{Key: "billing.rate", Name: fmt.Sprintf("renewals, gateway of %s, %d at once", b.o.Latency, b.o.InFlight), Events: int64(b.o.Subscriptions), Rate: float64(b.o.Subscriptions) / took.Seconds()}
			f.Goal, f.Met = "≥ 800/s", new(f.Rate >= 800)
			b.add(f)
			b.add(Figure{Key: "billing.people.alone", Name: "a person's command, before", P50: alone.p50, P99: alone.p99})
			b.add(Figure{Key: "billing.people", Name: "a person's command, meanwhile", P50: with.p50, P99: with.p99, Beside: "billing.people.alone", Goal: "p99 < 20 ms", Met: new(with.p99 < 20*time.Millisecond)})
			if len(used) >= 10 {
				early, late := slices.Max(used[:len(used)/2]), slices.Max(used[len(used)/2:])
				b.add(Figure{Key: "billing.memory", Name: "memory, most in the first half, in which caches fill", Value: early / (1 << 20), Unit: "MiB"})
				b.add(atMost(Figure{Key: "billing.memory.end", Name: "memory, most in the second half", Value: late / (1 << 20), Unit: "MiB", Beside: "billing.memory"}, 1.5*early/(1<<20), "≤ 1.5 times"))
			}
			return nil
		})
	})
}

func heap(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("bench: profile: %w", err)
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}

// commands makes a person's commands, a hundred a second, for a while or until told to stop, and gives how long each took.
func (b *billingRun) commands(i *server.Instance, while time.Duration, stop ...<-chan struct{}) (measured, error) {
	var ended <-chan struct{}
	if len(stop) > 0 {
		ended = stop[0]
	}
	var over <-chan time.Time
	if while > 0 {
		over = time.After(while)
	}
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	var took []time.Duration
	for n := 0; ; n++ {
		key := b.people[n%len(b.people)]
		at := time.Now()
		_, err := i.Program.Do(b.ctx, &program.Request{Meta: program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "people"}, Source: journal.Origin{Channel: journal.ChannelPortal}},
			Command: journal.Bind(subscription.ChangeNote{ID: key, Note: fmt.Sprintf("Note %d", n)})})
		if err != nil {
			return measured{}, err
		}
		took = append(took, time.Since(at))
		select {
		case <-ended:
		case <-over:
		case <-b.ctx.Done():
			return measured{}, b.ctx.Err()
		case <-t.C:
			continue
		}
		p50, p99 := percentiles(took)
		return measured{p50: p50, p99: p99}, nil
	}
}

// memory reads how much memory the process has of its own, four times a second, in bytes. What it sees of the database's
// file is not its own: the system takes that back when somebody needs it.
func memory(stop <-chan struct{}) (out []float64) {
	t := time.NewTicker(250 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return out
		case <-t.C:
			if n, err := memoryOf(os.Getpid(), "RssAnon:"); err == nil && n > 0 {
				out = append(out, n)
			}
		}
	}
}

// killed lets processes bill, kills each but the last without a warning, and lets the last one finish.
func (b *billingRun) killed() error {
	rnd := mathrand.New(mathrand.NewPCG(uint64(b.o.Subscriptions), uint64(b.o.Crashes)))
	// Spread over the time that the whole takes at least, by the gateway's own limit.
	each := int64(float64(b.o.Subscriptions) / float64(b.o.InFlight) * float64(b.o.Latency) / float64(b.o.Crashes+1))
	kills, began := 0, time.Now()
	for {
		cmd, done, err := b.process()
		if err != nil {
			return err
		}
		var kill <-chan time.Time
		if kills < b.o.Crashes {
			kill = time.After(time.Duration(each/4 + rnd.Int64N(each+1)))
		}
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("bench: a process that bills: %w", err)
			}
			b.Say(fmt.Sprintf("done after %d kills", kills))
			b.add(Figure{Key: "billing.kills", Name: "processes that were killed while they billed", Events: int64(b.o.Subscriptions), Value: float64(kills), Unit: "kills"})
			b.add(Figure{Key: "billing.killed.rate", Name: "renewals, with the kills and the starts", Events: int64(b.o.Subscriptions), Rate: float64(b.o.Subscriptions) / time.Since(began).Seconds()})
			return nil
		case <-kill:
			kills++
			b.Say(fmt.Sprintf("kill %d of %d", kills, b.o.Crashes))
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				return err
			}
			<-done //nolint:errcheck // it was killed
		}
	}
}

// process starts a process that bills, and returns when it has begun.
func (b *billingRun) process() (*exec.Cmd, <-chan error, error) {
	args := b.o.Work(b.work)
	cmd := exec.CommandContext(b.ctx, args[0], args[1:]...)
	cmd.Stderr, cmd.WaitDelay = os.Stderr, 10*time.Second
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("bench: %s: %w", args[0], err)
	}
	_, rerr := bufio.NewReader(out).ReadString('\n')
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	if rerr != nil {
		return nil, nil, fmt.Errorf("bench: a process that bills did not begin: %w", errors.Join(rerr, <-done))
	}
	return cmd, done, nil
}

// proved checks the whole journal.
func (b *billingRun) proved() error {
	b.Say("checking the journal")
	return b.work.open(b.ctx, func(i *server.Instance, _ *simulated.Gateway, _ *engine.Engine) error {
		rep, err := audit.Verify(b.ctx, i.Store, nil)
		if err != nil {
			return err
		}
		for _, p := range rep.Problems {
			b.Say(fmt.Sprint(p))
		}
		b.add(Figure{Key: "billing.verify", Name: "problems that verify finds", Events: i.Program.Head() + 1, Value: float64(len(rep.Problems)), Unit: "problems", Goal: "none", Met: new(len(rep.Problems) == 0)})
		return nil
	})
}

// move splits subscriptions that are due, merges what was split, and adds items and takes them back, until the context ends. Much of it is
// refused, because the order is being paid.
func move(ctx context.Context, i *server.Instance) {
	rnd := mathrand.New(mathrand.NewPCG(uint64(time.Now().UnixNano()), 1))
	do := func(c journal.Command) *program.Outcome {
		out, err := i.Program.Do(ctx, &program.Request{Meta: program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "people"}, Source: journal.Origin{Channel: journal.ChannelPortal}}, Command: c})
		if err != nil {
			return nil
		}
		return out
	}
	for ctx.Err() == nil {
		rows, err := i.Store.List(ctx, i.Store.Read, journal.Subscription, fmt.Sprintf(`status = 'active' ORDER BY due_date, id LIMIT 3 OFFSET %d`, rnd.IntN(100)))
		if err != nil || len(rows) == 0 {
			return
		}
		s := rows[rnd.IntN(len(rows))].State.(*subscription.Subscription)
		if rnd.IntN(2) == 0 {
			if out := do(journal.Bind(subscription.AddItem{ID: s.ID, Item: subscription.NewItem{ID: i.IDs.New(id.Item), VariantID: s.Items[0].VariantID, Quantity: 1, OneTime: true}})); out != nil {
				do(journal.Bind(kinds.Undo{Event: out.Events[0].ID, Actor: journal.Actor{Kind: journal.ActorSystem, ID: "people"}}))
			}
			continue
		}
		if len(s.Items) > 1 {
			split := subscription.Split{ID: s.ID, NewID: i.IDs.New(id.Subscription), ItemIDs: []id.ID{s.Items[len(s.Items)-1].ID}}
			if do(journal.Bind(split)) != nil && rnd.IntN(2) == 0 {
				do(journal.Bind(subscription.Merge{ID: split.NewID, Into: s.ID, ItemIDs: []id.ID{i.IDs.New(id.Item)}}))
			}
		}
	}
}

// subscriptions gives when those that were merged away were, and how many are still due.
func (b *billingRun) subscriptions(i *server.Instance) (gone map[id.ID]time.Time, due int, err error) {
	gone = map[id.ID]time.Time{}
	rows, err := i.Store.List(b.ctx, i.Store.Read, journal.Subscription, `status = 'cancelled' ORDER BY id`)
	if err != nil {
		return nil, 0, err
	}
	for _, row := range rows {
		if s := row.State.(*subscription.Subscription); s.MergedInto != "" {
			gone[s.ID] = s.CancelledAt.Time
		}
	}
	if b.work.Moves {
		var all int
		if err := i.Store.Read.QueryRowContext(b.ctx, `SELECT COUNT(*) FROM subscription`).Scan(&all); err != nil {
			return nil, 0, err
		}
		b.add(Figure{Key: "billing.splits", Name: "subscriptions that were split off meanwhile", Value: float64(all - b.o.Subscriptions - len(b.people)), Unit: "splits"})
		b.add(Figure{Key: "billing.merges", Name: "subscriptions that were merged away meanwhile", Value: float64(len(gone)), Unit: "merges"})
	}
	rows, err = i.Store.List(b.ctx, i.Store.Read, journal.Subscription, `status = 'active' AND due_date <= $2 ORDER BY id`, civil.Of(onTheDay(), time.UTC).String())
	return gone, len(rows), err
}

// balance holds the gateway's ledger against the orders, to the cent.
func (b *billingRun) balance() error {
	b.Say("holding the gateway's ledger against the orders")
	var twice, missed, other, paid int
	var sum int64
	err := b.work.open(b.ctx, func(i *server.Instance, g *simulated.Gateway, _ *engine.Engine) error {
		taken, tries := map[id.ID]int64{}, map[id.ID]int{}
		for _, e := range g.Ledger() {
			if e.Kind == simulated.Charge {
				tries[e.OrderID]++
				if e.Status == payment.Succeeded {
					taken[e.OrderID] += e.Amount.Minor
					sum += e.Amount.Minor
				}
			}
		}
		orders := map[id.ID]int{} // by subscription
		items := map[id.ID]int{}  // paid orders that they are in
		gone, due, err := b.subscriptions(i)
		if err != nil {
			return err
		}
		const page = 5000
		for last := id.ID(""); ; {
			rows, err := i.Store.List(b.ctx, i.Store.Read, journal.Order, fmt.Sprintf(`id > $2 ORDER BY id LIMIT %d`, page), string(last))
			if err != nil {
				return err
			}
			for _, row := range rows {
				o := row.State.(*billing.Order)
				last = o.ID
				if orders[o.SubscriptionID]++; orders[o.SubscriptionID] > 1 || tries[o.ID] > len(o.Attempts) {
					twice++
				}
				if taken[o.ID] != billing.Paid(o).Minor {
					other++
				}
				if o.Status == billing.Placed {
					paid++
					again := false
					for _, l := range o.Items {
						items[l.ItemID]++
						again = again || items[l.ItemID] > 1
					}
					if at, merged := gone[o.SubscriptionID]; again || merged && o.PlacedAt.After(at) {
						twice++
					}
				}
				delete(taken, o.ID)
			}
			if len(rows) < page {
				break
			}
		}
		other += len(taken)
		missed = b.due - paid
		if b.work.Moves { // there are more subscriptions by now, or fewer
			missed = due
		}
		for _, s := range b.people {
			missed -= orders[s] // which would be one too many
		}
		return nil
	})
	if err != nil {
		return err
	}
	none := func(key, name string, n int) {
		b.add(Figure{Key: key, Name: name, Events: int64(b.o.Subscriptions), Value: float64(n), Unit: "orders", Goal: "none", Met: new(n == 0)})
	}
	none("billing.twice", "billed or charged twice", twice)
	none("billing.missed", "not billed", missed)
	none("billing.unbalanced", "orders that are not what the gateway took", other)
	b.add(Figure{Key: "billing.taken", Name: "taken by the gateway's own ledger", Value: float64(sum) / 100, Unit: currency})
	return nil
}
