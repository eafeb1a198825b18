package catalog

import (
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/settings"
)

// CreateProduct makes a product. It has no variants yet.
type CreateProduct struct {
	ID            id.ID
	Title         string
	Description   string
	ImageURL      string
	Status        Status // active or draft; empty: active
	PortalVisible *bool  // nil: visible
	Upsell        bool

	UpsellDiscount, UpsellLimit int
}

func (CreateProduct) Load(journal.Reader) (World, error) { return World{}, nil }

// Decide refuses wrong fields.
func (c CreateProduct) Decide(_ World, now time.Time) (journal.Decision, error) {
	next := &Product{
		ID:          c.ID,
		Title:       c.Title,
		Description: c.Description,
		ImageURL:    c.ImageURL,
		Status:      c.Status,
		PortalVisible: c.PortalVisible == nil ||
			*c.PortalVisible,
		Upsell:         c.Upsell,
		UpsellDiscount: c.UpsellDiscount,
		UpsellLimit:    c.UpsellLimit,
		CreatedAt:      journal.At(now),
	}
	if next.Status == "" {
		next.Status = Active
	}
	var f fault.Fields
	next.check(&f)
	if next.Status == Archived {
		f.Add("/status", "not_one_of", "A new product is active or draft.", "values", "active, draft")
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	return created(journal.ProductCreated, next), nil
}

// UpdateProduct changes the fields that are not nil. What belongs to the product itself, to its settings, and each part of its
// upsell become an event each. Setting the status to archived archives the product; an archived product changes only
// together with a status that takes it out of the archive (status_archived).
type UpdateProduct struct {
	ID            id.ID
	Title         *string
	Description   *string
	ImageURL      *string
	Status        *Status
	PortalVisible *bool
	Upsell        *bool

	UpsellDiscount, UpsellLimit *int
}

func (c UpdateProduct) Load(r journal.Reader) (w World, err error) {
	w.Product, err = journal.Get[Product](r, journal.Product, c.ID)
	return w, err
}

// Decide refuses wrong fields, and changes of an archived product.
func (c UpdateProduct) Decide(w World, _ time.Time) (journal.Decision, error) {
	whole := journal.Clone(w.Product)
	put(&whole.Title, c.Title)
	put(&whole.Description, c.Description)
	put(&whole.ImageURL, c.ImageURL)
	put(&whole.Status, c.Status)
	put(&whole.PortalVisible, c.PortalVisible)
	put(&whole.Upsell, c.Upsell)
	put(&whole.UpsellDiscount, c.UpsellDiscount)
	put(&whole.UpsellLimit, c.UpsellLimit)
	var f fault.Fields
	whole.check(&f)
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	if *whole != *w.Product && w.Product.Status == Archived && whole.Status == Archived {
		return journal.Decision{}, fault.New(fault.Conflict, "status_archived",
			"The product is archived, so it cannot be changed. Make it active or a draft again with the same change.")
	}

	s := &steps{last: w.Product}
	next := journal.Clone(w.Product)
	next.Title, next.Description, next.ImageURL = whole.Title, whole.Description, whole.ImageURL
	if whole.Status != Archived {
		next.Status = whole.Status
	}
	if err := s.add(journal.ProductUpdated, next); err != nil {
		return journal.Decision{}, err
	}
	next = journal.Clone(next)
	next.PortalVisible = whole.PortalVisible
	if err := s.add(journal.ProductSettingsUpdated, next); err != nil {
		return journal.Decision{}, err
	}
	next = journal.Clone(next)
	next.Upsell = whole.Upsell
	if err := s.add(journal.ProductUpsellVariantSettingsUpdated, next); err != nil {
		return journal.Decision{}, err
	}
	next = journal.Clone(next)
	next.UpsellDiscount = whole.UpsellDiscount
	if err := s.add(journal.ProductUpsellDiscountUpdated, next); err != nil {
		return journal.Decision{}, err
	}
	next = journal.Clone(next)
	next.UpsellLimit = whole.UpsellLimit
	if err := s.add(journal.ProductUpsellLimitUpdated, next); err != nil {
		return journal.Decision{}, err
	}
	next = journal.Clone(next)
	next.Status = whole.Status
	if err := s.add(journal.ProductArchived, next); err != nil {
		return journal.Decision{}, err
	}
	return s.decision(), nil
}

// ArchiveProduct takes a product out of sale. Its variants keep their own status: what is sold is a matter of both
// (Sellable), so that undoing this one entry brings everything back. Subscriptions that hold it go on.
type ArchiveProduct struct{ ID id.ID }

func (c ArchiveProduct) Load(r journal.Reader) (World, error) { return UpdateProduct{ID: c.ID}.Load(r) }

// Decide refuses nothing: an archived product stays archived.
func (c ArchiveProduct) Decide(w World, now time.Time) (journal.Decision, error) {
	return UpdateProduct{ID: c.ID, Status: new(Archived)}.Decide(w, now)
}

// CreateVariant adds a variant to a product that is not archived (status_archived).
type CreateVariant struct {
	ID          id.ID
	ProductID   id.ID
	Title       string
	SKU         string
	Price       money.Amount
	WeightGrams int
	Inventory   *int64
}

func (c CreateVariant) Load(r journal.Reader) (w World, err error) {
	if w.Product, err = journal.Get[Product](r, journal.Product, c.ProductID); err != nil {
		return w, err
	}
	w.General, err = general(r)
	return w, err
}

// Decide refuses wrong fields and an archived product.
func (c CreateVariant) Decide(w World, now time.Time) (journal.Decision, error) {
	next := &Variant{
		ID: c.ID, ProductID: c.ProductID, Title: c.Title, SKU: c.SKU, Price: c.Price, WeightGrams: c.WeightGrams,
		Inventory: c.Inventory, Status: Active, CreatedAt: journal.At(now),
	}
	if err := next.refuse(w.General); err != nil {
		return journal.Decision{}, err
	}
	if w.Product.Status == Archived {
		return journal.Decision{}, fault.New(fault.Conflict, "status_archived",
			"The product is archived, so it gets no new variants. Make it active or a draft first.")
	}
	return created(journal.VariantCreated, next, w.Product.Ref()), nil
}

// UpdateVariant changes the fields that are not nil. A new count of the stock is an event of its own. Subscriptions
// keep the price that they were made with.
type UpdateVariant struct {
	ID          id.ID
	Title       *string
	SKU         *string
	Price       *money.Amount
	WeightGrams *int
	Inventory   Nullable[int64]

	BackupVariantID *id.ID // another variant, or empty for none
}

func (c UpdateVariant) Load(r journal.Reader) (w World, err error) {
	if w.Variant, err = journal.Get[Variant](r, journal.Variant, c.ID); err != nil {
		return w, err
	}
	if c.BackupVariantID != nil {
		if w.Backup, err = journal.Find[Variant](r, journal.Variant, *c.BackupVariantID); err != nil {
			return w, err
		}
	}
	w.General, err = general(r)
	return w, err
}

// Decide refuses wrong fields and an archived variant (status_archived).
func (c UpdateVariant) Decide(w World, _ time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Variant)
	put(&next.Title, c.Title)
	put(&next.SKU, c.SKU)
	put(&next.Price, c.Price)
	put(&next.WeightGrams, c.WeightGrams)
	if b := c.BackupVariantID; b != nil && *b != next.BackupVariantID {
		var f fault.Fields
		switch {
		case *b == next.ID:
			f.Add("/backup_variant_id", "backup_itself", "The backup is another variant.")
		case *b != "" && (w.Backup == nil || w.Backup.Status == Archived):
			f.Add("/backup_variant_id", "unknown_variant", "There is no variant {id} that can be sent.", "id", *b)
		}
		if err := f.Err(); err != nil {
			return journal.Decision{}, err
		}
		next.BackupVariantID = *b
	}
	counted := journal.Clone(next)
	c.Inventory.apply(&counted.Inventory)
	if err := counted.refuse(w.General); err != nil {
		return journal.Decision{}, err
	}
	product := journal.Ref{Kind: journal.Product, ID: next.ProductID}
	s := &steps{last: w.Variant}
	if err := s.add(journal.VariantUpdated, next, product); err != nil {
		return journal.Decision{}, err
	}
	if err := s.add(journal.VariantInventoryChanged, counted, product); err != nil {
		return journal.Decision{}, err
	}
	if len(s.drafts) > 0 && w.Variant.Status == Archived {
		return journal.Decision{}, closed("variant", Archived)
	}
	return s.decision(), nil
}

// ArchiveVariant takes a variant out of sale. Subscriptions that hold it go on.
type ArchiveVariant struct{ ID id.ID }

func (c ArchiveVariant) Load(r journal.Reader) (w World, err error) {
	w.Variant, err = journal.Get[Variant](r, journal.Variant, c.ID)
	return w, err
}

// Decide refuses nothing: an archived variant stays archived.
func (c ArchiveVariant) Decide(w World, _ time.Time) (journal.Decision, error) {
	next := journal.Clone(w.Variant)
	next.Status = Archived
	s := &steps{last: w.Variant}
	err := s.add(journal.VariantArchived, next, journal.Ref{Kind: journal.Product, ID: next.ProductID})
	return s.decision(), err
}

// Sellable says whether a variant can be put into a subscription now: it and its product are active.
func Sellable(p *Product, v *Variant) bool {
	return p.Status == Active && v.Status == Active && p.ID == v.ProductID
}

// ChangeInventory gives the event that moves a variant's stock by a number of pieces, negative for a sale, and the
// variant after it. A variant whose stock is not counted stays as it is: ok is false and the draft is not to be used.
// It refuses to go below zero (Conflict, out_of_stock).
func ChangeInventory(v *Variant, by int64, mentions ...journal.Ref) (d journal.Draft, next *Variant, ok bool, err error) {
	if v.Inventory == nil || by == 0 {
		return journal.Draft{}, v, false, nil
	}
	left := *v.Inventory + by
	if left < 0 {
		return journal.Draft{}, v, false, fault.New(fault.Conflict, "out_of_stock",
			"Only %d of \"{title}\" are in stock; %d are needed.", *v.Inventory, -by).With("title", v.Title)
	}
	next = journal.Clone(v)
	next.Inventory = new(min(left, MaxInventory))
	if *next.Inventory == *v.Inventory {
		return journal.Draft{}, v, false, nil
	}
	mentions = append([]journal.Ref{{Kind: journal.Product, ID: v.ProductID}}, mentions...)
	return journal.Draft{Type: journal.VariantInventoryChanged, Before: v, After: next, Mentions: mentions}, next, true, nil
}

// MaxInventory is the highest count of a variant's stock.
const MaxInventory int64 = 1_000_000_000

func (v *Variant) refuse(g *settings.General) error {
	var f fault.Fields
	v.check(&f)
	if v.Price.Currency != "" && v.Price.Currency != g.Currency {
		f.Add("/price/currency", "wrong_currency", "The shop sells in {currency}.", "currency", g.Currency)
	}
	return f.Err()
}
