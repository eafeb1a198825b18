package torture

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

func TestCutPower(t *testing.T) {
	data := filepath.Join(t.TempDir(), "file")
	record := func(offset, amount, before int64, old string) (b []byte) {
		for _, n := range []int64{offset, amount, before} {
			b = binary.LittleEndian.AppendUint64(b, uint64(n))
		}
		return append(b, old...)
	}
	// It was "abcdef"; then "XY" at 2, "0123" at 5, and a cut at 4. The last record's write never happened.
	var b []byte
	for _, r := range [][]byte{record(2, 2, 6, "cd"), record(5, 4, 6, "f"), record(4, 5, 9, "e0123"), record(0, 4, 4, "ab")} {
		b = append(b, r...)
	}
	b = b[:len(b)-1]
	if err := os.WriteFile(data, []byte("abXY"), 0o600); err != nil {
		t.Fatal(err)
	}
	lost, err := undo(data, b, nil)
	got, rerr := os.ReadFile(data)
	if err != nil || rerr != nil || lost != 3 || string(got) != "abcdef" {
		t.Errorf("got %q after %d writes were lost, %v, %v", got, lost, err, rerr)
	}
}
