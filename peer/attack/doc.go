// Package attack holds hostile viewers as programs. They join a channel through its real tracker, speak the real
// protocol over real WebRTC, and mean harm: to the picture (false bytes), to the CDN's bill (promises that are not kept,
// so that everybody falls back on HTTP), to the playhead (drips), to uplinks and memory (floods, free rides).
//
// Tests and measurements use them (peer/bench); no command of the binary that ships can reach them, which a test in
// package main holds.
//
// Every attacker follows the channel's playlist and fetches all segments from the CDN, so that it has true bytes to
// abuse and announces each segment before most viewers can hold it. It tells the tracker that it is ready and has a
// gigabit of uplink, so that it is given duties, which it neglects. When its victims have all dropped it, it comes
// back under a new name.
package attack
