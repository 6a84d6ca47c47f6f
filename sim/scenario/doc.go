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
//	viewers:
//	  count: 20
//	  arriveOver: 0           # evenly over this time; 0: all at once
//	  arrivePerSecond: 0      # or as a Poisson process
//	  stay: 0                 # mean of an exponential distribution; 0: to the end
//	  crashes: 0%             # of those who go before the end, who say nothing
//	  lines:                  # kinds of access lines; the shares add up to 100%
//	    - share: 100%
//	      uplink: 10Mbps      # mean
//	      uplinkSpread: 0     # standard deviation of its logarithm (log-normal)
//	      downlink: 50Mbps
//	      uploads: true       # false: no consent, or a metered line
//	  exits:                  # many leave at once
//	    - at: 0
//	      share: 100%
//	      crash: false
//	seeders:
//	  count: 0
//	  uplink: 100Mbps
//	network:
//	  oneWay: 30ms            # between two viewers
//	  oneWaySpread: 0         # as uplinkSpread
//	  connectRoundTrips: 5    # of ICE, DTLS and SCTP, after offer and answer
//	  connectFailures: 0%     # pairs that can never connect
//	  packetOverhead: 93B     # IP, UDP, DTLS and SCTP around each packet; 0: ideal
//	  crashNotice: 15s        # until the others notice a crash by themselves
//	cdn:
//	  oneWay: 20ms
//	  server: 5ms             # from the request to the first byte
//	  responseRate: 0         # of one response; 0: as fast as the downlink
//	  playlistAge: 0          # how long the edge may serve an old playlist
//	tracker:
//	  oneWay: 25ms
//	  outages:                # the tracker that comes back knows nothing
//	    - from: 0
//	      to: 0
//	scheduler:                # every number of sched.Config by its own name
//	  marginMs: 500           # …
package scenario
