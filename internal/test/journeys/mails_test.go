package journeys

import (
	"encoding/json"
	"fmt"
	"testing"

	"perennial/internal/message"
	"perennial/internal/test/browser"
)

// TestTheMails shows every message in every language as a mail program does, on a phone and wider, in both themes.
func TestTheMails(t *testing.T) {
	p := owner(t, browser.Options{})
	m := browser.Open(t, browser.Options{})
	for _, k := range message.Kinds {
		for _, language := range message.Languages {
			html, err := json.Marshal(p.Says(fmt.Sprintf(`fetch('/messages/%s/%s/preview').then(r => r.text())`, k.Name, language)))
			if err != nil {
				t.Fatal(err)
			}
			m.Run(fmt.Sprintf(`document.open(); document.write(%s); document.close()`, html))
			m.Becomes(fmt.Sprintf(`document.documentElement.lang === %q && document.querySelector('.words').innerText.length > 40`, language), string(k.Name)+" says nothing in "+language)
			for _, theme := range []string{"light", "dark"} {
				m.Theme(theme)
				for _, width := range []int64{375, 700} {
					m.Width(width)
					m.Fits()
					m.Picture(fmt.Sprintf("mail-%s-%s-%d-%s", k.Name, language, width, theme))
				}
			}
		}
	}
}
