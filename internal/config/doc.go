// Package config reads HAProxy's configuration language into typed values (HAProxy 3.4, manual sections 2 to 5 and 12).
//
// It knows words, not meanings: which keyword stands where, how many arguments it takes, what a time or an address
// looks like. Conditions, sample expressions, log formats and TLS options stay text for the rooms that own them.
// Every keyword is one entry of one table (see [Keywords]); parser, "did you mean" and the generated keyword page come from it.
//
// Always true: a keyword is honoured, accepted with one NOTICE, or refused with file and line, never skipped in
// silence; one run reports every error it can; [Parse] returns a Config even when there are errors; the package does no
// I/O, starts no goroutine and never panics on any input. Texts of diagnostics are HAProxy's, because people and
// programs match them.
package config
