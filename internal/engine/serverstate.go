package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
	"gatehouse/internal/stats"
)

// maxStateFile bounds a file of servers' states: some 100,000 servers.
const maxStateFile = 64 << 20

// savedStates are the states of g's servers, by name, that an earlier process wrote to the file of load-server-state-from-file. What keeps
// them from being used is told and starts nothing less.
func (b *builder) savedStates(g *proxyGen) map[string]*stats.ServerState {
	name := g.cfg.StateFile(&b.cfg.Global)
	if name == "" || g.cfg.Disabled || len(g.cfg.Servers) == 0 {
		return nil
	}
	lines := b.linesOf(g, name)
	states, known := map[string]*stats.ServerState{}, map[string]bool{}
	for _, l := range lines {
		if known[l.Server()] { // written by hand; the first counts
			continue
		}
		known[l.Server()] = true
		i := slices.IndexFunc(g.cfg.Servers, func(s *config.Server) bool { return s.Name == l.Server() })
		if i < 0 {
			if g.cfg.LoadServerState == "local" {
				b.warn("Proxy '%s': can't find server '%s' in backend '%s'", g.cfg.Name, l.Server(), g.cfg.Name)
			}
			continue
		}
		if st := b.savedState(g, g.cfg.Servers[i], l); st != nil {
			states[l.Server()] = st
		}
	}
	return states
}

func (b *builder) warn(format string, args ...any) {
	b.diags.Add(config.LevelWarning, fmt.Sprintf(format, args...))
}

// linesOf are the lines of the file that are about g.
func (b *builder) linesOf(g *proxyGen, name string) []stats.SavedServer {
	own := g.cfg.LoadServerState == "local"
	if !own {
		if b.saved == nil {
			saved := b.readStates("global ", "config: ", name)
			b.saved = &saved
		}
		return slices.DeleteFunc(slices.Clone(*b.saved), func(l stats.SavedServer) bool { return l.Backend() != g.cfg.Name })
	}
	lines := b.readStates("", fmt.Sprintf("Proxy '%s': ", g.cfg.Name), name)
	return slices.DeleteFunc(lines, func(l stats.SavedServer) bool { return !b.isAbout(g, l) })
}

// isAbout holds a line of a backend's own file against the backend: the name counts, and the number where the configuration gave it.
func (b *builder) isAbout(g *proxyGen, l stats.SavedServer) bool {
	sameID, sameName := l.BackendID() == strconv.Itoa(g.iid), l.Backend() == g.cfg.Name
	switch {
	case !sameID && !sameName:
		return false
	case !sameID:
		b.warn("Proxy '%s': backend ID mismatch: from server state file: '%s', from running config '%d'", g.cfg.Name, l.BackendID(), g.iid)
	case !sameName:
		b.warn("Proxy '%s': backend name mismatch: from server state file: '%s', from running config '%s'", g.cfg.Name, l.Backend(), g.cfg.Name)
		return l.BackendForced()
	}
	return true
}

// readStates reads one file. whose begins its messages.
func (b *builder) readStates(kind, whose, name string) []stats.SavedServer {
	data, err := b.e.o.Host.ReadFile(name, maxStateFile)
	if err != nil {
		level := config.LevelWarning
		if errors.Is(err, fs.ErrNotExist) {
			level = config.LevelNotice
		}
		end := "."
		if kind != "" {
			end = ""
		}
		b.diags.Add(level, fmt.Sprintf("%sCan't open %sserver state file '%s': %s%s", whose, kind, name, host.Strerror(err), end))
		return nil
	}
	lines, err := stats.ReadServerStates(data)
	var corrupt *stats.CorruptStateError
	switch {
	case errors.Is(err, stats.ErrStateEmpty):
		b.diags.Add(config.LevelNotice, fmt.Sprintf("%sEmpty %sserver state file '%s'.", whose, kind, name))
	case errors.As(err, &corrupt):
		b.warn("%scorrupted %sserver state file '%s' at line %d.", whose, kind, name, corrupt.Line)
	case err != nil:
		b.warn("%sCan't get version of the %sserver state file '%s'.", whose, kind, name)
	}
	return lines
}

// savedState reads the fields of a line; nil when they are of no use.
func (b *builder) savedState(g *proxyGen, s *config.Server, l stats.SavedServer) *stats.ServerState {
	st, err := l.State(time.Now())
	if err != nil {
		b.warn("server-state application failed for server '%s/%s'%v", g.cfg.Name, s.Name, err)
		return nil
	}
	switch {
	case (st.CheckAddr != "" || st.CheckPort != 0) && !s.Check:
		b.warn("server-state partially applied for server '%s/%s', health checks are not enabled on this server", g.cfg.Name, s.Name)
	case (st.AgentAddr != "" || st.AgentPort != 0) && !s.AgentCheck:
		b.warn("server-state partially applied for server '%s/%s', agent checks are not enabled on this server", g.cfg.Name, s.Name)
	}
	return st
}

// lastAddress is where a server with a name was, when its init-addr asks for that first.
func lastAddress(s *config.Server, saved *stats.ServerState) (netip.Addr, bool) {
	if saved == nil || saved.Addr == "" {
		return netip.Addr{}, false
	}
	methods := s.InitAddr
	if methods == "" {
		methods = "last,libc"
	}
	if first, _, _ := strings.Cut(methods, ","); first != "last" {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(saved.Addr)
	return ip, err == nil
}
