// Package world runs a swarm in virtual time: viewers that each hold a shipping
// peer/sched core, the shipping tracker/swarm core, a live stream, and the
// network between them. What is modelled here is only what surrounds those cores
// in a real viewer: the shell that turns messages into events and actions into
// messages, a store, a player with its playlist polls and its playhead.
//
//	result := world.Run(ctx, config)
//
// Time goes in milliseconds. For each viewer each has two halves: first everything
// that arrives is put into its inbox; then it handles its inbox in one call of its
// core, and what it does takes a millisecond or more to come back to it, and at least
// the shortest way between two viewers to reach another. For that long each viewer is
// run by itself, see window.go. So the result depends on the configuration and on
// nothing else. The engine starts no goroutine, reads no clock and draws no number that
// package draw did not derive from the seed.
//
// A channel that the tracker splits is several worlds, one for each room: RunCluster
// runs one, on any processor, and Merge adds them up.
//
// What is simplified: one rendition; leaves and not packets share a line; hashing is
// free; a leaf list travels ahead of the first leaf that needs it. DESIGN.md of the
// simulator has the whole list.
package world
