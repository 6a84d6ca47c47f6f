package server

import (
	"sync"

	"slipstream/tracker/epoll"
	"slipstream/tracker/webtorrent"
)

// worker is what it takes to handle a message, again and again.
type worker struct {
	request webtorrent.Request
	outcome webtorrent.Outcome[*conn]
	counts  []webtorrent.Counts
	buf     []byte
}

var workers = sync.Pool{New: func() any { return new(worker) }}

// handle does what a message asks for. The message is not looked at afterwards.
func (s *Server) handle(c *conn, message []byte) {
	w, nowMs := workers.Get().(*worker), s.nowMs()
	defer workers.Put(w)
	r := &w.request
	if err := c.visit.Hear(nowMs, &s.limits.Visit); err != nil {
		*r = webtorrent.Request{}
		s.metrics.failed.rate.Inc()
		s.fail(w, c, err)
		c.line.End(epoll.PolicyViolation, "")
		return
	}
	if err := webtorrent.Decode(r, message); err != nil {
		s.metrics.failed.malformed.Inc()
		s.fail(w, c, err)
		c.line.End(epoll.PolicyViolation, "")
		return
	}
	if r.Action == webtorrent.Scrape {
		s.scrape(w, c)
	} else {
		s.announce(w, c, nowMs)
	}
}

func (s *Server) fail(w *worker, c *conn, err error) {
	w.buf = webtorrent.AppendFailure(w.buf[:0], &w.request, err)
	c.line.Send(w.buf)
}

func (s *Server) announce(w *worker, c *conn, nowMs int64) {
	r, out := &w.request, &w.outcome
	err := c.visit.Enter(r, &s.limits.Visit)
	if err == nil {
		sh := s.shardOf(&r.InfoHash)
		sh.mu.Lock()
		err = sh.swarms.Announce(nowMs, c, r, out)
		sh.mu.Unlock()
		if err != nil || r.Event == webtorrent.Stopped {
			c.visit.Exit(r)
		}
	}
	switch {
	case err != nil:
		s.metrics.failed.refused.Inc()
		s.fail(w, c, err)
		return
	case r.Answer != nil:
		s.metrics.messages.answer.Inc()
		if out.Answered {
			s.metrics.relayed.answer.Inc()
			w.buf = webtorrent.AppendAnswer(w.buf[:0], r)
			out.AnswerTo.line.Send(w.buf)
		}
		return
	}
	s.metrics.messages.announce.Inc()
	s.metrics.relayed.offer.Add(float64(len(out.OffersTo)))
	trackerID := ""
	if r.Event == webtorrent.Started { // clients remember it
		trackerID = s.trackerID
	}
	w.buf = webtorrent.AppendAnnounce(w.buf[:0], &r.InfoHash, out.Counts, s.intervalS, trackerID)
	c.line.Send(w.buf)
	for i, to := range out.OffersTo {
		w.buf = webtorrent.AppendOffer(w.buf[:0], &r.InfoHash, &r.PeerID, &r.Offers[i])
		to.line.Send(w.buf)
	}
}

func (s *Server) scrape(w *worker, c *conn) {
	s.metrics.messages.scrape.Inc()
	w.counts = w.counts[:0]
	for i := range w.request.InfoHashes {
		hash := &w.request.InfoHashes[i]
		sh := s.shardOf(hash)
		sh.mu.Lock()
		w.counts = append(w.counts, sh.swarms.Scrape(*hash))
		sh.mu.Unlock()
	}
	w.buf = webtorrent.AppendScrape(w.buf[:0], w.request.InfoHashes, w.counts, s.intervalS)
	c.line.Send(w.buf)
}
