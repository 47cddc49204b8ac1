package internal

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// unbounded are the calls that read until their source ends, whatever it sends. Each needs a bound around its source.
var unbounded = map[string]bool{
	"io.ReadAll": true, "os.ReadFile": true, "ioutil.ReadAll": true, "ioutil.ReadFile": true,
	".ReadFrom": true, ".ReadString": true, ".ReadBytes": true, "io.Copy": true,
}

// bounds are what makes a source end.
var bounds = map[string]bool{"io.LimitReader": true, "http.MaxBytesReader": true}

// excused are calls whose source ends for another reason, by file and call.
var excused = map[string]string{
	"host/listen.go os.ReadFile":          "a file of the kernel, one number long",
	"acme/client.go body.ReadFrom":        "the transport has read the answer whole, within its bound",
	"runtimeapi/conn.go io.Copy":          "a relay: nothing is kept",
	"face/socket/forward.go io.Copy":      "a relay: nothing is kept",
	"proxy/tunnel.go dst.ReadFrom":        "a relay between sockets, by limited pieces",
	"log/forward.go io.Copy":              "nothing is kept",
	"host/hosttest/suite.go os.ReadFile":  "tests only: a file of ours",
	"gatetest/ca_pebble.go *bufio.Reader": "tests only: the first line of a program of ours",
}

// TestThreat_N10: whatever is read from a peer, a file or the disk has a bound. Bounds of single formats are tested where they are read:
// PEM in package cert, patterns in pattern, answers in acme and runtimeapi, heads and chunks in h1, payloads in face/socket.
func TestThreat_N10(t *testing.T) {
	used := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name, watched := called(call.Fun)
			if !watched || bounded(call) {
				return true
			}
			key := filepath.ToSlash(path) + " " + name
			if _, ok := excused[key]; !ok {
				t.Errorf("%s: %s reads without a bound; wrap its source in io.LimitReader, or say here why it ends", set.Position(call.Pos()), name)
			}
			used[key] = true
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key := range excused {
		if !used[key] {
			t.Errorf("%s is excused and does not occur", key)
		}
	}
}

// called names a call and tells whether it is one of unbounded.
func called(fun ast.Expr) (string, bool) {
	sel, ok := fun.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	switch x := sel.X.(type) {
	case *ast.Ident:
		name := x.Name + "." + sel.Sel.Name
		return name, unbounded[name] || unbounded["."+sel.Sel.Name]
	case *ast.CallExpr:
		if name, _ := called(x.Fun); name == "bufio.NewReader" {
			return "*bufio.Reader", unbounded["."+sel.Sel.Name]
		}
	case *ast.SelectorExpr:
		return fmt.Sprint(x.Sel.Name, ".", sel.Sel.Name), unbounded["."+sel.Sel.Name]
	}
	return "", false
}

// bounded reports whether an argument of the call is a limited reader made on the spot.
func bounded(call *ast.CallExpr) bool {
	for _, arg := range call.Args {
		if inner, ok := arg.(*ast.CallExpr); ok {
			if name, _ := called(inner.Fun); bounds[name] {
				return true
			}
		}
	}
	return false
}
