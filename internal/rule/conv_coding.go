package rule

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash/crc32"

	"gatehouse/internal/stream"
)

// codingConverters encode, decode and hash.
func codingConverters() []converter {
	const str, bin, num = stream.KindStr, stream.KindBin, stream.KindInt
	return []converter{
		{"hex", noArgs, bin, str, false, "bytes as hexadecimal digits in upper case", pure(toHex)},
		{"hex2i", noArgs, str, num, false, "hexadecimal digits as a number", pure(hexToInt)},
		{"base64", noArgs, bin, str, false, "base64 of bytes", pure(encode64(base64.StdEncoding))},
		{"b64dec", noArgs, str, bin, false, "bytes from base64", pure(decode64(base64.StdEncoding))},
		{"ub64enc", noArgs, bin, str, false, "base64url of bytes, without padding", pure(encode64(base64.RawURLEncoding))},
		{"ub64dec", noArgs, str, bin, false, "bytes from base64url", pure(decode64(base64.RawURLEncoding))},
		{"url_dec", takes(0, argInt), str, str, false, "percent sequences decoded; + is a blank behind ?, or everywhere with 1", bindURLDec},
		{"url_enc", takes(0, argStr), str, str, false, "bytes that are not unreserved in a URL percent-encoded", bindURLEnc},
		{"crc32", takes(0, argInt), bin, num, false, "CRC-32; spread over 32 bits with 1", bindCRC(crc32.IEEETable)},
		{"crc32c", takes(0, argInt), bin, num, false, "CRC-32C; spread over 32 bits with 1", bindCRC(crc32.MakeTable(crc32.Castagnoli))},
		{"sha1", noArgs, bin, bin, false, "SHA-1 of bytes", pure(func(s *stream.Stream, v Value) (Value, bool) {
			sum := sha1.Sum(v.Bytes)
			return binval(s.Scratch(sum[:])), true
		})},
		{"sha2", takes(0, argInt), bin, bin, false, "SHA-2 of 224, 256, 384 or 512 bits", func(a args) (convFunc, error) {
			f := digests[fmt.Sprintf("sha%d", a.num(0, 256))]
			if f == nil || a.num(0, 256) == 1 {
				return nil, fmt.Errorf("Unsupported number of bits: '%d'", a.num(0, 256))
			}
			return f, nil
		}},
		{"digest", takes(1, argStr), bin, bin, false, "digest by OpenSSL's name: md5, sha1, sha224, sha256, sha384, sha512", func(a args) (convFunc, error) {
			f := digests[digestName(a.str(0))]
			if f == nil {
				return nil, fmt.Errorf("algorithm must be a valid OpenSSL message digest name")
			}
			return f, nil
		}},
	}
}

var digests = map[string]convFunc{
	"md5": func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		d := md5.Sum(v.Bytes)
		return binval(s.Scratch(d[:])), true
	},
	"sha1": func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		d := sha1.Sum(v.Bytes)
		return binval(s.Scratch(d[:])), true
	},
	"sha224": func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		d := sha256.Sum224(v.Bytes)
		return binval(s.Scratch(d[:])), true
	},
	"sha256": func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		d := sha256.Sum256(v.Bytes)
		return binval(s.Scratch(d[:])), true
	},
	"sha384": func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		d := sha512.Sum384(v.Bytes)
		return binval(s.Scratch(d[:])), true
	},
	"sha512": func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		d := sha512.Sum512(v.Bytes)
		return binval(s.Scratch(d[:])), true
	},
}

const hexDigits = "0123456789ABCDEF"

func toHex(s *stream.Stream, v Value) (Value, bool) {
	b := s.Work()
	for _, c := range v.Bytes {
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return text(s.Return(b)), true
}

func hexToInt(_ *stream.Stream, v Value) (Value, bool) {
	n := uint64(0)
	for _, c := range v.Bytes {
		d, ok := hexDigit(c)
		if !ok {
			return Value{}, false
		}
		n = n<<4 | uint64(d)
	}
	return integer(int64(n)), true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case lowerByte(c) >= 'a' && lowerByte(c) <= 'f':
		return lowerByte(c) - 'a' + 10, true
	}
	return 0, false
}

func encode64(enc *base64.Encoding) func(*stream.Stream, Value) (Value, bool) {
	return func(s *stream.Stream, v Value) (Value, bool) {
		return text(s.Return(enc.AppendEncode(s.Work(), v.Bytes))), true
	}
}

func decode64(enc *base64.Encoding) func(*stream.Stream, Value) (Value, bool) {
	return func(s *stream.Stream, v Value) (Value, bool) {
		b, err := enc.AppendDecode(s.Work(), v.Bytes)
		return binval(s.Return(b)), err == nil
	}
}

func bindURLDec(a args) (convFunc, error) {
	form := a.num(0, 0) != 0
	return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		b, ok := appendURLDecoded(s.Work(), v.Bytes, form)
		return text(s.Return(b)), ok
	}, nil
}

// appendURLDecoded decodes %XX, and + as a blank in a form or behind a "?". False: broken percent sequence.
func appendURLDecoded(dst, b []byte, form bool) ([]byte, bool) {
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '+' && form:
			dst = append(dst, ' ')
		case c == '%':
			if i+2 >= len(b) {
				return dst, false
			}
			hi, ok1 := hexDigit(b[i+1])
			lo, ok2 := hexDigit(b[i+2])
			if !ok1 || !ok2 {
				return dst, false
			}
			dst = append(dst, hi<<4|lo)
			i += 2
		default:
			form = form || c == '?'
			dst = append(dst, c)
		}
	}
	return dst, true
}

func bindURLEnc(a args) (convFunc, error) {
	if a.str(0) != "" && a.str(0) != "query" {
		return nil, fmt.Errorf("Unexpected encode type. Allowed value is 'query'")
	}
	return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		b := s.Work()
		for _, c := range v.Bytes {
			if isAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~' {
				b = append(b, c)
			} else {
				b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		return text(s.Return(b)), true
	}, nil
}

func bindCRC(table *crc32.Table) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		spread := a.num(0, 0) != 0
		return func(_ *stream.Stream, _ Env, v Value) (Value, bool) {
			h := crc32.Checksum(v.Bytes, table)
			if spread {
				h = avalanche(h)
			}
			return integer(int64(h)), true
		}, nil
	}
}

// avalanche is Bob Jenkins' 32-bit integer hash, times a prime near three quarters of the range.
func avalanche(a uint32) uint32 {
	a = (a + 0x7ed55d16) + (a << 12)
	a = (a ^ 0xc761c23c) ^ (a >> 19)
	a = (a + 0x165667b1) + (a << 5)
	a = (a + 0xd3a2646c) ^ (a << 9)
	a = (a + 0xfd7046c5) + (a << 3)
	a = (a ^ 0xb55a4f09) ^ (a >> 16)
	return a * 3221225473
}
