// Package app is the program: it decides from the command line which process to be, builds the house in it bottom-up and stops it
// top-down. The process half (main.go, alone.go, master.go, worker.go) owns the command line, signals, privileges, the master with its
// sockets and what is printed; the serving half (app.go) joins the wings, the engine and the faces. They meet in the interface
// Engine and in WorkerOptions (process.go), so that each is tested without the other. What a configuration means is left to engine.
//
// What always holds: nothing is served before everything that needs rights was opened and the rights were given up; a
// configuration that does not load changes nothing; a worker ends with its master, and a master with its worker.
//
// Goroutines: Main returns when all it started have: Run of the house, accept loops of stats sockets, reloads, and between master and
// worker one reader for each end of their two socketpairs.
//
// Source: HAProxy's management guide, sections 3 and 4, and what 3.4.0 does.
package app
