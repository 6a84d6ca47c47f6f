// Package link is the network between emulated hosts, as a function of time and
// packets: access lines with a rate and a bounded queue, delay, jitter, loss, and
// NATs. It moves real IPv4 packets, but opens no device and reads no clock; package
// emulate does that.
//
// A packet that host a sends to host b goes through
//
//	a's NAT → a's uplink (queue, rate) → delay, jitter, loss → b's NAT → b's downlink (queue, rate) → b
//
// Both queues are drop-tail and as long as a time (200 ms of packets, say), as in a
// modem: a sender that does not back off sees first delay and then loss. Loss and
// jitter are looked up (package draw) by the number of the packet on its way, so
// that one more host, or one more packet of another host, changes no draw.
//
// Times are microseconds from any start. Bytes are those of IP packets: what the
// layers below would add is left out.
package link
