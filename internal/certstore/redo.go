package certstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/host"
)

// A redo record replaces several files as one: it is written whole (one rename, the commit point), then each file is replaced, then it is removed. Until it is gone, its
// contents count as those of the files, so a reader never sees half of it; the next start finishes it. It touches only files that still hold what it
// was written against, so an operator's later edit wins.
type redoRecord struct {
	Files []redoFile `json:"files"`
}

type redoFile struct {
	Path   string `json:"path"`
	Old    string `json:"old"` // checksum of what is replaced, or "absent"
	Data   []byte `json:"data"`
	Perm   uint32 `json:"perm"`
	Remove bool   `json:"-"` // the file goes away
}

// Heads of records: the first is what was written before there were transactions over many names, JSON.
const (
	redoHead1 = "gatehouse redo 1\n"
	redoHead  = "gatehouse redo 2\n"
)

func redoDir(dir string) string { return filepath.Join(dir, "redo") }

// encode writes the head, a checksum of what follows it, and per file a line and its bytes.
func (r *redoRecord) encode() []byte {
	size := 0
	for _, f := range r.Files {
		size += len(f.Data) + len(f.Path) + 120
	}
	body := bytes.NewBuffer(make([]byte, 0, size))
	for _, f := range r.Files {
		verb := "put"
		if f.Remove {
			verb = "remove"
		}
		fmt.Fprintf(body, "%s %o %s %d %q\n", verb, f.Perm, f.Old, len(f.Data), f.Path)
		body.Write(f.Data)
	}
	head := redoHead + sumOf(body.Bytes()) + "\n"
	return append([]byte(head), body.Bytes()...)
}

func decodeRedo(data []byte) (*redoRecord, error) {
	rest, ok := bytes.CutPrefix(data, []byte(redoHead))
	old := false
	if !ok {
		if rest, old = bytes.CutPrefix(data, []byte(redoHead1)); !old {
			return nil, errDamaged
		}
	}
	sum, body, _ := bytes.Cut(rest, []byte("\n"))
	if string(sum) != sumOf(body) {
		return nil, errDamaged
	}
	var r redoRecord
	if old {
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, errDamaged
		}
		return &r, nil
	}
	for len(body) > 0 {
		f, rest, ok := decodeRedoFile(body)
		if !ok {
			return nil, errDamaged
		}
		r.Files, body = append(r.Files, f), rest
	}
	return &r, nil
}

func decodeRedoFile(body []byte) (f redoFile, rest []byte, ok bool) {
	line, rest, _ := bytes.Cut(body, []byte("\n"))
	words := strings.SplitN(string(line), " ", 5)
	if len(words) != 5 {
		return f, nil, false
	}
	perm, err1 := strconv.ParseUint(words[1], 8, 32)
	size, err2 := strconv.Atoi(words[3])
	path, err3 := strconv.Unquote(words[4])
	if err1 != nil || err2 != nil || err3 != nil || size < 0 || size > len(rest) {
		return f, nil, false
	}
	return redoFile{path, words[2], rest[:size], uint32(perm), words[0] == "remove"}, rest[size:], true
}

// maxRedo bounds a record, in bytes: the largest transaction with its heads.
const maxRedo = 48 << 20

// redoLog is the records below a state directory.
type redoLog struct {
	host host.Host
	dir  string
}

// pending reads the records that were not finished, by file name.
func (l redoLog) pending() (map[string]*redoRecord, error) {
	if l.dir == "" {
		return nil, nil
	}
	names, err := l.host.ReadDir(redoDir(l.dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading redo log: %w", err)
	}
	records := map[string]*redoRecord{}
	var errs []error
	for _, name := range names {
		if !strings.HasSuffix(name, ".redo") || strings.HasPrefix(name, ".") {
			continue
		}
		path := filepath.Join(redoDir(l.dir), name)
		data, err := l.host.ReadFile(path, maxRedo)
		if errors.Is(err, fs.ErrNotExist) {
			continue // finished by its owner between the two calls
		}
		var r *redoRecord
		if err == nil {
			r, err = decodeRedo(data)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("reading redo log %s: %w", path, err))
			continue
		}
		records[path] = r
	}
	return records, errors.Join(errs...)
}

// write makes a record durable. From then on the change has happened.
func (l redoLog) write(r *redoRecord) (path string, err error) {
	data := r.encode()
	if len(data) > maxRedo {
		return "", fmt.Errorf("the change is %d bytes long, more than %d", len(data), maxRedo)
	}
	if err := l.host.MkdirAll(redoDir(l.dir)); err != nil {
		return "", err
	}
	path = filepath.Join(redoDir(l.dir), sumOf(data)[:16]+".redo")
	return path, l.host.ReplaceFile(path, data, 0o600)
}

// finish replaces the files of a record that still hold their old content and removes the record once all are done.
func (l redoLog) finish(path string, r *redoRecord) error {
	if err := l.apply(r.Files); err != nil {
		return err
	}
	return l.host.Remove(path)
}

// apply replaces those of some files of a record that still hold their old content.
func (l redoLog) apply(some []redoFile) error {
	var errs []error
	var files []host.File
	for _, f := range some {
		sum, err := currentSum(l.host, f.Path)
		switch {
		case err != nil:
			errs = append(errs, err)
		case sum != f.Old:
		case f.Remove:
			errs = append(errs, l.host.Remove(f.Path))
		default:
			files = append(files, host.File{Name: f.Path, Data: f.Data, Perm: fs.FileMode(f.Perm)})
		}
	}
	if len(files) == 1 && filepath.Dir(files[0].Name) != keptDirOf(l.dir) {
		errs = append(errs, l.host.ReplaceFile(files[0].Name, files[0].Data, files[0].Perm))
	} else if len(files) > 0 {
		errs = append(errs, l.replaceDirs(files))
	}
	return errors.Join(errs...)
}

// replaceDirs makes the directories of our own files and replaces all.
func (l redoLog) replaceDirs(files []host.File) error {
	dir := keptDirOf(l.dir)
	if slices.ContainsFunc(files, func(f host.File) bool { return filepath.Dir(f.Name) == dir }) {
		if err := l.host.MkdirAll(dir); err != nil {
			return err
		}
	}
	return l.host.ReplaceFiles(files)
}

// recover finishes every record.
func (l redoLog) recover() error {
	records, err := l.pending()
	errs := []error{err}
	for path, r := range records {
		errs = append(errs, l.finish(path, r))
	}
	return errors.Join(errs...)
}

func currentSum(h host.Host, path string) (string, error) {
	data, err := h.ReadFile(path, maxRedo)
	if errors.Is(err, fs.ErrNotExist) {
		return absent, nil
	}
	if err != nil {
		return "", err
	}
	return sumOf(data), nil
}

// overlay is what unfinished records put in place of files.
type overlay map[string]redoFile

func (l redoLog) overlay() (overlay, error) {
	records, err := l.pending()
	o := overlay{}
	for _, r := range records {
		for _, f := range r.Files {
			o[f.Path] = f
		}
	}
	return o, err
}

// over returns what counts as a file's content when err and data are what reading it gave.
func (o overlay) over(path string, data []byte, err error) ([]byte, error) {
	f, ok := o[path]
	if !ok {
		return data, err
	}
	sum := absent
	if err == nil {
		sum = sumOf(data)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	switch {
	case sum != f.Old:
		return data, err
	case f.Remove:
		return nil, fs.ErrNotExist
	}
	return f.Data, nil
}
