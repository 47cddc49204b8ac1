package rule

import "gatehouse/internal/stream"

// The handshake messages of TLS, as they stand at the start of a connection (RFC 8446 sections 4 and 5.1).

const (
	recordHeader    = 5 // type, version, length
	handshakeHeader = 4 // type, length
	recordHandshake = 0x16
	typeClientHello = 1

	// helloLeast is the shortest ClientHello that has extensions: version, random and the lengths of what follows.
	helloLeast = 2 + 32 + 1 + 2 + 2 + 1 + 1 + 2 + 2
)

// found says what became of a search in bytes that are still arriving.
type found uint8

const (
	foundNot   found = iota // it is something else, and more bytes would not change that
	foundPart               // what is there fits, and it is not whole
	foundWhole              // it is there
)

// records walks over TLS records at the start of data and calls do with the payload of each handshake record, as far as it
// has arrived. do returns false to stop. The walk ends with foundNot at what is no handshake record, with foundPart at the end of data.
func records(data []byte, do func(payload []byte) bool) found {
	for {
		switch {
		case len(data) == 0:
			return foundPart
		case data[0] != recordHandshake:
			return foundNot
		case len(data) >= 2 && data[1] < 3:
			return foundNot
		case len(data) < recordHeader:
			return foundPart
		}
		n := int(data[3])<<8 | int(data[4])
		if n == 0 {
			return foundNot // RFC 8446 section 5.1 forbids it
		}
		data = data[recordHeader:]
		if !do(data[:min(n, len(data))]) {
			return foundWhole
		}
		if len(data) < n {
			return foundPart
		}
		data = data[n:]
	}
}

// handshakeMessage finds the handshake message at the start of data: its type and its body. The body lies in data when one record holds it
// and is put together in the stream's memory when it spans several.
func handshakeMessage(s *stream.Stream, data []byte) (kind byte, body []byte, ok found) {
	var head [handshakeHeader]byte
	have, size := 0, 0
	var first []byte
	ok = records(data, func(p []byte) bool {
		if have == 0 {
			first = p
		}
		if have < handshakeHeader {
			copy(head[have:], p)
		}
		if have += len(p); have < handshakeHeader {
			return true
		}
		size = handshakeHeader + (int(head[1])<<16 | int(head[2])<<8 | int(head[3]))
		return have < size
	})
	if ok != foundWhole {
		if have > 0 && ok == foundPart {
			return head[0], nil, foundPart
		}
		return 0, nil, ok
	}
	if len(first) >= size {
		return head[0], first[handshakeHeader:size], foundWhole
	}
	whole := s.Build(func(dst []byte) []byte {
		left := size
		records(data, func(p []byte) bool {
			dst = append(dst, p[:min(left, len(p))]...)
			left -= min(left, len(p))
			return left > 0
		})
		return dst
	})
	return head[0], whole[handshakeHeader:], foundWhole
}

// hello is a ClientHello (RFC 8446 section 4.1.2). Its slices point into the message.
type hello struct {
	ciphers    []byte
	extensions []byte // the list without its length
}

// clientHello finds a ClientHello at the start of data.
func clientHello(s *stream.Stream, data []byte) (h hello, ok found) {
	kind, b, ok := handshakeMessage(s, data)
	if ok == foundPart && len(data) > recordHeader && kind != typeClientHello {
		return h, foundNot
	}
	if ok != foundWhole {
		return h, ok
	}
	if kind != typeClientHello || len(b) < helloLeast || b[0] < 3 || b[1] < 1 {
		return h, foundNot
	}
	b = b[2+32:]
	if b[0] > 32 {
		return h, foundNot
	}
	valid := true
	list := func(width int) (v []byte) {
		n := 0
		for i := 0; i < width && len(b) >= width; i++ {
			n = n<<8 | int(b[i])
		}
		if len(b) < width+n {
			valid = false
			return nil
		}
		v, b = b[width:width+n], b[width+n:]
		return v
	}
	list(1) // session id
	h.ciphers = list(2)
	compression := list(1)
	h.extensions = list(2)
	if !valid || len(h.ciphers) < 2 || len(compression) < 1 {
		return hello{}, foundNot
	}
	return h, foundWhole
}

// The extensions that samples look at (IANA registry of TLS ExtensionType values).
const (
	extServerName      = 0
	extSupportedGroups = 10
	extSignatureAlgs   = 13
	extALPN            = 16
	extSessionTicket   = 35
	extKeyShare        = 51
)

// extension returns the content of an extension; false when it is missing or the list is broken before it.
func (h *hello) extension(want int) ([]byte, bool) {
	for b := h.extensions; len(b) >= 4; {
		kind, n := int(b[0])<<8|int(b[1]), int(b[2])<<8|int(b[3])
		if n > len(b)-4 {
			return nil, false
		}
		if kind == want {
			return b[4 : 4+n], true
		}
		b = b[4+n:]
	}
	return nil, false
}

// list returns what an extension's content holds behind a length of two bytes, when that is at least least long.
func (h *hello) list(want, least int) ([]byte, bool) {
	b, ok := h.extension(want)
	if !ok || len(b) < 2 {
		return nil, false
	}
	n := int(b[0])<<8 | int(b[1])
	if n < least || n > len(b)-2 {
		return nil, false
	}
	return b[2 : 2+n], true
}

// serverName is the host name of the server_name extension, as received (RFC 6066 section 3).
func (h *hello) serverName() ([]byte, bool) {
	b, ok := h.list(extServerName, 4)
	if !ok || b[0] != 0 {
		return nil, false
	}
	n := int(b[1])<<8 | int(b[2])
	if n+3 > len(b) {
		return nil, false
	}
	return b[3 : 3+n], true
}

// protocol is the ALPN protocol at an offset in the list, and the offset of the next (RFC 7301 section 3.1).
func (h *hello) protocol(at int) (name []byte, next int, ok bool) {
	b, ok := h.list(extALPN, 1)
	if !ok || at >= len(b) || at+1+int(b[at]) > len(b) {
		return nil, 0, false
	}
	next = at + 1 + int(b[at])
	return b[at+1 : next], next, true
}

// keyShares appends the groups of the key_share extension to dst (RFC 8446 section 4.2.8).
func (h *hello) keyShares(dst []byte) ([]byte, bool) {
	b, ok := h.list(extKeyShare, 4)
	if !ok {
		return dst, false
	}
	for len(b) >= 4 {
		dst = append(dst, b[0], b[1])
		n := 4 + (int(b[2])<<8 | int(b[3]))
		b = b[min(n, len(b)):]
	}
	return dst, true
}
