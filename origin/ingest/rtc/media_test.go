package rtc

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = time.Millisecond

var (
	start    = time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC)
	sps      = []byte{0x67, 0x42, 0xc0, 0x1e, 1}
	pps      = []byte{0x68, 6}
	keyframe = append([]byte{0x65}, bytes.Repeat([]byte{7}, 3000)...) // three packets
	inter    = append([]byte{0x41}, bytes.Repeat([]byte{8}, 2000)...) // two
)

// A tape is what a publisher's encoder and packetizer make.
type tape struct {
	payloader codecs.H264Payloader
	sequence  uint16
	stamp     uint32
}

// packets are those of one picture.
func (t *tape) packets(units ...[]byte) []*rtp.Packet {
	var stream []byte
	for _, u := range units {
		stream = append(append(stream, 0, 0, 0, 1), u...)
	}
	var packets []*rtp.Packet
	for _, payload := range t.payloader.Payload(1200, stream) {
		packets = append(packets, &rtp.Packet{Header: rtp.Header{SequenceNumber: t.sequence, Timestamp: t.stamp}, Payload: payload})
		t.sequence++
	}
	packets[len(packets)-1].Marker = true
	t.stamp += 3000
	return packets
}

// A screen notes what it is shown.
type screen struct {
	events  []string
	pts     []time.Duration
	sounds  []time.Duration
	waiting bool
}

func (s *screen) SoundBegins() error {
	s.events = append(s.events, "sound begins")
	return nil
}

func (s *screen) Picture(pts time.Duration, units [][]byte, _ time.Time) (bool, error) {
	event := ""
	for _, u := range units {
		event += fmt.Sprintf(" %d:%d", u[0]&0x1f, len(u))
	}
	s.events, s.pts = append(s.events, "picture"+event), append(s.pts, pts)
	return s.waiting, nil
}

func (s *screen) Sound(pts time.Duration, packet []byte) error {
	s.events, s.sounds = append(s.events, fmt.Sprintf("sound %d", len(packet))), append(s.sounds, pts)
	return nil
}

func send(t *testing.T, d *distributor, at time.Time, packets ...*rtp.Packet) (asked bool) {
	t.Helper()
	for _, p := range packets {
		ask, err := d.take(arrival{stream: pictures, at: at, packet: p})
		if err != nil {
			t.Fatal(err)
		}
		asked = asked || ask
	}
	return asked
}

const (
	wholeKey   = "picture 7:5 8:2 5:3001"
	wholeInter = "picture 1:2001"
)

func TestPicturesAreWholeAndInOrder(t *testing.T) {
	s := &screen{}
	d := newDistributor(false, s)
	tape := tape{sequence: 65533, stamp: 1<<32 - 3000} // both wrap
	first, second := tape.packets(sps, pps, keyframe), tape.packets(inter)
	if len(first) != 4 || len(second) != 2 {
		t.Fatalf("%d and %d packets", len(first), len(second))
	}
	send(t, d, start, first[0], first[2], first[1], first[1], first[3], second[1], first[0], second[0])
	if want := []string{wholeKey, wholeInter}; !slices.Equal(s.events, want) {
		t.Errorf("%q, want %q", s.events, want)
	}
	if apart := s.pts[1] - s.pts[0]; apart != time.Second/30 {
		t.Errorf("the pictures are %v apart", apart)
	}
}

func TestALostPacketIsWaitedForAndThenAKeyFrameIsAskedFor(t *testing.T) {
	s := &screen{}
	d := newDistributor(false, s)
	tape := tape{}
	now := start
	if !send(t, d, now, tape.packets(sps, pps, keyframe)...) {
		t.Error("nobody asks for the first key frame")
	}
	damaged := tape.packets(inter)
	now = now.Add(time.Second)
	send(t, d, now, damaged[0]) // the end is missing
	if send(t, d, now.Add(retransmission-ms), tape.packets(inter)...) {
		t.Error("a key frame is asked for while the packet may still come")
	}
	if len(s.events) != 1 {
		t.Errorf("shown too early: %q", s.events)
	}
	now = now.Add(2 * retransmission)
	if !send(t, d, now, tape.packets(inter)...) {
		t.Error("no key frame is asked for")
	}
	if send(t, d, now.Add(keyframePause-ms), tape.packets(inter)...) {
		t.Error("it is asked for again at once")
	}
	send(t, d, now.Add(keyframePause), tape.packets(sps, pps, keyframe)...)
	send(t, d, now.Add(keyframePause), tape.packets(inter)...)
	if want := []string{wholeKey, wholeKey, wholeInter}; !slices.Equal(s.events, want) {
		t.Errorf("%q, want %q", s.events, want)
	}
	send(t, d, now, damaged[1]) // far too late
	if len(s.events) != 3 {
		t.Errorf("a late packet is shown: %q", s.events)
	}
}

func TestAKeyFrameRightAfterALossIsShown(t *testing.T) {
	s := &screen{}
	d := newDistributor(false, s)
	tape := tape{}
	send(t, d, start, tape.packets(sps, pps, keyframe)...)
	tape.packets(inter) // lost altogether
	send(t, d, start, tape.packets(sps, pps, keyframe)...)
	send(t, d, start.Add(retransmission), tape.packets(inter)...)
	if want := []string{wholeKey, wholeKey, wholeInter}; !slices.Equal(s.events, want) {
		t.Errorf("%q, want %q", s.events, want)
	}
}

func TestAnEncoderThatMakesNoKeyFramesIsShownAllTheSame(t *testing.T) {
	s := &screen{}
	d := newDistributor(false, s)
	tape := tape{}
	send(t, d, start, tape.packets(sps, pps, keyframe)...)
	tape.packets(inter) // lost
	for i := range 100 {
		send(t, d, start.Add(time.Duration(i)*33*ms), tape.packets(inter)...)
	}
	if frozen := 101 - len(s.events); frozen < 60 || frozen > 75 {
		t.Errorf("%d pictures were left out", frozen)
	}
}

func TestKeyFramesAreAskedForFromTimeToTime(t *testing.T) {
	s := &screen{}
	d := newDistributor(false, s)
	tape := tape{}
	send(t, d, start, tape.packets(sps, pps, keyframe)...)
	asked := 0
	for i := range 200 { // ten seconds
		if send(t, d, start.Add(time.Second+time.Duration(i)*50*ms), tape.packets(inter)...) {
			asked++
		}
	}
	if asked < 10 || asked > 15 { // none for three seconds, then twice a second because none comes
		t.Errorf("asked %d times", asked)
	}
}

func TestAFloodFillsNothing(t *testing.T) {
	s := &screen{}
	d := newDistributor(false, s)
	for i := range 200_000 { // each but the first of 40 leaves a hole, and nothing is ever complete
		p := &rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(i * 40), Timestamp: 1}, Payload: []byte{28, 5, 1, 2}}
		send(t, d, start, p)
	}
	if held := d.order[pictures].count; held > reorderSize {
		t.Errorf("%d packets are held", held)
	}
	a, endless := &assembler{}, append([]byte{28, 5}, make([]byte, 998)...) // a NAL unit that goes on and on
	var err error
	for i := 0; err == nil; i++ {
		if i > maxPicture/len(endless) {
			t.Fatal("a picture grows without bound")
		}
		err = a.take(&rtp.Packet{Payload: endless}, false, nil, nil)
	}
}

func play(t *testing.T, d *distributor, at time.Time, sequence uint16, stamp uint32) {
	t.Helper()
	p := &rtp.Packet{Header: rtp.Header{SequenceNumber: sequence, Timestamp: stamp}, Payload: []byte{1, 2, 3}}
	if _, err := d.take(arrival{stream: sounds, at: at, packet: p}); err != nil {
		t.Fatal(err)
	}
}

// Pictures wait for the sound that was offered, so that a session begins with both.
func TestSoundThatWasOfferedIsWaitedFor(t *testing.T) {
	s := &screen{}
	d := newDistributor(true, s)
	tape := tape{stamp: 5}
	send(t, d, start, tape.packets(sps, pps, keyframe)...)
	if len(s.events) != 0 {
		t.Errorf("pictures do not wait: %q", s.events)
	}
	play(t, d, start.Add(80*ms), 9, 7_000_000)
	want := []string{"sound begins", wholeKey, "sound 3"}
	if !slices.Equal(s.events, want) {
		t.Errorf("%q, want %q", s.events, want)
	}

	s = &screen{}
	d = newDistributor(true, s)
	for i := range 20 {
		send(t, d, start.Add(time.Duration(i)*33*ms), tape.packets(sps, pps, keyframe)...)
	}
	play(t, d, start.Add(time.Second), 9, 7_000_000) // later than anybody waits
	if len(s.events) != 22 || s.events[0] != wholeKey || s.events[20] != "sound begins" {
		t.Errorf("%q", s.events)
	}
}

// ntp is a time on a sender's wall clock, in NTP's form.
func ntp(at time.Duration) uint64 {
	return uint64(at/time.Second)<<32 | uint64(at%time.Second)<<32/uint64(time.Second)
}

func TestSoundIsAlignedByArrivalAndThenByReports(t *testing.T) {
	s := &screen{}
	d := newDistributor(false, s)
	tape := tape{stamp: 90_000 * 100}
	send(t, d, start, tape.packets(sps, pps, keyframe)...)
	stamp := uint32(1<<32 - 480) // wraps
	play(t, d, start.Add(150*ms), 0, stamp)
	report := func(stream int, wall time.Duration, rtp uint32) {
		if _, err := d.take(arrival{stream: stream, at: start, ntp: ntp(wall), rtp: rtp}); err != nil {
			t.Fatal(err)
		}
	}
	const wall = 3_900_000_000 * time.Second
	// The sound was made with the picture, 150 ms before it came.
	report(pictures, wall+time.Second, 90_000*101)
	play(t, d, start.Add(170*ms), 1, stamp+960)
	report(sounds, wall+500*ms, stamp+24_000)
	play(t, d, start.Add(190*ms), 2, stamp+1920)
	report(sounds, wall+5*time.Second, stamp) // makes no sense
	play(t, d, start.Add(210*ms), 3, stamp+2880)
	base := s.pts[0]
	want := []time.Duration{base + 150*ms, base + 170*ms, base + 40*ms, base + 60*ms}
	for i, got := range s.sounds {
		if off := got - want[i]; off.Abs() > ms {
			t.Errorf("sound %d is at %v, want %v", i, got-base, want[i]-base)
		}
	}
}
