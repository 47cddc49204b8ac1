package proxy

// stick runs the stick rules of the request, for which rules and cookies come first, when the backend has some.
func (x *exchange) stick() {
	x.stuck.Clear()
	if b := &x.b.o; b.Stick != nil && b.Servers != nil {
		b.Stick.Request(&x.s, x.f.o.Env, x, x.to.server != nil, &x.stuck)
	}
}

// Stuck takes the server that a stick table remembers, unless it is down: by its name or address, else by its number.
func (x *exchange) Stuck(key string, byAddress bool, id int) bool {
	servers := x.b.o.Servers
	srv := servers.Server(key)
	if byAddress {
		srv = nil
		for _, s := range servers.Servers() {
			if key != "" && s.Address() == key {
				srv = s
				break
			}
		}
	}
	if srv == nil {
		srv = servers.ByID(id)
	}
	if srv == nil || !servers.Persists(srv, x.to.force) {
		return false
	}
	x.to.server = srv
	return true
}

// remember stores the server that answers under the keys of the request and of its response.
func (x *exchange) remember() {
	b := &x.b.o
	if b.Stick == nil {
		return
	}
	b.Stick.Response(&x.s, x.f.o.Env, &x.stuck)
	if srv := b.Servers.Server(x.s.Server); srv != nil && !srv.NonStick() {
		x.stuck.Store(srv.Name(), srv.Address(), b.Servers.ID(srv))
	}
}
