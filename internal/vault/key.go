package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
)

// ErrErased says that a value is gone for good: its key was destroyed, or its ciphertext swept (ErrSwept).
var ErrErased = errors.New("vault: erased")

// Key is a data key: what is sealed under it is readable while the key exists. It is a value, safe for concurrent use
// and hidden from printing; the zero Key opens nothing.
//
// Nonces are random. That is safe for 2^32 values under one key (NIST SP 800-38D, section 8.3), which the busiest key, a
// month of network data, does not reach.
type Key struct {
	id     string
	secret [keySize]byte
	aead   cipher.AEAD
}

// NewKey makes a data key. It panics when random fails (crypto/rand.Reader never does) or id is empty, over 255 bytes or
// has control characters.
func NewKey(id string, random io.Reader) Key {
	if err := checkKeyID(id); err != nil {
		panic(err)
	}
	var secret [keySize]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		panic(fmt.Errorf("vault: random bytes: %w", err))
	}
	return newKey(id, secret)
}

func newKey(id string, secret [keySize]byte) Key {
	return Key{id: id, secret: secret, aead: gcm(secret)}
}

// ID is the key's id.
func (k Key) ID() string { return k.id }

// Format implements fmt.Formatter so that no verb prints the secret.
func (k Key) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "key %s", k.id) }

// The wrapped form: version (1 byte), nonce (12 bytes), the sealed secret (32 and 16 bytes).
const (
	wrapVersion = 1
	wrapSize    = 1 + nonceSize + keySize + tagSize
)

// Wrap seals a data key under the root key, for the database to keep.
func (f *Folder) Wrap(k Key) ([]byte, error) {
	if k.aead == nil {
		return nil, errors.New("vault: wrap: no key")
	}
	if f.Erased(k.id) {
		return nil, fmt.Errorf("vault: wrap %s: %w", k.id, ErrErased)
	}
	b := make([]byte, 1+nonceSize, wrapSize)
	b[0] = wrapVersion
	rand.Read(b[1:])
	return f.wrapping.Seal(b, b[1:], k.secret[:], []byte(k.id)), nil
}

// Unwrap opens a wrapped data key. An erased one is refused with ErrErased, whoever still has its wrapped bytes.
func (f *Folder) Unwrap(id string, wrapped []byte) (Key, error) {
	if f.Erased(id) {
		return Key{}, fmt.Errorf("vault: unwrap %s: %w", id, ErrErased)
	}
	if len(wrapped) != wrapSize || wrapped[0] != wrapVersion {
		return Key{}, fmt.Errorf("vault: unwrap %s: not a wrapped key: %w", id, ErrBroken)
	}
	nonce, sealed := wrapped[1:1+nonceSize], wrapped[1+nonceSize:]
	var secret [keySize]byte
	if _, err := f.wrapping.Open(secret[:0], nonce, sealed, []byte(id)); err != nil {
		return Key{}, fmt.Errorf("vault: unwrap %s: it was not wrapped so by this root key: %w", id, ErrBroken)
	}
	return newKey(id, secret), nil
}

const sealVersion = 1

// Seal seals a value for one purpose, under a key of its own that only the keys folder can make.
func (f *Folder) Seal(purpose string, value []byte) []byte {
	b := make([]byte, 1+nonceSize, 1+nonceSize+len(value)+tagSize)
	b[0] = sealVersion
	rand.Read(b[1:])
	return gcm(f.Derive("seal "+purpose)).Seal(b, b[1:], value, []byte(purpose))
}

// Open opens what Seal sealed for the same purpose.
func (f *Folder) Open(purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < 1+nonceSize+tagSize || sealed[0] != sealVersion {
		return nil, fmt.Errorf("vault: open %s: nothing was sealed: %w", purpose, ErrBroken)
	}
	value, err := gcm(f.Derive("seal "+purpose)).Open(nil, sealed[1:1+nonceSize], sealed[1+nonceSize:], []byte(purpose))
	if err != nil {
		return nil, fmt.Errorf("vault: open %s: it was not sealed so by this root key: %w", purpose, ErrBroken)
	}
	return value, nil
}

const (
	nonceSize = 12
	tagSize   = 16
)

func gcm(key [keySize]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the size is right
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block size is AES's
	}
	return aead
}

// checkKeyID keeps an id to one line of the erased list.
func checkKeyID(id string) error {
	ok := id != "" && len(id) <= 255
	for _, c := range []byte(id) {
		ok = ok && c > ' ' && c < 0x7f
	}
	if !ok {
		return fmt.Errorf("vault: %q is not a data key's id", id)
	}
	return nil
}
