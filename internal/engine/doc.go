// Package engine is the one door for configuration: it plans a generation from configuration sources, swaps it in whole, and
// drains what it replaced. Start-up is the first generation, a reload is the next one.
//
// Load parses, compiles and reads everything that the sources name, and reports every fault; it opens nothing and changes
// nothing. Apply opens what is missing, then swaps: listening sockets that are still wanted stay open, connections go on and
// see the new generation at their next request, servers keep their health, weights and idle connections by name, certificates
// committed at run time stay. When anything cannot be had, nothing has changed.
//
// Both wings meet here in values: a bind line's cert.Index is filled from certstore and followed through its uses; the
// HTTP-01 lookup of the ACME client is a function in Options.
//
// Goroutines: one group, started by Run; listeners, health checks and log targets are its tasks, and Run returns when all of
// them have.
package engine
