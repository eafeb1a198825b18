package torture

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// invariant is one thing that has to hold, whatever happened.
type invariant int

// The invariants. The order is that of the report.
const (
	acknowledged invariant = iota
	once
	firstAnswer
	refused
	answers
	seqs
	versions
	times
	leaves
	tree
	prefixes
	replay
	guards
	comesBack
	stops
	charged
	billed
	books
	idle
	invariants
)

var names = [invariants]struct{ name, words string }{
	acknowledged: {"acknowledged", "every acknowledged change has its entry: id, seq and leaf hash of the receipt"},
	once:         {"once", "nothing happened twice: one command for each request, whatever was retried"},
	firstAnswer:  {"first-answer", "an idempotency key gives the first answer again, byte for byte"},
	refused:      {"refused", "what was refused, and not asked for again, made no entry"},
	answers:      {"answers", "no answer but those that were promised: made, or unavailable"},
	seqs:         {"seq", "seq has no gap and no repetition"},
	versions:     {"target-version", "target_version of each thing has no gap, and points to its entry before"},
	times:        {"recorded-at", "recorded_at never goes back, and is of no clock that is wrong"},
	leaves:       {"leaf", "the stored bytes of each entry are its leaf"},
	tree:         {"tree", "the head's tree is that of the entries"},
	prefixes:     {"checkpoint", "every checkpoint ever seen is a prefix of the final tree"},
	replay:       {"replay", "replaying all entries gives the live rows"},
	guards:       {"guards", "the database itself still refuses: its triggers and grants are there"},
	comesBack:    {"comes-back", "the server starts again after the fault, and answers"},
	stops:        {"stops", "a server that is told to stop answers what is under way and ends without an error"},
	charged:      {"charged-once", "nobody is charged twice, and no item is in two paid orders of one date"},
	billed:       {"billed", "whoever can pay is billed for the day, with all that they have"},
	books:        {"books", "each order was paid what the gateway took for it, and it took nothing else"},
	idle:         {"idle", "nothing is charged beside an old copy or a wrong key"},
}

func (i invariant) String() string { return names[i].name }

// maxWords is how many broken cases of an invariant are told in words.
const maxWords = 4

// tally is what was seen of one invariant.
type tally struct {
	Invariant       string
	Checked, Broken int64
	Words           []string
}

// Result is what one scenario gave.
type Result struct {
	Name                   string
	Rounds                 int
	Requests, Acknowledged int
	Retried, Unknown       int
	Refused, Entries       int64
	Checkpoints            int
	Tallies                [invariants]tally
	Could                  []string // what could not be run, and why
	Took                   time.Duration
	Dir                    string // of what it left, when something is to be looked at

	Sabotage string // the invariant that has to be broken; empty: none may be

	began time.Time
}

func newResult(s scenario) *Result {
	r := &Result{Name: s.name, began: time.Now()}
	for i := range r.Tallies {
		r.Tallies[i].Invariant = names[i].name
	}
	if s.sabotage {
		r.Sabotage = s.red.String()
	}
	return r
}

func (r *Result) held(i invariant, n int) { r.Tallies[i].Checked += int64(n) }

// broke notes a case in which an invariant does not hold.
func (r *Result) broke(i invariant, format string, args ...any) {
	t := &r.Tallies[i]
	t.Checked++
	t.Broken++
	if len(t.Words) < maxWords {
		t.Words = append(t.Words, fmt.Sprintf(format, args...))
	}
}

// expect notes one case.
func (r *Result) expect(i invariant, holds bool, format string, args ...any) {
	if holds {
		r.held(i, 1)
		return
	}
	r.broke(i, format, args...)
}

func (r *Result) cannot(err error) { r.Could = append(r.Could, err.Error()) }

// Broken is how many cases of all invariants do not hold.
func (r *Result) Broken() (n int64) {
	for _, t := range r.Tallies {
		n += t.Broken
	}
	return n
}

// Red names the broken invariants.
func (r *Result) Red() (out []string) {
	for i, t := range r.Tallies {
		if t.Broken > 0 {
			out = append(out, invariant(i).String())
		}
	}
	return out
}

// Good says whether it is as it has to be: everything held, or, of a sabotage, the invariant that it is about is red.
func (r *Result) Good() bool {
	if r.Sabotage != "" {
		return slices.Contains(r.Red(), r.Sabotage)
	}
	return r.Broken() == 0 && len(r.Could) == 0
}

// String is the result as a person reads it: all invariants, not only the broken ones.
func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d rounds, %d requests, %d acknowledged, %d sent again, %d without an answer, %d refused, %d entries, %d checkpoints seen, %.0f s\n", r.Name, r.Rounds,
		r.Requests, r.Acknowledged, r.Retried, r.Unknown, r.Refused, r.Entries, r.Checkpoints, r.Took.Seconds())
	for i, t := range r.Tallies {
		fmt.Fprintf(&b, "  %-15s %9d checked %7d broken   %s\n", names[i].name, t.Checked, t.Broken, names[i].words)
		for _, w := range t.Words {
			fmt.Fprintf(&b, "      %s\n", w)
		}
	}
	for _, w := range r.Could {
		fmt.Fprintf(&b, "  could not run: %s\n", w)
	}
	if r.Dir != "" {
		fmt.Fprintf(&b, "  left in %s\n", r.Dir)
	}
	return b.String()
}

// Report is what a whole run gave.
type Report struct {
	Seed      uint64
	Began     time.Time
	Took      time.Duration
	Scenarios []*Result
}

// The exit codes.
const (
	Held       = 0
	DoesntHold = 1 // an invariant is broken
	CouldNot   = 2 // nothing is broken, but not everything could be run
)

// ExitCode sums it up. A sabotage that nothing noticed is worse than a broken invariant: then all the others say nothing.
func (r *Report) ExitCode() int {
	code := Held
	for _, s := range r.Scenarios {
		switch {
		case s.Good():
		case len(s.Could) > 0 && s.Broken() == 0:
			code = max(code, CouldNot)
		default:
			return DoesntHold
		}
	}
	if len(r.Scenarios) == 0 {
		return CouldNot
	}
	return code
}

// String is one line for each scenario, and the verdict.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, seed %d, %.0f s\n", r.Began.Format("2 January 2006 15:04"), r.Seed, r.Took.Seconds())
	for _, s := range r.Scenarios {
		verdict := "held"
		if red := s.Red(); s.Sabotage != "" && s.Good() {
			verdict = "red, as it has to be: " + strings.Join(red, ", ")
		} else if len(red) > 0 {
			verdict = "BROKEN: " + strings.Join(red, ", ")
		} else if s.Sabotage != "" && len(s.Could) == 0 {
			verdict = "NOT NOTICED: " + s.Sabotage + " stayed green"
		} else if len(s.Could) > 0 {
			verdict = "could not run: " + strings.Join(s.Could, "; ")
		}
		fmt.Fprintf(&b, "  %-28s %3d rounds %7d acknowledged %7d entries   %s\n", s.Name, s.Rounds, s.Acknowledged, s.Entries, verdict)
	}
	fmt.Fprintf(&b, "%s\n", [...]string{"Everything held.", "An invariant is broken.", "Nothing is broken, but not everything could be run."}[r.ExitCode()])
	return b.String()
}
