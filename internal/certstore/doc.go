// Package certstore is the one door for certificates. Whoever changes a certificate (start and reload, the command socket, ACME) calls a
// method here, and a change is checked, then made durable, then published to those who use it, in that order; a crash between any two of
// these leaves either the old certificate or the new one.
//
// A configuration generation is a Plan: what it declares is read and judged before anything of it counts, and Apply makes it the store's content in
// one step. At run time there are HAProxy's transactions (management manual 9.3; surface 2.6 to 2.8), one per name instead of one
// per process. Texts of answers are HAProxy's.
//
// Where a committed certificate is kept (design, section 4): in the file from which the configuration reads it, or in a file directly
// in a directory the configuration names. Any other name, and a file behind a symbolic link or in a directory that refuses writes,
// is kept in the state directory; there it carries the checksums of the files it supersedes and wins until one of them changes.
// Several files are replaced together through a redo log.
//
// A line that `add ssl crt-list` adds is put at the end of the list's file, one that `del ssl crt-list` removes is taken out of it; comments and
// order stay. A certificate added to a directory is there after a restart because its file is.
//
// Durable comes before visible with one exception: a disk that is full or read-only does not keep a certificate from being served, because the one
// before may be about to expire. The answer, `show ssl cert` and the log say so, and Run tries again until it is on disk.
//
// Methods of Store may be called by any goroutine; changes wait for each other, readers do not wait for the disk. A Plan belongs to
// one goroutine. Run is the one long-running part: large redo records, debts, history, the watch over files.
package certstore
