package certstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
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
	Path string `json:"path"`
	Old  string `json:"old"` // checksum of what is replaced, or "absent"
	Data []byte `json:"data"`
	Perm uint32 `json:"perm"`
}

const redoHead = "gatehouse redo 1\n"

func redoDir(dir string) string { return filepath.Join(dir, "redo") }

func (r *redoRecord) encode() ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return []byte(redoHead + sumOf(body) + "\n" + string(body)), nil
}

func decodeRedo(data []byte) (*redoRecord, error) {
	rest, ok := bytes.CutPrefix(data, []byte(redoHead))
	if !ok {
		return nil, errDamaged
	}
	sum, body, _ := bytes.Cut(rest, []byte("\n"))
	if string(sum) != sumOf(body) {
		return nil, errDamaged
	}
	var r redoRecord
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, errDamaged
	}
	return &r, nil
}

// maxRedo bounds a record: a handful of PEM files in base64.
const maxRedo = 32 << 20

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
	data, err := r.encode()
	if err != nil {
		return "", err
	}
	if err := l.host.MkdirAll(redoDir(l.dir)); err != nil {
		return "", err
	}
	path = filepath.Join(redoDir(l.dir), sumOf(data)[:16]+".redo")
	return path, l.host.ReplaceFile(path, data, 0o600)
}

// finish replaces the files of a record that still hold their old content and removes the record once all are done.
func (l redoLog) finish(path string, r *redoRecord) error {
	var errs []error
	for _, f := range r.Files {
		sum, err := currentSum(l.host, f.Path)
		if err == nil && sum == f.Old {
			err = l.host.ReplaceFile(f.Path, f.Data, fs.FileMode(f.Perm))
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return l.host.Remove(path)
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
