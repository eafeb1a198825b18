package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"perennial/internal/api"
	"perennial/internal/demo"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/payment/simulated"
	"perennial/internal/server"
	"perennial/internal/store"
	"perennial/internal/team"
)

type demoCommand struct {
	place
	address
	Subscriptions int    `help:"How many subscriptions the year brings." default:"1000" placeholder:"N"`
	Seed          uint64 `help:"Another seed gives another year." default:"1" placeholder:"N"`
	Until         string `help:"The day or time at which the history ends; by default now." placeholder:"DATE"`
	NoServe       bool   `help:"Make the history and stop." hidden:""`
}

// described is demo.json: what somebody needs to look around.
type described struct {
	DashboardURL   string `json:"dashboard_url"`
	PortalURL      string `json:"portal_url"`
	APIURL         string `json:"api_url"`
	OwnerEmail     string `json:"owner_email"`
	OwnerPassword  string `json:"owner_password"`
	APIKey         string `json:"api_key"`
	CustomerEmail  string `json:"customer_email"`
	CustomerID     id.ID  `json:"customer_id"`
	SubscriptionID id.ID  `json:"subscription_id"`
	MailDir        string `json:"mail_dir"`
}

// Run makes the history, unless the folder has one, and serves.
func (c demoCommand) Run(w *world) error {
	if c.Subscriptions < 1 || c.Subscriptions > 100_000 {
		return fault.New(fault.Refused, "subscriptions", "--subscriptions takes a number from 1 to 100,000.")
	}
	until, err := c.until(time.Now())
	if err != nil {
		return err
	}
	file := filepath.Join(c.Data, "demo.json")
	var d described
	continued := false
	if b, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(b, &d); err != nil {
			return fault.Wrap(err, fault.Unavailable, "demo_file", "The file %s cannot be read.", file)
		}
		continued = true
	}
	clock := demo.NewClock(demo.Begin(until), time.Now)
	random := demo.NewRandom(c.Seed)
	if continued {
		random.Release()
	}
	cfg := c.config(w.log)
	c.into(&cfg)
	cfg.Clock, cfg.Random, cfg.Relaxed = clock.Now, random, !continued
	cfg.MailDir = filepath.Join(c.Data, "mail")
	i, err := server.Open(w.ctx, cfg)
	if err != nil {
		return err
	}
	if !continued && i.Program.Head() >= 0 {
		return closing(i, fault.New(fault.Unavailable, "not_a_demo", "The folder %s holds a shop that is not a demo. Give another --data.", c.Data))
	}
	gateway, err := simulated.Open(filepath.Join(c.Data, "gateway.jsonl"), clock.Now, simulated.Options{})
	if err != nil {
		return closing(i, err)
	}
	defer func() { _ = gateway.Close() }() // each line of its ledger is written already
	eng := engine.New(i.Program, i.Store, gateway, w.log)
	reports := server.NewReports(i.Program, i.Store, eng, gateway, w.log).Pump
	if !continued {
		if d, err = c.make(w, i, eng, reports, clock, until); err != nil {
			return closing(i, err)
		}
	}
	random.Release()
	if err := c.catchUp(w, i, eng, reports, clock); err != nil {
		return closing(i, err)
	}
	clock.Release()
	if err := i.Released(w.ctx); err != nil {
		return closing(i, err)
	}
	if err := i.Program.Exclusive(w.ctx, func(wr *store.Writer) error { return wr.Durable(w.ctx) }); err != nil {
		return closing(i, err)
	}
	if !continued {
		if d.APIKey, err = newKey(w.ctx, i.Program, i.IDs, "Demo key", team.Everything().List()); err != nil {
			return closing(i, err)
		}
	}
	if c.NoServe {
		return errors.Join(writeDescribed(file, d), i.Close(context.Background()))
	}
	return c.serve(w, i, gateway, file, d)
}

// until is the end of the history. The future has not happened yet.
func (c demoCommand) until(now time.Time) (time.Time, error) {
	if c.Until == "" {
		return now.Truncate(time.Second), nil
	}
	t, err := time.Parse(time.RFC3339, c.Until)
	if err != nil {
		if t, err = time.Parse(time.DateOnly, c.Until); err != nil {
			return t, fault.New(fault.Refused, "until", "--until takes a day such as 2026-06-30, or a time such as 2026-06-30T12:00:00Z.")
		}
	}
	if t.After(now) {
		return t, fault.New(fault.Refused, "until", "--until lies in the future. A history ends today at the latest.")
	}
	return t.UTC(), nil
}

func (c demoCommand) make(w *world, i *server.Instance, eng *engine.Engine, reports demo.Reports, clock *demo.Clock, until time.Time) (described, error) {
	began := time.Now()
	b := newBar(w.err, "Living a year")
	made, err := demo.Make(w.ctx, i.Program, i.Store, eng, clock, demo.Options{Subscriptions: c.Subscriptions, Seed: c.Seed, Until: until, Reports: reports},
		func(day int, events int64) {
			b.set(int64(day), demo.Days, fmt.Sprintf("%s  %s entries", demo.Begin(until).AddDate(0, 0, day).Format("2 Jan 2006"), thousands(events)))
		})
	b.end()
	if err != nil {
		return described{}, err
	}
	fmt.Fprintf(w.err, "%s entries in %.1f s.\n", thousands(i.Program.Head()+1), time.Since(began).Seconds())
	mail := filepath.Join(c.Data, "mail")
	if err := os.MkdirAll(mail, 0o700); err != nil {
		return described{}, fault.Wrap(err, fault.Unavailable, "mail_dir", "The folder %s cannot be made.", mail)
	}
	return described{OwnerEmail: demo.OwnerEmail, OwnerPassword: demo.OwnerPassword, CustomerEmail: made.CustomerEmail, CustomerID: made.CustomerID,
		SubscriptionID: made.SubscriptionID, MailDir: mail}, nil
}

// catchUp runs the engine through the time between the last entry and now.
func (c demoCommand) catchUp(w *world, i *server.Instance, eng *engine.Engine, reports demo.Reports, clock *demo.Clock) error {
	head, err := i.Store.ReadHead(w.ctx, i.Store.Read)
	if err != nil {
		return err
	}
	clock.Set(head.RecordedAt)
	now := time.Now()
	if now.Sub(clock.Now()) < time.Hour {
		return nil
	}
	b := newBar(w.err, "Catching up ")
	err = demo.RunThrough(w.ctx, eng, reports, clock, now, func(done, total int) { b.set(int64(done), int64(total), clock.Now().Format("2 Jan 2006")) })
	b.end()
	return errors.Join(err, i.LeaveUntold(w.ctx))
}

func (c demoCommand) serve(w *world, i *server.Instance, gateway *simulated.Gateway, file string, d described) error {
	ready := func(addr string) error {
		base := "http://" + addr
		d.DashboardURL, d.PortalURL, d.APIURL = base+"/", base+"/portal", base+api.Base
		return writeDescribed(file, d)
	}
	return listen(w, i, gateway, demo.Mailbox(d.MailDir), ready, func(s *server.Server) {
		addr := s.Addr
		fmt.Fprintf(w.out, "\n  Sign in:      %s as %s with the password %s\n  Read a log:   curl -H 'Authorization: Bearer %s' http://%s%s/subscriptions/%s/log\n  All of this:  %s\n", d.DashboardURL, d.OwnerEmail, d.OwnerPassword, d.APIKey, addr, api.Base, d.SubscriptionID, file)
	})
}

func writeDescribed(file string, d described) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	tmp := file + ".tmp"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fault.Wrap(err, fault.Unavailable, "demo_file", "The file %s cannot be written.", file)
	}
	return os.Rename(tmp, file)
}
