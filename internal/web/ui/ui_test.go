package ui

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// All files that a page loads are small together, as they are sent.
func TestAssetsAreSmall(t *testing.T) {
	var page strings.Builder
	if err := Page(Shell{Title: "T"}).Render(t.Context(), &page); err != nil {
		t.Fatal(err)
	}
	sum := 0
	files := append(regexp.MustCompile(`/assets/[^"#]+`).FindAllString(page.String(), -1), Asset("icons.svg"))
	for _, file := range files {
		r := httptest.NewRequest(http.MethodGet, file, http.NoBody)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		Assets().ServeHTTP(w, r)
		if w.Code != http.StatusOK || w.Header().Get("Content-Encoding") != "gzip" || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", file, w.Code, w.Header())
		}
		sum += w.Body.Len()
	}
	if sum > 100<<10 || len(files) < 5 {
		t.Errorf("%d files are %d bytes", len(files), sum)
	}
	t.Logf("%d bytes", sum)
}
