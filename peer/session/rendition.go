package session

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/wire"
)

// A media playlist is polled so that its next change is seen soon after it
// happens, with few polls in vain: after a change we come back a little earlier
// than the next one is due, after none a little later. The phase settles just
// behind the origin's.
const (
	pollEarlyMs    = 100
	pollAgainMs    = 400
	pollBackoffs   = 3   // doublings of pollAgainMs while polls fail
	refreshFloorMs = 300 // an early poll, because a neighbour has something unknown, comes no sooner
	joinTries      = 5
	joinPause      = 500 * time.Millisecond
	segmentMs      = 2000   // the origin's grid
	keepBeyondMs   = 10_000 // what left the playlist is kept this much longer for those who are behind
)

// rendition is one followed media playlist.
type rendition struct {
	id       int32
	name     string
	url      *url.URL
	verifier *manifest.Verifier
	window   []entry

	polling   bool
	failures  int   // polls in a row that gave nothing that could be believed
	misses    int   // polls in a row that gave nothing new
	early     bool  // a neighbour has made us poll early since the head last moved
	nextMs    int64 // when to poll
	dueMs     int64 // when to poll if no neighbour has something unknown
	lastMs    int64
	headMs    int64 // end of the newest segment, media time
	evicted   int64 // newest sequence that the store made room by forgetting
	initRoots map[manifest.Hash]bool
}

// entry is a segment of the window and the key of the object that holds its bytes.
type entry struct {
	Segment
	key wire.Key // zero for a gap: no object has it
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
		text, err := s.fetch.text(ctx, s.cfg.Playlist)
		s.stats.HTTPRequests++
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
	base, err := url.Parse(s.cfg.Playlist)
	if err != nil {
		return err
	}
	picked := s.cfg.Renditions(m.Variants)
	if len(picked) == 0 {
		var offered []string
		for _, v := range m.Variants {
			offered = append(offered, v.Rendition)
		}
		return fmt.Errorf("the channel does not have that rendition; it has %s", strings.Join(offered, ", "))
	}
	for _, v := range picked {
		ref, err := base.Parse(v.URI)
		if err != nil {
			s.log.Warn("a rendition's URI is not understood", "rendition", v.Rendition, "error", err)
			continue
		}
		s.renditions = append(s.renditions, &rendition{
			id: int32(len(s.renditions)), name: v.Rendition, url: ref,
			verifier:  manifest.NewVerifier(s.channel, v.Rendition),
			initRoots: make(map[manifest.Hash]bool),
		})
	}
	return nil
}

// poll fetches the playlists that are due.
func (s *Session) poll(nowMs int64) {
	for _, r := range s.renditions {
		if r.polling || nowMs < r.nextMs {
			continue
		}
		r.polling, r.lastMs = true, nowMs
		s.stats.HTTPRequests++
		go func() {
			text, err := s.fetch.text(s.ctx, r.url.String())
			s.post(func() { s.polled(r, text, err) })
		}()
	}
}

// refresh polls soon, because a neighbour holds something that we have not heard
// of. It may be of a rendition that we do not follow, or a lie: so once for each
// segment, and only when the next one is nearly due.
func (s *Session) refresh() {
	now := s.nowMs()
	for _, r := range s.renditions {
		if r.early || r.failures > 0 || now < r.dueMs-segmentMs/2 {
			continue
		}
		r.early = true
		r.nextMs = min(r.nextMs, r.lastMs+refreshFloorMs)
	}
}

func (s *Session) polled(r *rendition, text string, err error) {
	now := s.nowMs()
	r.polling = false
	if err == nil {
		s.stats.PlaylistBytes += int64(len(text))
		err = s.accept(r, text, now)
	}
	if err != nil {
		if s.ctx.Err() == nil {
			s.log.Warn("a playlist was not accepted", "rendition", r.name, "error", err)
		}
		r.nextMs = now + pollAgainMs<<min(r.failures, pollBackoffs)
		r.dueMs = r.nextMs
		r.failures++
		var refused *manifest.Error
		if errors.As(err, &refused) {
			s.stats.Refused = refused.Error()
		}
		return
	}
	r.failures = 0
	s.stats.Refused = ""
}

// accept verifies a playlist and takes in what is new.
func (s *Session) accept(r *rendition, text string, nowMs int64) error {
	playlist, err := manifest.ReadPlaylist(text)
	if err != nil {
		return err
	}
	verified, err := r.verifier.Playlist(playlist, nowMs)
	if err != nil {
		return err
	}
	head, known := s.takeWindow(r, playlist, verified), r.headMs
	r.headMs = max(head, known)
	switch {
	case head > known && known > 0:
		r.misses, r.early = 0, false
		r.dueMs = nowMs + segmentMs - pollEarlyMs
	case head > known: // the first look, whose phase is random
		r.dueMs = nowMs + pollAgainMs
	case nowMs < r.dueMs: // a neighbour made us look in vain
	default: // late, or the publisher is silent
		r.dueMs = nowMs + min(int64(pollAgainMs)<<min(r.misses/2, pollBackoffs), segmentMs)
		r.misses++
	}
	r.nextMs = r.dueMs
	return nil
}

// takeWindow replaces a rendition's window, adds what is new to the objects and
// forgets what is too old. It returns the media time at which the window ends.
func (s *Session) takeWindow(r *rendition, playlist manifest.Playlist, verified []manifest.Verified) int64 {
	if len(verified) == 0 {
		return 0
	}
	next := 0
	window := make([]entry, 0, len(playlist.Segments))
	for _, listed := range playlist.Segments {
		if listed.Gap {
			window = append(window, entry{Segment: Segment{
				Rendition: r.name, Number: listed.Number, StartMs: listed.Number * segmentMs,
				DurationMs: listed.DurationMs, Gap: true,
			}})
			continue
		}
		v := verified[next]
		next++
		window = append(window, entry{s.segment(r, v), keyOf(v.Record)})
	}
	r.window = window
	// The audience sees the whole window before it is asked for deadlines.
	s.cfg.Audience.Advance(s.nowMs(), r.name, s.window(r))
	for _, v := range verified {
		ref, err := r.url.Parse(v.Segment.URI)
		if err != nil {
			s.log.Warn("a segment's URI is not understood", "segment", v.Record.Sequence, "error", err)
			continue
		}
		s.addObject(r, v, ref.String())
		s.checkInit(r, v)
	}
	s.forgetBefore(r, r.window[0].StartMs-keepBeyondMs)
	last := r.window[len(r.window)-1]
	return last.StartMs + last.DurationMs
}

func (s *Session) forgetBefore(r *rendition, mediaMs int64) {
	for _, o := range s.objects {
		if o.rendition == r && o.record.StartMs < mediaMs {
			s.removeObject(o)
		}
	}
}

func (s *Session) segment(r *rendition, v manifest.Verified) Segment {
	return Segment{
		Rendition: r.name, Number: v.Record.Sequence,
		StartMs: v.Record.StartMs, DurationMs: v.Record.DurationMs,
		Discontinuity: v.Segment.Discontinuity,
		Complete:      s.store.Complete(keyOf(v.Record)),
	}
}

// window is a rendition's live window as the audience sees it.
func (s *Session) window(r *rendition) []Segment {
	out := make([]Segment, len(r.window))
	for i, e := range r.window {
		out[i] = e.Segment
		out[i].Complete = s.store.Complete(e.key)
	}
	return out
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
	s.stats.HTTPRequests++
	go func() {
		text, err := s.fetch.text(s.ctx, ref.String())
		if err == nil {
			err = manifest.Object(v.Init, []byte(text))
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
