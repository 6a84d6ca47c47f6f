package cluster

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// Facts is the little that a cluster keeps: what an operator has set for single channels, and who is banned for a while. It
// lies in a JetStream key-value bucket, written through to disk on most of the nodes, and every node has all of it in memory.
//
//	channel.<channel id>   Settings as JSON
//	ban.<digest>           nothing; it ends by itself, BanFor after it was told. The digest is that of an address, keyed with the cluster's secret
//
// Without JetStream (one that does not answer yet, or has no quorum) nothing new is known, and what is known stays.
type Facts struct {
	name   string // of the bucket
	secret []byte
	log    *slog.Logger
	stream jetstream.JetStream
	now    func() time.Time

	mu       sync.RWMutex
	channels map[string]Settings
	bans     map[string]time.Time // their ends: after a partition the bucket may not know any more that there was one
	swept    time.Time            // when those that are over were taken out
	untold   map[string]bool      // bans that the bucket does not have yet
	wake     chan struct{}        // there is one more
	back     chan struct{}        // NATS was away, so a watch may have ended without a word
}

// Settings are an operator's for one channel.
type Settings struct {
	// Sharing is how its viewers may meet from now on; tokens may be stricter.
	Sharing token.Sharing `json:"sharing,omitempty"`
	// UploadBps is what each of its viewers may upload; 0 is as much as it likes.
	UploadBps int64 `json:"uploadBps,omitempty"`
}

const (
	channelKey = "channel."
	banKey     = "ban."
	// BanFor is how long somebody stays away whom its neighbours' evidence has ended.
	BanFor = 10 * time.Minute
	// factTimeout bounds each word with JetStream; between tries to reach it at the beginning are factRetry.
	factTimeout = 5 * time.Second
	factRetry   = 2 * time.Second
	maxFact     = 4096
	// maxUntold bounds the bans that wait for the bucket; more hold on this node alone.
	maxUntold = 10_000
)

// NewFacts is for a tracker that is alone: bans end with it, and channels have no settings.
func NewFacts() *Facts {
	return &Facts{
		secret: []byte(rand.Text()), log: slog.Default(), now: time.Now, channels: map[string]Settings{},
		bans: map[string]time.Time{}, untold: map[string]bool{}, wake: make(chan struct{}, 1), back: make(chan struct{}, 1),
	}
}

func newFacts(cfg Config, conn *nats.Conn) (f *Facts, err error) {
	f = NewFacts()
	f.name, f.secret, f.log = "slipstream-"+cfg.Name, cfg.Secret, cfg.Log
	f.stream, err = jetstream.New(conn)
	return f, err
}

// open finds the bucket, or makes it.
func (f *Facts) open(ctx context.Context, replicas int) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, factTimeout)
	defer cancel()
	bucket, err := f.stream.KeyValue(ctx, f.name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = f.stream.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: f.name, Description: "what Slipstream's trackers keep", MaxValueSize: maxFact, MaxBytes: 64 << 20,
			Replicas: replicas, LimitMarkerTTL: time.Minute,
		})
	}
	return bucket, err
}

// run keeps the copy in memory until ctx ends.
func (f *Facts) run(ctx context.Context, replicas int) {
	said := false
	for ctx.Err() == nil {
		bucket, err := f.open(ctx, replicas)
		if err == nil {
			err = f.follow(ctx, bucket)
		}
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errBack) {
			continue
		}
		if !said {
			said = true
			f.log.Warn("what the cluster keeps (settings, bans) cannot be read yet; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(factRetry):
		}
	}
}

var errBack = errors.New("NATS was away")

// reread has the bucket read anew. The NATS client would notice by itself that its watch is dead, but only after ten seconds or more.
func (f *Facts) reread() {
	select {
	case f.back <- struct{}{}:
	default:
	}
}

// follow reads the bucket and hears of its changes, and tells it the bans of this node.
func (f *Facts) follow(ctx context.Context, bucket jetstream.KeyValue) error {
	ctx, cancel := context.WithCancel(ctx)
	watcher, err := bucket.WatchAll(ctx)
	if err != nil {
		cancel()
		return err
	}
	defer func() { _ = watcher.Stop() }()
	var telling sync.WaitGroup
	telling.Go(func() { f.tellBans(ctx, bucket) })
	defer telling.Wait()
	defer cancel()
	gone := f.set() // unless the bucket still has it
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.back:
			return errBack
		case e, open := <-watcher.Updates():
			switch {
			case !open:
				return errors.New("the watch has ended")
			case e == nil: // what was there has been read
				f.unset(gone)
				gone = nil
			default:
				delete(gone, e.Key())
				f.learn(e.Key(), e.Value(), e.Created(), e.Operation() == jetstream.KeyValuePut)
			}
		}
	}
}

// set are the keys of the channels that have settings.
func (f *Facts) set() map[string]bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	keys := make(map[string]bool, len(f.channels))
	for id := range f.channels {
		keys[channelKey+id] = true
	}
	return keys
}

func (f *Facts) unset(keys map[string]bool) {
	for key := range keys {
		f.learn(key, nil, time.Time{}, false)
	}
}

func (f *Facts) learn(key string, value []byte, told time.Time, there bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if digest, ok := strings.CutPrefix(key, banKey); ok {
		if delete(f.bans, digest); there {
			f.ban(digest, told)
		}
		return
	}
	id, ok := strings.CutPrefix(key, channelKey)
	if !ok {
		return
	}
	if delete(f.channels, id); !there {
		return
	}
	var s Settings
	if err := json.Unmarshal(value, &s); err != nil {
		f.log.Warn("a channel's settings cannot be read and do not count", "channel", id, "error", err)
		return
	}
	f.channels[id] = s
}

// Sharing implements server.Facts.
func (f *Facts) Sharing(channel string) token.Sharing {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.channels[channel].Sharing
}

// UploadBps implements server.Facts.
func (f *Facts) UploadBps(channel string) int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.channels[channel].UploadBps
}

// SetChannel sets it, for all nodes; the zero Settings take it back.
func (f *Facts) SetChannel(ctx context.Context, id string, s Settings) error {
	switch {
	case !token.IsChannel(id):
		return fmt.Errorf("%q is not a channel id: those have 43 characters of A–Z a–z 0–9 - _", id)
	case s.Sharing != token.Direct && s.Sharing != token.RelayOnly && s.Sharing != token.NoSharing:
		return fmt.Errorf(`%q is no way to share: write "relay", "off", or nothing`, s.Sharing)
	case s.UploadBps < 0 || s.UploadBps > announce.MaxCap:
		return fmt.Errorf("a cap on uploads is from 0 to %d bits a second, not %d", int64(announce.MaxCap), s.UploadBps)
	}
	ctx, cancel := context.WithTimeout(ctx, factTimeout)
	defer cancel()
	bucket, err := f.stream.KeyValue(ctx, f.name)
	if err == nil && s == (Settings{}) {
		err = bucket.Purge(ctx, channelKey+id)
	} else if err == nil {
		var b []byte
		if b, err = json.Marshal(s); err == nil {
			_, err = bucket.Put(ctx, channelKey+id, b)
		}
	}
	if err != nil {
		return fmt.Errorf("the channel's settings could not be kept: %w", err)
	}
	return nil
}

// Ban implements server.Facts: it keeps an address away from all nodes for BanFor. One that many may share because a terminator or
// a network of the operator's own is behind it is left alone.
func (f *Facts) Ban(addr netip.Addr) {
	if addr = addr.Unmap(); !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return
	}
	digest := f.digest(addr)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ban(digest, f.now()) // here at once
	if len(f.untold) >= maxUntold {
		return
	}
	f.untold[digest] = true
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// ban notes one that was told at a time; mu is held.
func (f *Facts) ban(digest string, told time.Time) {
	if now := f.now(); now.Sub(f.swept) > time.Minute {
		f.swept = now
		maps.DeleteFunc(f.bans, func(_ string, end time.Time) bool { return !now.Before(end) })
		maps.DeleteFunc(f.untold, func(digest string, _ bool) bool { return f.bans[digest].IsZero() })
	}
	f.bans[digest] = told.Add(BanFor)
}

// tellBans puts this node's bans into the bucket. One that cannot be told, such as by a node that is cut off, is told later.
func (f *Facts) tellBans(ctx context.Context, bucket jetstream.KeyValue) {
	for said := false; ; {
		var again <-chan time.Time
		if err := f.tellUntold(ctx, bucket); err != nil {
			if !said && ctx.Err() == nil {
				f.log.Warn("the other trackers cannot be told of a ban yet; trying again", "error", err)
			}
			said = true
			again = time.After(factRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-again:
		}
	}
}

func (f *Facts) tellUntold(ctx context.Context, bucket jetstream.KeyValue) error {
	f.mu.RLock()
	untold := slices.Sorted(maps.Keys(f.untold))
	f.mu.RUnlock()
	for _, digest := range untold {
		f.mu.RLock()
		left := f.bans[digest].Sub(f.now())
		f.mu.RUnlock()
		if left >= time.Second { // JetStream knows none that is shorter
			ctx, cancel := context.WithTimeout(ctx, factTimeout)
			_, err := bucket.Create(ctx, banKey+digest, nil, jetstream.KeyTTL(left))
			cancel()
			if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
				return err
			}
		}
		f.mu.Lock()
		delete(f.untold, digest)
		f.mu.Unlock()
	}
	return nil
}

// Banned implements server.Facts: it tells whether an address is kept away.
func (f *Facts) Banned(addr netip.Addr) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.bans) > 0 && f.now().Before(f.bans[f.digest(addr)])
}

// digest names an address, or the /64 of an IPv6 one, so that nobody who reads the bucket learns it.
func (f *Facts) digest(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		addr = netip.PrefixFrom(addr, 64).Masked().Addr()
	}
	mac := hmac.New(sha256.New, f.secret)
	mac.Write([]byte("slipstream ban "))
	mac.Write(addr.AsSlice())
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
