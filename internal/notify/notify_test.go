package notify_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/rand"

	"github.com/emersion/go-smtp"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/mail"
	"perennial/internal/message"
	"perennial/internal/money"
	"perennial/internal/notify"
	"perennial/internal/privacy"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/test/shop"
)

// post is a mail server. refuse makes it say no; drop makes it take a message and end the connection without a word.
type post struct {
	mu           sync.Mutex
	got          []string
	refuse, drop bool
	never        bool
}

func (p *post) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{p, c}, nil }

type session struct {
	p *post
	c *smtp.Conn
}

func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Rcpt(_ string, _ *smtp.RcptOptions) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.never {
		return &smtp.SMTPError{Code: 550, Message: "nobody here"}
	}
	if s.p.refuse {
		return &smtp.SMTPError{Code: 451, Message: "not now"}
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.got = append(s.p.got, string(b))
	if s.p.drop {
		return errors.Join(errors.New("gone"), s.c.Conn().Close())
	}
	return nil
}

func (p *post) set(refuse, drop bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse, p.drop = refuse, drop
}

func (p *post) letters() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

type world struct {
	*shop.Shop
	t     *testing.T
	post  *post
	n     *notify.Notifier
	ada   id.ID
	sub   id.ID
	again func() *notify.Notifier

	mu  sync.Mutex
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2027, 3, 3, 12, 0, 0, 0, time.UTC), post: &post{}}
	w.Shop = shop.OpenWith(t, t.TempDir(), w.clock, rand.Reader, db.Options{})
	w.Found()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(w.post)
	server.Domain, server.AllowInsecureAuth, server.ErrorLog = "localhost", true, slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		_, _ = server.Close(), l.Close() // Close alone misses a Serve that has only just begun
		<-done
	})
	sender, err := mail.NewSMTP("smtp://"+l.Addr().String(), "shop@harbor.example", w.clock)
	if err != nil {
		t.Fatal(err)
	}
	w.again = func() *notify.Notifier {
		return notify.New(notify.Config{Program: w.Program, Store: w.Store, Mail: sender, Log: slog.New(slog.DiscardHandler), Portal: "https://harbor.example/portal",
			Links:   func(l notify.Link) (string, error) { return "https://harbor.example/portal/quick/" + l.Action, nil },
			SignIns: w.signIns})
	}
	w.n = w.again()
	product, variant := w.IDs.New(id.Product), w.IDs.New(id.Variant)
	w.ada, w.sub = w.IDs.New(id.Customer), w.IDs.New(id.Subscription)
	w.Do(journal.Bind(catalog.CreateProduct{ID: product, Title: "Coffee"}))
	w.Do(journal.Bind(catalog.CreateVariant{ID: variant, ProductID: product, Title: "250 g", Price: money.Of(1000, "EUR")}))
	w.Do(journal.Bind(customer.Create{ID: w.ada, Email: "ada@example.com", FirstName: "Ada", Locale: "de-CH"}))
	w.run() // what was before is not told
	w.Do(journal.Bind(subscription.Create{ID: w.sub, CustomerID: w.ada, Items: []subscription.NewItem{{ID: w.IDs.New(id.Item), VariantID: variant, Quantity: 2}}, BillingPolicy: &catalog.Policy{Interval: civil.Month, IntervalCount: 1}}))
	return w
}

func (w *world) signIns(_ context.Context, _ id.ID, before int64) iter.Seq2[*journal.Event, error] {
	return func(yield func(*journal.Event, error) bool) {
		for st, err := range w.Store.Events(w.t.Context(), w.Store.Read, store.Opened, 0, before) {
			if err == nil && st.Type != "customer.logged_in" {
				continue
			}
			if !yield(st.Event, err) {
				return
			}
		}
	}
}

func (w *world) run() {
	w.t.Helper()
	if err := w.n.Run(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// count says how many entries of a type there are.
func (w *world) count(typ string) (n int) {
	w.t.Helper()
	for st, err := range w.Store.Events(w.t.Context(), w.Store.Read, store.Closed, 0, w.Program.Head()+1) {
		if err != nil {
			w.t.Fatal(err)
		}
		if string(st.Type) == typ {
			n++
		}
	}
	return n
}

func TestEachEntryOnce(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.Do(journal.Bind(subscription.Skip{ID: w.sub}))
	w.run()
	w.run()
	got := w.post.letters()
	if len(got) != 2 || !strings.Contains(got[1], "To: <ada@example.com>") || !strings.Contains(got[1], "Guten Tag Ada") || !strings.Contains(got[1], "text/html") {
		t.Fatalf("%d messages: %q", len(got), got)
	}
	if n := w.count("notification.sent"); n != 2 {
		t.Errorf("%d entries of sent messages, want 2", n)
	}
	w.n = w.again() // another process
	w.run()
	w.sql(`UPDATE outbox_followed SET next = 0`) // the following is begun again
	w.run()
	if got := w.post.letters()[2:]; slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, "ausgelassen") || strings.Contains(l, "hat begonnen") }) {
		t.Errorf("sent again: %q", got)
	}
	if w.n.Lag() != 0 || w.n.Waiting() != 0 || w.n.Failed() != 0 {
		t.Errorf("%d entries behind, %d messages waiting", w.n.Lag(), w.n.Waiting())
	}
}

// What nobody looked at for days, because there was no mail server, is not told any more.
func TestOldNews(t *testing.T) {
	w := newWorld(t)
	w.pass(49 * time.Hour)
	w.Do(journal.Bind(subscription.Pause{ID: w.sub}))
	w.run()
	if got := w.post.letters(); len(got) != 1 || !strings.Contains(header(got[0], "Subject"), "Pause") && !strings.Contains(header(got[0], "Subject"), "pausiert") {
		t.Errorf("got %q", got)
	}
}

func TestAServerThatRefuses(t *testing.T) {
	w := newWorld(t)
	w.post.set(true, false)
	w.run()
	if len(w.post.letters()) != 0 || w.n.Failed() != 1 {
		t.Fatalf("%d messages, %d failures", len(w.post.letters()), w.n.Failed())
	}
	w.run()
	if w.n.Failed() != 1 {
		t.Error("it was tried again at once")
	}
	w.post.set(false, false)
	w.pass(2 * time.Minute)
	w.run()
	if len(w.post.letters()) != 1 || w.count("notification.sent") != 1 {
		t.Errorf("%d messages after the refusal ended", len(w.post.letters()))
	}
	w.post.set(true, false)
	w.Do(journal.Bind(subscription.Pause{ID: w.sub}))
	for range 40 {
		w.run()
		w.pass(time.Hour)
	}
	if n := w.count("notification.failed"); n != 1 {
		t.Errorf("%d entries of messages that were given up, want 1", n)
	}
}

func TestAServerThatNeverTakesIt(t *testing.T) {
	w := newWorld(t)
	w.post.never = true
	w.run()
	if w.count("notification.failed") != 1 || w.n.Waiting() != 0 {
		t.Errorf("%d entries, %d messages waiting", w.count("notification.failed"), w.n.Waiting())
	}
}

// A server that ends the connection after it took the message may have taken it: it is sent again, with the same id.
func TestAServerThatGoesAway(t *testing.T) {
	w := newWorld(t)
	w.post.set(false, true)
	w.run()
	w.post.set(false, false)
	w.pass(2 * time.Minute)
	w.run()
	got := w.post.letters()
	if len(got) != 2 {
		t.Fatalf("%d messages, want 2", len(got))
	}
	if a, b := header(got[0], "Message-ID"), header(got[1], "Message-ID"); a != b || a == "" {
		t.Errorf("message ids %q and %q", a, b)
	}
	if n := w.count("notification.sent"); n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
}

func header(letter, name string) string {
	for line := range strings.Lines(letter) {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func TestWhoIsNotWrittenTo(t *testing.T) {
	w := newWorld(t)
	w.run()
	before := len(w.post.letters())
	w.Do(journal.Bind(message.Disable{Name: message.Skipped}))
	w.Do(journal.Bind(subscription.Skip{ID: w.sub}))
	w.run()
	w.Do(journal.Bind(message.UpdateText{Name: message.Paused, Text: message.Text{Language: "de", Subject: "Bis bald, {{customer_first_name}}", Body: "Pause."}}))
	w.Do(journal.Bind(subscription.Pause{ID: w.sub}))
	w.run()
	if got := w.post.letters()[before:]; len(got) != 1 || header(got[0], "Subject") != "Bis bald, Ada" {
		t.Errorf("got %q", got)
	}
	w.Do(journal.Bind(subscription.Resume{ID: w.sub}))
	w.Do(privacyOf(w.ada))
	before = len(w.post.letters())
	w.run()
	if got := w.post.letters()[before:]; len(got) != 0 {
		t.Errorf("somebody who was erased got %q", got)
	}
}

func privacyOf(who id.ID) journal.Command {
	return journal.Bind(privacy.Redact{CustomerID: who, ConfirmEmail: "ada@example.com"})
}

func TestUpcoming(t *testing.T) {
	w := newWorld(t)
	w.Do(journal.Bind(subscription.Reschedule{ID: w.sub, Date: civil.Date{Year: 2027, Month: 3, Day: 20}}))
	w.run()
	sent := func() int {
		before := len(w.post.letters())
		w.run()
		w.pass(time.Hour)
		w.run()
		got := w.post.letters()[before:]
		for _, letter := range got {
			if !strings.Contains(letter, "quick/skip") || !strings.Contains(letter, "List-Unsubscribe") || !strings.Contains(strings.ReplaceAll(letter, "=\r\n", ""), "20. M") {
				t.Errorf("got %q", letter)
			}
		}
		return len(got)
	}
	general, err := journal.Get[settings.General](program.NewReader(t.Context(), w.Store, w.Store.Read), journal.Settings, settings.PageGeneral)
	if err != nil {
		t.Fatal(err)
	}
	with := *general
	with.SupportEmail = "help@harbor.example"
	w.Do(journal.Bind(settings.Update{Document: &with}))
	bill := *settings.Default(settings.PageBilling, general).(*settings.Billing)
	bill.UpcomingDays = 2
	w.Do(journal.Bind(settings.Update{Document: &bill}))
	w.pass(14 * 24 * time.Hour)
	if n := sent(); n != 0 {
		t.Errorf("%d messages three days before, want none", n)
	}
	w.pass(2 * 24 * time.Hour) // the server was down two days before
	if n := sent(); n != 1 {
		t.Errorf("%d messages one day before, want 1", n)
	}
	w.n = w.again()
	if n := sent(); n != 0 {
		t.Errorf("%d messages when it was told already", n)
	}
}

func TestNewDevice(t *testing.T) {
	w := newWorld(t)
	w.run()
	before := len(w.post.letters())
	in := func() {
		w.Do(journal.Bind(customer.LogIn{Session: w.IDs.New(id.Session), CustomerID: w.ada, Method: customer.ByCode}))
		w.run()
	}
	in() // the first device is no new one
	in()
	if got := w.post.letters()[before:]; len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

// TestValues are of a real subscription, and let nobody do anything.
func TestValues(t *testing.T) {
	w := newWorld(t)
	got, err := w.n.Values(t.Context(), "de")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"shop_name": "Test shop", "customer_first_name": "Ada", "items": "2 × Coffee, 250 g", "rhythm": "jeden Monat", "next_date": "3. April 2027", "skip_link": "https://harbor.example/portal"} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
	for _, k := range message.Kinds {
		for _, v := range k.Variables {
			if got[v] == "" {
				t.Errorf("{{%s}} of %s is empty", v, k.Name)
			}
		}
	}
	if len(w.post.letters()) != 0 || w.count("notification.sent") != 0 {
		t.Error("looking sends")
	}
}

// TestOldMessagesGo deletes what was sent long ago, and nothing that is still on its way; none of it is sent again.
func TestOldMessagesGo(t *testing.T) {
	w := newWorld(t)
	w.run()
	sweep := func(want int) {
		t.Helper()
		if err := w.Program.Exclusive(t.Context(), func(wr *store.Writer) error {
			b, err := wr.Begin(t.Context(), w.clock())
			if err != nil {
				return err
			}
			if err := b.SweepPosts(); err != nil {
				return err
			}
			if _, err := b.ExecContext(t.Context(), `UPDATE outbox_followed SET next = 0`); err != nil { // the following is begun again
				return err
			}
			return b.Commit()
		}); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := w.Store.Read.QueryRowContext(t.Context(), `SELECT count(*) FROM outbox WHERE shop_id = $1`, w.Store.Shop).Scan(&left); err != nil || left != want {
			t.Errorf("%d messages are kept, %v, want %d", left, err, want)
		}
	}
	w.post.set(true, false)
	w.Do(journal.Bind(subscription.Pause{ID: w.sub}))
	w.run() // the mail server does not take this one
	w.pass(89 * 24 * time.Hour)
	sweep(2)
	w.pass(2 * 24 * time.Hour)
	sweep(1)
	w.post.set(false, false)
	w.run()
	sweep(0)
	w.run()
	if got := w.post.letters(); len(got) != 2 {
		t.Errorf("%d messages were sent, want each once: %q", len(got), got)
	}
}
