package htmlcheck

import (
	"fmt"
	"strings"
	"testing"
)

const frame = `<!DOCTYPE html><html lang="en"><head><title>T</title></head><body><main><h1>T</h1>%s</main></body></html>`

func TestAGoodPage(t *testing.T) {
	p := Check(fmt.Sprintf(frame, `<h2>A</h2><p>x <a href="/a">go</a></p><form method="post" action="/b"><input type="hidden" name="form_number" value="01234567890123456789"><label for="c">C</label><input id="c" name="c"><label><input type="checkbox" name="d"> D</label><button>Send</button></form>
		<ul><li>one</li></ul><table><caption>T</caption><thead><tr><th scope="col">H</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table><svg aria-hidden="true"><use href="#x"></use></svg><my-part><div>x</div></my-part>`))
	if len(p.Problems) > 0 || len(p.Links) != 1 || p.Links[0] != "/a" || len(p.Forms) != 1 || p.Forms[0].Method != "post" || p.Forms[0].Action != "/b" || !p.Forms[0].Numbered() || p.Title != "T" {
		t.Errorf("%+v", p)
	}
}

// What each rule is there for.
func TestWhatIsWrong(t *testing.T) {
	for body, want := range map[string]string{
		`<p>a<div>b</div></p>`:                 "a browser reads",
		`<div><span></div></span>`:             "does not close",
		`<div>`:                                "does not close",
		`<table><tr><td>a</td></tr></table>`:   "a browser reads",
		`<a href="/a">x<a href="/b">y</a></a>`: "a browser reads",
		`<form><form></form></form>`:           "a browser reads",
		`<span><div>a</div></span>`:            "<div> is inside of <span>",
		`<button>a<a href="/x">b</a></button>`: "<a> is inside of <button>",
		`<ul><p>a</p></ul>`:                    `<ul> holds "p"`,
		`<li>a</li>`:                           "<li> is inside",
		`<p id="a">x</p><p id="a">y</p>`:       `the id "a"`,
		`<h3>deep</h3>`:                        "comes after one of level 1",
		`<h1>again</h1>`:                       "<h1> is there 2 times",
		`<p style="color:red">x</p>`:           "a style of its own",
		`<p onclick="x()">x</p>`:               "has onclick",
		`<script>x()</script>`:                 "a script is inline",
		`<style>p{}</style>`:                   "<style> is no element",
		`<img src="/x">`:                       "has no alt",
		`<form method="post"></form>`:          "no number of its own",
		`<input name="q">`:                     `the field "q" has no label`,
		`<label for="q">Q</label>`:             "is no field",
		`<a href="/x"></a>`:                    "has no name",
		`<a>x</a>`:                             "leads nowhere",
		`<a href="javascript:x()">x</a>`:       "leads to a script",
		`<a href="#gone">x</a>`:                "is not there",
		`<p aria-describedby="gone">x</p>`:     "is not there",
		`<details><p>x</p></details>`:          "begin with its <summary>",
		`<fieldset><p>x</p></fieldset>`:        "begin with its <legend>",
		`<nav><a href="/x">x</a></nav>`:        "<nav> has no name",
		`<blink>x</blink>`:                     "no element that we use",
		`<svg><path d="M0"></path></svg>`:      "neither hidden nor named",
		`<table><caption>T</caption><thead><tr><th>H</th></tr></thead></table>`: "has no scope",
	} {
		if got := strings.Join(Check(fmt.Sprintf(frame, body)).Problems, "; "); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
	for page, want := range map[string]string{`<p>x</p>`: "DOCTYPE", strings.Replace(fmt.Sprintf(frame, ""), ` lang="en"`, "", 1): "no lang", strings.Replace(fmt.Sprintf(frame, ""), "T</title>", "</title>", 1): "no title"} {
		if got := strings.Join(Check(page).Problems, "; "); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", page, got, want)
		}
	}
}
