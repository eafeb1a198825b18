package plain_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"perennial/internal/fault"
	"perennial/internal/plain"
)

// refused are texts that no field may hold, with a word of the reason.
var refused = map[string]string{
	"a\xffb":       "UTF-8",
	"\xed\xa0\x80": "UTF-8", // a lone surrogate
	"\xc0\xaf":     "UTF-8", // an overlong slash
	"a\x00b":       "U+0000",
	"\x1b[2J":      "U+001B",
	"a\x7f":        "U+007F",
	"a\u0085b":     "U+0085",
	"a\rb":         "U+000D",
	"a\v":          "U+000B",
	"\u2028":       "U+2028",
	"\u2029":       "U+2029",
	"\u202aa":      "U+202A",
	"\u202etxt":    "U+202E",
	"\u2066a":      "U+2066",
	"\u2069":       "U+2069",
	"\u200e":       "U+200E",
	"\u200f":       "U+200F",
	"\u061c":       "U+061C",
	"\ufeffa":      "U+FEFF",
	"\ufffe":       "U+FFFE",
	"\uffff":       "U+FFFF",
	"\ufdd0":       "U+FDD0",
	"\ufdef":       "U+FDEF",
	"\U0001fffe":   "U+1FFFE",
	"\U0010ffff":   "U+10FFFF",
	"\U000e0041":   "U+E0041", // a tag
	"\ufffa":       "U+FFFA",
}

func TestTextRefuses(t *testing.T) {
	for s, want := range refused {
		for name, check := range map[string]func(string, int) *fault.Reason{"Text": plain.Text, "MultiLine": plain.MultiLine} {
			if got := check(s, 100).String(); !strings.Contains(got, want) {
				t.Errorf("%s(%+q): got %q, want a reason with %s", name, s, got, want)
			}
		}
	}
}

func TestTheMaskIsNoText(t *testing.T) {
	for _, s := range []string{plain.Mask, " " + plain.Mask + "\t"} {
		if plain.Text(s, 20) == nil || plain.MultiLine(s, 20) == nil {
			t.Errorf("%q is taken", s)
		}
	}
	if why := plain.Text("a "+plain.Mask, 20); why != nil {
		t.Errorf("with words: %s", why)
	}
}

func TestText(t *testing.T) {
	texts := []string{
		"", "Coffee", "Zoë Ñandú", "李小龍", "محمد", "שרה", "می\u200cخواهم", "क\u094d\u200dष", "👩\u200d🚀", "e\u0301", "\ufffd", "a\u00a0b", `C:\new`, "<b>", "=1+1",
	}
	for _, s := range texts {
		if got := plain.Text(s, 20).String(); got != "" {
			t.Errorf("Text(%+q): got %q", s, got)
		}
	}
	for _, s := range []string{"a\nb", "a\tb", "a\r\nb"} {
		if got := plain.Text(s, 20).String(); !strings.Contains(got, "control") {
			t.Errorf("Text(%q): got %q, want a refusal", s, got)
		}
		if got := plain.MultiLine(s, 20).String(); got != "" {
			t.Errorf("MultiLine(%q): got %q", s, got)
		}
	}
	for _, s := range []string{"a\r", "\r", "a\r\r\n", "\n\r"} {
		if got := plain.MultiLine(s, 20).String(); !strings.Contains(got, "U+000D") {
			t.Errorf("MultiLine(%q): got %q, want a refusal", s, got)
		}
	}
}

func TestTextCountsCharacters(t *testing.T) {
	const long = "This is longer than 3 characters."
	tests := []struct {
		check func(string, int) *fault.Reason
		in    string
		want  string
	}{
		{plain.Text, "äöü", ""},
		{plain.Text, "äöüß", long},
		{plain.Text, "😀😀😀", ""},
		{plain.MultiLine, "a\r\nb", ""},
		{plain.MultiLine, "a\r\nb\r\n", long},
	}
	for _, tt := range tests {
		if got := tt.check(tt.in, 3).String(); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestEscape(t *testing.T) {
	tests := map[string]string{
		"":                       "",
		"Zoë 👩\u200d🚀 C:\\new":   "Zoë 👩\u200d🚀 C:\\new",
		"a\nb":                   `a\u{a}b`,
		"\x1b[31mred":            `\u{1b}[31mred`,
		"gpj.\u202eexe":          `gpj.\u{202e}exe`,
		"a\xffb\xed\xa0\x80":     `a\xffb\xed\xa0\x80`,
		"\ufffd":                 "\ufffd",
		"\ufffd\xff\x00":         "\ufffd" + `\xff\u{0}`,
		"\U000e0041":             `\u{e0041}`,
		`already \u{202e} there`: `already \u{202e} there`,
	}
	for in, want := range tests {
		if got := plain.Escape(in); got != want {
			t.Errorf("Escape(%+q): got %q, want %q", in, got, want)
		}
	}
	for s := range refused {
		if got := plain.Escape(s); plain.Text(got, 100) != nil {
			t.Errorf("Escape(%+q): got %q, which Text refuses", s, got)
		}
	}
}

func TestEmail(t *testing.T) {
	local64, label63 := strings.Repeat("l", 64), strings.Repeat("d", 63)
	good := []string{
		"ada@example.com", "a@b.co", "ada.b+tag@mail.example.com", "o'neil@example.ie", "!#$%&'*+-/=?^_`{|}~@example.com", "1@2.de",
		"ada@localhost", "zoë@bücher.example", "用户@例え.jp", "ada@xn--bcher-kva.example", "ada@a-b.example",
		local64 + "@example.com", "ada@" + label63 + ".com", "Ada@EXAMPLE.com",
		local64 + "@" + strings.Repeat(label63[:61]+".", 3) + "abc", // 254 bytes
	}
	for _, s := range good {
		if got := plain.Email(s).String(); got != "" {
			t.Errorf("%q of %d bytes: got %q", s, len(s), got)
		}
	}
	bad := []string{
		"", "@", "ada", "ada@", "@example.com", "ada@example", "ada@@example.com", "ada@b@example.com", " ada@example.com", "ada@example.com ",
		"a da@example.com", "ada@exam ple.com", "ada@example.com\n", "Ada <ada@example.com>", `"ada b"@example.com`, "ada(x)@example.com", "a,b@example.com",
		"ada@example.com,bob@example.com", "ada@[127.0.0.1]", "ada@127.0.0.1", "ada@1.2", ".ada@example.com", "ada.@example.com", "a..b@example.com",
		"ada@.example.com", "ada@example..com", "ada@example.com.", "ada@-example.com", "ada@example-.com", "ada@a.-b.com", "ada@exam_ple.com", "ada@exa/mple.com",
		"mailto:ada@example.com", "ada@example.com?x=1", "ada＠example.com", "ada@example。com", "a\u00a0da@example.com", "a\u200bda@example.com",
		"a\x00@example.com", "a\u202e@example.com", "a\xff@example.com", `a\b@example.com`,
		local64 + "l@example.com", "ada@" + label63 + "d.com",
		local64 + "@" + strings.Repeat(label63[:61]+".", 3) + "abcd",           // 255 bytes
		local64 + "@" + strings.Repeat(strings.Repeat("é", 31)+".", 3) + "com", // over 254 bytes, not over 254 characters
	}
	for _, s := range bad {
		if got := plain.Email(s).String(); got == "" {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestNormalEmail(t *testing.T) {
	tests := []struct{ in, want, key string }{
		{"ada@example.com", "ada@example.com", "ada@example.com"},
		{" Ada.B@EXAMPLE.Com\n", "Ada.B@example.com", "ada.b@example.com"},
		{"ZOË@BÜCHER.example", "ZOË@bücher.example", "zoë@bücher.example"},
	}
	for _, tt := range tests {
		got, why := plain.NormalEmail(tt.in)
		if got != tt.want || why != nil {
			t.Errorf("NormalEmail(%q): got %q, %q, want %q", tt.in, got, why, tt.want)
		}
		if got := plain.EmailKey(tt.in); got != tt.key {
			t.Errorf("EmailKey(%q): got %q, want %q", tt.in, got, tt.key)
		}
	}
	if got, why := plain.NormalEmail("ada"); got != "" || why == nil {
		t.Errorf("got %q, %q, want a reason alone", got, why)
	}
}

// TestEmailKeyKeepsMailboxesApart: letters whose lower case is in ASCII once let one account be taken over by another.
func TestEmailKeyKeepsMailboxesApart(t *testing.T) {
	for r := rune(utf8.RuneSelf); r <= unicode.MaxRune; r++ {
		key := plain.EmailKey(string(r))
		if key != "" && key[0] < utf8.RuneSelf {
			t.Errorf("%U becomes %q", r, key)
		}
		if again := plain.EmailKey(key); again != key {
			t.Errorf("%U becomes %q, and then %q", r, key, again)
		}
	}
	if got := plain.EmailKey("adm\u0130n@example.com"); got == plain.EmailKey("admin@example.com") {
		t.Errorf("got %q for both", got)
	}
}

func TestURL(t *testing.T) {
	good := []string{
		"https://example.com", "http://localhost:8080/x", "HTTPS://example.com/a%20b?q=1#f", "https://bücher.example/ü", "https://[::1]:80/", "https://example.com/{id}",
	}
	for _, s := range good {
		if got := plain.URL(s).String(); got != "" {
			t.Errorf("%q: got %q", s, got)
		}
	}
	bad := []string{
		"", "example.com", "//example.com", "/path", "https://", "https:///x", "https://:80", "https:example.com", "ftp://example.com", "javascript:alert(1)",
		"data:text/html,x", "https://user:pass@example.com", "https://user@example.com", "https://example.com/a b", "https://example.com/\u00a0", " https://example.com",
		"https://example.com/\"x", "https://example.com/<x>", "https://example.com/\n", "https://example.com/\u202e", "https://exa mple.com", `https://a\b.com`,
		"https://example.com:port", "https://example.com/%zz", "https://example.com/" + strings.Repeat("a", 2000),
	}
	for _, s := range bad {
		if got := plain.URL(s).String(); got == "" {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestLocale(t *testing.T) {
	for _, s := range []string{"en", "de-AT", "zh-Hant-TW", "zh-Hant", "es-419", "sl-rozaj-biske", "de-CH-1996", "EN-us", "fil"} {
		if got := plain.Locale(s).String(); got != "" {
			t.Errorf("%q: got %q", s, got)
		}
	}
	for _, s := range []string{"", "e", "en_US", "en-", "-en", "12", "english", "en-U", "en-US-", "en--US", "en-x-twain", "de-DE-u-co-phonebk", "en US", "en\n", "én", "sl-rozaj-biske-rozaj-biske-rozaj-biske"} {
		if got := plain.Locale(s).String(); got == "" {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestCountry(t *testing.T) {
	n := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			if plain.Country(fmt.Sprintf("%c%c", a, b)) == nil {
				n++
			}
		}
	}
	if want := 249; n != want { // ISO 3166-1, officially assigned
		t.Errorf("got %d countries, want %d", n, want)
	}
	for _, s := range []string{"AT", "DE", "GB", "US", "AD", "ZW"} {
		if got := plain.Country(s).String(); got != "" {
			t.Errorf("%s: got %q", s, got)
		}
	}
	for _, s := range []string{"", "A", "us", "USA", "UK", "EU", "XK", "AN", "ZZ", "D ", " D", "  ", "AD AE"} {
		if got := plain.Country(s).String(); got == "" {
			t.Errorf("%q is taken", s)
		}
	}
}

func FuzzText(f *testing.F) {
	for s := range refused {
		f.Add(s)
	}
	f.Add("Zoë\r\n\tok")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, plain.Mask) {
			return // made of characters that are all fine
		}
		one, many := plain.Text(s, len(s)), plain.MultiLine(s, len(s))
		if one == nil && many != nil {
			t.Errorf("%+q is fine in one line, but in many: %s", s, many)
		}
		if one == nil {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }) {
				t.Errorf("%+q is taken", s)
			}
			if got := plain.Escape(s); got != s {
				t.Errorf("Escape changes %+q to %q, though nothing is wrong with it", s, got)
			}
		}
		if many == nil && plain.Text(strings.NewReplacer("\r\n", "", "\n", "", "\t", "").Replace(s), len(s)) != nil {
			t.Errorf("%+q is taken in many lines", s)
		}
		safe := plain.Escape(s)
		if why := plain.Text(safe, len(safe)); why != nil {
			t.Errorf("Escape(%+q) is %+q: %s", s, safe, why)
		}
		if again := plain.Escape(safe); again != safe {
			t.Errorf("Escape(%+q) is %q, and then %q", s, safe, again)
		}
	})
}

func FuzzEmail(f *testing.F) {
	for _, s := range []string{"ada@example.com", " Ada@EXAMPLE.com ", "Ada <ada@example.com>", "a@b@c.d", "zoë@bücher.example", "adm\u0130n@x.example", "a@\u212a.example", "ada@localhost", "a@1.2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if key := plain.EmailKey(s); plain.EmailKey(key) != key {
			t.Errorf("the key of %+q is %+q, whose key is %+q", s, key, plain.EmailKey(key))
		}
		normal, why := plain.NormalEmail(s)
		if (normal == "") != (why != nil) {
			t.Fatalf("%+q: got %q and %q", s, normal, why)
		}
		if why != nil {
			return
		}
		if strings.Count(normal, "@") != 1 || len(normal) > 300 || strings.ContainsFunc(normal, unicode.IsSpace) || plain.Text(normal, 254) != nil {
			t.Errorf("%+q is taken as %+q", s, normal)
		}
		if plain.EmailKey(normal) != plain.EmailKey(s) {
			t.Errorf("%+q and %+q have different keys", s, normal)
		}
		if again, _ := plain.NormalEmail(normal); again != normal {
			t.Errorf("%+q becomes %+q, and then %+q", s, normal, again)
		}
	})
}
