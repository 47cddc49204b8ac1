package proxy

import (
	"gatehouse/internal/table"
)

// What requests count in the stick tables that track them (manual, "stick-table"): the entries of this request, and those of its
// connection in slots the request did not take.

// countRequest counts a request that began.
func (x *exchange) countRequest() { table.Count(&x.s, table.HTTPReqCnt, table.HTTPReqRate, 1) }

// countError counts a request that is the client's error.
func (x *exchange) countError() { table.Count(&x.s, table.HTTPErrCnt, table.HTTPErrRate, 1) }

// countFailure counts a failure of the server.
func (x *exchange) countFailure() { table.Count(&x.s, table.HTTPFailCnt, table.HTTPFailRate, 1) }

// countStatus counts a server's response by its status, as http-err-codes and http-fail-codes say.
func (x *exchange) countStatus() {
	o, status := &x.f.o, x.s.Res.Status
	if o.ErrCodes != nil && o.ErrCodes.Has(status) {
		x.countError()
	}
	if o.FailCodes != nil && o.FailCodes.Has(status) {
		x.countFailure()
	}
}

// countBytes counts what went through: from the client, and from the server, so that answers of our own count nothing.
func (x *exchange) countBytes() {
	s := &x.s
	if s.Counters.Len() == 0 && s.Conn.Counters.Len() == 0 {
		return
	}
	if s.Log.BytesIn > 0 {
		table.Count(s, table.BytesInCnt, table.BytesInRate, uint64(s.Log.BytesIn))
	}
	out := x.tunnelled
	if !x.own {
		out += x.out.Sent()
	}
	if out > 0 {
		table.Count(s, table.BytesOutCnt, table.BytesOutRate, uint64(out))
	}
}
