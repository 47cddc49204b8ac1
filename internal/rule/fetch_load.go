package rule

import (
	"fmt"
	"strings"

	"gatehouse/internal/stream"
)

// loadFetches tell how busy frontends, backends and servers are (manual 7.3.2 and 7.3.3).
func loadFetches() []fetch {
	const num, str = stream.KindInt, stream.KindStr
	one := takes(1, argBackend)
	return []fetch{
		{"act_conn", noArgs, num, needNothing, "connections of the process", plain(processFact(FactActConn))},
		{"uptime", noArgs, num, needNothing, "milliseconds since the process started", plain(processFact(FactUptime))},
		{"stopping", noArgs, stream.KindBool, needInternal, "whether the process is stopping", plain(func(_ *stream.Stream, env Env) (Value, bool) {
			return boolean(isStopping(env)), true
		})},

		{"avg_queue", one, num, needInternal, "requests that wait, per usable server of a backend", bindProxyFact("avg_queue", FactBackendAvgQueue, false)},
		{"queue", one, num, needInternal, "requests that wait in a backend", bindProxyFact("queue", FactBackendQueue, false)},
		{"connslots", one, num, needInternal, "connections and queue places left in a backend", bindProxyFact("connslots", FactBackendSlots, false)},
		{"be_conn", one, num, needInternal, "sessions of a backend", bindProxyFact("be_conn", FactBackendConn, false)},
		{"be_conn_free", one, num, needInternal, "connections that the usable servers of a backend still take, -1 without limit", bindProxyFact("be_conn_free", FactBackendConnFree, false)},
		{"be_sess_rate", one, num, needInternal, "sessions a second of a backend", bindProxyFact("be_sess_rate", FactBackendSessRate, false)},
		{"be_id", noArgs, num, needBackend, "number of the backend that was chosen", plain(func(s *stream.Stream, env Env) (Value, bool) {
			return askFact(env, FactBackendID, backendName(s), "")
		})},

		{"dst_conn", noArgs, num, needFrontend, "connections of the bind line", plain(func(s *stream.Stream, env Env) (Value, bool) {
			return askFact(env, FactBindConn, s.Frontend, s.Conn.BindName)
		})},
		{"fe_conn", takes(0, argFrontend), num, needInternal, "connections of a frontend", bindProxyFact("fe_conn", FactFrontendConn, true)},
		{"fe_req_rate", takes(0, argFrontend), num, needInternal, "requests a second of a frontend", bindProxyFact("fe_req_rate", FactFrontendReqRate, true)},
		{"fe_sess_rate", takes(0, argFrontend), num, needInternal, "sessions a second of a frontend", bindProxyFact("fe_sess_rate", FactFrontendSessRate, true)},
		{"fe_id", noArgs, num, needFrontend, "number of the frontend", plain(func(s *stream.Stream, env Env) (Value, bool) {
			return askFact(env, FactFrontendID, s.Frontend, "")
		})},
		{"fe_defbe", noArgs, str, needFrontend, "name of the frontend's default backend", bindDefaultBackend},

		{"srv_conn", takes(1, argStr), num, needInternal, "requests of BACKEND/SERVER", bindServerFact("srv_conn", FactServerConn)},
		{"srv_conn_free", takes(1, argStr), num, needInternal, "requests that BACKEND/SERVER still takes, -1 without limit", bindServerFact("srv_conn_free", FactServerConnFree)},
		{"srv_queue", takes(1, argStr), num, needInternal, "requests that wait for BACKEND/SERVER", bindServerFact("srv_queue", FactServerQueue)},
		{"srv_sess_rate", takes(1, argStr), num, needInternal, "sessions a second of BACKEND/SERVER", bindServerFact("srv_sess_rate", FactServerSessRate)},
		{"srv_iweight", takes(1, argStr), num, needInternal, "configured weight of BACKEND/SERVER", bindServerFact("srv_iweight", FactServerInitialWeight)},
		{"srv_uweight", takes(1, argStr), num, needInternal, "weight of BACKEND/SERVER as set last", bindServerFact("srv_uweight", FactServerUserWeight)},
		{"srv_weight", takes(1, argStr), num, needInternal, "weight of BACKEND/SERVER in force", bindServerFact("srv_weight", FactServerWeight)},
		{"srv_id", noArgs, num, needServer, "number of the server that was chosen", plain(func(s *stream.Stream, env Env) (Value, bool) {
			if s.Server == "" {
				return Value{}, false
			}
			return askFact(env, FactServerID, s.Backend, s.Server)
		})},
	}
}

func askFact(env Env, f Fact, proxy, server string) (Value, bool) {
	if env == nil {
		return Value{}, false
	}
	n, ok := env.Fact(f, proxy, server)
	return integer(n), ok
}

func processFact(f Fact) evalFunc {
	return func(_ *stream.Stream, env Env) (Value, bool) { return askFact(env, f, "", "") }
}

// bindProxyFact makes the fetch of a fact of the proxy named; without a name it is the section's own.
func bindProxyFact(fetch string, f Fact, frontend bool) func(args) (source, error) {
	return func(a args) (source, error) {
		name, err := a.proxy(fetch, frontend)
		if err != nil {
			return source{}, err
		}
		return source{one: func(_ *stream.Stream, env Env) (Value, bool) { return askFact(env, f, name, "") }}, nil
	}
}

// proxy resolves the first argument as the name of a frontend or backend. The error texts are HAProxy's.
func (a args) proxy(fetch string, frontend bool) (string, error) {
	kind, other, exists := "backend", "frontend", a.c.Backends
	if frontend {
		kind, other, exists = "frontend", "backend", a.c.Frontends
	}
	name := a.str(0)
	switch {
	case name == "" && a.c.Kind == other:
		return "", fmt.Errorf("proxy '%s', referenced in arg 1 of fetch method '%s', has not %s capability", a.c.Proxy, fetch, kind)
	case name == "":
		return a.c.Proxy, nil
	case exists != nil && !exists(name):
		return "", fmt.Errorf("unable to find %s '%s' referenced in arg 1 of fetch method '%s'", kind, name, fetch)
	}
	return name, nil
}

func bindServerFact(fetch string, f Fact) func(args) (source, error) {
	return func(a args) (source, error) {
		backend, server, err := a.server(fetch)
		if err != nil {
			return source{}, err
		}
		return source{one: func(_ *stream.Stream, env Env) (Value, bool) { return askFact(env, f, backend, server) }}, nil
	}
}

// server resolves the first argument as BACKEND/SERVER, or as a server of the section. The error texts are HAProxy's.
func (a args) server(fetch string) (backend, server string, err error) {
	backend, server, ok := strings.Cut(a.str(0), "/")
	switch {
	case !ok:
		backend, server = a.c.Proxy, backend
	case a.c.Backends != nil && !a.c.Backends(backend):
		return "", "", fmt.Errorf("unable to find proxy '%s' referenced in arg 1 of fetch method '%s'", backend, fetch)
	}
	if a.c.Servers != nil && !a.c.Servers(backend, server) {
		return "", "", fmt.Errorf("unable to find server '%s' in proxy '%s', referenced in arg 1 of fetch method '%s'", server, backend, fetch)
	}
	return backend, server, nil
}

func bindDefaultBackend(a args) (source, error) {
	name := a.c.DefaultBackend
	if name == "" {
		return source{one: never}, nil
	}
	return source{one: constant(text([]byte(name)))}, nil
}
