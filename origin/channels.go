package origin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"slipstream/origin/ingest"
	"slipstream/origin/keys"
	"slipstream/origin/permit"
	"slipstream/origin/server"
	"slipstream/origin/store"
)

// channels are those of an origin: declared in its configuration, or made by a publisher whose token says that it may.
type channels struct {
	cfg     Config
	permits permit.Key
	site    *server.Server // to which channels are added that a publisher makes
	begin   func(*channel) // makes a channel ready for publishers

	mu         sync.RWMutex
	byName     map[string]*channel
	streamKeys func(app, key, remote string) (string, error)
}

// openChannels reads or makes the keys and the store of every channel that is declared.
func openChannels(cfg Config, permits permit.Key) (*channels, error) {
	all := &channels{cfg: cfg, permits: permits, byName: make(map[string]*channel)}
	for _, name := range cfg.Channels {
		if _, err := all.open(name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (all *channels) open(name string) (*channel, error) {
	ch, err := openChannel(all.cfg, name, nowMs())
	if err != nil {
		return nil, err
	}
	all.byName[name] = ch
	table := make(map[string]string)
	for name, ch := range all.byName {
		table[name] = ch.keys.StreamKey()
		table[ingest.BackupOf(name)] = ch.backupKey // an empty one lets nobody in
	}
	all.streamKeys = ingest.StreamKeys(publishApp, table)
	return ch, nil
}

func openChannel(cfg Config, name string, nowMs int64) (*channel, error) {
	encoding, err := cfg.encodingOf(name)
	if err != nil {
		return nil, err
	}
	dvrMs, err := cfg.dvrOf(name)
	if err != nil {
		return nil, err
	}
	k, err := keys.OpenRegion(cfg.DataDir, name, cfg.Region, nowMs)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(store.Config{
		Dir: keys.ChannelDir(cfg.DataDir, name), Channel: k.ID(), SessionMs: nowMs, Renditions: encoding.renditions(),
		WindowMs: cfg.Window.Milliseconds(), DVRMs: dvrMs, Logger: cfg.Logger.With("channel", name), Signer: k,
	}, nowMs)
	if err != nil {
		return nil, err
	}
	ch := &channel{name: name, keys: k, store: s, encoding: encoding, logger: cfg.Logger.With("channel", name)}
	if slices.Contains(cfg.Backup, name) {
		if ch.backupKey, err = k.BackupKey(); err != nil {
			return nil, err
		}
	}
	ch.publisher.Store(&server.Publisher{SinceMs: nowMs})
	return ch, nil
}

// named returns a channel, nil if there is none of that name.
func (all *channels) named(name string) *channel {
	all.mu.RLock()
	defer all.mu.RUnlock()
	return all.byName[name]
}

// publishApp is the application that publishers publish to.
const publishApp = "live"

// authorize says which channel a publisher may publish who shows a stream key or a token. It is for all protocols.
func (all *channels) authorize(app, key, remote string) (string, error) {
	all.mu.RLock()
	streamKeys := all.streamKeys
	all.mu.RUnlock()
	channel, err := streamKeys(app, key, remote)
	if !errors.Is(err, ingest.ErrWrongKey) || !permit.Looks(key) {
		return channel, err
	}
	right, err := all.permits.Verify(key, remote, time.Now())
	switch {
	case err != nil:
		return "", err
	case all.named(right.Channel) != nil:
		return all.named(right.Channel).place(right.Backup)
	case !right.Create || right.Backup:
		return "", fmt.Errorf("there is no channel %.64q here, and the token gives no right to make it", right.Channel)
	}
	return right.Channel, all.make(right.Channel)
}

// make makes a channel for its first publisher. Its keys are those that it had before, if it was made before.
func (all *channels) make(name string) error {
	if err := keys.CheckName(name); err != nil {
		return err
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.byName[name] != nil { // somebody was quicker
		return nil
	}
	if len(all.byName) >= all.cfg.MaxChannels {
		return fmt.Errorf("the channel %q cannot be made: this origin has %d channels already, and may have no more", name, len(all.byName))
	}
	ch, err := all.open(name)
	if err != nil {
		all.cfg.Logger.Error("a channel could not be made", "channel", name, "error", err)
		return fmt.Errorf("the channel %q cannot be made at the moment", name)
	}
	all.begin(ch)
	all.cfg.Made(ch.described())
	all.site.Add(ch.served(all.cfg))
	ch.logger.Info("a publisher has made the channel", "id", ch.keys.ID())
	return nil
}

// serve makes the channels ready for publishers, by begin, and those that come later.
func (all *channels) serve(begin func(*channel)) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.begin = begin
	for _, ch := range all.byName {
		begin(ch)
	}
}

// start takes a publication in.
func (all *channels) start(_ context.Context, p ingest.Publication) (ingest.Session, error) {
	return all.named(p.Channel).start(p)
}
