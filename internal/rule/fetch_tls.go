package rule

import (
	"gatehouse/internal/cert"
	"gatehouse/internal/stream"
)

// tlsFetches are the facts of the client's TLS session (manual 7.3.4). Without TLS most of them fail.
func tlsFetches() []fetch {
	return join(sessionFetches(frontTLS, "ssl_fc", needTLS, "the client"), sessionFetches(backTLS, "ssl_bc", needServerConn, "the server"), capturedFetches(), certFetches(), []fetch{
		{"ssl_fc_has_sni", noArgs, stream.KindBool, needTLS, "the client sent a server name", tlsBool(func(t *stream.TLS) bool { return t.SNI != "" })},
		{"ssl_fc_crtname", noArgs, stream.KindStr, needTLS, "certificate that was served", tlsText(func(t *stream.TLS) string { return t.Crt })},
		{"ssl_fc_has_crt", noArgs, stream.KindBool, needTLS, "the client sent a certificate in this handshake", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			t := s.Conn.TLS
			return boolean(t != nil && len(t.ClientCert) > 0 && !t.Resumed), t != nil && !t.Failed
		})},
		{"ssl_c_used", noArgs, stream.KindBool, needTLS, "the client has shown a certificate", tlsFact(func(t *stream.TLS) bool { return len(t.ClientCert) > 0 })},
		{"ssl_c_verify", noArgs, stream.KindInt, needTLS, "result of the client certificate's verification, 0 is good", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			t := s.Conn.TLS
			if t == nil || t.Failed {
				return Value{}, false
			}
			return integer(int64(t.VerifyErr)), true
		})},
		{"ssl_c_err", noArgs, stream.KindInt, needTLS, "error of the client certificate itself", tlsInt(func(t *stream.TLS) int16 { return t.CrtErr })},
		{"ssl_c_ca_err", noArgs, stream.KindInt, needTLS, "first error above the client certificate", tlsInt(func(t *stream.TLS) int16 { return t.CAErr })},
		{"ssl_c_ca_err_depth", noArgs, stream.KindInt, needTLS, "how far above the client certificate it was", tlsInt(func(t *stream.TLS) int16 { return t.CAErrDepth })},
	})
}

// side is one of a stream's two TLS sessions; nil without TLS.
type side func(s *stream.Stream) *stream.TLS

func frontTLS(s *stream.Stream) *stream.TLS { return s.Conn.TLS }
func backTLS(s *stream.Stream) *stream.TLS  { return s.BackTLS }

// sessionFetches are the facts that both sessions of a stream have, under names that begin with prefix.
func sessionFetches(of side, prefix string, n need, who string) []fetch {
	text := func(f func(*stream.TLS) string) func(args) (source, error) {
		return plain(func(s *stream.Stream, _ Env) (Value, bool) {
			if t := of(s); t != nil {
				v := f(t)
				return textOf(s, v), v != ""
			}
			return Value{}, false
		})
	}
	number := func(f func(*stream.TLS) int, always bool) func(args) (source, error) {
		return plain(func(s *stream.Stream, _ Env) (Value, bool) {
			if t := of(s); t != nil {
				v := f(t)
				return integer(int64(v)), always || v != 0
			}
			return Value{}, false
		})
	}
	truth := func(f func(*stream.TLS) bool) func(args) (source, error) {
		return plain(func(s *stream.Stream, _ Env) (Value, bool) {
			t := of(s)
			return boolean(t != nil && f(t)), true
		})
	}
	bits := func(t *stream.TLS) int { return cert.CipherBits(t.Cipher) }
	return []fetch{
		{prefix, noArgs, stream.KindBool, n, "the connection with " + who + " is TLS", truth(func(*stream.TLS) bool { return true })},
		{prefix + "_sni", noArgs, stream.KindStr, n, "server name in " + who + "'s handshake, as sent", text(func(t *stream.TLS) string { return t.SNI })},
		{prefix + "_alpn", noArgs, stream.KindStr, n, "application protocol agreed on with " + who, text(func(t *stream.TLS) string { return t.ALPN })},
		{prefix + "_protocol", noArgs, stream.KindStr, n, "TLS version with " + who + ", as TLSv1.3", text(tlsVersion)},
		{prefix + "_cipher", noArgs, stream.KindStr, n, "cipher with " + who + ", by OpenSSL's name", text(tlsCipher)},
		{prefix + "_curve", noArgs, stream.KindStr, n, "key exchange group with " + who, text(tlsCurve)},
		{prefix + "_alg_keysize", noArgs, stream.KindInt, n, "bits of the cipher with " + who, number(bits, false)},
		{prefix + "_use_keysize", noArgs, stream.KindInt, n, "bits of strength of the cipher with " + who, number(bits, false)},
		{prefix + "_is_resumed", noArgs, stream.KindBool, n, "the session with " + who + " was resumed", truth(func(t *stream.TLS) bool { return t.Resumed })},
		{prefix + "_unique_id", noArgs, stream.KindBin, n, "channel binding tls-unique with " + who + ", TLS up to 1.2", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			if t := of(s); t != nil && t.Unique != nil {
				return binval(t.Unique), true
			}
			return Value{}, false
		})},
		{prefix + "_err", noArgs, stream.KindInt, n, "OpenSSL's code of the failure of the handshake with " + who, number(func(t *stream.TLS) int { return t.Err }, true)},
		{prefix + "_err_str", noArgs, stream.KindStr, n, "OpenSSL's text of that code", text(func(t *stream.TLS) string { return cert.SSLError(t.Err) })},
	}
}

func tlsCurve(t *stream.TLS) string {
	if t.Curve == 0 {
		return ""
	}
	return cert.CurveName(t.Curve)
}

func tlsText(of func(*stream.TLS) string) func(args) (source, error) {
	return plain(func(s *stream.Stream, _ Env) (Value, bool) {
		t := s.Conn.TLS
		if t == nil {
			return Value{}, false
		}
		v := of(t)
		return textOf(s, v), v != ""
	})
}

// tlsBool answers false without TLS.
func tlsBool(of func(*stream.TLS) bool) func(args) (source, error) {
	return plain(func(s *stream.Stream, _ Env) (Value, bool) {
		t := s.Conn.TLS
		return boolean(t != nil && of(t)), true
	})
}

// tlsFact fails without TLS.
func tlsFact(of func(*stream.TLS) bool) func(args) (source, error) {
	return plain(func(s *stream.Stream, _ Env) (Value, bool) {
		t := s.Conn.TLS
		return boolean(t != nil && of(t)), t != nil
	})
}

func tlsInt(of func(*stream.TLS) int16) func(args) (source, error) {
	return plain(func(s *stream.Stream, _ Env) (Value, bool) {
		t := s.Conn.TLS
		if t == nil {
			return Value{}, false
		}
		return integer(int64(of(t))), true
	})
}

func tlsVersion(t *stream.TLS) string {
	if t.Version == 0 {
		return ""
	}
	return cert.VersionName(t.Version)
}

func tlsCipher(t *stream.TLS) string {
	if t.Cipher == 0 {
		if t.Failed {
			return "(NONE)"
		}
		return ""
	}
	return cert.CipherName(t.Cipher)
}
