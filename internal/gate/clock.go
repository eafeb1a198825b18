package gate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// How far clocks may differ.
const (
	Tolerance = 10 * time.Minute // from what else tells the time, and of the journal from the clock
	follow    = time.Hour        // after which the clock's own drift since the last look is forgiven
)

// Clock holds a clock against what else tells the time, so that one that is wrong for a moment cannot write entries of the
// future: the journal's time never goes back, and everything after such an entry would be dated by it.
//
//   - A clock that moves against the steady one of the machine jumped.
//   - A witness (the database's clock, the date that the gateway answers with) that says another time is believed; one that agrees
//     vouches for a jump too, as after a virtual machine was paused.
//   - At the start there is no steady clock to compare with: a gap after the last entry is accepted when a witness agrees,
//     when it is short, or by the word of whoever runs the server.
//
// It is safe for concurrent use.
type Clock struct {
	steady func() time.Duration // since some moment; nil: there is none

	mu       sync.Mutex
	own      mark            // guarded by mu; the clock's own time when it was last believed
	said     map[string]mark // guarded by mu; what witnesses said, by name
	last     time.Time       // guarded by mu; of the journal's last entry; zero for none
	most     time.Duration   // guarded by mu; the longest gap at the start that nobody has to vouch for; 0: any
	vouched  bool            // guarded by mu; the gap at the start is accepted
	accepted time.Time       // guarded by mu; whoever runs the server accepted that the journal is so far ahead of the clock
}

// mark is a time together with what the steady clock said at it.
type mark struct {
	at     time.Time     // true then
	steady time.Duration // then
	clock  time.Time     // what the clock said then
}

// NewClock judges a clock that says now at the start. steady may be nil.
func NewClock(now time.Time, steady func() time.Duration) *Clock {
	c := &Clock{steady: steady, said: map[string]mark{}, vouched: true}
	c.own = c.mark(now, now)
	return c
}

// Heed makes the gate ask about a clock from now on.
func (g *Gate) Heed(c *Clock) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clock = c
}

// Wrote says that the journal's last entry is of a time.
func (g *Gate) Wrote(last time.Time) {
	if g == nil {
		return
	}
	g.mu.Lock()
	c := g.clock
	g.mu.Unlock()
	c.Wrote(last)
}

func (c *Clock) mark(at, clock time.Time) mark {
	m := mark{at: at.Round(0), clock: clock.Round(0)}
	if c.steady != nil {
		m.steady = c.steady()
	}
	return m
}

// should is what a right clock would say now, by a mark.
func (c *Clock) should(m mark, now time.Time) time.Time {
	if c.steady == nil {
		return m.at.Add(now.Sub(m.clock))
	}
	return m.at.Add(c.steady() - m.steady)
}

// Gap says when the journal's last entry was, at the start, and how long a gap nobody has to vouch for.
func (c *Clock) Gap(last time.Time, most time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.most = last, most
	c.vouched = most == 0 || last.IsZero() || c.own.at.Sub(last) <= most
}

// Wrote says that the journal's last entry is of a time.
func (c *Clock) Wrote(last time.Time) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if last.After(c.last) {
		c.last = last
	}
}

// Witness says what somebody else says of the time, when the clock said now.
func (c *Clock) Witness(name string, said, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said[name] = c.mark(said, now)
	for _, m := range c.said {
		if differ(now, c.should(m, now)) != 0 {
			return
		}
	}
	c.own, c.vouched = c.mark(now, now), true
}

// Accept takes the clock for right, by the word of whoever runs the server: the gap at the start, or a journal that is ahead.
func (c *Clock) Accept(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own, c.vouched, c.accepted = c.mark(now, now), true, c.last
}

// Unvouched says whether the gap after the last entry is one that somebody has to vouch for, and how long it is.
func (c *Clock) Unvouched(now time.Time) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gap := now.Round(0).Sub(c.last)
	return gap, !c.vouched && gap > c.most
}

// differ says how far now is ahead of a time, and 0 within the tolerance.
func differ(now, right time.Time) time.Duration {
	if d := now.Round(0).Sub(right); d > Tolerance || d < -Tolerance {
		return d
	}
	return 0
}

// Judge gives the reason why a time that the clock just gave is not believed; false when it is.
func (c *Clock) Judge(now time.Time) (Reason, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.vouched && now.Round(0).Sub(c.last) <= c.most {
		c.own, c.vouched = c.mark(now, now), true // it was wrong at the start, and was set right
	}
	says := now.UTC().Format("2 January 2006, 15:04")
	for _, name := range slices.Sorted(maps.Keys(c.said)) {
		right := c.should(c.said[name], now)
		if d := differ(now, right); d != 0 {
			return clockReason(
				d,
				fmt.Sprintf("The clock of this server says %s (UTC), and %s says %s. Set the clock right.", says, name,
					right.UTC().Format("2 January 2006, 15:04")),
			), true
		}
	}
	if len(c.said) == 0 {
		right := c.should(c.own, now)
		if d := differ(now, right); d != 0 {
			return clockReason(
				d,
				fmt.Sprintf("The clock of this server jumped by %s to %s (UTC). Set it right, or, if it is right now, start the server again.",
					spell(d), says),
			), true
		}
	}
	if gap := now.Round(0).Sub(c.last); !c.vouched && gap > c.most {
		return clockReason(gap, fmt.Sprintf("The clock of this server says %s (UTC), %s after the last entry, and there is nobody to ask. "+
			"Set it right, or, if it is right, start the server once with --accept-clock and --because.", says, spell(gap))), true
	}
	if ahead := c.last.Sub(now.Round(0)); ahead > Tolerance && c.last.After(c.accepted) {
		return clockReason(
			-ahead,
			fmt.Sprintf("The clock of this server says %s (UTC), and the last entry is of %s, %s later. Set the clock right, or, if it is right, "+
				"start the server once with --accept-clock and --because.", says, c.last.UTC().Format("2 January 2006, 15:04"), spell(ahead)),
		), true
	}
	if c.steady != nil && c.steady()-c.own.steady > follow {
		c.own = c.mark(now, now) // a clock that is a little fast is not wrong after a year
	}
	return Reason{}, false
}

// clockReason holds up writing only when the clock is ahead: entries that come too late are dated like the one before them.
func clockReason(d time.Duration, sentence string) Reason {
	if d > 0 {
		return Reason{Code: ClockAhead, Sentence: sentence, Holds: All | Write}
	}
	return Reason{Code: ClockBehind, Sentence: sentence, Holds: All}
}

// spell writes a span of time in the unit that fits.
func spell(d time.Duration) string {
	d = max(d, -d)
	n, unit := int64(d/(24*time.Hour)), "day"
	if n < 2 {
		n, unit = int64(d/time.Hour), "hour"
	}
	if n < 2 {
		n, unit = cmp.Or(int64(d/time.Minute), 1), "minute"
	}
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// judge raises or clears the reason that the clock is.
func (g *Gate) judge(now time.Time) {
	g.mu.Lock()
	c := g.clock
	g.mu.Unlock()
	if c == nil {
		return
	}
	r, doubted := c.Judge(now)
	if doubted {
		g.Raise(r)
	}
	for _, code := range []string{ClockAhead, ClockBehind} {
		if !doubted || code != r.Code {
			g.Clear(code)
		}
	}
}
