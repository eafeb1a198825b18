package catalog

import (
	"slices"
	"strconv"
	"time"

	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// CreateGroup makes a selling plan group for some products. It has no plans yet.
type CreateGroup struct {
	ID         id.ID
	Name       string
	ProductIDs []id.ID
}

func (c CreateGroup) Load(r journal.Reader) (w World, err error) {
	w.Products, err = products(r, c.ProductIDs)
	return w, err
}

// Decide refuses wrong fields, and products that do not exist or are archived.
func (c CreateGroup) Decide(w World, now time.Time) (journal.Decision, error) {
	next := &Group{ID: c.ID, Name: c.Name, ProductIDs: distinct(c.ProductIDs), Status: Active, CreatedAt: journal.At(now)}
	var f fault.Fields
	next.check(&f)
	knownProducts(&f, w.Products, c.ProductIDs, nil)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	return created(journal.SellingPlanGroupCreated, next, productRefs(next.ProductIDs)...), nil
}

// UpdateGroup changes the fields that are not nil.
type UpdateGroup struct {
	ID         id.ID
	Name       *string
	ProductIDs *[]id.ID
}

func (c UpdateGroup) Load(r journal.Reader) (w World, err error) {
	if w.Group, err = journal.Get[Group](r, journal.SellingPlanGroup, c.ID); err != nil {
		return w, err
	}
	if c.ProductIDs != nil {
		w.Products, err = products(r, *c.ProductIDs)
	}
	return w, err
}

// Decide refuses wrong fields, products that do not exist, products that are archived and new in the group, and
// changes of a deleted group (status_archived). The event mentions the products that came or went.
func (c UpdateGroup) Decide(w World, _ time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Group)
	put(&next.Name, c.Name)
	var f fault.Fields
	if c.ProductIDs != nil {
		next.ProductIDs = distinct(*c.ProductIDs)
		knownProducts(&f, w.Products, *c.ProductIDs, w.Group.ProductIDs)
	}
	next.check(&f)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	var moved []id.ID
	for _, p := range distinct(slices.Concat(w.Group.ProductIDs, next.ProductIDs)) {
		if slices.Contains(w.Group.ProductIDs, p) != slices.Contains(next.ProductIDs, p) {
			moved = append(moved, p)
		}
	}
	s := &steps{last: w.Group}
	if err := s.add(journal.SellingPlanGroupUpdated, next, productRefs(moved)...); err != nil {
		return journal.Decision{}, err
	}
	if len(s.drafts) > 0 && w.Group.Status == Archived {
		return journal.Decision{}, closed("selling plan group", Archived)
	}
	return s.decision(), nil
}

// DeleteGroup archives a group. Its plans keep their own status: what is offered is a matter of both (Offered), so
// that undoing this one entry brings everything back. Subscriptions keep their rhythm and their price.
type DeleteGroup struct{ ID id.ID }

func (c DeleteGroup) Load(r journal.Reader) (w World, err error) {
	w.Group, err = journal.Get[Group](r, journal.SellingPlanGroup, c.ID)
	return w, err
}

// Decide refuses nothing: a deleted group stays deleted.
func (c DeleteGroup) Decide(w World, _ time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Group)
	next.Status = Archived
	s := &steps{last: w.Group}
	err := s.add(journal.SellingPlanGroupDeleted, next)
	return s.decision(), err
}

// CreatePlan adds a plan to a group that is not deleted (status_archived).
type CreatePlan struct {
	ID             id.ID
	GroupID        id.ID
	Name           string
	BillingPolicy  Policy
	DeliveryPolicy *Policy
	Pricing        []Pricing
	MinCycles      *int
	MaxCycles      *int
}

func (c CreatePlan) Load(r journal.Reader) (w World, err error) {
	w.Group, err = journal.Get[Group](r, journal.SellingPlanGroup, c.GroupID)
	return w, err
}

// Decide refuses wrong fields and a deleted group.
func (c CreatePlan) Decide(w World, now time.Time) (journal.Decision, error) {
	next := journal.Clone(&Plan{
		ID: c.ID, GroupID: c.GroupID, Name: c.Name, BillingPolicy: c.BillingPolicy, DeliveryPolicy: c.DeliveryPolicy,
		Pricing: c.Pricing, MinCycles: c.MinCycles, MaxCycles: c.MaxCycles, Status: Active, CreatedAt: journal.At(now),
	})
	var f fault.Fields
	next.check(&f)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	if w.Group.Status == Archived {
		return journal.Decision{}, fault.New(fault.Conflict, "status_archived",
			"The selling plan group is deleted, so it gets no new plans. Undo its deletion first.")
	}
	return created(journal.SellingPlanCreated, next, w.Group.Ref()), nil
}

// UpdatePlan changes the fields that are not nil. Subscriptions keep the rhythm that they were made with; the steps of
// the price hold for every order that is made from now on.
type UpdatePlan struct {
	ID             id.ID
	Name           *string
	BillingPolicy  *Policy
	DeliveryPolicy Nullable[Policy]
	Pricing        *[]Pricing
	MinCycles      Nullable[int]
	MaxCycles      Nullable[int]
}

func (c UpdatePlan) Load(r journal.Reader) (w World, err error) {
	w.Plan, err = journal.Get[Plan](r, journal.SellingPlan, c.ID)
	return w, err
}

// Decide refuses wrong fields and changes of a deleted plan (status_archived).
func (c UpdatePlan) Decide(w World, _ time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Plan)
	put(&next.Name, c.Name)
	put(&next.BillingPolicy, c.BillingPolicy)
	c.DeliveryPolicy.apply(&next.DeliveryPolicy)
	put(&next.Pricing, c.Pricing)
	c.MinCycles.apply(&next.MinCycles)
	c.MaxCycles.apply(&next.MaxCycles)
	next = journal.Clone(next)
	var f fault.Fields
	next.check(&f)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	s := &steps{last: w.Plan}
	if err := s.add(journal.SellingPlanUpdated, next, groupRef(next)); err != nil {
		return journal.Decision{}, err
	}
	if len(s.drafts) > 0 && w.Plan.Status == Archived {
		return journal.Decision{}, closed("selling plan", Archived)
	}
	return s.decision(), nil
}

// DeletePlan archives a plan. Subscriptions on it keep their rhythm and their price.
type DeletePlan struct{ ID id.ID }

func (c DeletePlan) Load(r journal.Reader) (World, error) { return UpdatePlan{ID: c.ID}.Load(r) }

// Decide refuses nothing: a deleted plan stays deleted.
func (c DeletePlan) Decide(w World, _ time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Plan)
	next.Status = Archived
	s := &steps{last: w.Plan}
	err := s.add(journal.SellingPlanDeleted, next, groupRef(next))
	return s.decision(), err
}

// Offered says whether new subscriptions can be made on a plan: it and its group are active.
func Offered(g *Group, p *Plan) bool {
	return g.Status == Active && p.Status == Active && g.ID == p.GroupID
}

// DeliveriesPerOrder gives how many deliveries one order pays for: 1, or more for a prepaid plan, whose billing
// interval is a whole number of delivery intervals. It is 0 when the two do not fit: days and weeks do not divide
// months and years, because their lengths differ.
func DeliveriesPerOrder(billing Policy, delivery *Policy) int {
	if delivery == nil {
		return 1
	}
	bu, bn := unitLength(billing)
	du, dn := unitLength(*delivery)
	if bu != du || dn < 1 || bn%dn != 0 {
		return 0
	}
	return bn / dn
}

// unitLength gives an interval in days or in months.
func unitLength(p Policy) (unit civil.Unit, n int) {
	switch p.Interval {
	case civil.Week:
		return civil.Day, 7 * p.IntervalCount
	case civil.Year:
		return civil.Month, 12 * p.IntervalCount
	}
	return p.Interval, p.IntervalCount
}

func products(r journal.Reader, ids []id.ID) (map[id.ID]*Product, error) {
	out := map[id.ID]*Product{}
	for _, p := range ids {
		s, err := journal.Find[Product](r, journal.Product, p)
		if err != nil {
			return nil, err
		}
		if s != nil {
			out[p] = s
		}
	}
	return out, nil
}

func knownProducts(f *fault.Fields, known map[id.ID]*Product, ids, held []id.ID) {
	for i, p := range ids {
		pointer := "/product_ids/" + strconv.Itoa(i)
		switch s := known[p]; {
		case s == nil:
			f.Add(pointer, "unknown_product", "There is no product {id} in this shop.", "id", p)
		case s.Status == Archived && !slices.Contains(held, p):
			f.Add(pointer, "product_archived", "The product {id} is archived.", "id", p)
		}
	}
}

func distinct(ids []id.ID) []id.ID { return slices.Compact(slices.Sorted(slices.Values(ids))) }

func productRefs(ids []id.ID) []journal.Ref {
	out := make([]journal.Ref, len(ids))
	for i, p := range ids {
		out[i] = journal.Ref{Kind: journal.Product, ID: p}
	}
	return out
}

func groupRef(p *Plan) journal.Ref { return journal.Ref{Kind: journal.SellingPlanGroup, ID: p.GroupID} }
