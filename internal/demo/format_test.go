package demo_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"perennial/internal/customer"
	"perennial/internal/journal"
	"perennial/internal/privacy"
	"perennial/internal/store"
	"perennial/internal/subscription"
)

// pageField is a field as docs/journal-format.md lists it.
type pageField struct {
	form, key      string
	personal, null bool
}

// pageFields reads the table of the page: kinds (settings with their page) and fields.
func pageFields(t *testing.T) map[string]map[string]pageField {
	t.Helper()
	b, err := os.ReadFile("../../docs/journal-format.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(b), "<!-- fields -->")
	table, _, _ = strings.Cut(table, "<!-- /fields -->")
	kinds := map[string]map[string]pageField{}
	one := regexp.MustCompile("^`([a-z_0-9]+)` (text|number|boolean|list|object|money|day|time)(?: by `([a-z]+)`)?( personal)?( null)?$")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 2 || !strings.Contains(cells[0], "`") {
			continue
		}
		fields := map[string]pageField{}
		for text := range strings.SplitSeq(strings.TrimSpace(cells[1]), ", ") {
			m := one.FindStringSubmatch(text)
			if m == nil {
				t.Fatalf("the page says %q", text)
			}
			fields[m[1]] = pageField{form: m[2], key: m[3], personal: m[4] != "", null: m[5] != ""}
		}
		kinds[strings.NewReplacer("`", "", " ", "", "(", "/", ")", "").Replace(cells[0])] = fields
	}
	return kinds
}

// bare takes from a value what is null or empty within it.
func bare(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if x = bare(x); x != nil {
				out[k] = x
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			out = append(out, bare(x))
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case string:
		if v == "" {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}

func value(t *testing.T, j []byte) any {
	t.Helper()
	if j == nil {
		return nil
	}
	var v any
	if err := json.Unmarshal(j, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A year of a shop, with erasures, is replayed by what the page says and by nothing else: each change has a field of its kind, each value
// before is what the events before come to, and the last states are the rows.
func TestTheJournalReplaysByThePage(t *testing.T) {
	s := live(t, 40, 11)
	erase := 0
	rows, err := s.Store.List(t.Context(), s.Store.Read, journal.Subscription, `id <> '' ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		sub := r.State.(*subscription.Subscription)
		row, err := s.Store.Load(t.Context(), s.Store.Read, journal.Ref{Kind: journal.Customer, ID: sub.CustomerID})
		if err != nil {
			t.Fatal(err)
		}
		who := row.State.(*customer.Customer)
		if who.Status == customer.Redacted || sub.Note.Value != "" {
			continue
		}
		s.Do(journal.Bind(subscription.ChangeNote{ID: sub.ID, Note: "Was never set before."}))
		s.Do(journal.Bind(privacy.Redact{CustomerID: who.ID, ConfirmEmail: who.Email.Value}))
		if erase++; erase == 4 {
			break
		}
	}
	kinds := pageFields(t)
	states := map[journal.Ref]map[string]any{}
	changes, erased := 0, 0
	wrong := t.Errorf
	name := func(ref journal.Ref) string {
		if ref.Kind == journal.Settings {
			return "settings/" + string(ref.ID)
		}
		return string(ref.Kind)
	}
	for st, err := range s.Store.Events(t.Context(), s.Store.Read, store.Opened, 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		ref := st.Target()
		fields, ok := kinds[name(ref)]
		if len(st.Changes) > 0 && !ok {
			wrong("%d: the page has no kind %s", st.Seq, name(ref))
			continue
		}
		if !ok {
			continue
		}
		state := maps.Clone(states[ref])
		if state == nil {
			state = map[string]any{}
		}
		for _, c := range st.Changes {
			changes++
			parts := strings.SplitN(c.Field, ".", 3)
			f, ok := fields[parts[0]]
			if !ok || f.key == "" && len(parts) > 1 || f.key != "" && len(parts) == 1 {
				wrong("%d: %s of %s is not as the page says", st.Seq, c.Field, name(ref))
				continue
			}
			before, after := value(t, c.Before), value(t, c.After)
			at, key := state, parts[0]
			for _, part := range parts[1:] {
				next := map[string]any{}
				if had, ok := at[key].(map[string]any); ok {
					next = maps.Clone(had)
				}
				at[key] = next
				at, key = next, part
			}
			had, there := at[key]
			switch {
			case string(c.Before) == journal.ErasedJSON && f.personal:
				if erased++; there && bare(had) != nil && !reflect.DeepEqual(had, before) {
					wrong("%d: %s was %v, and reads as erased before", st.Seq, c.Field, had)
				}
			case !reflect.DeepEqual(bare(had), bare(before)):
				wrong("%d: %s was %v, the entry says %v", st.Seq, c.Field, had, before)
			case len(parts) == 1 && !f.null && there && (c.Before == nil || c.After == nil), len(parts) == 1 && !f.null && c.After == nil:
				wrong("%d: %s is null, and the page says that it cannot be", st.Seq, c.Field)
			}
			if len(parts) == 2 && after == nil {
				delete(at, key)
			} else {
				at[key] = after
			}
		}
		states[ref] = state
	}
	if changes < 3000 || erased == 0 || erase != 4 {
		t.Errorf("%d changes, %d with an erased before, %d erasures: too few to say anything", changes, erased, erase)
	}
	for ref, state := range states {
		row, err := s.Store.Load(t.Context(), s.Store.Read, ref)
		if err != nil {
			t.Fatal(err)
		}
		j, err := journal.Canonical(row.State)
		if err != nil {
			t.Fatal(err)
		}
		want := value(t, j).(map[string]any)
		for field, f := range kinds[name(ref)] {
			got := state[field]
			if f.key != "" { // a list, by key
				list := map[string]any{}
				for _, e := range want[field].([]any) {
					list[fmt.Sprint(e.(map[string]any)[f.key])] = e
				}
				want[field] = list
			}
			if !reflect.DeepEqual(bare(got), bare(want[field])) {
				t.Errorf("%s %s: %s is %v by the page, %v in the row", ref.Kind, ref.ID, field, got, want[field])
			}
		}
	}
	t.Logf("%d changes of %d things, %d of them with an erased value before", changes, len(states), erased)
}
