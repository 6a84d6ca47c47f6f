// Package bench measures the tracker as its viewers meet it: `slipstream tracker` as a process of its own, and crowds of
// WebSockets from other processes, all on this machine. It holds nothing but tests, so nothing of it ships. The
// measurements are commands of the test binary, each of which prints one JSON object with what it measured and the bars
// it is held to; `make bench-tracker` runs them all:
//
//	crowd   5,000 joins a second into one channel, each viewer staying for three seconds
//	tls     what a join costs when the tracker does TLS itself
//	idle    100,000 viewers who stay, on six trackers
//
// and `make bench-attack`:
//
//	attack  attackers, each a program with a core of its own, and honest viewers who come while it lasts
//
// The crowd is one thread over raw descriptors, because whoever makes connections uses as much of the machine as whoever
// takes them. Times include its own lag, which is told beside them: where that is near the bar, the machine and
// not the tracker was measured. The tests proper are short forms.
package bench
