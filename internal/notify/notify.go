// Package notify writes to subscribers. It follows the journal and puts a message on its way for each entry that they should hear of,
// and one some days before an order; then it sends what is due.
//
//   - What leaves is what was committed: a message is made from an entry, never from a command.
//   - Each entry has at most one message, also when the following is begun again: the outbox keeps its cause, for longer than an entry
//     is news.
//   - A sending is noted before and after. One whose process ended in between is sent once more, with the same message id, by which mail
//     programs know it; nothing better can be had by SMTP.
//   - What fails is tried again, less and less often, and given up after a day with an entry; at once when the server says that it will never take it.
//   - The outbox holds no address and no text: both are made when the message is sent, so that nobody who was erased is written to. A
//     code or a link waits there sealed (secret.go).
//
// What happened before the first start is not told. notify_test.go sends by a real SMTP server.
package notify

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"perennial/internal/customer"
	"perennial/internal/db"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/mail"
	"perennial/internal/message"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

// Config is what a notifier needs.
type Config struct {
	Program *program.Program
	Store   *store.Store
	Mail    mail.Sender
	Log     *slog.Logger
	Gate    *gate.Gate                                                                          // says whether messages may be sent now; nil: always
	Portal  string                                                                              // address of the Portal
	Links   func(l Link) (string, error)                                                        // makes the address of a quick action
	SignIns func(ctx context.Context, who id.ID, before int64) iter.Seq2[*journal.Event, error] // a customer's sign-ins before an entry, newest first
}

// Link is what a link in a message lets its reader do, once, until it expires.
type Link struct {
	Action       string // "skip", "reschedule", "swap", "reactivate", "pay", "card"
	Customer     id.ID
	Email        string        `json:"-"` // that it is sent to
	EmailSince   *journal.Time `json:"-"` // since when that is the customer's; nil: since always
	Subscription id.ID         // empty for a new card that is about none
	Order        id.ID         // of a payment
	Item         id.ID         // that is swapped
	Message      id.ID         // in which it stands
	Date         string        // of the order that it is about
	Expires      time.Time
}

// Notifier writes to the subscribers of one shop. Its methods are for one goroutine at a time.
type Notifier struct {
	Config
	holder  string
	failed  atomic.Int64 // tries without success since the start
	sent    atomic.Int64
	lastDay string
	seen    atomic.Int64 // the last entry that was looked at
	waiting atomic.Int64
	ours    atomic.Int64 // 1 while this process does the work

	since     store.Following // as it was when it was last read
	next      int64           // the first entry that recheck did not look at
	rechecked time.Time       // when recheck began with the last two days
	looked    time.Time       // when recheck looked last
}

// New makes a notifier.
func New(c Config) *Notifier {
	return &Notifier{Config: c, holder: string(c.Program.IDs.New(id.Command))}
}

// Lag is how many entries were not looked at yet, and Waiting how many messages are to be sent, as of the last Run; both are 0 while
// another process does the work. Sent and Failed count since the start.
func (n *Notifier) Lag() int64     { return max(0, n.Program.Head()-n.seen.Load()) * n.ours.Load() }
func (n *Notifier) Waiting() int64 { return n.waiting.Load() * n.ours.Load() }
func (n *Notifier) Sent() int64    { return n.sent.Load() }
func (n *Notifier) Failed() int64  { return n.failed.Load() }

const (
	page     = 500              // entries looked at in one transaction
	sending  = 15 * time.Minute // after which a sending without an end is done again
	leased   = 30 * time.Second
	stale    = 48 * time.Hour // an entry that was not looked at for so long is no news, as after months without a mail server
	linkLife = 14 * 24 * time.Hour

	recheckEvery = 5 * time.Minute
	recheckAfter = 15 * time.Minute
	recheckAll   = 24 * time.Hour
)

// backoff is when a message that could not be sent is tried again; after the last it is given up.
var backoff = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 16 * time.Hour}

// note is what the outbox keeps of a message.
type note struct {
	Name         message.Name `json:"name"`
	Seq          int64        `json:"seq,omitzero"` // of the entry
	Event        id.ID        `json:"event,omitzero"`
	Customer     id.ID        `json:"customer"`
	Subscription id.ID        `json:"subscription,omitzero"`
	Order        id.ID        `json:"order,omitzero"`
	Method       id.ID        `json:"method,omitzero"`
	Date         string       `json:"date,omitzero"`
	Tries        int          `json:"tries,omitzero"`

	// Of a message that brings a secret, see Secret.
	Member   id.ID  `json:"member,omitzero"` // in place of the customer
	Language string `json:"language,omitzero"`
	Inviter  id.ID  `json:"inviter,omitzero"`
	Secret   string `json:"secret,omitzero"` // sealed; empty when it is over
}

// Run does all that is due: it looks at new entries, at the days to come, and sends. One process of a shop does it at a time.
func (n *Notifier) Run(ctx context.Context) error {
	if err := n.Gate.Ask(gate.Send); err != nil {
		n.ours.Store(0)
		return err
	}
	ours, err := n.Store.Lease(ctx, "messages", n.holder, leased)
	if err != nil || !ours {
		n.ours.Store(0)
		return err
	}
	if err := n.follow(ctx); err != nil {
		return err
	}
	if err := n.recheck(ctx); err != nil {
		return err
	}
	if err := n.upcoming(ctx); err != nil {
		return err
	}
	err = n.deliver(ctx)
	if waiting, werr := n.Store.PostsWaiting(ctx, n.Store.Read); werr == nil {
		n.waiting.Store(waiting)
	}
	return err
}

// follow looks at the entries since the last time.
func (n *Notifier) follow(ctx context.Context) error {
	f, how, err := n.Store.Followed(ctx, n.Store.Read)
	if err != nil {
		return err
	}
	head, err := n.Store.ReadHead(ctx, n.Store.Read)
	if err != nil {
		return db.Fault(err)
	}
	if how != store.FollowingGenuine {
		// What was before the first start is not told. Where it is not known how far the following came, all news is looked at once more;
		// what was told is told by its row or its entry.
		f = store.Following{Next: head.Seq + 1, Since: head.Seq + 1, SinceAt: n.Program.Now()}
		if how != store.FollowingNew {
			if f.Next, err = n.Store.SeqAt(ctx, n.Store.Read, n.Program.Now().Add(-stale)); err != nil {
				return store.Fault(err)
			}
		}
		if how == store.FollowingForged {
			n.Log.Error("somebody changed how far the messages have come: the entries of the last two days are looked at again")
			n.Store.NoteForged("outbox_followed", "")
			f.Since = f.Next
		}
		if err := n.Program.Upkeep(ctx, func(b *store.Batch) error { return b.Follow(f) }); err != nil {
			return err
		}
	}
	n.since = f
	n.seen.Store(f.Next - 1)
	n.ours.Store(1)
	for f.Next <= head.Seq {
		end := min(head.Seq+1, f.Next+page)
		list, err := n.news(ctx, f.Next, end)
		if err != nil {
			return err
		}
		f.Next = end
		if err := n.Program.Upkeep(ctx, func(b *store.Batch) error { return errors.Join(b.Post(list...), b.Follow(f)) }); err != nil {
			return err
		}
		n.seen.Store(end - 1)
	}
	return nil
}

// news gives the messages that tell of a run of entries.
func (n *Notifier) news(ctx context.Context, from, to int64) (list []store.Posted, err error) {
	old := n.Program.Now().Add(-stale)
	for st, err := range n.Store.Events(ctx, n.Store.Read, store.Closed, from, to) {
		if err != nil {
			return nil, store.Fault(err)
		}
		told, ok := tells(st.Event)
		switch fresh := st.Seq >= n.since.Since; { // the build before told neither members nor the address before
		case !ok && fresh:
			told, ok = tellsMember(st.Event)
		case told.Name == message.EmailChanged:
			ok = fresh
		}
		if ok && st.RecordedAt.After(old) {
			told.Seq, told.Event = st.Seq, st.ID
			p := n.posted(string(st.ID), st.RecordedAt, told)
			p.Before = st.Seq < n.since.Since
			list = append(list, p)
		}
	}
	return list, nil
}

// recheck finds what somebody changed or took out of the outbox, and puts it on its way again: the entries know what was to be told. Each
// entry is looked at once more some minutes after it was followed, and once a day all of the last two days are.
func (n *Notifier) recheck(ctx context.Context) error {
	now := n.Program.Now()
	if now.Sub(n.looked) < recheckEvery {
		return nil
	}
	n.looked = now
	for after := id.ID(""); ; {
		waiting, forged, err := n.Store.WaitingPosts(ctx, n.Store.Read, after, page)
		if err != nil {
			return err
		}
		if err := n.setAside(ctx, forged); err != nil {
			return err
		}
		if len(waiting)+len(forged) < page {
			break
		}
		for _, p := range append(waiting, forged...) {
			after = max(after, p.ID)
		}
	}
	if now.Sub(n.rechecked) > recheckAll {
		first, err := n.Store.SeqAt(ctx, n.Store.Read, now.Add(-stale))
		if err != nil {
			return store.Fault(err)
		}
		n.next, n.rechecked = max(first, n.since.Since), now
	}
	last, err := n.Store.SeqAt(ctx, n.Store.Read, now.Add(-recheckAfter))
	if err != nil {
		return store.Fault(err)
	}
	last = min(last, n.seen.Load()+1)
	n.next = max(n.next, n.since.Since) // which LeaveOut may have moved on
	for n.next < last {
		end := min(last, n.next+page)
		list, err := n.news(ctx, n.next, end)
		if err != nil {
			return err
		}
		lost, err := n.Store.Missing(ctx, n.Store.Read, list)
		if err != nil {
			return err
		}
		if len(lost) > 0 {
			n.Log.Error("somebody took messages out of the outbox: they are put on their way again", "messages", len(lost))
			for _, p := range lost {
				n.Store.NoteForged("outbox", p.Cause)
			}
			if err := n.Program.Upkeep(ctx, func(b *store.Batch) error { return b.Post(lost...) }); err != nil {
				return err
			}
		}
		n.next = end
	}
	return nil
}

// setAside takes rows out of the outbox that this program did not write so. What an entry tells is put on its way anew; a code or a link
// has to be asked for again.
func (n *Notifier) setAside(ctx context.Context, forged []store.Posted) error {
	if len(forged) == 0 {
		return nil
	}
	var again []store.Posted
	for _, p := range forged {
		// What a build before put on its way is older than the following; a row with a wrong mac is counted by the store.
		if first := id.First(id.Message, n.since.SinceAt); p.Bare && (n.since.Since == 0 || string(p.ID) >= string(first)) {
			n.Store.NoteForged("outbox", string(p.ID))
		}
		n.Log.Error("a message was not sent: its row is not as it was written, or of a build before", "message", p.ID, "cause", p.Cause)
		if shop, seq, err := id.ParseEvent(p.Cause); err == nil && shop == n.Store.Shop && seq <= n.seen.Load() {
			list, err := n.news(ctx, seq, seq+1)
			if err != nil {
				return err
			}
			again = append(again, list...)
		}
	}
	n.lastDay = "" // the orders to come are gone through again
	return n.Program.Upkeep(ctx, func(b *store.Batch) error { return errors.Join(b.Unpost(forged...), b.Post(again...)) })
}

// posted is the message that tells of a cause, which is as old as at.
func (n *Notifier) posted(cause string, at time.Time, what note) store.Posted {
	return store.Posted{ID: n.Store.PostID(cause, at), Cause: cause, DueAt: n.Program.Now(), Body: what.body()}
}

func (w note) body() string {
	b, err := json.Marshal(w)
	if err != nil {
		panic(err) // of strings and numbers
	}
	return string(b)
}

// tells says which message an entry is told by.
func tells(e *journal.Event) (what note, ok bool) {
	name, ok := byType[e.Type]
	if !ok || string(e.Detail("silent")) == "true" { // a failed payment of a campaign's silent phase
		return what, false
	}
	what.Name = name
	for _, t := range e.Targets {
		switch t.Kind {
		case journal.Customer:
			what.Customer = cmp.Or(what.Customer, t.ID)
		case journal.Subscription:
			what.Subscription = cmp.Or(what.Subscription, t.ID)
		case journal.Order:
			what.Order = cmp.Or(what.Order, t.ID)
		case journal.PaymentMethod:
			what.Method = cmp.Or(what.Method, t.ID)
		}
	}
	return what, what.Customer != ""
}

// reminders answer nothing that somebody did, so a mail program may offer to end them.
var reminders = map[message.Name]bool{message.OrderUpcoming: true, message.CardExpiring: true}

// byType are the entries that subscribers hear of.
var byType = map[journal.Name]message.Name{
	journal.SubscriptionCreated:                message.SubscriptionCreated,
	journal.SubscriptionOrderSkipped:           message.Skipped,
	journal.SubscriptionNextBillingDateChanged: message.Rescheduled,
	journal.SubscriptionPaused:                 message.Paused,
	journal.SubscriptionResumed:                message.Resumed,
	journal.SubscriptionCancelled:              message.Cancelled,
	journal.SubscriptionReactivated:            message.Reactivated,
	journal.SubscriptionShippingAddressChanged: message.AddressChanged,
	journal.SubscriptionPaymentMethodChanged:   message.PaymentMethodChanged,
	journal.OrderPlaced:                        message.OrderPlaced,
	journal.BillingAttemptFailed:               message.PaymentFailed,
	journal.BillingAttemptActionRequired:       message.ActionRequired,
	journal.PaymentMethodExpiring:              message.CardExpiring,
	journal.CustomerLoggedIn:                   message.NewDevice,
	journal.CustomerEmailChanged:               message.EmailChanged,
	journal.CustomerDataRequested:              message.ExportReady,
}

// upcoming puts the messages of the orders to come on their way, once a day. It looks at all days until then: a day on which the server
// was down is made up for, and each order has one message.
func (n *Notifier) upcoming(ctx context.Context) error {
	general, err := n.general(ctx)
	if err != nil || general == nil {
		return err
	}
	now := n.Program.Now()
	bill, err := journal.Find[settings.Billing](n.reader(ctx), journal.Settings, settings.PageBilling)
	if err != nil {
		return err
	}
	ahead := settings.DefaultUpcomingDays
	if bill != nil && bill.UpcomingDays > 0 {
		ahead = bill.UpcomingDays
	}
	today := settings.Today(general, now)
	day := today.AddDays(ahead)
	if n.lastDay == day.String() {
		return nil
	}
	coming := query.List{Kind: journal.Subscription, Steady: true,
		Where: []query.Filter{query.Is(query.Status, subscription.Active), query.After(query.Next, today.String()), query.To(query.Next, day.String())}}
	for rows, err := range query.Pages(ctx, n.Store, coming, "") {
		if err != nil {
			return err
		}
		var list []store.Posted
		for _, row := range rows {
			s := row.State.(*subscription.Subscription)
			p := n.posted(upcomingCause+string(s.ID)+" "+s.NextBillingDate.String(), s.NextBillingDate.Start(time.UTC), note{Name: message.OrderUpcoming, Customer: s.CustomerID, Subscription: s.ID, Date: s.NextBillingDate.String()})
			p.Before = !settings.Today(general, n.since.SinceAt).AddDays(ahead).Before(*s.NextBillingDate)
			list = append(list, p)
		}
		if len(list) > 0 {
			if err := n.Program.Upkeep(ctx, func(b *store.Batch) error { return b.Post(list...) }); err != nil {
				return err
			}
		}
	}
	n.lastDay = day.String()
	return nil
}

func (n *Notifier) general(ctx context.Context) (*settings.General, error) {
	return journal.Find[settings.General](n.reader(ctx), journal.Settings, settings.PageGeneral)
}

func (n *Notifier) reader(ctx context.Context) journal.Reader {
	return program.NewReader(ctx, n.Store, n.Store.Read)
}

// deliver sends what is due.
func (n *Notifier) deliver(ctx context.Context) error {
	for ctx.Err() == nil {
		list, forged, err := n.Store.DuePosts(ctx, n.Store.Read, n.Program.Now(), 20)
		if err != nil || len(list)+len(forged) == 0 {
			return err
		}
		if err := n.setAside(ctx, forged); err != nil {
			return err
		}
		for _, p := range list {
			if err := n.one(ctx, p); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// one sends a message, or drops it. An error is of the database: what the mail server says is noted.
func (n *Notifier) one(ctx context.Context, p store.Posted) error {
	var what note
	if err := json.Unmarshal([]byte(p.Body), &what); err != nil {
		return err
	}
	// A row may be an earlier one that was put back. What was sent has an entry.
	switch sent, err := n.Store.WasSent(ctx, n.Store.Read, p.ID); {
	case err != nil:
		return err
	case sent:
		n.Log.Error("a message that was sent before was put on its way again by hand", "message", p.ID)
		n.Store.NoteForged("outbox", string(p.ID))
		p.State, what.Secret = store.PostDropped, ""
		p.Body = what.body()
		return n.Program.Upkeep(ctx, func(b *store.Batch) error { return b.Repost(p) })
	}
	m, text, err := n.compose(ctx, p.ID, what)
	if err != nil && fault.As(err).Kind != fault.NotFound {
		return err
	}
	record := message.Record{ID: p.ID, Name: what.Name, Language: text.Language, Customer: what.Customer, Member: what.Member, About: what.about(), CausedBy: what.Event}
	if err != nil || m == nil {
		late := what.Secret != "" && (what.Tries > 0 || p.State == store.PostSending) // it was tried until the secret was worth nothing
		p.State, what.Secret = store.PostDropped, ""
		p.Body = what.body()
		if !late {
			return n.Program.Upkeep(ctx, func(b *store.Batch) error { return b.Repost(p) })
		}
		p.State, record.Tries, record.Language = store.PostFailed, max(what.Tries, 1), cmp.Or(text.Language, what.Language, "en")
		return n.finish(ctx, p, record)
	}
	if err := n.Gate.Ask(gate.Send); err != nil {
		return err
	}
	p.State, p.DueAt = store.PostSending, n.Program.Now().Add(sending)
	if err := n.Program.Upkeep(ctx, func(b *store.Batch) error { return b.Repost(p) }); err != nil {
		return err
	}
	failure := n.Mail.Send(ctx, *m)
	switch {
	case failure == nil:
		n.sent.Add(1)
		p.State = store.PostSent
	case ctx.Err() != nil:
		return ctx.Err() // the process ends; it is sent again when it is due
	default:
		n.failed.Add(1)
		n.Log.Warn("a message could not be sent", "message", p.ID, "name", what.Name, "try", what.Tries+1, "error", failure)
		if what.Tries++; what.Tries <= len(backoff) && !errors.Is(failure, mail.ErrRefused) {
			p.State, p.DueAt = store.PostQueued, n.Program.Now().Add(backoff[what.Tries-1])
			p.Body = what.body()
			return n.Program.Upkeep(ctx, func(b *store.Batch) error { return b.Repost(p) })
		}
		p.State, record.Tries = store.PostFailed, what.Tries
	}
	what.Secret = ""
	p.Body = what.body()
	return n.finish(ctx, p, record)
}

// finish notes how a message ended, with its entry. What is known has to be written, also when the process is to end.
func (n *Notifier) finish(ctx context.Context, p store.Posted, record message.Record) error {
	_, err := n.Program.Do(context.WithoutCancel(ctx), &program.Request{Meta: meta(), Command: journal.Bind(record), Machinery: func(b *store.Batch) error { return b.Repost(p) }})
	return err
}

func (w note) about() (out []journal.Ref) {
	for _, r := range []journal.Ref{{Kind: journal.Subscription, ID: w.Subscription}, {Kind: journal.Order, ID: w.Order}, {Kind: journal.PaymentMethod, ID: w.Method}} {
		if r.ID != "" {
			out = append(out, r)
		}
	}
	return out
}

func meta() program.Meta {
	return program.Meta{Actor: journal.Actor{Kind: journal.ActorSystem, ID: "messages"}, Source: journal.Origin{Channel: journal.ChannelBilling}}
}

// compose makes a message as it is now, nil when there is nobody to write to or nothing to say.
func (n *Notifier) compose(ctx context.Context, key id.ID, what note) (*mail.Message, message.Text, error) {
	r := n.reader(ctx)
	none := message.Text{}
	t, err := journal.Find[message.Template](r, journal.NotificationTemplate, id.ID(what.Name))
	if err != nil || t != nil && t.Disabled {
		return nil, none, err
	}
	general, err := n.general(ctx)
	if err != nil || general == nil {
		return nil, none, err
	}
	if what.Secret != "" {
		m, text, err := n.composeSecret(ctx, key, what, general, t)
		if m != nil {
			m.ID = string(key)
		}
		return m, text, err
	}
	if what.Member != "" {
		return n.composeAccount(ctx, key, what, general, t)
	}
	who, err := journal.Get[customer.Customer](r, journal.Customer, what.Customer)
	if err != nil || who.Status != customer.Active || who.Email.Erased || who.Email.Value == "" {
		return nil, none, err
	}
	v := values{n: n, ctx: ctx, r: r, who: who, general: general, what: what, key: key}
	v.language(who.Locale, general.Locale)
	said, ok, err := v.fill()
	if err != nil || !ok {
		return nil, none, err
	}
	text := message.Says(what.Name, t, v.p.Language)
	out, err := message.Render(text, general.Name, said)
	if err != nil {
		return nil, none, err
	}
	unsubscribe := ""
	if reminders[what.Name] && general.SupportEmail != "" {
		unsubscribe = "mailto:" + general.SupportEmail
	}
	to := who.Email.Value
	if v.to != "" {
		to = v.to
	}
	m := Letter(general, to, out)
	m.Unsubscribe, m.ID = unsubscribe, string(key)
	return &m, text, nil
}

// Letter is what is sent of a message that was rendered: from the shop, and answered to its address for support.
func Letter(general *settings.General, to string, out message.Mail) mail.Message {
	return mail.Message{To: to, FromName: cmp.Or(general.SenderName, general.Name), ReplyTo: general.SupportEmail, Subject: out.Subject, Text: out.Text, HTML: out.HTML}
}
