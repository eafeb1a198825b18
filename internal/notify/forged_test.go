package notify_test

import (
	"strings"
	"testing"
	"time"

	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/subscription"
	"perennial/internal/test/shop"
)

// sql runs a statement as somebody does who has the database and no keys.
func (w *world) sql(text string, args ...any) {
	w.t.Helper()
	if _, err := w.Shell(text, args...); err != nil {
		w.t.Fatal(err)
	}
}

// forged is how many rows of messages were found to be changed, made or taken away by hand.
func (w *world) forged() int64 {
	n := w.Store.Forged()
	return n["outbox"] + n["outbox_followed"]
}

// TestTheOutboxIsMadeAnew takes messages away, holds them up and jumps over them. All of them are sent, each once.
func TestTheOutboxIsMadeAnew(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"emptied":            func(w *world) { w.sql(`DELETE FROM outbox`) },
		"until 2099":         func(w *world) { w.sql(`UPDATE outbox SET due_at = '2099-01-01T00:00:00.000000Z'`) },
		"said to be sent":    func(w *world) { w.sql(`UPDATE outbox SET due_at = NULL, state = 'sent'`) },
		"of another cause":   func(w *world) { w.sql(`UPDATE outbox SET cause = 'x' || id`) },
		"to somebody else":   func(w *world) { w.sql(`UPDATE outbox SET body = replace(body, $1, 'cus_x')`, string(w.ada)) },
		"as by an old build": func(w *world) { w.sql(`UPDATE outbox SET mac = NULL, due_at = NULL, state = 'sent'`) },
		"followed emptied":   func(w *world) { w.sql(`DELETE FROM outbox_followed`); w.sql(`DELETE FROM outbox`) },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "followed emptied" {
				shop.OnlySQLite(t) // the server's role may not delete it in PostgreSQL
			}
			w := newWorld(t)
			w.run()
			w.post.set(true, false)
			w.Do(journal.Bind(subscription.Pause{ID: w.sub}))
			w.run() // the mail server does not take it
			spoil(w)
			w.post.set(false, false)
			w.pass(16 * time.Minute)
			w.run()
			w.pass(time.Hour)
			w.run()
			w.n = w.again()
			w.run()
			var paused int
			for _, l := range w.post.letters() {
				if s := header(l, "Subject"); strings.Contains(s, "Pause") || strings.Contains(s, "pausiert") {
					paused++
				}
			}
			if paused != 1 {
				t.Errorf("the message was sent %d times", paused)
			}
			if w.forged() == 0 {
				t.Error("nobody is told that somebody writes beside the program")
			}
			if n := w.count("notification.sent"); n != len(w.post.letters()) {
				t.Errorf("%d messages and %d entries of them", len(w.post.letters()), n)
			}
		})
	}
}

// TestJumpingOverEntries moves the place up to which entries were looked at.
func TestJumpingOverEntries(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.sql(`UPDATE outbox_followed SET next = next + 1000`)
	w.Do(journal.Bind(subscription.Pause{ID: w.sub}))
	before := len(w.post.letters())
	w.run()
	w.run()
	if got := w.post.letters(); len(got) != before+1 || w.forged() == 0 {
		t.Errorf("%d messages, %d found to be forged", len(got)-before, w.forged())
	}
}

// TestWhatWasSentIsNotSentAgain puts rows back as they were before they were sent.
func TestWhatWasSentIsNotSentAgain(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.Do(journal.Bind(subscription.Pause{ID: w.sub}))
	w.post.set(true, false)
	w.run()
	putBack := w.Copy("outbox")
	w.post.set(false, false)
	w.pass(2 * time.Minute)
	w.run()
	sent := len(w.post.letters())
	for range 3 {
		putBack()
		w.pass(2 * time.Minute)
		w.run()
	}
	if got := len(w.post.letters()); got != sent {
		t.Errorf("%d messages were sent again", got-sent)
	}
}

// TestASecretServesItsOwnMessage puts the sealed code of one message into the row of another, before that was authenticated.
func TestASecretServesItsOwnMessage(t *testing.T) {
	w := newWorld(t)
	w.run()
	eve := w.IDs.New(id.Customer)
	w.Do(journal.Bind(customer.Create{ID: eve, Email: "eve@example.com", FirstName: "Eve"}))
	w.sendCode("271828")
	w.sql(`UPDATE outbox SET body = replace(body, $1, $2)`, string(w.ada), string(eve))
	before := len(w.post.letters())
	w.run()
	for _, l := range w.post.letters()[before:] {
		if strings.Contains(l, "271828") {
			t.Errorf("the code went to somebody: %s", header(l, "To"))
		}
	}
}
