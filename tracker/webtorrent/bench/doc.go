// Package bench measures what it costs to serve WebTorrent's announce protocol, beside bittorrent-tracker: one load
// generator and one tracker, each on a core of its own, in alternating runs. It is tests only: the test binary is the
// program (make bench-announce).
//
// The generator is many clients on one thread. Each joins its swarm once and stays. An announce with n offers is done when
// 1 + 2n messages have arrived: the tracker's answer, the offers at n others, and their answers back; each offer and
// answer is checked off by its id, description included. CPU time is the tracker process's, that of the kernel on its
// behalf included, over the messages that it delivered.
//
// What it costs is mostly the kernel's: of our time seven tenths are system calls, a write for each piece that goes to
// a connection and a read for each that comes. So the figure falls as connections get busier and several messages share
// a write, and rises where each message goes alone: to ten thousand connections, or at a slow pace.
//
// Other programs on the same cores, even on a machine that seems to have time for them, cost half as much again in caches
// that are cold: on a shared machine, run it with real-time priority (chrt -r 1).
package bench
