package portal

import (
	"net/http"
	"strconv"

	"perennial/internal/cancelflow"
	"perennial/internal/catalog"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/subscription"
	"perennial/internal/web/ui"
)

// Cancelling. Where the store has a cancel flow that fits, the page asks why, then shows what the store offers instead; the button that
// cancels at once is on both. Where it has none, there is one form.

func (p *Portal) registerCancel(plain action) {
	const path = "/portal/subscriptions/{id}/cancel"
	p.on(route{pattern: "GET " + path, who: subscriber, looks: true, events: []journal.Name{journal.CancelSessionStarted}}, func(c *call) (answer, error) { return c.cancelPage(plain) })
	p.on(route{pattern: "POST " + path, who: subscriber, events: append([]journal.Name{journal.CancelSessionStarted, journal.CancelSessionCompleted, journal.CancelSessionOfferShown}, plain.events...)}, func(c *call) (answer, error) { return c.cancelNow(plain) })
	p.on(route{pattern: "POST " + path + ui.Preview, who: subscriber}, func(c *call) (answer, error) { return c.form(plain, c.r.PostForm, nil) })
	p.on(route{pattern: "POST " + path + "/answer", who: subscriber, events: []journal.Name{journal.CancelSessionStarted, journal.CancelSessionOfferShown}}, (*call).cancelAnswer)
	p.on(route{pattern: "GET " + path + "/offers", who: subscriber, looks: true, events: []journal.Name{journal.CancelSessionStarted}}, (*call).cancelOffers)
	p.on(route{pattern: "POST " + path + "/accept", who: subscriber, events: append([]journal.Name{journal.CancelSessionOfferAccepted}, offerEvents...)}, (*call).cancelAccept)
	p.on(route{pattern: "POST " + path + "/keep", who: subscriber, events: []journal.Name{journal.CancelSessionAbandoned}}, (*call).cancelKeep)
}

// offerEvents are those of what a store may offer in place of the end.
var offerEvents = []journal.Name{journal.SubscriptionOrderSkipped, journal.SubscriptionPaused, journal.SubscriptionFrequencyChanged, journal.SubscriptionDiscountApplied, journal.DiscountRedeemed, journal.SubscriptionItemSwapped}

// cancelView is the page that asks why, and the one with the offers.
type cancelView struct {
	At, Back string
	Intro    string
	Reasons  []reasonLine
	Ask      bool // for a few words
	Words    string
	Problem  string
	Offers   []offerCard
}

type reasonLine struct {
	ID, Label string
	Closer    bool // an answer below the one before it
	Chosen    bool
}

type offerCard struct {
	N           string
	Title, Text string
	Effect      []string
	Items       []ui.Option // to choose from, where an offer is about one of several
	Talk        bool
}

// asks holds a command of a session against what the store offers, as every action of a subscriber.
func (c *call) asks(s *subscription.Subscription, cmd journal.Command) journal.Command {
	return subscription.Asked{ID: s.ID, Customer: c.who.ID, Action: subscription.ActionCancel, Do: cmd}
}

// session gives the subscription and its open session, nil when there is none.
func (c *call) cancelSession() (s *subscription.Subscription, session *cancelflow.Session, err error) {
	if s, err = c.mine(); err != nil {
		return nil, nil, err
	}
	session, err = cancelflow.Current(c.reader(), s, c.Program.Now())
	return s, session, err
}

func (c *call) cancelHead(s *subscription.Subscription) (answer, cancelView) {
	back := "/portal/subscriptions/" + string(s.ID)
	return answer{title: c.say("cancel.title"), crumbs: []ui.Link{{Href: "/portal", Text: c.say("home.title")}, {Href: back, Text: contents(s)}}}, cancelView{At: back + "/cancel", Back: back}
}

// cancelPage begins a session, or goes on with one.
func (c *call) cancelPage(plain action) (answer, error) {
	s, err := c.mine()
	if err != nil {
		return answer{}, err
	}
	if s.May(subscription.ActionCancel) != nil || c.offered(s, subscription.ActionCancel, nil) != nil {
		return c.form(plain, c.r.URL.Query(), nil)
	}
	out, err := c.run(c.asks(s, journal.Bind(cancelflow.Start{ID: c.IDs.New(id.CancelSession), SubscriptionID: s.ID})))
	if err != nil {
		return answer{}, err
	}
	if out.Decision.Result.ID == "" {
		return c.form(plain, c.r.URL.Query(), nil)
	}
	return c.asking(s, out.Decision.Result.ID, "")
}

// asking shows the reasons of a session.
func (c *call) asking(s *subscription.Subscription, session id.ID, problem string) (answer, error) {
	w, err := cancelflow.Conversation(c.reader(), session)
	if err != nil {
		return answer{}, err
	}
	a, v := c.cancelHead(s)
	v.Intro, v.Problem, v.Words = w.Flow.Intro, problem, c.r.PostFormValue("comment")
	for _, r := range w.Reasons {
		if r.ParentID != "" {
			continue
		}
		line := func(r *cancelflow.Reason) reasonLine {
			v.Ask = v.Ask || r.AskWords
			return reasonLine{ID: string(r.ID), Label: r.Label, Closer: r.ParentID != "", Chosen: w.Session.ReasonID == r.ID}
		}
		v.Reasons = append(v.Reasons, line(r))
		for _, below := range w.Reasons {
			if below.ParentID == r.ID {
				v.Reasons = append(v.Reasons, line(below))
			}
		}
	}
	a.body = cancelBody(v)
	return a, nil
}

func (c *call) cancelAnswer() (answer, error) {
	s, session, err := c.cancelSession()
	if err != nil {
		return answer{}, err
	}
	at := "/portal/subscriptions/" + string(s.ID) + "/cancel"
	if session == nil {
		return answer{to: at}, nil
	}
	if _, err := c.run(c.asks(s, journal.Bind(cancelflow.Choose{Session: session.ID, ReasonID: id.ID(c.r.PostFormValue("reason_id"))}))); err != nil {
		if len(fault.As(err).Fields) == 0 {
			return answer{}, err
		}
		a, err := c.asking(s, session.ID, c.say("cancel.choose"))
		a.status = http.StatusUnprocessableEntity
		return a, err
	}
	if words := c.r.PostFormValue("comment"); words != "" {
		_ = c.keep(cancelCookie, words, sessionWords) // text always seals
	}
	return answer{to: at + "/offers"}, nil
}

// What somebody wrote goes with them to the next page.
const (
	cancelCookie = "perennial_portal_words"
	sessionWords = codeLifetime
)

func (c *call) cancelOffers() (answer, error) {
	s, session, err := c.cancelSession()
	if err != nil {
		return answer{}, err
	}
	a, v := c.cancelHead(s)
	if session == nil || session.ReasonID == "" {
		return answer{to: v.At}, nil
	}
	w, err := cancelflow.Conversation(c.reader(), session.ID)
	if err != nil {
		return answer{}, err
	}
	_ = c.kept(cancelCookie, &v.Words)
	for _, r := range w.Reasons {
		if r.ID != session.ReasonID {
			continue
		}
		for _, n := range w.Good(r, c.Program.Now()) {
			v.Offers = append(v.Offers, c.offerCard(s, w, r.Offers[n], n))
		}
	}
	a.body = cancelOffersBody(v, c.contact())
	return a, nil
}

// offerCard says what an offer is, and what it would come to.
func (c *call) offerCard(s *subscription.Subscription, w cancelflow.World, o cancelflow.Offer, n int) offerCard {
	card := offerCard{N: strconv.Itoa(n), Text: o.Text}
	variant := func() string {
		v := w.Variants[o.VariantID]
		title := v.Title
		if p, err := journal.Find[catalog.Product](c.reader(), journal.Product, v.ProductID); err == nil && p != nil && p.Title != v.Title {
			title = p.Title + ", " + v.Title
		}
		return title
	}
	item := id.ID("")
	switch o.Kind {
	case cancelflow.OfferSkip:
		card.Title = c.say("offer.skip")
	case cancelflow.OfferPause:
		card.Title = c.say("offer.pause", "date", c.today().AddDays(o.Days))
	case cancelflow.OfferSwap:
		card.Title = c.say("offer.swap", "title", variant())
		for _, it := range s.Items {
			if !it.OneTime && it.VariantID != o.VariantID {
				card.Items = append(card.Items, ui.Option{Value: string(it.ID), Label: it.Title})
				item = it.ID
			}
		}
		if len(card.Items) == 1 {
			card.Items = nil
		}
	case cancelflow.OfferFrequency:
		card.Title = c.say("offer.frequency", "rhythm", c.every(catalog.Policy{Interval: o.Interval, IntervalCount: o.IntervalCount}))
	case cancelflow.OfferDiscount:
		d := w.Discounts[o.Code]
		off := strconv.FormatInt(d.Value, 10) + " %"
		if d.Kind == catalog.KindAmount {
			off = c.cash(money.Of(d.Value, s.Currency))
		}
		card.Title = c.say("offer.discount", "off", off)
	case cancelflow.OfferGift:
		card.Title = c.say("offer.gift", "title", variant())
	case cancelflow.OfferTalk:
		card.Title, card.Talk = c.say("offer.talk"), true
		return card
	}
	var f formView
	if err := c.foresee(&f, s, c.asks(s, cancelflow.Accept{Session: w.Session.ID, Offer: n, ItemID: item, NewItemID: c.IDs.New(id.Item)})); err == nil && f.Trouble == "" {
		card.Effect = f.Effect
	}
	return card
}

func (c *call) cancelAccept() (answer, error) {
	s, session, err := c.cancelSession()
	if err != nil {
		return answer{}, err
	}
	_, v := c.cancelHead(s)
	if session == nil { // another one is begun by who opens its page, not by a form that came twice
		c.note(c.say("refusal.session_over"))
		return answer{to: v.Back}, nil
	}
	n, err := strconv.Atoi(c.r.PostFormValue("offer"))
	if err != nil {
		n = -1 // is refused
	}
	cmd := cancelflow.Accept{Session: session.ID, Offer: n, ItemID: id.ID(c.r.PostFormValue("item_id")), NewItemID: c.IDs.New(id.Item)}
	out, err := c.run(c.asks(s, cmd))
	if err != nil {
		return answer{}, err
	}
	for _, e := range out.Events {
		if e.Target() == s.Ref() {
			return answer{to: v.Back + "?done=" + string(e.ID)}, nil
		}
	}
	c.note(c.say("cancel.talk", "contact", c.contact()))
	return answer{to: v.Back}, nil
}

func (c *call) cancelKeep() (answer, error) {
	s, session, err := c.cancelSession()
	if err != nil {
		return answer{}, err
	}
	_, v := c.cancelHead(s)
	if session != nil {
		if _, err := c.run(c.asks(s, journal.Bind(cancelflow.Keep{Session: session.ID}))); err != nil {
			return answer{}, err
		}
		c.note(c.say("cancel.kept"))
	}
	return answer{to: v.Back}, nil
}

// cancelNow cancels, through the session if there is one. It asks for nothing.
func (c *call) cancelNow(plain action) (answer, error) {
	s, session, err := c.cancelSession()
	if err != nil {
		return answer{}, err
	}
	if session == nil {
		return c.act(plain)
	}
	if reason := id.ID(c.r.PostFormValue("reason_id")); reason != "" && reason != session.ReasonID {
		// Somebody who chose and then cancels at once has said why all the same.
		if _, err := c.run(c.asks(s, journal.Bind(cancelflow.Choose{Session: session.ID, ReasonID: reason}))); err != nil && fault.As(err).Kind != fault.Refused {
			return answer{}, err
		}
	}
	out, err := c.run(c.asks(s, cancelflow.Complete{Session: session.ID}))
	if err != nil {
		return answer{}, err
	}
	to := "/portal/subscriptions/" + string(s.ID)
	for _, e := range out.Events {
		if e.Type == journal.SubscriptionCancelled {
			return answer{to: to + "?done=" + string(e.ID)}, nil
		}
	}
	return answer{to: to}, nil
}
