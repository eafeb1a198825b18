package portal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"perennial/internal/auth"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/gate"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/payment"
	"perennial/internal/payment/stripe"
	"perennial/internal/program"
	"perennial/internal/query"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/web/ui"
)

// A new card. Its number never comes to us: with Stripe, Stripe's own script asks for it in a frame of Stripe's, and we learn the name
// under which Stripe keeps the card. The simulated gateway has numbers for trying things out, typed into a plain form.

// testCards is a gateway that charges nobody.
type testCards interface {
	Card(number string, month, year int) (payment.Card, error)
}

// stripeCards is Stripe, as far as cards go.
type stripeCards interface {
	Publishable() string
	CreateCustomer(ctx context.Context, c stripe.NewCustomer) (string, error)
	CreateSetupIntent(ctx context.Context, customerID string) (stripe.SetupIntent, error)
	FinishSetup(ctx context.Context, customerID, setupIntentID string) (payment.Card, error)
}

// stripePolicy is what Stripe's script needs of the page that it is on, as Stripe says.
const stripePolicy = "; script-src 'self' https://js.stripe.com https://*.js.stripe.com; frame-src https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com; connect-src 'self' https://api.stripe.com"

const (
	setupCookie   = "perennial_card" // whose card is being added at Stripe
	setupLifetime = time.Hour
)

func (p *Portal) registerCards() {
	p.on(route{pattern: "GET /portal/payment-methods/new", who: alone}, func(c *call) (answer, error) { return c.cardPage(nil) })
	p.on(route{pattern: "POST /portal/payment-methods/new", who: alone, events: newCardEvents}, (*call).addCard)
}

// newCardEvents are those of a new card, which may be what everything is charged to from now on.
var newCardEvents = []journal.Name{journal.PaymentMethodAdded, journal.PaymentMethodDefaultChanged, journal.PaymentMethodBackupSet, journal.SubscriptionPaymentMethodChanged}

// setup is a card that is being added at Stripe.
type setup struct {
	Who   id.ID
	Owner string // the customer at Stripe
}

// cardView is the page of a new card. Its form goes to the address of the page, and the bank's page leads back there.
type cardView struct {
	At, Back            string
	Number, Expiry, Use ui.Field
	Uses                []ui.Option
	Problems            ui.Problems
	Test                bool
	Publishable, Secret string // for Stripe's script; empty: cards cannot be added here
	SetupIntent         string // one that was confirmed at the bank's page
	Ask                 bool   // nothing is asked of Stripe before a button says so
	Contact             string
}

// mayAddCard says whether the store lets its subscribers say what is charged. A member of the team who looks on has no card to add.
func (c *call) mayAddCard() bool {
	return c.viewer == "" && slices.Contains(c.offer().Actions, string(subscription.ActionPaymentMethod))
}

func (c *call) cardPage(p ui.Problems) (answer, error) {
	if !c.mayAddCard() {
		return answer{}, notOffered()
	}
	if err := c.mayUseGateway(); err != nil {
		return answer{}, err
	}
	typed := func(name string) string { return c.r.PostFormValue(name) }
	v := cardView{At: ui.WithoutPreview(c.r.URL.Path), Back: "/portal/account", Problems: p, Contact: c.contact(),
		Number: ui.Field{Name: "number", Label: c.say("newcard.number"), Value: typed("number"), Mode: "numeric", Complete: "off", Required: true, Length: "30", Problem: p["number"]},
		Expiry: ui.Field{Name: "expiry", Label: c.say("newcard.expiry"), Value: typed("expiry"), Placeholder: "MM/YY", Complete: "off", Required: true, Length: "9", Problem: p["expiry"]},
		Use:    ui.Field{Name: "use", Label: c.say("newcard.use"), Value: typed("use")},
		Uses:   []ui.Option{{Value: "all", Label: c.say("newcard.use_all")}, {Value: "none", Label: c.say("newcard.use_none")}}}
	out := answer{title: c.say("newcard.title"), crumbs: []ui.Link{{Href: "/portal/account", Text: c.say("account.title")}}}
	if c.meta.Source.Channel == journal.ChannelQuickAction {
		v.Back, out.crumbs = "/portal", nil
	}
	if p != nil {
		out.status = http.StatusUnprocessableEntity
	}
	q, looked := c.r.URL.Query(), c.r.Method == http.MethodGet || strings.HasSuffix(c.route.pattern, ui.Preview)
	switch g := c.Gateway.(type) {
	case testCards:
		v.Test = true
	case stripeCards:
		switch {
		case g.Publishable() == "":
		case c.r.Method == http.MethodGet && q.Get("setup_intent") != "" && q.Get("redirect_status") != "failed": // back from the page of a bank
			v.SetupIntent = q.Get("setup_intent")
		case looked && c.meta.Source.Channel == journal.ChannelQuickAction: // perhaps by a program that looks at mails
			v.Ask = true
		default:
			if err := c.spareCards(); err != nil {
				return answer{}, err
			}
			owner, intent, err := c.beginAtStripe(g)
			if err != nil {
				return answer{}, err
			}
			if err := c.keep(setupCookie, setup{c.who.ID, owner}, setupLifetime); err != nil {
				return answer{}, err
			}
			v.Publishable, v.Secret, out.stripe = g.Publishable(), intent.ClientSecret, true
		}
	}
	out.body = cardBody(v)
	return out, nil
}

// beginAtStripe begins to add a card: to the customer at Stripe of a card of theirs, or to a new one, when there is none or none is left. A
// customer there may have been deleted, or be another account's.
func (c *call) beginAtStripe(g stripeCards) (owner string, intent stripe.SetupIntent, err error) {
	rows, err := c.rows(journal.PaymentMethod, query.Newest, 50)
	if err != nil {
		return "", intent, err
	}
	var owners []string
	for _, r := range rows {
		if owner := stripe.CustomerIn(r.State.(*customer.PaymentMethod).GatewayReference.Value); owner != "" && !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	for n := range min(len(owners), ownersTried) + ownersMade {
		made := n - min(len(owners), ownersTried)
		if made < 0 {
			owner = owners[n]
		} else if owner, err = g.CreateCustomer(c.ctx, c.forStripe(made)); err != nil {
			return "", intent, unreachable(err)
		}
		intent, err = g.CreateSetupIntent(c.ctx, owner)
		if err == nil {
			return owner, intent, nil
		}
		if !errors.Is(err, payment.ErrNotFound) {
			break
		}
	}
	return "", intent, unreachable(err)
}

// How many customers at Stripe are tried, and made, for a new card.
const (
	ownersTried = 3
	ownersMade  = 2
)

// forStripe is what Stripe is told of the customer. Within a day the same key gives the same customer again, also one that was deleted
// since, and with another name or address it is refused.
func (c *call) forStripe(n int) stripe.NewCustomer {
	name, email := strings.TrimSpace(c.who.FirstName.Value+" "+c.who.LastName.Value), c.who.Email.Value
	said := sha256.Sum256([]byte(name + "\x00" + email))
	return stripe.NewCustomer{IdempotencyKey: fmt.Sprintf("customer_%s_%x_%d", c.who.ID, said[:8], n), CustomerID: c.who.ID, Name: name, Email: email}
}

// Who tries out stolen cards needs many pages for it, or many networks.
func cardQuotas() [2]*auth.Quota {
	return [2]*auth.Quota{{Burst: 10, Every: 10 * time.Minute}, {Burst: 30, Every: 2 * time.Minute}}
}

// spareCards counts a card that is begun at Stripe, and refuses one too many.
func (c *call) spareCards() error {
	now := c.Program.Now()
	for i, key := range []string{string(c.who.ID), auth.Network(c.r)} {
		if refused := c.cards[i].Take(key, now); refused > 0 {
			return &fault.Error{Kind: fault.TooMany, Code: "too_many_cards", Public: "Too many cards were begun. Wait a few minutes, then try again.", RetryAfter: refused}
		}
	}
	return nil
}

// mayUseGateway refuses while something holds up what goes on at the gateway: a reference of now could be another account's.
func (c *call) mayUseGateway() error {
	if err := c.Gate.Ask(gate.Charge, gate.GatewayFailing); err != nil {
		return unreachable(err)
	}
	return nil
}

func unreachable(err error) error {
	return fault.Wrap(err, fault.Unavailable, "gateway_unreachable", "The payment provider cannot be reached at the moment. Try again in a while.")
}

// addCard keeps the card of the form, and has it charged from now on where its customer wants that. What waits for a new card is tried
// again by the engine.
func (c *call) addCard() (answer, error) {
	cmd, p, err := c.newCard()
	if err != nil {
		return answer{}, err
	}
	if p != nil {
		return c.cardPage(p)
	}
	if cmd == nil {
		return answer{to: "/portal/account"}, nil
	}
	out, err := c.run(cmd)
	if err != nil {
		if p, err = c.wrongCard(err); err != nil {
			return answer{}, err
		}
		return c.cardPage(p)
	}
	return done("/portal/account", out.Events), nil
}

// wrongCard is a refusal as the form of a card shows it.
func (c *call) wrongCard(err error) (ui.Problems, error) {
	p, err := c.wrongWith(err)
	if _, old := p["exp_year"]; old {
		p = ui.Problems{"expiry": c.say("newcard.expired")}
	}
	return p, err
}

// newCard gives the command that keeps the card of the form, or what is wrong with the form; neither for one that was kept already.
func (c *call) newCard() (journal.Command, ui.Problems, error) {
	if !c.mayAddCard() {
		return nil, nil, notOffered()
	}
	if err := c.mayUseGateway(); err != nil {
		return nil, nil, err
	}
	switch g := c.Gateway.(type) {
	case testCards:
		card, p := c.testCard(g)
		if len(p) > 0 {
			return nil, p, nil
		}
		cmd, err := c.keepCard("simulated", card)
		return cmd, nil, err
	case stripeCards:
		var begun setup
		if g.Publishable() == "" || !c.kept(setupCookie, &begun) || begun.Who != c.who.ID {
			return nil, ui.Problems{"": c.say("newcard.not_finished")}, nil
		}
		card, err := g.FinishSetup(c.ctx, begun.Owner, c.r.PostFormValue("setup_intent"))
		switch {
		case errors.Is(err, payment.ErrNotFound), errors.Is(err, stripe.ErrNotFinished):
			return nil, ui.Problems{"": c.say("newcard.not_finished")}, nil
		case err != nil:
			return nil, nil, unreachable(err)
		}
		cmd, err := c.keepCard("stripe", card)
		return cmd, nil, err
	}
	return nil, nil, notOffered()
}

func notOffered() error {
	return fault.New(fault.Conflict, "not_offered", "The store does not offer this here. Write to the store if you need it.")
}

var expiry = regexp.MustCompile(`^(\d{1,2}) ?[/-] ?(?:20)?(\d{2})$`)

// testCard reads the form of a card that nobody charges.
func (c *call) testCard(g testCards) (payment.Card, ui.Problems) {
	p := ui.Problems{}
	var month, year int
	if m := expiry.FindStringSubmatch(strings.TrimSpace(c.r.PostFormValue("expiry"))); m != nil {
		month, _ = strconv.Atoi(m[1]) // digits
		year, _ = strconv.Atoi("20" + m[2])
	}
	if month < 1 || month > 12 {
		p["expiry"] = c.say("newcard.no_expiry")
	}
	card, err := g.Card(c.r.PostFormValue("number"), month, year)
	switch {
	case errors.Is(err, payment.ErrCardDeclined):
		p["number"] = c.say("newcard.declined")
	case err != nil:
		p["number"] = c.say("newcard.no_number")
	}
	return card, p
}

// keepCard is the command that keeps a card; nil for one of Stripe's that was kept already: its form was sent twice.
func (c *call) keepCard(gateway string, card payment.Card) (journal.Command, error) {
	rows, err := c.rows(journal.PaymentMethod, query.Oldest, 50)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if m := r.State.(*customer.PaymentMethod); gateway == "stripe" && m.Status == customer.StatusActive && m.GatewayReference.Value == card.Reference {
			return nil, nil
		}
	}
	key := c.IDs.New(id.PaymentMethod)
	cmd := program.Sequence{journal.Bind(customer.AddPaymentMethod{ID: key, CustomerID: c.who.ID, Gateway: gateway,
		Fields: customer.PaymentMethodFields{GatewayReference: &card.Reference, Brand: &card.Brand, Last4: &card.Last4, ExpMonth: &card.ExpMonth, ExpYear: &card.ExpYear}})}
	if c.r.PostFormValue("use") == "none" {
		return cmd, nil
	}
	cmd = append(cmd, journal.Bind(customer.SetDefaultPaymentMethod{CustomerID: c.who.ID, PaymentMethodID: key}))
	subs, err := c.rows(journal.Subscription, query.Newest, 100)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(subs, func(r store.Row) bool { return r.State.(*subscription.Subscription).Open() }); i >= 0 {
		first := subs[i].State.(*subscription.Subscription)
		cmd = append(cmd, subscription.Asked{ID: first.ID, Customer: c.who.ID, Action: subscription.ActionPaymentMethod,
			Do: journal.Bind(subscription.ChangePaymentMethod{ID: first.ID, AllSubscriptions: true})}) // they follow the default, which it is now
	}
	return cmd, nil
}
