// Package acme gets certificates from an ACME CA (RFC 8555) and renews them before they end.
//
// A Manager looks at the certificates of certstore that carry an acme attribute, decides from each leaf's own dates when the next
// one is due, and walks one order for each: account, order, authorizations by http-01, finalize, download, check, store. It leaves
// the wire format of RFC 8555 to acmez, the certificates to certstore, and answering the CA's validation requests to whoever
// serves HTTP, who asks KeyAuthorization.
//
// What always holds: the private key and the order's URL are durable before the order is finalized, so that a crash costs at most
// one more order; nothing enters certstore that does not fit the key and exactly the names that were asked for; every request,
// wait and order has a deadline; text that came from a CA is cut and cleaned before it is logged.
//
// Run is one goroutine that schedules, plus one for each open order (at most Options.Parallel); it returns when all have.
package acme
