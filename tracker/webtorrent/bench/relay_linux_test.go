package bench

import (
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"slipstream/tracker/epoll"
	webtorrent "slipstream/tracker/webtorrent/server"
)

// TestEveryOfferAndAnswerArrives has many peers announce at once, in many swarms and in one, and checks every message off.
func TestEveryOfferAndAnswerArrives(t *testing.T) {
	for _, m := range []mix{
		{Name: "many swarms", Peers: 200, Swarm: 20, Offers: 5, SDP: 1000, InFlight: 200, Seconds: 0.3},
		{Name: "one swarm", Peers: 600, Swarm: 600, Offers: 10, SDP: 47, InFlight: 600, Seconds: 0.3},
		{Name: "pairs", Peers: 20, Swarm: 2, Offers: 1, SDP: 5000, InFlight: 20, Seconds: 0.1},
	} {
		t.Run(m.Name, func(t *testing.T) {
			var cfg webtorrent.Config
			cfg.Limits.Visit.MessageRate, cfg.Limits.Visit.MessageBurst = 1e6, 1e6
			cfg.Log = slog.New(slog.DiscardHandler)
			s, err := webtorrent.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := listener.Addr().String()
			sockets, err := epoll.Serve(listener, epoll.Config{Paths: map[string]epoll.Open{"/announce": s.Open}})
			if err != nil {
				t.Fatal(err)
			}
			defer sockets.Close()
			o, err := newLoad(m).run(address, "/announce", os.Getpid(), 50*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if o.Delivered < o.Announces*(1+2*m.Offers) || o.Announces < m.Peers || o.LostReplies+o.LostOffers+o.LostAnswers+o.Wrong > 0 {
				t.Errorf("%+v", *o)
			}
		})
	}
}
