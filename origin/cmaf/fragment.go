package cmaf

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/Eyevinn/mp4ff/mp4"

	"slipstream/origin/timeline"
)

// A fragment is what a moof says about the video samples of the mdat that follows it.
// Times are in the video's timescale.
type fragment struct {
	video      bool // it has video samples; otherwise the rest is zero
	start, end uint64
	samples    int
	keyframe   bool // the first sample is one
}

// parseFragment reads a moof box.
func parseFragment(box []byte, init *initSection) (fragment, error) {
	moof, err := decodeMoof(box)
	if err != nil {
		return fragment{}, err
	}
	var f fragment
	for _, traf := range moof.Trafs {
		if traf.Tfhd == nil {
			return fragment{}, errors.New("a fragment lacks its track's header (tfhd)")
		}
		if traf.Tfhd.TrackID != init.videoID {
			continue
		}
		if f.video {
			return fragment{}, errors.New("a fragment has two runs of the same video track")
		}
		if f, err = videoOf(traf, init); err != nil {
			return fragment{}, err
		}
	}
	return f, nil
}

func videoOf(traf *mp4.TrafBox, init *initSection) (fragment, error) {
	if traf.Tfdt == nil {
		return fragment{}, errors.New("a fragment does not say when it starts (no tfdt)")
	}
	f := fragment{start: traf.Tfdt.BaseMediaDecodeTime()}
	f.end = f.start
	for _, trun := range traf.Truns {
		f.end += trun.AddSampleDefaultValues(traf.Tfhd, init.trex)
		if f.samples == 0 && len(trun.Samples) > 0 {
			f.keyframe = mp4.IsSyncSampleFlags(trun.Samples[0].Flags)
		}
		f.samples += len(trun.Samples)
	}
	f.video = f.samples > 0
	if f.video && (f.end <= f.start || init.ms(f.end) > timeline.MaxEpochMs) {
		return fragment{}, fmt.Errorf("a fragment from %d to %d in units of 1/%d s lies outside of the epoch", f.start, f.end, init.timescale)
	}
	return f, nil
}

// ms converts a time of the video's timescale to milliseconds, rounded down, and to the
// greatest number where that does not fit.
func (s *initSection) ms(t uint64) int64 {
	hi, lo := bits.Mul64(t, 1000)
	if hi >= s.timescale {
		return 1<<63 - 1
	}
	quotient, _ := bits.Div64(hi, lo, s.timescale)
	return int64(min(quotient, 1<<63-1))
}
