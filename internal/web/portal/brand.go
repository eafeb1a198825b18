package portal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"perennial/internal/journal"
	"perennial/internal/program"
	"perennial/internal/settings"
)

// The grounds that the style sheet (ui.css) puts under text, in both themes: --canvas and --surface.
var (
	lightGrounds = []settings.Color{{R: 0xf4, G: 0xf5, B: 0xf7}, settings.White}
	darkGrounds  = []settings.Color{{R: 0x0f, G: 0x11, B: 0x14}, {R: 0x18, G: 0x1b, B: 0x20}}
)

// readable moves a colour towards black or white until it can be read on some grounds and on a ground of its own, soft, that goes with it.
func readable(c, towards settings.Color, grounds []settings.Color) (text, soft settings.Color) {
	for share := 0.0; ; share += 0.02 {
		text = c.Mixed(towards, min(share, 1))
		soft = grounds[len(grounds)-1].Mixed(text, 0.1)
		if share >= 1 || !slices.ContainsFunc(append(slices.Clone(grounds), soft), func(g settings.Color) bool { return settings.Contrast(text, g) < settings.ReadableContrast }) {
			return text, soft
		}
	}
}

// sheet is the style of the store's brand, over ui.css; empty when the store wants nothing of its own. A button has the brand's colour with
// the text that can be read on it; what is written in the colour is made darker or lighter until it can be read.
func sheet(p *settings.Portal) string {
	var b strings.Builder
	if p == nil {
		return ""
	}
	if c, ok := settings.ParseColor(p.BrandColor); ok {
		light, lightSoft := readable(c, settings.Black, lightGrounds)
		dark, darkSoft := readable(c, settings.White, darkGrounds)
		on := settings.TextOn(c)
		fmt.Fprintf(&b, ":root{--accent:light-dark(%s,%s);--on-accent:light-dark(%s,%s);--accent-soft:light-dark(%s,%s)}\n", light, dark, settings.TextOn(light), settings.TextOn(dark), lightSoft, darkSoft)
		fmt.Fprintf(&b, ".button.primary:not(.danger),.brand .mark{background:%s;border-color:%s;color:%s}\n.button.primary:not(.danger):hover{box-shadow:0 0 0 2px %s}\n", c, c, on, c)
	}
	if p.CornerRadius != nil {
		fmt.Fprintf(&b, ":root{--radius:%dpx}\n", *p.CornerRadius)
	}
	return b.String()
}

func hashOf(sheet string) string {
	sum := sha256.Sum256([]byte(sheet))
	return hex.EncodeToString(sum[:6])
}

// style is the address of the brand's style sheet; empty for none. It changes with what is in it.
func style(p *settings.Portal) string {
	s := sheet(p)
	if s == "" {
		return ""
	}
	return "/portal/brand/" + hashOf(s) + ".css"
}

// serveStyle answers with the style sheet as it is now. A browser may keep it for ever under the address that is its own.
func (p *Portal) serveStyle(w http.ResponseWriter, r *http.Request) {
	portal, err := journal.Find[settings.Portal](program.NewReader(r.Context(), p.Store, p.Store.Read), journal.Settings, settings.PagePortal)
	if err != nil {
		p.Log.Error("style", "error", err)
		http.Error(w, "Something went wrong here.", http.StatusInternalServerError)
		return
	}
	s := sheet(portal)
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	if r.PathValue("file") == hashOf(s)+".css" {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write([]byte(s)) // a browser that went away
}

// policy is the Content-Security-Policy of a page: everything from here, pictures from the logo's host too, in the frames of those who may.
func (c *call) policy() string {
	pictures := "'self' data:"
	if u, err := url.Parse(c.offer().LogoURL); err == nil && u.Host != "" {
		pictures += " https://" + u.Host
	}
	return "default-src 'self'; img-src " + pictures + "; object-src 'none'; frame-ancestors " + c.framers() + "; base-uri 'none'; form-action 'self'"
}

// framers are who may show the Portal in a frame.
func (p *Portal) framers() string {
	if len(p.FrameAncestors) == 0 {
		return "'none'"
	}
	return strings.Join(p.FrameAncestors, " ")
}
