package dashboard

import (
	"perennial/internal/billing"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/web/ui"
)

// orderBadge is an order's status as a badge.
func orderBadge(o *billing.Order) ui.Badge {
	switch o.Status {
	case billing.Placed:
		if o.FulfilledAt != nil {
			return ui.Badge{Tone: ui.Good, Text: "Sent", Icon: "truck"}
		}
		return ui.Badge{Tone: ui.Good, Text: "Paid"}
	case billing.Pending:
		return ui.Badge{Tone: ui.Info, Text: "Being charged", Icon: "clock"}
	case billing.Failed:
		return ui.Badge{Tone: ui.Bad, Text: "Not paid", Icon: "circle-alert"}
	case billing.Refunded:
		return ui.Badge{Text: "Refunded", Icon: "undo-2"}
	case billing.PartiallyRefunded:
		return ui.Badge{Text: "Partly refunded", Icon: "undo-2"}
	}
	return ui.Badge{Text: "Cancelled", Icon: "circle-x"}
}

// orderLines are the newest orders of a subscription or a customer.
func (c *call) orderLines(column string, key id.ID) ([]orderLine, error) {
	var w where
	w.equal(column, string(key))
	rows, err := c.rows(journal.Order, w, "id DESC")
	var out []orderLine
	for _, r := range rows[:min(len(rows), 12)] {
		o := r.State.(*billing.Order)
		out = append(out, orderLine{o.ID, o.Number, o.BillingDate.Long(), c.cash(o.Total), orderBadge(o)})
	}
	return out, err
}
