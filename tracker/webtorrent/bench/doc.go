// Package bench measures what it costs to serve WebTorrent's announce protocol, beside bittorrent-tracker: one load
// generator and one tracker, each on a core of its own, in alternating runs. It is tests only: the test binary is the
// program (make bench-announce).
//
// The generator is many clients on one thread. Each joins its swarm once and stays. An announce with n offers is done when
// 1 + 2n messages have arrived: the tracker's answer, the offers at n others, and their answers back; each offer and
// answer is checked off by its id, description included. CPU time is the tracker process's, that of the kernel on its
// behalf included, over the messages that it delivered.
//
// What it costs is mostly the kernel's: a write to one of ten thousand connections takes 7 to 8 µs, what it does to deliver it
// over loopback included, with three messages hardly more than with one. So the figure follows the number of messages that share
// a write. A tracker that has more to do than it can takes what has come from everybody before it writes (epoll's SetPatient):
// more than two share one with ten thousand peers. When it wrote after every 256 that were ready each went alone, and cost 12 µs
// instead of 7. So it does at a slow pace, and more, of a tracker that has time.
//
// Other programs on the same cores, even on a machine that seems to have time for them, cost half as much again in caches
// that are cold: on a shared machine, run it with real-time priority (chrt -r 1).
package bench
