package rule

import (
	"fmt"

	"gatehouse/internal/stream"
)

// Service answers requests in the server's stead (http-request use-service). The reply must not change any more once it is returned.
type Service func(s *stream.Stream) *Reply

func serviceActions() []action {
	return []action{{"use-service", atRequest, "answer with a built-in service: prometheus-exporter", bindService}}
}

func bindService(p *ruleParser) (actionFunc, error) {
	name, ok := p.next()
	if !ok {
		return nil, fmt.Errorf("'%s' expects a service name.", p.word)
	}
	var serve Service
	if p.c.Services != nil {
		serve = p.c.Services(name)
	}
	if serve == nil {
		return nil, fmt.Errorf("'%s' unknown service name: it is not supported", name)
	}
	return func(s *stream.Stream, _ Env) Verdict {
		r := serve(s)
		return Verdict{Kind: VerdictReturn, Reply: r, Status: r.Status}
	}, nil
}
