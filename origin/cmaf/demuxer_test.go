package cmaf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"slipstream/origin/cmaf"
)

// demux feeds a stream in pieces and returns what comes out.
func demux(d *cmaf.Demuxer, stream []byte, piece int) (units []cmaf.Unit, err error) {
	for len(stream) > 0 && err == nil {
		n := min(piece, len(stream))
		var more []cmaf.Unit
		more, err = d.Write(stream[:n])
		units, stream = append(units, more...), stream[n:]
	}
	return units, err
}

func samplesOf(units []cmaf.Unit, kind cmaf.Kind) (samples []cmaf.AccessUnit) {
	for _, u := range units {
		if u.Sample != nil && u.Sample.Kind == kind {
			samples = append(samples, *u.Sample)
		}
	}
	return samples
}

func TestEverySampleComesWithItsTime(t *testing.T) {
	stream := recorded(t)
	for _, piece := range []int{len(stream), 1000} {
		units, err := demux(&cmaf.Demuxer{}, stream, piece)
		if err != nil {
			t.Fatal(err)
		}
		if streams := units[0].Init; streams == nil || len(streams.Video) == 0 || !bytes.Equal(streams.Audio[:2], []byte{0x11, 0x88}) {
			t.Fatalf("the first unit has %x: parameters of the picture and of AAC-LC, 48 kHz, mono are expected", streams)
		}
		for kind, want := range map[cmaf.Kind]struct {
			handler   string
			timescale uint64
		}{cmaf.Video: {"vide", 15360}, cmaf.Audio: {"soun", 48000}} {
			got, all := samplesOf(units, kind), trackSamples(t, stream, want.handler)
			if len(got) == 0 || len(got) != len(all) {
				t.Fatalf("%s: %d samples, want %d", kind, len(got), len(all))
			}
			for i, s := range got {
				at := time.Duration(all[i].DecodeTime/want.timescale)*time.Second + time.Duration(all[i].DecodeTime%want.timescale)*time.Second/time.Duration(want.timescale)
				if s.DTS != at || s.PTS != at || !bytes.Equal(s.Data, all[i].Data) {
					t.Fatalf("%s: sample %d at %v (%v) with %d bytes, want %v and %d", kind, i, s.DTS, s.PTS, len(s.Data), at, len(all[i].Data))
				}
			}
		}
	}
}

// Encoders that send segments one by one send the init section once, and may be cut off anywhere.
func TestSegmentsComeOneByOne(t *testing.T) {
	init, fragments := split(t, recorded(t))
	d := &cmaf.Demuxer{}
	if _, err := d.Write(fragments[0]); !errors.Is(err, cmaf.ErrNoInit) || d.Ready() {
		t.Fatalf("media before the init section: %v", err)
	}
	d.Restart()
	if _, err := d.Write(init); err != nil || !d.Ready() {
		t.Fatal(err)
	}
	d.Restart()
	if _, err := d.Write(fragments[0][:len(fragments[0])/2]); err != nil {
		t.Fatal(err)
	}
	d.Restart()
	units, err := d.Write(fragments[1])
	if err != nil || len(samplesOf(units, cmaf.Video)) != 15 {
		t.Errorf("after half a fragment: %d pictures, %v", len(samplesOf(units, cmaf.Video)), err)
	}
}

// Not every encoder counts from the moof box: the oldest way is from the beginning of the file.
func TestOffsetsFromTheBeginningOfTheFile(t *testing.T) {
	init, fragments := split(t, recorded(t))
	want, err := demux(&cmaf.Demuxer{}, join(init, fragments[0]), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	at := uint64(len(init))
	moved := bytes.Clone(fragments[0])
	for from := 0; ; {
		i := bytes.Index(moved[from:], []byte("tfhd"))
		if i < 0 {
			break
		}
		from += i + 4
		flags := binary.BigEndian.Uint32(moved[from:])
		if flags&1 != 0 {
			t.Fatal("the recording counts so already")
		}
		// The eight bytes more take the moof box, its traf and its tfhd along, and move the data.
		moved = join(moved[:from], binary.BigEndian.AppendUint32(nil, flags&^0x20000|1), moved[from+4:from+8],
			binary.BigEndian.AppendUint64(nil, at), moved[from+8:])
		grow(moved, from-8)
		grow(moved, bytes.LastIndex(moved[:from], []byte("traf"))-4)
		grow(moved, 0)
	}
	trafs := bytes.Count(moved, []byte("tfhd"))
	for from := 0; ; {
		i := bytes.Index(moved[from:], []byte("trun"))
		if i < 0 {
			break
		}
		from += i + 4
		offset := moved[from+8:]
		binary.BigEndian.PutUint32(offset, binary.BigEndian.Uint32(offset)+uint32(8*trafs))
	}
	got, err := demux(&cmaf.Demuxer{}, join(init, moved), 1<<20)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d units, want %d: %v", len(got), len(want), err)
	}
	for i := 1; i < len(got); i++ {
		if !bytes.Equal(got[i].Sample.Data, want[i].Sample.Data) {
			t.Fatalf("sample %d differs", i)
		}
	}
}

// grow adds eight bytes to the size of the box at an offset.
func grow(p []byte, at int) {
	binary.BigEndian.PutUint32(p[at:], binary.BigEndian.Uint32(p[at:])+8)
}

func TestWhatADemuxerRefuses(t *testing.T) {
	init, fragments := split(t, recorded(t))
	for want, stream := range map[string][]byte{
		"without its moof box":         join(init, fragments[0][len(moofOf(fragments[0])):]),
		"no mdat box":                  join(init, moofOf(fragments[0]), moofOf(fragments[0])),
		"outside of their fragment's":  join(init, moofOf(fragments[0]), []byte("\x00\x00\x00\x08mdat")),
		"lies outside of all times":    join(init, setTime(fragments[0], 1<<63)),
		"neither H.264 nor AAC":        bytes.Replace(init, []byte("avc1"), []byte("hvc1"), 1),
		"this is no MP4 stream":        []byte("\x00\x00\x00\x10GET\x01 / HTTP/1.1"),
		"the init section has no trac": join(init[:28], []byte("\x00\x00\x00\x08moov")),
	} {
		if _, err := demux(&cmaf.Demuxer{}, stream, 1<<20); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// FuzzDemuxer damages a real stream: nothing may panic, and no more media may come out than went in.
func FuzzDemuxer(f *testing.F) {
	init, fragments := split(f, recorded(f))
	stream := join(init, fragments[0], fragments[1])
	f.Add([]byte{0, 60, 1}, uint16(100))
	f.Add([]byte{4, 0xe0, 0xff, 5, 0x10, 0}, uint16(1))
	f.Add([]byte{2, 0x40, 7, 2, 0x41, 9}, uint16(4000))
	f.Fuzz(func(t *testing.T, damage []byte, piece uint16) {
		damaged := bytes.Clone(stream)
		inflict(damage, damaged)
		d := &cmaf.Demuxer{}
		units, _ := demux(d, damaged, int(piece)+1)
		d.Restart()
		more, _ := d.Write(fragments[2])
		size := 0
		for _, u := range append(units, more...) {
			if u.Sample != nil {
				size += len(u.Sample.Data)
			}
		}
		if size > len(damaged)+len(fragments[2]) {
			t.Fatalf("%d bytes of media came out of %d", size, len(damaged))
		}
	})
}
