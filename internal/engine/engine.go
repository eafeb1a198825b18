// Package engine makes renewals happen: it finds what is due, runs the rules of package billing through program, and
// calls the payment gateway between them, outside any transaction.
//
//   - A charge happens once. The attempt is an entry before the gateway is called, its id is the gateway's idempotency
//     key, and an attempt without a result (a crash, a time-out) is resolved by asking the gateway, never by charging
//     under another key. So Run may be stopped anywhere and begun again.
//   - Every order of the rhythm is made once, in order of date, also after a downtime; but a downtime makes no more than
//     the billing settings allow, and the others are skipped.
//   - A gateway that does not answer is asked less and less often, and holds up nothing but its own charges.
//   - While something holds a power up (package gate), it is not used: that is asked before each order and each call of the gateway.
//   - Several subscriptions are worked on at once, each in its own order: made, charged, recorded. While one waits for the
//     gateway the others' commands share its commits, and a person's command waits behind no more than one batch.
//
// engine_test.go stops it between any two steps, and holds the gateway's ledger against the orders after each test.
package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"perennial/internal/billing"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/kinds"
	"perennial/internal/payment"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

// chunk is how many subscriptions are taken in hand before the next ones are looked for.
const chunk = 1000

// inHand is after how long others take over what a process had in hand.
const inHand = 2 * time.Minute

// waiting is how many commands wait for the writer at once at most: what a person's command may have to wait behind.
const waiting = 12

// Busy is how many calls of the gateway a server has under way at once.
const Busy = 64

// Engine runs billing for one shop. Its methods are for one goroutine at a time; what they start ends before they return.
type Engine struct {
	p   *program.Program
	s   *store.Store
	g   payment.Gateway
	log *slog.Logger

	holder string // of what is in hand, among the processes that share a shop

	// Observer is told how it goes. It is set before the first call.
	Observer Observer

	// Gate says whether charges may be made, books compared and data destroyed now; nil: always. It is set before the first call.
	Gate *gate.Gate

	// InFlight is how many calls of the gateway are under way at once at most, and half of how many subscriptions are worked
	// on. It is set before the first call. With 1, as New makes it, one is done after the other, always in the same order.
	InFlight int

	waiting chan struct{} // commands that wait for the writer

	held     map[id.ID]wait // orders that wait for stock: when to look again
	expiries civil.Date     // the day on which cards were looked at for their expiry
	compared civil.Date     // the day on which the gateway's books were compared
	erasures map[id.ID]wait // customers that the gateway failed to delete: when to try again
	looked   int64          // the seq up to which entries were looked at (news); -1 before the first time

	asked    bool                          // whether the shop went on from a restored database was looked up
	restored bool                          // it did
	lost     map[string][]payment.Movement // charges that the restored database has lost, by what they paid

	zone atomic.Pointer[time.Location] // the shop's; nil before the settings were read

	mu sync.Mutex
	// What had no answer, guarded by mu. It is only about when to ask again, so a restart may forget it.
	attempts map[id.ID]wait
	reports  map[id.ID]string // the gateway's ids of charges, by the open attempts that it reported
	gateway  wait
	silent   int           // attempts in a row without an answer
	ours     int           // attempts in a row that the gateway refused because of us
	unclosed []unclosed    // declined charges that could not be closed
	calls    chan struct{} // calls of the gateway under way; made at the first
}

// Observer is told how many subscriptions were found due, and of each answer of the gateway: its status, or "silent". Both may
// be nil; they may be called at the same time.
type Observer struct {
	Due     func(n int)
	Attempt func(outcome string)
}

func (o Observer) due(n int) {
	if o.Due != nil {
		o.Due(n)
	}
}

func (o Observer) attempt(outcome string) {
	if o.Attempt != nil {
		o.Attempt(outcome)
	}
}

// New makes an engine.
func New(p *program.Program, s *store.Store, g payment.Gateway, log *slog.Logger) *Engine {
	return &Engine{p: p, s: s, g: g, log: log, holder: string(p.IDs.New(id.Command)), InFlight: 1, waiting: make(chan struct{}, waiting), held: map[id.ID]wait{}, looked: -1, attempts: map[id.ID]wait{}}
}

// The engine acts as the system, by the name of its job.
func meta() program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "billing"}, Source: journal.Origin{Channel: journal.ChannelBilling}}
}

// Run does everything that is due now: attempts without a result, pauses that end, renewals, retries. It goes on with
// the others when one subscription fails, and returns those failures together; it ends when nothing can be changed at
// all (an Unavailable fault), and when its context does.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.may(ctx); err != nil {
		return err
	}
	var errs []error
	p, err := e.wake(ctx)
	if err != nil {
		errs = append(errs, err)
	}
	if p == nil {
		return err
	}
	maps.DeleteFunc(e.held, func(_ id.ID, w wait) bool { return w.over(p.now) })
	for moved := true; moved && ctx.Err() == nil; {
		moved = false
		w := e.begin(ctx)
		var lost error
	look:
		for rows, err := range e.due(ctx, p) {
			if err != nil {
				lost = err
				break
			}
			for _, row := range rows {
				s := row.State.(*subscription.Subscription)
				if p.triedAt(s.ID) == row.LastSeq || !p.due(s) || e.holds(s) {
					continue
				}
				moved = true
				if w.has(s.ID) {
					continue // it moved on and is due again: the next look comes to it
				}
				p.try(s.ID, row.LastSeq)
				e.Observer.due(1)
				if !w.do(func(ctx context.Context) error { return e.one(ctx, row, p) }, "subscription", s.ID) {
					break look
				}
			}
		}
		failed, ended := w.wait()
		errs = append(errs, failed...)
		if err := errors.Join(lost, e.s.Unclaim(context.WithoutCancel(ctx), journal.Subscription, e.holder)); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if ended {
			return errors.Join(errs...)
		}
	}
	if p.caught.Subscriptions > 0 && ctx.Err() == nil {
		if _, err := e.do(ctx, journal.Bind(p.caught)); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Wake does what need not wait for the next Run: orders that nobody waits for any more, attempts without a result, and failed payments
// whose customer has a new card. It may be called as often as one likes.
func (e *Engine) Wake(ctx context.Context) error {
	_, err := e.wake(ctx)
	return err
}

// wake is Wake; without a policy there is nothing more to do.
func (e *Engine) wake(ctx context.Context) (*policy, error) {
	if err := e.may(ctx); err != nil {
		return nil, err
	}
	head := e.p.Head()
	n, err := e.read(ctx, head)
	if err != nil {
		return nil, err
	}
	closedAll, closed := e.closeStale(ctx, n)
	settled := e.Settle(ctx)
	p, err := e.policy(ctx)
	if err != nil || p == nil {
		return nil, errors.Join(closed, settled, err)
	}
	triedAll, tried := e.newCards(ctx, p, n.cards)
	if closedAll && triedAll && ctx.Err() == nil {
		e.looked = head
	}
	return p, errors.Join(closed, settled, tried)
}

// Alive tells the other processes of a shop that this one lives, until the context ends: see store.Alive.
func (e *Engine) Alive(ctx context.Context) error { return e.s.Alive(ctx, e.holder) }

// policy is what a run goes by.
type policy struct {
	now    time.Time
	zone   *time.Location
	day    civil.Date // of now
	hour   int        // at which billing begins
	today  civil.Date // the last day whose billing hour has come
	most   int        // how many missed orders of a subscription are made
	missed string     // what becomes of the others

	mu      sync.Mutex
	tried   map[id.ID]int64  // guarded by mu; the last seq of subscriptions that were begun and did not move
	caught  billing.CaughtUp // guarded by mu
	overdue map[id.ID]bool   // guarded by mu; subscriptions that had overdue orders
}

// policy reads the settings; nil for a shop without any.
func (e *Engine) policy(ctx context.Context) (*policy, error) {
	rd := program.NewReader(ctx, e.s, e.s.Read)
	g, err := journal.Find[settings.General](rd, journal.Settings, settings.PageGeneral)
	if err != nil || g == nil {
		return nil, err
	}
	b, err := journal.Find[settings.Billing](rd, journal.Settings, settings.PageBilling)
	if err != nil {
		return nil, err
	}
	if b == nil {
		b = settings.Default(settings.PageBilling, g).(*settings.Billing)
	}
	zone := settings.Zone(g)
	e.zone.Store(zone)
	now := e.p.Now()
	p := &policy{now: now, zone: zone, day: civil.Today(now, zone), hour: b.BillingHour, most: b.MaxCatchUpOrders, missed: b.MissedOrders, caught: billing.CaughtUp{Shop: e.s.Shop}, overdue: map[id.ID]bool{}, tried: map[id.ID]int64{}}
	p.today = p.day
	if now.Before(p.today.At(p.hour, 0, zone)) {
		p.today = p.today.AddDays(-1)
	}
	return p, nil
}

// due says whether the hour of what is due for a subscription has come: a case of recovery can have one of its own.
func (p *policy) due(s *subscription.Subscription) bool {
	day := kinds.DueDate(s)
	switch {
	case day == nil: // somebody changed it since it was found
		return false
	case s.Status != subscription.Failed || s.Recovery.RetryHour == nil:
		return !day.After(p.today)
	}
	return !p.now.Before(day.At(*s.Recovery.RetryHour, 0, p.zone))
}

// due gives the subscriptions for which something is due, in order of day and id, a chunk at a time. One that moves on
// while they are read, and is due again, comes again at its new place.
func (e *Engine) due(ctx context.Context, p *policy) iter.Seq2[[]store.Row, error] {
	return func(yield func([]store.Row, error) bool) {
		day, last := "", id.ID("")
		for ctx.Err() == nil {
			rows, err := query.Claim(ctx, e.s, e.holder, inHand, query.List{Kind: journal.Subscription, Order: query.ByDue, Limit: chunk, Where: []query.Filter{
				query.To(query.Due, p.day.String()), query.Any(query.To(query.Due, p.today.String()), query.Is(query.Status, subscription.Failed)),
				query.Past(query.Due, day, last),
			}})
			// A shared database reads the rows after it took them in hand. Those that somebody changed meanwhile say nothing about where to go on,
			// and are not found again.
			for _, r := range slices.Backward(rows) {
				s := r.State.(*subscription.Subscription)
				if d := kinds.DueDate(s); d != nil && !d.After(p.day) {
					day, last = d.String(), s.ID
					break
				}
			}
			if !yield(rows, err) || err != nil || len(rows) < chunk {
				return
			}
		}
	}
}

// one does everything for a subscription: resumes it, or makes its order, or tries its failed payment again; and charges
// what that began.
func (e *Engine) one(ctx context.Context, row store.Row, p *policy) error {
	if err := e.mayCharge(); err != nil {
		return err
	}
	s := row.State.(*subscription.Subscription)
	var c journal.Command
	waitedFor := false // the day of the order passed while the one before waited for its money
	all, newest := []store.List{{Kind: journal.Order, Column: "subscription_id", Value: string(s.ID)}}, []store.List(nil)
	rows := []journal.Ref{s.Ref(), {Kind: journal.Customer, ID: s.CustomerID}, {Kind: journal.Address, ID: s.ShippingAddressID}, {Kind: journal.PaymentMethod, ID: s.PaymentMethodID}}
	switch s.Status {
	case subscription.Paused:
		c = journal.Bind(subscription.ResumeDue{ID: s.ID})
	case subscription.Active:
		if s.NextBillingDate.Before(p.today) && s.HeldOn == nil {
			paid, err := e.newestPaid(ctx, s.ID)
			if err != nil {
				return err
			}
			waitedFor = waited(paid, *s.NextBillingDate, p.zone)
		}
		order := e.p.IDs.New(id.Order)
		newest = all
		rows = append(rows, journal.Ref{Kind: journal.Order, ID: order})
		c = journal.Bind(billing.CreateOrder{SubscriptionID: s.ID, OrderID: order, AttemptID: e.p.IDs.New(id.BillingAttempt), Due: p.today})
		if c := (catchUp{ID: s.ID, Due: p.today, Keep: p.most, Policy: p.missed}); c.needed(s, p.now) {
			out, err := e.do(ctx, journal.Bind(c))
			if err != nil {
				return conflict(err)
			}
			p.late(s, out)
		}
	case subscription.Failed:
		cause, err := e.lastRecovery(ctx, row.LastSeq)
		if err != nil {
			return err
		}
		rows = append(rows, journal.Ref{Kind: journal.Order, ID: s.Recovery.OrderID})
		c = journal.Bind(billing.RetryOrder{OrderID: s.Recovery.OrderID, AttemptID: e.p.IDs.New(id.BillingAttempt), Today: p.day, Cause: cause})
	case subscription.Cancelled, subscription.Expired: // never due
		return nil
	}
	out, err := e.run(ctx, c, store.Needs{
		Rows:  rows,
		Lists: all, Newest: newest,
		Names: []store.Name{{Scope: billing.ScopeOpenOrder, Value: string(s.ID)}}})
	if err != nil {
		return conflict(err)
	}
	p.made(s, waitedFor, out)
	return e.charge(ctx, out)
}

// newestPaid gives the newest order of a subscription's rhythm that was paid; nil for none.
func (e *Engine) newestPaid(ctx context.Context, key id.ID) (*billing.Order, error) {
	orders, err := query.States[*billing.Order](ctx, e.s, query.List{Kind: journal.Order, Where: []query.Filter{query.Is(query.Subscription, key)}, Order: query.Newest, Limit: 20, Steady: true})
	if err != nil {
		return nil, err
	}
	for _, o := range orders {
		if o.Cycle != nil && o.PlacedAt != nil {
			return o, nil
		}
	}
	return nil, nil
}

// try notes that a subscription is begun. Once for each state: one that does not move is not tried again in this run.
func (p *policy) try(key id.ID, lastSeq int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried[key] = lastSeq
}

// triedAt is the last seq at which a subscription was begun and did not move; 0 for none, which is no subscription's.
func (p *policy) triedAt(key id.ID) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tried[key]
}

// late notes that a subscription had overdue orders, and those that were skipped.
func (p *policy) late(s *subscription.Subscription, out *program.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, done := range out.Events {
		if done.Type == journal.SubscriptionOrderSkipped && string(done.Detail("reason")) == `"missed"` {
			p.caught.Skipped++
		}
	}
	if slices.ContainsFunc(out.Events, func(done program.Done) bool { return string(done.Detail("reason")) == `"missed"` }) {
		p.since(s)
	}
}

// made notes that a subscription moved, and an order that was made late, unless its day passed while the one before waited for its money.
func (p *policy) made(s *subscription.Subscription, waited bool, out *program.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, changed := out.Row(s.Ref()); changed {
		delete(p.tried, s.ID)
	}
	if s.Status != subscription.Active || !s.NextBillingDate.Before(p.today) || waited || s.HeldOn != nil || len(out.Decision.Created) == 0 {
		return
	}
	p.caught.Made++
	p.since(s)
}

// since counts a subscription with overdue orders once. The caller holds mu.
func (p *policy) since(s *subscription.Subscription) {
	if !p.overdue[s.ID] {
		p.overdue[s.ID] = true
		p.caught.Subscriptions++
	}
	if d := *s.NextBillingDate; p.caught.Since.IsZero() || d.Before(p.caught.Since) {
		p.caught.Since = d
	}
}

// holds says whether it is too early to look again whether there is stock for an order that waits for it.
func (e *Engine) holds(s *subscription.Subscription) bool {
	if s.HeldOn == nil || s.Status != subscription.Active {
		return false
	}
	if _, ok := e.held[s.ID]; ok {
		return true
	}
	e.held[s.ID] = wait{until: e.p.Now().Add(heldWait)}
	return false
}

// conflict leaves out a refusal: what was due is not due any more.
func conflict(err error) error {
	if f := fault.As(err); f != nil && f.Kind == fault.Conflict {
		return nil
	}
	return err
}

// do runs a command when few enough others of the engine are waiting.
func (e *Engine) do(ctx context.Context, c journal.Command) (*program.Outcome, error) {
	return e.run(ctx, c, store.Needs{})
}

// run is do with what the command will ask for.
func (e *Engine) run(ctx context.Context, c journal.Command, needs store.Needs) (*program.Outcome, error) {
	e.waiting <- struct{}{}
	defer func() { <-e.waiting }()
	return e.p.Do(ctx, &program.Request{Meta: meta(), Command: c, Needs: needs, Yields: true})
}

// work is some subscriptions or orders that are worked on at once.
type work struct {
	ctx  context.Context
	free chan struct{}
	all  sync.WaitGroup

	mu     sync.Mutex
	inHand map[id.ID]bool // guarded by mu
	errs   []error        // guarded by mu
	ended  bool           // guarded by mu; nothing can be changed any more
}

// begin begins work: at most twice as much at once as calls of the gateway, so that those never wait for a commit.
func (e *Engine) begin(ctx context.Context) *work {
	n := e.InFlight
	if n > 1 {
		n *= 2
	}
	return &work{ctx: ctx, free: make(chan struct{}, n), inHand: map[id.ID]bool{}}
}

// has says whether something is worked on now.
func (w *work) has(key id.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inHand[key]
}

// do runs f beside the others, and waits before that while there are too many. It is false when there is no more use.
func (w *work) do(f func(context.Context) error, what string, key id.ID) bool {
	w.free <- struct{}{}
	w.mu.Lock()
	ended := w.ended || w.ctx.Err() != nil
	w.inHand[key] = !ended
	w.mu.Unlock()
	if ended {
		<-w.free
		return false
	}
	w.all.Go(func() {
		defer func() { <-w.free }()
		err := f(w.ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.inHand, key)
		if err == nil {
			return
		}
		unavailable := fault.As(err).Kind == fault.Unavailable || w.ctx.Err() != nil
		if !w.ended || !unavailable { // the first says what is the matter
			w.errs = append(w.errs, fmt.Errorf("%s %s: %w", what, key, err))
		}
		w.ended = w.ended || unavailable
	})
	return true
}

// wait waits for all, and says what failed and whether nothing could be changed any more.
func (w *work) wait() (errs []error, ended bool) {
	w.all.Wait()
	return w.errs, w.ended
}
