package server

import (
	"strings"
	"testing"
)

func TestTracksCanBeHadApart(t *testing.T) {
	s := newSite(t, nil)
	s.recorded()
	front := s.ask("GET", "/live/demo/tracks.m3u8", "Accept-Encoding", "identity")
	front.want(t, "multivariant", 200, "Content-Type", typePlaylist)
	if strings.Count(front.body, "TYPE=AUDIO") != 1 {
		t.Errorf("two renditions of one sound are listed as\n%s", front.body)
	}
	for track, mediaType := range map[string]string{"video": typeMedia, "audio": typeAudio} {
		list := s.ask("GET", "/live/demo/360p/"+track+".m3u8", "Accept-Encoding", "identity")
		list.want(t, track, 200, "Content-Type", typePlaylist, "Cache-Control", "public, max-age=1")
		found := 0
		for line := range strings.Lines(list.body) {
			uri := strings.TrimSpace(line)
			if _, after, ok := strings.Cut(uri, `MAP:URI="`); ok {
				uri = strings.TrimSuffix(after, `"`)
			} else if uri[0] == '#' {
				continue
			}
			found++
			s.ask("GET", "/live/demo/360p/"+uri).want(t, uri, 200, "Content-Type", mediaType, "Cache-Control", cacheForEver)
		}
		if found != 3 {
			t.Errorf("%s lists %d objects:\n%s", track, found, list.body)
		}
	}
	s.ask("GET", "/live/demo/1080p/audio.m3u8").want(t, "no such rendition", 404)
}
