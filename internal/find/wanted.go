package find

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"perennial/internal/civil"
	"perennial/internal/find/postings"
	"perennial/internal/id"
	"perennial/internal/journal"
)

// wanted is what somebody's words ask of an entry, beyond what its facets can tell. The zero wanted asks nothing.
type wanted struct {
	always []term   // the sentence has all of these
	either []term   // and of these it has all, unless the entry is about or by one of the people
	people []string // facets
}

// term is what stands together in a sentence: a word, a number, a date, a phrase.
type term struct {
	parts []part
	types []string // facets of the event type that it names; an entry of that type need not say it
}

// part is a part of a phrase: one of some sequences.
type part [][]want

// want is a token that one looks for.
type want struct {
	texts []string // one of these: a number may be read in two ways
	units []string // one of these, if there are any
}

// words says whether sentences have to be read.
func (w wanted) words() bool { return len(w.always)+len(w.either) > 0 }

// fits says whether an entry that has these facets is wanted.
func (w wanted) fits(e *journal.Event, has []string) bool {
	if !w.words() {
		return true
	}
	sentence := tokens(journal.Summary(e))
	lacks := func(t term) bool { return !t.in(sentence, has) }
	if slices.ContainsFunc(w.always, lacks) {
		return false
	}
	return !slices.ContainsFunc(w.either, lacks) || slices.ContainsFunc(w.people, func(p string) bool { return slices.Contains(has, p) })
}

func (t term) in(sentence []token, has []string) bool {
	if slices.ContainsFunc(t.types, func(f string) bool { return slices.Contains(has, f) }) {
		return true
	}
	for i := range sentence {
		if begins(t.parts, sentence[i:]) {
			return true
		}
	}
	return false
}

// begins says whether a sentence begins with a phrase. Of the sequences of a part at most one fits, so nothing is tried twice.
func begins(parts []part, sentence []token) bool {
	for _, p := range parts {
		i := slices.IndexFunc(p, func(sequence []want) bool { return fit(sequence, sentence) })
		if i < 0 {
			return false
		}
		sentence = sentence[len(p[i]):]
	}
	return true
}

func fit(sequence []want, sentence []token) bool {
	if len(sequence) > len(sentence) {
		return false
	}
	for i, w := range sequence {
		if !w.is(sentence[i]) {
			return false
		}
	}
	return true
}

func (w want) is(t token) bool {
	if len(w.units) > 0 {
		return slices.Contains(w.texts, t.text) && slices.Contains(w.units, t.unit)
	}
	return slices.Contains(w.texts, t.text) || t.unit != "" && slices.Contains(w.texts, t.unit)
}

// ask adds lists to a question, of which each has every entry that fits a term or has one of the other facets.
func (t term) ask(q *postings.Query, others []string) {
	for _, p := range t.parts {
		longest := 0
		for _, sequence := range p {
			longest = max(longest, len(sequence))
		}
		for i := range longest {
			var or []string
			for _, sequence := range p {
				for _, text := range sequence[min(i, len(sequence)-1)].texts {
					if f := facet(byWord, text); !slices.Contains(or, f) {
						or = append(or, f)
					}
				}
			}
			q.All = append(q.All, slices.Concat(or, t.types, others))
		}
	}
}

// typedText is what somebody typed, taken apart.
type typedText struct {
	ids    []string // each alone between spaces
	quoted []term
	loose  []term
	rest   string // all but what is quoted, and the ids
}

// take takes apart what somebody typed. It knows what stands between quotes, ids, dates, numbers with what they count, and words;
// what is written without a space stands together in the sentence too.
func take(text string) (out typedText) {
	var rest strings.Builder
	for text != "" {
		before, phrase, after := quotation(text)
		if t, ok := phraseOf(phrase); ok {
			out.quoted = append(out.quoted, t)
		}
		rest.WriteString(before + "\n")
		text = after
	}
	// An id is cut out; what is on both sides of it does not belong together.
	var kept []string
	for line := range strings.SplitSeq(rest.String(), "\n") {
		var run []string
		end := func() {
			out.loose = append(out.loose, loose(strings.Join(run, " "))...)
			kept, run = append(kept, run...), nil
		}
		for field := range strings.SplitSeq(line, " ") { // other spaces may be within a number
			bare := strings.TrimFunc(field, func(r rune) bool { return !wordRune(r) })
			if id.Valid(bare) {
				end()
				out.ids = append(out.ids, bare)
				continue
			}
			run = append(run, field)
		}
		end()
	}
	out.rest = strings.Join(strings.Fields(strings.Join(kept, " ")), " ")
	return out
}

// closing gives what ends a quotation.
var closing = map[rune]string{'"': `"`, '“': "”", '„': "“”", '«': "»", '»': "«"}

// quotation gives the first quotation of a text, and what is before and after it. One that does not end is none.
func quotation(text string) (before, phrase, after string) {
	for i, r := range text {
		from := i + utf8.RuneLen(r)
		if ends := closing[r]; ends != "" {
			if n := strings.IndexAny(text[from:], ends); n >= 0 {
				_, size := utf8.DecodeRuneInString(text[from+n:])
				return text[:i], text[from : from+n], text[from+n+size:]
			}
		}
	}
	return text, "", ""
}

func phraseOf(text string) (t term, ok bool) {
	for _, p := range read(lex(text)) {
		t.parts = append(t.parts, p.part)
	}
	return t, len(t.parts) > 0
}

// loose gives the terms of a text without quotes: what no space divides belongs together.
func loose(text string) (out []term) {
	list := lex(text)
	for _, p := range read(list) {
		if len(out) == 0 || p.from == 0 || strings.ContainsFunc(list[p.from].before, unicode.IsSpace) {
			out = append(out, term{})
		}
		t := &out[len(out)-1]
		t.parts = append(t.parts, p.part)
	}
	for field := range strings.FieldsSeq(text) {
		// The name of an event type, or of a family, is a phrase of its words, which the sentence need not have.
		name := strings.ToLower(field)
		if _, known := journal.Lookup(journal.Name(name)); !known {
			continue
		}
		if named, ok := phraseOf(name); ok {
			for i := range out {
				if slices.EqualFunc(out[i].parts, named.parts, samePart) {
					out[i].types = []string{facet(byType, name)}
				}
			}
		}
	}
	return out
}

func samePart(a, b part) bool {
	return slices.EqualFunc(a, b, func(x, y []want) bool {
		return slices.EqualFunc(x, y, func(v, w want) bool { return slices.Equal(v.texts, w.texts) && slices.Equal(v.units, w.units) })
	})
}

// placed is a part, and the first of the lexemes that it was read from.
type placed struct {
	part
	from int
}

// read gives the parts of some lexemes. A sentence always fits what is read of it.
func read(list []lexeme) (out []placed) {
	for i := 0; i < len(list); i++ {
		if p, n := dateOf(list, i); n > 0 {
			out = append(out, placed{p, i})
			i += n - 1
			continue
		}
		l := list[i]
		next := i + 1
		switch {
		case l.number:
			units, skip := counts(list, i)
			out = append(out, placed{part{{{texts: readings(l.raw), units: units}}}, i})
			i += skip
		case next < len(list) && dollar(l, list[next]) != "": // is read with the number
		case code(l) != "" && bare(list, next) && strings.Trim(list[next].before, spaces) == "": // CHF 24.50
			p := part{{{texts: readings(list[next].raw), units: []string{code(l)}}}, {{texts: []string{code(l)}}, {texts: readings(list[next].raw)}}}
			out = append(out, placed{p, i})
			i++
		default:
			out = append(out, placed{part{exact(strings.ToLower(l.raw))}, i})
		}
	}
	return out
}

// bare says that the lexeme at i is a number that nobody reads with its neighbours.
func bare(list []lexeme, i int) bool {
	if i >= len(list) || !list[i].number {
		return false
	}
	units, _ := counts(list, i)
	_, iso := isoDate(list[i:])
	return units == nil && !iso
}

// dateOf reads a date that begins at i: a day with or without its year, or a month with its year. n is how many lexemes it has, 0
// for none.
func dateOf(list []lexeme, i int) (p part, n int) {
	if d, ok := isoDate(list[i:]); ok {
		return part{exact(d...)}, 3
	}
	numbers := 0
	for numbers < 3 && bare(list, i+numbers) {
		numbers++
	}
	first := list[i]
	if numbers > 0 && strings.Count(first.raw, ".") == 2 { // 26.11.2026
		if f := strings.Split(first.raw, "."); validDay(f[2], f[1], f[0]) {
			return part{long(f[2], f[1], f[0]), exact(first.raw)}, 1
		}
	}
	if numbers == 3 && list[i+1].before == "/" && list[i+2].before == "/" { // 26/11/2026 or 11/26/2026
		a, b, year := first.raw, list[i+1].raw, list[i+2].raw
		if validDay(year, b, a) {
			p = append(p, long(year, b, a))
		}
		if validDay(year, a, b) && a != b {
			p = append(p, long(year, a, b))
		}
		if p != nil {
			return append(p, exact(a, b, year)), 3
		}
	}
	if i+1 >= len(list) || !near(list[i+1]) {
		return nil, 0
	}
	second := list[i+1]
	month, day := monthOf(second.raw), dayOf(list, i)
	if month == "" || day == "" {
		month, day = monthOf(first.raw), dayOf(list, i+1)
	}
	was := []string{strings.ToLower(first.raw), strings.ToLower(second.raw)}
	switch {
	case month != "" && day != "":
		if i+2 < len(list) && near(list[i+2]) && yearOf(list, i+2) {
			year := list[i+2].raw
			return either(exact(day, month, year), exact(append(was, year)...)), 3
		}
		return either(exact(day, month), exact(was...)), 2
	case month != "" && yearOf(list, i+1):
		return either(exact(month, second.raw), exact(was...)), 2
	}
	return nil, 0
}

// either is a part that one of two sequences fits; also a date stands in a name as somebody wrote it.
func either(a, b []want) part {
	if samePart(part{a}, part{b}) {
		return part{a}
	}
	return part{a, b}
}

func exact(texts ...string) (out []want) {
	for _, text := range texts {
		out = append(out, want{texts: []string{text}})
	}
	return out
}

// near says that between a lexeme and the one before there is only what may stand within a date.
func near(l lexeme) bool { return l.before != "" && strings.Trim(l.before, spaces+".,") == "" }

// isoDate reads 2026-11-26 at the beginning of some lexemes, as Date.Long writes it.
func isoDate(list []lexeme) ([]string, bool) {
	if len(list) < 3 || list[1].before != "-" || list[2].before != "-" || len(list[0].raw) != 4 || !validDay(list[0].raw, list[1].raw, list[2].raw) {
		return nil, false
	}
	return strings.Fields(written(list[0].raw, list[1].raw, list[2].raw)), true
}

func written(year, month, day string) string {
	y, _ := strconv.Atoi(year)
	m, _ := strconv.Atoi(month)
	d, _ := strconv.Atoi(day)
	return strings.ToLower(civil.Date{Year: y, Month: time.Month(m), Day: d}.Long())
}

func long(year, month, day string) []want { return exact(strings.Fields(written(year, month, day))...) }

// validDay says whether numbers are a day, as people write one: a year of four digits.
func validDay(year, month, day string) bool {
	if len(year) != 4 || len(month) > 2 || len(day) > 2 {
		return false
	}
	y, err1 := strconv.Atoi(year)
	m, err2 := strconv.Atoi(month)
	d, err3 := strconv.Atoi(day)
	return err1 == nil && err2 == nil && err3 == nil && 1 <= m && m <= 12 && civil.Date{Year: y, Month: time.Month(m), Day: d}.Valid()
}

// monthOf gives the month that a word names in full or by its first three letters; empty for none.
func monthOf(raw string) string {
	word := strings.ToLower(raw)
	for m := time.January; m <= time.December; m++ {
		if name := strings.ToLower(m.String()); word == name || word == name[:3] || m == time.September && word == "sept" {
			return name
		}
	}
	return ""
}

// dayOf gives the day of a month without zeros before it: of "03" and "3rd" too; empty for anything else.
func dayOf(list []lexeme, i int) string {
	digits := list[i].raw
	if list[i].number && !bare(list, i) {
		return ""
	}
	if !list[i].number {
		digits = strings.ToLower(digits)
		for _, suffix := range []string{"st", "nd", "rd", "th"} {
			digits = strings.TrimSuffix(digits, suffix)
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || len(digits) > 2 || n < 1 || n > 31 || !digit(digits, 0) {
		return ""
	}
	return strconv.Itoa(n)
}

func yearOf(list []lexeme, i int) bool {
	raw := list[i].raw
	return bare(list, i) && len(raw) == 4 && strings.Trim(raw, "0123456789") == ""
}
