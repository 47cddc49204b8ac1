package rule

import (
	"bytes"
	"fmt"

	"gatehouse/internal/stream"
)

// processConverters ask the process, keep variables, and let values pass on conditions (manual 7.3.1).
func processConverters() []converter {
	const str, num, boolk, any = stream.KindStr, stream.KindInt, stream.KindBool, stream.KindAny
	return []converter{
		{"nbsrv", noArgs, str, num, false, "usable servers of the backend named", pure2(func(env Env, v Value) (Value, bool) {
			n, ok := env.Nbsrv(string(v.Bytes))
			return integer(int64(n)), ok
		})},
		{"srv_is_up", noArgs, str, boolk, false, "whether the server named BACKEND/SERVER can be used", pure2(func(env Env, v Value) (Value, bool) {
			backend, server, ok := cutByte(v.Bytes, '/')
			if !ok {
				return Value{}, false
			}
			up, ok := env.ServerUp(string(backend), string(server))
			return boolean(up), ok
		})},
		{"srv_queue", noArgs, str, num, false, "requests that wait for the server named BACKEND/SERVER", pure2(func(env Env, v Value) (Value, bool) {
			backend, server, ok := cutByte(v.Bytes, '/')
			if !ok {
				return Value{}, false
			}
			n, ok := env.Fact(FactServerQueue, string(backend), string(server))
			return integer(n), ok
		})},
		{"fe_exists", noArgs, str, boolk, false, "whether there is a frontend of that name", pure2(func(env Env, v Value) (Value, bool) {
			_, ok := env.Fact(FactFrontendID, string(v.Bytes), "")
			return boolean(ok), true
		})},
		{"set-var", takes(1, argStr, argStr, argStr, argStr, argStr), any, any, true, "keep the value in a variable, on conditions, and pass it on", bindConvSetVar},
		{"unset-var", takes(1, argStr), any, any, true, "forget a variable and pass the value on", bindConvUnsetVar},
		{"when", takes(1, argStr, argStr), any, any, true, "pass the value on only when a condition holds", bindWhen},
		{"debug", takes(0, argStr, argStr), any, any, true, "write the value to an event sink and pass it on", bindDebug},
	}
}

// pure2 makes the bind function of a converter without arguments that asks the process.
func pure2(f func(env Env, v Value) (Value, bool)) func(args) (convFunc, error) {
	return func(args) (convFunc, error) {
		return func(_ *stream.Stream, env Env, v Value) (Value, bool) {
			if env == nil {
				return Value{}, false
			}
			return f(env, v)
		}, nil
	}
}

func bindConvSetVar(a args) (convFunc, error) {
	v, err := parseVar(a.str(0))
	if err != nil {
		return nil, err
	}
	var tests []varTest
	for i := 1; i < a.len(); i++ {
		t := varTests[a.str(i)]
		if t == nil {
			return nil, fmt.Errorf("unknown condition \"%s\"", a.str(i))
		}
		tests = append(tests, t)
	}
	return func(s *stream.Stream, env Env, val Value) (Value, bool) {
		return val, assignVar(s, env, v, tests, val)
	}, nil
}

func bindConvUnsetVar(a args) (convFunc, error) {
	v, err := parseVar(a.str(0))
	if err != nil {
		return nil, err
	}
	return func(s *stream.Stream, env Env, val Value) (Value, bool) {
		v.unset(s, env)
		return val, true
	}, nil
}

// whenNames are the conditions of the converter `when`, in the order of HAProxy's message.
var whenNames = []string{"stopping", "normal", "error", "forwarded", "toapplet", "processed", "acl"}

func bindWhen(a args) (convFunc, error) {
	word, neg := a.str(0), false
	if len(word) > 0 && word[0] == '!' {
		word, neg = word[1:], true
	}
	var test func(s *stream.Stream, env Env) bool
	switch word {
	case "error":
		test = func(s *stream.Stream, _ Env) bool { return failed(s) }
	case "normal":
		test = func(s *stream.Stream, _ Env) bool { return !failed(s) }
	case "forwarded", "processed":
		test = func(s *stream.Stream, _ Env) bool { return !s.Log.Connected.IsZero() }
	case "toapplet":
		test = func(*stream.Stream, Env) bool { return false } // answers of our own are not made by applets, as `return` in HAProxy
	case "stopping":
		test = func(_ *stream.Stream, env Env) bool { return isStopping(env) }
	case "acl":
		if a.str(1) == "" {
			return nil, fmt.Errorf("'acl' selector requires an extra argument with the ACL name")
		}
		found := a.c.named.lookup(a.str(1))
		if found == nil {
			return nil, fmt.Errorf("ACL '%s' not found", a.str(1))
		}
		test = found.eval
	default:
		list := ""
		for i, n := range whenNames {
			if i > 0 {
				list += ","
			}
			list += n
		}
		return nil, fmt.Errorf("expects a supported keyword among {%s} but got '%s'", list, word)
	}
	return func(s *stream.Stream, env Env, v Value) (Value, bool) { return v, test(s, env) != neg }, nil
}

// failed is what HAProxy counts as an error of a stream: an end that was neither normal nor ours, retries, or a status from 500 on.
func failed(s *stream.Stream) bool {
	cause := s.Log.Term[0]
	normal := cause == '-' || cause == 0
	return s.Log.Redispatched || !normal && cause != 'L' || normal && s.Log.Retries > 0 || s.HTTP && s.Log.Status >= 500
}

func isStopping(env Env) bool {
	if env == nil {
		return false
	}
	n, _ := env.Fact(FactStopping, "", "")
	return n != 0
}

var kindNames = map[stream.Kind]string{
	stream.KindAny: "any", stream.KindBool: "bool", stream.KindInt: "sint", stream.KindAddr: "addr", stream.KindIPv4: "ipv4",
	stream.KindIPv6: "ipv6", stream.KindStr: "str", stream.KindBin: "bin", stream.KindMeth: "meth",
}

func bindDebug(a args) (convFunc, error) {
	prefix, name := a.str(0), a.str(1)
	if name == "" {
		name = "buf0"
	}
	if a.c.Sink == nil {
		return nil, fmt.Errorf("there is no event sink '%s'", name)
	}
	write := a.c.Sink(name)
	if write == nil {
		return nil, fmt.Errorf("there is no event sink '%s'", name)
	}
	return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		var room [256]byte
		line := append(append(append(room[:0], "[debug] "...), prefix...), ": type="...)
		line = append(append(line, kindNames[v.Kind]...), ' ')
		if t, ok := cast(s, v, stream.KindStr); ok {
			line = append(line, '<')
			for _, c := range t.Bytes {
				if c < ' ' || c > '~' {
					c = '.'
				}
				line = append(line, c)
			}
			line = append(line, '>')
		} else {
			line = append(line, "(undisplayable)"...)
		}
		write(bytes.Clone(line))
		return v, true
	}, nil
}
