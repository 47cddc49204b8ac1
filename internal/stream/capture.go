package stream

// CaptureSlots are the places of a frontend where values are kept for its log line (manual section 4.2, "capture request header",
// "declare capture"). They are made with the frontend and never change.
type CaptureSlots struct {
	Req, Res []CaptureSlot
	// Cookie is capture cookie: the first cookie whose name starts with it is kept, up to CookieLen bytes; "" keeps none.
	Cookie    string
	CookieLen int
}

// CaptureSlot is one of them: the field whose last line is kept, "" when only rules fill the slot, and how many bytes at most.
type CaptureSlot struct {
	Field string // lower case
	Len   int
}

// Capture keeps v in a slot of the request or of the response, cut to the slot's length. A slot that the frontend does not have
// keeps nothing. v may be changed afterwards.
func (s *Stream) Capture(response bool, slot int, v []byte) {
	if s.Slots == nil {
		return
	}
	slots, kept := s.Slots.Req, &s.Log.ReqCaptures
	if response {
		slots, kept = s.Slots.Res, &s.Log.ResCaptures
	}
	if slot < 0 || slot >= len(slots) {
		return
	}
	for len(*kept) < len(slots) {
		*kept = append(*kept, nil)
	}
	v = v[:min(len(v), slots[slot].Len)]
	if old := (*kept)[slot]; cap(old) >= len(v) && old != nil {
		(*kept)[slot] = append(old[:0], v...)
		return
	}
	if v = s.Scratch(v); v == nil {
		v = []byte{} // captured, and empty
	}
	(*kept)[slot] = v
}

// CaptureFields keeps the last line of every field that a slot names.
func (s *Stream) CaptureFields(response bool) {
	if s.Slots == nil {
		return
	}
	slots, fields := s.Slots.Req, s.Req.Fields
	if response {
		slots, fields = s.Slots.Res, s.Res.Fields
	}
	for i := range slots {
		if slots[i].Field == "" {
			continue
		}
		if v := Get(fields, slots[i].Field); v != nil {
			s.Capture(response, i, v)
		}
	}
}

// ForgetFields empties the slots that hold fields and the cookie of a request that nothing is to be known of. What rules captured stays.
func (s *Stream) ForgetFields() {
	s.Log.ClientCookie = nil
	if s.Slots == nil {
		return
	}
	for i := range s.Log.ReqCaptures {
		if s.Slots.Req[i].Field != "" {
			s.Log.ReqCaptures[i] = nil
		}
	}
}

// CaptureCookie keeps the first cookie of the request, or that the response sets, whose name starts as capture cookie says, with
// its name.
func (s *Stream) CaptureCookie(response bool) {
	if s.Slots == nil || s.Slots.Cookie == "" {
		return
	}
	fields, name, kept := s.Req.Fields, "cookie", &s.Log.ClientCookie
	if response {
		fields, name, kept = s.Res.Fields, "set-cookie", &s.Log.ServerCookie
	}
	for i := range fields {
		if *kept != nil {
			return
		}
		if string(fields[i].Name) != name {
			continue
		}
		line := fields[i].Value
		for len(line) > 0 {
			var pair []byte
			pair, line = cutCookie(line)
			if len(pair) >= len(s.Slots.Cookie) && string(pair[:len(s.Slots.Cookie)]) == s.Slots.Cookie {
				*kept = s.Scratch(pair[:min(len(pair), s.Slots.CookieLen)])
				break
			}
			if response { // what follows are attributes
				break
			}
		}
	}
}

// cutCookie returns the first cookie of a line without the blanks around it, and the rest of the line. Separators within quotes
// separate nothing.
func cutCookie(line []byte) (pair, rest []byte) {
	quoted := false
	end := len(line)
	for i := 0; i < len(line); i++ {
		c := line[i]
		if quoted && c == '\\' {
			i++
		} else if c == '"' {
			quoted = !quoted
		} else if !quoted && (c == ';' || c == ',') {
			end = i
			break
		}
	}
	pair = line[:end]
	if end < len(line) {
		rest = line[end+1:]
	}
	for len(pair) > 0 && (pair[0] == ' ' || pair[0] == '\t') {
		pair = pair[1:]
	}
	for len(pair) > 0 && (pair[len(pair)-1] == ' ' || pair[len(pair)-1] == '\t') {
		pair = pair[:len(pair)-1]
	}
	return pair, rest
}
