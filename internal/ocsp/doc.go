// Package ocsp fetches the OCSP responses that handshakes carry, in the background, and fetches them again before they end (RFC 6960, RFC 5019;
// HAProxy's configuration manual 12.7.1).
//
// It asks certstore which certificates want a response, asks the responder that the certificate names, and hands the answer back to certstore,
// which judges it, keeps it and publishes it. Nothing waits for a responder: not the start, not a handshake, not a commit. A responder
// that fails is asked more and more rarely, with all its certificates, and is told of once when it fails and once when it is back.
//
// Updater.Run is one goroutine that owns the schedule, and one goroutine for each request, of which there are few at a time and one at
// first for each responder. When Run returns all of them have ended.
package ocsp
