package engine

import (
	"errors"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stats"
)

// limitRates sets the limits of the configuration. What `set rate-limit` changed ends with a reload, as in HAProxy.
func (e *Engine) limitRates(g *config.Global) {
	e.rates.Conns.Limit.Store(int64(g.ConnRate))
	e.rates.Sessions.Limit.Store(int64(g.SessRate))
	e.rates.TLS.Limit.Store(int64(g.SSLRate))
	e.compressed.Limit.Store(g.CompRate)
}

// SetRateLimit changes a limit of the process: of "connections", "sessions" or "ssl-sessions" a second, or of the KiB that
// "http-compression" may read in one. 0 is no limit.
func (e *Engine) SetRateLimit(what string, n int) error {
	if n < 0 {
		return errors.New("Value out of range.") //nolint:staticcheck // HAProxy's text
	}
	switch what {
	case "connections":
		e.rates.Conns.Limit.Store(int64(n))
	case "sessions":
		e.rates.Sessions.Limit.Store(int64(n))
	case "ssl-sessions":
		e.rates.TLS.Limit.Store(int64(n))
	case "http-compression":
		e.compressed.Limit.Store(int64(n) << 10)
	}
	return nil
}

// fillRates adds the rates of the process and their limits.
func (e *Engine) fillRates(i *stats.Info, now time.Time) {
	r := &e.rates
	i.ConnRate, i.MaxConnRate, i.ConnRateLimit = r.Conns.PerSecond(now), r.Conns.Max(), r.Conns.Limit.Load()
	i.SessRate, i.MaxSessRate, i.SessRateLimit = r.Sessions.PerSecond(now), r.Sessions.Max(), r.Sessions.Limit.Load()
	i.SSLRate, i.MaxSSLRate, i.SSLRateLimit = r.TLS.PerSecond(now), r.TLS.Max(), r.TLS.Limit.Load()
	i.SSLKeyRate, i.MaxSSLKeyRate = r.Keys.PerSecond(now), r.Keys.Max()
	i.CurrSSLConns = r.TLSNow.Load()
	c := &e.compressed
	i.CompressIn, i.CompressOut, i.CompressLimit = c.In.PerSecond(now), c.Out.PerSecond(now), c.Limit.Load()
}
