package stream

// Tracked is the entry of a stick table in which a connection or a request counts. Package table implements it.
type Tracked interface {
	// Leave ends the tracking. The entry must not be used through this slot any more.
	Leave()
}

// Counters are the slots of track-sc0, track-sc1 and so on: those of a Conn are kept until it closes, those of a Stream until its
// Reset. They belong to the goroutine that owns either.
type Counters struct {
	slots []Tracked
}

// At returns what slot i tracks, nil for nothing.
func (c *Counters) At(i int) Tracked {
	if i < 0 || i >= len(c.slots) {
		return nil
	}
	return c.slots[i]
}

// Set puts t into slot i, which is empty.
func (c *Counters) Set(i int, t Tracked) {
	for len(c.slots) <= i {
		c.slots = append(c.slots, nil)
	}
	c.slots[i] = t
}

// Len is one more than the highest slot that was used.
func (c *Counters) Len() int { return len(c.slots) }

// Leave ends all tracking and keeps the room.
func (c *Counters) Leave() {
	for i, t := range c.slots {
		if t != nil {
			t.Leave()
			c.slots[i] = nil
		}
	}
	c.slots = c.slots[:0]
}
