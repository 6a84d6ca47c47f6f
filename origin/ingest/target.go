package ingest

import (
	"fmt"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

// A target is what a request below a publishing point is about, as its path says (DASH-IF live media ingest, 6.2 and 6.5).
type target struct {
	manifest  bool   // a playlist or an MPD: it says nothing that the media do not say
	folder    string // "" or "a/b"
	track     string // what is left of the name without a segment's number: an init section's and its segments' are alike
	rendition string // what a ready rendition would be called
}

const maxTrackName = 128

// readTarget reads "live.mp4", "init-stream0.m4s", "chunk-stream0-00017.m4s", "360p/881892606.m4s", "Streams(360p.cmfv)" and the like.
func readTarget(name, contentType string) (target, error) {
	t := target{}
	folder, base := path.Split(name)
	t.folder = strings.Trim(folder, "/")
	if inner, ok := strings.CutPrefix(base, "Streams("); ok {
		base = strings.TrimSuffix(inner, ")")
	}
	if base == "" || len(name) > maxTrackName || strings.Contains(name, "..") {
		return t, answer(http.StatusNotFound, "there is no publishing point here: name the stream, as in /ingest/<stream key>/live.mp4")
	}
	stem, extension := base, ""
	if i := strings.LastIndexByte(base, '.'); i > 0 {
		stem, extension = base[:i], strings.ToLower(base[i+1:])
	}
	if err := readMediaType(contentType, extension); err != nil {
		return t, err
	}
	t.manifest = slices.Contains([]string{"mpd", "m3u8"}, extension)
	t.track = trackName(stem, slices.Contains([]string{"m4s", "m4f", "m4v", "m4a", "cmfv", "cmfa"}, extension))
	if t.rendition = stem; t.track == "" && t.folder != "" {
		t.rendition = path.Base(t.folder)
	}
	return t, nil
}

// readMediaType refuses what is certainly no fragmented MP4. ffmpeg says nothing of the type but in the name.
func readMediaType(contentType, extension string) error {
	media := []string{"", "mp4", "m4s", "m4v", "m4a", "m4f", "m4i", "cmfv", "cmfa", "mpd", "m3u8"}
	if !slices.Contains(media, extension) {
		return answer(http.StatusUnsupportedMediaType, "files called .%s are not taken here: send fragmented MP4", extension)
	}
	if contentType == "" {
		return nil
	}
	types := []string{"video/mp4", "audio/mp4", "application/mp4", "application/octet-stream", "binary/octet-stream",
		"application/dash+xml", "application/vnd.apple.mpegurl", "application/x-mpegurl", "video/iso.segment", "audio/iso.segment"}
	if got, _, err := mime.ParseMediaType(contentType); err != nil || !slices.Contains(types, got) {
		return answer(http.StatusUnsupportedMediaType, "media of the type %s are not taken here: send fragmented MP4 as video/mp4", quoted(contentType))
	}
	return nil
}

// trackName leaves out what tells a track's init section from its segments, and those from each other. A file that is no segment is
// a track by itself.
func trackName(stem string, segment bool) string {
	fields := strings.FieldsFunc(stem, func(c rune) bool { return strings.ContainsRune("-_.", c) })
	segment = segment && !slices.Contains(fields, "init")
	fields = slices.DeleteFunc(fields, func(f string) bool {
		return slices.Contains([]string{"init", "chunk", "segment", "seg"}, f)
	})
	if last := len(fields) - 1; last >= 0 && segment {
		switch before := strings.TrimRight(fields[last], "0123456789"); {
		case before == "": // the number by itself
			fields = fields[:last]
		case stem == fields[0]: // live17
			fields[0] = before
		}
	}
	return strings.Join(fields, "-")
}

// initOf finds the track whose init section a segment needs: that of the same name, or the only one in its folder whose name ends that of the
// segment's track; where the segment's name says nothing of a track, the only one in its folder. Another track's would be taken for it
// otherwise while its own is on the way.
func initOf(t target, ready []target) (target, error) {
	var near []target
	for _, other := range ready {
		switch {
		case other.folder != t.folder:
			continue
		case other.track == t.track:
			return other, nil
		case t.track == "" || strings.HasSuffix(t.track, other.track):
			near = append(near, other)
		}
	}
	if len(near) == 1 {
		return near[0], nil
	}
	return target{}, answer(http.StatusPreconditionFailed, "the init section of this track is missing: send it first")
}

// name tells the tracks of a publication apart.
func (t target) name() string { return t.folder + "/" + t.track }

func (t target) String() string { return fmt.Sprintf("%.64q", path.Join(t.folder, t.track)) }
