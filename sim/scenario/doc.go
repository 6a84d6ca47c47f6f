// Package scenario reads experiments for the simulator from YAML. Everything has
// a default, an unknown setting is an error, and a value says its unit: rates as
// 4Mbps or 500kbps, times as 30ms, 2s or 1min, shares as 15%, sizes as 93B.
// These are all settings, with their defaults:
//
//	name: ""                  # for the report
//	seed: 1                   # same seed, same result
//	duration: 60s             # after the first viewer came
//	measureAfter: 10s         # segments published earlier are warming up
//	peerToPeer: true          # false: plain HLS, to compare with
//	stream:
//	  bitrate: 1Mbps
//	  segment: 2s
//	  holdBackSegments: 3     # a viewer starts so far behind the end of the playlist
//	  windowSegments: 10      # in the playlist
//	  publishDelay: 100ms     # from the end of a segment to its being in the playlist
//	  blockingReload: false   # the edge holds requests until there is news: LL-HLS
//	  gossip: false           # records travel from neighbour to neighbour; with blockingReload only
//	  recordedSegments: 0     # length of a recording; 0: live
//	  ahead: 30s              # of the playhead, what a player of a recording loads
//	  positionsOver: 0        # viewers of a recording begin anywhere in this much of it
//	viewers:
//	  count: 20
//	  cluster: 1000           # the tracker splits larger channels; 0: never
//	  arriveOver: 0           # evenly over this time; 0: all at once
//	  arrivePerSecond: 0      # or as a Poisson process
//	  arriveRamp: 0           # or at a rate that grows from nothing over this time
//	  arriveFlash: 0          # or as a flash crowd: this long after the first is the mean
//	  trace: ""               # or as in this file beside the scenario, see readTrace
//	  stay: 0                 # mean of an exponential distribution; 0: to the end
//	  stayMedian: 0           # or of a log-normal distribution
//	  staySpread: 1           # of which this is the standard deviation of the logarithm
//	  stayFixed: 0            # or exactly so long
//	  crashes: 0%             # of those who go before the end, who say nothing
//	  crashesPerMinute: 0%    # of those present, at any time
//	  replace: false          # who goes is followed by another
//	  noUpload: 0%            # viewers that serve nobody, whatever their line
//	  mix: ""                 # access lines of a country, see mix.go; or
//	  lines:                  # kinds of access lines; the shares add up to 100%
//	    - share: 100%
//	      uplink: 10Mbps      # mean
//	      uplinkSpread: 0     # standard deviation of its logarithm (log-normal)
//	      downlink: 50Mbps    # mean
//	      downlinkSpread: 0
//	      uploads: true       # false: no consent, or a metered line
//	  exits:                  # many leave at once
//	    - at: 0
//	      share: 100%
//	      crash: false
//	seeders:
//	  count: 0
//	  uplink: 100Mbps
//	hostile:
//	  share: 0%               # of the viewers; they do not count in results
//	  kind: mixed             # pollute, truncate, drip, lie, replay, flood, freeride
//	places:                   # regions, or providers in regions, instead of oneWay
//	  - name: everywhere
//	    share: 100%
//	    oneWay: [30ms]        # to each place, in their order; or network.placesOneWay
//	network:
//	  oneWay: 30ms            # between two viewers
//	  placesOneWay: []        # within a place, to others of its region, to other regions
//	  oneWaySpread: 0         # as uplinkSpread
//	  connectRoundTrips: 5    # of ICE, DTLS and SCTP, after offer and answer
//	  connectFailures: 0%     # pairs that can never connect
//	  nat:                    # which pairs can, by their routers (RFC 4787)
//	    - kind: endpoint-independent # address-dependent, address-and-port-dependent, symmetric, blocked
//	      share: 100%
//	  loss: 0%                # of packets between viewers; emulated, on every way
//	  packetOverhead: 93B     # IP, UDP, DTLS and SCTP around each packet; 0: ideal
//	  crashNotice: 15s        # until the others notice a crash by themselves
//	  jitter: 0               # added to a packet's delay, at most; emulation only
//	  queue: 200ms            # a packet may wait so long for a line; emulation only
//	cdn:
//	  oneWay: 20ms
//	  server: 5ms             # from the request to the first byte
//	  responseRate: 0         # of one response; 0: as fast as the downlink
//	  playlistAge: 0          # how long the edge may serve an old playlist
//	  errors: 0%              # requests that are answered 503
//	  outages:                # when all are
//	    - from: 0
//	      to: 0
//	  slow:                   # when it is slower
//	    - from: 0
//	      to: 0
//	      server: 5ms
//	      responseRate: 0
//	tracker:
//	  oneWay: 25ms
//	  duties: true            # false: it introduces viewers, and who fetches what is left to them
//	  places: true            # false: it does not know where viewers are
//	  outages:                # the tracker that comes back knows nothing
//	    - from: 0
//	      to: 0
//	scheduler:                # every number of sched.Config by its own name
//	  marginMs: 500           # …
package scenario
