package rule

import "gatehouse/internal/stream"

// helloFetches read the first message of a TLS connection that is passed on as it is (manual 7.3.5). They need a tcp-request
// inspect-delay and a rule that waits for the message, such as "tcp-request content accept if { req.ssl_hello_type 1 }".
func helloFetches() []fetch {
	r := func(name string, out stream.Kind, doc string, bind func(args) (source, error)) fetch {
		return fetch{name, noArgs, out, needReqBuffer, doc, bind}
	}
	return join(
		alias(r("req.ssl_sni", stream.KindStr, "server name in the ClientHello, as received", ofHello(func(_ *stream.Stream, h *hello) (Value, bool) {
			b, ok := h.serverName()
			return text(b), ok
		})), "req_ssl_sni"),
		alias(r("req.ssl_hello_type", stream.KindInt, "type of the first handshake message; 1 is a ClientHello", plain(helloType(requestBytes))), "req_ssl_hello_type"),
		alias(fetch{"res.ssl_hello_type", noArgs, stream.KindInt, needResBuffer, "type of the server's first handshake message; 2 is a ServerHello",
			plain(helloType(responseBytes))}, "rep_ssl_hello_type"),
		alias(r("req.ssl_ver", stream.KindInt, "version in the ClientHello: major*65536+minor, 3.3 is TLS 1.2", plain(helloVersion)), "req_ssl_ver"),
		[]fetch{
			r("req.ssl_alpn", stream.KindStr, "ALPN protocols in the ClientHello", bindHelloALPN),
			r("req.ssl_cipherlist", stream.KindBin, "cipher suites in the ClientHello", ofHello(func(_ *stream.Stream, h *hello) (Value, bool) {
				return binval(h.ciphers), true
			})),
			r("req.ssl_sigalgs", stream.KindBin, "signature algorithms in the ClientHello", helloList(extSignatureAlgs)),
			r("req.ssl_supported_groups", stream.KindBin, "groups in the ClientHello", helloList(extSupportedGroups)),
			r("req.ssl_keyshare_groups", stream.KindBin, "groups of the key shares in the ClientHello", ofHello(func(s *stream.Stream, h *hello) (Value, bool) {
				b, ok := h.keyShares(s.Work())
				return binval(s.Return(b)), ok
			})),
			r("req.ssl_ec_ext", stream.KindBool, "the ClientHello lists groups", ofHello(func(_ *stream.Stream, h *hello) (Value, bool) {
				_, ok := h.extension(extSupportedGroups)
				return boolean(true), ok
			})),
			r("req.ssl_st_ext", stream.KindInt, "session ticket in the ClientHello: 0 no extension, 1 empty, 2 a ticket", ofHello(func(_ *stream.Stream, h *hello) (Value, bool) {
				b, ok := h.extension(extSessionTicket)
				switch {
				case !ok:
					return integer(0), true
				case len(b) == 0:
					return integer(1), true
				}
				return integer(2), true
			})),
		},
	)
}

// ofHello makes a fetch of what a function reads in a ClientHello that is whole.
func ofHello(get func(s *stream.Stream, h *hello) (Value, bool)) func(args) (source, error) {
	return plain(func(s *stream.Stream, _ Env) (Value, bool) {
		h, ok := requestHello(s)
		if !ok {
			return Value{}, false
		}
		return get(s, &h)
	})
}

// requestHello is the client's hello; a part of one sets Missing.
func requestHello(s *stream.Stream) (hello, bool) {
	b, ok := requestBytes(s)
	if !ok {
		return hello{}, false
	}
	h, state := clientHello(s, b)
	if state == foundPart {
		wanting(s)
	}
	return h, state == foundWhole
}

func helloList(extension int) func(args) (source, error) {
	return ofHello(func(_ *stream.Stream, h *hello) (Value, bool) {
		b, ok := h.list(extension, 2)
		return binval(b), ok
	})
}

// bindHelloALPN gives the first protocol; conditions try each.
func bindHelloALPN(args) (source, error) {
	each := func(s *stream.Stream, _ Env, at cursor) (Value, cursor, bool) {
		h, ok := requestHello(s)
		if !ok {
			return Value{}, at, false
		}
		name, next, ok := h.protocol(at.offset)
		return text(name), cursor{offset: next}, ok
	}
	return source{each: each, one: func(s *stream.Stream, env Env) (Value, bool) {
		v, _, ok := each(s, env, cursor{})
		return v, ok
	}}, nil
}

// helloType is the type of the handshake message at the start of a direction. Records of the other types (alerts, application
// data) have something else where the type would stand; HAProxy returns that, as we do.
func helloType(of rawBytes) evalFunc {
	return func(s *stream.Stream, _ Env) (Value, bool) {
		b, ok := of(s)
		if !ok {
			return Value{}, false
		}
		if len(b) > 0 && b[0] == recordHandshake {
			kind, _, state := handshakeMessage(s, b)
			if state == foundPart {
				return wanting(s)
			}
			return integer(int64(kind)), state == foundWhole
		}
		switch {
		case len(b) == 0:
			return wanting(s)
		case !recordType(b[0]):
			return Value{}, false
		case len(b) < recordHeader+handshakeHeader:
			return wanting(s)
		case b[1] < 3 || int(b[3])<<8|int(b[4]) < handshakeHeader:
			return Value{}, false
		case len(b) < recordHeader+handshakeHeader+(int(b[6])<<16|int(b[7])<<8|int(b[8])):
			return wanting(s)
		}
		return integer(int64(b[5])), true
	}
}

// recordType reports whether a byte begins a record: change_cipher_spec to application_data, or 255, which HAProxy takes too.
func recordType(b byte) bool { return b >= 0x14 && b <= 0x17 || b == 0xff }

// helloVersion is the version that the ClientHello names; not TLS 1.3, which stands in an extension.
func helloVersion(s *stream.Stream, _ Env) (Value, bool) {
	b, ok := requestBytes(s)
	switch {
	case !ok:
		return Value{}, false
	case len(b) == 0:
		return wanting(s)
	case !recordType(b[0]):
		return sslv2Version(s, b)
	case len(b) < recordHeader+handshakeHeader+2:
		return wanting(s)
	}
	size := int(b[3])<<8 | int(b[4])
	if b[1] < 3 || size < 6 || size > 1<<14+2048 {
		return Value{}, false
	}
	if len(b) < recordHeader+min(size, maxPayload-recordHeader) {
		return wanting(s)
	}
	return integer(int64(b[9])<<16 | int64(b[10])), true
}

// sslv2Version reads the hello of SSL 2, in which old clients offered newer versions (RFC 5246 appendix E.2).
func sslv2Version(s *stream.Stream, b []byte) (Value, bool) {
	header, pad, size := 2, 0, int(b[0]&0x7f)<<8
	if b[0]&0x80 == 0 {
		header, size = 3, int(b[0]&0x3f)<<8
	}
	if len(b) <= header {
		return wanting(s)
	}
	if size |= int(b[1]); header == 3 {
		pad = int(b[2])
	}
	if b = b[header:]; b[0] != typeClientHello {
		return Value{}, false
	}
	if b = b[1:]; len(b) < 8 {
		return wanting(s)
	}
	ciphers, session, challenge := int(b[2])<<8|int(b[3]), int(b[4])<<8|int(b[5]), int(b[6])<<8|int(b[7])
	switch {
	case ciphers%3 != 0 || session != 0 && session != 16 || challenge < 16 || challenge > 32 || size != 9+ciphers+session+challenge:
		return Value{}, false
	case len(b)-8 < ciphers+session+challenge+pad:
		return wanting(s)
	}
	return integer(int64(b[0])<<16 | int64(b[1])), true
}
