package stream

// Vars are the variables of one scope (surface 4.1): few, so a slice beats a map.
type Vars struct {
	list []variable
}

type variable struct {
	name  string
	value Value
}

// Get returns the value of name and whether it is set.
func (v *Vars) Get(name string) (Value, bool) {
	for i := range v.list {
		if v.list[i].name == name {
			return v.list[i].value, true
		}
	}
	return Value{}, false
}

// Set gives name a value.
func (v *Vars) Set(name string, value Value) {
	for i := range v.list {
		if v.list[i].name == name {
			v.list[i].value = value
			return
		}
	}
	v.list = append(v.list, variable{name, value})
}

// Unset removes name.
func (v *Vars) Unset(name string) {
	for i := range v.list {
		if v.list[i].name == name {
			v.list = append(v.list[:i], v.list[i+1:]...)
			return
		}
	}
}

// Clear removes all, keeping the room.
func (v *Vars) Clear() {
	clear(v.list)
	v.list = v.list[:0]
}
