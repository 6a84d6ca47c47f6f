package attack

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/rtc"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

const (
	tickMs      = 50
	pollEvery   = 200 * time.Millisecond
	reportEvery = 2 * time.Second
	lonelyTime  = 5 * time.Second // without victims for so long, it comes back under a new name
	maxVictims  = 32
	maxBody     = 64 << 20
	claimedBps  = 1_000_000_000
)

// Config says whom to attack and how.
type Config struct {
	Playlist string // URL of the multivariant playlist
	Kind     Kind
	Gang     *Gang       // whom to spare; nil: nobody
	Engine   *rtc.Engine // nil: no tracker is joined, see Approach
	Client   *http.Client
	Seed     uint64
}

// Count is what an attacker has done so far.
type Count struct {
	Victims    atomic.Int64 // connections that opened
	Dropped    atomic.Int64 // of them, how many the victims closed
	Asked      atomic.Int64 // leaves that victims asked for
	BadLeaves  atomic.Int64 // false leaves and leaf lists sent
	BadRecords atomic.Int64 // false or old records sent
	Messages   atomic.Int64 // sent, of all kinds
	Names      atomic.Int64 // times that it joined
}

// Attacker is one hostile viewer. One goroutine owns everything in it, the loop of Run.
type Attacker struct {
	cfg     Config
	random  *rand.Rand
	inbox   chan func()
	ended   chan struct{}
	count   Count
	channel manifest.Hash

	library library
	victims []*victim // in the order in which they were met
	socket  *socket
	accused []announce.Drop
}

// New returns an attacker that has not begun.
func New(cfg Config) *Attacker {
	return &Attacker{
		cfg: cfg, random: rand.New(rand.NewPCG(cfg.Seed, 0)), inbox: make(chan func(), 256), ended: make(chan struct{}),
		library: library{byKey: make(map[wire.Key]*object)},
	}
}

// Count may be read at any time.
func (a *Attacker) Count() *Count { return &a.count }

// invent is a key that no object has.
func (a *Attacker) invent() (key wire.Key) {
	for i := range key {
		key[i] = byte(a.random.Uint32())
	}
	return key
}

// Run attacks until ctx ends. It fails only if the channel cannot be read or has no tracker.
func (a *Attacker) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer close(a.ended)
	defer cancel()
	text, err := a.get(ctx, a.cfg.Playlist)
	if err != nil {
		return err
	}
	m, err := manifest.ReadMultivariant(string(text))
	if err != nil {
		return err
	}
	if len(m.Variants) == 0 || a.cfg.Engine != nil && (m.Tracker == "" || m.Token == "") {
		return fmt.Errorf("%s has nobody to attack: no tracker, no token or no rendition", a.cfg.Playlist)
	}
	a.channel = m.Channel
	variant := m.Variants[0]
	go a.follow(ctx, variant)
	for ctx.Err() == nil {
		a.visit(ctx, m, variant.Rendition)
		for _, v := range a.victims {
			v.link.Close()
		}
		a.victims = nil
	}
	return nil
}

// visit is the attacker's time under one name.
func (a *Attacker) visit(ctx context.Context, m manifest.Multivariant, rendition string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.socket = &socket{out: make(chan announce.Message, 128)}
	a.accused = nil
	a.count.Names.Add(1)
	gone := make(chan struct{})
	if a.cfg.Engine != nil {
		go func() {
			defer close(gone)
			a.join(ctx, a.socket, m, rendition)
		}()
	}
	ticker := time.NewTicker(tickMs * time.Millisecond)
	defer ticker.Stop()
	hadVictims, reported := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-gone:
			select { // not a storm of names, when the tracker has had enough
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			return
		case f := <-a.inbox:
			f()
		case now := <-ticker.C:
			for _, v := range a.victims {
				if v.open {
					hadVictims = now
					if v.tick != nil {
						v.tick(now.UnixMilli())
					}
				}
			}
			if now.Sub(hadVictims) > lonelyTime && a.cfg.Engine != nil {
				return
			}
			if now.Sub(reported) > reportEvery {
				reported = now
				a.report(rendition)
			}
		}
	}
}

// report tells the tracker what it likes to hear.
func (a *Attacker) report(rendition string) {
	accused := a.accused[:min(len(a.accused), announce.MaxDropped)]
	a.accused = a.accused[len(accused):]
	a.socket.tell(announce.Report{
		Ready: true, Neighbours: int64(len(a.victims)), Renditions: []string{rendition}, UplinkBps: claimedBps,
		UploadedBytes: 1 << 40, Dropped: accused,
	})
}

// heard acts on a message of the tracker. Duties are for others.
func (a *Attacker) heard(s *socket, m announce.Message) {
	if a.socket != s {
		return // said to an earlier name
	}
	switch m := m.(type) {
	case announce.Welcome:
		a.cfg.Gang.add(m.ID)
	case announce.Neighbour:
		if !a.cfg.Gang.has(m.ID) {
			a.meet(m)
		}
	case announce.SignalFrom:
		if v := a.victim(m.From); v != nil {
			_ = v.link.Signal(m.Signal)
		}
	}
}

// post hands f to the loop.
func (a *Attacker) post(f func()) {
	select {
	case a.inbox <- f:
	case <-a.ended:
	}
}

// follow fetches every segment of a rendition as soon as it is listed.
func (a *Attacker) follow(ctx context.Context, variant manifest.Variant) {
	base, err := url.Parse(a.cfg.Playlist)
	if err != nil {
		return
	}
	list, err := base.Parse(variant.URI)
	if err != nil {
		return
	}
	known := make(map[wire.Key]bool)
	for ctx.Err() == nil {
		if text, err := a.get(ctx, list.String()); err == nil {
			if playlist, err := manifest.ReadPlaylist(string(text)); err == nil {
				a.fetchNew(ctx, list, playlist, known)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

func (a *Attacker) fetchNew(ctx context.Context, list *url.URL, playlist manifest.Playlist, known map[wire.Key]bool) {
	for _, s := range playlist.Segments {
		if s.Record == nil || known[wire.KeyOf(s.Record.Root)] {
			continue
		}
		ref, err := list.Parse(s.URI)
		if err != nil {
			continue
		}
		data, err := a.get(ctx, ref.String())
		if err != nil || int64(len(data)) != s.Record.Size {
			continue
		}
		known[wire.KeyOf(s.Record.Root)] = true
		o := newObject(*s.Record, data)
		a.post(func() {
			a.library.add(o)
			for _, v := range a.victims {
				if v.open && v.found != nil {
					v.found(o)
				}
			}
		})
	}
}

func (a *Attacker) get(ctx context.Context, url string) ([]byte, error) {
	return a.do(ctx, http.MethodGet, url)
}

func (a *Attacker) do(ctx context.Context, method, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.cfg.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxBody))
}
