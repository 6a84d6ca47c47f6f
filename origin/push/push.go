// Package push sends the segments of a channel to origins elsewhere that package them: the encoder's side of several regions.
//
// Each segment goes as one request of CMAF ingest (DASH-IF live media ingest, interface 1), with its init section in front, so that
// it means something by itself:
//
//	PUT <target>/<rendition>/<number>.m4s
//	Slipstream-Publisher: <a word that stands for this encoder>
//	Slipstream-Discontinuities: <how many there were up to this segment>
//	Slipstream-Renditions: <those that are being made, with commas between them>
//	Slipstream-Slate: 1      (or as a trailer; if the segment shows slate)
//
//	ftyp moov (styp, prft,) moof mdat moof mdat …
//
// The answer says, as Slipstream-Newest, up to which number the target has the rendition already, and how many discontinuities it knows of
// there. An encoder that has fewer, because its data were lost, is answered 409 and counts on from what it is told. A segment of which parts are
// published ahead is sent while it is being filled, part by part.
//
// What is to be sent waits nowhere but in the encoder's own store, which each target's goroutines read at their own pace: a target
// that is away or slow holds up nobody, costs no memory, and, when it is back, gets what is still in the window.
package push

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"slipstream/origin/child"
	"slipstream/origin/ingest"
	"slipstream/origin/store"
)

const (
	// patience is how long a request may take, a segment that is being filled included.
	patience = 8 * time.Second
	// leastPause and mostPause are between tries.
	leastPause = 250 * time.Millisecond
	mostPause  = 4 * time.Second
)

// A Source has the segments; *store.Store is one.
type Source interface {
	Renditions() []string
	Made(rendition string) bool
	Edge(rendition string) (store.Edge, bool)
	After(rendition string, number int64) (store.Pending, bool)
	Segment(rendition string, number int64) (store.Object, bool)
	Part(rendition string, number int64, index int) (store.Object, bool)
	CountOn(discontinuities int64)
}

// Config says what goes where.
type Config struct {
	Source  Source
	Targets []string     // publishing points, such as http://packager.example:8080/ingest/<stream key>
	Logger  *slog.Logger // best one that names the channel; nil: nothing is logged
}

// Check reads a target's address. Its error does not repeat it, because the stream key is in it.
func Check(target string) (*url.URL, error) {
	u, err := url.Parse(target)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", strings.Trim(u.Path, "/") == "", u.RawQuery != "", u.Fragment != "":
		return nil, errors.New("a push needs the address of a publishing point, such as http://packager.example:8080/ingest/<stream key>")
	}
	return u, nil
}

// Run pushes until the context ends. The error is that of a target's address.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 3 * time.Second,
		MaxIdleConnsPerHost: len(cfg.Source.Renditions()),
		IdleConnTimeout:     30 * time.Second,
		ForceAttemptHTTP2:   true,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	id := rand.Text()
	var lines sync.WaitGroup
	defer lines.Wait()
	for _, target := range cfg.Targets {
		u, err := Check(target)
		if err != nil {
			return err
		}
		for _, rendition := range cfg.Source.Renditions() {
			l := &line{source: cfg.Source, client: client, id: id, base: u, rendition: rendition, after: -1,
				logger: cfg.Logger.With("target", u.Host, "rendition", rendition)}
			lines.Go(func() { l.run(ctx) })
		}
	}
	<-ctx.Done()
	return nil
}

// A line brings one rendition to one target.
type line struct {
	source    Source
	client    *http.Client
	id        string
	base      *url.URL
	rendition string
	logger    *slog.Logger

	after int64 // the target has what is up to this number, or never will
	away  bool
}

func (l *line) run(ctx context.Context) {
	backoff := child.Backoff{Least: leastPause, Most: mostPause}
	for {
		edge, _ := l.source.Edge(l.rendition) // before looking, so that nothing is missed
		next, ok := l.source.After(l.rendition, l.after)
		if !ok {
			select {
			case <-edge.Changed:
				continue
			case <-ctx.Done():
				return
			}
		}
		began := time.Now()
		err := l.send(ctx, next)
		if ctx.Err() != nil {
			return
		}
		l.report(err)
		if err == nil {
			backoff = child.Backoff{Least: leastPause, Most: mostPause}
		} else if !child.Sleep(ctx, backoff.Next(time.Since(began))) {
			return
		}
	}
}

// report logs when the target is lost, and when it is back.
func (l *line) report(err error) {
	switch {
	case err != nil && !l.away:
		l.logger.Warn("a packager does not take what is pushed to it; it will get what is in the window when it does", "error", err)
	case err == nil && l.away:
		l.logger.Warn("a packager takes what is pushed to it again", "number", l.after)
	}
	l.away = err != nil
}

// errUnfinished is the fate of a segment whose encoder has ended.
var errUnfinished = errors.New("the segment was never finished")

// send brings one segment to the target.
func (l *line) send(ctx context.Context, next store.Pending) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	to := l.base.JoinPath(l.rendition, strconv.FormatInt(next.Number, 10)+".m4s")
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, to.String(), nil)
	if err != nil {
		return err
	}
	if next.Data != nil {
		request.Body = io.NopCloser(io.MultiReader(bytes.NewReader(next.Init), bytes.NewReader(next.Data)))
		request.ContentLength = int64(len(next.Init) + len(next.Data))
		if next.Slate {
			request.Header.Set(ingest.SlateHeader, "1")
		}
	} else {
		request.Trailer = http.Header{ingest.SlateHeader: nil}
		request.Body = io.NopCloser(&growing{ctx: ctx, source: l.source, rendition: l.rendition, number: next.Number, pending: next.Init, trailer: request.Trailer})
		request.ContentLength = -1
	}
	request.Header.Set("Content-Type", "video/mp4")
	request.Header.Set(ingest.PublisherHeader, l.id)
	var made []string
	for _, rendition := range l.source.Renditions() {
		if l.source.Made(rendition) {
			made = append(made, rendition)
		}
	}
	request.Header.Set(ingest.RenditionsHeader, strings.Join(made, ","))
	request.Header.Set(ingest.DiscontinuitiesHeader, strconv.FormatInt(next.Discontinuities, 10))
	answer, err := l.client.Do(request)
	switch {
	case errors.Is(err, errUnfinished):
		l.after = next.Number
		return nil
	case err != nil:
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // without the address, which has the key
		}
		return err
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
	if answer.StatusCode != http.StatusOK {
		if answer.StatusCode == http.StatusBadRequest { // these bytes will never do
			l.after = next.Number
		}
		if count, err := strconv.ParseInt(answer.Header.Get(ingest.DiscontinuitiesHeader), 10, 53); err == nil && answer.StatusCode == http.StatusConflict {
			l.source.CountOn(count) // for all targets alike
		}
		return fmt.Errorf("it answers %d: %s", answer.StatusCode, strings.TrimSpace(string(said)))
	}
	l.after = next.Number
	if newest, err := strconv.ParseInt(answer.Header.Get(ingest.NewestHeader), 10, 53); err == nil {
		l.after = max(l.after, newest)
	}
	return nil
}

// growing reads a segment while it is being filled.
type growing struct {
	ctx       context.Context
	source    Source
	rendition string
	number    int64
	pending   []byte // at first the init section
	part      int    // comes next
	sent      int    // bytes of the segment
	whole     bool
	trailer   http.Header // of the request
}

// Read implements io.Reader. It waits for what comes next.
func (g *growing) Read(p []byte) (int, error) {
	for len(g.pending) == 0 {
		if g.whole {
			return 0, io.EOF
		}
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, g.pending)
	g.pending = g.pending[n:]
	return n, nil
}

// next finds more to send, or waits for a change.
func (g *growing) next() error {
	edge, _ := g.source.Edge(g.rendition)
	if segment, ok := g.source.Segment(g.rendition, g.number); ok {
		if g.sent > len(segment.Data) {
			return errUnfinished
		}
		g.pending, g.whole = segment.Data[g.sent:], true
		if known, ok := g.source.After(g.rendition, g.number-1); ok && known.Slate {
			g.trailer.Set(ingest.SlateHeader, "1")
		}
		return nil
	}
	if part, ok := g.source.Part(g.rendition, g.number, g.part); ok {
		g.pending = part.Data
		g.sent, g.part = g.sent+len(part.Data), g.part+1
		return nil
	}
	if edge.Number > g.number || edge.Begun > g.number {
		return errUnfinished
	}
	select {
	case <-edge.Changed:
		return nil
	case <-g.ctx.Done():
		return g.ctx.Err()
	}
}
