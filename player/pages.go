package player

import (
	"bytes"
	"io/fs"
	"net/http"
)

// Pages are the handlers of what browsers load, by http.ServeMux pattern. A watch page names the channel's id, which id
// looks up, so that a playlist of another owner, wherever it comes from, does not play on it.
func Pages(id func(channel string) (id string, known bool)) map[string]http.Handler {
	assets := Assets()
	watch := func(w http.ResponseWriter, r *http.Request) {
		channel, known := id(r.PathValue("channel"))
		html, err := fs.ReadFile(assets, "watch.html")
		if !known || err != nil {
			http.Error(w, "There is no such channel here.", http.StatusNotFound)
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(bytes.Replace(html, []byte("<slipstream-player"), []byte(`<slipstream-player channel="`+channel+`"`), 1))
	}
	page := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, assets, name)
		})
	}
	return map[string]http.Handler{
		"GET /{$}":             page("index.html"),
		"GET /watch/{channel}": http.HandlerFunc(watch),
		"GET /stats":           page("stats.html"),
		"GET /player/":         http.StripPrefix("/player/", http.FileServerFS(assets)),
	}
}
