package listener

import (
	"crypto/tls"
	"slices"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/stats"
)

// statusRequest is the extension with which a client asks for an OCSP response (RFC 6066 section 8).
const statusRequest = 5

// staple looks after the OCSP response in cfg: one that has expired since cfg was built is left out from now on. It counts whether the client, if it asked,
// is given one.
func (s *server) staple(hello *tls.ClientHelloInfo, cfg *tls.Config, inst *cert.Instance) *tls.Config {
	if cfg.Certificates[0].OCSPStaple != nil && inst.Bundle.Staple(time.Now()) == nil {
		bare := cfg.Clone()
		bare.Certificates = slices.Clone(cfg.Certificates)
		bare.Certificates[0].OCSPStaple = nil
		inst.Value.Store(bare)
		cfg = bare
	}
	if !slices.Contains(hello.Extensions, statusRequest) {
		return cfg
	}
	for _, n := range [...]*stats.Counters{s.o.Counters, s.o.Own} {
		switch {
		case n == nil:
		case cfg.Certificates[0].OCSPStaple != nil:
			n.SSLStapled.Add(1)
		default:
			n.SSLUnstapled.Add(1)
		}
	}
	return cfg
}
