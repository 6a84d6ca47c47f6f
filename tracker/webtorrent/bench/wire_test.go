package bench

import (
	"fmt"
	"strings"
	"testing"

	"slipstream/tracker/announce"
	"slipstream/tracker/webtorrent"
)

// wire counts bytes and messages between one viewer and a tracker, both ways together, in frames and without TLS and TCP.
type wire struct {
	Bytes    int `json:"bytes"`
	Messages int `json:"messages"`
}

func (w *wire) up(payload int)   { w.add(payload, 4) } // clients mask
func (w *wire) down(payload int) { w.add(payload, 0) }
func (w *wire) add(payload, mask int) {
	head := 2
	if payload > 125 {
		head = 4
	}
	w.Bytes += head + mask + payload
	w.Messages++
}

// ourJoin is what it takes to have neighbours named and duties dealt, with a token of tokenBytes.
func ourJoin(t *testing.T, tokenBytes, neighbours int) (w wire) {
	id := announce.PeerID(0x00c0ffee00c0ffee)
	w.up(size(t, announce.Join{Version: announce.Version, Token: strings.Repeat("x", tokenBytes), Role: announce.Viewer, Renditions: []string{"360p"}}))
	w.down(size(t, announce.Welcome{ID: id, ReportMs: 5000, Viewers: 1000}))
	for range neighbours {
		w.down(size(t, announce.Neighbour{ID: id, Offer: true}))
	}
	w.down(size(t, announce.Duty{Duties: []announce.Share{{Rendition: "360p", Stripes: 0x0101}}}))
	return w
}

// ourMinute is what a viewer in a steady room says: reports, which nobody answers.
func ourMinute(t *testing.T) (w wire) {
	for range 60_000 / 5_000 {
		w.up(size(t, announce.Report{Ready: true, Neighbours: 12, Renditions: []string{"360p"}, UplinkBps: 10_000_000, HTTPBytes: 123_456_789, P2PBytes: 1_234_567_890,
			UploadedBytes: 1_234_567_890, LatencyMs: 4321, Rescues: 12, Dropped: []announce.Drop{}}))
	}
	return w
}

func size(t *testing.T, m announce.Message) int {
	t.Helper()
	b, err := announce.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return len(b)
}

// webtorrentAnnounce is an announce with five offers whose descriptions have so many bytes, and what follows from it;
// in a steady swarm a viewer gets and answers as many offers as it makes.
func webtorrentAnnounce(sdp int) (w wire) {
	var hash webtorrent.Hash
	var id webtorrent.ID
	copy(hash[:], "12345678901234567890")
	copy(id[:], "-WW0208-123456789012")
	description := fmt.Appendf(nil, `{"type":"answer","sdp":"%s"}`, strings.Repeat("x", sdp))
	offer := fmt.Sprintf(`{"offer":%s,"offer_id":"%s"}`, description, id)
	start := fmt.Sprintf(`{"numwant":5,"uploaded":0,"downloaded":0,"event":"started","action":"announce","info_hash":"%s","peer_id":"%s","offers":[]}`, hash, id)
	w.up(len(start) + 5*len(offer) + 4)
	w.down(len(webtorrent.AppendAnnounce(nil, &hash, webtorrent.Counts{Complete: 100, Incomplete: 900}, 120, "")))
	for range 5 {
		relayed := len(webtorrent.AppendOffer(nil, &hash, &id, &webtorrent.Offer{ID: id, Description: description}))
		w.down(relayed)                                   // somebody's offer
		w.up(relayed + len(`,"to_peer_id":""`) + len(id)) // our answer to it
		w.down(relayed)                                   // somebody's answer to ours
	}
	return w
}

// TestWhatOurProtocolSaves: nobody describes itself before a pair is decided, and nobody announces itself again.
func TestWhatOurProtocolSaves(t *testing.T) {
	first, join, minute := ourJoin(t, 350, 6), ourJoin(t, 350, 12), ourMinute(t)
	theirs := webtorrentAnnounce(1000)
	t.Logf("our join: %+v until six neighbours are named, %+v until twelve; our minute: %+v; a WebTorrent announce, of which there is one in two minutes: %+v",
		first, join, minute, theirs)
	if first.Bytes > 1024 {
		t.Errorf("a join with six neighbours takes %d bytes, more than a kilobyte", first.Bytes)
	}
	if join.Bytes*10 > theirs.Bytes {
		t.Errorf("a join takes %d bytes, an announce %d", join.Bytes, theirs.Bytes)
	}
	if minute.Bytes*2 > theirs.Bytes {
		t.Errorf("a minute takes %d bytes, an announce in two minutes %d", minute.Bytes, theirs.Bytes)
	}
}
