package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"image/png"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// Codes of authenticator apps are those of RFC 6238 as every app knows them: six digits, SHA-1, 30 seconds, of which one
// before and one after the present are taken too.
const (
	codePeriod = 30 // seconds
	codeSkew   = 1  // periods
	seedBytes  = 20
)

var base32text = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewSeed makes the seed that an authenticator app shares with us, as the text that people type.
func NewSeed() string {
	b := make([]byte, seedBytes)
	rand.Read(b)
	return base32text.EncodeToString(b)
}

// CheckCode says whether a code is the seed's at a time, and gives the period that it belongs to, so that nobody can use
// it twice (RFC 6238, section 5.2).
func CheckCode(seed, code string, now time.Time) (period int64, ok bool) {
	code = strings.ReplaceAll(code, " ", "")
	current := now.Unix() / codePeriod
	for _, p := range []int64{current, current - codeSkew, current + codeSkew} {
		want, err := hotp.GenerateCodeCustom(seed, uint64(p), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return p, true
		}
	}
	return 0, false
}

// SeedPicture gives the QR code of a seed as a PNG of 256 by 256 pixels. issuer and account are what the app shows.
func SeedPicture(seed, issuer, account string) ([]byte, error) {
	label := url.PathEscape(issuer + ":" + account)
	q := url.Values{"secret": {seed}, "issuer": {issuer}}
	key, err := otp.NewKeyFromURL("otpauth://totp/" + label + "?" + strings.ReplaceAll(q.Encode(), "+", "%20"))
	if err != nil {
		return nil, fmt.Errorf("auth: a seed's address: %w", err)
	}
	img, err := key.Image(256, 256)
	if err != nil {
		return nil, fmt.Errorf("auth: a seed's picture: %w", err)
	}
	var b bytes.Buffer
	err = png.Encode(&b, img)
	return b.Bytes(), err
}

// NewRecoveryCodes makes n codes of 50 random bits for whoever loses the app, and their hashes, one after the other.
func NewRecoveryCodes(n int) (codes []string, hashes []byte) {
	for range n {
		text := strings.ToLower(rand.Text()[:10])
		codes = append(codes, text[:5]+"-"+text[5:])
		hashes = append(hashes, recoveryHash(text)...)
	}
	return codes, hashes
}

// UseRecoveryCode looks for a code among hashes and gives the others.
func UseRecoveryCode(code string, hashes []byte) (left []byte, ok bool) {
	want := recoveryHash(code)
	for i := 0; i+sha256.Size <= len(hashes); i += sha256.Size {
		if subtle.ConstantTimeCompare(hashes[i:i+sha256.Size], want) == 1 {
			return slices.Concat(hashes[:i], hashes[i+sha256.Size:]), true
		}
	}
	return nil, false
}

func recoveryHash(code string) []byte {
	h := sha256.Sum256([]byte("recovery " + strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code))))
	return h[:]
}

// CodeEnd is when a code of a period is worthless.
func CodeEnd(period int64) time.Time { return time.Unix((period+codeSkew+1)*codePeriod, 0) }
