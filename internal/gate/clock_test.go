package gate

import (
	"log/slog"
	"testing"
	"time"
)

const day = 24 * time.Hour

// world is a clock that can be set beside one that cannot.
type world struct {
	now    time.Time
	steady time.Duration
}

func (w *world) pass(d time.Duration) { w.now, w.steady = w.now.Add(d), w.steady+d }
func (w *world) jump(d time.Duration) { w.now = w.now.Add(d) }

func TestClock(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(w *world, c *Clock)
		want string // the code of the reason; empty: the clock is believed
	}{
		"as time goes by":                        {func(w *world, c *Clock) { w.pass(400 * day) }, ""},
		"a jump ahead":                           {func(w *world, c *Clock) { w.pass(time.Hour); w.jump(400 * day) }, ClockAhead},
		"a jump ahead, and back":                 {func(w *world, c *Clock) { w.jump(400 * day); c.Judge(w.now); w.jump(-400 * day) }, ""},
		"a jump back":                            {func(w *world, c *Clock) { w.jump(-time.Hour) }, ClockBehind},
		"a small step":                           {func(w *world, c *Clock) { w.jump(9 * time.Minute) }, ""},
		"a jump that a witness vouches for":      {func(w *world, c *Clock) { w.jump(day); c.Witness("it", w.now, w.now) }, ""},
		"a jump that a witness contradicts":      {func(w *world, c *Clock) { w.jump(day); c.Witness("it", w.now.Add(-day), w.now) }, ClockAhead},
		"set right after a contradiction":        {func(w *world, c *Clock) { w.jump(day); c.Witness("it", w.now.Add(-day), w.now); w.jump(-day) }, ""},
		"of two witnesses one contradicts":       {func(w *world, c *Clock) { c.Witness("a", w.now, w.now); c.Witness("b", w.now.Add(-day), w.now) }, ClockAhead},
		"behind a witness":                       {func(w *world, c *Clock) { c.Witness("it", w.now.Add(day), w.now) }, ClockBehind},
		"a jump after a witness agreed":          {func(w *world, c *Clock) { c.Witness("it", w.now, w.now); w.jump(day) }, ClockAhead},
		"a short gap":                            {func(w *world, c *Clock) { c.Gap(w.now.Add(-29*day), 30*day) }, ""},
		"a long gap":                             {func(w *world, c *Clock) { c.Gap(w.now.Add(-31*day), 30*day) }, ClockAhead},
		"a long gap that is accepted":            {func(w *world, c *Clock) { c.Gap(w.now.Add(-31*day), 30*day); c.Accept(w.now) }, ""},
		"a long gap that a witness vouches for":  {func(w *world, c *Clock) { c.Gap(w.now.Add(-31*day), 30*day); c.Witness("it", w.now, w.now) }, ""},
		"a long gap, set right":                  {func(w *world, c *Clock) { c.Gap(w.now.Add(-400*day), 30*day); w.jump(-399 * day) }, ""},
		"a gap that may be of any length":        {func(w *world, c *Clock) { c.Gap(w.now.Add(-4000*day), 0) }, ""},
		"an idle shop after a short gap":         {func(w *world, c *Clock) { c.Gap(w.now.Add(-29*day), 30*day); c.Judge(w.now); w.pass(30 * day) }, ""},
		"an empty journal":                       {func(w *world, c *Clock) { c.Gap(time.Time{}, 30*day) }, ""},
		"a journal that is ahead":                {func(w *world, c *Clock) { c.Gap(w.now.Add(400*day), 30*day) }, ClockBehind},
		"a journal that is ahead, accepted":      {func(w *world, c *Clock) { c.Gap(w.now.Add(400*day), 30*day); c.Accept(w.now) }, ""},
		"a journal that runs ahead once more":    {func(w *world, c *Clock) { c.Gap(w.now.Add(day), 0); c.Accept(w.now); c.Wrote(w.now.Add(2 * day)) }, ClockBehind},
		"somebody wrote a moment in the future":  {func(w *world, c *Clock) { c.Wrote(w.now.Add(5 * time.Minute)) }, ""},
		"somebody wrote an hour in the future":   {func(w *world, c *Clock) { c.Wrote(w.now.Add(time.Hour)) }, ClockBehind},
		"a clock that is fast by a minute a day": {func(w *world, c *Clock) { fast(w, c, 60) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{now: noon}
			c := NewClock(w.now, func() time.Duration { return w.steady })
			tt.do(w, c)
			r, doubted := c.Judge(w.now)
			if doubted != (tt.want != "") || r.Code != tt.want {
				t.Errorf("got %q: %s", r.Code, r.Sentence)
			}
			if doubted && (r.Holds&All != All || (r.Holds&Write != 0) != (r.Code == ClockAhead)) {
				t.Errorf("%s holds %b", r.Code, r.Holds)
			}
		})
	}
}

func fast(w *world, c *Clock, days int) {
	for range days * 24 {
		w.pass(time.Hour + time.Second)
		w.jump(2500 * time.Millisecond)
		c.Judge(w.now)
	}
}

// The gate holds up what the clock says while it is wrong, and no longer.
func TestTheGateHeedsItsClock(t *testing.T) {
	w := &world{now: noon}
	g := New(slog.New(slog.DiscardHandler), func() time.Time { return w.now })
	g.Heed(NewClock(w.now, func() time.Duration { return w.steady }))
	if err := g.Ask(All | Write); err != nil {
		t.Fatal(err)
	}
	w.jump(day)
	for _, p := range []Power{Charge, Send, Destroy, Compare, Report, Write} {
		if err := g.Ask(p); !Held(err) {
			t.Errorf("power %d: %v", p, err)
		}
	}
	if r := g.Reasons(); len(r) != 1 || r[0].Code != ClockAhead {
		t.Errorf("%+v", r)
	}
	w.jump(-2 * day)
	if err := g.Ask(Write); err != nil {
		t.Errorf("writing beside a clock that is behind: %v", err)
	}
	if r := g.Reasons(); len(r) != 1 || r[0].Code != ClockBehind {
		t.Errorf("%+v", r)
	}
	w.jump(day)
	if err := g.Ask(All | Write); err != nil {
		t.Error(err)
	}
}
