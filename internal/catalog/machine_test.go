package catalog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/fault"
	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/journal/journaltest"
)

// TestMachine runs random commands: every state stays sound, what Decide says is what the events come to, a code has
// one owner, and a refusal is never a failure of ours.
func TestMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		at := now
		made := map[string][]id.ID{}
		newID := func(prefix string) id.ID {
			key := id.ID(fmt.Sprintf("%s_%d", prefix, len(made[prefix])+1))
			return key
		}
		pick := func(prefix string) id.ID {
			if len(made[prefix]) == 0 {
				t.Skip("none yet")
			}
			return rapid.SampledFrom(made[prefix]).Draw(t, prefix)
		}
		run := func(c journal.Command, prefix string) {
			at = at.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "hours")) * time.Hour)
			d, _, err := w.Run(c, at)
			if err != nil {
				if fault.As(err).Kind == fault.Internal {
					t.Fatalf("%+v: %v", c, err)
				}
				return
			}
			if prefix != "" {
				made[prefix] = append(made[prefix], d.Result.ID)
			}
			final := map[journal.Ref]journal.State{}
			for _, dr := range d.Drafts {
				final[dr.After.Ref()] = dr.After
			}
			for ref, decided := range final {
				if diff := cmp.Diff(decided, w.States[ref], cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("%+v: Decide and the events differ (-decided +applied):\n%s", c, diff)
				}
			}
		}
		text := rapid.SampledFrom([]string{"", "Coffee", "Tea", "Ünïcode ✓", "x\u202ey", strings.Repeat("l", 201)})
		maybe := func(name string) *int { return rapid.Ptr(rapid.IntRange(0, 6), true).Draw(t, name) }
		policy := rapid.Custom(func(t *rapid.T) catalog.Policy {
			return catalog.Policy{
				Interval:      rapid.SampledFrom([]civil.Unit{civil.Day, civil.Week, civil.Month, civil.Year, "moon"}).Draw(t, "unit"),
				IntervalCount: rapid.IntRange(0, 4).Draw(t, "count"),
				AnchorDay:     rapid.Ptr(rapid.IntRange(0, 32), true).Draw(t, "day"),
			}
		})
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) catalog.Pricing {
			return catalog.Pricing{
				Kind:       rapid.SampledFrom([]string{catalog.KindPercentage, catalog.KindAmount, catalog.KindPrice}).Draw(t, "kind"),
				Value:      rapid.Int64Range(0, 12_000).Draw(t, "value"),
				AfterCycle: rapid.IntRange(0, 3).Draw(t, "after"),
			}
		}), 0, 2)
		ids := func() []id.ID {
			return rapid.SliceOfN(rapid.SampledFrom([]id.ID{"prod_1", "prod_2", "prod_3"}), 0, 3).Draw(t, "products")
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				checkWorld(t, w)
				checkCodes(t, w)
			},
			"create product": func(t *rapid.T) {
				run(journal.Bind(catalog.CreateProduct{ID: newID("prod"), Title: text.Draw(t, "title")}), "prod")
			},
			"update product": func(t *rapid.T) {
				run(journal.Bind(catalog.UpdateProduct{
					ID: pick("prod"), Title: rapid.Ptr(text, true).Draw(t, "title"),
					Status:        rapid.Ptr(rapid.SampledFrom([]catalog.Status{catalog.Active, catalog.Draft, catalog.Archived, "gone"}), true).Draw(t, "status"),
					PortalVisible: rapid.Ptr(rapid.Bool(), true).Draw(t, "visible"), Upsell: rapid.Ptr(rapid.Bool(), true).Draw(t, "upsell"),
				}), "")
			},
			"create variant": func(t *rapid.T) {
				run(journal.Bind(catalog.CreateVariant{ID: newID("var"), ProductID: pick("prod"), Title: text.Draw(t, "title"), Price: usd(rapid.Int64Range(-1, 9999).Draw(t, "price"))}), "var")
			},
			"update variant": func(t *rapid.T) {
				run(journal.Bind(catalog.UpdateVariant{
					ID: pick("var"), Title: rapid.Ptr(text, true).Draw(t, "title"),
					Inventory: catalog.Nullable[int64]{Given: rapid.Bool().Draw(t, "given"), Value: rapid.Ptr(rapid.Int64Range(-1, 9), true).Draw(t, "stock")},
				}), "")
			},
			"archive variant": func(*rapid.T) { run(journal.Bind(catalog.ArchiveVariant{ID: pick("var")}), "") },
			"create group": func(t *rapid.T) {
				run(journal.Bind(catalog.CreateGroup{ID: newID("grp"), Name: text.Draw(t, "name"), ProductIDs: ids()}), "grp")
			},
			"update group": func(*rapid.T) {
				run(journal.Bind(catalog.UpdateGroup{ID: pick("grp"), ProductIDs: new(ids())}), "")
			},
			"delete group": func(*rapid.T) { run(journal.Bind(catalog.DeleteGroup{ID: pick("grp")}), "") },
			"create plan": func(t *rapid.T) {
				run(journal.Bind(catalog.CreatePlan{
					ID: newID("plan"), GroupID: pick("grp"), Name: "Plan", BillingPolicy: policy.Draw(t, "billing"), Pricing: steps.Draw(t, "pricing"),
					DeliveryPolicy: rapid.Ptr(policy, true).Draw(t, "delivery"), MinCycles: maybe("min"), MaxCycles: maybe("max"),
				}), "plan")
			},
			"update plan": func(t *rapid.T) {
				run(journal.Bind(catalog.UpdatePlan{
					ID: pick("plan"), BillingPolicy: rapid.Ptr(policy, true).Draw(t, "billing"), Pricing: new(steps.Draw(t, "pricing")),
					MinCycles: catalog.Nullable[int]{Given: true, Value: maybe("min")},
				}), "")
			},
			"delete plan": func(*rapid.T) { run(journal.Bind(catalog.DeletePlan{ID: pick("plan")}), "") },
			"create discount": func(t *rapid.T) {
				run(journal.Bind(catalog.CreateDiscount{
					ID: newID("disc"), Code: rapid.SampledFrom([]string{"aaa", "AAA", " b-1_ ", "B-1_", "no!"}).Draw(t, "code"),
					Kind: catalog.KindPercentage, Value: rapid.Int64Range(0, 101).Draw(t, "value"), MaxCycles: maybe("cycles"),
				}), "disc")
			},
			"update discount": func(t *rapid.T) {
				run(journal.Bind(catalog.UpdateDiscount{ID: pick("disc"), Value: new(rapid.Int64Range(0, 101).Draw(t, "value")), MaxRedemptions: catalog.Nullable[int]{Given: true, Value: maybe("limit")}}), "")
			},
			"deactivate discount": func(*rapid.T) { run(journal.Bind(catalog.DeactivateDiscount{ID: pick("disc")}), "") },
		})
	})
}

func checkCodes(t *rapid.T, w *journaltest.World) {
	for ref, s := range w.States {
		d, ok := s.(*catalog.Discount)
		if !ok {
			continue
		}
		if owner, _, _ := w.Reserved(catalog.ScopeDiscountCode, d.Code); owner != ref.ID {
			t.Fatalf("the code %s of %s is held by %q", d.Code, ref.ID, owner)
		}
	}
}
