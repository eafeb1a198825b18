package ui

import (
	"context"
	"strings"
	"sync"

	"github.com/bojanz/currency"

	"perennial/internal/civil"
	"perennial/internal/money"
)

// formatters are kept: making one reads tables.
var formatters sync.Map // formatterKey: *currency.Formatter

type formatterKey struct {
	locale string
	codes  bool // the code stands in the place of the sign
}

func formatter(k formatterKey) *currency.Formatter {
	if f, ok := formatters.Load(k); ok {
		return f.(*currency.Formatter)
	}
	f := currency.NewFormatter(currency.NewLocale(k.locale))
	if k.codes {
		f.CurrencyDisplay = currency.DisplayCode
	}
	kept, _ := formatters.LoadOrStore(k, f)
	return kept.(*currency.Formatter)
}

// Money writes an amount as people of a locale do: "$1,234.50" in "en-US", "1.234,50 €" in "de". A currency that the tables do not
// know, one that was withdrawn say, is written as the locale writes others, with its code for a sign.
func Money(a money.Amount, locale string) string {
	if c, err := currency.NewAmountFromInt64(a.Minor, a.Currency); err == nil && currency.IsValid(a.Currency) {
		return formatter(formatterKey{locale: locale}).Format(c)
	}
	like := map[int]string{0: "JPY", 2: "USD", 3: "KWD", 4: "CLF"}[money.Digits(a.Currency)]
	c, err := currency.NewAmountFromInt64(a.Minor, like)
	if err != nil || !money.ValidCurrency(a.Currency) {
		return a.Format()
	}
	return strings.Replace(formatter(formatterKey{locale, true}).Format(c), like, a.Currency, 1)
}

// LongDate writes a date in full; "" for none.
func LongDate(d *civil.Date) string {
	if d == nil {
		return ""
	}
	return d.Long()
}

// Count writes "1 order" and "2 orders": the plural takes an s unless it is given.
func Count(n int64, one string, many ...string) string {
	words := one + "s"
	if len(many) > 0 {
		words = many[0]
	}
	if n == 1 {
		words = one
	}
	return Grouped(n) + " " + words
}

// Grouped writes a whole number with its thousands apart.
func Grouped(n int64) string {
	s := []byte{}
	digits := strings.TrimPrefix(money.Of(n, "JPY").Decimal(), "-")
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			s = append(s, ',')
		}
		s = append(s, digits[i])
	}
	if n < 0 {
		return "-" + string(s)
	}
	return string(s)
}

// Words are what the parts say by themselves. The zero Words are English.
type Words struct{ Skip, SignOut, Stop, Pages, Undo, Crumbs, LookAgain, Close string }

var english = Words{Skip: "Skip to the content", SignOut: "Sign out", Stop: "Stop", Pages: "Pages", Undo: "Undo", Crumbs: "Where you are", LookAgain: "Please look again at what is marked.", Close: "Close"}

type wordsInContext struct{}

// WithWords gives a context in which the parts speak another language than English.
func WithWords(ctx context.Context, w Words) context.Context {
	return context.WithValue(ctx, wordsInContext{}, w)
}

func wordsOf(ctx context.Context) Words {
	if w, ok := ctx.Value(wordsInContext{}).(Words); ok {
		return w
	}
	return english
}

// Device names a browser and a system, as far as a user agent's own words tell: "Firefox on Linux"; "" when they tell nothing.
func Device(agent string) string {
	find := func(names ...string) string {
		for _, n := range names {
			key, word, _ := strings.Cut(n, "=")
			if strings.Contains(agent, key) {
				return word
			}
		}
		return ""
	}
	browser := find("Edg/=Edge", "OPR/=Opera", "Firefox/=Firefox", "Chrome/=Chrome", "Safari/=Safari")
	system := find("iPhone=iPhone", "iPad=iPad", "Android=Android", "Windows=Windows", "Mac OS X=Mac", "Linux=Linux")
	if browser != "" && system != "" {
		return browser + " on " + system
	}
	return browser + system
}
