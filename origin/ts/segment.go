package ts

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"slipstream/origin/cmaf"
	"slipstream/origin/timeline"
)

const (
	// soundFrames share a PES packet, whose header and stuffing would otherwise be half of it; of a rendition without pictures each
	// has its own, because the clock (PCR) goes with them.
	soundFrames = 4
	// maxSoundFrame is what the 13 bits of an ADTS header can express.
	maxSoundFrame = 8191 - 7
	// maxReordering is H.264's own limit, and slowest how many pictures a second are reckoned with at least.
	maxReordering = 16
	slowest       = 10
)

// Segment returns the segment of that number as MPEG-TS, with the picture and the sound that its init section describes.
func Segment(init, data []byte, number int64) ([]byte, error) {
	var out bytes.Buffer
	w := &writer{}
	for _, kind := range []cmaf.Kind{cmaf.Video, cmaf.Audio} {
		if !cmaf.HasTrack(init, kind) {
			continue
		}
		samples, err := cmaf.TrackSamples(init, data, kind)
		if err != nil {
			return nil, err
		}
		if err := w.add(kind, samples); err != nil {
			return nil, err
		}
	}
	if len(w.pictures.List)+len(w.sounds.List) == 0 {
		return nil, errors.New("the segment has neither pictures nor sound")
	}
	out.Grow(len(data) + len(data)/20 + 64<<10) // roughly what the packets add
	if err := w.write(&out, 8*len(data)+1<<20); err != nil {
		return nil, err
	}
	return closeCounters(out.Bytes(), number)
}

// reordering is how many pictures may be sent before one that is shown earlier, as the parameter sets have it. In MP4 such a picture may
// have an offset that is negative (ISO/IEC 23000-19), so that key frames are decoded when they are shown; in a transport stream nothing may be shown
// before it is decoded. What comes from the init section alone is the same for all segments.
func reordering(sets [][]byte) int64 {
	const baseline = 66
	var sps h264.SPS
	switch {
	case len(sets) == 0 || sps.Unmarshal(sets[0]) != nil || sps.ProfileIdc == baseline || sps.PicOrderCntType == 2:
		return 0
	case sps.VUI != nil && sps.VUI.BitstreamRestriction != nil:
		return min(int64(sps.VUI.BitstreamRestriction.MaxNumReorderFrames), maxReordering)
	}
	return min(int64(sps.MaxNumRefFrames), maxReordering)
}

// writer puts pictures and sound into one stream.
type writer struct {
	mux              mpegts.Writer
	pictures, sounds cmaf.Samples
	video, audio     *mpegts.Track
}

func (w *writer) add(kind cmaf.Kind, samples cmaf.Samples) error {
	if kind == cmaf.Video {
		for _, set := range slices.Concat(samples.SPS, samples.PPS) {
			if len(set) == 0 {
				return errors.New("the init section has an empty parameter set")
			}
		}
		early := reordering(samples.SPS) * samples.Timescale / slowest
		for i := range samples.List {
			samples.List[i].DTS -= early
		}
		w.pictures, w.video = samples, &mpegts.Track{Codec: &codecs.H264{}}
		w.mux.Tracks = append(w.mux.Tracks, w.video)
		return nil
	}
	var config mpeg4audio.AudioSpecificConfig
	if err := config.Unmarshal(samples.AudioConfig); err != nil {
		return fmt.Errorf("the sound cannot be put into a transport stream: %w", err)
	}
	w.sounds, w.audio = samples, &mpegts.Track{Codec: &codecs.MPEG4Audio{Config: config}}
	w.mux.Tracks = append(w.mux.Tracks, w.audio)
	return nil
}

// write writes all samples in the order of their decoding times. The first is a picture, though the sound may begin a frame earlier: the library
// takes the clock (PCR) from what comes first.
func (w *writer) write(out *bytes.Buffer, limit int) error {
	w.mux.W = out
	if err := w.mux.Initialize(); err != nil {
		return fmt.Errorf("no transport stream can be begun: %w", err)
	}
	if _, err := w.mux.WriteTables(); err != nil { // the library would leave them to the first picture
		return fmt.Errorf("no transport stream can be begun: %w", err)
	}
	pictures, sounds := w.pictures.List, w.sounds.List
	for len(pictures)+len(sounds) > 0 {
		if out.Len() > limit {
			return fmt.Errorf("the transport stream is greater than %d bytes: its segment consists of crumbs", limit)
		}
		if len(pictures) > 0 && (len(sounds) == 0 || len(pictures) == len(w.pictures.List) || ticks(pictures[0].DTS, w.pictures.Timescale) <= ticks(sounds[0].DTS, w.sounds.Timescale)) {
			if err := w.picture(pictures[0]); err != nil {
				return err
			}
			pictures = pictures[1:]
			continue
		}
		count := 1
		if w.video != nil {
			count = together(sounds, w.sounds.Timescale)
		}
		if err := w.sound(sounds[:count]); err != nil {
			return err
		}
		sounds = sounds[count:]
	}
	return nil
}

// together is how many frames of sound, of those that follow each other without a hole, go into one PES packet.
func together(sounds []cmaf.Sample, timescale int64) int {
	n := 1
	for n < min(soundFrames, len(sounds)) {
		if gap := sounds[n].DTS - sounds[n-1].DTS; gap <= 0 || gap > timescale/10 {
			break
		}
		n++
	}
	return n
}

func (w *writer) picture(s cmaf.Sample) error {
	units, err := w.accessUnit(s.Data)
	if err != nil || len(units) == 0 {
		return err
	}
	scale := w.pictures.Timescale
	if err := w.mux.WriteH264(w.video, ticks(s.PTS, scale), ticks(s.DTS, scale), units); err != nil {
		return fmt.Errorf("a picture cannot be put into a transport stream: %w", err)
	}
	return nil
}

// accessUnit splits a sample into NAL units, and adds parameter sets to one that can be decoded by itself and has none.
func (w *writer) accessUnit(sample []byte) (units [][]byte, err error) {
	random, parameters := false, false
	for len(sample) > 0 {
		if len(sample) < 4 || uint64(binary.BigEndian.Uint32(sample)) > uint64(len(sample)-4) {
			return nil, errors.New("a picture has a NAL unit that is longer than the picture")
		}
		size := int(binary.BigEndian.Uint32(sample))
		unit := sample[4 : 4+size]
		sample = sample[4+size:]
		if size == 0 {
			continue
		}
		switch h264.NALUType(unit[0] & 0x1f) {
		case h264.NALUTypeAccessUnitDelimiter:
			continue // the library sets one
		case h264.NALUTypeIDR:
			random = true
		case h264.NALUTypeSPS:
			parameters = true
		}
		units = append(units, unit)
	}
	if random && !parameters {
		units = slices.Concat(w.pictures.SPS, w.pictures.PPS, units)
	}
	return units, nil
}

func (w *writer) sound(frames []cmaf.Sample) error {
	var data [][]byte
	for _, f := range frames {
		if len(f.Data) == 0 || len(f.Data) > maxSoundFrame {
			return fmt.Errorf("a frame of sound has %d bytes, which ADTS cannot express", len(f.Data))
		}
		data = append(data, f.Data)
	}
	if err := w.mux.WriteMPEG4Audio(w.audio, ticks(frames[0].PTS, w.sounds.Timescale), data); err != nil {
		return fmt.Errorf("sound cannot be put into a transport stream: %w", err)
	}
	return nil
}

// ticks converts a time to 1/90000 s, rounded down. What exceeds 33 bits is left out by the library, with the epoch's day.
func ticks(t, timescale int64) int64 {
	if t < 0 { // before 1970: the delay of an encoder's first picture
		return -ticks(-t, timescale)
	}
	hi, lo := bits.Mul64(uint64(t), timeline.TicksPerSecond)
	quotient, _ := bits.Div64(hi%uint64(timescale), lo, uint64(timescale))
	return int64(quotient)
}
