// Package bench measures real viewers: whole processes or sessions over real WebRTC, against a real origin and a real
// tracker, in real time. It holds nothing but tests, so nothing of it ships. The measurements are commands of the test
// binary, each of which prints one JSON object with what it measured and the bars it is held to; the Makefile has a
// target for each:
//
//	make bench-viewers   200 `slipstream peer` viewers, of which 40 % are killed at once
//	make bench-hostile   30 viewers, 30 % of them attackers of each kind
//	make bench-loss      viewers behind 100 ms of round trip and 5 % loss, on pion's virtual network
//	make bench-cluster   viewers of three trackers in network namespaces, to which accidents happen
//	make bench-rtc       our connections, and a seeder serving a viewer, beside bare pion in the same run
//
// A machine with nothing left over (machineIdle) measures itself: with too little CPU a swarm falls back on the CDN. Times
// depend on the machine; ratios within one run are what to compare. The tests proper are short forms that ask
// only what does not depend on the clock: that every byte played is the origin's, and that neighbours carry most.
package bench
