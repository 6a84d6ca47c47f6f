package cmaf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/mp4"
)

// Kind is what a track holds. The encoder multiplexes both, which HLS players take as it comes; DASH players want each
// kind in files of its own (DASH-IF IOP, 3.2.3), so TrackInit and TrackSegment take the other one out.
type Kind string

// The kinds, as DASH names them too.
const (
	Video Kind = "video"
	Audio Kind = "audio"
)

// handler is the kind's name in an hdlr box (ISO/IEC 14496-12, 8.4.3 and 12).
func (k Kind) handler() string {
	switch k {
	case Video:
		return "vide"
	case Audio:
		return "soun"
	default:
		return ""
	}
}

// emptySegment is what is left of a segment that has nothing of a kind: a segment type (styp) box and no fragment.
var emptySegment = []byte("\x00\x00\x00\x10stypmsdh\x00\x00\x00\x00")

// TrackInit returns the init section for the segments that TrackSegment makes.
func TrackInit(init []byte, kind Kind) ([]byte, error) {
	t, err := findTrack(init, kind)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Write(t.ftyp)
	if err := t.moovAlone().Encode(&out); err != nil {
		return nil, fmt.Errorf("an init section cannot be written: %w", err)
	}
	return out.Bytes(), nil
}

// TrackSegment returns what a segment has of one kind. Only the headers are new; all media data are pieces of the
// segment's own bytes. Times stay as they are. A run of samples must say where it begins counted from its moof, as CMAF has it.
func TrackSegment(init, segment []byte, kind Kind) ([][]byte, error) {
	out, err := TrackPart(init, segment, kind)
	if err == nil && len(out) == 0 {
		out = [][]byte{emptySegment}
	}
	return out, err
}

// TrackPart is the same for a part of a segment: those of all its parts, one after the other, are what TrackSegment makes of the segment.
// What has nothing of that kind becomes nothing.
func TrackPart(init, segment []byte, kind Kind) ([][]byte, error) {
	t, err := findTrack(init, kind)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	rest := segment
	err = eachBox(segment, func(name string, box []byte) error {
		defer func() { rest = rest[len(box):] }()
		switch name {
		case "styp":
			out = append(out, box)
		case "moof": // takes its samples out of the mdat behind it
			pieces, err := t.fragment(box, rest)
			out = append(out, pieces...)
			return err
		}
		return nil // the rest is about both kinds, or about positions that have changed
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// eachBox calls handle with each box of data, header included.
func eachBox(data []byte, handle func(name string, box []byte) error) error {
	for len(data) > 0 {
		name, size, err := boxHeader(data)
		if err != nil {
			return err
		}
		if size == 0 || size > uint64(len(data)) {
			return errors.New("a box is longer than what holds it")
		}
		if err := handle(name, data[:size]); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

// track is a track of an init section.
type track struct {
	ftyp []byte
	moov *mp4.MoovBox
	id   uint32
	trex *mp4.TrexBox // nil: no defaults
}

// findTrack finds the first track of a kind in an init section.
func findTrack(init []byte, kind Kind) (*track, error) {
	t := &track{}
	err := eachBox(init, func(name string, box []byte) error {
		switch name {
		case "ftyp":
			t.ftyp = box
		case "moov":
			var err error
			t.moov, err = decodeMoov(box)
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if t.moov == nil {
		return nil, errors.New("the init section has no moov box")
	}
	for _, trak := range t.moov.Traks {
		if trak.Tkhd == nil || trak.Mdia == nil || trak.Mdia.Hdlr == nil || trak.Mdia.Hdlr.HandlerType != kind.handler() {
			continue
		}
		t.id = trak.Tkhd.TrackID
		if t.moov.Mvex != nil {
			for _, trex := range t.moov.Mvex.Trexs {
				if trex.TrackID == t.id {
					t.trex = trex
				}
			}
		}
		return t, nil
	}
	return nil, fmt.Errorf("there is no %.16q track in the init section", string(kind))
}

// moovAlone returns the moov box without all other tracks.
func (t *track) moovAlone() *mp4.MoovBox {
	own := mp4.NewMoovBox()
	for _, child := range t.moov.Children {
		switch box := child.(type) {
		case *mp4.TrakBox:
			if box.Tkhd == nil || box.Tkhd.TrackID != t.id {
				continue
			}
		case *mp4.MvexBox:
			mvex := mp4.NewMvexBox()
			for _, inner := range box.Children {
				if trex, ok := inner.(*mp4.TrexBox); !ok || trex == t.trex {
					mvex.AddChild(inner)
				}
			}
			child = mvex
		}
		own.AddChild(child)
	}
	return own
}

// fragment returns a fragment's samples of the track behind headers of their own; nothing if it has none. from begins with
// the fragment's moof box.
func (t *track) fragment(box, from []byte) ([][]byte, error) {
	var trafs []*mp4.TrafBox
	var runs []*mp4.TrunBox
	var samples [][]byte
	total := 0
	moof, err := t.eachRun(box, from, func(traf *mp4.TrafBox, run *mp4.TrunBox, data []byte) error {
		if len(trafs) == 0 || trafs[len(trafs)-1] != traf {
			trafs = append(trafs, traf)
		}
		runs, samples, total = append(runs, run), append(samples, data), total+len(data)
		return nil
	})
	if err != nil || total == 0 {
		return nil, err
	}
	own := &mp4.MoofBox{}
	if err := own.AddChild(moof.Mfhd); err != nil {
		return nil, err
	}
	for _, traf := range trafs {
		if err := own.AddChild(traf); err != nil {
			return nil, err
		}
	}
	return assemble(own, runs, samples, total)
}

// eachRun calls handle with each run of the track's samples in a fragment, defaults filled in, and with its data. from begins
// with the fragment's moof box.
func (t *track) eachRun(box, from []byte, handle func(traf *mp4.TrafBox, run *mp4.TrunBox, data []byte) error) (*mp4.MoofBox, error) {
	moof, err := decodeMoof(box)
	if err != nil {
		return nil, err
	}
	if moof.Mfhd == nil {
		return nil, errors.New("a fragment lacks its header (mfhd)")
	}
	total := 0
	for _, traf := range moof.Trafs {
		if traf.Tfhd == nil {
			return nil, errors.New("a fragment lacks its track's header (tfhd)")
		}
		if traf.Tfhd.TrackID != t.id {
			continue
		}
		if traf.Tfhd.HasBaseDataOffset() || !traf.Tfhd.DefaultBaseIfMoof() {
			return nil, errors.New("a fragment does not count its data from its moof box")
		}
		next := int64(-1)
		for _, run := range traf.Truns {
			if run.HasDataOffset() {
				next = int64(run.DataOffset)
			}
			run.AddSampleDefaultValues(traf.Tfhd, t.trex)
			size := run.SizeOfData()
			if next < int64(len(box)) || next > int64(len(from)) || size > uint64(int64(len(from))-next) {
				return nil, fmt.Errorf("%d bytes of samples lie outside of their segment", size)
			}
			if total += int(size); total > len(from) {
				return nil, errors.New("a fragment has the same samples more than once")
			}
			if err := handle(traf, run, from[next:next+int64(size)]); err != nil {
				return nil, err
			}
			next += int64(size)
		}
	}
	return moof, nil
}

// assemble writes a moof box and the header of an mdat box in front of samples, and tells each run where its own begin.
func assemble(moof *mp4.MoofBox, runs []*mp4.TrunBox, samples [][]byte, total int) ([][]byte, error) {
	for _, run := range runs {
		run.Flags |= mp4.TrunDataOffsetPresentFlag
	}
	const mdatHeader = 8
	offset := int(moof.Size()) + mdatHeader // bounded by MaxBoxSize and MaxSegmentSize
	for i, run := range runs {
		run.DataOffset = int32(offset)
		offset += len(samples[i])
	}
	var head bytes.Buffer
	if err := moof.Encode(&head); err != nil {
		return nil, fmt.Errorf("a fragment cannot be written: %w", err)
	}
	head.Write(binary.BigEndian.AppendUint32(nil, uint32(mdatHeader+total)))
	head.WriteString("mdat")
	return append([][]byte{head.Bytes()}, samples...), nil
}
