package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"slipstream/origin/manifest"
)

// verifyTimeout bounds each request of Verify.
const verifyTimeout = 30 * time.Second

// Verify looks at a channel from outside and believes nothing. It fetches the multivariant (or one media) playlist and
// checks, of every rendition: the delegations, every record, the chain, every segment byte and leaf list against the
// signed roots, and the init sections. What it finds goes to out in plain lines, a verdict last.
//
// channelID is the id that the channel should have; if it is "" the playlist's own claim is taken, which proves that
// the parts belong together, but not to whom. The error is the sentence that names the culprit.
func Verify(ctx context.Context, playlistURL, channelID string, out io.Writer) error {
	v := &verification{ctx: ctx, out: out, client: &http.Client{Timeout: verifyTimeout}}
	err := v.run(playlistURL, channelID)
	if err != nil {
		v.say("verdict", "refused: %v", err)
		return err
	}
	v.say("verdict", "everything listed is genuine: %d segments, %d leaves, %d bytes", v.segments, v.leaves, v.bytes)
	return nil
}

type verification struct {
	ctx    context.Context
	out    io.Writer
	client *http.Client

	channel  manifest.Hash
	segments int
	leaves   int
	bytes    int64
}

// say writes one line. What is written is for people; that it could not be written is for nobody.
func (v *verification) say(subject, format string, args ...any) {
	fmt.Fprintf(v.out, "%-11s %s\n", subject, fmt.Sprintf(format, args...))
}

func (v *verification) run(playlistURL, channelID string) error {
	base, err := url.Parse(playlistURL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return fmt.Errorf("%q is not the URL of a playlist; it looks like http://localhost:8080/live/demo/index.m3u8", playlistURL)
	}
	if channelID != "" {
		if v.channel, err = manifest.ParseHash(channelID); err != nil {
			return fmt.Errorf("%q is not a channel id: %w", channelID, err)
		}
	}
	text, base, err := v.text(base)
	if err != nil {
		return err
	}
	if !manifest.IsMultivariant(text) {
		return v.single(text, base)
	}
	m, err := manifest.ReadMultivariant(text)
	if err != nil {
		return err
	}
	if err := v.identify(m.Channel, "the multivariant playlist"); err != nil {
		return err
	}
	if m.Tracker != "" {
		v.say("tracker", "%s", m.Tracker)
	}
	for _, variant := range m.Variants {
		at, err := base.Parse(variant.URI)
		if err != nil {
			return fmt.Errorf("the playlist of %q has no usable address: %w", variant.Rendition, err)
		}
		text, at, err := v.text(at)
		if err != nil {
			return err
		}
		if err := v.playlist(variant.Rendition, text, at); err != nil {
			return err
		}
	}
	return v.anything()
}

func (v *verification) playlist(name, text string, at *url.URL) error {
	if isWindow(text) {
		return v.window(name, text, at)
	}
	pl, err := manifest.ReadPlaylist(text)
	if err != nil {
		return fmt.Errorf("rendition %q: %w", name, err)
	}
	return v.rendition(name, pl, at)
}

// single verifies one media playlist: which rendition it is, it says itself.
func (v *verification) single(text string, base *url.URL) error {
	if isWindow(text) {
		if err := v.window("", text, base); err != nil {
			return err
		}
		return v.anything()
	}
	pl, err := manifest.ReadPlaylist(text)
	if err != nil {
		return err
	}
	var claimed manifest.Hash
	if len(pl.Delegations) > 0 {
		claimed = pl.Delegations[0].Channel()
	}
	if v.channel.IsZero() {
		if err := v.identify(claimed, "the media playlist"); err != nil {
			return err
		}
	} else {
		v.say("channel", "%s", v.channel)
	}
	name := ""
	if i := slices.IndexFunc(pl.Segments, func(s manifest.Segment) bool { return s.Record != nil }); i >= 0 {
		name = pl.Segments[i].Record.Rendition
	}
	if err := v.rendition(name, pl, base); err != nil {
		return err
	}
	return v.anything()
}

// identify compares what a playlist claims with what the caller expects.
func (v *verification) identify(claimed manifest.Hash, by string) error {
	switch {
	case claimed.IsZero():
		return fmt.Errorf("%s names no channel: it is not from slipstream, or it was stripped of its signatures", by)
	case v.channel.IsZero():
		v.channel = claimed
		v.say("channel", "%s (as %s claims; give the id to have it checked)", claimed, by)
	case claimed != v.channel:
		return fmt.Errorf("%s is of channel %s, not of %s", by, claimed, v.channel)
	default:
		v.say("channel", "%s", v.channel)
	}
	return nil
}

func (v *verification) anything() error {
	if v.segments == 0 {
		return errors.New("the playlists list no segment, so there is nothing to verify; is the channel on the air?")
	}
	return nil
}

func (v *verification) rendition(name string, pl manifest.Playlist, base *url.URL) error {
	nowMs := time.Now().UnixMilli()
	list, err := manifest.NewVerifier(v.channel, name).Playlist(pl, nowMs)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		v.say("rendition", "%s: no segments", name)
		return nil
	}
	first, last := list[0].Record, list[len(list)-1].Record
	v.say("rendition", "%s: %d segments, %d to %d, %d gaps", name, len(list), first.Sequence, last.Sequence, len(pl.Segments)-len(list))
	v.delegations(pl, list)
	v.say("  chain", "unbroken from %s on; newest record signed %.1f s ago", dateOf(first.StartMs), float64(nowMs-last.CreatedMs)/1000)
	return v.contents(name, base, list)
}

// contents checks what playlists list against their records.
func (v *verification) contents(name string, base *url.URL, list []manifest.Verified) error {
	leaves, size := v.leaves, v.bytes
	inits := make(map[string]manifest.Hash) // checked, by URI
	for _, entry := range list {
		if inits[entry.Segment.MapURI] != entry.Init.Root {
			data, err := v.object(base, entry.Segment.MapURI, entry.Init.Size, "the init section of "+name)
			if err != nil {
				return err
			}
			if err := manifest.Object(entry.Init, data); err != nil {
				return err
			}
			inits[entry.Segment.MapURI] = entry.Init.Root
		}
		if err := v.segment(base, entry); err != nil {
			return err
		}
	}
	v.say("  bytes", "%d in %d leaves match the signed roots, and so do %d leaf lists and %d init sections",
		v.bytes-size, v.leaves-leaves, len(list), len(inits))
	return nil
}

func (v *verification) delegations(pl manifest.Playlist, list []manifest.Verified) {
	for _, d := range pl.Delegations {
		signed := 0
		for _, entry := range list {
			if entry.Record.Key == d.Key() {
				signed++
			}
		}
		v.say("  key", "%s signed %d of them; appointed from %s to %s for segments %d to %d",
			d.Key(), signed, dateOf(d.NotBeforeMs), dateOf(d.NotAfterMs), d.FirstSequence, d.LastSequence)
	}
}

// segment fetches a segment and its leaf list, and checks each against the record, and every leaf by itself.
func (v *verification) segment(base *url.URL, entry manifest.Verified) error {
	rec := entry.Record
	where := fmt.Sprintf("segment %d of %q", rec.Sequence, rec.Rendition)
	b, err := v.object(base, leavesURI(entry.Segment.URI), int64(manifest.LeafCount(rec.Size)*len(rec.Root)), "the leaf list of "+where)
	if err != nil {
		return err
	}
	hashes, err := manifest.ParseLeaves(b)
	if err == nil {
		err = manifest.Leaves(rec, hashes)
	}
	if err != nil {
		return fmt.Errorf("the leaf list is wrong: %w", err)
	}
	data, err := v.object(base, entry.Segment.URI, rec.Size, where)
	if err != nil {
		return err
	}
	if int64(len(data)) == rec.Size { // otherwise Object says so
		for i := range hashes {
			leaf := data[i*manifest.LeafSize:][:manifest.LeafLength(rec.Size, i)]
			if err := manifest.Leaf(rec, hashes, i, leaf); err != nil {
				return err
			}
		}
	}
	if err := manifest.Object(rec, data); err != nil {
		return err
	}
	v.segments++
	v.leaves += len(hashes)
	v.bytes += rec.Size
	return nil
}

// leavesURI puts ".leaves" behind the path and before a query.
func leavesURI(uri string) string {
	path, query, found := strings.Cut(uri, "?")
	if found {
		query = "?" + query
	}
	return path + ".leaves" + query
}

// text fetches a playlist. One of a long window may have more bytes than others.
func (v *verification) text(at *url.URL) (string, *url.URL, error) {
	b, final, err := v.get(at, maxWindowBytes, "the playlist")
	return string(b), final, err
}

// object fetches at most one byte more than expected: enough to see that it is too long.
func (v *verification) object(base *url.URL, uri string, size int64, what string) ([]byte, error) {
	at, err := base.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("%s has no usable address: %w", what, err)
	}
	b, _, err := v.get(at, size, what)
	return b, err
}

// get returns the body, cut off one byte after limit, and the URL that it came from after redirects.
func (v *verification) get(at *url.URL, limit int64, what string) ([]byte, *url.URL, error) {
	req, err := http.NewRequestWithContext(v.ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("%s cannot be fetched: %w", what, err)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("%s cannot be fetched: %w", what, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return nil, nil, fmt.Errorf("%s cannot be fetched from %s: %s: %s", what, at, resp.Status, strings.Join(strings.Fields(string(reason)), " "))
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%s cannot be fetched from %s: %w", what, at, err)
	}
	return b, resp.Request.URL, nil
}

func dateOf(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05Z") }
