package rule

import (
	"fmt"
	"strconv"

	"gatehouse/internal/stream"
)

// packetActions mark the packets of the client's connection (fc, or no prefix) or of the server's (bc).
func packetActions() []action {
	front := func(s *stream.Stream) *stream.Packets { return &s.FrontPackets }
	back := func(s *stream.Stream) *stream.Packets { return &s.BackPackets }
	client, server := atRequest|atResponse|atTCP, atRequest|atContent
	return []action{
		{"set-fc-mark", client, "netfilter mark of packets to the client", bindPackets(front, setMark)},
		{"set-mark", client, "netfilter mark of packets to the client", bindPackets(front, setMark)},
		{"set-bc-mark", server, "netfilter mark of packets to the server", bindPackets(back, setMark)},
		{"set-fc-tos", client, "type of service of packets to the client", bindPackets(front, setTOS)},
		{"set-tos", client, "type of service of packets to the client", bindPackets(front, setTOS)},
		{"set-bc-tos", server, "type of service of packets to the server", bindPackets(back, setTOS)},
	}
}

func setMark(p *stream.Packets, n int64) { p.Mark, p.HasMark = int(uint32(n)), true }
func setTOS(p *stream.Packets, n int64)  { p.TOS, p.HasTOS = int(n&0xff), true }

// bindPackets reads a number, decimal, octal or hexadecimal, or an expression.
func bindPackets(of func(*stream.Stream) *stream.Packets, set func(*stream.Packets, int64)) func(*ruleParser) (actionFunc, error) {
	return func(p *ruleParser) (actionFunc, error) {
		if len(p.words) == 0 || p.words[0] == "" {
			return nil, fmt.Errorf("expects an argument")
		}
		if n, err := strconv.ParseInt(p.words[0], 0, 64); err == nil {
			p.next()
			return func(s *stream.Stream, _ Env) Verdict {
				set(of(s), n)
				return goOn
			}, nil
		}
		x, err := p.expr("expects an argument")
		if err != nil {
			return nil, err
		}
		if !p.in.has(x.need) {
			return nil, fmt.Errorf("fetch method '%s' extracts information from '%s', none of which is available here", p.word, x.need)
		}
		return func(s *stream.Stream, env Env) Verdict {
			if v, ok := x.Eval(s, env); ok {
				if v, ok = cast(s, v, stream.KindInt); ok {
					set(of(s), v.Int)
				}
			}
			return goOn
		}, nil
	}
}
