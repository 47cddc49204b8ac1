package listener

import (
	"crypto/tls"
	"encoding/binary"
	"slices"

	"gatehouse/internal/stream"
)

// extensionVersions is the number of the extension supported_versions (RFC 8446 section 4.2).
const extensionVersions = 43

// helloOf keeps at most size bytes of what a client offered, in HAProxy's order (manual, tune.ssl.capture-buffer-size).
func helloOf(hello *tls.ClientHelloInfo, size int) *stream.Hello {
	// crypto/tls does not tell the version of the hello. It is the newest offered, but at most TLS 1.2 (RFC 8446 section 4.1.2). Without the
	// extension crypto/tls derives the list from that version.
	h := &stream.Hello{Version: min(newest(hello.SupportedVersions), tls.VersionTLS12)}
	newer := slices.Contains(hello.Extensions, extensionVersions)
	room := size
	h.Ciphers = numbers(hello.CipherSuites, &room)
	h.Extensions = numbers(hello.Extensions, &room)
	h.Groups = numbers(hello.SupportedCurves, &room)
	h.PointFormats = slices.Clone(hello.SupportedPoints[:min(room, len(hello.SupportedPoints))])
	room -= len(h.PointFormats)
	if newer {
		h.Versions = numbers(hello.SupportedVersions, &room)
	}
	h.SigAlgs = numbers(hello.SignatureSchemes, &room)
	return h
}

func numbers[T ~uint16](list []T, room *int) []byte {
	b := make([]byte, 0, min(2*len(list), max(*room, 0)))
	for _, n := range list {
		if len(b)+2 > *room {
			break
		}
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	*room -= len(b)
	return b
}

// newest is the newest of versions, GREASE (RFC 8701) left out; 0 without one.
func newest(versions []uint16) (v uint16) {
	for _, x := range versions {
		if x>>8 == 3 {
			v = max(v, x)
		}
	}
	return v
}
