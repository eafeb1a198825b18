package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"perennial/internal/fault"
)

// cursors makes and reads the opaque places of lists. A cursor is a position under a MAC that also covers the shop (by
// its key), the list and the filter, so it can be neither forged nor carried elsewhere.
type cursors struct{ key [32]byte }

const macLength = 16

func (c cursors) mac(list string, filter any, position string) []byte {
	f, err := json.Marshal(filter)
	if err != nil {
		panic(fmt.Sprintf("api: a filter that cannot be encoded: %v", err)) // filters are structs of strings and numbers
	}
	m := hmac.New(sha256.New, c.key[:])
	fmt.Fprintf(m, "%s\n%d\n%s\n%s", list, len(f), f, position)
	return m.Sum(nil)[:macLength]
}

func (c cursors) make(list string, filter any, position string) string {
	return base64.RawURLEncoding.EncodeToString(append(c.mac(list, filter, position), position...))
}

// parse gives the position, empty for an empty cursor. Anything but a cursor of this list and filter is cursor_invalid.
func (c cursors) parse(list string, filter any, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < macLength || !hmac.Equal(b[:macLength], c.mac(list, filter, string(b[macLength:]))) {
		return "", fault.New(fault.Malformed, "cursor_invalid", "This cursor is not one of this list with these filters. Start from the first page.")
	}
	return string(b[macLength:]), nil
}
