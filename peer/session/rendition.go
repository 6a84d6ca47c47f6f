package session

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/sched"
	"slipstream/peer/wire"
)

const (
	joinTries    = 5
	joinPause    = 500 * time.Millisecond
	minWindow    = 8      // segments that a window may grow to by neighbours' records, however short the playlist is
	maxTold      = 3      // segments that neighbours are told of when a poll brings several
	keepBeyondMs = 10_000 // what left the playlist is kept this much longer for those who are behind
)

// rendition is one followed media playlist.
type rendition struct {
	id       int32
	name     string
	url      *url.URL
	verifier *manifest.Verifier
	edge     edge
	polling  bool
	stripes  int64 // of which the tracker has made the fetching from the CDN our duty

	listed    []manifest.Segment // by the last playlist, and what followed since
	window    []entry
	length    int                       // of the last playlist's window
	view      []Segment                 // the window as it was handed out
	changed   bool                      // since then
	ahead     map[int64]manifest.Record // genuine records, by number, of what comes after the next segment
	evicted   int64                     // newest sequence that the store made room by forgetting
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
			verifier: manifest.NewVerifier(s.channel, v.Rendition),
			ahead:    make(map[int64]manifest.Record), initRoots: make(map[manifest.Hash]bool),
		})
	}
	return nil
}

// poll fetches the playlists that are due.
func (s *Session) poll(nowMs int64) {
	for _, r := range s.renditions {
		if r.polling || nowMs < r.edge.dueMs(s.rank(r)) {
			continue
		}
		r.polling = true
		r.edge.polled(nowMs)
		s.stats.PlaylistRequests++
		go func() {
			text, err := s.fetch.text(s.ctx, r.url.String())
			s.post(func() { s.polled(r, text, err) })
		}()
	}
}

// rank says whose turn it is to ask the CDN for the next segment's record: ours at once (0) if we have the duty for its first
// piece, or if there is nobody else; otherwise after those neighbours that draw a lower lot. Where a tracker has dealt
// duties somebody has this one, so even the lowest waits a little.
func (s *Session) rank(r *rendition) (rank, among int) {
	next := r.verifier.Head() + 1
	if r.stripes>>(next%sched.Stripes)&1 != 0 {
		return 0, 1
	}
	mine := lot(s.instance, next)
	for _, n := range s.neighbours.byID {
		if n.open {
			among++
			if lot(n.instance, next) < mine {
				rank++
			}
		}
	}
	if among > 0 && s.dealt {
		rank++
	}
	return rank, among + 1
}

func (s *Session) polled(r *rendition, text string, err error) {
	r.polling = false
	if err == nil {
		s.stats.PlaylistBytes += int64(len(text))
		err = s.accept(r, text, s.nowMs())
	}
	if err != nil {
		if s.ctx.Err() == nil {
			s.log.Warn("a playlist was not accepted", "rendition", r.name, "error", err)
		}
		r.edge.failures++
		var refused *manifest.Error
		if errors.As(err, &refused) {
			s.stats.Refused = refused.Error()
		}
		return
	}
	r.edge.failures = 0
	s.stats.Refused = ""
}

// accept verifies a playlist and takes in what is new.
func (s *Session) accept(r *rendition, text string, nowMs int64) error {
	playlist, err := manifest.ReadPlaylist(text)
	if err != nil {
		return err
	}
	before := r.verifier.Head()
	verified, err := r.verifier.Playlist(playlist, nowMs)
	if err != nil {
		return err
	}
	r.edge.ended = playlist.EndList
	if len(verified) > 0 {
		s.takeWindow(r, playlist, verified)
	}
	if r.verifier.Head() == before {
		r.edge.missed()
		return nil
	}
	s.moved(r, before, nowMs, true)
	s.catchUp(r, nowMs)
	return nil
}

// takeWindow replaces a rendition's window, adds what is new to the objects and forgets what is too old. Where the CDN
// lags behind what neighbours told, that stays.
func (s *Session) takeWindow(r *rendition, playlist manifest.Playlist, verified []manifest.Verified) {
	window := s.entries(r, playlist, verified)
	last := window[len(window)-1].Number
	for i, e := range r.window {
		if e.Number == last+1 {
			window = append(window, r.window[i:]...)
			break
		}
	}
	for i, listed := range r.listed {
		if listed.Number == last+1 {
			playlist.Segments = append(playlist.Segments, r.listed[i:]...)
			break
		}
	}
	r.length = len(window)
	r.window, r.listed, r.changed = window, playlist.Segments, true
	// The audience sees the whole window before it is asked for deadlines.
	s.cfg.Audience.Advance(s.nowMs(), r.name, s.view(r))
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
}

// entries makes a window of a playlist. A gap has no record: it lies between what comes before and after it.
func (s *Session) entries(r *rendition, playlist manifest.Playlist, verified []manifest.Verified) []entry {
	window := make([]entry, len(playlist.Segments))
	next := 0
	for i, listed := range playlist.Segments {
		if listed.Gap {
			window[i] = entry{Segment: Segment{Rendition: r.name, Number: listed.Number, DurationMs: listed.DurationMs, Gap: true}}
			if i > 0 {
				window[i].StartMs = window[i-1].StartMs + window[i-1].DurationMs
			}
			continue
		}
		v := verified[next]
		next++
		window[i] = entry{s.segment(r, v), keyOf(v.Record)}
	}
	for i := len(window) - 2; i >= 0 && next > 0; i-- { // those that the window begins with
		if window[i].Gap && window[i].StartMs == 0 {
			window[i].StartMs = window[i+1].StartMs - window[i].DurationMs
		}
	}
	return window
}

// extend takes a record that neighbours told for the next segment of the window. It reports false where only the
// playlist can say what comes next.
func (s *Session) extend(r *rendition, rec manifest.Record, nowMs int64) bool {
	before := r.verifier.Head()
	uri, ok := manifest.NextURI(r.listed, rec.Sequence)
	if !ok {
		return false
	}
	ref, err := r.url.Parse(uri)
	if err != nil {
		return false
	}
	v, err := r.verifier.Next(rec, nowMs)
	if err != nil {
		s.log.Debug("a record does not continue what is known", "error", err)
		return false
	}
	v.Segment.URI = uri
	r.listed, r.window = append(r.listed, v.Segment), append(r.window, entry{s.segment(r, v), keyOf(rec)})
	if surplus := len(r.window) - max(r.length, minWindow); surplus > 0 {
		r.listed, r.window = r.listed[surplus:], r.window[surplus:]
	}
	r.changed = true
	s.cfg.Audience.Advance(nowMs, r.name, s.view(r))
	s.addObject(r, v, ref.String())
	s.forgetBefore(r, r.window[0].StartMs-keepBeyondMs)
	s.moved(r, before, nowMs, false)
	return true
}

// moved books a new head, and tells neighbours of what came after segment number before.
func (s *Session) moved(r *rendition, before, nowMs int64, byPoll bool) {
	head := r.window[len(r.window)-1]
	stepMs := int64(1)
	for _, e := range r.window {
		stepMs = max(stepMs, e.DurationMs)
	}
	r.edge.learned(nowMs, head.StartMs+head.DurationMs, stepMs, byPoll)
	for _, e := range r.window[max(len(r.window)-maxTold, 0):] {
		o := s.objectByKey(e.key)
		switch {
		case o == nil || e.Number <= before:
		case byPoll:
			s.tell(o)
		default:
			s.questions.toTell = append(s.questions.toTell, o.id)
		}
	}
	for _, n := range s.neighbours.byID {
		if o := s.objectByKey(head.key); o != nil && n.known[o.id] {
			r.edge.announced(nowMs)
		}
	}
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

// view is a rendition's window as the audience sees it. It is made anew only when it has changed.
func (s *Session) view(r *rendition) []Segment {
	if r.changed {
		r.changed = false
		r.view = make([]Segment, len(r.window))
		for i, e := range r.window {
			r.view[i] = e.Segment
			r.view[i].Complete = s.store.Complete(e.key)
		}
	}
	return r.view
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
