// Package relay is a STUN and TURN server (RFC 8489, RFC 8656) inside the tracker, over UDP. STUN tells any viewer its address
// as the world sees it. TURN is for channels whose viewers shall not learn each other's addresses: each of a
// viewer's connections gets an allocation here, and all that passes between two viewers passes between two allocations.
//
// It is no open relay. Allocations have no sockets: what is written to one is handed to another of this server, in
// memory, or falls on the floor. So nobody can reach anything through it but another viewer's allocation: no private
// network, no loopback, no service of this machine. It costs no descriptor, and no port of the firewall but the one that it
// listens on.
//
// For the same reason viewers of one channel must use one relay: those who are connected to trackers with relays of
// their own cannot reach each other, and have the CDN.
//
// Credentials are minted for each visit: the user name is "<end, Unix seconds>:<random>", the password an HMAC of it under a
// secret that this process draws at its start (the "TURN REST API" of draft-uberti-behave-turn-rest). A viewer has so
// many allocations and sends so many bytes a second.
package relay
