package vault

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"perennial/internal/fault"
)

// logKey is a shop's key pair for checkpoints.
type logKey struct {
	signer   note.Signer
	verifier note.Verifier
	vkey     string // the public half, encoded
}

// Signer gives the Ed25519 key that signs a shop's checkpoints, named "perennial/<shop>". The first call for a shop
// makes it. A key that was lost (its public half or a checkpoint is still there) is never made anew: what it signed
// would no longer verify.
func (f *Folder) Signer(shop string) (note.Signer, error) {
	k, err := f.logKey(shop)
	return k.signer, err
}

// Verifier gives the public half of a shop's key, also in the encoded form that is handed out (note.NewVerifier). Like
// Signer it makes a key that is not there yet.
func (f *Folder) Verifier(shop string) (v note.Verifier, vkey string, err error) {
	k, err := f.logKey(shop)
	return k.verifier, k.vkey, err
}

// Verifiers gives the shop's verifier as the list that checkpoints are opened with.
func (f *Folder) Verifiers(shop string) (note.Verifiers, error) {
	k, err := f.logKey(shop)
	if err != nil {
		return nil, err
	}
	return note.VerifierList(k.verifier), nil
}

// Shops are the shops for which there is a private key in the folder, in order.
func (f *Folder) Shops() (shops []string, err error) {
	files, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	for _, file := range files { // in order of their names
		shop, isLog := strings.CutPrefix(file.Name(), "log-")
		if shop, isKey := strings.CutSuffix(shop, ".key"); isLog && isKey {
			shops = append(shops, shop)
		}
	}
	return shops, nil
}

// KeepsCheckpoint says whether a last checkpoint of the shop is in the folder, also when it is frozen.
func (f *Folder) KeepsCheckpoint(shop string) bool {
	_, err := os.Stat(f.path(checkpointName(shop)))
	return err == nil
}

func origin(shop string) string       { return "perennial/" + shop }
func signerName(shop string) string   { return "log-" + shop + ".key" }
func verifierName(shop string) string { return "log-" + shop + ".pub" }

func (f *Folder) logKey(shop string) (logKey, error) {
	if err := checkShop(shop); err != nil {
		return logKey{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if k, ok := f.logKeys[shop]; ok {
		return k, nil
	}
	skey, err := f.readSigningKey(shop)
	if errors.Is(err, fs.ErrNotExist) {
		skey, err = f.makeSigningKey(shop)
	}
	if err != nil {
		return logKey{}, err
	}
	k, err := parseLogKey(shop, skey)
	if err != nil {
		return logKey{}, fault.New(fault.Unavailable, "keys_damaged",
			"The key file %s is damaged. Put it back from the backup of the keys.", f.shown(signerName(shop)))
	}
	if err := f.publish(shop, k.vkey); err != nil {
		return logKey{}, err
	}
	f.logKeys[shop] = k
	return k, nil
}

func (f *Folder) readSigningKey(shop string) (string, error) {
	content, err := f.readSecret(signerName(shop))
	return strings.TrimSuffix(string(content), "\n"), err
}

// makeSigningKey makes a shop's private key, unless another process was faster.
func (f *Folder) makeSigningKey(shop string) (string, error) {
	lost := fault.New(fault.Unavailable, "keys_missing",
		"The key file %s is gone. Put it back from the backup of the keys.", f.shown(signerName(shop)))
	if f.readOnly {
		return "", lost
	}
	unlock, err := f.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	if skey, err := f.readSigningKey(shop); !errors.Is(err, fs.ErrNotExist) {
		return skey, err
	}
	for _, trace := range []string{verifierName(shop), checkpointName(shop)} {
		if _, err := os.Stat(f.path(trace)); !errors.Is(err, fs.ErrNotExist) {
			return "", lost
		}
	}
	skey, _, err := note.GenerateKey(rand.Reader, origin(shop))
	if err != nil {
		return "", fmt.Errorf("vault: %w", err)
	}
	return skey, f.write(signerName(shop), []byte(skey+"\n"))
}

// publish writes the public file. It comes after the private one and follows from it, so a crash between them only
// means that it is written again, and two processes write the same.
func (f *Folder) publish(shop, vkey string) error {
	public, err := os.ReadFile(f.path(verifierName(shop)))
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.readOnly:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return f.write(verifierName(shop), []byte(vkey+"\n"))
	case err != nil:
		return fmt.Errorf("vault: %w", err)
	case string(public) != vkey+"\n":
		return fault.New(fault.Unavailable, "keys_damaged",
			"The files %s and %s do not belong together. Put both back from the backup of the keys.", f.shown(signerName(shop)),
			f.shown(verifierName(shop)))
	}
	return nil
}

// parseLogKey reads an encoded private key, PRIVATE+KEY+<name>+<hash>+<base64 of an algorithm byte and the seed>.
// Package note makes the two halves together, and not one from the other.
func parseLogKey(shop, skey string) (k logKey, err error) {
	if k.signer, err = note.NewSigner(skey); err != nil {
		return k, err
	}
	if k.signer.Name() != origin(shop) {
		return k, fmt.Errorf("vault: a key of %q", k.signer.Name())
	}
	parts := strings.SplitN(skey, "+", 5)
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil {
		return k, err
	}
	public := ed25519.NewKeyFromSeed(seed[1:])[ed25519.SeedSize:] // NewSigner has checked algorithm and length
	if k.vkey, err = note.NewEd25519VerifierKey(origin(shop), ed25519.PublicKey(public)); err != nil {
		return k, err
	}
	k.verifier, err = note.NewVerifier(k.vkey)
	return k, err
}
