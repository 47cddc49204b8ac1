package stream

// Packets are what rules ask of the packets of one connection: the netfilter mark and the type of service byte (set-fc-mark, set-fc-tos and
// their like). The zero value asks nothing.
type Packets struct {
	Mark, TOS       int
	HasMark, HasTOS bool
}

// Any reports whether anything is asked.
func (p Packets) Any() bool { return p.HasMark || p.HasTOS }
