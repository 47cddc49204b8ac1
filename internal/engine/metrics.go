package engine

import (
	"bytes"
	"time"

	"gatehouse/internal/rule"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// service finds what use-service names.
func (b *builder) service(name string) rule.Service {
	if name == "prometheus-exporter" {
		return b.e.metrics
	}
	return nil
}

// metrics answers a scrape with the counters of the generation that serves. As in HAProxy the method of a request means nothing.
func (e *Engine) metrics(s *stream.Stream) *stream.Reply {
	_, query, _ := bytes.Cut(s.Req.PathQuery(), []byte{'?'})
	query, _, _ = bytes.Cut(query, []byte{'#'})
	q, ok := stats.ParseMetricsQuery(string(query))
	if !ok {
		return &stream.Reply{Status: 400, ErrorFile: 400}
	}
	m := stats.NewMetrics(q, e.descriptionOf)
	if e.o.Info != nil {
		m.Info(e.processInfo(), time.Now())
	}
	for row := range e.Rows() {
		m.Row(row)
		if m.TooBig() {
			return &stream.Reply{Status: 500, ErrorFile: 500}
		}
	}
	for _, t := range e.Tables() {
		m.Table(t.Name(), t.TypeName(), t.Size(), t.Used())
	}
	if m.TooBig() {
		return &stream.Reply{Status: 500, ErrorFile: 500}
	}
	return &stream.Reply{Status: 200, LengthAt: 2, Body: m.Append(nil), Fields: []stream.Field{
		{Name: []byte("cache-control"), Value: []byte("no-cache")},
		{Name: []byte("content-type"), Value: []byte("text/plain; version=0.0.4")},
	}}
}

// processInfo is show info with the description of the generation that serves.
func (e *Engine) processInfo() *stats.Info {
	i := e.o.Info()
	if g := e.gen.Load(); g != nil {
		i.Description = g.cfg.Global.Description
	}
	return i
}

// descriptionOf is what a section's description line says.
func (e *Engine) descriptionOf(proxy string) string {
	g := e.gen.Load()
	if g == nil || g.byName[proxy] == nil {
		return ""
	}
	return g.byName[proxy].cfg.Description
}
