// Package ingest receives publishers over RTMP, RTMPS, SRT, WHIP and CMAF ingest and hands their H.264 and AAC or Opus to sessions.
//
// A publisher connects to rtmp://host:1935/live with a stream key: OBS has a field for
// each, ffmpeg takes rtmp://host:1935/live/<stream key>. The key is the last element of
// the path. Config.Authorize turns it into a channel or refuses it; a channel has one
// publisher at a time, and where it says so (BackupOf) a second one as its backup. What a publisher did wrong is told to it as an RTMP
// status, which OBS and ffmpeg show, and logged, in one sentence.
//
// RTMPS is the same behind TLS, with the same limits: the handshake counts to the time up to the publish command.
//
// Over SRT it is the stream id that names the application and the key, as "live/<stream key>" or
// "#!::r=live/<stream key>,m=publish" (SRT Access Control), and MPEG-TS that carries picture and sound.
//
// Over WHIP (RFC 9725) a publisher posts an offer to http://host:8080/whip/<channel> with the stream key as its bearer token: OBS has a
// field for each. WHIP returns the handler for that; media come over WebRTC, to one UDP port for all, with H.264 and Opus.
//
// By CMAF ingest (DASH-IF live media ingest, interface 1) it puts or posts fragmented MP4 to http://host:8080/ingest/<stream key>/<name>,
// which CMAF handles: a file without an end, or init section and segments one by one, of picture and sound together or apart.
// With Config.Package what comes that way is not transcoded: it is cut, and published as it is.
//
// Of a connection's life, each part has its file: protocol.go speaks RTMP with the chunk,
// handshake and AMF layers of gortmplib; commands.go answers up to the publish command;
// flv.go reads the bodies of audio and video messages; feed.go decides when a session
// begins, ends, and begins anew; claims.go lets one publisher in for each channel;
// server.go listens and keeps the connections apart; srt.go and mpegts.go do for SRT what the first three do for RTMP,
// whip.go, whip_session.go and rtp.go for WHIP, with package rtc below them; cmaf.go, body.go, point.go, request.go, target.go,
// tracks.go, kept.go and interleave.go for CMAF ingest; input.go lets a stream in that did not come over a connection
// (package pull).
// gortmplib's own ServerConn and Reader are not used because they accept before a key can
// be refused, read two seconds ahead, and decode nested values without bound.
//
// RTMP carries no UTC, so a session begins with a Publication that says when its first
// picture arrived. It ends, and the next one begins, not only with the connection but also
// when the publisher changes its parameters, jumps in time, or has a clock so slow that its
// pictures come ever later. A publisher that sends faster than real time is held back.
//
// A connection is bounded: 10 s and 64 KiB up to the publish command, 10 s for each
// message from then on, 10 MiB for a message. Bytes that make no sense end the connection
// that sent them and no other.
package ingest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// A Session receives what one publication sends. Its methods are called by one goroutine.
// transcode.Session is one.
type Session interface {
	// Video takes an access unit in decoding order: NAL units without start codes, with
	// the parameter sets in front of a key frame. The first is a key frame.
	Video(pts, dts time.Duration, accessUnit [][]byte) error
	// Audio takes an AAC access unit, or an Opus packet if the publication says so.
	Audio(pts time.Duration, accessUnit []byte) error
	// Close flushes what was received and returns when all of it was handed on.
	Close() error
}

// A Publication is what is known when a session begins.
type Publication struct {
	Channel   string
	Backup    bool                            // it is the channel's backup
	Protocol  string                          // "RTMP", "RTMPS", "SRT", "WHIP" or what an Input was reserved with, for people
	Audio     *mpeg4audio.AudioSpecificConfig // nil: the publisher sends no AAC
	Opus      bool                            // it sends Opus instead (RFC 6716), for which Audio is nil
	FirstPTS  time.Duration                   // the publisher's timestamp of the first picture …
	ArrivedMs int64                           // … and when it arrived, in epoch milliseconds
}

// Config describes a server. Authorize and Start are called from several goroutines.
type Config struct {
	Address string      // to listen on for RTMP, such as ":1935"; port 0 takes any free one
	SRT     string      // likewise for SRT, such as ":8890"; "" for no SRT
	RTMPS   string      // likewise for RTMPS, such as ":1936"; "" for no RTMPS
	TLS     *tls.Config // with the certificate for RTMPS
	WHIP    string      // likewise for the media of WHIP, over UDP, such as ":8189"; "" for no WHIP. See Server.WHIP
	// WHIPHost are the IP addresses that publishers send those media to, where they are not this machine's own.
	WHIPHost []string
	// Authorize says which channel a publisher may publish, from the application ("live", always so for WHIP),
	// the stream key or a token in its place, and the address it comes from (host:port): a name, or BackupOf one. Its error is told to the publisher. It must not reveal by its
	// timing how much of a key is right: StreamKeys does not.
	Authorize func(app, key, remote string) (channel string, err error)
	// Start begins a session. For a channel, and for its backup, there is one at a time, and the next is started
	// only after the last has been closed. The context ends with the server.
	Start func(ctx context.Context, p Publication) (Session, error)
	// Package begins, in Start's place, a publication by CMAF ingest whose tracks are the channel's renditions: nothing is transcoded.
	// Then there is no other protocol.
	Package func(channel string) (Packaging, error)
	// Dir is where init sections of CMAF ingest are kept, for senders that go on after a fault and do not repeat them; "": nowhere.
	Dir string

	IdleTimeout    time.Duration // how long a message may take; 0: 10 s
	MaxConnections int           // 0: 64
	Logger         *slog.Logger  // nil: nothing is logged
}

// ErrWrongKey says that no channel has that stream key.
var ErrWrongKey = errors.New("the stream key is wrong")

// StreamKeys authorizes publishers of one application by a table of stream keys, by
// channel or BackupOf one. All keys are compared, each in constant time. A key that is not among them is ErrWrongKey.
func StreamKeys(app string, keyOfChannel map[string]string) func(app, key, remote string) (string, error) {
	type entry struct {
		channel string
		sum     [sha256.Size]byte
	}
	var entries []entry
	for channel, key := range keyOfChannel {
		if key != "" { // a channel without a key cannot be published, not by an empty one either
			entries = append(entries, entry{channel, sha256.Sum256([]byte(key))})
		}
	}
	return func(gotApp, key, _ string) (string, error) {
		sum := sha256.Sum256([]byte(key))
		channel, known := "", 0
		for _, e := range entries {
			if same := subtle.ConstantTimeCompare(sum[:], e.sum[:]); same == 1 {
				channel, known = e.channel, 1
			}
		}
		switch {
		case gotApp != app:
			return "", errors.New("there is no application " + quoted(gotApp) + " here: publish to /" + app)
		case known == 0:
			return "", ErrWrongKey
		}
		return channel, nil
	}
}
