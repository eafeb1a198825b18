package ui_test

import (
	"net/http/httptest"
	"testing"

	"perennial/internal/web/ui"
)

func TestWithoutSlash(t *testing.T) {
	for _, tt := range []struct{ method, at, want string }{
		{"GET", "/products/?status=active", "/products?status=active"},
		{"HEAD", "/portal/", "/portal"},
		{"GET", "/", ""},
		{"GET", "/products", ""},
		{"POST", "/products/", ""},
		{"GET", "http://shop.example//elsewhere.example/", "/elsewhere.example"},
		{"GET", "/%5Celsewhere.example/", "/%5Celsewhere.example"},
	} {
		if got := ui.WithoutSlash(httptest.NewRequest(tt.method, tt.at, nil)); got != tt.want {
			t.Errorf("%s %s: got %q, want %q", tt.method, tt.at, got, tt.want)
		}
	}
}
