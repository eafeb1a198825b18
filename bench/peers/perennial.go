package main

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/vault"
)

// shop is Perennial, in the process: real commands through program, with the index that follows as beside a server.
type shop struct {
	dir, database string       // of the files; the address of a PostgreSQL, or empty
	moment        atomic.Int64 // the clock, in Unix microseconds
	made          atomic.Int64 // commands, so that each sets a price of its own

	db      *db.DB
	store   *store.Store
	finder  *find.Finder
	program *program.Program
	ids     *id.Maker

	product       id.ID
	subscriptions []id.ID // the subjects
}

const currency = "USD"

func openShop(ctx context.Context, dir, database string) (peer, error) {
	s := &shop{dir: dir, database: database}
	s.moment.Store(began.UnixMicro())
	s.ids = id.NewMaker(s.now, crand.Reader)
	return s, s.open(ctx, db.Options{})
}

func (s *shop) now() time.Time { return time.UnixMicro(s.moment.Load()) }

func (s *shop) open(ctx context.Context, opt db.Options) (err error) {
	log := slog.New(slog.DiscardHandler)
	folder, err := vault.Open(filepath.Join(s.dir, "keys"))
	if err != nil {
		return err
	}
	if s.database != "" {
		s.db, err = db.OpenPostgres(ctx, s.database, opt)
	} else {
		s.db, err = db.Open(ctx, filepath.Join(s.dir, "perennial.db"), opt)
	}
	if err != nil {
		return err
	}
	if s.store, err = store.Open(ctx, s.db, folder, program.Mappings(), s.ids.NewShop); err != nil {
		return err
	}
	if s.finder, err = find.Open(ctx, s.store, filepath.Join(s.dir, "find.db"), log); err != nil {
		return err
	}
	s.program, err = program.Start(ctx, s.store, s.ids, s.now, log)
	return err
}

func (s *shop) meta() program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: actorName(rand.IntN(actors))}, Source: journal.Origin{Channel: journal.ChannelBilling}}
}

func (s *shop) do(ctx context.Context, c journal.Command) error {
	_, err := s.program.Do(ctx, &program.Request{Meta: s.meta(), Command: c})
	return err
}

// change is the change that is measured: the price of a subscription's delivery.
func (s *shop) change(about int) journal.Command {
	return journal.Bind(subscription.ChangeDeliveryPrice{ID: s.subscriptions[about], Price: money.Of(s.made.Add(1)%100_000, currency)})
}

// Fill implements peer. Durability is off meanwhile.
func (s *shop) Fill(ctx context.Context, entries int64) (err error) {
	if err := s.Close(); err != nil {
		return err
	}
	if err := s.open(ctx, db.Options{Relaxed: true}); err != nil {
		return err
	}
	if s.subscriptions == nil {
		if err := s.furnish(ctx); err != nil {
			return err
		}
	}
	var waiting []program.Pending
	for n := s.program.Head() + 1; n < entries; n++ {
		s.moment.Store(at(n).UnixMicro())
		c := s.change(int(n % subjects))
		if rare(n) {
			c = journal.Bind(catalog.UpdateProduct{ID: s.product, Description: new(fmt.Sprintf("Harvest %d", n))})
		}
		p, err := s.program.Submit(ctx, &program.Request{Meta: s.meta(), Command: c})
		if err != nil {
			return err
		}
		waiting = append(waiting, p)
		if len(waiting) == 2*program.BatchLength || n == entries-1 {
			half := len(waiting) / 2
			if n == entries-1 {
				half = len(waiting)
			}
			for _, p := range waiting[:half] {
				if _, err := p.Wait(); err != nil {
					return err
				}
			}
			waiting = append(waiting[:0], waiting[half:]...)
		}
	}
	if err := s.finder.CatchUp(ctx); err != nil {
		return err
	}
	return s.program.Exclusive(ctx, func(w *store.Writer) error { return w.Durable(ctx) })
}

// furnish makes the subjects: subscriptions whose first order is far ahead, so that no billing runs into what is measured.
func (s *shop) furnish(ctx context.Context) error {
	for _, d := range settings.Defaults("Peers", "UTC", currency) {
		if err := s.do(ctx, journal.Bind(settings.Update{Document: d})); err != nil {
			return err
		}
	}
	s.product = s.ids.New(id.Product)
	variant, person, address, method := s.ids.New(id.Variant), s.ids.New(id.Customer), s.ids.New(id.Address), s.ids.New(id.PaymentMethod)
	first := civil.Of(began.AddDate(3, 0, 0), time.UTC)
	commands := []journal.Command{
		journal.Bind(catalog.CreateProduct{ID: s.product, Title: "Roast"}),
		journal.Bind(catalog.CreateVariant{ID: variant, ProductID: s.product, Title: "Roast", SKU: "R1", Price: money.Of(1450, currency)}),
		journal.Bind(customer.Create{ID: person, Email: "person@example.com", FirstName: "Person", LastName: "Family"}),
		journal.Bind(customer.AddAddress{ID: address, CustomerID: person, Fields: customer.AddressFields{FirstName: new("Person"), Line1: new("12 Harbor Street"), City: new("Portland"), PostalCode: new("04101"), Country: new("US")}}),
		journal.Bind(customer.AddPaymentMethod{ID: method, CustomerID: person, Gateway: "simulated", Fields: customer.PaymentMethodFields{GatewayReference: new("sim_ok"), Brand: new("Visa"), Last4: new("4242"),
			ExpMonth: new(12), ExpYear: new(2040)}}),
	}
	for range subjects {
		sub := s.ids.New(id.Subscription)
		s.subscriptions = append(s.subscriptions, sub)
		commands = append(commands, journal.Bind(subscription.Create{ID: sub, CustomerID: person, Items: []subscription.NewItem{{ID: s.ids.New(id.Item), VariantID: variant, Quantity: 1}},
			BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1}, NextBillingDate: &first}))
	}
	for _, c := range commands {
		if err := s.do(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// Writer implements peer. The index follows while it is used, as in a server.
func (s *shop) Writer(ctx context.Context, callers int) (func(context.Context, int, int) error, func() error, error) {
	run, stop := context.WithCancel(ctx)
	followed := make(chan error, 1)
	go func() {
		t := time.NewTicker(200 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-run.Done():
				followed <- nil
				return
			case <-t.C:
				if err := s.finder.CatchUp(run); err != nil && run.Err() == nil {
					followed <- err
					return
				}
			}
		}
	}()
	end := func() error {
		stop()
		return errors.Join(<-followed, s.finder.CatchUp(ctx))
	}
	return func(ctx context.Context, caller, n int) error {
		return s.do(ctx, s.change(subject(callers, caller, n)))
	}, end, nil
}

// Read implements peer: the search, and the entries that it finds, opened.
func (s *shop) Read(ctx context.Context, q question) (found int, err error) {
	f := find.Filter{}
	switch q.kind {
	case ofSubject:
		f.Scope = s.subscriptions[q.subject]
	case ofRare:
		f.Types = []string{"product.updated"}
	case ofActor:
		f.ActorIDs, f.To = []string{actorName(q.actor)}, q.before
	}
	for _, err := range s.finder.Events(ctx, store.Opened, f, -1) {
		if err != nil {
			return found, err
		}
		if found++; found == q.limit() {
			break
		}
	}
	return found, nil
}

// Close implements peer.
func (s *shop) Close() error {
	return errors.Join(s.program.Stop(), s.finder.Close(context.Background()), s.db.Close())
}
