package notify_test

import (
	"context"
	"log/slog"
	"testing"

	"perennial/internal/gate"
	"perennial/internal/journal"
	"perennial/internal/mail"
	"perennial/internal/subscription"
)

// closes is a mail server at whose first message the gate closes.
type closes struct {
	mail.Sender
	gate *gate.Gate
	sent int
}

func (c *closes) Send(context.Context, mail.Message) error {
	c.sent++
	c.gate.Raise(gate.Reason{Code: gate.DatabaseBehind, Sentence: "An old copy.", Holds: gate.Send})
	return nil
}

// While the gate is closed nothing is made ready or sent, also when it closes between two messages.
func TestNothingIsSentWhileTheGateIsClosed(t *testing.T) {
	w := newWorld(t)
	w.Do(journal.Bind(subscription.Skip{ID: w.sub}))
	g := gate.New(slog.New(slog.DiscardHandler), w.clock)
	post := &closes{gate: g}
	n := w.n // which holds the lease
	n.Mail, n.Gate = post, g
	waiting := func() int64 {
		t.Helper()
		n, err := w.Store.PostsWaiting(t.Context(), w.Store.Read)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	g.Raise(gate.Reason{Code: gate.DatabaseForked, Sentence: "Another history.", Holds: gate.Send})
	if err := n.Run(t.Context()); !gate.Held(err) || post.sent != 0 || waiting() != 0 {
		t.Errorf("with a closed gate: %v, %d sent, %d made ready", err, post.sent, waiting())
	}
	g.Clear(gate.DatabaseForked)
	if err := n.Run(t.Context()); !gate.Held(err) || post.sent != 1 || waiting() != 1 {
		t.Errorf("it closes at the first message: %v, %d sent, %d wait", err, post.sent, waiting())
	}
	g.Clear(gate.DatabaseBehind)
	if err := n.Run(t.Context()); err != nil || post.sent != 2 || waiting() != 0 {
		t.Errorf("open again: %v, %d sent, %d wait", err, post.sent, waiting())
	}
}
