package rule

import (
	"gatehouse/internal/cert"
	"gatehouse/internal/stream"
)

// tlsFetches are the facts of the client's TLS session (manual 7.3.4). Without TLS most of them fail.
func tlsFetches() []fetch {
	return []fetch{
		{"ssl_fc", noArgs, stream.KindBool, needTLS, "the client uses TLS", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return boolean(s.Conn.TLS != nil), true
		})},
		{"ssl_fc_sni", noArgs, stream.KindStr, needTLS, "server name the client asked for, as sent", tlsText(func(t *stream.TLS) string { return t.SNI })},
		{"ssl_fc_has_sni", noArgs, stream.KindBool, needTLS, "the client sent a server name", tlsBool(func(t *stream.TLS) bool { return t.SNI != "" })},
		{"ssl_fc_alpn", noArgs, stream.KindStr, needTLS, "application protocol that was agreed on", tlsText(func(t *stream.TLS) string { return t.ALPN })},
		{"ssl_fc_protocol", noArgs, stream.KindStr, needTLS, "TLS version, as TLSv1.3", tlsText(tlsVersion)},
		{"ssl_fc_cipher", noArgs, stream.KindStr, needTLS, "cipher, by OpenSSL's name", tlsText(tlsCipher)},
		{"ssl_fc_curve", noArgs, stream.KindStr, needTLS, "key exchange group", tlsText(func(t *stream.TLS) string {
			if t.Curve == 0 {
				return ""
			}
			return cert.CurveName(t.Curve)
		})},
		{"ssl_fc_crtname", noArgs, stream.KindStr, needTLS, "certificate that was served", tlsText(func(t *stream.TLS) string { return t.Crt })},
		{"ssl_fc_is_resumed", noArgs, stream.KindBool, needTLS, "the session was resumed", tlsBool(func(t *stream.TLS) bool { return t.Resumed })},
		{"ssl_fc_has_crt", noArgs, stream.KindBool, needTLS, "the client sent a certificate in this handshake", tlsFact(func(t *stream.TLS) bool {
			return len(t.ClientCert) > 0 && !t.Resumed
		})},
		{"ssl_fc_err", noArgs, stream.KindInt, needTLS, "OpenSSL's code of the handshake's failure", tlsInt(func(t *stream.TLS) int { return t.Err })},
		{"ssl_c_used", noArgs, stream.KindBool, needTLS, "the client has shown a certificate", tlsFact(func(t *stream.TLS) bool { return len(t.ClientCert) > 0 })},
		{"ssl_c_verify", noArgs, stream.KindInt, needTLS, "result of the client certificate's verification, 0 is good", tlsInt(func(t *stream.TLS) int { return t.VerifyErr })},
		{"ssl_c_err", noArgs, stream.KindInt, needTLS, "error of the client certificate itself", tlsInt(func(t *stream.TLS) int { return t.LeafErr() })},
		{"ssl_c_ca_err", noArgs, stream.KindInt, needTLS, "first error above the client certificate", tlsInt(func(t *stream.TLS) int { return t.CAErr })},
		{"ssl_c_ca_err_depth", noArgs, stream.KindInt, needTLS, "how far above the client certificate it was", tlsInt(func(t *stream.TLS) int { return t.CAErrDepth })},
	}
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

func tlsInt(of func(*stream.TLS) int) func(args) (source, error) {
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
		return ""
	}
	return cert.CipherName(t.Cipher)
}
