package billing

import "time"

// unsettledFor is how long after a charge the gateway may still be asked about it by the customer's cards there: a call that
// was on its way has arrived by then.
const unsettledFor = 24 * time.Hour

// OpenAtGateway says whether money of an order may still move at the gateway, or was asked for within the last day: what the gateway keeps
// of its customer is needed to ask about it.
func OpenAtGateway(o *Order, now time.Time) bool {
	if _, open := OpenAttempt(o); open {
		return true
	}
	if _, _, open := OpenRepayment(o); open {
		return true
	}
	for _, a := range o.Attempts {
		if now.Sub(a.StartedAt.Time) < unsettledFor || a.FinishedAt != nil && now.Sub(a.FinishedAt.Time) < unsettledFor {
			return true
		}
	}
	for _, r := range o.Repayments {
		if r.FinishedAt != nil && now.Sub(r.FinishedAt.Time) < unsettledFor {
			return true
		}
	}
	for _, d := range AllDisputes(o) {
		if d.Status == DisputeOpen {
			return true
		}
	}
	return false
}
