package analytics

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"perennial/internal/db"
	"perennial/internal/test/shop"
)

// Whatever somebody changes in the figures is found: by a sample, where sums are held against lists of entries or the sample has it, and
// by counting all again.
func TestCompare(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, and takes long")
	}
	y := live(t, 25)
	must(t, y.CatchUp(t.Context()))
	compare := func(all bool) (Compared, []string) {
		var found []string
		c, err := y.compare(t.Context(), all, 0, func(seq int64, key, detail string) {
			found = append(found, fmt.Sprintf("%d, %s: %s", seq, key, detail))
		})
		must(t, err)
		return c, found
	}
	for _, all := range []bool{false, true} {
		c, found := compare(all)
		if len(found) > 0 || c.Entries != y.Program.Head()+1 || c.Foreign || c.Subscriptions == 0 || !all && (c.Days == 0 || c.Subscriptions > sampledSubscriptions) {
			t.Errorf("all %v: got %+v and %q before anything was changed", all, c, found)
		}
	}
	w := y.d.Load().Owner
	for _, c := range []struct {
		name, text, want string
		always           bool // the sample has it too, whatever it takes
	}{
		{"a sum of a movement", `UPDATE rollup SET amount = amount + 1 WHERE shop_id = $1 AND figure = 'mrr.new' AND product = ''`, "mrr.new on ", true},
		{"a sum that is gone", `DELETE FROM rollup WHERE shop_id = $1 AND figure = 'mrr.churned'`, "the sum is 0 times 0", true},
		{"a sum too many", `INSERT INTO rollup (shop_id, product, figure, day, currency, count, amount) SELECT DISTINCT shop_id, product, figure, '2031-01-01', currency, 1, 5 FROM rollup WHERE shop_id = $1 AND figure = 'sales.new' AND product = ''`, "sales.new on 2031-01-01", true},
		{"how many run", `UPDATE rollup SET count = count + 1 WHERE shop_id = $1 AND figure = 'gauge.running'`, "gauge.running on ", false},
		{"tax", `UPDATE rollup SET amount = amount - 1 WHERE shop_id = $1 AND figure = 'sales.tax'`, "sales.tax on ", true},
		{"what a product sold", `DELETE FROM rollup WHERE shop_id = $1 AND figure LIKE 'product.%'`, "product.", true},
		{"orders to come", `UPDATE rollup SET amount = 1 WHERE shop_id = $1 AND figure = 'due'`, "due on ", false},
		{"orders to come that are gone", `DELETE FROM rollup WHERE shop_id = $1 AND figure = 'due'`, "there is no sum", false},
		{"a list of entries, with its sums", `DELETE FROM rollup_entry WHERE shop_id = $1 AND figure LIKE 'mrr.%'; DELETE FROM rollup WHERE shop_id = $1 AND figure LIKE 'mrr.%'`, "does not count this entry", true},
		{"sales, with their sums", `DELETE FROM rollup_entry WHERE shop_id = $1 AND figure LIKE 'sales.%'; DELETE FROM rollup WHERE shop_id = $1 AND figure LIKE 'sales.%'`, "does not count this entry", true},
		{"a movement of somebody else", `UPDATE rollup_entry SET subscription_id = 'sub_nobody' WHERE shop_id = $1 AND figure = 'mrr.new'`, "adds nothing to it", false},
		{"what is known of a subscription", `UPDATE rollup_state SET body = replace(body, '"currency"', '"currencx"') WHERE shop_id = $1`, "not what its entries say", true},
		{"a subscription that is not known", `DELETE FROM rollup_state WHERE shop_id = $1 AND plan_id <> ''`, "the figures do not know it", true},
		{"a schedule", `UPDATE rollup_state SET due = '[]' WHERE shop_id = $1`, "its orders to come are not what its schedule says", true},
		{"never again", `UPDATE rollup_state SET due = '[]', covered = '9999-12-31' WHERE shop_id = $1`, "its orders to come are not what its schedule says", true},
		{"a reason", `UPDATE rollup_reason SET seq = seq + 1 WHERE shop_id = $1 AND seq = (SELECT max(seq) FROM rollup_reason WHERE shop_id = $1)`, "the reason of its cancellation", false},
	} {
		tx, err := w.BeginTx(t.Context(), nil)
		must(t, err)
		for text := range strings.SplitSeq(c.text, "; ") {
			_, err := tx.ExecContext(t.Context(), text, y.Store.Shop)
			must(t, err)
		}
		must(t, tx.Commit())
		for _, all := range []bool{false, true} {
			_, found := compare(all)
			if has := slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, c.want) }); !has && (all || c.always) {
				t.Errorf("%s, all %v: got %.300q, want the words %q", c.name, all, found, c.want)
			}
		}
		must(t, y.Rebuild(t.Context(), nil))
	}
	if _, found := compare(true); len(found) > 0 {
		t.Errorf("after all of it: got %q", found)
	}
}

// Figures of another journal are nobody's fault: the next start counts them anew.
func TestCompareForeign(t *testing.T) {
	s := openSmall(t)
	s.subscribe()
	a := s.figures(t)
	defer func() { must(t, a.Close()) }()
	must(t, a.CatchUp(t.Context()))
	_, err := a.d.Load().Writer.ExecContext(t.Context(), `UPDATE rollup_followed SET leaf_hash = $2 WHERE shop_id = $1`, s.Store.Shop, make([]byte, 32))
	must(t, err)
	c, err := a.Compare(t.Context(), false, func(_ int64, key, detail string) { t.Errorf("%s: %s", key, detail) })
	if err != nil || !c.Foreign || c.Subscriptions > 0 {
		t.Errorf("got %+v and %v", c, err)
	}
	if shop.Engine() == db.SQLite {
		if a, err := OpenReadOnly(t.Context(), s.Store, s.Dir+"/nothing.db"); a != nil || err != nil {
			t.Errorf("without a file: %v, %v", a, err)
		}
	}
}
