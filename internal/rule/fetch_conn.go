package rule

import (
	"net/netip"

	"gatehouse/internal/stream"
)

// connFetches are the facts of the client connection below TLS (manual 7.3.3).
func connFetches() []fetch {
	return join(
		alias(fetch{"src", noArgs, stream.KindAddr, needClient, "client's address", plain(addrOf(srcOf))}),
		alias(fetch{"src_port", noArgs, stream.KindInt, needClient, "client's port", plain(portOf(srcOf))}),
		alias(fetch{"dst", noArgs, stream.KindAddr, needClient, "address the client connected to", plain(addrOf(dstOf))}),
		alias(fetch{"dst_port", noArgs, stream.KindInt, needClient, "port the client connected to", plain(portOf(dstOf))}),
		proxyFetches(),
		alias(fetch{"so_name", noArgs, stream.KindStr, needListener, "name of the bind line", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return textOf(s, s.Conn.BindName), s.Conn.BindName != ""
		})}),
		alias(fetch{"so_id", noArgs, stream.KindInt, needListener, "number of the bind line", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return integer(int64(s.Conn.BindID)), true
		})}),
		errFetches("fc", "the client's connection", needClient, func(s *stream.Stream) (int, bool) { return s.Conn.FcErr, true }),
		errFetches("bc", "the connection to the server", needServerAddr, func(s *stream.Stream) (int, bool) { return s.BackErr, s.BackConn }),
	)
}

func srcOf(s *stream.Stream) netip.AddrPort   { return s.Src() }
func dstOf(s *stream.Stream) netip.AddrPort   { return s.Dst() }
func fcSrcOf(s *stream.Stream) netip.AddrPort { return s.Conn.FcSrc }
func fcDstOf(s *stream.Stream) netip.AddrPort { return s.Conn.FcDst }

func addrOf(of func(*stream.Stream) netip.AddrPort) evalFunc {
	return func(s *stream.Stream, _ Env) (Value, bool) {
		a := of(s).Addr()
		if !a.IsValid() {
			return Value{}, false
		}
		return address(a.Unmap()), true
	}
}

func portOf(of func(*stream.Stream) netip.AddrPort) evalFunc {
	return func(s *stream.Stream, _ Env) (Value, bool) {
		a := of(s)
		return integer(int64(a.Port())), a.IsValid()
	}
}

// errFetches tell why a connection failed, under names that begin with prefix; of is false when there is none.
func errFetches(prefix, which string, n need, of func(*stream.Stream) (int, bool)) []fetch {
	named := func(names map[int]string) func(args) (source, error) {
		return plain(func(s *stream.Stream, _ Env) (Value, bool) {
			code, ok := of(s)
			t, known := names[code]
			return textOf(s, t), ok && known
		})
	}
	return []fetch{
		{prefix + "_err", noArgs, stream.KindInt, n, "why " + which + " failed, as a number", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			code, ok := of(s)
			return integer(int64(code)), ok
		})},
		{prefix + "_err_str", noArgs, stream.KindStr, n, "why " + which + " failed", named(connErrors)},
		{prefix + "_err_name", noArgs, stream.KindStr, n, "why " + which + " failed, by HAProxy's name", named(connErrorNames)},
	}
}

// connErrors are the texts of fc_err_str by number.
var connErrors = map[int]string{
	0: "Success",
	1: "Reached configured maxconn value", 2: "Too many sockets on the process", 3: "Too many sockets on the system",
	4: "Out of system buffers", 5: "Protocol or address family not supported", 6: "General socket error",
	7: "Source port range exhausted", 8: "Can't bind to source address", 9: "Out of local source ports on the system",
	10: "Local source address already in use", 11: "Connection closed while waiting for PROXY protocol header",
	12: "Connection error while waiting for PROXY protocol header",
	13: "Timeout while waiting for PROXY protocol header", 14: "Truncated PROXY protocol header received",
	15: "Received something which does not look like a PROXY protocol header", 16: "Received an invalid PROXY protocol header",
	17: "Received an unhandled protocol in the PROXY protocol header",
	18: "Connection closed while waiting for NetScaler Client IP header",
	19: "Connection error while waiting for NetScaler Client IP header",
	20: "Timeout while waiting for a NetScaler Client IP header", 21: "Truncated NetScaler Client IP header received",
	22: "Received an invalid NetScaler Client IP magic number",
	23: "Received an unhandled protocol in the NetScaler Client IP header",
	24: "Connection closed during SSL handshake", 25: "Connection error during SSL handshake",
	26: "Timeout during SSL handshake", 27: "Too many SSL connections",
	28: "Out of memory when initializing an SSL connection", 29: "Rejected a client-initiated SSL renegotiation attempt",
	30: "SSL client CA chain cannot be verified", 31: "SSL client certificate not trusted",
	32: "Server presented an SSL certificate different from the configured one",
	33: "Server presented an SSL certificate different from the expected one",
	34: "SSL handshake failure", 35: "SSL handshake failure after heartbeat",
	36: "Stopped a TLSv1 heartbeat attack (CVE-2014-0160)", 37: "Attempt to use SSL on an unknown target (internal error)",
	38: "Server refused early data", 43: "SSL fatal error",
	44: "Error during QMux transport parameters initial exchange", 45: "Reverse connect failure",
	46: "Poller reported POLLERR", 47: "ECONNREFUSED returned by OS", 48: "ECONNRESET returned by OS", 49: "ENETUNREACH returned by OS",
	50: "ENOMEM returned by OS", 51: "EBADF returned by OS", 52: "EFAULT returned by OS", 53: "EINVAL returned by OS", 54: "ENCONN returned by OS",
	55: "ENSOCK returned by OS", 56: "ENOBUFS returned by OS", 57: "EPIPE returned by OS",
}

// ConnError returns the text of an fc_err number, "" for a number that has none.
func ConnError(n int) string { return connErrors[n] }

// connErrorNames are the names of fc_err_name and bc_err_name by number.
var connErrorNames = map[int]string{
	0: "", 1: "CONF_FDLIM", 2: "PROC_FDLIM", 3: "SYS_FDLIM", 4: "SYS_MEMLIM", 5: "NOPROTO", 6: "SOCK_ERR", 7: "PORT_RANGE", 8: "CANT_BIND", 9: "FREE_PORTS",
	10: "ADDR_INUSE", 11: "PRX_EMPTY", 12: "PRX_ABORT", 13: "PRX_TIMEOUT", 14: "PRX_TRUNCATED", 15: "PRX_NOT_HDR", 16: "PRX_BAD_HDR",
	17: "PRX_BAD_PROTO", 18: "CIP_EMPTY", 19: "CIP_ABORT", 20: "CIP_TIMEOUT", 21: "CIP_TRUNCATED", 22: "CIP_BAD_MAGIC", 23: "CIP_BAD_PROTO",
	24: "SSL_EMPTY", 25: "SSL_ABORT", 26: "SSL_TIMEOUT", 27: "SSL_TOO_MANY", 28: "SSL_NO_MEM", 29: "SSL_RENEG", 30: "SSL_CA_FAIL", 31: "SSL_CRT_FAIL",
	32: "SSL_MISMATCH", 33: "SSL_MISMATCH_SNI", 34: "SSL_HANDSHAKE", 35: "SSL_HANDSHAKE_HB", 36: "SSL_KILLED_HB", 37: "SSL_NO_TARGET",
	38: "SSL_EARLY_FAILED", 43: "SSL_FATAL", 45: "REVERSE", 46: "POLLERR", 47: "EREFUSED", 48: "ERESET", 49: "EUNREACH", 50: "ENOMEM", 51: "EBADF",
	52: "EFAULT", 53: "EINVAL", 54: "ENCONN", 55: "ENSOCK", 56: "ENOBUFS", 57: "EPIPE",
}
