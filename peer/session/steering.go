package session

import (
	"errors"
	"net/http"
	"net/url"

	"slipstream/origin/manifest"
	"slipstream/peer/cdn"
)

// This file holds the CDNs to what they say of the live edge, and asks for the order in which an operator wants them used.

// lagging is how many segments behind what is known a playlist may be: the edges of a CDN refresh at different moments.
const lagging = 1

var errOtherVariant = errors.New("the playlist is of another encoder, whose segments do not fit those before")

// steering is the steering manifest.
type steering struct {
	url    *url.URL // nil: there is none (any more)
	names  []string // of the CDNs
	dueMs  int64
	asking bool
}

// pathways returns the renditions of a channel, at the first CDN, and all that is known of the others.
func (s *Session) pathways(m *manifest.Multivariant) ([]manifest.Variant, *cdns) {
	at := func(base, uri string) string {
		u, err := url.Parse(base)
		if err == nil {
			u, err = u.Parse(uri)
		}
		if err != nil {
			return ""
		}
		return u.String()
	}
	names := m.Pathways()
	steered := len(names) > 1
	offers := m.At(names[0])
	bases := append([]string{s.cfg.Playlist}, s.cfg.CDNs...)
	all := newCDNs(names, s.cfg.Seed, s.now)
	if !steered {
		all = newCDNs(bases, s.cfg.Seed, s.now)
	}
	for i, v := range offers {
		var places []string
		if steered {
			for _, name := range names {
				place := ""
				for _, twin := range m.At(name) {
					if twin.Rendition == v.Rendition {
						place = at(s.cfg.Playlist, twin.URI)
					}
				}
				places = append(places, place)
			}
		} else {
			for _, base := range bases {
				places = append(places, at(base, v.URI))
			}
		}
		all.add(places)
		offers[i].URI = places[0]
	}
	if reference := at(s.cfg.Playlist, m.Steering); steered && m.Steering != "" && reference != "" {
		s.steering.url, _ = url.Parse(reference)
		s.steering.names = names
	}
	return offers, all
}

// steer asks for the steering manifest when it is time, and whether a CDN that was ill is well again.
func (s *Session) steer(nowMs int64) {
	s.visit(nowMs)
	if s.steering.url == nil || s.steering.asking || nowMs < s.steering.dueMs {
		return
	}
	address := *s.steering.url
	query := address.Query()
	at, patience := s.fetch.cdns.next(0)
	query.Set("_HLS_pathway", s.steering.names[at]) // RFC 8216bis, section 7.3
	address.RawQuery = query.Encode()
	s.steering.asking = true
	s.stats.OtherRequests++
	go func() {
		text, err := s.fetch.textAt(s.ctx, address.String(), patience)
		s.post(func() { s.steered(text, err) })
	}()
}

func (s *Session) steered(text string, err error) {
	s.steering.asking = false
	s.steering.dueMs = s.nowMs() + cdn.DefaultTTLMs
	if httpStatus(err) == http.StatusGone { // nobody is to ask again
		s.steering.url = nil
		return
	}
	var m cdn.Manifest
	if err == nil {
		m, err = cdn.ReadManifest(text)
	}
	if err != nil {
		if s.ctx.Err() == nil {
			s.log.Warn("the order of the CDNs stays as it is", "error", err)
		}
		return
	}
	s.steering.dueMs = s.nowMs() + m.TTLMs
	s.fetch.cdns.prefer(m.Priority)
	if next, err := s.steering.url.Parse(m.Reload); err == nil && m.Reload != "" {
		s.steering.url = next
	}
}

// visit asks a CDN that was ill and comes before the one in use, whether its playlist is as new as it should be.
func (s *Session) visit(nowMs int64) {
	for _, r := range s.renditions {
		if !r.active || len(r.segments) == 0 {
			continue
		}
		at := s.fetch.cdns.probe(nowMs)
		if at == cdn.None {
			return
		}
		started := s.now()
		s.stats.PlaylistRequests++
		go func() {
			text, err := s.fetch.textAt(s.ctx, s.fetch.cdns.address(r.url.String(), at), hasty)
			s.post(func() {
				s.stats.PlaylistBytes += int64(len(text))
				playlist, malformed := manifest.ReadPlaylist(text)
				if err != nil || malformed != nil || r.lags(playlist) || r.otherVariant(playlist) {
					s.fetch.cdns.failed(at)
					return
				}
				s.fetch.cdns.worked(started, at)
			})
		}()
		return
	}
}

// lags tells whether a playlist is older than it may be.
func (r *rendition) lags(playlist manifest.Playlist) bool {
	return playlist.MediaSequence+int64(len(playlist.Segments))-1 < r.verifier.Head()-lagging
}

// otherVariant tells whether a playlist is of another encoder than what is known.
func (r *rendition) otherVariant(playlist manifest.Playlist) bool {
	if len(r.segments) == 0 {
		return false
	}
	known := r.segments[len(r.segments)-1].record.Variant
	for _, listed := range playlist.Segments {
		if listed.Record != nil && listed.Record.Variant != known {
			return true
		}
	}
	return false
}

// answer is that of a poll.
type answer struct {
	text   string
	from   int  // which CDN's
	second bool // it was asked although another comes first
	err    error
}

// way returns how to ask for a playlist.
func (s *Session) way(r *rendition, nowMs int64) func() answer {
	address, awaited := r.url.String(), r.awaited()
	switch {
	case r.edge.waits():
		return func() answer { return s.waitFor(address, awaited) }
	case r.edge.doubts(nowMs) && s.fetch.cdns.several():
		return func() answer { return s.askAnother(address) }
	}
	return func() (a answer) {
		a.text, a.from, a.err = s.fetch.text(s.ctx, address)
		return a
	}
}

// waitFor asks for a playlist that has a place, or waits until it has. It may be that there is nothing new for long, which is nobody's fault.
func (s *Session) waitFor(playlist string, awaited place) (a answer) {
	at, patience := s.fetch.cdns.next(0)
	address, err := url.Parse(s.fetch.cdns.address(playlist, at))
	if err != nil {
		return answer{err: err}
	}
	a.from = at
	a.text, a.err = s.fetch.textAt(s.ctx, waiting(address, awaited), patience)
	return a
}

// askAnother hears what another CDN says: the one that comes first has told nothing new for too long.
func (s *Session) askAnother(playlist string) answer {
	cdns := s.fetch.cdns
	first, _ := cdns.next(0)
	second, patience := cdns.next(1 << first)
	text, err := s.fetch.textAt(s.ctx, cdns.address(playlist, second), patience)
	return answer{text, second, true, err}
}

// hold measures CDNs by a playlist: one whose playlist cannot be believed or is old, and one that knew nothing of what another has.
func (s *Session) hold(r *rendition, a answer, before int64, err error) {
	first, _ := s.fetch.cdns.next(0)
	switch {
	case err != nil || r.told < r.verifier.Head()-lagging:
		s.fetch.cdns.failed(a.from)
	case a.second && r.verifier.Head() > before:
		s.fetch.cdns.failed(first)
	}
}
