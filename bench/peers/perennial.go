package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/demo"
	"perennial/internal/find"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/server"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

// shop is Perennial, in the process: real commands through program, with the index that follows as beside a server.
type shop struct {
	config server.Config
	clock  *demo.Clock
	made   atomic.Int64 // commands, so that each sets a price of its own

	*server.Instance
	product       id.ID
	subscriptions []id.ID // the subjects
}

const currency = "USD"

func openShop(ctx context.Context, dir, database string) (peer, error) {
	s := &shop{clock: demo.NewClock(began, time.Now)}
	s.config = server.Config{Data: dir, Database: database, Clock: s.clock.Now}
	return s, s.open(ctx)
}

func (s *shop) open(ctx context.Context) (err error) {
	s.Instance, err = server.Open(ctx, s.config)
	return err
}

func (s *shop) meta() program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: actorName(rand.IntN(actors))}, Source: journal.Origin{Channel: journal.ChannelBilling}}
}

func (s *shop) do(ctx context.Context, c journal.Command) error {
	_, err := s.Program.Do(ctx, &program.Request{Meta: s.meta(), Command: c})
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
	s.config.Relaxed = true
	if err := s.open(ctx); err != nil {
		return err
	}
	if s.subscriptions == nil {
		if err := s.furnish(ctx); err != nil {
			return err
		}
	}
	var waiting []program.Pending
	for n := s.Program.Head() + 1; n < entries; n++ {
		s.clock.Set(at(n, entries))
		c := s.change(int(n % subjects))
		if rare(n) {
			c = journal.Bind(catalog.UpdateProduct{ID: s.product, Description: new(fmt.Sprintf("Harvest %d", n))})
		}
		p, err := s.Program.Submit(ctx, &program.Request{Meta: s.meta(), Command: c})
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
	if err := s.Finder.CatchUp(ctx); err != nil {
		return err
	}
	return s.Program.Exclusive(ctx, func(w *store.Writer) error { return w.Durable(ctx) })
}

// furnish makes the subjects: subscriptions whose first order is far ahead, so that no billing runs into what is measured.
func (s *shop) furnish(ctx context.Context) error {
	for _, d := range settings.Defaults("Peers", "UTC", currency) {
		if err := s.do(ctx, journal.Bind(settings.Update{Document: d})); err != nil {
			return err
		}
	}
	s.product = s.IDs.New(id.Product)
	variant, person, address, method := s.IDs.New(id.Variant), s.IDs.New(id.Customer), s.IDs.New(id.Address), s.IDs.New(id.PaymentMethod)
	first := civil.Of(began.Add(3*year), time.UTC)
	commands := []journal.Command{
		journal.Bind(catalog.CreateProduct{ID: s.product, Title: "Roast"}),
		journal.Bind(catalog.CreateVariant{ID: variant, ProductID: s.product, Title: "Roast", SKU: "R1", Price: money.Of(1450, currency)}),
		journal.Bind(customer.Create{ID: person, Email: "person@example.com", FirstName: "Person", LastName: "Family"}),
		journal.Bind(customer.AddAddress{ID: address, CustomerID: person, Fields: customer.AddressFields{FirstName: new("Person"), Line1: new("12 Harbor Street"), City: new("Portland"), PostalCode: new("04101"), Country: new("US")}}),
		journal.Bind(customer.AddPaymentMethod{ID: method, CustomerID: person, Gateway: "simulated", Fields: customer.PaymentMethodFields{GatewayReference: new("sim_ok"), Brand: new("Visa"), Last4: new("4242"),
			ExpMonth: new(12), ExpYear: new(2040)}}),
	}
	for range subjects {
		sub := s.IDs.New(id.Subscription)
		s.subscriptions = append(s.subscriptions, sub)
		commands = append(commands, journal.Bind(subscription.Create{ID: sub, CustomerID: person, Items: []subscription.NewItem{{ID: s.IDs.New(id.Item), VariantID: variant, Quantity: 1}},
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
				if err := s.Finder.CatchUp(run); err != nil && run.Err() == nil {
					followed <- err
					return
				}
			}
		}
	}()
	end := func() error {
		stop()
		return errors.Join(<-followed, s.Finder.CatchUp(ctx))
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
	for _, err := range s.Finder.Events(ctx, store.Opened, f, -1) {
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
func (s *shop) Close() error { return s.Instance.Close(context.Background()) }
