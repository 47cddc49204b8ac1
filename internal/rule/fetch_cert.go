package rule

import (
	"crypto/sha1"
	"fmt"
	"strconv"

	"gatehouse/internal/cert"
	"gatehouse/internal/stream"
)

// owner is whose certificate a fetch is about: its DER, nil when there is none.
type owner func(s *stream.Stream) []byte

func clientCert(s *stream.Stream) []byte { return leafOf(s.Conn.TLS) }
func serverCert(s *stream.Stream) []byte { return leafOf(s.BackTLS) }

func ownCert(s *stream.Stream) []byte {
	if s.Conn.TLS == nil {
		return nil
	}
	return s.Conn.TLS.OwnCert
}

func leafOf(t *stream.TLS) []byte {
	if t == nil || len(t.ClientCert) == 0 {
		return nil
	}
	return t.ClientCert[0].Raw
}

// certFetches are the parts of the three certificates of a stream: the client's (ssl_c), our own (ssl_f), and the server's (ssl_s)
// (manual 7.3.4).
func certFetches() []fetch {
	return join(
		partsOf("ssl_c", "client's certificate", needTLS, clientCert),
		partsOf("ssl_f", "our certificate", needTLS, ownCert),
		partsOf("ssl_s", "server's certificate", needServerConn, serverCert),
		[]fetch{
			{"ssl_c_chain_der", noArgs, stream.KindBin, needTLS, "certificates that the client sent along with its own, DER", plain(chainDER(frontTLS, 1))},
			{"ssl_s_chain_der", noArgs, stream.KindBin, needServerConn, "server's certificate and its chain, DER", plain(chainDER(backTLS, 0))},
			{"ssl_c_san", noArgs, stream.KindStr, needTLS, "subject alternative names of the client's certificate", plain(func(s *stream.Stream, _ Env) (Value, bool) {
				f, ok := cert.ReadFields(clientCert(s))
				if !ok || f.SubjectAltName() == nil {
					return Value{}, false
				}
				return textOf(s, cert.AltNames(f.SubjectAltName())), true
			})},
			{"ssl_c_r_dn", dnArgs, stream.KindStr, needTLS, "name of the authority that the client's certificate leads to", bindDN(func(s *stream.Stream) []byte {
				if s.Conn.TLS == nil {
					return nil
				}
				return s.Conn.TLS.ClientRoot
			})},
		})
}

// dnArgs are the attribute, its occurrence, and the format of the whole.
var dnArgs = takes(0, argStr, argInt, argStr)

func partsOf(prefix, whose string, n need, of owner) []fetch {
	part := func(f func(s *stream.Stream, c *cert.Fields) (Value, bool)) func(args) (source, error) {
		return plain(func(s *stream.Stream, _ Env) (Value, bool) {
			c, ok := cert.ReadFields(of(s))
			if !ok {
				return Value{}, false
			}
			return f(s, &c)
		})
	}
	name := func(f func(c *cert.Fields) []byte) func(args) (source, error) {
		return bindDN(func(s *stream.Stream) []byte {
			c, ok := cert.ReadFields(of(s))
			if !ok {
				return nil
			}
			return f(&c)
		})
	}
	word := func(f func(c *cert.Fields) string) func(args) (source, error) {
		return part(func(s *stream.Stream, c *cert.Fields) (Value, bool) {
			w := f(c)
			return textOf(s, w), w != ""
		})
	}
	return []fetch{
		{prefix + "_der", noArgs, stream.KindBin, n, whose + ", DER", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			der := of(s)
			return binval(der), der != nil
		})},
		{prefix + "_serial", noArgs, stream.KindBin, n, "serial number of " + whose, part(func(_ *stream.Stream, c *cert.Fields) (Value, bool) { return binval(c.Serial), true })},
		{prefix + "_sha1", noArgs, stream.KindBin, n, "SHA-1 of " + whose, plain(func(s *stream.Stream, _ Env) (Value, bool) {
			der := of(s)
			if der == nil {
				return Value{}, false
			}
			sum := sha1.Sum(der)
			return binval(s.Scratch(sum[:])), true
		})},
		{prefix + "_notbefore", noArgs, stream.KindStr, n, "start of " + whose + " as YYMMDDhhmmssZ", part(func(_ *stream.Stream, c *cert.Fields) (Value, bool) {
			return text(c.NotBefore.Text()), c.NotBefore.Text() != nil
		})},
		{prefix + "_notafter", noArgs, stream.KindStr, n, "end of " + whose + " as YYMMDDhhmmssZ", part(func(_ *stream.Stream, c *cert.Fields) (Value, bool) {
			return text(c.NotAfter.Text()), c.NotAfter.Text() != nil
		})},
		{prefix + "_version", noArgs, stream.KindInt, n, "version of " + whose, part(func(_ *stream.Stream, c *cert.Fields) (Value, bool) {
			return integer(int64(c.Version)), true
		})},
		{prefix + "_key_alg", noArgs, stream.KindStr, n, "algorithm of the key of " + whose, word((*cert.Fields).KeyAlg)},
		{prefix + "_sig_alg", noArgs, stream.KindStr, n, "algorithm that " + whose + " is signed with", word((*cert.Fields).SigAlg)},
		{prefix + "_s_dn", dnArgs, stream.KindStr, n, "subject of " + whose + ", or one part of it", name(func(c *cert.Fields) []byte { return c.Subject })},
		{prefix + "_i_dn", dnArgs, stream.KindStr, n, "issuer of " + whose + ", or one part of it", name(func(c *cert.Fields) []byte { return c.Issuer })},
	}
}

// chainDER leaves out the first certificates: OpenSSL's chain of a client has not the client's own in it.
func chainDER(of side, from int) evalFunc {
	return func(s *stream.Stream, _ Env) (Value, bool) {
		t := of(s)
		if t == nil || t.Failed || len(t.ClientCert) <= from {
			return Value{}, false
		}
		return binval(s.Build(func(dst []byte) []byte {
			for _, c := range t.ClientCert[from:] {
				dst = append(dst, c.Raw...)
			}
			return dst
		})), true
	}
}

// bindDN reads (attribute, occurrence, format): one attribute, or the whole name on one line or as RFC 2253.
func bindDN(of func(s *stream.Stream) []byte) func(a args) (source, error) {
	return func(a args) (source, error) {
		entry, n, format := a.str(0), int(a.num(1, 1)), a.str(2)
		if format != "" && format != "rfc2253" {
			return source{}, fmt.Errorf("only rfc2253 or a blank value are currently supported")
		}
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			name := of(s)
			if name == nil {
				return Value{}, false
			}
			switch {
			case entry != "":
				v, ok := cert.DNEntryOf(name, entry, n)
				return text(v), ok
			case format != "":
				v := cert.DN2253(name)
				return textOf(s, v), v != ""
			}
			v := cert.DN(name)
			return textOf(s, v), v != ""
		}}, nil
	}
}

// capturedFetches are what the client offered in its ClientHello, when tune.ssl.capture-buffer-size keeps it.
func capturedFetches() []fetch {
	list := func(of func(h *stream.Hello) []byte) func(a args) (source, error) {
		return func(a args) (source, error) {
			plainly := a.num(0, 0) == 0
			return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
				h := capturedHello(s)
				if h == nil {
					return Value{}, false
				}
				if plainly {
					return binval(of(h)), true
				}
				return binval(s.Build(func(dst []byte) []byte { return withoutGREASE(dst, of(h)) })), true
			}}, nil
		}
	}
	ciphers := func(h *stream.Hello) []byte { return h.Ciphers }
	then := func(f func(s *stream.Stream, b []byte) Value) func(a args) (source, error) {
		return func(a args) (source, error) {
			raw, err := list(ciphers)(a)
			return source{one: func(s *stream.Stream, env Env) (Value, bool) {
				v, ok := raw.one(s, env)
				if !ok {
					return v, false
				}
				return f(s, v.Bytes), true
			}}, err
		}
	}
	filter := takes(0, argInt)
	return []fetch{
		{"ssl_fc_cipherlist_bin", filter, stream.KindBin, needTLS, "ciphers the client offered; without GREASE with 1", list(ciphers)},
		{"ssl_fc_cipherlist_hex", filter, stream.KindBin, needTLS, "the same in hexadecimal", then(func(s *stream.Stream, b []byte) Value {
			return binval(s.Build(func(dst []byte) []byte {
				for _, c := range b {
					dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
				}
				return dst
			}))
		})},
		{"ssl_fc_cipherlist_str", filter, stream.KindStr, needTLS, "the same by OpenSSL's names", then(cipherNames)},
		{"ssl_fc_cipherlist_xxh", noArgs, stream.KindInt, needTLS, "xxHash of 64 bits of the ciphers the client offered", then(func(_ *stream.Stream, b []byte) Value {
			return integer(xxh64(b, 0))
		})},
		{"ssl_fc_extlist_bin", filter, stream.KindBin, needTLS, "extensions the client sent; without GREASE with 1", list(func(h *stream.Hello) []byte { return h.Extensions })},
		{"ssl_fc_eclist_bin", filter, stream.KindBin, needTLS, "groups the client offered; without GREASE with 1", list(func(h *stream.Hello) []byte { return h.Groups })},
		{"ssl_fc_ecformats_bin", noArgs, stream.KindBin, needTLS, "point formats the client offered", list(func(h *stream.Hello) []byte { return h.PointFormats })},
		{"ssl_fc_supported_versions_bin", filter, stream.KindBin, needTLS, "versions the client offered; without GREASE with 1", list(func(h *stream.Hello) []byte { return h.Versions })},
		{"ssl_fc_sigalgs_bin", filter, stream.KindBin, needTLS, "signature algorithms the client offered; without GREASE with 1", list(func(h *stream.Hello) []byte { return h.SigAlgs })},
		{"ssl_fc_protocol_hello_id", noArgs, stream.KindInt, needTLS, "version in the client's hello", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			h := capturedHello(s)
			if h == nil {
				return Value{}, false
			}
			return integer(int64(h.Version)), true
		})},
	}
}

func capturedHello(s *stream.Stream) *stream.Hello {
	if s.Conn.TLS == nil {
		return nil
	}
	return s.Conn.TLS.Hello
}

// withoutGREASE copies 16-bit numbers without those of RFC 8701.
func withoutGREASE(dst, b []byte) []byte {
	for i := 0; i+1 < len(b); i += 2 {
		if b[i] != b[i+1] || b[i]&15 != 10 {
			dst = append(dst, b[i], b[i+1])
		}
	}
	return dst
}

func cipherNames(s *stream.Stream, b []byte) Value {
	return text(s.Build(func(dst []byte) []byte {
		for i := 0; i+1 < len(b); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			id := uint16(b[i])<<8 | uint16(b[i+1])
			if cert.CipherBits(id) > 0 {
				dst = append(dst, cert.CipherName(id)...)
				continue
			}
			dst = append(dst, "UNKNOWN("...)
			for shift := 12; shift >= 0; shift -= 4 {
				dst = append(dst, "0123456789abcdef"[id>>shift&15])
			}
			dst = append(dst, ')')
		}
		return dst
	}))
}

// certConverters name OpenSSL's numbers.
func certConverters() []converter {
	return []converter{{"x509_v_err_str", noArgs, stream.KindInt, stream.KindStr, false, "name of a certificate verification error",
		pure(func(s *stream.Stream, v Value) (Value, bool) {
			switch name := cert.VerifyName(int(v.Int)); {
			case v.Int == 0:
				return textOf(s, "X509_V_OK"), true
			case name != "":
				return textOf(s, name), true
			}
			return textOf(s, strconv.FormatUint(uint64(v.Int), 10)), true
		})}}
}
