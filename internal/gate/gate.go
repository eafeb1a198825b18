// Package gate knows why a shop must not use its powers now: charge, send, destroy, compare its books, take reports, change subscriptions,
// write.
//
// A fact that one part of the program knows (the database is an old copy, the gateway's account is another one, the clock is
// wrong) is raised here once, and every part that has a power asks here at the moment it uses it: before each charge, each
// message, each destroyed key, and not only when its loop begins. The same reasons are what /readyz, the start page of the
// Dashboard, the metrics and the log say, so that nobody has to ask twice why nothing moves.
//
//	g.Raise(gate.Reason{Code: gate.GatewayFailing, Sentence: "…", Holds: gate.Charge, Warning: true})
//	if err := g.Ask(gate.Charge); err != nil { return err } // a 503 with the code and the sentence of the first reason
//	g.Clear(gate.GatewayFailing)
//
// The tests named WhileTheGateIsClosed in engine, notify and server turn red for each consumer that does not ask; that nothing is
// written is held by TestAClockThatJumpsAheadChargesNothing.
package gate

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"perennial/internal/fault"
)

// Power is what a shop can do to the world, or to what it cannot get back.
type Power uint8

// The powers.
const (
	Charge  Power = 1 << iota // take or give back money, and make the orders that lead to it
	Send                      // send messages
	Destroy                   // erase by itself what is kept no longer
	Compare                   // hold the orders against the gateway's books
	Report                    // take what the gateway reports
	Plan                      // change subscriptions, and with them what the next charges pay for
	Write                     // write anything at all

	All = Charge | Send | Destroy | Compare | Report // what a server does by itself
)

// The codes of reasons. Each is stable, and a value of a label of the metrics.
const (
	DatabaseBehind   = "database_behind"       // the database is older than the last signed checkpoint: an old copy
	DatabaseForked   = "database_forked"       // the database is another history than the one that was signed
	DatabaseUnproved = "database_unproved"     // nobody could compare the database with the last signed checkpoint yet
	ShopMoved        = "journal_moved"         // the shop goes on in another database
	GatewayChanged   = "gateway_changed"       // another account of the gateway, or another mode
	GatewayUnknown   = "gateway_unknown"       // the gateway did not say yet whose account it is
	GatewayAhead     = "gateway_ahead"         // the gateway charged for this shop what the database knows nothing of: an old copy
	GatewayFailing   = "gateway_access_failed" // our access to the gateway fails again and again
	GatewayVersion   = "gateway_version"       // the gateway reports in a version of its API that nobody has looked at
	ClockAhead       = "clock_ahead"           // the clock is ahead of what else tells the time
	ClockBehind      = "clock_behind"          // the clock is behind the journal
)

// Codes are all codes, in the order in which a reason wins over another one.
var Codes = []string{ClockAhead, DatabaseBehind, DatabaseForked, DatabaseUnproved, GatewayAhead, ShopMoved, ClockBehind,
	GatewayChanged, GatewayUnknown, GatewayFailing, GatewayVersion}

// Reason is why a power is held up.
type Reason struct {
	Code     string
	Sentence string    // for people; it says what to do
	Holds    Power     // 0: nothing; it is told all the same
	Warning  bool      // the pages work all the same: no reason to send people to another server
	Since    time.Time // set when it is raised
}

// ErrHeld is behind every refusal of Ask.
var ErrHeld = errors.New("gate: held")

// Gate holds the reasons. A nil Gate is always open. It is safe for concurrent use.
type Gate struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	reasons []Reason // guarded by mu; in the order of Codes
	clock   *Clock   // guarded by mu; nil: the clock is believed
}

// New makes an open gate. It says in the log when a reason comes and when it goes.
func New(log *slog.Logger, now func() time.Time) *Gate { return &Gate{log: log, now: now} }

// Raise adds a reason, or gives the one of the same code another sentence; since when it is there stays.
func (g *Gate) Raise(r Reason) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := g.find(r.Code); i >= 0 {
		r.Since = g.reasons[i].Since
		g.reasons[i] = r
		return
	}
	r.Since = g.now().UTC()
	at, _ := slices.BinarySearchFunc(g.reasons, place(r.Code), func(x Reason, n int) int { return place(x.Code) - n })
	g.reasons = slices.Insert(g.reasons, at, r)
	if r.Holds == 0 {
		g.log.Error("a warning", "code", r.Code, "why", r.Sentence)
		return
	}
	g.log.Error("billing, messages or more of what the server does by itself is held up", "code", r.Code, "why", r.Sentence)
}

// Clear takes a reason away.
func (g *Gate) Clear(code string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := g.find(code); i >= 0 {
		g.log.Warn("what was held up goes on", "code", code, "since", g.reasons[i].Since)
		g.reasons = slices.Delete(g.reasons, i, i+1)
	}
}

// find gives the place of a reason, -1 for none. mu is held.
func (g *Gate) find(code string) int {
	return slices.IndexFunc(g.reasons, func(r Reason) bool { return r.Code == code })
}

// place is where a code stands among the others; one that is not listed comes last.
func place(code string) int {
	if i := slices.Index(Codes, code); i >= 0 {
		return i
	}
	return len(Codes)
}

// Ask refuses while something holds up a power, with the first reason as a 503. Reasons of the codes in but do not count:
// whoever raised one may try whether it still holds.
func (g *Gate) Ask(p Power, but ...string) error {
	if g == nil {
		return nil
	}
	return g.AskAt(g.now(), p, but...)
}

// AskAt is Ask for what is to be done with a time that the clock just gave.
func (g *Gate) AskAt(now time.Time, p Power, but ...string) error {
	if g == nil {
		return nil
	}
	g.judge(now)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.reasons {
		if r.Holds&p != 0 && !slices.Contains(but, r.Code) {
			return fault.Wrap(ErrHeld, fault.Unavailable, r.Code, "%s", r.Sentence)
		}
	}
	return nil
}

// Reasons gives what holds something up now, the most important reason first.
func (g *Gate) Reasons() []Reason {
	if g == nil {
		return nil
	}
	g.judge(g.now())
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.reasons)
}

// Held says whether an error is a refusal of Ask.
func Held(err error) bool { return errors.Is(err, ErrHeld) }
