// Package socket speaks HAProxy's Runtime API: stats sockets of a worker, the master's socket, the command table of both. A
// command is one entry of a table that says its words, its level, where it exists, its help and what it does; the level is
// checked in one place before anything of it runs. What a command needs of the process it asks through the small interfaces
// of process.go, which engine implements; certificates go through certstore, the one door for them.
//
// Framing, payloads and quoting are runtimeapi's. What always holds: an answer ends with an empty line, a non-interactive
// connection runs its first line only, a client's half-close cancels nothing, every wait and every write has a deadline.
//
// Goroutines: Worker.Serve and Master.Serve run one per connection and return when all of theirs have.
//
// Source: HAProxy's management guide, section 9.3, and what 3.4.0 does.
package socket
