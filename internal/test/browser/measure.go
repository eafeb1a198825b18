package browser

import (
	"context"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Load is what it takes to open a page with nothing kept.
type Load struct {
	Asked  []string      // every address that was asked for
	Bytes  int64         // that came over the wire, with headers
	Usable time.Duration // until it was painted, and its scripts had run
}

func (p *Page) asked(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.load.Asked = append(p.load.Asked, address)
}

func (p *Page) got(bytes float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.load.Bytes += int64(bytes)
}

// SlowPhone makes the page's machine one: a processor four times slower, 1.6 Mbit/s with 150 ms to the server.
func (p *Page) SlowPhone() {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if _, err := cdp.Call(ctx, tab, emulation.SetCPUThrottlingRate, emulation.SetCPUThrottlingRateParams{Rate: 4}); err != nil {
			return err
		}
		if _, err := cdp.Call(ctx, tab, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, tab, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{
			{Latency: 150, DownloadThroughput: 1.6e6 / 8, UploadThroughput: 750e3 / 8}}})
		return err
	}))
}

// Measure opens an address with an empty cache.
func (p *Page) Measure(address string) Load {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if _, err := cdp.Call(ctx, tab, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, tab, network.ClearBrowserCache, cdp.Empty{})
		return err
	}))
	p.mu.Lock()
	p.load = Load{}
	p.mu.Unlock()
	p.Go(address)
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	ms, err := chromedp.Run(ctx, chromedp.Evaluate[float64](`new Promise(done => {
		const look = () => {
			const paint = performance.getEntriesByName('first-contentful-paint')[0], page = performance.getEntriesByType('navigation')[0]
			if (paint && page.loadEventEnd) done(Math.max(paint.startTime, page.domContentLoadedEventEnd)); else setTimeout(look, 50)
		}
		look()
	})`, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.load
	l.Usable = time.Duration(ms * float64(time.Millisecond))
	return l
}
