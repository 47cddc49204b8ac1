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
	h := &stream.Hello{Version: tls.VersionTLS12}
	newer := slices.Contains(hello.Extensions, extensionVersions)
	if !newer { // crypto/tls then derives the list from the version
		for _, v := range hello.SupportedVersions {
			h.Version = v
			break
		}
	}
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
