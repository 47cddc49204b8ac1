package backend

// setServers replaces the list of servers and what is found by it. It is called by New, and then with lists held.
func (b *Backend) setServers(list []*Server) {
	cookies := map[string][]*Server{}
	for _, s := range list {
		if v := s.o.Line.Cookie; v != "" {
			cookies[v] = append(cookies[v], s)
		}
	}
	b.cookies.Store(&cookies)
	b.list.Store(&list)
}

// ByCookie are the servers whose lines give them this cookie value, those added at run time too. The caller must not change the slice.
func (b *Backend) ByCookie(value []byte) []*Server { return (*b.cookies.Load())[string(value)] }
