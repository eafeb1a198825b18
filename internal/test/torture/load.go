package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"perennial/verify"
)

// call is one change that a caller wants. Its key is its idempotency key and its request id: the entry shows the latter.
type call struct {
	Key, Method, Path, Body string
}

// receipt is what an answer says of an event.
type receipt struct {
	ID       string `json:"id"`
	Seq      int64  `json:"seq"`
	LeafHash []byte `json:"leaf_hash"`
}

// acknowledgement is a first answer, as it is kept outside the database.
type acknowledgement struct {
	call
	Status int
	Answer []byte
	Events []receipt
}

// load is the callers and what they know. Its lock guards everything below it.
type load struct {
	ledger *ledger
	apiKey string
	result *Result
	things []string      // products that many callers change
	gap    time.Duration // between a caller's changes

	mu        sync.Mutex
	acks      map[string]*acknowledgement
	order     []string        // keys of acks
	open      []call          // whose outcome is not known, or that were refused and will be asked for again
	given     map[string]bool // calls that were refused and are never asked for again
	seen      map[int64]verify.Checkpoint
	requests  int
	retried   int
	unknown   int
	refusals  int
	lapses    []func(*Result) // what the callers saw broken, for the goroutine that owns the result
	held      [invariants]int
	serial    int
	lastNotes []string
}

func newLoad(r *run) (*load, error) {
	ledger, err := openLedger(filepath.Join(r.dir, "acknowledged.jsonl"))
	if err != nil {
		return nil, err
	}
	l := &load{ledger: ledger, apiKey: r.apiKey, result: r.result, acks: map[string]*acknowledgement{}, given: map[string]bool{}, seen: map[int64]verify.Checkpoint{}}
	if r.o.Short {
		l.gap = 20 * time.Millisecond // other tests run beside it
	}
	for n := range 6 {
		c := call{Key: fmt.Sprintf("t%d-thing-%d", r.o.Seed, n), Method: http.MethodPost, Path: "/products", Body: fmt.Sprintf(`{"title":"Thing %d"}`, n)}
		if l.ask(r.servers[0].base, c) != made {
			return l, fmt.Errorf("a product could not be made: %v", l.acks)
		}
		var v struct{ Data struct{ ID string } }
		if err := json.Unmarshal(l.acks[c.Key].Answer, &v); err != nil {
			return l, err
		}
		l.things = append(l.things, v.Data.ID)
	}
	return l, nil
}

func (l *load) close() error { return l.ledger.close() }

func (l *load) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acks)
}

func (l *load) refused() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusals
}

// next makes up a change.
func (l *load) next(rng *rand.Rand) call {
	l.mu.Lock()
	l.serial++
	key := fmt.Sprintf("t-%s-%d", l.result.Name, l.serial)
	l.mu.Unlock()
	key = strings.ReplaceAll(key, " ", "-")
	switch n := rng.IntN(10); {
	case n < 5:
		return call{key, http.MethodPatch, "/products/" + l.things[rng.IntN(len(l.things))], `{"title":"Now ` + key + `"}`}
	case n < 8:
		return call{key, http.MethodPost, "/products", `{"title":"Product ` + key + `"}`}
	}
	// A person's: its values and its answer are sealed.
	return call{key, http.MethodPost, "/customers", `{"email":"` + key + `@example.test","first_name":"Ada"}`}
}

// outcome is what a caller knows of a call.
type outcome int

const (
	made   outcome = iota
	lost           // nobody knows: the answer did not come, or says so
	denied         // it says that nothing was changed
	odd            // it is an answer that nobody promised
)

// send asks for a change once, and says what is known then.
func (l *load) send(base string, c call) (int, []byte, outcome) {
	req, err := http.NewRequest(c.Method, base+c.Path, strings.NewReader(c.Body))
	if err != nil {
		panic(err) // the call is made up above
	}
	req.Header.Set("Authorization", "Bearer "+l.apiKey)
	req.Header.Set("Idempotency-Key", c.Key)
	req.Header.Set("X-Request-Id", c.Key)
	code, body, err := do(req)
	switch {
	case err != nil:
		return 0, nil, lost
	case code < 300:
		return code, body, made
	}
	var p struct{ Code string }
	_ = json.Unmarshal(body, &p) // without a code it is no answer that was promised
	if code != http.StatusServiceUnavailable || p.Code == "" {
		l.broke(answers, "%s %s: %d %.300s", c.Method, c.Path, code, bytes.TrimSpace(body))
		if code < 500 {
			return code, body, odd
		}
		return code, body, lost
	}
	l.holds(answers)
	if p.Code == "outcome_unknown" {
		return code, body, lost
	}
	return code, body, denied
}

// ask asks for a change and keeps what came.
func (l *load) ask(base string, c call) outcome {
	l.mu.Lock()
	l.requests++
	l.mu.Unlock()
	code, body, o := l.send(base, c)
	switch o {
	case odd:
		return o
	case lost:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.unknown++
		l.open = append(l.open, c)
		return o
	case denied:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refusals++
		return o
	}
	var v struct{ Events []receipt }
	if err := json.Unmarshal(body, &v); err != nil {
		l.broke(answers, "%s: %v: %.300s", c.Key, err, body)
		return o
	}
	l.holds(answers)
	l.mu.Lock()
	first := l.acks[c.Key]
	l.mu.Unlock()
	if first == nil {
		a := &acknowledgement{c, code, body, v.Events}
		if err := l.ledger.add(a); err != nil {
			l.broke(acknowledged, "the ledger cannot be written: %v", err)
			return o
		}
		l.mu.Lock()
		if first = l.acks[c.Key]; first == nil {
			l.acks[c.Key], first = a, a
			l.order = append(l.order, c.Key)
		}
		l.mu.Unlock()
		if first == a {
			return o
		}
	}
	if first.Status == code && bytes.Equal(first.Answer, body) {
		l.holds(firstAnswer)
	} else {
		l.broke(firstAnswer, "%s: first %d %.200s, then %d %.200s", c.Key, first.Status, first.Answer, code, body)
	}
	return o
}

func (l *load) holds(i invariant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[i]++
}

func (l *load) broke(i invariant, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lapses = append(l.lapses, func(r *Result) { r.broke(i, format, args...) })
}

// tell hands over to the result what the callers saw.
func (l *load) tell(r *Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, say := range l.lapses {
		say(r)
	}
	for i, n := range l.held {
		r.held(invariant(i), n)
	}
	l.lapses, l.held = nil, [invariants]int{}
}

// count puts the figures into the result.
func (l *load) count(r *Result) {
	l.tell(r)
	r.Requests, r.Acknowledged, r.Retried, r.Unknown, r.Refused = l.requests, len(l.acks), l.retried, l.unknown, int64(l.refusals)
	r.Checkpoints = len(l.seen)
}

// begin sets the callers on the servers. stop ends them and waits.
func (l *load) begin(seed uint64, bases []string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for n := range callers {
		wg.Go(func() { l.caller(ctx, rand.New(rand.NewPCG(seed, uint64(n))), bases[n%len(bases)]) })
	}
	wg.Go(func() { l.watch(ctx, bases) })
	return func() { cancel(); wg.Wait() }
}

func (l *load) caller(ctx context.Context, rng *rand.Rand, base string) {
	for ctx.Err() == nil {
		switch n := rng.IntN(40); {
		case n == 0: // what was answered long ago, once more
			if c, ok := l.old(rng); ok {
				l.again(base, c)
				continue
			}
		case n == 1: // the same twice at once
			c := l.next(rng)
			var wg sync.WaitGroup
			wg.Go(func() { l.ask(base, c) })
			l.again(base, c)
			wg.Wait()
			continue
		case n < 6: // what was left open
			if c, ok := l.pop(); ok {
				if l.again(base, c) == denied {
					l.mu.Lock()
					l.open = append(l.open, c)
					l.mu.Unlock()
				}
				continue
			}
		}
		c := l.next(rng)
		switch l.ask(base, c) {
		case made:
			pause(ctx, l.gap)
		case lost:
			pause(ctx, 20*time.Millisecond) // the server may be gone
		case denied:
			l.mu.Lock()
			if rng.IntN(2) == 0 {
				l.given[c.Key] = true
			} else {
				l.open = append(l.open, c)
			}
			l.mu.Unlock()
			pause(ctx, 20*time.Millisecond)
		}
	}
}

func (l *load) again(base string, c call) outcome {
	l.mu.Lock()
	l.retried++
	l.mu.Unlock()
	return l.ask(base, c)
}

func (l *load) old(rng *rand.Rand) (call, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.order) == 0 {
		return call{}, false
	}
	return l.acks[l.order[rng.IntN(len(l.order))]].call, true
}

func (l *load) pop() (c call, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) == 0 {
		return c, false
	}
	c = l.open[0]
	l.open = l.open[1:]
	return c, true
}

// watch asks for checkpoints while the callers work, and keeps what it saw outside the database too.
func (l *load) watch(ctx context.Context, bases []string) {
	for n := 0; ctx.Err() == nil; n++ {
		if code, note, err := get(bases[n%len(bases)]+"/checkpoint", l.apiKey); err == nil && code == http.StatusOK {
			if err := l.ledger.add(map[string]string{"Checkpoint": string(note)}); err == nil {
				l.mu.Lock()
				l.lastNotes = append(l.lastNotes, string(note))
				l.mu.Unlock()
			}
		}
		pause(ctx, 120*time.Millisecond)
	}
}

// until waits until something is so, at most for a while, and says whether it is.
func (l *load) until(ctx context.Context, atMost time.Duration, so func() bool) bool {
	for end := time.Now().Add(atMost); time.Now().Before(end) && ctx.Err() == nil; pause(ctx, 10*time.Millisecond) {
		if so() {
			return true
		}
	}
	return so()
}

// settle asks again for everything that was left open, until each has an answer, and for a sample of the first answers.
func (l *load) settle(ctx context.Context, bases []string) {
	var wg sync.WaitGroup
	end := time.Now().Add(startWithin)
	for n := range callers {
		wg.Go(func() {
			for c, ok := l.pop(); ok && ctx.Err() == nil; c, ok = l.pop() {
				o := l.again(bases[n%len(bases)], c)
				if o == made || o == odd {
					continue
				}
				if time.Now().After(end) {
					l.broke(comesBack, "%s has no answer after %v", c.Key, startWithin)
					return
				}
				if o == denied {
					l.mu.Lock()
					l.open = append(l.open, c)
					l.mu.Unlock()
				}
				pause(ctx, 50*time.Millisecond)
			}
		})
	}
	wg.Wait()
	l.mu.Lock()
	recent := slices.Clone(l.order[max(0, len(l.order)-100):])
	for range min(100, len(l.order)) {
		recent = append(recent, l.order[rand.IntN(len(l.order))])
	}
	calls := make(chan call, len(recent))
	for _, k := range recent {
		calls <- l.acks[k].call
	}
	l.mu.Unlock()
	close(calls)
	for n := range callers {
		wg.Go(func() {
			for c := range calls {
				if o := l.again(bases[n%len(bases)], c); o != made {
					l.broke(firstAnswer, "%s was answered before, and now it is not", c.Key)
				}
			}
		})
	}
	wg.Wait()
}

// snapshot is what the callers know, while they do not work.
func (l *load) snapshot() (acks map[string]*acknowledgement, given map[string]bool, notes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	notes, l.lastNotes = l.lastNotes, nil
	return maps.Clone(l.acks), maps.Clone(l.given), notes
}
