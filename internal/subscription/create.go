package subscription

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/customer"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/settings"
)

// Create makes a subscription. Its rhythm comes from a selling plan or from a billing policy of its own, one of the
// two. Where nothing else is said: a unit price is the variant's; the address is the customer's default, as far as it can be
// used; the payment methods are always the customer's default and backup of the day; the delivery price is the shop's; and the first
// order comes one interval from today, in a rhythm that is counted from today.
type Create struct {
	ID                id.ID
	CustomerID        id.ID
	Items             []NewItem // 1 to MaxItems
	SellingPlanID     id.ID
	BillingPolicy     *catalog.Policy
	NextBillingDate   *civil.Date // the anchor, moved to the policy's anchor day; today or later
	ShippingAddressID id.ID
	PaymentMethodID   id.ID // empty: the customer's default of the day
	DeliveryPrice     *money.Amount
	Note              string
	Attributes        map[string]string
}

func (c Create) Load(r journal.Reader) (w World, err error) {
	if w.General, err = journal.Get[settings.General](r, journal.Settings, settings.PageGeneral); err != nil {
		return w, err
	}
	if err = w.shipping(r); err != nil {
		return w, err
	}
	if w.Customer, err = journal.Find[customer.Customer](r, journal.Customer, c.CustomerID); err != nil {
		return w, err
	}
	if w.Plan, err = journal.Find[catalog.Plan](r, journal.SellingPlan, c.SellingPlanID); err != nil {
		return w, err
	}
	if w.Plan != nil {
		if w.Group, err = journal.Find[catalog.Group](r, journal.SellingPlanGroup, w.Plan.GroupID); err != nil {
			return w, err
		}
	}
	variants := make([]id.ID, len(c.Items))
	for i, it := range c.Items {
		variants[i] = it.VariantID
	}
	if err = w.variants(r, variants...); err != nil {
		return w, err
	}
	address := c.ShippingAddressID
	if w.Customer != nil {
		address = cmp.Or(address, w.Customer.DefaultAddressID)
	}
	if w.Address, err = journal.Find[customer.Address](r, journal.Address, address); err != nil {
		return w, err
	}
	w.PaymentMethod, err = journal.Find[customer.PaymentMethod](r, journal.PaymentMethod, c.PaymentMethodID)
	return w, err
}

func (c Create) Decide(w World, now time.Time) (journal.Decision, error) {
	currency := w.General.Currency
	s := &Subscription{
		ID: c.ID, Status: Active, CustomerID: c.CustomerID, Currency: currency, SellingPlanID: c.SellingPlanID,
		DeliveryPrice: money.Zero(currency), CreatedAt: journal.At(now),
	}
	var f fault.Fields
	switch {
	case w.Customer == nil:
		f.Add("/customer_id", "unknown_customer", "There is no customer {id} in this shop.", "id", c.CustomerID)
	case w.Customer.Status == customer.Redacted:
		f.Add("/customer_id", "erased", "The customer's personal data was erased.")
	default:
		c.parties(&f, w, s)
	}
	c.items(&f, w, s)
	dated := c.rhythm(&f, w, s)
	if c.NextBillingDate != nil {
		ahead(&f, "/next_billing_date", *c.NextBillingDate, w.today(now), 0)
	}
	switch {
	case c.DeliveryPrice != nil:
		price(&f, "/delivery_price", *c.DeliveryPrice, currency)
		s.DeliveryPrice = *c.DeliveryPrice
	case w.Shipping.DefaultDeliveryPrice.Currency == currency:
		s.DeliveryPrice = w.Shipping.DefaultDeliveryPrice
	}
	note(&f, c.Note)
	attributes(&f, c.Attributes)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	s.Note, s.Attributes = journal.Secluded(c.Note), journal.Secluded(c.Attributes)
	s.follow(dated(w.today(now)))
	s = journal.Clone(s)
	return journal.Decision{Drafts: []journal.Draft{{Type: journal.SubscriptionCreated, After: s, Mentions: s.mentions(s.parts()...)}}, Result: s.Ref()}, nil
}

// parties sets where orders go and who pays. A default that cannot be used is left out; what the command names must
// be usable.
func (c Create) parties(f *fault.Fields, w World, s *Subscription) {
	switch a := w.Address; {
	case c.ShippingAddressID != "":
		w.address(f, "/shipping_address_id", c.ShippingAddressID, c.CustomerID)
		s.ShippingAddressID = c.ShippingAddressID
	case a != nil && a.Status == customer.StatusActive && w.Shipping.Ships(a.Country):
		s.ShippingAddressID = a.ID
	}
	if c.PaymentMethodID != "" {
		method(f, "/payment_method_id", w.PaymentMethod, c.PaymentMethodID, c.CustomerID)
		s.PaymentMethodID = c.PaymentMethodID
	}
}

func (c Create) items(f *fault.Fields, w World, s *Subscription) {
	switch {
	case len(c.Items) == 0:
		f.Add("/items", "required", "A subscription has at least one item.")
		return
	case len(c.Items) > MaxItems:
		f.Add("/items", "too_many", "A subscription has at most {most} items.", "most", MaxItems)
		return
	}
	for i, n := range c.Items {
		s.Items = append(s.Items, w.item(f, "/items/"+strconv.Itoa(i), n, s.Currency))
	}
	slices.SortFunc(s.Items, byID)
	if f.Err() == nil && !s.affordable() {
		f.Add("/items", "order_too_large", "The items of an order come to at most {most} minor units.", "most", MaxOrder)
	}
}

// rhythm sets the policies and says how to come to the first dates, once it is known that nothing is wrong.
func (c Create) rhythm(f *fault.Fields, w World, s *Subscription) func(today civil.Date) civil.Schedule {
	switch {
	case c.SellingPlanID != "" && c.BillingPolicy != nil:
		f.Add("/billing_policy", "one_or_the_other", "Give a selling plan or a billing policy, not both: the plan has a policy of its own.")
	case c.SellingPlanID != "" && w.Plan == nil:
		f.Add("/selling_plan_id", "unknown_selling_plan", "There is no selling plan {id} in this shop.", "id", c.SellingPlanID)
	case c.SellingPlanID != "" && (w.Group == nil || !catalog.Offered(w.Group, w.Plan)):
		f.Add("/selling_plan_id", "selling_plan_archived", "This selling plan is not offered any more.")
	case c.SellingPlanID != "":
		s.BillingPolicy, s.DeliveryPolicy = w.Plan.BillingPolicy, w.Plan.DeliveryPolicy
		if s.BillingPolicy.MaxCycles == nil {
			s.BillingPolicy.MaxCycles = w.Plan.MaxCycles
		}
	case c.BillingPolicy != nil:
		c.BillingPolicy.Check(f, "/billing_policy")
		s.BillingPolicy = *c.BillingPolicy
	default:
		f.Add("/billing_policy", "required", "Give a selling plan or a billing policy.")
	}
	return func(today civil.Date) civil.Schedule {
		anchorDay := 0
		if s.BillingPolicy.AnchorDay != nil {
			anchorDay = *s.BillingPolicy.AnchorDay
		}
		if c.NextBillingDate != nil {
			return civil.Begin(*c.NextBillingDate, s.BillingPolicy.Every(), anchorDay)
		}
		// Counted from today, not from the first order: who comes on 31 January is billed on 28 February and 31 March.
		unbegun := civil.Schedule{Rhythm: civil.Rhythm{AnchorDay: anchorDay, Every: s.BillingPolicy.Every()}, NextK: civil.Unanchored}
		return unbegun.ResumeFrom(today)
	}
}

// parts are the things that a subscription refers to, as mentions.
func (s *Subscription) parts() []journal.Ref {
	refs := []journal.Ref{{Kind: journal.SellingPlan, ID: s.SellingPlanID}}
	for _, it := range s.Items {
		refs = append(refs, journal.Ref{Kind: journal.Variant, ID: it.VariantID})
	}
	return append(refs, journal.Ref{Kind: journal.Address, ID: s.ShippingAddressID},
		journal.Ref{Kind: journal.PaymentMethod, ID: s.PaymentMethodID}, journal.Ref{Kind: journal.PaymentMethod, ID: s.BackupPaymentMethodID})
}
