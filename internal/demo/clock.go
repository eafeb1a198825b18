package demo

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	mathrand "math/rand/v2"
	"sync"
	"time"
)

// Clock is a clock that is set while a past is made, and then let go: from then on it is the real one.
type Clock struct {
	mu   sync.Mutex
	now  time.Time // guarded by mu; while set
	real func() time.Time
	set  bool
}

// NewClock makes a clock that stands at a time. actual is the clock that it becomes when it is let go.
func NewClock(at time.Time, actual func() time.Time) *Clock {
	return &Clock{now: at.UTC(), real: actual, set: true}
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set {
		return c.now
	}
	return c.real()
}

// Set moves the clock on. It never goes back.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.now) {
		c.now = t.UTC()
	}
}

// Release makes it the real clock.
func (c *Clock) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = false
}

// Random is a source that gives the same bytes for the same seed while a past is made, and then, once released, real
// ones.
type Random struct {
	mu     sync.Mutex
	seeded *mathrand.ChaCha8 // guarded by mu; nil once released
}

// NewRandom makes a source from a seed.
func NewRandom(seed uint64) *Random {
	return &Random{seeded: mathrand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint64([]byte("perennial demo ids "), seed)))}
}

// Read implements io.Reader.
func (r *Random) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seeded == nil {
		return io.ReadFull(rand.Reader, b)
	}
	return r.seeded.Read(b)
}

// Release makes it a source of real randomness.
func (r *Random) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seeded = nil
}
