package hls

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	second "github.com/Eyevinn/hls-m3u8/m3u8"

	"slipstream/origin/cmaf"
)

func TestTracksHavePlaylistsOfTheirOwn(t *testing.T) {
	v := view(t)
	for i := range v.Entries {
		v.Entries[i].Codecs = "avc1.4d401e,mp4a.40.2"
	}
	live := read(t, media(t, v))
	for _, kind := range []cmaf.Kind{cmaf.Video, cmaf.Audio} {
		text, err := Track(v, kind, nowMs)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, TrackName(kind), text)
		list := read(t, text)
		if list.Count() != 5 || list.SeqNo != live.SeqNo || list.DiscontinuitySeq != 4 {
			t.Errorf("%d segments from %d, discontinuities %d", list.Count(), list.SeqNo, list.DiscontinuitySeq)
		}
		for i, seg := range list.Segments[:5] {
			want := fmt.Sprintf("%s/%d.m4s", kind, live.Segments[i].ProgramDateTime.UnixMilli())
			if seg.Gap != (i == 2) || seg.Duration != live.Segments[i].Duration || seg.Discontinuity != (i == 3) || !seg.Gap && seg.URI != want {
				t.Errorf("entry %d of %s is %+v, want %s", i, kind, seg, want)
			}
		}
	}
	newest := v.Entries[len(v.Entries)-1].Record.CreatedMs
	if _, err := Track(v, cmaf.Video, newest+OffAirMs+1); !errors.Is(err, ErrOffAir) {
		t.Errorf("nothing came for minutes: %v", err)
	}
}

// A publisher may return without a microphone, or come with one.
func TestWhereATrackIsMissingThereIsAGap(t *testing.T) {
	v := view(t)
	v.Entries[0].Codecs, v.Entries[1].Codecs, v.Entries[4].Codecs = "avc1.4d401e", "avc1.4d401e,mp4a.40.2", "mp4a.40.2"
	v.Entries[3].Codecs = "avc1.4d401e"
	for kind, want := range map[cmaf.Kind]string{cmaf.Video: "SS-|S", cmaf.Audio: "S--|S"} {
		text, err := Track(v, kind, nowMs)
		if err != nil {
			t.Fatal(err)
		}
		story := ""
		for _, seg := range read(t, text).Segments[:strings.Count(text, "#EXTINF")] {
			if seg.Discontinuity {
				story += "|"
			}
			if seg.Gap {
				story += "-"
			} else {
				story += "S"
			}
		}
		if story != want {
			t.Errorf("%s reads %s, want %s", kind, story, want)
		}
	}
	for i := range v.Entries {
		v.Entries[i].Codecs = "avc1.4d401e"
	}
	if _, err := Track(v, cmaf.Audio, nowMs); !errors.Is(err, ErrOffAir) {
		t.Errorf("there is no sound at all: %v", err)
	}
}

func TestRenditionsShareTheirSound(t *testing.T) {
	c := channel()
	c.Playlist, c.AudioBps = TracksName, map[string]int64{"180p": 105_600, "360p": 105_600, "720p": 140_800}
	c.Renditions = append(c.Renditions, Rendition{Name: "720p", Codecs: "avc1.4d401f,mp4a.40.2", FloorBps: 2_000_000}, Rendition{Name: "silent", Codecs: "avc1.4d401f", FloorBps: 100}, Rendition{Name: "sound", Codecs: "mp4a.40.2", FloorBps: 10})
	c.AudioBps["sound"] = 105_600
	text, err := Multivariant(c)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "tracks.m3u8", text)
	list, _, err := second.DecodeFrom(strings.NewReader(text), true)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range list.(*second.MasterPlaylist).Variants {
		got = append(got, v.URI+" "+v.Audio)
	}
	want := "[720p/video.m3u8 140 kb/s 360p/video.m3u8 105 kb/s 180p/video.m3u8 105 kb/s silent/video.m3u8  sound/audio.m3u8 105 kb/s]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
	if strings.Count(text, "#EXT-X-MEDIA:") != 2 || !strings.Contains(text, `GROUP-ID="105 kb/s",NAME="sound",DEFAULT=YES,AUTOSELECT=YES,URI="360p/audio.m3u8"`) {
		t.Errorf("the sound is listed as\n%s", text)
	}
}
