package bench

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/playback"
	"slipstream/peer/rtc"
	"slipstream/peer/session"
)

// holdBack is how many segments behind the live edge a spectator starts, as the Go viewer does.
const holdBack = 3

// spectator plays like the Go viewer, and compares every byte that a player would get with what was published.
type spectator struct {
	stage   *stage
	session *session.Session
	cancel  context.CancelFunc
	ended   chan error

	// Owned by the session's loop, and by everybody once it has ended:
	play       *playback.Playhead
	joinedMs   int64
	bufferedMs int64
	badBytes   int64
	played     int64 // bytes compared
}

// DeadlineMs implements session.Audience.
func (v *spectator) DeadlineMs(nowMs int64, seg session.Segment) int64 {
	if v.play == nil || seg.StartMs+seg.DurationMs <= v.play.PositionMs() {
		return 0
	}
	return max(v.play.DueMs(nowMs, seg.StartMs), nowMs)
}

// Advance implements session.Audience.
func (v *spectator) Advance(nowMs int64, rendition string, window []session.Segment) {
	if len(window) == 0 {
		return
	}
	if v.play == nil {
		v.bufferedMs = window[max(len(window)-holdBack, 0)].StartMs
		v.play = playback.New(v.joinedMs, v.bufferedMs)
	}
	for _, seg := range window {
		if seg.Complete && seg.StartMs == v.bufferedMs {
			v.bufferedMs += seg.DurationMs
			v.compare(seg.Number, v.session.Media(rendition, seg.Number))
		}
	}
	v.play.Advance(nowMs, v.bufferedMs)
}

// compare is where a player would append the segment to its buffer.
func (v *spectator) compare(number int64, data []byte) {
	published := v.stage.content(number)
	v.played += int64(len(published))
	if bytes.Equal(data, published) {
		return
	}
	for i := range published {
		if i >= len(data) || data[i] != published[i] {
			v.badBytes++
		}
	}
}

// Report implements session.Audience.
func (v *spectator) Report() session.Experience {
	if v.play == nil {
		return session.Experience{}
	}
	return session.Experience{Stalls: v.play.Stalls(), StallMs: v.play.StallMs(), LatencyMs: v.play.LatencyMeanMs()}
}

// join lets a spectator watch the stage until leave. change, if not nil, may alter how.
func (s *stage) join(engine *rtc.Engine, client *http.Client, seed uint32, change func(*session.Config)) *spectator {
	v := &spectator{stage: s, ended: make(chan error, 1), joinedMs: time.Now().UnixMilli()}
	cfg := session.Config{
		Playlist: s.url, Channel: s.id, Audience: v, Engine: engine, Client: client, Seed: seed,
		Renditions: func(offered []manifest.Variant) []manifest.Variant { return offered },
	}
	if change != nil {
		change(&cfg)
	}
	v.session = session.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	v.cancel = cancel
	go func() { v.ended <- v.session.Run(ctx) }()
	return v
}

// leave ends the spectator and waits for it.
func (v *spectator) leave() error {
	v.cancel()
	return <-v.ended
}

// account is what a spectator, or several, went through.
type account struct {
	Viewers        int     `json:"viewers"`
	Playing        int     `json:"playing"`
	HTTPBytes      int64   `json:"httpBytes"`
	P2PBytes       int64   `json:"p2pBytes"`
	UploadedBytes  int64   `json:"uploadedBytes"`
	Stalls         int64   `json:"stalls"`
	StallMs        int64   `json:"stallMs"`
	LatencyMs      int64   `json:"latencyMs"` // mean
	RejectedLeaves int64   `json:"rejectedLeaves"`
	BadBytes       int64   `json:"badBytes"` // that were played
	PlayedBytes    int64   `json:"playedBytes"`
	Offload        float64 `json:"offload"`
}

func (v *spectator) account() account {
	a := account{Viewers: 1, BadBytes: v.badBytes, PlayedBytes: v.played}
	read := func() {
		stats, felt := v.session.Stats(), v.Report()
		a.HTTPBytes, a.P2PBytes, a.UploadedBytes = stats.HTTPBytes, stats.P2PBytes, stats.UploadedBytes
		a.RejectedLeaves, a.Stalls, a.StallMs, a.LatencyMs = stats.RejectedLeaves, felt.Stalls, felt.StallMs, felt.LatencyMs
		a.BadBytes, a.PlayedBytes = v.badBytes, v.played
		if v.play != nil && v.play.State() != playback.Starting {
			a.Playing = 1
		}
	}
	if !v.session.Do(read) {
		read()
	}
	return a
}

// accounts adds up.
func accounts(viewers []*spectator) (sum account) {
	for _, v := range viewers {
		a := v.account()
		sum.Viewers += a.Viewers
		sum.Playing += a.Playing
		sum.HTTPBytes += a.HTTPBytes
		sum.P2PBytes += a.P2PBytes
		sum.UploadedBytes += a.UploadedBytes
		sum.Stalls += a.Stalls
		sum.StallMs += a.StallMs
		sum.LatencyMs += a.LatencyMs
		sum.RejectedLeaves += a.RejectedLeaves
		sum.BadBytes += a.BadBytes
		sum.PlayedBytes += a.PlayedBytes
	}
	sum.LatencyMs /= max(int64(len(viewers)), 1)
	return sum
}

// since takes away what was before. Latency stays the mean of all.
func (a account) since(before account) account {
	a.HTTPBytes -= before.HTTPBytes
	a.P2PBytes -= before.P2PBytes
	a.UploadedBytes -= before.UploadedBytes
	a.Stalls -= before.Stalls
	a.StallMs -= before.StallMs
	a.RejectedLeaves -= before.RejectedLeaves
	a.PlayedBytes -= before.PlayedBytes
	if media := a.HTTPBytes + a.P2PBytes; media > 0 {
		a.Offload = float64(a.P2PBytes) / float64(media)
	}
	return a
}

// patience is far beyond what anything takes on a slow machine.
const patience = 40 * time.Second

// played waits until every viewer has played so many segments.
func played(viewers []*spectator, segments int64) error {
	deadline := time.Now().Add(patience)
	for i, v := range viewers {
		for v.account().PlayedBytes < segments*int64(v.stage.segmentBytes) {
			if time.Now().After(deadline) {
				return fmt.Errorf("viewer %d has not played %d segments within %v: %+v", i, segments, patience, v.account())
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}
