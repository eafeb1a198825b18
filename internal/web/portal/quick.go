package portal

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"perennial/internal/billing"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/notify"
	"perennial/internal/plain"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/web/ui"
)

// Quick actions: a link in a message that does one thing to one subscription, once, until it expires or the customer has another e-mail
// address, without signing in. Opening it changes nothing, so that a program that looks at mails uses nothing up.

const quickPurpose = "quick action"

// The quick actions that are no action of a subscription.
const (
	quickPay  = "pay"
	quickCard = "card"
)

// QuickLink makes the address of a quick action.
func (p *Portal) QuickLink(l notify.Link) (string, error) {
	t, err := p.box.Ticket(quickPurpose, sealedLink{l, mailbox(l.Customer, l.Email, l.EmailSince)}, l.Expires)
	return p.where + "/quick/" + t, err
}

// sealedLink is what an address of a quick action holds. Whoever reads a mailbox that is not the customer's any more is not them.
type sealedLink struct {
	notify.Link
	Mailbox []byte // missing in a link of an older build: nobody can say where it went
}

// mailbox is the mark of a customer's e-mail address. It is only ever sealed; a mark, and not the address, so that no link grows with it.
func mailbox(who id.ID, email string, since *journal.Time) []byte {
	text := string(who) + "\n" + plain.EmailKey(email)
	if since != nil {
		text += "\n" + since.UTC().Format(journal.TimeLayout)
	}
	sum := sha256.Sum256([]byte(text))
	return sum[:16]
}

func (p *Portal) registerQuick() {
	p.on(route{pattern: "GET /portal/quick/{token}", who: withLink, looks: true, events: []journal.Name{journal.CustomerQuickActionViewed}}, func(c *call) (answer, error) { return c.quickPage(nil) })
	p.on(route{pattern: "POST /portal/quick/{token}", who: withLink, events: quickEvents()}, (*call).quickAct)
	p.on(route{pattern: "POST /portal/quick/{token}" + ui.Preview, who: withLink, events: []journal.Name{journal.CustomerQuickActionViewed}}, func(c *call) (answer, error) { return c.quickPage(nil) })
}

// quickEvents are those of whatever a link may do.
func quickEvents() []journal.Name {
	out := append([]journal.Name{journal.CustomerQuickActionViewed, journal.CustomerQuickActionUsed, journal.BillingAttemptStarted}, newCardEvents...)
	for _, a := range actions {
		out = append(out, a.events...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// quickAction is what a link does.
type quickAction struct {
	notify.Link
	s      *subscription.Subscription // nil for a new card that is about none
	action *action                    // nil: the payment of an order, or a new card
}

// quick reads the link, and becomes the customer it is for, as far as its action goes.
func (c *call) quick() (q quickAction, err error) {
	over := fault.New(fault.Gone, "quick_action_over", "This link is over. Sign in to do the same.")
	var sealed sealedLink
	if !c.box.Redeem(quickPurpose, c.r.PathValue("token"), c.Program.Now(), &sealed) {
		return q, over
	}
	q.Link = sealed.Link
	who, err := journal.Find[customer.Customer](c.reader(), journal.Customer, q.Customer)
	if err != nil {
		return q, err
	}
	if who == nil || who.Status != customer.Active || !bytes.Equal(sealed.Mailbox, mailbox(who.ID, who.Email.Value, who.EmailChangedAt)) {
		return q, over
	}
	if q.Subscription != "" || q.Action != quickCard {
		if q.s, err = journal.Get[subscription.Subscription](c.reader(), journal.Subscription, q.Subscription); err != nil {
			return q, err
		}
	}
	viewer, err := c.looker() // a member of the team acts as themselves here too
	if err != nil {
		return q, err
	}
	c.cause = ""
	c.actAs(who.ID, viewer)
	c.meta.Source.Channel = journal.ChannelQuickAction
	c.who = who
	c.listen()
	c.r.SetPathValue("part", string(q.Item))
	for i, a := range actions {
		if a.name == q.Action {
			q.action = &actions[i]
		}
	}
	switch {
	case q.Action == quickPay, q.Action == quickCard:
		return q, nil
	case q.action == nil:
		return q, over
	}
	return q, c.hasPart(*q.action, q.s)
}

// command is what the link does, with the fields of its form.
func (q quickAction) command(c *call, v url.Values) journal.Command {
	if q.action == nil {
		return journal.Bind(billing.RetryOrder{OrderID: q.Order, AttemptID: c.IDs.New(id.BillingAttempt), Today: settings.Today(c.shop(), c.Program.Now()), Asked: true})
	}
	return c.asked(*q.action, q.s, v)
}

func (q quickAction) about() (out []journal.Ref) {
	if q.s != nil {
		out = append(out, q.s.Ref())
	}
	if q.Order != "" {
		out = append(out, journal.Ref{Kind: journal.Order, ID: q.Order})
	}
	return out
}

// filledIn are the fields as they were sent; the link's own date where none was.
func (q quickAction) filledIn(v url.Values) url.Values {
	if q.action != nil && q.action.name == "skip" {
		return url.Values{"date": {q.Date}}
	}
	return v
}

func (c *call) quickPage(p ui.Problems) (answer, error) {
	defer func() { c.who = nil }() // nobody signed in: the page of a visitor
	q, err := c.quick()
	if err != nil {
		return answer{}, err
	}
	viewed, err := c.Program.Spend(c.ctx, "viewed "+string(q.Message)+" "+q.Action, q.Expires)
	if err != nil {
		return answer{}, err
	}
	if viewed {
		if _, err := c.run(customer.QuickAction{Message: q.Message, CustomerID: q.Customer, Action: q.Action, About: q.about()}); err != nil {
			return answer{}, err
		}
	}
	if q.Action == quickCard {
		return c.quickCardPage(q, p)
	}
	v := q.filledIn(c.r.PostForm)
	view := formView{At: ui.WithoutPreview(c.r.URL.Path), Back: "/portal", Verb: c.say("quick.pay"), Problems: p, Visitor: true}
	out := answer{title: c.say("quick.pay")}
	if q.action != nil {
		out.title, view.Verb, view.Lead = c.say(q.action.title), c.say(q.action.verb), c.lead(*q.action)
		if q.action.fields != nil && q.action.name != "skip" {
			if why := c.notNow(*q.action, q.s); why != nil {
				view.Refusal = c.refusal(fault.As(why))
			}
			if view.Fields, err = q.action.fields(c, q.s, v); err != nil {
				return answer{}, err
			}
			values := url.Values{}
			for i, f := range view.Fields {
				view.Fields[i].Problem = p[f.Name]
				values.Set(f.Name, f.Value)
			}
			v = values
		}
	}
	view.Lead = contents(q.s) + ". " + view.Lead
	if err := c.foresee(&view, q.s, q.command(c, v)); err != nil {
		return answer{}, err
	}
	if len(view.Fields) == 0 { // nothing on the page can make it right
		view.Refusal = view.Trouble
	}
	out.body = formBody(view)
	return out, nil
}

func (c *call) quickAct() (answer, error) {
	defer func() { c.who = nil }()
	q, err := c.quick()
	if err != nil {
		return answer{}, err
	}
	if q.Action == quickCard {
		return c.quickCard(q)
	}
	if err := c.use(q, q.command(c, q.filledIn(c.r.PostForm))); err != nil {
		p, err := c.wrongWith(err)
		if err != nil {
			return answer{}, err
		}
		again, err := c.quickPage(p)
		again.status = http.StatusUnprocessableEntity
		return again, err
	}
	return c.quickDone(), nil
}

// quickCard takes the form of a new card.
func (c *call) quickCard(q quickAction) (answer, error) {
	if c.r.PostForm.Has("begin") {
		return c.quickCardPage(q, nil)
	}
	do, p, err := c.newCard()
	if do != nil {
		if err = c.use(q, do); err != nil {
			p, err = c.wrongCard(err)
		}
	}
	switch {
	case err != nil:
		return answer{}, err
	case p != nil:
		return c.quickCardPage(q, p)
	}
	return c.quickDone(), nil
}

// quickCardPage asks for a card, while the link can still keep it.
func (c *call) quickCardPage(q quickAction, p ui.Problems) (answer, error) {
	used, err := c.wasUsed(q)
	if err != nil {
		return answer{}, err
	}
	if used {
		return answer{}, usedAlready()
	}
	return c.cardPage(p)
}

// once is what the link is good for once.
func (q quickAction) once() string { return "used " + string(q.Message) + " " + q.Action }

// wasUsed says whether the link was used: by what its use spent, and by the entry of its use, which nobody takes away.
func (c *call) wasUsed(q quickAction) (bool, error) {
	spent, err := c.Store.Spent(c.ctx, c.Store.Read, q.once())
	if err != nil || spent {
		return spent, err
	}
	row, err := c.Store.Load(c.ctx, c.Store.Read, journal.Ref{Kind: journal.Message, ID: q.Message})
	if err != nil || row.Version == 0 {
		return false, store.Fault(err)
	}
	for e, err := range c.Store.Chain(c.ctx, c.Store.Read, store.Closed, row.LastSeq) {
		if err != nil {
			return false, store.Fault(err)
		}
		if e.Type == journal.CustomerQuickActionUsed && string(e.Detail("action")) == strconv.Quote(q.Action) {
			return true, nil
		}
	}
	return false, nil
}

func usedAlready() error {
	return fault.New(fault.Gone, "quick_action_used", "This link was used already. Sign in to do more.")
}

// use does what the link is for, once. A refusal does not use it up.
func (c *call) use(q quickAction, do journal.Command) error {
	cmd := customer.QuickAction{Message: q.Message, CustomerID: q.Customer, Action: q.Action, About: q.about(), Do: do}
	if _, err := cmd.Run(c.reader(), c.Program.Now()); err != nil {
		return err
	}
	used, err := c.wasUsed(q)
	if err != nil {
		return err
	}
	first, err := c.Program.Spend(c.ctx, q.once(), q.Expires)
	if err != nil {
		return err
	}
	if used || !first {
		return usedAlready()
	}
	_, err = c.run(cmd)
	return err
}

func (c *call) quickDone() answer {
	return answer{title: c.say("quick.done"), body: plainBody(c.say("quick.done_text"))}
}
