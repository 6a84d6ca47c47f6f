package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"slipstream/origin/cmaf"
	"slipstream/origin/dash"
	"slipstream/origin/health"
	"slipstream/origin/hls"
	"slipstream/origin/manifest"
	"slipstream/origin/store"
)

// Config describes what is served.
type Config struct {
	Channels    []Channel
	TokenSecret []byte
	// Mounts are further handlers by http.ServeMux pattern, for example "/tracker", "/player/", "/watch/{channel}". "/"
	// stands for the front page alone.
	Mounts map[string]http.Handler
	// Register adds the metrics of what is mounted to those of the server; nil: there are none.
	Register func(prometheus.Registerer) error
	// FailOver says when a channel's playlists answer 404, so that another region's are asked for; zero: never for its sake.
	FailOver health.Policy
	Logger   *slog.Logger
	Now      func() int64 // ms since the Unix epoch
}

// Channel is one channel to serve.
type Channel struct {
	Name      string
	ID        manifest.Hash
	Store     *store.Store
	FloorBps  map[string]int64 // by rendition: what its encoder may use, bits/s
	AudioBps  map[string]int64 // likewise, for sound alone
	HoldBack  float64          // how many part targets players are to stay behind the newest part; 0: hls.DefaultHoldBack
	StreamKey string           // lets a seeder from elsewhere have a token
	Tracker   string           // URL or absolute path; "" for no peer-to-peer
	CDNs      []hls.CDN        // where viewers find it, in order; none: here
	Publisher func() Publisher // who is publishing
	Encoder   func() Encoder   // how the transcoder fares; nil: nobody knows
}

// Publisher is the state of a channel's ingest.
type Publisher struct {
	Connected bool   `json:"connected"`
	SinceMs   int64  `json:"sinceMs"` // since when it is so
	Source    string `json:"source"`  // who, for people
	Slate     bool   `json:"slate"`   // nobody, and slate is shown instead
}

// Server is an http.Handler.
type Server struct {
	cfg       Config
	startMs   int64
	limit     *limiter
	residents *residents
	mux       *http.ServeMux
	covered   bool // somebody else answers for the channels

	mu       sync.RWMutex
	channels map[string]*channel
	order    []*channel // as they came
}

// channel adds to the configuration what the server remembers.
type channel struct {
	Channel
	traffic traffic
	waiting atomic.Int64 // requests for what is about to come

	mu    sync.Mutex
	lists map[listed]*rendered
	mpd   presentation

	transports transports
}

// listed names a media playlist, whole or a delta update; without a rendition it is a multivariant playlist.
type listed struct {
	rendition string
	name      string // hls.MediaName and its like
	delta     bool
}

// New returns a server. It fails if two mounts collide.
func New(cfg Config) (_ *Server, err error) {
	s := &Server{cfg: cfg, startMs: cfg.Now(), channels: make(map[string]*channel), limit: newLimiter(), residents: newResidents(), mux: http.NewServeMux()}
	for _, c := range cfg.Channels {
		s.Add(c)
	}
	defer func() { // http.ServeMux panics over patterns
		if p := recover(); p != nil {
			err = fmt.Errorf("the mounts do not fit together: %s", strings.Join(strings.Fields(fmt.Sprint(p)), " "))
		}
	}()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{s})
	if cfg.Register != nil {
		if err := cfg.Register(registry); err != nil {
			return nil, fmt.Errorf("the metrics do not fit together: %w", err)
		}
	}
	s.mux.Handle("/", s.routes(registry))
	for pattern, handler := range cfg.Mounts {
		if pattern == "/" {
			pattern = "/{$}"
		}
		s.covered = s.covered || strings.Contains(pattern, "/live/")
		s.mux.Handle(pattern, handler)
	}
	return s, nil
}

// Add serves one more channel, whose name is new.
func (s *Server) Add(c Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := &channel{Channel: c, lists: make(map[listed]*rendered)}
	s.channels[c.Name] = ch
	s.order = append(s.order, ch)
}

// all returns the channels.
func (s *Server) all() []*channel {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.order[:len(s.order):len(s.order)]
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) routes(metrics prometheus.Gatherer) http.Handler {
	e := echo.New()
	e.HideBanner = true
	e.HTTPErrorHandler = s.answerError
	recovered := middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: func(c echo.Context, err error, stack []byte) error {
		s.cfg.Logger.Error("a request could not be answered", "path", c.Request().URL.Path, "error", err, "stack", string(stack))
		return err
	}})
	get := func(path string, handler echo.HandlerFunc) {
		handler = recovered(handler) // here once; as a middleware it would be wrapped around the handler for each request anew
		e.GET(path, handler)
		e.HEAD(path, handler)
	}
	get("/live/:channel/index.m3u8", s.counted(kindMultivariant, s.multivariant))
	get("/live/:channel/"+hls.SteeringName, s.counted(kindMultivariant, s.steering))
	get("/live/:channel/:rendition/index.m3u8", s.counted(kindPlaylist, s.media))
	get("/live/:channel/:rendition/:object", s.object)
	get("/live/:channel/"+hls.DVRName, s.counted(kindMultivariant, s.dvrVariants))
	get("/live/:channel/:rendition/"+hls.DVRName, s.counted(kindPlaylist, s.dvr))
	get("/live/:channel/"+hls.TransportName, s.counted(kindMultivariant, s.transportVariants))
	get("/live/:channel/:rendition/"+hls.TransportName, s.counted(kindPlaylist, s.plain))
	get("/live/:channel/"+hls.TracksName, s.counted(kindMultivariant, s.trackVariants))
	for _, kind := range []cmaf.Kind{cmaf.Video, cmaf.Audio} {
		get("/live/:channel/:rendition/"+hls.TrackName(kind), s.counted(kindPlaylist, s.plain))
	}
	get("/live/:channel/manifest.mpd", s.counted(kindMPD, s.mpd))
	get("/live/:channel/"+dash.TimePath, s.counted(kindTime, s.time))
	get("/live/:channel/:rendition/:track/:object", s.track)
	e.POST("/live/:channel/token", recovered(s.counted(kindToken, s.token)))
	get("/livez", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	get("/readyz", s.ready)
	get("/stats.json", s.stats)
	e.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})))
	return crossOrigin(e)
}

// Headers of every answer; nobody changes what they hold.
var (
	anyOrigin = []string{"*"}
	exposed   = []string{"Content-Range, Content-Length, Date, ETag, CMSD-Static"}
	crossed   = []string{"cross-origin"}
)

// crossOrigin lets any page read the answers, and answers preflight requests (Fetch standard, section 3.2).
func crossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Access-Control-Allow-Origin"], h["Timing-Allow-Origin"] = anyOrigin, anyOrigin
		h["Access-Control-Expose-Headers"], h["Cross-Origin-Resource-Policy"] = exposed, crossed
		if r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		methods := "GET, HEAD, OPTIONS"
		if strings.HasSuffix(r.URL.Path, "/token") {
			methods = "POST, OPTIONS"
		}
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", "Range, If-None-Match, Content-Type, Authorization")
		h.Set("Access-Control-Max-Age", "86400")
		h.Set("Allow", methods)
		w.WriteHeader(http.StatusNoContent)
	})
}

// answerError turns an error into one plain sentence.
func (s *Server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	status, sentence := http.StatusInternalServerError, "something went wrong here; it was logged"
	var known *echo.HTTPError
	if errors.As(err, &known) {
		status, sentence = known.Code, fmt.Sprint(known.Message)
	} else {
		s.cfg.Logger.Error("a request could not be answered", "path", c.Request().URL.Path, "error", err)
	}
	h := c.Response().Header()
	h.Del("ETag")
	switch status {
	case http.StatusNotFound:
		h.Set("Cache-Control", "public, max-age=1") // it may be about to appear
		if known.Internal == nil && known.Message == http.StatusText(status) {
			sentence = "there is nothing at this address"
		}
	case http.StatusMethodNotAllowed:
		sentence = fmt.Sprintf("%s is not possible here", c.Request().Method)
	default:
		h.Set("Cache-Control", "no-store")
	}
	_ = c.String(status, sentence+"\n") // if the client is gone nobody needs to know
}

// named returns the channel of a request.
func (s *Server) named(c echo.Context) (*channel, error) {
	name := c.Param("channel")
	s.mu.RLock()
	defer s.mu.RUnlock()
	if ch, ok := s.channels[name]; ok {
		return ch, nil
	}
	return nil, echo.NewHTTPError(http.StatusNotFound, fmt.Sprintf("there is no channel %.64q here", name))
}
