// Package bench measures the origin as an HTTP server. It holds nothing but tests, so nothing of it ships. The measurements are
// commands of the test binary, each of which prints one JSON object with what it measured and the bars it is held to:
//
//	origin    the next four together (make bench-origin)
//	serve     the origin and nginx give the same files to the same clients, in turns
//	audience  a thousand viewers of a live rendition
//	blocking  players of LL-HLS that wait for the same parts
//	signing   what signing and hashing of 20 renditions is of the origin's work
//	http3     HTTP/3 against HTTP/2 behind loss and delay (make bench-http3; root)
//
// HTTP/2 is measured from servers whose TCP has CUBIC and BBR, because that decides more than the protocol does.
//
// The origin is a process of its own (command stage): the shipped store, server and web packages with real keys, and pseudo-random
// bytes for segments. Load and server share the machine, so both sides' CPU is reported. Times depend on the machine and on
// who else uses it; ratios of turns that follow each other are what to compare.
package bench
