package rule

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"gatehouse/internal/stream"
)

// proxyFetches are the ends of the connection itself and what a PROXY header told (manual 7.3.3).
func proxyFetches() []fetch {
	local := func(of func(*stream.Stream) netip.AddrPort) func(args) (source, error) { return plain(isLocal(of)) }
	return []fetch{
		{"fc_src", noArgs, stream.KindAddr, needClient, "peer's address, whatever a PROXY header told", plain(addrOf(fcSrcOf))},
		{"fc_src_port", noArgs, stream.KindInt, needClient, "peer's port", plain(portOf(fcSrcOf))},
		{"fc_dst", noArgs, stream.KindAddr, needClient, "address the peer connected to", plain(addrOf(fcDstOf))},
		{"fc_dst_port", noArgs, stream.KindInt, needClient, "port the peer connected to", plain(portOf(fcDstOf))},
		{"src_is_local", noArgs, stream.KindBool, needClient, "src is an address of this machine", local(srcOf)},
		{"dst_is_local", noArgs, stream.KindBool, needClient, "dst is an address of this machine", local(dstOf)},
		{"fc_src_is_local", noArgs, stream.KindBool, needClient, "fc_src is an address of this machine", local(fcSrcOf)},
		{"fc_dst_is_local", noArgs, stream.KindBool, needClient, "fc_dst is an address of this machine", local(fcDstOf)},
		{"fc_rcvd_proxy", noArgs, stream.KindBool, needClient, "the connection began with a PROXY header", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return boolean(s.Conn.Proxied), true
		})},
		{"fc_pp_authority", noArgs, stream.KindStr, needClient, "authority that the PROXY header told", plain(proxyTLV(stream.TLVAuthority))},
		{"fc_pp_unique_id", noArgs, stream.KindStr, needClient, "unique ID that the PROXY header told", plain(proxyTLV(stream.TLVUniqueID))},
		{"fc_pp_tlv", takes(1, argStr), stream.KindStr, needTLS, "values of one type that the PROXY header told", bindTLV},
	}
}

// Locality tells whether an address belongs to this machine. An Env may have it; without it src_is_local and the like fail.
type Locality interface {
	IsLocal(a netip.Addr) (local, ok bool)
}

func isLocal(of func(*stream.Stream) netip.AddrPort) evalFunc {
	return func(s *stream.Stream, env Env) (Value, bool) {
		machine, ok := env.(Locality)
		a := of(s).Addr().Unmap()
		if !ok || !a.IsValid() {
			return Value{}, false
		}
		local, ok := machine.IsLocal(a)
		return boolean(local), ok
	}
}

func proxyTLV(kind byte) evalFunc {
	return func(s *stream.Stream, _ Env) (Value, bool) {
		v, ok := s.Conn.ProxyTLVs.Get(kind)
		return text(v), ok
	}
}

func bindTLV(a args) (source, error) {
	kind, err := TLVType(a.str(0))
	if err != nil {
		return source{}, err
	}
	return source{one: proxyTLV(kind), each: func(s *stream.Stream, _ Env, at cursor) (Value, cursor, bool) {
		v, next, ok := s.Conn.ProxyTLVs.Next(kind, at.offset)
		return text(v), cursor{offset: next}, ok
	}}, nil
}

// tlvNames are the types that the PROXY protocol specification and HAProxy name.
var tlvNames = map[string]byte{"ALPN": 0x01, "AUTHORITY": 0x02, "CRC32C": 0x03, "NOOP": 0x04, "UNIQUE_ID": 0x05, "SSL": 0x20, "SSL_VERSION": 0x21,
	"SSL_CN": 0x22, "SSL_CIPHER": 0x23, "SSL_SIG_ALG": 0x24, "SSL_KEY_ALG": 0x25, "NETNS": 0x30}

// TLVType reads the type of a field of a PROXY header: its name in any case, or a number up to 255, as 234, 0xEA or 0352.
func TLVType(word string) (byte, error) {
	if kind, ok := tlvNames[strings.ToUpper(word)]; ok {
		return kind, nil
	}
	n, err := strconv.ParseUint(word, 0, 63)
	switch {
	case err != nil || strings.Contains(word, "_"):
		return 0, fmt.Errorf("Could not convert type '%s'", word)
	case n > 255:
		return 0, fmt.Errorf("Invalid TLV Type '%s'", word)
	}
	return byte(n), nil
}
