package store

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"sync"

	"slipstream/origin/cmaf"
	"slipstream/origin/manifest"
	"slipstream/origin/timeline"
)

const (
	// DefaultWindowMs is the length of the time-shift window.
	DefaultWindowMs = 60_000
	// MinWindowMs and MaxWindowMs bound it: players want three target durations and more, and a playlist of more
	// than an hour would be too long for viewers to accept (manifest.MaxPlaylistBytes).
	MinWindowMs = 10_000
	MaxWindowMs = 3_600_000
	// DefaultMaxBytes bounds the memory of one rendition.
	DefaultMaxBytes = 512 << 20
)

// Signer lends the key to sign with at a moment, and its delegation.
type Signer interface {
	Signer(nowMs int64) (ed25519.PrivateKey, manifest.Delegation, error)
}

// Config describes a channel's store.
type Config struct {
	Dir        string        // the channel's folder; heads go to its folder "heads"
	Channel    manifest.Hash // channel id
	SessionMs  int64         // when this run of the origin began, ms since the Unix epoch
	Renditions []string      // all that will ever be published
	WindowMs   int64         // 0: DefaultWindowMs
	MaxBytes   int64         // per rendition; 0: DefaultMaxBytes
	DVRMs      int64         // what is kept on disk, in the folder "dvr"; 0: nothing
	Logger     *slog.Logger  // nil: nothing is logged
	Signer     Signer
}

// Store holds one channel. It is safe for concurrent use.
type Store struct {
	cfg   Config
	rings map[string]*ring // never changes after Open
	mu    sync.RWMutex     // guards what the rings hold
	first int64            // discontinuities before this run, the same for all renditions; guarded by mu

	// afterHead is called between the head on disk and the segment in the ring; tests crash there.
	afterHead func()
}

// Open reads the heads of all renditions and returns a store with an empty window.
func Open(cfg Config, nowMs int64) (*Store, error) {
	if cfg.WindowMs == 0 {
		cfg.WindowMs = DefaultWindowMs
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.WindowMs < MinWindowMs || cfg.WindowMs > MaxWindowMs {
		return nil, fmt.Errorf("a time-shift window of %d s is not possible: choose %d to %d s", cfg.WindowMs/1000, MinWindowMs/1000, MaxWindowMs/1000)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{cfg: cfg, rings: make(map[string]*ring), afterHead: func() {}}
	for _, name := range cfg.Renditions {
		h, found, err := readHead(cfg.Dir, name, nowMs)
		if err != nil {
			return nil, err
		}
		begun, err := readBegun(cfg.Dir, name)
		if err != nil {
			return nil, err
		}
		r := &ring{name: name, signed: begun, inits: make(map[manifest.Hash]*initSection), changed: make(chan struct{})}
		if found {
			r.signed, r.previous = max(begun, h.record.Sequence), h.record.Hash()
			r.counted = h.discontinuities
			s.first = max(s.first, h.discontinuities+1) // a new run of the encoder is one
		}
		if r.archive, err = cfg.openArchive(name); err != nil {
			return nil, err
		}
		s.rings[name] = r
	}
	for _, r := range s.rings {
		r.discontinuities = s.first
	}
	return s, nil
}

// NotNewerError says that a number was signed before, perhaps by an earlier run, and cannot be signed again.
type NotNewerError struct {
	Rendition string
	Number    int64
	Signed    int64 // the newest number signed
}

// Error returns the sentence.
func (e *NotNewerError) Error() string {
	return fmt.Sprintf("segment %d of %q is not published: %d was signed before, and numbers only grow", e.Number, e.Rendition, e.Signed)
}

// Publish signs a segment, makes its record durable and adds it to the window. If it fails the segment was not
// published, and its number is lost to this run: it may already be on disk.
func (s *Store) Publish(seg cmaf.Segment, nowMs int64) error {
	r, ok := s.rings[seg.Rendition]
	if !ok {
		return fmt.Errorf("segment %d is not published: the channel has no rendition %q", seg.Number, seg.Rendition)
	}
	r.publishing.Lock() // not s.mu: readers must not wait for the disk
	defer r.publishing.Unlock()
	key, delegation, init, err := s.signing(r, seg, nowMs)
	if err != nil {
		return err
	}
	leaves := manifest.LeafHashes(seg.Data)
	rec, err := manifest.SignRecord(manifest.Record{
		Kind: manifest.KindSegment, Session: s.cfg.SessionMs, Rendition: r.name, Sequence: seg.Number, StartMs: seg.StartMs,
		DurationMs: seg.DurationMs, Size: int64(len(seg.Data)), Root: manifest.Root(leaves), Init: init.record.Root,
		Previous: r.previous, CreatedMs: nowMs,
	}, s.cfg.Channel, key)
	if err != nil {
		return err
	}
	item := &segment{record: rec, delegation: delegation, data: seg.Data, leaves: manifest.EncodeLeaves(leaves), slate: seg.Slate}
	item.discontinuity, item.discontinuities = r.breaks(seg, rec.Init)
	r.signed = seg.Number
	if err := s.durably(func() error { return head{rec, item.discontinuities}.write(s.cfg.Dir) }); err != nil {
		return fmt.Errorf("segment %d of %q is not published: %w", seg.Number, r.name, err)
	}
	s.afterHead()
	s.keep(r, item, init)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.append(item, init, seg, s.windowSegments(), s.cfg.MaxBytes)
	return nil
}

// signing returns what a segment, or a part of it, is signed with, and its init section.
func (s *Store) signing(r *ring, seg cmaf.Segment, nowMs int64) (ed25519.PrivateKey, manifest.Delegation, *initSection, error) {
	if seg.Number <= r.signed {
		return nil, manifest.Delegation{}, nil, &NotNewerError{r.name, seg.Number, r.signed}
	}
	key, delegation, err := s.cfg.Signer.Signer(nowMs)
	if err != nil {
		return nil, delegation, nil, fmt.Errorf("segment %d of %q cannot be signed: %w", seg.Number, r.name, err)
	}
	if seg.Number < delegation.FirstSequence || seg.Number > delegation.LastSequence {
		return nil, delegation, nil, fmt.Errorf("segment %d of %q is not published: it lies %d s from this machine's clock, farther than its signing key may reach",
			seg.Number, r.name, (seg.Number*timeline.SegmentMs-nowMs)/1000)
	}
	init, err := s.initFor(r, seg, key, delegation, nowMs)
	return key, delegation, init, err
}

// initFor returns the signed init section that a segment needs. It is signed anew when the signing key was replaced,
// because the delegation of the old key leaves the playlist with the segments it signed.
func (s *Store) initFor(r *ring, seg cmaf.Segment, key ed25519.PrivateKey, delegation manifest.Delegation, nowMs int64) (*initSection, error) {
	root := manifest.Root(manifest.LeafHashes(seg.Init))
	s.mu.RLock()
	known := r.inits[root]
	s.mu.RUnlock()
	if known != nil && known.record.Key == delegation.Key() {
		return known, nil
	}
	rec, err := manifest.SignRecord(manifest.Record{
		Kind: manifest.KindInit, Session: s.cfg.SessionMs, Rendition: r.name, Sequence: seg.Number, StartMs: seg.StartMs,
		Size: int64(len(seg.Init)), Root: root, CreatedMs: nowMs,
	}, s.cfg.Channel, key)
	if err != nil {
		return nil, err
	}
	return &initSection{record: rec, delegation: delegation, data: seg.Init, codecs: seg.Codecs}, nil
}

// WindowMs is the length of the time-shift window.
func (s *Store) WindowMs() int64 { return s.cfg.WindowMs }

func (s *Store) windowSegments() int64 { return s.cfg.WindowMs / timeline.SegmentMs }
