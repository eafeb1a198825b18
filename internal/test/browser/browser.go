// Package browser drives Debian's chromium for tests: real pages, real keys, and what axe-core says of them. A page is a browser
// context of its own, with its own cookies. What a page writes to the console as an error, a violation of its Content-Security-Policy
// among them, fails the test.
package browser

import (
	"context"
	_ "embed" // axe-core
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

//go:embed axe/axe.min.js
var axe string

// patience is how long an action may take on a busy machine.
const patience = 30 * time.Second

// browser is started once for all tests of a binary, and ends with it.
var browser = sync.OnceValues(func() (context.Context, error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		return nil, fmt.Errorf("no chromium: run scripts/needs.sh")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	all, _ := chromedp.NewExecAllocator(context.Background(), opts...) // ends with the process
	ctx, _ := chromedp.NewContext(all)
	return ctx, chromedp.Do(ctx)
})

// Options say what a page looks through.
type Options struct {
	Width    int64 // of the window; 0: 1280
	Dark     bool
	NoScript bool
}

// Page is one tab. Its methods fail the test when something cannot be done.
type Page struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	troubles []string // guarded by mu; what the console said
	refusals bool     // guarded by mu; an answer of 4xx is no trouble
	load     Load     // guarded by mu; what was asked for since Measure began
}

// Open opens an empty tab.
func Open(t testing.TB, o Options) *Page {
	t.Helper()
	parent, err := browser()
	if err != nil {
		t.Fatal(err)
	}
	p := &Page{t: t}
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext(), chromedp.WithListener(func(ev any) {
		switch e := ev.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				p.trouble(e.Entry.Text + " " + e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			p.trouble(e.ExceptionDetails.Text + " " + e.ExceptionDetails.URL)
		case *network.EventRequestWillBeSent:
			p.asked(e.Request.URL)
		case *network.EventLoadingFinished:
			p.got(e.EncodedDataLength)
		}
	}))
	p.ctx = ctx
	t.Cleanup(func() {
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, s := range p.troubles {
			if !p.refusals || !strings.Contains(s, "responded with a status of 4") {
				t.Errorf("the console: %s", s)
			}
		}
	})
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, log.Enable, cdp.Empty{})
		return err
	}))
	if o.Width == 0 {
		o.Width = 1280
	}
	p.Width(o.Width)
	theme := "light"
	if o.Dark {
		theme = "dark"
	}
	p.Theme(theme)
	if o.NoScript {
		p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
			_, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
			return err
		}))
	}
	return p
}

func (p *Page) trouble(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.troubles = append(p.troubles, s)
}

// Forgive says that some pages of this tab are meant to be refused. The console tells of it when it comes to it, so before and after.
func (p *Page) Forgive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusals = true
}

func (p *Page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx := p.ctx
	if chromedp.FromContext(ctx) != nil && chromedp.FromContext(ctx).Target != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%v at %s", err, p.where())
	}
}

func (p *Page) where() string {
	at, err := chromedp.Run(p.ctx, chromedp.Location())
	if err != nil {
		return "an unknown page"
	}
	return at
}

// Width sets how wide the window is.
func (p *Page) Width(pixels int64) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(pixels, 900))
}

// Theme says what the system prefers: "light" or "dark".
func (p *Page) Theme(name string) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
		return err
	}))
}

// Go opens an address and waits for its content.
func (p *Page) Go(address string) {
	p.t.Helper()
	p.do(chromedp.Navigate(address), chromedp.WaitReady("main"))
}

// Click clicks what a selector names, once it is there and no longer moves.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.do(chromedp.WaitVisible(selector))
	p.Becomes(fmt.Sprintf(`(r => {
		const now = r && !document.querySelector('.htmx-request') ? r.x + ' ' + r.y : '', still = now && now === window.place
		window.place = now
		return Boolean(still)
	})(document.querySelector(%q)?.getBoundingClientRect())`, selector), selector+" does not come to rest")
	p.do(chromedp.Click(selector))
}

// Fill writes into a field, in the place of what was there.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	p.do(chromedp.WaitVisible(selector), chromedp.SetValue(selector, text))
	p.Run(fmt.Sprintf(`for (const what of ['input', 'change']) document.querySelector(%q).dispatchEvent(new Event(what, {bubbles: true}))`, selector))
}

// Type presses keys in a field.
func (p *Page) Type(selector, keys string) {
	p.t.Helper()
	p.do(chromedp.WaitVisible(selector), chromedp.SendKeys(selector, keys))
}

// Keys presses keys on the page.
func (p *Page) Keys(keys string, opts ...chromedp.KeyOption) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys, opts...))
}

// Wait waits until something is to be seen.
func (p *Page) Wait(selector string) {
	p.t.Helper()
	p.do(chromedp.WaitVisible(selector))
}

// Text is what a reader sees of an element.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Text(selector))
	if err != nil {
		p.t.Fatalf("%s: %v at %s", selector, err, p.where())
	}
	return s
}

// Holds fails unless the page says all of some words, now or soon.
func (p *Page) Holds(words ...string) {
	p.t.Helper()
	var body string
	for end := time.Now().Add(patience); time.Now().Before(end); { // the page may be changing under our eyes
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		now, err := chromedp.Run(ctx, chromedp.Text("body"))
		cancel()
		missing := err != nil
		if err == nil {
			body = now
		}
		for _, w := range words {
			missing = missing || !strings.Contains(body, w)
		}
		if !missing {
			return
		}
		p.do(chromedp.Sleep(100 * time.Millisecond))
	}
	p.t.Fatalf("%s does not say %q:\n%s", p.where(), words, body)
}

// Lacks fails when the page says something.
func (p *Page) Lacks(words string) {
	p.t.Helper()
	if body := p.Text("body"); strings.Contains(body, words) {
		p.t.Fatalf("%s says %q:\n%s", p.where(), words, body)
	}
}

// Run runs a script and leaves what it gives.
func (p *Page) Run(script string) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](script))
}

// Asks runs a script that gives a truth about the page as it is now. What a click or a key brings about is for Becomes.
func (p *Page) Asks(script string) bool {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script))
	if err != nil {
		p.t.Fatalf("%s: %v at %s", script, err, p.where())
	}
	return yes
}

// Becomes fails unless a script gives true, now or soon: the page answers a click or a key when it comes to it.
func (p *Page) Becomes(script, otherwise string) {
	p.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); p.do(chromedp.Sleep(20 * time.Millisecond)) {
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script))
		cancel()
		if err == nil && yes { // an error: the page is being left
			return
		}
	}
	p.t.Fatalf("%s: %s", p.where(), otherwise)
}

// Says runs a script that promises a text, and gives the text.
func (p *Page) Says(script string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v at %s", script, err, p.where())
	}
	return s
}

// Fits fails when the page is wider than its window.
func (p *Page) Fits() {
	p.t.Helper()
	if !p.Asks(`document.documentElement.scrollWidth <= window.innerWidth`) {
		p.t.Errorf("%s is wider than its window", p.where())
	}
}

// Accessible fails when axe-core finds something wrong with the page.
func (p *Page) Accessible() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](axe+"\n;void 0")); err != nil {
		p.t.Fatal(err)
	}
	b, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](`axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => v.id + ': ' + v.help + ' — ' + v.nodes.slice(0, 3).map(n => n.html + ' ' + (n.any[0] ? n.any[0].message : '')).join(' | ')))`, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatal(err)
	}
	var found []string
	if err := json.Unmarshal(b, &found); err != nil {
		p.t.Fatal(err)
	}
	for _, f := range found {
		p.t.Errorf("%s: %s", p.where(), f)
	}
}

// Picture keeps a picture of what the window shows in the folder PERENNIAL_SCREENSHOTS; without one it does nothing.
func (p *Page) Picture(name string) {
	p.t.Helper()
	dir := os.Getenv("PERENNIAL_SCREENSHOTS")
	if dir == "" {
		return
	}
	img, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), img, 0o644)
	}
	if err != nil {
		p.t.Error(err)
	}
}

// Value is what stands in a field.
func (p *Page) Value(selector string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Value(selector))
	if err != nil {
		p.t.Fatalf("%s: %v at %s", selector, err, p.where())
	}
	return s
}
