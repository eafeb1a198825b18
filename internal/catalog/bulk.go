package catalog

import (
	"slices"
	"time"

	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// ProductSetting is what a bulk change does to each product.
type ProductSetting string

// The settings, a closed list.
const (
	SettingShown      ProductSetting = "shown" // in the Portal
	SettingHidden     ProductSetting = "hidden"
	SettingOffered    ProductSetting = "offered" // as a one-time addition
	SettingNotOffered ProductSetting = "not_offered"
	SettingArchived   ProductSetting = "archived"
)

const maxBulk = 500

// ChangeManyProducts changes a setting of several products, all or nothing: one entry of the operation, and one for each product
// that it changes. Each change is held to the rules of UpdateProduct.
type ChangeManyProducts struct {
	Operation id.ID
	Products  []id.ID
	Setting   ProductSetting
}

type bulkDetails struct {
	Setting ProductSetting `json:"setting"`
	Changed int            `json:"changed"`
}

func (c ChangeManyProducts) Load(r journal.Reader) (out []*Product, err error) {
	for _, key := range slices.Compact(slices.Sorted(slices.Values(c.Products))) {
		p, err := journal.Get[Product](r, journal.Product, key)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// Decide refuses wrong fields and whatever UpdateProduct refuses for one of the products. Nothing changed is no entry.
func (c ChangeManyProducts) Decide(products []*Product, now time.Time) (journal.Decision, error) {
	var f fault.Fields
	if len(products) == 0 || len(products) > maxBulk {
		f.Add("/product", "choose_some", "Tick at least one product, and at most {most}.", "most", maxBulk)
	}
	var change UpdateProduct
	switch c.Setting {
	case SettingShown, SettingHidden:
		change.PortalVisible = new(c.Setting == SettingShown)
	case SettingOffered, SettingNotOffered:
		change.Upsell = new(c.Setting == SettingOffered)
	case SettingArchived:
		change.Status = new(Archived)
	default:
		f.Add("/change", "choose_one", "Choose what to change.")
	}
	if err := f.Err(); err != nil {
		return journal.Decision{}, err
	}
	op := journal.Ref{Kind: journal.Operation, ID: c.Operation}
	d := journal.Decision{Result: op, Drafts: []journal.Draft{{Type: journal.ProductSettingsBulkUpdated, Target: op}}}
	for _, p := range products {
		change.ID = p.ID
		changed, err := change.Decide(World{Product: p}, now)
		if err != nil {
			return journal.Decision{}, err
		}
		for _, draft := range changed.Drafts {
			draft.CausedByDraft = 1
			d.Drafts = append(d.Drafts, draft)
			d.Drafts[0].Mentions = append(d.Drafts[0].Mentions, p.Ref())
		}
	}
	if len(d.Drafts) == 1 {
		return journal.Decision{Result: op}, nil
	}
	d.Drafts[0].Details = bulkDetails{c.Setting, len(d.Drafts) - 1}
	return d, nil
}
