package demo_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perennial/internal/demo"
	"perennial/internal/mail"
)

func TestMailbox(t *testing.T) {
	dir := t.TempDir()
	box := filepath.Join(dir, "mail")
	if err := os.Mkdir(box, 0o700); err != nil {
		t.Fatal(err)
	}
	mux := demo.Mailbox(box)
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	if code, body := get("/demo/mail"); code != 200 || !strings.Contains(body, "No mail yet.") {
		t.Errorf("empty: %d\n%s", code, body)
	}
	for name, text := range map[string]string{"mail/1-first.eml": "Subject: <b>one</b>", "mail/2-second.eml": "Subject: two", "mail/notes.txt": "no mail", "secret.eml": "outside"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, body := get("/demo/mail")
	first, second := strings.Index(body, "1-first.eml"), strings.Index(body, "2-second.eml")
	if code != 200 || first < 0 || second < 0 || second > first || strings.Contains(body, "notes.txt") {
		t.Errorf("list, newest first: %d\n%s", code, body)
	}
	if code, body := get("/demo/mail/1-first.eml"); code != 200 || !strings.Contains(body, "<h1>&lt;b&gt;one&lt;/b&gt;</h1>") {
		t.Errorf("no mail: %d\n%s", code, body)
	}
	folder := &mail.Folder{Dir: box, Clock: time.Now}
	if err := folder.Send(t.Context(), mail.Message{To: "ada@example.com", FromName: "Röst & Co", Subject: "Schön <b>", Text: "Grüße <i>\n", HTML: `<p style="color:red">Grüße <a href="https://shop.example/">x</a></p>`}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(box, "2*-*-*.eml"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	name := "/demo/mail/" + filepath.Base(files[0])
	if code, body := get(name); code != 200 || !strings.Contains(body, "<h1>Schön &lt;b&gt;</h1>") || !strings.Contains(body, "Grüße &lt;i&gt;") || !strings.Contains(body, "ada@example.com") || !strings.Contains(body, "Röst &amp; Co") ||
		!strings.Contains(body, `sandbox="allow-popups allow-popups-to-escape-sandbox"`) {
		t.Errorf("a mail: %d\n%s", code, body)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, name+"?part=html", nil))
	if csp := w.Header().Get("Content-Security-Policy"); w.Body.String() != `<p style="color:red">Grüße <a target="_blank" rel="noopener" href="https://shop.example/">x</a></p>` || !strings.HasPrefix(csp, "sandbox ") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("the HTML, under %q:\n%s", csp, w.Body)
	}
	if _, body := get(name + "?part=file"); !strings.Contains(body, "multipart/alternative") {
		t.Errorf("the file:\n%s", body)
	}
	for _, name := range []string{"3-third.eml", ".part.eml", "notes.txt", "..%2fsecret.eml", "%2e%2e%2fsecret.eml", "mail%00.eml"} {
		if code, body := get("/demo/mail/" + name); code != 404 || strings.Contains(body, "outside") {
			t.Errorf("%s: %d\n%s", name, code, body)
		}
	}
	if err := os.RemoveAll(box); err != nil {
		t.Fatal(err)
	}
	if code, _ := get("/demo/mail"); code != 500 {
		t.Errorf("without its folder: %d", code)
	}
}
