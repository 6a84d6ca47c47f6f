package transcode

import (
	"fmt"
	"strconv"
	"strings"

	"slipstream/origin/timeline"
)

const (
	// leadMs is where on the clock of the MPEG-TS a run begins: room for the timestamps
	// that lie before the first picture (PCR, decoding times, sound).
	leadMs       = 10_000
	segmentTicks = timeline.SegmentMs * timeline.TicksPerSecond / 1000
	// audioHz is the sampling rate of all renditions.
	audioHz = 48_000
	// fragmentUs is the longest fragment: what a part of LL-HLS will be.
	fragmentUs = 500_000
	// soundFragmentUs is that of sound alone, which is cut anew (cmaf.SoundCutter): how long it waits for that.
	soundFragmentUs = 100_000
)

// A plan is where one run of ffmpeg lies in time. The clock of its MPEG-TS input is the
// epoch less offsetMs, a whole number of segments, so that segment boundaries are round
// numbers there too, no fraction of a frame is lost to ffmpeg's microseconds, and 33 bits
// of timestamps last for a day.
type plan struct {
	start    timeline.Ticks // epoch of the first picture, on the frame grid
	offsetMs int64
}

func planFrom(firstPicture timeline.Ticks, framesPerSecond int) (plan, error) {
	frame, err := timeline.FrameTicks(framesPerSecond)
	if err != nil {
		return plan{}, err
	}
	start, err := timeline.FloorToFrame(firstPicture+frame/2, framesPerSecond) // the nearest, as for all pictures that follow
	if err != nil {
		return plan{}, err
	}
	number, err := timeline.Number(start.Ms())
	if err != nil {
		return plan{}, err
	}
	return plan{start: start, offsetMs: number*timeline.SegmentMs - leadMs}, nil
}

// input is the time on the MPEG-TS clock that stands for an epoch.
func (p plan) input(epoch timeline.Ticks) timeline.Ticks {
	return epoch - timeline.FromMs(p.offsetMs)
}

// seconds writes ticks as ffmpeg reads them, to the microsecond.
func seconds(t timeline.Ticks) string {
	return strconv.FormatFloat(float64(t)/timeline.TicksPerSecond, 'f', 6, 64)
}

// arguments is the command line of one run. Descriptor 0 is the input, 3 and up are the
// outputs, one for each rung.
func arguments(ladder []Rung, framesPerSecond int, p plan, audio bool) []string {
	args := []string{
		"-hide_banner", "-nostdin", "-loglevel", "warning",
		// Our timestamps are the truth: no shifting to zero, no repair of jumps.
		"-copyts",
		// A quick start: the tables and the first picture and sound say it all, no other
		// programme follows and no frame rate needs measuring. The limits only matter if
		// sound was announced and is missing.
		"-scan_all_pmts", "0", "-fpsprobesize", "0", "-probesize", "5000000", "-analyzeduration", "1000000",
		// Threads that decode several pictures at once would delay each by as many.
		"-thread_type", "slice",
		// Pictures of another size go through the same filters, which notice it (eval=frame), and not through new ones: those would begin at
		// the run's start again.
		"-reinit_filter", "0",
		"-f", "mpegts", "-i", "pipe:0",
	}
	if graph := filters(ladder, framesPerSecond, p, audio); graph != "" {
		args = append(args, "-filter_complex", graph)
	}
	for i, rung := range ladder {
		args = append(args, encoding(i, rung, framesPerSecond, p, audio)...)
	}
	return args
}

// filters brings the picture to the frame grid once, and scales it for each rung that wants it.
func filters(ladder []Rung, framesPerSecond int, p plan, audio bool) string {
	var b strings.Builder
	start := p.input(p.start)
	var splits, scales strings.Builder
	pictures := 0
	for i, r := range ladder {
		if !r.encoded() {
			continue
		}
		pictures++
		fmt.Fprintf(&splits, "[s%d]", i)
		// The whole picture is kept, in its shape (dar: also that of anamorphic pixels),
		// with black bars where the rung is wider or higher: what broadcasters do, and what
		// leaves the size of a rendition fixed whatever the publisher sends.
		fmt.Fprintf(&scales, ";[s%d]scale=w='max(2,min(%d,2*trunc(%d*dar/2)))':h='max(2,min(%d,2*trunc(%d/dar/2)))':eval=frame,pad=%d:%d:(ow-iw)/2:(oh-ih)/2:eval=frame,setsar=1,format=yuv420p[v%d]",
			i, r.Width, r.Height, r.Height, r.Width, r.Width, r.Height, i)
	}
	if pictures > 0 {
		fmt.Fprintf(&b, "[0:v:0]%s,split=%d%s%s", onGrid(framesPerSecond, start), pictures, &splits, &scales)
	}
	if audio {
		// Sound begins with the picture and has no holes: what is missing becomes silence.
		// Two steps, because first_pts counts samples of the input's rate. The second resamples from the beginning (flags=res): where it
		// has to begin to, at the first small overlap or hole, ffmpeg starts again at first_pts, with silence for all that was.
		samples := (int64(start)*audioHz + timeline.TicksPerSecond/2) / timeline.TicksPerSecond
		if pictures > 0 {
			b.WriteByte(';')
		}
		fmt.Fprintf(&b, "[0:a:0]aresample=%d,aresample=%d:flags=res:async=1000:first_pts=%d,asplit=%d", audioHz, audioHz, samples, len(ladder))
		for i := range ladder {
			fmt.Fprintf(&b, "[a%d]", i)
		}
	}
	return b.String()
}

// onGrid puts each picture on the nearest frame of the grid, and leaves out those from before the start and all but the first on the same frame.
// Where frames are left without a picture the encoder repeats one (-r). ffmpeg's own filter for that (fps) gives a picture out when it has seen the
// next one: all that is live would be a picture later.
func onGrid(framesPerSecond int, start timeline.Ticks) string {
	frame := timeline.TicksPerSecond / framesPerSecond
	return fmt.Sprintf("settb=1/%d,setpts='%d*floor(PTS/%d+0.5)',select='gte(pts,%d)*(isnan(prev_selected_pts)+gt(pts,prev_selected_pts))'",
		timeline.TicksPerSecond, frame, frame, start)
}

// encoding encodes one rung into fragmented MP4 on descriptor 3+i.
func encoding(i int, r Rung, framesPerSecond int, p plan, audio bool) []string {
	var args []string
	switch {
	case r.copied:
		args = append(args, "-map", "0:v:0", "-c:v", "copy")
	case r.encoded():
		args = append(append(args, "-map", fmt.Sprintf("[v%d]", i)), picture(r, framesPerSecond, p)...)
	}
	if audio {
		args = append(args, "-map", fmt.Sprintf("[a%d]", i), "-c:a", "aac", "-b:a", kbps(r.AudioKbps), "-ac", "2")
	}
	fragment := fragmentUs
	if r.SoundOnly() {
		fragment = soundFragmentUs
	}
	return append(args,
		"-map_metadata", "-1",
		"-output_ts_offset", strconv.FormatInt(p.offsetMs/1000, 10),
		// frag_discont: without it the first fragment starts at 0 instead of the epoch.
		"-movflags", "+cmaf+empty_moov+default_base_moof+frag_keyframe+frag_discont+skip_trailer",
		"-frag_duration", strconv.Itoa(fragment), "-flush_packets", "1",
		// Sound that stays away holds the picture up for this long, not for ffmpeg's 10 s.
		"-max_interleave_delta", strconv.Itoa(fragmentUs),
		"-f", "mp4", fmt.Sprintf("pipe:%d", 3+i),
	)
}

// picture is how a rung's picture is encoded.
func picture(r Rung, framesPerSecond int, p plan) []string {
	args := []string{
		// With -copyts this does not fill the time from zero to the start.
		"-r", strconv.Itoa(framesPerSecond),
		"-c:v", "libx264", "-profile:v", profile(r), "-preset", "veryfast",
		// No look-ahead and no B-frames: a picture leaves the encoder as it enters.
		"-tune", "zerolatency", "-bf", "0",
		"-b:v", kbps(r.VideoKbps), "-maxrate", kbps(r.VideoKbps), "-bufsize", kbps(r.VideoKbps),
		// Key frames on the segment boundaries of the epoch, and nowhere else.
		"-g", strconv.Itoa(framesPerSecond * timeline.SegmentMs / 1000), "-sc_threshold", "0", "-forced-idr", "1",
		"-force_key_frames", "expr:" + keyframes(p),
	}
	if r.Height <= 480 {
		// One thread keeps up with small pictures; more would cut them into slices.
		args = append(args, "-threads", "1")
	}
	return args
}

// profile is High where it pays, and what every device plays below.
func profile(r Rung) string {
	if r.Height >= 720 {
		return "high"
	}
	return "main"
}

func kbps(n int) string { return strconv.Itoa(n) + "k" }

// keyframes is the expression that asks for a key frame at the first picture and at the
// first picture of each segment. ffmpeg counts t from the first picture, so its place
// within its segment is added; the millisecond makes up for t being a sum of fractions.
func keyframes(p plan) string {
	const segment = timeline.SegmentMs / 1000
	phase := seconds(p.input(p.start)%timeline.FromMs(timeline.SegmentMs) + timeline.FromMs(1))
	index := func(t string) string { return fmt.Sprintf("floor((%s+%s)/%d)", t, phase, segment) }
	return fmt.Sprintf("if(isnan(prev_forced_t),1,gt(%s,%s))", index("t"), index("prev_forced_t"))
}
