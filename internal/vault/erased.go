package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
)

const (
	erasedName   = "erased"
	erasedHeader = "perennial erased keys v1\n"
)

// erasedList is the file of erased keys as far as it was read. The file only grows, so its size says whether there is
// more to read.
type erasedList struct {
	path string

	mu   sync.RWMutex
	ids  map[string]struct{} // guarded by mu
	read int64               // guarded by mu; bytes of the file that ids stands for, up to the end of a line
}

// Erased tells whether a data key was destroyed, by any process. When the list cannot be read it says yes: a value
// shown by mistake cannot be taken back.
func (f *Folder) Erased(keyID string) bool {
	l := &f.erased
	info, err := os.Stat(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.mu.RLock()
		defer l.mu.RUnlock()
		return l.read > 0 // the list is there for good, once it was made
	case err != nil:
		return true
	}
	l.mu.RLock()
	known := l.read == info.Size()
	_, found := l.ids[keyID]
	l.mu.RUnlock()
	if known || found {
		return found
	}
	if err := l.reload(); err != nil {
		return true
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, found = l.ids[keyID]
	return found
}

// ErasedKeys lists the data keys that were destroyed, in no order.
func (f *Folder) ErasedKeys() ([]string, error) {
	if err := f.erased.reload(); err != nil {
		return nil, err
	}
	f.erased.mu.RLock()
	defer f.erased.mu.RUnlock()
	return slices.Collect(maps.Keys(f.erased.ids)), nil
}

// Erase puts data keys on the list, durably, before it returns. Keys that are on it already are no error.
func (f *Folder) Erase(keyIDs ...string) error {
	for _, id := range keyIDs {
		if err := checkKeyID(id); err != nil {
			return err
		}
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	l := &f.erased
	if err := l.reload(); err != nil {
		return err
	}
	l.mu.RLock()
	start := l.read
	var b strings.Builder
	if start == 0 {
		b.WriteString(erasedHeader)
	}
	n := b.Len()
	for _, id := range keyIDs {
		if _, ok := l.ids[id]; !ok {
			b.WriteString(id)
			b.WriteByte('\n')
		}
	}
	l.mu.RUnlock()
	if b.Len() == n {
		return nil
	}
	if err := appendAt(l.path, start, b.String()); err != nil {
		return f.unwritten(fmt.Errorf("erased list: %w", err))
	}
	if start == 0 {
		if err := f.sync(); err != nil {
			return err
		}
	}
	return l.reload()
}

// appendAt writes after the last whole line. What a crash left behind it is part of a line that nobody was told is
// there.
func appendAt(path string, start int64, lines string) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := file.Truncate(start); err != nil {
		return err
	}
	if _, err := file.WriteAt([]byte(lines), start); err != nil {
		return err
	}
	return file.Sync()
}

// reload reads the list from the file.
func (l *erasedList) reload() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	content, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) && l.read == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("vault: erased list: %w", err)
	}
	whole := content[:bytes.LastIndexByte(content, '\n')+1]
	if int64(len(whole)) < l.read {
		return errors.New("vault: erased list: it was cut")
	}
	if len(whole) == 0 {
		return nil // made, and its first line not yet written
	}
	lines, ok := strings.CutPrefix(string(whole), erasedHeader)
	if !ok {
		return errors.New("vault: erased list: it does not begin as one")
	}
	ids := make(map[string]struct{}, strings.Count(lines, "\n"))
	for line := range strings.Lines(lines) {
		id := strings.TrimSuffix(line, "\n")
		if err := checkKeyID(id); err != nil {
			return fmt.Errorf("vault: erased list: %w", err)
		}
		ids[id] = struct{}{}
	}
	l.ids, l.read = ids, int64(len(whole))
	return nil
}
