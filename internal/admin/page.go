package admin

import (
	"io"
	"net/http"
)

// notBuilt is what a binary without the site shows. Nothing in it comes from anybody.
const notBuilt = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>llm-proxy</title></head>
<body>
<h1>llm-proxy</h1>
<p>The server runs. The admin site is not built into this binary.</p>
<p>Everything it does can be done from the command line, on this machine without further settings:</p>
<pre>llm-proxy manage project list
llm-proxy manage project create Team-A --api-key-file key.txt
llm-proxy manage token generate --project Team-A --duration-minutes 60
llm-proxy manage audit list
llm-proxy manage --help</pre>
<p>or through the management API under <code>/manage</code>, which describes itself at <code>/manage/openapi.json</code>.</p>
</body>
</html>
`

// page answers /admin/.
func (x *exchange) page() {
	if !isSafe(x.r.Method) {
		x.w.Header().Set("Allow", "GET, HEAD")
		x.problem(http.StatusMethodNotAllowed, "This path has no such method, see Allow.")
		return
	}
	x.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(x.w, notBuilt) // the caller may be gone
}
