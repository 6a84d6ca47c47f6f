// Package peer is the Go viewer: it joins a channel's swarm over WebRTC, plays in
// real time without a screen, and reports what a viewer would have seen and what
// it cost. Many of them in one process make a test audience.
//
// The packages below it are the swarm itself: wire (the language of neighbours),
// sched (what to fetch from whom), store (nothing unverified), rtc (data
// channels), session (the loop that joins them). PROTOCOL.md is the specification.
package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/rtc"
	"slipstream/peer/session"
)

// MaxViewers bounds the audience of one process.
const MaxViewers = 1000

// Config says how many viewers join which channel.
type Config struct {
	URL       string        // of the multivariant playlist
	Channel   string        // channel id; "": trust the playlist
	Rendition string        // "": the one of the highest bandwidth; "auto": by throughput
	Start     time.Duration // where to begin a recording
	Viewers   int
	Ramp      time.Duration // between one viewer's joining and the next's
	Duration  time.Duration // 0: until interrupted
	Warmup    time.Duration // what happens before it is over is not counted, but startup
	JSON      bool          // one object at the end instead of a line a second
	HTTPOnly  bool          // no peer-to-peer
	NoUpload  bool          // passes nothing on
	CDNs      []string      // URLs of the same playlist at other CDNs

	UploadBytesPerSec int64 // cap of each viewer, 0: none
	Out               io.Writer
	Log               *slog.Logger
}

// Run lets the viewers play and prints what they experienced. It returns an
// error if the channel cannot be joined.
func Run(ctx context.Context, cfg Config) error {
	audience, err := newAudience(cfg)
	if err != nil {
		return err
	}
	defer audience.close()
	if cfg.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.Duration)
		defer cancel()
	}
	return audience.run(ctx)
}

// audience is the viewers of one process.
type audience struct {
	cfg     Config
	engine  *rtc.Engine
	members []*member
	copies  copies
}

// member is one viewer and its part in the swarm.
type member struct {
	session *session.Session
	viewer  *viewer
	joined  atomic.Bool
	before  counts // what was counted when the warm-up ended
}

func newAudience(cfg Config) (*audience, error) {
	if cfg.Viewers < 1 || cfg.Viewers > MaxViewers {
		return nil, fmt.Errorf("%d viewers are not possible in one process: choose 1 to %d", cfg.Viewers, MaxViewers)
	}
	channel, err := session.Target(cfg.URL, cfg.Channel)
	if err != nil {
		return nil, err
	}
	a := &audience{cfg: cfg}
	if !cfg.HTTPOnly {
		if a.engine, err = rtc.New(rtc.Config{Logger: cfg.Log}); err != nil {
			return nil, err
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 4 * cfg.Viewers
	client := &http.Client{Transport: transport}
	for range cfg.Viewers {
		m := &member{viewer: &viewer{startAtMs: cfg.Start.Milliseconds()}}
		m.session = session.New(session.Config{
			Playlist: cfg.URL, CDNs: cfg.CDNs, Channel: channel,
			Renditions: m.pick(cfg.Rendition), Audience: m.viewer,
			Client: client, Engine: a.engine, UploadBytesPerSec: cfg.UploadBytesPerSec, NoUpload: cfg.NoUpload,
			Seed: rand.Uint32(), Log: cfg.Log, Verified: a.copies.verified,
		})
		a.members = append(a.members, m)
	}
	return a, nil
}

// auto is the name of no rendition: the viewer chooses.
const auto = "auto"

// pick follows one rendition: the named one, else that of the highest bandwidth; or all, to choose among them.
func (m *member) pick(name string) func([]manifest.Variant) []manifest.Variant {
	return func(offered []manifest.Variant) []manifest.Variant {
		if name == auto && len(offered) > 0 {
			m.viewer.adapt(offered)
			return offered
		}
		best := -1
		for i, v := range offered {
			if v.Rendition == name || name == "" && (best < 0 || v.Bandwidth > offered[best].Bandwidth) {
				best = i
			}
		}
		if best < 0 {
			return nil
		}
		return offered[best : best+1]
	}
}

func (a *audience) close() {
	if a.engine != nil {
		a.engine.Close()
	}
}

// run lets one viewer join after the other and waits for the end.
func (a *audience) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var playing sync.WaitGroup
	playing.Go(func() {
		for _, m := range a.members {
			playing.Go(func() {
				m.viewer.joinedMs = time.Now().UnixMilli()
				m.joined.Store(true)
				if err := m.session.Run(ctx); err != nil {
					cancel(err)
				}
			})
			select {
			case <-ctx.Done():
				return
			case <-time.After(a.cfg.Ramp):
			}
		}
	})
	a.watch(ctx)
	playing.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return a.printSummary()
}

// watch prints a line a second until the end.
func (a *audience) watch(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	warm := time.After(a.cfg.Warmup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-warm:
			a.startCounting()
		case <-ticker.C:
			if !a.cfg.JSON {
				fmt.Fprintln(a.cfg.Out, a.summary(whilePlaying).line())
			}
		}
	}
}

func (a *audience) printSummary() error {
	sum := a.summary(afterwards)
	if a.cfg.JSON {
		return json.NewEncoder(a.cfg.Out).Encode(sum)
	}
	_, err := fmt.Fprint(a.cfg.Out, sum.text())
	return err
}
