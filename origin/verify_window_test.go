package origin

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestVerifyOfHours(t *testing.T) {
	b := broadcastOf(t, nowMs(), 100, 600_000)
	chapter := fmt.Sprintf("/360p/dvr-%d.m3u8", b.first+4) // behind the gap
	replace := func(old, with string) func([]byte) []byte {
		return func(body []byte) []byte { return bytes.Replace(body, []byte(old), []byte(with), 1) }
	}
	for _, c := range []struct {
		name, path string
		tamper     func(string, []byte) []byte
		want       string // what the output says
	}{
		{"the whole window", "dvr.m3u8", nil, "everything listed is genuine: 198 segments"},
		{"one rendition", "360p/dvr.m3u8", nil, "everything listed is genuine: 99 segments"},
		{"another segment under a number", "360p/dvr.m3u8", onPath(fmt.Sprintf("/360p/%d.m4s", b.first+20), flip(7)), fmt.Sprint(b.first + 20)},
		{"a chapter that was changed", "dvr.m3u8", onPath(chapter, replace("EXTINF:2.000", "EXTINF:1.900")), "the playlist says it lasts 1900 ms"},
		{"a chapter of another channel", "dvr.m3u8", onPath(chapter, replace("DELEGATION:A", "DELEGATION:B")), "the delegation"},
		{"a chapter that is gone", "dvr.m3u8", onPath(chapter, func([]byte) []byte { return nil }), "cannot be fetched"},
		{"a segment in no chapter", "dvr.m3u8", onPath("/360p/dvr.m3u8", func(body []byte) []byte {
			return append(body, fmt.Sprintf("#EXTINF:2.000,\n%d.m4s\n", b.first+100)...)
		}), "no chapter has it"},
		{"a segment at another address", "dvr.m3u8", onPath("/360p/dvr.m3u8", replace(fmt.Sprintf("\n%d.m4s", b.first+9), fmt.Sprintf("\n%d.m4s", b.first+8))), "listed as another one"},
		{"another init section", "dvr.m3u8", onPath("/360p/dvr.m3u8", replace("init-", "unit-")), "listed as another one"},
		{"no chapters", "360p/dvr.m3u8", onPath("/360p/dvr.m3u8", func(body []byte) []byte {
			return bytes.ReplaceAll(body, []byte("SLIPSTREAM"), []byte("OTHER"))
		}), "names no channel"},
		{"a playlist without an end", "360p/dvr.m3u8", onPath("/360p/dvr.m3u8", func(body []byte) []byte {
			return append(body, bytes.Repeat([]byte("#\n"), maxWindowBytes/2)...)
		}), "are allowed"},
	} {
		b.tamper = c.tamper
		if b.tamper == nil {
			b.tamper = func(_ string, body []byte) []byte { return body }
		}
		out, err := verify(b.web.URL+"/live/demo/"+c.path, "")
		if (err == nil) != strings.HasPrefix(c.want, "everything") || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v, want %q\n%s", c.name, err, c.want, out)
		}
	}
}
