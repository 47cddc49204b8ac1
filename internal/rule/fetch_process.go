package rule

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	randv2 "math/rand/v2"
	"time"

	"gatehouse/internal/pattern"
	"gatehouse/internal/stream"
)

// processFetches are constants, variables, and what the process knows of itself and of its proxies (manual 7.3.2).
func processFetches() []fetch {
	return []fetch{
		{"always_true", noArgs, stream.KindBool, needNothing, "true", plain(constant(boolean(true)))},
		{"always_false", noArgs, stream.KindBool, needNothing, "false", plain(constant(boolean(false)))},
		{"str", takes(1, argStr), stream.KindStr, needNothing, "the text given", func(a args) (source, error) {
			return source{one: constant(text([]byte(a.str(0))))}, nil
		}},
		{"int", takes(1, argInt), stream.KindInt, needNothing, "the number given", func(a args) (source, error) {
			return source{one: constant(integer(a.num(0, 0)))}, nil
		}},
		{"bool", takes(1, argStr), stream.KindBool, needNothing, "true, 1, false or 0 as given", bindBool},
		{"ipv4", takes(1, argIPv4), stream.KindIPv4, needNothing, "the address given", bindAddr},
		{"ipv6", takes(1, argIPv6), stream.KindIPv6, needNothing, "the address given", bindAddr},
		{"bin", takes(1, argStr), stream.KindBin, needNothing, "the bytes given in hexadecimal", bindBin},
		{"meth", takes(1, argStr), stream.KindMeth, needNothing, "the method given", func(a args) (source, error) {
			return source{one: constant(Value{Kind: stream.KindMeth, Bytes: []byte(a.str(0))})}, nil
		}},
		{"env", takes(1, argStr), stream.KindStr, needNothing, "environment variable at the time the configuration was read", bindEnv},
		{"date", takes(0, argInt, argStr), stream.KindInt, needNothing, "seconds since 1970, plus an offset", bindDate},
		{"rand", takes(0, argInt), stream.KindInt, needNothing, "random number below 2^32, or below the argument", bindRand},
		{"uuid", takes(0, argInt), stream.KindStr, needNothing, "random UUID, version 4 or 7", bindUUID},
		{"hostname", noArgs, stream.KindStr, needNothing, "name of this machine", func(a args) (source, error) {
			return source{one: constant(text([]byte(a.c.Hostname)))}, nil
		}},
		{"pid", noArgs, stream.KindInt, needNothing, "number of this process", func(a args) (source, error) {
			return source{one: constant(integer(int64(a.c.Pid)))}, nil
		}},
		{"nbproc", noArgs, stream.KindInt, needNothing, "1", plain(constant(integer(1)))},
		{"var", takes(1, argStr, argStr), stream.KindAny, needNothing, "value of a variable, or the default given", bindVar},
		{"nbsrv", takes(1, argBackend), stream.KindInt, needInternal, "usable servers of a backend", bindNbsrv},
		{"srv_is_up", takes(1, argStr), stream.KindBool, needInternal, "whether BACKEND/SERVER can be used", bindServerUp},
		{"be_name", noArgs, stream.KindStr, needBackend, "name of the backend that was chosen", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return textOf(s, backendName(s)), true
		})},
		{"fe_name", noArgs, stream.KindStr, needFrontend, "name of the frontend", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return textOf(s, s.Frontend), true
		})},
		{"srv_name", noArgs, stream.KindStr, needServer, "name of the server that was chosen", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return textOf(s, s.Server), s.Server != ""
		})},
		{"unique-id", noArgs, stream.KindStr, needNothing, "identifier made by unique-id-format", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			id, ok := s.UniqueID()
			return text(id), ok
		})},
	}
}

// backendName is the frontend itself until a backend was chosen, as HAProxy has it.
func backendName(s *stream.Stream) string {
	if s.Backend == "" {
		return s.Frontend
	}
	return s.Backend
}

func constant(v Value) evalFunc {
	return func(*stream.Stream, Env) (Value, bool) { return v, true }
}

func bindBool(a args) (source, error) {
	switch a.str(0) {
	case "true", "1":
		return source{one: constant(boolean(true))}, nil
	case "false", "0":
		return source{one: constant(boolean(false))}, nil
	}
	return source{}, fmt.Errorf("Expects 'true', 'false', '0' or '1'")
}

func bindAddr(a args) (source, error) { return source{one: constant(address(a.list[0].addr))}, nil }

func bindBin(a args) (source, error) {
	b, err := pattern.ParseHex(a.str(0))
	if err != nil {
		return source{}, err
	}
	return source{one: constant(binval([]byte(b)))}, nil
}

func bindEnv(a args) (source, error) {
	if a.c.LookupEnv == nil {
		return source{one: never}, nil
	}
	v, ok := a.c.LookupEnv(a.str(0))
	if !ok {
		return source{one: never}, nil
	}
	return source{one: constant(text([]byte(v)))}, nil
}

func never(*stream.Stream, Env) (Value, bool) { return Value{}, false }

// timeUnits are the units that date and accept_date know, as divisors of a microsecond count.
var timeUnits = map[string]int64{"": 1e6, "s": 1e6, "ms": 1e3, "us": 1}

func bindDate(a args) (source, error) {
	div, ok := timeUnits[a.str(1)]
	if !ok {
		return source{}, fmt.Errorf("expects 's', 'ms' or 'us', got '%s'", a.str(1))
	}
	offset := a.num(0, 0)
	return source{one: func(_ *stream.Stream, env Env) (Value, bool) {
		return integer(now(env).UnixMicro()/div + offset), true
	}}, nil
}

func now(env Env) time.Time {
	if env == nil {
		return time.Now()
	}
	return env.Now()
}

func bindRand(a args) (source, error) {
	limit := a.num(0, 1<<32)
	if limit <= 0 {
		return source{one: constant(integer(0))}, nil
	}
	return source{one: func(*stream.Stream, Env) (Value, bool) { return integer(randv2.Int64N(limit)), true }}, nil
}

func bindUUID(a args) (source, error) {
	version := a.num(0, 4)
	if version != 4 && version != 7 {
		return source{}, fmt.Errorf("Unsupported UUID version: '%d'", version)
	}
	return source{one: func(s *stream.Stream, env Env) (Value, bool) {
		var id [16]byte
		_, _ = rand.Read(id[:]) // never fails (crypto/rand)
		if version == 7 {
			ms := uint64(now(env).UnixMilli())
			binary.BigEndian.PutUint16(id[0:], uint16(ms>>32))
			binary.BigEndian.PutUint32(id[2:], uint32(ms))
		}
		id[6] = id[6]&0x0f | byte(version)<<4
		id[8] = id[8]&0x3f | 0x80 // RFC 9562 section 4.1
		var out [36]byte
		hex.Encode(out[0:8], id[0:4])
		hex.Encode(out[9:13], id[4:6])
		hex.Encode(out[14:18], id[6:8])
		hex.Encode(out[19:23], id[8:10])
		hex.Encode(out[24:36], id[10:16])
		out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
		return text(s.Scratch(out[:])), true
	}}, nil
}

func bindNbsrv(a args) (source, error) {
	name, err := a.proxy("nbsrv", false)
	if err != nil {
		return source{}, err
	}
	return source{one: func(_ *stream.Stream, env Env) (Value, bool) {
		if env == nil {
			return Value{}, false
		}
		n, ok := env.Nbsrv(name)
		return integer(int64(n)), ok
	}}, nil
}

func bindServerUp(a args) (source, error) {
	backend, server, err := a.server("srv_is_up")
	if err != nil {
		return source{}, err
	}
	return source{one: func(_ *stream.Stream, env Env) (Value, bool) {
		if env == nil {
			return Value{}, false
		}
		up, ok := env.ServerUp(backend, server)
		return boolean(up), ok
	}}, nil
}
