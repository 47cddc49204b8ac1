package table

// heap orders the entries of a shard by when they are to be looked at: the earliest first. An entry knows its place.
type heap []*Entry

func (h *heap) push(e *Entry) {
	*h = append(*h, e)
	e.at = int32(len(*h) - 1)
	h.up(len(*h) - 1)
}

// remove takes e out.
func (h *heap) remove(e *Entry) {
	i, last := int(e.at), len(*h)-1
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	e.at = -1
	if i < last {
		h.up(i)
		h.down(i)
	}
}

// requeue moves e to a later time.
func (h *heap) requeue(e *Entry, at int64) {
	e.queued = at
	h.down(int(e.at))
}

func (h *heap) swap(i, j int) {
	s := *h
	s[i], s[j] = s[j], s[i]
	s[i].at, s[j].at = int32(i), int32(j)
}

func (h *heap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if (*h)[parent].queued <= (*h)[i].queued {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h *heap) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(*h) {
			return
		}
		if child+1 < len(*h) && (*h)[child+1].queued < (*h)[child].queued {
			child++
		}
		if (*h)[i].queued <= (*h)[child].queued {
			return
		}
		h.swap(i, child)
		i = child
	}
}
