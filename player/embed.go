// Package player holds the built web player: the watch page, the statistics page, the <slipstream-player> element and
// the library for other players. The sources are TypeScript (src, pages); `npm run build` puts what browsers load into
// dist, and this package embeds it, so that one binary serves everything.
package player

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Assets returns the built files: watch.html, stats.html and index.html for the pages, everything else for /player/. It
// is empty if the player was not built.
func Assets() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return embed.FS{} // cannot be: dist is a valid path
	}
	return files
}
