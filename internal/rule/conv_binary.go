package rule

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"strconv"

	"gatehouse/internal/stream"
)

// binaryConverters write bytes as text, chunk by chunk, and compare them (manual 7.3.1).
func binaryConverters() []converter {
	const str, bin, num = stream.KindStr, stream.KindBin, stream.KindInt
	return []converter{
		{"base2", noArgs, bin, str, false, "bytes as binary digits", pure(toBase2)},
		{"be2dec", takes(1, argStr, argInt, argInt), bin, str, false, "numbers of so many bytes, big-endian, with a separator; 1 leaves out a short last one", bindDecimal(true)},
		{"le2dec", takes(1, argStr, argInt, argInt), bin, str, false, "numbers of so many bytes, little-endian, with a separator; 1 leaves out a short last one", bindDecimal(false)},
		{"be2hex", takes(1, argStr, argInt, argInt), bin, str, false, "hexadecimal digits of so many bytes, with a separator; 1 leaves out a short last one", bindHexChunks},
		{"htonl", noArgs, num, bin, false, "32-bit number as four bytes in network order", pure(func(s *stream.Stream, v Value) (Value, bool) {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], uint32(v.Int))
			return binval(s.Scratch(b[:])), true
		})},
		{"secure_memcmp", takes(1, argStr), bin, stream.KindBool, false, "equal to a variable, compared in constant time", bindSecureCompare},
	}
}

func toBase2(s *stream.Stream, v Value) (Value, bool) {
	if len(v.Bytes) > maxValue/8 {
		return Value{}, false
	}
	b := s.Work()
	for _, c := range v.Bytes {
		for bit := 7; bit >= 0; bit-- {
			b = append(b, '0'+c>>bit&1)
		}
	}
	return text(s.Return(b)), true
}

// chunks calls each with the pieces of b of size bytes; short allows a shorter last one. It stops when each returns false.
func chunks(b []byte, size int, short bool, each func(first bool, piece []byte) bool) {
	for first := true; len(b) >= size || short && len(b) > 0; first = false {
		n := min(size, len(b))
		if !each(first, b[:n]) {
			return
		}
		b = b[n:]
	}
}

func bindDecimal(big bool) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		sep, size, truncate := a.str(0), a.num(1, 0), a.num(2, 0)
		if size <= 0 || size > 8 {
			return nil, fmt.Errorf("chunk_size out of [1..8] range (%d)", size)
		}
		if truncate != 0 && truncate != 1 {
			return nil, fmt.Errorf("Unsupported truncate value (%d)", truncate)
		}
		return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
			b := s.Work()
			chunks(v.Bytes, int(size), truncate == 0, func(first bool, piece []byte) bool {
				if !first {
					b = append(b, sep...)
				}
				var n uint64
				for i, c := range piece {
					if big {
						n = n<<8 | uint64(c)
					} else {
						n |= uint64(c) << (8 * i)
					}
				}
				b = strconv.AppendUint(b, n, 10)
				return len(b) <= maxValue
			})
			return text(s.Return(b)), true
		}, nil
	}
}

func bindHexChunks(a args) (convFunc, error) {
	sep, size, truncate := a.str(0), a.num(1, 0), a.num(2, 0)
	if size <= 0 && (sep != "" || truncate != 0) {
		return nil, fmt.Errorf("chunk_size needs to be positive (%d)", size)
	}
	if truncate != 0 && truncate != 1 {
		return nil, fmt.Errorf("Unsupported truncate value (%d)", truncate)
	}
	if size <= 0 || size > maxValue {
		size = maxValue
	}
	return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		b := s.Work()
		chunks(v.Bytes, int(size), truncate == 0, func(first bool, piece []byte) bool {
			if !first {
				b = append(b, sep...)
			}
			for _, c := range piece {
				b = append(b, hexDigits[c>>4], hexDigits[c&15])
			}
			return len(b) <= maxValue
		})
		return text(s.Return(b)), true
	}, nil
}

func bindSecureCompare(a args) (convFunc, error) {
	if a.str(0) == "" {
		return nil, fmt.Errorf("missing variable name")
	}
	other, err := parseVar(a.str(0))
	if err != nil {
		return nil, fmt.Errorf("failed to register variable name '%s'", a.str(0))
	}
	return func(s *stream.Stream, env Env, v Value) (Value, bool) {
		o, ok := other.get(s, env)
		if ok {
			o, ok = cast(s, o, stream.KindBin)
		}
		return boolean(subtle.ConstantTimeCompare(v.Bytes, o.Bytes) == 1), ok
	}, nil
}
