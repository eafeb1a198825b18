package subscription

import (
	"slices"

	"perennial/internal/fault"
	"perennial/internal/settings"
)

// Action is something that a person does to a subscription. Those that a subscriber can be allowed have the names of
// settings.Portal.
type Action string

// The actions.
const (
	ActionPause               Action = settings.ActionPause
	ActionResume              Action = settings.ActionResume
	ActionSkip                Action = settings.ActionSkip
	ActionUnskip              Action = settings.ActionUnskip
	ActionReschedule          Action = settings.ActionReschedule
	ActionFrequency           Action = settings.ActionFrequency
	ActionOrderNow            Action = settings.ActionOrderNow
	ActionCancel              Action = settings.ActionCancel
	ActionReactivate          Action = settings.ActionReactivate
	ActionAddItem             Action = settings.ActionAddItem
	ActionChangeQuantity      Action = settings.ActionChangeQuantity
	ActionChangePrice         Action = "change_price"
	ActionSwapItem            Action = settings.ActionSwapItem
	ActionRemoveItem          Action = settings.ActionRemoveItem
	ActionShippingAddress     Action = settings.ActionShippingAddress
	ActionPaymentMethod       Action = settings.ActionPaymentMethod
	ActionBackupPaymentMethod Action = settings.ActionBackupPaymentMethod
	ActionDeliveryPrice       Action = "delivery_price"
	ActionDiscount            Action = settings.ActionDiscount
	ActionGift                Action = settings.ActionGift
	ActionNote                Action = settings.ActionNote
	ActionAttributes          Action = "attributes"
	ActionMerge               Action = settings.ActionMerge
	ActionSplit               Action = settings.ActionSplit
)

// rule says from which statuses an action is allowed, and ends the sentence of its refusal.
type rule struct {
	from []Status
	not  string
}

var (
	running = []Status{Active}
	steady  = []Status{Active, Paused}
	open    = []Status{Active, Paused, Failed}
	always  = []Status{Active, Paused, Failed, Cancelled, Expired}
)

// rules is the table of docs/billing-rules.md, "What may be done from which status".
var rules = map[Action]rule{
	ActionPause:               {[]Status{Active, Failed}, "it cannot be paused"},
	ActionResume:              {[]Status{Paused}, "there is nothing to resume"},
	ActionSkip:                {running, "no order can be skipped"},
	ActionUnskip:              {running, "no skipped order can be put back"},
	ActionReschedule:          {running, "its next order cannot be moved"},
	ActionFrequency:           {steady, "its frequency cannot be changed"},
	ActionOrderNow:            {running, "no extra order can be made"},
	ActionCancel:              {open, "it cannot be cancelled"},
	ActionReactivate:          {[]Status{Cancelled}, "there is nothing to reactivate"},
	ActionAddItem:             {steady, "no item can be added"},
	ActionChangeQuantity:      {steady, "no quantity can be changed"},
	ActionChangePrice:         {steady, "no price can be changed"},
	ActionSwapItem:            {steady, "no item can be swapped"},
	ActionRemoveItem:          {steady, "no item can be removed"},
	ActionShippingAddress:     {open, "its shipping address cannot be changed"},
	ActionPaymentMethod:       {open, "its payment method cannot be changed"},
	ActionBackupPaymentMethod: {open, "its backup payment method cannot be changed"},
	ActionDeliveryPrice:       {steady, "its delivery price cannot be changed"},
	ActionDiscount:            {steady, "its discounts cannot be changed"},
	ActionGift:                {running, "no order can be made a gift"},
	ActionNote:                {always, ""},
	ActionAttributes:          {always, ""},
	ActionMerge:               {running, "it cannot be merged"},
	ActionSplit:               {running, "it cannot be split"},
}

// is and remedy are the beginning and, where something helps, the end of a refusal's sentences.
var (
	is = map[Status]string{
		Active: "is active", Paused: "is paused", Cancelled: "was cancelled", Expired: "has ended", Failed: "waits for a failed payment",
	}
	remedy = map[Status]string{
		Paused: " Resume it first.", Cancelled: " Reactivate it first.", Failed: " The payment comes first: change the payment method, or wait for the next try.",
	}
)

// May says why an action is not allowed in the subscription's status (Conflict, status_<status>), or nil. It looks at
// nothing else: an action that is allowed here can still be refused for a reason of its own.
func (s *Subscription) May(a Action) error {
	r := rules[a]
	if slices.Contains(r.from, s.Status) {
		return nil
	}
	help := remedy[s.Status]
	switch {
	case a == ActionResume || a == ActionReactivate, a == ActionPause && s.Status == Paused, a == ActionCancel && s.Status == Cancelled, s.MergedInto != "":
		help = ""
	}
	return fault.New(fault.Conflict, "status_"+string(s.Status), "The subscription %s, so %s.%s", is[s.Status], r.not, help)
}

// Open says whether the subscription is active, paused, or waits for a failed payment: orders will or may still come.
func (s *Subscription) Open() bool { return slices.Contains(open, s.Status) }
