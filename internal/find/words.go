package find

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"perennial/internal/money"
)

// Words gives the distinct words of a name in order: lower case, letters and digits.
func Words(s string) []string {
	var out []string
	seen := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if !seen[w] {
			seen[w] = true
			out = append(out, w)
		}
	}
	return out
}

// token is a word of a sentence, or a whole number of it.
type token struct {
	text string // lower case; of a number the digits, with a point and without zeros at its end: "28.5" of "$28.50"
	unit string // what a number counts: a currency's code in lower case, or "%"; empty if the sentence does not say
}

const (
	percent = "%"             // the unit of a share
	spaces  = " \u00a0\u202f" // the last two do not break
)

// tokens reads a sentence as it is indexed. A number is one token whatever stands between its digits, and a date is the
// three that Date.Long writes: "2026-11-26" is 26, november, 2026.
func tokens(s string) []token {
	list := lex(s)
	out := make([]token, 0, len(list))
	for i := 0; i < len(list); i++ {
		if d, ok := isoDate(list[i:]); ok {
			out = append(out, token{text: d[0]}, token{text: d[1]}, token{text: d[2]})
			i += 2
			continue
		}
		l := list[i]
		if !l.number {
			if i+1 < len(list) && dollar(l, list[i+1]) != "" {
				continue // the CA of CA$12.50
			}
			out = append(out, token{text: strings.ToLower(l.raw)})
			continue
		}
		t := token{text: readings(l.raw)[0]}
		units, skip := counts(list, i)
		if len(units) > 0 {
			t.unit = units[0]
		}
		out = append(out, t)
		i += skip
	}
	return out
}

// lexeme is a run of letters and digits, or of digits and what may stand between those of one number.
type lexeme struct {
	raw           string
	before, after string // what stands between it and its neighbours
	number        bool
}

// lex cuts a text.
func lex(s string) (out []lexeme) {
	gap := 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if !wordRune(r) {
			i += n
			continue
		}
		end, number := lexemeEnd(s, i)
		if len(out) > 0 {
			out[len(out)-1].after = s[gap:i]
		}
		out = append(out, lexeme{raw: s[i:end], before: s[gap:i], number: number})
		gap, i = end, end
	}
	if len(out) > 0 {
		out[len(out)-1].after = s[gap:]
	}
	return out
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func digit(s string, i int) bool { return i < len(s) && '0' <= s[i] && s[i] <= '9' }

// lexemeEnd gives where the lexeme ends that begins at i.
func lexemeEnd(s string, i int) (end int, number bool) {
	separated := false
	for end = i; digit(s, end); {
		for digit(s, end) {
			end++
		}
		n := separator(s[end:])
		if n == 0 || !digit(s, end+n) {
			break
		}
		separated = true
		end += n
	}
	if r, _ := utf8.DecodeRuneInString(s[end:]); end > i && (separated || !wordRune(r)) {
		return end, true
	}
	for end < len(s) {
		r, n := utf8.DecodeRuneInString(s[end:])
		if !wordRune(r) {
			break
		}
		end += n
	}
	return end, false
}

// separator is the length of what may stand between the digits of a number at the beginning of s, 0 if nothing does. What only
// ever groups digits, an apostrophe or a space that does not break, has to have three after it.
func separator(s string) int {
	r, n := utf8.DecodeRuneInString(s)
	switch r {
	case '.', ',':
		return n
	case '\'', '’', '\u00a0', '\u202f':
		if digit(s, n) && digit(s, n+1) && digit(s, n+2) && !digit(s, n+3) {
			return n
		}
	}
	return 0
}

// readings gives what a number may mean: "1,234" is 1234 or 1.234. The likelier one is first.
func readings(raw string) (out []string) {
	for _, group := range []string{"'", "’", "\u00a0", "\u202f"} {
		raw = strings.ReplaceAll(raw, group, "")
	}
	last := strings.LastIndexAny(raw, ".,")
	if last < 0 {
		return []string{raw}
	}
	point, comma := strings.Count(raw, "."), strings.Count(raw, ",")
	if raw[last] == '.' && point == 1 || raw[last] == ',' && comma == 1 {
		if whole := ungrouped(raw[:last]); whole != "" {
			out = append(out, decimal(whole, raw[last+1:]))
		}
	}
	if point == 0 || comma == 0 {
		if whole := ungrouped(raw); whole != "" {
			out = append(out, whole)
			if raw[last] == ',' { // sentences of ours have a point before decimals
				slices.Reverse(out)
			}
		}
	}
	if len(out) == 0 {
		out = []string{raw} // an IP address, a version, a date
	}
	return out
}

// ungrouped gives the digits of a number that is cut into thousands, or not at all; empty for anything else.
func ungrouped(s string) string {
	if strings.Contains(s, ".") && strings.Contains(s, ",") {
		return ""
	}
	groups := strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == ',' })
	for i, g := range groups {
		if i > 0 && len(g) != 3 || i == 0 && len(groups) > 1 && len(g) > 3 {
			return ""
		}
	}
	return strings.Join(groups, "")
}

func decimal(whole, part string) string {
	whole, part = strings.TrimLeft(whole, "0"), strings.TrimRight(part, "0")
	if whole == "" {
		whole = "0"
	}
	if part == "" {
		return whole
	}
	return whole + "." + part
}

// symbols are what sums have in place of a code; of one that several currencies have, the plain one is first.
var symbols = map[string][]string{"$": {"usd", "cad", "aud", "nzd"}, "€": {"eur"}, "£": {"gbp"}, "¥": {"jpy"}}

// counts gives what the number at i counts, if its neighbours say so, and how many lexemes after it say it. A plain $ may be
// that of several currencies, of which the US dollar is first.
func counts(list []lexeme, i int) (units []string, skip int) {
	l := list[i]
	if i > 0 {
		if unit := dollar(list[i-1], l); unit != "" {
			return []string{unit}, 0
		}
	}
	if r, _ := utf8.DecodeLastRuneInString(l.before); symbols[string(r)] != nil {
		return symbols[string(r)], 0
	}
	rest := strings.TrimLeft(l.after, spaces)
	if strings.HasPrefix(rest, percent) {
		return []string{percent}, 0
	}
	last := i+1 == len(list)
	r, n := utf8.DecodeRuneInString(rest)
	if units := symbols[string(r)]; units != nil && (last || !list[i+1].number || n < len(rest)) {
		return units, 0
	}
	if !last && rest == "" {
		if unit := code(list[i+1]); unit != "" {
			return []string{unit}, 1
		}
	}
	return nil, 0
}

// dollar gives the currency of a sum that begins with letters: CA$12.50.
func dollar(letters, number lexeme) string {
	if !number.number || number.before != "$" {
		return ""
	}
	return map[string]string{"CA": "cad", "A": "aud", "NZ": "nzd"}[letters.raw]
}

// code gives the currency that a word names in capitals. Codes that are words are words.
func code(l lexeme) string {
	switch l.raw {
	case "ALL", "CUP", "MAD", "PEN", "TOP", "TRY":
		return ""
	}
	if l.number || !money.ValidCurrency(l.raw) {
		return ""
	}
	return strings.ToLower(l.raw)
}
