package session

import (
	"context"
	"errors"
	"strings"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/sched"
	"slipstream/peer/store"
)

// leafList is the fetch of one object's leaf list, shared by all who wait for it.
type leafList struct {
	done chan struct{} // closed when the list is in the store, or could not be had
	err  error         // read after done
}

// startFetch runs a sched.Fetch: leaves first..last of an object over HTTP. A
// whole object is checked against its root when it is complete, unless its leaf
// list is known or neighbours wait for its leaves; anything less is checked leaf
// by leaf as it arrives.
func (s *Session) startFetch(o *object, first, last int) {
	whole := first == 0 && last == o.leaves()-1
	var list *leafList
	switch {
	case s.store.Listed(o.key):
	case whole && s.neighbours.open() == 0:
		s.stats.MediaRequests++
		go s.fetchWhole(o, first, last)
		return
	default:
		list = s.askLeafList(o)
	}
	s.stats.MediaRequests++
	go s.fetchLeaves(o, first, last, list)
}

func (s *Session) fetchWhole(o *object, first, last int) {
	began := time.Now()
	data := make([]byte, 0, o.record.Size)
	n, from, err := s.fetch.leaves(s.ctx, o.url, o.record, first, last, func(_ int, leaf []byte) {
		data = append(data, leaf...)
	})
	elapsed := time.Since(began)
	s.post(func() {
		s.stats.HTTPBytes += n
		stored := false
		if err == nil {
			err = s.store.PutObject(o.key, data)
			stored = err == nil
			switch {
			case store.Blame(err):
				s.stats.RejectedLeaves++
			case errors.Is(err, store.ErrDuplicate), errors.Is(err, store.ErrUnknown):
				err = nil // neighbours were faster, or it is no longer of use
			}
		}
		if stored {
			for leaf := first; leaf <= last; leaf++ {
				s.stored(o, leaf, sched.CDN, 0)
			}
		}
		s.fetchEnded(o, first, last, n, from, elapsed, err)
	})
}

func (s *Session) fetchLeaves(o *object, first, last int, list *leafList) {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	var rejected error // owned by the loop
	n, from, err := s.fetch.leaves(ctx, o.url, o.record, first, last, func(leaf int, data []byte) {
		if list != nil {
			select {
			case <-list.done:
			case <-ctx.Done():
				return
			}
			if list.err != nil {
				cancel(list.err)
				return
			}
		}
		s.post(func() {
			if err := s.takeCDNLeaf(o, leaf, data); err != nil {
				rejected = err
				cancel(err)
			}
		})
	})
	elapsed := time.Since(began)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	s.post(func() { // after the leaves', so rejected has its last word
		s.stats.HTTPBytes += n
		if rejected != nil {
			err = rejected
		}
		s.fetchEnded(o, first, last, n, from, elapsed, err)
	})
}

// takeCDNLeaf verifies and stores a leaf that came over HTTP. The CDN is trusted
// no more than a neighbour.
func (s *Session) takeCDNLeaf(o *object, leaf int, data []byte) error {
	err := s.store.PutLeaf(o.key, leaf, data)
	switch {
	case err == nil:
		s.stored(o, leaf, sched.CDN, len(data))
	case errors.Is(err, store.ErrDuplicate): // a neighbour was faster, but the CDN sent it
		if s.cfg.Verified != nil {
			s.cfg.Verified(o.key, leaf, true)
		}
		return nil
	case errors.Is(err, store.ErrUnknown):
		return nil // evicted or out of the window meanwhile
	case store.Blame(err):
		s.stats.RejectedLeaves++
	}
	return err
}

func (s *Session) fetchEnded(o *object, first, last int, bytes int64, from int, elapsed time.Duration, err error) {
	kind, value := sched.FetchDone, bytes
	if store.Blame(err) {
		s.fetch.cdns.failed(from)
	}
	if err != nil {
		kind, value = sched.FetchFailed, int64(httpStatus(err))
		if s.ctx.Err() == nil {
			s.log.Warn("a CDN request failed", "url", o.url, "first", first, "last", last, "error", err)
		}
	}
	s.event(sched.Event{
		Kind: kind, Object: o.id, Leaf: int32(first), Last: int32(last),
		Value: value, ElapsedMs: elapsed.Milliseconds(),
	})
}

// listURL is where a segment's leaf list is: beside it, with the same query.
func listURL(segment string) string {
	path, query, found := strings.Cut(segment, "?")
	if !found {
		return path + ".leaves"
	}
	return path + ".leaves?" + query
}

// askLeafList fetches an object's leaf list from the CDN, once at a time.
func (s *Session) askLeafList(o *object) *leafList {
	if o.list != nil {
		return o.list
	}
	list := &leafList{done: make(chan struct{})}
	o.list = list
	s.stats.ListRequests++
	count := o.leaves()
	go func() {
		hashes, from, err := s.fetch.leafList(s.ctx, listURL(o.url), count)
		posted := s.post(func() {
			defer close(list.done)
			o.list = nil
			if err == nil {
				s.stats.HTTPBytes += int64(count * len(manifest.Hash{}))
				switch err = s.store.PutLeaves(o.key, hashes); {
				case errors.Is(err, store.ErrDuplicate):
					err = nil // a neighbour was faster
				case store.Blame(err):
					s.stats.RejectedLeaves++
					s.fetch.cdns.failed(from)
				}
			}
			list.err = err
		})
		if !posted {
			list.err = s.ctx.Err()
			close(list.done)
		}
	}()
	return list
}
