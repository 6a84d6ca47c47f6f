package server

import (
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

func TestANewPolicyHoldsForWhoComesFromNowOn(t *testing.T) {
	h := start(t, nil)
	here := h.join(announce.Viewer)
	newSecret := bytes.Repeat([]byte{8}, MinSecret)
	if err := h.server.Change(Policy{
		Secret: newSecret, Origins: []string{"https://tv.example"}, Sharing: map[string]token.Sharing{otherChannel: token.NoSharing},
		Limits: Limits{RoomViewers: 2},
	}); err != nil {
		t.Fatal(err)
	}

	// The former secret's tokens are worth nothing, and who came by one stays.
	if status, err := h.dialStatus(showing(sign(t, good(), secret))); status != http.StatusUnauthorized {
		t.Errorf("a token of the former secret: %d, %v", status, err)
	}
	join := func(channel string) *client {
		c := good()
		c.Channel = channel
		viewer := h.connect()
		viewer.send(announce.Join{Version: 1, Token: sign(t, c, newSecret), Role: announce.Viewer, Renditions: []string{"360p"}})
		return viewer
	}
	second := join(channel)
	id := receive[announce.Welcome](second).ID
	if met := receive[announce.Neighbour](here); met.ID != id {
		t.Errorf("who stayed met %s, want the newcomer %s", met.ID, id)
	}
	join(channel).refused(announce.CodeRoomFull, "full", websocket.StatusPolicyViolation)
	join(otherChannel).refused(announce.CodeSharingOff, "do not share", websocket.StatusPolicyViolation)
	if status, err := h.dialStatus(from("https://elsewhere.example")); status != http.StatusForbidden {
		t.Errorf("a page of a web origin that is allowed no longer: %d, %v", status, err)
	}

	// His visit ends when it must be renewed: not with a token of the former secret.
	here.send(announce.Renew{Token: sign(t, good(), secret)})
	here.refused(announce.CodeTokenInvalid, "was not signed", websocket.StatusPolicyViolation)
}

func TestAVisitOutlivesItsKeysReplacement(t *testing.T) {
	h := start(t, nil)
	viewer := h.join(announce.Viewer)
	if err := h.server.Change(Policy{Secret: secret}); err != nil { // read again, the same
		t.Fatal(err)
	}
	viewer.send(announce.Renew{Token: h.tokenFor(announce.Viewer)})
	other := h.join(announce.Viewer)
	if met := receive[announce.Neighbour](viewer); met.ID != other.id {
		t.Errorf("after its renewal it met %s, want %s", met.ID, other.id)
	}
}

func TestAPolicyThatCannotBeLeavesTheFormer(t *testing.T) {
	h := start(t, nil)
	for sentence, p := range map[string]Policy{
		"needs at least 32":   {Secret: []byte("short")},
		"no key to check":     {},
		"is not a pattern":    {Secret: secret, Origins: []string{"https://[a.example.com"}},
		"cap on uploads":      {Secret: secret, Caps: map[string]int64{"demo": 1}},
		"at most 1000000000":  {Secret: secret, Caps: map[string]int64{"*": 1 << 50}},
		"write a channel id":  {Secret: secret, Sharing: map[string]token.Sharing{"demo": token.RelayOnly}},
		"less than no viewer": {Keys: []token.Terms{{Name: "a", Key: token.Secret(secret), Viewers: -1}}},
	} {
		if err := h.server.Change(p); err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("got %v, want a sentence with %q", err, sentence)
		}
	}
	h.join(announce.Viewer)
}

func TestNewLimitsHoldForNetworksThatAreKnown(t *testing.T) {
	l := Limits{Prefixes: 10, PrefixConnections: 100, PrefixRate: 1, PrefixBurst: 2}
	a := newAddresses(l)
	now := time.Unix(1_800_000_000, 0)
	admitted := func() (n int) {
		for range 20 {
			if a.admit(netip.MustParseAddr("192.0.2.1"), now) {
				n++
			}
		}
		return n
	}
	if n := admitted(); n != 2 {
		t.Errorf("%d came in at once, want 2", n)
	}
	l.PrefixRate, l.PrefixBurst = 5, 10
	a.change(l)
	now = now.Add(10 * time.Second)
	if n := admitted(); n != 10 {
		t.Errorf("%d came in at once, want 10", n)
	}
	l.PrefixConnections = 12
	a.change(l)
	now = now.Add(time.Minute)
	if n := admitted(); n != 0 {
		t.Errorf("%d came in beyond the connections at a time", n)
	}
}
