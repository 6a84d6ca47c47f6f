package dash

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"

	"slipstream/origin/hls"
	"slipstream/origin/timeline"
)

const (
	// TimePath is where players read the server's clock, relative to the MPD: an xs:dateTime.
	TimePath = "time"

	utcTiming = "urn:mpeg:dash:utc:http-xsdate:2014"
	// timescale of all timelines: milliseconds, as in the records.
	timescale = 1000
	// defaultAudioBps is said of sound whose bitrate nobody told us.
	defaultAudioBps = 128_000
)

// Channel is what an MPD says about a channel.
type Channel struct {
	WindowMs   int64 // how far back segments are listed
	Renditions []Rendition
}

// Rendition is one rendition and its window.
type Rendition struct {
	hls.Rendition
	AudioBps int64 // what the encoder may use for sound, bits/s; 0: not known
	View     hls.View
	Past     bool // it is not made any more: only what lies in the others' windows is listed
}

// withinWindow takes from renditions that are not made any more what has left the windows of the others.
func withinWindow(renditions []Rendition) (out []Rendition) {
	oldest := int64(math.MaxInt64)
	for _, r := range renditions {
		if !r.Past && len(r.View.Entries) > 0 {
			oldest = min(oldest, r.View.Entries[0].Number)
		}
	}
	for _, r := range renditions {
		if r.Past {
			r.View.Open = nil
			r.View.Entries = slices.DeleteFunc(slices.Clone(r.View.Entries), func(e hls.Entry) bool { return e.Number < oldest })
		}
		if !r.Past || len(r.View.Entries) > 0 {
			out = append(out, r)
		}
	}
	return out
}

// soundOnly reports whether a rendition has no picture. It is left out: sound is listed apart from the pictures anyway.
func (r Rendition) soundOnly() bool { return strings.HasPrefix(r.Codecs, "mp4a.") }

// VideoPath and AudioPath are the folders of a rendition's tracks, relative to the MPD. Init sections in them are called as in HLS.
func VideoPath(rendition string) string { return rendition + "/video/" }

// AudioPath is described at VideoPath.
func AudioPath(rendition string) string { return rendition + "/audio/" }

// SegmentURI is a segment's address in the folder of its track.
func SegmentURI(startMs int64) string { return strconv.FormatInt(startMs, 10) + ".m4s" }

// MPD renders the presentation. It fails with hls.ErrOffAir unless every rendition has something recent to play.
// publishTime is when the newest segment was published, or the first part of the one after it: nothing else changes what an MPD says.
func MPD(c Channel, nowMs int64) (string, error) {
	renditions, publishedMs := slices.Clone(c.Renditions), int64(0)
	renditions = slices.DeleteFunc(withinWindow(renditions), func(r Rendition) bool { return r.soundOnly() })
	for _, r := range renditions {
		if r.Past {
			continue
		}
		if len(r.View.Entries) == 0 {
			return "", hls.ErrOffAir
		}
		createdMs := r.View.Entries[len(r.View.Entries)-1].Record.CreatedMs
		if nowMs-createdMs > hls.OffAirMs {
			return "", hls.ErrOffAir
		}
		publishedMs = max(publishedMs, createdMs)
		if open := r.View.Open; open != nil && len(open.Parts) > 0 {
			publishedMs = max(publishedMs, open.Parts[0].Record.CreatedMs)
		}
	}
	if len(renditions) == 0 {
		return "", hls.ErrOffAir
	}
	slices.SortFunc(renditions, func(a, b Rendition) int {
		return cmp.Or(cmp.Compare(b.Bandwidth(), a.Bandwidth()), cmp.Compare(a.Name, b.Name))
	})
	m := mpd.NewMPD(mpd.DYNAMIC_TYPE)
	m.Profiles = mpd.PROFILE_LIVE
	m.AvailabilityStartTime = mpd.ConvertToDateTimeMS(0)
	m.PublishTime = mpd.ConvertToDateTimeMS(publishedMs)
	m.MinimumUpdatePeriod = duration(timeline.SegmentMs)
	m.MinBufferTime = duration(timeline.SegmentMs)
	m.MaxSegmentDuration = duration(timeline.SegmentMs)
	m.SuggestedPresentationDelay = duration(3 * timeline.SegmentMs)
	m.TimeShiftBufferDepth = duration(c.WindowMs)
	if partMs := partTargetMs(renditions); partMs > 0 {
		m.ServiceDescription = []*mpd.ServiceDescriptionType{service(partMs)}
		m.MinimumUpdatePeriod = duration(partMs)
	}
	for _, p := range periods(renditions) {
		m.AppendPeriod(p.render())
	}
	if len(m.Periods) == 0 {
		return "", hls.ErrOffAir
	}
	m.UTCTimings = []*mpd.DescriptorType{clock()}
	text, err := m.WriteToString("  ", true)
	if err != nil {
		return "", fmt.Errorf("the MPD cannot be written: %w", err)
	}
	return text + "\n", nil
}

func duration(ms int64) *mpd.Duration {
	return mpd.Ptr(mpd.Duration(time.Duration(ms) * time.Millisecond))
}

// render returns a Period with the pictures of all its renditions and their sound, of each bitrate once.
func (p period) render() *mpd.Period {
	out := mpd.NewPeriod()
	out.Id = strconv.FormatInt(p.startMs, 10)
	out.Start = duration(p.startMs)
	video := adaptationSet(1, "video", mpd.MIME_TYPE_VIDEO_MP4)
	audio := adaptationSet(2, "audio", mpd.MIME_TYPE_AUDIO_MP4)
	for _, run := range p.runs {
		picture, sound, hasSound := strings.Cut(run.codecs, ",")
		audioBps := run.AudioBps
		if audioBps <= 0 {
			audioBps = defaultAudioBps
		}
		pictureBps := run.Bandwidth()
		if hasSound {
			pictureBps = max(pictureBps-audioBps, 1)
		}
		r := representation(run.Name, picture, pictureBps)
		r.Width, r.Height = uint32(max(run.Width, 0)), uint32(max(run.Height, 0))
		r.FrameRate = frameRate(run.FrameRate)
		r.SegmentTemplate = p.template(VideoPath(run.Name), run)
		video.AppendRepresentation(r)
		if r := representation(run.Name+"-audio", sound, audioBps); hasSound && !offered(audio, r) {
			r.SegmentTemplate = p.template(AudioPath(run.Name), run)
			audio.AppendRepresentation(r)
		}
	}
	if p.inParts() {
		video.ProducerReferenceTimes = p.reference()
		audio.ProducerReferenceTimes = p.reference()
	}
	out.AppendAdaptationSet(video)
	if len(audio.Representations) > 0 {
		out.AppendAdaptationSet(audio)
	}
	return out
}

// offered reports whether a set has sound of that bitrate: from the same source, it would be the same.
func offered(set *mpd.AdaptationSetType, r *mpd.RepresentationType) bool {
	return slices.ContainsFunc(set.Representations, func(other *mpd.RepresentationType) bool { return other.Bandwidth == r.Bandwidth })
}

func adaptationSet(id uint32, contentType, mimeType string) *mpd.AdaptationSetType {
	set := mpd.NewAdaptationSetWithParams(contentType, mimeType, true, 1)
	set.Id = &id
	return set
}

func representation(id, codec string, bps int64) *mpd.RepresentationType {
	r := mpd.NewRepresentation()
	r.Id, r.Codecs, r.Bandwidth = id, codec, uint32(min(bps, math.MaxUint32))
	return r
}

// template addresses the segments of a run. presentationTimeOffset takes off what the Period's start puts on.
func (p period) template(folder string, run run) *mpd.SegmentTemplateType {
	t := &mpd.SegmentTemplateType{Media: folder + "$Time$.m4s", Initialization: folder + hls.InitURI(run.init)}
	t.Timescale = mpd.Ptr(uint32(timescale))
	t.PresentationTimeOffset = mpd.Ptr(uint64(p.startMs))
	if partMs := run.View.PartTargetMs; partMs > 0 {
		t.AvailabilityTimeOffset = mpd.FloatInf64(float64(timeline.SegmentMs-partMs) / 1000)
		t.AvailabilityTimeComplete = mpd.Ptr(false)
	}
	t.SegmentTimeline = &mpd.SegmentTimelineType{S: run.timeline()}
	return t
}

// frameRate writes frames per second as the schema wants them: a whole number or a fraction.
func frameRate(fps float64) mpd.FrameRateType {
	if !(fps > 0 && fps < 1000) { // also not a number
		return ""
	}
	whole := math.Round(fps)
	if math.Abs(fps-whole) < 0.0005 {
		return mpd.FrameRateType(strconv.Itoa(int(whole)))
	}
	if math.Abs(fps*1.001-whole) < 0.0005 { // 24, 30 or 60 as television has them
		return mpd.FrameRateType(strconv.Itoa(int(whole)*1000) + "/1001")
	}
	return mpd.FrameRateType(strconv.Itoa(int(math.Round(fps*1000))) + "/1000")
}
