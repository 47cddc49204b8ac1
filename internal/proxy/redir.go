package proxy

import (
	"errors"

	"gatehouse/internal/backend"
	"gatehouse/internal/stream"
)

// redirectable reports whether a server with `redir` may send the client elsewhere instead of being asked.
func (x *exchange) redirectable() bool {
	m := string(x.s.Received())
	return m == "GET" || m == "HEAD"
}

// sendElsewhere answers in the stead of a server that wants its clients to come by themselves (manual section 5.2, "redir").
func (x *exchange) sendElsewhere(err error) {
	var e *backend.Error
	if !errors.As(err, &e) {
		return
	}
	s := &x.s
	to := s.Build(func(b []byte) []byte {
		if e.Redir != "/" {
			b = append(b, e.Redir...)
		}
		return append(b, s.Req.PathQuery()...)
	})
	x.emit(&stream.Reply{Status: 302, LengthAt: 1, Fields: []stream.Field{
		{Name: []byte("cache-control"), Value: []byte("no-cache")}, {Name: []byte("location"), Value: to},
	}}, true)
}
