package emulate

import (
	"fmt"
	"reflect"

	"slipstream/sim/scenario"
	"slipstream/sim/world"
)

// emulable says what of a scenario real processes cannot do. Where a setting must
// have its default, it is the simulator's alone: its counterpart is real here.
func emulable(cfg world.Config) error {
	normal := scenario.Default()
	// Of these two sections all but some settings must be as they are by default, also
	// those that a simulator is given tomorrow.
	stream, cdn := cfg.Stream, cfg.CDN
	stream.BytesPerSec, stream.WindowSegments = normal.Stream.BytesPerSec, normal.Stream.WindowSegments
	cdn.OneWayMs = normal.CDN.OneWayMs
	for _, c := range []struct {
		wrong bool
		say   string
	}{
		{cfg.Stream.SegmentMs != normal.Stream.SegmentMs, "stream.segment must be 2s: the origin cuts no others"},
		{cfg.Stream.HoldBackSegments != normal.Stream.HoldBackSegments, "stream.holdBackSegments must be 3: the viewer starts there"},
		{cfg.Stream.PublishDelayMs != normal.Stream.PublishDelayMs, "stream.publishDelay cannot be set: the origin takes the time that it takes"},
		{cfg.Stream.BytesPerSec < 200_000/8 || cfg.Stream.BytesPerSec > 20_000_000/8, "stream.bitrate must be from 200kbps to 20Mbps: an encoder runs beside the viewers"},
		{cfg.MeasureAfterMs >= cfg.DurationMs, "duration must exceed measureAfter"},
		{cfg.Hostile.Share > 0, "hostile viewers exist only in the simulator"},
		{cfg.CDN.ServerMs != normal.CDN.ServerMs, "cdn.server cannot be set: the origin takes the time that it takes"},
		{cfg.CDN.BytesPerSec > 0, "cdn.responseRate cannot be emulated: the origin's line is unlimited"},
		{cfg.CDN.PlaylistAgeMs > 0, "cdn.playlistAge cannot be emulated: no cache stands before the origin"},
		{cfg.CDN.Errors > 0 || len(cfg.CDN.Outages) > 0 || len(cfg.CDN.Slow) > 0, "cdn.errors, outages and slow cannot be emulated: the origin answers"},
		{cfg.Network.ConnectRoundTrips != normal.Network.ConnectRoundTrips, "network.connectRoundTrips cannot be set: connections are real"},
		{cfg.Network.PacketOverhead != normal.Network.PacketOverhead, "network.packetOverhead cannot be set: packets are real"},
		{cfg.Network.CrashNoticeMs != normal.Network.CrashNoticeMs, "network.crashNotice cannot be set: WebRTC notices when it notices"},
		{!reflect.DeepEqual(stream, normal.Stream), "of stream only bitrate and windowSegments can be set: the channel is live, in segments"},
		{!reflect.DeepEqual(cdn, normal.CDN), "of cdn only oneWay can be set"},
		{!cfg.Tracker.Duties, "tracker.duties cannot be emulated: the tracker deals them"},
		{!reflect.DeepEqual(cfg.Scheduler, normal.Scheduler), "the scheduler's numbers cannot be set: viewers use the built-in ones"},
	} {
		if c.wrong {
			return fmt.Errorf("this scenario can be simulated but not emulated: %s", c.say)
		}
	}
	return nil
}
