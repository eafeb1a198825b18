package bench

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"perennial/internal/server"
	"perennial/internal/web/dashboard"
	"perennial/internal/web/ui"
)

const (
	views   = 500 // of each page
	warming = 20  // before they count
	slowest = 15 * time.Millisecond
)

// Pages measures only what the Dashboard takes for its longest lists, on a shop of so many entries.
func Pages(ctx context.Context, o Options) (*Report, error) {
	if o.Span == 0 {
		o.Span = time.Second
	}
	return measure(ctx, o, func(r *run) []func() error {
		return []func() error{r.bareReads, func() error {
			s, err := r.found("shop")
			if err != nil {
				return err
			}
			if err := r.grow(s, r.Events); err != nil {
				return err
			}
			return r.profiled("pages", func() error { return r.pages(s) })
		}}
	})
}

// pages measures whole pages of 50 rows, as the server makes them: the session, the permissions, the search, the opened values, the
// HTML and its compression. What the network adds is left out.
func (r *run) pages(s *shop) error {
	return r.open(s, false, func(i *server.Instance) error {
		entries := i.Program.Head() + 1
		r.Say(fmt.Sprintf("pages over %d entries", entries))
		d, err := dashboard.New(dashboard.Config{Program: i.Program, Store: i.Store, Finder: i.Finder, Analytics: i.Analytics, IDs: i.IDs, Log: slog.New(slog.DiscardHandler), BaseURL: "http://bench.invalid"})
		if err != nil {
			return err
		}
		defer d.Drain()
		v := &viewer{handler: d.Handler(), cookies: map[string]*http.Cookie{}}
		link, err := d.SetupLink(r.ctx)
		if err != nil {
			return err
		}
		_, path, _ := strings.Cut(link, ".invalid")
		if status, _ := v.visit(http.MethodPost, path, url.Values{"email": {"bench@example.com"}, "name": {"Bench"}, "password": {"a password for the bench"}, ui.Number: {"the only form of bench"}}); status != http.StatusSeeOther {
			return fmt.Errorf("bench: signing in: %d", status)
		}
		anybody := func() *person { return s.people[rand.IntN(len(s.people))] }
		for _, p := range []struct {
			key, name string
			path      func() string
		}{
			{"subscriptions", "page: subscriptions", func() string { return "/subscriptions" }},
			{"next", "page: subscriptions by their next order", func() string { return "/subscriptions?sort=next" }},
			{"explorer", "page: the explorer", func() string { return "/events" }},
			{"rare", "page: the explorer, a rare type", func() string { return "/events?type=product.updated" }},
			{"words", "page: the explorer, two words", func() string { return "/events?q=quantity+" + s.titles[rand.IntN(len(s.titles))] }},
			{"log", "page: a subscription's log", func() string { return "/subscriptions/" + string(anybody().subscription) + "/log" }},
			{"customer", "page: a customer's log", func() string { return "/customers/" + string(anybody().customer) + "/log" }},
		} {
			took := make([]time.Duration, views)
			for n := -warming; n < views; n++ {
				path := p.path()
				began := time.Now()
				if status, size := v.visit(http.MethodGet, path, nil); status != http.StatusOK || size == 0 {
					return fmt.Errorf("bench: %s: %d", path, status)
				}
				if n >= 0 {
					took[n] = time.Since(began)
				}
			}
			f := Figure{Key: "page." + p.key, Name: p.name, Events: entries, Beside: refRead, Goal: "p99 < 15 ms"}
			f.P50, f.P99 = percentiles(took)
			f.Met = new(f.P99 < slowest)
			r.add(f)
		}
		return nil
	})
}

// viewer is a browser without a network.
type viewer struct {
	handler http.Handler
	cookies map[string]*http.Cookie
}

func (v *viewer) visit(method, path string, form url.Values) (status, size int) {
	r := httptest.NewRequest(method, "http://bench.invalid"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Accept-Encoding", "gzip")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		v.cookies[c.Name] = c
	}
	return w.Code, w.Body.Len()
}
