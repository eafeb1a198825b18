package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
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
	Seed          uint64        // of when it is killed, and of what people do
	Lives         []Life        // what its lives are like, in turns; nil: Lives
	Spoil         Spoil         // a rule that is switched off, so that the run has to fail

	Found func(ctx context.Context, p *program.Program, ids *id.Maker) (key string, err error)
	// Work gives the command line of a process that calls BillingWork for a folder; needed for crashes.
	Work    func(BillingWork) []string
	Say     func(what string)
	Profile string
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
	b := &billingRun{run: r, o: o, work: BillingWork{Data: filepath.Join(dir, "shop"), Database: o.Database, Latency: o.Latency, InFlight: o.InFlight, Spoil: o.Spoil}}
	if len(o.Lives) == 0 {
		b.o.Lives = Lives
	}
	steps := []func() error{b.furnish, b.measured, b.balance}
	if o.Crashes > 0 {
		steps[1] = b.killed
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
	o        BillingOptions
	work     BillingWork
	lastItem id.ID   // of those that are due, which are made before the day
	people   []id.ID // subscriptions whose notes people change meanwhile; none of them is due
	due      int     // subscriptions that can be paid
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
		parts := items()
		if n < b.o.Subscriptions {
			b.lastItem = parts[len(parts)-1].ID
		}
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
			journal.Bind(subscription.Create{ID: key, CustomerID: person, Items: parts,
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
