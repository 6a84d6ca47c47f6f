package session

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/wire"
)

const (
	joinTries = 5
	joinPause = 500 * time.Millisecond
)

// rendition is one followed media playlist.
type rendition struct {
	id       int32
	name     string
	url      *url.URL
	verifier *manifest.Verifier
	edge     edge
	polling  bool
	from     int   // the CDN of the playlist accepted last,
	told     int64 // and the newest number in it
	stripes  int64 // of which the tracker has made the fetching from the CDN our duty

	active   bool                  // somebody plays it: it is polled, and its segments are wanted
	recorded []entry               // of a recording, all of it; window is a part of it
	byKey    map[wire.Key]struct{} // likewise, its objects

	listed    []manifest.Segment // by the last playlist, and what followed since
	segments  []entry            // of these
	parts     []manifest.VerifiedPart
	window    []entry           // what is to be played: parts as far as there are any, else segments
	whole     map[int64]entry   // segments of which the window has the parts, by number
	length    int               // segments of the last playlist
	view      []Segment         // the window as it was handed out
	changed   bool              // since then
	ahead     []manifest.Record // genuine records of what comes after the next segment or part
	evicted   int64             // newest sequence that the store made room by forgetting
	initRoots map[manifest.Hash]bool
}

// entry is a segment of the window and the object that holds its bytes.
type entry struct {
	Segment
	key       wire.Key // zero for a gap: no object has it
	record    manifest.Record
	url       string
	assembled bool // from its parts: it is not wanted from anybody
}

// join reads the multivariant playlist and checks that it is the channel meant.
func (s *Session) join(ctx context.Context) (*manifest.Multivariant, error) {
	var last error
	for try := range joinTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(joinPause << (try - 1)):
			}
		}
		text, _, err := s.fetch.text(ctx, s.cfg.Playlist)
		s.stats.OtherRequests++
		if err != nil {
			last = err
			continue
		}
		s.stats.PlaylistBytes += int64(len(text))
		m, err := manifest.ReadMultivariant(text)
		if err != nil {
			last = fmt.Errorf("%s is not a channel's multivariant playlist: %w", s.cfg.Playlist, err)
			continue
		}
		if err := s.recognise(m.Channel); err != nil {
			return nil, err
		}
		return &m, nil
	}
	return nil, fmt.Errorf("the channel cannot be joined: %w", last)
}

// recognise pins the channel id: the configured one or, failing that, the first seen.
func (s *Session) recognise(claimed manifest.Hash) error {
	none := manifest.Hash{}
	switch {
	case s.cfg.Channel == none && claimed == none:
		return fmt.Errorf("%s names no channel id, so nothing on it could be verified", s.cfg.Playlist)
	case s.cfg.Channel != none && claimed != none && s.cfg.Channel != claimed:
		return fmt.Errorf("%w: %s belongs to channel %s, expected was %s", errWrongChannel, s.cfg.Playlist, claimed, s.cfg.Channel)
	case s.cfg.Channel != none:
		claimed = s.cfg.Channel
	}
	s.channel = claimed
	return nil
}

// follow takes up the renditions that the configuration picks.
func (s *Session) follow(m *manifest.Multivariant) error {
	offers, cdns := s.pathways(m)
	picked := s.cfg.Renditions(offers)
	if len(picked) == 0 {
		var offered []string
		for _, v := range offers {
			offered = append(offered, v.Rendition)
		}
		return fmt.Errorf("the channel does not have that rendition; it has %s", strings.Join(offered, ", "))
	}
	for _, v := range picked {
		ref, err := url.Parse(v.URI)
		if err != nil {
			s.log.Warn("a rendition's URI is not understood", "rendition", v.Rendition, "error", err)
			continue
		}
		s.renditions = append(s.renditions, &rendition{
			id: int32(len(s.renditions)), name: v.Rendition, url: ref,
			verifier: manifest.NewVerifier(s.channel, v.Rendition), initRoots: make(map[manifest.Hash]bool),
		})
	}
	s.fetch.cdns = cdns
	s.choose(s.nowMs())
	return nil
}

// Chooser is an Audience that plays one of the followed renditions at a time. The others are not polled, and nothing of them
// is fetched; what is held of them still serves neighbours, and records that neighbours tell are kept for a return.
type Chooser interface {
	Plays(rendition string) bool
}

// choose asks the audience what it plays.
func (s *Session) choose(nowMs int64) {
	chooser, picky := s.cfg.Audience.(Chooser)
	changed := false
	for _, r := range s.renditions {
		active := !picky || chooser.Plays(r.name)
		changed = changed || active != r.active
		r.active = active
	}
	if !changed {
		return
	}
	var names []string
	for _, r := range s.renditions {
		if r.active {
			names = append(names, r.name)
		}
	}
	s.played.Store(&names)
	s.plan(nowMs)
}

// checkInit fetches and verifies each init section once: a player needs it, and
// it is far too small to share.
func (s *Session) checkInit(r *rendition, v manifest.Verified) {
	if r.initRoots[v.Init.Root] || v.Segment.MapURI == "" {
		return
	}
	ref, err := r.url.Parse(v.Segment.MapURI)
	if err != nil {
		return
	}
	r.initRoots[v.Init.Root] = true
	s.stats.OtherRequests++
	go func() {
		text, from, err := s.fetch.text(s.ctx, ref.String())
		if err == nil {
			if err = manifest.Object(v.Init, []byte(text)); err != nil {
				s.fetch.cdns.failed(from)
			}
		}
		s.post(func() {
			s.stats.HTTPBytes += int64(len(text))
			if err != nil {
				delete(r.initRoots, v.Init.Root) // the next playlist brings another try
				s.log.Warn("an init section was not accepted", "rendition", r.name, "error", err)
			}
		})
	}()
}
