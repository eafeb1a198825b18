package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// bar shows how far something is, on one line of a terminal. Elsewhere (a file, a pipe) it prints a line at each tenth.
type bar struct {
	w        io.Writer
	label    string
	terminal bool
	last     time.Time
	tenth    int64
	shown    bool
}

func newBar(w io.Writer, label string) *bar {
	return &bar{w: w, label: label, tenth: -1, terminal: isTerminal(w)}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// set shows that done of total are done. note says more.
func (b *bar) set(done, total int64, note string) {
	if total <= 0 {
		return
	}
	done = min(done, total)
	if !b.terminal {
		if t := done * 10 / total; t != b.tenth {
			b.tenth = t
			fmt.Fprintf(b.w, "%s %3d %%  %s\n", b.label, done*100/total, note)
		}
		return
	}
	if time.Since(b.last) < 80*time.Millisecond && done < total {
		return
	}
	b.last, b.shown = time.Now(), true
	const width = 28
	full := int(done * width / total)
	fmt.Fprintf(b.w, "\r\x1b[K%s  %s%s  %3d %%  %s", b.label, strings.Repeat("█", full), strings.Repeat("░", width-full), done*100/total, note)
}

// end leaves the line.
func (b *bar) end() {
	if b.shown {
		fmt.Fprintln(b.w)
		b.shown = false
	}
}

// thousands writes a number as people read it: 12,481.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
