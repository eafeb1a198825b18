package find

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTokens(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"Renewed the subscription with order 1001 for $28.28; next order on 28 February 2027", "renewed the subscription with order 1001 for 28.28(usd) next order on 28 february 2027"},
		{"Took 10% off: from €3.00 to 24.50 CHF", "took 10(%) off from 3(eur) to 24.5(chf)"},
		{"CA$12.50, A$1, NZ$2.05, ¥2450, 2.450 KWD, -£0.50", "12.5(cad) 1(aud) 2.05(nzd) 2450(jpy) 2.45(kwd) 0.5(gbp)"},
		{"28,28 € or 1,234.56 or 1.234,56 or 1'234.56 or 1\u202f234,56", "28.28(eur) or 1234.56 or 1234.56 or 1234.56 or 1234.56"},
		{"1,234 and 1.234 and 1,2", "1234 and 1.234 and 1.2"},
		{"from 2026-11-26 on, not 2026-13-01", "from 26 november 2026 on not 2026 13 01"},
		{"at 10.0.0.1, version 1.2.3, 12oz, 2.5kg, try 2 of ALL 5", "at 10.0.0.1 version 1.2.3 12oz 2.5 kg try 2 of all 5"},
		{"needs products.edit, valid until 2 February 2027, 12:04 UTC", "needs products edit valid until 2 february 2027 12 04 utc"},
		{"İ ẞ \xff 007 3.10.", "i ß 007 3.1"},
		{"", ""},
	} {
		var got []string
		for _, tok := range tokens(c.text) {
			word := tok.text
			if tok.unit != "" {
				word += "(" + tok.unit + ")"
			}
			got = append(got, word)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestWhatSomebodyTyped(t *testing.T) {
	sum := "Renewed the subscription with order 1001 for $28.28; next order on 26 November 2026"
	loose := "Renewed the subscription with order 28 for $37.38; next order on 28 February 2027"
	moved := "Moved the next order from 26 October 2026 to 3 November 2026"
	price := "Changed the price of the variant from €13.00 to 1234.50 CHF"
	all := []string{sum, loose, moved, price}
	for _, c := range []struct {
		typed string
		want  []string
	}{
		{"28.28", []string{sum}},
		{"$28.28", []string{sum}},
		{"28,28 $", []string{sum}},
		{"USD 28.28", []string{sum}},
		{"28.280 USD", []string{sum}},
		{"usd 28.28", []string{sum}},
		{"€28.28", nil},
		{"28,28 €", nil},
		{"28", []string{loose}},
		{"38", nil},
		{"13", []string{price}},
		{"13,00 €", []string{price}},
		{"EUR 13", []string{price}},
		{"$13", nil},
		{"1,234.5", []string{price}},
		{"1.234,50 CHF", []string{price}},
		{"1’234.50", []string{price}},
		{"234.50", nil},
		{"chf", []string{price}},
		{"26 November 2026", []string{sum}},
		{"2026-11-26", []string{sum}},
		{"26.11.2026", []string{sum}},
		{"26/11/2026", []string{sum}},
		{"11/26/2026", []string{sum}},
		{"Nov 26, 2026", []string{sum}},
		{"26th november", []string{sum}},
		{"november 26", []string{sum}},
		{"26. November 2026", []string{sum}},
		{"order 26 Nov 2026 renewed", []string{sum}},
		{"November 2026", []string{sum, moved}},
		{"3/11/2026", []string{moved}},
		{"2026-10-26", []string{moved}},
		{"2026-02-26", nil},
		{"26 2026 november order", []string{sum, moved}}, // these are words: no date is written so
		{`"next order on"`, []string{sum, loose}},
		{`“next order” moved`, []string{moved}},
		{`"order next"`, nil},
		{`"for $28.28"`, []string{sum}},
		{`"on 2026-11-26"`, []string{sum}},
		{`"order on Nov 26, 2026"`, []string{sum}},
		{`next-order`, []string{sum, loose, moved}},
		{`order-next`, nil},
		{`the "price of`, []string{price}},
		{`"" renewed`, []string{sum, loose}},
		{"renewed RENEWED", []string{sum, loose}},
	} {
		taken := take(c.typed)
		want := wanted{always: taken.quoted, either: taken.loose}
		if !want.words() {
			t.Errorf("%q says nothing", c.typed)
		}
		var got []string
		for _, s := range all {
			lacks := func(x term) bool { return !x.in(tokens(s), nil) }
			if !slices.ContainsFunc(want.always, lacks) && !slices.ContainsFunc(want.either, lacks) {
				got = append(got, s)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.typed, diff)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add("Moved the next order from 3 March to 10 March 2027")
	f.Add("ẞtraße K\u212a İstanbul \xff e\u0301")
	f.Fuzz(func(t *testing.T, s string) {
		words := Words(s)
		for i, w := range words {
			if w == "" || slices.Contains(words[:i], w) || strings.ContainsAny(w, " \t\n.,-@'\"") {
				t.Fatalf("%q: the word %q", s, w)
			}
		}
	})
}

// Whoever copies a sentence, or a part of it that quotes do not cut, finds it.
func FuzzTyped(f *testing.F) {
	for _, s := range []string{
		"Renewed the subscription with order 1001 for $28.28; next order on 26 November 2026", "2026-11-26 26.11.2026 26/11/2026 Nov 26, 2026 26th november",
		"CA$12.50 CHF 5 CHF 1,234 1.234,50 1'234.50 1\u202f234 10 % 3€ 4", "“next order” „a“ «b» \"c", "cus_01jqx0000000000000000000aa evt_ subscription.renewed",
		"26 Nov 2026-11-26", "Nov 26 CHF", "İ 3\xff4",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 500 {
			return
		}
		taken := take(s)
		sentence := tokens(s)
		for _, x := range slices.Concat(taken.quoted, taken.loose) {
			if len(x.parts) == 0 {
				t.Fatalf("%q: a term without parts", s)
			}
		}
		if whole, ok := phraseOf(s); ok && !whole.in(sentence, nil) {
			t.Fatalf("%q does not find itself: %v in %v", s, whole, sentence)
		} else if ok != (len(sentence) > 0) {
			t.Fatalf("%q: %v of %v", s, whole, sentence)
		}
		if len(taken.quoted) > 0 || len(taken.ids) > 0 {
			return
		}
		for _, x := range taken.loose {
			if !x.in(sentence, nil) {
				t.Fatalf("%q does not find itself: %v in %v", s, x, sentence)
			}
		}
	})
}
