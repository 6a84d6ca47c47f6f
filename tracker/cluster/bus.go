package cluster

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"slipstream/tracker/server"
)

// natsBus is the bus over NATS: one subject for each node, and one on which all say that they are there.
type natsBus struct {
	prefix   string
	conn     *nats.Conn
	embedded *natsserver.Server // nil: somebody else runs NATS
	beats    chan []byte        // at most one waits
	closing  chan struct{}
	beaten   chan struct{} // closed when the last one is said
}

// openBus connects, and starts the NATS server within this process first if none is named.
func openBus(cfg Config) (*natsBus, error) {
	b := &natsBus{prefix: "slipstream." + cfg.Name + "."}
	options := []nats.Option{
		nats.Name("slipstream tracker " + cfg.Node), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond), nats.ReconnectBufSize(full),
		nats.Timeout(5 * time.Second), nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2),
		// To say something must not wait long for a network that takes nothing.
		nats.FlusherTimeout(time.Second), nats.ReconnectOnFlusherError(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				cfg.Log.Warn("the connection to NATS is lost; this tracker goes on alone and tries again", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			cfg.Log.Warn("NATS reports an error", "error", err)
		}),
	}
	at := cfg.URL
	if at == "" {
		var err error
		if b.embedded, err = startServer(cfg); err != nil {
			return nil, err
		}
		user, password := credentials(cfg)
		options = append(options, nats.InProcessServer(b.embedded), nats.UserInfo(user, password))
	}
	conn, err := nats.Connect(at, options...)
	if err != nil {
		b.close()
		return nil, fmt.Errorf("the tracker cannot reach NATS at %s: %w", cmp.Or(redacted(at), "its own server"), err)
	}
	b.conn, b.beats, b.closing, b.beaten = conn, make(chan []byte, 1), make(chan struct{}), make(chan struct{})
	go b.sayBeats(cfg.Log)
	return b, nil
}

// startServer runs a NATS server in this process. Its routes to the other trackers' servers are guarded by a password
// that follows from the secret that they share.
func startServer(cfg Config) (*natsserver.Server, error) {
	host, port, err := hostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("%q is no address for other trackers to connect to: %w", cfg.Listen, err)
	}
	// The server would only log that its port is taken.
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("other trackers cannot connect to %s: %w", cfg.Listen, err)
	}
	ln.Close()
	user, password := credentials(cfg)
	routes := make([]*url.URL, 0, len(cfg.Routes))
	for _, r := range cfg.Routes {
		if _, _, err := hostPort(r); err != nil {
			return nil, fmt.Errorf("%q is no address of another tracker: %w", r, err)
		}
		routes = append(routes, &url.URL{Scheme: "nats", User: url.UserPassword(user, password), Host: r})
	}
	name := cfg.Node
	if cfg.Data == "" {
		// One that keeps nothing is another one when it restarts; two of one name cannot be in a cluster.
		name += "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	}
	s, err := natsserver.NewServer(&natsserver.Options{
		ServerName: name,
		// Clients are in this process; but a server that listens for none makes no routes either.
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, Username: user, Password: password,
		Cluster: natsserver.ClusterOpts{
			Name: cfg.Name, Host: host, Port: port, Username: user, Password: password, ConnectRetries: 1 << 30, PoolSize: -1,
			// A node that does not answer pings is taken for gone, so that routes do not wait for TCP to notice.
			PingInterval: 2 * time.Second,
		},
		Routes: routes, MaxPayload: 1 << 20, MaxPending: 2 * full, NoSigs: true,
		JetStream: cfg.Data != "", StoreDir: cfg.Data, SyncAlways: true, JetStreamMaxMemory: 16 << 20, JetStreamMaxStore: 256 << 20,
		WriteDeadline: 5 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("the NATS server in this tracker: %w", err)
	}
	s.SetLoggerV2(natsLog{cfg.Log}, false, false, false)
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, errors.New("the NATS server in this tracker did not start within ten seconds")
	}
	return s, nil
}

// credentials are what the trackers of a cluster know and nobody else.
func credentials(cfg Config) (user, password string) {
	mac := hmac.New(sha256.New, cfg.Secret)
	mac.Write([]byte("slipstream cluster " + cfg.Name))
	return "tracker", hex.EncodeToString(mac.Sum(nil))
}

func hostPort(s string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(p); err != nil || port < 0 || port > 65535 {
		return "", 0, errors.New("its port is no number from 0 to 65535")
	}
	if port == 0 {
		port = natsserver.RANDOM_PORT
	}
	return cmp.Or(host, "0.0.0.0"), port, nil
}

// listen starts to hear the others.
func (b *natsBus) listen(self server.NodeID, r *Relay) error {
	if _, err := b.conn.Subscribe(b.prefix+"heartbeat", func(m *nats.Msg) { r.hear(m.Data) }); err != nil {
		return err
	}
	own, err := b.conn.Subscribe(b.subject(self), func(m *nats.Msg) { r.receive(m.Data) })
	if err != nil {
		return err
	}
	return errors.Join(own.SetPendingLimits(-1, 2*full), b.conn.Flush())
}

func (b *natsBus) subject(id server.NodeID) string { return b.prefix + "node." + nodeName(id) }

func (b *natsBus) send(to server.NodeID, batch []byte) error {
	return b.conn.Publish(b.subject(to), batch)
}

// beat never waits: who says that he is there is also who notices that others are gone, as all are when the network is. One that
// could not be said yet gives way to the next.
func (b *natsBus) beat(heartbeat []byte) error {
	for {
		select {
		case b.beats <- heartbeat:
			return nil
		default:
		}
		select {
		case <-b.beats:
		default:
		}
	}
}

func (b *natsBus) sayBeats(log *slog.Logger) {
	defer close(b.beaten)
	say := func(heartbeat []byte) {
		if err := b.conn.Publish(b.prefix+"heartbeat", heartbeat); err != nil {
			log.Warn("the other trackers cannot be told that this one is there", "error", err)
		}
	}
	for {
		select {
		case heartbeat := <-b.beats:
			say(heartbeat)
		case <-b.closing:
			select {
			case heartbeat := <-b.beats: // a goodbye
				say(heartbeat)
			default:
			}
			return
		}
	}
}

func (b *natsBus) close() {
	if b.conn != nil {
		close(b.closing)
		<-b.beaten
		b.conn.FlushTimeout(time.Second)
		b.conn.Close()
	}
	if b.embedded != nil {
		b.embedded.Shutdown()
		b.embedded.WaitForShutdown()
	}
}

// redacted is a URL without its password.
func redacted(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Redacted()
	}
	return s
}

// natsLog passes the embedded server's words on.
type natsLog struct{ log *slog.Logger }

func (l natsLog) Noticef(format string, v ...any) { l.log.Debug("NATS: " + fmt.Sprintf(format, v...)) }
func (l natsLog) Warnf(format string, v ...any)   { l.log.Warn("NATS: " + fmt.Sprintf(format, v...)) }
func (l natsLog) Errorf(format string, v ...any)  { l.log.Warn("NATS: " + fmt.Sprintf(format, v...)) }
func (l natsLog) Fatalf(format string, v ...any)  { l.log.Error("NATS: " + fmt.Sprintf(format, v...)) }
func (l natsLog) Debugf(string, ...any)           {}
func (l natsLog) Tracef(string, ...any)           {}
