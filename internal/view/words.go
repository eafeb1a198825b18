package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"perennial/internal/catalog"
	"perennial/internal/civil"
	"perennial/internal/journal"
	"perennial/internal/money"
	"perennial/internal/program"
	"perennial/internal/settings"
	"perennial/internal/team"
)

// words writes values of a thing's fields as people read them.
type words struct {
	r    *Renderer
	seq  int64
	kind journal.Kind  // whose it is
	root string        // the field of the state that the value is in
	unit func() string // what a "value" beside no kind of its own counts: one of catalog's kinds
}

// lines writes a value; none for what is empty.
func (w words) lines(field string, v jsontext.Value) []string {
	if empty(v) {
		return nil
	}
	switch v.Kind() {
	case '[':
		return w.list(field, v)
	case '{':
		return w.object(field, v)
	case 't':
		return []string{"Yes"}
	case 'f':
		return []string{"No"}
	case '0':
		return []string{w.number(field, v)}
	}
	return []string{w.text(field, v)}
}

func (w words) text(field string, v jsontext.Value) string {
	s := stringOf(v)
	if ref, ok := refOf(s); ok {
		return strings.Join(w.r.inFull(ref, w.seq).words(), ", ")
	}
	switch {
	case field == "country" || field == "countries":
		return Country(s)
	case field == "locale" || field == "language":
		return Language(s)
	case field == "default_permissions" || field == "permissions" || field == "permission":
		return permission(s)
	case field == "code" && w.kind == journal.Discount:
		return s
	case (slices.Contains(coded, field) || w.kind == journal.NotificationTemplate && field == "name") && !slices.Contains(named[w.root], field) && isCode(s):
		return plainly(s)
	}
	return cmp.Or(journal.ValueWords(field, v), s)
}

// coded are the fields whose values are of a closed list of the program's or of a gateway's.
var coded = []string{"status", "code", "kind", "end_action", "missed_orders", "out_of_stock", "small_orders", "role", "accepted", "shown", "brand", "gateway", "interval",
	"what", "reason", "actions", "setting", "mode", "purpose", "why", "factor", "method", "found", "action", "message"}

// named are fields that hold people's words where others of the name hold codes.
var named = map[string][]string{"discounts": {"code"}, "offers": {"code"}}

// isCode says whether a text is written as the program writes codes.
func isCode(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

// plainly writes a code: "Insufficient funds" of "insufficient_funds".
func plainly(code string) string {
	s := strings.ReplaceAll(code, "_", " ")
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// permission says what a permission is for.
func permission(p string) string {
	for _, a := range team.Matrix() {
		switch team.Permission(p) {
		case a.View:
			return a.Label + ": see"
		case a.Edit:
			return a.Label + ": change"
		}
	}
	return plainly(p)
}

// Country is the English name of a country by its code of two letters (ISO 3166-1); the code itself for an unknown one.
func Country(code string) string {
	if r, err := language.ParseRegion(code); err == nil && len(code) == 2 {
		return cmp.Or(display.English.Regions().Name(r), code)
	}
	return code
}

// Language is the English name of a locale (BCP 47); the locale itself for an unknown one.
func Language(tag string) string {
	if t, err := language.Parse(tag); err == nil {
		return cmp.Or(display.English.Tags().Name(t), tag)
	}
	return tag
}

func (w words) number(field string, v jsontext.Value) string {
	n, ok := whole(v)
	if !ok {
		return string(v)
	}
	switch {
	case field == "value" || field == "upsell_discount":
		kind := catalog.KindPercentage
		if field == "value" && w.unit != nil {
			kind = w.unit()
		}
		return w.off(kind, n)
	case field == "min_value" || field == "max_value":
		return w.r.money(n)
	case field == "retry_hour":
		return fmt.Sprintf("%d:00", n)
	case strings.HasSuffix(field, "_days") || field == "days" || field == "max_days_ahead":
		return counted(n, "day")
	case field == "corner_radius":
		return counted(n, "pixel")
	}
	return journal.ValueWords(field, v)
}

// off is what a discount or a step of a price takes off, or sets.
func (w words) off(kind string, n int64) string {
	switch kind {
	case catalog.KindAmount:
		return w.r.money(n) + " off"
	case catalog.KindPrice:
		return w.r.money(n) + " each"
	}
	return fmt.Sprintf("%d%% off", n)
}

// list writes the members of a list, each on a line; numbers share one.
func (w words) list(field string, v jsontext.Value) []string {
	var list []jsontext.Value
	if json.Unmarshal(v, &list) != nil {
		return []string{string(v)}
	}
	if field == "retry_days" || field == "silent_days" {
		return []string{"After " + journal.ValueWords(field, v) + " days"}
	}
	var out []string
	for _, e := range list {
		if e.Kind() == '0' {
			return []string{journal.ValueWords(field, v)}
		}
		if line := strings.Join(w.lines(field, e), ", "); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// object writes an object by what it holds.
func (w words) object(field string, v jsontext.Value) []string {
	var m map[string]jsontext.Value
	if json.Unmarshal(v, &m) != nil {
		return []string{string(v)}
	}
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { _, ok := m[n]; return !ok })
	}
	text := func(name string) string { return stringOf(m[name]) }
	number := func(name string) int64 { n, _ := whole(m[name]); return n }
	switch {
	case has("amount", "currency"):
		return []string{journal.ValueWords(field, v)}
	case field == "attributes":
		var out []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out = append(out, k+": "+text(k))
		}
		return out
	case has("line1", "city", "country"):
		return parcel(text("first_name"), text("last_name"), text("company"), text("line1"), text("line2"), text("postal_code"), text("city"), text("region"), text("country"), text("phone"))
	case has("title", "quantity"):
		s := fmt.Sprintf("%d × %s", number("quantity"), text("title"))
		if price := journal.ValueWords("", m["unit_price"]); price != "" {
			s += " at " + price
		}
		if string(m["one_time"]) == "true" {
			s += ", once"
		}
		return []string{s}
	case has("interval", "interval_count", "anchor_day"):
		return []string{policy(v)}
	case has("kind", "value", "after_cycle"):
		s := w.off(text("kind"), number("value"))
		if n := number("after_cycle"); n > 0 {
			s += " after " + counted(n, "order")
		}
		return []string{s}
	case has("code", "kind", "value"):
		s := text("code") + ": " + w.off(text("kind"), number("value"))
		if n, ok := whole(m["cycles_left"]); ok {
			s += ", " + counted(n, "order") + " left"
		}
		return []string{s}
	case has("date", "address", "message"):
		s := journal.ValueWords("date", m["date"]) + " to " + strings.Join(w.object("address", m["address"]), ", ")
		if t := text("message"); t != "" {
			s += ": “" + t + "”"
		}
		return []string{s}
	case field == "offers":
		return []string{w.offer(text, number, m)}
	case has("attempts", "interval_days"):
		s := counted(number("attempts"), "try")
		if number("attempts") != 1 {
			s = fmt.Sprintf("%d tries", number("attempts"))
		}
		s += ", every " + counted(number("interval_days"), "day")
		if string(m["silent"]) == "true" {
			s += ", without a message"
		}
		return []string{s}
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if s := strings.Join(w.lines(k, m[k]), ", "); s != "" && k != "id" {
			parts = append(parts, journal.FieldName(k)+": "+s)
		}
	}
	return parts
}

// parcel is an address as it stands on a parcel.
func parcel(first, last, company, line1, line2, postalCode, city, region, country, phone string) []string {
	lines := []string{strings.TrimSpace(first + " " + last), company, line1, line2, strings.TrimSpace(postalCode + " " + city), region, Country(country), phone}
	return slices.DeleteFunc(lines, func(l string) bool { return l == "" })
}

// offer is what somebody who cancels is offered: "Pause for 30 days", "Discount STAY15".
func (w words) offer(text func(string) string, number func(string) int64, m map[string]jsontext.Value) string {
	s := plainly(text("kind"))
	if n := number("days"); n > 0 {
		s += " for " + counted(n, "day")
	}
	if unit := text("interval"); unit != "" {
		s += " of " + civil.Interval{Unit: civil.Unit(unit), Count: int(number("interval_count"))}.String()
	}
	if code := text("code"); code != "" {
		s += " " + code
	}
	if _, ok := refOf(text("variant_id")); ok {
		s += " to " + w.text("variant_id", m["variant_id"])
	}
	if t := text("text"); t != "" {
		s += ": “" + t + "”"
	}
	return s
}

// policy is how often something comes: "every 2 months on day 31, 6 times".
func policy(v jsontext.Value) string {
	var p catalog.Policy
	if json.Unmarshal(v, &p) != nil {
		return string(v)
	}
	s := p.Every().String()
	if p.AnchorDay != nil {
		s += fmt.Sprintf(" on day %d", *p.AnchorDay)
	}
	if p.MaxCycles != nil {
		s += ", at most " + counted(int64(*p.MaxCycles), "order")
	}
	return plainly(s)
}

// money is an amount in the shop's currency, for numbers that do not name one.
func (r *Renderer) money(minor int64) string {
	if r.currency == "" {
		r.currency = "XXX"
		if g, err := journal.Find[settings.General](program.NewReader(r.ctx, r.s, r.s.Read), journal.Settings, settings.PageGeneral); err == nil && g != nil {
			r.currency = g.Currency
		}
	}
	return money.Amount{Minor: minor, Currency: r.currency}.Format()
}

// words are the lines of a value, or what stands for them.
func (v Value) words() []string {
	switch {
	case v.Erased:
		return []string{"erased"}
	case v.Hidden:
		return []string{Mask}
	}
	return v.Lines
}

func whole(v jsontext.Value) (n int64, ok bool) {
	return n, v.Kind() == '0' && json.Unmarshal(v, &n) == nil
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if next, _ := utf8.DecodeRuneInString(s[n:]); unicode.IsUpper(next) {
		return s // SKU
	}
	return string(unicode.ToLower(r)) + s[n:]
}

func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
