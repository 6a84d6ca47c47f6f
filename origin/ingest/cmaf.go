package ingest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"slipstream/origin/cmaf"
)

const (
	// PublisherHeader says, in a random word, who sends: requests of one sender come over several connections. Without it those from
	// one address are one sender's.
	PublisherHeader = "Slipstream-Publisher"
	// DiscontinuitiesHeader is how many discontinuities there were in the channel up to the segment that the request brings.
	DiscontinuitiesHeader = "Slipstream-Discontinuities"
	// NewestHeader answers with the newest segment number that was published of the rendition.
	NewestHeader = "Slipstream-Newest"

	// maxManifest bounds playlists and MPDs, which are read and forgotten.
	maxManifest = 4 << 20
	// maxTracks bounds the tracks of a publication.
	maxTracks = 16
	// trackWait is how long a request may wait for the one before it on the same track.
	trackWait = 2 * time.Second
)

// A Packaging receives the renditions of a channel that come ready from an encoder elsewhere. Take and Newest may be called for
// several renditions at once.
type Packaging interface {
	// Has reports whether the channel has a rendition of that name.
	Has(rendition string) bool
	Take(out cmaf.Output)
	// Newest is the newest number that was ever published of a rendition.
	Newest(rendition string) int64
	Close() error
}

// points is CMAF ingest at work: the publishing points that are in use, by channel.
type points struct {
	server *Server
	ctx    context.Context // of all publications
	close  func()          // ends them, and returns when they have ended

	mu      sync.Mutex
	open    map[string]*point
	closed  bool
	running sync.WaitGroup // one for each publication; none begins once closed
}

func newPoints(s *Server) *points {
	p := &points{server: s, open: make(map[string]*point)}
	var cancel context.CancelFunc
	p.ctx, cancel = context.WithCancel(context.Background())
	p.close = sync.OnceFunc(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		cancel()
		p.running.Wait()
	})
	return p
}

// CMAF handles what is below /ingest/ (DASH-IF live media ingest, interface 1): PUT or POST /ingest/<stream key>/<name> with a
// track for as long as it lasts, or a segment at a time behind its init section.
func (s *Server) CMAF() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ingest/{key}/{name...}", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.IdleTimeout))
		if err := s.points.handle(w, r); err != nil {
			s.points.refuse(w, r, err)
		}
	})
	return mux
}

// refuse tells the sender what is wrong, and the operator too. The path has the stream key and is not logged.
func (p *points) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadRequest
	if known := (*answerError)(nil); errors.As(err, &known) {
		status = known.status
	}
	sentence := err.Error()
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		sentence = refused.sentence // without what only the operator is told
	}
	switch status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", "PUT, POST, DELETE")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Cache-Control", "no-store")
	// net/http reads on for a while before it answers, so that the sender gets to read that; an endless body must not hold it up.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lingerTimeout))
	p.server.cfg.Logger.Warn("what a publisher sent was refused", "remote", r.RemoteAddr, "protocol", "CMAF", "status", status, "error", err)
	http.Error(w, sentence, status)
}

// statusOf finds the status for an error that the bytes of a body led to.
func statusOf(err error) error {
	var known *answerError
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, cmaf.ErrNoInit):
		return &answerError{http.StatusPreconditionFailed, err}
	case errors.Is(err, cmaf.ErrCodec):
		return &answerError{http.StatusUnsupportedMediaType, err}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &answerError{http.StatusRequestTimeout, fmt.Errorf("nothing more came: %w", err)}
	default:
		return &answerError{http.StatusBadRequest, err}
	}
}

func (p *points) handle(w http.ResponseWriter, r *http.Request) error {
	const app = "live"
	channel, err := p.server.cfg.Authorize(app, r.PathValue("key"), r.RemoteAddr)
	if err != nil {
		return &answerError{http.StatusForbidden, err}
	}
	switch r.Method {
	case http.MethodPut, http.MethodPost:
	case http.MethodDelete: // ffmpeg tidies up behind itself; what is old goes by itself here
		return nil
	default:
		return answer(http.StatusMethodNotAllowed, "media are sent here by PUT or POST")
	}
	t, err := readTarget(r.PathValue("name"), r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if !p.server.seat(remoteAddr(r.RemoteAddr)) {
		return answer(http.StatusServiceUnavailable, "there are too many publishers here at the moment")
	}
	defer func() { <-p.server.slots }()
	body := newBody(w, r, p.server.cfg.IdleTimeout)
	defer body.done()
	if t.manifest {
		if n, err := io.Copy(io.Discard, io.LimitReader(body, maxManifest)); err != nil || n == maxManifest {
			return answer(http.StatusBadRequest, "the manifest could not be read to its end, or has more than %d bytes", maxManifest)
		}
		return nil
	}
	head, err := body.begin()
	if err != nil || len(head) == 0 { // an empty body asks whether the publishing point is there (5.3)
		return err
	}
	point, err := p.enter(r.Context(), channel, publisherOf(r), r.RemoteAddr)
	if err != nil {
		return err
	}
	defer body.stopWith(point.ctx)()
	ended, err := point.receive(r, w.Header(), t, string(head[4:]) == "ftyp", body)
	point.leave(ended)
	return err
}

type remoteAddr string

func (a remoteAddr) Network() string { return "tcp" }
func (a remoteAddr) String() string  { return string(a) }

// publisherOf tells senders apart.
func publisherOf(r *http.Request) string {
	if id := r.Header.Get(PublisherHeader); id != "" {
		return "publisher " + id
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return "host " + host
}

// enter finds the channel's publication, or begins one.
func (p *points) enter(ctx context.Context, channel, publisher, remote string) (*point, error) {
	ctx, cancel := context.WithTimeout(ctx, greetingTimeout)
	defer cancel()
	for {
		p.mu.Lock()
		found := p.open[channel]
		switch {
		case p.closed:
			p.mu.Unlock()
			return nil, answer(http.StatusServiceUnavailable, "this origin is stopping")
		case found == nil:
			found = p.announce(channel, publisher, remote)
			p.mu.Unlock()
			return found, found.begin(ctx)
		case found.ended:
			p.mu.Unlock()
			select {
			case <-found.gone:
				continue
			case <-ctx.Done():
				return nil, answer(http.StatusServiceUnavailable, "the publication before has not quite ended")
			}
		case found.publisher != publisher:
			p.mu.Unlock()
			// Only the operator is told who that is.
			return nil, &answerError{http.StatusConflict, fmt.Errorf("%w: %s", refuse("the channel %s already has a publisher", quoted(channel)), found.remote)}
		}
		found.active++
		p.mu.Unlock()
		select {
		case <-found.begun:
		case <-ctx.Done():
			found.leave(false)
			return nil, answer(http.StatusServiceUnavailable, "the publication has not quite begun")
		}
		if found.failed != nil {
			found.leave(false)
			return nil, found.failed
		}
		return found, nil
	}
}

// announce makes the place of a publication. The caller holds p.mu.
func (p *points) announce(channel, publisher, remote string) *point {
	one := &point{
		points: p, channel: channel, publisher: publisher, remote: remote, active: 1,
		begun: make(chan struct{}), gone: make(chan struct{}), tracks: make(map[string]*track),
		logger: p.server.cfg.Logger.With("remote", remote, "channel", channel),
	}
	one.ctx, one.cancel = context.WithCancelCause(p.ctx)
	p.open[channel] = one
	return one
}

// A body is what a request brings. It may take as long as it likes, as long as something comes.
type body struct {
	*bufio.Reader
	from io.Reader
	wire *http.ResponseController
	most time.Duration

	mu    sync.Mutex
	ended bool // no deadline may be set any more
	late  bool // the deadline has been set to the past for good
}

func newBody(w http.ResponseWriter, r *http.Request, most time.Duration) *body {
	b := &body{from: r.Body, wire: http.NewResponseController(w), most: most}
	b.Reader = bufio.NewReaderSize(readerFunc(b.read), 64<<10)
	return b
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (b *body) read(p []byte) (int, error) {
	b.mu.Lock()
	if !b.late {
		_ = b.wire.SetReadDeadline(time.Now().Add(b.most)) // where it is not possible the server's own limits hold
	}
	b.mu.Unlock()
	n, err := b.from.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.wire.SetReadDeadline(time.Time{}) // the connection is for the next request
	}
	return n, err
}

// begin returns the header of the first box, nothing if the body is empty.
func (b *body) begin() ([]byte, error) {
	head, err := b.Peek(8)
	switch {
	case len(head) == 8:
		return head, nil
	case errors.Is(err, io.EOF) && len(head) == 0:
		return nil, nil
	case errors.Is(err, io.EOF):
		return nil, answer(http.StatusBadRequest, "the body ends within its first box")
	default:
		return nil, statusOf(err)
	}
}

// stopWith has the reading fail when the context ends. The function that it returns must be called before done.
func (b *body) stopWith(ctx context.Context) (stop func()) {
	cancel := context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.late = true; !b.ended {
			_ = b.wire.SetReadDeadline(time.Unix(1, 0))
		}
	})
	return func() { cancel() }
}

// done says that the request is over, whose connection must be left alone then.
func (b *body) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
}

// counted reads how many discontinuities the encoder has counted.
func counted(r *http.Request) (count int64, is bool, err error) {
	text := r.Header.Get(DiscontinuitiesHeader)
	if text == "" {
		return 0, false, nil
	}
	count, err = strconv.ParseInt(text, 10, 53)
	if err != nil || count < 0 {
		return 0, false, answer(http.StatusBadRequest, "%s is no number", DiscontinuitiesHeader)
	}
	return count, true, nil
}

// A point is a publishing point in use: one publication, by as many requests as it has tracks and segments.
type point struct {
	points                     *points
	channel, publisher, remote string
	logger                     *slog.Logger
	ctx                        context.Context
	cancel                     context.CancelCauseFunc
	begun                      chan struct{} // closed when the channel has been claimed, or failed to be
	gone                       chan struct{} // closed when the channel is free again

	// Guarded by points.mu:
	active int // requests under way
	ended  bool
	timer  *time.Timer // while there are none

	// Set before begun is closed:
	failed    error
	claim     *claim
	packaging Packaging   // nil: it is to be transcoded,
	feeder    *cmafFeeder // by this

	mu     sync.Mutex // guards tracks
	tracks map[string]*track
}

// begin claims the channel.
func (o *point) begin(ctx context.Context) (err error) {
	defer close(o.begun)
	defer func() {
		if err != nil {
			o.failed = err
			o.abandon()
		}
	}()
	server := o.points.server
	if o.claim, err = server.claims.take(ctx, o.channel, o.remote); err != nil {
		if refused := (*refusal)(nil); errors.As(err, &refused) {
			return &answerError{http.StatusConflict, err}
		}
		return answer(http.StatusServiceUnavailable, "the publisher before has not quite gone: %w", err)
	}
	if server.cfg.Package != nil {
		if o.packaging, err = server.cfg.Package(o.channel); err != nil {
			o.claim.release()
			return answer(http.StatusServiceUnavailable, "the channel cannot be published at the moment: %v", err)
		}
		o.logger.Info("an encoder has connected", "protocol", "CMAF")
	} else {
		o.feeder = newCMAFFeeder(o)
	}
	o.points.mu.Lock()
	defer o.points.mu.Unlock()
	if o.points.closed {
		o.claim.release()
		if o.packaging != nil {
			_ = o.packaging.Close() // nothing was taken
		}
		return answer(http.StatusServiceUnavailable, "this origin is stopping")
	}
	o.points.running.Go(o.run)
	return nil
}

// abandon gives the place back of a publication that could not begin.
func (o *point) abandon() {
	o.points.mu.Lock()
	defer o.points.mu.Unlock()
	o.ended = true
	o.cancel(o.failed)
	delete(o.points.open, o.channel)
	close(o.gone)
}

// run is a publication from its first request to its end.
func (o *point) run() {
	server := o.points.server
	server.conclude(o.points.ctx, o.logger, func() error {
		if o.feeder != nil {
			return o.feeder.run()
		}
		<-o.ctx.Done()
		return context.Cause(o.ctx)
	})
	o.claim.end()
	o.points.mu.Lock()
	o.ended = true
	o.points.mu.Unlock()
	o.cancel(errEnded)
	if o.packaging != nil {
		if err := o.packaging.Close(); err != nil {
			o.logger.Error("a publication did not end well", "error", err)
		}
	}
	o.claim.release()
	o.points.mu.Lock()
	delete(o.points.open, o.channel)
	o.points.mu.Unlock()
	close(o.gone)
}

// leave ends a request. Without one the publication ends too: at once if its track has come to its end, else after a while.
func (o *point) leave(trackEnded bool) {
	o.points.mu.Lock()
	defer o.points.mu.Unlock()
	if o.active--; o.active > 0 || o.ended {
		return
	}
	if trackEnded && o.packaging == nil {
		o.ended = true
		o.cancel(errEnded)
		return
	}
	if o.timer != nil {
		o.timer.Stop()
	}
	most := segmentPatience * o.points.server.cfg.IdleTimeout
	o.timer = time.AfterFunc(most, func() {
		o.points.mu.Lock()
		defer o.points.mu.Unlock()
		if o.active == 0 && !o.ended {
			o.ended = true
			o.cancel(fmt.Errorf("nothing has come for %v: %w", most, os.ErrDeadlineExceeded))
		}
	})
}

// A track is what the requests for one name bring. Its requests take turns.
type track struct {
	target target
	turn   chan struct{} // has room for one
	media  trackReader
}

// A trackReader takes the bytes of a track.
type trackReader interface {
	// begin says that a body begins, and whether with an init section.
	begin(withInit bool) error
	write(p []byte) error
	// end says that a body has come to its end, or err that it was cut off.
	end(err error) error
	// ready reports whether an init section has come.
	ready() bool
}

// receive is one request's body. It reports whether that was all of a track.
func (o *point) receive(r *http.Request, answers http.Header, t target, withInit bool, from *body) (ended bool, err error) {
	count, isCounted, err := counted(r)
	if err != nil {
		return false, err
	}
	track, err := o.track(t, withInit)
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
	if ready, ok := track.media.(*readyTrack); ok {
		ready.counted, ready.discontinuities = isCounted, count
	}
	if err = track.media.begin(withInit); err == nil {
		err = o.copy(track.media, from)
	}
	if failed := track.media.end(err); err == nil {
		err = failed
	}
	if ready, ok := track.media.(*readyTrack); ok {
		answers.Set(NewestHeader, strconv.FormatInt(o.packaging.Newest(ready.rendition), 10))
	}
	if err != nil {
		if cause := context.Cause(o.ctx); cause != nil && !errors.Is(cause, errEnded) {
			err = cause
		}
		return false, statusOf(err)
	}
	// A file that was sent as a whole is a track as a whole; a segment is not, nor an init section.
	demuxed, ok := track.media.(*demuxedTrack)
	return ok && withInit && demuxed.samples > 0, nil
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

// track finds the track of a request.
func (o *point) track(t target, withInit bool) (*track, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.packaging != nil {
		t.folder, t.track = "", t.rendition
		if !o.packaging.Has(t.rendition) {
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
	name := t.folder + "/" + t.track
	if known := o.tracks[name]; known != nil {
		return known, nil
	}
	if len(o.tracks) >= maxTracks {
		return nil, answer(http.StatusForbidden, "there are %d tracks already: more are not taken", maxTracks)
	}
	one := &track{target: t, turn: make(chan struct{}, 1)}
	if o.packaging != nil {
		one.media = &readyTrack{packaging: o.packaging, rendition: t.rendition}
	} else {
		one.media = &demuxedTrack{feeder: o.feeder, name: name}
	}
	o.tracks[name] = one
	return one, nil
}
