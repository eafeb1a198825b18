package auth

import (
	"crypto/sha256"
	"strings"

	"perennial/internal/id"
)

// APIKeyHash is what is stored of an API key's secret part. The secret is 256 random bits, so one hash is enough.
func APIKeyHash(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// NewAPIKey makes an API key's text for its id, and the hash to store.
func NewAPIKey(key id.ID) (text string, hash []byte) {
	secret := NewSecret()
	secret = strings.NewReplacer("_", "A", "-", "B").Replace(secret)
	return string(key) + "_" + secret, APIKeyHash(secret)
}
