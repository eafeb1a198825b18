package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/demo"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/subscription"
)

// shop is the shop that is measured on. It is opened for each step and closed after it, as its process would be.
type shop struct {
	data     string
	key      string // its API key
	clock    *demo.Clock
	people   []*person
	titles   []string // of the variants
	wares    []id.ID  // products
	rnd      *mathrand.Rand
	made     int64 // commands that grow submitted
	searched int64 // entries that there were when searches were measured last
	began    time.Time
}

// person is a customer with a subscription, and what grow has to know of it.
type person struct {
	customer, subscription, item id.ID
	title                        string
	quantity                     int
	skipped                      *civil.Date
	paused                       bool
}

const (
	currency = "USD"
	span     = 360 * 24 * time.Hour // that the entries are spread over
	wares    = 40                   // variants
	rarely   = 20_000               // commands for each change of a product, the rare type
)

// found makes a shop with nothing in it, in a folder of its own.
func (r *run) found(name string) (*shop, error) {
	s := &shop{data: r.path(name), began: time.Now().Add(-span - 24*time.Hour), rnd: mathrand.New(mathrand.NewPCG(1, 2))}
	s.clock = demo.NewClock(s.began, time.Now)
	return s, r.open(s, true, func(i *server.Instance) (err error) {
		s.key, err = r.Found(r.ctx, i.Program, i.IDs)
		return err
	})
}

// open gives a step the open shop. relaxed gives durability up, for making entries that nobody measures.
func (r *run) open(s *shop, relaxed bool, step func(i *server.Instance) error) (err error) { //nolint:revive // a flag of server.Config
	cfg := server.Config{Data: s.data, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Clock: s.clock.Now, Random: rand.Reader, Relaxed: relaxed}
	i, err := server.Open(r.ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close(context.WithoutCancel(r.ctx))) }()
	return step(i)
}

// pipeline submits commands and waits for them a window later, so that the writer never waits.
type pipeline struct {
	ctx     context.Context
	p       *program.Program
	waiting []program.Pending // oldest first
}

// window is how many commands are under way at most.
const window = 2 * program.BatchLength

func (l *pipeline) submit(q *program.Request) error {
	if len(l.waiting) == window {
		if err := l.wait(window / 2); err != nil {
			return err
		}
	}
	p, err := l.p.Submit(l.ctx, q)
	l.waiting = append(l.waiting, p)
	return err
}

// wait waits for the oldest n.
func (l *pipeline) wait(n int) error {
	for _, p := range l.waiting[:n] {
		if _, err := p.Wait(); err != nil {
			return err
		}
	}
	l.waiting = append(l.waiting[:0], l.waiting[n:]...)
	return nil
}

// grow makes real commands until the journal has so many entries, spread over a year, with the index following as it does
// beside a server.
func (r *run) grow(s *shop, entries int64) error {
	return r.open(s, true, func(i *server.Instance) error {
		l := &pipeline{ctx: r.ctx, p: i.Program}
		if s.people == nil {
			if err := s.furnish(l, i.IDs, entries); err != nil {
				return err
			}
		}
		step := span / time.Duration(max(5*r.Events, 1)) // the year is over when there is nothing more to make
		if !r.Large {
			step = span / time.Duration(max(r.Events, 1))
		}
		next := i.Program.Head()
		for i.Program.Head()+1+int64(len(l.waiting)) < entries {
			if head := i.Program.Head(); head >= next {
				r.Say(fmt.Sprintf("making entries: %d of %d", head+1, entries))
				next = head + max(entries/10, 10_000)
				if err := i.Finder.CatchUp(r.ctx); err != nil {
					return err
				}
			}
			s.clock.Set(s.clock.Now().Add(step))
			if err := l.submit(s.command(i.IDs)); err != nil {
				return err
			}
		}
		if err := l.wait(len(l.waiting)); err != nil {
			return err
		}
		if err := i.Finder.CatchUp(r.ctx); err != nil {
			return err
		}
		return i.Program.Exclusive(r.ctx, durable(r.ctx))
	})
}

// furnish makes the wares and the people.
func (s *shop) furnish(l *pipeline, ids *id.Maker, entries int64) error {
	system := program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "setup"}, Source: journal.Origin{Channel: journal.ChannelCLI}}
	do := func(m program.Meta, c journal.Command) error { return l.submit(&program.Request{Meta: m, Command: c}) }
	variants := make([]id.ID, wares)
	for n := range wares {
		title := fmt.Sprintf("Roast%02d", n)
		product := ids.New(id.Product)
		variants[n] = ids.New(id.Variant)
		s.titles, s.wares = append(s.titles, title), append(s.wares, product)
		if err := errors.Join(do(system, journal.Bind(catalog.CreateProduct{ID: product, Title: title})),
			do(system, journal.Bind(catalog.CreateVariant{ID: variants[n], ProductID: product, Title: title, SKU: title, Price: money.Of(1450, currency)}))); err != nil {
			return err
		}
	}
	// Their first order is far ahead, so that no billing runs into what is measured.
	first := civil.Of(s.began.Add(2*span), time.UTC)
	for n := range min(max(entries/100, 50), 20_000) {
		p := &person{customer: ids.New(id.Customer), subscription: ids.New(id.Subscription), item: ids.New(id.Item), quantity: 1, title: s.titles[int(n)%wares]}
		address, method := ids.New(id.Address), ids.New(id.PaymentMethod)
		m := s.portal(p)
		name := fmt.Sprintf("Person%d", n)
		for _, c := range []journal.Command{
			journal.Bind(customer.Create{ID: p.customer, Email: name + "@example.com", FirstName: name, LastName: fmt.Sprintf("Family%d", n%500), Phone: "+1 555 0100"}),
			journal.Bind(customer.AddAddress{ID: address, CustomerID: p.customer, Fields: customer.AddressFields{FirstName: new(name), Line1: new("12 Harbor Street"), City: new("Portland"),
				Region: new("Maine"), PostalCode: new("04101"), Country: new("US")}}),
			journal.Bind(customer.AddPaymentMethod{ID: method, CustomerID: p.customer, Gateway: "simulated", Fields: customer.PaymentMethodFields{GatewayReference: new("sim_ok"), Brand: new("Visa"),
				Last4: new("4242"), ExpMonth: new(12), ExpYear: new(2040)}}),
			journal.Bind(subscription.Create{ID: p.subscription, CustomerID: p.customer, Items: []subscription.NewItem{{ID: p.item, VariantID: variants[int(n)%wares], Quantity: 1}},
				BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1}, NextBillingDate: &first}),
		} {
			if err := do(m, c); err != nil {
				return err
			}
		}
		s.people = append(s.people, p)
	}
	return l.wait(len(l.waiting))
}

// command is what somebody does next: mostly people in the portal, then integrations, then the team's jobs.
func (s *shop) command(ids *id.Maker) *program.Request {
	s.made++
	if s.made%rarely == 1 {
		return &program.Request{Meta: s.job(), Command: journal.Bind(catalog.UpdateProduct{ID: s.wares[s.rnd.IntN(wares)], Description: new(fmt.Sprintf("Harvest %d", s.made))})}
	}
	p := s.people[s.rnd.IntN(len(s.people))]
	var m program.Meta
	switch n := s.rnd.IntN(10); {
	case n < 5:
		m = s.portal(p)
	case n < 8:
		m = s.integration(ids)
	default:
		m = s.job()
	}
	return &program.Request{Meta: m, Command: s.act(p)}
}

func (s *shop) act(p *person) journal.Command {
	n := s.rnd.IntN(100)
	switch {
	case p.paused:
		p.paused = false
		return journal.Bind(subscription.Resume{ID: p.subscription})
	case n < 25:
		return journal.Bind(subscription.ChangeNote{ID: p.subscription, Note: fmt.Sprintf("Leave parcel %d with the neighbour", s.made)})
	case n < 50:
		p.quantity = p.quantity%4 + 1
		return journal.Bind(subscription.ChangeItem{ID: p.subscription, ItemID: p.item, Quantity: new(p.quantity)})
	case n < 65:
		return journal.Bind(subscription.ChangeDeliveryPrice{ID: p.subscription, Price: money.Of(s.made%700, currency)})
	case n < 75:
		return journal.Bind(customer.UpdateProfile{ID: p.customer, Phone: new(fmt.Sprintf("+1 555 %07d", s.made))})
	case n < 85:
		p.paused = true
		return journal.Bind(subscription.Pause{ID: p.subscription})
	default:
		if p.skipped != nil {
			c := subscription.Unskip{ID: p.subscription, Date: *p.skipped}
			p.skipped = nil
			return journal.Bind(c)
		}
		p.skipped = new(civil.Of(s.began.Add(2*span), time.UTC))
		return journal.Bind(subscription.Skip{ID: p.subscription, Date: p.skipped})
	}
}

func (s *shop) portal(p *person) program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorCustomer, ID: string(p.customer)}, Source: journal.Origin{Channel: journal.ChannelPortal,
		IP: journal.Secluded("203.0.113.7"), UserAgent: journal.Secluded("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")}}
}

func (s *shop) integration(ids *id.Maker) program.Meta {
	key, _, _ := cutKey(s.key)
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorAPIKey, ID: key}, Source: journal.Origin{Channel: journal.ChannelAPI, RequestID: string(ids.New(id.Request)),
		IP: journal.Secluded("198.51.100.20"), UserAgent: journal.Secluded("warehouse-sync/2.1")}}
}

func (s *shop) job() program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "upkeep"}, Source: journal.Origin{Channel: journal.ChannelBilling}}
}

// size measures what an entry takes on disk: everything in both files, which have no kept answers yet.
func (r *run) size(s *shop) error {
	entries, plain := 0.0, 0.0
	err := r.open(s, false, func(i *server.Instance) error {
		head, err := i.Store.ReadHead(r.ctx, i.Store.Read)
		if err != nil {
			return err
		}
		entries = float64(head.Seq + 1)
		return i.DB.Reader.QueryRowContext(r.ctx, `SELECT avg(length(body) + length(boxes)) FROM event WHERE shop_id = $1 AND seq >= $2`, i.Store.Shop, head.Seq-20_000).Scan(&plain)
	})
	if err != nil {
		return err
	}
	main, err := fileSize(filepath.Join(s.data, "perennial.db"))
	if err != nil {
		return err
	}
	index, err := fileSize(filepath.Join(s.data, "find.db"))
	if err != nil {
		return err
	}
	const ref = "size.plain"
	r.add(Figure{Key: ref, Name: "an entry's own bytes, sealed values included", Events: int64(entries), Value: plain, Unit: "bytes"})
	r.add(atMost(Figure{Key: "size.total", Name: "an entry on disk, all tables and the index", Events: int64(entries), Value: (main + index) / entries, Unit: "bytes", Beside: ref}, 1200, "≤ 1,200, want 600"))
	r.add(Figure{Key: "size.index", Name: "of that, the index", Events: int64(entries), Value: index / entries, Unit: "bytes", Beside: ref})
	return nil
}

func fileSize(path string) (float64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, fault.Wrap(err, fault.Internal, "bench_file", "A file of the measured shop is missing.")
	}
	return float64(st.Size()), nil
}
