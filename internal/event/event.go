// Package event is what happened, as values: a certificate was committed, a server went down, an order failed. Rooms emit
// them through a function that app passes; log lines, faces and tests read them.
package event

import "time"

// Kind says what happened.
type Kind string

// What can happen.
const (
	CertCommitted Kind = "cert-committed"
	CertUnusable  Kind = "cert-unusable"
	CertUnsaved   Kind = "cert-unsaved"
	// TrustCommitted: a CA or CRL file changed.
	TrustCommitted Kind = "trust-committed"
	CertUsed       Kind = "cert-used" // somebody uses a certificate now, or does not any more
	OCSPDown       Kind = "ocsp-down"
	OCSPUp         Kind = "ocsp-up"
	OCSPRevoked    Kind = "ocsp-revoked"
	CertSaved      Kind = "cert-saved"
	ServerUp       Kind = "server-up"
	ServerDown     Kind = "server-down"
	OrderStarted   Kind = "order-started"
	OrderDone      Kind = "order-done"
	OrderFailed    Kind = "order-failed"
	ConfigLoaded   Kind = "config-loaded"
	ConfigRefused  Kind = "config-refused"
	LogDown        Kind = "log-down"
	LogUp          Kind = "log-up"
)

// Event is one thing that happened. Text is one line for people, without secrets.
type Event struct {
	Time    time.Time
	Kind    Kind
	Level   string // syslog word: alert, warning, notice, info
	Subject string // certificate, server or section it is about
	Text    string
}

// Sink receives events. It must not block.
type Sink func(Event)
