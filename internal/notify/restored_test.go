package notify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"perennial/internal/journal"
	"perennial/internal/notify"
	"perennial/internal/subscription"
)

// What a restored copy had still to send is left out, whether it waited already or was not even looked at, and stays out; what people did
// while the copy was held up is sent.
func TestWhatACopyHadStillToSendIsLeftOut(t *testing.T) {
	for _, leftOut := range []bool{true, false} {
		for _, waiting := range []bool{true, false} {
			t.Run(fmt.Sprintf("left out %t, waiting %t", leftOut, waiting), func(t *testing.T) {
				w := newWorld(t)
				if waiting {
					w.post.set(true, false)
					w.run()
					w.post.set(false, false)
				}
				w.pass(time.Minute)
				cut := w.clock()
				w.pass(10 * time.Minute) // held up
				w.Do(journal.Bind(subscription.Pause{ID: w.sub}))
				if leftOut {
					n, err := notify.LeaveOut(t.Context(), w.Program, w.Store, cut)
					if err != nil || n != map[bool]int64{true: 1}[waiting] {
						t.Errorf("%d messages, %v", n, err)
					}
				}
				for range 3 {
					w.run()
					w.pass(20 * time.Minute)
				}
				got := w.post.letters()
				want := 2
				if leftOut {
					want = 1
				}
				if len(got) != want || !strings.Contains(header(got[len(got)-1], "Subject"), "pausiert") {
					t.Errorf("%d messages, want %d", len(got), want)
				}
				if n := w.forged(); n != 0 {
					t.Errorf("%d messages are taken for changed by hand", n)
				}
			})
		}
	}
}
