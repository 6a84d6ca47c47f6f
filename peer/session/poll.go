package session

import (
	"errors"

	"slipstream/origin/manifest"
	"slipstream/peer/sched"
)

// poll fetches the playlists that are due.
func (s *Session) poll(nowMs int64) {
	for _, r := range s.renditions {
		if r.polling || !r.active || nowMs < r.edge.dueMs(0, 1) || nowMs < r.edge.dueMs(s.rank(r)) { // lots take time
			continue
		}
		r.polling = true
		waits, ask := r.edge.waits(), s.way(r, nowMs)
		r.edge.polled(nowMs)
		s.stats.PlaylistRequests++
		go func() {
			answer := ask()
			s.post(func() {
				if answer.err != nil && waits { // nothing new in time, perhaps: what there is tells
					r.edge.missed()
					r.polling = false
					return
				}
				s.polled(r, answer)
			})
		}()
	}
}

// rank says whose turn it is to ask the CDN for the next segment's record: ours at once (0) if we have the duty for its first
// piece, or if there is nobody else; otherwise after those neighbours that draw a lower lot. Where a tracker has dealt
// duties somebody has this one, so even the lowest waits a little.
func (s *Session) rank(r *rendition) (rank, among int) {
	awaited := r.awaited()
	next := awaited.number + int64(awaited.part)
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

func (s *Session) polled(r *rendition, a answer) {
	r.polling = false
	before, err := r.verifier.Head(), a.err
	if err == nil {
		s.stats.PlaylistBytes += int64(len(a.text))
		err = s.accept(r, a.text, a.from, s.nowMs())
		s.hold(r, a, before, err)
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
func (s *Session) accept(r *rendition, text string, from int, nowMs int64) error {
	playlist, err := manifest.ReadPlaylist(text)
	if err != nil {
		return err
	}
	if from != r.from && r.otherVariant(playlist) {
		return errOtherVariant
	}
	beforeMs, before := r.endMs(), r.verifier.Head()
	verified, err := r.verifier.Playlist(playlist, nowMs)
	if err != nil {
		return err
	}
	r.from, r.told = from, playlist.MediaSequence+int64(len(playlist.Segments))-1
	r.edge.ended, r.edge.targetMs = playlist.EndList, playlist.TargetDurationMs
	if len(verified) > 0 {
		s.takeWindow(r, playlist, verified)
	}
	r.edge.blocks = playlist.Blocks && len(r.parts) > 0
	if len(r.recorded) > 0 {
		return nil
	}
	if r.endMs() <= beforeMs && r.verifier.Head() == before {
		r.edge.missed()
		return nil
	}
	s.moved(r, beforeMs, nowMs, true)
	s.catchUp(r, nowMs)
	return nil
}
