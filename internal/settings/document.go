package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/plain"
)

// Document is one page: *General, *Billing, *Recovery, *Shipping, *Portal or *Log. The list is closed.
type Document interface {
	journal.State
	// check adds every wrong field of the document.
	check(f *fault.Fields)
	// tidied gives a copy in the one form in which the document is kept: lists that are sets are sorted.
	tidied() Document
}

// What happens to a subscription when the last retry of a failed charge failed: the values of Recovery.EndAction.
const (
	EndCancel = "cancel"
	EndPause  = "pause"
	EndSkip   = "skip" // the order is given up and the rhythm goes on
	EndKeep   = "keep" // there is no last retry
)

// What becomes of missed orders beyond the limit: the values of Billing.MissedOrders.
const (
	MissedSkip    = "skip"
	MissedRestart = "restart" // none is skipped: one is made now, and the rhythm goes on from there
	MissedPause   = "pause"   // none is made until somebody resumes the subscription
)

// What becomes of an order whose variant is out of stock: the values of Billing.OutOfStock.
const (
	StockSkip = "skip"
	StockSwap = "swap" // the variant's backup is sent, for the same price; without one, the order is skipped
	StockHold = "hold" // the order waits until there are pieces again
)

// What becomes of an order that is less than the gateway charges: the values of Billing.SmallOrders.
const (
	SmallFree  = "free"
	SmallCarry = "carry" // it is charged with the next order of the subscription
)

// DefaultUpcomingDays is how many days before an order its subscriber is told, where nobody said otherwise.
const DefaultUpcomingDays = 3

// The actions that a subscriber can be allowed: the values of Portal.Actions.
const (
	ActionPause               = "pause"
	ActionResume              = "resume"
	ActionSkip                = "skip"
	ActionUnskip              = "unskip"
	ActionReschedule          = "reschedule"
	ActionFrequency           = "frequency"
	ActionOrderNow            = "order_now"
	ActionCancel              = "cancel"
	ActionReactivate          = "reactivate"
	ActionAddItem             = "add_item"
	ActionChangeQuantity      = "change_quantity"
	ActionSwapItem            = "swap_item"
	ActionRemoveItem          = "remove_item"
	ActionShippingAddress     = "shipping_address"
	ActionPaymentMethod       = "payment_method"
	ActionBackupPaymentMethod = "backup_payment_method"
	ActionDiscount            = "discount"
	ActionGift                = "gift"
	ActionMerge               = "merge"
	ActionSplit               = "split"
	ActionNote                = "note"
)

// Limits of the documents.
const (
	maxNameLength    = 100
	maxTaxPoints     = 10_000 // 100 %
	maxRetries       = 10
	maxRetryDay      = 60
	maxPhaseRetries  = 30
	maxPhaseDays     = 180
	maxDeliveryMinor = 1_000_000_000_000
	maxWelcomeLength = 1_000
	maxContactLength = 200
)

// PortalLanguages gives the languages that the Portal speaks, by their ISO 639 codes.
func PortalLanguages() []string { return []string{"en", "de", "fr", "es"} }

// PortalActions gives every action that the portal knows, in the order in which it offers them at first.
func PortalActions() []string {
	return []string{
		ActionSkip, ActionUnskip, ActionReschedule, ActionFrequency, ActionPause, ActionResume, ActionOrderNow, ActionAddItem,
		ActionChangeQuantity, ActionSwapItem, ActionRemoveItem, ActionShippingAddress, ActionPaymentMethod, ActionBackupPaymentMethod,
		ActionDiscount, ActionGift, ActionMerge, ActionSplit, ActionNote, ActionCancel, ActionReactivate,
	}
}

// Pages gives the pages in the order in which they are shown.
func Pages() []id.ID {
	return []id.ID{PageGeneral, PageBilling, PageRecovery, PageShipping, PagePortal, PageCancelFlow, PageLog}
}

// EventType is the type of the event that a save of a page makes.
func EventType(page id.ID) journal.Name {
	if page == PageGeneral {
		return journal.AccountSettingsUpdated
	}
	return journal.Name(page) + "_settings.updated"
}

// Defaults gives the documents that a shop begins with, in the order of Pages. name, zone and currency are the shop's;
// they are checked when the page is saved. The page "cancel_flow" is not among them: it says nothing before there is a flow.
func Defaults(name, zone, currency string) []Document {
	general := &General{Name: name, TimeZone: zone, Currency: currency, Locale: "en"}
	docs := make([]Document, 0, len(Pages()))
	for _, p := range Pages() {
		if p != PageCancelFlow {
			docs = append(docs, Default(p, general))
		}
	}
	return docs
}

// Default gives what a page of the shop says until it is first saved, nil for a page that does not exist. For the page
// "general" that is a copy of general itself: nobody can guess a shop's name.
func Default(page id.ID, general *General) Document {
	switch page {
	case PageGeneral:
		return journal.Clone(general)
	case PageBilling:
		return &Billing{
			BillingHour:      6,
			MaxCatchUpOrders: 1,
			MissedOrders:     MissedSkip,
			OutOfStock:       StockSkip,
			SmallOrders:      SmallFree,
			UpcomingDays:     DefaultUpcomingDays,
		}
	case PageRecovery:
		return &Recovery{RetryDays: []int{1, 3, 5, 7}, EndAction: EndPause}
	case PageShipping:
		return &Shipping{DefaultDeliveryPrice: money.Amount{Currency: general.Currency}, Countries: []string{}}
	case PagePortal:
		return &Portal{Actions: PortalActions(), MaxSkipsInRow: 3, MaxDaysAhead: 90}
	case PageCancelFlow:
		return &CancelFlow{Enabled: true, DiscountCooldownDays: 180}
	case PageLog:
		return &Log{NetworkRetentionMonths: 12}
	}
	return nil
}

// Fresh gives how an empty document of a page is made, nil for a page that does not exist.
func Fresh(page id.ID) func() journal.State {
	switch page {
	case PageGeneral:
		return func() journal.State { return new(General) }
	case PageBilling:
		return func() journal.State { return new(Billing) }
	case PageRecovery:
		return func() journal.State { return new(Recovery) }
	case PageShipping:
		return func() journal.State { return new(Shipping) }
	case PagePortal:
		return func() journal.State { return new(Portal) }
	case PageCancelFlow:
		return func() journal.State { return new(CancelFlow) }
	case PageLog:
		return func() journal.State { return new(Log) }
	}
	return nil
}

// Zone is the zone in which the shop's days begin and end. A shop without settings, and one whose zone this machine
// does not know, lives in UTC: a check keeps an unknown zone from ever being saved.
func Zone(g *General) *time.Location {
	if g == nil {
		return time.UTC
	}
	loc, err := civil.Zone(g.TimeZone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// Today is the shop's calendar day at a time.
func Today(g *General, now time.Time) civil.Date { return civil.Today(now, Zone(g)) }

// Check names every invariant of a document that is broken: a fault with a JSON pointer for each wrong field.
func Check(d Document) error {
	var f fault.Fields
	d.check(&f)
	if err := f.Err(); err != nil {
		return err
	}
	changes, err := journal.Diff(d.tidied(), d)
	if err == nil && len(changes) > 0 {
		err = fmt.Errorf("settings: %s of the page %s is not in the form in which it is kept", changes[0].Field, d.Ref().ID)
	}
	return err
}

func (d *General) check(f *fault.Fields) {
	if d.Name == "" {
		f.Add("/name", "required", "Give the shop a name.")
	} else if why := plain.Text(d.Name, maxNameLength); why != nil {
		f.Refuse("/name", why)
	}
	if _, err := civil.Zone(d.TimeZone); err != nil {
		f.Add("/time_zone", "time_zone_unknown", "Give the IANA name of a time zone, such as Europe/Berlin.")
	}
	if !money.ValidCurrency(d.Currency) {
		f.Add("/currency", "currency_unknown", "Give an ISO 4217 currency code, such as USD.")
	}
	if why := plain.Locale(d.Locale); why != nil {
		f.Refuse("/locale", why)
	}
	if d.SenderName != "" {
		if why := plain.Text(d.SenderName, maxNameLength); why != nil {
			f.Refuse("/sender_name", why)
		}
	}
	if d.SupportEmail != "" {
		if why := plain.Email(d.SupportEmail); why != nil {
			f.Refuse("/support_email", why)
		}
	}
}

func (d *Billing) check(f *fault.Fields) {
	within(f, "/billing_hour", d.BillingHour, 0, 23)
	within(f, "/cutoff_days", d.CutoffDays, 0, 30)
	within(f, "/tax_basis_points", d.TaxBasisPoints, 0, maxTaxPoints)
	within(f, "/max_catch_up_orders", d.MaxCatchUpOrders, 1, 12)
	if !slices.Contains([]string{"", MissedSkip, MissedRestart, MissedPause}, d.MissedOrders) {
		f.Add("/missed_orders", "not_one_of", "Choose skip, restart or pause.", "values", "skip, restart, pause")
	}
	if !slices.Contains([]string{"", StockSkip, StockSwap, StockHold}, d.OutOfStock) {
		f.Add("/out_of_stock", "not_one_of", "Choose skip, swap or hold.", "values", "skip, swap, hold")
	}
	if !slices.Contains([]string{"", SmallFree, SmallCarry}, d.SmallOrders) {
		f.Add("/small_orders", "not_one_of", "Choose free or carry.", "values", "free, carry")
	}
	if d.UpcomingDays < 0 || d.UpcomingDays > 30 {
		f.Add("/upcoming_days", "out_of_range", "Give a whole number of days from 1 to 30.", "least", 1, "most", 30)
	}
}

func (d *Recovery) check(f *fault.Fields) {
	if len(d.RetryDays) > maxRetries {
		f.Add("/retry_days", "too_many", "A failed payment is tried again at most {most} times.", "most", maxRetries)
	}
	for i, day := range d.RetryDays {
		at := "/retry_days/" + strconv.Itoa(i)
		within(f, at, day, 1, maxRetryDay)
		if i > 0 && day <= d.RetryDays[i-1] {
			f.Add(at, "steps_not_rising", "Each retry comes after the one before it.")
		}
	}
	if len(d.Phases) > 0 && len(d.RetryDays) > 0 {
		f.Add("/phases", "one_or_the_other", "Give retry days or phases, not both.")
	}
	if len(d.Phases) > MaxPhases {
		f.Add("/phases", "too_many", "There are at most {most} phases.", "most", MaxPhases)
	}
	retries, days, each := 0, 0, true
	for i, p := range d.Phases {
		at := "/phases/" + strconv.Itoa(i)
		if p.Attempts < 1 || p.Attempts > maxRetries {
			f.Add(at+"/attempts", "phase_out_of_range", "In phase {phase}, give a whole number of retries from 1 to {most}.", "phase", i+1,
				"most", maxRetries)
			each = false
		}
		if p.IntervalDays < 1 || p.IntervalDays > maxRetryDay {
			f.Add(at+"/interval_days", "phase_out_of_range", "In phase {phase}, give a whole number of days from 1 to {most}.", "phase",
				i+1, "most", maxRetryDay)
			each = false
		}
		retries, days = retries+p.Attempts, days+p.Attempts*p.IntervalDays
	}
	if each && (retries > maxPhaseRetries || days > maxPhaseDays) {
		f.Add("/phases", "phases_too_long", "All phases together have at most {retries} retries in {days} days.", "retries",
			maxPhaseRetries, "days", maxPhaseDays)
	}
	if d.RetryHour != nil {
		within(f, "/retry_hour", *d.RetryHour, 0, 23)
	}
	switch {
	case !slices.Contains([]string{EndCancel, EndPause, EndSkip, EndKeep}, d.EndAction):
		f.Add("/end_action", "not_one_of", "Choose cancel, pause, skip or keep.", "values", "cancel, pause, skip, keep")
	case d.EndAction == EndKeep && len(d.Phases)+len(d.RetryDays) == 0:
		f.Add("/end_action", "retries_missing", "To keep trying, say when: give retry days or phases.")
	}
}

func (d *Shipping) check(f *fault.Fields) {
	if !money.ValidCurrency(d.DefaultDeliveryPrice.Currency) {
		f.Add("/default_delivery_price/currency", "currency_unknown", "Give an ISO 4217 currency code, such as USD.")
	}
	if m := d.DefaultDeliveryPrice.Minor; m < 0 || m > maxDeliveryMinor {
		f.Add("/default_delivery_price/amount", "out_of_range", "Give a price from 0 to {most} minor units.", "least", 0, "most",
			int64(maxDeliveryMinor))
	}
	for i, c := range d.Countries {
		at := "/countries/" + strconv.Itoa(i)
		if why := plain.Country(c); why != nil {
			f.Refuse(at, why)
		} else if slices.Contains(d.Countries[:i], c) {
			f.Add(at, "listed_twice", "{value} is in the list twice.", "value", c)
		}
	}
}

func (d *Portal) check(f *fault.Fields) {
	known := PortalActions()
	for i, a := range d.Actions {
		at := "/actions/" + strconv.Itoa(i)
		switch {
		case !slices.Contains(known, a):
			f.Add(at, "not_one_of", "The portal has no such action. It knows {values}.", "values", known)
		case slices.Contains(d.Actions[:i], a):
			f.Add(at, "listed_twice", "{value} is in the list twice.", "value", a)
		}
	}
	within(f, "/max_skips_in_row", d.MaxSkipsInRow, 0, 52)
	within(f, "/max_days_ahead", d.MaxDaysAhead, 1, 730)
	within(f, "/min_days_ahead", d.MinDaysAhead, 0, 60)
	if d.MinDaysAhead > d.MaxDaysAhead {
		f.Add("/min_days_ahead", "most_below_least", "The nearest day comes before the farthest one.")
	}
	if d.Language != "" && !slices.Contains(PortalLanguages(), d.Language) {
		f.Add("/language", "not_one_of", "The portal speaks {values}.", "values", PortalLanguages())
	}
	if why := plain.MultiLine(d.Welcome, maxWelcomeLength); why != nil {
		f.Refuse("/welcome", why)
	}
	if why := plain.Text(d.SupportContact, maxContactLength); why != nil {
		f.Refuse("/support_contact", why)
	}
	if d.BrandColor != "" {
		if c, ok := ParseColor(d.BrandColor); !ok {
			f.Add("/brand_color", "colour_invalid", "Give a colour such as #2b55c9.")
		} else if Contrast(c, TextOn(c)) < ReadableContrast {
			f.Add("/brand_color", "colour_unreadable", "No text can be read on this colour.")
		}
	}
	if d.LogoURL != "" {
		if why := plain.URL(d.LogoURL); why != nil || !strings.HasPrefix(d.LogoURL, "https://") {
			f.Add("/logo_url", "https_only", "Give an address that begins with https://.")
		}
	}
	if d.CornerRadius != nil {
		within(f, "/corner_radius", *d.CornerRadius, 0, 24)
	}
}

func (d *Log) check(f *fault.Fields) {
	within(f, "/network_retention_months", d.NetworkRetentionMonths, 1, 120)
}

func (d *CancelFlow) check(f *fault.Fields) {
	within(f, "/discount_cooldown_days", d.DiscountCooldownDays, 1, 3650)
}

func within(f *fault.Fields, at string, n, low, high int) {
	if n < low || n > high {
		f.Add(at, "out_of_range", "Give a whole number from {least} to {most}.", "least", low, "most", high)
	}
}

func (d *General) tidied() Document    { return journal.Clone(d) }
func (d *Billing) tidied() Document    { return journal.Clone(d) }
func (d *Recovery) tidied() Document   { return journal.Clone(d) }
func (d *Portal) tidied() Document     { return journal.Clone(d) }
func (d *CancelFlow) tidied() Document { return journal.Clone(d) }
func (d *Log) tidied() Document        { return journal.Clone(d) }

// tidied sorts the countries: they are a set.
func (d *Shipping) tidied() Document {
	next := journal.Clone(d)
	slices.Sort(next.Countries)
	return next
}
