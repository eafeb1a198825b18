package notify_test

import (
	"strings"
	"testing"
	"time"

	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/mail"
	"perennial/internal/message"
	"perennial/internal/notify"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/team"
)

var system = program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "test"}, Source: journal.Origin{Channel: journal.ChannelCLI}}

// ask puts a message with a secret on its way, with a command that may be refused.
func (w *world) ask(m notify.Secret, cmd journal.Command) error {
	w.t.Helper()
	post, err := m.Post(w.Store, w.IDs.New(id.Message), w.clock())
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = w.Program.Do(w.t.Context(), &program.Request{Meta: system, Command: cmd, Machinery: post})
	return err
}

func (w *world) code(value string) notify.Secret {
	return notify.Secret{Name: message.LoginCode, To: journal.Ref{Kind: journal.Customer, ID: w.ada}, Value: value, Expires: w.clock().Add(10 * time.Minute)}
}

func (w *world) sendCode(value string) {
	w.t.Helper()
	if err := w.ask(w.code(value), journal.Bind(customer.SendCode{SignInID: w.IDs.New(id.SignIn), CustomerID: w.ada, ExpiresAt: w.clock().Add(10 * time.Minute)})); err != nil {
		w.t.Fatal(err)
	}
}

// kept is what the outbox holds, and the journal.
func (w *world) kept() string {
	w.t.Helper()
	var all strings.Builder
	rows, err := w.Store.Read.QueryContext(w.t.Context(), `SELECT body FROM outbox UNION ALL SELECT CAST(body AS TEXT) FROM event`)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			w.t.Fatal(err)
		}
		all.WriteString(s + "\n")
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return all.String()
}

func TestSecrets(t *testing.T) {
	w := newWorld(t)
	w.run()
	before := len(w.post.letters())
	w.sendCode("314159")
	if kept := w.kept(); strings.Contains(kept, "314159") || !strings.Contains(kept, `"secret"`) {
		t.Errorf("what waits is not sealed:\n%s", kept)
	}
	w.run()
	got := w.post.letters()[before:]
	if len(got) != 1 || !strings.Contains(header(got[0], "Subject"), "314159") || !strings.Contains(got[0], "To: <ada@example.com>") || !strings.Contains(got[0], "text/html") {
		t.Fatalf("%d messages: %q", len(got), got)
	}
	if kept := w.kept(); strings.Contains(kept, "314159") || strings.Contains(kept, `"secret"`) {
		t.Errorf("what was sent is still kept:\n%s", kept)
	}
	if n := w.count("notification.sent"); n != 2 {
		t.Errorf("%d entries of sent messages, want 2", n)
	}
	// A command that is refused sends nothing.
	if err := w.ask(w.code("271828"), journal.Bind(customer.SendCode{SignInID: w.IDs.New(id.SignIn), CustomerID: "cus_nobody"})); err == nil {
		t.Error("a code for nobody is taken")
	}
	w.run()
	if n := len(w.post.letters()) - before; n != 1 {
		t.Errorf("there are %d messages after the refusal", n)
	}
}

func TestASecretThatIsTooLate(t *testing.T) {
	w := newWorld(t)
	w.run()
	before := len(w.post.letters())
	w.post.set(true, false)
	w.sendCode("314159")
	for range 4 {
		w.run()
		w.pass(4 * time.Minute)
	}
	w.post.set(false, false)
	w.run()
	if n := len(w.post.letters()) - before; n != 0 {
		t.Errorf("%d codes that are worth nothing were sent", n)
	}
	if n := w.count("notification.failed"); n != 1 {
		t.Errorf("%d entries of messages that were given up, want 1", n)
	}
	if strings.Contains(w.kept(), `"secret"`) {
		t.Error("the secret is still kept")
	}
}

func TestInvitation(t *testing.T) {
	w := newWorld(t)
	w.run()
	before := len(w.post.letters())
	ben := w.IDs.New(id.TeamMember)
	invite := team.Invite{ID: ben, Email: "ben@example.com", Name: "Ben", Role: team.Member, Actor: system.Actor}
	if err := w.ask(notify.Secret{Name: message.TeamInvitation, To: journal.Ref{Kind: journal.TeamMember, ID: ben}, Value: "https://harbor.example/join/x.y", Expires: w.clock().Add(time.Hour)}, journal.Bind(invite)); err != nil {
		t.Fatal(err)
	}
	w.run()
	got := w.post.letters()[before:]
	if len(got) != 1 || !strings.Contains(got[0], "To: <ben@example.com>") || !strings.Contains(got[0], "https://harbor.example/join/x.y") {
		t.Fatalf("%d messages: %q", len(got), got)
	}
	for st, err := range w.Store.Events(t.Context(), w.Store.Read, store.Closed, 0, w.Program.Head()+1) {
		if err != nil {
			t.Fatal(err)
		}
		if st.Type == "notification.sent" && st.Targets[1].ID == ben {
			return
		}
	}
	t.Error("no entry names who was written to")
}

func TestLetter(t *testing.T) {
	for _, test := range []struct {
		general settings.General
		want    mail.Message
	}{
		{settings.General{Name: "Harbor Roast"}, mail.Message{To: "a@b.example", FromName: "Harbor Roast", Subject: "S"}},
		{settings.General{Name: "Harbor Roast", SenderName: "Ada of Harbor", SupportEmail: "help@harbor.example"}, mail.Message{To: "a@b.example", FromName: "Ada of Harbor", ReplyTo: "help@harbor.example", Subject: "S"}},
	} {
		if got := notify.Letter(&test.general, "a@b.example", message.Mail{Subject: "S"}); got != test.want {
			t.Errorf("got %+v", got)
		}
	}
}
