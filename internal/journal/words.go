package journal

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"perennial/internal/civil"
	"perennial/internal/money"
)

// What stands between a field and the thing that has it: "the price of the variant", "the tax rate in the settings".
const (
	of = " of "
	in = " in "
)

// percentage is the kind of a discount that takes a share off.
const percentage = "percentage"

// maxValueLength is how many characters a value may have to be quoted in a sentence.
const maxValueLength = 60

// edits makes the sentences of a thing whose fields people edit. name is the field that it is called by, and gone what
// its end was ("archiving"), where the type also undoes that.
func edits(what, prep, name, gone string) sentence {
	return sentence{
		did:   func(e *Event) string { return edited(withoutConsequences(e), what, prep, name) },
		undid: func(e *Event) string { return unedited(withoutConsequences(e), what, prep, name, gone) },
	}
}

// consequences are fields that change because others do: a sentence names the others.
var consequences = []string{"renewed_at", "email_changed_at"}

func withoutConsequences(e *Event) *Event {
	rest := slices.DeleteFunc(slices.Clone(e.Changes), func(c Change) bool { return slices.Contains(consequences, c.Root()) })
	if len(rest) == 0 || len(rest) == len(e.Changes) {
		return e
	}
	short := *e
	short.Changes = rest
	return &short
}

func edited(e *Event, what, prep, name string) string {
	switch {
	case len(e.Changes) == 0:
		return ""
	case e.TargetVersion == 1:
		return "Saved " + what + " for the first time"
	case len(e.Changes) > 1:
		return "Changed the " + listed(fieldNames(e)) + prep + what
	}
	c := e.Changes[0]
	field := "the " + fieldName(c.Root()) + prep + what
	was, is := values(c)
	switch {
	case c.Field == name && was != "" && is != "":
		return "Renamed " + what + " from " + was + " to " + is
	case was == "" && is == "":
		return "Changed " + field + form(": %s", difference(c))
	}
	return changed(e, field, was, is)
}

func unedited(e *Event, what, prep, name, gone string) string {
	if len(e.Changes) != 1 {
		return "Undid the change of the " + cmp.Or(listed(fieldNames(e)), "fields") + prep + what
	}
	c := e.Changes[0]
	was, is := values(c)
	switch {
	case c.Field == "status" && gone != "" && (was == "archived" || was == "inactive" || was == "removed"):
		return "Undid the " + gone + " of " + what
	case c.Field == name && was != "" && is != "":
		return "Undid the renaming of " + what + ": back from " + was + " to " + is
	case was == "" && is == "":
		return "Undid the change of the " + fieldName(c.Root()) + prep + what + form(": %s", difference(c))
	}
	return changed(e, "the "+fieldName(c.Root())+prep+what, was, is)
}

// changed says from what to what something changed. An empty value is none.
func changed(e *Event, what, was, is string) string {
	switch {
	case e.Corrects != "" && was != "" && is != "":
		return "Undid the change of " + what + ": back from " + was + " to " + is
	case e.Corrects != "" && is != "":
		return "Undid the change of " + what + ": back to " + is
	case e.Corrects != "":
		return "Undid the change of " + what
	case was != "" && is != "" && was != is:
		return "Changed " + what + " from " + was + " to " + is
	case was == "" && is != "":
		return "Set " + what + " to " + is
	case was != "" && is == "":
		return "Removed " + what + ", which was " + was
	}
	return "Changed " + what
}

// values gives a change's two values as a sentence can quote them: nothing for a personal value, an id, and what is too
// long or no single value.
func values(c Change) (was, is string) {
	if c.Personal || strings.HasSuffix(c.Field, "_id") || strings.HasSuffix(c.Field, "_ids") {
		return "", ""
	}
	was, is = measured(c.Field, c.Before), measured(c.Field, c.After)
	if was == is || was == "" && !emptyJSON(c.Before) || is == "" && !emptyJSON(c.After) || long(was) || long(is) {
		return "", ""
	}
	return was, is
}

func long(s string) bool { return utf8.RuneCountInString(s) > maxValueLength }

// value is a value in words: strings without quotes; money, days, times and intervals as people write them.
func value(j jsontext.Value) string {
	switch j.Kind() {
	case '"':
		return cmp.Or(day(j), minute(j), text(j))
	case '{':
		return cmp.Or(cash(j), every(j))
	case '[':
		if steps := pricing(j); steps != "" {
			return steps
		}
		var numbers []int64
		if json.Unmarshal(j, &numbers) != nil {
			return ""
		}
		var words []string
		for _, n := range numbers {
			words = append(words, fmt.Sprint(n))
		}
		return listed(words)
	case 'n', jsontext.KindInvalid:
		return ""
	}
	return string(j)
}

// measured is a field's value in words, with its unit.
func measured(field string, j jsontext.Value) string {
	if j.Kind() != '0' {
		return value(j)
	}
	switch n := number(j); field {
	case "billing_hour":
		return fmt.Sprintf("%d:00", n)
	case "network_retention_months":
		return counted(n, "month")
	case "cutoff_days":
		return counted(n, "day")
	case "tax_basis_points":
		return share(n)
	case "weight_grams":
		return fmt.Sprintf("%d g", n)
	}
	return value(j)
}

// share is a number of basis points in per cent: "19%", "7.7%".
func share(n int64) string {
	s := strings.TrimRight(fmt.Sprintf("%d.%02d", n/100, n%100), "0")
	return strings.TrimSuffix(s, ".") + "%"
}

// difference says what came to a list of names and what went: "added DE, removed US". Ids are only counted.
func difference(c Change) string {
	if c.Personal {
		return ""
	}
	var was, is []string
	for _, side := range []struct {
		json jsontext.Value
		into *[]string
	}{{c.Before, &was}, {c.After, &is}} {
		if side.json != nil && (side.json.Kind() != '[' || json.Unmarshal(side.json, side.into) != nil) {
			return ""
		}
	}
	without := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
	}
	const few = 4
	quoted := func(verb string, names []string) string {
		switch {
		case len(names) == 0:
			return ""
		case len(names) > few || strings.HasSuffix(c.Field, "_ids") || slices.ContainsFunc(names, long):
			return fmt.Sprintf("%s %d", verb, len(names))
		}
		return verb + " " + listed(names)
	}
	said := map[string]func(string) string{"actions": words, "permissions": quotedPermission, "default_permissions": quotedPermission}[c.Field]
	if said != nil { // every other list holds what people call things
		for _, side := range [][]string{was, is} {
			for i := range side {
				side[i] = said(side[i])
			}
		}
	}
	plus, minus := quoted("added", without(is, was)), quoted("removed", without(was, is))
	if plus != "" && minus != "" {
		return plus + ", " + minus
	}
	return cmp.Or(plus, minus, "in another order")
}

// fieldNames gives the names of the fields that changed, in their order. Of many, only the first.
func fieldNames(e *Event) []string {
	const few = 4
	var names []string
	for _, c := range e.Changes {
		if n := fieldName(c.Root()); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(names) > few {
		names = append(names[:few-1:few-1], fmt.Sprintf("%d other fields", len(names)-few+1))
	}
	return names
}

// fieldName is a field's name as people write it.
func fieldName(field string) string {
	if n := fieldNamed[field]; n != "" {
		return n
	}
	return words(field)
}

// fieldNamed has the fields whose names are not words.
var fieldNamed = map[string]string{
	"billing_policy":           "billing interval",
	"brand_color":              "brand colour",
	"cutoff_days":              "cut-off",
	"delivery_policy":          "delivery interval",
	"email":                    "e-mail address",
	"end_action":               "action after the last retry",
	"backup_variant_id":        "backup variant",
	"missed_orders":            "rule for missed orders",
	"out_of_stock":             "rule for orders out of stock",
	"small_orders":             "rule for small orders",
	"carried_over":             "amount carried over",
	"upcoming_days":            "days before a message about an order",
	"ends_at":                  "end",
	"exp_month":                "expiry month",
	"exp_year":                 "expiry year",
	"refused_at":               "refusal",
	"renewed_at":               "renewal",
	"email_changed_at":         "change of the e-mail address",
	"image_url":                "image",
	"last4":                    "last four digits",
	"line1":                    "first line",
	"line2":                    "second line",
	"max_catch_up_orders":      "limit of catch-up orders",
	"max_cycles":               "limit of orders",
	"logo_url":                 "logo",
	"max_days_ahead":           "limit of days ahead",
	"max_redemptions":          "limit of uses",
	"max_skips_in_row":         "limit of skips in a row",
	"min_cycles":               "minimum of orders",
	"min_days_ahead":           "least days ahead",
	"network_retention_months": "retention of network data",
	"product_ids":              "products",
	"sku":                      "SKU",
	"support_email":            "support e-mail address",
	"tax_basis_points":         "tax rate",
	"weight_grams":             "weight",
}

// words is a name of the program in words: "card declined" of "card_declined".
func words(s string) string { return strings.ReplaceAll(s, "_", " ") }

// permission is a permission in words: "change API keys" of "api_keys.edit".
func permission(key string) string {
	area, level, _ := strings.Cut(key, ".")
	area = strings.Replace(words(area), "api ", "API ", 1)
	switch level {
	case "view":
		return "see " + area
	case "edit":
		return "change " + area
	}
	return area
}

func quotedPermission(key string) string { return "“" + permission(key) + "”" }

// called is " " and what a new thing is called, if it has a name.
func called(e *Event, field string) string { return form(" %s", text(afterOf(e, field))) }

// form puts s into a form, and gives nothing for an empty s.
func form(f, s string) string {
	if s == "" {
		return ""
	}
	return strings.Replace(f, "%s", s, 1)
}

// listed joins words as a sentence does: "a, b and c".
func listed(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}

// What follows reads of an event what may stand in a sentence: never a personal value.

func beforeOf(e *Event, field string) jsontext.Value { return plainChange(e, field).Before }
func afterOf(e *Event, field string) jsontext.Value  { return plainChange(e, field).After }

func plainChange(e *Event, field string) Change {
	if c, ok := e.Change(field); ok && !c.Personal {
		return c
	}
	return Change{}
}

func detail(e *Event, name string) jsontext.Value {
	for _, d := range e.Details {
		if d.Name == name && !d.Personal {
			return d.Value
		}
	}
	return nil
}

// text is a JSON string's value, empty for anything else.
func text(j jsontext.Value) string {
	var s string
	if j.Kind() != '"' || json.Unmarshal(j, &s) != nil {
		return ""
	}
	return s
}

// texts are the values of a list of strings, none for anything else.
func texts(j jsontext.Value) (all []string) {
	if j.Kind() != '[' || json.Unmarshal(j, &all) != nil {
		return nil
	}
	return all
}

func seqs(j jsontext.Value) (all []int64) {
	if j.Kind() != '[' || json.Unmarshal(j, &all) != nil {
		return nil
	}
	return all
}

// number is a whole number's value, 0 for anything else.
func number(j jsontext.Value) int64 {
	var n int64
	if j.Kind() != '0' || json.Unmarshal(j, &n) != nil {
		return 0
	}
	return n
}

func date(j jsontext.Value) *civil.Date {
	d, err := civil.Parse(text(j))
	if err != nil {
		return nil
	}
	return &d
}

// day is a date's value as a sentence says it, empty for anything else.
func day(j jsontext.Value) string {
	if d := date(j); d != nil {
		return d.Long()
	}
	return ""
}

// minute is a time's value as a sentence says it, empty for anything else.
func minute(j jsontext.Value) string {
	t, err := time.Parse(TimeLayout, text(j))
	if err != nil {
		return ""
	}
	return t.Format("2 January 2006, 15:04 UTC")
}

// cash is an amount's value as a sentence says it, empty for anything else.
func cash(j jsontext.Value) string {
	var a money.Amount
	if j.Kind() != '{' || json.Unmarshal(j, &a, json.RejectUnknownMembers(true)) != nil || a.Currency == "" {
		return ""
	}
	return a.Format()
}

// every is a rhythm's interval in words, empty for anything else.
func every(j jsontext.Value) string {
	var i civil.Interval
	if j.Kind() != '{' || json.Unmarshal(j, &i) != nil || !i.Valid() {
		return ""
	}
	return i.String()
}

// pricing is the steps of a plan's price in words, empty for anything else: "10% off", "5% off, then 10% off after 3 orders". Steps in money
// do not say in which currency they are.
func pricing(j jsontext.Value) string {
	var steps []struct {
		Kind       string `json:"kind"`
		Value      int64  `json:"value"`
		AfterCycle int64  `json:"after_cycle"`
	}
	if json.Unmarshal(j, &steps, json.RejectUnknownMembers(true)) != nil {
		return ""
	}
	var parts []string
	for _, s := range steps {
		if s.Kind != percentage {
			return ""
		}
		part := fmt.Sprintf("%d%% off", s.Value)
		if s.AfterCycle > 0 {
			part += " after " + counted(s.AfterCycle, "order")
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", then ")
}

// percentOff is "10% off" for a discount in per cent. One in money does not say in which currency it is.
func percentOff(kind, value jsontext.Value) string {
	if text(kind) != percentage {
		return ""
	}
	return fmt.Sprintf("%d%% off", number(value))
}

// indefinite makes "a default address" of "the default address".
func indefinite(what string) string { return "a " + strings.TrimPrefix(what, "the ") }

func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// numbered counts entries, and names the first few of them by their numbers.
func numbered(seqs []int64) string {
	const most = 5
	n, parts := fmt.Sprintf("%d entries", len(seqs)), []string(nil)
	if len(seqs) == 1 {
		n = "1 entry"
	}
	for _, seq := range seqs[:min(len(seqs), most)] {
		parts = append(parts, fmt.Sprintf("#%d", seq))
	}
	if more := len(seqs) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return n + " (" + strings.Join(parts, ", ") + ")"
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return strings.ToLower(string(r)) + s[n:]
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(string(r)) + s[n:]
}

// FieldName is a field of a change in words: "Shipping address", and of an element of a list the list's name with what changed in
// it ("Items, quantity").
func FieldName(field string) string {
	root, rest := Change{Field: field}.Root(), ""
	if i := strings.LastIndexByte(field, '.'); i > len(root) {
		rest = ", " + fieldName(field[i+1:])
	}
	return upperFirst(fieldName(strings.TrimSuffix(root, "_id"))) + rest
}

// ValueWords is a value of a field as people write it; empty for what has no short form.
func ValueWords(field string, v jsontext.Value) string {
	if i := strings.LastIndexByte(field, '.'); i >= 0 {
		field = field[i+1:]
	}
	return measured(field, v)
}
