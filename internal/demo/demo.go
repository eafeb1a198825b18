// Package demo makes a shop with a year of history by living it: people sign up, pay, skip, swap, complain and leave, a
// team changes plans and settings, and the real engine bills them, all through program under a simulated clock. Nothing
// is inserted behind the rules.
//
// The same seed and the same end give the same types, times, targets and plain values. Keys, salts and hashes differ.
package demo

import (
	"context"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"time"

	"github.com/brianvoe/gofakeit/v7"

	"perennial/internal/auth"
	"perennial/internal/civil"
	"perennial/internal/engine"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/store"
)

// Options say which past is made.
type Options struct {
	Subscriptions int       // how many there will have been at the end; 1 or more
	Seed          uint64    // of everything that is by chance
	Until         time.Time // the end of the history
	Reports       Reports   // of the gateway that the engine charges with
}

// Reports takes what the gateway has reported by now; nil: it reports nothing.
type Reports func(ctx context.Context) error

func (r Reports) take(ctx context.Context) error {
	if r == nil {
		return nil
	}
	return r(ctx)
}

// Days is how long the history is.
const Days = 365

// Zone is where the demo's shop is.
const Zone = "America/New_York"

// Owner of the demo's shop, who signs in with the password.
const (
	OwnerEmail    = "olivia@harborroast.example"
	OwnerPassword = "demo-perennial"
)

// Begin is the time at which a history that ends at until begins.
func Begin(until time.Time) time.Time { return until.Add(-Days * 24 * time.Hour).Truncate(time.Hour) }

// Made says who to show first.
type Made struct {
	CustomerID     id.ID
	CustomerEmail  string
	SubscriptionID id.ID
}

// life is the shop being lived.
type life struct {
	ctx   context.Context
	p     *program.Program
	s     *store.Store
	e     *engine.Engine
	clock *Clock
	opt   Options
	rnd   *mathrand.Rand
	fake  *gofakeit.Faker
	zone  *time.Location
	start time.Time

	owner, admin id.ID
	support      []id.ID
	keys         map[string]id.ID // API keys by name
	products     []product
	plans        []id.ID
	discounts    []string
	people       []*person
	toShip       []id.ID // orders that are paid and not sent
	lastOrder    id.ID
	bigMoment    map[int]func() error // what happens on one day of the year
}

type product struct {
	id       id.ID
	title    string
	variants []variant
}

type variant struct {
	id    id.ID
	title string
	price int64
}

// person is a customer with one subscription.
type person struct {
	customer, address, method, subscription id.ID
	email, ip, agent                        string
	card                                    string
	troubled                                bool
}

// Make lives a year. progress is called with the days that are over.
func Make(
	ctx context.Context,
	p *program.Program,
	s *store.Store,
	e *engine.Engine,
	clock *Clock,
	opt Options,
	progress func(day int, events int64),
) (made Made, err error) {
	defer fault.Trail(&err, "demo")
	zone, err := civil.Zone(Zone)
	if err != nil {
		return made, err
	}
	l := &life{ctx: ctx, p: p, s: s, e: e, clock: clock, opt: opt, zone: zone, start: Begin(opt.Until), keys: map[string]id.ID{},
		rnd:  mathrand.New(mathrand.NewPCG(opt.Seed, 0x9e3779b97f4a7c15)), //nolint:gosec // a history that can be made again is the point
		fake: gofakeit.New(opt.Seed + 1)}
	if err := l.found(); err != nil {
		return made, err
	}
	l.plan()
	joined := 0
	for day := range days(l.start, opt.Until, zone) {
		if err := ctx.Err(); err != nil {
			return made, err
		}
		if err := l.day(day, &joined); err != nil {
			return made, fmt.Errorf("day %d: %w", day, err)
		}
		progress(day+1, l.p.Head()+1)
	}
	clock.Set(opt.Until)
	return l.show(), nil
}

// days is how many of the shop's days a history touches, the first and the last in part.
func days(from, until time.Time, zone *time.Location) int {
	return civil.Of(from, zone).DaysUntil(civil.Of(until, zone)) + 1
}

// RunThrough lets the engine work through the days up to a time, with nobody doing anything: the gap between the end of a
// history and now.
func RunThrough(
	ctx context.Context,
	e *engine.Engine,
	reports Reports,
	clock *Clock,
	until time.Time,
	progress func(done, total int),
) error {
	from := clock.Now()
	total := int(until.Sub(from).Hours()/24) + 1
	for n := range total {
		at := from.Add(time.Duration(n+1) * 24 * time.Hour)
		if at.After(until) {
			at = until
		}
		clock.Set(at)
		if err := reports.take(ctx); err != nil {
			return fmt.Errorf("demo: the gateway's reports of %s: %w", at.Format(time.DateOnly), err)
		}
		if err := e.Run(ctx); err != nil {
			return fmt.Errorf("demo: bill %s: %w", at.Format(time.DateOnly), err)
		}
		if err := e.NoteExpiries(ctx); err != nil {
			return fmt.Errorf("demo: cards that expire after %s: %w", at.Format(time.DateOnly), err)
		}
		if err := e.Retain(ctx); err != nil {
			return fmt.Errorf("demo: retention on %s: %w", at.Format(time.DateOnly), err)
		}
		progress(n+1, total)
	}
	return nil
}

// grown is how many of the subscriptions exist after a share of the year: a quarter came over from elsewhere in the first
// days, the others sign up at a rising pace.
func (l *life) grown(share float64) int {
	return int(math.Round(float64(l.opt.Subscriptions) * math.Min(1, 0.25*math.Min(1, share*20)+0.75*math.Pow(share, 1.3))))
}

// day lives one day: the night's billing at six, then what people do between eight and ten in the evening, in order of
// time.
func (l *life) day(day int, joined *int) error {
	date := civil.Of(l.start, l.zone).AddDays(day)
	if date.At(6, 5, l.zone).After(l.opt.Until) {
		return nil // the history ends in the night
	}
	l.sleepUntil(date.At(6, 5, l.zone))
	if err := l.opt.Reports.take(l.ctx); err != nil {
		return err
	}
	if err := l.e.Run(l.ctx); err != nil {
		return err
	}
	if err := l.e.Retain(l.ctx); err != nil {
		return err
	}
	if l.today().Day == 1 {
		if err := l.e.NoteExpiries(l.ctx); err != nil {
			return err
		}
	}
	if err := l.notice(); err != nil {
		return err
	}
	var acts []func() error
	for want := l.grown(float64(day+1) / Days); *joined < want; *joined++ {
		acts = append(acts, l.signUp)
	}
	for _, p := range l.people {
		if act := l.mood(p); act != nil {
			acts = append(acts, act)
		}
	}
	acts = append(acts, l.office(day)...)
	acts = append(acts, l.ship)
	l.rnd.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
	from, to := date.At(8, 0, l.zone), date.At(22, 0, l.zone)
	if to.After(l.opt.Until) {
		to = l.opt.Until
	}
	if !to.After(from) {
		return nil // or before anybody is up
	}
	for i, act := range acts {
		span := to.Sub(from)
		slot := span / time.Duration(len(acts)+1)
		l.sleepUntil(from.Add(time.Duration(i)*slot + time.Duration(l.rnd.Int64N(int64(max(slot, 1))))))
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}

// sleepUntil moves the clock on, to the end of the history at most.
func (l *life) sleepUntil(t time.Time) {
	if t.After(l.opt.Until) {
		t = l.opt.Until
	}
	l.clock.Set(t.Truncate(time.Millisecond))
}

// while moves the clock on by a few seconds, as people take them.
func (l *life) while() {
	l.sleepUntil(l.clock.Now().Add(time.Duration(2+l.rnd.IntN(40)) * time.Second))
}

// do runs a command that may be refused, as real people's are: a refusal (409 and 422) is no error.
func (l *life) do(m program.Meta, c journal.Command) (*program.Outcome, error) {
	l.while()
	out, err := l.p.Do(l.ctx, &program.Request{Meta: m, Command: c})
	if f := fault.As(err); err != nil && (f.Kind == fault.Conflict || f.Kind == fault.Refused || f.Kind == fault.Forbidden) {
		return nil, nil
	}
	return out, err
}

// must runs a command that has to be accepted.
func (l *life) must(m program.Meta, c journal.Command) error {
	l.while()
	_, err := l.p.Do(l.ctx, &program.Request{Meta: m, Command: c})
	return err
}

// Who acts.

func (l *life) setup() program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "setup"}, Source: journal.Origin{Channel: journal.ChannelCLI}}
}

func (l *life) dashboard(member id.ID) program.Meta {
	return program.Meta{
		Actor: journal.Actor{Kind: journal.ActorTeamMember, ID: string(member)},
		Source: journal.Origin{Channel: journal.ChannelDashboard,
			RequestID: string(l.p.IDs.New(id.Request)), IP: journal.Secluded(officeIP(member)), UserAgent: journal.Secluded(agents[0])},
	}
}

func (l *life) portal(p *person) program.Meta {
	return program.Meta{
		Actor: journal.Actor{Kind: journal.ActorCustomer, ID: string(p.customer)},
		Source: journal.Origin{Channel: journal.ChannelPortal,
			RequestID: string(l.p.IDs.New(id.Request)), IP: journal.Secluded(p.ip), UserAgent: journal.Secluded(p.agent)},
	}
}

func (l *life) key(name string) program.Meta {
	return program.Meta{
		Actor: journal.Actor{Kind: journal.ActorAPIKey, ID: string(l.keys[name])},
		Source: journal.Origin{Channel: journal.ChannelAPI,
			RequestID: string(l.p.IDs.New(id.Request)), IP: journal.Secluded("198.51.100.20"), UserAgent: journal.Secluded(name + "/2.4")},
	}
}

func officeIP(member id.ID) string {
	return fmt.Sprintf("203.0.113.%d", 10+int(member[len(member)-1])%40)
}

var agents = []string{
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/605.1.15",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0",
}

// rarely says yes with a probability.
func (l *life) rarely(p float64) bool { return l.rnd.Float64() < p }

// pick takes one of several.
func pick[T any](l *life, from []T) T { return from[l.rnd.IntN(len(from))] }

func hashedPassword() string { return auth.HashPassword(OwnerPassword) }
