// Package ui is the look that the Dashboard and the Portal share: the style sheet, the script, the icons, and the parts that
// pages are made of, as templ components with typed arguments. It knows nothing of the domain and of no storage: a page turns
// what it shows into the values here.
//
// Everything works without JavaScript. The script (assets/ui.js) makes it better: dialogs instead of pages, the command palette,
// keys in the log. There is no inline script or style anywhere, so the strictest Content-Security-Policy holds. Colours come
// from one set of custom properties with light-dark(), so both themes are the same sheet. Package showcase is a page with every part; a
// test looks at it with axe-core in both themes and at the width of a phone.
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:generate go tool -modfile=../../../tools/go.mod templ generate

//go:embed assets
var files embed.FS

// Link is an address and what it is called.
type Link struct{ Href, Text string }

// Preview ends the address that a form is sent to in order to see what it would do. A POST, because what was typed (names, addresses) must
// not stay in the history of a browser and the log of a proxy; it changes nothing.
const Preview = "/preview"

// WithoutPreview is the address of the form that a preview is of.
func WithoutPreview(path string) string { return strings.TrimSuffix(path, Preview) }

// asset is one file, ready to be sent.
type asset struct {
	body, zipped []byte
	kind         string
}

// assets reads all files once. Their common hash is in every address, so that a browser may keep them for ever.
var assets = sync.OnceValue(func() (all struct {
	hash string
	by   map[string]asset
}) {
	all.by = map[string]asset{}
	sum := sha256.New()
	entries, err := fs.ReadDir(files, "assets")
	if err != nil {
		panic(err) // the folder is embedded
	}
	for _, e := range entries {
		body, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum.Write(body)
		var zipped bytes.Buffer
		w, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression) // the level is a good one
		_, _ = w.Write(body)                                       // to memory
		_ = w.Close()
		all.by[e.Name()] = asset{body: body, zipped: zipped.Bytes(), kind: mime.TypeByExtension(path.Ext(e.Name()))}
	}
	all.hash = hex.EncodeToString(sum.Sum(nil)[:6])
	return all
})

// assetsAt is where the files are served.
const assetsAt = "/assets/"

// Asset is the address of a file of this package. It changes when any of them does.
func Asset(name string) string { return assetsAt + assets().hash + "/" + name }

// Assets serves the files under their addresses; it is for "GET /assets/".
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, assetsAt), "/")
		a, ok := assets().by[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.kind)
		h.Set("Vary", "Accept-Encoding")
		if hash == assets().hash {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			h.Set("Cache-Control", "no-cache")
		}
		body := a.body
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body = a.zipped
		}
		_, _ = w.Write(body) // a browser that went away
	})
}

// Theme is what a person chose: light, dark, or what their system says.
type Theme string

const (
	ThemeSystem Theme = ""
	ThemeLight  Theme = "light"
	ThemeDark   Theme = "dark"
)

// ThemeCookie keeps the choice on the device.
const ThemeCookie = "theme"

// ThemeOf reads the choice from a request.
func ThemeOf(r *http.Request) Theme {
	if c, err := r.Cookie(ThemeCookie); err == nil && (c.Value == string(ThemeLight) || c.Value == string(ThemeDark)) {
		return Theme(c.Value)
	}
	return ThemeSystem
}

// Tone is what a status means at a glance.
type Tone string

const (
	Neutral Tone = ""
	Good    Tone = "good"
	Warn    Tone = "warn"
	Bad     Tone = "bad"
	Info    Tone = "info"
)

// icon is the shape that goes with a tone where none is given.
func (t Tone) icon() string {
	switch t {
	case Good:
		return "circle-check"
	case Warn:
		return "triangle-alert"
	case Bad:
		return "circle-x"
	case Info:
		return "info"
	}
	return "circle"
}
