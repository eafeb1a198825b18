package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// NewSecret makes a secret of 256 random bits as text.
func NewSecret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Box seals what is given away to be brought back, and what a database should not show: AES-256-GCM under a key of the
// keys folder. What was sealed for one purpose opens for no other.
type Box struct{ aead cipher.AEAD }

// NewBox makes a box.
func NewBox(key [32]byte) Box {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return Box{aead}
}

// Seal seals a value.
func (b Box) Seal(purpose string, value []byte) []byte {
	return b.aead.Seal(nil, nil, value, []byte(purpose))
}

// Open opens what Seal sealed for the same purpose.
func (b Box) Open(purpose string, sealed []byte) ([]byte, bool) {
	v, err := b.aead.Open(nil, nil, sealed, []byte(purpose))
	return v, err == nil
}

type ticket struct {
	Expires int64           `json:"e"` // seconds since 1970
	Value   json.RawMessage `json:"v"`
}

// Ticket seals a value as text for a cookie or a form. It can be redeemed, more than once, until it expires.
func (b Box) Ticket(purpose string, value any, expires time.Time) (string, error) {
	v, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("auth: a ticket for %s: %w", purpose, err)
	}
	t, err := json.Marshal(ticket{expires.Unix(), v})
	if err != nil {
		return "", fmt.Errorf("auth: a ticket for %s: %w", purpose, err)
	}
	return base64.RawURLEncoding.EncodeToString(b.Seal(purpose, t)), nil
}

// Redeem reads a ticket of the purpose. It says no to one that expired, was changed or was made for something else.
func (b Box) Redeem(purpose, text string, now time.Time, into any) bool {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	v, ok := b.Open(purpose, sealed)
	var t ticket
	return ok && json.Unmarshal(v, &t) == nil && now.Unix() < t.Expires && json.Unmarshal(t.Value, into) == nil
}
