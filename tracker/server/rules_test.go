package server

import (
	"context"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"slipstream/tracker/announce"
)

func TestMessagesThatBreakTheRules(t *testing.T) {
	h := start(t, nil)
	for name, c := range map[string]struct {
		joined         bool
		text           string
		code, sentence string
	}{
		"report before join":      {false, `{"type":"report","ready":true}`, announce.CodeJoinFirst, "first message must be join"},
		"not JSON":                {false, `hello`, announce.CodeMalformed, "not a JSON object"},
		"half a join":             {false, `{"type":"join","version":1}`, announce.CodeMalformed, "role is missing"},
		"a second join":           {true, `{"type":"join","version":1,"token":"x","role":"viewer"}`, announce.CodeMalformed, "second join"},
		"the tracker's message":   {true, `{"type":"welcome","id":"00c0ffee00c0ffee","reportMs":5000,"viewers":1}`, announce.CodeMalformed, "tracker's to send"},
		"a stranger":              {true, `{"type":"signal","to":"00c0ffee00c0ffee","signal":{"kind":"candidate","ufrag":"abcd","candidates":["candidate:1 1 udp 1 192.0.2.1 9 typ host"]}}`, announce.CodeStranger, "not introduced"},
		"a line break in a ufrag": {true, `{"type":"signal","to":"00c0ffee00c0ffee","signal":{"kind":"candidate","ufrag":"ab\r\ncd","candidates":["candidate:1 1 udp 1 192.0.2.1 9 typ host"]}}`, announce.CodeMalformed, "ufrag"},
	} {
		t.Run(name, func(t *testing.T) {
			var cl *client
			if c.joined {
				cl = h.join(announce.Viewer)
			} else {
				cl = h.connect()
			}
			cl.sendText(c.text)
			cl.refused(c.code, c.sentence, websocket.StatusPolicyViolation)
		})
	}
	t.Run("binary", func(t *testing.T) {
		cl := h.connect()
		if err := cl.ws.Write(context.Background(), websocket.MessageBinary, []byte(`{"type":"leave"}`)); err != nil {
			t.Fatal(err)
		}
		cl.refused(announce.CodeMalformed, "binary", websocket.StatusPolicyViolation)
	})
}

func TestASignalToAStrangerIsNotDelivered(t *testing.T) {
	h := start(t, nil)
	victim := h.join(announce.Viewer)
	c := good()
	c.Channel = otherChannel
	stranger := h.connect()
	stranger.send(announce.Join{Version: 1, Token: sign(t, c, secret), Role: announce.Viewer})
	receive[announce.Welcome](stranger)
	stranger.send(announce.SignalTo{To: victim.id, Signal: offer()})
	stranger.refused(announce.CodeStranger, "not introduced", websocket.StatusPolicyViolation)
	friend := h.join(announce.Viewer)
	if n := receive[announce.Neighbour](victim); n.ID != friend.id { // and nothing before it
		t.Errorf("heard of %s, want %s", n.ID, friend.id)
	}
}

func TestAnOversizedMessageClosesOnlyItsConnection(t *testing.T) {
	h := start(t, nil)
	a, b := pairUp(t, h)
	big := h.join(announce.Viewer)
	receive[announce.Neighbour](a)
	receive[announce.Neighbour](b)
	exact := `{"type":"report","ready":false}`
	big.sendText(exact + strings.Repeat(" ", announce.MaxMessage-len(exact)))
	big.sendText(exact + strings.Repeat(" ", announce.MaxMessage+1-len(exact)))
	for {
		m, err := big.next()
		if err == nil {
			if _, ok := m.(announce.Neighbour); !ok {
				t.Fatalf("got %#v", m)
			}
			continue
		}
		if websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
			t.Errorf("closed with %v, want status 1009", err)
		}
		break
	}
	if g := receive[announce.Gone](a); g.ID != big.id {
		t.Errorf("%s is gone, want %s", g.ID, big.id)
	}
	a.send(announce.SignalTo{To: b.id, Signal: offer()})
	receive[announce.Gone](b)
	if s := receive[announce.SignalFrom](b); s.From != a.id {
		t.Errorf("signal from %s, want %s", s.From, a.id)
	}
}
