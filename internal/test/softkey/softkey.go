// Package softkey is an authenticator in software, for tests: it makes and uses passkeys as a browser with a security key
// does (WebAuthn Level 3, sections 6.1 and 6.5).
package softkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
)

// Key is a security key with at most one passkey on it.
type Key struct {
	Origin string // what the browser says it is at

	private *ecdsa.PrivateKey
	id      []byte
	handle  string
	rpID    string
}

// Flags of the authenticator data.
const (
	userPresent  = 1 << 0
	userVerified = 1 << 2
	attested     = 1 << 6
)

type options struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		RPID      string `json:"rpId"`
		RP        struct {
			ID string `json:"id"`
		} `json:"rp"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	} `json:"publicKey"`
}

var b64 = base64.RawURLEncoding

// Create makes a passkey by the options that a server gave, and gives the browser's answer.
func (k *Key) Create(given []byte) (string, error) {
	var o options
	if err := json.Unmarshal(given, &o); err != nil {
		return "", fmt.Errorf("softkey: options: %w", err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	k.private, k.handle, k.rpID = private, o.PublicKey.User.ID, o.PublicKey.RP.ID
	k.id = make([]byte, 16)
	rand.Read(k.id)
	point, err := private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return "", err
	}
	// COSE_Key, RFC 9052: {1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x, -3: y}
	cose := slices.Concat([]byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21}, bytesOf(point[1:33]), []byte{0x22}, bytesOf(point[33:]))
	data := k.authenticatorData(attested)
	data = append(data, make([]byte, 16)...) // AAGUID
	data = binary.BigEndian.AppendUint16(data, uint16(len(k.id)))
	data = slices.Concat(data, k.id, cose)
	object := slices.Concat([]byte{0xa3}, text("fmt"), text("none"), text("attStmt"), []byte{0xa0}, text("authData"), bytesOf(data))
	return k.answer(map[string]string{"clientDataJSON": b64.EncodeToString(k.clientData("webauthn.create", o.PublicKey.Challenge)),
		"attestationObject": b64.EncodeToString(object)})
}

// Get uses the passkey by the options that a server gave, and gives the browser's answer.
func (k *Key) Get(given []byte) (string, error) {
	var o options
	if err := json.Unmarshal(given, &o); err != nil {
		return "", fmt.Errorf("softkey: options: %w", err)
	}
	data, client := k.authenticatorData(0), k.clientData("webauthn.get", o.PublicKey.Challenge)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(slices.Concat(data, hash[:]))
	signature, err := ecdsa.SignASN1(rand.Reader, k.private, digest[:])
	if err != nil {
		return "", err
	}
	return k.answer(map[string]string{"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data),
		"signature": b64.EncodeToString(signature), "userHandle": k.handle})
}

func (k *Key) answer(response map[string]string) (string, error) {
	b, err := json.Marshal(map[string]any{"id": b64.EncodeToString(k.id), "rawId": b64.EncodeToString(k.id), "type": "public-key",
		"response": response, "clientExtensionResults": map[string]any{}})
	return string(b), err
}

func (k *Key) authenticatorData(flags byte) []byte {
	hash := sha256.Sum256([]byte(k.rpID))
	return append(hash[:], flags|userPresent|userVerified, 0, 0, 0, 0)
}

func (k *Key) clientData(kind, challenge string) []byte {
	return fmt.Appendf(nil, `{"type":%q,"challenge":%q,"origin":%q,"crossOrigin":false}`, kind, challenge, k.Origin)
}

// bytesOf and text write CBOR (RFC 8949) of fewer than 65,536 and 24 bytes.
func bytesOf(b []byte) []byte {
	if len(b) < 256 {
		return append([]byte{0x58, byte(len(b))}, b...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{0x59}, uint16(len(b))), b...)
}

func text(s string) []byte { return append([]byte{0x60 | byte(len(s))}, s...) }
