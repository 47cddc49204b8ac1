package backend

import (
	"encoding/binary"
	"hash/crc32"
	"net"
	"net/netip"
	"strconv"

	"gatehouse/internal/cert"
	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// signature opens a version 2 header (PROXY protocol specification, section 2.2).
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// maxProxyHeader bounds a header, as HAProxy's buffer does: fields that would make it longer are left out.
const maxProxyHeader = 16384

// TLV is one field of a version 2 header whose value a format makes.
type TLV struct {
	Type  byte
	Value func(dst []byte, s *stream.Stream) []byte // nil: an empty value
}

// greeting appends the PROXY header that tells the server who the client is. A stream without addresses, such as that of a unix socket, is UNKNOWN
// in version 1 and LOCAL in version 2.
func (s *Server) greeting(dst []byte, st *stream.Stream) []byte {
	src, dstAddr, known := proxyEnds(st.Src(), st.Dst())
	if s.o.Line.SendProxy == 1 {
		return appendProxyLine(dst, known, src, dstAddr)
	}
	return s.appendProxyV2(dst, st, known, src, dstAddr)
}

// checkGreeting is the header of a health check on c: its own ends in version 1, LOCAL in version 2, where nobody's connection is told.
func (s *Server) checkGreeting(c net.Conn) []byte {
	line := &s.o.Line
	switch {
	case line.CheckSendProxy, !s.o.Dynamic && line.SendProxy != 0 && s.CheckPort() == 0 && s.CheckHost() == "":
	default:
		return nil
	}
	if line.SendProxy == 2 {
		return s.appendProxyV2(nil, nil, false, netip.AddrPort{}, netip.AddrPort{})
	}
	local, _ := c.LocalAddr().(*net.TCPAddr)
	remote, _ := c.RemoteAddr().(*net.TCPAddr)
	if local == nil || remote == nil {
		return appendProxyLine(nil, false, netip.AddrPort{}, netip.AddrPort{})
	}
	src, dst, known := proxyEnds(local.AddrPort(), remote.AddrPort())
	return appendProxyLine(nil, known, src, dst)
}

// proxyEnds makes both ends one family, IPv6 when they differ.
func proxyEnds(src, dst netip.AddrPort) (a, b netip.AddrPort, known bool) {
	if !src.IsValid() || !dst.IsValid() {
		return src, dst, false
	}
	from, to := src.Addr().Unmap(), dst.Addr().Unmap()
	if from.Is4() != to.Is4() {
		from, to = netip.AddrFrom16(from.As16()), netip.AddrFrom16(to.As16())
	}
	return netip.AddrPortFrom(from, src.Port()), netip.AddrPortFrom(to, dst.Port()), true
}

func appendProxyLine(b []byte, known bool, src, dst netip.AddrPort) []byte {
	if !known {
		return append(b, "PROXY UNKNOWN\r\n"...)
	}
	family := " TCP6 "
	if src.Addr().Is4() {
		family = " TCP4 "
	}
	b = append(append(b, "PROXY"...), family...)
	b = src.Addr().AppendTo(b)
	b = append(b, ' ')
	b = dst.Addr().AppendTo(b)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(src.Port()), 10)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(dst.Port()), 10)
	return append(b, '\r', '\n')
}

// appendProxyV2 writes addresses and fields in HAProxy's order. st is nil in a health check.
func (s *Server) appendProxyV2(dst []byte, st *stream.Stream, known bool, src, to netip.AddrPort) []byte {
	start := len(dst)
	dst = append(dst, signature...)
	switch {
	case !known:
		dst = append(dst, 0x20, 0x00, 0, 0)
	case src.Addr().Is4():
		dst = append(dst, 0x21, 0x11, 0, 0)
	default:
		dst = append(dst, 0x21, 0x21, 0, 0)
	}
	if known {
		dst = appendAddr(appendAddr(dst, src.Addr()), to.Addr())
		dst = binary.BigEndian.AppendUint16(dst, src.Port())
		dst = binary.BigEndian.AppendUint16(dst, to.Port())
	}
	w := fields{b: dst, start: start}
	sum := s.writeFields(&w, st)
	binary.BigEndian.PutUint16(w.b[start+14:], uint16(len(w.b)-start-16))
	if sum > 0 {
		binary.BigEndian.PutUint32(w.b[sum:], crc32.Checksum(w.b[start:], castagnoli))
	}
	return w.b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendAddr(dst []byte, a netip.Addr) []byte {
	if a.Is4() {
		b := a.As4()
		return append(dst, b[:]...)
	}
	b := a.As16()
	return append(dst, b[:]...)
}

// fields writes type-length-value fields.
type fields struct {
	b     []byte
	start int // of the header
}

// open begins a field whose value follows; close ends it, and takes it back when it does not fit.
func (w *fields) open(kind byte) (at int) {
	w.b = append(w.b, kind, 0, 0)
	return len(w.b)
}

func (w *fields) close(at int) bool {
	if len(w.b)-w.start > maxProxyHeader {
		w.b = w.b[:at-3]
		return false
	}
	binary.BigEndian.PutUint16(w.b[at-2:], uint16(len(w.b)-at))
	return true
}

func (w *fields) text(kind byte, value string) {
	at := w.open(kind)
	w.b = append(w.b, value...)
	w.close(at)
}

// writeFields writes what the options ask for, and returns where the checksum goes, 0 for none.
func (s *Server) writeFields(w *fields, st *stream.Stream) (sum int) {
	options := s.o.Line.ProxyV2
	if st != nil {
		for i := range s.o.TLVs {
			at := w.open(s.o.TLVs[i].Type)
			if f := s.o.TLVs[i].Value; f != nil {
				w.b = f(w.b, st)
			}
			w.close(at)
		}
	}
	if options&config.ProxyCRC32C != 0 {
		at := w.open(stream.TLVCRC32C)
		w.b = append(w.b, 0, 0, 0, 0)
		if w.close(at) {
			sum = at
		}
	}
	var front *stream.TLS
	if st != nil {
		if front = st.Conn.TLS; front != nil && front.ALPN != "" {
			w.text(stream.TLVAlpn, front.ALPN)
		}
		if options&config.ProxyAuthority != 0 {
			if v, ok := st.Conn.ProxyTLVs.Get(stream.TLVAuthority); ok {
				w.text(stream.TLVAuthority, string(v))
			} else if front != nil && front.SNI != "" {
				w.text(stream.TLVAuthority, front.SNI)
			}
		}
		if options&config.ProxyUniqueID != 0 {
			id, _ := st.UniqueID()
			w.text(stream.TLVUniqueID, string(id))
		}
	}
	if options&config.ProxySSL != 0 {
		writeTLS(w, front, options)
	}
	return sum
}

// The fields inside the one about TLS, and its bits (specification, section 2.2.6).
const (
	subVersion = 0x21
	subCN      = 0x22
	subCipher  = 0x23
	subSigAlg  = 0x24
	subKeyAlg  = 0x25

	clientSSL      = 1
	clientCertConn = 2
	clientCertSess = 4
)

// writeTLS tells of the client's TLS. Key and signature algorithms are those of our own certificate.
func writeTLS(w *fields, front *stream.TLS, options config.ProxyV2) {
	at := w.open(stream.TLVSSL)
	w.b = append(w.b, 0, 0, 0, 0, 0)
	if front != nil {
		w.b[at] = clientSSL
		if len(front.ClientCert) > 0 {
			if w.b[at] |= clientCertSess; !front.Resumed {
				w.b[at] |= clientCertConn
			}
			binary.BigEndian.PutUint32(w.b[at+1:], uint32(front.VerifyErr))
		}
		w.text(subVersion, cert.VersionName(front.Version))
		if len(front.ClientCert) > 0 && options&config.ProxyCertCN != 0 {
			if cn, ok := cert.DNEntryOf(front.ClientCert[0].RawSubject, "CN", 1); ok {
				w.text(subCN, string(cn))
			}
		}
		own, ok := cert.ReadFields(front.OwnCert)
		if name := own.KeyName(); ok && options&config.ProxyCertKey != 0 && name != "" {
			w.text(subKeyAlg, name)
		}
		if name := own.SigAlg(); ok && options&config.ProxyCertSig != 0 && name != "" {
			w.text(subSigAlg, name)
		}
		if options&config.ProxySSLCipher != 0 {
			w.text(subCipher, cert.CipherName(front.Cipher))
		}
	}
	w.close(at)
}
