package certstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/host"
)

// kept is a version of a certificate in the state directory: a PEM file with a head that names it. Everything a process needs to use it stands in this one file,
// so that `-c` and a process that found the state locked read it like the running one.
type kept struct {
	name  string
	files []fileSum // what it supersedes, empty for a name that no file holds
	body  []byte    // cert.Archive
}

// fileSum is a file's path and the checksum of its content, "absent" when there was none.
type fileSum struct{ path, sum string }

const absent = "absent"

func sumOf(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

const keptHead = "gatehouse certificate 1"

// keptPath is where the version of a name is kept under a state directory.
func keptPath(dir, name string) string {
	return filepath.Join(keptDirOf(dir), sumOf([]byte(name))[:40]+".pem")
}

func keptDirOf(dir string) string { return filepath.Join(dir, "certs") }

// encode writes the head, a checksum over what follows it, and the archive.
func (k *kept) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "name %q\n", k.name)
	for _, f := range k.files {
		fmt.Fprintf(&b, "supersedes %s %q\n", f.sum, f.path)
	}
	b.Write(k.body)
	return append([]byte(keptHead+"\nsum "+sumOf(b.Bytes())+"\n"), b.Bytes()...)
}

var errDamaged = errors.New("the file is damaged")

func decodeKept(data []byte) (*kept, error) {
	head, rest, _ := bytes.Cut(data, []byte("\n"))
	sum, rest, ok := bytes.Cut(rest, []byte("\n"))
	if !ok || string(head) != keptHead || string(sum) != "sum "+sumOf(rest) {
		return nil, errDamaged
	}
	k := &kept{}
	for {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		word, arg, _ := strings.Cut(string(line), " ")
		var err error
		switch word {
		case "name":
			k.name, err = strconv.Unquote(arg)
		case "supersedes":
			sum, path, _ := strings.Cut(arg, " ")
			path, err = strconv.Unquote(path)
			k.files = append(k.files, fileSum{path, sum})
		default:
			k.body = rest
			if k.name == "" {
				return nil, errDamaged
			}
			return k, nil
		}
		if err != nil || !ok {
			return nil, errDamaged
		}
		rest = after
	}
}

// maxKept bounds one kept version, in bytes.
const maxKept = 2 * cert.MaxPEM

// readKept reads all versions below a state directory, as they are once unfinished redo records o are done. Damaged ones are returned as errors
// that name the file.
func readKept(h host.Host, dir string, o overlay) (map[string]*kept, []error) {
	found := map[string]*kept{}
	if dir == "" {
		return found, nil
	}
	names, err := h.ReadDir(keptDirOf(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return found, []error{fmt.Errorf("reading kept certificates: %w", err)}
	}
	for path := range o {
		if filepath.Dir(path) == keptDirOf(dir) && !slices.Contains(names, filepath.Base(path)) {
			names = append(names, filepath.Base(path))
		}
	}
	var errs []error
	for _, name := range names {
		if strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".pem") {
			continue
		}
		path := filepath.Join(keptDirOf(dir), name)
		data, err := h.ReadFile(path, maxKept)
		data, err = o.over(path, data, err)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var k *kept
		if err == nil {
			k, err = decodeKept(data)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("reading kept certificate %s: %w", path, err))
			continue
		}
		found[k.name] = k
	}
	return found, errs
}

// wins tells whether the version supersedes what the files hold now.
// One of a name that no file held is older than any file that has appeared since.
func (k *kept) wins(files []fileSum) bool {
	if len(k.files) == 0 {
		return !slices.ContainsFunc(files, func(f fileSum) bool { return f.sum != absent })
	}
	return slices.Equal(k.files, files)
}
