package engine_test

import (
	"testing"

	"perennial/internal/civil"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment/simulated"
	"perennial/internal/subscription"
)

// TestStaleOrdersAreClosed ends subscriptions while their orders are being recovered: each is closed at the next look, with its cause, and
// so is what lies about when a process starts.
func TestStaleOrdersAreClosed(t *testing.T) {
	for name, command := range map[string]func(id.ID) journal.Command{
		"paused":    func(s id.ID) journal.Command { return journal.Bind(subscription.Pause{ID: s}) },
		"cancelled": func(s id.ID) journal.Command { return journal.Bind(subscription.Cancel{ID: s}) },
	} {
		for _, restarts := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w := begin(t)
				s := w.subscribe("sim_decline_insufficient_funds", civil.Month, start)
				other := w.subscribe("sim_decline_insufficient_funds", civil.Month, start)
				w.run()
				w.Do(command(s.ID))
				if restarts {
					w.restart()
				}
				if err := w.engine.Wake(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.want(s.ID, "2027-01-15 cancelled")
				w.want(other.ID, "2027-01-15 pending")
				e := w.entries(w.orders(s.ID)[0].ID, "order.cancelled")
				cause := w.entries(s.ID, journal.Name("subscription."+name))
				if len(e) != 1 || !restarts && e[0].CausationID != cause[0].ID {
					t.Errorf("%d entries, caused by %v; want %s", len(e), e, cause[0].ID)
				}
				head := w.Program.Head()
				w.run()
				if w.Program.Head() != head {
					t.Error("another look changed something")
				}
			})
		}
	}
}

// TestAStalePaymentIsGivenUp does not leave a payment that waits for its customer open for an hour when its subscription ends.
func TestAStalePaymentIsGivenUp(t *testing.T) {
	w := begin(t)
	s := w.subscribe(simulated.ActionRequired, civil.Month, start)
	for range 5 { // each time it is asked about later
		w.run()
	}
	w.Do(journal.Bind(subscription.Cancel{ID: s.ID}))
	if err := w.engine.Wake(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.want(s.ID, "2027-01-15 failed")
}
