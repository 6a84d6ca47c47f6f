package tracker

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/pires/go-proxyproto"

	"slipstream/tracker/server"
)

// Behind a terminator that speaks the PROXY protocol, viewers are told apart by where they are, over each transport.
func TestViewersBehindATerminatorAreToldApart(t *testing.T) {
	own := httptest.NewUnstartedServer(nil)
	own.StartTLS()
	own.Close()
	for name, cfg := range map[string]Config{"by epoll": {}, "by goroutines": {Goroutines: true}, "over TLS": {TLS: own.TLS}, "over TLS by goroutines": {TLS: own.TLS, Goroutines: true}} {
		t.Run(name, func(t *testing.T) {
			ln := listen(t)
			cfg.Secret, cfg.Listener, cfg.Log, cfg.Limits = secret, ln, quiet(), server.Limits{PrefixRate: 1, PrefixBurst: 1, PrefixConnections: 1}
			cfg.Terminators = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- Run(ctx, cfg) }()
			var open []*websocket.Conn
			// from connects as the terminator does for somebody, and returns the HTTP status.
			from := func(client string) int {
				t.Helper()
				dialer := &http.Transport{
					DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
					DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
						conn, err := new(net.Dialer).DialContext(ctx, network, address)
						if err == nil && client != "" {
							_, err = proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client)), conn.RemoteAddr()).WriteTo(conn)
						}
						return conn, err
					},
				}
				scheme := "ws"
				if cfg.TLS != nil {
					scheme = "wss"
				}
				timeout, cancel := context.WithTimeout(ctx, 10*time.Second)
				defer cancel()
				ws, resp, err := websocket.Dial(timeout, scheme+"://"+ln.Addr().String()+"/tracker", &websocket.DialOptions{HTTPClient: &http.Client{Transport: dialer}})
				if err == nil {
					open = append(open, ws)
				}
				if resp == nil {
					return 0
				}
				return resp.StatusCode
			}
			for _, c := range []struct {
				client string
				status int
			}{{"198.51.100.7:1000", 101}, {"198.51.100.8:1000", 429}, {"203.0.113.7:1000", 101}, {"", 0}} {
				if status := from(c.client); status != c.status {
					t.Errorf("%q: %d, want %d", c.client, status, c.status)
				}
			}
			for _, ws := range open {
				ws.CloseNow()
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
