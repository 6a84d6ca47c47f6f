package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/rtc"
	"slipstream/peer/sched"
	"slipstream/peer/store"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

// Config says what to join and how.
type Config struct {
	Playlist string        // URL of the multivariant playlist
	CDNs     []string      // URLs of the same playlist at other CDNs, in order of preference
	Channel  manifest.Hash // the channel's id; zero: believe the multivariant playlist
	Role     announce.Role // default: viewer
	// Renditions picks those to follow from what is on offer, in the playlist's order. All of them are played, unless
	// the audience is a Chooser.
	Renditions func(offered []manifest.Variant) []manifest.Variant
	Audience   Audience

	Client            *http.Client
	Engine            *rtc.Engine // nil: no peer-to-peer
	MaxNeighbours     int         // default 16
	StoreBytes        int64       // default 64 MiB
	UploadBytesPerSec int64       // cap, 0: none
	NoUpload          bool
	Seed              uint32 // breaks the scheduler's ties
	Log               *slog.Logger

	// Token makes the tokens to join with, bound to the certificate with this fingerprint; nil: ask the origin, as a viewer does.
	Token func(channel manifest.Hash, fingerprint string) (string, error)

	// Verified, if set, hears of every leaf that entered the store.
	Verified func(key wire.Key, leaf int, fromCDN bool)
}

// Audience is who the session works for. The loop calls it, nobody else. It may be a Chooser and a Viewpoint, too.
type Audience interface {
	// DeadlineMs is the wall clock (epoch ms) by which a segment is needed; 0: it is not.
	DeadlineMs(nowMs int64, seg Segment) int64
	// Advance is called at least every sched.TickMs with each followed
	// rendition's window, oldest segment first; the slice is not to be changed.
	Advance(nowMs int64, rendition string, window []Segment)
	// Report is what the audience experienced, for the tracker.
	Report() Experience
}

// Segment is one entry of a live window.
type Segment struct {
	Rendition  string
	Number     int64
	Part       int   // of a part its index + 1, 0 for a whole segment
	StartMs    int64 // media time: epoch ms
	DurationMs int64
	Gap        bool // the origin has nothing for this number
	// Discontinuity: it need not begin where the one before it ends.
	Discontinuity bool
	Complete      bool // held and verified

	Bytes           int64
	FirstMs, DoneMs int64 // when the first byte of it was there, the last; epoch ms, 0 before
}

// Experience is what an audience went through so far.
type Experience struct {
	Stalls, StallMs, LatencyMs int64
}

// Stats counts what a session did. Bytes are payload bytes of media (with leaf
// lists and init sections), playlists apart.
type Stats struct {
	HTTPBytes, P2PBytes, UploadedBytes, PlaylistBytes int64
	Requests
	Messages                       [wire.Types]int64 // said to neighbours, by type
	Bundles                        int64             // that they travelled in
	VerifiedLeaves, RejectedLeaves int64
	Neighbours                     int
	Refused                        string // why the latest playlist was refused, "" if it was not
}

// Requests counts what was asked of the CDN, by kind.
type Requests struct {
	PlaylistRequests int64 // media playlists
	MediaRequests    int64
	ListRequests     int64 // leaf lists
	OtherRequests    int64 // multivariant playlist, init sections
}

// All is the number of requests of any kind.
func (r Requests) All() int64 {
	return r.PlaylistRequests + r.MediaRequests + r.ListRequests + r.OtherRequests
}

// inboxSize bounds what waits for the loop; who brings more waits.
const inboxSize = 256

// Session is one viewer's or seeder's part in a channel.
type Session struct {
	cfg   Config
	log   *slog.Logger
	fetch fetcher
	inbox chan func()
	ctx   context.Context // of Run: for what the loop starts
	ended chan struct{}   // closed when Run has returned

	channel    manifest.Hash
	instance   wire.Instance
	core       *sched.Core
	store      *store.Store
	events     []sched.Event
	handled    []sched.Event // memory of earlier ones
	renditions []*rendition
	objects    map[int32]*object
	byKey      map[wire.Key]int32
	nextObject int32
	departed   map[wire.Key]int64 // objects that left us lately: when, epoch ms
	neighbours neighbours
	talk       talk
	questions  questions
	steering   steering
	dealt      bool // a tracker has dealt duties, to us or to others
	tracker    *trackerClient
	stats      Stats
	plannedMs  int64
	looks      int64                    // looks at segments of recordings: their age in the store
	played     atomic.Pointer[[]string] // names of the active renditions
	clock      func() time.Time
}

// Target checks a channel's address as a person gave it: the URL of its
// multivariant playlist and its id, which may be empty. Errors are sentences.
func Target(playlist, id string) (channel manifest.Hash, err error) {
	u, err := url.Parse(playlist)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return channel, fmt.Errorf("%q is not the URL of a channel; it looks like http://localhost:8080/live/demo/index.m3u8", playlist)
	}
	if id == "" {
		return channel, nil
	}
	if channel, err = manifest.ParseHash(id); err != nil {
		return channel, fmt.Errorf("%q is not a channel id: %w", id, err)
	}
	return channel, nil
}

// New returns a session that has not joined yet.
func New(cfg Config) *Session {
	if cfg.Role == "" {
		cfg.Role = announce.Viewer
	}
	if cfg.MaxNeighbours == 0 {
		cfg.MaxNeighbours = 16
	}
	if cfg.StoreBytes == 0 {
		cfg.StoreBytes = 64 << 20
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	schedule := sched.DefaultConfig(cfg.Seed)
	schedule.UploadBytesPerSec = cfg.UploadBytesPerSec
	schedule.NoUpload = cfg.NoUpload
	if cfg.Engine == nil {
		schedule.LonelyGraceMs = 0
	}
	s := &Session{
		cfg: cfg, log: cfg.Log,
		inbox:      make(chan func(), inboxSize),
		ended:      make(chan struct{}),
		core:       sched.New(schedule),
		store:      store.New(cfg.StoreBytes),
		objects:    make(map[int32]*object),
		byKey:      make(map[wire.Key]int32),
		departed:   make(map[wire.Key]int64),
		neighbours: newNeighbours(),
		questions:  newQuestions(),
		looks:      firstLook,
		clock:      time.Now,
	}
	rand.Read(s.instance[:])
	s.fetch = fetcher{cfg.Client, newCDNs(append([]string{cfg.Playlist}, cfg.CDNs...), cfg.Seed, s.now)}
	s.fetch.cdns.add(append([]string{cfg.Playlist}, cfg.CDNs...))
	s.played.Store(&[]string{})
	return s
}

// Run joins the channel and takes part until ctx ends. It returns an error only
// if the channel cannot be joined at all: no playlist within the first tries, or
// one of another channel.
func (s *Session) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer close(s.ended)
	defer cancel()
	s.ctx = ctx
	offer, err := s.join(ctx)
	if err != nil {
		return err
	}
	if err := s.follow(offer); err != nil {
		return err
	}
	if s.cfg.Engine != nil && offer.Tracker != "" && offer.Token != "" {
		s.startTracker(offer)
	}
	defer s.neighbours.closeAll("leaving")
	ticker := time.NewTicker(sched.TickMs * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-s.inbox:
			f()
			s.drainInbox()
		case <-ticker.C:
			s.tick()
		}
		s.step()
	}
}

// drainInbox takes what else is waiting, so that a burst is scheduled once.
func (s *Session) drainInbox() {
	for range inboxSize {
		select {
		case f := <-s.inbox:
			f()
		default:
			return
		}
	}
}

// post hands f to the loop; false if the session has ended.
func (s *Session) post(f func()) bool {
	select {
	case s.inbox <- f:
		return true
	case <-s.ended:
		return false
	}
}

// Do runs f in the loop and waits for it: the way in for other goroutines. It
// returns false, without having run f, if the session has ended.
func (s *Session) Do(f func()) bool {
	done := make(chan struct{})
	if !s.post(func() { f(); close(done) }) {
		return false
	}
	select {
	case <-done:
		return true
	case <-s.ended:
		return false
	}
}

func (s *Session) event(e sched.Event) { s.events = append(s.events, e) }

func (s *Session) now() time.Time { return s.clock() }

func (s *Session) nowMs() int64 { return s.clock().UnixMilli() }

// tick does what time alone brings about.
func (s *Session) tick() {
	now := s.nowMs()
	s.event(sched.Event{Kind: sched.Tick})
	s.observeBuffers()
	s.askAgain(now)
	s.choose(now)
	s.poll(now)
	s.steer(now)
	for _, r := range s.renditions {
		s.slide(r)
		s.show(r)
	}
	if now-s.plannedMs >= planEveryMs {
		s.plannedMs = now
		s.plan(now)
		s.neighbours.sendLonely(now)
	}
	s.report(now)
}

// step lets the scheduler see what happened, does what it says, and sends what was said.
func (s *Session) step() {
	s.forgetEvicted()
	for len(s.events) > 0 {
		events := s.events
		s.events = s.handled[:0]
		s.run(s.core.Handle(s.nowMs(), events))
		clear(events)
		s.handled = events
	}
	s.talk.speak()
}

// Stats may be called from the loop only (see Do).
func (s *Session) Stats() Stats {
	s.stats.Neighbours = s.neighbours.open()
	s.stats.Messages, s.stats.Bundles = s.talk.messages, s.talk.bundles
	return s.stats
}

var errWrongChannel = errors.New("wrong channel")
