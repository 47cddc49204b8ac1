package pattern

import "gatehouse/internal/stream"

// Method is how a pattern is compared with a value (manual 7.1).
type Method uint8

// The methods. Regm is reg whose captures the value of the map may use; Meth is that of the criterion method; Ver compares
// versions such as 3.1.
const (
	Found Method = iota
	Bool
	Int
	IP
	Bin
	Len
	Str
	Beg
	Sub
	Dir
	Dom
	End
	Reg
	Regm
	Meth
	Ver
)

var methodNames = [...]string{"found", "bool", "int", "ip", "bin", "len", "str", "beg", "sub", "dir", "dom", "end", "reg", "regm", "meth", "ver"}

func (m Method) String() string { return methodNames[m] }

// Use is what a view looks for. Uses that are equal share one view.
type Use struct {
	Method Method
	Fold   bool        // ignore case
	NoDNS  bool        // -n; changes nothing but what counts as the same use
	Out    stream.Kind // of a map's values: KindStr, KindInt or KindAddr; KindAny in an ACL, which has none
}

// storage says which uses share their entries in HAProxy, which counts and shows those once.
func (u Use) storage() Use {
	switch u.Method {
	case Found:
		u.Method = Bool
	case Len:
		u.Method = Int
	case Sub, Dir, Dom:
		u.Method = End
	}
	return u
}

// longest says whether the longest pattern wins over the first one.
func (u Use) longest() bool { return u.Method == Beg && !u.Fold }
