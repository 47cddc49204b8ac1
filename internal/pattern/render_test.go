package pattern_test

import (
	"testing"

	"gatehouse/internal/pattern"
)

func TestAMapsFileKeepsItsCommentsAndOrder(t *testing.T) {
	const file = "# hosts\n\na.example  one   \nb.example two\n  c.example three\nb.example again\nlast.example end"
	refs := pattern.NewRefs(func(string) ([]byte, error) { return []byte(file), nil })
	ref, err := refs.File("hosts.map", pattern.Map, true, pattern.Pos{File: "cfg", Line: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	refs.Finish([]string{"cfg"})
	if got := string(ref.File([]byte(file))); got != file+"\n" {
		t.Errorf("unchanged it is written as\n%s", got)
	}
	if err := ref.Set("c.example", "3"); err != nil {
		t.Fatal(err)
	}
	if !ref.Delete("a.example") {
		t.Fatal("a.example is not there")
	}
	if err := ref.Add(pattern.Item{Key: "new.example", Value: "x y", HasValue: true}); err != nil {
		t.Fatal(err)
	}
	want := "# hosts\n\nb.example two\nc.example 3\nb.example again\nlast.example end\nnew.example x y\n"
	if got := string(ref.File([]byte(file))); got != want {
		t.Errorf("changed it is written as\n%s\nwant\n%s", got, want)
	}
	if ref.Path() != "hosts.map" {
		t.Errorf("its path is %q", ref.Path())
	}
	virtual, err := refs.File("virt@x", pattern.Map, true, pattern.Pos{File: "cfg", Line: 2}, 0)
	if err != nil || virtual.Path() != "" {
		t.Errorf("a virtual map has path %q, %v", virtual.Path(), err)
	}
}
