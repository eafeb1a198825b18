package torture

import (
	"bufio"
	"encoding/json"
	"os"
)

// ledger keeps what was acknowledged outside the database: one line of JSON for each, flushed to the disk before add returns.
// Lines of many callers are flushed together. Any goroutine may call add; one goroutine writes.
type ledger struct {
	file  *os.File
	lines chan line
	done  chan error
}

type line struct {
	value any
	kept  chan error
}

func openLedger(path string) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	l := &ledger{file: f, lines: make(chan line, 4*callers), done: make(chan error, 1)}
	go l.write()
	return l, nil
}

func (l *ledger) add(v any) error {
	kept := make(chan error, 1)
	l.lines <- line{v, kept}
	return <-kept
}

func (l *ledger) write() {
	w := bufio.NewWriter(l.file)
	encode := json.NewEncoder(w)
	for first := range l.lines {
		group := []line{first}
		for more := true; more; {
			select {
			case next, ok := <-l.lines:
				if more = ok; ok {
					group = append(group, next)
				}
			default:
				more = false
			}
		}
		var err error
		for _, g := range group {
			if err == nil {
				err = encode.Encode(g.value)
			}
		}
		if err == nil {
			err = w.Flush()
		}
		if err == nil {
			err = l.file.Sync()
		}
		for _, g := range group {
			g.kept <- err
		}
	}
	l.done <- l.file.Close()
}

func (l *ledger) close() error {
	close(l.lines)
	return <-l.done
}
