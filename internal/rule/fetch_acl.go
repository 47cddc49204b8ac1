package rule

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/stream"
)

// maxACLArgs is how many names the fetch acl takes.
const maxACLArgs = 12

func aclFetches() []fetch {
	return []fetch{{"acl", takes(1, slices.Repeat([]argKind{argStr}, maxACLArgs)...), stream.KindBool, needNothing,
		"whether all ACLs named hold, with ! before a name that one does not", bindACLFetch}}
}

func bindACLFetch(a args) (source, error) {
	var suite []term
	for i := range a.len() {
		name, neg := strings.CutPrefix(a.str(i), "!")
		if name == "" {
			continue
		}
		found := a.c.named.lookup(name)
		if found == nil {
			return source{}, fmt.Errorf("ACL '%s' not found", name)
		}
		suite = append(suite, term{found, neg})
	}
	return source{one: func(s *stream.Stream, env Env) (Value, bool) {
		ok, missing := holds(suite, s, env)
		return boolean(ok), !missing
	}}, nil
}
