package top

import (
	"bytes"
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"slipstream/tracker/server"
)

var update = flag.Bool("update", false, "write testdata/frame.txt anew")

func evening() Frame {
	before := server.Stats{NowMs: 1_795_385_319_000, Rejects: map[string]int64{"address": 1_000, "token-expired": 40}}
	return Frame{
		Source: "https://tracker.example/tracker/stats.json", Rows: 3, Before: before,
		Now: server.Stats{
			NowMs: 1_795_385_321_000, Viewers: 103_412, Seeders: 3,
			Pace:    server.Pace{Joins: 1_234_567, JoinsPerSecond: 4_811.3, JoinMsP50: 0.32, JoinMsP95: 2.5, JoinMsP99: 41.3},
			Offload: 0.9234, StallRatio: 0.00121, SameISP: 0.64, Copies: 1.32,
			Rejects: map[string]int64{"address": 61_000, "token-expired": 40, "a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "\x1b[2J": 2},
			Nodes:   []server.NodeStats{{Name: "paris", State: "ready", LagMs: 1}, {Name: "lyon", State: "draining", LagMs: 12}},
			ISPs: []server.ISPStats{
				{ISP: "AS3215", Waiting: 12, Sharing: 40_000, Taking: 3_100, Resting: 4}, {ISP: "AS12322", Sharing: 30_000}, {ISP: "AS15557", Sharing: 9_000},
				{ISP: "AS5410", Taking: 8_000}, {ISP: "other", Sharing: 13_000}, {ISP: "\x1b[2J", Sharing: 1}, {ISP: "unknown", Sharing: 295},
			},
			Rooms: []server.RoomStats{
				{Channel: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Viewers: 3_400, Seeders: 1, Parts: 3, Ready: 3_300, NeighboursMean: 9.8, Offload: 0.9, StallRatio: 0.0004, Copies: 1, SameISP: 0.5, LatencyMsMean: 3_900},
				{Channel: "short", Viewers: 12, Parts: 1},
				{Channel: "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB", Viewers: 100_000, Seeders: 2, Parts: 96, Ready: 99_000, NeighboursMean: 10.4, Offload: 0.93, StallRatio: 0.0013, Copies: 1.34, SameISP: 0.65, LatencyMsMean: 4_123},
				{Channel: "last", Viewers: 0, Seeders: 1, Parts: 1},
			},
		},
	}
}

func TestAFrame(t *testing.T) {
	const golden = "testdata/frame.txt"
	got := evening().String()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNothingFromOutsideMovesTheCursor(t *testing.T) {
	f := evening()
	for _, s := range []*string{&f.Source, &f.Now.Nodes[0].Name, &f.Now.Nodes[0].State, &f.Now.Rooms[0].Channel} {
		*s = "\x1b[2J\r\n\u202e" + *s
	}
	if text := f.String(); strings.ContainsAny(text, "\x1b\r\u202e") || strings.Count(text, "\n") != strings.Count(evening().String(), "\n") {
		t.Errorf("%q", text)
	}
}

func TestOnceShowsWhatATrackerTells(t *testing.T) {
	s, err := server.New(server.Config{Secret: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mux := http.NewServeMux()
	mux.Handle(statsPath, s.Stats())
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) })
	web := httptest.NewServer(mux)
	defer web.Close()
	var out strings.Builder
	if err := Run(context.Background(), Config{URL: "ws" + web.URL[len("http"):] + "/tracker", Once: true, Out: &out}); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "0 viewers in 0 channels") || strings.Contains(text, "\x1b") {
		t.Errorf("one frame is %q", text)
	}
	for sentence, at := range map[string]string{
		"status 404":             web.URL + "/nowhere",
		"not a tracker's":        web.URL + "/page",
		"does not answer":        "http://127.0.0.1:1",
		"is not the URL":         "localhost:8081",
		"begins with http, http": "ftp://localhost",
	} {
		if err := Run(context.Background(), Config{URL: at, Once: true, Out: &out}); err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("%s: %v, want a sentence with %q", at, err, sentence)
		}
	}
}

func TestAScreenKeepsTheLastFrameWhenTheTrackerIsGone(t *testing.T) {
	text := screen(evening(), context.DeadlineExceeded)
	if !strings.Contains(text, "103,412 viewers") || !strings.Contains(text, context.DeadlineExceeded.Error()) || !strings.HasPrefix(text, "\x1b[H") {
		t.Errorf("%q", text)
	}
	if text := screen(Frame{}, context.DeadlineExceeded); !strings.Contains(text, context.DeadlineExceeded.Error()) || strings.Contains(text, "viewers") {
		t.Errorf("%q", text)
	}
}
