package storetest

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"perennial/internal/id"
	"perennial/internal/journal"
	"perennial/internal/store"
)

// Target is what the ways round the journal are tried on.
type Target struct {
	Product id.ID // at version 2
	Other   id.ID // at version 1; its entry came before the product's second
}

// Quoted is an id as a literal.
func Quoted(key id.ID) string { return "'" + string(key) + "'" }

// Next is the seq of the next entry.
const Next = "(SELECT max(seq) + 1 FROM event)"

// LastSeq is the seq of the product's last entry.
func (x *Target) LastSeq() string {
	return "(SELECT last_seq FROM product WHERE id = " + Quoted(x.Product) + ")"
}

// Event is a statement that appends an event like the last one about a product.
func (x *Target) Event(seq string, product id.ID, version, prev string) string {
	return `INSERT INTO event (shop_id, seq, recorded_at, type, target_kind, target_id, target_version, target_prev_seq, leaf_hash, body, boxes)
		SELECT shop_id, ` + seq + `, recorded_at, 'product.updated', 'product', ` + Quoted(
		product,
	) + `, ` + version + `, ` + prev + `, leaf_hash, body, boxes
		FROM event ORDER BY seq DESC LIMIT 1`
}

// Good is the event that the product's next change would append.
func (x *Target) Good() string { return x.Event(Next, x.Product, "3", x.LastSeq()) }

// Row is the statement that lets a product's row follow Good.
func (x *Target) Row(product id.ID) string {
	return `UPDATE product SET version = 3, last_seq = (SELECT max(seq) FROM event) WHERE id = ` + Quoted(product)
}

// ways are the ways round the journal in the SQL that engines share. Each has to be refused.
func (x *Target) ways() map[string]string {
	prev := "(SELECT target_prev_seq FROM event WHERE seq = " + x.LastSeq() + ")"
	ofOther := "(SELECT last_seq FROM product WHERE id = " + Quoted(x.Other) + ")"
	good, where := x.Good(), ` WHERE id = `+Quoted(x.Product)
	const head, heads = `; UPDATE head SET seq = seq + 1`, `; UPDATE head SET seq = seq + 2`
	return map[string]string{
		"update a state":               `UPDATE product SET status = 'archived'` + where,
		"update all states":            `UPDATE product SET doc = replace(doc, 'Coffee', 'Cocoa')`,
		"update with a higher version": `UPDATE product SET version = version + 1, last_seq = last_seq + 1` + where,
		"update that keeps last_seq":   `UPDATE product SET version = version + 1, doc = '{}'` + where,
		"update with another's event":  `UPDATE product SET version = version + 1, last_seq = ` + ofOther + ` + 100` + where,
		"update of the key":            `UPDATE product SET id = 'prod_new'` + where,
		"update of the shop":           `UPDATE product SET shop_id = 'shop_other'`,
		"delete a state":               `DELETE FROM product` + where,
		"delete all states":            `DELETE FROM product`,
		"insert a state of an old event": `INSERT INTO product (shop_id, id, version, last_seq, schema_version, status, doc)
			SELECT shop_id, 'prod_new', 1, last_seq, 1, 'active', '{}' FROM product LIMIT 1`,
		"an observed target's row":  `INSERT INTO target_head (shop_id, kind, id, version, last_seq) SELECT shop_id, 'log', 'activity', 1, 3 FROM head`,
		"update an event":           `UPDATE event SET body = replace(body, 'Coffee', 'Cocoa')`,
		"update an event's type":    `UPDATE event SET type = 'product.created' WHERE seq = 7`,
		"delete the last event":     `DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)`,
		"delete all events":         `DELETE FROM event`,
		"a seq with a gap":          x.Event(Next+" + 1", x.Product, "3", x.LastSeq()),
		"a seq again":               x.Event("3", x.Product, "3", x.LastSeq()),
		"an event before the first": x.Event("-1", x.Product, "3", x.LastSeq()),
		"a version with a gap":      x.Event(Next, x.Product, "4", x.LastSeq()),
		"a version again":           x.Event(Next, x.Product, "2", prev),
		"version 1 of what exists":  x.Event(Next, x.Product, "1", "NULL"),
		"a chain to another target": x.Event(Next, x.Product, "3", ofOther),
		"a chain to an older event": x.Event(Next, x.Product, "3", prev),
		"no chain":                  x.Event(Next, x.Product, "3", "NULL"),
		"an earlier time": strings.Replace(good, "recorded_at, 'product.updated'", "'2001-01-01T00:00:00.000000Z', 'product.updated'",
			1),
		"an event, and no row":     good + head,
		"a forked chain":           good + `; ` + good + heads,
		"a fork, then the row":     good + `; ` + good + `; ` + x.Row(x.Product) + heads,
		"the row of another event": good + `; ` + x.Row(x.Other),
		"swap a secret":            `UPDATE secret SET value = salt`,
		"swap with a higher version": `UPDATE secret SET value = salt, version = version + 1,
			last_seq = last_seq + 1`,
		"delete a secret": `DELETE FROM secret`,
		"a secret of an old event": `INSERT INTO secret (shop_id, owner_kind, owner_id, name, version, last_seq, salt, value)
			SELECT shop_id, owner_kind, owner_id, 'other', version, last_seq, salt, value FROM secret`,
		"move the head back":  `UPDATE head SET seq = seq - 1`,
		"move the head on":    `UPDATE head SET seq = seq + 1`,
		"delete the head":     `DELETE FROM head`,
		"update a tree node":  `UPDATE tree_node SET idx = idx + 1`,
		"delete a tree node":  `DELETE FROM tree_node`,
		"update a checkpoint": `UPDATE checkpoint SET note = ''`,
		"delete a checkpoint": `DELETE FROM checkpoint`,
	}
}

func refused(t *testing.T, e Engine) {
	p := open(t, e)
	coffee, draft := p.product("Coffee")
	draft.Secrets = []journal.Secret{{Name: "password", Value: []byte("hash")}}
	tea, second := p.product("Tea")
	drafts := []journal.Draft{draft, second}
	for n := range 256 { // so that the tree has a node
		_, draft := p.product(fmt.Sprint(n))
		drafts = append(drafts, draft)
	}
	p.record(drafts...)
	_, draft = retitled(coffee, "Espresso")
	p.record(draft)
	p.checkpoint()
	x := &Target{Product: coffee.ID, Other: tea.ID}
	for _, table := range []string{"secret", "tree_node", "checkpoint", "event", "product"} {
		if p.count(table) == 0 {
			t.Fatalf("nothing is in %s: the ways round it are not tried", table)
		}
	}

	ways := x.ways()
	maps.Copy(ways, e.WaysRound(x))
	shell := p.shell(t, e)
	run := func(text string) error {
		_, err := shell.ExecContext(t.Context(), text)
		return err
	}
	for way, text := range ways {
		for _, role := range e.Roles {
			must(t, run(role))
			// Statements without arguments go together, as a shell sends them.
			err := run(`BEGIN; ` + text + `; COMMIT`)
			if rerr := run(`ROLLBACK`); rerr != nil && err != nil && !strings.Contains(rerr.Error(), "no transaction") {
				t.Fatal(rerr)
			}
			must(t, run(e.Reset))
			switch {
			case err == nil:
				t.Errorf("%s (%s): the database let it happen: %s", way, role, text)
			case !ours(e, err):
				t.Errorf("%s (%s): refused, but not by the schema: %v", way, role, err)
			}
		}
	}
	// It was the ways that were refused, and not the connection.
	p.do(func(b *store.Batch) error {
		_, draft := p.product("Cocoa")
		_, err := p.put(b, draft)
		return err
	})
}

func ours(e Engine, err error) bool {
	for _, words := range e.Refuses {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}
