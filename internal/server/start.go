package server

import (
	"io"
	"net/http"
)

// startPage is what a browser sees at the root: where things are. It says nothing of the shop.
const startPage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Perennial</title>
<link rel="stylesheet" href="/api/docs.css"></head>
<body><main><h1>Perennial is running</h1>
<p>This version is worked with through its REST API and its command line.</p>
<ul>
<li><a href="/api/docs">The API, described</a> and its <a href="/api/v1/openapi.json">OpenAPI document</a></li>
<li><a href="/readyz">Is it ready?</a> · <a href="/healthz">Is it alive?</a> · <a href="/metrics">Metrics</a></li>
</ul>
<p>In the terminal: <code>perennial log</code> shows a log, <code>perennial verify</code> proves that nothing was changed behind it.</p>
</main></body></html>
`

func start(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, startPage) // a reader that went away
}
