package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"slipstream/origin/cmaf"
)

// A track is what the requests for one name bring. Its requests take turns.
type track struct {
	target target
	turn   chan struct{} // has room for one
	media  trackReader
}

// A trackReader takes the bytes of a track.
type trackReader interface {
	begin(about bodyInfo) error
	write(p []byte) error
	// end says that a body has come to its end, or err that it was cut off. It reports whether that was all of the track.
	end(err error) bool
	// ready reports whether an init section has come.
	ready() bool
}

// bodyInfo is what is known of a body.
type bodyInfo struct {
	withInit        bool // it begins with an init section
	counted         bool // it is one segment of an encoder that counts discontinuities:
	discontinuities int64
	made            []string    // the renditions that this encoder makes; nil: it does not say
	slate           func() bool // whether that segment shows slate: known at the end of the body
}

func readInfo(r *http.Request, withInit bool) (about bodyInfo, err error) {
	about.withInit = withInit
	if text := r.Header.Get(RenditionsHeader); text != "" {
		about.made = strings.Split(text, ",")
	}
	about.slate = func() bool { return r.Header.Get(SlateHeader)+r.Trailer.Get(SlateHeader) != "" }
	if text := r.Header.Get(DiscontinuitiesHeader); text != "" {
		about.counted = true
		if about.discontinuities, err = strconv.ParseInt(text, 10, 53); err != nil || about.discontinuities < 0 {
			return about, answer(http.StatusBadRequest, "%s is no number", DiscontinuitiesHeader)
		}
	}
	return about, nil
}

// receive is one request's body. It reports whether that was all of a track.
func (o *point) receive(r *http.Request, answers http.Header, t target, withInit bool, from *body) (ended bool, err error) {
	about, err := readInfo(r, withInit)
	if err != nil {
		return false, err
	}
	track, err := o.await(t, withInit)
	if err != nil {
		return false, err
	}
	if err := track.take(o.ctx); err != nil {
		return false, err
	}
	defer func() { <-track.turn }()
	defer func() {
		if p := recover(); p != nil { // a defect of a library must not take all channels off the air
			err = answer(http.StatusBadRequest, "the bytes made their reader panic: %v", p)
			o.logger.Error("a publisher's bytes made their reader panic", "panic", p)
		}
	}()
	if o.packaging != nil && about.made != nil {
		o.packaging.Made(about.made)
	}
	if err = track.media.begin(about); err == nil {
		err = o.copy(track.media, from)
	}
	ended = track.media.end(err)
	if known := (*answerError)(nil); errors.As(err, &known) && known.status == http.StatusConflict {
		_, _ = io.Copy(io.Discard, io.LimitReader(from, cmaf.MaxSegmentSize)) // who has not sent all would not read the answer
	}
	if withInit {
		if err == nil && !ended {
			o.keep(track)
		}
		o.mu.Lock()
		close(o.more)
		o.more = make(chan struct{})
		o.mu.Unlock()
	}
	if o.packaging != nil {
		answers.Set(NewestHeader, strconv.FormatInt(o.packaging.Newest(track.target.rendition), 10))
		answers.Set(DiscontinuitiesHeader, strconv.FormatInt(o.packaging.Discontinuities(track.target.rendition), 10))
	}
	if err == nil {
		return ended, nil
	}
	if cause := context.Cause(o.ctx); cause != nil && !errors.Is(cause, errEnded) {
		err = cause
	}
	return ended, statusOf(err)
}

func (o *point) copy(to trackReader, from *body) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if err := to.write(buffer[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("the body was cut off: %w", err)
		case o.ctx.Err() != nil:
			return context.Cause(o.ctx)
		}
	}
}

// take waits for a track's turn.
func (t *track) take(ctx context.Context) error {
	timer := time.NewTimer(trackWait)
	defer timer.Stop()
	select {
	case t.turn <- struct{}{}:
		return nil
	case <-timer.C:
		return answer(http.StatusConflict, "the track %s is being sent already", t.target)
	case <-ctx.Done():
		return answer(http.StatusServiceUnavailable, "the publication has ended")
	}
}

// await finds the track of a request. Its init section may be on its way: ffmpeg sends the first segment without waiting for an answer.
func (o *point) await(t target, withInit bool) (*track, error) {
	timer := time.NewTimer(trackWait)
	defer timer.Stop()
	for {
		o.mu.Lock()
		found, err := o.track(t, withInit)
		more := o.more
		o.mu.Unlock()
		if missing := (*answerError)(nil); !errors.As(err, &missing) || missing.status != http.StatusPreconditionFailed {
			return found, err
		}
		select {
		case <-more:
		case <-timer.C:
			if again := o.resume(t); again != nil {
				return again, nil
			}
			return nil, err
		case <-o.ctx.Done():
			return nil, err
		}
	}
}

// track finds the track of a request, or begins it. The caller holds o.mu.
func (o *point) track(t target, withInit bool) (*track, error) {
	soundOnly := false
	if o.packaging != nil {
		t.folder, t.track = "", t.rendition
		var ok bool
		if soundOnly, ok = o.packaging.Has(t.rendition); !ok {
			return nil, answer(http.StatusNotFound, "the channel has no rendition %s", quoted(t.rendition))
		}
	} else if !withInit {
		var ready []target
		for _, known := range o.tracks {
			if known.media.ready() {
				ready = append(ready, known.target)
			}
		}
		var err error
		if t, err = initOf(t, ready); err != nil {
			return nil, err
		}
	}
	if known := o.tracks[t.name()]; known != nil {
		return known, nil
	}
	if len(o.tracks) >= maxTracks {
		return nil, answer(http.StatusForbidden, "there are %d tracks already: more are not taken", maxTracks)
	}
	one := &track{target: t, turn: make(chan struct{}, 1)}
	if o.packaging != nil {
		one.media = &readyTrack{packaging: o.packaging, rendition: t.rendition, soundOnly: soundOnly}
	} else {
		one.media = &demuxedTrack{feeder: o.feeder, name: t.name()}
	}
	o.tracks[t.name()] = one
	return one, nil
}
