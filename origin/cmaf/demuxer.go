package cmaf

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
)

// ErrNoInit says that media came of which nobody has said what they are.
var ErrNoInit = errors.New("a fragment came before the init section that says what it holds")

// ErrCodec says that a track cannot be published.
var ErrCodec = errors.New("neither H.264 nor AAC")

// A Demuxer takes fragmented MP4 apart into the pictures and the sound that an encoder sent. It reads what comes by CMAF ingest:
// unlike a Cutter it takes picture and sound by themselves or together, fragments of any length that begin anywhere, and another
// init section at any time.
type Demuxer struct {
	boxes  boxes
	at     uint64 // position of the next box in the stream
	tracks []source
	init   []byte       // the moov box that they are from
	moof   *mp4.MoofBox // a fragment's header, until its media data come
	moofAt uint64
}

// source is a track that samples come from.
type source struct {
	kind      Kind
	id        uint32
	timescale uint64
	trex      *mp4.TrexBox
	shift     time.Duration // what its edit list adds to its times
}

// A Unit is an init section, or a sample that follows one; the other is nil.
type Unit struct {
	Init   *Streams
	Sample *AccessUnit
}

// Streams are what the first track of each kind needs for decoding.
type Streams struct {
	Video []byte // AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1); nil: no picture
	Audio []byte // AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1); nil: no sound
}

// An AccessUnit is a picture or a frame of sound, in decoding order. Times count from the sender's zero.
type AccessUnit struct {
	Kind     Kind
	DTS, PTS time.Duration
	Data     []byte // NAL units behind their lengths, or an AAC access unit
}

// Write takes the next bytes of the stream and returns what they complete. It keeps no reference to p. Some may be returned
// together with an error: they were complete before the bad bytes.
func (d *Demuxer) Write(p []byte) (units []Unit, err error) {
	err = d.boxes.feed(p, func(name string, box []byte) error {
		more, err := d.take(name, box)
		units = append(units, more...)
		d.at += uint64(len(box))
		return err
	})
	return units, err
}

// Restart forgets what has begun and not ended: what comes next begins with a box.
func (d *Demuxer) Restart() {
	d.boxes.pending, d.moof, d.at = nil, nil, 0
}

// Ready reports whether an init section has come.
func (d *Demuxer) Ready() bool { return len(d.tracks) > 0 }

// Init is what another Demuxer has to be given to go on in this one's place, nil if no init section has come.
func (d *Demuxer) Init() []byte { return d.init }

func (d *Demuxer) take(name string, box []byte) ([]Unit, error) {
	switch name {
	case "moov":
		streams, err := d.takeInit(box)
		if err != nil {
			return nil, err
		}
		return []Unit{{Init: streams}}, nil
	case "moof":
		return nil, d.takeMoof(box)
	case "mdat":
		return d.takeMdat(box)
	}
	return nil, nil // the rest is about brands, clocks, events and positions
}

func (d *Demuxer) takeInit(box []byte) (*Streams, error) {
	moov, err := decodeMoov(box)
	if err != nil {
		return nil, err
	}
	d.tracks, d.init, d.moof = nil, nil, nil
	streams := &Streams{}
	for _, trak := range moov.Traks {
		if trak.Tkhd == nil || trak.Mdia == nil || trak.Mdia.Mdhd == nil || trak.Mdia.Hdlr == nil || trak.Mdia.Mdhd.Timescale == 0 {
			return nil, errors.New("a track of the init section lacks its header")
		}
		if _, err := describe(trak); err != nil {
			return nil, err
		}
		from := source{id: trak.Tkhd.TrackID, timescale: uint64(trak.Mdia.Mdhd.Timescale)}
		stsd := trak.Mdia.Minf.Stbl.Stsd
		switch kind := trak.Mdia.Hdlr.HandlerType; {
		case kind == Video.handler() && streams.Video == nil:
			var config bytes.Buffer
			if err := stsd.AvcX.AvcC.DecConfRec.Encode(&config); err != nil {
				return nil, fmt.Errorf("the H.264 parameters make no sense: %w", err)
			}
			from.kind, streams.Video = Video, config.Bytes()
		case kind == Audio.handler() && streams.Audio == nil:
			from.kind, streams.Audio = Audio, bytes.Clone(stsd.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig)
		default:
			continue // one of each kind is enough
		}
		if moov.Mvex != nil {
			for _, trex := range moov.Mvex.Trexs {
				if trex.TrackID == from.id {
					from.trex = trex
				}
			}
		}
		from.shift = shiftOf(trak, moov)
		d.tracks = append(d.tracks, from)
	}
	if len(d.tracks) == 0 {
		return nil, errors.New("the init section has no track")
	}
	d.init = bytes.Clone(box)
	return streams, nil
}

// shiftOf is what an edit list adds to a track's times (ISO/IEC 14496-12, 8.6.6): a pause before it, less what is cut from its
// beginning, which makes up for reordered pictures and for the run-up of sound. More than a few seconds is something else.
func shiftOf(trak *mp4.TrakBox, moov *mp4.MoovBox) time.Duration {
	if trak.Edts == nil || len(trak.Edts.Elst) == 0 {
		return 0
	}
	var shift time.Duration
	for _, entry := range trak.Edts.Elst[0].Entries {
		if entry.MediaTime < 0 && moov.Mvhd != nil {
			pause, _ := duration(entry.SegmentDuration, uint64(moov.Mvhd.Timescale))
			shift += pause
			continue
		}
		cut, _ := duration(uint64(max(entry.MediaTime, 0)), uint64(trak.Mdia.Mdhd.Timescale))
		shift -= cut
		break
	}
	const most = 10 * time.Second
	if shift < -most || shift > most {
		return 0
	}
	return shift
}

func (d *Demuxer) takeMoof(box []byte) error {
	switch {
	case !d.Ready():
		return ErrNoInit
	case d.moof != nil:
		return errors.New("a fragment has a moof box but no mdat box")
	}
	moof, err := decodeMoof(box)
	if err != nil {
		return err
	}
	d.moof, d.moofAt = moof, d.at
	return nil
}

// takeMdat returns the samples of a fragment, track by track.
func (d *Demuxer) takeMdat(mdat []byte) (units []Unit, err error) {
	if d.moof == nil {
		return nil, errors.New("media data (mdat) came without its moof box")
	}
	moof := d.moof
	d.moof = nil
	f := &fragmentData{bytes: bytes.Clone(mdat), at: int64(d.at - d.moofAt), moofAt: d.moofAt}
	for _, traf := range moof.Trafs {
		if traf.Tfhd == nil || traf.Tfdt == nil {
			return units, errors.New("a fragment lacks its track's header (tfhd) or does not say when it starts (tfdt)")
		}
		samples, err := f.samples(traf, d.track(traf.Tfhd.TrackID))
		if err != nil {
			return units, err
		}
		for i := range samples {
			units = append(units, Unit{Sample: &samples[i]})
		}
	}
	return units, nil
}

// track returns nil for one of no interest.
func (d *Demuxer) track(id uint32) *source {
	for i := range d.tracks {
		if d.tracks[i].id == id {
			return &d.tracks[i]
		}
	}
	return nil
}

// fragmentData are the media data of one fragment. Offsets count from its moof box.
type fragmentData struct {
	bytes  []byte // the mdat box
	at     int64
	moofAt uint64 // from the beginning of the stream
	next   int64  // where the data of the track before ended
	used   uint64 // by all samples so far
}

// samples are those of one track, none if from is nil.
func (f *fragmentData) samples(traf *mp4.TrafBox, from *source) (samples []AccessUnit, err error) {
	base := int64(0)
	switch tfhd := traf.Tfhd; {
	case tfhd.HasBaseDataOffset(): // from the beginning of the stream
		base = int64(tfhd.BaseDataOffset - f.moofAt)
	case !tfhd.DefaultBaseIfMoof() && f.next > 0: // from the end of the track before (8.8.7)
		base = f.next
	}
	at, ticks := base, traf.Tfdt.BaseMediaDecodeTime()
	var trex *mp4.TrexBox
	if from != nil {
		trex = from.trex
	}
	for _, run := range traf.Truns {
		if run.HasDataOffset() {
			at = base + int64(run.DataOffset)
		}
		run.AddSampleDefaultValues(traf.Tfhd, trex)
		for _, s := range run.Samples {
			begin := at - f.at
			if f.used += uint64(s.Size); begin < 0 || begin > int64(len(f.bytes)) || int64(s.Size) > int64(len(f.bytes))-begin || f.used > uint64(len(f.bytes)) {
				return samples, errors.New("samples lie outside of their fragment's media data, or share them")
			}
			if from != nil && s.Size > 0 {
				sample, err := from.sample(ticks, s.CompositionTimeOffset)
				if err != nil {
					return samples, err
				}
				sample.Data = f.bytes[begin : begin+int64(s.Size) : begin+int64(s.Size)]
				samples = append(samples, sample)
			}
			at, ticks = at+int64(s.Size), ticks+uint64(s.Dur)
		}
	}
	f.next = at
	return samples, nil
}

func (from *source) sample(ticks uint64, offset int32) (AccessUnit, error) {
	dts, ok := duration(ticks, from.timescale)
	if !ok {
		return AccessUnit{}, fmt.Errorf("a sample at %d in units of 1/%d s lies outside of all times", ticks, from.timescale)
	}
	dts += from.shift
	return AccessUnit{Kind: from.kind, DTS: dts, PTS: dts + time.Duration(int64(offset)*int64(time.Second)/int64(from.timescale))}, nil
}

// duration converts ticks, if they are not more than 200 years.
func duration(ticks, timescale uint64) (time.Duration, bool) {
	const most = 200 * 365 * 24 * 3600 * uint64(time.Second)
	hi, lo := bits.Mul64(ticks, uint64(time.Second))
	if timescale == 0 || hi >= timescale {
		return 0, false
	}
	ns, _ := bits.Div64(hi, lo, timescale)
	return time.Duration(ns), ns <= most
}
