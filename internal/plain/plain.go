// Package plain holds the rules for text that people type. Every check gives a reason, or nil when the text is
// fine, so that all wrong fields of a form can be reported together.
//
// Text that says one thing and shows another must not be stored: control characters, characters that turn the direction
// of text around (Unicode Technical Report 36, section 2.5; CVE-2021-42574), tags that are never drawn, code points that
// are no characters. What joins letters and emoji (U+200C, U+200D) is real text in Persian, Hindi and emoji and stays.
// Nothing here normalises Unicode: an accent in one code point or two makes two texts.
package plain

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"perennial/internal/fault"
)

// Mask stands in the place of a value for who may not see it. No text may be it, or a form that was filled in from what was
// shown would put the mask in the place of the value.
const Mask = "•••"

// Text checks one line of at most maxRunes characters (code points). An empty text is fine.
func Text(s string, maxRunes int) *fault.Reason { return check(s, maxRunes, "") }

// MultiLine checks a text that may also have tabs and line breaks, LF or CRLF; a CRLF, which is how a browser sends a
// form's line break, counts as one character.
func MultiLine(s string, maxRunes int) *fault.Reason { return check(s, maxRunes, "\t\n\r") }

func check(s string, maxRunes int, breaks string) *fault.Reason {
	if !utf8.ValidString(s) { // which also refuses lone surrogates
		return fault.Because("not_utf8", "This is not valid UTF-8.")
	}
	if strings.TrimSpace(s) == Mask {
		return fault.Because("masked", "This is only the mask of a hidden value. Leave the field out to keep what is there.")
	}
	n := 0
	for i, r := range s {
		if breaks != "" && strings.HasPrefix(s[i:], "\r\n") {
			continue
		}
		if n++; n > maxRunes {
			return fault.Because("too_long", "This is longer than {most} characters.", "most", maxRunes)
		}
		// A carriage return alone would let what follows overwrite the line in a terminal.
		if r != '\r' && strings.ContainsRune(breaks, r) {
			continue
		}
		if why := unseen(r); why != nil {
			return why
		}
	}
	return nil
}

// unseen is why a code point may not be in a text, or empty.
func unseen(r rune) *fault.Reason {
	switch {
	case bidi(r):
		return fault.Because("character_refused", "This holds a character that turns the direction of text ({character}).", "character",
			codePoint(r))
	case unicode.IsControl(r), r == 0x2028, r == 0x2029:
		return fault.Because("character_refused", "This holds a control character ({character}).", "character", codePoint(r))
	case r == 0xFEFF, // byte order mark
		r&0xFFFE == 0xFFFE, r >= 0xFDD0 && r <= 0xFDEF, // noncharacters
		r >= 0xE0000 && r <= 0xE007F, // tags
		r >= 0xFFF9 && r <= 0xFFFB:   // interlinear annotation
		return fault.Because("character_refused", "This holds a character that cannot be shown ({character}).", "character", codePoint(r))
	}
	return nil
}

func codePoint(r rune) string { return fmt.Sprintf("U+%04X", r) }

// bidi says whether a code point is an embedding, override, isolate or mark of the bidirectional algorithm (UAX 9).
func bidi(r rune) bool {
	return r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0x200E || r == 0x200F || r == 0x061C
}

// Escape makes any bytes safe to show in one line of a terminal, a log or a CSV file: what Text would refuse is written as
// \u{…}, and a byte that is not UTF-8 as \x…. Escaping twice changes nothing more, for which a backslash stays as it is:
// the result is to be read, not to be decoded. Formulas in CSV are the writer's concern.
func Escape(s string) string {
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || unseen(r) != nil {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unseen(r) != nil:
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func badEmail() *fault.Reason {
	return fault.Because("email_invalid", "This is not an e-mail address.")
}

// Email checks an e-mail address: one mailbox at one domain (RFC 5321 and 6531), in at most 254 bytes, without a name,
// comments, quotes, an address literal or space around it. The domain has a dot or is localhost.
func Email(s string) *fault.Reason {
	if why := Text(s, 254); why != nil {
		return why
	}
	local, domain, _ := strings.Cut(s, "@")
	if len(s) > 254 || len(local) > 64 || !dotted(local, letter) || !hostname(domain) {
		return badEmail()
	}
	return nil
}

// NormalEmail reads an address as people type it, with space around it, and gives the form to keep: its domain in lower
// case, its local part as it was typed, because some server may tell the two apart. The reason is Email's.
func NormalEmail(s string) (normal string, reason *fault.Reason) {
	local, domain, ok := strings.Cut(strings.TrimSpace(s), "@")
	if !ok {
		return "", badEmail()
	}
	normal = local + "@" + fold(domain) // before the check, because some letters grow
	if reason = Email(normal); reason != nil {
		return "", reason
	}
	return normal, nil
}

// EmailKey is the form in which two spellings of an address are the same: all of it in lower case, with no space around.
// A letter outside ASCII never becomes one inside, or the owner of one mailbox could pass for that of another.
func EmailKey(s string) string { return fold(strings.TrimSpace(s)) }

// fold is strings.ToLower, except for letters that it would bring into ASCII: U+0130, a capital i with a dot, and U+212A,
// the Kelvin sign.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		l := unicode.ToLower(r)
		if r >= utf8.RuneSelf && l < utf8.RuneSelf {
			return r
		}
		return l
	}, s)
}

// letter says whether a local part may hold a code point: atext of RFC 5322, and letters of all the world.
func letter(r rune) bool {
	return alphanumeric(r) || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

func alphanumeric(r rune) bool { return unicode.In(r, unicode.L, unicode.M, unicode.N) }

// dotted says whether s is one or more parts with one dot between them, of allowed code points each.
func dotted(s string, allowed func(rune) bool) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool { return !allowed(r) }) {
			return false
		}
	}
	return true
}

func hostname(s string) bool {
	if s == "localhost" {
		return true
	}
	dot := strings.LastIndexByte(s, '.')
	if dot < 0 || len(s) > 253 || !dotted(s, func(r rune) bool { return r == '-' || alphanumeric(r) }) {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return strings.Trim(s[dot+1:], "0123456789") != "" // or it is an IPv4 address
}

// URL checks an absolute http or https address of at most 2,000 characters, with a host and without a password in it.
func URL(s string) *fault.Reason {
	if why := Text(s, 2000); why != nil {
		return why
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`"<>`, r) }) {
		return fault.Because("url_invalid", "This is not an address that begins with https:// or http://.")
	}
	return nil
}

// languageTag is what people use of RFC 5646: language, script, region and variants; no extensions, no private use.
var languageTag = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*$`)

// Locale checks a BCP 47 language tag, of a language and perhaps a script, a region and variants, in at most 35
// characters (RFC 5646, section 4.4.1).
func Locale(s string) *fault.Reason {
	if len(s) > 35 || !languageTag.MatchString(s) {
		return fault.Because("locale_invalid", "This is not a language tag such as en or de-AT.")
	}
	return nil
}

// Country checks an ISO 3166-1 alpha-2 code in upper case, one of the 249 that are officially assigned.
func Country(code string) *fault.Reason {
	if len(code) == 2 && strings.Contains(countries, " "+code+" ") {
		return nil
	}
	return fault.Because("country_invalid", "This is not a country's two-letter code (ISO 3166-1).")
}

// countries has a space on each side of every code.
const countries = " " +
	"AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD " +
	"CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF " +
	"GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN " +
	"KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA " +
	"NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI " +
	"SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI " +
	"VN VU WF WS YE YT ZA ZM ZW "
