package auth_test

import (
	"fmt"
	"testing"
	"time"

	"perennial/internal/auth"
)

var noon = time.Date(2027, 3, 3, 12, 0, 0, 0, time.UTC)

// refusedAt gives the number of the first attempt that is refused, 0 when none of n is.
func refusedAt(l *auth.Limits, t auth.Try, n int) int {
	for i := range n {
		if _, refused := l.Admit(t, noon); refused > 0 {
			return i + 1
		}
	}
	return 0
}

func TestAnAttackerLocksNobodyElseOut(t *testing.T) {
	l := auth.NewLimits()
	victim := auth.Try{Account: "olivia", Network: "home"}
	if got := refusedAt(l, auth.Try{Account: "olivia", Network: "evil"}, 100); got != 6 {
		t.Errorf("guesses from one network end at %d", got)
	}
	if got := refusedAt(l, victim, 1); got != 0 {
		t.Error("another network is locked out")
	}
	// From the same network, a device that is known still gets in.
	refusedAt(l, victim, 100)
	known := victim
	known.Device = "dev_1"
	if got := refusedAt(l, known, 3); got != 0 {
		t.Error("a known device is locked out by its neighbours")
	}
	if got := refusedAt(l, known, 100); got != 8 {
		t.Errorf("a known device guesses %d times", got)
	}
}

func TestSuccessForgets(t *testing.T) {
	l := auth.NewLimits()
	try := auth.Try{Account: "olivia", Network: "home"}
	refusedAt(l, try, 4)
	l.Succeed(try)
	if got := refusedAt(l, try, 100); got != 6 {
		t.Errorf("after a success refused at %d", got)
	}
	if _, refused := l.Admit(try, noon.Add(time.Minute)); refused != 0 {
		t.Error("a minute gives no attempt back")
	}
}

func TestTheSecondFactorIsGuardedFromAllNetworks(t *testing.T) {
	l := auth.NewLimits()
	guesses := 0
	for i := range 1000 {
		if _, refused := l.Admit(auth.Try{Account: "olivia", Network: fmt.Sprint("net", i), Code: true}, noon); refused == 0 {
			guesses++
		}
	}
	if guesses != 10 {
		t.Errorf("%d guesses at a code", guesses)
	}
}

func TestEverybodyIsSlowedDown(t *testing.T) {
	l := auth.NewLimits()
	slowed, refused := 0, 0
	for i := range 1000 {
		switch wait, no := l.Admit(auth.Try{Account: fmt.Sprint("a", i), Network: fmt.Sprint("n", i)}, noon); {
		case no > 0:
			refused++
		case wait > 0:
			slowed++
		}
	}
	if slowed != 50 || refused != 900 {
		t.Errorf("%d slowed down and %d refused", slowed, refused)
	}
	if wait, no := l.Admit(auth.Try{Account: "olivia", Network: "home", Device: "dev"}, noon); wait > 0 || no > 0 {
		t.Error("a known device is slowed down")
	}
}

func TestTally(t *testing.T) {
	var tally auth.Tally
	due := 0
	for range 25 {
		if tally.Note("net", noon) {
			due++
		}
	}
	if due != auth.TallyEach {
		t.Errorf("%d entries of their own", due)
	}
	if got := tally.Take(noon); got["net"] != 15 {
		t.Errorf("counted %v", got)
	}
	if got := tally.Take(noon.Add(time.Minute)); len(got) != 0 {
		t.Errorf("counted again: %v", got)
	}
	if !tally.Note("net", noon.Add(time.Minute)) {
		t.Error("the next minute begins with a count")
	}
}

// Many networks make no more entries together than a bound, and one that counts the rest.
func TestTallyOfAllNetworks(t *testing.T) {
	tally := auth.Tally{All: auth.TallyAll}
	due := 0
	for n := range 600 {
		if tally.Note(fmt.Sprint("network ", n), noon) {
			due++
		}
		tally.Count(noon)
	}
	if got := tally.Take(noon); due != auth.TallyAll || len(got) != 1 || got[""] != 600-auth.TallyAll+600 {
		t.Errorf("%d entries of their own, and %v", due, got)
	}
}
