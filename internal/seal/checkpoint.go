package seal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is what a signed checkpoint says: these were the first Size leaves of the log.
type Checkpoint struct {
	Origin string // the log's name, "perennial/" and the shop's id
	Size   int64
	Root   Hash
}

// SignCheckpoint makes a checkpoint in the form of https://c2sp.org/tlog-checkpoint: the origin, the size in decimal and
// the root in base64, a line each, as a signed note. The signer's name is the origin.
func SignCheckpoint(signer note.Signer, origin string, size int64, root Hash) ([]byte, error) {
	if signer.Name() != origin {
		return nil, fmt.Errorf("seal: a checkpoint of %q cannot be signed as %q", origin, signer.Name())
	}
	if size < 0 || size > MaxSize {
		return nil, fmt.Errorf("%w: a checkpoint of %d entries", ErrRange, size)
	}
	return note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, size, root)}, signer)
}

// OpenCheckpoint checks that msg is a checkpoint of origin signed by the log's own key, which must be among verifiers.
// Signatures of others (witnesses) may stand beside it and do not replace it. There is one way only to write a
// checkpoint: no extension lines, no leading zeros, no other base64.
func OpenCheckpoint(msg []byte, verifiers note.Verifiers, origin string) (Checkpoint, error) {
	n, err := note.Open(msg, verifiers)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("seal: checkpoint: %w", err)
	}
	if err := signedBy(n, origin); err != nil {
		return Checkpoint{}, err
	}
	lines := strings.Split(n.Text, "\n") // the text ends with a newline, so the last element is empty
	if len(lines) != 4 {
		return Checkpoint{}, fmt.Errorf("seal: checkpoint: %d lines where 3 are wanted", len(lines)-1)
	}
	if lines[0] != origin {
		return Checkpoint{}, fmt.Errorf("seal: checkpoint: of %q, not of %q", lines[0], origin)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || size > MaxSize || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("seal: checkpoint: %q is not a size", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil || root.String() != lines[2] {
		return Checkpoint{}, fmt.Errorf("seal: checkpoint: %q is not a root", lines[2])
	}
	return Checkpoint{origin, size, root}, nil
}

func signedBy(n *note.Note, name string) error {
	for _, s := range n.Sigs {
		if s.Name != name {
			continue
		}
		// note.Open lets the unused last bits of the base64 be anything.
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return errors.New("seal: checkpoint: the signature is not in canonical base64")
		}
		return nil
	}
	return fmt.Errorf("seal: checkpoint: not signed by %q", name)
}
