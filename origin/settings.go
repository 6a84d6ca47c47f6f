package origin

import (
	"fmt"
	"slices"
	"time"

	"slipstream/origin/hls"
	"slipstream/origin/keys"
	"slipstream/origin/store"
	"slipstream/origin/timeline"
	"slipstream/origin/transcode"
)

// Settings are those of one channel. What is not said is as for all channels.
type Settings struct {
	Rung        []string       `yaml:"rung"` // as for transcode.ParseRung
	FrameRate   int            `yaml:"frame-rate"`
	PassThrough *bool          `yaml:"pass-through"`
	DropRungs   *bool          `yaml:"drop-rungs"`
	DVR         *time.Duration `yaml:"dvr"`
	HoldBack    *float64       `yaml:"part-hold-back"`
}

// ChannelNames are the channels that are named, then those that only have settings; "demo" if there is none at all.
func ChannelNames(named []string, settings map[string]Settings) []string {
	out := slices.Clone(named)
	for name := range settings {
		if !slices.Contains(named, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out[len(named):])
	if len(out) == 0 {
		return []string{"demo"}
	}
	return out
}

// encoding is how a channel is encoded.
type encoding struct {
	ladder                 []transcode.Rung
	frameRate              int
	passThrough, dropRungs bool
}

// encodingOf applies a channel's settings to those of all.
func (cfg Config) encodingOf(channel string) (encoding, error) {
	e := encoding{cfg.Ladder, cfg.FrameRate, cfg.PassThrough, cfg.DropRungs}
	s := cfg.Settings[channel]
	if len(s.Rung) > 0 {
		e.ladder = nil
		for _, text := range s.Rung {
			rung, err := transcode.ParseRung(text)
			if err != nil {
				return encoding{}, err
			}
			e.ladder = append(e.ladder, rung)
		}
	}
	if s.FrameRate != 0 {
		e.frameRate = s.FrameRate
	}
	if s.PassThrough != nil {
		e.passThrough = *s.PassThrough
	}
	if s.DropRungs != nil {
		e.dropRungs = *s.DropRungs
	}
	if err := transcode.CheckLadder(e.ladder); err != nil {
		return encoding{}, err
	}
	_, err := timeline.FrameTicks(e.frameRate)
	return e, err
}

// dvrOf is how much of a channel is kept on disk.
func (cfg Config) dvrOf(channel string) (ms int64, err error) {
	dvr := cfg.DVR
	if own := cfg.Settings[channel].DVR; own != nil {
		dvr = *own
	}
	return dvr.Milliseconds(), store.CheckDVR(dvr.Milliseconds(), cfg.Window.Milliseconds())
}

// holdBackOf is how many part targets a channel's players stay behind the newest part.
func (cfg Config) holdBackOf(channel string) float64 {
	if own := cfg.Settings[channel].HoldBack; own != nil {
		return *own
	}
	return cfg.HoldBack
}

// checkChannels says what is wrong with the channels.
func (cfg Config) checkChannels() error {
	if _, err := cfg.encodingOf(""); err != nil {
		return err
	}
	for i, name := range cfg.Channels {
		if err := keys.CheckName(name); err != nil {
			return err
		}
		if slices.Contains(cfg.Channels[:i], name) {
			return fmt.Errorf("the channel %q is named twice", name)
		}
		_, err := cfg.encodingOf(name)
		if err == nil {
			_, err = cfg.dvrOf(name)
		}
		if err == nil {
			err = hls.CheckHoldBack(cfg.holdBackOf(name))
		}
		if err != nil {
			return fmt.Errorf("the channel %q: %w", name, err)
		}
	}
	if len(cfg.Channels) > cfg.MaxChannels {
		return fmt.Errorf("%d channels are more than the most, %d: raise that", len(cfg.Channels), cfg.MaxChannels)
	}
	return nil
}

// renditions are the names of all that can be made of a channel.
func (e encoding) renditions() (names []string) {
	if e.passThrough {
		names = append(names, transcode.SourceRung)
	}
	for _, rung := range e.ladder {
		names = append(names, rung.Name)
	}
	return names
}

// rates are what the renditions may use at least, and for sound alone, in bits/s: a tenth more than the rung says, for fMP4
// and peaks within the second. What the publisher's own picture uses nobody knows before it comes.
func (e encoding) rates() (floors, audio map[string]int64) {
	floors, audio = make(map[string]int64), make(map[string]int64)
	for _, rung := range e.ladder {
		floors[rung.Name] = int64(rung.VideoKbps+rung.AudioKbps) * 1100
		audio[rung.Name] = int64(rung.AudioKbps) * 1100
		audio[transcode.SourceRung] = max(audio[transcode.SourceRung], audio[rung.Name])
	}
	return floors, audio
}
