package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
)

// zippers are kept: one holds 800 KB of tables.
var zippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is a good one
	return z
}}

// smallest is from how many bytes on a page is worth compressing.
const smallest = 1 << 10

// Send sends a whole page, compressed for whoever takes it so.
//
// How long a compressed page is says a little about what stands beside what the asker put into it (BREACH, CVE-2013-3587). A comment of a
// random length in the head of the gzip stream (RFC 1952, section 2.3.1) makes that length say less, and browsers pass over it.
func Send(w http.ResponseWriter, r *http.Request, status int, page []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Add("Vary", "Accept-Encoding")
	if len(page) < smallest || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.WriteHeader(status)
		_, _ = w.Write(page) // a browser that went away
		return
	}
	var out bytes.Buffer
	z := zippers.Get().(*gzip.Writer)
	defer zippers.Put(z)
	z.Reset(&out)
	text := rand.Text() + rand.Text()
	z.Comment = text[:1+int(text[0]+text[1])%len(text)]
	_, _ = z.Write(page) // to memory
	_ = z.Close()
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // a browser that went away
}

// WithoutSlash is the address of a page that was asked for with a slash at its end, on this server; empty for any other request.
func WithoutSlash(r *http.Request) string {
	if (r.Method != http.MethodGet && r.Method != http.MethodHead) || len(r.URL.Path) < 2 || !strings.HasSuffix(r.URL.Path, "/") {
		return ""
	}
	to := url.URL{Path: path.Clean(r.URL.Path), RawQuery: r.URL.RawQuery} // with one slash at its beginning: //host/ would lead elsewhere
	return to.String()
}
