package auth

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The limits of signing in, for each of which failures come back one by one.
//
// Somebody who guesses must not be able to lock out whom they guess at. So failures are counted for an account and a
// network together, and for a network; a device that signed in before, and shows its sealed mark, has a count of its own
// that no stranger can use up. What strangers send from many networks at once is only slowed down, all of it together.
const (
	pairFailures   = 5 // of one account from one network
	pairEvery      = time.Minute
	networkTries   = 60 // of all accounts from one network
	networkEvery   = 5 * time.Second
	deviceFailures = 10 // of one account from a device that is known
	deviceEvery    = time.Minute
	codeFailures   = 10 // of one account's second factor, from devices that are not known
	codeEvery      = 3 * time.Minute
	globalTries    = 50 // of everybody whose device is not known
	globalPerSec   = 10
	globalWait     = 5 * time.Second // longer is refused
	entriesKept    = 50_000
)

// Try is one attempt to sign in.
type Try struct {
	Account string // whom it is for; empty where nothing can be guessed: a passkey, an identity provider
	Network string // where it comes from
	Device  string // the known device that it comes from; empty for a stranger
	Code    bool   // it is about the second factor, so the password was right
}

func (t Try) keys() []string {
	if t.Device != "" {
		return []string{"device " + t.Device + " " + t.Account}
	}
	if t.Code {
		return []string{"code " + t.Account}
	}
	if t.Account == "" {
		return []string{"network " + t.Network}
	}
	return []string{"pair " + t.Account + " " + t.Network, "network " + t.Network}
}

func newLimit(key string) *rate.Limiter {
	switch key[0] {
	case 'd':
		return rate.NewLimiter(rate.Every(deviceEvery), deviceFailures)
	case 'c':
		return rate.NewLimiter(rate.Every(codeEvery), codeFailures)
	case 'p':
		return rate.NewLimiter(rate.Every(pairEvery), pairFailures)
	}
	return rate.NewLimiter(rate.Every(networkEvery), networkTries)
}

// Limits holds the counts, in memory: a restart forgives.
type Limits struct {
	mu     sync.Mutex
	by     map[string]*rate.Limiter // guarded by mu
	global *rate.Limiter
}

// NewLimits makes limits that nobody has used.
func NewLimits() *Limits {
	return &Limits{by: map[string]*rate.Limiter{}, global: rate.NewLimiter(globalPerSec, globalTries)}
}

// Admit counts an attempt as a failure until Succeed says otherwise. wait is how long it should be held up before it is
// looked at; refused, which is more than zero when it must not be looked at, is when to try again.
func (l *Limits) Admit(t Try, now time.Time) (wait, refused time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.by) > entriesKept {
		l.forget(now)
	}
	var taken []*rate.Reservation
	giveBack := func() {
		for _, r := range taken {
			r.CancelAt(now)
		}
	}
	for _, key := range t.keys() {
		lim := l.by[key]
		if lim == nil {
			lim = newLimit(key)
			l.by[key] = lim
		}
		r := lim.ReserveN(now, 1)
		taken = append(taken, r)
		if d := r.DelayFrom(now); d > 0 {
			giveBack()
			return 0, d
		}
	}
	if t.Device != "" {
		return 0, 0
	}
	r := l.global.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > globalWait {
		taken = append(taken, r)
		giveBack()
		return 0, wait
	}
	return wait, 0
}

// Succeed forgets the failures of an account from where it signed in.
func (l *Limits) Succeed(t Try) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.by, t.keys()[0])
}

// forget drops the counts that are as good as new, and if that is not enough all of them: memory has an end.
func (l *Limits) forget(now time.Time) {
	for k, lim := range l.by {
		if lim.TokensAt(now) >= float64(lim.Burst()) {
			delete(l.by, k)
		}
	}
	if len(l.by) > entriesKept/2 {
		clear(l.by)
	}
}

// TallyEach is how many refusals of one source in a minute are an entry each; those after them are counted into one, so
// that nobody fills the disk with them.
const TallyEach = 10

// TallyAll is how many refusals of strangers in a minute are an entry each, from wherever they come; those after them are counted into
// one: somebody with many networks fills the disk no faster than with one.
const TallyAll = 60

// Tally counts refusals by source and minute.
type Tally struct {
	All int // entries a minute for all sources together; 0: as many as there are sources for

	mu  sync.Mutex
	by  map[string]*tallied // guarded by mu; "" is what is counted for all sources together
	all tallied             // guarded by mu
}

type tallied struct {
	minute  time.Time
	count   int
	pending int // counted, and in no entry yet
}

// Note counts one refusal. due says that it wants an entry of its own now.
func (t *Tally) Note(source string, now time.Time) (due bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	minute := now.Truncate(time.Minute)
	if !t.all.minute.Equal(minute) {
		t.all = tallied{minute: minute}
	}
	if t.all.count++; t.All > 0 && t.all.count > t.All {
		t.of("", minute).pending++
		return false
	}
	n := t.of(source, minute)
	if n.count++; n.count <= TallyEach {
		return true
	}
	n.pending++
	return false
}

func (t *Tally) of(source string, minute time.Time) *tallied {
	if t.by == nil {
		t.by = map[string]*tallied{}
	}
	n := t.by[source]
	if n == nil {
		n = &tallied{minute: minute}
		t.by[source] = n
	}
	if !n.minute.Equal(minute) {
		n.minute, n.count = minute, 0
	}
	return n
}

// Count counts a refusal that never wants an entry of its own, for all sources together: one by the limits, at which nothing was looked at.
func (t *Tally) Count(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of("", now.Truncate(time.Minute)).pending++
}

// Take gives what is counted and in no entry yet, by source, and forgets it. It is for whoever looks once a minute.
func (t *Tally) Take(now time.Time) map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]int{}
	for source, n := range t.by {
		if n.pending > 0 {
			out[source] = n.pending
			n.pending = 0
		}
		if now.Sub(n.minute) >= time.Minute {
			delete(t.by, source)
		}
	}
	return out
}
