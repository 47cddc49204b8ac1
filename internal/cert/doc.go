// Package cert is one certificate and its neighbours as values: the bundle (leaf, chain, key and what is stapled to them), lines of
// a crt-list, the TLS options of a line, CA and CRL files, the index a bind line selects from by SNI, and the spellings OpenSSL and
// HAProxy use for ciphers, curves, versions and distinguished names.
//
// Nothing here reads a file, starts a goroutine or knows where a certificate came from; certstore does. A Bundle never changes
// after it was made. An Index may be read by any number of goroutines while one writer changes it.
//
// The shapes and texts follow HAProxy 3.4: configuration manual sections 3.11 (crt-store), 5.1 (bind), management manual section
// 9.3 (ssl commands).
package cert
