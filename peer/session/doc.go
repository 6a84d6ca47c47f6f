// Package session is the shell around the swarm's cores: it turns what happens
// (messages, bytes, playlists, duties, time) into events for package sched and
// runs the actions that come back. The web player's src/session.ts is its sibling.
//
// One goroutine owns everything, the loop of Run. Other goroutines only block for
// it: an HTTP request, the tracker's socket, a data channel. What they bring
// enters through the inbox as a function that the loop calls.
//
// The order is always the same: verify, store, tell the scheduler, act. No byte
// is stored before it matched the channel owner's signature, and only stored
// bytes are passed on or played.
//
// Who watches decides what is needed by when: see Audience. A Go viewer and a
// seeder are two audiences of the same session.
package session
