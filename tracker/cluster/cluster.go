package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"slipstream/tracker/server"
)

// Config says which cluster a tracker is part of.
type Config struct {
	// Name is the cluster's: letters, digits, - and _. Trackers of another name are strangers.
	Name string
	// Node names this tracker in logs; empty means the host's name.
	Node string
	// URL is that of a NATS server or several, separated by commas, with user and password if it asks for them. Empty
	// means that every tracker runs a NATS server of its own, and that those find each other.
	URL string
	// Listen is where the other trackers' NATS servers connect to: host:port. Without URL only.
	Listen string
	// Routes are such addresses of other trackers; one that runs is enough to find all. Without URL only.
	Routes []string
	// Data is the folder of this tracker's copy of what the cluster keeps (Facts). Empty means that it has none; without URL,
	// a cluster keeps something if most of its trackers have one.
	Data string
	// Replicas is how many trackers, or NATS servers, shall have a copy [3, of one NATS server 1].
	Replicas int
	// Secret is the trackers' token secret; those of a cluster have the same.
	Secret []byte
	// Log receives what an operator may want to read; nil means slog.Default.
	Log *slog.Logger
}

// Node is this process's part of a cluster.
type Node struct {
	*Relay
	Facts *Facts
	bus   *natsBus

	forget context.CancelFunc // ends the keeping of facts
	kept   sync.WaitGroup
}

var isName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString

// Open joins a cluster, or begins one. Give the node to server.Config.Relay; then Drain, close the server, and Close.
func Open(cfg Config) (*Node, error) {
	if !isName(cfg.Name) {
		return nil, fmt.Errorf("%q is no name for a cluster: write letters, digits, - and _", cfg.Name)
	}
	if cfg.Node == "" {
		host, _ := os.Hostname()
		cfg.Node = cmp.Or(host, "tracker")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.URL == "" && cfg.Listen == "" {
		return nil, errors.New("a tracker of a cluster needs an address on which the others reach its NATS server, or the URL of one that runs")
	}
	bus, err := openBus(cfg)
	if err != nil {
		return nil, err
	}
	n := &Node{Relay: newRelay(newNodeID(), cfg.Node, bus, cfg.Log), bus: bus}
	if n.Facts, err = newFacts(cfg, bus.conn); err == nil {
		bus.conn.SetReconnectHandler(func(*nats.Conn) {
			cfg.Log.Info("NATS is back")
			n.Facts.reread()
		})
		err = bus.listen(n.id, n.Relay)
	}
	if err != nil {
		bus.close()
		return nil, fmt.Errorf("the tracker cannot hear the others: %w", err)
	}
	ctx, forget := context.WithCancel(context.Background())
	n.forget = forget
	if cfg.Data != "" || cfg.URL != "" {
		n.kept.Go(func() { n.Facts.run(ctx, cfg.replicas()) })
	}
	return n, nil
}

func (c Config) replicas() int {
	if c.Replicas == 0 && c.URL == "" {
		return 3
	}
	return max(c.Replicas, 1)
}

// SetChannel changes what a cluster keeps about a channel: as a visitor that has no rooms and no clients.
func SetChannel(ctx context.Context, cfg Config, channel string, s Settings) error {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	cfg.Node, cfg.Listen, cfg.Data = "visitor", "127.0.0.1:0", ""
	bus, err := openBus(cfg)
	if err != nil {
		return err
	}
	defer bus.close()
	facts, err := newFacts(cfg, bus.conn)
	if err != nil {
		return err
	}
	// A route to the cluster takes a moment, and so does its majority.
	notYet := []error{nats.ErrNoResponders, jetstream.ErrJetStreamNotEnabled, jetstream.ErrBucketNotFound, context.DeadlineExceeded}
	for {
		err = facts.SetChannel(ctx, channel, s)
		if !slices.ContainsFunc(notYet, func(target error) bool { return errors.Is(err, target) }) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no tracker of the cluster keeps anything, or none can be reached: %w", err)
		case <-time.After(moveEvery):
		}
	}
}

// newNodeID draws an id: a tracker that restarts is another one, and what was meant for the former reaches nobody.
func newNodeID() server.NodeID {
	var b [8]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return server.NodeID(binary.BigEndian.Uint64(b[:]) | 1)
}

// Register adds the metrics to a registry.
func (n *Node) Register(reg prometheus.Registerer) error { return n.register(reg) }

// Drain gives this node's rooms to the others, and returns when they have them, or when ctx ends. Without others there is
// nobody to give them to.
func (n *Node) Drain(ctx context.Context) {
	n.giveAway()
	poll := time.NewTicker(moveEvery)
	defer poll.Stop()
	for !n.vacant() && !n.alone() {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
	}
}

// Close says goodbye to the others.
func (n *Node) Close() {
	n.forget()
	n.kept.Wait()
	n.stop()
	n.bus.close()
}

// Abandon ends a node that no server was started with.
func (n *Node) Abandon() {
	n.forget()
	n.kept.Wait()
	n.bus.close()
}
