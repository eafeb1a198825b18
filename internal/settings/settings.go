// Package settings holds the shop's settings: one typed document for each page, each a row of its own that changes as
// a whole with one event a save.
//
// Until its first save a page says what Default gives. The page "general" comes first. Every amount of the settings is
// in the shop's currency, and the currency stays once a subscription exists.
//
// settings_test.go tests every refusal, and that these rules hold after any sequence of saves.
package settings

import (
	"slices"
	"time"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
)

// The pages, which are also the ids of their rows.
const (
	PageGeneral  id.ID = "general"
	PageBilling  id.ID = "billing"
	PageRecovery id.ID = "recovery"
	PageShipping id.ID = "shipping"
	PagePortal   id.ID = "portal"
	PageLog      id.ID = "log"

	PageCancelFlow id.ID = "cancel_flow"
)

// General is the page "general". Every shop has one from its first event on.
type General struct {
	Name         string `json:"name"`          // 1 to 100 characters
	TimeZone     string `json:"time_zone"`     // IANA name; billing dates are days in this zone
	Currency     string `json:"currency"`      // ISO 4217; fixed once a subscription exists
	Locale       string `json:"locale"`        // BCP 47
	SupportEmail string `json:"support_email"` // of the shop, not of a person; may be empty
	SenderName   string `json:"sender_name"`   // whom messages come from, at most 100 characters; empty: Name
}

// Billing is the page "billing".
type Billing struct {
	BillingHour      int `json:"billing_hour"`        // 0 to 23, hour of the day in the shop's zone at which due orders are made
	CutoffDays       int `json:"cutoff_days"`         // 0 to 30
	TaxBasisPoints   int `json:"tax_basis_points"`    // 0 to 10,000: a flat rate on the discounted subtotal and delivery
	MaxCatchUpOrders int `json:"max_catch_up_orders"` // 1 to 12: how many missed orders one subscription is billed after a downtime

	MissedOrders string `json:"missed_orders"` // what becomes of those beyond: "skip", which "" means too, "restart" or "pause"
	OutOfStock   string `json:"out_of_stock"`  // what becomes of an order whose variant is out of stock: "skip", which "" means too, "swap" or "hold"

	SmallOrders string `json:"small_orders"` // what becomes of an order that is too small to be charged: "free", which "" means too, or "carry"

	UpcomingDays int `json:"upcoming_days"` // 1 to 30: how many days before an order its subscriber is told; 0 means 3
}

// Recovery is the page "recovery": what happens when a charge fails. When the charge is tried again is said either as a
// list of days or as phases, not both. A case keeps the schedule, the hour and the end that it began with.
type Recovery struct {
	RetryDays []int           `json:"retry_days"` // days after the failed charge at which it is tried again, rising; 1 to 60, at most 10
	EndAction string          `json:"end_action"` // "cancel", "pause" or "skip", when the last retry failed; "keep": go on trying at the last interval
	Phases    []RecoveryPhase `json:"phases"`     // one after the other; at most MaxPhases, 30 retries and 180 days together
	RetryHour *int            `json:"retry_hour"` // 0 to 23, hour of the day in the shop's zone at which is tried again; null: the billing hour
}

// MaxPhases is how many phases there are at most.
const MaxPhases = 5

// RecoveryPhase is a number of retries with as many days before each. The first failure belongs to the first phase, retries after
// the last phase to the last one.
type RecoveryPhase struct {
	Attempts     int  `json:"attempts"`        // 1 to 10
	IntervalDays int  `json:"interval_days"`   // 1 to 60
	Silent       bool `json:"silent,omitzero"` // the customer is not told of the phase's failures; omitted while false, as in documents from before there were silent ones
}

// Schedule gives the days, counted from the first failure, at which a charge is tried again, and how many days are between
// the retries after those: 0 when there are none.
func (r *Recovery) Schedule() (days []int, repeat int) {
	days = slices.Clone(r.RetryDays)
	last := 0
	for _, p := range r.Phases {
		for range p.Attempts {
			last += p.IntervalDays
			days = append(days, last)
		}
	}
	if n := len(days); r.EndAction == EndKeep && n > 0 {
		repeat = days[n-1]
		if n > 1 {
			repeat -= days[n-2]
		}
	}
	return days, repeat
}

// SilentDays gives the days of the schedule, with 0 for the first failure, on which a failure is not told to the customer.
func (r *Recovery) SilentDays() (days []int) {
	schedule, _ := r.Schedule()
	for i, p := range r.Phases {
		if p.Silent && i == 0 {
			days = append(days, 0)
		}
		if p.Silent {
			days = append(days, schedule[:p.Attempts]...)
		}
		schedule = schedule[p.Attempts:]
	}
	return days
}

// Shipping is the page "shipping".
type Shipping struct {
	DefaultDeliveryPrice money.Amount `json:"default_delivery_price"`
	Countries            []string     `json:"countries"` // ISO 3166-1 alpha-2; empty: everywhere
}

// Ships says whether the shop sends to a country. A shop without a list sends everywhere.
func (s *Shipping) Ships(country string) bool {
	return s == nil || len(s.Countries) == 0 || slices.Contains(s.Countries, country)
}

// Portal is the page "portal": what subscribers may do by themselves, and what they see.
type Portal struct {
	Actions       []string `json:"actions"`          // names of subscription actions, in the order shown
	MaxSkipsInRow int      `json:"max_skips_in_row"` // 0: no limit
	MaxDaysAhead  int      `json:"max_days_ahead"`   // 1 to 730: how far an order may be moved

	MinDaysAhead   int    `json:"min_days_ahead"`  // 0 to 60: how near an order may be moved; 0: today
	Language       string `json:"language"`        // of people who ask for none of the Portal's; empty: that of the page "general"
	Welcome        string `json:"welcome"`         // plain text over the subscriptions, at most 1,000 characters; may be empty
	SupportContact string `json:"support_contact"` // whom to ask, at most 200 characters; empty: the address of the page "general"
	BrandColor     string `json:"brand_color"`     // "#2b55c9"; empty: ours
	LogoURL        string `json:"logo_url"`        // https; empty: none
	CornerRadius   *int   `json:"corner_radius"`   // 0 to 24 pixels; null: ours
}

// Log is the page "log".
type Log struct {
	NetworkRetentionMonths int `json:"network_retention_months"` // 1 to 120: then the month's key for IP addresses is destroyed
}

// CancelFlow is the page "cancel_flow": what holds for all flows.
type CancelFlow struct {
	Enabled              bool `json:"enabled"`                // false: the Portal cancels without asking
	DiscountCooldownDays int  `json:"discount_cooldown_days"` // 1 to 3,650: how long a customer who accepted a discount is offered none
}

func (*CancelFlow) Ref() journal.Ref { return page(PageCancelFlow) }

// Person is nobody: settings are not personal.
func (*CancelFlow) Person() id.ID { return "" }

func page(p id.ID) journal.Ref { return journal.Ref{Kind: journal.Settings, ID: p} }

func (*General) Ref() journal.Ref { return page(PageGeneral) }

// Person is nobody: settings are not personal.
func (*General) Person() id.ID { return "" }

func (*Billing) Ref() journal.Ref { return page(PageBilling) }

// Person is nobody: settings are not personal.
func (*Billing) Person() id.ID { return "" }

func (*Recovery) Ref() journal.Ref { return page(PageRecovery) }

// Person is nobody: settings are not personal.
func (*Recovery) Person() id.ID { return "" }

func (*Shipping) Ref() journal.Ref { return page(PageShipping) }

// Person is nobody: settings are not personal.
func (*Shipping) Person() id.ID { return "" }

func (*Portal) Ref() journal.Ref { return page(PagePortal) }

// Person is nobody: settings are not personal.
func (*Portal) Person() id.ID { return "" }

func (*Log) Ref() journal.Ref { return page(PageLog) }

// Person is nobody: settings are not personal.
func (*Log) Person() id.ID { return "" }

// NetworkDataExpired says whether a month's ("2027-03", UTC) IP addresses and user agents are kept no longer: the month ended
// NetworkRetentionMonths ago. What is not a month never expires.
func (l *Log) NetworkDataExpired(month string, now time.Time) bool {
	began, err := time.Parse("2006-01", month)
	if err != nil {
		return false
	}
	// Of the first of a month, AddDate of whole months is exact.
	ended := time.Date(began.Year(), began.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	return !now.Before(ended.AddDate(0, l.NetworkRetentionMonths, 0))
}
