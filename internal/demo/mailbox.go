package demo

import (
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var mailboxPage = template.Must(template.New("mailbox").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Mailbox · Perennial demo</title>
<link rel="stylesheet" href="/api/docs.css"></head>
<body><main><h1>Mailbox</h1>
<p>The demo sends no mail out. What the shop would send lands here, and as files in its mail folder.</p>
{{if .Text}}<h2>{{.Name}}</h2><pre>{{.Text}}</pre><p><a href="/demo/mail">All mail</a></p>
{{else if .Names}}<ul>{{range .Names}}<li><a href="/demo/mail/{{.}}">{{.}}</a></li>{{end}}</ul>
{{else}}<p>No mail yet.</p>{{end}}
</main></body></html>
`))

// mail reads a mail of a folder, and nothing outside it.
func mail(dir, name string) ([]byte, error) {
	if filepath.Ext(name) != ".eml" {
		return nil, fs.ErrNotExist
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	b, err := root.ReadFile(name)
	return b, errors.Join(err, root.Close())
}

// Mailbox shows the mail that the demo caught in a folder, newest first.
func Mailbox(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var page struct {
			Names []string
			Name  string
			Text  string
		}
		if name := r.PathValue("name"); name != "" {
			b, err := mail(dir, name)
			if err != nil {
				http.NotFound(w, r)
				return
			}
			page.Name, page.Text = name, string(b)
		} else {
			entries, err := os.ReadDir(dir)
			if err != nil {
				http.Error(w, "The mail folder cannot be read.", http.StatusInternalServerError)
				return
			}
			for _, e := range slices.Backward(entries) {
				if strings.HasSuffix(e.Name(), ".eml") {
					page.Names = append(page.Names, e.Name())
				}
			}
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := mailboxPage.Execute(w, page); err != nil {
			return // the reader is gone
		}
	})
}
