package cluster

import (
	"bytes"
	"log/slog"
	"reflect"
	"testing"

	"slipstream/tracker/announce"
	"slipstream/tracker/server"
)

func TestABatchArrivesAsItWasTold(t *testing.T) {
	want := []entry{
		{Kind: enters, Conn: 7, Body: encode(arrival{Channel: channel, Join: announce.Join{Version: 1, Role: announce.Viewer}, ISP: 3215,
			Resume: &resume{ID: 9, Known: []announce.PeerID{1, 2}, Report: &announce.Report{Ready: true, UplinkBps: 5e6}, CapBps: 2e6}})},
		{Kind: delivers, Conn: 1 << 63, End: "expelled", Body: []byte(`{"type":"error"}`)},
		{Kind: leaves, Conn: 7},
		{Kind: spends, Conn: 8, Body: encode(spending{Token: 1 << 63, Dead: 1_767_225_600})},
		{Kind: again, Conn: 8},
	}
	var o outbox
	for _, e := range want {
		if !o.add(e) {
			t.Fatal("no room")
		}
	}
	var got []entry
	for _, batch := range o.take(5) {
		err := decodeBatch(batch, func(from server.NodeID, e entry) {
			if e.Body = bytes.Clone(e.Body); from != 5 {
				t.Errorf("from %d", from)
			}
			got = append(got, e)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range want {
		if len(got) != len(want) || got[i].Kind != want[i].Kind || got[i].Conn != want[i].Conn || got[i].End != want[i].End ||
			!bytes.Equal(got[i].Body, want[i].Body) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	var a arrival
	if err := decoding.Unmarshal(got[0].Body, &a); err != nil {
		t.Fatal(err)
	}
	e, err := a.enter()
	if err != nil || !reflect.DeepEqual(arrivalOf(e), a) || e.Resume.Report.UplinkBps != 5e6 {
		t.Errorf("%+v, %v", e, err)
	}
	if again := o.take(5); len(again) != 0 {
		t.Errorf("%d batches twice", len(again))
	}
}

func TestBatchesFitIntoNATSAndAnOutboxIsBounded(t *testing.T) {
	var o outbox
	frame := bytes.Repeat([]byte("x"), 10_000)
	told := 0
	for o.add(entry{Kind: delivers, Conn: server.ConnID(told), Body: frame}) {
		told++
	}
	if size := told * len(frame); size > full || size < full*9/10 {
		t.Errorf("an outbox takes %d bytes", size)
	}
	if o.add(entry{Kind: reports, Body: []byte("{}")}) {
		t.Error("a crowded outbox takes reports")
	}
	next := 0
	for _, batch := range o.take(5) {
		if len(batch) > maxBatch {
			t.Fatalf("a batch of %d bytes", len(batch))
		}
		if err := decodeBatch(batch, func(_ server.NodeID, e entry) {
			if e.Conn != server.ConnID(next) {
				t.Fatalf("entry %d in place of %d", e.Conn, next)
			}
			next++
		}); err != nil {
			t.Fatal(err)
		}
	}
	if next != told {
		t.Errorf("%d of %d entries arrived", next, told)
	}
}

// FuzzBatch holds that no bytes panic, and that what is understood means the same when it is told again.
func FuzzBatch(f *testing.F) {
	var o outbox
	o.add(entry{Kind: enters, Conn: 7, Body: encode(arrival{Channel: channel, Resume: &resume{ID: 9, Known: []announce.PeerID{1}}})})
	o.add(entry{Kind: delivers, Conn: 8, End: "expelled", Body: []byte("{}")})
	o.add(entry{Kind: spends, Conn: 8, Body: encode(spending{Token: 1, Dead: 1})})
	f.Add(o.take(3)[0])
	keeper := newRelay(1, "", port{newNetwork(), 1}, slog.New(slog.DiscardHandler))
	f.Add(encode(heartbeat{Node: 3, Name: "a", Channels: []channelSize{{Channel: channel, Viewers: 3}}, Sees: []meeting{{Node: 2, Number: 1}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h heartbeat
		if decoding.Unmarshal(b, &h) == nil {
			newMembers(1).hear(h)
		}
		var again outbox
		var sender server.NodeID
		var told []entry
		err := decodeBatch(b, func(from server.NodeID, e entry) {
			e.Body = bytes.Clone(e.Body)
			sender, told = from, append(told, e)
			again.add(e)
			var a arrival
			if e.Kind == enters && decoding.Unmarshal(e.Body, &a) == nil {
				_, _ = a.enter()
			}
			if e.Kind == spends {
				keeper.keep(from, e)
			}
		})
		if err != nil || len(told) == 0 {
			return
		}
		i := 0
		for _, batch := range again.take(sender) {
			if err := decodeBatch(batch, func(from server.NodeID, e entry) {
				if e.Kind != told[i].Kind || e.Conn != told[i].Conn || e.End != told[i].End || !bytes.Equal(e.Body, told[i].Body) {
					t.Fatalf("entry %d: %+v, then %+v", i, told[i], e)
				}
				i++
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
