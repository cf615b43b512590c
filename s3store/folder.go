package s3store

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pkg/xattr"
	"github.com/versity/versitygw/backend/meta"
)

// sidecar is what the folder with the metadata is called beside that of the
// buckets, where the file system keeps no extended attributes.
const sidecar = ".meta"

// prepare makes the folder dir and says where what S3 knows of an object
// besides its data is kept: in the extended attributes of the files, so that
// both change in one step, or else in a folder beside dir. A choice once made
// stands.
func prepare(dir string) (meta.MetadataStorer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	beside := dir + sidecar
	_, err := os.Stat(beside)
	switch {
	case err == nil:
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case keepsAttributes(dir):
		return meta.XattrMeta{}, nil
	}
	if err := os.MkdirAll(beside, 0o700); err != nil {
		return nil, err
	}
	return meta.NewSideCar(beside)
}

// keepsAttributes tries it out on a file in dir.
func keepsAttributes(dir string) bool {
	f, err := os.CreateTemp(filepath.Dir(dir), ".attributes-*")
	if err != nil {
		return false
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer func() { _ = f.Close() }()
	const name = "user.outcrop"
	if err := xattr.FSet(f, name, []byte("kept")); err != nil {
		return false
	}
	value, err := xattr.FGet(f, name)
	return err == nil && string(value) == "kept"
}

// socketName returns the name of a new socket: on Linux one that is in no
// folder, elsewhere one in a folder of its own.
func socketName() (string, error) {
	if runtime.GOOS == "linux" {
		return "@outcrop-s3-" + rand.Text(), nil
	}
	folder, err := os.MkdirTemp("", "outcrop-s3-")
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, "socket"), nil
}
