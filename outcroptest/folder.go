package outcroptest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/outcrop/outcrop/batch"
)

// A Folder is a batch.Objects of plain files, whole at any time, that outlive
// the process: buckets are folders, keys are paths below them.
type Folder struct {
	Dir string
	// Fault, if not nil, is asked before each call, by the name of the method,
	// bucket and key; an error is that of the call.
	Fault func(method, bucket, key string) error
	// Late, if not nil, is asked after each call that has had its effect: an
	// error is what the caller gets nevertheless.
	Late func(method, bucket, key string) error

	mu sync.Mutex
}

var _ batch.Objects = (*Folder)(nil)

// path is where the object is. Keys that end with '/' are no files here.
func (f *Folder) path(bucket, key string) string {
	return filepath.Join(f.Dir, bucket, filepath.FromSlash(strings.TrimSuffix(key, "/")))
}

func (f *Folder) enter(method, bucket, key string) error {
	if f.Fault != nil {
		if err := f.Fault(method, bucket, key); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(f.Dir, bucket)); err != nil {
		return batch.ErrNoObject
	}
	return nil
}

func (f *Folder) leave(method, bucket, key string) error {
	if f.Late == nil {
		return nil
	}
	return f.Late(method, bucket, key)
}

// uploads is the folder of what is not complete yet.
const uploads = ".uploads"

// pageOf is how many objects a page of a list holds: few enough that there are
// more pages than one.
const pageOf = 50

// List implements batch.Objects.
func (f *Folder) List(_ context.Context, bucket, prefix, from string) (page []batch.Object, next string, err error) {
	if err := f.enter("List", bucket, prefix); err != nil {
		return nil, "", err
	}
	root := filepath.Join(f.Dir, bucket)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed meanwhile
			}
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if key := filepath.ToSlash(rel); strings.HasPrefix(key, prefix) && key > from && !strings.HasSuffix(key, ".new") {
			o, err := f.stat(bucket, key)
			if err == nil {
				page = append(page, o)
			}
		}
		return nil
	})
	sort.Slice(page, func(i, j int) bool { return page[i].Key < page[j].Key })
	if len(page) > pageOf {
		page = page[:pageOf]
		next = page[pageOf-1].Key
	}
	return page, next, err
}

func (f *Folder) stat(bucket, key string) (batch.Object, error) {
	info, err := os.Stat(f.path(bucket, key))
	if err != nil || info.IsDir() {
		return batch.Object{}, batch.ErrNoObject
	}
	return batch.Object{Key: key, Size: info.Size(), ETag: fmt.Sprintf("%x-%x", info.Size(), info.ModTime().UnixNano())}, nil
}

// Stat implements batch.Objects.
func (f *Folder) Stat(_ context.Context, bucket, key string) (batch.Object, error) {
	if err := f.enter("Stat", bucket, key); err != nil {
		return batch.Object{}, err
	}
	return f.stat(bucket, key)
}

// Read implements batch.Objects.
func (f *Folder) Read(_ context.Context, bucket, key, etag string, from, to int64) (io.ReadCloser, error) {
	if err := f.enter("Read", bucket, key); err != nil {
		return nil, err
	}
	o, err := f.stat(bucket, key)
	if err != nil {
		return nil, err
	}
	if etag != "" && etag != o.ETag {
		return nil, batch.ErrChanged
	}
	file, err := os.Open(f.path(bucket, key))
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(file, from, to-from), file}, nil
}

// Put implements batch.Objects.
func (f *Folder) Put(_ context.Context, bucket, key string, body []byte, exclusive bool) error {
	if err := f.enter("Put", bucket, key); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if exclusive {
		if _, err := f.stat(bucket, key); err == nil {
			return batch.ErrExists
		}
	}
	if err := write(f.path(bucket, key), bytes.NewReader(body)); err != nil {
		return err
	}
	return f.leave("Put", bucket, key)
}

// write writes a file whole or not at all.
func write(path string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.Create(path + "." + nonce() + ".new")
	if err != nil {
		return err
	}
	_, err = io.Copy(file, r)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func nonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func (f *Folder) uploadDir(bucket, key, upload string) string {
	return filepath.Join(f.Dir, uploads, bucket, hex.EncodeToString([]byte(key)), upload)
}

var errNoUpload = errors.New("there is no such upload, or it has no such part")

// Begin implements batch.Objects.
func (f *Folder) Begin(_ context.Context, bucket, key string) (string, error) {
	if err := f.enter("Begin", bucket, key); err != nil {
		return "", err
	}
	id := nonce()
	if err := os.MkdirAll(f.uploadDir(bucket, key, id), 0o700); err != nil {
		return "", err
	}
	return id, f.leave("Begin", bucket, key)
}

// Part implements batch.Objects.
func (f *Folder) Part(_ context.Context, bucket, key, upload string, n int, body []byte) (string, error) {
	if err := f.enter("Part", bucket, key); err != nil {
		return "", err
	}
	dir := f.uploadDir(bucket, key, upload)
	if _, err := os.Stat(dir); err != nil {
		return "", errNoUpload
	}
	if err := write(filepath.Join(dir, fmt.Sprintf("%05d", n)), bytes.NewReader(body)); err != nil {
		return "", err
	}
	return fmt.Sprintf("part-%d-%d", n, len(body)), f.leave("Part", bucket, key)
}

// leastPart is the least size of a part that is not the last one.
const leastPart = 5 << 20

// Complete implements batch.Objects.
func (f *Folder) Complete(_ context.Context, bucket, key, upload string, etags []string) error {
	if err := f.enter("Complete", bucket, key); err != nil {
		return err
	}
	dir := f.uploadDir(bucket, key, upload)
	var readers []io.Reader
	for i, etag := range etags {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%05d", i+1)))
		if err != nil || etag != fmt.Sprintf("part-%d-%d", i+1, len(text)) {
			return errNoUpload
		}
		if i < len(etags)-1 && len(text) < leastPart {
			return fmt.Errorf("part %d has %d bytes", i+1, len(text))
		}
		readers = append(readers, bytes.NewReader(text))
	}
	if err := write(f.path(bucket, key), io.MultiReader(readers...)); err != nil {
		return err
	}
	_ = os.RemoveAll(dir)
	return f.leave("Complete", bucket, key)
}

// Abort implements batch.Objects.
func (f *Folder) Abort(_ context.Context, bucket, key, upload string) error {
	if err := f.enter("Abort", bucket, key); err != nil {
		return err
	}
	return os.RemoveAll(f.uploadDir(bucket, key, upload))
}

// Uploads implements batch.Objects.
func (f *Folder) Uploads(_ context.Context, bucket, prefix string) (all []batch.Upload, err error) {
	if err := f.enter("Uploads", bucket, prefix); err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(f.Dir, uploads, bucket, "*", "*"))
	for _, path := range found {
		key, err := hex.DecodeString(filepath.Base(filepath.Dir(path)))
		if err == nil && strings.HasPrefix(string(key), prefix) {
			all = append(all, batch.Upload{Key: string(key), ID: filepath.Base(path)})
		}
	}
	return all, err
}

// Delete implements batch.Objects.
func (f *Folder) Delete(_ context.Context, bucket, key string) error {
	if err := f.enter("Delete", bucket, key); err != nil {
		return err
	}
	if err := os.Remove(f.path(bucket, key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.leave("Delete", bucket, key)
}
