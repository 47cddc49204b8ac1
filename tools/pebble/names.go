package main

import (
	"net"

	"github.com/miekg/dns"
)

// serveNames starts a DNS server on a loopback port, over TCP as Pebble asks, for which every name is 127.0.0.1.
func serveNames() (*dns.Server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	started := make(chan struct{})
	server := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(loopback), NotifyStartedFunc: func() { close(started) }}
	failed := make(chan error, 1)
	go func() { failed <- server.ActivateAndServe() }()
	select {
	case <-started:
		return server, nil
	case err := <-failed:
		return nil, err
	}
}

// loopback answers A with 127.0.0.1 and everything else with nothing.
func loopback(w dns.ResponseWriter, query *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(query)
	for _, q := range query.Question {
		if q.Qtype == dns.TypeA {
			reply.Answer = append(reply.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1),
			})
		}
	}
	w.WriteMsg(reply)
}
