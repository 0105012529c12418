package admin

import (
	"embed"
	"io/fs"
)

//go:embed all:ui/dist
var bundle embed.FS

// Site is what this binary was built with of the site: index.html and what it loads, or placeholder.html alone, which says how to get it.
// Files under assets/ have the hash of their content in their names.
func Site() fs.FS {
	site, _ := fs.Sub(bundle, "ui/dist") // the name is a valid one
	return site
}
