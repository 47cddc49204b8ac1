package socket

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/internal/pattern"
	"gatehouse/internal/stream"
)

// mapCommands change and show ACLs and maps (surface 1.9). Both kinds have the same commands but for set.
func (w *Worker) mapCommands() []Command {
	if w.o.Patterns == nil {
		return nil
	}
	entry := func(words, usage, help string, kind pattern.Kind, run func(patternRequest)) Command {
		return Command{Words: strings.Fields(words), Level: Admin, Usage: usage, Help: help, Run: func(_ context.Context, r *Request) {
			refs := w.o.Patterns()
			if refs == nil {
				refs = pattern.NewRefs(nil)
			}
			run(patternRequest{r, refs, kind, r.Args[2:], w.o.SavePattern})
		}}
	}
	return []Command{
		entry("add acl", "add acl [@<ver>] <acl> <pattern>", "add an acl entry", pattern.ACL, patternRequest.add),
		entry("clear acl", "clear acl [@<ver>] <acl>", "clear the contents of this acl", pattern.ACL, patternRequest.clear),
		entry("commit acl", "commit acl @<ver> <acl>", "commit the ACL at this version", pattern.ACL, patternRequest.commit),
		entry("del acl", "del acl <acl> [<key>|#<ref>]", "delete acl entries matching <key>", pattern.ACL, patternRequest.del),
		entry("get acl", "get acl <acl> <value>", "report the patterns matching a sample for an ACL", pattern.ACL, patternRequest.get),
		entry("prepare acl", "prepare acl <acl>", "prepare a new version for atomic ACL replacement", pattern.ACL, patternRequest.prepare),
		entry("show acl", "show acl [@<ver>] <acl>", "report available acls or dump an acl's contents", pattern.ACL, patternRequest.show),
		entry("add map", "add map [@<ver>] <map> <key> <val>", "add a map entry (payload supported instead of key/val)", pattern.Map, patternRequest.add),
		entry("clear map", "clear map [@<ver>] <map>", "clear the contents of this map", pattern.Map, patternRequest.clear),
		entry("commit map", "commit map @<ver> <map>", "commit the map at this version", pattern.Map, patternRequest.commit),
		entry("del map", "del map <map> [<key>|#<ref>]", "delete map entries matching <key>", pattern.Map, patternRequest.del),
		entry("get map", "get map <map> <value>", "report the keys and values matching a sample for a map", pattern.Map, patternRequest.get),
		entry("prepare map", "prepare map <map>", "prepare a new version for atomic map replacement", pattern.Map, patternRequest.prepare),
		entry("set map", "set map <map> [<key>|#<ref>] <value>", "modify a map entry", pattern.Map, patternRequest.set),
		entry("show map", "show map [@<ver>] [map]", "report available maps or dump a map's contents", pattern.Map, patternRequest.show),
	}
}

// patternRequest is one of these commands being run; args are the words behind its own two.
type patternRequest struct {
	*Request
	refs *pattern.Refs
	kind pattern.Kind
	args Args
	save func(*pattern.Ref) string
}

// saved makes a change of the current version durable before the answer.
func (r patternRequest) saved(ref *pattern.Ref) {
	if r.save == nil || ref.Path() == "" {
		return
	}
	if warning := r.save(ref); warning != "" {
		r.session.message(levelWarning, warning)
	}
}

// noun is what messages call the kind.
func (r patternRequest) noun() string {
	if r.kind == pattern.Map {
		return "map"
	}
	return "ACL"
}

// version takes the word @<ver>, if it is there.
func (r *patternRequest) version() (ver uint32, given bool) {
	text, given := strings.CutPrefix(r.args.At(0), "@")
	if !given {
		return 0, false
	}
	r.args = r.args[1:]
	for _, c := range []byte(text) { // what follows the digits does not count
		if c < '0' || c > '9' {
			break
		}
		ver = ver*10 + uint32(c-'0')
	}
	return ver, true
}

// ref finds the set that a word names, of whatever kind, or answers that there is none.
func (r patternRequest) ref(word string) *pattern.Ref {
	ref := r.refs.Lookup(word)
	if ref == nil {
		r.unknown(r.noun())
	}
	return ref
}

// own is ref for commands that want a set of their kind.
func (r patternRequest) own(word string) *pattern.Ref {
	if ref := r.refs.Lookup(word); ref != nil && ref.Is(r.kind) {
		return ref
	}
	r.unknown(r.noun())
	return nil
}

func (r patternRequest) unknown(noun string) {
	r.Err("Unknown " + noun + " identifier. Please use #<id> or <file>.")
}

func (r patternRequest) show() {
	if len(r.args) == 0 {
		r.list()
		return
	}
	ver, given := r.version()
	ref := r.own(r.args.At(0))
	if ref == nil {
		return
	}
	if !given {
		ver, _ = ref.Versions()
	}
	for e := range ref.Entries(ver) {
		text, has := e.Text()
		if has {
			text = " " + text
		}
		if _, err := fmt.Fprintf(r, "0x%x %s%s\n", e.ID, e.Key, text); err != nil {
			return
		}
	}
}

func (r patternRequest) list() {
	r.Print("# id (file) description\n")
	for _, ref := range r.refs.All() {
		if !ref.Is(r.kind) {
			continue
		}
		cur, last := ref.Versions()
		if _, err := fmt.Fprintf(r, "%d (%s) %s. curr_ver=%d next_ver=%d entry_cnt=%d\n", ref.ID(), ref.Name(), ref.Display(), cur, last, ref.Count()); err != nil {
			return
		}
	}
}

func (r patternRequest) get() {
	if r.args.At(0) == "" || r.args.At(1) == "" {
		r.Err("Missing " + r.noun() + " identifier and/or key.")
		return
	}
	ref := r.ref(r.args[0])
	if ref == nil {
		return
	}
	for _, a := range ref.Look(r.args[1]) {
		r.Print(r.answer(a))
	}
}

func (r patternRequest) answer(a pattern.Answer) string {
	var b strings.Builder
	casing, verb, key, yes := "sensitive", "match", "pattern", "yes"
	if a.Use.Fold {
		casing = "insensitive"
	}
	if r.kind == pattern.Map {
		verb, key = "found", "key"
	}
	if !a.Accepted {
		yes = "no"
	}
	fmt.Fprintf(&b, "type=%s, case=%s, %s=%s", methodName(a.Use.Method), casing, verb, yes)
	if a.Accepted {
		index := "tree"
		if a.Listed {
			index = "list"
		}
		fmt.Fprintf(&b, ", idx=%s, %s=", index, key)
		if a.Entry == nil {
			b.WriteString("unknown")
		} else {
			fmt.Fprintf(&b, "\"%s\"", a.Entry.Key)
		}
		if r.kind == pattern.Map {
			b.WriteString(", value=" + valueOf(a))
		}
	}
	b.WriteString("\n")
	return b.String()
}

// methodName names a method as get does, which has no word for those that only a criterion implies.
func methodName(m pattern.Method) string {
	if m == pattern.Meth || m == pattern.Ver {
		return "unknown"
	}
	return m.String()
}

func valueOf(a pattern.Answer) string {
	if a.Entry == nil || a.Use.Out == stream.KindAny {
		return "none"
	}
	text, has := a.Entry.Text()
	if !has {
		return "none"
	}
	kind := "str"
	switch a.Use.Out {
	case stream.KindInt:
		kind = "sint"
	case stream.KindAddr:
		kind = "ipv6"
		if ip, _ := a.Entry.Addr(); ip.Is4() {
			kind = "ipv4"
		}
	}
	return fmt.Sprintf("\"%s\", type=\"%s\"", text, kind)
}

func (r patternRequest) prepare() {
	if ref := r.own(r.args.At(0)); ref != nil {
		r.Msg(fmt.Sprintf("New version created: %d", ref.Prepare()))
	}
}

func (r patternRequest) commit() {
	ver, given := r.version()
	switch {
	case !given:
		r.Err("Missing version number.")
		return
	case r.args.At(0) == "":
		r.Err("Missing " + r.noun() + " identifier.")
		return
	}
	ref := r.own(r.args[0])
	if ref == nil {
		return
	}
	if err := ref.Commit(ver); err != nil {
		r.Err(err.Error())
		return
	}
	r.saved(ref)
}

func (r patternRequest) clear() {
	ver, given := r.version()
	if r.args.At(0) == "" {
		r.Err("Missing " + r.noun() + " identifier.")
		return
	}
	ref := r.own(r.args[0])
	if ref == nil {
		return
	}
	if !given {
		ver, _ = ref.Versions()
	}
	ref.Clear(ver)
	if current, _ := ref.Versions(); ver == current {
		r.saved(ref)
	}
}

func (r patternRequest) add() {
	ver, given := r.version()
	if !r.addArgs() {
		return
	}
	ref := r.ref(r.args[0])
	if ref == nil {
		return
	}
	switch _, last := ref.Versions(); {
	case given && int32(ver-last) > 0:
		r.Err("Version number in the future, please use 'prepare " + strings.ToLower(r.noun()) + "' before.")
		return
	case r.kind == pattern.ACL && ref.TwoColumns():
		r.Err("This ACL is shared with a map containing samples. You must use the command 'add map' to add values.")
		return
	}
	items, missing := r.items()
	var err error
	if given {
		err = ref.AddTo(ver, items...)
	} else {
		err = ref.Add(items...)
		r.saved(ref)
	}
	if err == nil {
		err = missing
	}
	r.failed(err)
}

// addArgs checks that add has what it wants.
func (r patternRequest) addArgs() bool {
	switch {
	case r.kind == pattern.ACL:
		if r.args.At(0) == "" || r.args.At(1) == "" {
			r.Err("'add acl' expects two parameters: ACL identifier and pattern.")
			return false
		}
	case r.args.At(0) == "", r.Payload == nil && (r.args.At(1) == "" || r.args.At(2) == ""):
		r.Err("'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) and a payload")
		return false
	}
	return true
}

// items are what add is to add: the words, or the lines of the payload up to one that has no value, which is the error.
func (r patternRequest) items() ([]pattern.Item, error) {
	if r.Payload == nil {
		return []pattern.Item{{Key: r.args[1], Value: r.args.At(2), HasValue: r.kind == pattern.Map}}, nil
	}
	var items []pattern.Item
	for line := range strings.Lines(string(r.Payload)) {
		line = strings.TrimSuffix(line, "\n")
		i := strings.IndexAny(line, " \t")
		if i < 0 && r.kind == pattern.Map {
			return items, fmt.Errorf("Missing value for key '%s'", line) //nolint:staticcheck // HAProxy's text
		}
		it := pattern.Item{Key: line, HasValue: r.kind == pattern.Map}
		if i >= 0 {
			it.Key = line[:i]
			if it.HasValue {
				it.Value = strings.TrimLeft(line[i:], " \t")
			}
		}
		items = append(items, it)
	}
	return items, nil
}

func (r patternRequest) failed(err error) {
	if err != nil {
		r.Err(strings.TrimSuffix(err.Error(), ".") + ".")
	}
}

var errMalformed = errors.New("Malformed identifier. Please use #<id> or <file>.") //nolint:staticcheck // HAProxy's text

// entryID reads an entry's number as show prints it, behind "#"; ok is false when the word is a key.
func entryID(word string) (id uint64, ok bool, err error) {
	hex, ok := strings.CutPrefix(word, "#0x")
	if !ok {
		return 0, false, nil
	}
	if id, err = strconv.ParseUint(hex, 16, 63); err != nil {
		return 0, true, errMalformed
	}
	return id, true, nil
}

func (r patternRequest) del() {
	if r.args.At(0) == "" || r.args.At(1) == "" {
		r.Err("This command expects two parameters: " + r.noun() + " identifier and key.")
		return
	}
	ref := r.refs.Lookup(r.args[0])
	if ref == nil || !ref.Is(r.kind) {
		r.unknown("map") // of ACLs too
		return
	}
	id, byID, err := entryID(r.args[1])
	deleted := false
	switch {
	case err != nil:
		r.Err(err.Error())
		return
	case byID:
		deleted = ref.DeleteID(id)
	default:
		deleted = ref.Delete(r.args[1])
	}
	if !deleted {
		r.Err("Key not found.")
		return
	}
	r.saved(ref)
}

func (r patternRequest) set() {
	if r.args.At(0) == "" || r.args.At(1) == "" || r.args.At(2) == "" {
		r.Err("'set map' expects three parameters: map identifier, key and value.")
		return
	}
	ref := r.ref(r.args[0])
	if ref == nil {
		return
	}
	id, byID, err := entryID(r.args[1])
	switch {
	case err != nil:
	case byID:
		err = ref.SetID(id, r.args[2])
	default:
		err = ref.Set(r.args[1], r.args[2])
	}
	if r.failed(err); err == nil {
		r.saved(ref)
	}
}
