package analytics

import (
	"slices"
	"strconv"
	"strings"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// Figure names one number that events add to. The part before the point is its family.
type Figure string

// The movements of monthly recurring revenue. Their amounts have a sign and add up to the revenue of all that runs.
const (
	MRRNew         Figure = "mrr.new"         // subscriptions that began
	MRRReactivated Figure = "mrr.reactivated" // had ended and run again
	MRRResumed     Figure = "mrr.resumed"     // had been paused
	MRRUpgrade     Figure = "mrr.upgrade"     // are worth more: items, prices, rhythm, discounts, a step of the plan
	MRRDowngrade   Figure = "mrr.downgrade"   // are worth less
	MRRPaused      Figure = "mrr.paused"
	MRRChurned     Figure = "mrr.churned"     // were cancelled or expired; worth nothing when they were paused
	MRRTransferred Figure = "mrr.transferred" // merged and split: from one subscription of a person to another
)

// Movements are the movements of monthly recurring revenue, in the order in which they are shown.
var Movements = []Figure{MRRNew, MRRReactivated, MRRResumed, MRRUpgrade, MRRDowngrade, MRRPaused, MRRChurned, MRRTransferred}

// How many subscriptions there are: each adds 1 and takes it off again. Running ones are active or in recovery.
const (
	GaugeRunning  Figure = "gauge.running"
	GaugePaused   Figure = "gauge.paused"
	GaugeRecovery Figure = "gauge.recovery"
)

// Who or what ended a subscription. The amount is the monthly recurring revenue that it had.
const (
	EndedCustomer Figure = "ended.customer" // the subscriber
	EndedTeam     Figure = "ended.team"
	EndedProgram  Figure = "ended.program" // an API key, an integration, an import
	EndedPayment  Figure = "ended.payment" // the last retry of a payment failed
	EndedExpired  Figure = "ended.expired" // all its orders were made
	EndedSystem   Figure = "ended.system"
)

// Endings are who or what ends subscriptions.
var Endings = []Figure{EndedCustomer, EndedTeam, EndedProgram, EndedPayment, EndedExpired, EndedSystem}

// Paid orders. Their amount is the total, and for one product its lines after discounts, without delivery and tax.
const (
	SalesNew       Figure = "sales.new"       // the first order of a subscription
	SalesRecurring Figure = "sales.recurring" // the orders after it
	SalesExtra     Figure = "sales.extra"     // outside the rhythm
	SalesRefunded  Figure = "sales.refunded"  // what was sent back of them
	SalesTax       Figure = "sales.tax"       // the part of them that is tax; no list of entries
	SalesDelivery  Figure = "sales.delivery"  // the part of them that is delivery; no list of entries
)

// The steps of recovery. The amount is that of the whole order.
const (
	RecoveryEntered   Figure = "recovery.entered"
	RecoveryRetried   Figure = "recovery.retried" // a retry failed, and another one was scheduled
	RecoveryRecovered Figure = "recovery.recovered"
	RecoveryExhausted Figure = "recovery.exhausted"
	RecoveryAbandoned Figure = "recovery.abandoned" // somebody gave the order up
)

// Families whose figures end with what they are about.
const (
	cohortFamily    = "cohort."    // a month: open subscriptions that began in it
	productFamily   = "product."   // a product: orders and money
	unitFamily      = "unit."      // a product: pieces
	recoveredFamily = "recovered." // a number: the retry that was paid
	dueFigure       = "due"        // orders on days to come

	// Figures that stand for all of a family, of which there are lists of entries but no sums.
	allMovements Figure = "mrr"
	allSales     Figure = "sales"
)

func cohort(month string) Figure { return cohortFamily + Figure(month) }

func productSales(product id.ID) Figure { return productFamily + Figure(product) }

func productUnits(product id.ID) Figure { return unitFamily + Figure(product) }

func recovered(retry int) Figure { return recoveredFamily + Figure(strconv.Itoa(retry)) }

func (f Figure) family() string {
	name, _, _ := strings.Cut(string(f), ".")
	return name
}

// members gives the figures of which there are entries: those of a family, or the one.
func (f Figure) members() []Figure {
	switch f {
	case allMovements:
		return Movements
	case allSales:
		return []Figure{SalesNew, SalesRecurring, SalesExtra}
	case "ended":
		return Endings
	}
	retry, by := strings.CutPrefix(string(f), recoveredFamily)
	if n, err := strconv.Atoi(retry); by && err == nil && n > 0 || slices.Contains(listed, f) {
		return []Figure{f}
	}
	return nil
}

// listed are the figures of which there are entries, beside the retries.
var listed = slices.Concat(Movements, Endings, []Figure{SalesNew, SalesRecurring, SalesExtra, SalesRefunded,
	RecoveryEntered, RecoveryRetried, RecoveryRecovered, RecoveryExhausted, RecoveryAbandoned})

func unknownFigure(f Figure) error {
	var wrong fault.Fields
	wrong.Add("/query/figure", "unknown_figure", "There is no figure {figure} with entries.", "figure", string(f))
	return wrong.Err()
}

// Types gives the types of the events behind a figure. exact says that every event of these types is behind it, so that a filter by
// type and time shows the same entries, as long as no product is chosen.
func (f Figure) Types() (types []journal.Name, exact bool) {
	item := []journal.Name{journal.SubscriptionItemAdded, journal.SubscriptionItemRemoved, journal.SubscriptionItemQuantityChanged, journal.SubscriptionItemSwapped, journal.SubscriptionItemPriceOverridden}
	worth := append(item, journal.SubscriptionFrequencyChanged, journal.SubscriptionDiscountApplied, journal.SubscriptionDiscountRemoved, journal.SubscriptionRenewed, journal.SellingPlanUpdated)
	switch f {
	case MRRNew:
		return []journal.Name{journal.SubscriptionCreated}, false
	case MRRReactivated:
		return []journal.Name{journal.SubscriptionReactivated}, true
	case MRRResumed:
		return []journal.Name{journal.SubscriptionResumed}, true
	case MRRUpgrade, MRRDowngrade:
		return worth, false
	case MRRPaused:
		return []journal.Name{journal.SubscriptionPaused}, true
	case MRRChurned:
		return []journal.Name{journal.SubscriptionCancelled, journal.SubscriptionExpired}, true
	case MRRTransferred:
		return []journal.Name{journal.SubscriptionMerged, journal.SubscriptionSplit, journal.SubscriptionCreated}, false
	case EndedExpired:
		return []journal.Name{journal.SubscriptionExpired}, true
	case EndedCustomer, EndedTeam, EndedProgram, EndedPayment, EndedSystem:
		return []journal.Name{journal.SubscriptionCancelled}, false
	case SalesNew, SalesRecurring, SalesExtra:
		return []journal.Name{journal.OrderPlaced}, false
	case SalesRefunded:
		return []journal.Name{journal.OrderRefunded}, false
	case RecoveryEntered:
		return []journal.Name{journal.RecoveryEntered}, true
	case RecoveryRetried:
		return []journal.Name{journal.RecoveryRetryScheduled}, false // the first is scheduled before anything was tried again
	case RecoveryRecovered:
		return []journal.Name{journal.RecoveryRecovered}, true
	case RecoveryExhausted:
		return []journal.Name{journal.RecoveryExhausted}, true
	case RecoveryAbandoned:
		return []journal.Name{journal.RecoveryAbandoned, journal.SubscriptionPaused, journal.SubscriptionCancelled}, false
	}
	return nil, false
}
