// Package bench measures what it costs to serve WebTorrent's announce protocol, beside bittorrent-tracker: one load
// generator and one tracker, each on a core of its own, in alternating runs. It is tests only: the test binary is the
// program (make bench-announce).
package bench
