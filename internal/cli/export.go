package cli

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"perennial/internal/fault"
	"perennial/internal/server"
	"perennial/internal/store"
)

type exportCommand struct {
	place
	To string `help:"The file to write; - for standard output." default:"-" placeholder:"FILE"`
}

// exportHeader is the first line of an export: what an auditor compares the rest with.
type exportHeader struct {
	Format     string `json:"format"`
	Shop       string `json:"shop"`
	Size       int64  `json:"size"`
	Root       string `json:"root"`
	Checkpoint string `json:"checkpoint,omitempty"` // the newest signed one
	LogKey     string `json:"log_key,omitempty"`
}

// exportLine is one entry: its canonical bytes as a text, and its leaf hash. Sealed values are not in it: they stay
// where their keys are.
type exportLine struct {
	Seq      int64  `json:"seq"`
	LeafHash string `json:"leaf_hash"`
	Body     string `json:"body"`
}

// Run writes the journal out, entry by entry, in constant memory. It writes no event.
func (c exportCommand) Run(w *world) (err error) {
	s, done, err := server.OpenReadOnly(w.ctx, c.config(w.log))
	if err != nil {
		return err
	}
	defer done()
	var out io.Writer = w.out
	if c.To != "-" {
		f, err := os.OpenFile(c.To, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fault.Wrap(err, fault.Unavailable, "export_file", "The file %s cannot be made; it must not exist yet.", c.To)
		}
		defer func() {
			if cerr := f.Close(); err == nil {
				err = cerr
			}
		}()
		out = f
	}
	buffered := bufio.NewWriterSize(out, 1<<20)
	head, err := s.ReadHead(w.ctx, s.Read)
	if err != nil {
		return store.Fault(err)
	}
	root := head.Edge.Root()
	h := exportHeader{Format: "perennial-journal/1", Shop: string(s.Shop), Size: head.Seq + 1, Root: base64.StdEncoding.EncodeToString(root[:])}
	last, err := s.Checkpoints(w.ctx, s.Read, head.Seq+2, 1)
	if err != nil {
		return store.Fault(err)
	}
	if len(last) == 1 {
		h.Checkpoint = last[0].Note
		if _, h.LogKey, err = s.Keys.Folder().Verifier(string(s.Shop)); err != nil {
			return err
		}
	}
	e := json.NewEncoder(buffered)
	e.SetEscapeHTML(false)
	if err := e.Encode(h); err != nil {
		return err
	}
	b := newBar(w.err, "Exporting")
	for st, err := range s.Events(w.ctx, s.Read, store.Closed, 0, head.Seq+1) {
		if err != nil {
			return store.Fault(err)
		}
		if err := e.Encode(exportLine{st.Seq, base64.StdEncoding.EncodeToString(st.Leaf[:]), string(st.Body)}); err != nil {
			return fmt.Errorf("write the export: %w", err)
		}
		if st.Seq%1000 == 0 {
			b.set(st.Seq+1, head.Seq+1, thousands(st.Seq+1)+" entries")
		}
	}
	b.end()
	return buffered.Flush()
}
