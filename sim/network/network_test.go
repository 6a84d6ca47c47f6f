package network

import (
	"testing"

	"slipstream/peer/wire"
)

func TestALinkCarriesItsRateInOrder(t *testing.T) {
	l := Link{BytesPerSec: 1000}
	for _, c := range []struct{ now, bytes, start, end int64 }{
		{0, 500, 0, 500_000},
		{100_000, 250, 500_000, 750_000}, // waits behind the first
		{750_000, 1, 750_000, 751_000},
		{5_000_000, 1, 5_000_000, 5_001_000}, // idle in between: nothing is saved up
	} {
		if start, end := l.Send(c.now, c.bytes); start != c.start || end != c.end {
			t.Errorf("%d bytes at %d: from %d to %d, want %d to %d", c.bytes, c.now, start, end, c.start, c.end)
		}
	}
	if l.Carried() != 752 {
		t.Errorf("carried %d bytes, want 752", l.Carried())
	}
	var unlimited Link
	if _, end := unlimited.Send(7, 1<<40); end != 7 {
		t.Errorf("an unlimited link took until %d", end)
	}
}

func TestADownlinkDelaysOnlyWhatItCannotTake(t *testing.T) {
	l := Link{BytesPerSec: 1000}
	for _, c := range []struct {
		name                   string
		first, last, size, end int64
	}{
		{"from a slower sender", 0, 1_000_000, 500, 1_000_000},
		{"at the same moment as the one before", 500_000, 1_000_000, 500, 1_500_000},
		{"from a faster sender", 3_000_000, 3_001_000, 500, 3_500_000},
	} {
		if end := l.Receive(c.first, c.last, c.size); end != c.end {
			t.Errorf("a message %s is through at %d, want %d", c.name, end, c.end)
		}
	}
	if got := l.BacklogUs(3_200_000); got != 300_000 {
		t.Errorf("backlog %d µs, want 300000", got)
	}
}

func TestCDNResponsesPaceThemselves(t *testing.T) {
	c := CDN{OneWayMs: 20, ServerMs: 10, BytesPerSec: 1_000_000}
	r := c.Open(1000)
	for _, step := range []struct{ now, first, last int64 }{
		{1000, 1_050_000, 1_060_000}, // 50 ms to the first byte, 10 ms of bytes
		{1060, 1_060_000, 1_070_000},
		{2000, 2_000_000, 2_010_000}, // the downlink was busy until 2000: the edge waited
	} {
		if first, last := c.Next(&r, step.now, 10_000); first != step.first || last != step.last {
			t.Errorf("10 kB asked for at %d arrive from %d to %d µs, want %d to %d", step.now, first, last, step.first, step.last)
		}
	}
	if c.Requests != 1 || c.Bytes != 30_000 {
		t.Errorf("counted %d requests and %d bytes", c.Requests, c.Bytes)
	}
}

func TestMessageSizesAreThoseOfTheEncoder(t *testing.T) {
	indices := make([]uint16, 5)
	for _, c := range []struct {
		message wire.Message
		want    int64
	}{
		{wire.Hello{Version: wire.Version}, HelloBytes},
		{wire.Have{Leaves: 62, Bitfield: wire.NewBitfield(wire.Pieces(62))}, HaveBytes(21)},
		{wire.Gain{Pieces: indices}, IndicesBytes(5)},
		{wire.Cancel{Pieces: indices}, IndicesBytes(5)},
		{wire.Request{Wanted: make([]wire.Wanted, 5)}, IndicesBytes(5) + 1},
		{wire.Refuse{Pieces: indices}, IndicesBytes(5) + 1},
		{wire.Lost{}, LostBytes},
		{wire.Ask{}, AskBytes},
		{wire.Record{Data: make([]byte, 221)}, RecordBytes(221)},
		{wire.Leaves{Hashes: make([]byte, 32*62)}, LeafListBytes(62)},
		{wire.Leaf{Data: make([]byte, 777)}, LeafBytes(777)},
	} {
		if got := int64(len(c.message.Append(nil))); got != c.want {
			t.Errorf("%v has %d bytes, the simulator counts %d", c.message.Type(), got, c.want)
		}
	}
	if MaxBatch != wire.MaxBatch {
		t.Errorf("batches of %d, the protocol allows %d", MaxBatch, wire.MaxBatch)
	}
	if got := WireBytes(LeafBytes(16384), DefaultPacketOverhead); got != 16395+14*93 {
		t.Errorf("a full leaf costs %d bytes on the line", got)
	}
}
