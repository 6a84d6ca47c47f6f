package server

import (
	"fmt"
	"strconv"
	"strings"

	"slipstream/origin/cmaf"
	"slipstream/origin/store"
)

// headerCMSD tells players and caches what an answer holds (CTA-5006, Common Media Server Data): what is static is the same for
// everybody, so caches keep it with the object.
const headerCMSD = "CMSD-Static"

const (
	cmsdPlaylist = "ot=m,sf=h,st=l"
	cmsdInit     = "ot=i,sf=h,st=l"
	cmsdMPD      = "ot=m,sf=d,st=l"
	cmsdDASHInit = "ot=i,sf=d,st=l"
)

// cmsdTrack describes a DASH segment as cmsdMedia does one of HLS.
func cmsdTrack(kind cmaf.Kind, durationMs, size int64) string {
	durationMs = max(durationMs, 1)
	return fmt.Sprintf("ot=%.1s,sf=d,st=l,d=%d,br=%d", string(kind), durationMs, kbps(size, durationMs))
}

// cmsdGrowing describes one that is being made: how large it will be nobody knows.
func cmsdGrowing(kind cmaf.Kind, durationMs int64) string {
	return fmt.Sprintf("ot=%.1s,sf=d,st=l,d=%d", string(kind), durationMs)
}

// kbps is a mean bitrate, rounded: bits per ms are kb/s.
func kbps(size, durationMs int64) int64 { return (size*8 + durationMs/2) / durationMs }

// cmsdMedia describes a segment or part as a dictionary of RFC 8941: its type (ot) if that is known, HLS (sf), live (st), its duration in
// milliseconds (d), its own mean bitrate in kb/s (br), and what comes next (nor), relative to itself, if that is out. Our names
// consist of digits, letters and dots, so nor needs no escaping.
func cmsdMedia(of store.Description) string {
	var out strings.Builder
	if kind := objectType(of.Codecs); kind != "" {
		out.WriteString("ot=" + kind + ",")
	}
	out.WriteString("sf=h,st=l")
	if of.DurationMs > 0 {
		out.WriteString(",d=" + strconv.FormatInt(of.DurationMs, 10))
		out.WriteString(",br=" + strconv.FormatInt(kbps(of.Size, of.DurationMs), 10))
	}
	if of.Next != "" {
		out.WriteString(`,nor="` + of.Next + `"`)
	}
	return out.String()
}

// objectType tells muxed from single tracks by their codecs; a codec that is neither leaves it open, as the standard asks.
func objectType(codecs string) string {
	video, audio := false, false
	for codec := range strings.SplitSeq(codecs, ",") {
		switch name, _, _ := strings.Cut(strings.TrimSpace(codec), "."); name {
		case "avc1", "avc3", "hvc1", "hev1", "av01", "vp09":
			video = true
		case "mp4a", "opus", "Opus", "ac-3", "ec-3", "fLaC":
			audio = true
		default:
			return ""
		}
	}
	switch {
	case video && audio:
		return "av"
	case video:
		return "v"
	default:
		return "a"
	}
}
