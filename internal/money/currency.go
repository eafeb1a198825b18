package money

import (
	"errors"
	"slices"
	"strings"
)

// currencies are the codes of ISO 4217's list one that have a minor unit (so no metals, no drawing rights, no test codes),
// as of 2026, in order. A code that ISO withdraws stays, because a journal may hold it: ANG and BGN.
var currencies = strings.Fields(
	`AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE
CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD
IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN
NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP
TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XCD XCG XOF XPF YER ZAR ZMW ZWG`)

// ErrUnknownCurrency is for a code that is not of ISO 4217.
var ErrUnknownCurrency = errors.New("money: not a currency's three-letter code (ISO 4217)")

// ValidCurrency says whether code is an ISO 4217 code in upper case of a currency that has a minor unit.
func ValidCurrency(code string) bool {
	_, ok := slices.BinarySearch(currencies, code)
	return ok
}

// ParseCurrency reads a code as people write it, in either case and with space around it. It fails with
// ErrUnknownCurrency.
func ParseCurrency(s string) (string, error) {
	// Not strings.ToUpper: that makes ASCII letters of some others, such as the dotless i.
	code := []byte(strings.TrimSpace(s))
	for i, c := range code {
		if 'a' <= c && c <= 'z' {
			code[i] = c - 'a' + 'A'
		}
	}
	if !ValidCurrency(string(code)) {
		return "", ErrUnknownCurrency
	}
	return string(code), nil
}

// Digits is how many digits of a currency's amounts are minor units, by ISO 4217: 2 for USD, 0 for JPY, 3 for KWD. A
// gateway may count otherwise; it converts then. A code that is not known has 2.
func Digits(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	}
	return 2
}

// symbol is a currency's sign where it is read without doubt in English, else empty.
func symbol(currency string) string {
	switch currency {
	case "USD":
		return "$"
	case "EUR":
		return "€"
	case "GBP":
		return "£"
	case "JPY":
		return "¥"
	case "CAD":
		return "CA$"
	case "AUD":
		return "A$"
	case "NZD":
		return "NZ$"
	}
	return ""
}
