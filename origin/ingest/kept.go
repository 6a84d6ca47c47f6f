package ingest

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"slices"

	"slipstream/origin/durable"
)

// maxKeptInit is the longest init section that is kept. ffmpeg's have less than a kilobyte.
const maxKeptInit = 64 << 10

// keptInits are the init sections of a publication's tracks, in the order in which they came. An encoder that sends segments one by one
// sends them once, at its start. When the origin was restarted, or has given the publication up because the network was away, it goes on with
// segments that nobody could read without.
type keptInits struct {
	Publisher string      `json:"publisher"`
	Tracks    []keptTrack `json:"tracks"`
}

type keptTrack struct {
	Folder string `json:"folder"`
	Track  string `json:"track"`
	Init   []byte `json:"init"`
}

func (t keptTrack) target() target { return target{folder: t.Folder, track: t.Track} }

// set replaces a track's init section, or adds it.
func (k *keptInits) set(t keptTrack) {
	i := slices.IndexFunc(k.Tracks, func(other keptTrack) bool { return other.target() == t.target() })
	if i < 0 {
		k.Tracks = append(k.Tracks, t)
		return
	}
	k.Tracks[i] = t
}

// keptPath is the file for the publications of a channel, or of its backup.
func (o *point) keptPath() string {
	return filepath.Join(o.points.server.cfg.Dir, url.PathEscape(o.channel)+".json")
}

// keep writes down the init section of a track whose turn the caller has.
func (o *point) keep(t *track) {
	media, ok := t.media.(*demuxedTrack)
	if !ok || o.points.server.cfg.Dir == "" {
		return
	}
	init := media.demuxer.Init()
	if len(init) == 0 || len(init) > maxKeptInit {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept.Publisher = o.publisher
	o.kept.set(keptTrack{t.target.folder, t.target.track, init})
	content, err := json.Marshal(o.kept)
	if err == nil {
		err = durable.Write(o.keptPath(), append(content, '\n'))
	}
	if err != nil {
		o.logger.Warn("an init section cannot be kept: after a restart the encoder has to be restarted too", "error", err)
	}
}

// resume finds the track of a segment whose init section came to a publication before this one, from the same sender. All that it sent goes
// on together, so that sound is known before the first picture. It returns nil if there is no such track.
func (o *point) resume(t target) *track {
	var kept keptInits
	if o.packaging != nil || o.points.server.cfg.Dir == "" {
		return nil
	}
	content, found, err := durable.Read(o.keptPath())
	if err == nil && found {
		err = json.Unmarshal(content, &kept)
	}
	if err != nil {
		o.logger.Warn("the init sections of the publication before are lost: the encoder has to be restarted", "error", err)
	}
	if err != nil || kept.Publisher != o.publisher || len(kept.Tracks) > maxTracks {
		return nil
	}
	var targets []target
	for _, k := range kept.Tracks {
		targets = append(targets, k.target())
	}
	wanted, err := initOf(t, targets)
	if err != nil {
		return nil
	}
	for _, k := range kept.Tracks {
		if err := o.restore(k); err != nil {
			o.logger.Warn("the init section of the publication before cannot be used", "track", k.target(), "error", err)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tracks[wanted.name()]
}

// restore begins a track with an init section that was kept, unless it has begun already.
func (o *point) restore(k keptTrack) error {
	o.mu.Lock()
	if o.tracks[k.target().name()] != nil {
		o.mu.Unlock()
		return nil
	}
	one, err := o.track(k.target(), true)
	if err != nil {
		o.mu.Unlock()
		return err
	}
	one.turn <- struct{}{} // nobody else knows it
	o.kept.Publisher = o.publisher
	o.kept.set(k)
	o.mu.Unlock()
	defer func() { <-one.turn }()
	o.logger.Info("a publication goes on with the init section that it had before", "track", k.target())
	if err := one.media.begin(bodyInfo{}); err != nil {
		return err
	}
	return one.media.write(k.Init)
}
