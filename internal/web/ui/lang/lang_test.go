package lang

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"perennial/internal/civil"
)

func catalogue(t *testing.T, texts map[string]string) *Catalogue {
	t.Helper()
	files := fstest.MapFS{}
	for name, s := range texts {
		files["words/"+name+".txt"] = &fstest.MapFile{Data: []byte(s)}
	}
	c, err := Read(files, "words")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSaying(t *testing.T) {
	c := catalogue(t, map[string]string{
		"en": "# greetings\nhello = Hello {name}\norders = {count, plural, one {# order} other {# orders}} until {day}\n",
		"fr": "hello = Bonjour {name}\norders = {count, plural, one {# livraison} other {# livraisons}} jusqu’au {day}\n",
		"de": "hello = Guten Tag, {name}\n",
	})
	day := civil.Date{Year: 2027, Month: time.March, Day: 1}
	for _, x := range []struct {
		language, key, want string
		args                []any
	}{
		{"en", "hello", "Hello {not a name}", []any{"name", "{not a name}"}},
		{"en", "orders", "0 orders until 1 March 2027", []any{"count", 0, "day", day}},
		{"en", "orders", "1 order until 1 March 2027", []any{"count", 1, "day", day}},
		{"fr", "orders", "0 livraison jusqu’au 1er mars 2027", []any{"count", 0, "day", day}},
		{"fr", "orders", "2 livraisons jusqu’au 1er mars 2027", []any{"count", 2, "day", day}},
		{"de", "orders", "2 orders until 1. März 2027", []any{"count", 2, "day", day}}, // English stands in
		{"de", "nothing", "nothing", nil},
		{"it", "hello", "Hello Ada", []any{"name", "Ada"}},
		{"en", "hello", "Hello {name}", nil},
	} {
		if got := c.Printer(x.language, x.language).Say(x.key, x.args...); got != x.want {
			t.Errorf("%s %s: %q, want %q", x.language, x.key, got, x.want)
		}
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	c := catalogue(t, map[string]string{
		"en": "a = {x} and {y}\nb = B\n",
		"de": "a = {x}\nc = C\n",
		"es": "a = {y} y {x}\nb = B\n",
	})
	got := c.Check()
	for _, want := range []string{"de lacks b", `de: a has the variables ["x"], in English ["x" "y"]`, "de has c, English does not"} {
		if got == nil || !strings.Contains(got.Error(), want) {
			t.Errorf("%v does not say %q", got, want)
		}
	}
	if got != nil && strings.Contains(got.Error(), "es: ") {
		t.Error(got)
	}
}

func TestWhatIsNotWellFormed(t *testing.T) {
	for _, s := range []string{"no equals sign", "two words = x", "a = b\na = c", "a = {x", "a = {}", "a = x}", "a = {n, plural, one {x}}", "a = {n, select, a {x} other {y}}", "a = {n, plural, some {x} other {y}}", "a = {n, plural, other {x}"} {
		if _, err := parseFile(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestMatching(t *testing.T) {
	c := catalogue(t, map[string]string{"en": "a = A", "de": "a = A", "fr": "a = A", "es": "a = A"})
	for _, x := range []struct {
		wishes       []string
		name, locale string
	}{
		{nil, "en", "en"},
		{[]string{"", "de-CH"}, "de", "de-CH"},
		{[]string{"fr-CA,fr;q=0.9,en;q=0.8"}, "fr", "fr-CA"},
		{[]string{"ja", "en-US;q=0.3,es;q=0.9"}, "es", "es"},
		{[]string{"not a language!", "en-US"}, "en", "en-US"},
		{[]string{"ja,zh", "ko"}, "en", "en"},
	} {
		if name, locale := c.Match(x.wishes...); name != x.name || locale != x.locale {
			t.Errorf("%q: %s %s, want %s %s", x.wishes, name, locale, x.name, x.locale)
		}
	}
}

func TestDays(t *testing.T) {
	c := catalogue(t, map[string]string{"en": "a = A", "de": "a = A", "fr": "a = A", "es": "a = A"})
	d := civil.Date{Year: 2027, Month: time.March, Day: 10}
	at := time.Date(2027, 3, 1, 15, 4, 0, 0, time.UTC)
	for locale, want := range map[string][3]string{
		"en":    {"10 March 2027", "Wed, 10 March 2027", "1 March 2027, 15:04"},
		"en-US": {"March 10, 2027", "Wed, March 10, 2027", "March 1, 2027, 3:04 PM"},
		"de":    {"10. März 2027", "Mi., 10. März 2027", "1. März 2027, 15:04"},
		"fr":    {"10 mars 2027", "mer. 10 mars 2027", "1er mars 2027 à 15:04"},
		"es":    {"10 de marzo de 2027", "mié, 10 de marzo de 2027", "1 de marzo de 2027, 15:04"},
	} {
		p := c.Printer(locale[:2], locale)
		if got := [3]string{p.Date(d), p.Day(d), p.Time(at)}; got != want {
			t.Errorf("%s: %q, want %q", locale, got, want)
		}
	}
	if got := c.Printer("en", "en").Date(civil.Date{}) + c.Printer("en", "en").Day(civil.Date{}); got != "" {
		t.Errorf("no day is %q", got)
	}
}

// FuzzParse reads any text and fills it.
func FuzzParse(f *testing.F) {
	f.Add("{n, plural, one {# a} other {# b {x}}} c")
	c, err := Read(fstest.MapFS{"w/en.txt": {Data: []byte("a = A")}}, "w")
	if err != nil {
		f.Fatal(err)
	}
	p := c.Printer("en", "en")
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := parse(s); err == nil {
			m.fill(p, []any{"n", 1, "x", "y"})
		}
	})
}
