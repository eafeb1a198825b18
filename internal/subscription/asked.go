package subscription

import (
	"slices"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/settings"
)

// Asked is an action that the subscriber asks for: the command, once the store allows it. What the store allows is the page "portal"
// of the settings, and the cut-off of the page "billing". It holds everywhere that a subscriber acts, so no way leads round it.
type Asked struct {
	ID       id.ID
	Customer id.ID // who asks; the subscription of somebody else is unknown
	Action   Action
	Date     *civil.Date // the day that the action names, if it names one
	With     id.ID       // the other subscription that the action names, if it names one: theirs too
	Do       journal.Command
}

// Run implements journal.Command.
func (c Asked) Run(r journal.Reader, now time.Time) (journal.Decision, error) {
	rules, err := rulesOf(r, now)
	if err != nil {
		return journal.Decision{}, err
	}
	return c.run(r, now, rules)
}

func (c Asked) run(r journal.Reader, now time.Time, rules storeRules) (journal.Decision, error) {
	s, err := c.own(r, c.ID)
	if err != nil {
		return journal.Decision{}, err
	}
	if c.With != "" {
		if _, err := c.own(r, c.With); err != nil {
			return journal.Decision{}, err
		}
	}
	if err := rules.offered(s, c.Action, c.Date); err != nil {
		return journal.Decision{}, err
	}
	if c.Action == ActionCancel || c.Action == ActionMerge { // both end it
		plan, err := journal.Find[catalog.Plan](r, journal.SellingPlan, s.SellingPlanID)
		if err != nil {
			return journal.Decision{}, err
		}
		if err := bound(s, plan); err != nil {
			return journal.Decision{}, err
		}
	}
	d, err := c.Do.Run(r, now)
	for _, draft := range d.Drafts {
		before, was := draft.Before.(*Subscription)
		after, is := draft.After.(*Subscription)
		if err == nil && was && before.ID != s.ID && rules.pastCutoff(before, c.Action) {
			err = otherCutoffPassed()
		}
		if err == nil && was && is && c.Action != ActionMerge { // which takes nothing new
			err = after.onShelf(before, func(key id.ID) (*catalog.Product, error) {
				return journal.Get[catalog.Product](r, journal.Product, key)
			})
			if err == nil {
				err = after.inStock(before, func(key id.ID) (*catalog.Variant, error) {
					return journal.Get[catalog.Variant](r, journal.Variant, key)
				})
			}
		}
	}
	if err != nil {
		return journal.Decision{}, err
	}
	return d, nil
}

// storeRules are what the store lets its subscribers do, as of today.
type storeRules struct {
	portal *settings.Portal
	bill   *settings.Billing
	today  civil.Date
}

func rulesOf(r journal.Reader, now time.Time) (out storeRules, err error) {
	general, err := journal.Find[settings.General](r, journal.Settings, settings.PageGeneral)
	if err != nil {
		return out, err
	}
	if out.portal, err = journal.Find[settings.Portal](r, journal.Settings, settings.PagePortal); err != nil {
		return out, err
	}
	out.bill, err = journal.Find[settings.Billing](r, journal.Settings, settings.PageBilling)
	out.today = settings.Today(general, now)
	return out, err
}

func (r storeRules) offered(s *Subscription, a Action, date *civil.Date) error {
	return Offered(s, a, date, r.portal, r.bill, r.today)
}

func (r storeRules) pastCutoff(s *Subscription, a Action) bool {
	return pastCutoff(s, a, r.bill, r.today)
}

// AskedBack is the undo of an entry that the subscriber asks for: the store allows it when it allows the action that it amounts to. For
// an entry of a subscription it asks about the order that comes next now and about the one that would come next then; for an entry of
// the customer, about each open subscription that follows what changes.
type AskedBack struct {
	ID       id.ID // the subscription; empty for an entry of the customer
	Customer id.ID
	Type     journal.Name
	Date     *civil.Date // the order that the entry is about, if it is about one
	Do       journal.Command
}

// customersOwn are the entries of a customer that a subscriber may undo. With an action, subscriptions that choose nothing of their own
// follow the customer's choice.
var customersOwn = map[journal.Name]struct {
	action  Action
	follows func(*Subscription) bool
}{
	journal.CustomerProfileUpdated:        {},
	journal.AddressUpdated:                {},
	journal.CustomerDefaultAddressChanged: {ActionShippingAddress, func(s *Subscription) bool { return s.ShippingAddressID == "" }},
	journal.PaymentMethodDefaultChanged:   {ActionPaymentMethod, func(s *Subscription) bool { return s.PaymentMethodID == "" }},
	journal.PaymentMethodBackupSet:        {ActionBackupPaymentMethod, func(s *Subscription) bool { return s.BackupPaymentMethodID == "" }},
}

// Run implements journal.Command.
func (c AskedBack) Run(r journal.Reader, now time.Time) (journal.Decision, error) {
	rules, err := rulesOf(r, now)
	if err != nil {
		return journal.Decision{}, err
	}
	if c.ID == "" {
		return c.ofCustomer(r, now, rules)
	}
	action, ok := undoing[c.Type]
	if !ok {
		return refused(c.Do.Run(r, now))
	}
	d, err := Asked{ID: c.ID, Customer: c.Customer, Action: action, Date: c.Date, Do: c.Do}.run(r, now, rules)
	if err != nil {
		return d, err
	}
	for _, draft := range d.Drafts {
		back, ok := draft.After.(*Subscription)
		switch {
		case !ok || !rules.pastCutoff(back, action):
		case back.ID != c.ID:
			return journal.Decision{}, otherCutoffPassed()
		default:
			return journal.Decision{}, cutoffPassed(back)
		}
	}
	return d, nil
}

func (c AskedBack) ofCustomer(r journal.Reader, now time.Time, rules storeRules) (journal.Decision, error) {
	d, err := c.Do.Run(r, now)
	own, ok := customersOwn[c.Type]
	if !ok {
		return refused(d, err)
	}
	if err != nil || own.action == "" {
		return d, err
	}
	if !slices.Contains(orDefault(rules.portal).Actions, string(own.action)) {
		return journal.Decision{}, notOffered()
	}
	subs, err := journal.Where[Subscription](r, journal.Subscription, "customer_id", string(c.Customer))
	if err != nil {
		return journal.Decision{}, err
	}
	for _, s := range subs {
		if !s.Open() || !own.follows(s) {
			continue
		}
		if err := rules.offered(s, own.action, nil); err != nil {
			return journal.Decision{}, err
		}
	}
	return d, nil
}

// refused refuses what no action of a subscriber amounts to, for the command's own reason where it has one.
func refused(_ journal.Decision, err error) (journal.Decision, error) {
	if err == nil {
		err = notOffered()
	}
	return journal.Decision{}, err
}

// own loads a subscription of who asks.
func (c Asked) own(r journal.Reader, key id.ID) (*Subscription, error) {
	s, err := journal.Find[Subscription](r, journal.Subscription, key)
	if err == nil && (s == nil || s.CustomerID != c.Customer) {
		err = fault.New(fault.NotFound, "unknown_subscription", "There is no such subscription.")
	}
	return s, err
}

// onShelf refuses what a subscriber took that the Portal does not offer (not_offered): for each order it has the visible products, for
// the next one alone those that are offered as a one-time addition, of each so many as the store allows (upsell_limit).
func (s *Subscription) onShelf(before *Subscription, product func(id.ID) (*catalog.Product, error)) error {
	for _, it := range s.Items {
		i := slices.IndexFunc(before.Items, func(was Item) bool { return was.ID == it.ID })
		fresh := i < 0 || before.Items[i].VariantID != it.VariantID
		if !fresh && it.Quantity <= before.Items[i].Quantity {
			continue
		}
		p, err := product(it.ProductID)
		if err != nil {
			return err
		}
		if fresh && (it.OneTime && !p.Upsell || !it.OneTime && !p.PortalVisible) {
			return notOffered()
		}
		pieces := 0
		for _, other := range s.Items {
			if other.OneTime && other.ProductID == p.ID {
				pieces += other.Quantity
			}
		}
		if it.OneTime && p.UpsellLimit > 0 && pieces > p.UpsellLimit {
			return fault.New(fault.Conflict, "upsell_limit", "At most {count} of it can be added to one order.").With("count", p.UpsellLimit)
		}
	}
	return nil
}

// inStock refuses a variant that a subscriber took and of which nothing is left (out_of_stock): the Portal does not show it either. What they
// have may stay, whatever becomes of its stock.
func (s *Subscription) inStock(before *Subscription, variant func(id.ID) (*catalog.Variant, error)) error {
	for _, it := range s.Items {
		if slices.ContainsFunc(before.Items, func(was Item) bool { return was.VariantID == it.VariantID }) {
			continue
		}
		v, err := variant(it.VariantID)
		if err != nil {
			return err
		}
		if v.SoldOut() {
			return fault.New(fault.Conflict, "out_of_stock", "{title} is out of stock.").With("title", it.Title)
		}
	}
	return nil
}

func notOffered() error {
	return fault.New(fault.Conflict, "not_offered", "The store does not offer this here. Write to the store if you need it.")
}

// bound refuses a subscriber's cancellation before the plan's least number of orders was paid (min_cycles). plan may be nil. The
// team can cancel at any time.
func bound(s *Subscription, plan *catalog.Plan) error {
	if plan == nil || plan.MinCycles == nil || s.Cycle >= *plan.MinCycles {
		return nil
	}
	orders := "orders"
	if *plan.MinCycles == 1 {
		orders = "order"
	}
	return fault.New(fault.Conflict, "min_cycles",
		"This subscription runs for at least {least} %s, and {count} came so far. It can be cancelled after that; until then you can write to the store.", orders).
		With("least", *plan.MinCycles, "count", s.Cycle)
}

// beforeCutoff are the actions that change the next order.
var beforeCutoff = []Action{ActionSkip, ActionUnskip, ActionReschedule, ActionFrequency, ActionAddItem, ActionChangeQuantity, ActionSwapItem, ActionRemoveItem, ActionShippingAddress, ActionGift, ActionDiscount, ActionMerge, ActionSplit}

// Offered says why a subscriber may not do something now, or nil. portal and bill are nil until they are first saved, which allows
// what the defaults do.
func Offered(s *Subscription, a Action, date *civil.Date, portal *settings.Portal, bill *settings.Billing, today civil.Date) error {
	portal = orDefault(portal)
	if !slices.Contains(portal.Actions, string(a)) {
		return notOffered()
	}
	if pastCutoff(s, a, bill, today) && (date == nil || *date == *s.NextBillingDate || a == ActionReschedule) {
		return cutoffPassed(s)
	}
	if date != nil && a == ActionReschedule && date.Before(today.AddDays(portal.MinDaysAhead)) {
		return fault.New(fault.Conflict, "too_early", "Choose a day from {first} on.").With("first", today.AddDays(portal.MinDaysAhead))
	}
	if date != nil && portal.MaxDaysAhead > 0 && date.After(today.AddDays(portal.MaxDaysAhead)) && slices.Contains([]Action{ActionReschedule, ActionPause, ActionResume, ActionReactivate}, a) {
		return fault.New(fault.Conflict, "too_far_ahead", "Choose a day up to {last}.").With("last", today.AddDays(portal.MaxDaysAhead))
	}
	if a == ActionSkip && portal.MaxSkipsInRow > 0 && skippedInRow(s, date, today) > portal.MaxSkipsInRow {
		return fault.New(fault.Conflict, "too_many_skips", "At most {count} orders in a row can be skipped. Pause the subscription instead.").With("count", portal.MaxSkipsInRow)
	}
	return nil
}

func orDefault(portal *settings.Portal) *settings.Portal {
	if portal == nil {
		return settings.Default(settings.PagePortal, &settings.General{}).(*settings.Portal)
	}
	return portal
}

func otherCutoffPassed() error {
	return fault.New(fault.Conflict, "other_cutoff_passed", "The next order of another subscription that this changes is being prepared already.")
}

func cutoffPassed(s *Subscription) error {
	return fault.New(fault.Conflict, "cutoff_passed", "The order of {date} is being prepared already, so it can no longer be changed.").With("date", *s.NextBillingDate)
}

// pastCutoff says whether an action would come too late for the next order.
func pastCutoff(s *Subscription, a Action, bill *settings.Billing, today civil.Date) bool {
	return bill != nil && bill.CutoffDays > 0 && slices.Contains(beforeCutoff, a) && s.NextBillingDate != nil && today.DaysUntil(*s.NextBillingDate) < bill.CutoffDays
}

// LastChange is the last day on which a subscriber can change the next order; nil when there is no cut-off, or no next order.
func LastChange(s *Subscription, bill *settings.Billing) *civil.Date {
	if bill == nil || bill.CutoffDays == 0 || s.NextBillingDate == nil {
		return nil
	}
	return new(s.NextBillingDate.AddDays(-bill.CutoffDays))
}

// skippedInRow counts the skipped orders that would follow each other around a date, if it were skipped too.
func skippedInRow(s *Subscription, date *civil.Date, today civil.Date) int {
	run, holds := 0, false
	for slot := range s.schedule().Upcoming(today, 60) {
		wanted := date != nil && slot.Date == *date || date == nil && s.NextBillingDate != nil && slot.Date == *s.NextBillingDate
		if !slot.Skipped && !wanted {
			if holds {
				break
			}
			run = 0
			continue
		}
		run++
		holds = holds || wanted
	}
	if !holds {
		return 0
	}
	return run
}
