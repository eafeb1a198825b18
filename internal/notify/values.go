package notify

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"perennial/internal/billing"
	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/message"
	"perennial/internal/money"
	"perennial/internal/plain"
	"perennial/internal/query"
	"perennial/internal/settings"
	"perennial/internal/store"
	"perennial/internal/subscription"
	"perennial/internal/web/ui"
	"perennial/internal/web/ui/lang"
)

//go:embed words
var wordFiles embed.FS

var words = sync.OnceValue(func() *lang.Catalogue {
	c, err := lang.Read(wordFiles, "words")
	if err != nil {
		panic(err) // the files are embedded
	}
	return c
})

// values is what a message says of the shop as it is when it is sent, and of the entry that it tells of.
type values struct {
	n       *Notifier
	ctx     context.Context //nolint:containedctx // it lives as long as one message
	r       journal.Reader
	who     *customer.Customer
	general *settings.General
	what    note
	key     id.ID
	p       *lang.Printer
	event   *journal.Event // nil: it tells of no entry
	to      string         // where the message goes; empty: to the subscriber
	out     map[string]string
}

// language chooses how the subscriber is spoken to: as they said, else as the store speaks.
func (v *values) language(own, shop string) {
	name, locale := words().Match(own, shop)
	v.p = words().Printer(name, locale)
}

// Values gives values to look at a message with: those of the newest subscription that is active, where there is one, and made up ones
// for what only comes with an entry. Nothing can be done with its links.
func (n *Notifier) Values(ctx context.Context, language string) (map[string]string, error) {
	general, err := n.general(ctx)
	if err != nil || general == nil {
		return message.Sample("Perennial"), err
	}
	out := message.Sample(general.Name)
	if general.SupportEmail != "" {
		out["support_email"] = general.SupportEmail
	}
	r := n.reader(ctx)
	v := values{n: n, ctx: ctx, r: r, general: general, out: map[string]string{}}
	v.language(language, general.Locale)
	now := n.Program.Now().In(settings.Zone(general))
	today := settings.Today(general, now)
	v.out["until"], v.out["next_try"] = v.p.Say("until.date", "date", today.AddDays(60)), v.p.Say("next_try.date", "date", today.AddDays(3))
	v.out["device"], v.out["time"] = v.p.Say("device.both", "browser", "Firefox", "system", "Linux"), v.p.Time(now)
	v.out["date"], v.out["next_date"], v.out["rhythm"] = v.p.Date(today.AddDays(3)), v.p.Date(today.AddDays(33)), v.p.Say("rhythm.month", "count", 1)
	for _, key := range []string{"if_not_you", "if_not_reached"} {
		if v.out[key], err = v.orTell(key); err != nil {
			return nil, err
		}
	}
	for name := range out {
		if strings.HasSuffix(name, "_link") {
			out[name] = n.Portal
		}
	}
	out["link"] = n.Portal
	rows, err := query.Rows(ctx, n.Store, query.List{Kind: journal.Subscription, Where: []query.Filter{query.Is(query.Status, subscription.Active)}, Order: query.Newest, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		if err := v.sample(rows[0].State.(*subscription.Subscription)); err != nil {
			return nil, err
		}
	}
	v.out["card_trouble"] = v.p.Say("card_trouble.card", "card", cmp.Or(v.out["card"], out["card"]))
	for name, value := range v.out {
		if value != "" {
			out[name] = value
		}
	}
	return out, nil
}

// sample fills in what a message says of a subscription, for somebody to look at.
func (v *values) sample(s *subscription.Subscription) error {
	who, err := journal.Get[customer.Customer](v.r, journal.Customer, s.CustomerID)
	if err != nil || who.Status != customer.Active {
		return err
	}
	v.who, v.what.Subscription = who, s.ID
	if _, err := v.about(); err != nil {
		return err
	}
	if v.out["total"], err = v.upcoming(s); err != nil {
		return err
	}
	v.out["customer_first_name"] = who.FirstName.Value
	if s.NextBillingDate != nil {
		v.out["date"] = v.p.Date(s.NextBillingDate.AddDays(-7))
	}
	return nil
}

// fill gives the values of a message. ok is false when there is nothing to say any more: it tells of an order that was skipped since, of a
// device that is known.
func (v *values) fill() (out map[string]string, ok bool, err error) {
	v.out = map[string]string{"shop_name": v.general.Name, "customer_first_name": v.who.FirstName.Value, "support_email": v.general.SupportEmail, "portal_link": v.n.Portal}
	if v.what.Event != "" {
		st, err := v.n.Store.EventByID(v.ctx, v.n.Store.Read, store.Opened, v.what.Event)
		if err != nil {
			return nil, false, store.Fault(err)
		}
		v.event = st.Event
	}
	if v.what.Name == message.NewDevice {
		known, err := v.knownDevice()
		if err != nil || known {
			return nil, false, err
		}
		v.out["device"], v.out["time"] = v.device(v.event.Source.UserAgent.Value), v.p.Time(v.event.RecordedAt.In(settings.Zone(v.general)))
		v.out["portal_link"] += "/account" // where the devices are
	}
	if v.what.Name == message.EmailChanged {
		if v.to = v.addressBefore(); v.to == "" {
			return nil, false, nil
		}
		v.out["time"] = v.p.Time(v.event.RecordedAt.In(settings.Zone(v.general)))
	}
	if v.what.Name == message.ExportReady {
		v.out["time"] = v.p.Time(v.event.RecordedAt.In(settings.Zone(v.general)))
		if v.out["if_not_reached"], err = v.orTell("if_not_reached"); err != nil {
			return nil, false, err
		}
	}
	if err := v.card(v.what.Method); err != nil {
		return nil, false, err
	}
	if err := v.cardLink(); err != nil {
		return nil, false, err
	}
	if v.what.Subscription != "" {
		if ok, err := v.about(); err != nil || !ok {
			return nil, false, err
		}
	}
	return v.out, true, nil
}

// addressBefore is the e-mail address that the entry changed; empty when it was erased, or is the same mailbox.
func (v *values) addressBefore() string {
	var before journal.Personal[string]
	c, ok := v.event.Change("email")
	if !ok || json.Unmarshal(c.Before, &before) != nil || before.Erased || plain.EmailKey(before.Value) == plain.EmailKey(v.who.Email.Value) {
		return ""
	}
	return before.Value
}

// about fills in what a message says of a subscription.
func (v *values) about() (ok bool, err error) {
	s, err := journal.Get[subscription.Subscription](v.r, journal.Subscription, v.what.Subscription)
	if err != nil {
		return false, err
	}
	var items []string
	for _, it := range s.Items {
		items = append(items, fmt.Sprintf("%d × %s", it.Quantity, it.Title))
	}
	v.out["items"], v.out["rhythm"] = strings.Join(items, ", "), v.rhythm(s.BillingPolicy)
	v.out["subscription_link"] = v.n.Portal + "/subscriptions/" + string(s.ID)
	if s.NextBillingDate != nil {
		v.out["next_date"] = v.p.Date(*s.NextBillingDate)
	}
	if v.out["card"] == "" {
		if err := v.card(cmp.Or(s.PaymentMethodID, v.who.DefaultPaymentMethodID)); err != nil {
			return false, err
		}
	}
	switch v.what.Name {
	case message.OrderUpcoming:
		if s.Status != subscription.Active || s.NextBillingDate == nil || s.NextBillingDate.String() != v.what.Date {
			return false, nil // it was skipped or moved since
		}
		if v.out["total"], err = v.upcoming(s); err != nil {
			return false, err
		}
		return true, v.links(s, subscription.ActionSkip, subscription.ActionReschedule, subscription.ActionSwapItem)
	case message.OrderPlaced, message.PaymentFailed, message.ActionRequired:
		o, err := journal.Get[billing.Order](v.r, journal.Order, v.what.Order)
		if err != nil {
			return false, err
		}
		items = items[:0]
		for _, it := range o.Items {
			items = append(items, fmt.Sprintf("%d × %s", it.Quantity, it.Title))
		}
		v.out["items"], v.out["order_number"], v.out["total"] = strings.Join(items, ", "), o.Number, ui.Money(o.Due(), v.p.Locale)
		if v.what.Name == message.PaymentFailed {
			return v.failed(o, s)
		}
		if v.what.Name != message.OrderPlaced {
			if o.Status != billing.Pending {
				return false, nil // it was paid or given up since
			}
			v.out["pay_link"] = v.n.Portal + "/orders/" + string(o.ID) + "/confirm"
			return true, nil
		}
	case message.Skipped:
		v.out["date"] = v.date(v.event.Detail("date"))
	case message.Rescheduled:
		if c, ok := v.event.Change("next_billing_date"); ok {
			v.out["date"] = v.date(c.Before)
		}
	case message.Paused:
		v.out["until"] = v.p.Say("until.open")
		if s.PausedUntil != nil {
			v.out["until"] = v.p.Say("until.date", "date", *s.PausedUntil)
		}
	case message.AddressChanged, message.PaymentMethodChanged:
		v.out["if_not_you"], err = v.orTell("if_not_you")
		return true, err
	case message.Cancelled:
		if s.MergedInto != "" {
			return false, nil // it goes on as a part of another
		}
		return true, v.links(s, subscription.ActionReactivate)
	}
	return true, nil
}

// failed says what comes after a payment that failed. Nothing is said of one that was tried again since: how that ends is told by itself.
func (v *values) failed(o *billing.Order, s *subscription.Subscription) (ok bool, err error) {
	if string(v.event.Detail("attempt")) != strconv.Itoa(len(o.Attempts)) {
		return false, nil
	}
	waits := s.Recovery != nil && s.Recovery.OrderID == o.ID
	card := "card"
	switch {
	case o.Attempts[len(o.Attempts)-1].PaymentMethodID == "":
		v.out["card_trouble"], card = v.p.Say("card_trouble.none"), "first_card"
	case v.out["card"] == "":
		v.out["card_trouble"] = v.p.Say("card_trouble.other")
	default:
		v.out["card_trouble"] = v.p.Say("card_trouble.card", "card", v.out["card"])
	}
	switch {
	case o.Status == billing.Failed:
		v.out["next_try"] = v.p.Say("next_try.none")
	case o.Status != billing.Pending || !waits:
		return false, nil // it was paid or cancelled since
	case s.Recovery.NextRetry != nil:
		v.out["next_try"] = v.p.Say("next_try.date", "date", *s.Recovery.NextRetry)
	case s.Recovery.EndsOn != nil:
		v.out["next_try"] = v.p.Say("next_try."+card+"_by", "date", *s.Recovery.EndsOn)
	default:
		v.out["next_try"] = v.p.Say("next_try." + card)
	}
	if waits && !s.Recovery.NeedsCard {
		v.out["pay_link"], err = v.link(s.ID, "pay", "")
	}
	return true, err
}

// orTell says what to do about what should not be so: whom to tell, where the store says it.
func (v *values) orTell(key string) (string, error) {
	portal, err := journal.Find[settings.Portal](v.r, journal.Settings, settings.PagePortal)
	if err != nil {
		return "", err
	}
	contact := v.general.SupportEmail
	if portal != nil && portal.SupportContact != "" {
		contact = portal.SupportContact
	}
	if contact == "" {
		return v.p.Say(key + ".alone"), nil
	}
	return v.p.Say(key+".contact", "contact", contact), nil
}

// device is how a browser calls itself, in the reader's language.
func (v *values) device(agent string) string {
	name := ui.Device(agent)
	if browser, system, ok := strings.Cut(name, " on "); ok {
		return v.p.Say("device.both", "browser", browser, "system", system)
	}
	return cmp.Or(name, v.p.Say("device.unknown"))
}

// links puts in the addresses of actions that the store offers now. Of swapping it is the first item that comes with every order.
func (v *values) links(s *subscription.Subscription, actions ...subscription.Action) error {
	portal, err := journal.Find[settings.Portal](v.r, journal.Settings, settings.PagePortal)
	if err != nil {
		return err
	}
	bill, err := journal.Find[settings.Billing](v.r, journal.Settings, settings.PageBilling)
	if err != nil {
		return err
	}
	today := settings.Today(v.general, v.n.Program.Now())
	for _, a := range actions {
		if subscription.Offered(s, a, nil, portal, bill, today) != nil {
			continue
		}
		name, item := string(a), id.ID("")
		if a == subscription.ActionSwapItem {
			i := slices.IndexFunc(s.Items, func(it subscription.Item) bool { return !it.OneTime })
			if i < 0 {
				continue
			}
			name, item = "swap", s.Items[i].ID
		}
		if v.out[name+"_link"], err = v.link(s.ID, name, item); err != nil {
			return err
		}
	}
	return nil
}

// cardLink is where the customer gives another card; where the store does not let them, the page says so.
func (v *values) cardLink() (err error) {
	portal, err := journal.Find[settings.Portal](v.r, journal.Settings, settings.PagePortal)
	if err != nil {
		return err
	}
	if portal == nil {
		portal = settings.Default(settings.PagePortal, v.general).(*settings.Portal)
	}
	v.out["card_link"] = v.n.Portal + "/payment-methods/new"
	if slices.Contains(portal.Actions, string(subscription.ActionPaymentMethod)) {
		v.out["card_link"], err = v.link(v.what.Subscription, "card", "")
	}
	return err
}

func (v *values) link(s id.ID, action string, item id.ID) (string, error) {
	return v.n.Links(Link{Action: action, Customer: v.who.ID, Email: v.who.Email.Value, EmailSince: v.who.EmailChangedAt, Subscription: s, Order: v.what.Order, Item: item,
		Message: v.key, Date: v.what.Date, Expires: v.n.Program.Now().Add(linkLife)})
}

func (v *values) card(key id.ID) error {
	if key == "" {
		return nil
	}
	m, err := journal.Find[customer.PaymentMethod](v.r, journal.PaymentMethod, key)
	if err != nil || m == nil {
		return err
	}
	if m.Brand != "" && m.Last4.Value != "" {
		r, size := utf8.DecodeRuneInString(m.Brand)
		v.out["card"] = string(unicode.ToUpper(r)) + m.Brand[size:] + " " + m.Last4.Value
	}
	return nil
}

func (v *values) rhythm(p catalog.Policy) string {
	key := map[civil.Unit]string{civil.Day: "rhythm.day", civil.Week: "rhythm.week", civil.Month: "rhythm.month", civil.Year: "rhythm.year"}[p.Interval]
	return v.p.Say(key, "count", p.IntervalCount)
}

func (v *values) date(j []byte) string {
	d, err := civil.Parse(strings.Trim(string(j), `"`))
	if err != nil {
		return ""
	}
	return v.p.Date(d)
}

// upcoming is what the next order will cost.
func (v *values) upcoming(s *subscription.Subscription) (string, error) {
	list, err := query.Upcoming(v.r, s, settings.Today(v.general, v.n.Program.Now()), 1)
	if err != nil || len(list) == 0 {
		return ui.Money(money.Zero(s.Currency), v.p.Locale), err
	}
	return ui.Money(list[0].Due(), v.p.Locale), nil
}

// knownDevice says whether the customer signed in with this browser before, or never at all: the first device is no new one.
func (v *values) knownDevice() (bool, error) {
	var before []string
	for e, err := range v.n.SignIns(v.ctx, v.who.ID, v.what.Seq) {
		if err != nil {
			return false, err
		}
		before = append(before, e.Source.UserAgent.Value)
		if len(before) == 50 {
			break
		}
	}
	how := v.event.Detail("method")
	return len(before) == 0 || slices.Contains(before, v.event.Source.UserAgent.Value) || string(how) == `"view_as"`, nil
}
