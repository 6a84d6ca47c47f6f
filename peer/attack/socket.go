package attack

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"

	"slipstream/origin/manifest"
	"slipstream/tracker/announce"
)

// socket is the way to the tracker under one name.
type socket struct{ out chan announce.Message }

// tell queues a message; what does not fit is lost.
func (s *socket) tell(m announce.Message) {
	select {
	case s.out <- m:
	default:
	}
}

// join keeps the attacker in the room until ctx or the connection ends.
func (a *Attacker) join(ctx context.Context, s *socket, m manifest.Multivariant, rendition string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	base, err := url.Parse(a.cfg.Playlist)
	if err != nil {
		return
	}
	tokenURL, err := base.Parse(m.Token)
	if err != nil {
		return
	}
	trackerURL, err := base.Parse(m.Tracker)
	if err != nil {
		return
	}
	trackerURL.Scheme = strings.Replace(trackerURL.Scheme, "http", "ws", 1)
	reply, err := a.do(ctx, http.MethodPost, tokenURL.String())
	var token struct {
		Token string `json:"token"`
	}
	if err != nil || json.Unmarshal(reply, &token) != nil {
		return
	}
	conn, _, err := websocket.Dial(ctx, trackerURL.String(), &websocket.DialOptions{HTTPClient: a.cfg.Client})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(announce.MaxMessage)
	s.tell(announce.Join{Version: announce.Version, Token: token.Token, Role: announce.Viewer, Renditions: []string{rendition}})
	go func() {
		defer cancel()
		for {
			select {
			case <-ctx.Done():
				return
			case m := <-s.out:
				if b, err := announce.Encode(m); err == nil && conn.Write(ctx, websocket.MessageText, b) != nil {
					return
				}
			}
		}
	}()
	for {
		_, b, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if m, err := announce.Decode(b); err == nil {
			a.post(func() { a.heard(s, m) })
		}
	}
}
