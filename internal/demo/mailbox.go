package demo

import (
	"bytes"
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"perennial/internal/access"
)

var mailboxPage = template.Must(template.New("mailbox").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{with .Open}}{{.Subject}} · {{end}}Mailbox · Perennial demo</title>
<link rel="stylesheet" href="/api/docs.css"></head>
<body><main>
{{with .Open}}<p><a href="/demo/mail">All mail</a></p><h1>{{.Subject}}</h1>
<p>To {{.To}}<br>From {{.From}}<br>{{.Date}}</p>
{{if .HTML}}<iframe title="The message as a mail program shows it" src="/demo/mail/{{.Name}}?part=html" sandbox="allow-popups allow-popups-to-escape-sandbox" width="100%" height="640"></iframe>
<h2>The same as plain text</h2>{{end}}
<pre>{{.Text}}</pre>
<p><a href="/demo/mail/{{.Name}}?part=file" download>The file {{.Name}}</a></p>
{{else}}<h1>Mailbox</h1>
<p>The demo sends no mail out. What the shop would send lands here, and as files in its mail folder. Mails of the simulated past were not made.</p>
{{if .List}}<ul>{{range .List}}<li><a href="/demo/mail/{{.Name}}">{{.Subject}}</a> to {{.To}}, {{.Date}}</li>{{end}}</ul>
{{if .More}}<p>Older ones are in the folder.</p>{{end}}{{else}}<p>No mail yet.</p>{{end}}{{end}}
</main></body></html>
`))

// mailboxLength is how many mails the page lists.
const mailboxLength = 200

// caught is a mail of the folder.
type caught struct {
	Name, Subject, To, From, Date string
	Text, HTML                    string
}

// mail reads a file of a folder, and nothing outside it.
func mail(root *os.Root, name string) ([]byte, error) {
	if filepath.Ext(name) != ".eml" || strings.HasPrefix(name, ".") {
		return nil, fs.ErrNotExist
	}
	return root.ReadFile(name)
}

// readMail takes a mail apart. What cannot be read as one is shown as it is.
func readMail(name string, raw []byte) caught {
	c := caught{Name: name, Subject: name}
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		c.Text = string(raw)
		return c
	}
	words := new(mime.WordDecoder)
	header := func(key string) string {
		v, err := words.DecodeHeader(m.Header.Get(key))
		if err != nil {
			return m.Header.Get(key)
		}
		return v
	}
	if s := header("Subject"); s != "" {
		c.Subject = s
	}
	c.To, c.From, c.Date = header("To"), header("From"), header("Date")
	c.part(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body)
	return c
}

// part takes one part of a mail apart. The parts of another kind than text are left out.
func (c *caught) part(kind, encoding string, body io.Reader) {
	media, params, err := mime.ParseMediaType(kind)
	if err == nil && strings.HasPrefix(media, "multipart/") {
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			p, err := parts.NextRawPart()
			if err != nil {
				return
			}
			c.part(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p)
		}
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	b, _ := io.ReadAll(body) // what is broken is shown as far as it goes
	if media == "text/html" {
		c.HTML = string(b)
	} else if kind == "" || strings.HasPrefix(media, "text/") {
		c.Text += string(b)
	}
}

// Mailbox is the face of the mail that the demo caught in a folder, newest first.
func Mailbox(dir string) *access.Mux {
	mux := access.NewMux("")
	for _, pattern := range []string{"GET /demo/mail", "GET /demo/mail/{name}"} {
		mux.Handle(access.Route{Pattern: pattern, Who: access.Anyone, Besides: "only the demo has it"}, mailbox(dir))
	}
	return mux
}

func mailbox(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			http.Error(w, "The mail folder cannot be read.", http.StatusInternalServerError)
			return
		}
		defer func() { _ = root.Close() }() // it was only read
		var page struct {
			Open *caught
			List []caught
			More bool
		}
		if name := r.PathValue("name"); name != "" {
			raw, err := mail(root, name)
			if err != nil {
				http.NotFound(w, r)
				return
			}
			open := readMail(name, raw)
			switch r.FormValue("part") {
			case "file":
				w.Header().Set("Content-Type", "message/rfc822")
				_, _ = w.Write(raw) // the reader may be gone
				return
			case "html":
				showHTML(w, open.HTML)
				return
			}
			page.Open = &open
		} else if page.List, page.More, err = newest(root); err != nil {
			http.Error(w, "The mail folder cannot be read.", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := mailboxPage.Execute(w, page); err != nil {
			return // the reader is gone
		}
	})
}

// newest lists the last mails of a folder.
func newest(root *os.Root) (list []caught, more bool, err error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, false, err
	}
	for _, e := range slices.Backward(entries) {
		raw, err := mail(root, e.Name())
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, false, err
		case len(list) == mailboxLength:
			return list, true, nil
		}
		list = append(list, readMail(e.Name(), raw))
	}
	return list, false, nil
}

// showHTML sends the HTML of a mail for the frame that shows it: nothing in it runs, nothing is loaded, and links open beside it.
func showHTML(w http.ResponseWriter, page string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy",
		"sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
	_, _ = io.WriteString(w, strings.ReplaceAll(page, "<a ", `<a target="_blank" rel="noopener" `)) // the reader may be gone
}
