package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"slipstream/origin/cmaf"
)

const (
	// PublisherHeader says, in a random word, who sends: requests of one sender come over several connections. Without it those from
	// one address are one sender's.
	PublisherHeader = "Slipstream-Publisher"
	// DiscontinuitiesHeader is how many discontinuities there were in the channel up to the segment that the request brings. The answer has
	// it too: up to the newest segment that was published of the rendition. A newer one with fewer is refused (409): playlists cannot go back.
	DiscontinuitiesHeader = "Slipstream-Discontinuities"
	// RenditionsHeader names the renditions that are being made, with commas between them.
	RenditionsHeader = "Slipstream-Renditions"
	// SlateHeader says that the segment shows slate. It may be a trailer.
	SlateHeader = "Slipstream-Slate"
	// NewestHeader answers with the newest segment number that was published of the rendition.
	NewestHeader = "Slipstream-Newest"

	// maxManifest bounds playlists and MPDs, which are read and forgotten.
	maxManifest = 4 << 20
	// maxTracks bounds the tracks of a publication.
	maxTracks = 16
	// trackWait is how long a request may wait for the one before it on the same track, or for the track's init section.
	trackWait = 2 * time.Second
	// encoderPatience is how long an encoder that pushes ready renditions keeps its place while it sends nothing. It loses nothing
	// by being late, but one that was started anew, as another publisher, should not have to wait.
	encoderPatience = 3 * time.Second
)

// A Packaging receives the renditions of a channel that come ready from an encoder elsewhere. Take and Newest may be called for
// several renditions at once.
type Packaging interface {
	// Has reports whether the channel has a rendition of that name, and whether it is sound alone.
	Has(rendition string) (soundOnly, ok bool)
	// Made says which renditions the encoder makes. It may say so again and again.
	Made(renditions []string)
	Take(out cmaf.Output)
	// Newest is the newest number that was ever published of a rendition.
	Newest(rendition string) int64
	// Discontinuities is how many there were up to that.
	Discontinuities(rendition string) int64
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
		begun: make(chan struct{}), gone: make(chan struct{}), tracks: make(map[string]*track), more: make(chan struct{}),
		logger: p.server.cfg.Logger.With("remote", remote, "channel", channel),
	}
	one.ctx, one.cancel = context.WithCancelCause(p.ctx)
	p.open[channel] = one
	return one
}
