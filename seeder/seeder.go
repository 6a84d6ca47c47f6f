// Package seeder is a peer without a screen: it keeps the live window of every
// rendition and serves it, so that even the first viewer has a well-provisioned
// neighbour. It is an ordinary participant of the swarm (package peer/session)
// that never plays; the tracker gives it more duties and more neighbours.
//
// It outlives what it depends on: when the origin is away it serves what it
// holds and asks again, when the tracker is away it keeps its neighbours and
// joins again.
package seeder

import (
	"context"
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/rtc"
	"slipstream/peer/session"
	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// Config says which channel to seed.
type Config struct {
	URL               string // of the multivariant playlist
	Channel           string // channel id; "": trust the playlist
	TokenSecret       []byte // shared with the tracker; nil: join as an ordinary viewer
	StoreBytes        int64  // memory for the live window; 0: 256 MiB
	UploadBytesPerSec int64  // cap, 0: none
	Log               *slog.Logger
}

const (
	defaultStore  = 256 << 20
	maxNeighbours = 64
	// patienceMs is how long the seeder waits for neighbours to bring what is not
	// its duty before it asks the CDN: longer than viewers do, so that they find
	// the copy that one of them fetched, and it too.
	patienceMs = 6000
	// retryPause is how long it waits before it tries again to join a channel.
	retryPause = 2 * time.Second
	tokenLife  = time.Minute
)

// Run seeds until ctx ends. It returns an error only if the configuration cannot
// be right; a channel that is not there (yet) is waited for.
func Run(ctx context.Context, cfg Config) error {
	channel, err := session.Target(cfg.URL, cfg.Channel)
	if err != nil {
		return err
	}
	engine, err := rtc.New(rtc.Config{Logger: cfg.Log})
	if err != nil {
		return err
	}
	defer engine.Close()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	store := cfg.StoreBytes
	if store == 0 {
		store = defaultStore
	}
	for ctx.Err() == nil {
		participant := session.Config{
			Playlist: cfg.URL, Channel: channel,
			Renditions: all, Audience: &archive{},
			Engine: engine, MaxNeighbours: maxNeighbours,
			StoreBytes: store, UploadBytesPerSec: cfg.UploadBytesPerSec,
			Seed: mathrand.Uint32(), Log: cfg.Log,
		}
		if cfg.TokenSecret != nil {
			participant.Role = announce.Seeder
			participant.Token = func(channel manifest.Hash, fingerprint string) (string, error) {
				return mint(cfg.TokenSecret, channel, fingerprint)
			}
		}
		if err := session.New(participant).Run(ctx); err != nil {
			cfg.Log.Warn("the channel cannot be seeded yet; trying again", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(retryPause):
			}
		}
	}
	return nil
}

// mint makes a seeder's join token. The origin gives out those of viewers only:
// a seeder is trusted with more duties and neighbours.
func mint(secret []byte, channel manifest.Hash, fingerprint string) (string, error) {
	bound, err := token.ParseFingerprint(fingerprint)
	if err != nil {
		return "", err
	}
	now := time.Now()
	return token.Secret(secret).Mint("", token.Claims{
		Channel: channel.String(), Role: announce.Seeder, ID: rand.Text(), Issued: now, Expires: now.Add(tokenLife), Fingerprint: bound,
	})
}

func all(offered []manifest.Variant) []manifest.Variant { return offered }

// archive is an audience that wants everything and sees nothing.
type archive struct {
	joinedMs int64 // 0 before the first segment
	lagMs    int64 // how long after its end a segment shows up here at the soonest
}

// PlaysParts implements session.PartPlayer: viewers close to the live edge need them.
func (*archive) PlaysParts() bool { return true }

// DeadlineMs implements session.Audience: a segment is wanted patienceMs after
// it was published, what is older than our visit patienceMs after we came.
func (a *archive) DeadlineMs(nowMs int64, seg session.Segment) int64 {
	endMs := seg.StartMs + seg.DurationMs
	if a.joinedMs == 0 {
		a.joinedMs, a.lagMs = nowMs, nowMs-endMs
	}
	a.lagMs = min(a.lagMs, nowMs-endMs)
	return max(endMs+a.lagMs, a.joinedMs) + patienceMs
}

// Advance implements session.Audience.
func (*archive) Advance(int64, string, []session.Segment) {}

// Report implements session.Audience.
func (*archive) Report() session.Experience { return session.Experience{} }
