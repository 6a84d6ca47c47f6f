package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"slipstream/origin/cmaf"
	pusher "slipstream/origin/push"
	"slipstream/origin/server"
)

// Role is which part of an origin's work one does. Several regions stay in lock-step because what they package is one encoder's output:
// the same bytes, under the same names and numbers. Two encoders never agree on a byte.
type Role string

// The roles. One that does all may push as well.
const (
	RoleBoth    Role = "both"
	RoleEncode  Role = "encode"  // receives, transcodes and pushes, and serves no viewer
	RolePackage Role = "package" // takes what is pushed to it, packages, signs and serves it
)

var regionName = regexp.MustCompile(`^[a-z0-9_-]{0,16}$`)

// checkRole says in a sentence what does not fit together.
func (cfg Config) checkRole() error {
	switch {
	case !slices.Contains([]Role{"", RoleBoth, RoleEncode, RolePackage}, cfg.Role):
		return fmt.Errorf("there is no role %q: an origin's role is both, encode or package", cfg.Role)
	case !regionName.MatchString(cfg.Region):
		return fmt.Errorf("the region name %q is not at most 16 of a-z, 0-9, _ and -", cfg.Region)
	case cfg.Role == RoleEncode && len(cfg.Push) == 0:
		return errors.New("an origin that only encodes has to push what it makes: say where to by --push")
	case cfg.Role == RolePackage && len(cfg.Push)+len(cfg.Pull)+len(cfg.PullOnce) > 0:
		return errors.New("an origin that only packages takes what is pushed to it: it neither pulls nor pushes")
	case cfg.Role == RolePackage && (cfg.Slate != "" || len(cfg.Backup) > 0):
		return errors.New("an origin that only packages shows what is pushed to it: slate and backups are for the origin that encodes")
	case cfg.Role == RolePackage && (cfg.SRT != "" || cfg.RTMPS != "" || cfg.WHIP != ""):
		return errors.New("an origin that only packages has no encoder: publishers over SRT, RTMPS or WHIP go to the origin that encodes")
	}
	for channel, targets := range cfg.Push {
		if !slices.Contains(cfg.Channels, channel) {
			return fmt.Errorf("the channel %q is to be pushed, but does not exist", channel)
		}
		for _, target := range targets {
			if _, err := pusher.Check(target); err != nil {
				return fmt.Errorf("the channel %q cannot be pushed: %w", channel, err)
			}
		}
	}
	return nil
}

// startPushes has what is published pushed until ctx ends.
func startPushes(ctx context.Context, group *errgroup.Group, cfg Config, channels *channels) {
	for name, targets := range cfg.Push {
		ch := channels.named(name)
		group.Go(func() error {
			return pusher.Run(ctx, pusher.Config{Source: ch.store, Targets: targets, Logger: ch.logger})
		})
	}
}

// notServed answers viewers of an origin that only encodes.
func notServed(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "this origin encodes: what it makes is served where it is packaged", http.StatusNotFound)
}

// packaging publishes what an encoder elsewhere has made, as it comes.
type packaging struct {
	ch    *channel
	parts bool

	mu   sync.Mutex
	made []string // the renditions that the encoder makes; nil: it has not said
}

// packaged begins such a publication.
func (ch *channel) packaged(parts bool) *packaging {
	ch.publisher.Store(&server.Publisher{Connected: true, SinceMs: nowMs(), Source: "CMAF"})
	return &packaging{ch: ch, parts: parts}
}

// Has implements ingest.Packaging.
func (p *packaging) Has(rendition string) (soundOnly, ok bool) {
	for _, rung := range p.ch.encoding.ladder {
		if rung.Name == rendition {
			return rung.SoundOnly(), true
		}
	}
	return false, slices.Contains(p.ch.store.Renditions(), rendition)
}

// Made implements ingest.Packaging.
func (p *packaging) Made(renditions []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(renditions, p.made) {
		p.made = slices.Clone(renditions)
		p.ch.store.Offer(p.made, nowMs())
	}
}

// Take implements ingest.Packaging.
func (p *packaging) Take(out cmaf.Output) {
	switch {
	case out.Segment != nil:
		p.ch.add(*out.Segment)
	case p.parts:
		p.ch.publishPart(p.ch.name, *out.Part)
	}
}

// Newest implements ingest.Packaging.
func (p *packaging) Newest(rendition string) int64 { return p.ch.store.Newest(rendition) }

// Discontinuities implements ingest.Packaging.
func (p *packaging) Discontinuities(rendition string) int64 {
	return p.ch.store.Discontinuities(rendition)
}

// Close implements ingest.Packaging.
func (p *packaging) Close() error {
	p.ch.publisher.Store(&server.Publisher{SinceMs: nowMs()})
	return nil
}
