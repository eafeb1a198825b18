package follow

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"perennial/internal/fault"
	"perennial/internal/gate"
)

// written is a journal of which only is known how long it is.
type written struct {
	mu       sync.Mutex
	head     int64
	watchers map[chan struct{}]bool
}

func (w *written) Now() time.Time { return time.Now() }

func (w *written) Head() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.head
}

func (w *written) Watch() (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watchers == nil {
		w.watchers = map[chan struct{}]bool{}
	}
	c := make(chan struct{}, 1)
	w.watchers[c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watchers, c)
	}
}

func (w *written) commit() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.head++
	for c := range w.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// rounds notes when there were rounds, and ends each as answer says.
type rounds struct {
	began  time.Time
	got    []string
	answer func() error
}

func (r *rounds) round(_ context.Context, due bool) error {
	what := " commit"
	if due {
		what = " due"
	}
	r.got = append(r.got, time.Since(r.began).String()+what)
	if r.answer == nil {
		return nil
	}
	return r.answer()
}

func live(t *testing.T, f *Follower, answer func() error, during func(w *written, g *Group)) (got []string, log string) {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		w := &written{head: -1}
		r := &rounds{began: time.Now(), answer: answer}
		f.Name, f.Round = "test", r.round
		g := New(w, slog.New(slog.NewTextHandler(&out, nil)), f)
		g.Start(t.Context())
		synctest.Wait()
		during(w, g)
		g.Stop()
		g.Stop()
		got = r.got
		if len(w.watchers) > 0 {
			t.Error("it watches after Stop")
		}
	})
	return got, out.String()
}

// Many commits are one round, and without any there is one each Every.
func TestRounds(t *testing.T) {
	got, log := live(t, &Follower{Every: 10 * time.Second, Pause: time.Second}, nil, func(w *written, _ *Group) {
		for range 5 {
			w.commit()
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(1600 * time.Millisecond) // 2.1 s
		w.commit()
		time.Sleep(20 * time.Second)
	})
	if diff := cmp.Diff([]string{"0s due", "1s commit", "2.1s commit", "10s due", "20s due"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if log != "" {
		t.Errorf("the log: %s", log)
	}
}

// What fails is tried less and less often however much is committed, says so, and goes on as before when it works again.
func TestWhatFailsBacksOff(t *testing.T) {
	answer := fault.New(fault.Unavailable, "storage_full", "The disk is full.")
	var works atomic.Bool
	got, log := live(t, &Follower{Every: time.Second, Pause: time.Second, Longest: 10 * time.Second}, func() error {
		if works.Load() {
			return nil
		}
		return answer
	}, func(w *written, g *Group) {
		for range 400 {
			w.commit()
			time.Sleep(100 * time.Millisecond)
		}
		is := g.Figures()[0]
		if is.Lag != -1 || !errors.Is(is.Err, answer) || time.Since(is.Since) != 40*time.Second {
			t.Errorf("it is said to be %+v", is)
		}
		works.Store(true)
		time.Sleep(6500 * time.Millisecond)
		if is := g.Figures()[0]; is.Err != nil || !is.Since.IsZero() {
			t.Errorf("after it worked again: %+v", is)
		}
	})
	if len(got) < 8 || got[0] != "0s due" {
		t.Fatalf("%v", got)
	}
	var at []string
	for _, x := range got[:7] {
		when, _, _ := strings.Cut(x, " ")
		at = append(at, when)
	}
	if diff := cmp.Diff([]string{"0s", "2s", "6s", "14s", "24s", "34s", "44s"}, at); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := strings.Count(log, "The disk is full."); n != 6 {
		t.Errorf("%d errors in the log:\n%s", n, log)
	}
}

// A gate that is closed is no failure, and says for itself why.
func TestWaitingForAGateIsNoFailure(t *testing.T) {
	g := gate.New(slog.New(slog.DiscardHandler), time.Now)
	g.Raise(gate.Reason{Code: gate.DatabaseBehind, Holds: gate.All, Sentence: "An old copy."})
	got, log := live(t, &Follower{Every: time.Second, May: func() error { return g.Ask(gate.Send) }}, nil, func(w *written, group *Group) {
		w.commit()
		time.Sleep(3500 * time.Millisecond)
		if is := group.Figures()[0]; is.Err != nil || is.Lag != -1 {
			t.Errorf("it is said to be %+v", is)
		}
		g.Clear(gate.DatabaseBehind)
		time.Sleep(time.Second)
	})
	if len(got) != 1 || log != "" {
		t.Errorf("rounds %v, log %q", got, log)
	}
}

// A panic is a failure of one follower.
func TestAPanicIsAFailure(t *testing.T) {
	got, log := live(t, &Follower{Every: time.Second}, func() error { panic("at the disco") }, func(_ *written, g *Group) {
		time.Sleep(10 * time.Second)
		if g.Figures()[0].Err == nil {
			t.Error("nobody is told")
		}
	})
	if len(got) < 3 || !strings.Contains(log, "at the disco") {
		t.Errorf("rounds %v, log %q", got, log)
	}
}

// Stop waits for what is under way, and tells it to end.
func TestStopWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		f := &Follower{Name: "slow", Round: func(ctx context.Context, _ bool) error {
			<-ctx.Done()
			time.Sleep(5 * time.Second) // what is known has to be written
			ended = true
			return ctx.Err()
		}}
		var log bytes.Buffer
		g := New(&written{}, slog.New(slog.NewTextHandler(&log, nil)), f)
		g.Start(t.Context())
		synctest.Wait()
		g.Stop()
		if !ended || log.Len() > 0 {
			t.Errorf("ended %t, log %q", ended, log.String())
		}
	})
}

// A tail reads until there is no more, sleeps until something is committed, and says each beat that it is there.
func TestTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &written{head: 4}
		end := make(chan struct{})
		var got []string
		began := time.Now()
		note := func(what string, seq int64) {
			got = append(got, time.Since(began).String()+" "+what+" "+time.Duration(seq).String())
		}
		tail := Tail{Journal: w, Beat: 10 * time.Second, End: end, Alive: func(upTo int64) error { note("alive", upTo); return nil },
			Read: func(_ context.Context, after int64) (int64, bool, error) {
				to := min(w.Head(), after+2)
				note("read", to)
				return to, to < w.Head(), nil
			}}
		var work sync.WaitGroup
		work.Go(func() {
			if err := tail.Follow(t.Context(), 1); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(3 * time.Second)
		w.commit()
		time.Sleep(8 * time.Second)
		close(end)
		work.Wait()
		want := []string{"0s read 3ns", "0s read 4ns", "3s read 5ns", "10s alive 5ns", "10s read 5ns"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		gone := errors.New("the client is gone")
		tail.End, tail.Read = nil, func(context.Context, int64) (int64, bool, error) { return 0, false, gone }
		if err := tail.Follow(t.Context(), 1); !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
	})
}
