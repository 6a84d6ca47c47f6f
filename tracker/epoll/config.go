package epoll

import (
	"cmp"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"time"
)

// Config says what to serve. Only Paths is required.
type Config struct {
	// Paths are where there are WebSockets. Every other request goes to Rest.
	Paths map[string]Open
	// Known tells whether Rest has an answer for a request; what it has none for is refused here, which is cheaper. Nil
	// means that it has one for all.
	Known func(*http.Request) bool
	// Terminators are the networks of those whose connections begin with the PROXY protocol, which tells whom they speak for.
	Terminators []netip.Prefix
	// TLS is what connections are served with; nil is plaintext.
	TLS *tls.Config
	// Subprotocol is selected if a client offers it among others; "" is none.
	Subprotocol string
	// MaxMessage is the longest message from a client [16 KiB].
	MaxMessage int
	// MaxPending is how many bytes wait for a slow reader before it is closed [256 KiB].
	MaxPending int
	// MaxHeads is how many connections may be about to send a request's head; then the oldest of them give way, for who is
	// honest needs one round trip [4096; with TLS, which keeps 36 KB for each in a handshake, 2048].
	MaxHeads int
	// MaxRest is how many connections of Rest there are at a time; then the oldest give way [256].
	MaxRest int
	// HandshakeTimeout is for the whole of a TLS handshake and a request's head [5 s].
	HandshakeTimeout time.Duration
	// OpenTimeout is after what time from the opening a client's Overdue is called, once [10 s].
	OpenTimeout time.Duration
	// PingInterval is between pings, which notice clients that vanished without a word and keep proxies from closing
	// quiet connections [25 s].
	PingInterval time.Duration
	// WriteTimeout is how long a client may take to read, to answer a ping, and to answer a close [10 s].
	WriteTimeout time.Duration
	// Gather is how long a message of Conn.SendWithin waits for others, by its Patience.
	Gather [patiences]time.Duration
	// Loops is how many goroutines share the connections [GOMAXPROCS].
	Loops int
	// Refused is told, by whichever loop, of each connection that is turned away before it is any client's; nil means nobody.
	Refused func(why string)
	// Log receives what an operator should know; nil means slog.Default.
	Log *slog.Logger
}

// Open decides about a request for a WebSocket, in the connection's loop. It returns the client to be called from now
// on, or a Refusal. It may keep the Conn, but not the request.
type Open func(*http.Request, *Conn) (Client, *Refusal)

// Client is who hears of a connection. Its methods are called one at a time and must not wait for the network.
type Client interface {
	// Message is a whole message. The payload is valid during the call.
	Message(text bool, payload []byte)
	// Overdue says that OpenTimeout is over.
	Overdue()
	// Pinging says that it is about to be pinged.
	Pinging()
	// Closed is the last call.
	Closed(why error)
}

// Refusal is an HTTP answer instead of a WebSocket.
type Refusal struct {
	Status     int
	Sentence   string
	RetryAfter int // seconds; 0 = not said
}

// Why connections are turned away, as Config.Refused is told.
const (
	NoHead     = "no-head"     // the head of its request did not come in time, or others needed the place (MaxHeads)
	BadRequest = "bad-request" // that is no HTTP, no TLS where there is some, too large, or half a WebSocket
	NotFound   = "not-found"   // nothing is there, and no WebSocket either
	Crowded    = "crowded"     // others needed its place at Rest (MaxRest)
	NoFiles    = "no-files"    // the limit of open files or of memory was reached; it is counted when that is noticed, not for each
)

// Why connections end, as Closed tells.
var (
	ErrSlow     = errors.New("it reads too slowly")
	ErrVanished = errors.New("it does not answer pings")
	ErrTooBig   = errors.New("a message was too big")
	ErrFlood    = errors.New("it sent too many frames")
	ErrRules    = errors.New("it broke a rule of RFC 6455")
	ErrEnded    = errors.New("the connection ended")
	ErrStopped  = errors.New("the server stopped")
)

func (c *Config) setDefaults() {
	c.MaxMessage = cmp.Or(c.MaxMessage, 16<<10)
	c.MaxPending = cmp.Or(c.MaxPending, 256<<10)
	if c.TLS != nil {
		c.MaxHeads = cmp.Or(c.MaxHeads, 2048)
	}
	c.MaxHeads = cmp.Or(c.MaxHeads, 4096)
	c.MaxRest = cmp.Or(c.MaxRest, 256)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, 5*time.Second)
	c.OpenTimeout = cmp.Or(c.OpenTimeout, 10*time.Second)
	c.PingInterval = cmp.Or(c.PingInterval, 25*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	for p := range c.Gather {
		c.Gather[p] = cmp.Or(c.Gather[p], usualPatience[p])
	}
	c.Loops = cmp.Or(c.Loops, runtime.GOMAXPROCS(0))
	if c.Refused == nil {
		c.Refused = func(string) {}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
}

// tick is how exactly the timeouts are kept: to an eighth, and a second at most.
func (c *Config) tick() time.Duration {
	shortest := min(c.HandshakeTimeout, c.OpenTimeout, c.PingInterval, c.WriteTimeout)
	return min(max(shortest/8, 5*time.Millisecond), time.Second)
}
