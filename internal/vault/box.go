package vault

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Box is what an event says in the open about a sealed value. Its ciphertext lies beside the event and may be swept; the
// box stays, and with it every proof.
type Box struct {
	Key        string // the data key's id
	Class      string // what kind of key that is
	Commitment []byte // HMAC-SHA256 of the value under the salt; its beginning is the nonce
	Hash       []byte // SHA-256 of the ciphertext
}

// How a value that cannot be had differs from the value that was sealed.
var (
	ErrSwept     = fmt.Errorf("%w: the ciphertext was swept", ErrErased) // is an ErrErased
	ErrWrongHash = errors.New("vault: the ciphertext is not the one that was sealed")
	ErrBroken    = errors.New("vault: broken")
)

const (
	saltSize = 16
	overhead = saltSize + tagSize
)

// Seal seals a value. The ciphertext is AES-256-GCM over the salt (16 bytes) and the value, with the key's id and the class
// as associated data. It reads the salt from random.
//
// The nonce is the beginning of the commitment. Under a salt of its own, HMAC-SHA256 gives 96 bits as good as random ones
// (NIST SP 800-38D, 8.2.2: up to 2^32 boxes a key), and as it is made from all that is sealed, as in SIV (RFC 5297), a salt
// that came twice could repeat the nonce only of the same value, whose ciphertext is then the same.
func (k Key) Seal(class string, value []byte, random io.Reader) (Box, []byte, error) {
	if k.aead == nil {
		return Box{}, nil, errors.New("vault: seal: no key")
	}
	// Salt and value are put where the ciphertext will be, and sealed in place.
	b := make([]byte, saltSize, overhead+len(value))
	if _, err := io.ReadFull(random, b); err != nil {
		return Box{}, nil, fmt.Errorf("vault: seal: random bytes: %w", err)
	}
	commitment := mac(b, value)
	b = append(b, value...)
	ciphertext := k.aead.Seal(b[:0], commitment[:nonceSize], b, associated(k.id, class))
	hash := sha256.Sum256(ciphertext)
	return Box{Key: k.id, Class: class, Commitment: commitment, Hash: hash[:]}, ciphertext, nil
}

// Open gives the value of a box. ErrErased: it is gone. ErrWrongHash: this is another ciphertext. ErrBroken: the box
// itself, the key or the commitment does not fit, so the box never was what it claims.
func (k Key) Open(b Box, ciphertext []byte) ([]byte, error) {
	if k.aead == nil {
		return nil, ErrErased
	}
	if b.Key != k.id {
		return nil, fmt.Errorf("%w: a box of key %q under key %q", ErrBroken, b.Key, k.id)
	}
	if err := CheckCiphertext(b, ciphertext); err != nil {
		return nil, err
	}
	if len(ciphertext) < overhead {
		return nil, fmt.Errorf("%w: a ciphertext of %d bytes", ErrBroken, len(ciphertext))
	}
	plain, err := k.aead.Open(nil, b.Commitment[:nonceSize], ciphertext, associated(b.Key, b.Class))
	if err != nil {
		return nil, fmt.Errorf("%w: the ciphertext does not open under key %q, class %q", ErrBroken, b.Key, b.Class)
	}
	value := plain[saltSize:]
	if !hmac.Equal(mac(plain[:saltSize], value), b.Commitment) {
		return nil, fmt.Errorf("%w: the value is not the one committed to", ErrBroken)
	}
	return value, nil
}

// CheckCiphertext checks what can be checked without the key: that the box is well formed and the ciphertext is its own.
// It returns ErrSwept for an empty one, ErrWrongHash, or ErrBroken.
func CheckCiphertext(b Box, ciphertext []byte) error {
	if b.Key == "" || b.Class == "" || len(b.Commitment) != sha256.Size || len(b.Hash) != sha256.Size {
		return fmt.Errorf("%w: not a box", ErrBroken)
	}
	if len(ciphertext) == 0 {
		return ErrSwept
	}
	if hash := sha256.Sum256(ciphertext); !bytes.Equal(hash[:], b.Hash) {
		return ErrWrongHash
	}
	return nil
}

// associated joins id and class so that no two pairs give the same bytes: an id has no control characters.
func associated(id, class string) []byte {
	b := make([]byte, 0, len(id)+1+len(class))
	b = append(append(b, id...), 0)
	return append(b, class...)
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// secretDomain keeps the commitment of a secret from being one of a sealed value.
var secretDomain = []byte("perennial secret v1\x00")

// CommitSecret commits to a secret that is kept outside the journal, under a random salt kept with it. The commitment
// says nothing about the secret to those who do not have both.
func CommitSecret(salt, value []byte) []byte { return mac(salt, secretDomain, value) }

// CheckSecret tells whether a commitment is to this secret, in constant time.
func CheckSecret(salt, value, commitment []byte) bool {
	return hmac.Equal(CommitSecret(salt, value), commitment)
}

const blobVersion = 1

// JoinCiphertexts puts the ciphertexts of one event into one blob: a version byte, then each with its length before it
// (unsigned varint). A swept ciphertext is an empty one. No ciphertexts are an empty blob, which is not nil.
func JoinCiphertexts(ciphertexts [][]byte) []byte {
	if len(ciphertexts) == 0 {
		return []byte{}
	}
	n := 1
	for _, c := range ciphertexts {
		n += binary.MaxVarintLen32 + len(c)
	}
	b := append(make([]byte, 0, n), blobVersion)
	for _, c := range ciphertexts {
		b = binary.AppendUvarint(b, uint64(len(c)))
		b = append(b, c...)
	}
	return b
}

// SplitCiphertexts takes a blob of n ciphertexts apart, and refuses one that JoinCiphertexts would not have made. The
// parts share the blob's memory; a swept one is nil.
func SplitCiphertexts(blob []byte, n int) ([][]byte, error) {
	if n == 0 {
		if len(blob) != 0 {
			return nil, fmt.Errorf("vault: ciphertexts: %d bytes where none are due", len(blob))
		}
		return nil, nil
	}
	if len(blob) == 0 {
		return nil, fmt.Errorf("vault: ciphertexts: none of %d", n)
	}
	if blob[0] != blobVersion {
		return nil, fmt.Errorf("vault: ciphertexts: version %d, this program reads %d", blob[0], blobVersion)
	}
	rest := blob[1:]
	if n < 0 || n > len(rest) { // each takes a byte at least
		return nil, fmt.Errorf("vault: ciphertexts: %d in %d bytes", n, len(blob))
	}
	out := make([][]byte, n)
	for i := range out {
		size, used := binary.Uvarint(rest)
		if used <= 0 || used > 1 && rest[used-1] == 0 {
			return nil, fmt.Errorf("vault: ciphertexts: no length of the one at %d", i)
		}
		rest = rest[used:]
		if size > uint64(len(rest)) {
			return nil, fmt.Errorf("vault: ciphertexts: the one at %d has %d of %d bytes", i, len(rest), size)
		}
		if size > 0 {
			out[i] = rest[:size:size]
		}
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("vault: ciphertexts: %d bytes after the last of %d", len(rest), n)
	}
	return out, nil
}
