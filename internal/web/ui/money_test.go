package ui

import (
	"strings"
	"testing"
	"unicode"

	"github.com/bojanz/currency"

	"perennial/internal/money"
)

// An amount in a currency that was withdrawn is still written as the reader's language writes amounts.
func TestMoneyOfEveryCurrency(t *testing.T) {
	for locale, want := range map[string]string{"en": "BGN\u00a01,234.05", "de": "1.234,05\u00a0BGN", "fr": "1\u202f234,05\u00a0BGN", "es": "1234,05\u00a0BGN"} {
		if got := Money(money.Of(123405, "BGN"), locale); got != want {
			t.Errorf("%s: got %q, want %q", locale, got, want)
		}
	}
	if got, want := Money(money.Of(-9876543200, "ANG"), "de"), "-98.765.432,00\u00a0ANG"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var unknown []string
	for _, a := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		for _, b := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ" {
			for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ" {
				code := string([]rune{a, b, c})
				if !money.ValidCurrency(code) {
					continue
				}
				if digits, known := currency.GetDigits(code); !known {
					unknown = append(unknown, code)
				} else if int(digits) != money.Digits(code) {
					t.Errorf("%s: the tables know %d digits, ISO 4217 says %d", code, digits, money.Digits(code))
				}
				// The figures, and nothing of them, in the order of the locale.
				minor := int64(1234567)
				for _, locale := range []string{"en", "de", "fr", "es"} {
					got := Money(money.Of(minor, code), locale)
					figures := strings.Map(func(r rune) rune {
						if unicode.IsDigit(r) {
							return r
						}
						return -1
					}, got)
					if figures != "1234567" {
						t.Errorf("%s %s: %q", locale, code, got)
					}
					if n := money.Digits(code); n > 0 && locale != "en" && !strings.Contains(got, ","+figures[7-n:]) {
						t.Errorf("%s %s: %q has no decimal comma", locale, code, got)
					}
				}
			}
		}
	}
	t.Logf("the tables do not know %v", unknown)
	if len(unknown) == 0 {
		t.Error("no currency is unknown to the tables: nothing was tried")
	}
}
