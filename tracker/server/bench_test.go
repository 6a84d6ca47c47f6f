package server

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"slipstream/tracker/announce"
)

// deaf is a Relay whose clients hear nothing.
type deaf struct{}

func (deaf) Node() NodeID                             { return 1 }
func (d deaf) Start(here Rooms, _ Post) (Rooms, Post) { return here, d }
func (deaf) Deliver(Address, []byte, string)          {}

// BenchmarkVisit is a whole visit without a network: a join whose token is checked, a report, a leave, in a room of 2,000.
func BenchmarkVisit(b *testing.B) {
	s, err := New(Config{Secret: secret, Cells: 1, Relay: deaf{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	now := time.Now() // for all, however long it takes to sign their tokens
	joins := make([][]byte, b.N)
	for i := range joins {
		claims := good()
		claims.Issued, claims.Expires = now, now.Add(time.Minute)
		joins[i], err = announce.Encode(announce.Join{Version: 1, Token: sign(b, claims, secret), Role: announce.Viewer, Renditions: []string{"720p"}})
		if err != nil {
			b.Fatal(err)
		}
	}
	report, err := announce.Encode(announce.Report{Ready: true, Renditions: []string{"720p"}, HTTPBytes: 1 << 30, P2PBytes: 1 << 33, Neighbours: 10})
	if err != nil {
		b.Fatal(err)
	}
	guests := make([]guest, 2000)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		g := &guests[i%len(guests)]
		g.leave()
		*g = guest{visit: visit{srv: s}, id: ConnID(i + 1)}
		for _, frame := range [][]byte{joins[i], report} {
			if refusal, _ := g.take(now, true, frame); refusal != nil {
				b.Fatal(refusal.Message)
			}
		}
	}
	s.local.census() // everything is done
}
